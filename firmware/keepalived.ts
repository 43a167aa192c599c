/**
 * `keepalived`, by keepalived's own command line: a parent that starts `drover vrrp`, `drover director` and, where
 * sessions are configured, `drover bfd` on the same file, passes signals on and starts again what died.
 * Source: keepalived(8) 2.2.7, options and signals.
 */
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import type { Subprocess } from "bun";
import type { LoadOptions } from "./config/keepalived/load.ts";
import type { DroverConfig, GlobalConfig } from "./config/model.ts";
import { catchesSignal } from "./kernel/caught-signals.ts";
import { onSignalNumber, sendSignalNumber } from "./kernel/real-time-signal.ts";
import { DEFAULT_CHILD_WAIT_MS, type PidFileName, pidFile, reloadFile } from "./process-files.ts";
import type { ReloadClock } from "./reload-clock.ts";
import { self } from "./self.ts";
import { JSON_SIGNAL, type ServiceSignal, STATS_CLEAR_SIGNAL, signalNumbers } from "./signals.ts";
import { openLog } from "./status/log.ts";

/** A child that dies sooner than this after its start is started again only after the same time. */
const RESPAWN_GAP_MS = 1_000;
/** How soon a signal that came while a child starts is tried again. */
const SIGNAL_AGAIN_MS = 50;
/** The parent looks at what a reload means for itself this long after it. */
const FOLLOW_AFTER_MS = 1_000;
/** The version whose command line and dumps are kept. */
const COMPATIBLE_VERSION = "2.2.7";

const options = {
	"use-file": { type: "string", short: "f" },
	vrrp: { type: "boolean", short: "P" },
	check: { type: "boolean", short: "C" },
	no_bfd: { type: "boolean", short: "B" },
	all: { type: "boolean" },
	"log-console": { type: "boolean", short: "l" },
	"log-detail": { type: "boolean", short: "D" },
	"log-facility": { type: "string", short: "S" },
	"log-file": { type: "string", short: "g" },
	"no-syslog": { type: "boolean", short: "G" },
	"release-vips": { type: "boolean", short: "X" },
	"dont-release-vrrp": { type: "boolean", short: "V" },
	"dont-release-ipvs": { type: "boolean", short: "I" },
	"dont-respawn": { type: "boolean", short: "R" },
	"dont-fork": { type: "boolean", short: "n" },
	"dump-conf": { type: "boolean", short: "d" },
	pid: { type: "string", short: "p" },
	vrrp_pid: { type: "string", short: "r" },
	checkers_pid: { type: "string", short: "c" },
	bfd_pid: { type: "string", short: "b" },
	"address-monitoring": { type: "boolean", short: "a" },
	snmp: { type: "boolean", short: "x" },
	"snmp-agent-socket": { type: "string", short: "A" },
	"core-dump": { type: "boolean", short: "m" },
	namespace: { type: "string", short: "s" },
	"config-id": { type: "string", short: "i" },
	"all-config": { type: "boolean", short: "e" },
	"ignore-sigint": { type: "boolean" },
	signum: { type: "string" },
	version: { type: "boolean", short: "v" },
	help: { type: "boolean", short: "h" },
} as const;

const help = `usage: keepalived [OPTION]…

Runs VRRP and the virtual servers of a keepalived.conf, as keepalived(8) does.

  -f, --use-file=FILE      the configuration (/etc/keepalived/keepalived.conf)
  -P, --vrrp               VRRP only
  -C, --check              virtual servers only
  -B, --no_bfd             no BFD sessions
  -n, --dont-fork          stay in the foreground
  -t, --config-test[=FILE] check the configuration and say what is wrong
  -p, --pid=FILE           the parent's pid file (/run/keepalived.pid)
  -i, --config-id=ID       the id that @ID lines are compared with (the host name)
  -s, --namespace=NAME     run in this network namespace
  -R, --dont-respawn       end when a child ends
      --signum=NAME        print the number of STOP, RELOAD, DATA, STATS, STATS_CLEAR or JSON
  -v, --version            print the version
The other options of keepalived ${COMPATIBLE_VERSION} are accepted.`;

interface Child {
	readonly name: string;
	process: Subprocess;
	startedAtMs: number;
	/** Signals that came before it catches them. */
	readonly waiting: Set<ServiceSignal>;
	again: ReturnType<typeof setTimeout> | null;
}

