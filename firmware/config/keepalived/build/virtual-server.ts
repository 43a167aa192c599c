/** virtual_server and real_server: IPVS services with every default filled in. keepalived.conf(5), "Virtual server(s)". */
import { canonicalAddress, familyOf, ipv4Number } from "../../../wire/ip.ts";
import type {
	AddressFamily,
	CheckConfig,
	ConnectionLimits,
	Forwarding,
	Protocol,
	RealServerConfig,
	RealServerRules,
	Script,
	ServiceAddress,
	VirtualServerConfig,
	VirtualServerName,
} from "../../model.ts";
import { parseWhole } from "../numbers.ts";
import { placeBelow } from "../source.ts";
import type { Statement } from "../statement.ts";
import { netmaskLength, readAddress } from "./address.ts";
import { Settings } from "./block.ts";
import { buildChecks, type CheckDefaults, type CheckOwner, readPort } from "./checks.ts";
import type { BuildContext } from "./context.ts";
import { readForwarding } from "./forwarding.ts";
import type { ServerGroup } from "./server-group.ts";
import type { Trackers } from "./tracking.ts";

const PERSISTENCE_SECONDS = 360;
const NAT: Forwarding = { kind: "NAT" };
const NO_WORDS: readonly string[] = [];

interface Identity {
	readonly name: VirtualServerName;
	readonly services: readonly ServiceAddress[];
	/** Of its first service; 0 is all, or none. */
	readonly port: number;
}

/**
 * A virtual server with an address that nothing was found wrong with, and what its settings said: a large file says
 * the same of many in a row.
 */
interface KnownServer {
	readonly settings: readonly Statement[];
	readonly server: ServerSettings;
	readonly totalWeight: number;
	readonly config: VirtualServerConfig;
}

/** The last one. */
export class LastServer {
	known: KnownServer | null = null;
}

