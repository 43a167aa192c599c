/** `drover director`: health checks and the kernel's IPVS table, in the foreground. */
import { existsSync, renameSync, writeFileSync } from "node:fs";
import type { BusServer } from "../bus/server.ts";
import { runDirectory } from "../bus/socket-path.ts";
import { formatDiagnostic, MISSING_INTERFACE, problemOf } from "../config/keepalived/diagnostics.ts";
import {
	forgetKept,
	goesOnInstead,
	type KeptLoad,
	loadAtStart,
	loadKeeping,
} from "../config/keepalived/kept.ts";
import { ANY_MAY_MISS, type LoadedConfig, namedIn } from "../config/keepalived/load.ts";
import { ServerMemory } from "../config/keepalived/server-memory.ts";
import type { DroverConfig } from "../config/model.ts";
import { endSoon, toldBySignals } from "../ending.ts";
import { IpvsClient } from "../kernel/ipvs-client.ts";
import { namespacePath } from "../kernel/namespace-path.ts";
import { enterNetworkNamespace, inNetworkNamespace } from "../kernel/network-namespace.ts";
import { dumpFile } from "../process-files.ts";
import { applyProcessSettings } from "../process-settings.ts";
import { type Log, openLog } from "../status/log.ts";
import { Director } from "./director.ts";
import { leaveMemory, makeRoom, tidyMemory } from "./tidy-memory.ts";
import type { VrrpLink } from "./vrrp-link.ts";

/** Exit statuses of keepalived (lib/scheduler.h). */
const EXIT_NO_CONFIG = 6;
const EXIT_FATAL = 1;

const help = `usage: drover director [-f FILE] [-i ID] [-I]
       drover director status | reload | look
       drover director drain | maintenance | undo REAL-SERVER [VIRTUAL-SERVER]

Without a word: runs the virtual servers of a keepalived.conf in the foreground.
  -f, --use-file=FILE     the configuration (/etc/keepalived/keepalived.conf)
  -i, --config-id=ID      the id that @ID lines are compared with (the host name)
  -I, --dont-release-ipvs leave the kernel's table as it is at the end
SIGHUP reads the configuration again; SIGUSR1 writes keepalived_check.data into the temporary directory.

With a word: asks the director that runs.
  status       what it says of itself, as JSON
  reload       reads the configuration again, as SIGHUP does; says why when it is refused
  look         compares the kernel's table with what it should be, now
  drain        gives a real server (10.0.0.1:80, or an address for all its ports) no new
               connections, and takes it out when the last one has ended
  maintenance  takes a real server out at once
  undo         undoes either

examples:
  drover director drain 10.80.0.102:80
      in all virtual servers, before that server is worked on
  drover director undo 10.80.0.102:80
      it serves again`;

export async function main(words: readonly string[]): Promise<number> {
	// As a starting box calls it: reading other words would load a good part of what all of this loads.
	if (words.length === 2 && words[0] === "-f") return run(words[1]!, undefined, false);
	let parsed: Awaited<ReturnType<typeof parse>>;
	try {
		parsed = await parse(words);
	} catch (error) {
		console.error(`drover director: ${error instanceof Error ? error.message : error}\n\n${help}`);
		return 2;
	}
	const { values, positionals } = parsed;
	if (values.help) {
		console.log(help);
		return 0;
	}
	if (positionals.length > 0) return ask(positionals);
	return run(
		values["use-file"] ?? "/etc/keepalived/keepalived.conf",
		values["config-id"],
		values["dont-release-ipvs"] ?? false,
	);
}

async function parse(words: readonly string[]) {
	const { parseArgs } = await import("node:util");
	return parseArgs({
		args: [...words],
		options: {
			"use-file": { type: "string", short: "f" },
			"config-id": { type: "string", short: "i" },
			"dont-release-ipvs": { type: "boolean", short: "I" },
			help: { type: "boolean", short: "h" },
		},
		allowPositionals: true,
	});
}

