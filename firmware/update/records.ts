/** What the updater remembers on /data: what worked before, which slot is on trial, what happened. */
import {
	appendFileSync,
	existsSync,
	mkdirSync,
	readFileSync,
	renameSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Working } from "./trial.ts";

const HISTORY_LIMIT = 200;

const workingSchema = z.object({
	services: z.array(z.string()),
	links: z.array(z.string()),
	realServers: z.array(z.string()),
	instances: z.array(z.string()),
	revision: z.number().nullable(),
});

const trialSchema = z.object({
	slot: z.enum(["A", "B"]),
	version: z.string(),
	fromVersion: z.string(),
	before: workingSchema,
});
/** An update whose slot has not proved itself yet. */
export type Trial = z.infer<typeof trialSchema>;

const entrySchema = z.object({ atMs: z.number(), what: z.string(), detail: z.string() });
export type HistoryEntry = z.infer<typeof entrySchema>;

/** What happened, newest first; a torn last line is passed over. */
export function readUpdateHistory(directory = updateDirectory()): readonly HistoryEntry[] {
	const path = join(directory, "history.jsonl");
	if (!existsSync(path)) return [];
	return readFileSync(path, "utf8")
		.split("\n")
		.flatMap((line) => {
			try {
				return [entrySchema.parse(JSON.parse(line))];
			} catch {
				return [];
			}
		})
		.reverse();
}

/** Where updates leave their records; DROVER_UPDATE_DIR names another place. */
export function updateDirectory(): string {
	return process.env["DROVER_UPDATE_DIR"] ?? "/data/update";
}

export class UpdateRecords {
	readonly #directory: string;

	constructor(directory = updateDirectory()) {
		this.#directory = directory;
		mkdirSync(directory, { recursive: true, mode: 0o700 });
	}

	trial(): Trial | null {
		const path = join(this.#directory, "trial.json");
		if (!existsSync(path)) return null;
		try {
			return trialSchema.parse(JSON.parse(readFileSync(path, "utf8")));
		} catch {
			// Torn by a power cut: without a picture of before, services alone decide.
			return null;
		}
	}

	setTrial(trial: (Omit<Trial, "before"> & { readonly before: Working }) | null): void {
		const path = join(this.#directory, "trial.json");
		if (trial === null) {
			rmSync(path, { force: true });
			return;
		}
		writeFileSync(`${path}.new`, JSON.stringify(trial), { flush: true });
		renameSync(`${path}.new`, path);
	}

	history(): readonly HistoryEntry[] {
		return readUpdateHistory(this.#directory);
	}

	note(what: string, detail: string): void {
		const path = join(this.#directory, "history.jsonl");
		const known = this.history();
		if (known.length >= HISTORY_LIMIT) {
			const kept = known.slice(0, HISTORY_LIMIT / 2).reverse();
			writeFileSync(`${path}.new`, kept.map((entry) => `${JSON.stringify(entry)}\n`).join(""), {
				flush: true,
			});
			renameSync(`${path}.new`, path);
		}
		const entry: HistoryEntry = { atMs: Date.now(), what, detail };
		appendFileSync(path, `${JSON.stringify(entry)}\n`, { flush: true });
	}
}