export function buildVirtualServer(
	context: BuildContext,
	statement: Statement,
	groups: ReadonlyMap<string, ServerGroup>,
	trackers: Trackers,
	last: LastServer,
): VirtualServerConfig | null {
	const { mentions } = context.findings;
	// Real servers are looked at one by one; among the rest a setting is soon found.
	let settings = new Settings(settingsOf(statement.body!));
	const identity = readIdentity(context, statement, settings, groups);
	if (identity === null) return null;
	const { name } = identity;
	const { globals } = context;
	const known = saysTheSame(last.known, identity, settings.body) ? last.known : null;
	let realServers: readonly RealServerConfig[] | null = null;
	if (known !== null) {
		known.server.statement = statement;
		known.server.port = identity.port;
		realServers = buildRealServers(context, statement.body!, known.server);
		if (
			weightOf(realServers) === known.totalWeight &&
			usesPath(realServers) === usesPath(known.config.realServers)
		)
			return {
				...known.config,
				name,
				services: identity.services,
				realServers,
				location: context.locate(statement),
			};
	}
	// From here on something may be said of them, so each has its own place.
	if (statement.number > 0)
		settings = new Settings(
			settings.body.map((one) => ({ ...one, at: placeBelow(one.at, statement.number) })),
		);
	const title = titleOf(statement);

	const isFwmark = name.kind === "fwmark";
	const protocolStatement = settings.last("protocol");
	const protocol = (protocolStatement?.words[0] as Protocol | undefined) ?? (isFwmark ? "TCP" : "UDP");
	if (
		protocolStatement === null &&
		!isFwmark &&
		identity.services.some((service) => service.kind === "address")
	)
		context.warn(statement, "default", `${title} has no protocol, so it serves UDP`, {
			suggestion: 'write "protocol TCP" for TCP',
		});
	if (protocolStatement !== null && isFwmark)
		context.hint(protocolStatement, "default", `${title}: the protocol of a fwmark service is ignored`, {
			exitStatus: 5,
		});

	const kindStatement = settings.last("lb_kind", "lvs_method");
	const kind = kindStatement === null ? null : readForwarding(context, kindStatement);
	const forwarding = kind ?? NAT;
	if (kind === null && kindStatement === null)
		context.hint(statement, "default", `${title} has no lb_kind, so it forwards by NAT`);
	const algorithm = settings.last("lb_algo", "lvs_sched");
	const scheduler = algorithm?.words[0] ?? "wlc";
	if (algorithm === null)
		context.hint(statement, "default", `${title} has no lb_algo, so it schedules by wlc`);

	const defaults: CheckDefaults = {
		delayLoopMicros: settings.number("delay_loop"),
		retry: settings.number("retry"),
		delayBeforeRetryMicros: settings.number("delay_before_retry"),
		warmupMicros: settings.number("warmup"),
		connectTimeoutMicros: settings.number("connect_timeout"),
		alpha: settings.has("alpha"),
		virtualHost: settings.word("virtualhost"),
	};
	const server: ServerSettings = known?.server ?? {
		statement,
		forwarding,
		port: identity.port,
		family: identity.services[0]!.family,
		isFwmark,
		isGroup: name.kind === "group",
		weight: settings.number("weight") ?? 1,
		inhibit: settings.has("inhibit_on_failure"),
		smtpAlert: globals.smtpAlertChecker ?? globals.smtpAlert ?? true,
		delayLoopMicros: defaults.delayLoopMicros ?? 60_000_000,
		defaults,
		owner: {
			address: "",
			family: "inet",
			port: 0,
			words: [],
			serverDelayLoopMicros: defaults.delayLoopMicros ?? 60_000_000,
			trackFiles: trackers.files,
			bfd: trackers.bfd,
		},
		read: [],
	};
	realServers ??= buildRealServers(context, statement.body!, server);
	const totalWeight = weightOf(realServers);
	const sorryServer = readSorryServer(context, settings, server);
	if (realServers.length === 0) {
		context.error(statement, "no-servers", `${title} has no real server`, `${title}: nothing is forwarded`);
		if (sorryServer === null) return null;
	}

	// Quorum and hysteresis are capped as keepalived caps them.
	const quorumStatement = settings.last("quorum");
	let quorum = quorumStatement?.number ?? 1;
	if (quorumStatement !== null && quorum > totalWeight && realServers.length > 0) {
		context.warn(
			quorumStatement,
			"quorum",
			`${title}: quorum ${quorum} is more than all real servers weigh (${totalWeight}); ${Math.max(1, totalWeight)} is used`,
		);
		quorum = Math.max(1, totalWeight);
	}
	const hysteresisStatement = settings.last("hysteresis");
	let hysteresis = hysteresisStatement?.number ?? 0;
	if (quorumStatement === null && totalWeight === 0 && realServers.length > 0)
		context.hint(
			statement,
			"quorum",
			`${title}: its real servers weigh nothing, so the quorum is never reached`,
			{
				exitStatus: 5,
			},
		);
	if (hysteresisStatement !== null && hysteresis >= quorum && hysteresis > 0) {
		context.warn(
			hysteresisStatement,
			"hysteresis",
			`${title}: hysteresis ${hysteresis} must be less than the quorum ${quorum}; ${quorum - 1} is used`,
		);
		hysteresis = quorum - 1;
	}

	const persistence = readPersistence(context, settings, server, identity);
	const ops = settings.last("ops");
	if (ops !== null && protocol !== "UDP" && !isFwmark)
		context.error(ops, "conflict", `${title}: one-packet scheduling is for UDP only`, "ops");
	const suspend = settings.last("ha_suspend");
	if (suspend !== null && name.kind !== "address")
		context.error(
			suspend,
			"conflict",
			`${title}: ha_suspend needs a virtual server with one address`,
			"ha_suspend",
		);
	const hashed = settings.last("hashed");
	if (hashed !== null && scheduler !== "sh" && scheduler !== "mh")
		context.hint(hashed, "no-effect", `${title}: hashed means something for lb_algo sh and mh only`, {
			exitStatus: 5,
		});
	const familyStatement = settings.last("ip_family");
	if (familyStatement !== null && !isFwmark && familyStatement.words[0] !== server.family)
		context.error(
			familyStatement,
			"family",
			`${title}: ip_family ${familyStatement.words[0]} is not the family of its address`,
			"ip_family",
		);
	const anyPath = forwarding.kind !== "NAT" || usesPath(realServers);
	const config: VirtualServerConfig = {
		name,
		services: identity.services,
		protocol,
		scheduler,
		schedulerFlags: readFlags(context, settings, scheduler, title),
		onePacket: ops !== null && (protocol === "UDP" || isFwmark),
		// Field by field: a spread would make a record of another shape, which grows as it is made.
		persistenceTimeoutSeconds: persistence.persistenceTimeoutSeconds,
		persistenceEngine: persistence.persistenceEngine,
		persistenceGranularity: persistence.persistenceGranularity,
		forwarding,
		delayLoopMs: server.delayLoopMicros / 1000,
		haSuspend: suspend !== null && name.kind === "address",
		alpha: defaults.alpha,
		omega: settings.has("omega"),
		quorum,
		hysteresis,
		quorumUp: readScript(context, settings, "quorum_up"),
		quorumDown: readScript(context, settings, "quorum_down"),
		smtpAlert: settings.boolean("smtp_alert") ?? globals.smtpAlertChecker ?? globals.smtpAlert ?? false,
		snmpName: settings.word("snmp_name"),
		sorryServer,
		pathCheck: anyPath && (settings.boolean("path_check") ?? globals.pathCheck),
		realServers,
		location: context.locate(statement),
	};
	// Of a script it is known where it stands.
	const hasScript = config.quorumUp !== null || config.quorumDown !== null;
	if (name.kind === "address" && !hasScript && context.findings.mentions === mentions)
		last.known = { settings: settings.body, server, totalWeight, config };
	return config;
}

