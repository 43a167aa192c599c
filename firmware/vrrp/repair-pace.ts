/** How often something that others take away is put back: two owners must not fight at full speed. */

const REPAIRS_PER_SECOND = 20;
const RETRY_MS = 1_000;

export class RepairPace {
	readonly #onAgain: () => void;
	#repairs: number[] = [];
	#retry: ReturnType<typeof setTimeout> | null = null;

	/** `onAgain`: what was refused may be tried once more. */
	constructor(onAgain: () => void) {
		this.#onAgain = onAgain;
	}

	/** Whether one more may be done now. If not, `onAgain` is called a second later. */
	take(): boolean {
		const now = performance.now();
		this.#repairs = this.#repairs.filter((at) => now - at < 1_000);
		if (this.#repairs.length >= REPAIRS_PER_SECOND) {
			this.#retry ??= setTimeout(() => {
				this.#retry = null;
				this.#onAgain();
			}, RETRY_MS);
			return false;
		}
		this.#repairs.push(now);
		return true;
	}

	close(): void {
		if (this.#retry !== null) clearTimeout(this.#retry);
		this.#retry = null;
	}
}
