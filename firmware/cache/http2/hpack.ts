/** Header compression for HTTP/2 (RFC 7541): blocks of clients to fields, and fields to blocks. Pure. */
import { allocateBytes } from "../http/bytes.ts";
import { decodeHuffman, longestDecoded } from "./huffman.ts";

/** A name and a value, one character per byte. */
export type HeaderField = readonly [name: string, value: string];

/** RFC 7541 appendix A. */
const staticTable: readonly HeaderField[] = (
	":authority|:method GET|:method POST|:path /|:path /index.html|:scheme http|:scheme https|:status 200|:status 204|" +
	":status 206|:status 304|:status 400|:status 404|:status 500|accept-charset|accept-encoding gzip, deflate|" +
	"accept-language|accept-ranges|accept|access-control-allow-origin|age|allow|authorization|cache-control|" +
	"content-disposition|content-encoding|content-language|content-length|content-location|content-range|content-type|" +
	"cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|if-none-match|if-range|if-unmodified-since|" +
	"last-modified|link|location|max-forwards|proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after|" +
	"server|set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate"
)
	.split("|")
	.map((text) => {
		const blank = text.indexOf(" ");
		return blank < 0 ? ([text, ""] as const) : ([text.slice(0, blank), text.slice(blank + 1)] as const);
	});

/** What RFC 7541 §4.1 counts for an entry beside its name and its value. */
const ENTRY_BYTES = 32;
const sizeOf = ([name, value]: HeaderField) => name.length + value.length + ENTRY_BYTES;

export interface HeaderListLimits {
	/** Sum over the fields of name, value and 32 bytes (SETTINGS_MAX_HEADER_LIST_SIZE). */
	readonly listBytes: number;
	readonly fields: number;
}

export type HeaderList =
	/** `over`: there was more than the limits allow, and `fields` lacks what came too late; the tables are in step. */
	| { readonly kind: "fields"; readonly fields: HeaderField[]; readonly over: boolean }
	/** A decoding error (RFC 9113 §4.3): the tables are out of step for good. */
	| { readonly kind: "bad"; readonly reason: string };

/** Thrown inside, caught at the border. */
class BadBlock extends Error {}

/** Longest integer that is read (RFC 7541 §5.1 has no end of its own): four bytes after the prefix. */
const INTEGER_SHIFT_LIMIT = 21;

/** One direction of a connection: it remembers what earlier blocks put into its table. */
export class HpackDecoder {
	readonly #allowedBytes: number;
	#tableLimit: number;
	#tableBytes = 0;
	/** Oldest first. */
	#table: HeaderField[] = [];
	/** Entries that are gone already at the table's front; they are cut off now and then. */
	#gone = 0;
	#block: Uint8Array = new Uint8Array(0);
	#at = 0;

	/** `tableBytes`: how large the table is before the client changes that, at most to `allowedBytes`. */
	constructor(allowedBytes: number, tableBytes = allowedBytes) {
		this.#allowedBytes = allowedBytes;
		this.#tableLimit = tableBytes;
	}

	/** Reads one whole block: all fragments of a HEADERS frame and its CONTINUATIONs, put together. */
	decode(block: Uint8Array, limits: HeaderListLimits): HeaderList {
		this.#block = block;
		this.#at = 0;
		const fields: HeaderField[] = [];
		let listBytes = 0;
		let over = false;
		let first = true;
		try {
			while (this.#at < block.length) {
				const byte = block[this.#at]!;
				if ((byte & 0xe0) === 0x20) {
					if (!first) throw new BadBlock("a change of the table's size behind a field");
					this.#resize(this.#integer(5));
					continue;
				}
				first = false;
				const field = this.#field(byte);
				listBytes += sizeOf(field);
				over ||= listBytes > limits.listBytes || fields.length >= limits.fields;
				if (!over) fields.push(field);
			}
		} catch (error) {
			if (error instanceof BadBlock) return { kind: "bad", reason: error.message };
			throw error;
		} finally {
			this.#block = new Uint8Array(0);
		}
		return { kind: "fields", fields, over };
	}

	#field(byte: number): HeaderField {
		if ((byte & 0x80) !== 0) return this.#entry(this.#integer(7));
		const indexed = (byte & 0x40) !== 0;
		const index = this.#integer(indexed ? 6 : 4);
		const name = index === 0 ? this.#text() : this.#entry(index)[0];
		const field = [name, this.#text()] as const;
		if (indexed) this.#insert(field);
		return field;
	}

	/** RFC 7541 §2.3.3: static entries from 1, behind them the dynamic ones, the newest first. */
	#entry(index: number): HeaderField {
		const known = staticTable[index - 1];
		if (known !== undefined) return known;
		const place = this.#table.length - (index - staticTable.length);
		const entry = index === 0 || place < this.#gone ? undefined : this.#table[place];
		if (entry === undefined) throw new BadBlock(`there is no table entry ${index}`);
		return entry;
	}

