/**
 * A body on its way from a backend to one or more clients and perhaps into the store.
 *
 * A body that is to be stored keeps all its pieces until it is whole. One that is not keeps only what its
 * slowest reader has not taken yet, and asks the source to pause when that is too much. One that is too large for either
 * is written into the store as it comes, and read from there.
 */
import type { Reservation } from "../store/reservation.ts";
import type { BodyBudget } from "./body-budget.ts";

/** Bytes that a body which is not kept may have waiting before its source is paused. */
export const PAUSE_BYTES = 512 * 1024;
const RESUME_BYTES = 128 * 1024;

export interface BodyReader {
	/** More pieces, the end, or failure: look at the stream. */
	onBody(): void;
}

/** Where a body comes from. */
export interface BodySource {
	/** Its readers are behind: stop, and go on. */
	pauseBody(): void;
	resumeBody(): void;
	/** Nobody wants the rest. */
	abandonBody(): void;
}

/** Where the pieces of a body are in the store. */
export interface Place {
	/** What is pushed is written there; nothing is, when all of it is there already. */
	readonly reservation: Reservation | undefined;
	/** Of a body of unknown length: makes the place larger; false when it cannot be. */
	readonly extend?: () => boolean;
	/** It is as large as it gets, and more comes, which is not written any more. */
	readonly onFull?: () => void;
	/** Nobody reads there any more; called once, at settle(). */
	readonly onLeft: () => void;
}

export type BodyState = "open" | "whole" | "failed";

export class BodyStream {
	/** Pieces from number `#firstPiece` on. */
	readonly #pieces: Uint8Array[] = [];
	#firstPiece = 0;
	/** `taken`: so many bytes of the piece that is next. */
	#readers: { reader: BodyReader; next: number; taken: number }[] = [];
	#keeping: boolean;
	readonly #budget: BodyBudget | undefined;
	#waitingBytes = 0;
	/** Nothing of it is counted in the budget any more. */
	#settled = false;
	#paused = false;
	state: BodyState = "open";
	bytes = 0;
	readonly #source: BodySource | undefined;

	/** What it holds counts in `budget`, until settle(). Without a source it is filled at once. */
	constructor(keeping: boolean, source?: BodySource, budget?: BodyBudget) {
		this.#keeping = keeping;
		this.#source = source;
		this.#budget = budget;
	}

	/** Its pieces are in the store; what is pushed is written into the reservation, if there is one. */
	#place: Place | undefined;

