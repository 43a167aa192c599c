/** Sets of bytes, as eight 32-bit words. */

export type ByteSet = Uint32Array;

export function emptySet(): ByteSet {
	return new Uint32Array(8);
}

export function addByte(set: ByteSet, byte: number): void {
	set[byte >>> 5] = set[byte >>> 5]! | (1 << (byte & 31));
}

export function addRange(set: ByteSet, low: number, high: number): void {
	for (let byte = low; byte <= high; byte++) addByte(set, byte);
}

export function addAll(set: ByteSet, other: ByteSet): void {
	for (let word = 0; word < 8; word++) set[word] = set[word]! | other[word]!;
}

export function hasByte(set: ByteSet, byte: number): boolean {
	return ((set[byte >>> 5]! >>> (byte & 31)) & 1) === 1;
}

export function complement(set: ByteSet): ByteSet {
	return set.map((word) => ~word);
}

export function intersects(a: ByteSet, b: ByteSet): boolean {
	for (let word = 0; word < 8; word++) if ((a[word]! & b[word]!) !== 0) return true;
	return false;
}

export function bytesOf(...members: (number | readonly [number, number])[]): ByteSet {
	const set = emptySet();
	for (const member of members)
		if (typeof member === "number") addByte(set, member);
		else addRange(set, member[0], member[1]);
	return set;
}

/** With the other case of every ASCII letter in it (PCRE's C locale folds no other byte). */
export function foldCase(set: ByteSet): ByteSet {
	const folded = set.slice();
	for (let upper = 65; upper <= 90; upper++)
		if (hasByte(set, upper) || hasByte(set, upper + 32)) {
			addByte(folded, upper);
			addByte(folded, upper + 32);
		}
	return folded;
}

export function members(set: ByteSet): number[] {
	const list: number[] = [];
	for (let byte = 0; byte < 256; byte++) if (hasByte(set, byte)) list.push(byte);
	return list;
}
