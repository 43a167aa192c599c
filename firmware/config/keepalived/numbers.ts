/** Numbers as keepalived.conf writes them. Pure; NaN means "not a number of this kind". */

/** A decimal whole number with an optional sign. */
export function parseWhole(text: string): number {
	const length = text.length;
	let index = 0;
	let negative = false;
	const first = length > 0 ? text.charCodeAt(0) : 0;
	if (first === 45 || first === 43) {
		negative = first === 45;
		index = 1;
	}
	if (index >= length || length - index > 15) return Number.NaN;
	let value = 0;
	for (; index < length; index++) {
		const digit = text.charCodeAt(index) - 48;
		if (digit < 0 || digit > 9) return Number.NaN;
		value = value * 10 + digit;
	}
	return negative ? -value : value;
}

/** A decimal number with at most `decimals` digits behind the point, times 10^decimals. */
export function parseScaled(text: string, decimals: number): number {
	const length = text.length;
	let index = 0;
	let negative = false;
	const first = length > 0 ? text.charCodeAt(0) : 0;
	if (first === 45 || first === 43) {
		negative = first === 45;
		index = 1;
	}
	if (index >= length || length - index > 15) return Number.NaN;
	let value = 0;
	let digits = 0;
	let after = -1;
	for (; index < length; index++) {
		const code = text.charCodeAt(index);
		if (code === 46 && after < 0) {
			after = 0;
			continue;
		}
		const digit = code - 48;
		if (digit < 0 || digit > 9) return Number.NaN;
		digits++;
		if (after >= 0 && ++after > decimals) return Number.NaN;
		value = value * 10 + digit;
	}
	if (digits === 0) return Number.NaN;
	for (let scale = Math.max(after, 0); scale < decimals; scale++) value *= 10;
	return negative ? -value : value;
}

/** Seconds, in microseconds. */
export const parseSeconds = (text: string): number => parseScaled(text, 6);

/** Microseconds as an operator writes seconds: `2`, `0.01`. */
export function secondsText(micros: number): string {
	return String(micros / 1_000_000);
}

/**
 * The number that a tracked file begins with, as strtol(3) reads it with base 0: `0x10` is 16, `010` is 8, `7 dwarfs`
 * is 7. 0 when it begins with none; null when it is beyond 32 bits, which says nothing (keepalived 2.2.7, observed).
 */
export function leadingNumber(text: string): number | null {
	const match = /^\s*([+-]?)(?:0x([\da-f]+)|(0[0-7]*)|(\d+))/i.exec(text);
	if (match === null) return 0;
	const [, sign, hexadecimal, octal, decimal] = match;
	const size =
		hexadecimal !== undefined
			? Number.parseInt(hexadecimal, 16)
			: octal !== undefined
				? Number.parseInt(octal, 8)
				: Number(decimal);
	if (size > 2 ** 31) return null;
	return sign === "-" && size !== 0 ? -size : size;
}
