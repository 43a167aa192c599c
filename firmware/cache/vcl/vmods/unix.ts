/** vmod unix: who is at the other end of a Unix socket. A VCL failure on TCP. */
import { type VclContext, VclFailure } from "../runtime.ts";
import { vmod } from "./vmod.ts";

function credentials(context: VclContext, name: string) {
	const known = context.connection.credentials;
	if (known === null) throw new VclFailure(`vmod_unix: ${name}(): not a unix domain socket`);
	return known;
}

export const unix = vmod("unix", [
	["user", "", "STRING", (context) => credentials(context, "user").user],
	["group", "", "STRING", (context) => credentials(context, "group").group],
	["uid", "", "INT", (context) => credentials(context, "uid").uid],
	["gid", "", "INT", (context) => credentials(context, "gid").gid],
]);