const titleOf = ({ words }: Statement) => `virtual_server ${words.join(" ")}`;

// Loops, where a thousand virtual servers come by: each function that is handed over is one more to compile.
function settingsOf(body: readonly Statement[]): Statement[] {
	const settings: Statement[] = [];
	for (const statement of body) if (statement.body === null) settings.push(statement);
	return settings;
}

function weightOf(realServers: readonly RealServerConfig[]): number {
	let sum = 0;
	for (const { weight } of realServers) sum += weight;
	return sum;
}

function usesPath(realServers: readonly RealServerConfig[]): boolean {
	for (const { forwarding } of realServers) if (forwarding.kind !== "NAT") return true;
	return false;
}

/** Whether all that follows from settings and identity follows from the known ones. */
function saysTheSame(
	known: KnownServer | null,
	{ name, services, port }: Identity,
	settings: readonly Statement[],
): boolean {
	// All ports, and what asks for the port, is looked at each time.
	if (known === null || name.kind !== "address" || port === 0 || known.server.port === 0) return false;
	if (services[0]!.family !== known.server.family || settings.length !== known.settings.length) return false;
	for (let index = 0; index < settings.length; index++) {
		const other = known.settings[index]!;
		if (settings[index] === other) continue;
		const { keyword, words, number, lines } = settings[index]!;
		// The reader has one list for words that are said again.
		if (keyword !== other.keyword || words !== other.words || lines !== null) return false;
		if (!Object.is(number, other.number)) return false;
	}
	return true;
}

function readScript(context: BuildContext, settings: Settings, keyword: string): Script | null {
	const found = settings.last(keyword);
	return found === null ? null : context.notifyScript(found);
}

/** Real servers that are compared one by one; beyond that their addresses are indexed. */
const FEW_SERVERS = 32;

function buildRealServers(
	context: BuildContext,
	body: readonly Statement[],
	server: ServerSettings,
): readonly RealServerConfig[] {
	let count = 0;
	for (const block of body) if (block.body !== null) count += 1 + (block.alike?.firstWords.length ?? 0);
	// Of its final size from the start: what grows is made several times.
	const realServers = new Array<RealServerConfig>(count);
	count = 0;
	let addresses: Set<string> | null = null;
	let highest = -1;
	for (const block of body) {
		if (block.body === null) continue;
		const { mentions } = context.findings;
		const firstWords = block.alike?.firstWords ?? NO_WORDS;
		let copied: RealServerConfig | null = null;
		for (let row = -1; row < firstWords.length; row++) {
			const realServer: RealServerConfig | null =
				copied !== null && ipv4Number(firstWords[row]!) >= 0
					? withAddress(copied, firstWords[row]!)
					: buildRealServer(context, rowOf(block, row), server);
			if (realServer === null) continue;
			if (row < 0 && context.findings.mentions === mentions && isPlain(realServer)) copied = realServer;
			const { address, port } = realServer;
			if (addresses === null && count === FEW_SERVERS)
				addresses = new Set(realServers.slice(0, count).map((one) => one.address));
			const number = ipv4Number(address);
			// What is higher than all before it is none of them: most lists are in order.
			const ascends = number > highest;
			if (ascends) highest = number;
			if (!ascends && addresses?.has(address) !== false && standsAmong(realServers, count, address, port)) {
				context.error(
					rowOf(block, row),
					"duplicate-server",
					`${titleOf(server.statement)}: real server ${address} ${port} stands twice`,
					"the second one",
				);
				continue;
			}
			addresses?.add(address);
			realServers[count++] = realServer;
		}
	}
	realServers.length = count;
	return realServers;
}

