/** Pages as a gzip member that can be taken apart, and programs as they are stored. */
import { expect, test } from "bun:test";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { combineCrc32 } from "../../../firmware/cache/esi/crc32.ts";
import {
	MEMBER_HEAD,
	memberEnd,
	packPage,
	STRETCH_BYTES,
	unpackStretch,
} from "../../../firmware/cache/esi/pack.ts";
import { decodeProgram, type EsiStep, encodeProgram } from "../../../firmware/cache/esi/program.ts";

const bytes = fc.uint8Array({ maxLength: 300 });

test("CRCs of two stretches make that of both", () => {
	fc.assert(
		fc.property(bytes, bytes, (a, b) => {
			const both = combineCrc32(Bun.hash.crc32(a), Bun.hash.crc32(b), b.length);
			expect(both).toBe(Bun.hash.crc32(Buffer.concat([a, b])));
		}),
	);
	const long = Buffer.alloc(10_000_000, "abc");
	expect(combineCrc32(Bun.hash.crc32("x"), Bun.hash.crc32(long), long.length)).toBe(
		Bun.hash.crc32(Buffer.concat([Buffer.from("x"), long])),
	);
});

const stretch =
	(kind: "verbatim" | "skip") =>
	(length: number): EsiStep =>
		kind === "skip" ? { kind, bytes: length } : { kind, bytes: length, crc: 0, plainBytes: 0 };
const include: EsiStep = { kind: "include", host: "h", url: "/x?y", continues: true };
const steps = fc.array(
	fc.oneof(
		fc.integer({ min: 1, max: STRETCH_BYTES * 2 }).map(stretch("verbatim")),
		fc.integer({ min: 1, max: 2000 }).map(stretch("skip")),
		fc.constant(include),
	),
	{ maxLength: 8 },
);

function pack(page: Uint8Array, of: readonly EsiStep[]) {
	const pieces: Uint8Array[] = [];
	const making = packPage(page, of, 6);
	for (;;) {
		const next = making.next();
		if (next.done) return { member: Buffer.concat(pieces), packed: next.value };
		pieces.push(next.value);
	}
}

test("a packed page is a gzip member, and its stretches make another without what is left out", () => {
	fc.assert(
		fc.property(steps, (parts) => {
			const length = parts.reduce((sum, step) => sum + (step.kind === "include" ? 0 : step.bytes), 0);
			const page = Buffer.alloc(length, "some text of a page, ");
			const { member, packed } = pack(page, parts);
			expect(gunzipSync(member).equals(page)).toBe(true);
			const wanted: Uint8Array[] = [];
			let from = 0;
			for (const step of parts) {
				if (step.kind === "include") continue;
				if (step.kind === "verbatim") wanted.push(page.subarray(from, from + step.bytes));
				from += step.bytes;
			}
			const sent: Uint8Array[] = [MEMBER_HEAD];
			const plain: Uint8Array[] = [];
			let at = 0;
			let crc = 0;
			let plainBytes = 0;
			for (const step of packed) {
				if (step.kind === "include") continue;
				const piece = member.subarray(at, at + step.bytes);
				at += step.bytes;
				if (step.kind === "skip") continue;
				sent.push(piece);
				plain.push(unpackStretch(piece));
				crc = combineCrc32(crc, step.crc, step.plainBytes);
				plainBytes += step.plainBytes;
			}
			sent.push(memberEnd(crc, plainBytes));
			expect(gunzipSync(Buffer.concat(sent)).equals(Buffer.concat(wanted))).toBe(true);
			expect(Buffer.concat(plain).equals(Buffer.concat(wanted))).toBe(true);
			expect(packed.filter(({ kind }) => kind === "include")).toEqual(
				parts.filter(({ kind }) => kind === "include"),
			);
		}),
		{ numRuns: 60 },
	);
});

test("a program is read back as it was", () => {
	fc.assert(
		fc.property(steps, fc.boolean(), (parts, packed) => {
			const program = { packed, steps: parts };
			expect(decodeProgram(encodeProgram(program))).toEqual(program);
		}),
	);
});

test("what is no program is refused, not half read", () => {
	const whole = encodeProgram({ packed: false, steps: [include] });
	for (let length = 2; length < whole.length; length++)
		expect(() => decodeProgram(whole.subarray(0, length))).toThrow(RangeError);
	expect(() => decodeProgram(Uint8Array.of(0, 99))).toThrow("step of kind 99");
});
