/**
 * The manager: it owns the configuration, the store file, the shared memory that tools read, and the workers.
 * It never touches a client's bytes. A worker that dies is replaced at once, with the same VCLs and sockets.
 */
import { closeSync, existsSync, mkdirSync, openSync, rmSync, statfsSync, statSync } from "node:fs";
import { cpus, hostname, release } from "node:os";
import { dirname, join } from "node:path";
import { named } from "../../named.ts";
import type { ParameterSet } from "../cli/parameters.ts";
import { managerCounters } from "../log/counters.ts";
import { record, setPayloadLimit } from "../log/records.ts";
import { formatRing, Ring } from "../log/ring.ts";
import { Tag } from "../log/tags.ts";
import { VsmDirectory } from "../log/vsm.ts";
import { Arena } from "../store/arena.ts";
import { type BanList, type BansFinished, banWords, parseBan } from "../store/bans.ts";
import { WORKER_LIMIT } from "../store/layout.ts";
import type { AdminHealth, BackendDefinition, DirectorReport } from "../vcl/runtime.ts";
import { clearBusyMarks } from "../worker/busy-marks.ts";
import { type ControlPage, createControlPage, openControlPage } from "../worker/control.ts";
import type { ListenAddress } from "../worker/listeners.ts";
import type { FromWorker, ToWorker, WorkerReport } from "../worker/wire.ts";
import { BanFile } from "./ban-file.ts";
import { BanKeeper } from "./ban-keeper.ts";
import { CounterBoard } from "./counter-board.ts";
import { mainFigures } from "./main-figures.ts";
import type { ListenerOption, Options } from "./options.ts";
import { Probe, type ProbeReport } from "./probe.ts";
import { claimStore, type StoreClaim } from "./store-claim.ts";
import { compileForShelf, type ShelvedVcl, type VclSource } from "./vcl-shelf.ts";
import { type CallOf, WorkerProcess } from "./worker-process.ts";

/** Milliseconds between updates of the counters that tools read. */
const COUNTERS_MS = 100;
/** The same while no worker has anything new to say. */
const IDLE_COUNTERS_MS = 1000;
/** Milliseconds before a worker that dies right after its start is tried again. */
const RESTART_PAUSE_MS = 100;
/** Milliseconds after a worker's start until the next spare one is made. */
const SPARE_PAUSE_MS = 1000;
const QUICK_DEATH_MS = 1000;

export type ChildState = "stopped" | "starting" | "running" | "stopping" | "died";

/** A VCL that compiles, and whose vcl_init said no. */
export class InitialisationError extends Error {}

/** "Linux,…": what banner and log say of the machine and of the storages, the last of which is Transient's. */
export function platformText({ storages }: Options): string {
	const machine = process.arch === "x64" ? "x86_64" : process.arch;
	const kinds = storages.map(({ written }) => `-s${written}`);
	return `Linux,${release()},${machine},-junix,${kinds.join(",")},-hcritbit`;
}

/** The "address port" of a backend, one for each family. */
function endpointsOf({ endpoint }: BackendDefinition): string[] {
	return endpoint.kind === "tcp" ? endpoint.addresses.map((address) => `${address} ${endpoint.port}`) : [];
}

