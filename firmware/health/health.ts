/**
 * Is a real server alive? The face of the health checks towards the director.
 *
 *   const health = createHealth({ clock, log });
 *   health.onChange((changes) => …);
 *   health.apply(config);
 *   health.verdictOf(virtualServerKey(vs), realServerKey(rs)).alive
 */
import type { DroverConfig, RealServerConfig, TlsClientConfig, TrackFileConfig } from "../config/model.ts";
import type { RealServerStatus } from "../status/director.ts";
import type { Log } from "../status/log.ts";
import { checkName, type ProbeEnvironment } from "./checker.ts";
import { checkKey, realServerKey, virtualServerKey } from "./keys.ts";
import { restorePingSockets } from "./ping.ts";
import { type RunningCheck, Scheduler } from "./scheduler.ts";
import { effectiveWeight } from "./verdict.ts";
import { Wheel } from "./wheel.ts";

export { realServerKey, virtualServerKey } from "./keys.ts";

/** Milliseconds: `monotonic` for intervals, `now` for time stamps. */
export interface Clock {
	monotonicMs(): number;
	nowMs(): number;
}

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

/** One thing that happened to a real server of a virtual server. */
export interface HealthChange {
	/** `alive` and `weight` change the kernel's table; `check` and `path` are for logs, mails and status. */
	readonly kind: "alive" | "weight" | "check" | "path";
	readonly virtualServer: string;
	readonly realServer: string;
	/** The verdict after the change. */
	readonly verdict: Verdict;
	/** For `check` and `path`: whether this one is up now. */
	readonly up: boolean;
	readonly reason: string;
	/** Unix milliseconds. */
	readonly atMs: number;
}

/** BFD sessions, as far as a checker is concerned; the BFD service implements it. */
export interface BfdSessions {
	/** Calls `listener` with the state now and at every change; returns how to stop. */
	watch(name: string, listener: (up: boolean) => void): () => void;
}

export interface HealthOptions {
	readonly clock?: Clock;
	readonly log: Log;
	readonly bfd?: BfdSessions;
}

export interface Health {
	/** Takes a configuration over; checks that did not change keep state and rhythm. */
	apply(config: DroverConfig): void;
	/** A server that is not in the configuration is dead with weight 0. */
	verdictOf(virtualServer: string, realServer: string): Verdict;
	/** The check lines and the path verdict of `RealServerStatus`. */
	statusOf(virtualServer: string, realServer: string): Pick<RealServerStatus, "checks" | "path">;
	/**
	 * `listener` receives what changed since the last call, in order, soon after it happened.
	 * Returns how to stop listening.
	 */
	onChange(listener: (changes: readonly HealthChange[]) => void): () => void;
	/** ha_suspend: a suspended virtual server's checks rest and keep their last state. */
	suspend(virtualServer: string, suspended: boolean): void;
	/** Ends every probe and timer; children of MISC_CHECK are killed. */
	close(): void;
}

export const systemClock: Clock = {
	monotonicMs: () => performance.now(),
	nowMs: () => Date.now(),
};

/** One real server of one virtual server. */
interface Server {
	readonly virtualServer: string;
	readonly key: string;
	readonly config: RealServerConfig;
	readonly checks: readonly RunningCheck[];
	verdict: Verdict;
}

interface Pool {
	readonly key: string;
	readonly servers: Map<string, Server>;
	suspended: boolean;
}

const unknownServer: Verdict = { alive: false, weight: 0, reason: "not configured", known: false };

