/** Configurations and answers that the tests of checks share. */
import type {
	CheckTarget,
	CheckTiming,
	DroverConfig,
	RealServerConfig,
	RealServerRules,
	UrlCheck,
	VirtualServerConfig,
} from "../../firmware/config/model.ts";
import type { CheckKind, CheckOf, Outcome, ProbeEnvironment } from "../../firmware/health/checker.ts";
import { type ProbedCheck, startProbe } from "../../firmware/health/kinds.ts";
import { systemEnvironment } from "../../firmware/health/system-environment.ts";
import type { Log } from "../../firmware/status/log.ts";

const location = { file: "test.conf", line: 1, column: 1 };

export const timing: CheckTiming = {
	delayLoopMs: 100,
	retry: 0,
	delayBeforeRetryMs: 50,
	warmupMs: 0,
	alpha: false,
	logAllFailures: false,
};

export function target(port: number, change: Partial<CheckTarget> = {}): CheckTarget {
	return {
		address: "127.0.0.1",
		family: "inet",
		port,
		bindAddress: null,
		bindPort: null,
		bindInterface: null,
		connectTimeoutMs: 400,
		fwmark: 0,
		...change,
	};
}

export function url(change: Partial<UrlCheck> = {}): UrlCheck {
	return {
		path: "/",
		digest: null,
		statusCodes: [{ from: 200, to: 299 }],
		virtualHost: null,
		regex: null,
		tlsCompliant: false,
		...change,
	};
}

type Options<Kind extends CheckKind> = Omit<CheckOf<Kind>, "kind" | "timing"> & {
	timing?: Partial<CheckTiming>;
};

/** A check of one kind with the test's timing. */
export function check<Kind extends CheckKind>(kind: Kind, options: Options<Kind>): CheckOf<Kind> {
	return { ...options, kind, timing: { ...timing, ...options.timing } } as unknown as CheckOf<Kind>;
}

export const http = (
	port: number,
	change: Partial<UrlCheck> = {},
	options: Partial<Options<"HTTP_GET">> & { targetChange?: Partial<CheckTarget> } = {},
) =>
	check("HTTP_GET", {
		target: target(port, options.targetChange),
		urls: [url(change)],
		httpProtocol: "1.0",
		serverName: null,
		fastRecovery: false,
		...options,
	});

export const plainRules: RealServerRules = {
	inhibitOnFailure: false,
	alpha: false,
	smtpAlert: false,
	snmpName: null,
	notifyUp: null,
	notifyDown: null,
};

export function realServer(
	address: string,
	port: number,
	checks: RealServerConfig["checks"],
	change: Partial<RealServerConfig> = {},
): RealServerConfig {
	return {
		address,
		family: address.includes(":") ? "inet6" : "inet",
		port,
		weight: 1,
		forwarding: { kind: "NAT" },
		limits: { upperThreshold: 0, lowerThreshold: 0 },
		rules: plainRules,
		checks,
		...change,
	};
}

export function virtualServer(
	address: string,
	port: number,
	realServers: readonly RealServerConfig[],
	change: Partial<VirtualServerConfig> = {},
): VirtualServerConfig {
	return {
		name: { kind: "address", address, port },
		services: [{ kind: "address", address, family: address.includes(":") ? "inet6" : "inet", port }],
		protocol: "TCP",
		scheduler: "rr",
		schedulerFlags: { flag1: false, flag2: false, flag3: false },
		onePacket: false,
		persistenceTimeoutSeconds: null,
		persistenceEngine: null,
		persistenceGranularity: null,
		forwarding: { kind: "NAT" },
		delayLoopMs: 100,
		haSuspend: false,
		alpha: false,
		omega: false,
		quorum: 1,
		hysteresis: 0,
		quorumUp: null,
		quorumDown: null,
		smtpAlert: false,
		snmpName: null,
		sorryServer: null,
		pathCheck: false,
		realServers,
		location,
		...change,
	};
}

/** The parts of a configuration that health checks read. */
export function configuration(
	virtualServers: readonly VirtualServerConfig[],
	change: Partial<DroverConfig> = {},
): DroverConfig {
	const global = { tcpCheckSentinel: true };
	return { global, tlsClient: null, trackFiles: [], virtualServers, ...change } as unknown as DroverConfig;
}

export const environment = (): ProbeEnvironment => systemEnvironment();

/** One probe, to its end. */
export function probe(
	config: ProbedCheck,
	urlIndex = 0,
	within: ProbeEnvironment = environment(),
): Promise<Outcome> {
	return new Promise((resolve) => {
		startProbe(config, urlIndex, within, resolve);
	});
}

/** "passed: HTTP 200" */
export async function verdict(config: ProbedCheck, urlIndex = 0): Promise<string> {
	const outcome = await probe(config, urlIndex);
	return `${outcome.kind}: ${outcome.detail}`;
}

/** Swallows, or collects, what is logged. */
export function silentLog(lines: string[] = []): Log {
	const write = (first: unknown, second?: unknown) => lines.push(String(second ?? first));
	return { info: write, warn: write, error: write, debug: write } as unknown as Log;
}
