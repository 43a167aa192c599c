/** What a client is to be given: a stored object, one that is still coming, or one made here. */
import { FieldList, fieldKey, flat } from "../http/headers.ts";
import { statusText } from "../http/status.ts";
import { record, records } from "../log/records.ts";
import { Tag } from "../log/tags.ts";
import type { StoredObject } from "../store/arena.ts";
import { Flag } from "../store/layout.ts";
import type { BodyStream } from "./body-stream.ts";

export type AnswerBody =
	| { readonly kind: "stored"; readonly object: StoredObject }
	| { readonly kind: "stream"; readonly stream: BodyStream; readonly length: number | undefined }
	| { readonly kind: "bytes"; readonly bytes: Uint8Array };

export interface Answer {
	readonly status: number;
	readonly reason: string;
	readonly proto: string;
	/** Never changed: takers copy it. */
	readonly fields: FieldList;
	/** Records of the head (protocol to last header), made when first delivered. */
	logText: string | undefined;
	readonly vxid: number;
	readonly tOrigin: number;
	readonly ttl: number;
	readonly grace: number;
	readonly keep: number;
	/** Its grace is only for revalidation. */
	readonly strict: boolean;
	readonly insertedAt: number;
	readonly uncacheable: boolean;
	readonly gzip: boolean;
	readonly body: AnswerBody;
	readonly storage: string;
	/** Variant, for a stream that others may join. */
	readonly vary: string;
}

/** Reads a stored head ("HTTP/1.1 200 OK" CRLF fields) back into an answer. */
export function answerOf(object: StoredObject, storageNames: readonly string[]): Answer {
	const lines = object.head.split("\r\n");
	lines.pop();
	const start = lines.shift() ?? "HTTP/1.1 500 Internal Server Error";
	const keys = lines.map((line) => fieldKey(line.slice(0, line.indexOf(":"))));
	return {
		status: Number(start.slice(9, 12)),
		reason: start.slice(13),
		proto: start.slice(0, 8),
		fields: new FieldList(lines, keys).settle(),
		logText: undefined,
		vxid: object.vxid,
		tOrigin: object.tOrigin,
		ttl: object.ttl,
		grace: object.grace,
		keep: object.keep,
		strict: (object.flags & Flag.strict) !== 0,
		insertedAt: object.insertedAt,
		uncacheable: (object.flags & (Flag.hitForMiss | Flag.hitForPass)) !== 0,
		gzip: (object.flags & Flag.gzip) !== 0,
		body: { kind: "stored", object },
		storage: (object.flags & Flag.transient) !== 0 ? "Transient" : (storageNames[object.storage] ?? "s0"),
		vary: object.vary,
	};
}

/** The head as it is stored. */
export function headText(answer: Pick<Answer, "status" | "reason" | "proto" | "fields">): string {
	return `${answer.proto} ${statusText(answer.status)} ${answer.reason}\r\n${answer.fields.text()}`;
}

export function answerLogText(answer: Answer): string {
	answer.logText ??= flat(
		record(Tag.RespProtocol, answer.proto) +
			record(Tag.RespStatus, String(answer.status)) +
			record(Tag.RespReason, answer.reason) +
			records(Tag.RespHeader, answer.fields.lines),
	);
	return answer.logText;
}
