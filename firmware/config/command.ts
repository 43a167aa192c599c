/** `drover config`: check a keepalived.conf, say what it would change, show what it means. */
import { readFileSync, statSync } from "node:fs";
import { type CommandHelp, formatHelp } from "../console/command-help.ts";
import { howCalled } from "../how-called.ts";
import { self } from "../self.ts";
import type { Diagnostic } from "./keepalived/diagnostics.ts";
import type { LoadedConfig, LoadOptions } from "./keepalived/load.ts";
import type { DroverConfig } from "./model.ts";

export const help: CommandHelp = {
	usage: [
		"config check|show [FILE] [--json] [--config-id=ID]",
		"config plan [FILE] [--against=FILE] [--json] [--config-id=ID]",
		"config schema",
		"config set PATH=VALUE...",
		"config edit|confirm|discard",
		"config compare [N [M]] [--json]",
		"config commit [confirm MINUTES] [COMMENT]",
		"config rollback N|rescue [confirm MINUTES] [COMMENT]",
		"config history [--json]",
		"config rescue [N] [--json]",
		"config backup|restore PLACE [ca FILE]",
	],
	about:
		"Looks at a keepalived.conf, or at an appliance.toml, before it runs; keeps what runs as revisions. Without FILE, check and plan look at the working copy, and show at what runs.",
	words: [
		[
			"check",
			"all that is wrong or doubtful; exit status as keepalived -t: 0 nothing, 2 a word is missing, 4 unreadable, 5 errors or warnings, 6 scripts without enable_script_security",
		],
		[
			"plan",
			"what it would change in the election, the addresses and the kernel's IPVS table, against another file or what runs now; exit status 0 nothing, 1 changes, 5 errors",
		],
		["show", "what Drover would run of FILE, or what runs now, with every default filled in"],
		["schema", "the JSON schema of appliance.toml"],
		["set", 'changes appliance.toml ("config set --help")'],
		["edit", "where the working copy is"],
		["compare", "the working copy, or revision M, against revision N (the current one)"],
		[
			"commit",
			"checks the working copy, keeps it as a revision, puts it into force; taken back by itself unless confirmed in time",
		],
		["confirm", "keeps the commit that waits"],
		["rollback", "revision N again"],
		["history", "revisions, newest first"],
		["rescue", 'which revision "rollback rescue" goes back to; N chooses it'],
		["discard", "forgets the working copy"],
		["backup", "all files of the current revision, as one archive"],
		["restore", "into the working copy"],
		["PLACE", "a file, usb, https://HOST/PATH or scp://USER@HOST/PATH"],
		["ca FILE", "the certificate of the authority that signed the server's, in place of the well-known ones"],
	],
	examples: [
		["config check /etc/keepalived/keepalived.conf", "before it is taken over"],
		["config commit confirm 5 new web server", "into force; back by itself in 5 minutes unless confirmed"],
		["config rollback 7", "what revision 7 said"],
		["config backup usb", "onto the stick that is plugged in"],
	],
};
const usage = () => formatHelp(help);

interface Words {
	readonly action: "check" | "plan" | "show";
	readonly file: string;
	readonly json: boolean;
	readonly against: string | null;
	readonly options: LoadOptions;
}

/** Runs `drover config WORDS…`; resolves with the exit status. */
export async function main(words: readonly string[]): Promise<number> {
	if (words[0] === "set") {
		const { main: set } = await import("../console/config-set.ts");
		return set(words.slice(1));
	}
	if (words.includes("--help") || words.includes("-h")) {
		console.log(usage());
		return 0;
	}
	// Loaded on demand: a check of a large file must not wait for what it does not need.
	// "check" and "plan" without a file mean the working copy.
	const ofFile =
		["check", "plan"].includes(words[0] ?? "") && words.slice(1).some((word) => word !== "--json");
	if (!ofFile && words[0] !== "show") {
		const { revisionActions, revisionMain } = await import("./revisions/command.ts");
		const [name = "", ...rest] = words;
		if (Object.hasOwn(revisionActions, name)) return revisionMain(name, rest);
	}
	if (words.length === 1 && words[0] === "schema") {
		const { settingsJsonSchema } = await import("../appliance/settings.ts");
		console.log(JSON.stringify(settingsJsonSchema(), null, "\t"));
		return 0;
	}
	if (words.length === 0) {
		console.error(usage());
		return 2;
	}
	const read = readWords(words);
	if (typeof read === "string") {
		console.error(`drover config: ${read}\n${howCalled("config")}`);
		return 2;
	}
	const { file } = read;
	if (file === null) return showRunning(read.json);
	switch (read.action) {
		case "check":
			return checkWithoutLastCompiler(words, file) ?? check({ ...read, file });
		case "plan":
			return plan({ ...read, file });
		case "show":
			return show({ ...read, file });
	}
}

