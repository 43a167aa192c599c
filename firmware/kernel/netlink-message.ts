/**
 * Netlink messages and attributes as bytes (RFC 3549 §2.3, <linux/netlink.h>), both ways. Pure.
 * All numbers are in host order (little-endian) unless a name says network order.
 *
 *   new MessageBuilder(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL)
 *     .u8(AF_INET).u8(24).u8(0).u8(0).u32(index)
 *     .attribute(IFA_LOCAL, bytes)
 *     .nest(IFLA_LINKINFO, (info) => info.stringAttribute(IFLA_INFO_KIND, "macvlan"))
 */

export const NLM_F_REQUEST = 0x1;
export const NLM_F_MULTI = 0x2;
export const NLM_F_ACK = 0x4;
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_ROOT = 0x100;
export const NLM_F_MATCH = 0x200;
export const NLM_F_DUMP = NLM_F_ROOT | NLM_F_MATCH;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;
/** In replies to a failed request. */
export const NLM_F_CAPPED = 0x100;
export const NLM_F_ACK_TLVS = 0x200;

export const NLMSG_NOOP = 1;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
export const NLMSG_OVERRUN = 4;

export const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;

const NLMSGERR_ATTR_MSG = 1;
const NLMSGERR_ATTR_OFFS = 2;

export const MESSAGE_HEADER_BYTES = 16;
const ATTRIBUTE_HEADER_BYTES = 4;
/** A message that grows over this is a mistake of ours; the kernel's own limit is the socket's send buffer. */
const MESSAGE_LIMIT_BYTES = 60_000;

const align4 = (length: number) => (length + 3) & ~3;
const textEncoder = new TextEncoder();
const textDecoder = new TextDecoder();

/** Builds one request. Fixed fields come first, attributes after them; each attribute is padded to 4 bytes. */
export class MessageBuilder {
	readonly type: number;
	readonly flags: number;
	#bytes = new Uint8Array(192);
	#view = new DataView(this.#bytes.buffer);
	#length = MESSAGE_HEADER_BYTES;

	/** `flags` without NLM_F_REQUEST and NLM_F_ACK: the socket adds what it needs. */
	constructor(type: number, flags = 0) {
		this.type = type;
		this.flags = flags;
	}

