/** What is written digit by digit reads as if it had been put together as text. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatSeconds } from "../../../firmware/cache/log/records.ts";
import type { LogSink } from "../../../firmware/cache/log/sink.ts";
import { Tag } from "../../../firmware/cache/log/tags.ts";
import { TransactionLog } from "../../../firmware/cache/log/transaction-log.ts";

/** The payloads of one tag among the records of a transaction. */
function payloads(tag: number, write: (log: TransactionLog) => void): string[] {
	let block = Buffer.alloc(0);
	const sink: LogSink = {
		immediate: false,
		write() {},
		append: (bytes, length) => {
			block = Buffer.from(bytes.subarray(0, length));
		},
	};
	const log = new TransactionLog(sink, 7, 1_700_000_000);
	write(log);
	log.end();
	const found: string[] = [];
	for (let at = 8; at < block.length; ) {
		const head = block.readUInt32LE(at);
		const length = head & 0xffff;
		if (head >>> 24 === tag) found.push(block.toString("latin1", at + 8, at + 8 + length - 1));
		at += 8 + ((length + 3) & ~3);
	}
	return found;
}

const seconds = fc.oneof(
	fc.double({ min: 0, max: 4e9, noNaN: true }),
	fc.constantFrom(0, 1e-7, 0.999_999_9, 10, 999_999_999.5, 1e9, 3.2e11, -1, -0.000_001),
);

describe("records made of numbers", () => {
	test("Hit", () => {
		fc.assert(
			fc.property(fc.nat(0x3fffffff), seconds, seconds, seconds, (vxid, remaining, grace, keep) => {
				const times = [remaining, grace, keep].map(formatSeconds).join(" ");
				expect(payloads(Tag.Hit, (log) => log.hit(vxid, remaining, grace, keep))).toEqual([
					`${vxid} ${times}`,
				]);
			}),
		);
	});

	test("ReqAcct and BereqAcct", () => {
		const bytes = fc.oneof(fc.nat(5000), fc.nat(2 ** 31 - 1), fc.constantFrom(0, 2 ** 31, 2 ** 40));
		fc.assert(
			fc.property(bytes, bytes, bytes, bytes, (a, b, c, d) => {
				for (const tag of [Tag.ReqAcct, Tag.BereqAcct])
					expect(payloads(tag, (log) => log.account(tag, a, b, c, d))).toEqual([
						`${a} ${b} ${a + b} ${c} ${d} ${c + d}`,
					]);
			}),
		);
	});
});
