/** One worker process, seen from the manager: its channel, the calls that wait for an answer, its end. */
import { readFileSync } from "node:fs";
import type { Subprocess } from "bun";
import { self } from "../../self.ts";
import type { FromWorker, Setup, ToWorker } from "../worker/wire.ts";

/** Seconds that a worker may take for a call before it counts as stuck. */
const CALL_SECONDS = 10;
/** One that is being killed closes its channel so long before its end is known. */
const END_LIMIT_MS = 1000;
const SAID_LIMIT = 4096;

type Call = Extract<ToWorker, { call: number }>;
/** A call without its number. */
export type CallOf = Call extends infer Each
	? Each extends { call: number }
		? Omit<Each, "call">
		: never
	: never;

export interface WorkerEvents {
	onMessage(worker: WorkerProcess, message: FromWorker): void;
	onExit(worker: WorkerProcess, code: number | null, signal: string | null): void;
}

/** A process that can be a worker: loaded, and waiting for its place, until it is employed. */
export class WorkerProcess {
	/** Its place among the workers; -1 while it waits. */
	index = -1;
	readonly #child: Subprocess;
	readonly #waiting = new Map<
		number,
		{ resolve: (value: unknown) => void; reject: (error: Error) => void; timer: Timer }
	>();
	#nextCall = 1;
	/** Rejected when it ends first. */
	readonly ready: Promise<void>;
	#isReady: () => void = () => {};
	#isLost: (error: Error) => void = () => {};
	exited = false;
	/** It has been given all that it must know, and told to accept. */
	serves = false;
	/** What it wrote to its standard error last, at most SAID_LIMIT characters. */
	said = "";

	constructor(events: WorkerEvents) {
		this.ready = new Promise((resolve, reject) => {
			this.#isReady = resolve;
			this.#isLost = reject;
		});
		// A spare one that dies has nobody who waits for it.
		this.ready.catch(() => {});
		this.#child = Bun.spawn({
			cmd: [...self(), "cache", "worker"],
			stdin: "ignore",
			stdout: "inherit",
			stderr: "pipe",
			serialization: "advanced",
			ipc: (message: FromWorker) => {
				if (message.kind === "ready") this.#isReady();
				else if (message.kind === "done") this.#settle(message);
				else events.onMessage(this, message);
			},
			onExit: (_child, code, signal) => {
				this.exited = true;
				for (const waiting of this.#waiting.values()) {
					clearTimeout(waiting.timer);
					waiting.reject(new Error("the worker has ended"));
				}
				this.#waiting.clear();
				this.#isLost(new Error("the worker ended before it was ready"));
				events.onExit(this, code, signal === null ? null : String(signal));
			},
		});
		void this.#listen();
	}

	/** What it says goes on to the manager's standard error. */
	async #listen(): Promise<void> {
		const decoder = new TextDecoder();
		for await (const bytes of this.#child.stderr as ReadableStream<Uint8Array>) {
			process.stderr.write(bytes);
			this.said = (this.said + decoder.decode(bytes, { stream: true })).slice(-SAID_LIMIT);
		}
	}

	/** Gives it its place. `ready` follows. */
	employ(index: number, setup: Setup): void {
		this.index = index;
		this.send({ kind: "setup", setup });
	}

	get pid(): number {
		return this.#child.pid;
	}

	/** It has ended, though nobody may have been told yet. proc(5): a zombie is in state Z, or X for a moment. */
	get isGone(): boolean {
		if (this.exited) return true;
		try {
			return /^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${this.pid}/stat`, "latin1"));
		} catch {
			return true;
		}
	}

	#settle(message: Extract<FromWorker, { kind: "done" }>): void {
		const waiting = this.#waiting.get(message.call);
		if (waiting === undefined) return;
		this.#waiting.delete(message.call);
		clearTimeout(waiting.timer);
		if (message.error === undefined) waiting.resolve(message.value);
		else waiting.reject(new Error(message.error));
	}

	send(message: ToWorker): void {
		if (!this.exited) this.#child.send(message);
	}

	/** Sends and waits for the answer. */
	call(message: CallOf): Promise<unknown> {
		const call = this.#nextCall++;
		return new Promise((resolve, reject) => {
			if (this.exited) {
				reject(new Error("the worker has ended"));
				return;
			}
			const timer = setTimeout(() => {
				this.#waiting.delete(call);
				reject(new Error("the worker does not answer"));
			}, CALL_SECONDS * 1000);
			this.#waiting.set(call, { resolve, reject, timer });
			this.send({ ...message, call } as ToWorker);
		});
	}

	/** Whether it has ended, or does so within a moment. */
	async ends(): Promise<boolean> {
		return (
			this.exited ||
			Promise.race([this.#child.exited.then(() => true), Bun.sleep(END_LIMIT_MS).then(() => false)])
		);
	}

	/** Ends it: in order first, by force when that takes too long. */
	async stop(): Promise<void> {
		if (this.exited) return;
		this.send({ kind: "stop" });
		const timer = setTimeout(() => this.#child.kill("SIGKILL"), 1000);
		await this.#child.exited;
		clearTimeout(timer);
	}
}
