/** The shared log in Varnish's layout: what was written can be read back, through every wrap. */
import { describe, expect, test } from "bun:test";
import { formatSeconds, record, Side } from "../../../firmware/cache/log/records.ts";
import { FLUSH_INTERVAL_MS, formatRing, Ring, RingControl } from "../../../firmware/cache/log/ring.ts";
import { Tag } from "../../../firmware/cache/log/tags.ts";
import { TransactionLog } from "../../../firmware/cache/log/transaction-log.ts";

/** Reads records from word 88 on, as libvarnishapi does, until the end mark. */
function readAll(bytes: Uint8Array, from: number): { tag: number; id: number; text: string }[] {
	const words = new Int32Array(bytes.buffer, bytes.byteOffset + 88, (bytes.length - 88) >> 2);
	const found: { tag: number; id: number; text: string }[] = [];
	let at = from;
	for (;;) {
		const word = words[at]!;
		if (word === (0xfe454545 | 0)) return found;
		if (word === (0xfe575757 | 0)) {
			at = 0;
			continue;
		}
		const tag = word >>> 24;
		if (tag === 255) {
			at += 2;
			continue;
		}
		const length = word & 0xffff;
		const start = 88 + (at + 2) * 4;
		found.push({
			tag,
			id: words[at + 1]! >>> 0,
			text: Buffer.from(bytes.subarray(start, start + length - 1)).toString("latin1"),
		});
		at += 2 + ((length + 3) >> 2);
	}
}

function ringOf(size: number) {
	const bytes = new Uint8Array(size);
	formatRing(bytes);
	return { bytes, ring: new Ring(bytes, new Int32Array(RingControl.words), 0) };
}