	/** From here on its pieces are in the store; those that are there already move. */
	stayInStore(place: Place): void {
		this.#budget?.count(-this.#waitingBytes);
		this.#place = place;
		for (const [index, piece] of this.#pieces.entries())
			this.#pieces[index] = place.reservation?.write(piece) ?? piece;
	}

	/** The piece as it is in its place; undefined when that has no room for it, and no more to be had. */
	#placed(piece: Uint8Array): Uint8Array | undefined {
		if (this.#place === undefined || this.#isFull) return piece;
		const { reservation, extend } = this.#place;
		if (reservation === undefined) return piece;
		for (;;) {
			const placed = reservation.write(piece);
			if (placed !== undefined || extend === undefined || !extend()) return placed;
		}
	}

	/** What comes now goes by. */
	#isFull = false;

	/** Its pieces are in the store, and not to be gathered. */
	get inStore(): boolean {
		return this.#place !== undefined;
	}

	/** The whole body, when it is there in one piece. */
	get whole(): Uint8Array | undefined {
		if (this.state !== "whole" || this.#firstPiece > 0 || this.#pieces.length !== 1 || this.inStore)
			return undefined;
		return this.#pieces[0];
	}

	#count(bytes: number): void {
		this.#waitingBytes += bytes;
		if (!this.#settled && !this.inStore) this.#budget?.count(bytes);
	}

	/** The source is done with it: with no reader left, what it holds is on its way out. */
	settle(): void {
		if (this.#settled || this.state === "open" || this.#readers.length > 0) return;
		this.#settled = true;
		if (this.#place !== undefined) {
			this.#pieces.length = 0;
			this.#place.onLeft();
		} else this.#budget?.count(-this.#waitingBytes);
	}

	get keeping(): boolean {
		return this.#keeping;
	}

	/** All pieces, when they were kept. */
	get pieces(): readonly Uint8Array[] {
		return this.#pieces;
	}

	/** From here on nothing is kept that every reader has had. */
	stopKeeping(): void {
		this.#keeping = false;
		this.#trim();
	}

	/** Takes over `piece`: the caller must not change it afterwards. */
	push(piece: Uint8Array): void {
		if (this.state !== "open" || piece.length === 0) return;
		const placed = this.#placed(piece);
		if (placed === undefined) {
			const onFull = this.#place?.onFull;
			if (onFull === undefined) {
				this.fail();
				return;
			}
			this.#isFull = true;
			onFull();
			if (this.state !== "open") return;
		}
		this.bytes += piece.length;
		this.#pieces.push(placed ?? piece);
		this.#count(piece.length);
		this.#tell();
		const limit = this.#budget?.over ? RESUME_BYTES : PAUSE_BYTES;
		if (!this.#keeping && !this.#paused && this.#waitingBytes > limit) {
			this.#paused = true;
			this.#source?.pauseBody();
		}
	}

	finish(): void {
		if (this.state !== "open") return;
		this.state = "whole";
		this.#tell();
	}

	fail(): void {
		if (this.state !== "open") return;
		this.state = "failed";
		this.#tell();
	}

	#tell(): void {
		if (this.#readers.length === 0) return;
		for (const each of this.#readers.slice()) each.reader.onBody();
	}

	/** Its pieces were in the store, and are not read there any more. */
	get hasLeftStore(): boolean {
		return this.#settled && this.inStore;
	}

	/** Joins at the beginning; only while every piece is still there. */
	join(reader: BodyReader): void {
		if (this.hasLeftStore) this.state = "failed";
		this.#readers.push({ reader, next: this.#firstPiece, taken: 0 });
	}

	/** The next piece for that reader, or `mostBytes` of it; undefined when there is none yet. */
	take(reader: BodyReader, mostBytes = Number.POSITIVE_INFINITY): Uint8Array | undefined {
		const mine = this.#readers.find((each) => each.reader === reader);
		if (mine === undefined) return undefined;
		const piece = this.#pieces[mine.next - this.#firstPiece];
		if (piece === undefined) return undefined;
		const from = mine.taken;
		if (piece.length - from > mostBytes) {
			mine.taken += mostBytes;
			return piece.subarray(from, mine.taken);
		}
		mine.next++;
		mine.taken = 0;
		if (!this.#keeping) this.#trim();
		return from === 0 ? piece : piece.subarray(from);
	}

	/** True when that reader has had everything that came so far. */
	drained(reader: BodyReader): boolean {
		const mine = this.#readers.find((each) => each.reader === reader);
		return mine === undefined || mine.next - this.#firstPiece >= this.#pieces.length;
	}

	leave(reader: BodyReader): void {
		this.#readers = this.#readers.filter((each) => each.reader !== reader);
		if (!this.#keeping) {
			this.#trim();
			if (this.#readers.length === 0 && this.state === "open") this.#source?.abandonBody();
		}
		this.settle();
	}

	get readerCount(): number {
		return this.#readers.length;
	}

	#trim(): void {
		const needed = this.#readers.reduce(
			(least, each) => Math.min(least, each.next),
			this.#firstPiece + this.#pieces.length,
		);
		const gone = this.#pieces.splice(0, needed - this.#firstPiece);
		this.#firstPiece = needed;
		for (const piece of gone) this.#count(-piece.length);
		if (this.#paused && this.#waitingBytes < RESUME_BYTES) {
			this.#paused = false;
			this.#source?.resumeBody();
		}
	}
}
