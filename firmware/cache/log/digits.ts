/** Decimal digits as bytes, without a string in between. */

const ZERO = 0x30;
const POINT = 0x2e;
const MICROS = 1e6;

/** How many digits a whole number has. */
export function digitsOf(value: number): number {
	let digits = 1;
	for (let limit = 10; value >= limit; limit *= 10) digits++;
	return digits;
}

/** Writes `value`, below 2^31, with exactly `count` digits. */
export function putDigits(bytes: Uint8Array, at: number, value: number, count: number): void {
	let rest = value | 0;
	for (let index = at + count - 1; index >= at; index--) {
		const next = (rest / 10) | 0;
		bytes[index] = ZERO + rest - next * 10;
		rest = next;
	}
}

/** Unix seconds in ten digits. They do not fit a 32-bit number for ever: in two halves. */
export function putSeconds(bytes: Uint8Array, at: number, seconds: number): void {
	const high = Math.floor(seconds / 1e5);
	putDigits(bytes, at, high, 5);
	putDigits(bytes, at + 5, seconds - high * 1e5, 5);
}

/** Writes whole microseconds, not negative, as seconds with six decimals; returns where they end. */
export function putMicros(bytes: Uint8Array, at: number, micros: number): number {
	const whole = Math.floor(micros / MICROS);
	let point = at + 1;
	if (whole < 10) bytes[at] = ZERO + whole;
	else {
		const count = digitsOf(whole);
		if (count === 10) putSeconds(bytes, at, whole);
		else putDigits(bytes, at, whole, count);
		point = at + count;
	}
	bytes[point] = POINT;
	putDigits(bytes, point + 1, micros - whole * MICROS, 6);
	return point + 7;
}
