/**
 * `drover cache serve`: the cache as a service of the box. It runs what the current revision says, answers on
 * its own socket, and takes a new revision over without losing a request.
 */

import { randomBytes } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { method, serve as serveBus } from "../../bus/server.ts";
import { configDirectory } from "../../config/revisions/workspace.ts";
import type { CacheBackendStatus, CacheStatus } from "../../status/cache.ts";
import { type Log, openLog } from "../../status/log.ts";
import { runCommand } from "../cli/commands.ts";
import { listenCli } from "../cli/server.ts";
import { Manager } from "../manager/manager.ts";
import { followDirector } from "./director-verdicts.ts";
import { countsOf, RecentFigures } from "./figures.ts";
import { ASK_LISTENER, type CacheRevision, optionsOf, parametersOf, readRevision } from "./revision.ts";
import { serviceDirectory } from "./service-directory.ts";

const SAMPLE_MS = 1_000;
/** VCLs of older revisions that stay warm for a while, for the requests that still use them. */
const OLD_VCL_LIMIT = 2;
const SECRET_BYTES = 32;
/** So long a new VCL waits for answers to its probes before it comes into force. */
const FIRST_PROBES_LIMIT_MS = 3_000;

/** Runs until the supervisor stops it, or a revision asks for a restart. */
export async function serveRevision(): Promise<number> {
	const log = openLog("cache");
	const { promise: stopping, resolve: stop } = Promise.withResolvers<string>();
	process.on("SIGTERM", () => stop("SIGTERM"));
	process.on("SIGINT", () => stop("SIGINT"));
	process.on("SIGHUP", () => {});
	const folder = join(configDirectory(), "current");
	let revision: CacheRevision | null;
	try {
		revision = await readRevision(folder);
	} catch (error) {
		log.fatal(message(error));
		console.error(`drover cache: ${message(error)}`);
		// The supervisor tries again; a host name in the VCL may be known then.
		await Bun.sleep(5_000);
		return 1;
	}
	if (revision === null) {
		console.error(`drover cache: ${join(folder, "appliance.toml")} does not turn the cache on`);
		return 1;
	}
	const service = new CacheService(revision, folder, log, stop);
	try {
		await service.start();
	} catch (error) {
		log.fatal(message(error));
		console.error(`drover cache: ${message(error)}`);
		await service.close();
		return 1;
	}
	log.info(`stopping: ${await stopping}`);
	await service.close();
	process.exit(0);
}

const message = (error: unknown) => (error instanceof Error ? error.message : String(error));

class CacheService {
	readonly #folder: string;
	readonly #log: Log;
	readonly #restart: (reason: string) => void;
	readonly #startedAtMs = Date.now();
	readonly #directory = serviceDirectory();
	readonly #manager: Manager;
	readonly #figures = new RecentFigures();
	#revision: CacheRevision;
	#reload: CacheStatus["reload"] = null;
	#reloads = 0;
	readonly #started = Promise.withResolvers<string>();
	/** A reload that comes during the start waits for its end: a commit then is not missed. */
	#reloading = this.#started.promise;
	#vclFile = "";
	#close: (() => void)[] = [];

	constructor(revision: CacheRevision, folder: string, log: Log, restart: (reason: string) => void) {
		this.#revision = revision;
		this.#folder = folder;
		this.#log = log;
		this.#restart = restart;
		mkdirSync(this.#directory, { recursive: true, mode: 0o755 });
		this.#manager = new Manager(
			optionsOf(revision.settings, this.#directory, folder),
			parametersOf(revision.settings, folder),
			this.#directory,
			(line) => log.info(line),
		);
	}

	async start(): Promise<void> {
		const manager = this.#manager;
		const bus = serveBus("cache", {
			status: method(z.object({}), () => this.status()),
			config: method(z.object({}), () => this.#revision.settings),
			reload: method(z.object({}), () => this.reload()),
			/** A line of varnishd's management protocol, in words. */
			command: method(
				z.object({ words: z.array(z.string().max(65536)).min(1).max(1000) }),
				async ({ words }) => {
					await this.#started.promise;
					return runCommand(manager, words, true);
				},
			),
			/** Where the shared-memory log is, for readers on this machine. */
			log: method(z.object({}), () => ({ path: manager.logPath })),
		});
		this.#close.push(() => bus.close());
		await this.#useVcl(this.#revision);
		await this.#openCli();
		await manager.start();
		this.#started.resolve("");
		const sample = setInterval(
			() => this.#figures.add(Date.now(), countsOf(manager.mainFigures())),
			SAMPLE_MS,
		);
		this.#close.push(
			() => clearInterval(sample),
			followDirector((verdicts) => manager.setVerdicts(verdicts)),
		);
		manager.onDied = () => this.#restart("a worker died, and auto_restart is off");
		this.#log.info(
			`serving on ${manager.addresses.map(({ address, port }) => `${address} ${port}`).join(", ")}`,
		);
	}

