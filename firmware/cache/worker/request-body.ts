/**
 * The body of a client's request, on its way from the session to a backend. Held until somebody takes it; past
 * HOLD_BYTES the session stops reading, so that a client cannot fill the memory.
 */

export const HOLD_BYTES = 256 * 1024;

/** So much of a body that nobody wants is read, so that the connection can go on. */
export const DROP_BYTES = 1 << 20;

export interface RequestBodyTaker {
	/** True asks the session to wait (the backend does not keep up) until resume() is called. */
	onRequestBody(piece: Uint8Array): boolean;
	onRequestBodyEnd(): void;
}

export class RequestBody {
	readonly length: number | undefined;
	readonly #held: Uint8Array[] = [];
	#heldBytes = 0;
	#taker: RequestBodyTaker | undefined;
	#cached = false;
	ended = false;
	/** A taker has had bytes of it that are not held any more: it cannot be sent again. */
	spent = false;
	bytes = 0;
	/** Nobody wants it: what comes is thrown away. */
	dropped = false;
	/** Set by the session. */
	pause: () => void = () => {};
	resume: () => void = () => {};
	#onEnd: (() => void)[] = [];

	/** `length` is undefined for a chunked body. */
	constructor(length: number | undefined) {
		this.length = length;
	}

	push(piece: Uint8Array): void {
		this.bytes += piece.length;
		if (this.#cached || this.#taker === undefined) {
			this.#held.push(piece);
			this.#heldBytes += piece.length;
			if (this.#taker === undefined && this.#heldBytes > HOLD_BYTES) this.pause();
		}
		if (this.#taker !== undefined) {
			if (!this.#cached) this.spent = true;
			if (this.#taker.onRequestBody(piece)) this.pause();
		}
	}

	end(): void {
		this.ended = true;
		this.#taker?.onRequestBodyEnd();
		for (const each of this.#onEnd.splice(0)) each();
	}

	/** Keeps it for restarts and retries (std.cache_req_body). */
	cache(): void {
		this.#cached = true;
	}

	/** Calls back when all of it has come. */
	whenEnded(callback: () => void): void {
		if (this.ended) callback();
		else {
			this.resume();
			this.#onEnd.push(callback);
		}
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
