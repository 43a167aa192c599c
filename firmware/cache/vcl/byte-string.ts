/**
 * Byte strings: one character per byte. VCL, header fields and regular expressions are all about bytes; holding them
 * one per character keeps lengths, positions and classes those of the C program, and JavaScript keeps such strings
 * in one byte per character.
 */

/** Bytes as a byte string, which a byte string is already. */
export function toByteString(bytes: string | Uint8Array): string {
	if (typeof bytes === "string") return bytes;
	let text = "";
	for (let begin = 0; begin < bytes.length; begin += 8192)
		text += String.fromCharCode(...bytes.subarray(begin, begin + 8192));
	return text;
}

/** A byte string as text for a person; bytes that are no UTF-8 show as U+FFFD. */
export function toText(bytes: string): string {
	return isAscii(bytes) ? bytes : new TextDecoder().decode(toBytes(bytes));
}

export function toBytes(text: string): Uint8Array {
	const bytes = new Uint8Array(text.length);
	for (let index = 0; index < text.length; index++) bytes[index] = text.charCodeAt(index);
	return bytes;
}

function isAscii(text: string): boolean {
	for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) > 0x7f) return false;
	return true;
}