const isAction = (word: string): word is Words["action"] => ["check", "plan", "show"].includes(word);

/** What is wrong with them where they mean nothing; only `show` needs no file. */
function readWords(words: readonly string[]): (Omit<Words, "file"> & { file: string | null }) | string {
	const plain: string[] = [];
	let json = false;
	let against: string | null = null;
	let configId: string | null = null;
	for (let index = 0; index < words.length; index++) {
		const word = words[index]!;
		const [name, attached] = word.split(/=(.*)/s);
		if (word === "--json") json = true;
		else if (name === "--against" || name === "--config-id" || word === "-i") {
			const value = attached ?? words[++index];
			if (value === undefined) return `${word} needs ${name === "--against" ? "a file" : "an id"}`;
			if (name === "--against") against = value;
			else configId = value;
		} else if (word.startsWith("-")) return `what is "${word}"?`;
		else plain.push(word);
	}
	const [action = "", file = null, more] = plain;
	if (!isAction(action)) return `what is "${action || words[0]}"?`;
	if (more !== undefined) return `one file: what is "${more}"?`;
	if (file === null && action !== "show") return `${action}: say which file`;
	return { action, file, json, against, options: configId === null ? {} : { configId } };
}

/** From this size on, a check runs in a process of its own. */
const LARGE_FILE_BYTES = 1024 * 1024;

/**
 * A large file is through before JavaScriptCore's last compiler has paid for itself: without it the
 * check needs a third less CPU. The compiler can be chosen only when a process starts.
 * null: not needed, or not possible.
 */
function checkWithoutLastCompiler(words: readonly string[], file: string): number | null {
	if (process.env["BUN_JSC_useFTLJIT"] !== undefined) return null;
	if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) < LARGE_FILE_BYTES) return null;
	const child = Bun.spawnSync([...self(), "config", ...words], {
		env: { ...process.env, BUN_JSC_useFTLJIT: "0" },
		stdio: ["ignore", "inherit", "inherit"],
	});
	return child.signalCode === undefined ? child.exitCode : null;
}

/** The reader and the printer of findings: loaded on demand, for the process that only starts another needs neither. */
async function reader() {
	const [{ loadConfig, namedIn }, { formatDiagnostic, MISSING_INTERFACE }] = await Promise.all([
		import("./keepalived/load.ts"),
		import("./keepalived/diagnostics.ts"),
	]);
	const misses = ({ code }: Diagnostic): boolean => code === MISSING_INTERFACE;
	return { loadConfig, namedIn, formatDiagnostic, misses };
}

/** The file as what runs here would judge it: an interface that is in force, and missing, it has missed already. */
async function loadBesideRunning(file: string, options: LoadOptions): Promise<LoadedConfig> {
	const { loadConfig, namedIn, misses } = await reader();
	const loaded = loadConfig(file, options);
	if (loaded.acceptable || !loaded.diagnostics.some(misses)) return loaded;
	return loadConfig(file, { ...options, ...namedIn(await running()) });
}

async function check({ file, json, options }: Words): Promise<number> {
	if (file.endsWith(".toml")) return checkSettings(file, json);
	const { formatDiagnostic } = await reader();
	const loaded = await loadBesideRunning(file, options);
	if (json) {
		const { config: _config, ...rest } = loaded;
		console.log(JSON.stringify(rest, null, "\t"));
	} else console.log(report(loaded, formatDiagnostic));
	return loaded.exitStatus;
}

