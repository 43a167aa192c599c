/**
 * Room for one object that is written as it comes, instead of being held in memory until it is whole: a run of segments
 * that nobody else takes. What is written is checked on its way; nobody can look it up before it is committed, and a
 * process that dies leaves nothing of it behind.
 */
export class Reservation {
	readonly segment: number;
	/** What the object takes with all that belongs to it. */
	readonly totalBytes: number;
	readonly bodyBytes: number;
	/** The place of its body in the mapped store. */
	readonly #body: Uint8Array;
	/** It is in the index. */
	committed = false;
	#writtenBytes = 0;
	/** CRC-32 of what has been written. */
	#sum = 0;

	/** `body`: room for all of the body and not a byte more. */
	constructor(segment: number, totalBytes: number, body: Uint8Array) {
		this.segment = segment;
		this.totalBytes = totalBytes;
		this.bodyBytes = body.length;
		this.#body = body;
	}

	get isFull(): boolean {
		return this.#writtenBytes === this.bodyBytes;
	}

	get sum(): number {
		return this.#sum;
	}

	/** Writes the next piece of the body, and returns it as it is in the store; undefined when that is more than was said. */
	write(piece: Uint8Array): Uint8Array | undefined {
		const from = this.#writtenBytes;
		if (from + piece.length > this.bodyBytes) return undefined;
		this.#body.set(piece, from);
		this.#writtenBytes += piece.length;
		this.#sum = Bun.hash.crc32(piece, this.#sum);
		return this.#body.subarray(from, from + piece.length);
	}
}
