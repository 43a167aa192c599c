/** Loads a text as if it were a file of its own, on a machine with two interfaces. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { formatDiagnostic } from "../../firmware/config/keepalived/diagnostics.ts";
import { type LoadedConfig, type LoadOptions, loadConfig } from "../../firmware/config/keepalived/load.ts";
import type { ServerMemory } from "../../firmware/config/keepalived/server-memory.ts";

const machine: LoadOptions = { interfaces: new Set(["lo", "eth0", "eth1"]), hostName: "director" };

/** `files` are written beside the configuration, by relative path. */
export function loadText(
	text: string | Uint8Array,
	options: LoadOptions = {},
	files: Readonly<Record<string, string>> = {},
): LoadedConfig {
	const directory = mkdtempSync(join(tmpdir(), "drover-config-"));
	try {
		for (const [name, content] of Object.entries(files)) {
			mkdirSync(dirname(join(directory, name)), { recursive: true });
			writeFileSync(join(directory, name), content);
		}
		const path = join(directory, "keepalived.conf");
		writeFileSync(path, text);
		return loadConfig(path, { ...machine, ...options });
	} finally {
		rmSync(directory, { recursive: true });
	}
}

/**
 * Loads texts one after the other from one file, with the memory of those before if one is given. Beside it lies
 * `more.inc`, with a virtual server.
 */
export function withFile(run: (load: (text: string, memory?: ServerMemory) => LoadedConfig) => void): void {
	const directory = mkdtempSync(join(tmpdir(), "drover-memory-"));
	const path = join(directory, "keepalived.conf");
	try {
		writeFileSync(join(directory, "more.inc"), server("", "\t\tTCP_CHECK {\n\t\t}", "10.0.9.9 80"));
		run((text, memory) => {
			writeFileSync(path, text);
			return loadConfig(path, memory === undefined ? machine : { ...machine, memory });
		});
	} finally {
		rmSync(directory, { recursive: true });
	}
}

/** Findings as an operator reads them; directories are left out of the names. */
export function findings(loaded: LoadedConfig): string[] {
	return loaded.diagnostics.map((one) =>
		formatDiagnostic(one).replaceAll(/[^\s"]*\/(?=[^\s/"]*\.conf)/g, ""),
	);
}

/** `severity line:column message` of each finding. */
export function brief(loaded: LoadedConfig): string[] {
	return loaded.diagnostics.map(
		(one) => `${one.severity} ${one.location.line}:${one.location.column} ${one.message}`,
	);
}

/** A good instance with more lines in it. */
export const instance = (
	lines = "",
	name = "VI_1",
	vrid = 51,
	address = "10.0.0.1",
) => `vrrp_instance ${name} {
	interface eth0
	virtual_router_id ${vrid}
	virtual_ipaddress {
		${address}
	}
${lines}
}
`;

/** A good virtual server; `lines` go into it, `serverLines` into its real server. */
export const server = (lines = "", serverLines = "", address = "10.0.0.1 80") => `virtual_server ${address} {
	protocol TCP
	lb_algo rr
	lb_kind NAT
	real_server 10.0.1.2 80 {
${serverLines}
	}
${lines}
}
`;