async function checkSettings(file: string, json: boolean): Promise<number> {
	const { readSettings } = await import("../appliance/settings.ts");
	const { formatDiagnostic } = await reader();
	let text: string;
	try {
		text = readFileSync(file, "utf8");
	} catch (error) {
		console.error(`drover config: ${error instanceof Error ? error.message : error}`);
		return 4;
	}
	const { settings, diagnostics } = readSettings(text, file);
	if (json) console.log(JSON.stringify({ acceptable: settings !== null, diagnostics }, null, "\t"));
	else {
		for (const diagnostic of diagnostics) console.log(formatDiagnostic(diagnostic));
		if (diagnostics.length === 0) console.log("nothing wrong");
	}
	return diagnostics.length === 0 ? 0 : 5;
}

/** All findings, and a last line that sums them up. */
function report(loaded: LoadedConfig, formatDiagnostic: (diagnostic: Diagnostic) => string): string {
	const { diagnostics } = loaded;
	const lines = diagnostics.map(formatDiagnostic);
	if (loaded.moreDiagnostics > 0) lines.push(`… and ${loaded.moreDiagnostics} more`);
	const count = (severity: Diagnostic["severity"]) =>
		diagnostics.filter((diagnostic) => diagnostic.severity === severity).length;
	const { config } = loaded;
	const servers = config.virtualServers.reduce((sum, server) => sum + server.realServers.length, 0);
	lines.push(
		[
			[
				counted(config.vrrpInstances.length, "VRRP instance"),
				counted(config.virtualServers.length, "virtual server"),
				counted(servers, "real server"),
			].join(", "),
			diagnostics.length === 0
				? "nothing wrong"
				: [
						counted(count("error"), "error"),
						counted(count("warning"), "warning"),
						counted(count("hint"), "hint"),
					].join(", "),
			loaded.acceptable ? "accepted" : "a running director would refuse it",
		].join("; "),
	);
	return lines.join("\n");
}

/** "0 errors", "1 error", "2 errors". */
const counted = (count: number, noun: string) => `${count} ${noun}${count === 1 ? "" : "s"}`;

async function show({ file, json, options }: Words): Promise<number> {
	const { loadConfig, formatDiagnostic } = await reader();
	const loaded = loadConfig(file, options);
	await printConfig(loaded.config, json);
	for (const diagnostic of loaded.diagnostics)
		if (diagnostic.severity === "error") console.error(formatDiagnostic(diagnostic));
	return loaded.exitStatus;
}

async function printConfig(config: DroverConfig, json: boolean): Promise<void> {
	if (json) return console.log(JSON.stringify(config, null, "\t"));
	const { showConfig } = await import("./show.ts");
	console.log(showConfig(config));
}

async function showRunning(json: boolean): Promise<number> {
	const config = await running();
	if (config === null) {
		console.error("drover config show: nothing runs here; name a file: drover config show FILE");
		return 4;
	}
	await printConfig(config, json);
	return 0;
}

async function plan({ file, json, against, options }: Words): Promise<number> {
	const { loadConfig, namedIn, formatDiagnostic, misses } = await reader();
	const before = against === null ? await running() : loadConfig(against, options).config;
	if (before === null) {
		console.error(
			"drover config plan: nothing runs here to compare with; name what runs now: --against=FILE (an empty file shows everything)",
		);
		return 4;
	}
	const loaded = loadConfig(file, { ...options, ...namedIn(before) });
	const { formatChange, planChanges } = await import("./plan.ts");
	const changes = planChanges(before, loaded.config);
	if (json)
		console.log(
			JSON.stringify({ changes, acceptable: loaded.acceptable, diagnostics: loaded.diagnostics }, null, "\t"),
		);
	else {
		for (const diagnostic of loaded.diagnostics)
			if (diagnostic.severity === "error" || misses(diagnostic)) console.log(formatDiagnostic(diagnostic));
		console.log(changes.length === 0 ? "nothing would change" : changes.map(formatChange).join("\n"));
		if (!loaded.acceptable) console.log("a running director would refuse this file");
	}
	if (!loaded.acceptable) return 5;
	return changes.length === 0 ? 0 : 1;
}

/** What runs now: the election's part from the vrrp service, the rest from the director; null when neither answers. */
async function running(): Promise<DroverConfig | null> {
	const { call } = await import("../bus/client.ts");
	const ask = (service: string) => call<DroverConfig>(service, "config").catch(() => null);
	const [vrrp, director] = await Promise.all([ask("vrrp"), ask("director")]);
	if (vrrp === null || director === null) return vrrp ?? director;
	return { ...vrrp, virtualServers: director.virtualServers };
}
