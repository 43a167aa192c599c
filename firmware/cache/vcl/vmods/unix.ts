/** vmod unix: who is at the other end of a Unix socket. On TCP nobody: -1 and no name, with a line in the log. */
import { type VclContext, VclFailure } from "../runtime.ts";
import { vmod } from "./vmod.ts";

function credentials(context: VclContext) {
	if (context.method === "vcl_init" || context.method === "vcl_fini")
		throw new VclFailure("vmod unix failure: may not be called in vcl_init or vcl_fini");
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
