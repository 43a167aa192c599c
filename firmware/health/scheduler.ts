/**
 * Runs checks: tens of thousands of them behind one timer, a bounded number at a time,
 * spread so that they do not come in waves. What an answer means is decided in `verdict.ts`.
 */
import type { CheckConfig } from "../config/model.ts";
import type { Outcome, ProbeEnvironment } from "./checker.ts";
import { readFileCheck, watchFile } from "./file.ts";
import { isProbed, startProbe } from "./kinds.ts";
import { HABIT_REST_MS, mayHold, Sentinel } from "./sentinel.ts";
import { releaseStream } from "./socket.ts";
import { type Check, type CheckEvent, newCheck, rulesOf, type StepResult, step } from "./verdict.ts";
import { WheelTimer } from "./wheel.ts";

/** Probes with a socket in flight; the rest wait their turn. */
export const CONCURRENT_PROBES_LIMIT = 8_192;
/** Children of MISC_CHECK at a time. */
export const CONCURRENT_CHILDREN_LIMIT = 256;
/** Checks that begin together begin at most at this rate. */
export const FIRST_PROBES_PER_SECOND = 10_000;

/** One check that runs, for however many real servers; its own timer. */
export class RunningCheck extends WheelTimer {
	readonly config: CheckConfig;
	readonly #scheduler: Scheduler;
	state: Check;
	/** Unix milliseconds of the last answer; 0 before it. */
	answeredAtMs = 0;
	/** The owner's: what is the same for checks that ask the same. */
	identity = 0;
	/** Mostly it stays one server, and a list of one would take more room than what is in it. */
	#serves: object | object[] | null = null;
	/** Ends the probe in flight, or the watching. */
	cancel: (() => void) | null = null;
	startedAtMs = 0;
	/** Its place among those that began with it, in [0, 1); below 0 before that. */
	phase = -1;
	suspended = false;
	waiting = false;
	closed = false;
	/** The connection of the last probe that passed; "ended": before its time, and the probe that asks why has not been answered. */
	sentinel: Sentinel | "ended" | null = null;
	/** No connection is held before this (monotonic). */
	restsUntilMs = 0;

	constructor(config: CheckConfig, scheduler: Scheduler) {
		super();
		this.config = config;
		this.#scheduler = scheduler;
		this.state = newCheck(rulesOf(config));
	}

	override fire(): void {
		this.#scheduler.launch(this);
	}

	/** Not started yet. */
	get isNew(): boolean {
		return this.phase < 0;
	}

