/** varnishd's command line. Pure: words in, options or a complaint out. */
import { parseBytes } from "../cli/parameters.ts";
import { STORAGE_LIMIT, TRANSIENT } from "../store/layout.ts";

export interface ListenerOption {
	readonly name: string;
	/** As written, without the name: what debug and VCL show. */
	readonly text: string;
	readonly host: string;
	readonly port: string;
	/** A Unix socket instead of host and port. */
	readonly path: string | undefined;
	readonly transport: "HTTP/1" | "PROXY";
	readonly mode: number | undefined;
	/** Whose a Unix socket is, by name; undefined: whose the process is. */
	readonly user: string | undefined;
	readonly group: string | undefined;
	/** PEM file with certificate and key: TLS to clients (an extension). */
	readonly tls: string | undefined;
	/** Whoever reaches it may give orders (`drover cache purge`); no option makes one. */
	readonly administrative: boolean;
}

export interface StorageOption {
	readonly name: string;
	readonly isNamed: boolean;
	readonly kind: "malloc" | "file" | "persistent";
	/** The kind as the operator wrote it. */
	readonly written: string;
	readonly path: string | undefined;
	readonly bytes: number;
}

export interface Options {
	listeners: ListenerOption[];
	backend: string | undefined;
	/** -f arguments; "" starts without a VCL. */
	files: string[];
	directory: string | undefined;
	mode: "daemon" | "foreground" | "debug" | "compile";
	cliAddresses: string[];
	reverseCli: string | undefined;
	secret: string | undefined;
	pidFiles: string[];
	commandFile: string | undefined;
	identity: string | undefined;
	parameters: { readonly name: string; readonly value: string }[];
	readOnly: string[];
	/** Transient is the last. */
	storages: StorageOption[];
	/** Port of /metrics and /status (an extension). */
	metrics: string | undefined;
	accessLog: string | undefined;
	/** Adds a Cache-Status field (RFC 9211) to every answer (an extension). */
	cacheStatus: boolean;
}

export type Parsed =
	| { readonly kind: "run"; readonly options: Options }
	| {
			readonly kind: "print";
			readonly what: "version" | "usage" | "optstring" | "parameter" | "vsl" | "cli" | "builtin";
	  }
	| { readonly kind: "wrong"; readonly message: string };

export const OPTION_STRING = "?a:b:Cdf:Fh:i:I:j:l:M:n:P:p:r:S:s:T:t:VW:x:";
const DEFAULT_STORAGE_BYTES = 100 * 1024 * 1024;

const wrong = (message: string): Parsed => ({ kind: "wrong", message });

/** Splits "host:port", "[v6]:port", "host port", ":port", "host". */
export function splitAddress(text: string, defaultPort: string): { host: string; port: string } {
	const bracket = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
	if (bracket !== null) return { host: bracket[1]!, port: bracket[2] || defaultPort };
	const blank = /^(\S*)\s+(\S+)$/.exec(text);
	if (blank !== null) return { host: blank[1]!, port: blank[2]! };
	const colon = text.lastIndexOf(":");
	if (colon < 0 || text.indexOf(":") !== colon) return { host: text, port: defaultPort };
	return { host: text.slice(0, colon), port: text.slice(colon + 1) || defaultPort };
}

export function parseListener(argument: string, index: number): ListenerOption | string {
	const named = /^([a-zA-Z][\w-]*)=(.*)$/s.exec(argument);
	const name = named?.[1] ?? `a${index}`;
	const [address = "", ...attributes] = (named?.[2] ?? argument).split(",");
	const path = address.startsWith("/") || address.startsWith("@") ? address : undefined;
	if (path === undefined && address.includes("/"))
		return `Unix domain socket addresses must be absolute paths in -a (${address})`;
	let transport: ListenerOption["transport"] | undefined;
	/** user, group, mode and tls. */
	const given = new Map<string, string>();
	for (const attribute of attributes) {
		const [, key, value] = /^([^=]*)=(.*)$/s.exec(attribute) ?? [];
		if (key === undefined) {
			if (transport !== undefined) return `Too many protocol sub-args in -a (${attribute})`;
			if (attribute === "HTTP") transport = "HTTP/1";
			else if (attribute === "PROXY") transport = "PROXY";
			else return `Unknown protocol '${attribute}'`;
			continue;
		}
		if (path === undefined && key !== "tls") return `Invalid sub-arg ${attribute} for IP addresses in -a`;
		if (!["user", "group", "mode", "tls"].includes(key)) return `Invalid sub-arg ${attribute} in -a`;
		if (given.has(key)) return `Too many ${key} sub-args in -a (${attribute})`;
		// Whether there is such a user or group is found out where they are looked up.
		if (value === "" && key !== "user" && key !== "group") return `Empty ${key} sub-arg in -a`;
		if (key === "mode" && !/^[0-7]+$/.test(value!)) return `Invalid mode sub-arg ${value} in -a`;
		given.set(key, value!);
	}
	const [user, group, tls] = ["user", "group", "tls"].map((key) => given.get(key));
	const mode = given.has("mode") ? Number.parseInt(given.get("mode")!, 8) : undefined;
	if (mode !== undefined && (mode === 0 || mode > 0o777))
		return `Mode sub-arg ${given.get("mode")} out of range in -a`;
	if (tls !== undefined && transport === "PROXY") return `-a ${argument}: PROXY and tls do not go together`;
	const shared = {
		...{ name, text: address, path, transport: transport ?? ("HTTP/1" as const) },
		...{ mode, user, group, tls, administrative: false },
	};
	if (path !== undefined) return { ...shared, host: "", port: "" };
	return { ...shared, ...splitAddress(address, "80") };
}

