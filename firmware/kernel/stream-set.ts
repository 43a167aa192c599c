/**
 * Connected stream sockets that are read and written in batches: two system calls per answer and one call from
 * JavaScript for all that are ready, where the runtime's own sockets take a call, an object and a copy for each.
 *
 * The sockets stay their owners': nothing here closes one, and the end of a stream is only told. Whoever closes a
 * socket takes it out of the set first.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { EAGAIN, SystemCallError } from "./errno.ts";
import { type NativeStreamSet, native } from "./native.ts";

/** Sockets received from at once. */
const BATCH = 64;
/** Bytes taken from one socket at once. */
export const RECEIVE_BYTES = 8192;
/** Slots that lie a power of two apart would share the same few lines of the processor's cache. */
const STRIDE_BYTES = RECEIVE_BYTES + 832;
/** Answers of one batch that leave together. */
const SEND_BYTES = 256 * 1024;
const RECEIVED_WIDTH = 3;
const PART_WIDTH = 4;

/** What the kernel did not take of what was put for this socket. */
export type OnShort = (token: number, rest: Uint8Array) => void;

export class StreamSet {
	readonly #native: NativeStreamSet = new native.StreamSet();
	readonly #into = Buffer.allocUnsafeSlow(BATCH * STRIDE_BYTES);
	readonly #results = new Int32Array(RECEIVED_WIDTH * BATCH);
	/** Views of the slots: a client's requests are mostly as long as its last. */
	readonly #views: Buffer[] = [];
	readonly #out = Buffer.allocUnsafeSlow(SEND_BYTES);
	readonly #parts = new Int32Array(PART_WIDTH * BATCH);
	readonly #partTokens = new Int32Array(BATCH);
	#partCount = 0;
	#outBytes = 0;
	readonly #onShort: OnShort;

	constructor(onShort: OnShort) {
		this.#onShort = onShort;
		for (let slot = 0; slot < BATCH; slot++) this.#views.push(this.#slot(slot, 0));
	}

	#slot(slot: number, bytes: number): Buffer {
		return this.#into.subarray(slot * STRIDE_BYTES, slot * STRIDE_BYTES + bytes);
	}

	/** Throws a SystemCallError. */
	add(descriptor: number, token: number): void {
		const status = this.#native.add(descriptor, token);
		if (status < 0) throw new SystemCallError(`epoll_ctl of descriptor ${descriptor}`, status);
	}

	/** What is to be sent leaves first. */
	remove(descriptor: number): void {
		this.flush();
		this.#native.remove(descriptor);
	}

	/** Readiness of this descriptor ends a wait. Throws a SystemCallError. */
	interruptBy(descriptor: number): void {
		const status = this.#native.interruptBy(descriptor);
		if (status < 0) throw new SystemCallError(`epoll_ctl of descriptor ${descriptor}`, status);
	}

	/** Receives what has come, or comes within `waitMs`. Returns how many sockets had news: they are asked by index. */
	receive(waitMs: number): number {
		return Math.max(0, this.#native.receive(this.#into, RECEIVE_BYTES, STRIDE_BYTES, this.#results, waitMs));
	}

	token(index: number): number {
		return this.#results[RECEIVED_WIDTH * index]!;
	}

	/** What came from that socket; undefined: nothing. They hold until the next `receive`. */
	bytes(index: number): Buffer | undefined {
		const length = this.#results[RECEIVED_WIDTH * index + 1]!;
		if (length <= 0) return undefined;
		const known = this.#views[index]!;
		if (known.length === length) return known;
		const view = this.#slot(index, length);
		this.#views[index] = view;
		return view;
	}

	/** How many bytes at the end of that socket's are those at the end of the socket's before. */
	commonEnd(index: number): number {
		return this.#results[RECEIVED_WIDTH * index + 2]!;
	}

	/** The stream has ended or failed, or there is more than one slot of it: its owner reads on by its own means. */
	isOver(index: number): boolean {
		const length = this.#results[RECEIVED_WIDTH * index + 1]!;
		return length === RECEIVE_BYTES || (length <= 0 && length !== -EAGAIN);
	}

	/** Takes `bytes` to be sent with the batch; false: they are too many, nothing was taken. */
	put(descriptor: number, token: number, bytes: Uint8Array, from: number, end: number): boolean {
		const length = end - from;
		if (length > SEND_BYTES) return false;
		if (this.#partCount === BATCH || this.#outBytes + length > SEND_BYTES) this.flush();
		const at = this.#outBytes;
		if (length === bytes.length) this.#out.set(bytes, at);
		else (bytes as Buffer).copy(this.#out, at, from, end);
		const parts = this.#parts;
		const part = this.#partCount * PART_WIDTH;
		parts[part] = descriptor;
		parts[part + 1] = at;
		parts[part + 2] = length;
		this.#partTokens[this.#partCount++] = token;
		this.#outBytes = at + length;
		return true;
	}

	/** Sends what was put. */
	flush(): void {
		const count = this.#partCount;
		if (count === 0) return;
		this.#partCount = 0;
		this.#outBytes = 0;
		const parts = this.#parts;
		if (this.#native.send(this.#out, parts, count) === 0) return;
		// What is left is copied before anyone is told: telling may put more.
		const short: [token: number, rest: Uint8Array][] = [];
		for (let index = 0; index < count; index++) {
			const part = index * PART_WIDTH;
			const sent = Math.max(0, parts[part + 3]!);
			const length = parts[part + 2]!;
			if (sent === length) continue;
			const at = parts[part + 1]!;
			short.push([this.#partTokens[index]!, new Uint8Array(this.#out.subarray(at + sent, at + length))]);
		}
		for (const [token, rest] of short) this.#onShort(token, rest);
	}
}

/**
 * The epoll(7) descriptor of this process that waits for `descriptor`, which is how the runtime's event loop can be
 * told from others (proc(5), /proc/pid/fdinfo); undefined: there is none, or /proc is not there.
 */
export function pollerOf(descriptor: number): number | undefined {
	const wanted = new RegExp(`^tfd: +${descriptor} `, "m");
	try {
		for (const each of readdirSync("/proc/self/fd")) {
			if (!isPoller(`/proc/self/fd/${each}`)) continue;
			if (wanted.test(readFileSync(`/proc/self/fdinfo/${each}`, "latin1"))) return Number(each);
		}
	} catch {
		return undefined;
	}
	return undefined;
}

function isPoller(path: string): boolean {
	try {
		return readlinkSync(path) === "anon_inode:[eventpoll]";
	} catch {
		// It was open for the listing alone.
		return false;
	}
}
