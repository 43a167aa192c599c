/** Bundles made for tests, and partitions over plain bytes that can be cut at any write. */
import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { Encoder } from "cbor-x";
import {
	FORMAT,
	MAGIC,
	type Manifest,
	type Partition,
	type ReadExactly,
	type SlotMarks,
	type Target,
} from "../../firmware/update/trust.ts";

export const pair = generateKeyPairSync("ed25519");
export const publicKeyPem = pair.publicKey.export({ type: "spki", format: "pem" }).toString();
export const payloads = { boot: filled(40_000, 1), root: filled(3_000_000, 2) };

function filled(length: number, seed: number): Uint8Array {
	const bytes = new Uint8Array(length);
	let state = seed;
	for (let index = 0; index < length; index++) {
		state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
		bytes[index] = state >>> 24;
	}
	return bytes;
}

export const goodManifest: Manifest = {
	product: "drover",
	hardware: "x86_64",
	version: "1.2.0",
	keyId: "test",
	createdAtSeconds: 1_000,
	rootHash: "ab".repeat(32),
	payloads: (["boot", "root"] as const).map((partition) => ({
		partition,
		lengthBytes: payloads[partition].length,
		sha256: createHash("sha256").update(payloads[partition]).digest("hex"),
	})),
};

export const goodTarget: Target = {
	product: "drover",
	hardware: "x86_64",
	runningVersion: "1.1.9",
	allowDowngrade: false,
	keys: [{ id: "test", publicKeyPem, expiresAtSeconds: 2_000 }],
	partitionBytes: { boot: 1 << 20, root: 8 << 20 },
};

export function bundle(manifest: unknown = goodManifest, key: KeyObject = pair.privateKey): Uint8Array {
	const body = new Encoder({ useRecords: false }).encode(manifest);
	const head = Buffer.alloc(16);
	head.write(MAGIC, "latin1");
	head.writeUInt32BE(FORMAT, 8);
	head.writeUInt32BE(body.length, 12);
	return Buffer.concat([
		head,
		sign(null, Buffer.concat([head, body]), key),
		body,
		payloads.boot,
		payloads.root,
	]);
}

export function reader(bytes: Uint8Array): ReadExactly {
	let offset = 0;
	return async (length) => {
		const part = bytes.subarray(offset, offset + length);
		offset += part.length;
		return part;
	};
}

export class PowerCut extends Error {}

/** The idle slot on a disk that loses power before write number `cutAt`. */
export class Slot implements SlotMarks {
	mark: "old" | "unusable" | "trial" = "old";
	writes = 0;
	readonly media: Record<"boot" | "root", Uint8Array>;
	readonly partitions: Record<"boot" | "root", Partition>;
	readonly cutAt: number;
	constructor(cutAt = Number.POSITIVE_INFINITY) {
		this.cutAt = cutAt;
		this.media = { boot: new Uint8Array(1 << 20).fill(0xaa), root: new Uint8Array(8 << 20).fill(0xaa) };
		this.partitions = { boot: this.#partition("boot"), root: this.#partition("root") };
	}
	#step(): void {
		if (this.writes++ === this.cutAt) throw new PowerCut();
	}
	#partition(name: "boot" | "root"): Partition {
		return {
			write: async (offset, bytes) => {
				this.#step();
				this.media[name].set(bytes, offset);
			},
			sync: async () => {},
			read: async (offset, length) => this.media[name].slice(offset, offset + length),
		};
	}
	async markUnusable(): Promise<void> {
		this.#step();
		this.mark = "unusable";
	}
	async markTrial(): Promise<void> {
		this.#step();
		this.mark = "trial";
	}
	get complete(): boolean {
		return (["boot", "root"] as const).every(
			(name) => Buffer.compare(this.media[name].subarray(0, payloads[name].length), payloads[name]) === 0,
		);
	}
}
