/**
 * `make firmware`: one signed file that updates a box: `out/drover-VERSION.fw`. Its form is in
 * firmware/update/trust.ts, which the box verifies it with.
 */
import { createHash, createPrivateKey, type KeyObject, sign } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Encoder } from "cbor-x";
import { FORMAT, HEADER_BYTES, MAGIC, type Manifest } from "../firmware/update/trust.ts";
import { build } from "./build.ts";
import { buildSlot, type SlotFiles } from "./disk/slot.ts";
import { outDirectory } from "./make-file.ts";
import { packedKernel } from "./packed-kernel.ts";
import { checkSlotBudget } from "./release.ts";
import { imageTimeSeconds } from "./squashfs.ts";

export interface BundleInput {
	readonly slot: SlotFiles;
	/** Three numbers, as the running box compares them. */
	readonly version: string;
	readonly key: KeyObject;
	readonly keyId: string;
	/** Unix seconds. */
	readonly createdAtSeconds: number;
}

/** The bundle's bytes. */
export function bundle({ slot, version, key, keyId, createdAtSeconds }: BundleInput): Uint8Array {
	const payloads = (["boot", "root"] as const).map((partition) => ({
		partition,
		bytes: readFileSync(slot[partition]),
	}));
	const manifest: Manifest = {
		product: "drover",
		hardware: "x86_64",
		version,
		keyId,
		createdAtSeconds,
		rootHash: slot.rootHash,
		payloads: payloads.map(({ partition, bytes }) => ({
			partition,
			lengthBytes: bytes.length,
			sha256: createHash("sha256").update(bytes).digest("hex"),
		})),
	};
	const body = new Encoder({ useRecords: false }).encode(manifest);
	const head = Buffer.alloc(HEADER_BYTES - 64);
	head.write(MAGIC, "latin1");
	head.writeUInt32BE(FORMAT, 8);
	head.writeUInt32BE(body.length, 12);
	const signature = sign(null, Buffer.concat([head, body]), key);
	return Buffer.concat([head, signature, body, ...payloads.map(({ bytes }) => bytes)]);
}

if (import.meta.main) {
	const { values } = parseArgs({
		options: {
			key: { type: "string", default: join(import.meta.dir, "keys/development.pem") },
			"key-id": { type: "string", default: "development" },
		},
	});
	const onProgress = (line: string) => console.log(line);
	const files = await build({ release: true, onProgress });
	const vmlinuz = packedKernel(onProgress);
	const scratchDirectory = join(outDirectory, `.bundle-${process.pid}`);
	mkdirSync(scratchDirectory, { recursive: true });
	try {
		const slot = buildSlot({ ...files, vmlinuz, rootSquashfs: files.root, scratchDirectory });
		checkSlotBudget(slot);
		const version = files.version.split("+")[0]!;
		const path = join(outDirectory, `drover-${version}.fw`);
		const bytes = bundle({
			slot,
			version,
			key: createPrivateKey(readFileSync(values.key)),
			keyId: values["key-id"],
			createdAtSeconds: imageTimeSeconds,
		});
		writeFileSync(path, bytes);
		console.log(
			`out/drover-${version}.fw  ${(bytes.length / 1e6).toFixed(1)} MB, signed by key "${values["key-id"]}"`,
		);
	} finally {
		rmSync(scratchDirectory, { recursive: true, force: true });
	}
}