export async function main(words: readonly string[]): Promise<number> {
	const test = words.findIndex((word) => word === "-t" || word.startsWith("--config-test"));
	let parsed: ReturnType<typeof parse>;
	try {
		parsed = parse(words.filter((_, index) => index !== test));
	} catch (error) {
		console.error(`keepalived: ${error instanceof Error ? error.message : error}\n\n${help}`);
		return 1;
	}
	const { values, positionals } = parsed;
	if (values.help) {
		console.log(help);
		return 0;
	}
	if (values.version) {
		console.log(`Keepalived v${COMPATIBLE_VERSION} (Drover)`);
		return 0;
	}
	if (values.signum !== undefined) return printSignal(values.signum);
	const file = values["use-file"] ?? "/etc/keepalived/keepalived.conf";
	if (test >= 0) {
		const { main: config } = await import("./config/command.ts");
		return config(["check", words[test]!.split("=")[1] ?? positionals[0] ?? file]);
	}
	if (!existsSync(file)) {
		console.error(`keepalived: cannot read ${file}: there is no such file`);
		return 6;
	}
	if (!values["dont-fork"]) {
		Bun.spawn([...self(), "keepalived", "-n", ...words], {
			detached: true,
			stdio: ["ignore", "ignore", "ignore"],
		}).unref();
		return 0;
	}
	return supervise(file, values);
}

const parse = (words: readonly string[]) =>
	parseArgs({ args: [...words], options, allowPositionals: true, strict: true });

function printSignal(name: string): number {
	const number = signalNumbers[name];
	if (number === undefined) {
		console.error(
			`keepalived: no signal is called "${name}" (there are ${Object.keys(signalNumbers).join(", ")})`,
		);
		return 1;
	}
	console.log(number);
	return 0;
}

const pidNames: Readonly<Record<string, PidFileName>> = {
	keepalived: "keepalived",
	vrrp: "vrrp",
	director: "checkers",
	bfd: "bfd",
};
const pidOptions: Readonly<Record<string, "pid" | "vrrp_pid" | "checkers_pid" | "bfd_pid">> = {
	keepalived: "pid",
	vrrp: "vrrp_pid",
	director: "checkers_pid",
	bfd: "bfd_pid",
};

type Values = ReturnType<typeof parse>["values"];