async function run(file: string, configId: string | undefined, keepTable: boolean): Promise<number> {
	const log = openLog("director");
	const ending = toldBySignals(log);
	let reloadAsked = false;
	let reload: () => void = () => {
		reloadAsked = true;
	};
	process.on("SIGHUP", () => reload());
	let dump: () => void = () => {};
	process.on("SIGUSR1", () => dump());
	// keepalived's statistics, which only VRRP has; without a handler it would end the process.
	process.on("SIGUSR2", () => {});

	const memory = new ServerMemory();
	const options = configId === undefined ? { memory } : { configId, memory };
	let first: KeptLoad | null = loadAtStart("director", file, options);
	if (first.refused === null && !existsSync(file)) {
		log.fatal(`cannot read ${file}: there is no such file`);
		console.error(`drover director: cannot read ${file}: there is no such file`);
		return EXIT_NO_CONFIG;
	}
	let server: BusServer | null = null;
	// The first configuration must not outlive its reload: a large one is tens of megabytes.
	const open = (config: DroverConfig) => {
		const { networkNamespace, ipvsNetworkNamespace } = config.global;
		if (networkNamespace !== null) enterNetworkNamespace(namespacePath(networkNamespace));
		return new Director(
			{
				log,
				openHealth: async () => {
					const { createHealth } = await import("../health/health.ts");
					const { BfdLink } = await import("../bfd/link.ts");
					const { ProgramRecord } = await import("../health/program-record.ts");
					const programs = new ProgramRecord(`${runDirectory()}/director.programs`);
					const ended = await programs.endLeftOvers();
					if (ended > 0)
						log.warn(`programs of checks that an earlier director had left running were ended: ${ended}`);
					return createHealth({ log, bfd: new BfdLink("checker"), programs });
				},
				publish: (event) => server?.publish(event),
				openIpvs: () => openIpvs(ipvsNetworkNamespace, config.global.lvsNetlinkBufferBytes),
				loadModule: () => loadModule(log),
			},
			config,
			file,
		);
	};
	let director: Director;
	try {
		director = open(firstConfig(file, first, log));
	} catch (error) {
		log.fatal(error instanceof Error ? error.message : String(error));
		return EXIT_FATAL;
	}

	let reloading: Promise<string> | null = null;
	const runAs = (wanted: DroverConfig, before: DroverConfig | null) =>
		applyProcessSettings("checker", wanted.global.checker, before?.global.checker ?? null, (text) =>
			log.warn(text),
		);
	const reloadOnce = (judged: boolean): Promise<string> => {
		leaveMemory();
		return takeOver(judged).finally(() => tidyMemory(memory));
	};
	const takeOver = async (judged: boolean): Promise<string> => {
		const startedMs = performance.now();
		const { loaded: next, keep } = loadKeeping("director", file, {
			...options,
			...(judged ? ANY_MAY_MISS : namedIn(director.config)),
		});
		const refusal = refusalOf(next, director.config);
		if (refusal !== null) {
			log.error(`${file} is not taken over: ${refusal}; the running configuration stays`);
			logDiagnostics(log, next);
			director.noteReload(false, refusal);
			throw new Error(`not taken over: ${refusal}`);
		}
		const before = director.config;
		await director.reload(next.config);
		runAs(next.config, before);
		followConfig(next.config);
		keep();
		const message = `taken over in ${Math.round(performance.now() - startedMs)} ms`;
		director.noteReload(true, message);
		log.info(`${file} ${message}`);
		logDiagnostics(log, next);
		return message;
	};
	// Reloads come one after the other; one that waits reads the file as it is then.
	const reloadSerially = (judged = false): Promise<string> => {
		const next = (reloading ?? Promise.resolve("")).catch(() => "").then(() => reloadOnce(judged));
		reloading = next;
		return next;
	};
	// The table first; what only faces and neighbours need is loaded after it.
	await director.start();
	const { serve } = await import("../bus/server.ts");
	server = serve("director", async () => {
		const { directorMethods } = await import("./methods.ts");
		return directorMethods(director, reloadSerially);
	});
	const { VrrpLink: Link } = await import("./vrrp-link.ts");
	const { watchLocalAddresses } = await import("./local-addresses.ts");

	let link: { readonly instance: string; readonly vrrp: VrrpLink } | null = null;
	let unwatchAddresses: (() => void) | null = null;
	const followConfig = (now: DroverConfig) => {
		const instance = now.global.lvsSyncDaemon?.instance ?? null;
		if (link?.instance !== instance) {
			link?.vrrp.close();
			link =
				instance === null
					? null
					: { instance, vrrp: new Link(instance, (state) => director.vrrpChanged(state)) };
		}
		unwatchAddresses?.();
		unwatchAddresses = null;
		if (!director.wantsLocalAddresses) return;
		try {
			unwatchAddresses = watchLocalAddresses(
				(addresses) => director.localAddressesChanged(addresses),
				now.global.lvsNetlinkMonitorBufferBytes ?? 0,
			);
		} catch (error) {
			log.error(`ha_suspend has no effect: ${error instanceof Error ? error.message : error}`);
		}
	};

	followConfig(director.config);
	first.keep();
	if (first.refused !== null) director.noteReload(false, problemOf(first.refused.diagnostics));
	first = null;
	makeRoom(memory, director.config);
	if (!ending.isAsked) await director.startChecks();
	// After the heavy work of starting, which must not hold up others.
	runAs(director.config, null);
	tidyMemory(memory);
	dump = () => writeDump(director.dump(), director.config, log);
	reload = () => void reloadSerially().catch(() => {});
	if (reloadAsked) reload();
	const reason = await ending.asked;
	log.info(`stopping: ${reason}`);
	(link as { readonly vrrp: VrrpLink } | null)?.vrrp.close();
	(unwatchAddresses as (() => void) | null)?.();
	await director.stop(keepTable, (what) => {
		ending.waitsFor = what;
	});
	forgetKept("director");
	server.close();
	return endSoon(0);
}

