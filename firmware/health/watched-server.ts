/** One real server of one virtual server as its checks and its path see it, and the verdict that follows. */
import type { CheckConfig, RealServerConfig, TrackFileConfig, VirtualServerConfig } from "../config/model.ts";
import { checkIdentity, questionKey } from "./keys.ts";
import type { WatchedPath } from "./path-watch.ts";
import type { RunningCheck } from "./scheduler.ts";
import { type Check, effectiveWeight, rulesOf, succeedingCheck } from "./verdict.ts";

export interface Verdict {
	/** No check has failed, and in DR and TUN mode the path is good. */
	readonly alive: boolean;
	/** What the file and the dynamic checks give it while alive; never below 0. */
	readonly weight: number;
	/** What decided, in the operator's words: "TCP_CHECK [10.0.0.2]:80: connection refused". */
	readonly reason: string;
	/** Every check has had its first answer. */
	readonly known: boolean;
}

export interface WatchedServer {
	readonly virtualServer: string;
	readonly config: RealServerConfig;
	readonly checks: readonly RunningCheck[];
	/** DR and TUN. */
	path: WatchedPath | null;
	verdict: Verdict;
	/** All its checks are up. */
	checksUp: boolean;
	/** A check has failed since they were last all up. */
	wasDown: boolean;
	/** Down from the start, by `alpha`, and nobody was told why. */
	isSilent: boolean;
}

export interface WatchedPool {
	readonly key: string;
	readonly config: VirtualServerConfig;
	/** In the configuration's order. */
	readonly servers: readonly WatchedServer[];
	suspended: boolean;
}

export const notPassedYet = "alpha: not all its checks have passed yet";
export const unknownServer: Verdict = { alive: false, weight: 0, reason: "not configured", known: false };

const nothingFailed = "no check has failed";

/** `before`: what was said so far; its reason holds as long as it says the same. */
export function verdictFrom(
	server: WatchedServer,
	reason = nothingFailed,
	before: Verdict | null = null,
): Verdict {
	let alive = true;
	let known = true;
	for (const { state } of server.checks) {
		alive &&= state.up;
		known &&= state.answers > 0;
	}
	alive &&= server.path?.state.ok ?? true;
	const weight = effectiveWeight(
		server.config.weight,
		server.checks.map(({ state }) => state.effect),
	);
	const decided = before === null || before.alive !== alive || before.weight !== weight;
	return verdictOf(alive, weight, decided ? reason : before.reason, known);
}

/** Weights up to this are nearly all there are. */
const COMMON_WEIGHTS = 256;
/** Verdicts are values: tens of thousands of servers of which nothing bad was heard share one. By weight, and by `known`. */
const goodVerdicts: { readonly [heard in "known" | "unknown"]: Verdict[] } = { known: [], unknown: [] };

function verdictOf(alive: boolean, weight: number, reason: string, known: boolean): Verdict {
	if (!alive || reason !== nothingFailed || weight >= COMMON_WEIGHTS) return { alive, weight, reason, known };
	const common = goodVerdicts[known ? "known" : "unknown"];
	common[weight] ??= { alive, weight, reason, known };
	return common[weight];
}

/** `checkIdentity`, with the file that a FILE_CHECK names. */
export function identityOf(check: CheckConfig, trackFiles: readonly TrackFileConfig[]): number {
	const file =
		check.kind === "FILE_CHECK" ? trackFiles.find(({ name }) => name === check.trackFile)?.path : undefined;
	return checkIdentity(check, file);
}

/**
 * The state in which a check that is new to `server`, as it was before a reload, begins there, and when that was heard
 * (Unix milliseconds, or 0).
 */
export function stateAfter(
	{ checks, checksUp }: WatchedServer,
	check: CheckConfig,
): { readonly state: Check; readonly answeredAtMs: number } {
	const question = questionKey(check);
	const before = checks.find(({ config }) => config.kind === check.kind && questionKey(config) === question);
	return {
		state: succeedingCheck(rulesOf(check), before?.state ?? null, checksUp),
		answeredAtMs: before?.answeredAtMs ?? 0,
	};
}

/** What clients connect to: no source address for a question to a real server, which holds them as well. */
export function virtualAddressesOf(virtualServers: readonly VirtualServerConfig[]): Set<string> {
	const addresses = new Set<string>();
	for (const { services } of virtualServers)
		for (const service of services) if (service.kind === "address") addresses.add(service.address);
	return addresses;
}
