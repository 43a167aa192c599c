/** Choosing among backends: the arithmetic of the directors, without state and without clock. */

export interface Weighted<T> {
	readonly member: T;
	readonly weight: number;
}

/** The healthy member that `point` in [0, 1) falls on, by weight; null when none is healthy. */
export function pickByWeight<T>(
	members: readonly Weighted<T>[],
	healthy: (member: T) => boolean,
	point: number,
): T | null {
	const up = members.filter(({ member, weight }) => weight > 0 && healthy(member));
	const total = up.reduce((sum, { weight }) => sum + weight, 0);
	if (total <= 0) return null;
	let rest = point * total;
	for (const { member, weight } of up) {
		if (rest < weight) return member;
		rest -= weight;
	}
	return up.at(-1)!.member;
}

/** The next healthy member after the turn `turn`, and the turn to remember. */
export function pickInTurn<T>(
	members: readonly T[],
	healthy: (member: T) => boolean,
	turn: number,
): { readonly member: T | null; readonly turn: number } {
	for (let step = 0; step < members.length; step++) {
		const index = (turn + step) % members.length;
		const member = members[index]!;
		if (healthy(member)) return { member, turn: index + 1 };
	}
	return { member: null, turn };
}

/** The first healthy member; sticky: the current one as long as it is healthy, then the next in the circle. */
export function pickFirst<T>(
	members: readonly T[],
	healthy: (member: T) => boolean,
	sticky: boolean,
	current: number,
): { readonly member: T | null; readonly current: number } {
	for (let step = 0; step < members.length; step++) {
		const index = ((sticky ? current : 0) + step) % members.length;
		if (healthy(members[index]!)) return { member: members[index]!, current: index };
	}
	return { member: null, current };
}

/** Last four bytes of the SHA-256 of a byte string, little endian, as an unsigned number: what varnishd takes (measured). */
export function hashPoint(text: string): number {
	const bytes = new Uint8Array(text.length);
	for (let index = 0; index < text.length; index++) bytes[index] = text.charCodeAt(index);
	const digest = new Bun.CryptoHasher("sha256").update(bytes).digest();
	return new DataView(digest.buffer, digest.byteOffset + digest.length - 4).getUint32(0, true);
}

/** Up to four bytes, the last one lowest, as an unsigned number. */
export function lastWord(bytes: string): number {
	let word = 0;
	for (let index = 0; index < bytes.length; index++) word = ((word << 8) | bytes.charCodeAt(index)) >>> 0;
	return word;
}
