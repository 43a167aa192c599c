/**
 * The services' log: one JSON object a line, written from memory by a helper and never
 * waited for. A slow console or a full disk costs log lines, not adverts.
 */
import { openSync } from "node:fs";
import pino from "pino";

export type Log = pino.Logger;

/** Bytes that may wait for a slow reader; what comes on top is dropped, oldest kept. */
const BACKLOG_LIMIT_BYTES = 1024 * 1024;

/**
 * The log of one service. Lines go to the file that DROVER_LOG names, else to standard error.
 * Levels are pino's; DROVER_LOG_LEVEL chooses the least that is written (default "info").
 */
export function openLog(service: string): Log {
	const path = process.env["DROVER_LOG"];
	const destination = pino.destination({
		dest: path === undefined ? 2 : openSync(path, "a"),
		sync: false,
		maxLength: BACKLOG_LIMIT_BYTES,
	});
	destination.on("error", () => {});
	return pino(
		{
			name: service,
			base: undefined,
			level: process.env["DROVER_LOG_LEVEL"] ?? "info",
			timestamp: () => `,"time":"${new Date().toISOString()}"`,
			formatters: { level: (label) => ({ level: label }) },
			mixin: () => ({ service }),
		},
		destination,
	);
}
