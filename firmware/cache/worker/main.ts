/** A worker process: it serves clients. Everything it needs to know comes from the manager over the channel. */
import { readFileSync } from "node:fs";
import { relaxDates } from "../http/date.ts";
import { record, setPayloadLimit } from "../log/records.ts";
import { Ring } from "../log/ring.ts";
import { shownTags, Tag, type TagName } from "../log/tags.ts";
import { Arena } from "../store/arena.ts";
import { BanList, banWords, parseBan } from "../store/bans.ts";
import { Flusher } from "../store/flusher.ts";
import { compileVcl } from "../vcl/compile.ts";
import { formatFailure } from "../vcl/diagnostic.ts";
import type { Stevedore, VclHost } from "../vcl/runtime.ts";
import { AccessLog } from "./access-log.ts";
import { Backend, type BackendConnection } from "./backend.ts";
import { forgetBackendBlocks } from "./backend-block.ts";
import { BusyMarks } from "./busy-marks.ts";
import { forgetForwarded } from "./client-messages.ts";
import { openControlPage } from "./control.ts";
import { type ActiveVcl, Engine } from "./engine.ts";
import { IdlePools } from "./idle-pool.ts";
import { Listeners } from "./listeners.ts";
import { BanLurker } from "./lurker.ts";
import { workerParameters } from "./parameters.ts";
import { PurgeMarks } from "./purge-marks.ts";
import type { BanMessage, FromWorker, Setup, ToWorker, VclText } from "./wire.ts";

/** Milliseconds between looks at the clocks of sessions and idle backend connections. */
const SWEEP_MS = 250;
const REPORT_MS = 100;
/** A worker that does nothing says so less often: a small box pays for every wake-up. */
const IDLE_REPORT_MS = 1000;

const changesOutcomes: ReadonlySet<ToWorker["kind"]> = new Set(["parameters", "use", "label", "discard"]);

const send = (message: FromWorker) => {
	if (process.connected) process.send!(message);
};

class Storage implements Stevedore {
	readonly name: string;
	readonly happy = true;
	readonly #number: number;
	readonly #arena: Arena;
	constructor(name: string, number: number, arena: Arena) {
		this.name = name;
		this.#number = number;
		this.#arena = arena;
	}
	get freeSpaceBytes(): number {
		return this.#arena.figures().storages[this.#number]!.spaceBytes;
	}
	get usedSpaceBytes(): number {
		return this.#arena.figures().storages[this.#number]!.bytes;
	}
}

class Worker {
	readonly #engine: Engine;
	readonly #ring: Ring;
	readonly #bans: BanList;
	readonly #arena: Arena;
	readonly #vcls = new Map<string, ActiveVcl>();
	readonly #pools = new IdlePools<BackendConnection>();
	readonly #backends = new Map<string, Backend[]>();
	readonly #listeners: Listeners;
	readonly #lurker: BanLurker;
	readonly #setup: Setup;

	constructor(setup: Setup) {
		this.#setup = setup;
		const control = openControlPage(setup.controlPath);
		this.#arena = Arena.open(
			setup.storePath,
			setup.storages.map(({ bytes }) => bytes),
			setup.worker,
		);
		this.#ring = new Ring(Bun.mmap(setup.logPath, { shared: true }), control.ring, setup.worker);
		this.#bans = new BanList();
		this.#bans.setNewest(control.bans[0]!);
		this.#engine = new Engine({
			arena: this.#arena,
			bans: this.#bans,
			log: this.#ring,
			counters: control.counters(setup.worker),
			transactions: control.transactions,
			busy: new BusyMarks(control.busy, setup.worker),
			purges: new PurgeMarks(control.purges),
			banNumbers: control.bans,
			parameters: workerParameters(setup.parameters),
			identity: setup.identity,
			hostname: setup.hostname,
			storages: setup.storages.map(({ name }, number) => new Storage(name, number, this.#arena)),
			flusher: setup.isPersistent ? new Flusher(setup.storePath) : undefined,
			publishBan: (ticket, text) => send({ kind: "ban", ticket, words: banWords(text) }),
		});
		this.#engine.cacheStatus = setup.cacheStatus;
		if (setup.accessLog !== undefined) this.#engine.accessLog = new AccessLog(setup.accessLog);
		this.#listeners = new Listeners(this.#engine);
		this.#lurker = new BanLurker(this.#engine);
		setInterval(() => this.#sweep(), SWEEP_MS);
		setInterval(() => this.#reportIfNews(), REPORT_MS);
	}

	#sweep(): void {
		this.#engine.adjustClock();
		const now = this.#engine.now();
		this.#listeners.checkTimes(now * 1000);
		this.#pools.closeIdle(now - this.#engine.parameters.backendIdleTimeout);
		this.#arena.expire(now);
	}

