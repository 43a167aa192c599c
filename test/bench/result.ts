/** One row of the table that `make bench` prints. */
export interface BenchResult {
	/** What was measured, such as "takeover after a lost master, advert_int 100 ms". */
	readonly name: string;
	/** Our figure and the peer's with their units, from the same interleaved run. */
	readonly ours: string;
	readonly peer: string;
	/** Ours divided by the peer's where less is better, the peer's by ours where more is: ≤ 1 is no worse. */
	readonly ratio: number;
	/** What the ratio must not exceed. */
	readonly bar: number;
}
