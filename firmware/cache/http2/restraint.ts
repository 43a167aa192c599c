/**
 * How much a client may ask of a connection without asking for anything: frames that carry nothing (RFC 9113 §10.5),
 * and streams that it opens and takes back. Pure.
 */

/** PING, SETTINGS, PRIORITY, empty DATA and the like: so many at once, */
export const IDLE_FRAMES = 1000;
/** so many more each second, */
export const IDLE_FRAMES_PER_SECOND = 100;
/** and so many more with each request: browsers say something of its priority, or of its window. */
export const IDLE_FRAMES_PER_REQUEST = 4;

/** A stream that ends so soon after its beginning, by the client or by its fault, was opened to no purpose. */
export const RAPID_RESET_MS = 1000;
/** So many of them within RAPID_RESET_PERIOD_MS are too many (the figures of later Varnish: h2_rapid_reset_limit). */
export const RAPID_RESETS = 100;
export const RAPID_RESET_PERIOD_MS = 60_000;

export class Restraint {
	#idleFrames = IDLE_FRAMES;
	#filledMs: number;
	/** Room for rapid resets, which comes back over the period. */
	#resets = RAPID_RESETS;
	#resetMs: number;

	constructor(nowMs: number) {
		this.#filledMs = nowMs;
		this.#resetMs = nowMs;
	}

	/** One more frame that carries nothing; false when it is one too many. */
	idleFrame(nowMs: number): boolean {
		const earned = ((nowMs - this.#filledMs) * IDLE_FRAMES_PER_SECOND) / 1000;
		this.#idleFrames = Math.min(IDLE_FRAMES, this.#idleFrames + earned);
		this.#filledMs = nowMs;
		this.#idleFrames--;
		return this.#idleFrames >= 0;
	}

	/** The client has asked for something. */
	request(): void {
		this.#idleFrames = Math.min(IDLE_FRAMES, this.#idleFrames + IDLE_FRAMES_PER_REQUEST);
	}

	/** A stream of `openedMs` was taken back; false when it is one too many. */
	reset(openedMs: number, nowMs: number): boolean {
		if (nowMs - openedMs >= RAPID_RESET_MS) return true;
		const earned = ((nowMs - this.#resetMs) * RAPID_RESETS) / RAPID_RESET_PERIOD_MS;
		this.#resets = Math.min(RAPID_RESETS, this.#resets + earned);
		this.#resetMs = nowMs;
		this.#resets--;
		return this.#resets >= 0;
	}
}
