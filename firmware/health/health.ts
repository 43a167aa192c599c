/**
 * Is a real server alive? The face of the health checks towards the director.
 *
 *   const health = createHealth({ clock, log });
 *   health.onChange((changes) => …);
 *   health.apply(config);
 *   health.verdictOf(virtualServerKey(vs), realServerKey(rs)).alive
 */
import type { CheckConfig, DroverConfig, VirtualServerConfig } from "../config/model.ts";
import type { RealServerStatus } from "../status/director.ts";
import type { Log } from "../status/log.ts";
import { checkName } from "./checker.ts";
import { realServerKey, virtualServerKey } from "./keys.ts";
import { LinkWatch } from "./link-watch.ts";
import { PathWatch, pathTargets, type WatchedPath } from "./path-watch.ts";
import { restorePingSockets } from "./ping.ts";
import type { ProgramRecord } from "./program-record.ts";
import { type BfdSessions, type RunningCheck, Scheduler } from "./scheduler.ts";
import { type Clock, systemClock, systemEnvironment } from "./system-environment.ts";
import type { VipConflict } from "./vip-claims.ts";
import { VipConflictWatch } from "./vip-conflict.ts";
import {
	identityOf,
	notPassedYet,
	type WatchedPool as Pool,
	type WatchedServer as Server,
	stateAfter,
	unknownServer,
	type Verdict,
	verdictFrom,
	virtualAddressesOf,
} from "./watched-server.ts";

export { realServerKey, virtualServerKey } from "./keys.ts";

const hasFailed = ({ state }: RunningCheck) => !state.up && state.answers > 0;
const opensDown = ({ config, state }: RunningCheck) =>
	config.kind === "FILE_CHECK" ? !state.up : config.timing.alpha;
const reasonOf = ({ config, state }: RunningCheck) => `${checkName(config)}: ${state.detail}`;

/** One thing that happened to a real server of a virtual server. */
export interface HealthChange {
	/**
	 * `alive` and `weight` change the kernel's table; `check` and `path` are for logs, mails and status.
	 * `stays-down`: it was down from the start, by `alpha`, and now it is known why.
	 */
	readonly kind: "alive" | "stays-down" | "weight" | "check" | "path";
	readonly virtualServer: string;
	readonly realServer: string;
	/** The verdict after the change. */
	readonly verdict: Verdict;
	/** For `check` and `path`: whether this one is up now. */
	readonly up: boolean;
	/** Whether the server came or went with it. */
	readonly decisive: boolean;
	readonly reason: string;
	/** Unix milliseconds. */
	readonly atMs: number;
}

export interface HealthOptions {
	readonly clock?: Clock;
	readonly log: Log;
	readonly bfd?: BfdSessions;
	/** What an earlier director has left running is ended by whoever opened it; default: nothing is noted. */
	readonly programs?: ProgramRecord;
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
	/** Who else claims a VIP of a DR service now: real servers that answer ARP for it, foreign hosts. */
	conflicts(): readonly VipConflict[];
	/** Ends every probe and timer; children of MISC_CHECK are killed. */
	close(): void;
}

