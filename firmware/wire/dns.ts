/** DNS messages, as far as a health check needs them. Pure. RFC 1035 §4.1, RFC 3596, RFC 4034. */

/** RFC 1035 §2.3.4. */
const LABEL_LIMIT_BYTES = 63;
const NAME_LIMIT_BYTES = 255;
export const DNS_HEADER_BYTES = 12;

/** Query types by name (IANA's registry). */
export const dnsTypes: Readonly<Record<string, number>> = {
	A: 1,
	NS: 2,
	CNAME: 5,
	SOA: 6,
	MX: 15,
	TXT: 16,
	AAAA: 28,
	RRSIG: 46,
	DNSKEY: 48,
};

const responseCodes = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];

/** "NXDOMAIN" for 3; the number for what RFC 1035 §4.1.1 does not name. */
export function responseCodeName(code: number): string {
	return responseCodes[code] ?? `rcode ${code}`;
}

/**
 * One question in class IN with recursion desired. `name` "" or "." is the root; a trailing dot is allowed.
 * Throws a RangeError for an empty or too long label, a too long name or an unknown type.
 */
export function encodeDnsQuery(id: number, name: string, type: string): Uint8Array {
	const typeNumber = Object.hasOwn(dnsTypes, type.toUpperCase()) ? dnsTypes[type.toUpperCase()] : undefined;
	if (typeNumber === undefined) throw new RangeError(`unknown DNS query type "${type}"`);
	const text = name.endsWith(".") ? name.slice(0, -1) : name;
	const labels = text === "" ? [] : text.split(".").map((label) => new TextEncoder().encode(label));
	for (const label of labels)
		if (label.length === 0 || label.length > LABEL_LIMIT_BYTES)
			throw new RangeError(`a DNS label has 1 to ${LABEL_LIMIT_BYTES} bytes: "${name}"`);
	const nameBytes = labels.reduce((sum, label) => sum + 1 + label.length, 1);
	if (nameBytes > NAME_LIMIT_BYTES) throw new RangeError(`a DNS name has at most ${NAME_LIMIT_BYTES} bytes`);
	const message = new Uint8Array(DNS_HEADER_BYTES + nameBytes + 4);
	const view = new DataView(message.buffer);
	view.setUint16(0, id);
	view.setUint16(2, 0x0100);
	view.setUint16(4, 1);
	let offset = DNS_HEADER_BYTES;
	for (const label of labels) {
		message[offset++] = label.length;
		message.set(label, offset);
		offset += label.length;
	}
	offset++;
	view.setUint16(offset, typeNumber);
	view.setUint16(offset + 2, 1);
	return message;
}

export interface DnsHeader {
	readonly id: number;
	/** QR: an answer, not a question. */
	readonly response: boolean;
	/** RCODE; 0 is no error. */
	readonly responseCode: number;
	readonly truncated: boolean;
	readonly questions: number;
	readonly answers: number;
}

/** The fixed part of a message, or null when it is too short to be one. */
export function decodeDnsHeader(message: Uint8Array): DnsHeader | null {
	if (message.length < DNS_HEADER_BYTES) return null;
	const view = new DataView(message.buffer, message.byteOffset, message.length);
	const flags = view.getUint16(2);
	return {
		id: view.getUint16(0),
		response: (flags & 0x8000) !== 0,
		responseCode: flags & 0x000f,
		truncated: (flags & 0x0200) !== 0,
		questions: view.getUint16(4),
		answers: view.getUint16(6),
	};
}