describe("ring", () => {
	test("head", () => {
		const { bytes } = ringOf(65536);
		expect(Buffer.from(bytes.subarray(0, 8)).toString()).toBe("VSLHEAD1");
		expect(new DataView(bytes.buffer).getBigInt64(8, true)).toBe(
			BigInt(Math.floor(Math.floor((65536 - 88) / 4) / 8)),
		);
		expect(new DataView(bytes.buffer).getUint32(16, true)).toBe(0xfffffff8);
	});
	test("records come back with tag, side and text of every length", () => {
		const { bytes, ring } = ringOf(1 << 20);
		const texts = Array.from({ length: 40 }, (_, index) => "x".repeat(index));
		const log = new TransactionLog(ring, 77 | Side.client, 1000);
		for (const text of texts) log.add(Tag.ReqHeader, text);
		log.end();
		ring.flush();
		const found = readAll(bytes, 0);
		expect(found.map(({ text }) => text)).toEqual([...texts, ""]);
		expect(new Set(found.map(({ id }) => id))).toEqual(new Set([(77 | 0x40000000) >>> 0]));
		expect(found.at(-1)!.tag).toBe(Tag.End);
	});
	test("long payloads are cut at vsl_reclen", () => {
		const { bytes, ring } = ringOf(1 << 20);
		const log = new TransactionLog(ring, 1, 0);
		log.add(Tag.ReqURL, "y".repeat(1000));
		log.flush();
		ring.flush();
		expect(readAll(bytes, 0)[0]!.text).toBe("y".repeat(254));
	});
	test("a transaction longer than its room comes in parts, and in order", () => {
		const { bytes, ring } = ringOf(1 << 20);
		const log = new TransactionLog(ring, 9 | Side.client, 1000);
		log.linkRequest(3 | Side.client, 9);
		const texts = Array.from({ length: 700 }, (_, index) => `${index} ${"z".repeat(index % 200)}`);
		for (const [index, text] of texts.entries())
			if (index % 3 === 0) log.addText(record(Tag.ReqHeader, text));
			else log.add(Tag.ReqHeader, text);
		log.addText(texts.map((text) => record(Tag.ReqHeader, text)).join(""));
		expect(log.end(true)).toBeUndefined();
		ring.flush();
		const found = readAll(bytes, 0);
		expect(found[0]).toEqual({ tag: Tag.Link, id: (3 | Side.client) >>> 0, text: "req 9 rxreq" });
		expect(found.slice(1).map(({ text }) => text)).toEqual([...texts, ...texts, ""]);
		expect(new Set(found.slice(1).map(({ id }) => id))).toEqual(new Set([(9 | Side.client) >>> 0]));
	});
	test("time stamps are whole microseconds since the beginning and since the last one", () => {
		const { bytes, ring } = ringOf(1 << 20);
		const log = new TransactionLog(ring, 5, 1700000000.25);
		log.begin(1700000000.25);
		log.timestamp("Process", 1700000001.5);
		log.timestamp("Resp", 1700000013.000001);
		log.timestamp("Back", 1699999999.25);
		log.end();
		log.add(Tag.Error, "too late");
		ring.flush();
		expect(readAll(bytes, 0).map(({ text }) => text)).toEqual([
			"Start: 1700000000.250000 0.000000 0.000000",
			"Req: 1700000000.250000 0.000000 0.000000",
			"Process: 1700000001.500000 1.250000 1.250000",
			"Resp: 1700000013.000001 12.750001 11.500001",
			"Back: 1699999999.250000 -1.000000 -13.750001",
			"",
		]);
	});
	test("what comes after a flush is in the ring in time without another", async () => {
		const { bytes, ring } = ringOf(1 << 20);
		ring.write(1, record(Tag.ReqHeader, "first"), 0, "");
		ring.flush();
		ring.write(1, record(Tag.ReqHeader, "second"), 0, "");
		for (const text of ["third", "fourth"]) {
			await Bun.sleep(4 * FLUSH_INTERVAL_MS);
			ring.write(1, record(Tag.ReqHeader, text), 0, "");
		}
		await Bun.sleep(4 * FLUSH_INTERVAL_MS);
		expect(readAll(bytes, 0).map(({ text }) => text)).toEqual(["first", "second", "third", "fourth"]);
		expect(ring.flushes).toBe(4);
	});
	test("with synchronous records each is in the ring at once, without batches", () => {
		const { bytes, ring } = ringOf(1 << 20);
		ring.immediate = true;
		const log = new TransactionLog(ring, 9 | Side.client, 1000);
		log.linkRequest(3 | Side.client, 9);
		log.add(Tag.ReqURL, "/");
		expect(readAll(bytes, 0).map(({ text }) => text)).toEqual(["req 9 rxreq", "/"]);
		expect(new Uint32Array(bytes.buffer, 88, 1)[0]! >>> 24).toBe(Tag.Link);
		log.end();
		expect(readAll(bytes, 0).map(({ id }) => id & 0xffff)).toEqual([3, 9, 9]);
	});
	test("hidden tags leave no trace", () => expect(record(Tag.Hash, "x")).toBe(""));
	test("wraps many times, and a reader that keeps up loses nothing", () => {
		const { bytes, ring } = ringOf(32768);
		const words = new Int32Array(bytes.buffer, 88, (bytes.length - 88) >> 2);
		let at = 0;
		let next = 0;
		for (let index = 0; index < 3000; index++) {
			const log = new TransactionLog(ring, (index + 1) | Side.backend, 0);
			log.add(Tag.BereqURL, `/${index}`);
			log.end();
			ring.flush();
			for (;;) {
				const word = words[at]!;
				if (word === (0xfe454545 | 0)) break;
				if (word === (0xfe575757 | 0)) {
					at = 0;
					continue;
				}
				if (word >>> 24 === 255) {
					at += 2;
					continue;
				}
				const length = word & 0xffff;
				if (word >>> 24 === Tag.BereqURL)
					expect(
						Buffer.from(bytes.subarray(88 + (at + 2) * 4, 88 + (at + 2) * 4 + length - 1)).toString(),
					).toBe(`/${next++}`);
				at += 2 + ((length + 3) >> 2);
			}
		}
		expect(next).toBe(3000);
		expect(ring.cycles).toBeGreaterThan(2);
	});
});

test("seconds with six decimals", () => {
	expect([0, 0.000001, 1.5, 1700000000.123456, 59.9999999].map(formatSeconds)).toEqual([
		"0.000000",
		"0.000001",
		"1.500000",
		"1700000000.123456",
		"60.000000",
	]);
});
