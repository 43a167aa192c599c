/**
 * Many netlink requests in one buffer, written in place: a table of 20,000 rows is encoded without an
 * object for each. Pure. Attributes are written as by MessageBuilder.
 */
import { MESSAGE_HEADER_BYTES, NLA_F_NESTED } from "./netlink-message.ts";

/** Bytes of one batch; the kernel copies a batch into one socket buffer. */
const BATCH_BYTES = 60_000;
/** A message that may still be begun fits into this. */
const MESSAGE_ROOM_BYTES = 1_024;
/** Every message of a batch may be refused, and each refusal takes about a kilobyte of the receive buffer. */
const BATCH_MESSAGES = 512;

const ATTRIBUTE_HEADER_BYTES = 4;
const align4 = (length: number) => (length + 3) & ~3;

/** What writes attributes: a message of its own, or one of a batch. */
export interface AttributeWriter {
	u8Attribute(type: number, value: number): unknown;
	u16Attribute(type: number, value: number): unknown;
	u16NetworkAttribute(type: number, value: number): unknown;
	u32Attribute(type: number, value: number): unknown;
	u32NetworkAttribute(type: number, value: number): unknown;
	/** 32 bits in network order and twelve bytes of zero. */
	paddedNetworkAttribute(type: number, value: number): unknown;
	stringAttribute(type: number, value: string): unknown;
	attribute(type: number, value: Uint8Array): unknown;
}

export class RequestBatch implements AttributeWriter {
	readonly #bytes = new Uint8Array(BATCH_BYTES);
	readonly #view = new DataView(this.#bytes.buffer);
	readonly #starts = new Uint16Array(BATCH_MESSAGES);
	#length = 0;
	#count = 0;

	/** Messages so far. */
	get count(): number {
		return this.#count;
	}

	/** No further message should be begun: send what there is. */
	get isFull(): boolean {
		return this.#length + MESSAGE_ROOM_BYTES > BATCH_BYTES || this.#count === BATCH_MESSAGES;
	}

	/** Where the next byte goes: a mark for `repeat`. */
	get position(): number {
		return this.#length;
	}

	/** Where it goes in the message at hand: a mark for `repeatMessage`. */
	get offset(): number {
		return this.#length - this.#starts[this.#count - 1]!;
	}

	clear(): void {
		this.#length = 0;
		this.#count = 0;
	}

	/** Begins a message of a generic netlink family. */
	beginGeneric(type: number, command: number, version: number): void {
		this.#starts[this.#count++] = this.#length;
		this.#view.setUint16(this.#length + 4, type, true);
		this.#length += MESSAGE_HEADER_BYTES;
		this.#view.setUint32(this.#length, command | (version << 8), true);
		this.#length += 4;
	}

	end(): void {
		const start = this.#starts[this.#count - 1]!;
		this.#view.setUint32(start, this.#length - start, true);
	}

	/** Opens an attribute of attributes; returns what `closeNest` takes. */
	openNest(type: number): number {
		const start = this.#length;
		this.#header(type | NLA_F_NESTED, 0);
		return start;
	}

	closeNest(start: number): void {
		this.#view.setUint16(start, this.#length - start, true);
	}

	/** Copies bytes of this batch, from `start` to `end`, to here: an attribute that was written before. */
	repeat(start: number, end: number): void {
		this.#bytes.copyWithin(this.#length, start, end);
		this.#length += end - start;
	}

	/** Appends the last message once more, with these 32 bits, in network order, where it has others. */
	repeatMessage(offset: number, value: number): void {
		const start = this.#length;
		const before = this.#starts[this.#count - 1]!;
		this.#bytes.copyWithin(start, before, start);
		this.#view.setUint32(start + offset, value);
		this.#starts[this.#count++] = start;
		this.#length = start + start - before;
	}

	u8Attribute(type: number, value: number): void {
		this.#header(type, 1);
		this.#bytes.fill(0, this.#length, this.#length + 4);
		this.#bytes[this.#length] = value;
		this.#length += 4;
	}

	u16Attribute(type: number, value: number): void {
		this.#header(type, 2);
		this.#view.setUint32(this.#length, value & 0xffff, true);
		this.#length += 4;
	}

	u16NetworkAttribute(type: number, value: number): void {
		this.#header(type, 2);
		this.#view.setUint32(this.#length, (value & 0xffff) << 16);
		this.#length += 4;
	}

	u32Attribute(type: number, value: number): void {
		this.#header(type, 4);
		this.#view.setUint32(this.#length, value, true);
		this.#length += 4;
	}

	u32NetworkAttribute(type: number, value: number): void {
		this.#header(type, 4);
		this.#view.setUint32(this.#length, value);
		this.#length += 4;
	}

	paddedNetworkAttribute(type: number, value: number): void {
		this.#header(type, 16);
		this.#view.setUint32(this.#length, value);
		for (let offset = 4; offset < 16; offset += 4) this.#view.setUint32(this.#length + offset, 0);
		this.#length += 16;
	}

	/** NUL-terminated; ASCII. */
	stringAttribute(type: number, value: string): void {
		this.#header(type, value.length + 1);
		const end = this.#length + align4(value.length + 1);
		for (let index = 0; index < value.length; index++)
			this.#bytes[this.#length + index] = value.charCodeAt(index);
		this.#bytes.fill(0, this.#length + value.length, end);
		this.#length = end;
	}

	attribute(type: number, value: Uint8Array): void {
		this.#header(type, value.length);
		const end = this.#length + align4(value.length);
		this.#bytes.set(value, this.#length);
		this.#bytes.fill(0, this.#length + value.length, end);
		this.#length = end;
	}

	/**
	 * The messages, ready to be sent: numbered from `firstSequence` on, with `flags`, the last one also with
	 * `lastFlags`. Valid until the batch is written to again.
	 */
	finish(firstSequence: number, flags: number, lastFlags: number): Uint8Array {
		const last = this.#count - 1;
		for (let index = 0; index <= last; index++) {
			const start = this.#starts[index]!;
			this.#view.setUint16(start + 6, index === last ? flags | lastFlags : flags, true);
			this.#view.setUint32(start + 8, firstSequence + index, true);
			this.#view.setUint32(start + 12, 0, true);
		}
		return this.#bytes.subarray(0, this.#length);
	}

	#header(type: number, length: number): void {
		this.#view.setUint32(this.#length, (ATTRIBUTE_HEADER_BYTES + length) | (type << 16), true);
		this.#length += ATTRIBUTE_HEADER_BYTES;
	}
}
