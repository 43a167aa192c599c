/**
 * The command `drover vrrp`. It runs as a pair: the process that is started serves, and starts another
 * one that stands by (see standby.ts). Whichever of the two is killed, the other one goes on, and soon
 * there are two again. Started while a pair is running, it joins it.
 */

import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type BusServer, serve } from "../bus/server.ts";
import { runDirectory } from "../bus/socket-path.ts";
import { placeOf, problemOf } from "../config/keepalived/diagnostics.ts";
import {
	forgetKept,
	goesOnInstead,
	type KeptLoad,
	loadAtStart,
	loadKeeping,
} from "../config/keepalived/kept.ts";
import { ANY_MAY_MISS, type LoadedConfig, type LoadOptions, namedIn } from "../config/keepalived/load.ts";
import type { DroverConfig } from "../config/model.ts";
import { END_LIMIT_MS, Ending, endSoon } from "../ending.ts";
import { SystemCallError } from "../kernel/errno.ts";
import { namespacePath } from "../kernel/namespace-path.ts";
import { enterNetworkNamespace } from "../kernel/network-namespace.ts";
import { onSignalNumber } from "../kernel/real-time-signal.ts";
import { monotonicMicros } from "../kernel/realtime.ts";
import { numbersOf } from "../notify/identity.ts";
import { ScriptRunner } from "../notify/script-runner.ts";
import { dumpFile, jsonFile, statsFile } from "../process-files.ts";
import { self } from "../self.ts";
import { JSON_SIGNAL, type ServiceSignal, STATS_CLEAR_SIGNAL } from "../signals.ts";
import { type Log, openLog } from "../status/log.ts";
import { listening, look, patience, restarted } from "../status/patience.ts";
import { type Saved, save, savedRouter } from "./adoption.ts";
import { dataText, statsText } from "./dump.ts";
import { Guard, holdFifo } from "./guard.ts";
import { instanceKey } from "./instance-key.ts";
import { jsonText } from "./json-dump.ts";
import { type Predecessor, VrrpService } from "./service.ts";
import { ActiveLink, attach, type FromActive, Heartbeat, type StandbyLink } from "./standby.ts";
import { readStateFile, StateFile } from "./state-file.ts";

const USAGE = `usage: drover vrrp [-f FILE] [--no-standby] [--no-realtime] [--after-director]

Runs the VRRP instances of a keepalived.conf in the foreground.

  -f, --use-file FILE  the configuration (default /etc/keepalived/keepalived.conf)
  -i, --config-id ID   the id that @ID lines are compared with (the host name)
  --no-standby         one process only: nothing takes over when it is killed
  --no-realtime        no real-time scheduling priority
  --after-director     takes no address before "drover director" answers, or for 15 s

SIGHUP reloads, SIGTERM stops with priority 0, SIGUSR1 writes keepalived.data, SIGUSR2
keepalived.stats and SIGRTMIN+2 (36) keepalived.json into $TMPDIR or /tmp; SIGRTMAX-1 (63) writes the
statistics and sets them to zero.
`;

/** The standby is started this long after the active one, which shall not wait for it. */
const STANDBY_DELAY_MS = 500;
/** A standby that ends at once is started again no faster than this. */
const STANDBY_RETRY_MS = 2_000;
/** Garbage of a start or reload, and of the election after it, is given back this long after it. */
const TIDY_DELAYS_MS = [2_000, 8_000];
const LOCK_DELAY_MS = 10_000;
/** The standby looks at the heartbeat this often. */
const HEARTBEAT_PERIOD_MS = 100;
/**
 * Without a beat for so long, as the standby counts it, the active process hangs. Shorter than the real-time thread's
 * lease: a successor is better than its farewell.
 */
const HANG_LIMIT_MS = 1_600;
/**
 * A configuration is read in one go, in which nothing else is done: on a slow box that takes seconds. Meanwhile the
 * adverts go on, and the standby knows.
 */
const LOAD_LIMIT_MS = 10_000;
/** Kills that lie further back than this are forgotten. */
const HANG_CALM_MICROS = 600_000_000;
/** A beat not older than this was the last before the end. */
const RECENT_BEAT_MICROS = 500_000;

interface Options {
	readonly file: string;
	/** What `@ID` lines are compared with; null: the host's name. */
	readonly configId: string | null;
	readonly standby: boolean;
	readonly withStandby: boolean;
	readonly realTime: boolean;
	readonly afterDirector: boolean;
}

