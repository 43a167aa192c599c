/** `drover varnishd …` and `drover cache …`: the cache's front doors. */
import { randomBytes } from "node:crypto";
import {
	closeSync,
	existsSync,
	mkdirSync,
	openSync,
	readFileSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { isAbsolute, join } from "node:path";
import { getSystemErrorMap } from "node:util";
import { self } from "../self.ts";
import { commandNames, runCommand } from "./cli/commands.ts";
import { ParameterSet } from "./cli/parameters.ts";
import { splitWords } from "./cli/protocol.ts";
import { CliConversation, callOut, listenCli } from "./cli/server.ts";
import { prepareListening } from "./listening-places.ts";
import { Tag } from "./log/tags.ts";
import { Manager, platformText } from "./manager/manager.ts";
import { OPTION_STRING, type Options, parseOptions, splitAddress } from "./manager/options.ts";
import { backendPathVcl, backendVcl, compileForShelf, findVclFile } from "./manager/vcl-shelf.ts";
import { builtinVcl } from "./vcl/builtin.ts";
import { toText } from "./vcl/byte-string.ts";
import { idOf } from "./worker/credentials.ts";

const VERSION =
	"varnishd (varnish-7.1.1 revision drover)\nDrover: speaks Varnish 7.1's language, protocol and shared memory.";
const WORK_ROOT = "/var/lib/varnish";
const SECRET_BYTES = 256;
const CONFIG_ERROR = 2;

function usage(): string {
	return `Usage: varnishd [options]

Basic options:
  -a [<name>=]address[:port][,proto][,tls=<pem>]   HTTP listen address and port
  -b [addr[:port]|path|none]                       Use as backend
  -f vclfile                                       VCL program, several times for several
  -s [name=]storage[,options]                      malloc, file or persistent
  -n dir                                           Working directory

CLI and process options:
  -T address[:port]|none   -M address:port   -S secret-file|none   -I clifile
  -F (foreground)  -d (foreground, CLI on standard input, child not started)  -C (compile only)
  -i identity  -P pidfile  -p param=value  -r param[,param...]  -t TTL  -l vsl
  --metrics=addr:port (OpenMetrics)  --access-log=file (JSON lines)
  --cache-status (adds RFC 9211's header)

Documentation options:
  -?  -V  -x parameter|vsl|cli|builtin|optstring
`;
}

function print(what: string): void {
	switch (what) {
		case "version":
			console.error(VERSION);
			return;
		case "usage":
			console.log(usage());
			return;
		case "optstring":
			console.log(OPTION_STRING);
			return;
		case "builtin":
			console.log(builtinVcl);
			return;
		case "cli":
			console.log(commandNames().join("\n"));
			return;
		case "vsl":
			console.log(Object.keys(Tag).join("\n"));
			return;
		default: {
			const parameters = new ParameterSet();
			console.log(
				Object.keys(parameters.values)
					.map((name) => parameters.describe(name))
					.join("\n"),
			);
		}
	}
}

const complain = (text: string) => {
	console.error(`Error: ${text}\n(-? gives usage)`);
	return CONFIG_ERROR;
};

/** Runs varnishd's command line; resolves with the exit status. */
export async function main(words: readonly string[]): Promise<number> {
	const parsed = parseOptions(words);
	switch (parsed.kind) {
		case "print":
			print(parsed.what);
			return 0;
		case "wrong":
			return complain(parsed.message);
		case "run":
			return run(parsed.options, words);
	}
}

async function run(options: Options, words: readonly string[]): Promise<number> {
	const parameters = new ParameterSet();
	for (const { name, value } of options.parameters) {
		const result = parameters.set(name, value, false);
		if (!result.ok) return complain(result.message);
	}
	for (const { user, group } of options.listeners) {
		if (user !== undefined && idOf("user", user) === undefined) return complain(`Unknown user ${user} in -a`);
		if (group !== undefined && idOf("group", group) === undefined)
			return complain(`Unknown group ${group} in -a`);
	}
	for (const name of options.readOnly)
		if (!parameters.protect(name)) return complain(`-r unknown parameter ${name}`);
	if (options.mode === "compile") return compileOnly(options, parameters);
	const directory =
		options.directory === undefined
			? join(WORK_ROOT, "varnishd")
			: isAbsolute(options.directory)
				? options.directory
				: join(WORK_ROOT, options.directory);
	mkdirSync(directory, { recursive: true, mode: 0o755 });
	const pidFiles = [join(directory, "_.pid"), ...options.pidFiles];
	for (const path of pidFiles) {
		const fault = pidFileFault(path);
		if (fault !== undefined) return complain(fault);
	}
	if (options.mode === "daemon") return daemonise(words, directory);
	return serve(options, parameters, directory, pidFiles);
}

/** What keeps this process from having that file as its own. */
function pidFileFault(path: string): string | undefined {
	try {
		const running = runningPid(path);
		if (running !== undefined) return `Varnishd is already running (pid=${running}) (pidfile=${path})`;
		closeSync(openSync(path, "a"));
		return undefined;
	} catch (error) {
		const { errno = 0, message } = error as NodeJS.ErrnoException;
		const reason = getSystemErrorMap().get(errno)?.[1] ?? message;
		return `Could not open pid-file (${path}): ${reason[0]?.toUpperCase()}${reason.slice(1)}`;
	}
}

function runningPid(path: string): number | undefined {
	if (!existsSync(path)) return undefined;
	const pid = Number(readFileSync(path, "utf8").trim());
	if (!Number.isInteger(pid) || pid <= 0 || pid === process.pid) return undefined;
	try {
		process.kill(pid, 0);
		return /drover|varnishd|bun/.test(readFileSync(`/proc/${pid}/cmdline`, "utf8")) ? pid : undefined;
	} catch {
		return undefined;
	}
}

/** Without -F or -d the parent leaves when the cache is up. */
async function daemonise(words: readonly string[], directory: string): Promise<number> {
	rmSync(join(directory, "_.vsm_child"), { recursive: true, force: true });
	const child = Bun.spawn([...self(), "varnishd", "-F", ...words], {
		stdin: "ignore",
		stdout: "ignore",
		stderr: "inherit",
		detached: true,
	} as never) as unknown as { exitCode: number | null; unref(): void };
	for (let waited = 0; waited < 300; waited++) {
		if (child.exitCode !== null) return child.exitCode;
		if (existsSync(join(directory, "_.vsm_child/_.index"))) break;
		await Bun.sleep(50);
	}
	child.unref();
	return 0;
}

function vclSources(
	options: Options,
	parameters: ParameterSet,
): { name: string; file: string; text: string }[] | string {
	if (options.backend !== undefined) {
		if (options.backend === "none")
			return [{ name: "boot", file: "<-b argument>", text: "vcl 4.1;\n\nbackend default none;\n" }];
		if (options.backend.startsWith("/"))
			return [{ name: "boot", file: "<-b argument>", text: backendPathVcl(options.backend) }];
		return [{ name: "boot", file: "<-b argument>", text: backendVcl(options.backend) }];
	}
	const files = options.files.filter((file) => file !== "");
	const sources: { name: string; file: string; text: string }[] = [];
	for (const [index, file] of files.entries()) {
		const found = findVclFile(file, String(parameters.values["vcl_path"]));
		if (found === undefined) return `Cannot read -f file '${file}' (No such file or directory)`;
		if (statSync(found).isDirectory()) return `Cannot read -f file '${file}' (Is a directory)`;
		sources.push({
			name: index === files.length - 1 ? "boot" : `boot${index}`,
			file: found,
			text: readFileSync(found, "latin1"),
		});
	}
	return sources;
}

async function compileOnly(options: Options, parameters: ParameterSet): Promise<number> {
	const sources = vclSources(options, parameters);
	if (typeof sources === "string") return complain(sources);
	for (const { name, file, text } of sources) {
		const result = await compileForShelf(
			{ name, source: text, file },
			parameters,
			[],
			options.storages.map(({ name }) => name),
		);
		if (!result.ok) {
			console.error(result.message);
			return CONFIG_ERROR;
		}
		console.error(result.vcl.compiled.code);
	}
	return 0;
}

function secretOf(
	options: Options,
	directory: string,
): { bytes: Uint8Array | undefined; path: string | undefined; own: boolean } {
	if (options.secret === "none") return { bytes: undefined, path: undefined, own: false };
	if (options.secret !== undefined)
		return { bytes: readFileSync(options.secret), path: options.secret, own: false };
	const path = join(directory, "_.secret");
	const bytes = randomBytes(SECRET_BYTES);
	writeFileSync(path, bytes, { mode: 0o640 });
	return { bytes, path, own: true };
}

async function serve(
	options: Options,
	parameters: ParameterSet,
	directory: string,
	pidFiles: readonly string[],
): Promise<number> {
	const log = (line: string) => console.error(line);
	let secret: ReturnType<typeof secretOf>;
	try {
		secret = secretOf(options, directory);
	} catch (error) {
		return complain(
			`Can not open secret-file "${options.secret}" (${error instanceof Error ? error.message : error})`,
		);
	}
	const sources = vclSources(options, parameters);
	if (typeof sources === "string") return complain(sources);
	const manager = new Manager(options, parameters, directory, log);
	let finish: (status: number) => void = () => {};
	const finished = new Promise<number>((resolve) => {
		finish = resolve;
	});
	process.on("SIGTERM", () => finish(0));
	process.on("SIGINT", () => finish(0));
	process.on("SIGHUP", () => {});
	for (const path of pidFiles) writeFileSync(path, `${process.pid}\n`);
	log("Debug: Version: varnish-7.1.1 revision drover");
	log(`Debug: Platform: ${platformText(options)}`);
	let status = 0;
	try {
		await prepareListening(options.listeners);
		for (const { name, text, file } of sources) {
			const warnings = await manager.loadVcl({ name, source: text, file }, "auto");
			if (warnings !== "") console.error(`Warnings:\nMessage from VCC-compiler:\n${toText(warnings)}`);
		}
		if (sources.length > 0) await manager.useVcl("boot");
		const listening: string[] = [];
		for (const address of options.cliAddresses.length > 0 ? options.cliAddresses : ["localhost:0"]) {
			if (address === "none") continue;
			const { host, port } = splitAddress(address, "0");
			const cli = await listenCli(
				manager,
				secret.bytes,
				host === "" ? "0.0.0.0" : host === "localhost" ? "127.0.0.1" : host,
				Number(port),
			);
			listening.push(`${cli.address} ${cli.port}\n`);
		}
		if (listening.length > 0) manager.addArgument("-T", listening.join(""));
		if (secret.path !== undefined) manager.addArgument("-S", secret.path);
		if (options.reverseCli !== undefined) {
			const { host, port } = splitAddress(options.reverseCli, "0");
			callOut(manager, secret.bytes, host, Number(port));
		}
		if (options.commandFile !== undefined) await runCommandFile(manager, options.commandFile);
		if (options.mode === "debug") commandsFromInput(manager, () => finish(0));
		else if (manager.active !== undefined) await manager.start();
		if (options.metrics !== undefined) {
			const { serveMetrics } = await import("./status/metrics.ts");
			const { host, port } = splitAddress(options.metrics, "9131");
			serveMetrics(manager, host === "" ? "0.0.0.0" : host, Number(port));
		}
		manager.onDied = () => {
			if (options.mode !== "debug") finish(0x20);
		};
		status = await finished;
	} catch (error) {
		console.error(`Error: ${error instanceof Error ? error.message : error}`);
		status = CONFIG_ERROR;
	}
	await manager.shutDown();
	if (secret.own && secret.path !== undefined) rmSync(secret.path, { force: true });
	for (const path of pidFiles) rmSync(path, { force: true });
	process.exit(status);
}

/** -I: commands before the child starts. One that fails ends the start, unless its line begins with "-". */
async function runCommandFile(manager: Manager, path: string): Promise<void> {
	for (const line of readFileSync(path, "latin1").split("\n")) {
		if (line.trim() === "" || line.startsWith("#")) continue;
		const words = splitWords(line.replace(/^\s*-?/, ""));
		const reply = words.ok
			? await runCommand(manager, words.words, true)
			: { status: 100, body: words.message };
		if (reply.status !== 200 && !line.startsWith("-"))
			throw new Error(`-I file CLI command failed (${reply.status})\nCLI> ${line}\n${reply.body}`);
	}
}

/** -d: the CLI on standard input; the end of the input ends the program. */
function commandsFromInput(manager: Manager, onEnd: () => void): void {
	const conversation = new CliConversation(manager, undefined, {
		write: (text) => process.stdout.write(text, "latin1"),
		end: onEnd,
	});
	process.stdin.on("data", (bytes: Buffer) => conversation.receive(bytes.toString("latin1")));
	process.stdin.on("end", onEnd);
	process.stdin.on("error", onEnd);
	process.stdin.resume();
}
