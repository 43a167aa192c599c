/**
 * What a client is sent of a page and of all that is included in it: one body, made piece by piece, as one gzip member
 * or plain.
 */
import { combineCrc32 } from "../esi/crc32.ts";
import { MEMBER_HEAD, memberEnd, packStretch, STRETCH_BYTES, unpackStretch } from "../esi/pack.ts";
import type { BodyBudget } from "./body-budget.ts";
import { type BodySource, BodyStream } from "./body-stream.ts";

/** Requests for parts of one page, with those of the parts; no further one is made. */
export const PART_LIMIT = 10_000;

export class EsiOutput implements BodySource {
	readonly stream: BodyStream;
	readonly #packs: boolean;
	readonly #level: number;
	#crc = 0;
	#plainBytes = 0;
	#paused = false;
	#onResume: (() => void) | undefined;
	/** Requests for parts so far. */
	parts = 0;

	/** `level`: gzip level of what is not packed already; undefined for a plain body. */
	constructor(level: number | undefined, budget: BodyBudget) {
		this.#packs = level !== undefined;
		this.#level = level ?? 0;
		this.stream = new BodyStream(false, this, budget);
	}

	begin(): void {
		if (this.#packs) this.stream.push(MEMBER_HEAD);
	}

	/** The client takes no more just now. Who stops for that says how it goes on: one at a time does. */
	get isPaused(): boolean {
		return this.#paused;
	}
	whenResumed(goOn: () => void): void {
		this.#onResume = goOn;
	}

	/** Takes over `bytes`, which are not packed. Returns how many bytes the client gets. */
	plain(bytes: Uint8Array): number {
		if (!this.#packs) return this.#push(bytes);
		let sent = 0;
		for (let at = 0; at < bytes.length; at += STRETCH_BYTES) {
			const part = bytes.subarray(at, at + STRETCH_BYTES);
			this.#add(Bun.hash.crc32(part), part.length);
			sent += this.#push(packStretch(part, this.#level));
		}
		return sent;
	}

	/** The same for a stretch as packPage() made it, with what is known of its contents. */
	packed(bytes: Uint8Array, crc: number, plainBytes: number): number {
		if (!this.#packs) return this.#push(unpackStretch(bytes));
		this.#add(crc, plainBytes);
		return this.#push(bytes);
	}

	#add(crc: number, plainBytes: number): void {
		this.#crc = combineCrc32(this.#crc, crc, plainBytes);
		this.#plainBytes += plainBytes;
	}

	#push(bytes: Uint8Array): number {
		this.stream.push(bytes);
		return bytes.length;
	}

	end(): void {
		if (this.#packs) this.stream.push(memberEnd(this.#crc, this.#plainBytes));
		this.stream.finish();
		this.stream.settle();
	}

	/** What the client has got will not become whole. */
	fail(): void {
		this.stream.fail();
		this.stream.settle();
	}

	pauseBody(): void {
		this.#paused = true;
	}
	resumeBody(): void {
		this.#paused = false;
		const goOn = this.#onResume;
		this.#onResume = undefined;
		// Not at once: it is the reader that asks, who has taken a piece and not sent it yet.
		if (goOn !== undefined) queueMicrotask(goOn);
	}
	abandonBody(): void {
		this.fail();
	}
}
