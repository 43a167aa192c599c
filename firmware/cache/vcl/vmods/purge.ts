/** vmod purge: drops or shortens every variant of the object at hand, in vcl_hit and vcl_miss. */
import { type VclContext, VclFailure } from "../runtime.ts";
import { vmod } from "./vmod.ts";

function purge(context: VclContext, ttl: number, grace: number, keep: number): number {
	if (context.method !== "vcl_hit" && context.method !== "vcl_miss")
		throw new VclFailure("purge can only happen in vcl_hit{} or vcl_miss{}");
	return context.purge(ttl, grace, keep);
}

export const purgeVmod = vmod("purge", [
	["hard", "", "INT", (context) => purge(context, 0, 0, 0)],
	[
		"soft",
		"DURATION ttl = 0, DURATION grace = -1, DURATION keep = -1",
		"INT",
		(context, _host, ttl: number, grace: number, keep: number) => purge(context, ttl, grace, keep),
	],
]);