function parse(words: readonly string[]): Options | string {
	let file = "/etc/keepalived/keepalived.conf";
	let configId: string | null = null;
	let standby = false;
	let withStandby = true;
	let realTime = true;
	let afterDirector = false;
	for (let index = 0; index < words.length; index++) {
		const word = words[index]!;
		if (word === "-f" || word === "--use-file" || word === "--file") {
			const next = words[++index];
			if (next === undefined) return `${word} needs a file name`;
			file = next;
		} else if (word === "-i" || word === "--config-id") {
			configId = words[++index] ?? null;
			if (configId === null) return `${word} needs an id`;
		} else if (word.startsWith("--use-file=")) file = word.slice(11);
		else if (word === "--standby") standby = true;
		else if (word === "--no-standby") withStandby = false;
		else if (word === "--no-realtime") realTime = false;
		else if (word === "--after-director") afterDirector = true;
		else return `what is "${word}"?`;
	}
	return { file: resolve(file), configId, standby, withStandby, realTime, afterDirector };
}

/** Exit status of keepalived (lib/scheduler.h). */
const EXIT_FATAL = 1;

/** Resolves with the exit status when the service has ended. */
export async function main(words: readonly string[]): Promise<number> {
	if (words.includes("--help") || words.includes("-h")) {
		console.log(USAGE);
		return 0;
	}
	const options = parse(words);
	if (typeof options === "string") {
		console.error(`drover vrrp: ${options}\n\n${USAGE}`);
		return 2;
	}
	try {
		return await new Process(options).run();
	} catch (error) {
		// Such as a network namespace that is not there.
		if (!(error instanceof SystemCallError)) throw error;
		openLog("vrrp").fatal(error.message);
		console.error(`drover vrrp: ${error.message}`);
		return EXIT_FATAL;
	}
}

class Process {
	readonly #options: Options;
	readonly #log: Log = openLog("vrrp");
	readonly #ended = Promise.withResolvers<number>();
	readonly #heartbeat = new Heartbeat();
	readonly #service: VrrpService;
	/** What it began with; null once that is in force, or another process's is. */
	#first: KeptLoad | null;
	#saved: Saved = { routers: {}, readings: { scripts: {}, processes: {}, files: {}, bfd: {} } };
	#link: StandbyLink | null = null;
	#activePid = 0;
	#active: ActiveLink | null = null;
	#bus: BusServer | null = null;
	#stateFile: StateFile | null = null;
	#guard: Guard | null = null;
	#lastReadings: unknown = null;
	#ending = false;
	/** Of startup_script, while it runs: whoever is told to end meanwhile takes it with him. */
	#startup: AbortController | null = null;
	readonly #tidying: ReturnType<typeof setTimeout>[] = [];
	/** When SIGHUP came to a process that had nothing to reload, or was not the one to do it. */
	#reloadAskedMicros: number | null = null;
	#hangTimer: ReturnType<typeof setInterval> | null = null;

