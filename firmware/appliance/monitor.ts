/** `drover monitor`: feeds the watchdog while the box is well, and restarts a service that hangs. */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { call } from "../bus/client.ts";
import { Watchdog } from "../kernel/watchdog.ts";
import { openLog } from "../status/log.ts";
import { diagnose, firstHistory, INTERVAL_MS } from "./vital-signs.ts";

/** With the monitor's own interval and a start of the program: within 15 s of a hang. */
const WATCHDOG_SECONDS = 10;
const SERVICES = ["bfd", "vrrp", "director", "cache"];
/** An answer that is late is one all the same. */
const ANSWER_TIMEOUT_MS = 60_000;
/** Questions to one service that may be open: a single one that got lost must not cost it its life. */
const QUESTIONS_LIMIT = 8;
/** A service that kept ending (rootfs/usr/lib/drover/finish) and has run for so long is well again. */
const CALM_MS = 60_000;
const ALARMS_DIRECTORY = "/run/drover/alarms";
/** What a power cut or a reset costs of the logs. */
const KEEP_LOG_INTERVAL_MS = 5 * 60_000;
const supervised = (name: string) => `/run/sv/${name}/supervise/pid`;

export async function main(words: readonly string[]): Promise<number> {
	if (words.length > 0) {
		console.log(
			"usage: drover monitor\n\nFeeds the hardware watchdog while the box is well, and restarts services that hang.",
		);
		return words.includes("--help") ? 0 : 2;
	}
	const log = openLog("monitor");
	const watchdog = openWatchdog(log.warn.bind(log));
	if (watchdog !== null) {
		writeFileSync("/run/drover/watchdog", `${watchdog.timeoutSeconds}\n`);
		log.info({ timeoutSeconds: watchdog.timeoutSeconds }, "the watchdog is armed");
	}
	let history = firstHistory(performance.now());
	let programEnded = false;
	let programRuns = false;
	const asked = new Map<string, number>();
	const answered = new Set<string>();
	const runs = new Map<string, { readonly pid: string; readonly sinceMs: number }>();
	let logKeptAtMs = performance.now();
	for (;;) {
		if (!programRuns) {
			programRuns = true;
			void startsProgram().then((well) => {
				programRuns = false;
				programEnded ||= well;
			});
		}
		for (const name of SERVICES) {
			const open = asked.get(name) ?? 0;
			if (open >= QUESTIONS_LIMIT) continue;
			asked.set(name, open + 1);
			call(name, "ping", {}, ANSWER_TIMEOUT_MS)
				.then(
					() => answered.add(name),
					() => {},
				)
				.finally(() => asked.set(name, asked.get(name)! - 1));
		}
		await Bun.sleep(INTERVAL_MS);
		const nowMs = performance.now();
		const services = SERVICES.map((name) => ({
			name,
			run: runningPid(name),
			answered: answered.has(name),
		}));
		const { history: next, feed, hanging } = diagnose(history, { nowMs, programEnded, services });
		history = next;
		programEnded = false;
		answered.clear();
		if (feed) watchdog?.feed();
		else log.error("no program can be started: the watchdog is not fed any more");
		takeAlarmsBack((name) => {
			const pid = runningPid(name);
			if (pid === null) runs.delete(name);
			else if (runs.get(name)?.pid !== pid) runs.set(name, { pid, sinceMs: nowMs });
			const since = runs.get(name)?.sinceMs;
			return since !== undefined && nowMs - since > CALM_MS;
		});
		if (nowMs - logKeptAtMs > KEEP_LOG_INTERVAL_MS) {
			logKeptAtMs = nowMs;
			Bun.spawn(["/usr/lib/drover/keep-log"], { stdio: ["ignore", "ignore", "ignore"] });
		}
		for (const name of hanging) {
			log.error({ service: name }, "runs but does not answer: it is restarted");
			Bun.spawn(["sv", "kill", `/run/sv/${name}`], { stdio: ["ignore", "ignore", "ignore"] });
		}
	}
}

function takeAlarmsBack(isCalm: (name: string) => boolean): void {
	if (!existsSync(ALARMS_DIRECTORY)) return;
	for (const name of readdirSync(ALARMS_DIRECTORY))
		if (isCalm(name)) rmSync(`${ALARMS_DIRECTORY}/${name}`, { force: true });
}

function openWatchdog(warn: (text: string) => void): Watchdog | null {
	try {
		const watchdog = Watchdog.open(WATCHDOG_SECONDS);
		if (watchdog === null) warn("this box has no watchdog");
		return watchdog;
	} catch (error) {
		warn(`the watchdog cannot be used: ${error instanceof Error ? error.message : error}`);
		return null;
	}
}

/** A program of the root file system, from fork to exit. */
async function startsProgram(): Promise<boolean> {
	try {
		return (await Bun.spawn(["/usr/bin/true"], { stdio: ["ignore", "ignore", "ignore"] }).exited) === 0;
	} catch {
		return false;
	}
}

function runningPid(name: string): string | null {
	if (!existsSync(supervised(name))) return null;
	const pid = readFileSync(supervised(name), "utf8").trim();
	return pid === "" ? null : pid;
}