/** One of the blocks that are alike, or with -1 the first of them, as a statement of its own. */
function rowOf(block: Statement, row: number): Statement {
	if (row < 0) return block;
	const { firstWords, linesApart } = block.alike!;
	const linesDown = (row + 1) * linesApart;
	return {
		...block,
		words: block.words.with(0, firstWords[row]!),
		at: placeBelow(block.at, linesDown),
		number: block.number + linesDown,
		alike: null,
	};
}

/** Whether its address has no say in anything else: one that is alike is a copy with another. */
function isPlain({ family, checks, rules }: RealServerConfig): boolean {
	return family === "inet" && checks.length === 0 && rules.notifyUp === null && rules.notifyDown === null;
}

/** Field by field: a spread would make a record of another shape, larger and slower to read. */
function withAddress(one: RealServerConfig, address: string): RealServerConfig {
	return {
		address,
		family: one.family,
		port: one.port,
		weight: one.weight,
		forwarding: one.forwarding,
		limits: one.limits,
		rules: one.rules,
		checks: one.checks,
	};
}

/** Whether it is one of the first `count`. */
function standsAmong(
	servers: readonly RealServerConfig[],
	count: number,
	address: string,
	port: number,
): boolean {
	for (let index = 0; index < count; index++)
		if (servers[index]!.address === address && servers[index]!.port === port) return true;
	return false;
}

function readIdentity(
	context: BuildContext,
	statement: Statement,
	settings: Settings,
	groups: ReadonlyMap<string, ServerGroup>,
): Identity | null {
	const [first, second, third] = statement.words;
	const lost = "the whole virtual server";
	if (third !== undefined)
		context.error(statement, "extra-words", `${titleOf(statement)}: "${third}" is not read`, `"${third}"`);
	if (first === "fwmark") {
		const fwmark = parseWhole(second ?? "");
		if (!(fwmark >= 1 && fwmark <= 4_294_967_295)) {
			context.error(
				statement,
				"bad-argument",
				`${titleOf(statement)}: a fwmark is a number from 1 to 4294967295`,
				lost,
			);
			return null;
		}
		let family: AddressFamily = (settings.word("ip_family") as AddressFamily | null) ?? "inet";
		// keepalived takes the family of the real servers when ip_family is not written.
		if (!settings.has("ip_family")) {
			const firstServer = statement.body!.find((inner) => inner.body !== null)?.words[0];
			family = (firstServer === undefined ? null : readAddress(firstServer)?.family) ?? "inet";
		}
		return {
			name: { kind: "fwmark", fwmark },
			services: [{ kind: "fwmark", fwmark, family }],
			port: 0,
		};
	}
	if (first === "group") {
		const services = groups.get(second ?? "")?.services;
		if (services === undefined || services.length === 0) {
			context.error(
				statement,
				"unknown-name",
				services === undefined
					? `${titleOf(statement)}: there is no virtual_server_group ${second ?? ""}`
					: `${titleOf(statement)}: the group is empty`,
				lost,
			);
			return null;
		}
		const port = services[0]!.kind === "address" ? services[0]!.port : 0;
		return { name: { kind: "group", group: second! }, services, port };
	}
	const address = readAddress(first!);
	if (address === null) {
		context.error(
			statement,
			"bad-address",
			`${titleOf(statement)}: "${first}" is no IP address, fwmark or group`,
			lost,
			meantBy(first!),
		);
		return null;
	}
	const port = readPort(second);
	if (port === null) {
		context.error(
			statement,
			"bad-argument",
			`${titleOf(statement)}: "${second}" is no port`,
			lost,
			numericPort,
		);
		return null;
	}
	return {
		name: { kind: "address", address: address.address, port },
		services: [{ kind: "address", address: address.address, family: address.family, port }],
		port,
	};
}