export function createHealth({ clock = systemClock, log, bfd }: HealthOptions): Health {
	const environment: MutableEnvironment = {
		wheel: new Wheel({
			nowMs: () => clock.monotonicMs(),
			sleep(delayMs, wake) {
				const timer = setTimeout(wake, delayMs);
				return () => clearTimeout(timer);
			},
		}),
		nowMs: () => clock.monotonicMs(),
		tlsClient: null,
		trackFiles: [],
	};
	const listeners = new Set<(changes: readonly HealthChange[]) => void>();
	let pools = new Map<string, Pool>();
	let running: RunningCheck[] = [];
	let changes: HealthChange[] = [];

	const flush = () => {
		const batch = changes;
		changes = [];
		for (const listener of listeners) listener(batch);
	};
	const tell = (change: HealthChange) => {
		changes.push(change);
		// What one wake-up brings is told at once, together.
		if (changes.length === 1) queueMicrotask(flush);
	};

	const judge = (server: Server, up: boolean, reason: string) => {
		const before = server.verdict;
		let after = verdictFrom(server, reason);
		// What decided is what changed it last, not the last that was heard.
		if (before.alive === after.alive && before.weight === after.weight)
			after = { ...after, reason: before.reason };
		server.verdict = after;
		const change = {
			virtualServer: server.virtualServer,
			realServer: server.key,
			verdict: after,
			up,
			reason,
			atMs: clock.nowMs(),
		};
		if (before.alive !== after.alive) tell({ kind: "alive", ...change });
		else if (before.weight !== after.weight) tell({ kind: "weight", ...change });
		return change;
	};

	const scheduler = new Scheduler({
		environment,
		nowMs: () => clock.nowMs(),
		bfd,
		changed(check, result) {
			const reason = `${checkName(check.config)}: ${result.transition?.reason ?? result.check.detail}`;
			if (result.transition !== undefined)
				log[result.transition.up ? "info" : "warn"](
					{ up: result.transition.up, servers: check.serves.size },
					reason,
				);
			for (const server of check.serves as Set<Server>) {
				const change = judge(server, result.check.up, reason);
				if (result.transition !== undefined) tell({ kind: "check", ...change });
			}
		},
		log: (check, level, text) => log[level](`${checkName(check.config)}: ${text}`),
	});

	return {
		apply(config) {
			environment.tlsClient = config.tlsClient;
			environment.trackFiles = config.trackFiles;
			const before = new Map(running.map((check) => [identityOf(check.config, config.trackFiles), check]));
			for (const check of running) check.serves.clear();
			const wanted = new Map<string, RunningCheck>();
			const fresh: RunningCheck[] = [];
			const nextPools = new Map<string, Pool>();
			for (const virtualServer of config.virtualServers) {
				const key = virtualServerKey(virtualServer);
				const pool: Pool = { key, servers: new Map(), suspended: pools.get(key)?.suspended ?? false };
				nextPools.set(key, pool);
				for (const realServer of virtualServer.realServers) {
					const serverKey = realServerKey(realServer);
					const checks = new Set<RunningCheck>();
					for (const check of realServer.checks) {
						const identity = identityOf(check, config.trackFiles);
						let found = wanted.get(identity) ?? before.get(identity);
						if (found === undefined) {
							found = scheduler.create(check);
							fresh.push(found);
						}
						wanted.set(identity, found);
						checks.add(found);
					}
					const server: Server = {
						virtualServer: key,
						key: serverKey,
						config: realServer,
						checks: [...checks],
						verdict: unknownServer,
					};
					for (const check of checks) check.serves.add(server);
					server.verdict = verdictFrom(server, pools.get(key)?.servers.get(serverKey)?.verdict.reason);
					pool.servers.set(serverKey, server);
				}
			}
			pools = nextPools;
			for (const check of running) if (check.serves.size === 0) scheduler.stop(check);
			running = [...wanted.values()];
			for (const check of running) check.suspended = allSuspended(check);
			scheduler.start(fresh);
		},
		verdictOf: (virtualServer, realServer) =>
			pools.get(virtualServer)?.servers.get(realServer)?.verdict ?? unknownServer,
		statusOf(virtualServer, realServer) {
			const server = pools.get(virtualServer)?.servers.get(realServer);
			if (server === undefined) return { checks: [], path: null };
			return {
				checks: server.checks.map(({ config, state }) => ({
					kind: config.kind,
					up: state.up,
					detail: state.detail,
					atMs: state.answeredAtMs,
				})),
				path: null,
			};
		},
		onChange(listener) {
			listeners.add(listener);
			return () => listeners.delete(listener);
		},
		suspend(virtualServer, suspended) {
			const pool = pools.get(virtualServer);
			if (pool === undefined || pool.suspended === suspended) return;
			pool.suspended = suspended;
			for (const server of pool.servers.values())
				for (const check of server.checks) scheduler.suspend(check, allSuspended(check));
		},
		close() {
			for (const check of running) scheduler.stop(check);
			running = [];
			pools = new Map();
			listeners.clear();
			environment.wheel.close();
			restorePingSockets();
		},
	};

	/** A check that serves several virtual servers rests only when all of them do. */
	function allSuspended(check: RunningCheck): boolean {
		for (const server of check.serves as Set<Server>)
			if (pools.get(server.virtualServer)?.suspended !== true) return false;
		return true;
	}
}

interface MutableEnvironment extends ProbeEnvironment {
	tlsClient: TlsClientConfig | null;
	trackFiles: readonly TrackFileConfig[];
}

/** `checkKey`, with what it refers to by name. */
function identityOf(check: RunningCheck["config"], trackFiles: readonly TrackFileConfig[]): string {
	const key = checkKey(check);
	if (check.kind !== "FILE_CHECK") return key;
	return `${key} ${trackFiles.find(({ name }) => name === check.trackFile)?.path ?? ""}`;
}

function verdictFrom(server: Server, reason = "no check has failed"): Verdict {
	let alive = true;
	let known = true;
	for (const { state } of server.checks) {
		alive &&= state.up;
		known &&= state.answers > 0;
	}
	const weight = effectiveWeight(
		server.config.weight,
		server.checks.map(({ state }) => state.effect),
	);
	return { alive, weight, reason, known };
}
