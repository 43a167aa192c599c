/**
 * vmod xkey, as the widespread module collection has it: takes out everything that was stored with a tag. Not part of
 * the stock distribution; offered because so many programs import it.
 */
import { type VclContext, VclFailure, type WaitRequest } from "../runtime.ts";
import { vmod } from "./vmod.ts";

function purge(context: VclContext, keys: string | null, soft: boolean): WaitRequest {
	if (context.method === "vcl_init" || context.method === "vcl_fini")
		throw new VclFailure("xkey: there is nothing to purge in vcl_init and vcl_fini");
	return context.purgeTags(keys ?? "", soft);
}

export const xkey = vmod("xkey", [
	[
		"purge",
		"STRING keys",
		"INT",
		(context, _host, keys: string | null) => purge(context, keys, false),
		"waits",
	],
	[
		"softpurge",
		"STRING keys",
		"INT",
		(context, _host, keys: string | null) => purge(context, keys, true),
		"waits",
	],
]);
