/** `drover realserver`: what a real server needs, and which of them lack it. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { commandFault } from "../command-fault.ts";
import { loadConfig } from "../config/keepalived/load.ts";
import type { DroverConfig, Forwarding } from "../config/model.ts";
import { configDirectory } from "../config/revisions/workspace.ts";
import { type CommandHelp, formatHelp } from "../console/command-help.ts";
import { print } from "../console/command-line.ts";
import { canonicalAddress } from "../wire/ip.ts";
import { realServerScript } from "./realserver-script.ts";
import { isRight, verificationLines, verifyRealServers } from "./realserver-verify.ts";

const KEEPALIVED_FILE = "/etc/keepalived/keepalived.conf";

/** What is in force: on a box the revision. */
function defaultFile(): string {
	const revision = join(configDirectory(), "current/keepalived.conf");
	return existsSync(revision) ? revision : KEEPALIVED_FILE;
}

export const help: CommandHelp = {
	usage: ["realserver DR|TUN [--vip ADDRESS]... [--file FILE]", "realserver verify [FILE] [--json]"],
	about: "What a real server needs of its own where the answers do not come back through the director.",
	words: [
		[
			"DR, TUN",
			'prints a script that makes a machine a real server: pipe it into "sh" there, as root; for the addresses of --vip, or those in FILE',
		],
		[
			"verify",
			"asks every real server in FILE whether it accepts its virtual addresses, and says which do not; exit status 0: all do, 1: some do not, or could not be asked",
		],
		["--vip=ADDRESS", "a virtual address; several times for several"],
		["--file=FILE", `a keepalived.conf (what is in force, or ${KEEPALIVED_FILE})`],
		["--tunnel=ipip|gre|gue", "TUN: the kind of tunnel (ipip)"],
		["--port=PORT", "TUN with gue: the UDP port"],
		["--json", "verify: for programs"],
	],
	examples: [
		["realserver DR --vip 192.168.80.200", "what to run on a web server behind this address"],
		["realserver verify", "which of them lack it"],
	],
};
const usage = formatHelp(help);

export async function main(words: readonly string[]): Promise<number> {
	let parsed: ReturnType<typeof parse>;
	try {
		parsed = parse(words);
	} catch (error) {
		const fault = commandFault("realserver", error);
		if (fault === null) throw error;
		console.error(fault.text);
		return fault.exitStatus;
	}
	const { values, positionals } = parsed;
	const [action, operand, ...rest] = positionals;
	if (values.help || action === "help") {
		console.log(usage);
		return 0;
	}
	const file = values.file ?? (action === "verify" ? operand : undefined) ?? defaultFile();
	const mode = action?.toUpperCase();
	if (
		rest.length > 0 ||
		(mode !== "DR" && mode !== "TUN" && action !== "verify") ||
		(mode !== "VERIFY" && (operand !== undefined || values.json))
	) {
		console.error(usage);
		return 2;
	}
	if (mode === "DR" || mode === "TUN") {
		const script = scriptFor(mode, values, file);
		if (typeof script === "string") {
			console.error(`drover realserver: ${script}`);
			return 2;
		}
		process.stdout.write(script.text);
		return 0;
	}
	const config = read(file);
	if (typeof config === "string") {
		console.error(`drover realserver: ${config}`);
		return 2;
	}
	const verification = await verifyRealServers(config);
	print(values.json, verification, () => verificationLines(verification));
	return isRight(verification) ? 0 : 1;
}

function parse(words: readonly string[]) {
	return parseArgs({
		args: [...words],
		allowPositionals: true,
		options: {
			vip: { type: "string", multiple: true, default: [] },
			file: { type: "string", short: "f" },
			tunnel: { type: "string" },
			port: { type: "string" },
			json: { type: "boolean", default: false },
			help: { type: "boolean", short: "h", default: false },
		},
	});
}

function read(file: string): DroverConfig | string {
	const { config, diagnostics } = loadConfig(file);
	const unreadable = diagnostics.find(({ code, location }) => code === "unreadable" && location.line === 0);
	if (unreadable !== undefined) return `${file}: ${unreadable.message}`;
	if (config.virtualServers.length === 0) return `there is no virtual server in ${file}`;
	return config;
}

type Values = ReturnType<typeof parse>["values"];

/** The script, or what is wrong with the request. */
function scriptFor(mode: "DR" | "TUN", values: Values, file: string): { readonly text: string } | string {
	const vips = new Set<string>();
	let found: Exclude<Forwarding, { kind: "NAT" }> | null = null;
	for (const text of values.vip) {
		const vip = canonicalAddress(text);
		if (vip === null) return `"${text}" is no IP address`;
		vips.add(vip);
	}
	if (vips.size === 0) {
		const config = read(file);
		if (typeof config === "string") return `${config} (or name the virtual addresses with --vip)`;
		for (const virtualServer of config.virtualServers)
			for (const { forwarding } of virtualServer.realServers)
				if (forwarding.kind === mode) {
					found ??= forwarding;
					for (const service of virtualServer.services)
						if (service.kind === "address") vips.add(service.address);
				}
		if (vips.size === 0)
			return found === null
				? `no virtual server in ${file} forwards by ${mode}`
				: `what ${file} forwards by ${mode} has firewall marks and no addresses: name these with --vip`;
	}
	const forwarding = mode === "DR" ? ({ kind: "DR" } as const) : tunnelOf(values, found);
	if (typeof forwarding === "string") return forwarding;
	return { text: realServerScript({ forwarding, vips: [...vips] }) };
}

function tunnelOf(
	values: Values,
	found: Exclude<Forwarding, { kind: "NAT" }> | null,
): Extract<Forwarding, { kind: "TUN" }> | string {
	const tunnel = values.tunnel ?? (found?.kind === "TUN" ? found.tunnel : "ipip");
	if (tunnel !== "ipip" && tunnel !== "gre" && tunnel !== "gue")
		return `there is no tunnel "${tunnel}": ipip, gre or gue`;
	const port = Number(values.port ?? (found?.kind === "TUN" ? found.port : 0));
	if (tunnel === "gue" && !(Number.isInteger(port) && port > 0 && port < 65_536)) return "gue takes --port";
	return { kind: "TUN", tunnel, port, checksum: "none" };
}
