/** VCL_call and VCL_return records, made once. */
import { flat } from "../http/headers.ts";
import { record } from "../log/records.ts";
import { Tag } from "../log/tags.ts";
import type { ActionKind, MethodName } from "../vcl/runtime.ts";

const calls = new Map<MethodName, string>();
const returns = new Map<ActionKind, string>();

export function callRecord(method: MethodName): string {
	let text = calls.get(method);
	if (text === undefined) {
		text = flat(record(Tag.VCL_call, method.slice(4).toUpperCase()));
		calls.set(method, text);
	}
	return text;
}

export function returnRecord(kind: ActionKind): string {
	let text = returns.get(kind);
	if (text === undefined) {
		text = flat(record(Tag.VCL_return, kind));
		returns.set(kind, text);
	}
	return text;
}