	constructor(options: Options) {
		this.#options = options;
		for (const signal of ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const)
			process.on(signal, () => this.#onSignal(signal === "SIGINT" ? "SIGTERM" : signal));
		for (const signal of [STATS_CLEAR_SIGNAL, JSON_SIGNAL])
			onSignalNumber(signal, () => this.#onSignal(signal));
		this.#first = this.#load(loadAtStart);
		const config = ofVrrp(this.#first.loaded);
		// Before anything is opened or started in the namespace at hand.
		const { networkNamespace } = config.global;
		if (networkNamespace !== null) enterNetworkNamespace(namespacePath(networkNamespace));
		this.#service = new VrrpService({
			config,
			configFile: options.file,
			log: this.#log,
			realTime: options.realTime,
			onChange: (engine, changed) => {
				this.#stateFile?.changed();
				this.#guard?.changed();
				if (this.#active === null || !this.#active.hasStandby) return;
				const routers = Object.fromEntries(
					changed.map((router) => [instanceKey(router.config), savedRouter(router)]),
				);
				if (changed.length > 0) this.#active.send({ kind: "routers", routers });
				const { scripts, processes, files, bfd } = engine.readings;
				if (this.#lastReadings === engine.readings) return;
				this.#lastReadings = engine.readings;
				this.#active.send({ kind: "readings", readings: { scripts, processes, files, bfd } });
			},
			onEvent: (event) => this.#bus?.publish(event),
			onAlive: (atMicros) => this.#heartbeat.beat(atMicros),
		});
	}

	/** Reading a configuration leaves much behind. The real-time thread does not wait for the collection. */
	#tidySoon(): void {
		for (const timer of this.#tidying.splice(0)) clearTimeout(timer);
		const later = (delayMs: number, work: () => void) => {
			const timer = setTimeout(work, delayMs);
			timer.unref();
			this.#tidying.push(timer);
		};
		for (const delayMs of TIDY_DELAYS_MS)
			later(delayMs, () => {
				Bun.gc(true);
				// Compiled code, too: what is needed again is compiled again.
				Bun.shrink();
			});
		// Locked pages cannot be given back, so this comes last.
		later(LOCK_DELAY_MS, () => this.#service.settleMemory());
	}

	async run(): Promise<number> {
		this.#tidySoon();
		holdFifo();
		this.#link = await attach(!this.#options.standby, {
			onMessage: (message) => this.#onActive(message),
			onGone: () => this.#onActiveGone(),
		});
		this.#service.becomeUrgent();
		if (this.#link === null) {
			const refused = this.#first?.refused ?? null;
			if (refused !== null) this.#log.error(goesOnInstead(this.#options.file, refused));
			const saved = readStateFile(this.#options.file);
			// Whom it was started to stand by for has ended in good order meanwhile: a kill leaves its state behind.
			if (saved === null && this.#options.standby) this.#end(0);
			if (this.#ending) return this.#ended.promise;
			if (saved === null) {
				this.#startup = new AbortController();
				await this.#script("startup", this.#startup.signal);
				if (this.#startup.signal.aborted) this.#end(0);
				this.#startup = null;
			}
			if (this.#ending) return this.#ended.promise;
			const aliveAtMicros = Math.min(this.#heartbeat.lastMicros, monotonicMicros());
			this.#activate(saved === null ? null : { saved, aliveAtMicros });
			this.#first?.keep();
			if (this.#reloadAskedMicros !== null) this.#reload();
		} else this.#watchHeartbeat();
		this.#first = null;
		return this.#ended.promise;
	}

	/** The election goes on meanwhile: who is master is known, and who waits has waited, when the table is there. */
	async #releaseAfterDirector(): Promise<void> {
		const { DIRECTOR_LIMIT_MS, directorAnswers } = await import("./after-director.ts");
		const answers = await directorAnswers(DIRECTOR_LIMIT_MS, () => this.#ending);
		if (this.#ending) return;
		const without = `the director does not answer: going on without it after ${DIRECTOR_LIMIT_MS / 1000} s`;
		if (!answers) this.#log.warn(without);
		this.#service.release(answers ? "the director has its table: addresses may be taken" : without);
		this.#onReleased();
	}

	#load(by: typeof loadKeeping, options: LoadOptions = {}): KeptLoad {
		const { file, configId } = this.#options;
		const load = by("vrrp", file, configId === null ? options : { ...options, configId });
		this.#logFindings(load.refused ?? load.loaded);
		return load;
	}

	#logFindings(loaded: LoadedConfig): void {
		for (const { severity, location, message } of loaded.diagnostics.slice(0, 100)) {
			const text = `${placeOf(location)}: ${message}`;
			if (severity === "error") this.#log.error(text);
			else this.#log.warn(text);
		}
	}

	// ── standing by ──

	#onActive(message: FromActive): void {
		switch (message.kind) {
			case "welcome":
				this.#activePid = message.pid;
				this.#saved = message.saved;
				this.#service.reload(message.config);
				break;
			case "routers":
				this.#saved = { ...this.#saved, routers: { ...this.#saved.routers, ...message.routers } };
				break;
			case "readings":
				this.#saved = { ...this.#saved, readings: message.readings };
				break;
			case "reloaded":
				this.#reloadAskedMicros = null;
				this.#service.unsettleMemory();
				this.#tidySoon();
				this.#service.reload(message.config);
				break;
			case "leave":
			case "bye":
				this.#end(0);
				break;
		}
	}

	#onActiveGone(): void {
		if (this.#ending || this.#active !== null) return;
		if (this.#hangTimer !== null) clearInterval(this.#hangTimer);
		this.#link = null;
		// It died this moment, or hung since its last beat.
		const now = monotonicMicros();
		const beat = this.#heartbeat.lastMicros;
		const aliveAtMicros = now - beat < RECENT_BEAT_MICROS ? now : beat;
		this.#log.warn(`the active process ${this.#activePid} is gone, going on in its place`);
		this.#activate({ saved: this.#saved, aliveAtMicros });
		// Whoever told both of them: the other one did not live to do it.
		if (this.#reloadAskedMicros !== null && now - this.#reloadAskedMicros < LOAD_LIMIT_MS * 1000)
			this.#reload();
	}

	/** An active process that hangs holds addresses that nobody defends. */
	#watchHeartbeat(): void {
		let beat = this.#heartbeat.lastMicros;
		let silence = listening(monotonicMicros() / 1000);
		this.#hangTimer = setInterval(() => {
			const now = monotonicMicros();
			const last = this.#heartbeat.lastMicros;
			// A beat that lies ahead: it said that it will be busy until then.
			const heard = last !== beat || last === 0 || last > now;
			silence = look(silence, now / 1000, heard, HEARTBEAT_PERIOD_MS);
			beat = last;
			if (this.#activePid === 0) return;
			const { kills } = this.#heartbeat;
			if (silence.silent < HANG_LIMIT_MS * patience(kills, now, HANG_CALM_MICROS)) return;
			this.#log.error(`the active process ${this.#activePid} hangs, it is killed`);
			this.#heartbeat.kills = restarted(kills, now, HANG_CALM_MICROS);
			try {
				process.kill(this.#activePid, "SIGKILL");
			} catch {
				// It is gone; its socket will say so.
			}
			silence = listening(now / 1000);
		}, HEARTBEAT_PERIOD_MS);
	}

	// ── serving ──

	#activate(predecessor: Predecessor | null): void {
		this.#heartbeat.beat(monotonicMicros());
		const held =
			predecessor === null
				? this.#options.afterDirector
				: Object.values(predecessor.saved.routers).some((router) => router.held);
		try {
			this.#service.start(predecessor, held);
		} catch (error) {
			this.#log.fatal(error instanceof Error ? error.message : String(error));
			// An address that nobody defends must not stay.
			this.#service.abandon();
			this.#end(1);
			return;
		}
		this.#stateFile = new StateFile(this.#options.file, () => save(this.#service.engine));
		this.#stateFile.changed();
		this.#guard = new Guard(() => this.#service.guarded());
		this.#active = new ActiveLink({
			welcome: () => ({
				kind: "welcome",
				pid: process.pid,
				config: this.#service.config,
				saved: save(this.#service.engine),
			}),
			onSignal: (signal) => this.#onSignal(signal),
			onStandby: (pid) => {
				if (pid === null && !this.#ending) this.#startStandbySoon(STANDBY_RETRY_MS);
				// It was still loading when the others were told.
				if (pid !== null && this.#ending) this.#active?.send({ kind: "bye" });
			},
		});
		this.#bus = this.#openControl();
		if (held) void this.#releaseAfterDirector();
		else this.#onReleased();
	}

	/** Addresses may be taken: what waits for that, beside a standby the other services of a box, may begin. */
	#onReleased(): void {
		writeFileSync(join(runDirectory(), "vrrp.released"), "");
		this.#startStandbySoon(STANDBY_DELAY_MS);
	}

	#openControl(): BusServer {
		return serve("vrrp", async () => {
			const { vrrpMethods } = await import("./control.ts");
			return vrrpMethods({
				status: () => ({ ...this.#service.status(), standbyPid: this.#active?.standbyPid ?? null }),
				config: () => this.#service.config,
				timeline: (instance, count) => this.#service.timeline(instance, count),
				reload: (judged) => this.#reload(judged),
				command: (kind, instances) => this.#service.command(kind, instances),
			});
		});
	}

	#startStandbySoon(delayMs: number): void {
		if (!this.#options.withStandby) return;
		setTimeout(() => {
			if (this.#ending || this.#active === null || this.#active.hasStandby) return;
			const { realTime, configId } = this.#options;
			const flags = [...(realTime ? [] : ["--no-realtime"]), ...(configId === null ? [] : ["-i", configId])];
			const child = Bun.spawn([...self(), "vrrp", "--standby", ...flags, "-f", this.#options.file], {
				stdin: "ignore",
				stdout: "inherit",
				stderr: "inherit",
				detached: true,
			} as Bun.SpawnOptions.OptionsObject<"ignore", "inherit", "inherit">);
			child.unref();
		}, delayMs).unref();
	}

	/** A file with errors changes nothing. */
	#reload(judged = false): { readonly accepted: boolean } {
		this.#service.renewLease(LOAD_LIMIT_MS * 1000);
		this.#heartbeat.beat(monotonicMicros() + LOAD_LIMIT_MS * 1000);
		try {
			return this.#reloadNow(judged);
		} finally {
			this.#service.renewLease();
			this.#heartbeat.beat(monotonicMicros());
		}
	}

	#reloadNow(judged: boolean): { readonly accepted: boolean } {
		this.#service.unsettleMemory();
		this.#tidySoon();
		const { loaded, keep } = this.#load(loadKeeping, judged ? ANY_MAY_MISS : namedIn(this.#service.config));
		const config = ofVrrp(loaded);
		if (!loaded.acceptable) {
			this.#log.error(
				`${this.#options.file} is not taken over: ${problemOf(loaded.diagnostics)}; the running configuration stays`,
			);
			return { accepted: false };
		}
		if (config.global.networkNamespace !== this.#service.config.global.networkNamespace) {
			this.#log.error("net_namespace can only be changed by a restart; the running configuration stays");
			return { accepted: false };
		}
		this.#service.reload(config);
		keep();
		this.#active?.send({ kind: "reloaded", config });
		this.#log.info(`${this.#options.file} reloaded`);
		return { accepted: true };
	}

	#onSignal(signal: ServiceSignal): void {
		if (this.#active === null) {
			// The foreground process of a pair speaks for it; a standby of its own ends alone.
			if (this.#link !== null && !this.#options.standby) this.#link.signal(signal);
			else if (signal === "SIGTERM") {
				if (this.#startup === null) this.#end(0);
				else if (!this.#startup.signal.aborted) {
					this.#log.info("Stopping: startup_script is ended");
					this.#startup.abort();
				}
			} else if (signal === "SIGHUP") this.#reloadAskedMicros = monotonicMicros();
			return;
		}
		switch (signal) {
			case "SIGTERM":
				void this.#stop();
				break;
			case "SIGHUP":
				this.#reload();
				break;
			case "SIGUSR1":
				void this.#dump(
					dumpFile("keepalived", this.#service.config.global, dumpDirectory()),
					dataText(
						this.#service.engine,
						(at) => this.#service.wallMs(at),
						this.#service.runningScripts,
						numbersOf,
					),
				);
				break;
			case "SIGUSR2":
			case STATS_CLEAR_SIGNAL:
				void this.#dump(
					statsFile(this.#service.config.global, dumpDirectory()),
					statsText(this.#service.engine),
				);
				if (signal === STATS_CLEAR_SIGNAL) this.#service.clearCounters();
				break;
			case JSON_SIGNAL: {
				const text = jsonText(this.#service.engine, (at) => this.#service.wallMs(at));
				if (text !== null) void this.#dump(jsonFile(this.#service.config.global, dumpDirectory()), text);
				break;
			}
		}
	}

	/** `startup_script` before the service starts, `shutdown_script` after its end. */
	async #script(when: "startup" | "shutdown", signal?: AbortSignal): Promise<void> {
		const { global } = this.#service.config;
		const script = when === "startup" ? global.startupScript : global.shutdownScript;
		if (script === null) return;
		const timeoutMs = when === "startup" ? global.startupScriptTimeoutMs : global.shutdownScriptTimeoutMs;
		const outcome = await new ScriptRunner({ limit: 1 }).run(script, {
			timeoutMs,
			...(signal === undefined ? {} : { signal }),
		});
		if (signal?.aborted) return;
		if (outcome.kind !== "exit" || outcome.status !== 0)
			this.#log.warn({ outcome }, `${when}_script ${script.command[0]} did not end well`);
	}

	async #dump(path: string, text: string): Promise<void> {
		try {
			const { rename, writeFile } = await import("node:fs/promises");
			await writeFile(`${path}.new`, text, { mode: 0o644 });
			await rename(`${path}.new`, path);
		} catch (error) {
			this.#log.warn(`${path}: ${error instanceof Error ? error.message : error}`);
		}
	}

	async #stop(): Promise<void> {
		if (this.#ending) return;
		this.#ending = true;
		this.#log.info("Stopping");
		// Before anything that takes its time: whoever stands by must neither call this a hang nor go on in its place.
		this.#active?.send({ kind: "bye" });
		const { shutdownScript, shutdownScriptTimeoutMs } = this.#service.config.global;
		const ending = new Ending(this.#log);
		ending.begin("SIGTERM", END_LIMIT_MS + (shutdownScript === null ? 0 : shutdownScriptTimeoutMs));
		ending.waitsFor = "the last notifications";
		await this.#service.stop();
		ending.waitsFor = "shutdown_script";
		await this.#script("shutdown");
		this.#stateFile?.remove();
		forgetKept("vrrp");
		this.#guard?.close();
		this.#active?.close();
		this.#bus?.close();
		this.#heartbeat.beat(0);
		this.#ended.resolve(0);
		endSoon(0);
	}

	#end(status: number): void {
		if (this.#ending) return;
		this.#ending = true;
		if (this.#hangTimer !== null) clearInterval(this.#hangTimer);
		this.#ended.resolve(status);
		setTimeout(() => process.exit(status), 10);
	}
}

const dumpDirectory = () => process.env["TMPDIR"] ?? tmpdir();

/** Virtual servers are the director's: with thousands of them each of the pair would hold tens of megabytes. */
const ofVrrp = ({ config }: LoadedConfig): DroverConfig => ({ ...config, virtualServers: [] });
