/**
 * For which engine a version 3 message is (RFC 3412 §6, RFC 3414 §2.4), read before anybody's password is worked
 * with: the library makes and keeps a key for each engine ID that a stranger names. Pure.
 */

export interface Addressed {
	readonly msgId: number;
	readonly reportable: boolean;
	/** Empty: the sender looks for it. */
	readonly engineId: Uint8Array;
}

const SEQUENCE = 0x30;
const INTEGER = 2;
const OCTET_STRING = 4;
const GET_REQUEST = 0xa0;
const VERSION_3 = 3;
const USER_SECURITY_MODEL = 3;
const REPORTABLE = 4;
const MESSAGE_BYTES_MAX = 65_507;

/**
 * "no engine" for the versions that know none; null for what is no message in its form. The library reads on where a
 * length says stop, so nothing that is left over is passed to it.
 */
export function addressedEngine(message: Uint8Array): Addressed | "no engine" | null {
	const whole = new Elements(message).next(SEQUENCE);
	const version = readInteger(whole?.next(INTEGER));
	if (whole === null || version === null) return null;
	if (version !== VERSION_3) return "no engine";
	const header = whole.next(SEQUENCE);
	const msgId = readInteger(header?.next(INTEGER));
	const maxSize = header?.next(INTEGER);
	const flags = header?.next(OCTET_STRING)?.bytes;
	const model = header?.next(INTEGER);
	if (msgId === null || !maxSize || flags?.length !== 1 || !model || header?.isDone !== true) return null;
	const engineId = whole.next(OCTET_STRING)?.next(SEQUENCE)?.next(OCTET_STRING)?.bytes;
	if (engineId === undefined) return null;
	return { msgId, reportable: (flags[0]! & REPORTABLE) !== 0, engineId };
}

/** What a sender asks who does not know the engine yet (RFC 3414 §4), with this msgID: the answer is a report. */
export function discovery(msgId: number): Uint8Array {
	const empty = element(OCTET_STRING);
	const zero = element(INTEGER, [0]);
	const id = new Uint8Array(4);
	new DataView(id.buffer).setInt32(0, msgId);
	return element(
		SEQUENCE,
		element(INTEGER, [VERSION_3]),
		element(
			SEQUENCE,
			element(INTEGER, id),
			element(INTEGER, [0, MESSAGE_BYTES_MAX >> 8, MESSAGE_BYTES_MAX & 255]),
			element(OCTET_STRING, [REPORTABLE]),
			element(INTEGER, [USER_SECURITY_MODEL]),
		),
		element(OCTET_STRING, element(SEQUENCE, empty, zero, zero, empty, empty, empty)),
		element(SEQUENCE, empty, empty, element(GET_REQUEST, zero, zero, zero, element(SEQUENCE))),
	);
}

/** Elements of BER (X.690 §8.1) one after the other. */
class Elements {
	readonly bytes: Uint8Array;
	#at = 0;

	constructor(bytes: Uint8Array) {
		this.bytes = bytes;
	}

	get isDone(): boolean {
		return this.#at === this.bytes.length;
	}

	/** The content of the next one; null when it is no whole one with this tag. */
	next(tag: number): Elements | null {
		const first = this.bytes[this.#at + 1];
		if (this.bytes[this.#at] !== tag || first === undefined) return null;
		const lengthOctets = first < 0x80 ? 0 : first - 0x80;
		const start = this.#at + 2 + lengthOctets;
		let length = first;
		if (lengthOctets > 0) {
			length = 0;
			for (let at = this.#at + 2; at < start; at++) length = length * 256 + (this.bytes[at] ?? 0);
		}
		if (first === 0x80 || start + length > this.bytes.length) return null;
		this.#at = start + length;
		return new Elements(this.bytes.subarray(start, this.#at));
	}
}

/** Null when it is none of 32 bits. */
function readInteger(content: Elements | null | undefined): number | null {
	const bytes = content?.bytes;
	if (bytes === undefined || bytes.length === 0 || bytes.length > 4) return null;
	return bytes.reduce((value, byte, at) => (at === 0 ? (byte << 24) >> 24 : value * 256 + byte), 0);
}

/** Shorter than 128 bytes, all of it. */
function element(tag: number, ...parts: readonly ArrayLike<number>[]): Uint8Array {
	const content = parts.flatMap((part) => Array.from(part));
	return Uint8Array.from([tag, content.length, ...content]);
}
