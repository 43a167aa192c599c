/**
 * The director: takes verdicts, reloads and operators' words in, keeps the pools, and holds the
 * kernel's table at what follows from them. Programming happens in one place (`#round`), one at a time;
 * whatever comes in meanwhile marks what is to be looked at again.
 */
import type { DroverConfig, VirtualServerConfig } from "../config/model.ts";
import type { Health, HealthChange } from "../health/health.ts";
import { realServerKey, virtualServerKey } from "../health/keys.ts";
import { EEXIST, ENOENT, ESRCH } from "../kernel/errno.ts";
import { NoSuchFamily } from "../kernel/genetlink.ts";
import type { IpvsClient, OperationFailure } from "../kernel/ipvs-client.ts";
import type { DirectorEvent, DirectorStatus } from "../status/director.ts";
import type { Log } from "../status/log.ts";
import { TIMELINE_LIMIT, Timeline, type TimelineEntry } from "../status/timeline.ts";
import type { VrrpStateName } from "../status/vrrp.ts";
import {
	destinationKeyText,
	endpointText,
	type IpvsEntry,
	type IpvsOperation,
	type IpvsTable,
	serviceKeyText,
} from "../wire/ipvs.ts";
import { Announcer } from "./announcer.ts";
import { desiredEntries, desiredTable, destinationKeyOf, serviceKeyOf } from "./desired.ts";
import { describeDrift } from "./drift.ts";
import { concernsServer, explainHealth, explainNotice, explainOverride, WHOLE_DIRECTOR } from "./explain.ts";
import { KernelTable } from "./kernel-table.ts";
import { virtualServerName } from "./names.ts";
import {
	closePool,
	initialVerdict,
	type Notice,
	type Override,
	openPool,
	type Pool,
	reloadPool,
	stepPool,
} from "./pool.ts";
import { reconcileEntry, reconcileTable } from "./reconcile.ts";
import { type DirectorState, readState, writeState } from "./state-file.ts";
import { virtualServerStatus } from "./status-report.ts";
import { desiredDaemons, reconcileDaemons } from "./sync-daemon.ts";

/** The kernel's table is compared with what it should be this often, or less often when that takes long. */
const DRIFT_INTERVAL_MS = 2_000;
/** At most this part of the time is spent on looking for drift. */
const DRIFT_SHARE = 0.02;
/** After changes that the kernel refused, and while it has no IPVS. */
const RETRY_FIRST_MS = 500;
const RETRY_LONGEST_MS = 30_000;
/** How often a draining real server's connections are counted. */
const DRAIN_INTERVAL_MS = 500;
/** How often a real server that was taken over from the kernel's table is looked at, until its checks have spoken. */
const ADOPTED_INTERVAL_MS = 100;
/** Refused changes that are logged one by one; the rest is counted. */
const FAILURES_LOGGED = 20;

export interface DirectorEdges {
	readonly log: Log;
	/** Opens the checks. They come after the table: traffic does not wait for them. */
	readonly openHealth: () => Promise<Health>;
	readonly publish: (event: DirectorEvent) => void;
	/** Opens the table of the network namespace that is to be balanced. Throws NoSuchFamily without IPVS. */
	readonly openIpvs: () => IpvsClient;
	/** Loads the kernel's module; called when there is no IPVS. */
	readonly loadModule: () => Promise<void>;
}

export interface OverrideRequest {
	readonly action: "drain" | "maintenance" | "undo";
	/** "10.0.0.1:80", or an address alone for all its ports. */
	readonly realServer: string;
	/** As in the status; null is every virtual server that has it. */
	readonly virtualServer: string | null;
}

