/** vmod unix: who is at the other end of a Unix socket. On TCP nobody: -1 and no name, with a line in the log. */
import type { VclContext } from "../runtime.ts";
import { vmod } from "./vmod.ts";

function credentials(context: VclContext) {
	const known = context.connection.credentials;
	if (known === null) context.log("VCL_Error", "vmod unix error: not listening on a Unix domain socket");
	return known;
}

export const unix = vmod("unix", [
	["user", "", "STRING", (context) => credentials(context)?.user ?? null],
	["group", "", "STRING", (context) => credentials(context)?.group ?? null],
	["uid", "", "INT", (context) => credentials(context)?.uid ?? -1],
	["gid", "", "INT", (context) => credentials(context)?.gid ?? -1],
]);
