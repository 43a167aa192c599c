/** `drover bfd`: the sessions of a keepalived.conf, in the foreground; or asks the one that runs. */
import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import { serve } from "../bus/server.ts";
import { ANY_MAY_MISS, type LoadOptions, loadConfig, namedIn } from "../config/keepalived/load.ts";
import { endSoon, toldBySignals } from "../ending.ts";
import { namespacePath } from "../kernel/namespace-path.ts";
import { enterNetworkNamespace } from "../kernel/network-namespace.ts";
import { applyProcessSettings } from "../process-settings.ts";
import type { BfdStatus } from "../status/bfd.ts";
import { openLog } from "../status/log.ts";
import { bfdMethods } from "./methods.ts";
import { BfdService } from "./service.ts";

/** Exit status of keepalived for a configuration that is not there (lib/scheduler.h). */
const EXIT_NO_CONFIG = 6;
/** Whoever asked for the reload that took the last session hears of it first. */
const ANSWER_FIRST_MS = 100;

const help = `usage: drover bfd [-f FILE] [-i ID] [--if-needed]
       drover bfd status [--json]

Without a word: runs the bfd_instance blocks of a keepalived.conf in the foreground.
  -f, --use-file=FILE  the configuration (/etc/keepalived/keepalived.conf)
  -i, --config-id=ID   the id that @ID lines are compared with (the host name)
      --if-needed      ends, with status 0, when there is no session, or none any more
SIGHUP reads the configuration again; sessions that stay the same go on.

  status               each session: up or down, since when, and why

example:
  drover bfd status
      which neighbours are up`;

export async function main(words: readonly string[]): Promise<number> {
	let parsed: ReturnType<typeof parse>;
	try {
		parsed = parse(words);
	} catch (error) {
		console.error(`drover bfd: ${error instanceof Error ? error.message : error}\n\n${help}`);
		return 2;
	}
	const { values, positionals } = parsed;
	if (values.help) {
		console.log(help);
		return 0;
	}
	if (positionals.length === 0)
		return run(
			values["use-file"] ?? "/etc/keepalived/keepalived.conf",
			values["config-id"],
			values["if-needed"] ?? false,
		);
	if (positionals.join(" ") !== "status") {
		console.error(help);
		return 2;
	}
	return printStatus(values.json ?? false);
}

const parse = (words: readonly string[]) =>
	parseArgs({
		args: [...words],
		options: {
			"use-file": { type: "string", short: "f" },
			"config-id": { type: "string", short: "i" },
			"if-needed": { type: "boolean" },
			json: { type: "boolean" },
			help: { type: "boolean", short: "h" },
		},
		allowPositionals: true,
	});

async function run(file: string, configId: string | undefined, onlyIfNeeded: boolean): Promise<number> {
	const log = openLog("bfd");
	const ending = toldBySignals(log);
	if (!existsSync(file)) {
		log.fatal(`cannot read ${file}: there is no such file`);
		console.error(`drover bfd: cannot read ${file}: there is no such file`);
		return EXIT_NO_CONFIG;
	}
	const load = (options: LoadOptions) =>
		loadConfig(file, configId === undefined ? options : { ...options, configId });
	// What can be run is run; what is wrong the other services log.
	let { config } = load({});
	if (onlyIfNeeded && config.bfdInstances.length === 0) return 0;
	const { networkNamespace, bfd: settings } = config.global;
	if (networkNamespace !== null) enterNetworkNamespace(namespacePath(networkNamespace));
	applyProcessSettings("bfd", settings, null, (text) => log.warn(text));

	const service = new BfdService({ log, onReport: (message) => server.publish(message) });
	const reload = (judged = false): string => {
		const next = load(judged ? ANY_MAY_MISS : namedIn(config));
		if (!next.acceptable) {
			log.error(`${file} is not taken over: it has errors; the running configuration stays`);
			throw new Error("not taken over: the configuration has errors");
		}
		applyProcessSettings("bfd", next.config.global.bfd, config.global.bfd, (text) => log.warn(text));
		config = next.config;
		service.configure(config.bfdInstances);
		log.info(`${file} taken over`);
		if (onlyIfNeeded && config.bfdInstances.length === 0)
			setTimeout(
				() => config.bfdInstances.length === 0 && ending.begin("no session is left"),
				ANSWER_FIRST_MS,
			);
		return "taken over";
	};
	const status = (): BfdStatus => ({
		configFile: file,
		sessions: service.status(),
		discarded: service.discarded,
	});
	const server = serve("bfd", bfdMethods(status, reload));
	process.on("SIGHUP", () => {
		try {
			reload();
		} catch {
			// It is in the log.
		}
	});
	// keepalived's dumps, which BFD has none of here; without a handler they would end the process.
	for (const signal of ["SIGUSR1", "SIGUSR2"] as const) process.on(signal, () => {});
	service.configure(config.bfdInstances);
	log.info(`stopping: ${await ending.asked}`);
	service.close();
	server.close();
	return endSoon(0);
}

async function printStatus(json: boolean): Promise<number> {
	const { BusError, call } = await import("../bus/client.ts");
	try {
		const status = await call<BfdStatus>("bfd", "status");
		if (json) {
			console.log(JSON.stringify(status, null, 2));
			return 0;
		}
		const { bfdText } = await import("./text.ts");
		console.log(bfdText(status, Date.now()));
		return 0;
	} catch (error) {
		if (!(error instanceof BusError)) throw error;
		console.error(`drover bfd: ${error.message}`);
		return 1;
	}
}
