/** Drives the tracked objects: runs scripts on time, counts processes, watches files. Judges nothing. */
import { type FSWatcher, readdirSync, readFileSync, watch, writeFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { leadingNumber } from "../config/keepalived/numbers.ts";
import type {
	DroverConfig,
	TrackFileConfig,
	TrackProcessConfig,
	TrackScriptConfig,
} from "../config/model.ts";
import { same } from "../config/same.ts";
import { ScriptRunner } from "../notify/script-runner.ts";
import type { LogLine } from "./address-keeper.ts";
import type { Tracked } from "./readings.ts";

export interface TrackerHandlers {
	/** `success` null: it could not be started. */
	onScript(name: string, success: boolean | null): void;
	onProcess(name: string, count: number): void;
	onFile(name: string, value: number): void;
}

/** /proc is read this often while processes are tracked. */
const PROCESS_PERIOD_MS = 500;
/** Files are looked at this often besides the notifications, which not every file system gives. */
const FILE_PERIOD_MS = 1_000;
const FILE_LIMIT_BYTES = 128;
const SCRIPTS_AT_ONCE = 64;

/** A tracked script that is run again and again. */
interface RepeatedScript {
	readonly config: TrackScriptConfig;
	readonly timer: ReturnType<typeof setInterval>;
	/** Gives it up: nobody wants to know its result any more. */
	readonly given: AbortController;
	readonly isRunning: () => boolean;
}

export class Trackers {
	readonly #handlers: TrackerHandlers;
	readonly #log: LogLine;
	readonly #runner = new ScriptRunner({ limit: SCRIPTS_AT_ONCE });
	readonly #scripts = new Map<string, RepeatedScript>();
	readonly #timers = new Set<ReturnType<typeof setInterval>>();
	readonly #watchers: FSWatcher[] = [];
	readonly #values = new Map<string, number>();

	constructor(handlers: TrackerHandlers, log: LogLine) {
		this.#handlers = handlers;
		this.#log = log;
	}

	/** Names of the scripts that run at this moment. */
	get runningScripts(): ReadonlySet<string> {
		return new Set([...this.#scripts].filter(([, { isRunning }]) => isRunning()).map(([name]) => name));
	}

	/**
	 * Goes over to this configuration; `reload` leaves the files' contents alone. A script that stays as it was goes on
	 * in its own rhythm: a second one beside one that runs may well fail for that reason alone, as behind flock(1). For the
	 * same reason scripts in `known`, whose result is that of another process, wait for their next turn. Returns what holds already; the handlers are told what changes from now on, and the scripts' results.
	 */
	configure(config: DroverConfig, reload: boolean, known: ReadonlySet<string> = new Set()): Tracked {
		this.#clear();
		const wanted = new Map(config.trackScripts.map((script) => [script.name, script]));
		for (const [name, repeated] of this.#scripts)
			if (!same(repeated.config, wanted.get(name))) this.#giveUp(name, repeated);
		for (const script of config.trackScripts)
			if (!this.#scripts.has(script.name))
				this.#scripts.set(script.name, this.#repeat(script, known.has(script.name)));
		for (const file of config.trackFiles) this.#startFile(file, reload);
		const { trackProcesses } = config;
		if (trackProcesses.length > 0) {
			const count = () => {
				for (const [name, number] of countProcesses(trackProcesses)) this.#handlers.onProcess(name, number);
			};
			this.#timers.add(setInterval(count, PROCESS_PERIOD_MS));
		}
		return {
			files: Object.fromEntries(this.#values),
			processes: Object.fromEntries(countProcesses(trackProcesses)),
		};
	}

	close(): void {
		for (const [name, repeated] of this.#scripts) this.#giveUp(name, repeated);
		this.#clear();
		this.#runner.killAll();
	}

	#clear(): void {
		for (const timer of this.#timers) clearInterval(timer);
		this.#timers.clear();
		for (const watcher of this.#watchers.splice(0)) watcher.close();
		this.#values.clear();
	}

	#giveUp(name: string, { timer, given }: RepeatedScript): void {
		clearInterval(timer);
		given.abort();
		this.#scripts.delete(name);
	}

	#repeat(config: TrackScriptConfig, known: boolean): RepeatedScript {
		const given = new AbortController();
		let running = false;
		/** Why it could not be started, which is told once. */
		let trouble: string | null = null;
		const run = async () => {
			if (running) {
				this.#log("info", `script ${config.name} still runs, this turn is left out`);
				return;
			}
			running = true;
			const outcome = await this.#runner.run(config.script, {
				timeoutMs: config.timeoutMs,
				signal: given.signal,
			});
			running = false;
			if (given.signal.aborted) return;
			const before = trouble;
			trouble = outcome.kind === "not-started" ? outcome.detail : null;
			if (trouble !== null && trouble !== before)
				this.#log("error", `script ${config.name} cannot be started, and counts as before: ${trouble}`);
			if (outcome.kind === "timeout") this.#log("warn", `script ${config.name} ran out of time`);
			const success = outcome.kind === "exit" && outcome.status === 0;
			this.#handlers.onScript(config.name, trouble === null ? success : null);
		};
		if (!known) void run();
		const timer = setInterval(() => void run(), config.intervalMs);
		return { config, timer, given, isRunning: () => running };
	}

	#startFile(config: TrackFileConfig, reload: boolean): void {
		if (config.initFile !== null && !reload)
			try {
				writeFileSync(config.path, `${config.initFile.value}\n`, {
					flag: config.initFile.overwrite ? "w" : "wx",
				});
			} catch {
				// It is there already, which is what was wanted.
			}
		// A file that is not there is a 0, one whose number is too large leaves everything as it was.
		const value = () => leadingNumber(headOf(config.path) ?? "");
		this.#values.set(config.name, value() ?? 0);
		const look = () => {
			const now = value();
			if (now === null || this.#values.get(config.name) === now) return;
			this.#values.set(config.name, now);
			this.#handlers.onFile(config.name, now);
		};
		try {
			const name = basename(config.path);
			this.#watchers.push(
				watch(dirname(config.path), (_event, changed) => {
					if (changed === null || changed === name) look();
				}),
			);
		} catch {
			// The folder does not exist yet; the timer will see the file.
		}
		this.#timers.add(setInterval(look, FILE_PERIOD_MS));
	}
}

function countProcesses(configs: readonly TrackProcessConfig[]): Map<string, number> {
	const counts = new Map(configs.map(({ name }) => [name, 0]));
	if (configs.length === 0) return counts;
	for (const pid of readdirSync("/proc")) {
		if (!/^\d+$/.test(pid)) continue;
		const command = commandOf(pid);
		if (command === null) continue;
		for (const config of configs)
			if (matches(config, command)) counts.set(config.name, counts.get(config.name)! + 1);
	}
	return counts;
}

function headOf(path: string): string | null {
	try {
		return readFileSync(path, "latin1").slice(0, FILE_LIMIT_BYTES);
	} catch {
		return null;
	}
}

interface Command {
	/** At most 15 bytes, as the kernel keeps it. */
	readonly name: string;
	readonly words: readonly string[];
}

function commandOf(pid: string): Command | null {
	try {
		const words = readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0");
		words.pop();
		return { name: readFileSync(`/proc/${pid}/comm`, "latin1").trim(), words };
	} catch {
		return null;
	}
}

/** keepalived.conf(5) vrrp_track_process: the command's name alone, or the whole command line. */
export function matches(config: TrackProcessConfig, command: Command): boolean {
	const [name, ...parameters] = config.process;
	if (name === undefined) return false;
	if (!config.fullCommand && parameters.length === 0) return basename(name).slice(0, 15) === command.name;
	const program = command.words[0];
	if (program === undefined) return false;
	if (program !== name && basename(program) !== name) return false;
	const given = command.words.slice(1);
	switch (config.match) {
		case "exact":
			return given.length === parameters.length && parameters.every((word, index) => word === given[index]);
		case "initial":
			return parameters.every((word, index) => word === given[index]);
		case "partial":
			return parameters.every((word, index) => given[index]?.startsWith(word));
	}
}
