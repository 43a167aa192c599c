/**
 * The director: takes verdicts, reloads and operators' words in and keeps the pools; what follows from
 * them is carried into the kernel by the table's keeper, and to the world outside by the announcer.
 */
import type { DroverConfig, VirtualServerConfig } from "../config/model.ts";
import { readFileCheck } from "../health/file.ts";
import type { Health, HealthChange } from "../health/health.ts";
import { realServerKey, virtualServerKey } from "../health/keys.ts";
import type { DirectorStatus } from "../status/director.ts";
import { TIMELINE_LIMIT, Timeline, type TimelineEntry } from "../status/timeline.ts";
import type { VrrpStateName } from "../status/vrrp.ts";
import { endpointText } from "../wire/ipvs.ts";
import { Adoption } from "./adoption.ts";
import type { CheckNotice } from "./announce.ts";
import { Announcer } from "./announcer.ts";
import { serviceKeyOf } from "./desired.ts";
import { openConnections } from "./drain.ts";
import { checkDataText } from "./dump.ts";
import { concernsServer, explainHealth, explainNotice, explainOverride, WHOLE_DIRECTOR } from "./explain.ts";
import type { KernelTable } from "./kernel-table.ts";
import { virtualServerName } from "./names.ts";
import {
	closedNotice,
	closePool,
	initialVerdict,
	type Notice,
	type Override,
	openPool,
	type Pool,
	type ReadFile,
	reloadPool,
	staysDownNotice,
	stepPool,
	type VerdictOf,
} from "./pool.ts";
import { type DirectorState, readState, writeState } from "./state-file.ts";
import { virtualServerStatus } from "./status-report.ts";
import { TableKeeper, type TableKeeperEdges } from "./table-keeper.ts";

/** How often a draining real server's connections are counted. */
const DRAIN_INTERVAL_MS = 500;
/** How often a real server that was taken over from the kernel's table is looked at, until its checks have spoken. */
const ADOPTED_INTERVAL_MS = 100;

export interface DirectorEdges extends TableKeeperEdges {
	/** Opens the checks. They come after the table: traffic does not wait for them. */
	readonly openHealth: () => Promise<Health>;
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
	readonly #keeper: TableKeeper;
	readonly #adoption = new Adoption();
	#drainTimer: ReturnType<typeof setInterval> | null = null;
	#adoptedTimer: ReturnType<typeof setInterval> | null = null;
	#vrrpState: VrrpStateName | null = null;
	#localAddresses: ReadonlySet<string> | null = null;
	#reload: DirectorStatus["reload"] = null;
	readonly #timeline = new Timeline();
	#stopped = false;

