/** Firmware bundles: what is refused and why, and what a cut at any write leaves behind. */
import { describe, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { HEADER_BYTES, install, readManifest, UpdateRefused } from "../../firmware/update/trust.ts";
import { type Random, randomFrom } from "../sim/random.ts";
import { bundle, goodManifest, goodTarget, PowerCut, payloads, reader, Slot } from "./support.ts";

async function update(bytes: Uint8Array, slot = new Slot(), target = goodTarget): Promise<Slot> {
	const read = reader(bytes);
	const manifest = await readManifest(read, target);
	await install(read, manifest, slot.partitions, slot);
	return slot;
}

test("a good bundle is written whole and booted next", async () => {
	const slot = await update(bundle());
	expect(slot.mark).toBe("trial");
	expect(slot.complete).toBe(true);
});

test("a file and a medium that use one buffer for all their answers", async () => {
	const slot = new Slot();
	const once = (read: (...words: number[]) => Promise<Uint8Array>) => {
		const buffer = new Uint8Array(2 << 20);
		return async (...words: number[]) => {
			const bytes = await read(...words);
			buffer.fill(0xee);
			buffer.set(bytes);
			return buffer.subarray(0, bytes.length);
		};
	};
	for (const partition of Object.values(slot.partitions)) partition.read = once(partition.read as never);
	const read = once(reader(bundle()) as never);
	await install(read, await readManifest(read, goodTarget), slot.partitions, slot);
	expect(slot.mark).toBe("trial");
	expect(slot.complete).toBe(true);
});

describe("refused before any write", () => {
	test.each<[string, Uint8Array, Partial<typeof goodTarget>, string]>([
		["another kind of file", Buffer.from("PK\u0003\u0004".padEnd(200)), {}, "not a Drover firmware file"],
		["an empty file", new Uint8Array(0), {}, "not a Drover firmware file"],
		[
			"another key",
			bundle(goodManifest, generateKeyPairSync("ed25519").privateKey),
			{},
			"not from a trusted key",
		],
		["no trusted key at all", bundle(), { keys: [] }, "not from a trusted key"],
		["an expired key", bundle({ ...goodManifest, createdAtSeconds: 2_001 }), {}, 'key "test" had expired'],
		["another product", bundle({ ...goodManifest, product: "fence" }), {}, 'for the product "fence"'],
		["other hardware", bundle({ ...goodManifest, hardware: "aarch64" }), {}, "for aarch64 hardware"],
		[
			"a downgrade",
			bundle({ ...goodManifest, version: "1.1.8" }),
			{},
			"1.1.8 is older than the running 1.1.9",
		],
		[
			"a payload over its partition",
			bundle(),
			{ partitionBytes: { boot: 8192, root: 8 << 20 } },
			"does not fit its partition",
		],
		["an unknown field", bundle({ ...goodManifest, run: "sh" }), {}, "manifest cannot be read"],
	])("%s", async (_title, bytes, target, message) => {
		const slot = new Slot();
		await expect(update(bytes, slot, { ...goodTarget, ...target })).rejects.toThrow(message);
		expect(slot.writes).toBe(0);
	});
	test("every flipped byte of header and manifest", async () => {
		const good = bundle();
		const end = HEADER_BYTES + new DataView(good.buffer, good.byteOffset).getUint32(12);
		for (let offset = 0; offset < end; offset++) {
			const bad = new Uint8Array(good);
			bad[offset]! ^= 1 << (offset % 8);
			const slot = new Slot();
			await expect(update(bad, slot)).rejects.toBeInstanceOf(UpdateRefused);
			expect(slot.writes).toBe(0);
		}
	});
});

test("a wanted downgrade is taken", async () => {
	const slot = await update(bundle({ ...goodManifest, version: "1.1.8" }), new Slot(), {
		...goodTarget,
		allowDowngrade: true,
	});
	expect(slot.mark).toBe("trial");
});

describe("refused while writing: the idle slot stays unusable", () => {
	const good = bundle();
	const start = good.length - payloads.boot.length - payloads.root.length;
	const lengths = [
		start,
		start + 1,
		start + 4096,
		start + payloads.boot.length,
		good.length - 4096,
		good.length - 1,
	];
	test.each(lengths)("cut to %d bytes", async (length) => {
		const slot = new Slot();
		await expect(update(good.subarray(0, length), slot)).rejects.toThrow("cut short");
		expect(slot.mark).toBe("unusable");
		expect(slot.media.boot.subarray(0, 4096).every((byte) => byte === 0)).toBe(true);
	});
	test.each([start, start + 5000, start + payloads.boot.length, good.length - 1])(
		"byte %d flipped",
		async (offset) => {
			const bad = new Uint8Array(good);
			bad[offset]! ^= 0x10;
			const slot = new Slot();
			await expect(update(bad, slot)).rejects.toThrow("damaged");
			expect(slot.mark).toBe("unusable");
		},
	);
	test("bytes behind the last payload", async () => {
		const slot = new Slot();
		await expect(update(Buffer.concat([good, Buffer.from("x")]), slot)).rejects.toThrow("goes on behind");
		expect(slot.mark).toBe("unusable");
	});
	test("a medium that ends before its last block", async () => {
		const slot = new Slot();
		const { read } = slot.partitions.root;
		slot.partitions.root.read = async (offset, length) =>
			(await read(offset, length)).subarray(0, payloads.root.length - 1 - offset);
		await expect(update(good, slot)).rejects.toThrow("medium may be failing");
		expect(slot.mark).toBe("unusable");
	});
	test("a medium that loses a bit", async () => {
		const slot = new Slot();
		const { read } = slot.partitions.root;
		slot.partitions.root.read = async (offset, length) => {
			const bytes = await read(offset, length);
			if (offset > 0) bytes[7]! ^= 1;
			return bytes;
		};
		await expect(update(good, slot)).rejects.toThrow("medium may be failing");
		expect(slot.mark).toBe("unusable");
	});
});

test("power cut before each write: old, or unusable, never a slot that is marked and incomplete", async () => {
	const good = bundle();
	const whole = await update(good);
	for (let cutAt = 0; cutAt <= whole.writes; cutAt++) {
		const slot = new Slot(cutAt);
		if (cutAt < whole.writes) await expect(update(good, slot)).rejects.toBeInstanceOf(PowerCut);
		else await update(good, slot);
		expect(slot.mark).toBe(cutAt === 0 ? "old" : cutAt === whole.writes ? "trial" : "unusable");
		if (slot.mark === "trial") expect(slot.complete).toBe(true);
		if (slot.mark === "old") expect(slot.media.boot.every((byte) => byte === 0xaa)).toBe(true);
	}
});

/** The bundle torn, patched, joined and reordered in a few places. */
function mangled(random: Random, good: Uint8Array): Uint8Array {
	let bytes = Buffer.from(good);
	for (let count = random.integer(1, 3); count > 0; count--) {
		const [at, to] = [random.integer(0, bytes.length), random.integer(0, bytes.length)];
		const length = random.pick([1, 8, 512, 4096, payloads.boot.length]);
		const piece = Buffer.from(bytes.subarray(at, at + length));
		switch (random.integer(0, 6)) {
			case 0:
				bytes = bytes.subarray(0, at);
				break;
			case 1:
				if (at < bytes.length) bytes[at]! ^= 1 << random.integer(0, 7);
				break;
			case 2:
				bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
				break;
			case 3:
				bytes = Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at)]);
				break;
			case 4:
				piece.copy(bytes, to);
				break;
			case 5:
				bytes.fill(0, at, at + length);
				break;
			default: {
				const start = good.length - payloads.boot.length - payloads.root.length;
				bytes = Buffer.concat([bytes.subarray(0, start), payloads.root, payloads.boot]);
			}
		}
	}
	return bytes;
}

