/**
 * Runs operators' scripts: as the configured user, in a process group of their own, with a time limit
 * (SIGTERM to the group, SIGKILL two seconds later), never more starting at once than the bound, in the order of the calls.
 *
 *   const runner = new ScriptRunner({ limit: 32 });
 *   const outcome = await runner.run(script, { append: ["INSTANCE", "VI_1", "MASTER", "100"], timeoutMs: 60_000 });
 */
import type { Script } from "../config/model.ts";
import { startScript } from "./start-script.ts";

export type ScriptOutcome =
	| { readonly kind: "exit"; readonly status: number }
	| { readonly kind: "signal"; readonly signal: string }
	/** It did not end in time, or too many others ran for long as well, and was killed. */
	| { readonly kind: "timeout" }
	/** It never ran: no such file, no such user, or too many wait already. */
	| { readonly kind: "not-started"; readonly detail: string };

/** keepalived's wait between SIGTERM and SIGKILL. */
const KILL_AFTER_MS = 2_000;
const DEFAULT_LIMIT = 64;
/** Who runs for longer leaves its place to those that wait: one that hangs holds nobody up. */
const PLACE_MS = 10_000;
/** So many run on without a place; beyond that the one that has run longest is ended. */
export const LONG_RUNNING_LIMIT = 256;
/** Scripts that may wait for a place; more are refused. */
const WAITING_LIMIT = 4_096;

export interface RunOptions {
	/** Words after the script's own. */
	readonly append?: readonly string[];
	/** Infinity never kills. */
	readonly timeoutMs: number;
	/** Ends it, as if its time were over. */
	readonly signal?: AbortSignal;
}

export class ScriptRunner {
	readonly #placeMs: number;
	readonly #longRunningLimit: number;
	readonly #running = new Set<number>();
	/** Ends those that have left their place, the oldest first. */
	readonly #longRunning = new Map<number, () => void>();
	readonly #waiting: (() => void)[] = [];
	#places: number;
	/** Resolved when the last script that was called for may start. */
	#turn: Promise<void> = Promise.resolve();

	constructor(
		options: { readonly limit?: number; readonly placeMs?: number; readonly longRunningLimit?: number } = {},
	) {
		this.#places = options.limit ?? DEFAULT_LIMIT;
		this.#placeMs = options.placeMs ?? PLACE_MS;
		this.#longRunningLimit = options.longRunningLimit ?? LONG_RUNNING_LIMIT;
	}

	/** Process ids of the scripts that run now; each leads its own process group. */
	get running(): readonly number[] {
		return [...this.#running];
	}

	async run(script: Script, options: RunOptions): Promise<ScriptOutcome> {
		if (this.#places === 0) {
			if (this.#waiting.length >= WAITING_LIMIT)
				return { kind: "not-started", detail: `${WAITING_LIMIT} scripts wait already` };
			await new Promise<void>((resolve) => this.#waiting.push(resolve));
		} else this.#places--;
		let inPlace = true;
		const leave = () => {
			if (!inPlace) return;
			inPlace = false;
			const next = this.#waiting.shift();
			if (next === undefined) this.#places++;
			else next();
		};
		try {
			await this.#nextTurn();
			return await this.#start(script, options, leave);
		} finally {
			leave();
		}
	}

	/**
	 * A start holds this thread up until the kernel has the program, milliseconds where processors are scarce: one in
	 * each turn of the event loop, so that a hundred of them keep nobody's adverts and leases waiting.
	 */
	#nextTurn(): Promise<void> {
		this.#turn = this.#turn.then(() => new Promise((resolve) => setImmediate(resolve)));
		return this.#turn;
	}

	/** Kills every script that runs, with its children. */
	killAll(signal: NodeJS.Signals = "SIGKILL"): void {
		for (const pid of this.#running) signalGroup(pid, signal);
	}

	async #start(
		script: Script,
		{ append = [], timeoutMs, signal }: RunOptions,
		leave: () => void,
	): Promise<ScriptOutcome> {
		if (signal?.aborted) return { kind: "timeout" };
		let child: Bun.Subprocess;
		try {
			child = startScript(script, { append });
		} catch (error) {
			return { kind: "not-started", detail: error instanceof Error ? error.message : String(error) };
		}
		const { pid } = child;
		this.#running.add(pid);
		let timedOut = false;
		const timers: ReturnType<typeof setTimeout>[] = [];
		const end = () => {
			timedOut = true;
			signalGroup(pid, "SIGTERM");
			timers.push(setTimeout(() => signalGroup(pid, "SIGKILL"), KILL_AFTER_MS));
		};
		signal?.addEventListener("abort", end);
		if (Number.isFinite(timeoutMs)) timers.push(setTimeout(end, timeoutMs));
		timers.push(
			setTimeout(() => {
				leave();
				this.#longRunning.set(pid, end);
				this.#endTheOldest();
			}, this.#placeMs),
		);
		try {
			await child.exited;
		} finally {
			signal?.removeEventListener("abort", end);
			for (const timer of timers) clearTimeout(timer);
			this.#running.delete(pid);
			this.#longRunning.delete(pid);
		}
		if (timedOut) {
			// Children that ignored SIGTERM go with it.
			signalGroup(pid, "SIGKILL");
			return { kind: "timeout" };
		}
		if (child.signalCode !== null) return { kind: "signal", signal: String(child.signalCode) };
		return { kind: "exit", status: child.exitCode ?? 0 };
	}

	#endTheOldest(): void {
		if (this.#longRunning.size <= this.#longRunningLimit) return;
		const [pid, end] = this.#longRunning.entries().next().value!;
		this.#longRunning.delete(pid);
		end();
	}
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
	try {
		process.kill(-pid, signal);
	} catch {
		// The whole group has ended.
	}
}
