/** A body that is packed or unpacked on its way: how much of it waits for who does not read. */
import { expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { gunzipSync, gzipSync } from "node:zlib";
import { BodyBudget } from "../../../firmware/cache/worker/body-budget.ts";
import { type BodyReader, BodyStream, PAUSE_BYTES } from "../../../firmware/cache/worker/body-stream.ts";
import { recodeStream, streamOf, WAITING_BYTES } from "../../../firmware/cache/worker/recode-stream.ts";

const PIECE_BYTES = 64 * 1024;
/** What zlib itself has in hand. */
const CODER_BYTES = 1024 * 1024;
const plain = randomBytes(16 * 1024 * 1024);
const forms = { gzip: plain, gunzip: gzipSync(plain, { level: 1 }) };

async function readAll(stream: BodyStream): Promise<Buffer> {
	const pieces: Uint8Array[] = [];
	const { promise, resolve } = Promise.withResolvers<void>();
	const reader: BodyReader = {
		onBody() {
			for (let piece = stream.take(reader); piece !== undefined; piece = stream.take(reader))
				pieces.push(piece);
			if (stream.state !== "open" && stream.drained(reader)) {
				stream.leave(reader);
				resolve();
			}
		},
	};
	stream.join(reader);
	reader.onBody();
	await promise;
	return Buffer.concat(pieces);
}

test.each(["gzip", "gunzip"] as const)(
	"%s: whoever does not read holds the source back, and misses nothing",
	async (recoding) => {
		let paused = false;
		const source = new BodyStream(false, {
			pauseBody: () => {
				paused = true;
			},
			resumeBody: () => {
				paused = false;
			},
			abandonBody: () => {},
		});
		const budget = new BodyBudget(0);
		let ends = 0;
		const target = recodeStream(source, recoding, 1, budget, () => {
			ends++;
		});
		const form = forms[recoding];
		let at = 0;
		const feed = async (limit: number) => {
			for (let rounds = 0; at < form.length && rounds < limit; )
				if (paused) {
					rounds++;
					await Bun.sleep(1);
				} else {
					source.push(form.subarray(at, at + PIECE_BYTES));
					at += PIECE_BYTES;
					await Bun.sleep(0);
				}
		};
		await feed(200);
		expect(paused).toBe(true);
		expect(at).toBeLessThan(2 * PAUSE_BYTES + WAITING_BYTES + CODER_BYTES + 2 * PIECE_BYTES);
		expect(budget.usedBytes).toBeLessThan(PAUSE_BYTES + CODER_BYTES);
		const whole = readAll(target);
		await feed(Infinity);
		source.finish();
		const got = await whole;
		expect((recoding === "gzip" ? gunzipSync(got) : got).equals(plain)).toBe(true);
		expect([ends, source.readerCount, budget.usedBytes]).toEqual([1, 0, 0]);
	},
);

test("a reader that leaves lets the source go, once; so does what is no gzip", async () => {
	let ends = 0;
	const onEnd = () => {
		ends++;
	};
	const left = recodeStream(streamOf(forms.gunzip), "gunzip", 0, undefined, onEnd);
	const reader: BodyReader = { onBody() {} };
	left.join(reader);
	left.leave(reader);
	await Bun.sleep(50);
	expect(ends).toBe(1);
	const broken = recodeStream(streamOf(plain), "gunzip", 0, undefined, onEnd);
	await readAll(broken);
	expect([broken.state, ends]).toEqual(["failed", 2]);
});

test("nothing at all is nothing, packed or not", async () => {
	const empty = recodeStream(streamOf(new Uint8Array(0)), "gunzip", 0, undefined);
	expect((await readAll(empty)).length).toBe(0);
	expect(empty.state).toBe("whole");
});
