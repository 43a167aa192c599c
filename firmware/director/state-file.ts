/**
 * What a director must still know after it was killed: which services in the kernel are its own,
 * and what the operator has overridden. Kept in the run directory: it is lost with the kernel's table.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";
import { runDirectory } from "../bus/socket-path.ts";
import type { Override } from "./pool.ts";

/** A larger file is not ours. */
const SIZE_LIMIT_BYTES = 16 * 1024 * 1024;

const schema = z.object({
	/** `serviceKeyText` of each service that the director has put into the kernel. */
	services: z.array(z.string()),
	overrides: z.array(
		z.object({
			virtualServer: z.string(),
			realServer: z.string(),
			override: z.enum(["draining", "drained", "maintenance"]) satisfies z.ZodType<Override>,
		}),
	),
});

export type DirectorState = z.infer<typeof schema>;

const emptyState: DirectorState = { services: [], overrides: [] };

export function stateFilePath(): string {
	return `${runDirectory()}/director.state`;
}

/** The state that was written last; empty when there is none or it cannot be understood. */
export function readState(path = stateFilePath()): DirectorState {
	try {
		const text = readFileSync(path, "utf8");
		return text.length > SIZE_LIMIT_BYTES ? emptyState : schema.parse(JSON.parse(text));
	} catch {
		return emptyState;
	}
}

/** Replaces the state as a whole: whoever reads sees the old one or the new one. */
export function writeState(state: DirectorState, path = stateFilePath()): void {
	mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
	writeFileSync(`${path}.new`, JSON.stringify(state), { mode: 0o600 });
	renameSync(`${path}.new`, path);
}
