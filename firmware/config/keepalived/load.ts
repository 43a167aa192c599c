/** Reads a keepalived.conf from the disk of this machine: the thin edge around the pure reader. */
import { isAscii, isUtf8 } from "node:buffer";
import { accessSync, constants, existsSync, lstatSync, readFileSync, realpathSync, statSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { namespacePath } from "../../kernel/namespace-path.ts";
import type { DroverConfig } from "../model.ts";
import type { Machine } from "./build/context.ts";
import { buildConfig } from "./build.ts";
import { type Diagnostic, type ExitStatus, Findings } from "./diagnostics.ts";
import { limits } from "./limits.ts";
import { type FileRead, type Files, LineReader, type Surroundings } from "./preprocessor.ts";
import { RandomNumbers } from "./random.ts";
import type { ServerMemory } from "./server-memory.ts";
import type { Source } from "./source.ts";
import { StatementReader } from "./statements.ts";

export interface LoadOptions {
	/** What `@ID` lines compare with; default: the host's name. */
	readonly configId?: string;
	/** Interfaces that exist; default: those of the network namespace. */
	readonly interfaces?: ReadonlySet<string>;
	/** Interfaces that may be missing, since what was in force before names them; default: none. */
	readonly mayMiss?: (interfaceName: string) => boolean;
	readonly hostName?: string;
	/** Of the reading before: virtual servers that did not change are taken from it, as the same objects. */
	readonly memory?: ServerMemory;
}

export interface LoadedConfig {
	readonly config: DroverConfig;
	readonly diagnostics: readonly Diagnostic[];
	/** Findings beyond the limit that are counted only. */
	readonly moreDiagnostics: number;
	readonly files: readonly string[];
	/** What `keepalived -t` would exit with. */
	readonly exitStatus: ExitStatus;
	/** Nothing that the operator wrote would be silently lost: safe to apply to a running director. */
	readonly acceptable: boolean;
}

/** For what comes after `config`: an interface that it names was there once, and is no slip of the hand. */
export const namedIn = (config: DroverConfig | null): Pick<LoadOptions, "mayMiss"> => {
	const names = new Set(config?.namedInterfaces);
	return { mayMiss: (name) => names.has(name) };
};

/** For what was judged before, such as a revision that is put into force, or back into it. */
export const ANY_MAY_MISS: Pick<LoadOptions, "mayMiss"> = { mayMiss: () => true };

/**
 * The configuration in `path` and everything it includes. Never throws for what a file holds or
 * lacks: that is in `diagnostics`, and `config` is then what can be run of it. `files`: where all is read from.
 */
export function loadConfig(path: string, options: LoadOptions = {}, files: Files = diskFiles): LoadedConfig {
	const memory = options.memory ?? null;
	let loaded = readConfig(path, options, memory, files);
	if (loaded === null) {
		memory?.forget();
		loaded = readConfig(path, options, memory, files)!;
	}
	memory?.settle();
	return loaded;
}

/** Null when `memory` does not hold any more. */
function readConfig(
	path: string,
	options: LoadOptions,
	memory: ServerMemory | null,
	files: Files,
): LoadedConfig | null {
	const hostName = options.hostName ?? hostname();
	const surroundings: Surroundings = {
		configId: options.configId ?? hostName,
		variable: (name) => process.env[name],
		random: new RandomNumbers(),
	};
	const sources: Source[] = [];
	const findings = new Findings(sources);
	const reader = new LineReader(files, surroundings, findings, sources);
	const read = reader.open(resolve(path), path);
	let statements: ReturnType<StatementReader["readRoot"]> = [];
	if (read.kind === "text") statements = new StatementReader(reader, findings, memory).readRoot();
	else reader.reportUnreadable(path, read);
	const namespace = statements.findLast(({ keyword }) => keyword.name === "net_namespace")?.words[0];
	const interfaces = options.interfaces ?? interfacesIn(namespace);
	const machine = thisMachine(interfaces, options.mayMiss ?? (() => false), hostName);
	const config = buildConfig(statements, findings, machine, sources, memory);
	if (config === null) return null;
	return {
		config,
		diagnostics: findings.sorted(),
		moreDiagnostics: findings.dropped,
		files: sources.map((source) => source.name),
		exitStatus: findings.exitStatus,
		acceptable: !findings.hasErrors,
	};
}

/**
 * Names of the network interfaces in the network namespace that the configuration names, else in the caller's; null when
 * that cannot be entered, or is not there.
 */
function interfacesIn(namespace: string | undefined): ReadonlySet<string> | null {
	try {
		if (namespace === undefined) return interfacesHere();
		// On demand: it brings the shim, which a check of a file has no other use for.
		const { inNetworkNamespace } =
			require("../../kernel/network-namespace.ts") as typeof import("../../kernel/network-namespace.ts");
		return inNetworkNamespace(namespacePath(namespace), interfacesHere);
	} catch {
		return null;
	}
}

/** proc(5), /proc/net/dev: unlike /sys/class/net it is about the namespace of who reads it. */
function interfacesHere(): ReadonlySet<string> {
	const lines = readFileSync("/proc/thread-self/net/dev", "latin1").split("\n").slice(2);
	return new Set(
		lines.filter((line) => line.includes(":")).map((line) => line.slice(0, line.lastIndexOf(":")).trim()),
	);
}

/** By its byte order mark. */
const isUtf16 = (bytes: Buffer): boolean =>
	(bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);

export const diskFiles: Files = {
	read(path): FileRead {
		try {
			const status = statSync(path);
			if (status.isDirectory()) return { kind: "directory" };
			if (!status.isFile()) return { kind: "special" };
			if (status.size > limits.fileSizeBytes) return { kind: "too-big", sizeBytes: status.size };
			const bytes = readFileSync(path);
			if (bytes.includes(0)) return { kind: "binary", utf16: isUtf16(bytes) };
			// Old files are often Latin-1; every byte survives either way.
			const executable = (status.mode & 0o111) !== 0;
			if (isAscii(bytes)) return { kind: "text", text: bytes, executable };
			const text = bytes.toString(isUtf8(bytes) ? "utf8" : "latin1");
			return { kind: "text", text, executable };
		} catch (error) {
			const code = (error as NodeJS.ErrnoException).code;
			if (code === "ENOENT" || code === "ENOTDIR") return { kind: "missing" };
			return { kind: "unreadable", reason: code ?? String(error) };
		}
	},
	match(pattern, directory) {
		const from = isAbsolute(pattern) ? "/" : directory;
		const relative = isAbsolute(pattern) ? pattern.slice(1) : pattern;
		if (!/[*?[{]/.test(pattern)) {
			const path = join(from, relative);
			return lstatSync(path, { throwIfNoEntry: false }) === undefined ? [] : [path];
		}
		try {
			return [...new Bun.Glob(relative).scanSync({ cwd: from, onlyFiles: false, dot: false })]
				.sort()
				.map((name) => join(from, name));
		} catch {
			return [];
		}
	},
	resolve: (path, directory) => resolve(directory, path),
	directoryOf: dirname,
};

function thisMachine(
	interfaces: Machine["interfaces"],
	mayMiss: Machine["mayMiss"],
	hostName: string,
): Machine {
	let users: ReturnType<typeof accounts> | null = null;
	let groups: ReturnType<typeof accounts> | null = null;
	const programs = new Map<string, ReturnType<Machine["program"]>>();
	return {
		hostName,
		interfaces,
		mayMiss,
		hasNetworkNamespace: (name) => existsSync(namespacePath(name)),
		hasUser(name) {
			users ??= accounts("/etc/passwd");
			return users.has(name);
		},
		hasGroup(name) {
			groups ??= accounts("/etc/group");
			return groups.has(name);
		},
		hasRootsRights(user, group) {
			users ??= accounts("/etc/passwd");
			groups ??= accounts("/etc/group");
			const [, , uid, gid] = users.get(user) ?? [];
			return uid === "0" || (group === null ? gid : groups.get(group)?.[2]) === "0";
		},
		program(path) {
			let found = programs.get(path);
			if (found === undefined) {
				found = findProgram(path);
				programs.set(path, found);
			}
			return found;
		},
		uptimeSeconds() {
			try {
				return Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
			} catch {
				return 0;
			}
		},
	};
}

/** passwd(5), group(5): the fields of each line by its name. */
function accounts(path: string): Map<string, readonly string[]> {
	try {
		const lines = readFileSync(path, "utf8").split("\n");
		return new Map(lines.map((line) => line.split(":")).map((fields) => [fields[0]!, fields]));
	} catch {
		return new Map();
	}
}

const SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

function findProgram(path: string): ReturnType<Machine["program"]> {
	const candidates = path.includes("/")
		? [path]
		: (process.env["PATH"] ?? SEARCH_PATH).split(":").map((directory) => join(directory, path));
	let exists = false;
	for (const candidate of candidates) {
		try {
			const status = statSync(candidate);
			if (!status.isFile()) continue;
			exists = true;
			accessSync(candidate, constants.X_OK);
			return { kind: "found", insecure: firstWritable(realpathSync(candidate)) };
		} catch {}
	}
	return { kind: exists ? "not-executable" : "missing", insecure: null };
}

/** The first part of a path that others than root and root's group can write; sticky directories are tolerated. */
function firstWritable(path: string): string | null {
	for (let part = path; ; part = dirname(part)) {
		const status = statSync(part);
		const sticky = status.isDirectory() && (status.mode & 0o1000) !== 0;
		const strangers = status.gid === 0 ? 0o002 : 0o022;
		if (status.uid !== 0 || ((status.mode & strangers) !== 0 && !sticky)) return part;
		if (part === "/" || part === ".") return null;
	}
}