/** After a crash what ran before goes on; at boot what can be run is run, and what cannot is said. */
function firstConfig(file: string, { loaded, refused }: KeptLoad, log: Log): DroverConfig {
	if (refused !== null) {
		log.error(goesOnInstead(file, refused));
		logDiagnostics(log, refused);
	} else if (!loaded.acceptable) {
		log.error(`${file} has errors; what can be run of it is run`);
		logDiagnostics(log, loaded);
	}
	return loaded.config;
}

/** Why a configuration cannot replace the running one; null when it can. */
function refusalOf(next: LoadedConfig, running: DroverConfig): string | null {
	if (!next.acceptable) return problemOf(next.diagnostics);
	if (next.config.global.networkNamespace !== running.global.networkNamespace)
		return "net_namespace can only be changed by a restart";
	if (next.config.global.ipvsNetworkNamespace !== running.global.ipvsNetworkNamespace)
		return "net_namespace_ipvs can only be changed by a restart";
	return null;
}

function logDiagnostics(log: Log, { diagnostics, moreDiagnostics, acceptable }: LoadedConfig): void {
	for (const diagnostic of diagnostics)
		if (diagnostic.severity === "error") log.error(formatDiagnostic(diagnostic));
		else if (diagnostic.code === MISSING_INTERFACE) log.warn(formatDiagnostic(diagnostic));
	if (moreDiagnostics > 0 && !acceptable) log.error(`${moreDiagnostics} more findings`);
}

function openIpvs(namespace: string | null, receiveBufferBytes: number | null): IpvsClient {
	const open = () => IpvsClient.open(receiveBufferBytes === null ? {} : { receiveBufferBytes });
	return namespace === null ? open() : inNetworkNamespace(namespacePath(namespace), open);
}

/** Where keepalived writes it; replaced as a whole. */
function writeDump(text: string, { global }: DroverConfig, log: Log): void {
	const path = dumpFile("keepalived_check", global, process.env["TMPDIR"] ?? "/tmp");
	try {
		writeFileSync(`${path}.new`, text, { mode: 0o644 });
		renameSync(`${path}.new`, path);
	} catch (error) {
		log.warn(`${path}: ${error instanceof Error ? error.message : error}`);
	}
}

/** A module is there in a tenth of it; the start, checks included, waits no longer. */
const MODULE_LIMIT_MS = 5_000;
/** Still under way: it is neither started again nor waited for a second time. */
let loading: Promise<unknown> | null = null;

/** Schedulers and engines are loaded by the kernel when a service names them. */
async function loadModule(log: Log): Promise<void> {
	if (loading !== null) return;
	try {
		const child = Bun.spawn(["modprobe", "ip_vs"], { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
		child.unref();
		loading = child.exited.finally(() => {
			loading = null;
		});
		await Promise.race([loading, Bun.sleep(MODULE_LIMIT_MS)]);
	} catch (error) {
		log.debug(`modprobe: ${error instanceof Error ? error.message : error}`);
	}
}

/** Longer than any reload. */
const ASK_TIMEOUT_MS = 60_000;

async function ask([word, realServer, virtualServer]: readonly string[]): Promise<number> {
	const { BusError, call } = await import("../bus/client.ts");
	try {
		switch (word) {
			case "status":
				console.log(JSON.stringify(await call("director", "status", {}, ASK_TIMEOUT_MS), null, 2));
				return 0;
			case "reload":
				console.log(await call<string>("director", "reload", {}, ASK_TIMEOUT_MS));
				return 0;
			case "look":
				await call("director", "look", {}, ASK_TIMEOUT_MS);
				return 0;
			case "drain":
			case "maintenance":
			case "undo": {
				if (realServer === undefined) break;
				const input = { action: word, realServer, virtualServer: virtualServer ?? null };
				const count = await call<number>("director", "override", input, ASK_TIMEOUT_MS);
				console.log(`${word}: ${realServer} in ${count} virtual ${count === 1 ? "server" : "servers"}`);
				return 0;
			}
		}
	} catch (error) {
		if (!(error instanceof BusError)) throw error;
		console.error(`drover director: ${error.message}`);
		return 1;
	}
	console.error(help);
	return 2;
}