export class Manager {
	readonly options: Options;
	readonly parameters: ParameterSet;
	readonly directory: string;
	readonly startedAt = Date.now() / 1000;
	readonly identity: string;
	readonly #banKeeper = new BanKeeper(() => this.parameters.values["ban_dups"] === true);
	readonly vcls = new Map<string, ShelvedVcl>();
	/** Labels and the VCL that each points to. */
	readonly labels = new Map<string, string>();
	/** Names of programs and labels, in the order in which they came. */
	readonly vclNames = new Set<string>();
	/** Administrative health by "vcl.backend". */
	readonly admin = new Map<string, AdminHealth>();
	readonly probes = new Map<string, Probe>();
	readonly backendsSince = new Map<string, number>();
	/** What another checker of this machine says of servers, by "address port". */
	#verdicts: ReadonlyMap<string, boolean> = new Map();
	active: string | undefined;
	state: ChildState = "stopped";
	addresses: ListenAddress[] = [];
	/** The last worker that has died by itself. */
	#dead: { readonly worker: WorkerProcess; readonly how: string; readonly at: string } | undefined;
	readonly #mgt: VsmDirectory;
	#child: VsmDirectory | undefined;
	#workers: WorkerProcess[] = [];
	#spare: WorkerProcess | undefined;
	#spareTimer: ReturnType<typeof setTimeout> | undefined;
	readonly #workerStartMs = new Map<number, number>();
	readonly #reports = new Map<number, WorkerReport>();
	#storePath = "";
	/** Of a store that is a file. */
	#claim: StoreClaim | null = null;
	/** Of a store that is memory only. */
	#storeFd: number | null = null;
	readonly #storeSizes: readonly number[];
	readonly #controlPath: string;
	#control: ControlPage | undefined;
	#arena: Arena | undefined;
	#ring: Ring | undefined;
	#logPath = "";
	readonly #mgtValues: BigUint64Array;
	#board: CounterBoard | undefined;
	#timer: ReturnType<typeof setInterval> | undefined;
	#childStartedAt = 0;
	#log: (line: string) => void;
	/** Called when the last worker has ended without being told to and is not restarted. */
	onDied: () => void = () => {};

	constructor(options: Options, parameters: ParameterSet, directory: string, log: (line: string) => void) {
		this.options = options;
		this.parameters = parameters;
		this.directory = directory;
		this.#log = log;
		this.identity = options.identity ?? hostname();
		this.#storeSizes = options.storages.map(({ bytes }) => bytes);
		this.#controlPath = join(directory, "_.drover_control");
		mkdirSync(directory, { recursive: true, mode: 0o755 });
		this.#mgt = new VsmDirectory(join(directory, "_.vsm_mgt"), process.pid, this.startedAt);
		this.#mgtValues = this.#mgt.addCounters(managerCounters, "MGT").values;
		this.#mgt.addText("Arg", "-i", this.identity);
		this.#timer = setInterval(() => this.#updateIfNews(), COUNTERS_MS);
	}

	addArgument(ident: string, text: string): void {
		this.#mgt.addText("Arg", ident, text);
	}