	#insert(field: HeaderField): void {
		// RFC 7541 §4.4: one that is larger than the table empties it, and is no error.
		this.#table.push(field);
		this.#tableBytes += sizeOf(field);
		this.#evict();
	}

	#resize(bytes: number): void {
		if (bytes > this.#allowedBytes) throw new BadBlock("a table larger than is allowed");
		this.#tableLimit = bytes;
		this.#evict();
	}

	#evict(): void {
		while (this.#tableBytes > this.#tableLimit) {
			const oldest = this.#table[this.#gone]!;
			this.#tableBytes -= sizeOf(oldest);
			this.#gone++;
		}
		if (this.#gone * 2 <= this.#table.length) return;
		this.#table = this.#table.slice(this.#gone);
		this.#gone = 0;
	}

	/** RFC 7541 §5.1, with a prefix of so many bits. */
	#integer(bits: number): number {
		const mask = (1 << bits) - 1;
		let value = this.#byte() & mask;
		if (value < mask) return value;
		for (let shift = 0; shift <= INTEGER_SHIFT_LIMIT; shift += 7) {
			const byte = this.#byte();
			value += (byte & 0x7f) << shift;
			if ((byte & 0x80) === 0) return value;
		}
		throw new BadBlock("an integer is too long");
	}

	#byte(): number {
		const byte = this.#block[this.#at++];
		if (byte === undefined) throw new BadBlock("the block ends within a field");
		return byte;
	}

	#text(): string {
		const coded = ((this.#block[this.#at] ?? 0) & 0x80) !== 0;
		const length = this.#integer(7);
		const start = this.#at;
		const end = start + length;
		if (end > this.#block.length) throw new BadBlock("a string is longer than its block");
		this.#at = end;
		if (!coded) return latin1(this.#block, start, end);
		const room = scratch(longestDecoded(length));
		const decoded = decodeHuffman(this.#block, start, end, room);
		if (decoded < 0) throw new BadBlock("a string is not in the Huffman code");
		return latin1(room, 0, decoded);
	}
}

const SCRATCH_BYTES = 64 * 1024;
const kept = allocateBytes(SCRATCH_BYTES);
const scratch = (bytes: number): Uint8Array => (bytes <= SCRATCH_BYTES ? kept : new Uint8Array(bytes));

const latin1 = (bytes: Uint8Array, start: number, end: number): string =>
	Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("latin1");

/** Where each name stands in the static table first. */
const staticNames = new Map<string, number>();
const staticStatus = new Map<string, number>();
for (const [index, [name, value]] of staticTable.entries()) {
	if (!staticNames.has(name)) staticNames.set(name, index + 1);
	if (name === ":status") staticStatus.set(value, index + 1);
}

/** An integer with a prefix of `bits` bits under `mark`. */
function integer(value: number, bits: number, mark: number): string {
	const mask = (1 << bits) - 1;
	if (value < mask) return String.fromCharCode(mark | value);
	let text = String.fromCharCode(mark | mask);
	let rest = value - mask;
	for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) text += String.fromCharCode(0x80 | (rest & 0x7f));
	return text + String.fromCharCode(rest);
}

/** A literal without indexing; one that a table of an intermediary must not keep either where it is a secret (§7.1.3). */
const LITERAL = 0x00;
const NEVER_INDEXED = 0x10;
const secret: ReadonlySet<string> = new Set(["set-cookie", "authorization", "proxy-authorization"]);

/** The representation of one field; `name` in lower case, one character per byte. Uses no dynamic table: it may go to anyone. */
export function encodeField(name: string, value: string): string {
	const mark = secret.has(name) ? NEVER_INDEXED : LITERAL;
	const known = staticNames.get(name);
	const named =
		known === undefined
			? String.fromCharCode(mark) + integer(name.length, 7, 0) + name
			: integer(known, 4, mark);
	return named + integer(value.length, 7, 0) + value;
}

/** `:status`, with which every answer begins; three digits. */
export function encodeStatus(status: string): string {
	const known = staticStatus.get(status);
	return known === undefined ? encodeField(":status", status) : integer(known, 7, 0x80);
}
