/**
 * The shared-memory log in Varnish's own layout (VSL), read by the stock varnishlog, varnishncsa and their kin.
 *
 *   0 "VSLHEAD1" | 8 segsize in words | 16 segment_n | 24 offset[8] | 88 words …
 *
 * Eight segments in a circle; a word that a reader may rely on is written last, with Atomics, so that it finds
 * either the end mark or a whole record. Several workers write: each gathers transactions in a buffer of its own
 * and copies that into the ring under a lock.
 */
import { allocateBytes } from "../http/bytes.ts";
import { type IsGone, lockWord, lockWordOrInherit, unlockWord } from "../store/lock.ts";
import { BATCH_TAG } from "./records.ts";
import type { LogSink } from "./sink.ts";

const HEAD_BYTES = 88;
const SEGMENTS = 8;
const END_MARK = 0xfe454545 | 0;
const WRAP_MARK = 0xfe575757 | 0;
/** Bytes gathered before they go to the ring, unless the timer comes first. */
const GATHER_BYTES = 64 * 1024;
/** Longest one batch of a transaction. */
const BATCH_BYTES = 48 * 1024;
/** Milliseconds that a record may wait. */
export const FLUSH_INTERVAL_MS = 10;

/** Words that the writers share, beside the ring: lock, write position, cycles and records. */
export const RingControl = { lock: 0, position: 1, cycles: 2, records: 3, words: 16 } as const;

/** Sets up an empty ring in `bytes`. */
export function formatRing(bytes: Uint8Array): void {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
	const segmentWords = Math.floor(Math.floor((bytes.length - HEAD_BYTES) / 4) / SEGMENTS);
	view.setBigInt64(8, BigInt(segmentWords), true);
	view.setUint32(16, 0xfffffff8, true);
	for (let segment = 0; segment < SEGMENTS; segment++)
		view.setBigInt64(24 + segment * 8, segment === 0 ? 0n : -1n, true);
	view.setInt32(HEAD_BYTES, END_MARK, true);
	bytes.set(Buffer.from("VSLHEAD1"), 0);
}

export class Ring implements LogSink {
	immediate = false;
	readonly #words: Int32Array;
	readonly #head: Int32Array;
	readonly #offsets: BigInt64Array;
	readonly #control: Int32Array;
	readonly #holder: number;
	readonly #segmentWords: number;
	readonly #gather = allocateBytes(GATHER_BYTES + BATCH_BYTES + 1024);
	readonly #gatherWords: Int32Array;
	#gathered = 0;
	#gatheredRecords = 0;
	#timer: ReturnType<typeof setTimeout> | undefined;
	/** Records, and batches of transactions, written by this process. */
	written = 0;
	flushes = 0;
	cycles = 0;

	/** Only for who outlives other writers: whether a holder of the lock has died. */
	readonly #isGone: IsGone | undefined;