	get #isPersistent(): boolean {
		return this.options.storages.some(({ kind }) => kind === "persistent");
	}

	/** How the last worker died that did, in one line; undefined: none did, or it is forgotten. */
	get death(): string | undefined {
		if (this.#dead === undefined) return undefined;
		const { worker, how, at } = this.#dead;
		return `Worker ${worker.index} (${worker.pid}) died ${how} at ${at}`;
	}

	/** The same with what it said last, for `panic.show`. What scripts look for in it stands where varnishd has it. */
	get panic(): string | undefined {
		if (this.#dead === undefined) return undefined;
		const { worker, how, at } = this.#dead;
		return [
			`Panic at: ${at}`,
			`Worker ${worker.index} (${worker.pid}) died ${how}`,
			"version = varnish-7.1.1 revision drover",
			`ident = ${platformText(this.options)}`,
			...(worker.said === "" ? [] : ["It said last:", worker.said.trimEnd()]),
			"",
		].join("\n");
	}

	forgetPanic(): void {
		this.#dead = undefined;
	}

	get bans(): BanList {
		return this.#banKeeper.list;
	}

	get workerPids(): number[] {
		return this.#workers.map((worker) => worker.pid);
	}

	get reports(): readonly WorkerReport[] {
		return [...this.#reports.values()];
	}

	get arena(): Arena | undefined {
		return this.#arena;
	}

	/** The file of the shared-memory log; empty while stopped. */
	get logPath(): string {
		return this.#ring === undefined ? "" : this.#logPath;
	}

	get control(): ControlPage | undefined {
		return this.#control;
	}

	get workerCount(): number {
		if (this.parameters.bit("debug", "vtc_mode")) return 1;
		const wanted = this.options.parameters.some(({ name }) => name === "thread_pools")
			? this.parameters.number("thread_pools")
			: cpus().length;
		return Math.max(1, Math.min(wanted, WORKER_LIMIT));
	}

	// ── VCL ─────────────────────────────────────────────────────────────────────────────────

	/** Compiles and loads a VCL everywhere. Returns warnings, or throws with the compiler's text. */
	async loadVcl(source: VclSource, state: ShelvedVcl["state"]): Promise<string> {
		const stevedores = this.options.storages.map(({ name }) => name);
		const result = await compileForShelf(source, this.parameters, [...this.labels.keys()], stevedores);
		if (!result.ok) throw new Error(result.message);
		const { vcl } = result;
		vcl.state = state;
		try {
			await this.#everywhere({ kind: "load", vcl: vcl.text });
		} catch (error) {
			await this.#everywhere({ kind: "discard", name: source.name });
			const message = error instanceof Error ? error.message : String(error);
			throw new InitialisationError(`VCL "${source.name}" Failed initialization\nMessage:\n\t${message}\n`);
		}
		this.vcls.set(source.name, vcl);
		this.vclNames.add(source.name);
		if (state !== "cold") this.#warm(vcl);
		for (const { name } of vcl.compiled.backends) {
			const key = `${vcl.name}.${name}`;
			if (this.verdictOf(key) === false) this.sendHealth(key);
		}
		return vcl.compiled.warnings;
	}

	async useVcl(name: string): Promise<void> {
		const target = this.labels.get(name) ?? name;
		await this.#everywhere({ kind: "use", name: target });
		const vcl = this.vcls.get(target);
		if (vcl !== undefined) this.#warm(vcl);
		this.active = name;
	}

	async labelVcl(label: string, name: string): Promise<void> {
		await this.#everywhere({ kind: "label", label, name });
		this.labels.set(label, name);
		this.vclNames.add(label);
		const vcl = this.vcls.get(name);
		if (vcl !== undefined && vcl.state !== "cold") this.#warm(vcl);
		if (this.active === label) await this.#everywhere({ kind: "use", name });
	}

	async discardVcl(name: string): Promise<void> {
		this.vclNames.delete(name);
		if (this.labels.delete(name)) {
			await this.#everywhere({ kind: "discard", name });
			return;
		}
		const vcl = this.vcls.get(name);
		if (vcl !== undefined) this.#cool(vcl);
		this.vcls.delete(name);
		await this.#everywhere({ kind: "discard", name });
		for (const key of [...this.admin.keys()]) if (key.startsWith(`${name}.`)) this.admin.delete(key);
	}

	setVclState(vcl: ShelvedVcl, state: ShelvedVcl["state"]): void {
		vcl.state = state;
		if (state === "cold") this.#cool(vcl);
		else this.#warm(vcl);
	}

	isCold(vcl: ShelvedVcl): boolean {
		return vcl.state === "cold" || vcl.cooled;
	}

	/** Requests and fetches that run it now. */
	busy(vcl: string): number {
		return this.reports.reduce((sum, report) => sum + (named(report.busy, vcl) ?? 0), 0);
	}

	/** An automatic program that nothing leads to is kept warm for vcl_cooldown; then its probes end. */
	#coolIdle(now: number): void {
		const cooldown = this.parameters.number("vcl_cooldown");
		const active = this.active && (this.labels.get(this.active) ?? this.active);
		const led = new Set([...this.labels.values(), active]);
		for (const vcl of this.vcls.values()) {
			if (vcl.state !== "auto" || vcl.cooled || led.has(vcl.name) || this.busy(vcl.name) > 0) {
				vcl.idleSince = undefined;
				continue;
			}
			vcl.idleSince ??= now;
			if (now - vcl.idleSince < cooldown) continue;
			vcl.cooled = true;
			this.#cool(vcl);
		}
	}

	#warm(vcl: ShelvedVcl): void {
		const now = Date.now() / 1000;
		vcl.cooled = false;
		for (const backend of vcl.compiled.backends) {
			const key = `${vcl.name}.${backend.name}`;
			if (!this.backendsSince.has(key)) this.backendsSince.set(key, now);
			if (backend.endpoint.kind !== "none") this.#board?.addBackend(key);
			if (backend.probe === null || this.state !== "running" || this.probes.has(key)) continue;
			const before = this.#probeLike(backend);
			this.probes.set(key, new Probe(vcl.name, backend, now, before, (report) => this.#probed(report)));
			// Unlike Varnish: nobody starts to doubt a backend because of a new VCL, nor to believe in one.
			if (before === null) continue;
			this.backendsSince.set(key, before.changedAt);
			this.sendHealth(key);
		}
	}

	/** The active VCL's if it has one. */
	#probeLike(backend: BackendDefinition): Probe | null {
		const alike = [...this.probes.values()].filter((probe) => probe.asksFor(backend));
		const active = this.active && (this.labels.get(this.active) ?? this.active);
		return alike.find(({ vcl }) => vcl === active) ?? alike.at(-1) ?? null;
	}

	/** Once something is known by each probe of a VCL. */
	async probed(name: string): Promise<void> {
		await Promise.all([...this.probes.values()].filter(({ vcl }) => vcl === name).map(({ heard }) => heard));
	}

	#cool(vcl: ShelvedVcl): void {
		for (const backend of vcl.compiled.backends) {
			const key = `${vcl.name}.${backend.name}`;
			this.probes.get(key)?.stop();
			this.probes.delete(key);
			this.#board?.withdrawBackend(key);
		}
	}

	#probed(report: ProbeReport): void {
		const key = `${report.vcl}.${report.backend}`;
		if (report.changed) this.backendsSince.set(key, Date.now() / 1000);
		this.sendHealth(key);
		const word = report.changed ? "Went" : "Still";
		this.#ring?.write(
			0,
			"",
			0,
			record(
				Tag.Backend_health,
				`${report.backend} ${word} ${report.healthy ? "healthy" : "sick"} ${report.bits} ${report.good} ${report.threshold} ${report.window} ${report.seconds.toFixed(6)} ${report.average.toFixed(6)} "${report.line}"`,
			),
		);
	}

	/** Takes over what another checker of this machine says; what it is silent about, it thinks well of. */
	setVerdicts(verdicts: ReadonlyMap<string, boolean>): void {
		const before = this.#verdicts;
		this.#verdicts = verdicts;
		for (const vcl of this.vcls.values())
			for (const backend of vcl.compiled.backends) {
				if (endpointsOf(backend).every((each) => before.get(each) === verdicts.get(each))) continue;
				const key = `${vcl.name}.${backend.name}`;
				this.backendsSince.set(key, Date.now() / 1000);
				this.sendHealth(key);
			}
	}

	/** False when another checker says that the backend is down; undefined when it does not know it. */
	verdictOf(key: string): boolean | undefined {
		const dot = key.indexOf(".");
		const backend = this.vcls
			.get(key.slice(0, dot))
			?.compiled.backends.find(({ name }) => name === key.slice(dot + 1));
		if (backend === undefined) return undefined;
		const known = endpointsOf(backend).flatMap((each) => this.#verdicts.get(each) ?? []);
		return known.length === 0 ? undefined : known.includes(true);
	}

	isHealthy(key: string): boolean {
		const admin = this.admin.get(key) ?? "auto";
		return admin === "auto" ? this.isThoughtHealthy(key) : admin === "healthy";
	}

	/** Without the operator's word. */
	isThoughtHealthy(key: string): boolean {
		return (this.probes.get(key)?.healthy ?? true) && (this.verdictOf(key) ?? true);
	}

	/** What a worker says of the directors, by "vcl.director"; nothing while none runs. */
	async directors(): Promise<ReadonlyMap<string, DirectorReport>> {
		const worker = this.#workers.find(({ exited }) => !exited);
		const answer = await worker?.call({ kind: "directors" }).catch(() => undefined);
		return new Map(Object.entries((answer ?? {}) as Record<string, DirectorReport>));
	}

	/** Tells the workers what is known of a backend's health, and what the operator says of it or of a director. */
	sendHealth(key: string): void {
		for (const worker of this.#workers) worker.send(this.#health(key));
	}

	#health(key: string): ToWorker {
		const dot = key.indexOf(".");
		return {
			kind: "health",
			vcl: key.slice(0, dot),
			backend: key.slice(dot + 1),
			admin: this.admin.get(key) ?? "auto",
			probeHealthy: this.isThoughtHealthy(key),
			changedAt: this.backendsSince.get(key) ?? this.startedAt,
		};
	}

	// ── bans ────────────────────────────────────────────────────────────────────────────────

	/**
	 * Adds a ban, of the command line or of a worker's VCL. When this returns, every worker that serves goes by it, and with
	 * a persistent store it will last; otherwise what is wrong with it. All numbers are given here, and each worker is told
	 * in their order: what it has tested against one ban, it has tested against those before.
	 */
	async ban(words: readonly string[]): Promise<string | undefined> {
		const parsed = parseBan(words);
		if (!parsed.ok) return parsed.message;
		if (this.#control === undefined) return "Child not running";
		const number = ++this.#control.bans[0]!;
		const addedAt = (performance.timeOrigin + performance.now()) / 1000;
		const ban = this.#banKeeper.add(number, addedAt, parsed);
		try {
			await this.#whereItServes({ kind: "ban", ban: { number, addedAt, words } });
			this.#banKeeper.save(ban);
			return undefined;
		} catch (error) {
			const text = error instanceof Error ? error.message : String(error);
			this.#log(`Error: a ban does not count everywhere, or is not on the disk: ${text}`);
			return text;
		}
	}

	/** `finished`: as far as the lurker has come with every object. */
	#tendBans(lurker: WorkerProcess, finished: BansFinished | undefined): void {
		if (finished !== undefined) this.#finishBans(finished, lurker);
		const { ban_lurker_sleep: sleep, ban_lurker_age: age } = this.parameters.values;
		const nowMs = performance.now();
		const references = () => this.banReferences();
		if (sleep === 0) {
			const nowSeconds = (performance.timeOrigin + nowMs) / 1000;
			const reached = this.#banKeeper.reached(nowMs, nowSeconds, Number(age), references);
			if (reached !== undefined && this.#arena !== undefined && this.#control !== undefined) {
				const over = this.#arena.endBans(this.#control.bans, reached);
				this.#finishBans({ all: over, ofObjects: over }, undefined);
			}
		}
		this.#banKeeper.dropUnreferenced(nowMs, references);
	}

	/** Everything stored is past these bans, as `knows` has found out by itself. */
	#finishBans(finished: BansFinished, knows: WorkerProcess | undefined): void {
		if (!this.bans.finish(finished)) return;
		for (const worker of this.#workers)
			if (worker !== knows && !worker.exited) worker.send({ kind: "bans-finished", finished });
	}

	/** Objects that refer to each ban, in the order of `bans.all`. */
	banReferences(): number[] {
		return this.bans.referenced(this.#arena?.banReferences() ?? new Map());
	}

	// ── start and stop ──────────────────────────────────────────────────────────────────────

	/** Starts the workers; resolves when all of them accept connections. */
	async start(): Promise<void> {
		this.state = "starting";
		this.#mgtValues[1]!++;
		const now = Date.now() / 1000;
		this.#childStartedAt = now;
		const child = new VsmDirectory(join(this.directory, "_.vsm_child"), process.pid, now);
		this.#child = child;
		createControlPage(this.#controlPath);
		this.#control = openControlPage(this.#controlPath);
		// The list outlives a stop: its numbers must not come again.
		this.#control.bans[0] = this.bans.newest;
		const logBytes = Math.ceil(this.parameters.number("vsl_space") / 8) * 8;
		const log = child.create("Log", logBytes);
		formatRing(log.map.subarray(0, logBytes));
		this.#logPath = join(child.path, log.file);
		child.announce(log.file, logBytes, "Log", "Log");
		this.#ring = new Ring(log.map, this.#control.ring, WORKER_LIMIT + 1, (holder) =>
			this.#isGone(holder - 1),
		);
		// The first ban asks for nothing; objects that no other was there for refer to it.
		if (this.bans.all.length === 0) this.bans.add(0, now, [], "", false).completed = true;
		this.#openStore(now);
		this.#board = new CounterBoard(
			child,
			this.options.storages.map(({ name }) => name),
		);
		this.addresses = [];
		this.state = "running";
		try {
			const workers = Array.from({ length: this.workerCount }, (_, index) => this.#spawn(index));
			// The first one finds the ports; the others share them.
			await this.#bringUp(workers[0]!);
			await Promise.all(workers.slice(1).map((worker) => this.#bringUp(worker)));
		} catch (error) {
			await this.stop();
			throw error;
		}
		for (const vcl of this.vcls.values()) if (!this.isCold(vcl)) this.#warm(vcl);
		this.#ring.write(0, "", 0, record(Tag.CLI, "Rd start") + record(Tag.CLI, "Wr 200 0 "));
		this.#ring.flush();
		this.#updateCounters();
		this.#log(`Debug: Child (${this.workerPids[0]}) Started`);
		this.#log(`Info: Child (${this.workerPids[0]}) said Child starts`);
	}

	/** A command that concerns what runs, and its answer, in the log. */
	logCommand(
		words: readonly string[],
		{ status, body }: { readonly status: number; readonly body: string },
	): void {
		if (this.#ring === undefined) return;
		const read = record(Tag.CLI, `Rd ${words.map((word) => `${word} `).join("")}`);
		this.#ring.write(0, "", 0, read + record(Tag.CLI, `Wr ${status} ${body.length} ${body}`));
		this.#ring.flush();
	}

	#openStore(now: number): void {
		const { storages } = this.options;
		const backed =
			storages.find(({ kind }) => kind === "persistent") ?? storages.find(({ kind }) => kind !== "malloc");
		this.#storePath =
			backed?.path ?? join("/dev/shm", `drover-store-${process.pid}-${Math.floor(this.startedAt)}`);
		mkdirSync(dirname(this.#storePath), { recursive: true, mode: 0o755 });
		if (backed !== undefined) this.#claim ??= claimStore(this.#storePath);
		const bans = `${this.#storePath}.bans`;
		const fits = backed?.kind === "persistent" && Arena.fits(this.#storePath, this.#storeSizes);
		const saved = fits ? new BanFile(bans).read() : undefined;
		if (fits && saved === undefined)
			this.#log(
				`Error: ${bans} is missing or damaged: nobody knows what is banned, so the store begins empty`,
			);
		if (saved === undefined) this.#checkSpace(dirname(this.#storePath));
		if (saved === undefined) Arena.create(this.#storePath, this.#storeSizes, now);
		if (backed === undefined) this.#hideStore();
		this.#arena = Arena.open(this.#storePath, this.#storeSizes, WORKER_LIMIT - 1);
		if (saved !== undefined) {
			const found = this.#arena.reopen(now, (storage) => storages[storage]?.kind === "persistent");
			this.#log(`Info: ${found} objects found in ${this.#storePath}`);
		}
		if (backed?.kind === "persistent") {
			this.#banKeeper.open(bans, saved ?? [], this.#arena.banReferences().keys());
			this.#control!.bans[0] = this.bans.newest;
		}
	}

	/**
	 * Memory has no name that outlives its processes, so that nothing is left of it when they are killed. Workers
	 * come to it by way of the manager's descriptor.
	 */
	#hideStore(): void {
		this.#storeFd = openSync(this.#storePath, "r+");
		rmSync(this.#storePath);
		this.#storePath = `/proc/${process.pid}/fd/${this.#storeFd}`;
	}

	/** A mapped page that the file system cannot give is a SIGBUS in a worker: better no start than that. */
	#checkSpace(place: string): void {
		const { bavail, bsize } = statfsSync(place);
		const old = existsSync(this.#storePath) ? statSync(this.#storePath).blocks * 512 : 0;
		const wanted = this.#storeSizes.reduce((sum, bytes) => sum + bytes, 0);
		if (bavail * bsize + old < wanted)
			throw new Error(
				`(-s) ${Math.round(wanted / 1048576)} MB are asked for, ${place} has ${Math.floor((bavail * bsize) / 1048576)} MB left`,
			);
	}

	#newProcess(): WorkerProcess {
		return new WorkerProcess({
			onMessage: (from, message) => this.#onMessage(from, message),
			onExit: (from, code, signal) => this.#onExit(from, code, signal),
		});
	}

	/** Keeps a process ready, so that a worker that dies is replaced without waiting for a program to load. */
	#keepSpare(): void {
		if (this.state === "running" && (this.#spare === undefined || this.#spare.exited))
			this.#spare = this.#newProcess();
	}

	#spawn(index: number): WorkerProcess {
		const worker = this.#spare === undefined || this.#spare.exited ? this.#newProcess() : this.#spare;
		this.#spare = undefined;
		worker.employ(index, {
			worker: index,
			storePath: this.#storePath,
			storages: this.options.storages.map(({ name, bytes }) => ({ name, bytes })),
			isPersistent: this.#isPersistent,
			controlPath: this.#controlPath,
			logPath: this.#logPath,
			identity: this.identity,
			hostname: hostname(),
			parameters: this.parameters.values,
			cacheStatus: this.options.cacheStatus,
			accessLog: this.options.accessLog,
		});
		this.#workers[index] = worker;
		this.#workerStartMs.set(index, Date.now());
		return worker;
	}

	/** Gives a new worker everything that it must know, then lets it accept. */
	async #bringUp(worker: WorkerProcess): Promise<void> {
		await worker.ready;
		worker.send(this.#parameterMessage());
		for (const ban of this.bans.all.filter(({ number }) => number > 0))
			await worker.call({
				kind: "ban",
				ban: {
					number: ban.number,
					addedAt: ban.addedAt,
					words: banWords(ban.text),
				},
			});
		for (const vcl of this.vcls.values()) await worker.call({ kind: "load", vcl: vcl.text });
		for (const [label, name] of this.labels) await worker.call({ kind: "label", label, name });
		const judged = [...this.vcls.values()].flatMap((vcl) =>
			vcl.compiled.backends
				.map(({ name }) => `${vcl.name}.${name}`)
				.filter((key) => this.verdictOf(key) === false),
		);
		for (const key of new Set([...this.admin.keys(), ...this.probes.keys(), ...judged]))
			worker.send(this.#health(key));
		if (this.active !== undefined)
			await worker.call({ kind: "use", name: this.labels.get(this.active) ?? this.active });
		const listeners = this.options.listeners.map(
			(listener, index): ListenerOption => ({
				...listener,
				port: this.addresses[index]?.port ?? listener.port,
			}),
		);
		worker.serves = true;
		const addresses = (await worker.call({ kind: "listen", listeners })) as ListenAddress[];
		if (this.addresses.length === 0) this.addresses = addresses;
		// Not in the way of those that serve already.
		clearTimeout(this.#spareTimer);
		this.#spareTimer = setTimeout(() => this.#keepSpare(), SPARE_PAUSE_MS);
	}

	/** Every worker accepts with the certificates that the files hold now. */
	async renewCertificates(): Promise<void> {
		await this.#everywhere({ kind: "renew-certificates" });
	}

	#parameterMessage(): ToWorker {
		setPayloadLimit(this.parameters.number("vsl_reclen"));
		return {
			kind: "parameters",
			parameters: this.parameters.values,
			hiddenTags: this.parameters.hiddenTags(),
		};
	}

	/** A parameter has changed. */
	announceParameters(): void {
		for (const worker of this.#workers) worker.send(this.#parameterMessage());
	}

	async #everywhere(message: CallOf): Promise<void> {
		await Promise.all(this.#workers.filter((worker) => !worker.exited).map((worker) => worker.call(message)));
	}

	/**
	 * The same, but nobody waits for one that does not serve yet: it will have done this first. One that ends meanwhile
	 * answers nobody any more, and who takes its place is told everything.
	 */
	async #whereItServes(message: CallOf): Promise<void> {
		const told = async (worker: WorkerProcess) => {
			try {
				const done = worker.call(message);
				if (worker.serves) await done;
				else done.catch(() => {});
			} catch (error) {
				if (!(await worker.ends())) throw error;
			}
		};
		await Promise.all(this.#workers.filter((worker) => !worker.exited).map(told));
	}

	#onMessage(from: WorkerProcess, message: FromWorker): void {
		switch (message.kind) {
			case "ban": {
				const { ticket, words } = message;
				void this.ban(words).then((error) => from.send({ kind: "ban-known", ticket, error }));
				return;
			}
			case "report":
				this.#reports.set(from.index, message.report);
				this.#news = true;
				if (from.index === 0) this.#tendBans(from, message.report.bansFinished);
				return;
			default:
				return;
		}
	}

	#isGone(index: number): boolean {
		return this.#workers[index]?.isGone === true;
	}

	#onExit(from: WorkerProcess, code: number | null, signal: string | null): void {
		if (this.#workers[from.index] !== from || this.state !== "running") return;
		this.#mgtValues[4]!++;
		const how = signal === null ? `status=${code}` : `signal=${signal}`;
		this.#dead = { worker: from, how, at: new Date().toUTCString() };
		this.#log(`Error: Child (${from.pid}) died ${how}`);
		this.#arena?.bury(from.index, Date.now() / 1000, (index) => this.#isGone(index));
		const ring = this.#control?.ring;
		if (ring !== undefined) Atomics.compareExchange(ring, 0, from.index + 1, 0);
		if (this.#control !== undefined) clearBusyMarks(this.#control.busy, from.index);
		if (this.parameters.values["auto_restart"] !== true) {
			this.state = "died";
			void this.stop().then(() => this.onDied());
			return;
		}
		const quick = Date.now() - (this.#workerStartMs.get(from.index) ?? 0) < QUICK_DEATH_MS;
		setTimeout(
			() => {
				if (this.state !== "running") return;
				const worker = this.#spawn(from.index);
				this.#bringUp(worker).catch((error: unknown) =>
					this.#log(`Error: worker ${from.index}: ${error instanceof Error ? error.message : error}`),
				);
			},
			quick ? RESTART_PAUSE_MS : 0,
		);
	}

	/** A worker dies as if by an error of its own (debug.panic.worker). Resolves when it is gone. */
	async killWorker(): Promise<void> {
		const [worker] = this.#workers;
		if (worker === undefined) return;
		process.kill(worker.pid, "SIGABRT");
		while (!worker.exited) await Bun.sleep(5);
	}

	/** Stops the workers; the cache's contents go, unless the store is persistent. */
	async stop(): Promise<void> {
		if (this.state === "stopped") return;
		this.state = "stopping";
		for (const probe of this.probes.values()) probe.stop();
		this.probes.clear();
		clearTimeout(this.#spareTimer);
		const spare = this.#spare;
		this.#spare = undefined;
		await Promise.all([...this.#workers, ...(spare === undefined ? [] : [spare])].map((each) => each.stop()));
		this.#workers = [];
		this.#reports.clear();
		this.#updateCounters();
		this.#ring?.flush();
		this.#ring = undefined;
		if (this.#isPersistent) this.#arena?.layDown();
		this.#arena = undefined;
		this.#control = undefined;
		this.#board = undefined;
		this.#child?.remove();
		this.#child = undefined;
		this.#claim?.release();
		this.#claim = null;
		if (this.#storeFd !== null) closeSync(this.#storeFd);
		this.#storeFd = null;
		rmSync(this.#controlPath, { force: true });
		this.addresses = [];
		this.#mgtValues[2]!++;
		this.#mgtValues[3]!++;
		this.state = "stopped";
	}

	// ── counters ────────────────────────────────────────────────────────────────────────────

	/** Sums of the workers' MAIN counters by name, gauges worked out. */
	mainFigures(): Map<string, number> {
		const count = Math.max(this.#workers.length, 1);
		return mainFigures({
			workerCounters: Array.from({ length: count }, (_, worker) => this.#control?.counters(worker) ?? []),
			store: this.#arena?.figures(),
			reports: this.reports,
			parameters: this.parameters,
			vcls: [...this.vcls.values()],
			bans: this.bans,
			uptimeSeconds: Math.floor(Date.now() / 1000 - this.#childStartedAt),
		});
	}

	#news = true;
	#updatedMs = 0;

	/** Without a worker's report nothing but the clock has moved. */
	#updateIfNews(): void {
		const nowMs = performance.now();
		if (this.state === "running") this.#coolIdle(nowMs / 1000);
		if (!this.#news && nowMs - this.#updatedMs < IDLE_COUNTERS_MS) return;
		this.#news = false;
		this.#updatedMs = nowMs;
		this.#updateCounters();
	}

	#updateCounters(): void {
		this.#mgtValues[0] = BigInt(Math.floor(Date.now() / 1000 - this.startedAt));
		this.#board?.update({
			main: this.mainFigures(),
			store: this.#arena?.figures(),
			reports: this.reports,
			probeBits: (key) => this.probes.get(key)?.happy,
		});
	}

	async shutDown(): Promise<void> {
		// The index goes first: a tool that watches it must not wait for a daemon that is ending.
		await this.stop();
		clearInterval(this.#timer);
		this.#mgt.remove();
	}

	banner(): string {
		const rule = "-".repeat(29);
		const lines = [
			rule,
			"Varnish Cache CLI 1.0",
			rule,
			platformText(this.options),
			"varnish-7.1.1 revision drover",
			"",
			"Type 'help' for command list.",
			"Type 'quit' to close CLI session.",
		];
		if (this.state === "stopped") lines.push("Type 'start' to launch worker process.");
		return `${lines.join("\n")}\n`;
	}
}
