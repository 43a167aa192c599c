/**
 * What SIGUSR1 writes of virtual servers, real servers and checks: the lines of keepalived 2.2.7's
 * keepalived_check.data, as far as there is something to say here. Pure.
 */
import type { CheckConfig, Forwarding, Script, VirtualServerConfig } from "../config/model.ts";
import { protocolName, realServerName, virtualServerName } from "./names.ts";
import { isServing, type Pool } from "./pool.ts";

/** One check's state, as the health checks tell it. */
export interface DumpedCheck {
	readonly up: boolean;
	/** Unix milliseconds of the last answer; 0 before it. */
	readonly atMs: number;
}

/** `checksOf` gives the states of a member's checks, in the configuration's order. */
export function checkDataText(
	pools: Iterable<Pool>,
	ipvsVersion: string | null,
	checksOf: (pool: Pool, member: number) => readonly DumpedCheck[],
): string {
	const topology: string[] = [];
	const checkers: string[] = [];
	for (const pool of pools) {
		topology.push(...virtualServerLines(pool));
		pool.config.realServers.forEach(({ checks, address, port }, member) => {
			const states = checksOf(pool, member);
			checks.forEach((check, index) => {
				checkers.push(
					` ${virtualServerName(pool.config)} -> ${realServerName({ address, port }, protocolName(pool.config))}`,
					...checkLines(check, states[index] ?? { up: true, atMs: 0 }),
				);
			});
		});
	}
	return [
		"------< LVS Topology >------",
		...(ipvsVersion === null ? [] : [` System is compiled with LVS v${ipvsVersion}`]),
		...topology,
		...(checkers.length === 0 ? [] : ["------< Health checkers >------"]),
		...checkers,
		"",
	].join("\n");
}

const onOff = (value: boolean) => (value ? "ON" : "OFF");
const ables = (value: boolean) => (value ? "enabled" : "disabled");
const yesNo = (value: boolean) => (value ? "yes" : "no");
const seconds = (milliseconds: number) => (milliseconds / 1000).toFixed(6);

function virtualServerLines(pool: Pool): string[] {
	const { config, members, quorumUp } = pool;
	const { schedulerFlags: flags } = config;
	const [first, second] = flagNames[config.scheduler] ?? ["flag-1", "flag-2"];
	const lines = [
		" ------< Virtual server >------",
		` ${titleOf(config)}`,
		`   Address family = ${config.services[0]?.family ?? "inet"}`,
		`   delay_loop = ${seconds(config.delayLoopMs)}`,
		`   lvs_sched = ${config.scheduler}`,
		`   ${first} = ${ables(flags.flag1)}`,
		`   ${second} = ${ables(flags.flag2)}`,
		...(first === "flag-1" ? [`   flag-3 = ${ables(flags.flag3)}`] : []),
		`   One packet scheduling = ${ables(config.onePacket)}`,
	];
	if (config.persistenceTimeoutSeconds !== null) {
		lines.push(`   persistence timeout = ${config.persistenceTimeoutSeconds}`);
		if (config.persistenceGranularity !== null)
			lines.push(`   persistence granularity = ${granularityText(config)}`);
		if (config.persistenceEngine !== null) lines.push(`   persistence engine = ${config.persistenceEngine}`);
	}
	lines.push(
		`   protocol = ${config.name.kind === "fwmark" ? "none" : config.protocol}`,
		`   alpha is ${onOff(config.alpha)}`,
		`   omega is ${onOff(config.omega)}`,
		`   quorum = ${config.quorum}, hysteresis = ${config.hysteresis}`,
		...scriptLines("   Quorum up", config.quorumUp),
		...scriptLines("   Quorum down", config.quorumDown),
		`   Using smtp notification = ${yesNo(config.smtpAlert)}`,
		`   default forwarding method = ${forwardingText(config.forwarding)}`,
	);
	const { sorryServer } = config;
	if (sorryServer !== null)
		lines.push(
			`   sorry server = ${realServerName(sorryServer, protocolName(config))}`,
			`     forwarding method = ${forwardingText(sorryServer.forwarding)}`,
			`     Inhibit on failure is ${onOff(sorryServer.inhibit)}`,
		);
	lines.push(`   alive = ${members.some(isServing) ? 1 : 0}`, `   quorum_state_up = ${quorumUp ? 1 : 0}`);
	config.realServers.forEach((server, index) => {
		const member = members[index]!;
		lines.push(
			"   ------< Real server >------",
			`   RIP = ${server.address}, RPORT = ${server.port}, WEIGHT = ${server.weight} EFF WEIGHT = ${member.weight}`,
			`   forwarding method = ${forwardingText(server.forwarding)}`,
			`   Alpha is ${onOff(server.rules.alpha)}`,
			`   connection limit range = ${server.limits.lowerThreshold} -> ${server.limits.upperThreshold}`,
			`   Inhibit on failure is ${onOff(server.rules.inhibitOnFailure)}`,
			...scriptLines("     RS up", server.rules.notifyUp),
			...scriptLines("     RS down", server.rules.notifyDown),
			`   Using smtp notification = ${yesNo(server.rules.smtpAlert)}`,
			`   initial weight = ${server.weight}`,
			`   effective weight = ${member.weight}`,
			`   alive = ${isServing(member) ? 1 : 0}`,
		);
	});
	return lines;
}

