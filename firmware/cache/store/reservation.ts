/**
 * Room for one object that is written as it comes, instead of being held in memory until it is whole: a run of segments
 * that nobody else takes. What is written is checked on its way; nobody can look it up before it is committed, and a
 * process that dies leaves nothing of it behind.
 */
export class Reservation {
	readonly segment: number;
	/** Its length is not known beforehand: there may be more room behind it. */
	readonly grows: boolean;
	/** The place of its body in the mapped store. */
	#body: Uint8Array;
	/** It is in the index. */
	committed = false;
	#writtenBytes = 0;
	/** CRC-32 of what has been written. */
	#sum = 0;

	/** `body`: room for all of the body and not a byte more, unless it grows. */
	constructor(segment: number, body: Uint8Array, grows: boolean) {
		this.segment = segment;
		this.#body = body;
		this.grows = grows;
	}

	/** So much has been written, and can be an object. */
	get isWhole(): boolean {
		return this.grows || this.#writtenBytes === this.#body.length;
	}

	get writtenBytes(): number {
		return this.#writtenBytes;
	}

	/** `body`: the same place, with more room. */
	enlarge(body: Uint8Array): void {
		this.#body = body;
	}

	get roomBytes(): number {
		return this.#body.length;
	}

	get sum(): number {
		return this.#sum;
	}

	/** Writes the next piece of the body, and returns it as it is in the store; undefined when it has no room. */
	write(piece: Uint8Array): Uint8Array | undefined {
		const from = this.#writtenBytes;
		if (from + piece.length > this.#body.length) return undefined;
		this.#body.set(piece, from);
		this.#writtenBytes += piece.length;
		this.#sum = Bun.hash.crc32(piece, this.#sum);
		return this.#body.subarray(from, from + piece.length);
	}
}