	#pulse = -1;
	#reportedMs = 0;

	/** Counters that stand still have nothing to tell. */
	#reportIfNews(): void {
		let pulse = this.#engine.sessionCount + this.#ring.written;
		for (const count of this.#engine.counters) pulse += count;
		const nowMs = performance.now();
		if (pulse === this.#pulse && nowMs - this.#reportedMs < IDLE_REPORT_MS) return;
		this.#pulse = pulse;
		this.#reportedMs = nowMs;
		this.#report();
	}

	#report(): void {
		const backends: Record<string, Record<string, number>> = {};
		for (const [vcl, list] of this.#backends)
			for (const backend of list) backends[`${vcl}.${backend.name}`] = { ...backend.figures };
		send({
			kind: "report",
			report: {
				backends,
				sessions: this.#engine.sessionCount,
				bans: { tested: this.#bans.tested, testsTested: this.#bans.testsTested },
				bansFinished: this.#lurker.finished,
				logRecords: this.#ring.written,
				logFlushes: this.#ring.flushes,
				logCycles: this.#ring.cycles,
				busy: Object.fromEntries([...this.#vcls].map(([name, vcl]) => [name, vcl.busy])),
			},
		});
	}

	async handle(message: Exclude<ToWorker, { kind: "setup" }>): Promise<unknown> {
		// What was learnt holds for the program and the parameters of its time.
		if (changesOutcomes.has(message.kind)) this.#engine.forgetOutcomes();
		switch (message.kind) {
			case "parameters": {
				const spokeHttp2 = this.#engine.parameters.http2 !== undefined;
				this.#engine.parameters = workerParameters(message.parameters);
				if (spokeHttp2 !== (this.#engine.parameters.http2 !== undefined)) this.#listeners.renewProtocols();
				relaxDates(this.#engine.parameters.relaxedDates);
				setPayloadLimit(Number(message.parameters["vsl_reclen"]));
				this.#ring.immediate = this.#engine.parameters.synchronousLog;
				shownTags.fill(1);
				for (const name of message.hiddenTags) shownTags[Tag[name as TagName]] = 0;
				forgetForwarded();
				forgetBackendBlocks();
				this.#engine.objects.forget();
				return undefined;
			}
			case "load":
				this.#load(message.vcl);
				return undefined;
			case "use": {
				const vcl = this.#vcls.get(message.name);
				if (vcl === undefined) throw new Error(`no VCL ${message.name}`);
				this.#engine.active = vcl;
				return undefined;
			}
			case "label": {
				const vcl = this.#vcls.get(message.name);
				if (vcl === undefined) throw new Error(`no VCL ${message.name}`);
				this.#engine.labels.set(message.label, vcl);
				return undefined;
			}
			case "discard":
				this.#discard(message.name);
				return undefined;
			case "listen":
				// Not before: whoever knows later bans alone would take objects past those that it has not been told of yet.
				if (this.#setup.worker === 0) this.#lurker.run();
				return this.#listeners.open(message.listeners);
			case "renew-certificates":
				this.#listeners.renewCertificates();
				return undefined;
			case "ban":
				this.#addBan(message.ban);
				return undefined;
			case "ban-known":
				this.#engine.banKnown(message.ticket, message.error);
				return undefined;
			case "bans-finished":
				this.#bans.finish(message.finished);
				return undefined;
			case "health": {
				const backend = this.#backends.get(message.vcl)?.find(({ name }) => name === message.backend);
				if (backend !== undefined) {
					backend.admin = message.admin;
					backend.probeHealthy = message.probeHealthy;
					backend.changedAt = message.changedAt;
					return undefined;
				}
				const director = this.#vcls.get(message.vcl)?.loaded.directors.get(message.backend);
				if (director !== undefined) {
					director.admin = message.admin;
					director.adminChangedAt = message.changedAt;
				}
				return undefined;
			}
			case "directors":
				return Object.fromEntries(
					[...this.#vcls.values()].flatMap(({ name, loaded }) =>
						[...loaded.directors.values()].map((each) => [`${name}.${each.name}`, each.report()]),
					),
				);
			case "report":
				this.#report();
				return undefined;
			case "stop":
				this.#listeners.farewell();
				this.#ring.flush();
				this.#engine.accessLog?.flush();
				process.exit(0);
		}
	}

	#addBan(ban: BanMessage): void {
		if (this.#bans.all.some(({ number }) => number === ban.number)) return;
		const parsed = parseBan(ban.words);
		if (parsed.ok) {
			const { banDuplicates } = this.#engine.parameters;
			this.#bans.add(ban.number, ban.addedAt, parsed.tests, parsed.text, banDuplicates);
		}
		this.#lurker.wake();
	}

	#load(text: VclText): void {
		const compiled = compileVcl(text.source, {
			name: text.sourceName,
			include: ({ name, glob }) => ({ ok: true, files: text.includes[`${name}\0${glob}`] ?? [] }),
			resolve: (name) => ({ ok: true, addresses: text.hosts[name] ?? [] }),
			stevedores: text.stevedores,
			labels: text.labels,
			unusedIsError: text.unusedIsError,
		});
		if (!compiled.ok) throw new Error(formatFailure(compiled.error));
		const engine = this.#engine;
		const backends: Backend[] = [];
		const host: VclHost = {
			backend: (definition) => {
				const known = backends.find(({ name }) => name === definition.name);
				if (known !== undefined) return known;
				const backend = new Backend(text.name, definition, engine.now(), this.#pools);
				backend.probeHealthy =
					definition.probe === null || definition.probe.initial >= definition.probe.threshold;
				backends.push(backend);
				return backend;
			},
			stevedore: (name) => engine.storages.find((storage) => storage.name === name) ?? null,
			identity: this.#setup.identity,
			hostname: this.#setup.hostname,
			readFile: (path) => {
				try {
					return readFileSync(path, "latin1");
				} catch {
					return null;
				}
			},
			fileExists: (path) => {
				try {
					readFileSync(path);
					return true;
				} catch {
					return false;
				}
			},
			getenv: (name) => process.env[name] ?? null,
			syslog: (_priority, line) => console.error(line),
			resolveName: () => null,
			random: Math.random,
			clock: () => engine.now(),
			log: (tag, line) => {
				// Every worker has its objects made; what is said about it is said once.
				if (this.#setup.worker === 0) engine.log.write(0, "", 0, record(Tag[tag], line));
			},
		};
		const loaded = compiled.vcl.link(host);
		const started = loaded.init();
		if (!started.ok) throw new Error(started.message);
		this.#vcls.set(text.name, { name: text.name, loaded, busy: 0 });
		this.#backends.set(text.name, backends);
	}

	#discard(name: string): void {
		const vcl = this.#vcls.get(name);
		this.#vcls.delete(name);
		for (const [label, target] of this.#engine.labels)
			if (target === vcl || label === name) this.#engine.labels.delete(label);
		for (const { pool } of this.#backends.get(name) ?? []) this.#pools.release(pool);
		this.#backends.delete(name);
		try {
			vcl?.loaded.fini();
		} catch {
			// vcl_fini has nothing left to decide.
		}
	}
}

/** Runs until the manager says stop or goes away. */
export async function workerMain(): Promise<number> {
	let worker: Worker | undefined;
	process.on("disconnect", () => process.exit(0));
	process.on("SIGINT", () => {});
	process.on("message", (message: ToWorker) => {
		void (async () => {
			if (message.kind === "setup") {
				worker = new Worker(message.setup);
				send({ kind: "ready" });
				return;
			}
			// A spare one that was never employed has nothing to put in order.
			if (worker === undefined && message.kind === "stop") process.exit(0);
			const call = "call" in message ? message.call : undefined;
			try {
				const value = await worker?.handle(message);
				if (call !== undefined) send({ kind: "done", call, error: undefined, value });
			} catch (error) {
				if (call !== undefined)
					send({
						kind: "done",
						call,
						error: error instanceof Error ? error.message : String(error),
						value: undefined,
					});
			}
		})();
	});
	return new Promise(() => {});
}