/** `statement` and `port` are those of one virtual server after the other that says the same. */
interface ServerSettings {
	statement: Statement;
	readonly forwarding: Forwarding;
	port: number;
	readonly family: AddressFamily;
	readonly isFwmark: boolean;
	readonly isGroup: boolean;
	readonly weight: number;
	readonly inhibit: boolean;
	readonly smtpAlert: boolean;
	readonly delayLoopMicros: number;
	readonly defaults: CheckDefaults;
	/** Filled in for one real server after the other. */
	readonly owner: CheckOwner;
	/** What bodies without findings say, the newest ones. */
	readonly read: RealServerSettings[];
}

const KNOWN_BODIES = 8;

const NO_CHECKS: readonly CheckConfig[] = [];
const NO_LIMITS: ConnectionLimits = { upperThreshold: 0, lowerThreshold: 0 };

/** What the body of a real server says, with the virtual server's defaults. */
interface RealServerSettings {
	readonly body: readonly Statement[];
	readonly weight: number;
	readonly forwarding: Forwarding;
	readonly limits: ConnectionLimits;
	/** Without scripts. */
	readonly rules: RealServerRules;
	readonly notifyUp: Statement | null;
	readonly notifyDown: Statement | null;
	readonly defaults: CheckDefaults;
	readonly checks: readonly Statement[];
}

function readRealServer(
	context: BuildContext,
	body: readonly Statement[],
	server: ServerSettings,
): RealServerSettings {
	let { weight, forwarding, inhibit: inhibitOnFailure, smtpAlert } = server;
	let { alpha, retry, delayBeforeRetryMicros, warmupMicros, connectTimeoutMicros } = server.defaults;
	let { delayLoopMicros, virtualHost } = server.defaults;
	let upperThreshold = 0;
	let lowerThreshold = 0;
	let snmpName: string | null = null;
	let notifyUp: Statement | null = null;
	let notifyDown: Statement | null = null;
	const checks: Statement[] = [];
	for (let index = 0; index < body.length; index++) {
		const inner = body[index]!;
		switch (inner.keyword.name) {
			case "weight":
				weight = inner.number;
				break;
			case "lvs_method":
				forwarding = readForwarding(context, inner) ?? forwarding;
				break;
			case "inhibit_on_failure":
				inhibitOnFailure = inner.number !== 0;
				break;
			case "smtp_alert":
				smtpAlert = inner.number !== 0;
				break;
			case "alpha":
				alpha = inner.number !== 0;
				break;
			case "uthreshold":
				upperThreshold = inner.number;
				break;
			case "lthreshold":
				lowerThreshold = inner.number;
				break;
			case "snmp_name":
				snmpName = inner.words[0]!;
				break;
			case "notify_up":
				notifyUp = inner;
				break;
			case "notify_down":
				notifyDown = inner;
				break;
			case "retry":
				retry = inner.number;
				break;
			case "delay_before_retry":
				delayBeforeRetryMicros = inner.number;
				break;
			case "warmup":
				warmupMicros = inner.number;
				break;
			case "connect_timeout":
				connectTimeoutMicros = inner.number;
				break;
			case "delay_loop":
				delayLoopMicros = inner.number;
				break;
			case "virtualhost":
				virtualHost = inner.words[0]!;
				break;
			default:
				if (inner.body !== null) checks.push(inner);
		}
	}
	return {
		body,
		weight,
		forwarding,
		limits: upperThreshold === 0 && lowerThreshold === 0 ? NO_LIMITS : { upperThreshold, lowerThreshold },
		rules: context.sharedRules({
			inhibitOnFailure,
			alpha,
			smtpAlert,
			snmpName,
			notifyUp: null,
			notifyDown: null,
		}),
		notifyUp,
		notifyDown,
		defaults: {
			delayLoopMicros,
			retry,
			delayBeforeRetryMicros,
			warmupMicros,
			connectTimeoutMicros,
			alpha,
			virtualHost,
		},
		checks,
	};
}

/** Reads a body once for all real servers that share it; one that something was found in is read for each of them. */
function bodySettings(
	context: BuildContext,
	body: readonly Statement[],
	server: ServerSettings,
): RealServerSettings {
	const { read } = server;
	for (const settings of read) if (settings.body === body) return settings;
	const { mentions } = context.findings;
	const settings = readRealServer(context, body, server);
	if (context.findings.mentions !== mentions) return settings;
	if (read.length === KNOWN_BODIES) read.shift();
	read.push(settings);
	return settings;
}

