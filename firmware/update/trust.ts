/**
 * The trust core of a firmware update: what is verified, in which order it is written, and
 * when the boot loader is told. Everything else (download, progress, menus) stands outside.
 *
 * A bundle is
 *
 *     "DROVERFW" · u32 format · u32 manifest length · 64 bytes ed25519 · manifest (CBOR) · payloads
 *
 * with big-endian numbers; the signature covers the magic, the format, the length and the
 * manifest; the manifest carries length and SHA-256 of every payload.
 *
 * Order of writing: the idle slot is marked unusable and its first block cleared; the payloads
 * are streamed behind it; the medium is read back and compared; the first blocks are written
 * last; only then the loader's environment changes, in one sector. So a cut at any moment
 * leaves the running slot as it was and the idle one old-and-marked or complete.
 */
import { createHash, createPublicKey, verify } from "node:crypto";
import { Decoder } from "cbor-x";
import { z } from "zod";

export const MAGIC = "DROVERFW";
export const FORMAT = 1;
export const HEADER_BYTES = 8 + 4 + 4 + 64;
export const MANIFEST_LIMIT_BYTES = 64 * 1024;
/** The part of each payload that is written last: a file system's superblock lies in it. */
export const LATE_BLOCK_BYTES = 4096;

/** Refused: nothing, or nothing that could boot, has been written. The message is for the operator. */
export class UpdateRefused extends Error {}

const manifestSchema = z.strictObject({
	product: z.string(),
	hardware: z.string(),
	version: z.string().regex(/^\d+\.\d+\.\d+$/),
	keyId: z.string(),
	/** Unix seconds. */
	createdAtSeconds: z.number(),
	/** The root's dm-verity hash, for the loader's command line. */
	rootHash: z.string().regex(/^[0-9a-f]{64}$/),
	payloads: z
		.array(
			z.strictObject({
				partition: z.enum(["boot", "root"]),
				lengthBytes: z.number().int().min(LATE_BLOCK_BYTES),
				sha256: z.string().regex(/^[0-9a-f]{64}$/),
			}),
		)
		.min(1)
		.max(2),
});
export type Manifest = z.infer<typeof manifestSchema>;

/** A key that bundles may be signed with. */
export interface TrustedKey {
	readonly id: string;
	/** SubjectPublicKeyInfo PEM of an ed25519 key. */
	readonly publicKeyPem: string;
	/** Unix seconds; a bundle made later than this is refused. */
	readonly expiresAtSeconds: number;
}

/** What this box is; a bundle must fit it. */
export interface Target {
	readonly product: string;
	readonly hardware: string;
	readonly runningVersion: string;
	/** The operator said that an older version is wanted. */
	readonly allowDowngrade: boolean;
	readonly keys: readonly TrustedKey[];
	/** Room in each partition of the idle slot. */
	readonly partitionBytes: Readonly<Record<"boot" | "root", number>>;
}

/** Bytes of the bundle from its start, theirs until the next call; returns fewer than `length` only at the end. */
export type ReadExactly = (length: number) => Promise<Uint8Array>;

/** Reads and verifies header and manifest, before any write. Throws UpdateRefused with the reason. */
export async function readManifest(read: ReadExactly, target: Target): Promise<Manifest> {
	const header = new Uint8Array(await read(HEADER_BYTES));
	if (header.length < HEADER_BYTES || Buffer.from(header.subarray(0, 8)).toString("latin1") !== MAGIC)
		throw new UpdateRefused("this is not a Drover firmware file");
	const view = new DataView(header.buffer, header.byteOffset, header.length);
	if (view.getUint32(8) !== FORMAT)
		throw new UpdateRefused(
			`firmware format ${view.getUint32(8)} is not known here; this version reads ${FORMAT}`,
		);
	const length = view.getUint32(12);
	if (length > MANIFEST_LIMIT_BYTES)
		throw new UpdateRefused(`the manifest's length (${length} bytes) is over the limit`);
	const bytes = await read(length);
	if (bytes.length < length) throw new UpdateRefused("the file is cut short inside its manifest");
	const signed = Buffer.concat([header.subarray(0, 16), bytes]);
	const key = target.keys.find((candidate) =>
		verify(null, signed, createPublicKey(candidate.publicKeyPem), header.subarray(16, 80)),
	);
	if (key === undefined)
		throw new UpdateRefused("the signature is not from a trusted key, or the file was changed");
	const manifest = decodeManifest(bytes);
	checkFit(manifest, key, target);
	return manifest;
}

function decodeManifest(bytes: Uint8Array): Manifest {
	try {
		return manifestSchema.parse(new Decoder({ mapsAsObjects: true }).decode(bytes));
	} catch (error) {
		throw new UpdateRefused(
			`the manifest cannot be read: ${error instanceof z.ZodError ? z.prettifyError(error) : error}`,
		);
	}
}

