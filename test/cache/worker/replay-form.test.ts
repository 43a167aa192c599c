/** A hit written down and filled in again reads as if it had been written anew. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { digitsOf } from "../../../firmware/cache/log/digits.ts";
import { BATCH_TAG, formatSeconds, record } from "../../../firmware/cache/log/records.ts";
import { Tag } from "../../../firmware/cache/log/tags.ts";
import { type Run, takeApart } from "../../../firmware/cache/worker/log-form.ts";
import { Form } from "../../../firmware/cache/worker/replay-form.ts";

const OBJECT = 77;
const body = Buffer.from("the body");

const headOf = (run: Run) =>
	`HTTP/1.1 200 OK\r\nContent-Length: 8\r\nX-Varnish: ${run.transaction} ${OBJECT}\r\nAge: ${run.age}\r\nConnection: keep-alive\r\n\r\n`;

const seconds = (micros: number) => formatSeconds(micros / 1e6);

/** The records of a hit as the delivery writes them. */
function recordsOf(run: Run, beganMicros: number, endedMicros: number): string {
	const began = seconds(beganMicros);
	const since = seconds(endedMicros - beganMicros);
	const head = headOf(run).length;
	const rows: [number, string][] = [
		[Tag.Begin, `req ${run.session} rxreq`],
		[Tag.Timestamp, `Start: ${began} 0.000000 0.000000`],
		[Tag.Timestamp, `Req: ${began} 0.000000 0.000000`],
		[Tag.ReqStart, `192.0.2.1 ${run.port} a0`],
		[Tag.ReqURL, "/page"],
		[Tag.Hit, `${OBJECT} ${seconds(run.remainingMicros)} 10.000000 0.000000`],
		[Tag.RespHeader, "Content-Length: 8"],
		[Tag.RespHeader, `X-Varnish: ${run.transaction} ${OBJECT}`],
		[Tag.RespHeader, `Age: ${run.age}`],
		[Tag.Timestamp, `Process: ${began} 0.000000 0.000000`],
		[Tag.Timestamp, `Resp: ${seconds(endedMicros)} ${since} ${since}`],
		[Tag.ReqAcct, `300 0 300 ${head} 8 ${head + 8}`],
		[Tag.End, ""],
	];
	return rows.map(([tag, payload]) => record(tag, payload)).join("");
}

const run = fc.record({
	transaction: fc.integer({ min: 1, max: 0x3fffffff }),
	session: fc.integer({ min: 1, max: 0x3fffffff }),
	port: fc.integer({ min: 1, max: 65535 }),
	age: fc.integer({ min: 0, max: 1e8 }),
	remainingMicros: fc.integer({ min: 1, max: 3e13 }),
});
const moment = fc.integer({ min: 1_600_000_000_000_000, max: 4_000_000_000_000_000 });

const factsOf = (each: Run) => ({
	transaction: each.transaction,
	session: each.session,
	port: each.port,
	age: each.age,
	objectTransaction: OBJECT,
});

/** A form's log as text, with the ids taken out as records.ts leaves them. */
function textOf(log: Uint8Array): { link: string; batch: string; ids: Set<number> } {
	const words = new Int32Array(log.slice().buffer);
	const linkWords = 2 + (((words[0]! & 0xffff) + 3) >> 2);
	expect(words[linkWords]).toBe(BATCH_TAG);
	expect(words[linkWords + 1]).toBe((words.length - linkWords - 2) * 4);
	const ids = new Set<number>();
	for (let at = 0; at < words.length; ) {
		if (words[at] === BATCH_TAG) {
			at += 2;
			continue;
		}
		ids.add(words[at + 1]! & 0x3fffffff);
		words[at + 1] = 0;
		at += 2 + (((words[at]! & 0xffff) + 3) >> 2);
	}
	const text = Buffer.from(words.buffer).toString("latin1");
	return { link: text.slice(0, linkWords * 4), batch: text.slice((linkWords + 2) * 4), ids };
}

describe("a form", () => {
	test("filled with any run reads like that run written anew", () => {
		fc.assert(
			fc.property(
				run,
				run,
				moment,
				moment,
				fc.integer({ min: 0, max: 9_999_999 }),
				(first, second, then, now, took) => {
					const facts = factsOf(first);
					const records = takeApart(recordsOf(first, then, then + 5), facts);
					expect(records).toBeDefined();
					const form = new Form(
						{ records: records!, head: headOf(first), facts, body, bodyBytes: body.length },
						second,
					);
					// Another run before it leaves no trace: digits that did not change are not written again.
					form.fill({ ...second, transaction: 10 ** (digitsOf(second.transaction) - 1) }, now - 1);
					form.log.finish(now - 1 + took, now - 1);
					form.fill(second, now);
					form.log.finish(now + took, now);
					expect(Buffer.from(form.answer).toString("latin1")).toBe(headOf(second) + body.toString());
					expect(form.headBytes).toBe(headOf(second).length);
					const { link, batch, ids } = textOf(form.log.bytes);
					expect(link).toBe(record(Tag.Link, `req ${second.transaction} rxreq`));
					expect(batch).toBe(recordsOf(second, now, now + took));
					expect(ids).toEqual(new Set([second.session, second.transaction]));
					expect(form.log.recordCount).toBe(14);
				},
			),
			{ numRuns: 300 },
		);
	});

	const typical: Run = { transaction: 1003, session: 1000, port: 40000, age: 3, remainingMicros: 5e6 };
	const facts = factsOf(typical);
	const usual = recordsOf(typical, 1e15, 1e15 + 9);
	test.each([
		["a wait for another fetch", record(Tag.Timestamp, "Waitinglist: 1.000000 0.000000 0.000000") + usual],
		["a restart", record(Tag.Begin, "req 1002 restart") + usual],
		["a field of the origin's that reads like our own", usual + record(Tag.RespHeader, "Age: 3")],
	])("is not made of %s", (_, text) => {
		expect(takeApart(text, facts)).toBeUndefined();
	});
});
