/** CRC-32 (ISO 3309, as gzip has it) of two stretches one after the other, from the CRC of each. */

/** The polynomial with its bits reversed: bit 31 is the coefficient of x⁰. */
const POLYNOMIAL = 0xedb88320;

/** The product of two polynomials, modulo the CRC's. */
function product(a: number, b: number): number {
	let sum = 0;
	let shifted = b;
	for (let bit = 0; bit < 32; bit++) {
		if ((a & (0x80000000 >>> bit)) !== 0) sum ^= shifted;
		shifted = (shifted & 1) === 0 ? shifted >>> 1 : (shifted >>> 1) ^ POLYNOMIAL;
	}
	return sum;
}

/** x to the power of 8, 16, 32 … bits: of 1, 2, 4 … bytes. */
const powers: number[] = [0x00800000];
while (powers.length < 32) powers.push(product(powers.at(-1)!, powers.at(-1)!));

/** `second` is of `secondBytes` bytes, which follow on those of `first`. Below 4 GiB. */
export function combineCrc32(first: number, second: number, secondBytes: number): number {
	let shifted = first;
	for (let bit = 0; bit < 32; bit++)
		if (((secondBytes >>> bit) & 1) === 1) shifted = product(powers[bit]!, shifted);
	return (shifted ^ second) >>> 0;
}