	/** The owner's: whom this check serves. */
	get serves(): readonly object[] {
		if (this.#serves === null) return nobody;
		return Array.isArray(this.#serves) ? this.#serves : [this.#serves];
	}

	serve(server: object): void {
		if (this.#serves === null) this.#serves = server;
		else if (Array.isArray(this.#serves)) this.#serves.push(server);
		else this.#serves = [this.#serves, server];
	}

	serveNobody(): void {
		this.#serves = null;
	}
}

const nobody: readonly object[] = [];

/** BFD sessions, as far as a checker is concerned; the BFD service implements it. */
export interface BfdSessions {
	/** Calls `listener` with the state now and at every change; returns how to stop. */
	watch(name: string, listener: (up: boolean) => void): () => void;
}

export interface SchedulerOptions {
	readonly environment: ProbeEnvironment;
	/** Unix milliseconds. */
	nowMs(): number;
	readonly bfd: BfdSessions | undefined;
	/** Whether checks hold connections at all; may change. */
	holdsConnections(): boolean;
	/** After every step that changed more than the detail. */
	changed(check: RunningCheck, result: StepResult): void;
	log(check: RunningCheck, level: "info" | "warn", text: string): void;
}

/** A line of checks for a scarce thing. */
class Lane {
	readonly limit: number;
	inFlight = 0;
	#waiting: RunningCheck[] = [];
	#head = 0;

	constructor(limit: number) {
		this.limit = limit;
	}

	wait(check: RunningCheck): void {
		check.waiting = true;
		this.#waiting.push(check);
	}

	/** The next that still wants to run. */
	next(): RunningCheck | null {
		while (this.#head < this.#waiting.length) {
			const check = this.#waiting[this.#head++]!;
			if (this.#head > 1024 && this.#head * 2 > this.#waiting.length) {
				this.#waiting = this.#waiting.slice(this.#head);
				this.#head = 0;
			}
			if (check.waiting) {
				check.waiting = false;
				return check;
			}
		}
		this.#waiting = [];
		this.#head = 0;
		return null;
	}
}

export class Scheduler {
	readonly #options: SchedulerOptions;
	readonly #probes = new Lane(CONCURRENT_PROBES_LIMIT);
	readonly #children = new Lane(CONCURRENT_CHILDREN_LIMIT);

	constructor(options: SchedulerOptions) {
		this.#options = options;
	}

	/** A check that does not run yet; `start` it. What a file says is known from the beginning. */
	create(config: CheckConfig): RunningCheck {
		const check = new RunningCheck(config, this);
		if (config.kind === "FILE_CHECK") {
			check.state = step(
				check.state,
				this.#eventOf(check, readFileCheck(config, this.#options.environment.trackFiles)),
			).check;
			check.answeredAtMs = this.#options.nowMs();
		}
		return check;
	}

	/** Starts checks that begin together, evenly spread. */
	start(checks: readonly RunningCheck[]): void {
		const stretch = Math.max(1, checks.length / FIRST_PROBES_PER_SECOND);
		checks.forEach((check, index) => {
			check.phase = index / checks.length;
			const { config } = check;
			if (config.kind === "FILE_CHECK") this.#watchFile(check, config);
			else if (config.kind === "BFD_CHECK") this.#watchBfd(check, config.bfd);
			else
				this.#take(check, {
					kind: "start",
					atMs: this.#options.environment.nowMs(),
					phase: check.phase * stretch,
				});
		});
	}

	/** Ends a check; its probe in flight is dropped. */
	stop(check: RunningCheck): void {
		check.closed = true;
		this.#rest(check);
	}

	/** A suspended check keeps its last state; a resumed one probes at once. */
	suspend(check: RunningCheck, suspended: boolean): void {
		if (check.suspended === suspended || check.closed) return;
		check.suspended = suspended;
		if (!isProbed(check.config)) return;
		if (suspended) this.#rest(check);
		else this.soon(check);
	}

	/** Probes now instead of when its turn comes: something has happened to the server. */
	soon(check: RunningCheck): void {
		if (check.closed || check.suspended || check.cancel !== null || check.waiting || !isProbed(check.config))
			return;
		this.#options.environment.wheel.set(check, 0);
	}

	/** Calls the check failed now, whatever its retries: its server is known to be out of reach. */
	fail(check: RunningCheck, detail: string): void {
		if (check.closed || check.suspended || !isProbed(check.config)) return;
		this.#rest(check);
		const atMs = this.#options.environment.nowMs();
		const { phase } = check;
		this.#take(check, { kind: "failed", atMs, detail, phase, decisive: true });
	}

	#rest(check: RunningCheck): void {
		this.#letGo(check);
		this.#options.environment.wheel.cancel(check);
		check.waiting = false;
		if (check.cancel === null) return;
		const { cancel } = check;
		check.cancel = null;
		cancel();
		if (isProbed(check.config)) this.#freed(this.#laneOf(check));
	}

	#laneOf(check: RunningCheck): Lane {
		return check.config.kind === "MISC_CHECK" ? this.#children : this.#probes;
	}

	/** Its time has come. */
	launch(check: RunningCheck): void {
		const { config } = check;
		if (check.closed || check.suspended || !isProbed(config)) return;
		const lane = this.#laneOf(check);
		if (lane.inFlight >= lane.limit) {
			lane.wait(check);
			return;
		}
		const { environment } = this.#options;
		lane.inFlight++;
		check.startedAtMs = environment.nowMs();
		const keeps =
			check.startedAtMs >= check.restsUntilMs && mayHold(config) && this.#options.holdsConnections();
		check.cancel = startProbe(
			config,
			check.state.url,
			environment,
			(outcome) => this.probeEnded(check, outcome),
			keeps,
		);
	}

	/** Holds the connection of a probe that passed until the next one's, or lets go of what is held. */
	#holdOn(check: RunningCheck, outcome: Outcome): void {
		const before = check.sentinel;
		check.sentinel = null;
		const alarmed = before === "ended";
		if (outcome.kind === "passed" && "target" in check.config) {
			if (alarmed) check.restsUntilMs = this.#options.environment.nowMs() + HABIT_REST_MS;
			if (outcome.connection !== undefined)
				if (alarmed || check.closed || check.suspended)
					releaseStream(outcome.connection, check.config.target, true);
				else if (before !== null) {
					before.replace(outcome.connection);
					check.sentinel = before;
					return;
				} else
					check.sentinel = Sentinel.hold(outcome.connection, check.config.target, () => {
						this.#letGo(check);
						// A probe that is under way will tell by itself, and hold the next one.
						if (check.cancel !== null || check.waiting) return;
						check.sentinel = "ended";
						this.soon(check);
					});
		}
		if (!alarmed) before?.release();
	}