const flagNames: Readonly<Record<string, readonly [string, string]>> = {
	sh: ["sh-fallback", "sh-port"],
	mh: ["mh-fallback", "mh-port"],
};

function titleOf({ name }: VirtualServerConfig): string {
	switch (name.kind) {
		case "address":
			return `VS VIP = ${name.address}, VPORT = ${name.port}`;
		case "fwmark":
			return `VS FWMARK = ${name.fwmark}`;
		case "group":
			return `VS GROUP = [${name.group}]:0`;
	}
}

function granularityText({ services, persistenceGranularity }: VirtualServerConfig): string {
	const length = persistenceGranularity ?? 32;
	if (services[0]?.family === "inet6") return String(length);
	const mask = length === 0 ? 0 : (-1 << (32 - length)) >>> 0;
	return [24, 16, 8, 0].map((shift) => (mask >>> shift) & 255).join(".");
}

function forwardingText(forwarding: Forwarding): string {
	return forwarding.kind === "TUN" ? `TUN, type = ${forwarding.tunnel.toUpperCase()}` : forwarding.kind;
}

function scriptLines(title: string, script: Script | null): string[] {
	if (script === null) return [];
	const command = script.command.map((word) => `'${word}'`).join(" ");
	return [`${title} notify script = ${command}, uid:gid ${script.user ?? "0"}:${script.group ?? "0"}`];
}

function checkLines(check: CheckConfig, state: DumpedCheck): string[] {
	const { timing } = check;
	const lines = [
		"   Enabled = yes",
		`   Up = ${yesNo(state.up)}`,
		`   Has run = ${yesNo(state.atMs > 0)}`,
		`   Alpha = ${yesNo(timing.alpha)}`,
		`   Delay loop = ${timing.delayLoopMs * 1000} us`,
		`   Warmup = ${timing.warmupMs * 1000} us`,
		`   Retries = ${timing.retry}`,
		`   Delay before retry = ${timing.delayBeforeRetryMs * 1000} us`,
		`   Log all failures = ${yesNo(timing.logAllFailures)}`,
	];
	if ("target" in check)
		lines.push(
			"   Connection",
			`     Dest = [${check.target.address}]:${check.target.port}`,
			`     Timeout = ${seconds(check.target.connectTimeoutMs)}`,
		);
	switch (check.kind) {
		case "HTTP_GET":
		case "SSL_GET":
			lines.push(`   Keepalive method = ${check.kind}, http protocol ${check.httpProtocol}`);
			for (const url of check.urls) {
				lines.push(`   Checked url = ${url.path}`);
				if (url.digest !== null) lines.push(`     digest = ${url.digest}`);
				if (url.statusCodes.length > 0) lines.push("     HTTP Status Code(s)");
				for (const { from, to } of url.statusCodes)
					lines.push(`       ${from === to ? from : `${from}-${to}`}`);
			}
			break;
		case "SMTP_CHECK":
			lines.push("   Keepalive method = SMTP_CHECK", `   helo = ${check.heloName}`);
			break;
		case "DNS_CHECK":
			lines.push("   Keepalive method = DNS_CHECK", `   Type = ${check.type}`, `   Name = ${check.name}`);
			break;
		case "MISC_CHECK":
			lines.push(
				"   Keepalive method = MISC_CHECK",
				`   script = ${check.script.command.map((word) => `'${word}'`).join(" ")}`,
				`   timeout = ${check.timeoutMs / 1000}`,
				`   dynamic = ${check.dynamicWeight ? "YES" : "NO"}`,
			);
			break;
		default:
			lines.push(`   Keepalive method = ${check.kind}`);
	}
	return lines;
}