	/** varnishadm -n DIRECTORY finds the address and the secret in the shared memory. */
	async #openCli(): Promise<void> {
		const secret = randomBytes(SECRET_BYTES);
		const path = join(this.#directory, "_.secret");
		writeFileSync(path, secret, { mode: 0o600 });
		const { address = "127.0.0.1", port = 0 } = this.#revision.settings.management ?? {};
		const cli = await listenCli(this.#manager, secret, address, port);
		this.#manager.addArgument("-T", `${cli.address} ${cli.port}\n`);
		this.#manager.addArgument("-S", path);
	}

	async #useVcl(revision: CacheRevision): Promise<void> {
		const manager = this.#manager;
		const name = this.#reloads === 0 ? "boot" : `reload_${this.#reloads}`;
		this.#reloads++;
		await manager.loadVcl({ name, ...revision.vcl }, "auto");
		// What runs serves meanwhile: a backend that is new is asked before clients are sent to it.
		if (name !== "boot") await Promise.race([manager.probed(name), Bun.sleep(FIRST_PROBES_LIMIT_MS)]);
		await manager.useVcl(name);
		this.#vclFile = revision.vcl.file;
		const old = [...manager.vcls.keys()].filter(
			(each) =>
				/^(boot|reload_\d+)$/.test(each) && each !== name && ![...manager.labels.values()].includes(each),
		);
		for (const each of old.slice(0, -OLD_VCL_LIMIT)) await manager.discardVcl(each);
	}

	/** One after the other; one that waits reads the files as they are then. Rejects with the reason when refused. */
	reload(): Promise<string> {
		this.#reloading = this.#reloading.catch(() => "").then(() => this.#reloadOnce());
		return this.#reloading;
	}

	async #reloadOnce(): Promise<string> {
		const note = (ok: boolean, text: string) => {
			this.#reload = { atMs: Date.now(), ok, message: text };
			this.#log[ok ? "info" : "error"](text);
		};
		try {
			const next = await readRevision(this.#folder);
			const text = await this.#takeOver(next);
			note(true, text);
			return text;
		} catch (error) {
			note(false, `not taken over, what runs stays: ${message(error)}`);
			throw error;
		}
	}

	async #takeOver(next: CacheRevision | null): Promise<string> {
		const running = this.#revision;
		if (next === null) {
			setTimeout(() => this.#restart("the revision turns it off"), 0);
			return "stops: the revision turns it off";
		}
		const fixed = ({ listen, tls, storage, management, cache_status }: CacheRevision["settings"]) => ({
			listen,
			tls,
			storage,
			management,
			cache_status,
		});
		if (!isDeepStrictEqual(fixed(next.settings), fixed(running.settings))) {
			setTimeout(() => this.#restart("listeners or storage have changed"), 0);
			return "starts anew: listeners or storage have changed";
		}
		this.#takeParameters(running.settings.parameters, next.settings.parameters);
		const same =
			isDeepStrictEqual(next.vcl, running.vcl) && isDeepStrictEqual(next.includes, running.includes);
		const renews = !isDeepStrictEqual(next.certificates, running.certificates);
		if (renews) await this.#manager.renewCertificates();
		if (!same) await this.#useVcl(next);
		this.#revision = next;
		const done = [
			...(same ? [] : [`${next.vcl.file} is active as ${this.#manager.active}`]),
			...(renews ? ["certificates are renewed"] : []),
		];
		return done.join("; ") || "nothing has changed for the cache";
	}

	#takeParameters(
		before: Readonly<Record<string, unknown>>,
		after: CacheRevision["settings"]["parameters"],
	): void {
		const { parameters } = this.#manager;
		for (const name of Object.keys(before)) if (!Object.hasOwn(after, name)) parameters.reset(name);
		for (const [name, value] of Object.entries(after)) parameters.set(name, value, false);
		this.#manager.announceParameters();
	}

	status(): CacheStatus {
		const manager = this.#manager;
		const store = manager.arena?.figures();
		return {
			startedAtMs: this.#startedAtMs,
			state: manager.state,
			vcl: manager.active === undefined ? null : { name: manager.active, file: this.#vclFile },
			reload: this.#reload,
			listeners: manager.addresses.filter(({ name }) => name !== ASK_LISTENER),
			storages: manager.options.storages
				.filter(({ bytes }) => bytes > 0)
				.map(({ name, kind, bytes }) => ({ name, kind, bytes })),
			workerPids: manager.workerPids,
			panic: manager.death ?? null,
			total: this.#figures.total(),
			recent: this.#figures.recent(),
			objects: store?.objects ?? 0,
			usedBytes: store?.bytes ?? 0,
			freeBytes: Math.max(0, store?.spaceBytes ?? 0),
			evicted: store?.nuked ?? 0,
			expired: store?.expired ?? 0,
			sessions: manager.reports.reduce((sum, { sessions }) => sum + sessions, 0),
			bans: manager.bans.all.filter(({ completed }) => !completed).length,
			backends: this.#backends(),
		};
	}

	#backends(): CacheBackendStatus[] {
		const manager = this.#manager;
		const active = manager.vcls.get(manager.labels.get(manager.active ?? "") ?? manager.active ?? "");
		return (active?.compiled.backends ?? []).map(({ name }) => {
			const key = `${active!.name}.${name}`;
			const probe = manager.probes.get(key);
			const sum = (figure: string) =>
				manager.reports.reduce((total, { backends }) => total + (backends[key]?.[figure] ?? 0), 0);
			return {
				name: key,
				healthy: manager.isHealthy(key),
				admin: manager.admin.get(key) ?? "auto",
				probe:
					probe === undefined ? null : { good: probe.good, window: probe.window, healthy: probe.healthy },
				director: manager.verdictOf(key) ?? null,
				requests: sum("req"),
				connections: sum("conn"),
				failedConnects: sum("fail"),
			};
		});
	}

	async close(): Promise<void> {
		for (const close of this.#close) close();
		await this.#manager.shutDown();
		rmSync(join(this.#directory, "_.secret"), { force: true });
	}
}
