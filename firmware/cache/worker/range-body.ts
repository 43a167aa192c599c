/** What is sent after a head, and the parts of it that a Range field asks for. */
import { rangeApplies } from "../http/conditional.ts";
import { parseRange } from "../http/range.ts";
import type { BodyStream } from "./body-stream.ts";
import type { ClientRequestFields, ClientResponseFields } from "./client-messages.ts";
import type { Engine } from "./engine.ts";

export type Outgoing =
	| { readonly kind: "none"; readonly length: undefined; readonly filtersLogged?: boolean }
	| {
			readonly kind: "bytes";
			readonly bytes: Uint8Array;
			readonly length: number;
			readonly release?: () => void;
			readonly filtersLogged?: boolean;
	  }
	| {
			readonly kind: "stream";
			readonly stream: BodyStream;
			readonly length: number | undefined;
			readonly filtersLogged?: boolean;
			/** `length` bytes are wanted from here on, and no more. */
			readonly first?: number;
	  };

interface RangedTask {
	readonly req: ClientRequestFields;
	readonly resp: ClientResponseFields;
	readonly engine: Engine;
	readonly xid: number;
}

export const asksForPart = ({ req, engine }: Pick<RangedTask, "req" | "engine">) =>
	req.fields.has("range") && req.method === "GET" && engine.parameters.rangeSupport;

/**
 * Range and If-Range (RFC 9110 §14): the part of `body` that the request asks for, with `resp` changed to match.
 * Undefined leaves the answer whole. `letGo` gives up a stream that is not going to be read.
 */
export function applyRange(task: RangedTask, body: Outgoing, letGo: () => void): Outgoing | undefined {
	const { req, resp } = task;
	if (!asksForPart(task) || resp.wantsFilter("range") === false) return undefined;
	if (body.kind === "none" || body.length === undefined) return undefined;
	if (!rangeApplies(req.fields, resp.fields.get("etag"), resp.fields.get("last-modified"))) return undefined;
	const { length } = body;
	const wanted = parseRange(req.fields.get("range")!, length);
	if (wanted.kind === "whole") return undefined;
	const bytes =
		body.kind === "bytes"
			? body.bytes
			: body.stream.state === "whole" && body.stream.keeping && !body.stream.inStore
				? Buffer.concat(body.stream.pieces)
				: undefined;
	// A whole answer may have carried one, with no meaning there.
	resp.fields.unset("content-range");
	if (wanted.kind === "unsatisfiable") {
		resp.setStatus(416);
		resp.fields.unset("content-length");
		resp.append("Content-Range", `bytes */${length}`);
		if (body.kind === "bytes") body.release?.();
		else letGo();
		return { kind: "bytes", bytes: new Uint8Array(0), length: 0 };
	}
	const first = wanted.ranges[0]!;
	if (body.kind === "stream" && wanted.ranges.length === 1) {
		resp.setStatus(206);
		resp.append("Content-Range", `bytes ${first.first}-${first.last}/${length}`);
		return { ...body, first: first.first, length: first.last + 1 - first.first };
	}
	if (bytes === undefined) return undefined;
	const release = body.kind === "bytes" ? body.release : undefined;
	if (body.kind === "stream") letGo();
	resp.setStatus(206);
	if (wanted.ranges.length === 1) {
		resp.append("Content-Range", `bytes ${first.first}-${first.last}/${length}`);
		const part = bytes.subarray(first.first, first.last + 1);
		return {
			kind: "bytes",
			bytes: part,
			length: part.length,
			...(release === undefined ? {} : { release }),
		};
	}
	const boundary = `drover-${task.xid.toString(36)}-${length.toString(36)}`;
	const type = resp.fields.get("content-type");
	const parts: Uint8Array[] = [];
	for (const each of wanted.ranges) {
		const partHead = `\r\n--${boundary}\r\n${type === undefined ? "" : `Content-Type: ${type}\r\n`}Content-Range: bytes ${each.first}-${each.last}/${length}\r\n\r\n`;
		parts.push(Buffer.from(partHead, "latin1"), bytes.subarray(each.first, each.last + 1));
	}
	parts.push(Buffer.from(`\r\n--${boundary}--\r\n`, "latin1"));
	const whole = Buffer.concat(parts);
	release?.();
	resp.setHeader("content-type", "Content-Type", `multipart/byteranges; boundary=${boundary}`);
	return { kind: "bytes", bytes: whole, length: whole.length };
}