/** Less is a unit forgotten. */
const LEAST_STORAGE_BYTES = 1 << 20;
const wrongSize = (kind: string, text: string | undefined, bytes: number | undefined) =>
	`(-s ${kind}) size "${text}": ${bytes === undefined ? "not a size" : "less than 1 MB; M or G may be missing"}`;

const defaultStorage = (name: string, bytes: number): StorageOption => ({
	...{ name, isNamed: false, kind: "malloc", written: "default", path: undefined, bytes },
});

/** It takes room in the largest of the others. */
export const unboundedTransient = defaultStorage(TRANSIENT, 0);

/** `unnamed`: those before it without a name, which are numbered. */
export function parseStorage(argument: string, unnamed: number): StorageOption | string {
	const named = /^([^,=]*)=(.*)$/s.exec(argument);
	if (named !== null && !/^[a-zA-Z][\w-]*$/.test(named[1]!)) return `invalid -s name "${named[1]}"=[...]`;
	if (named !== null && named[2] === "") return `Empty named -s argument "${named[1]}="`;
	const [kind = "", ...rest] = (named?.[2] ?? argument).split(",");
	const name = named?.[1] ?? `s${unnamed}`;
	const isNamed = named !== null;
	const size = (text: string | undefined) =>
		text === undefined || text === "" ? DEFAULT_STORAGE_BYTES : parseBytes(text.replace(/%$/, ""));
	switch (kind) {
		case "default":
		case "malloc":
		case "umem":
		case "debug": {
			const bytes = size(rest[0]);
			return bytes === undefined || bytes < LEAST_STORAGE_BYTES
				? wrongSize(kind, rest[0], bytes)
				: { name, isNamed, kind: "malloc", written: kind, path: undefined, bytes };
		}
		case "file":
		case "persistent":
		case "deprecated_persistent": {
			if (rest[0] === undefined || rest[0] === "") return `(-s ${kind}) no path`;
			const bytes = size(rest[1]);
			return bytes === undefined || bytes < LEAST_STORAGE_BYTES
				? wrongSize(kind, rest[1], bytes)
				: {
						name,
						isNamed,
						kind: kind === "file" ? "file" : "persistent",
						written: kind,
						path: rest[0],
						bytes,
					};
		}
		default:
			return `Unknown stevedore method "${kind}"`;
	}
}