	#letGo(check: RunningCheck): void {
		if (check.sentinel !== "ended") check.sentinel?.release();
		check.sentinel = null;
	}

	/** The probe in flight is over. */
	probeEnded(check: RunningCheck, outcome: Outcome): void {
		check.cancel = null;
		this.#holdOn(check, outcome);
		this.#freed(this.#laneOf(check));
		if (!check.closed) this.#answered(check, outcome);
	}

	#freed(lane: Lane): void {
		lane.inFlight--;
		const next = lane.next();
		// Not from within the one that ended: a run of immediate answers must not nest.
		if (next !== null) this.#options.environment.wheel.set(next, 0);
	}

	#answered(check: RunningCheck, outcome: Outcome): void {
		this.#take(check, this.#eventOf(check, outcome));
	}

	#eventOf(check: RunningCheck, outcome: Outcome): CheckEvent {
		const atMs = this.#options.environment.nowMs();
		const { phase } = check;
		const { detail } = outcome;
		// Only MISC_CHECK counts its period from the start of the run.
		const startedAtMs = check.config.kind === "MISC_CHECK" ? check.startedAtMs : atMs;
		switch (outcome.kind) {
			case "passed":
				return { kind: "passed", atMs, detail, effect: outcome.effect, startedAtMs, phase };
			case "failed":
				return { kind: "failed", atMs, detail, startedAtMs, phase };
			case "postponed":
				return { kind: "postponed", atMs, detail };
		}
	}

	#take(check: RunningCheck, event: CheckEvent): void {
		const before = check.state;
		const result = step(before, event);
		if (result.check !== before) check.state = result.check;
		if (event.kind !== "start") check.answeredAtMs = this.#options.nowMs();
		for (const action of result.actions)
			if (action.kind === "log") this.#options.log(check, action.level, action.text);
			else if (!check.suspended) this.#options.environment.wheel.set(check, action.atMs);
		if (result.transition !== undefined || result.effectChanged === true || before.answers === 0)
			this.#options.changed(check, result);
	}

	#watchFile(check: RunningCheck, config: Extract<CheckConfig, { kind: "FILE_CHECK" }>): void {
		const file = this.#options.environment.trackFiles.find(({ name }) => name === config.trackFile);
		const told = (outcome: Outcome) => {
			if (!check.closed) this.#answered(check, outcome);
		};
		if (file !== undefined) check.cancel = watchFile(config, file.path, told);
	}

	#watchBfd(check: RunningCheck, name: string): void {
		const { bfd } = this.#options;
		if (bfd === undefined) {
			this.#options.log(check, "warn", "BFD does not run here: the check keeps its initial state");
			return;
		}
		check.cancel = bfd.watch(name, (up) => {
			if (check.closed) return;
			this.#answered(
				check,
				up
					? { kind: "passed", detail: "session up", effect: null }
					: { kind: "failed", detail: "session down" },
			);
		});
	}
}
