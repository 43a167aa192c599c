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

/** "000" to "999": three digits for one division. */
const groups = new Uint8Array(3000);
for (let value = 0; value < 1000; value++)
	for (let digit = 0; digit < 3; digit++)
		groups[value * 3 + digit] = ZERO + (Math.floor(value / 10 ** (2 - digit)) % 10);

/** Writes `value`, below a million, with exactly six digits. */
export function putSixDigits(bytes: Uint8Array, at: number, value: number): void {
	const thousands = (value / 1000) | 0;
	const high = thousands * 3;
	const low = (value - thousands * 1000) * 3;
	bytes[at] = groups[high]!;
	bytes[at + 1] = groups[high + 1]!;
	bytes[at + 2] = groups[high + 2]!;
	bytes[at + 3] = groups[low]!;
	bytes[at + 4] = groups[low + 1]!;
	bytes[at + 5] = groups[low + 2]!;
}

/** Writes `value`, below 2^31, with exactly `count` digits. */
export function putDigits(bytes: Uint8Array, at: number, value: number, count: number): void {
	let rest = value | 0;
	let index = at + count - 1;
	for (; index >= at + 2; index -= 3) {
		const next = (rest / 1000) | 0;
		const group = (rest - next * 1000) * 3;
		bytes[index] = groups[group + 2]!;
		bytes[index - 1] = groups[group + 1]!;
		bytes[index - 2] = groups[group]!;
		rest = next;
	}
	for (; index >= at; index--) {
		const next = (rest / 10) | 0;
		bytes[index] = ZERO + rest - next * 10;
		rest = next;
	}
}

/** The second that was written last, and how. */
let lastSeconds = -1;
const lastDigits = new Uint8Array(10);

/** Unix seconds in ten digits. They do not fit a 32-bit number for ever: in two halves. */
export function putSeconds(bytes: Uint8Array, at: number, seconds: number): void {
	if (seconds !== lastSeconds) {
		lastSeconds = seconds;
		const high = Math.floor(seconds / 1e5);
		putDigits(lastDigits, 0, high, 5);
		putDigits(lastDigits, 5, seconds - high * 1e5, 5);
	}
	for (let index = 0; index < 10; index++) bytes[at + index] = lastDigits[index]!;
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
	putSixDigits(bytes, point + 1, micros - whole * MICROS);
	return point + 7;
}