	constructor(bytes: Uint8Array, control: Int32Array, worker: number, isGone?: IsGone) {
		this.#isGone = isGone;
		this.#head = new Int32Array(bytes.buffer, bytes.byteOffset, HEAD_BYTES / 4);
		this.#offsets = new BigInt64Array(bytes.buffer, bytes.byteOffset + 24, SEGMENTS);
		this.#segmentWords = Number(new BigInt64Array(bytes.buffer, bytes.byteOffset + 8, 1)[0]!);
		this.#words = new Int32Array(bytes.buffer, bytes.byteOffset + HEAD_BYTES, this.#segmentWords * SEGMENTS);
		this.#control = control;
		this.#holder = worker + 1;
		this.#gatherWords = new Int32Array(
			this.#gather.buffer,
			this.#gather.byteOffset,
			this.#gather.length >> 2,
		);
	}

	write(id: number, text: string, parentId: number, before: string): void {
		if (before !== "") this.#append(before, parentId, false);
		for (let rest = text; rest !== ""; ) {
			if (rest.length <= BATCH_BYTES) {
				this.#append(rest, id, !this.immediate);
				break;
			}
			const cut = wholeRecords(rest, BATCH_BYTES);
			this.#append(rest.slice(0, cut), id, true);
			rest = rest.slice(cut);
		}
		if (this.immediate || this.#gathered >= GATHER_BYTES) this.flush();
		else this.#timer ??= setTimeout(this.#flushLater, FLUSH_INTERVAL_MS);
	}

	append(block: Buffer, length: number, records: number): void {
		block.copy(this.#gather, this.#gathered, 0, length);
		this.#gathered += length;
		this.#gatheredRecords += records;
		if (this.immediate || this.#gathered >= GATHER_BYTES) this.flush();
		else this.#timer ??= setTimeout(this.#flushLater, FLUSH_INTERVAL_MS);
	}

	readonly #flushLater = () => {
		this.#timer = undefined;
		this.flush();
	};

	#append(text: string, id: number, batch: boolean): void {
		let word = this.#gathered >> 2;
		const words = this.#gatherWords;
		if (batch) {
			words[word++] = BATCH_TAG;
			words[word++] = text.length;
		}
		this.#gather.latin1Write(text, word * 4);
		const end = word + (text.length >> 2);
		while (word < end) {
			words[word + 1] = id;
			word += 2 + (((words[word]! & 0xffff) + 3) >> 2);
			this.#gatheredRecords++;
		}
		this.#gathered = end * 4;
	}

	/** Copies what was gathered into the ring. The timer goes on: a busy worker flushes many times before it is due. */
	flush(): void {
		if (this.#gathered === 0) return;
		const count = this.#gathered >> 2;
		if (this.#isGone === undefined) lockWord(this.#control, RingControl.lock, this.#holder);
		else lockWordOrInherit(this.#control, RingControl.lock, this.#holder, this.#isGone);
		let position = this.#control[RingControl.position]!;
		const words = this.#words;
		const limit = words.length;
		let from = 0;
		// Pieces of at most one segment, each made of whole records or batches.
		while (from < count) {
			let end = from;
			while (end < count) {
				const next = end + this.#unitWords(end);
				if (next - from > this.#segmentWords - 1 && end > from) break;
				end = next;
			}
			const size = end - from;
			if (position + size >= limit) {
				Atomics.store(words, 0, END_MARK);
				Atomics.store(words, position, WRAP_MARK);
				this.#publish(Math.ceil((this.#head[4]! + 1) / SEGMENTS) * SEGMENTS, 0);
				position = 0;
				this.cycles++;
			}
			const first = position;
			position += size;
			Atomics.store(words, position, END_MARK);
			while (Math.floor(position / this.#segmentWords) > (this.#head[4]! & (SEGMENTS - 1)))
				this.#publish(this.#head[4]! + 1, position);
			// The first word goes last: until then the end mark of the write before is there.
			words.set(this.#gatherWords.subarray(from + 1, end), first + 1);
			Atomics.store(words, first, this.#gatherWords[from]!);
			from = end;
		}
		this.#control[RingControl.position] = position;
		unlockWord(this.#control, RingControl.lock, this.#holder);
		this.written += this.#gatheredRecords;
		this.flushes++;
		this.#gathered = 0;
		this.#gatheredRecords = 0;
	}

	#publish(segment: number, offset: number): void {
		this.#offsets[segment & (SEGMENTS - 1)] = BigInt(offset);
		Atomics.store(this.#head, 4, segment | 0);
	}

	/** Words of the record or batch that starts at word `at` of the gathered ones. */
	#unitWords(at: number): number {
		const words = this.#gatherWords;
		if (words[at] === BATCH_TAG) return 2 + (words[at + 1]! >> 2);
		return 2 + (((words[at]! & 0xffff) + 3) >> 2);
	}
}

/** The largest number of bytes, at most `limit`, that ends between two records. */
function wholeRecords(text: string, limit: number): number {
	let at = 0;
	for (;;) {
		const length = text.charCodeAt(at) | (text.charCodeAt(at + 1) << 8);
		const next = at + 8 + ((length + 3) & ~3);
		if (next > limit || next >= text.length) return at === 0 ? next : at;
		at = next;
	}
}
