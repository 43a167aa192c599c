/** A gzip body (RFC 1952) that goes by: what is said of it, and how much of it waits. */
import { expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import { BACKLOG_BYTES, GzipCheck } from "../../../firmware/cache/worker/gzip-check.ts";
import type { Recoded } from "../../../firmware/cache/worker/recode.ts";

const PIECE_BYTES = 64 * 1024;
const ROOM_MS = 10_000;
/** Packs to as much as it is, so that it takes many pieces. */
const plain = randomBytes(8 * 1024 * 1024);
const packed = gzipSync(plain, { level: 1 });

const pieces = (bytes: Uint8Array) =>
	Array.from({ length: Math.ceil(bytes.length / PIECE_BYTES) }, (_, at) =>
		bytes.subarray(at * PIECE_BYTES, (at + 1) * PIECE_BYTES),
	);

/** As fast as it lets; how many bytes came in between two pauses at most, and what it says at the end. */
async function check(bytes: Uint8Array): Promise<{ outcome: Recoded; mostBytes: number; pauses: number }> {
	let goOn = () => {};
	const gzip = new GzipCheck(() => goOn());
	let sinceBytes = 0;
	let mostBytes = 0;
	let pauses = 0;
	for (const piece of pieces(bytes)) {
		const { promise, resolve } = Promise.withResolvers<void>();
		goOn = resolve;
		sinceBytes += piece.length;
		mostBytes = Math.max(mostBytes, sinceBytes);
		if (gzip.push(piece)) continue;
		pauses++;
		await promise;
		sinceBytes = 0;
	}
	return { outcome: await new Promise<Recoded>((resolve) => gzip.end(resolve)), mostBytes, pauses };
}

test(
	"a whole body: its bytes are counted, and no more waits than the backlog and a piece",
	async () => {
		const { outcome, mostBytes, pauses } = await check(packed);
		expect(outcome).toEqual({
			ok: true,
			bytes: undefined,
			record: `u F - ${packed.length} ${plain.length} 80 80 ${packed.length * 8}`,
		});
		expect(pauses).toBeGreaterThan(1);
		expect(mostBytes).toBeLessThanOrEqual(BACKLOG_BYTES + 2 * PIECE_BYTES);
	},
	ROOM_MS,
);

test(
	"one that is broken in its middle holds nothing up, and is told",
	async () => {
		const broken = Buffer.from(packed);
		broken.fill(0xff, 3 * PIECE_BYTES, 4 * PIECE_BYTES);
		expect((await check(broken)).outcome).toMatchObject({ ok: false });
	},
	ROOM_MS,
);

test.each([
	["cut off", (bytes: Buffer) => bytes.subarray(0, -4)],
	["another checksum", (bytes: Buffer) => Buffer.from(bytes).fill(0, bytes.length - 8)],
])(
	"%s, in many pieces and in one",
	async (_title, spoil) => {
		expect((await check(spoil(packed))).outcome).toMatchObject({ ok: false });
		expect((await check(spoil(gzipSync("a body")))).outcome).toMatchObject({ ok: false });
	},
	ROOM_MS,
);
