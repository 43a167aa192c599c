/**
 * `drover snmp`: the agent of this box. It asks the services for their status at most once a
 * second and answers from that, so that polling never costs them more, and it may crash
 * without anyone noticing.
 */

import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { z } from "zod";
import { parseSettings } from "../../appliance/settings.ts";
import { openLog } from "../log.ts";
import { type AgentUser, startAgent } from "./agent.ts";
import type { FirmwareFacts } from "./facts.ts";
import { type Identity, newMemory, readFacts } from "./read-facts.ts";
import type { SnmpSettings } from "./settings.ts";
import { boxView } from "./tree/box.ts";
import type { View } from "./view.ts";

/** One look at the box serves every question within this time. */
const VIEW_LIFETIME_MS = 1_000;

const stateSchema = z.object({
	engineId: z.string().regex(/^[0-9a-f]{10,64}$/),
	engineBoots: z.number().int().nonnegative(),
	interfaceIndices: z.record(z.string(), z.number()),
});
type State = z.infer<typeof stateSchema>;

/** RFC 3411 SnmpEngineID: enterprise 8072 with the high bit, format 128 (own), eight random octets. */
const newEngineId = () => `80001f8880${randomBytes(8).toString("hex")}`;

const help = `usage: drover snmp [--config FILE] [--state DIRECTORY]

Answers SNMP v2c and v3 as the [snmp] section of appliance.toml says.

  --config FILE       the appliance's settings (/data/config/current/appliance.toml)
  --state DIRECTORY   where engine ID, engine boots and interface numbers are kept (/data/snmp)`;

export async function main(words: readonly string[]): Promise<number> {
	const { values } = parseArgs({
		args: [...words],
		options: {
			config: { type: "string", default: "/data/config/current/appliance.toml" },
			state: { type: "string", default: "/data/snmp" },
			help: { type: "boolean", short: "h" },
		},
	});
	if (values.help) {
		console.log(help);
		return 0;
	}
	const log = openLog("snmp");
	let snmp: SnmpSettings;
	try {
		snmp = parseSettings(
			existsSync(values.config) ? readFileSync(values.config, "utf8") : "",
			values.config,
		).snmp;
	} catch (error) {
		console.error(error instanceof Error ? error.message : error);
		return 1;
	}
	if (!snmp.enabled) {
		console.error('drover snmp: not enabled: set "enabled = true" in the [snmp] section of appliance.toml');
		return 0;
	}
	const state = loadState(values.state);
	const identity: Identity = {
		engineId: Buffer.from(state.engineId, "hex"),
		engineBoots: state.engineBoots,
		contact: snmp.contact,
		location: snmp.location,
		firmware: readFirmware(),
		startedAt: performance.now(),
	};
	const memory = newMemory(state.interfaceIndices);
	let cached: { readonly view: Promise<View>; readonly at: number } | null = null;
	const view = () => {
		const now = performance.now();
		if (cached === null || now - cached.at > VIEW_LIFETIME_MS)
			cached = {
				at: now,
				view: readFacts(identity, memory).then((facts) => {
					if (JSON.stringify(memory.indices) !== JSON.stringify(state.interfaceIndices)) {
						state.interfaceIndices = { ...memory.indices };
						saveState(values.state, state);
					}
					return boxView(facts);
				}),
			};
		return cached.view;
	};
	const stop = startAgent({
		address: snmp.listen,
		port: snmp.port,
		engineId: identity.engineId,
		engineBoots: state.engineBoots,
		communities: snmp.communities,
		users: snmp.users.map(agentUser),
		sources: snmp.sources,
		view,
		onRefused: (from) => log.warn({ from }, "a question from a source that is not allowed"),
	});
	log.info({ port: snmp.port, engineBoots: state.engineBoots }, "answering");
	await new Promise<void>((resolve) => {
		process.on("SIGTERM", resolve);
		process.on("SIGINT", resolve);
	});
	stop();
	return 0;
}

function agentUser(user: SnmpSettings["users"][number]): AgentUser {
	return {
		name: user.name,
		auth: user.auth,
		authPassword: user.auth_password,
		privacy: user.privacy,
		privacyPassword: user.privacy_password,
	};
}

/** The kept state with engineBoots raised and stored, before anything is answered (RFC 3414 §2.2). */
function loadState(directory: string): State {
	mkdirSync(directory, { recursive: true, mode: 0o700 });
	const path = join(directory, "state.json");
	let state: State = { engineId: newEngineId(), engineBoots: 0, interfaceIndices: {} };
	if (existsSync(path)) {
		const parsed = stateSchema.safeParse(JSON.parse(readFileSync(path, "utf8")));
		if (parsed.success) state = parsed.data;
	}
	state.engineBoots++;
	saveState(directory, state);
	return state;
}

function saveState(directory: string, state: State): void {
	const path = join(directory, "state.json");
	writeFileSync(`${path}.new`, JSON.stringify(state), { mode: 0o600, flush: true });
	renameSync(`${path}.new`, path);
}

/** What the loader and the updater left for everyone to read. */
function readFirmware(): FirmwareFacts {
	const text = (path: string, otherwise: string) =>
		existsSync(path) ? readFileSync(path, "utf8").trim() : otherwise;
	const commandLine = text("/proc/cmdline", "");
	return {
		version: /^VERSION=(.*)$/m.exec(text("/etc/drover-release", ""))?.[1] ?? "unreleased",
		slot: /\bdrover\.slot=(\S+)/.exec(commandLine)?.[1] ?? "none",
		slotState: /\bdrover\.reason=(\S+)/.exec(commandLine)?.[1] ?? "none",
		lastUpdate: text("/run/drover/last-update", ""),
		reverted: existsSync("/run/drover/reverted"),
		commitTimerSeconds: 0,
		watchdogArmed: existsSync("/run/drover/watchdog"),
		configRevision: Number(text("/run/drover/revision", "0")) || 0,
	};
}
