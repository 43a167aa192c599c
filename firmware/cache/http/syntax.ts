/** Characters and limits of HTTP/1.1 messages (RFC 9110 §5.6, RFC 9112). */

/** How large a message head may be. The names are those of the varnishd parameters they come from. */
export interface HeadLimits {
	/** Whole head, bytes (http_req_size, http_resp_size). */
	readonly headBytes: number;
	/** One header line, bytes (http_req_hdr_len, http_resp_hdr_len). */
	readonly lineBytes: number;
	/** Header lines, the start line's fields counted as six (http_max_hdr). */
	readonly headerLines: number;
}

export const DEFAULT_LIMITS: HeadLimits = { headBytes: 32768, lineBytes: 8192, headerLines: 64 };

/** The slots that varnishd counts for the start line before the first header. */
export const START_LINE_SLOTS = 6;

const tokenTable = new Uint8Array(256);
for (const char of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	tokenTable[char.charCodeAt(0)] = 1;

export const isTokenByte = (byte: number) => tokenTable[byte] === 1;

/** RFC 9110 §5.6.2 token. */
export function isToken(text: string): boolean {
	if (text.length === 0) return false;
	for (let index = 0; index < text.length; index++)
		if (tokenTable[text.charCodeAt(index)] !== 1) return false;
	return true;
}

/** A control character that no field value may hold: all but the horizontal tab (RFC 9110 §5.5). */
const controlCharacter = /[\x00-\x08\x0a-\x1f\x7f]/;

export const hasControl = (text: string) => controlCharacter.test(text);

/** A non-negative decimal of at most 15 digits, exact in a double; undefined for anything else. */
export function parseLength(text: string): number | undefined {
	if (text.length === 0 || text.length > 15) return undefined;
	let value = 0;
	for (let index = 0; index < text.length; index++) {
		const digit = text.charCodeAt(index) - 0x30;
		if (digit < 0 || digit > 9) return undefined;
		value = value * 10 + digit;
	}
	return value;
}
