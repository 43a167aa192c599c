/** `drover completion names KIND`: what is configured and can be named, a line each, for bash. */
import { readFileSync } from "node:fs";
import { readPorts } from "../appliance/ports.ts";
import { settingPaths } from "../appliance/settings/setting-paths.ts";
import { parseToml } from "../appliance/toml.ts";
import { call } from "../bus/client.ts";
import { fileDisk } from "../config/revisions/disk.ts";
import { Revisions } from "../config/revisions/revisions.ts";
import { configDirectory } from "../config/revisions/workspace.ts";
import type { DirectorStatus } from "../status/director.ts";
import type { VrrpStatus } from "../status/vrrp.ts";
import { type NameKind, nameKinds } from "./completion.ts";
import { endpointText, shortName } from "./servers/name.ts";

/** Whoever has pressed a key does not wait longer. */
const SERVICE_TIMEOUT_MS = 1_000;
/** More are not shown by any terminal. */
const NAMES_LIMIT = 2_000;
/** A name that a shell would read as something else is typed by hand. */
const PLAIN = /^[\w.:/[\]@+-]+$/;

/** Prints nothing when nobody answers: there is no place for words. */
export async function main([kind]: readonly string[]): Promise<number> {
	const wanted = nameKinds.find((each) => each === kind);
	if (wanted === undefined) return 2;
	const names = await namesOf(wanted).catch(() => []);
	const plain = [...new Set(names)].filter((name) => PLAIN.test(name)).slice(0, NAMES_LIMIT);
	for (const name of plain) console.log(name);
	return 0;
}

async function namesOf(kind: NameKind): Promise<readonly string[]> {
	const ask = <Status>(service: string) => call<Status>(service, "status", {}, SERVICE_TIMEOUT_MS);
	switch (kind) {
		case "instances":
			return (await ask<VrrpStatus>("vrrp")).instances.map(({ name }) => name);
		case "virtual-servers":
			return (await ask<DirectorStatus>("director")).virtualServers.map(({ name }) => shortName(name));
		case "real-servers":
			return (await ask<DirectorStatus>("director")).virtualServers.flatMap(({ realServers }) =>
				realServers.map(endpointText),
			);
		case "ports":
			return readPorts().map(({ name }) => name);
		case "revisions":
			return new Revisions(fileDisk(configDirectory())).history().map(({ number }) => String(number));
		case "settings":
			return settingPaths(readCurrentSettings());
	}
}

/** What the revision in force says; of one that cannot be read, nothing. */
function readCurrentSettings(): unknown {
	const path = `${configDirectory()}/current/appliance.toml`;
	try {
		return parseToml(readFileSync(path, "utf8")).value;
	} catch {
		return {};
	}
}
