/**
 * What a client's header block turns into on its way to a backend, and the records of it. The next request with the
 * same block, from the same browser say, has the same: it is worked out once, as long as the VCL changes nothing.
 */
import { type FieldList, flat } from "../http/headers.ts";
import { records } from "../log/records.ts";
import { Tag } from "../log/tags.ts";
import { fetchFields, passFields, type Received } from "./hop-by-hop.ts";

export interface BackendBlock {
	/** To be copied. */
	readonly fields: FieldList;
	/** BereqHeader records of all of them. */
	readonly logText: string;
}

/** How the request goes on: as the client wants it, or for the cache, with gzip or as it is. */
export type BackendPurpose = "pass" | "gzip" | "plain";

/** By the arrays of the client's fields, which nobody changes. */
type Known = Readonly<Record<BackendPurpose, WeakMap<readonly string[], BackendBlock>>>;
const nothing = (): Known => ({ pass: new WeakMap(), gzip: new WeakMap(), plain: new WeakMap() });
let known = nothing();

/** Records are made otherwise from now on (vsl_mask, vsl_reclen). */
export function forgetBackendBlocks(): void {
	known = nothing();
}

export function backendBlock(request: FieldList, received: Received, purpose: BackendPurpose): BackendBlock {
	// Arrays of its own will not be seen again.
	if (!request.shared) return made(request, received, purpose);
	const { lines } = request;
	let block = known[purpose].get(lines);
	if (block === undefined) {
		const { fields, logText } = made(request, received, purpose);
		block = { fields: fields.settle(), logText: flat(logText) };
		known[purpose].set(lines, block);
	}
	return block;
}

function made(request: FieldList, received: Received, purpose: BackendPurpose): BackendBlock {
	const fields = purpose === "pass" ? passFields(request, received) : fetchFields(request, received);
	if (purpose === "gzip") {
		fields.unset("accept-encoding");
		fields.append("Accept-Encoding", "gzip");
	}
	return { fields, logText: records(Tag.BereqHeader, fields.lines) };
}