/** Reads the words after the program's name, as getopt(3) would. */
export function parseOptions(words: readonly string[]): Parsed {
	if (words.length === 1 && words[0] === "--optstring") return { kind: "print", what: "optstring" };
	// As every command of the box.
	if (words.length === 1 && words[0] === "--help") return { kind: "print", what: "usage" };
	const options: Options = {
		listeners: [],
		backend: undefined,
		files: [],
		directory: undefined,
		mode: "daemon",
		cliAddresses: [],
		reverseCli: undefined,
		secret: undefined,
		pidFiles: [],
		commandFile: undefined,
		identity: undefined,
		parameters: [],
		readOnly: [],
		storages: [],
		metrics: undefined,
		accessLog: undefined,
		cacheStatus: false,
	};
	const modes: string[] = [];
	let index = 0;
	while (index < words.length) {
		const word = words[index++]!;
		const long = /^--(metrics|access-log)=(.*)$/.exec(word);
		if (long !== null) {
			if (long[1] === "metrics") options.metrics = long[2];
			else options.accessLog = long[2];
			continue;
		}
		if (word === "--cache-status") {
			options.cacheStatus = true;
			continue;
		}
		if (!word.startsWith("-") || word === "-") return wrong(`Too many arguments (${word}...)`);
		for (let at = 1; at < word.length; at++) {
			const letter = word[at]!;
			const known = OPTION_STRING.indexOf(letter);
			if (known < 0 || letter === ":") return wrong(`invalid option -- '${letter}'`);
			if (letter === "?") return { kind: "print", what: "usage" };
			if (OPTION_STRING[known + 1] !== ":") {
				if (letter === "V")
					return words.length > 1
						? wrong("-V must be the only argument")
						: { kind: "print", what: "version" };
				modes.push(letter);
				continue;
			}
			let argument = word.slice(at + 1);
			if (argument === "") {
				if (index >= words.length) return wrong(`option requires an argument -- '${letter}'`);
				argument = words[index++]!;
			}
			const complaint = applyOption(options, letter, argument, words.length);
			if (complaint !== undefined) return complaint;
			break;
		}
	}
	for (const [one, other] of [
		["d", "F"],
		["C", "F"],
		["C", "d"],
	] as const)
		if (modes.includes(one) && modes.includes(other)) return wrong(`-${one} cannot be used with -${other}`);
	if (modes.includes("F")) options.mode = "foreground";
	if (modes.includes("d")) options.mode = "debug";
	if (modes.includes("C")) options.mode = "compile";
	if (options.backend !== undefined && options.files.length > 0)
		return wrong("Only one of -b or -f can be specified");
	if (options.mode === "compile" && options.backend === undefined && options.files.length === 0)
		return wrong("-C needs either -b <backend> or -f <vcl_file>");
	if (options.mode !== "debug" && options.backend === undefined && options.files.length === 0)
		return wrong("Neither -b nor -f given. (use -f '' to override)");
	if (options.listeners.length === 0) options.listeners.push(parseListener(":80", 0) as ListenerOption);
	const seen = new Set<string>();
	for (const { path, host, port, text } of options.listeners) {
		const key = path ?? `${host}:${port}`;
		if (seen.has(key) && port !== "0") return wrong(`-a ${text}: have same address`);
		seen.add(key);
	}
	if (options.storages.length === 0) options.storages.push(defaultStorage("s0", DEFAULT_STORAGE_BYTES));
	options.storages = [
		...options.storages.filter(({ name }) => name !== TRANSIENT),
		options.storages.find(({ name }) => name === TRANSIENT) ?? unboundedTransient,
	];
	if (options.storages.length > STORAGE_LIMIT)
		return wrong(`(-s) ${options.storages.length} storages, at most ${STORAGE_LIMIT} are possible`);
	return { kind: "run", options };
}

function applyOption(options: Options, letter: string, argument: string, count: number): Parsed | undefined {
	switch (letter) {
		case "a": {
			const listener = parseListener(argument, options.listeners.length);
			if (typeof listener === "string") return wrong(listener);
			options.listeners.push(listener);
			return undefined;
		}
		case "b":
			if (options.backend !== undefined) return wrong("Only one -b can be specified");
			options.backend = argument;
			return undefined;
		case "f":
			options.files.push(argument);
			return undefined;
		case "i":
			options.identity = argument;
			return undefined;
		case "I":
			if (options.commandFile !== undefined) return wrong("\tOnly one -I allowed");
			options.commandFile = argument;
			return undefined;
		case "l":
			options.parameters.push({ name: "vsl_space", value: argument });
			return undefined;
		case "M":
			options.reverseCli = argument;
			return undefined;
		case "n":
			options.directory = argument;
			return undefined;
		case "P":
			options.pidFiles.push(argument);
			return undefined;
		case "p": {
			const equals = argument.indexOf("=");
			if (equals < 0) return wrong(`\tNo '=' in -p`);
			options.parameters.push({ name: argument.slice(0, equals), value: argument.slice(equals + 1) });
			return undefined;
		}
		case "r":
			options.readOnly.push(...argument.split(","));
			return undefined;
		case "S":
			options.secret = argument;
			return undefined;
		case "s": {
			const unnamed = options.storages.filter(({ isNamed }) => !isNamed).length;
			const storage = parseStorage(argument, unnamed);
			if (typeof storage === "string") return wrong(storage);
			if (options.storages.some(({ name }) => name === storage.name))
				return wrong(`(-s ${argument}) '${storage.name}' is already defined`);
			options.storages.push(storage);
			return undefined;
		}
		case "T":
			options.cliAddresses.push(argument);
			return undefined;
		case "t":
			options.parameters.push({ name: "default_ttl", value: argument });
			return undefined;
		case "x":
			if (count > 2) return wrong("-x must be the only argument");
			if (
				argument === "parameter" ||
				argument === "vsl" ||
				argument === "cli" ||
				argument === "builtin" ||
				argument === "optstring"
			)
				return { kind: "print", what: argument };
			return wrong("Invalid -x argument");
		default:
			// -h, -j and -W choose between implementations that exist only there.
			return undefined;
	}
}
