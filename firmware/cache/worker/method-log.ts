/** What VCL_call records say. */
import type { MethodName } from "../vcl/runtime.ts";

const names = new Map<MethodName, string>();

/** "RECV" of vcl_recv. */
export function callName(method: MethodName): string {
	let name = names.get(method);
	if (name === undefined) {
		name = method.slice(4).toUpperCase();
		names.set(method, name);
	}
	return name;
}