test("whatever is made of a bundle, on media that fail or lose power: complete, or not marked", async () => {
	const good = bundle();
	const outcomes = new Set<string>();
	for (let seed = 0; seed < 120; seed++) {
		const random = randomFrom(seed);
		const bytes = random.chance(0.7) ? mangled(random, good) : good;
		const slot = new Slot(random.chance(0.3) ? random.integer(0, 10) : undefined);
		const { root } = slot.partitions;
		if (random.chance(0.2)) {
			const { write } = root;
			const lostAt = random.integer(0, 3);
			let writes = 0;
			// A medium that says yes, and forgets.
			root.write = async (offset, part) => {
				if (writes++ !== lostAt) await write(offset, part);
			};
		}
		try {
			await update(bytes, slot);
		} catch (error) {
			outcomes.add((error as Error).constructor.name);
			expect(slot.mark).not.toBe("trial");
			continue;
		}
		outcomes.add("installed");
		expect(slot.complete).toBe(true);
		expect(slot.mark).toBe("trial");
	}
	expect([...outcomes].sort()).toEqual(["PowerCut", "UpdateRefused", "installed"]);
}, 30_000);

test("the trust core stays under 300 lines", () => {
	const text = readFileSync(`${import.meta.dir}/../../firmware/update/trust.ts`, "utf8");
	expect(text.split("\n").length).toBeLessThan(300);
});
