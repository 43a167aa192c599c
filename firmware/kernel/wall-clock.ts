/**
 * Times of the monotonic clock as the wall clock has them. Pure: both clocks are given.
 *
 * They are read one after the other, so that what lies between them seems to differ by what lay between two looks: the
 * same moment must not change its time by that. Further apart, the wall clock was set.
 */
const SAME_MICROS = 10_000;

export class WallClock {
	#betweenMicros = Number.NaN;

	/** Unix milliseconds of `atMicros`, a time of the monotonic clock; the other two are what both clocks show now. */
	toMs(atMicros: number, wallMicros: number, monotonicMicros: number): number {
		const between = wallMicros - monotonicMicros;
		if (!(Math.abs(between - this.#betweenMicros) < SAME_MICROS)) this.#betweenMicros = between;
		return Math.round((this.#betweenMicros + atMicros) / 1000);
	}
}