	get length(): number {
		return align4(this.#length);
	}

	u8(value: number): this {
		this.#reserve(1);
		this.#bytes[this.#length++] = value;
		return this;
	}

	u16(value: number): this {
		this.#reserve(2);
		this.#view.setUint16(this.#length, value, true);
		this.#length += 2;
		return this;
	}

	u32(value: number): this {
		this.#reserve(4);
		this.#view.setUint32(this.#length, value, true);
		this.#length += 4;
		return this;
	}

	bytes(value: Uint8Array): this {
		this.#reserve(value.length);
		this.#bytes.set(value, this.#length);
		this.#length += value.length;
		return this;
	}

	attribute(type: number, value: Uint8Array): this {
		this.#attributeHeader(type, value.length);
		return this.bytes(value);
	}

	u8Attribute(type: number, value: number): this {
		this.#attributeHeader(type, 1);
		return this.u8(value);
	}

	u16Attribute(type: number, value: number): this {
		this.#attributeHeader(type, 2);
		return this.u16(value);
	}

	/** Network order: ports. */
	u16NetworkAttribute(type: number, value: number): this {
		this.#attributeHeader(type, 2);
		return this.u8(value >> 8).u8(value & 0xff);
	}

	u32Attribute(type: number, value: number): this {
		this.#attributeHeader(type, 4);
		return this.u32(value);
	}

	/** Network order: masks. */
	u32NetworkAttribute(type: number, value: number): this {
		this.#attributeHeader(type, 4);
		this.#reserve(4);
		this.#view.setUint32(this.#length, value);
		this.#length += 4;
		return this;
	}

	/** 32 bits in network order and twelve bytes of zero. */
	paddedNetworkAttribute(type: number, value: number): this {
		this.#attributeHeader(type, 16);
		this.#reserve(4);
		this.#view.setUint32(this.#length, value);
		this.#length += 4;
		return this.u32(0).u32(0).u32(0);
	}

	u64Attribute(type: number, value: bigint): this {
		this.#attributeHeader(type, 8);
		this.#reserve(8);
		this.#view.setBigUint64(this.#length, value, true);
		this.#length += 8;
		return this;
	}

	/** NUL-terminated. */
	stringAttribute(type: number, value: string): this {
		const encoded = textEncoder.encode(value);
		this.#attributeHeader(type, encoded.length + 1);
		return this.bytes(encoded).u8(0);
	}

	/** A flag: present, without a value. */
	flagAttribute(type: number): this {
		this.#attributeHeader(type, 0);
		return this;
	}

	/** Attributes inside an attribute, marked NLA_F_NESTED. */
	nest(type: number, inner: (builder: this) => void): this {
		this.#attributeHeader(type | NLA_F_NESTED, 0);
		const start = this.#length - ATTRIBUTE_HEADER_BYTES;
		inner(this);
		this.#view.setUint16(start, this.#length - start, true);
		return this;
	}

	/** The whole message, with its header. */
	finish(sequence: number, extraFlags = 0, portId = 0): Uint8Array {
		const length = this.length;
		this.#reserve(length - this.#length);
		this.#view.setUint32(0, this.#length, true);
		this.#view.setUint16(4, this.type, true);
		this.#view.setUint16(6, this.flags | extraFlags, true);
		this.#view.setUint32(8, sequence, true);
		this.#view.setUint32(12, portId, true);
		return this.#bytes.subarray(0, length);
	}

	#attributeHeader(type: number, length: number): void {
		const start = align4(this.#length);
		this.#reserve(start - this.#length + ATTRIBUTE_HEADER_BYTES);
		this.#length = start;
		this.u16(ATTRIBUTE_HEADER_BYTES + length).u16(type);
	}

	#reserve(more: number): void {
		const needed = this.#length + more + 4;
		if (needed <= this.#bytes.length) return;
		if (needed > MESSAGE_LIMIT_BYTES)
			throw new RangeError(`a netlink message of ${needed} bytes is over the limit`);
		const grown = new Uint8Array(Math.min(Math.max(needed, this.#bytes.length * 2), MESSAGE_LIMIT_BYTES));
		grown.set(this.#bytes);
		this.#bytes = grown;
		this.#view = new DataView(grown.buffer);
	}
}

export interface NetlinkMessage {
	readonly type: number;
	readonly flags: number;
	readonly sequence: number;
	/** Of the request's sender when the kernel tells it, 0 for the kernel itself. */
	readonly portId: number;
	/** After the message header; a view into what was parsed. */
	readonly payload: Uint8Array;
}

/** The messages of one datagram. A length that does not fit ends the list: what came before is kept. */
export function parseMessages(bytes: Uint8Array): NetlinkMessage[] {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
	const messages: NetlinkMessage[] = [];
	for (let offset = 0; offset + MESSAGE_HEADER_BYTES <= bytes.length; ) {
		const length = view.getUint32(offset, true);
		if (length < MESSAGE_HEADER_BYTES || length > bytes.length - offset) break;
		messages.push({
			type: view.getUint16(offset + 4, true),
			flags: view.getUint16(offset + 6, true),
			sequence: view.getUint32(offset + 8, true),
			portId: view.getUint32(offset + 12, true),
			payload: bytes.subarray(offset + MESSAGE_HEADER_BYTES, offset + length),
		});
		offset += align4(length);
	}
	return messages;
}

/** Calls `each` with every attribute from `offset` on; a length that does not fit ends it. */
export function eachAttribute(
	bytes: Uint8Array,
	offset: number,
	each: (type: number, value: Uint8Array) => void,
): void {
	for (let at = offset; at + ATTRIBUTE_HEADER_BYTES <= bytes.length; ) {
		const length = bytes[at]! | (bytes[at + 1]! << 8);
		if (length < ATTRIBUTE_HEADER_BYTES || length > bytes.length - at) return;
		const type = (bytes[at + 2]! | (bytes[at + 3]! << 8)) & NLA_TYPE_MASK;
		each(type, bytes.subarray(at + ATTRIBUTE_HEADER_BYTES, at + length));
		at += align4(length);
	}
}

/** Attributes by type (the last one wins), with typed reads: null when absent or too short. */
export class Attributes {
	readonly #values = new Map<number, Uint8Array>();

	static parse(bytes: Uint8Array, offset = 0): Attributes {
		const attributes = new Attributes();
		eachAttribute(bytes, offset, (type, value) => attributes.#values.set(type, value));
		return attributes;
	}

	has(type: number): boolean {
		return this.#values.has(type);
	}

	bytes(type: number): Uint8Array | null {
		return this.#values.get(type) ?? null;
	}

	u8(type: number): number | null {
		return this.#values.get(type)?.[0] ?? null;
	}

	u16(type: number): number | null {
		return this.#view(type, 2)?.getUint16(0, true) ?? null;
	}

	u16Network(type: number): number | null {
		return this.#view(type, 2)?.getUint16(0) ?? null;
	}

	u32(type: number): number | null {
		return this.#view(type, 4)?.getUint32(0, true) ?? null;
	}

	i32(type: number): number | null {
		return this.#view(type, 4)?.getInt32(0, true) ?? null;
	}

	u32Network(type: number): number | null {
		return this.#view(type, 4)?.getUint32(0) ?? null;
	}

	u64(type: number): bigint | null {
		return this.#view(type, 8)?.getBigUint64(0, true) ?? null;
	}

	/** Up to the first NUL. */
	string(type: number): string | null {
		const value = this.#values.get(type);
		if (value === undefined) return null;
		const end = value.indexOf(0);
		return textDecoder.decode(end < 0 ? value : value.subarray(0, end));
	}

	nested(type: number): Attributes | null {
		const value = this.#values.get(type);
		return value === undefined ? null : Attributes.parse(value);
	}

	#view(type: number, length: number): DataView | null {
		const value = this.#values.get(type);
		return value === undefined || value.length < length
			? null
			: new DataView(value.buffer, value.byteOffset, value.length);
	}
}

export interface Acknowledgement {
	/** 0 is success. */
	readonly errno: number;
	/** The kernel's own words (extended acknowledgement), when it has any. */
	readonly text: string | null;
	/** Offset in the request of the attribute at fault. */
	readonly offset: number | null;
}

/** NLMSG_ERROR, and NLMSG_DONE of a dump, with the extended acknowledgement. */
export function parseAcknowledgement(message: NetlinkMessage): Acknowledgement {
	const { payload } = message;
	const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
	const errno = payload.length >= 4 ? -view.getInt32(0, true) : 0;
	if ((message.flags & NLM_F_ACK_TLVS) === 0) return { errno, text: null, offset: null };
	let start = 4;
	if (message.type === NLMSG_ERROR) {
		// The request's header follows, and the whole request unless capped.
		const length = payload.length >= 8 ? view.getUint32(4, true) : 0;
		start += (message.flags & NLM_F_CAPPED) !== 0 ? MESSAGE_HEADER_BYTES : align4(length);
	}
	const attributes = Attributes.parse(payload, start);
	return { errno, text: attributes.string(NLMSGERR_ATTR_MSG), offset: attributes.u32(NLMSGERR_ATTR_OFFS) };
}
