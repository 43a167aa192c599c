/**
 * A timer wheel: hundreds of thousands of timers behind one real one.
 * Setting and cancelling are O(1); a timer fires up to TICK_MS late, so that what is due together
 * runs together. Pure but for the two functions it is given.
 */

/** Resolution. Probes start and time out in batches of this. */
export const TICK_MS = 8;
/** One turn is SLOTS × TICK_MS = 8.192 s; a later timer is passed over once a turn. */
const SLOTS = 1024;

/** Set on a wheel it calls `fire` once. What is timed may be its own timer (extend this): one object less for each. */
export abstract class WheelTimer {
	tick = 0;
	next: WheelTimer | null = null;
	previous: WheelTimer | null = null;
	set = false;
	abstract fire(): void;
}

class CallbackTimer extends WheelTimer {
	readonly #callback: () => void;
	constructor(callback: () => void) {
		super();
		this.#callback = callback;
	}
	override fire(): void {
		this.#callback();
	}
}

export interface WheelDriver {
	/** Monotonic milliseconds. */
	nowMs(): number;
	/** Calls `wake` once after `delayMs`; returns how to cancel. */
	sleep(delayMs: number, wake: () => void): () => void;
}

export class Wheel {
	readonly #driver: WheelDriver;
	readonly #slots: (WheelTimer | null)[] = new Array<WheelTimer | null>(SLOTS).fill(null);
	#count = 0;
	/** Every timer of this tick and before has fired. */
	#done: number;
	#cancelSleep: (() => void) | null = null;
	#wakeTick = Number.POSITIVE_INFINITY;
	#turning = false;

	constructor(driver: WheelDriver) {
		this.#driver = driver;
		this.#done = this.#tickOf(driver.nowMs());
	}

	/** Timers that are set. */
	get size(): number {
		return this.#count;
	}

	timer(fire: () => void): WheelTimer {
		return new CallbackTimer(fire);
	}

	/** Sets (or moves) `timer` to fire at `atMs`, or on the next tick when that is past. */
	set(timer: WheelTimer, atMs: number): void {
		if (timer.set) this.cancel(timer);
		// Rounded up: a timer never fires early.
		timer.tick = Math.max(this.#done + 1, Math.ceil(atMs / TICK_MS));
		timer.set = true;
		const slot = timer.tick & (SLOTS - 1);
		const head = this.#slots[slot]!;
		timer.next = head;
		if (head !== null) head.previous = timer;
		this.#slots[slot] = timer;
		this.#count++;
		if (!this.#turning && timer.tick < this.#wakeTick) this.#sleepUntil(timer.tick);
	}

	cancel(timer: WheelTimer): void {
		if (!timer.set) return;
		timer.set = false;
		this.#count--;
		if (timer.previous !== null) timer.previous.next = timer.next;
		else this.#slots[timer.tick & (SLOTS - 1)] = timer.next;
		if (timer.next !== null) timer.next.previous = timer.previous;
		timer.next = null;
		timer.previous = null;
	}

	/** Cancels everything. */
	close(): void {
		this.#cancelSleep?.();
		this.#cancelSleep = null;
		this.#slots.fill(null);
		this.#count = 0;
	}

	#tickOf(atMs: number): number {
		return Math.floor(atMs / TICK_MS);
	}

	#sleepUntil(tick: number): void {
		this.#cancelSleep?.();
		this.#wakeTick = tick;
		this.#cancelSleep = this.#driver.sleep(Math.max(0, tick * TICK_MS - this.#driver.nowMs()), () => {
			this.#cancelSleep = null;
			this.#wakeTick = Number.POSITIVE_INFINITY;
			this.#turn();
		});
	}

	#turn(): void {
		const now = this.#tickOf(this.#driver.nowMs());
		this.#turning = true;
		try {
			// After a long pause each slot is visited once, not once per missed tick.
			const first = Math.max(this.#done + 1, now - SLOTS + 1);
			this.#done = now;
			for (let tick = first; tick <= now; tick++) {
				let timer = this.#slots[tick & (SLOTS - 1)]!;
				while (timer !== null) {
					if (timer.tick > now) {
						timer = timer.next!;
						continue;
					}
					this.cancel(timer);
					timer.fire();
					// What fired may have changed the list: begin again; timers that fire leave it, so this ends.
					timer = this.#slots[tick & (SLOTS - 1)]!;
				}
			}
		} finally {
			this.#turning = false;
			this.#sleepToNext();
		}
	}

	#sleepToNext(): void {
		if (this.#count === 0) return;
		for (let ahead = 1; ahead <= SLOTS; ahead++)
			if (this.#slots[(this.#done + ahead) & (SLOTS - 1)] !== null) {
				this.#sleepUntil(this.#done + ahead);
				return;
			}
	}
}