	constructor(edges: DirectorEdges, config: DroverConfig, configFile: string) {
		this.#edges = edges;
		this.#config = config;
		this.#configFile = configFile;
		this.#announcer = new Announcer(config.global, edges.log, edges.publish);
		const director = this;
		this.#keeper = new TableKeeper(edges, {
			get config() {
				return director.#config;
			},
			get pools() {
				return director.#pools;
			},
			get vrrpState() {
				return director.#vrrpState;
			},
			saveState: () => this.#saveState(),
			note: (sighting) => this.#timeline.note([sighting], Date.now()),
		});
	}

	/** Takes over what an earlier run left and programs the kernel. */
	async start(): Promise<void> {
		const { log } = this.#edges;
		const state = readState();
		for (const key of state.services) this.#keeper.owned.add(key);
		await this.#keeper.open();
		const left = await this.#keeper.readLeft();
		const notices: Notice[] = [];
		const atFirst = this.#atFirst();
		for (const config of this.#config.virtualServers) {
			const key = virtualServerKey(config);
			const before = left.size === 0 ? null : this.#adoption.stateAtStart(key, config, left, atFirst);
			const step = openPool(config, before?.verdictOf ?? atFirst, this.#tellsInitial, before?.quorumHeld);
			this.#pools.set(key, step.pool);
			for (const notice of step.notices) notices.push(notice);
		}
		this.#restoreOverrides(state);
		if (!this.#adoption.isOver)
			log.info({ services: left.size }, "taken over: the table that an earlier run left in the kernel");
		await this.#keeper.pump();
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
		if (!this.#adoption.isOver)
			this.#adoptedTimer = setInterval(() => this.#releaseAdopted(), ADOPTED_INTERVAL_MS);
	}

	#atFirst(): VerdictOf {
		const { trackFiles } = this.#config;
		const readFile: ReadFile = (check) => readFileCheck(check, trackFiles);
		return (_member, server) => initialVerdict(server, readFile);
	}

	/** Whether anybody is told of real servers that are up from the start. */
	get #tellsInitial(): boolean {
		return this.#config.global.rsInitNotifies;
	}

	/** Replaces the configuration: what did not change is not touched. */
	async reload(config: DroverConfig): Promise<void> {
		const hadSyncDaemon = this.#config.global.lvsSyncDaemon !== null;
		this.#config = config;
		this.#announcer.configure(config.global);
		const before = this.#pools;
		const notices: Notice[] = [];
		const changed = new Set<string>();
		this.#pools = new Map();
		const atFirst = this.#atFirst();
		for (const server of config.virtualServers) {
			const key = virtualServerKey(server);
			const old = before.get(key);
			before.delete(key);
			// The reader keeps the record of what stands unchanged in the file.
			if (old?.config === server) {
				this.#pools.set(key, old);
				continue;
			}
			changed.add(key);
			this.#adoption.forget(key);
			const step =
				old === undefined ? openPool(server, atFirst, this.#tellsInitial) : reloadPool(old, server, atFirst);
			this.#pools.set(key, step.pool);
			for (const notice of step.notices) notices.push(notice);
		}
		for (const gone of before.values()) notices.push(...closePool(gone, "removed"));
		await this.#keeper.touchAll();
		this.#tell(notices);
		this.#health?.apply(config);
		if (this.#localAddresses !== null) this.localAddressesChanged(this.#localAddresses);
		this.#alignVerdicts(changed);
		this.#keeper.setTimeouts();
		this.#keeper.syncDaemons(hadSyncDaemon);
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
		this.#keeper.syncDaemons();
	}

	/** ha_suspend: checks rest while the virtual address is not on this host. */
	localAddressesChanged(addresses: ReadonlySet<string>): void {
		this.#localAddresses = addresses;
		for (const [key, { config }] of this.#pools) {
			if (config.name.kind !== "address") continue;
			// Who lost the word by a reload rests no more.
			this.#health?.suspend(key, config.haSuspend && !addresses.has(config.name.address));
		}
	}

	get wantsLocalAddresses(): boolean {
		return this.#config.virtualServers.some(({ haSuspend }) => haSuspend);
	}

	/** Drains a real server, takes it out, or undoes either. Returns how many it was done to. */
	async override(request: OverrideRequest): Promise<number> {
		// Connections could not be counted: it would never end.
		if (request.action === "drain" && this.#keeper.table === null)
			throw new Error(`nothing is drained: ${this.#keeper.error}`);
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
		await this.#keeper.pump();
		return count;
	}

	/** What is, with the kernel's counters as they are now. */
	async status(): Promise<DirectorStatus> {
		const health = this.#health;
		const { table } = this.#keeper;
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
			this.#keeper.lose(error);
		}
		return {
			startedAtMs: this.#startedAtMs,
			configFile: this.#configFile,
			ipvsVersion: this.#keeper.table?.client.info.version ?? null,
			ipvsError: this.#keeper.error,
			reload: this.#reload ?? null,
			driftRepairs: this.#keeper.driftRepairs,
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

	/** What SIGUSR1 writes, in keepalived's words. */
	dump(): string {
		const health = this.#health;
		return checkDataText(
			this.#pools.values(),
			this.#keeper.table?.client.info.version ?? null,
			({ config }, member) =>
				health?.statusOf(virtualServerKey(config), realServerKey(config.realServers[member]!)).checks ?? [],
		);
	}

	/** Ends everything, and says what it waits for meanwhile. `keepTable` leaves services and daemons in the kernel. */
	async stop(keepTable: boolean, waitsFor: (what: string) => void = () => {}): Promise<void> {
		this.#stopped = true;
		for (const timer of [this.#drainTimer, this.#adoptedTimer]) if (timer !== null) clearInterval(timer);
		this.#health?.close();
		waitsFor("the kernel's table");
		await this.#keeper.stop();
		// Services that stay are not said to go (keepalived's --dont-release-ipvs).
		if (!keepTable)
			for (const pool of this.#pools.values())
				if (pool.config.omega) this.#tell(closePool(pool, "stopped"));
				else this.#announcer.publish(closedNotice(pool, "stopped"));
		if (!keepTable) await this.#keeper.removeOwn();
		this.#keeper.close();
		waitsFor("the last notifications");
		await this.#announcer.close();
	}

	/** Compares with the kernel now rather than at the next turn of the timer. */
	look(): Promise<void> {
		return this.#keeper.look();
	}

	// ── verdicts ────────────────────────────────────────────────────────────

	#onHealth(changes: readonly HealthChange[]): void {
		const notices: Notice[] = [];
		const checks: CheckNotice[] = [];
		this.#remember(changes);
		for (const change of changes) {
			if (change.kind === "path" || (change.kind === "check" && change.decisive)) continue;
			const pool = this.#pools.get(change.virtualServer);
			if (pool === undefined) continue;
			const member = placeOf(pool.config, change.realServer);
			if (member === undefined) continue;
			if (change.kind === "check") {
				checks.push({ pool, member, reason: change.reason });
				continue;
			}
			this.#adoption.hasSpoken(change.virtualServer, member);
			const { alive, weight, reason } = change.verdict;
			const step = stepPool(pool, { kind: "verdict", member, alive, weight, reason });
			if (change.kind === "stays-down" && step.notices.length === 0)
				notices.push(staysDownNotice(pool, member, reason));
			if (step.pool === pool) continue;
			this.#pools.set(change.virtualServer, step.pool);
			this.#keeper.touch(change.virtualServer);
			notices.push(...step.notices);
		}
		void this.#keeper.pump();
		// The table first: whoever is told may look at it.
		this.#tell(notices);
		this.#announcer.tellOfChecks(checks);
	}

	/** What a check said comes before what it did to its server. */
	#remember(changes: readonly HealthChange[]): void {
		const causes = changes.filter(({ kind }) => kind === "check" || kind === "path");
		const effects = changes.filter(({ kind }) => kind !== "check" && kind !== "path");
		for (const change of [...causes, ...effects].slice(-TIMELINE_LIMIT)) {
			const config = this.#pools.get(change.virtualServer)?.config;
			const place = config === undefined ? undefined : placeOf(config, change.realServer);
			if (config === undefined || place === undefined) continue;
			this.#timeline.note([explainHealth(change, config.realServers[place]!, config)], change.atMs);
		}
	}

	/** Brings these pools (default: all) in line with the checks after these took a configuration over. */
	#alignVerdicts(keys: Iterable<string> = this.#pools.keys()): void {
		const health = this.#health;
		if (health === null) return;
		const notices: Notice[] = [];
		for (const key of keys) {
			const opened = this.#pools.get(key)!;
			let pool = opened;
			pool.config.realServers.forEach((server, member) => {
				if (this.#adoption.has(key, member)) return;
				const { alive, weight, reason } = health.verdictOf(key, realServerKey(server));
				const step = stepPool(pool, { kind: "verdict", member, alive, weight, reason });
				if (step.pool === pool) return;
				pool = step.pool;
				notices.push(...step.notices);
			});
			if (pool === opened) continue;
			this.#pools.set(key, pool);
			this.#keeper.touch(key);
		}
		void this.#keeper.pump();
		this.#tell(notices);
	}

	#releaseAdopted(): void {
		const health = this.#health;
		if (health === null) return;
		const notices: Notice[] = [];
		for (const { key, member } of this.#adoption.members()) {
			const server = this.#pools.get(key)?.config.realServers[member];
			const verdict = server === undefined ? null : health.verdictOf(key, realServerKey(server));
			if (verdict !== null && !verdict.known) continue;
			this.#adoption.hasSpoken(key, member);
			if (verdict === null) continue;
			const step = stepPool(this.#pools.get(key)!, { kind: "verdict", member, ...verdict });
			this.#pools.set(key, step.pool);
			this.#keeper.touch(key);
			notices.push(...step.notices);
		}
		if (this.#adoption.isOver && this.#adoptedTimer !== null) {
			clearInterval(this.#adoptedTimer);
			this.#adoptedTimer = null;
		}
		void this.#keeper.pump();
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
		this.#keeper.touch(key);
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
		const { table } = this.#keeper;
		if (table === null || this.#keeper.isProgramming) return;
		for (const [key, pool] of this.#pools)
			pool.members.forEach(({ override }, member) => {
				if (override !== "draining") return;
				const server = pool.config.realServers[member]!;
				let open: number;
				try {
					open = openConnections(table.client, pool, member);
				} catch (error) {
					this.#keeper.lose(error);
					return;
				}
				if (open > 0) return;
				this.#edges.log.info(`${endpointText(server)} of ${virtualServerName(pool.config)} is drained`);
				this.#setOverride(key, member, "drained");
				this.#saveState();
			});
		this.#watchDrains();
		void this.#keeper.pump();
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
			writeState({ services: [...this.#keeper.owned], overrides });
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
