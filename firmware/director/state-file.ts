/**
 * What a director must still know after it was killed: which services in the kernel are its own,
 * and what the operator has overridden. Kept in the run directory: it is lost with the kernel's table.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { runDirectory } from "../bus/socket-path.ts";
import type { Override } from "./pool.ts";

/** A larger file is not ours. */
const SIZE_LIMIT_BYTES = 16 * 1024 * 1024;

export interface DirectorState {
	/** `serviceKeyText` of each service that the director has put into the kernel. */
	readonly services: readonly string[];
	readonly overrides: readonly {
		readonly virtualServer: string;
		readonly realServer: string;
		readonly override: Override;
	}[];
}

const emptyState: DirectorState = { services: [], overrides: [] };

export function stateFilePath(): string {
	return `${runDirectory()}/director.state`;
}

/** The state that was written last; empty when there is none or it cannot be understood. */
export function readState(path = stateFilePath()): DirectorState {
	try {
		const text = readFileSync(path, "utf8");
		return text.length > SIZE_LIMIT_BYTES ? emptyState : stateFrom(JSON.parse(text));
	} catch {
		return emptyState;
	}
}

const overrides: ReadonlySet<unknown> = new Set<Override>(["draining", "drained", "maintenance"]);

/** What of `value` can be understood. */
function stateFrom(value: unknown): DirectorState {
	const record = (of: unknown) =>
		(typeof of === "object" && of !== null ? of : {}) as Record<string, unknown>;
	const list = (of: unknown) => (Array.isArray(of) ? (of as unknown[]) : []);
	const { services, overrides: rows } = record(value);
	return {
		services: list(services).filter((key) => typeof key === "string"),
		overrides: list(rows)
			.map(record)
			.filter(
				(row) =>
					typeof row["virtualServer"] === "string" &&
					typeof row["realServer"] === "string" &&
					overrides.has(row["override"]),
			) as unknown as DirectorState["overrides"],
	};
}

/** Replaces the state as a whole: whoever reads sees the old one or the new one. */
export function writeState(state: DirectorState, path = stateFilePath()): void {
	mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
	writeFileSync(`${path}.new`, JSON.stringify(state), { mode: 0o600 });
	renameSync(`${path}.new`, path);
}