export class Director {
	readonly #edges: DirectorEdges;
	readonly #startedAtMs = Date.now();
	readonly #announcer: Announcer;
	/** Null until the first table is in the kernel. */
	#health: Health | null = null;
	#config: DroverConfig;
	#configFile: string;
	/** By `virtualServerKey`, in the configuration's order. */
	#pools = new Map<string, Pool>();
	#table: KernelTable | null = null;
	#ipvsError: string | null = "not looked at yet";
	/** Services in the kernel that are ours: they go when they are no longer wanted. */
	#owned: Set<string>;
	/** Pools whose entries have to be looked at; null is all of them. */
	#dirty: Set<string> | null = null;
	#needsLook = true;
	#programming: Promise<void> | null = null;
	#firstTableAtMs: number | null = null;
	#lookTimer: ReturnType<typeof setTimeout> | null = null;
	#retryMs = RETRY_FIRST_MS;
	#drainTimer: ReturnType<typeof setInterval> | null = null;
	/** Members that stand as the kernel had them after a crash, until their checks have spoken. */
	readonly #adopted = new Map<string, Set<number>>();
	#adoptedTimer: ReturnType<typeof setInterval> | null = null;
	#vrrpState: VrrpStateName | null = null;
	#localAddresses: ReadonlySet<string> | null = null;
	#reload: DirectorStatus["reload"] = null;
	#driftRepairs = 0;
	readonly #timeline = new Timeline();
	#lastFailures = "";
	#stopped = false;

	constructor(edges: DirectorEdges, config: DroverConfig, configFile: string) {
		this.#edges = edges;
		this.#config = config;
		this.#configFile = configFile;
		this.#announcer = new Announcer(config.global, edges.log, edges.publish);
		this.#owned = new Set();
	}

