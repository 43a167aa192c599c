/** The page that manager and workers share beside the store: transaction numbers, the log's writer, counters. */
import { closeSync, ftruncateSync, openSync } from "node:fs";
import { mainCounters } from "../log/counters.ts";
import { RingControl } from "../log/ring.ts";
import { WORKER_LIMIT } from "../store/layout.ts";
import { BUSY_PLACES } from "./busy-marks.ts";
import { PURGE_PLACES } from "./purge-marks.ts";

const HEAD_BYTES = 4096;
const COUNTER_SLOTS = 256;
const BUSY_AT = HEAD_BYTES + WORKER_LIMIT * COUNTER_SLOTS * 8;
const PURGES_AT = BUSY_AT + BUSY_PLACES * 4;
const PURGE_WORDS = PURGE_PLACES + 1;

export interface ControlPage {
	/** Lock and position of the log's writers. */
	readonly ring: Int32Array;
	/** Word 0: the last transaction number given out. */
	readonly transactions: Int32Array;
	/** Word 0: the number of the newest ban. Word 1: that of the newest one that is over (endBans). */
	readonly bans: Int32Array;
	/** What is being fetched, and by whom. */
	readonly busy: Int32Array;
	/** What was purged last. */
	readonly purges: Int32Array;
	/** Each worker's share of the MAIN counters. */
	counters(worker: number): Float64Array;
}

export function createControlPage(path: string): void {
	const file = openSync(path, "w+", 0o600);
	ftruncateSync(file, PURGES_AT + PURGE_WORDS * 4);
	closeSync(file);
}

export function openControlPage(path: string): ControlPage {
	const { buffer, byteOffset } = Bun.mmap(path, { shared: true });
	if (mainCounters.counters.length > COUNTER_SLOTS) throw new Error("more counters than places");
	return {
		ring: new Int32Array(buffer, byteOffset, RingControl.words),
		transactions: new Int32Array(buffer, byteOffset + 256, 1),
		bans: new Int32Array(buffer, byteOffset + 512, 2),
		busy: new Int32Array(buffer, byteOffset + BUSY_AT, BUSY_PLACES),
		purges: new Int32Array(buffer, byteOffset + PURGES_AT, PURGE_WORDS),
		counters: (worker) =>
			new Float64Array(buffer, byteOffset + HEAD_BYTES + worker * COUNTER_SLOTS * 8, COUNTER_SLOTS),
	};
}
