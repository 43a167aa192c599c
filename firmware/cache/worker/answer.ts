/** What a client is to be given: a stored object, one that is still coming, or one made here. */
import { decodeProgram, type EsiProgram } from "../esi/program.ts";
import { FieldList, fieldKey, flat } from "../http/headers.ts";
import { statusText } from "../http/status.ts";
import { record, records } from "../log/records.ts";
import { Tag } from "../log/tags.ts";
import type { StoredObject } from "../store/arena.ts";
import type { BanSubject } from "../store/bans.ts";
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
	/** Records of the head (protocol to last header), made when it is delivered the second time. */
	logText: string | undefined;
	delivered: boolean;
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
	/** Of a page with ESI tags: what it is made of. */
	readonly esi: EsiProgram | undefined;
	readonly body: AnswerBody;
	readonly storage: string;
	/** Variant, for a stream that others may join. */
	readonly vary: string;
	/** Why the backend's answer was not to be had, or not to be used: in place of it there is this one. */
	readonly fault: string | undefined;
	/** What the backend said, 304 to a question whether a stored answer still holds; 0: nothing. */
	readonly backendStatus: number;
}

/** Names and keys of the fields of the head that was read last: stored heads resemble each other. */
const lastNames: string[] = [];
const lastKeys: string[] = [];
const LAST_LIMIT = 32;

/** The lower-case name of the field at `at`, which is number `index` of its head. */
function keyAt(head: string, at: number, index: number): string {
	if (index < lastNames.length && head.startsWith(lastNames[index]!, at)) return lastKeys[index]!;
	const name = head.slice(at, head.indexOf(":", at));
	const key = fieldKey(name);
	if (index < LAST_LIMIT && index <= lastNames.length) {
		lastNames[index] = flat(`${name}:`);
		lastKeys[index] = key;
	}
	return key;
}

/** Reads a stored head ("HTTP/1.1 200 OK" CRLF fields) back into an answer. */
export function answerOf(object: StoredObject, storageNames: readonly string[]): Answer {
	const { head } = object;
	const start = head.slice(0, head.indexOf("\r\n"));
	const lines: string[] = [];
	const keys: string[] = [];
	for (let at = start.length + 2; at < head.length; ) {
		const end = head.indexOf("\r\n", at);
		lines.push(head.slice(at, end));
		keys.push(keyAt(head, at, lines.length - 1));
		at = end + 2;
	}
	return {
		status: Number(start.slice(9, 12)),
		reason: start.slice(13),
		proto: start.slice(0, 8),
		fields: new FieldList(lines, keys),
		logText: undefined,
		delivered: false,
		vxid: object.vxid,
		tOrigin: object.tOrigin,
		ttl: object.ttl,
		grace: object.grace,
		keep: object.keep,
		strict: (object.flags & Flag.strict) !== 0,
		insertedAt: object.insertedAt,
		uncacheable: (object.flags & (Flag.hitForMiss | Flag.hitForPass)) !== 0,
		gzip: (object.flags & Flag.gzip) !== 0,
		esi: object.esi === undefined ? undefined : decodeProgram(object.esi),
		body: { kind: "stored", object },
		storage: storageNames[object.storage] ?? "s0",
		vary: object.vary,
		fault: undefined,
		backendStatus: 0,
	};
}

/** What bans look at. */
export const bannable = (answer: Answer, now: number): BanSubject["object"] => ({
	status: answer.status,
	age: now - answer.tOrigin,
	ttl: answer.ttl,
	grace: answer.grace,
	keep: answer.keep,
	header: (key) => answer.fields.get(key),
});

/** The head as it is stored. */
export function headText(answer: Pick<Answer, "status" | "reason" | "proto" | "fields">): string {
	return `${answer.proto} ${statusText(answer.status)} ${answer.reason}\r\n${answer.fields.text()}`;
}

/**
 * The records of a stored head. Worked out, with the text of the fields, for the second delivery and all that follow:
 * most objects of a large store are delivered once before they are forgotten here. Undefined the first time.
 */
export function answerLogText(answer: Answer): string | undefined {
	if (answer.logText === undefined && answer.delivered) {
		answer.fields.settle();
		answer.logText = flat(
			record(Tag.RespProtocol, answer.proto) +
				record(Tag.RespStatus, String(answer.status)) +
				record(Tag.RespReason, answer.reason) +
				records(Tag.RespHeader, answer.fields.lines),
		);
	}
	answer.delivered = true;
	return answer.logText;
}