	/** Takes over what an earlier run left and programs the kernel. */
	async start(): Promise<void> {
		const { log } = this.#edges;
		const state = readState();
		this.#owned = new Set(state.services);
		await this.#openTable();
		const left = await this.#readLeft();
		const notices: Notice[] = [];
		for (const config of this.#config.virtualServers) {
			const key = virtualServerKey(config);
			const step = openPool(config, this.#verdictsAtStart(key, config, left));
			this.#pools.set(key, step.pool);
			for (const notice of step.notices) notices.push(notice);
		}
		this.#restoreOverrides(state);
		if (this.#adopted.size > 0)
			log.info({ services: left.size }, "taken over: the table that an earlier run left in the kernel");
		this.#touchAll();
		await this.#programming;
		this.#tell(notices);
	}

	/** Opens the checks: after the table, because traffic does not wait for them. */
	async startChecks(): Promise<void> {
		const health = await this.#edges.openHealth();
		if (this.#stopped) return health.close();
		this.#health = health;
		health.onChange((changes) => this.#onHealth(changes));
		health.apply(this.#config);
		if (this.#localAddresses !== null) this.localAddressesChanged(this.#localAddresses);
		this.#alignVerdicts();
		if (this.#adopted.size > 0)
			this.#adoptedTimer = setInterval(() => this.#releaseAdopted(), ADOPTED_INTERVAL_MS);
	}

	/** Replaces the configuration: what did not change is not touched. */
	async reload(config: DroverConfig): Promise<void> {
		const hadSyncDaemon = this.#config.global.lvsSyncDaemon !== null;
		this.#config = config;
		this.#announcer.configure(config.global);
		const before = this.#pools;
		const notices: Notice[] = [];
		this.#pools = new Map();
		for (const server of config.virtualServers) {
			const key = virtualServerKey(server);
			const old = before.get(key);
			before.delete(key);
			this.#adopted.delete(key);
			const step =
				old === undefined
					? openPool(server, (member) => initialVerdict(server.realServers[member]!))
					: reloadPool(old, server);
			this.#pools.set(key, step.pool);
			for (const notice of step.notices) notices.push(notice);
		}
		for (const gone of before.values()) notices.push(...closePool(gone, "no longer configured"));
		this.#touchAll();
		await this.#programming;
		this.#tell(notices);
		this.#health?.apply(config);
		if (this.#localAddresses !== null) this.localAddressesChanged(this.#localAddresses);
		this.#alignVerdicts();
		this.#setTimeouts();
		this.#syncDaemons(hadSyncDaemon);
	}

	/** The configuration that runs. */
	get config(): DroverConfig {
		return this.#config;
	}

	noteReload(ok: boolean, message: string): void {
		this.#reload = { atMs: Date.now(), ok, message };
		const text = ok ? "the configuration was read again" : `a new configuration was refused: ${message}`;
		this.#timeline.note([{ subject: WHOLE_DIRECTOR, text, from: "operator", rule: null }], Date.now());
	}

	/** The newest `count` sightings about a real server and what holds it, or about everything; oldest first. */
	timeline(realServer: string | null, virtualServer: string | null, count: number): readonly TimelineEntry[] {
		return this.#timeline.newest(
			count,
			(subject) => realServer === null || concernsServer(subject, realServer, virtualServer),
		);
	}

	/** Scripts, mails, log and subscribers hear of it, and it is remembered. */
	#tell(notices: readonly Notice[]): void {
		const sightings = notices.map(explainNotice).filter((sighting) => sighting !== null);
		this.#timeline.note(sightings, Date.now());
		this.#announcer.tell(notices);
	}

	/** The state of the VRRP instance that decides on the synchronisation daemon. */
	vrrpChanged(state: VrrpStateName | null): void {
		if (this.#vrrpState === state) return;
		this.#vrrpState = state;
		this.#syncDaemons();
	}

	/** ha_suspend: checks rest while the virtual address is not on this host. */
	localAddressesChanged(addresses: ReadonlySet<string>): void {
		this.#localAddresses = addresses;
		for (const [key, { config }] of this.#pools) {
			if (!config.haSuspend || config.name.kind !== "address") continue;
			this.#health?.suspend(key, !addresses.has(config.name.address));
		}
	}

	get wantsLocalAddresses(): boolean {
		return this.#config.virtualServers.some(({ haSuspend }) => haSuspend);
	}

	/** Drains a real server, takes it out, or undoes either. Returns how many it was done to. */
	async override(request: OverrideRequest): Promise<number> {
		let count = 0;
		for (const [key, pool] of this.#pools) {
			if (request.virtualServer !== null && request.virtualServer !== virtualServerName(pool.config))
				continue;
			pool.config.realServers.forEach((server, member) => {
				if (request.realServer !== endpointText(server) && request.realServer !== server.address) return;
				this.#setOverride(key, member, this.#overrideFor(request.action, key, member));
				count++;
			});
		}
		if (count === 0)
			throw new Error(
				`no real server ${request.realServer}${request.virtualServer === null ? "" : ` in ${request.virtualServer}`}`,
			);
		this.#saveState();
		this.#watchDrains();
		await this.#pump();
		return count;
	}

	/** What is, with the kernel's counters as they are now. */
	async status(): Promise<DirectorStatus> {
		const health = this.#health;
		const table = this.#table;
		const pools = [...this.#pools];
		const keys = pools.flatMap(([, { config }]) =>
			config.services.map((address) => serviceKeyOf(config, address)),
		);
		let entries: Awaited<ReturnType<KernelTable["readState"]>> = new Map();
		let daemons: string[] = [];
		try {
			if (table !== null) {
				entries = await table.readState(keys);
				daemons = table.client
					.daemons()
					.map((daemon) => `${daemon.state} on ${daemon.interface}, sync id ${daemon.syncId}`);
			}
		} catch (error) {
			this.#lose(error);
		}
		return {
			startedAtMs: this.#startedAtMs,
			configFile: this.#configFile,
			ipvsVersion: this.#table?.client.info.version ?? null,
			ipvsError: this.#ipvsError,
			reload: this.#reload ?? null,
			driftRepairs: this.#driftRepairs,
			syncDaemons: daemons,
			virtualServers: pools.map(([key, pool]) =>
				virtualServerStatus(pool, entries, (member) => {
					const server = realServerKey(pool.config.realServers[member]!);
					return health === null
						? { checks: [], path: null, reason: "not checked yet" }
						: { ...health.statusOf(key, server), reason: health.verdictOf(key, server).reason };
				}),
			),
		};
	}

	/** Ends everything. `keepTable` leaves services and daemons in the kernel. */
	async stop(keepTable: boolean): Promise<void> {
		this.#stopped = true;
		for (const timer of [this.#lookTimer, this.#drainTimer, this.#adoptedTimer])
			if (timer !== null) clearTimeout(timer);
		this.#health?.close();
		await this.#programming;
		for (const pool of this.#pools.values())
			if (pool.config.omega) this.#tell(closePool(pool, "the director stops"));
		if (!keepTable) await this.#removeOwn();
		this.#table?.client.close();
		await this.#announcer.close();
	}

	/** Compares with the kernel now rather than at the next turn of the timer. */
	async look(): Promise<void> {
		this.#needsLook = true;
		await this.#pump();
	}

	// ── verdicts ────────────────────────────────────────────────────────────

	#onHealth(changes: readonly HealthChange[]): void {
		const notices: Notice[] = [];
		this.#remember(changes);
		for (const change of changes) {
			if (change.kind !== "alive" && change.kind !== "weight") continue;
			const pool = this.#pools.get(change.virtualServer);
			if (pool === undefined) continue;
			const member = placeOf(pool.config, change.realServer);
			if (member === undefined) continue;
			this.#adopted.get(change.virtualServer)?.delete(member);
			const { alive, weight, reason } = change.verdict;
			const step = stepPool(pool, { kind: "verdict", member, alive, weight, reason });
			if (step.pool === pool) continue;
			this.#pools.set(change.virtualServer, step.pool);
			this.#dirty?.add(change.virtualServer);
			notices.push(...step.notices);
		}
		void this.#pump();
		// The table first: whoever is told may look at it.
		this.#tell(notices);
	}

	/** What a check said comes before what it did to its server. */
	#remember(changes: readonly HealthChange[]): void {
		const causes = changes.filter(({ kind }) => kind === "check" || kind === "path");
		const effects = changes.filter(({ kind }) => kind === "alive" || kind === "weight");
		for (const change of [...causes, ...effects].slice(-TIMELINE_LIMIT)) {
			const config = this.#pools.get(change.virtualServer)?.config;
			const place = config === undefined ? undefined : placeOf(config, change.realServer);
			if (config === undefined || place === undefined) continue;
			this.#timeline.note([explainHealth(change, config.realServers[place]!, config)], change.atMs);
		}
	}

	/** Brings the pools in line with the checks after these took a configuration over. */
	#alignVerdicts(): void {
		const health = this.#health;
		if (health === null) return;
		const notices: Notice[] = [];
		for (const [key, opened] of this.#pools) {
			let pool = opened;
			const adopted = this.#adopted.get(key);
			pool.config.realServers.forEach((server, member) => {
				if (adopted?.has(member)) return;
				const { alive, weight, reason } = health.verdictOf(key, realServerKey(server));
				const step = stepPool(pool, { kind: "verdict", member, alive, weight, reason });
				if (step.pool === pool) return;
				pool = step.pool;
				notices.push(...step.notices);
			});
			if (pool === opened) continue;
			this.#pools.set(key, pool);
			this.#dirty?.add(key);
		}
		void this.#pump();
		this.#tell(notices);
	}

	/**
	 * After a crash a real server stands as it stood in the kernel's table until its checks have spoken: neither is
	 * a dead one tried on clients, nor does `alpha` empty a table that serves.
	 */
	#verdictsAtStart(key: string, config: VirtualServerConfig, left: IpvsTable) {
		const verdictOf = (member: number) => initialVerdict(config.realServers[member]!);
		const serving = new Set<number>();
		let found = false;
		for (const address of config.services) {
			const entry = left.get(serviceKeyText(serviceKeyOf(config, address)));
			if (entry === undefined) continue;
			found = true;
			const live = new Set(
				entry.destinations.filter(({ weight }) => weight > 0).map((row) => destinationKeyText(row)),
			);
			config.realServers.forEach((server, member) => {
				if (live.has(destinationKeyOf(server, address))) serving.add(member);
			});
		}
		if (!found) return verdictOf;
		return (member: number) => {
			const verdict = verdictOf(member);
			const server = config.realServers[member]!;
			if (server.checks.length === 0 || server.weight === 0) return verdict;
			const alive = serving.has(member);
			if (alive !== verdict.alive) {
				const members = this.#adopted.get(key) ?? new Set();
				this.#adopted.set(key, members.add(member));
			}
			return { alive, weight: verdict.weight };
		};
	}

	#releaseAdopted(): void {
		const health = this.#health;
		if (health === null) return;
		const notices: Notice[] = [];
		for (const [key, members] of this.#adopted) {
			const pool = this.#pools.get(key);
			for (const member of members) {
				const server = pool?.config.realServers[member];
				const verdict = server === undefined ? null : health.verdictOf(key, realServerKey(server));
				if (verdict !== null && !verdict.known) continue;
				members.delete(member);
				if (verdict === null) continue;
				const step = stepPool(this.#pools.get(key)!, { kind: "verdict", member, ...verdict });
				this.#pools.set(key, step.pool);
				this.#dirty?.add(key);
				notices.push(...step.notices);
			}
			if (members.size === 0) this.#adopted.delete(key);
		}
		if (this.#adopted.size === 0 && this.#adoptedTimer !== null) {
			clearInterval(this.#adoptedTimer);
			this.#adoptedTimer = null;
		}
		void this.#pump();
		this.#tell(notices);
	}

	// ── overrides ───────────────────────────────────────────────────────────

	#overrideFor(action: OverrideRequest["action"], key: string, member: number): Override | null {
		switch (action) {
			case "undo":
				return null;
			case "maintenance":
				return "maintenance";
			case "drain":
				// What is out already has nothing to drain.
				return this.#pools.get(key)!.members[member]!.override === "drained" ? "drained" : "draining";
		}
	}

	#setOverride(key: string, member: number, override: Override | null): void {
		const { config } = this.#pools.get(key)!;
		const from = override === "drained" ? null : "operator";
		this.#timeline.note([explainOverride(override, from, config.realServers[member]!, config)], Date.now());
		const step = stepPool(this.#pools.get(key)!, { kind: "override", member, override });
		this.#pools.set(key, step.pool);
		this.#dirty?.add(key);
		this.#tell(step.notices);
	}

	#restoreOverrides({ overrides }: DirectorState): void {
		const byPlace = new Map(overrides.map((row) => [`${row.virtualServer} ${row.realServer}`, row.override]));
		if (byPlace.size === 0) return;
		for (const [key, pool] of this.#pools)
			pool.config.realServers.forEach((server, member) => {
				const override = byPlace.get(`${key} ${endpointText(server)}`);
				if (override !== undefined) this.#setOverride(key, member, override);
			});
		this.#watchDrains();
	}

	#watchDrains(): void {
		const draining = [...this.#pools.values()].some(({ members }) =>
			members.some(({ override }) => override === "draining"),
		);
		if (draining) this.#drainTimer ??= setInterval(() => this.#countDrains(), DRAIN_INTERVAL_MS);
		else if (this.#drainTimer !== null) {
			clearInterval(this.#drainTimer);
			this.#drainTimer = null;
		}
	}

	/** A draining server whose last connection has ended leaves the table. */
	#countDrains(): void {
		const table = this.#table;
		if (table === null || this.#programming !== null) return;
		for (const [key, pool] of this.#pools)
			pool.members.forEach(({ override }, member) => {
				if (override !== "draining") return;
				const server = pool.config.realServers[member]!;
				let open = 0;
				try {
					for (const address of pool.config.services) {
						const name = destinationKeyOf(server, address);
						const row = table.client
							.destinations(serviceKeyOf(pool.config, address), { stats: false })
							.find((destination) => destinationKeyText(destination) === name);
						if (row === undefined) continue;
						// UDP knows no end: an entry is "inactive" until it times out.
						open += row.activeConnections;
						if (pool.config.protocol !== "TCP") open += row.inactiveConnections;
						if (row.weight > 0) open++;
					}
				} catch (error) {
					this.#lose(error);
					return;
				}
				if (open > 0) return;
				this.#edges.log.info(`${endpointText(server)} of ${virtualServerName(pool.config)} is drained`);
				this.#setOverride(key, member, "drained");
				this.#saveState();
			});
		this.#watchDrains();
		void this.#pump();
	}

	// ── the kernel's table ──────────────────────────────────────────────────

	#touchAll(): void {
		this.#dirty = null;
		void this.#pump();
	}

	/** Programs until nothing is left to do. One at a time; a call while one runs is heard by that one. */
	#pump(): Promise<void> {
		this.#programming ??= this.#rounds().finally(() => {
			this.#programming = null;
		});
		return this.#programming;
	}

	async #rounds(): Promise<void> {
		while (!this.#stopped && (this.#dirty === null || this.#dirty.size > 0 || this.#needsLook)) {
			if (this.#table === null && !(await this.#openTable())) return this.#lookIn(this.#backOff());
			try {
				const failures = await this.#round();
				if (!this.#report(failures)) {
					this.#needsLook = true;
					return this.#lookIn(this.#backOff());
				}
				this.#retryMs = RETRY_FIRST_MS;
			} catch (error) {
				this.#lose(error);
				return this.#lookIn(this.#backOff());
			}
		}
	}

	async #round(): Promise<readonly OperationFailure[]> {
		const table = this.#table!;
		if (this.#needsLook) return this.#lookAndRepair(table);
		const dirty = this.#dirty;
		this.#dirty = new Set();
		const operations: IpvsOperation[] = [];
		const wanted = new Map<string, IpvsEntry>();
		if (dirty === null) {
			for (const [key, entry] of desiredTable(this.#pools.values())) wanted.set(key, entry);
			operations.push(
				...reconcileTable(wanted, table.believed, { owned: this.#owned, removeForeign: false }),
			);
		} else
			for (const key of dirty)
				for (const entry of desiredEntries(this.#pools.get(key)!)) {
					const name = serviceKeyText(entry.service.key);
					wanted.set(name, entry);
					reconcileEntry(entry, table.believed.get(name) ?? null, operations);
				}
		return this.#apply(table, wanted, operations, dirty === null);
	}

	/** Reads the kernel's table, tells what others changed in it, and sets it right. */
	async #lookAndRepair(table: KernelTable): Promise<readonly OperationFailure[]> {
		const startedMs = performance.now();
		this.#needsLook = false;
		const first = this.#firstTableAtMs === null;
		const before = new Map(table.believed);
		const names = new Set(before.keys());
		for (const pool of this.#pools.values())
			for (const address of pool.config.services)
				names.add(serviceKeyText(serviceKeyOf(pool.config, address)));
		const actual = await table.read(names);
		const ownership = { owned: this.#owned, removeForeign: first && this.#config.global.lvsFlush };
		if (before.size > 0) this.#tellDrift(reconcileTable(before, actual, ownership), actual);
		this.#dirty = new Set();
		const wanted = desiredTable(this.#pools.values());
		const operations = reconcileTable(wanted, actual, ownership);
		table.believed.clear();
		for (const [key, entry] of actual) if (wanted.has(key)) table.believed.set(key, entry);
		const failures = await this.#apply(table, wanted, operations, true);
		this.#firstTableAtMs ??= Date.now();
		if (first) {
			this.#setTimeouts();
			this.#syncDaemons();
			this.#edges.log.info(
				{
					services: wanted.size,
					changes: operations.length,
					tookMs: Math.round(performance.now() - startedMs),
				},
				"the kernel's table is as configured",
			);
		}
		this.#lookIn(Math.max(DRIFT_INTERVAL_MS, (performance.now() - startedMs) / DRIFT_SHARE));
		return failures;
	}

	/** `whole`: `wanted` is everything that is wanted, so what is owned beside it goes. */
	async #apply(
		table: KernelTable,
		wanted: IpvsTable,
		operations: readonly IpvsOperation[],
		whole: boolean,
	): Promise<readonly OperationFailure[]> {
		let changed = false;
		for (const key of wanted.keys())
			if (!this.#owned.has(key)) {
				this.#owned.add(key);
				changed = true;
			}
		// Before the kernel has them: what a crash leaves behind must be known to be ours.
		if (changed) this.#saveState();
		const failures = await table.apply(operations);
		for (const [key, entry] of wanted) table.believed.set(key, entry);
		const refused = new Set(
			failures.map(({ operation }) =>
				serviceKeyText("service" in operation ? operation.service.key : operation.key),
			),
		);
		for (const key of refused) table.believed.delete(key);
		if (!whole) return failures;
		const size = this.#owned.size;
		for (const key of [...this.#owned])
			if (!wanted.has(key) && !refused.has(key)) {
				this.#owned.delete(key);
				table.believed.delete(key);
			}
		if (this.#owned.size !== size) this.#saveState();
		return failures;
	}

	#tellDrift(operations: readonly IpvsOperation[], actual: IpvsTable): void {
		const found = describeDrift(operations, actual);
		if (found.length === 0) return;
		const names = new Map<string, string>();
		for (const pool of this.#pools.values())
			for (const address of pool.config.services)
				names.set(serviceKeyText(serviceKeyOf(pool.config, address)), virtualServerName(pool.config));
		this.#driftRepairs += found.length;
		for (const { service, destination, reason } of found) {
			const virtualServer = names.get(service) ?? service;
			this.#edges.log.warn({ virtualServer }, `somebody changed the IPVS table: ${reason}`);
			this.#timeline.note(
				[
					{
						subject: destination === null ? virtualServer : `${destination} of ${virtualServer}`,
						text: `somebody changed the kernel's table: ${reason}`,
						from: "kernel",
						rule: "the kernel's table is held at what configuration and checks say",
					},
				],
				Date.now(),
			);
			this.#edges.publish({
				kind: "drift",
				atMs: Date.now(),
				virtualServer,
				realServer: destination,
				up: true,
				reason,
			});
		}
	}

	/** Logs refused changes, once for each set of them. Returns whether there were none. */
	#report(failures: readonly OperationFailure[]): boolean {
		if (failures.length === 0) {
			if (this.#lastFailures !== "") this.#edges.log.info("the kernel has taken what it refused before");
			this.#lastFailures = "";
			this.#ipvsError = null;
			return true;
		}
		// A missing service makes each of its destinations fail; the service is what to tell.
		const roots = failures.filter(({ operation, errno }) => !("destination" in operation) || errno !== ESRCH);
		const told = roots.length > 0 ? roots : failures;
		const words = told.map(({ reason }) => reason);
		const text = words.join("\n");
		this.#ipvsError = `${words[0]}${words.length > 1 ? ` (and ${words.length - 1} more)` : ""}`;
		const racing = told.every(({ errno }) => errno === EEXIST || errno === ENOENT || errno === ESRCH);
		if (text !== this.#lastFailures) {
			for (const reason of words.slice(0, FAILURES_LOGGED))
				this.#edges.log[racing ? "warn" : "error"](reason);
			if (words.length > FAILURES_LOGGED)
				this.#edges.log.error(
					`${words.length - FAILURES_LOGGED} more changes of the IPVS table were refused`,
				);
		}
		this.#lastFailures = text;
		return false;
	}

	#lookIn(delayMs: number): void {
		if (this.#lookTimer !== null) clearTimeout(this.#lookTimer);
		if (this.#stopped) return;
		this.#lookTimer = setTimeout(() => {
			this.#needsLook = true;
			void this.#pump();
		}, delayMs);
	}

	#backOff(): number {
		const delayMs = this.#retryMs;
		this.#retryMs = Math.min(RETRY_LONGEST_MS, delayMs * 2);
		return delayMs;
	}

	/** Opens the kernel's table; false, with the reason in the status, when there is none. */
	async #openTable(): Promise<boolean> {
		for (const attempt of ["as it is", "with the module"] as const)
			try {
				if (attempt === "with the module") await this.#edges.loadModule();
				this.#table = new KernelTable(this.#edges.openIpvs());
				if (this.#ipvsError !== null && this.#firstTableAtMs !== null)
					this.#edges.log.info("the kernel has IPVS again");
				this.#ipvsError = null;
				this.#needsLook = true;
				return true;
			} catch (error) {
				if (attempt === "as it is" && error instanceof NoSuchFamily) continue;
				const text =
					error instanceof NoSuchFamily
						? "the kernel has no IPVS: the module ip_vs is missing, traffic is not balanced"
						: `IPVS cannot be reached: ${error instanceof Error ? error.message : error}`;
				if (text !== this.#ipvsError) this.#edges.log.error(text);
				this.#ipvsError = text;
			}
		return false;
	}

	/** The socket failed: a new one is opened at the next round, and the whole table is looked at. */
	#lose(error: unknown): void {
		this.#edges.log.error(`IPVS: ${error instanceof Error ? error.message : error}`);
		this.#ipvsError = error instanceof Error ? error.message : String(error);
		this.#table?.client.close();
		this.#table = null;
		this.#needsLook = true;
	}

	/** What an earlier run of this director left in the kernel: none after an orderly stop. */
	async #readLeft(): Promise<IpvsTable> {
		const none: IpvsTable = new Map();
		if (this.#owned.size === 0 || this.#table === null) return none;
		try {
			const table = await this.#table.read(this.#owned);
			return new Map([...table].filter(([key]) => this.#owned.has(key)));
		} catch (error) {
			this.#lose(error);
			return none;
		}
	}

	#setTimeouts(): void {
		const wanted = this.#config.global.lvsTimeouts;
		if (wanted === null || this.#table === null) return;
		const now = this.#table.client.timeouts();
		const differs = (a: number, b: number) => a !== 0 && a !== b;
		if (
			differs(wanted.tcpSeconds, now.tcpSeconds) ||
			differs(wanted.tcpFinSeconds, now.tcpFinSeconds) ||
			differs(wanted.udpSeconds, now.udpSeconds)
		)
			this.#table.client.setTimeouts(wanted);
	}

	/** Starts and stops synchronisation daemons; what the kernel refuses is logged, and tried at the next change. */
	#syncDaemons(hadOne = false): void {
		const table = this.#table;
		const settings = this.#config.global.lvsSyncDaemon;
		if (table === null || this.#stopped || (settings === null && !hadOne)) return;
		// Until VRRP has spoken, what an earlier run started goes on.
		if (settings !== null && settings.instance !== null && this.#vrrpState === null) return;
		try {
			const changes = reconcileDaemons(desiredDaemons(this.#config, this.#vrrpState), table.client.daemons());
			for (const state of changes.stop) table.client.stopDaemon(state);
			for (const daemon of changes.start) {
				table.client.startDaemon(daemon);
				this.#edges.log.info(`IPVS ${daemon.state} synchronisation on ${daemon.interface}`);
			}
		} catch (error) {
			this.#edges.log.error(error instanceof Error ? error.message : String(error));
		}
	}

	async #removeOwn(): Promise<void> {
		const table = this.#table;
		if (table === null) return;
		try {
			if (this.#config.global.lvsSyncDaemon !== null)
				for (const { state } of table.client.daemons()) table.client.stopDaemon(state);
			if (this.#config.global.lvsFlushOnStop === "all") table.client.flush();
			else {
				const operations = table.client
					.services({ stats: false })
					.filter(({ key }) => this.#owned.has(serviceKeyText(key)))
					.map(({ key }): IpvsOperation => ({ kind: "delete-service", key }));
				this.#report(await table.apply(operations));
			}
			this.#owned.clear();
			this.#saveState();
		} catch (error) {
			this.#edges.log.error(error instanceof Error ? error.message : String(error));
		}
	}

	#saveState(): void {
		const overrides: DirectorState["overrides"][number][] = [];
		for (const [key, pool] of this.#pools)
			pool.members.forEach(({ override }, member) => {
				if (override !== null)
					overrides.push({
						virtualServer: key,
						realServer: endpointText(pool.config.realServers[member]!),
						override,
					});
			});
		try {
			writeState({ services: [...this.#owned], overrides });
		} catch (error) {
			this.#edges.log.error(
				`cannot keep the director's state: ${error instanceof Error ? error.message : error}`,
			);
		}
	}
}

const placesByConfig = new WeakMap<VirtualServerConfig, ReadonlyMap<string, number>>();

/** Where the real server with this key stands in its virtual server's configuration. */
function placeOf(config: VirtualServerConfig, key: string): number | undefined {
	let places = placesByConfig.get(config);
	if (places === undefined) {
		places = new Map(config.realServers.map((server, index) => [realServerKey(server), index]));
		placesByConfig.set(config, places);
	}
	return places.get(key);
}
