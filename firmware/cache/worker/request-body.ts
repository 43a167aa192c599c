/**
 * The body of a client's request, on its way from the session to a backend. Held until somebody takes it; past
 * HOLD_BYTES the session stops reading, so that a client cannot fill the memory.
 */

export const HOLD_BYTES = 256 * 1024;

/** The same for pieces: each has a cost of its own, however short it is. */
export const HOLD_PIECES = 4096;

/** So much of a body that nobody wants is read, so that the connection can go on. */
export const DROP_BYTES = 1 << 20;

export interface RequestBodyTaker {
	/** True asks the session to wait (the backend does not keep up) until resume() is called. */
	onRequestBody(piece: Uint8Array): boolean;
	onRequestBodyEnd(): void;
}

export class RequestBody {
	/** Undefined: it comes in chunks. */
	length: number | undefined;
	readonly #held: Uint8Array[] = [];
	#heldBytes = 0;
	#taker: RequestBodyTaker | undefined;
	#cached = false;
	ended = false;
	/** All of it was there together with the head. */
	cameWithHead = false;
	/** A taker has had bytes of it that are not held any more: it cannot be sent again. */
	spent = false;
	bytes = 0;
	/** Nobody wants it: what comes is thrown away. */
	dropped = false;
	/** It is here, whole, and kept (cache()). */
	get kept(): boolean {
		return this.#cached && this.ended;
	}

	/** It has come to its end: called once, before its taker hears of it. */
	onWhole: () => void = () => {};
	/** Set by the session. */
	pause: () => void = () => {};
	resume: () => void = () => {};
	/** Who wants to have it whole, if it is no longer than that. */
	#gathering: { readonly sizeBytes: number; readonly done: (fits: boolean) => void } | undefined;

	/** Somebody waits for it to be whole. */
	get isGathered(): boolean {
		return this.#gathering !== undefined;
	}

	constructor(length: number | undefined) {
		this.length = length;
	}

	push(piece: Uint8Array): void {
		this.bytes += piece.length;
		if (this.#cached || this.#taker === undefined) {
			this.#held.push(piece);
			this.#heldBytes += piece.length;
			if (this.#gathering !== undefined) {
				if (this.bytes > this.#gathering.sizeBytes) this.#gathered(false);
			} else if (
				this.#taker === undefined &&
				(this.#heldBytes > HOLD_BYTES || this.#held.length > HOLD_PIECES)
			)
				this.pause();
		}
		if (this.#taker !== undefined) {
			if (!this.#cached) this.spent = true;
			if (this.#taker.onRequestBody(piece)) this.pause();
		}
	}

	end(): void {
		this.ended = true;
		this.onWhole();
		// Its last bytes may have been those that were too many: what comes behind it must be read.
		this.resume();
		this.#taker?.onRequestBodyEnd();
		this.#gathered(true);
	}

	/** Keeps it for restarts and retries (std.cache_req_body), and says when it is here, or that it is longer. */
	cache(sizeBytes: number, done: (fits: boolean) => void): void {
		if (this.#cached || this.spent || (this.length ?? this.bytes) > sizeBytes) {
			done(this.#cached);
			return;
		}
		this.#cached = true;
		this.#gathering = { sizeBytes, done };
		if (this.ended) this.#gathered(true);
		else this.resume();
	}

	#gathered(fits: boolean): void {
		const gathering = this.#gathering;
		if (gathering === undefined) return;
		this.#gathering = undefined;
		this.#cached = fits;
		if (fits) this.length = this.bytes;
		// Whoever hands over these bytes is done with them first.
		queueMicrotask(() => gathering.done(fits));
	}

	take(taker: RequestBodyTaker): void {
		this.#taker = taker;
		const held = this.#cached ? this.#held.slice() : this.#held.splice(0);
		if (!this.#cached) {
			this.#heldBytes = 0;
			if (held.length > 0) this.spent = true;
		}
		for (const piece of held) taker.onRequestBody(piece);
		if (this.ended) taker.onRequestBodyEnd();
		else this.resume();
	}

	leave(taker: RequestBodyTaker): void {
		if (this.#taker === taker) this.#taker = undefined;
	}

	/** Reads the rest and throws it away. */
	drop(): void {
		this.dropped = true;
		this.#held.length = 0;
		this.#heldBytes = 0;
		this.#taker = { onRequestBody: () => false, onRequestBodyEnd() {} };
		this.resume();
	}
}
