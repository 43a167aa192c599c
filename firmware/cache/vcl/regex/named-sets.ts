/** Sets of bytes that patterns have names for, as PCRE2 has them without UTF, in the C locale. */
import { type ByteSet, bytesOf, complement, emptySet } from "./byte-set.ts";

const digits = bytesOf([48, 57]);
const word = bytesOf([48, 57], [65, 90], [97, 122], 95);
const space = bytesOf([9, 13], 32);
const horizontal = bytesOf(9, 32, 0xa0);

export const vertical = bytesOf([10, 13], 0x85);
export const notNewline = complement(bytesOf(10));
export const everything = complement(emptySet());

const posixClasses: Readonly<Record<string, ByteSet>> = {
	alnum: bytesOf([48, 57], [65, 90], [97, 122]),
	alpha: bytesOf([65, 90], [97, 122]),
	ascii: bytesOf([0, 127]),
	blank: bytesOf(9, 32),
	cntrl: bytesOf([0, 31], 127),
	digit: digits,
	graph: bytesOf([33, 126]),
	lower: bytesOf([97, 122]),
	print: bytesOf([32, 126]),
	punct: bytesOf([33, 47], [58, 64], [91, 96], [123, 126]),
	space,
	upper: bytesOf([65, 90]),
	word,
	xdigit: bytesOf([48, 57], [65, 70], [97, 102]),
};

const shorthands: Readonly<Record<string, ByteSet>> = {
	d: digits,
	D: complement(digits),
	w: word,
	W: complement(word),
	s: space,
	S: complement(space),
	h: horizontal,
	H: complement(horizontal),
	v: vertical,
	V: complement(vertical),
};

/** `[:name:]`. */
export const posixClass = (name: string): ByteSet | undefined =>
	Object.hasOwn(posixClasses, name) ? posixClasses[name] : undefined;

/** `\d` and its like, inside classes and out. */
export const shorthand = (letter: string): ByteSet | undefined =>
	Object.hasOwn(shorthands, letter) ? shorthands[letter] : undefined;
