/**
 * The services' log: one JSON object a line, pino's, written from memory and never waited for. A slow console or a
 * full disk costs log lines, not adverts. pino is loaded a moment later than it is asked for: its code is a tenth of
 * what a service has to load before it can begin.
 */
import { openSync } from "node:fs";
import type { Logger } from "pino";

/** pino's. */
const levels = ["trace", "debug", "info", "warn", "error", "fatal"] as const;
type Level = (typeof levels)[number];

/** A line's text, or its fields and then its text. */
type Write = (fieldsOrText: object | string, text?: string) => void;

export type Log = Readonly<Record<Level, Write>>;

/** Where the console keeps its log on a box, and with it what a command has to say to whoever comes later. */
export const CONSOLE_LOG_PATH = "/run/log/console/current";

/** Bytes that may wait for a slow reader; what comes on top is dropped, oldest kept. */
const BACKLOG_LIMIT_BYTES = 1024 * 1024;
/** A service begins within this time, or waits for something anyway. */
const LOADED_AFTER_MS = 500;
/** Lines that may wait for pino; more of them have it loaded at once. */
const WAITING_LIMIT = 64;

/**
 * The log of one service. Lines go to the file that DROVER_LOG names, else to standard error.
 * DROVER_LOG_LEVEL chooses the least that is written (default "info").
 */
export function openLog(service: string): Log {
	const path = process.env["DROVER_LOG"];
	const least = process.env["DROVER_LOG_LEVEL"] ?? "info";
	if (least !== "silent" && !levels.includes(least as Level))
		throw new Error(
			`DROVER_LOG_LEVEL: there is no level "${least}" (there are ${[...levels, "silent"].join(", ")})`,
		);
	const fd = path === undefined ? 2 : openSync(path, "a");
	let logger: Logger | null = null;
	let waiting: (() => void)[] = [];
	/** When what is being written was said. */
	let saidAt: Date | null = null;
	const load = (when: "in service" | "at the end" = "in service"): Logger => {
		if (logger !== null) return logger;
		logger = pinoLogger(service, fd, least, when, () => saidAt ?? new Date());
		for (const say of waiting) say();
		waiting = [];
		return logger;
	};
	const at =
		(level: Level): Write =>
		(fieldsOrText, text) => {
			if (logger !== null) {
				write(logger, level, fieldsOrText, text);
				return;
			}
			if (waiting.length === 0) {
				setTimeout(() => load(), LOADED_AFTER_MS);
				process.once("exit", () => load("at the end"));
			}
			const time = new Date();
			waiting.push(() => {
				saidAt = time;
				write(load(), level, fieldsOrText, text);
				saidAt = null;
			});
			if (waiting.length > WAITING_LIMIT) load();
		};
	return {
		trace: at("trace"),
		debug: at("debug"),
		info: at("info"),
		warn: at("warn"),
		error: at("error"),
		fatal: at("fatal"),
	};
}

function write(logger: Logger, level: Level, fieldsOrText: object | string, text: string | undefined): void {
	if (typeof fieldsOrText === "string") logger[level](fieldsOrText);
	else logger[level](fieldsOrText, text);
}

function pinoLogger(
	service: string,
	fd: number,
	level: string,
	when: "in service" | "at the end",
	now: () => Date,
): Logger {
	// Not an import: those are loaded when the program is.
	const { default: pino } = require("pino") as typeof import("pino");
	// At the end nobody is left to see a write through.
	const sync = when === "at the end";
	const destination = pino.destination({ dest: fd, sync, maxLength: BACKLOG_LIMIT_BYTES });
	destination.on("error", () => {});
	return pino(
		{
			name: service,
			base: undefined,
			level,
			timestamp: () => `,"time":"${now().toISOString()}"`,
			formatters: { level: (label) => ({ level: label }) },
			mixin: () => ({ service }),
		},
		destination,
	);
}
