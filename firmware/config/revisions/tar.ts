/**
 * Plain files as a tar archive and back (POSIX.1-2017 pax, "ustar Interchange Format"). Nothing is unpacked to a
 * disk, and what is no plain file at the archive's top is refused: links, folders, devices, compressed archives.
 * Pure.
 */

const BLOCK_BYTES = 512;
const NAME_BYTES = 100;

/** What the archive is not; a clause behind "the archive". */
export class TarError extends Error {}

/** `atMs`: Unix milliseconds, each file's time. Names of at most 100 ASCII characters. */
export function packTar(files: ReadonlyMap<string, Uint8Array>, atMs: number): Uint8Array {
	const parts: Uint8Array[] = [];
	for (const [name, bytes] of files) {
		if (!/^[\x21-\x7e]{1,100}$/.test(name)) throw new RangeError(`no name for a tar archive: ${name}`);
		parts.push(header(name, bytes.length, Math.floor(atMs / 1_000)), bytes);
		parts.push(new Uint8Array(-bytes.length & (BLOCK_BYTES - 1)));
	}
	// Two empty blocks: the end.
	return Buffer.concat([...parts, new Uint8Array(2 * BLOCK_BYTES)]);
}

function header(name: string, sizeBytes: number, atSeconds: number): Uint8Array {
	const block = Buffer.alloc(BLOCK_BYTES);
	const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, "0")}\0`;
	block.write(name, 0);
	block.write(octal(0o600, 7), 100);
	block.write(octal(0, 7), 108);
	block.write(octal(0, 7), 116);
	block.write(octal(sizeBytes, 11), 124);
	block.write(octal(atSeconds, 11), 136);
	block.write("0", 156);
	block.write("ustar\x0000", 257);
	block.write(`${octal(checksum(block), 6)} `, 148);
	return block;
}

/** The sum of all bytes, the checksum's own place taken as blanks. */
function checksum(block: Uint8Array): number {
	return block.reduce((sum, byte, at) => sum + (at >= 148 && at < 156 ? 0x20 : byte), 0);
}

/** The plain files at the archive's top; of a name that comes twice, the last. Throws a TarError. */
export function unpackTar(bytes: Uint8Array): Map<string, Uint8Array> {
	const archive = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
	const files = new Map<string, Uint8Array>();
	const cutShort = () => new TarError(`is cut short: it ends after ${archive.length} bytes`);
	for (let at = 0; ; ) {
		const block = archive.subarray(at, at + BLOCK_BYTES);
		if (at === 0 && !isHeader(block) && !isEnd(block)) throw new TarError(whatElse(archive));
		if (block.length < BLOCK_BYTES) throw cutShort();
		if (isEnd(block)) return files;
		if (!isHeader(block)) throw new TarError(`is damaged near byte ${at}`);
		const size = number(block, 124, 12);
		const name = text(block, 0, NAME_BYTES);
		const prefix = text(block, 257, 6) === "ustar" ? text(block, 345, 155) : "";
		const path = (prefix === "" ? name : `${prefix}/${name}`).replace(/^(\.\/)+/, "");
		at += BLOCK_BYTES;
		switch (String.fromCharCode(block[156]!)) {
			case "0":
			case "\0":
				if (size === null || at + size > archive.length) throw cutShort();
				if (path.includes("/"))
					throw new TarError(`holds "${path}", which is in a folder: a revision has none`);
				files.set(path, archive.subarray(at, at + size));
				at += Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
				break;
			case "5":
				if (path !== "" && path !== ".") throw new TarError(`holds "${path}", which is no plain file`);
				break;
			// pax's notes, such as finer times; a name or a size in them is one that no revision has.
			case "x":
			case "g": {
				const notes = archive.subarray(at, at + (size ?? 0)).toString("latin1");
				if (size === null || /^\d+ (path|size|GNU\.)/m.test(notes))
					throw new TarError("holds names or files too long for a revision");
				at += Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
				break;
			}
			default:
				throw new TarError(`holds "${path}", which is no plain file`);
		}
	}
}

const isEnd = (block: Uint8Array) => block.length === BLOCK_BYTES && block.every((byte) => byte === 0);

const isHeader = (block: Buffer) => block.length === BLOCK_BYTES && number(block, 148, 8) === checksum(block);

/** In words: what begins like no archive. */
function whatElse(archive: Buffer): string {
	if (archive.length === 0) return "is empty";
	if (archive[0] === 0x1f && archive[1] === 0x8b) return 'is compressed: "gunzip" it first';
	if (archive.length < BLOCK_BYTES && archive.subarray(257).toString("latin1").startsWith("ustar"))
		return `is cut short: it ends after ${archive.length} bytes`;
	return "is no tar archive";
}

function text(block: Buffer, at: number, length: number): string {
	const field = block.subarray(at, at + length);
	const end = field.indexOf(0);
	const bytes = field.subarray(0, end === -1 ? length : end);
	// Anybody may have given the name: it moves no cursor.
	return bytes.toString("latin1").replace(/[^\x20-\x7e]/g, "?");
}

/** Octal digits between blanks and nulls; null for anything else, such as the form for sizes over 8 GB. */
function number(block: Buffer, at: number, length: number): number | null {
	const digits = block
		.toString("latin1", at, at + length)
		.replace(/[\0 ]+$/, "")
		.trimStart();
	return /^[0-7]{1,11}$/.test(digits) ? Number.parseInt(digits, 8) : null;
}