export function createHealth({ clock = systemClock, log, bfd, programs }: HealthOptions): Health {
	const environment = systemEnvironment(clock, programs ?? null);
	const listeners = new Set<(changes: readonly HealthChange[]) => void>();
	let pools = new Map<string, Pool>();
	let running: RunningCheck[] = [];
	let holdsConnections = true;
	let trackFiles: DroverConfig["trackFiles"] = [];
	let changes: HealthChange[] = [];

	/** Of one pool at a time, since they are asked for one after the other: an index for each would be megabytes. */
	let index: { readonly pool: Pool; readonly servers: ReadonlyMap<string, Server> } | null = null;
	const serverIn = (pool: Pool | undefined, realServer: string): Server | undefined => {
		if (pool === undefined) return undefined;
		if (index?.pool !== pool) {
			const servers = new Map(pool.servers.map((server) => [realServerKey(server.config), server]));
			index = { pool, servers };
		}
		return index.servers.get(realServer);
	};

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

	const paths = new PathWatch({
		wheel: environment.wheel,
		nowMs: () => clock.monotonicMs(),
		isVirtualAddress: (address) => virtualAddresses.has(address),
		unavailable: (reason) => log.warn(`path checks are not possible: ${reason}`),
	});
	let virtualAddresses = new Set<string>();
	const claims = new VipConflictWatch({
		wheel: environment.wheel,
		nowMs: () => clock.monotonicMs(),
		report(conflict, stands) {
			if (stands) log.warn({ vip: conflict.vip, mac: conflict.mac }, conflict.detail);
			else log.info({ vip: conflict.vip, mac: conflict.mac }, `no longer: ${conflict.detail}`);
		},
		unavailable: (reason) => log.warn(`nobody watches who claims the virtual addresses: ${reason}`),
	});

	/** The path check rests while a server's own checks call it dead, and has a word before it serves again. */
	const followChecks = (server: Server) => {
		const before = server.checksUp;
		server.checksUp = server.checks.every(({ state }) => state.up);
		if (!server.checksUp && server.checks.some(({ state }) => !state.up && state.answers > 0)) {
			if (!server.wasDown && server.path !== null) paths.serverIsGone(server.path);
			server.wasDown = true;
		} else if (server.checksUp && !before && server.wasDown) {
			server.wasDown = false;
			if (server.path !== null) paths.serverIsBack(server.path);
		}
	};

	const judge = (server: Server, up: boolean, reason: string) => {
		followChecks(server);
		const before = server.verdict;
		const after = verdictFrom(server, reason, before);
		server.verdict = after;
		const change = {
			virtualServer: server.virtualServer,
			realServer: realServerKey(server.config),
			verdict: after,
			up,
			decisive: before.alive !== after.alive,
			reason,
			atMs: clock.nowMs(),
		};
		if (before.alive !== after.alive) {
			server.isSilent = false;
			tell({ kind: "alive", ...change });
		} else if (before.weight !== after.weight) tell({ kind: "weight", ...change });
		return change;
	};

	const tellWhyDown = (server: Server, change: ReturnType<typeof judge>) => {
		if (!server.isSilent) return;
		server.isSilent = false;
		server.verdict = { ...server.verdict, reason: change.reason };
		tell({ kind: "stays-down", ...change, verdict: server.verdict });
	};

	const scheduler = new Scheduler({
		environment,
		nowMs: () => clock.nowMs(),
		bfd,
		holdsConnections: () => holdsConnections,
		changed(check, result) {
			const reason = `${checkName(check.config)}: ${result.transition?.reason ?? result.check.detail}`;
			if (result.transition !== undefined)
				log[result.transition.up ? "info" : "warn"](
					{ up: result.transition.up, servers: check.serves.length },
					reason,
				);
			for (const server of check.serves as Server[]) {
				const change = judge(server, result.check.up, reason);
				if (result.transition !== undefined) tell({ kind: "check", ...change });
				else if (!result.check.up && result.check.answers > 0) tellWhyDown(server, change);
			}
		},
		log: (check, level, text) => log[level](`${checkName(check.config)}: ${text}`),
	});

	let links: LinkWatch | null = null;
	const watchLinks = () => {
		try {
			links ??= new LinkWatch((change) => {
				const targets = new Map<string, RunningCheck[]>();
				for (const check of running) {
					if (!("target" in check.config)) continue;
					const { address } = check.config.target;
					const same = targets.get(address);
					if (same === undefined) targets.set(address, [check]);
					else same.push(check);
				}
				for (const address of change.behind(targets.keys()))
					for (const check of targets.get(address)!)
						if (change.up) scheduler.soon(check);
						else scheduler.fail(check, `${change.interface} has no link`);
			});
		} catch (error) {
			log.warn(`nobody watches the links: ${error instanceof Error ? error.message : error}`);
		}
	};

	return {
		apply(config) {
			holdsConnections = config.global.tcpCheckSentinel;
			environment.tlsClient = config.tlsClient;
			environment.trackFiles = config.trackFiles;
			const sameFiles = Bun.deepEquals(trackFiles, config.trackFiles);
			trackFiles = config.trackFiles;
			const before = new Map(
				running.map((check) => [sameFiles ? check.identity : identityOf(check.config, trackFiles), check]),
			);
			for (const check of running) check.serveNobody();
			const wanted = new Map<number, RunningCheck>();
			const fresh: RunningCheck[] = [];
			/** Of those: which took a state over. */
			const succeeding = new Set<RunningCheck>();
			const silent: Server[] = [];
			const freshPaths: WatchedPath[] = [];
			const keptPaths = new Set<WatchedPath>();
			const runningCheck = (check: CheckConfig, old: Server | undefined): RunningCheck => {
				const identity = identityOf(check, trackFiles);
				let found = wanted.get(identity) ?? before.get(identity);
				if (found === undefined) {
					found = scheduler.create(check);
					fresh.push(found);
				}
				if (old !== undefined && found.isNew && check.kind !== "FILE_CHECK") {
					const after = stateAfter(old, check);
					// One that several servers share must take none of them away.
					if (after.state.up || !succeeding.has(found)) Object.assign(found, after);
					succeeding.add(found);
				}
				found.identity = identity;
				wanted.set(identity, found);
				return found;
			};
			virtualAddresses = virtualAddressesOf(config.virtualServers);
			const nextPools = new Map<string, Pool>();
			for (const virtualServer of config.virtualServers) {
				const key = virtualServerKey(virtualServer);
				const kept = pools.get(key);
				if (kept?.config === virtualServer && sameFiles) {
					nextPools.set(key, kept);
					for (const server of kept.servers) {
						for (const check of server.checks) {
							check.serve(server);
							wanted.set(check.identity, check);
						}
						if (server.path !== null) keptPaths.add(server.path);
					}
					continue;
				}
				const servers: Server[] = [];
				const suspended = kept?.suspended ?? false;
				nextPools.set(key, { key, config: virtualServer, servers, suspended });
				for (const realServer of virtualServer.realServers) {
					const old = kept === undefined ? undefined : serverIn(kept, realServerKey(realServer));
					// A list of one that is written as such has no room to spare; there are tens of thousands.
					const checks =
						realServer.checks.length === 1
							? [runningCheck(realServer.checks[0]!, old)]
							: [...new Set(realServer.checks.map((check) => runningCheck(check, old)))];
					const server: Server = {
						virtualServer: key,
						config: realServer,
						checks,
						path: null,
						verdict: unknownServer,
						checksUp: false,
						wasDown: false,
						isSilent: false,
					};
					for (const check of checks) check.serve(server);
					server.checksUp = server.checks.every(({ state }) => state.up);
					server.wasDown = (old?.wasDown ?? false) && !server.checksUp;
					server.path = pathOf(server, virtualServer, old?.path ?? null, freshPaths);
					if (server.path !== null) keptPaths.add(server.path);
					const marked = server.checks.find((check) => check.isNew && hasFailed(check));
					server.verdict = verdictFrom(server, marked === undefined ? old?.verdict.reason : reasonOf(marked));
					// As the director opens it: what shared checks say comes on top of that.
					server.isSilent = !server.verdict.alive && (old?.isSilent ?? server.checks.some(opensDown));
					if (server.isSilent && old === undefined) {
						server.verdict = { ...server.verdict, reason: notPassedYet };
						silent.push(server);
					}
					servers.push(server);
				}
			}
			for (const pool of pools.values())
				for (const { path } of pool.servers) if (path !== null && !keptPaths.has(path)) paths.stop(path);
			pools = nextPools;
			index = null;
			for (const check of running) if (check.serves.length === 0) scheduler.stop(check);
			running = [...wanted.values()];
			for (const check of running)
				if (check.isNew) check.suspended = allSuspended(check);
				else scheduler.suspend(check, allSuspended(check));
			if (running.length > 0) watchLinks();
			scheduler.start(fresh);
			paths.start(freshPaths);
			// Optimized code of this pass may hold what it worked with for as long as it is not run again: megabytes.
			before.clear();
			wanted.clear();
			// A check that others share already may have said why.
			for (const server of silent) {
				const failed = server.checks.find(hasFailed);
				if (failed !== undefined) tellWhyDown(server, judge(server, false, reasonOf(failed)));
			}
			const direct = config.virtualServers.filter(
				({ pathCheck, realServers }) =>
					pathCheck && realServers.some(({ forwarding }) => forwarding.kind === "DR"),
			);
			claims.watch(
				virtualAddressesOf(direct),
				new Set(direct.flatMap(({ realServers }) => realServers.map(({ address }) => address))),
			);
		},
		verdictOf: (virtualServer, realServer) =>
			serverIn(pools.get(virtualServer), realServer)?.verdict ?? unknownServer,
		statusOf(virtualServer, realServer) {
			const server = serverIn(pools.get(virtualServer), realServer);
			if (server === undefined) return { checks: [], path: null };
			return {
				checks: server.checks.map(({ config, state, answeredAtMs }) => ({
					kind: config.kind,
					up: state.up,
					detail: state.detail,
					atMs: answeredAtMs,
					failures: state.failures,
				})),
				path:
					server.path === null
						? null
						: {
								ok: server.path.state.ok,
								known: server.path.state.known,
								detail: pathDetail(server),
							},
			};
		},
		conflicts: () => claims.conflicts(),
		onChange(listener) {
			listeners.add(listener);
			return () => listeners.delete(listener);
		},
		suspend(virtualServer, suspended) {
			const pool = pools.get(virtualServer);
			if (pool === undefined || pool.suspended === suspended) return;
			pool.suspended = suspended;
			for (const server of pool.servers) {
				for (const check of server.checks) scheduler.suspend(check, allSuspended(check));
				if (server.path !== null) paths.suspend(server.path, suspended);
			}
		},
		close() {
			for (const check of running) scheduler.stop(check);
			running = [];
			for (const pool of pools.values())
				for (const { path } of pool.servers) if (path !== null) paths.stop(path);
			paths.close();
			claims.close();
			programs?.close();
			links?.close();
			links = null;
			pools = new Map();
			index = null;
			listeners.clear();
			environment.wheel.close();
			restorePingSockets();
		},
	};

	/** A server that accepts the VIP and also claims it in public is worth a word. */
	function pathDetail({ path, config }: Server): string {
		const conflict = claims.conflicts().find(({ realServer }) => realServer === config.address);
		const { detail } = path!.state;
		return conflict === undefined ? detail : `${detail}; ${conflict.detail}`;
	}

	/** The server's path check: the one that runs already when it asks the same, or a new one. */
	function pathOf(
		server: Server,
		virtualServer: VirtualServerConfig,
		old: WatchedPath | null,
		fresh: WatchedPath[],
	): WatchedPath | null {
		const targets = pathTargets(virtualServer, server.config);
		if (targets.length === 0) return null;
		const identity = JSON.stringify([targets, virtualServer.protocol, virtualServer.delayLoopMs]);
		let path = old;
		if (path === null || path.identity !== identity) {
			// A server that is just coming up waits for its path too, and so does one without a path in another rhythm.
			const startsDown = server.checks.some(({ state }) => !state.up) || path?.state.ok === false;
			path = paths.create(identity, targets, virtualServer, startsDown);
			path.suspended = pools.get(server.virtualServer)?.suspended ?? false;
			fresh.push(path);
		}
		const watched = path;
		watched.changed = (transition) => {
			const reason = `path: ${watched.state.detail}`;
			if (transition !== null)
				log[transition.ok ? "info" : "warn"](
					{ up: transition.ok, virtualServer: server.virtualServer },
					`${realServerKey(server.config)} ${reason}`,
				);
			const change = judge(server, watched.state.ok, reason);
			if (transition !== null) tell({ kind: "path", ...change });
			else if (!watched.state.ok && watched.state.known) tellWhyDown(server, change);
		};
		return watched;
	}

	/** A check that serves several virtual servers rests only when all of them do. */
	function allSuspended(check: RunningCheck): boolean {
		for (const server of check.serves as Server[])
			if (pools.get(server.virtualServer)?.suspended !== true) return false;
		return true;
	}
}