function buildRealServer(
	context: BuildContext,
	statement: Statement,
	server: ServerSettings,
): RealServerConfig | null {
	const { words } = statement;
	const address = canonicalAddress(words[0]!);
	if (address === null) {
		context.error(
			statement,
			"bad-address",
			`${titleOf(server.statement)}: "${words[0]}" is no IP address`,
			"the real server",
			meantBy(words[0]!),
		);
		return null;
	}
	const family = familyOf(address);
	const writtenPort = readPort(words[1]);
	if (writtenPort === null) {
		context.error(
			statement,
			"bad-argument",
			`${titleOf(server.statement)}: "${words[1]}" is no port`,
			"the real server",
			numericPort,
		);
		return null;
	}
	context.linesDown = statement.number;
	const settings = bodySettings(context, statement.body!, server);
	context.linesDown = 0;
	const { forwarding, limits, rules } = settings;
	if (family !== server.family && forwarding.kind !== "TUN") {
		context.error(
			statement,
			"family",
			`${titleOf(server.statement)}: real server ${address} is of the other address family`,
			"the real server",
			{ suggestion: "only TUN may mix IPv4 and IPv6" },
		);
		return null;
	}
	let port = writtenPort;
	if (server.isFwmark) {
		if (forwarding.kind !== "NAT" && port !== 0) {
			context.warn(
				statement,
				"server-port",
				`${titleOf(server.statement)}: with ${forwarding.kind} the port ${port} of ${address} is not used`,
			);
		}
	} else if (port === 0) port = server.port;
	else if (forwarding.kind !== "NAT" && port !== server.port && !server.isGroup) {
		context.warn(
			statement,
			"server-port",
			`${titleOf(server.statement)}: ${forwarding.kind} cannot change the port: ${address} gets ${server.port}, not ${port}`,
		);
		port = server.port;
	}
	context.linesDown = statement.number;
	let checks = NO_CHECKS;
	if (settings.checks.length > 0) {
		const { owner } = server;
		owner.address = address;
		owner.family = family;
		owner.port = port === 0 ? writtenPort : port;
		owner.words = words;
		const built: CheckConfig[] = [];
		for (const check of settings.checks) buildChecks(context, check, owner, settings.defaults, built);
		// A list that is written as such has no room to spare; there are tens of thousands of one.
		checks = built.length === 1 ? [built[0]!] : built;
	}
	const notifyUp = settings.notifyUp === null ? null : context.notifyScript(settings.notifyUp);
	const notifyDown = settings.notifyDown === null ? null : context.notifyScript(settings.notifyDown);
	context.linesDown = 0;
	const { upperThreshold, lowerThreshold } = limits;
	if (lowerThreshold > upperThreshold && upperThreshold > 0)
		context.warn(
			statement,
			"threshold",
			`${titleOf(server.statement)}: lthreshold ${lowerThreshold} of ${address} is above uthreshold ${upperThreshold}`,
		);
	return {
		address,
		family,
		port: server.isFwmark && forwarding.kind !== "NAT" ? 0 : port,
		weight: settings.weight,
		forwarding,
		limits,
		rules: notifyUp === null && notifyDown === null ? rules : { ...rules, notifyUp, notifyDown },
		checks,
	};
}

function readSorryServer(
	context: BuildContext,
	settings: Settings,
	server: ServerSettings,
): VirtualServerConfig["sorryServer"] {
	const statement = settings.last("sorry_server");
	const inhibit = settings.last("sorry_server_inhibit");
	const method = settings.last("sorry_server_lvs_method");
	if (statement === null) {
		for (const option of [inhibit, method])
			if (option !== null)
				context.error(
					option,
					"incomplete",
					`${titleOf(server.statement)}: ${option.keyword.name} without sorry_server`,
					option.keyword.name,
				);
		return null;
	}
	const [addressText, portText] = statement.words;
	const address = readAddress(addressText!);
	const port = readPort(portText);
	if (address === null || port === null) {
		context.error(
			statement,
			"bad-address",
			`${titleOf(server.statement)}: "${statement.words.join(" ")}" is no address and port`,
			"sorry_server",
			address === null ? meantBy(addressText!) : numericPort,
		);
		return null;
	}
	const forwarding = (method === null ? null : readForwarding(context, method)) ?? server.forwarding;
	if (address.family !== server.family && forwarding.kind !== "TUN") {
		context.error(
			statement,
			"family",
			`${titleOf(server.statement)}: sorry_server ${address.address} is of the other address family`,
			"sorry_server",
		);
		return null;
	}
	return {
		address: address.address,
		family: address.family,
		port: forwarding.kind === "NAT" && port !== 0 ? port : server.port,
		forwarding,
		inhibit: inhibit !== null,
	};
}