function checkFit(manifest: Manifest, key: TrustedKey, target: Target): void {
	if (manifest.keyId !== key.id)
		throw new UpdateRefused(`signed by key "${key.id}" but made for key "${manifest.keyId}"`);
	if (manifest.createdAtSeconds > key.expiresAtSeconds)
		throw new UpdateRefused(`key "${key.id}" had expired when this firmware was made`);
	if (manifest.product !== target.product)
		throw new UpdateRefused(
			`this firmware is for the product "${manifest.product}", this box is "${target.product}"`,
		);
	if (manifest.hardware !== target.hardware)
		throw new UpdateRefused(
			`this firmware is for ${manifest.hardware} hardware, this box is ${target.hardware}`,
		);
	if (!target.allowDowngrade && compareVersions(manifest.version, target.runningVersion) < 0)
		throw new UpdateRefused(
			`version ${manifest.version} is older than the running ${target.runningVersion}; say --allow-downgrade if that is wanted`,
		);
	const names = manifest.payloads.map(({ partition }) => partition);
	if (new Set(names).size !== names.length) throw new UpdateRefused("the manifest names a partition twice");
	for (const { partition, lengthBytes } of manifest.payloads)
		if (lengthBytes > target.partitionBytes[partition])
			throw new UpdateRefused(
				`the ${partition} payload (${lengthBytes} bytes) does not fit its partition (${target.partitionBytes[partition]} bytes)`,
			);
}

/** Order of two dotted versions, as numbers part by part. */
export function compareVersions(a: string, b: string): number {
	const parts = [a, b].map((text) => text.split(".").map(Number));
	for (let index = 0; index < 3; index++) {
		const difference = (parts[0]![index] ?? 0) - (parts[1]![index] ?? 0);
		if (difference !== 0) return difference;
	}
	return 0;
}

/** One partition of the idle slot, or a plain file in its place. */
export interface Partition {
	write(offset: number, bytes: Uint8Array): Promise<void>;
	/** Everything written is on the medium when this resolves. */
	sync(): Promise<void>;
	/** From the medium, not from a cache; the bytes are the caller's until the next call. */
	read(offset: number, length: number): Promise<Uint8Array>;
}

/** The loader's environment, as the slot choice sees it. */
export interface SlotMarks {
	/** The idle slot must not be booted. Durable when this resolves. */
	markUnusable(): Promise<void>;
	/** The idle slot is complete: boot it next, on trial. Durable when this resolves. */
	markTrial(manifest: Manifest): Promise<void>;
}

const CHUNK_BYTES = 1024 * 1024;

/**
 * What was written, as short as it can be compared with the medium. SHA-256 has vouched for the bytes before; this one
 * finds what a medium loses or changes, which is no forger, at a fiftieth of the time.
 */
interface WrittenChunk {
	readonly offset: number;
	readonly length: number;
	readonly xxHash64: bigint;
}

/**
 * Streams a verified bundle's payloads into the idle slot, reads them back and flips last.
 * `progress` is told the bytes written. Throws UpdateRefused when the file or the medium is
 * wrong: then the idle slot stays unusable and the running one is untouched.
 */
export async function install(
	read: ReadExactly,
	manifest: Manifest,
	partitions: Readonly<Record<"boot" | "root", Partition>>,
	marks: SlotMarks,
	progress: (writtenBytes: number) => void = () => {},
): Promise<void> {
	await marks.markUnusable();
	for (const { partition } of manifest.payloads) {
		await partitions[partition].write(0, new Uint8Array(LATE_BLOCK_BYTES));
		await partitions[partition].sync();
	}
	let writtenBytes = 0;
	const lateBlocks: { readonly partition: Partition; readonly bytes: Uint8Array }[] = [];
	for (const payload of manifest.payloads) {
		const partition = partitions[payload.partition];
		const hash = createHash("sha256");
		const written: WrittenChunk[] = [];
		let offset = 0;
		while (offset < payload.lengthBytes) {
			const wanted = offset === 0 ? LATE_BLOCK_BYTES : Math.min(CHUNK_BYTES, payload.lengthBytes - offset);
			const bytes = await read(wanted);
			if (bytes.length < wanted)
				throw new UpdateRefused(`the file is cut short inside its ${payload.partition} payload`);
			hash.update(bytes);
			if (offset === 0) lateBlocks.push({ partition, bytes: new Uint8Array(bytes) });
			else {
				written.push({ offset, length: wanted, xxHash64: Bun.hash.xxHash64(bytes) });
				await partition.write(offset, bytes);
			}
			offset += wanted;
			writtenBytes += wanted;
			progress(writtenBytes);
		}
		if (hash.digest("hex") !== payload.sha256)
			throw new UpdateRefused(
				`the ${payload.partition} payload is damaged: its SHA-256 differs from the signed one`,
			);
		await partition.sync();
		await compareWithMedium(partition, payload.partition, written);
	}
	if ((await read(1)).length > 0) throw new UpdateRefused("the file goes on behind its last payload");
	for (const { partition, bytes } of lateBlocks) {
		await partition.write(0, bytes);
		await partition.sync();
		if (Buffer.compare(await partition.read(0, LATE_BLOCK_BYTES), bytes) !== 0)
			throw new UpdateRefused("the medium does not hold what was written to it");
	}
	await marks.markTrial(manifest);
}

async function compareWithMedium(
	partition: Partition,
	name: string,
	written: readonly WrittenChunk[],
): Promise<void> {
	for (const { offset, length, xxHash64 } of written) {
		const bytes = await partition.read(offset, length);
		if (bytes.length < length || Bun.hash.xxHash64(bytes) !== xxHash64)
			throw new UpdateRefused(
				`the ${name} partition does not hold what was written to it: the medium may be failing`,
			);
	}
}
