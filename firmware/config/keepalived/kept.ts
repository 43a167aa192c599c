/**
 * The files of the configuration in force, as they were read, kept in the run directory for whoever goes on after a
 * crash: what a reload would refuse is not what a service starts with then.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { bootId } from "../../boot-id.ts";
import { runDirectory } from "../../bus/socket-path.ts";
import { problemOf } from "./diagnostics.ts";
import { diskFiles, type LoadedConfig, type LoadOptions, loadConfig, namedIn } from "./load.ts";
import type { FileRead, Files } from "./preprocessor.ts";

interface Kept {
	/** The configuration of before the last boot is the files' business again. */
	readonly bootId: string;
	readonly path: string;
	readonly reads: readonly (readonly [string, FileRead])[];
	readonly matches: readonly (readonly [string, readonly string[]])[];
}

export interface KeptLoad {
	readonly loaded: LoadedConfig;
	/** What is wrong with the files, where something else goes on in their place. */
	readonly refused: LoadedConfig | null;
	/** It is in force now. */
	keep(): void;
}

const fileOf = (service: string) => `${runDirectory()}/${service}.configuration`;

/** The configuration in `path`. */
export function loadKeeping(service: string, path: string, options: LoadOptions = {}): KeptLoad {
	const { loaded, asKept } = read(path, options);
	return { loaded, refused: null, keep: () => write(service, asKept()) };
}

/** The same for a start: not what a reload would refuse, if a process that has ended without a word had another one. */
export function loadAtStart(service: string, path: string, options: LoadOptions = {}): KeptLoad {
	const first = read(path, options);
	const kept = first.loaded.acceptable ? null : keptOf(service);
	if (
		kept?.bootId !== bootId() ||
		kept.path !== path ||
		JSON.stringify(kept) === JSON.stringify(first.asKept())
	)
		return { loaded: first.loaded, refused: null, keep: () => write(service, first.asKept()) };
	const reads = new Map(kept.reads);
	const matches = new Map(kept.matches);
	const files: Files = {
		...diskFiles,
		read: (file) => reads.get(file) ?? { kind: "missing" },
		match: (pattern, directory) => matches.get(matchKey(pattern, directory)) ?? [],
	};
	const before = loadConfig(path, options, files);
	const { loaded, asKept } = read(path, { ...options, ...namedIn(before.config) });
	return loaded.acceptable
		? { loaded, refused: null, keep: () => write(service, asKept()) }
		: { loaded: before, refused: loaded, keep() {} };
}

/** What the log says of `refused`. */
export const goesOnInstead = (path: string, refused: LoadedConfig) =>
	`${path} is not taken over: ${problemOf(refused.diagnostics)}; what ran before the crash goes on`;

/** After an orderly end it is the files that count. */
export function forgetKept(service: string): void {
	rmSync(fileOf(service), { force: true });
}

function read(path: string, options: LoadOptions): { loaded: LoadedConfig; asKept(): Kept } {
	const reads = new Map<string, FileRead>();
	const matches = new Map<string, readonly string[]>();
	const files: Files = {
		...diskFiles,
		read: (file) => noted(reads, file, diskFiles.read(file)),
		match: (pattern, directory) =>
			noted(matches, matchKey(pattern, directory), diskFiles.match(pattern, directory)),
	};
	return {
		loaded: loadConfig(path, options, files),
		asKept: () => ({
			bootId: bootId(),
			path,
			// Buffers hold ASCII; they come back as strings.
			reads: [...reads].map(([file, one]) => [
				file,
				one.kind === "text" ? { ...one, text: one.text.toString("latin1") } : one,
			]),
			matches: [...matches],
		}),
	};
}

const matchKey = (pattern: string, directory: string) => `${directory}\n${pattern}`;

function noted<Value>(all: Map<string, Value>, key: string, value: Value): Value {
	all.set(key, value);
	return value;
}

function write(service: string, kept: Kept): void {
	const path = fileOf(service);
	try {
		mkdirSync(runDirectory(), { recursive: true, mode: 0o755 });
		// Passwords are in it.
		writeFileSync(`${path}.new`, JSON.stringify(kept), { mode: 0o600 });
		renameSync(`${path}.new`, path);
	} catch {
		// An older one must not come back.
		forgetKept(service);
	}
}

function keptOf(service: string): Kept | null {
	try {
		return JSON.parse(readFileSync(fileOf(service), "utf8")) as Kept;
	} catch {
		return null;
	}
}