const flagKeywords = [
	{ name: "flag-1", needs: "", flag: "flag1" },
	{ name: "flag-2", needs: "", flag: "flag2" },
	{ name: "flag-3", needs: "", flag: "flag3" },
	{ name: "sh-fallback", needs: "sh", flag: "flag1" },
	{ name: "sh-port", needs: "sh", flag: "flag2" },
	{ name: "mh-fallback", needs: "mh", flag: "flag1" },
	{ name: "mh-port", needs: "mh", flag: "flag2" },
] as const;
const NO_FLAGS: VirtualServerConfig["schedulerFlags"] = { flag1: false, flag2: false, flag3: false };

/** include/uapi/linux/ip_vs.h: IP_VS_SVC_F_SCHED_SH_FALLBACK is flag 1, …_SH_PORT flag 2; mh has the same. */
function readFlags(
	context: BuildContext,
	settings: Settings,
	scheduler: string,
	title: string,
): VirtualServerConfig["schedulerFlags"] {
	let flags = NO_FLAGS;
	for (const { name, needs, flag } of flagKeywords) {
		const statement = settings.last(name);
		if (statement === null) continue;
		if (needs !== "" && scheduler !== needs)
			context.error(statement, "conflict", `${title}: ${name} goes with lb_algo ${needs} only`, name);
		else flags = { ...flags, [flag]: true };
	}
	return flags;
}

function readPersistence(
	context: BuildContext,
	settings: Settings,
	server: ServerSettings,
	identity: Identity,
): Pick<VirtualServerConfig, "persistenceTimeoutSeconds" | "persistenceEngine" | "persistenceGranularity"> {
	const micros = settings.number("persistence_timeout");
	let timeout = micros === null || micros === 0 ? null : micros / 1_000_000;
	if (micros === 0)
		context.hint(
			settings.last("persistence_timeout")!,
			"persistence-zero",
			`${titleOf(server.statement)}: persistence_timeout 0 means no persistence`,
			{ suggestion: "keepalived calls it an error; the line can be left out", exitStatus: 5 },
		);
	const granularityStatement = settings.last("persistence_granularity");
	let granularity: number | null = null;
	if (granularityStatement !== null) {
		const text = granularityStatement.words[0]!;
		const bound = server.family === "inet" ? 32 : 128;
		const length = /^\d+$/.test(text) ? Number(text) : server.family === "inet" ? netmaskLength(text) : null;
		if (length === null || length < 1 || length > bound)
			context.error(
				granularityStatement,
				"bad-argument",
				`${titleOf(server.statement)}: persistence_granularity "${text}" is neither a netmask nor a length from 1 to ${bound}`,
				"persistence_granularity",
			);
		else {
			granularity = length;
			timeout ??= PERSISTENCE_SECONDS;
		}
	}
	if (
		timeout === null &&
		identity.services.some((service) => service.kind === "address" && service.port === 0)
	) {
		context.warn(
			settings.last("protocol") ?? settings.body[0] ?? { file: 0, line: 1, column: 1, length: 1 },
			"port-zero",
			`${titleOf(server.statement)}: port 0 (all ports) needs persistence; ${PERSISTENCE_SECONDS} s is used`,
		);
		timeout = PERSISTENCE_SECONDS;
	}
	return {
		persistenceTimeoutSeconds: timeout,
		// keepalived hands it on with the timeout only.
		persistenceEngine: timeout === null ? null : settings.word("persistence_engine"),
		persistenceGranularity: timeout === null ? null : granularity,
	};
}

const numericPort = { suggestion: "write a number from 0 to 65535" };

/** Of what is no address: a port behind a colon, or a name. */
function meantBy(text: string): { readonly suggestion?: string } {
	const [, address, bracketed, port] = /^(?:([\d.]+)|\[(.+)\]):(\d+)$/.exec(text) ?? [];
	if (port !== undefined) return { suggestion: `write "${address ?? bracketed} ${port}"` };
	return /^[a-z][\w.-]*$/i.test(text) ? { suggestion: "write an IP address: names are not looked up" } : {};
}