async function supervise(file: string, values: Values): Promise<number> {
	const log = openLog("keepalived");
	const names = values.vrrp ? ["vrrp"] : values.check ? ["director"] : ["vrrp", "director"];
	const enter = values.namespace === undefined ? [] : ["ip", "netns", "exec", values.namespace];
	const childWords = ["-f", file, ...(values["config-id"] === undefined ? [] : ["-i", values["config-id"]])];
	const children: Child[] = [];
	let stopping = false;
	let global: GlobalConfig | null = null;
	const written = new Set<string>();
	/** Null until the configuration has said where to. */
	const pidPath = (name: string): string | null =>
		global === null ? null : (values[pidOptions[name]!] ?? pidFile(pidNames[name]!, global));
	const writePid = (name: string, pid: number): void => {
		const path = pidPath(name);
		if (path === null) return;
		written.add(path);
		mkdirSync(dirname(path), { recursive: true });
		writeFileSync(path, `${pid}\n`);
	};
	let finish: (status: number) => void;
	const finished = new Promise<number>((resolve) => {
		finish = resolve;
	});

	const start = (name: string): void => {
		const child: Child = {
			name,
			startedAtMs: performance.now(),
			process: null as never,
			waiting: new Set(),
			again: null,
		};
		const own = name === "bfd" ? ["--if-needed"] : [];
		child.process = Bun.spawn([...enter, ...self(), name, ...childWords, ...own], {
			stdin: "ignore",
			stdout: "inherit",
			stderr: "inherit",
			onExit: (_process, status, signal) => ended(child, status, signal),
		});
		children.push(child);
		writePid(child.name, child.process.pid);
	};

	const ended = (child: Child, status: number | null, signal: number | NodeJS.Signals | null): void => {
		children.splice(children.indexOf(child), 1);
		if (stopping) {
			if (children.length === 0) finish(0);
			return;
		}
		if (child.name === "bfd" && status === 0) {
			const path = pidPath("bfd");
			if (path !== null) rmSync(path, { force: true });
			// It may have read the configuration before the one that it was to be told of.
			if (child.waiting.has("SIGHUP")) start("bfd");
			return;
		}
		log.error({ child: child.name, status, signal }, `${child.name} ended; it is started again`);
		if (values["dont-respawn"]) {
			stop();
			return;
		}
		const livedMs = performance.now() - child.startedAtMs;
		setTimeout(() => !stopping && start(child.name), livedMs < RESPAWN_GAP_MS ? RESPAWN_GAP_MS : 0);
	};

	/** A child that still starts would end by a signal that it does not catch yet. */
	const deliver = (child: Child): void => {
		child.again = null;
		if (!children.includes(child)) return;
		for (const signal of child.waiting)
			if (catchesSignal(child.process.pid, signal)) {
				child.waiting.delete(signal);
				if (typeof signal === "number") sendSignalNumber(child.process.pid, signal);
				else child.process.kill(signal);
			}
		if (child.waiting.size > 0) child.again = setTimeout(() => deliver(child), SIGNAL_AGAIN_MS);
	};

	const stop = (): void => {
		if (stopping) return;
		stopping = true;
		if (children.length === 0) finish(0);
		for (const child of children) child.process.kill("SIGTERM");
		// shutdown_script runs when VRRP has stopped, in VRRP's own process.
		const scriptMs = global?.shutdownScript == null ? 0 : global.shutdownScriptTimeoutMs;
		setTimeout(
			() => {
				for (const child of children) child.process.kill("SIGKILL");
			},
			(global?.naming.childWaitMs ?? DEFAULT_CHILD_WAIT_MS) + scriptMs,
		).unref();
	};

	const tell = (child: Child, signal: ServiceSignal): void => {
		child.waiting.add(signal);
		if (child.again === null) deliver(child);
	};

	let followReload = (): void => {};
	/** Reloads one after the other: each has its own reload file. */
	let reloading: Promise<void> = Promise.resolve();
	const reload = (): void => {
		reloading = reloading.then(reloadOnce).catch((error) => {
			// Such as a reload file that cannot be removed: the next reload is still made.
			log.error(`after a reload: ${error instanceof Error ? error.message : error}`);
		});
	};
	const reloadOnce = async (): Promise<void> => {
		const path = global === null ? null : reloadFile(global);
		if (path === null) for (const child of children) tell(child, "SIGHUP");
		else {
			const { readAgain } = await import("./reload-file.ts");
			await readAgain(path, [...children], (child) => tell(child, "SIGHUP"), log);
		}
		// After them: they have the processors first.
		setTimeout(followReload, FOLLOW_AFTER_MS).unref();
	};

	process.on("SIGTERM", stop);
	if (!values["ignore-sigint"]) process.on("SIGINT", stop);
	process.on("SIGHUP", reload);
	for (const signal of ["SIGUSR1", "SIGUSR2"] as const)
		process.on(signal, () => {
			for (const child of children) tell(child, signal);
		});
	// Statistics and states are VRRP's alone.
	const numbered = [STATS_CLEAR_SIGNAL, JSON_SIGNAL].map((signal) =>
		onSignalNumber(signal, () => {
			for (const child of children) if (child.name === "vrrp") tell(child, signal);
		}),
	);

	/** BFD runs while a configuration has sessions: it ends by itself after a reload that takes the last one. */
	const startBfd = ({ bfdInstances }: DroverConfig): void => {
		if (values.no_bfd || stopping || bfdInstances.length === 0) return;
		if (!children.some(({ name }) => name === "bfd")) start("bfd");
	};

	for (const name of names) start(name);
	// The services do not wait for what only the parent needs.
	const { loadConfig, namedIn } = await import("./config/keepalived/load.ts");
	const configId = values["config-id"];
	const load = (options: LoadOptions) =>
		loadConfig(file, configId === undefined ? options : { ...options, configId });
	let clock: ReloadClock | null = null;
	const follow = async ({ reload: wanted }: GlobalConfig): Promise<void> => {
		clock?.close();
		clock = null;
		if (wanted.timeFile === null) return;
		const { ReloadClock } = await import("./reload-clock.ts");
		clock = new ReloadClock(wanted.timeFile, wanted.repeat, reload, log);
	};
	const first = load({}).config;
	let inForce = first;
	global = first.global;
	startBfd(first);
	await follow(global);
	followReload = () => {
		const { config, acceptable } = load(namedIn(inForce));
		// What the services refuse counts for nobody; names and places are settled at the start.
		if (!acceptable || global === null) return;
		inForce = config;
		startBfd(config);
		global = { ...global, reload: config.global.reload };
		void follow(global);
	};
	const { processName } = global.naming;
	if (processName !== null) (await import("./kernel/native.ts")).native.setProcessName(processName);
	writePid("keepalived", process.pid);
	for (const child of children) writePid(child.name, child.process.pid);
	const status = await finished;
	(clock as ReloadClock | null)?.close();
	for (const watch of numbered) watch.close();
	for (const path of written) rmSync(path, { force: true });
	return status;
}
