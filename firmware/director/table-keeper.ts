/**
 * Holds the kernel's IPVS table at what follows from the pools, and the synchronisation daemons and timeouts at
 * what is configured. Programming happens in one place (`#round`), one at a time; whatever comes in meanwhile
 * marks what is to be looked at again.
 */
import type { DroverConfig } from "../config/model.ts";
import { EEXIST, ENOENT, ESRCH } from "../kernel/errno.ts";
import { NoSuchFamily } from "../kernel/genetlink.ts";
import type { IpvsClient, OperationFailure } from "../kernel/ipvs-client.ts";
import type { DirectorEvent } from "../status/director.ts";
import type { Log } from "../status/log.ts";
import type { Sighting } from "../status/timeline.ts";
import type { VrrpStateName } from "../status/vrrp.ts";
import {
	type IpvsEntry,
	type IpvsOperation,
	type IpvsTable,
	requestCount,
	serviceKeyText,
} from "../wire/ipvs.ts";
import { desiredEntries, desiredTable, serviceKeyOf } from "./desired.ts";
import { describeDrift } from "./drift.ts";
import { KernelTable } from "./kernel-table.ts";
import { virtualServerName } from "./names.ts";
import type { Pool } from "./pool.ts";
import { reconcileEntry, reconcileTable } from "./reconcile.ts";
import { desiredDaemons, reconcileDaemons } from "./sync-daemon.ts";

/** The kernel's table is compared with what it should be this often, or less often when that takes long. */
const DRIFT_INTERVAL_MS = 2_000;
/** At most this part of the time is spent on looking for drift. */
const DRIFT_SHARE = 0.02;
/** After changes that the kernel refused, and while it has no IPVS. */
const RETRY_FIRST_MS = 500;
const RETRY_LONGEST_MS = 30_000;
/** Refused changes that are logged one by one; the rest is counted. */
const FAILURES_LOGGED = 20;

export interface TableKeeperEdges {
	readonly log: Log;
	readonly publish: (event: DirectorEvent) => void;
	/** Opens the table of the network namespace that is to be balanced. Throws NoSuchFamily without IPVS. */
	readonly openIpvs: () => IpvsClient;
	/** Loads the kernel's module; called when there is no IPVS. */
	readonly loadModule: () => Promise<void>;
}

/** What the director knows and the table follows from, as it is now. */
export interface TableSource {
	readonly config: DroverConfig;
	/** By `virtualServerKey`, in the configuration's order. */
	readonly pools: ReadonlyMap<string, Pool>;
	/** The state of the VRRP instance that decides on the synchronisation daemon. */
	readonly vrrpState: VrrpStateName | null;
	/** `owned` has changed: what a crash leaves behind must be known to be ours. */
	saveState(): void;
	/** What others did to the table is remembered. */
	note(sighting: Sighting): void;
}

export class TableKeeper {
	readonly #edges: TableKeeperEdges;
	readonly #source: TableSource;
	#table: KernelTable | null = null;
	#error: string | null = "not looked at yet";
	/** Services in the kernel that are ours: they go when they are no longer wanted. */
	readonly owned = new Set<string>();
	/** Pools whose entries have to be looked at; null is all of them. */
	#dirty: Set<string> | null = null;
	#needsLook = true;
	#programming: Promise<void> | null = null;
	#firstTableAtMs: number | null = null;
	#lookTimer: ReturnType<typeof setTimeout> | null = null;
	#retryMs = RETRY_FIRST_MS;
	/** Until then verdicts do not have a table opened that could not be opened: that may take its time each time. */
	#openNotBeforeMs = 0;
	#driftRepairs = 0;
	#lastFailures = "";
	#stopped = false;

	constructor(edges: TableKeeperEdges, source: TableSource) {
		this.#edges = edges;
		this.#source = source;
	}

	/** Null while there is none. */
	get table(): KernelTable | null {
		return this.#table;
	}

	/** Why there is no table, or why it is not as it should be. */
	get error(): string | null {
		return this.#error;
	}

	get driftRepairs(): number {
		return this.#driftRepairs;
	}

	get isProgramming(): boolean {
		return this.#programming !== null;
	}

	/** This pool's entries are to be looked at by the next `pump`. */
	touch(key: string): void {
		this.#dirty?.add(key);
	}

	/** Looks at everything, now. */
	touchAll(): Promise<void> {
		this.#dirty = null;
		this.#openNotBeforeMs = 0;
		return this.pump();
	}

	/** Compares with the kernel now rather than at the next turn of the timer. */
	look(): Promise<void> {
		this.#needsLook = true;
		this.#openNotBeforeMs = 0;
		return this.pump();
	}

	/** No more rounds; resolves when the one at hand is over. */
	async stop(): Promise<void> {
		this.#stopped = true;
		if (this.#lookTimer !== null) clearTimeout(this.#lookTimer);
		await this.#programming;
	}

	close(): void {
		this.#table?.client.close();
	}

	/** Programs until nothing is left to do. One at a time; a call while one runs is heard by that one. */
	pump(): Promise<void> {
		this.#programming ??= this.#rounds().finally(() => {
			this.#programming = null;
		});
		return this.#programming;
	}

	async #rounds(): Promise<void> {
		while (!this.#stopped && (this.#dirty === null || this.#dirty.size > 0 || this.#needsLook)) {
			if (this.#table === null) {
				if (performance.now() < this.#openNotBeforeMs) return;
				if (!(await this.open())) return;
			}
			try {
				const failures = await this.#round();
				if (!this.#report(failures)) {
					this.#needsLook = true;
					return this.#lookIn(this.#backOff());
				}
				this.#retryMs = RETRY_FIRST_MS;
			} catch (error) {
				this.lose(error);
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
			for (const [key, entry] of desiredTable(this.#source.pools.values())) wanted.set(key, entry);
			operations.push(...reconcileTable(wanted, table.believed, { owned: this.owned, removeForeign: false }));
		} else
			for (const key of dirty)
				for (const entry of desiredEntries(this.#source.pools.get(key)!)) {
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
		// What changes from here on is for the next round.
		this.#dirty = new Set();
		const wanted = desiredTable(this.#source.pools.values());
		const actual = await table.read({ has: (key) => wanted.has(key) || before.has(key) });
		const ownership = { owned: this.owned, removeForeign: first && this.#source.config.global.lvsFlush };
		if (before.size > 0) this.#tellDrift(reconcileTable(before, actual, ownership), actual);
		const operations = reconcileTable(wanted, actual, ownership);
		table.believed.clear();
		for (const [key, entry] of actual) if (wanted.has(key)) table.believed.set(key, entry);
		const failures = await this.#apply(table, wanted, operations, true);
		this.#firstTableAtMs ??= Date.now();
		if (first) {
			this.setTimeouts();
			this.syncDaemons();
			this.#edges.log.info(
				{
					services: wanted.size,
					changes: operations.reduce((sum, operation) => sum + requestCount(operation), 0),
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
			if (!this.owned.has(key)) {
				this.owned.add(key);
				changed = true;
			}
		// Before the kernel has them: what a crash leaves behind must be known to be ours.
		if (changed) this.#source.saveState();
		const failures = await table.apply(operations);
		for (const [key, entry] of wanted) table.believed.set(key, entry);
		const refused = new Set(
			failures.map(({ operation }) =>
				serviceKeyText("service" in operation ? operation.service.key : operation.key),
			),
		);
		for (const key of refused) table.believed.delete(key);
		if (!whole) return failures;
		const size = this.owned.size;
		for (const key of [...this.owned])
			if (!wanted.has(key) && !refused.has(key)) {
				this.owned.delete(key);
				table.believed.delete(key);
			}
		if (this.owned.size !== size) this.#source.saveState();
		return failures;
	}

	#tellDrift(operations: readonly IpvsOperation[], actual: IpvsTable): void {
		const found = describeDrift(operations, actual);
		if (found.length === 0) return;
		const names = new Map<string, string>();
		for (const pool of this.#source.pools.values())
			for (const address of pool.config.services)
				names.set(serviceKeyText(serviceKeyOf(pool.config, address)), virtualServerName(pool.config));
		this.#driftRepairs += found.length;
		for (const { service, destination, reason } of found) {
			const virtualServer = names.get(service) ?? service;
			this.#edges.log.warn({ virtualServer }, `somebody changed the IPVS table: ${reason}`);
			this.#source.note({
				subject: destination === null ? virtualServer : `${destination} of ${virtualServer}`,
				text: `somebody changed the kernel's table: ${reason}`,
				from: "kernel",
				rule: "the kernel's table is held at what configuration and checks say",
			});
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
			this.#error = null;
			return true;
		}
		// A missing service makes each of its destinations fail; the service is what to tell.
		const roots = failures.filter(({ operation, errno }) => !("destination" in operation) || errno !== ESRCH);
		const told = roots.length > 0 ? roots : failures;
		const words = told.map(({ reason }) => reason);
		const text = words.join("\n");
		this.#error = `${words[0]}${words.length > 1 ? ` (and ${words.length - 1} more)` : ""}`;
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
		this.#lookTimer = setTimeout(() => void this.look(), delayMs);
	}

	#backOff(): number {
		const delayMs = this.#retryMs;
		this.#retryMs = Math.min(RETRY_LONGEST_MS, delayMs * 2);
		this.#openNotBeforeMs = performance.now() + delayMs;
		return delayMs;
	}

	/** Opens the kernel's table; false, with the reason in the status, when there is none: it is tried again later. */
	async open(): Promise<boolean> {
		for (const attempt of ["as it is", "with the module"] as const)
			try {
				if (attempt === "with the module") await this.#edges.loadModule();
				this.#table = new KernelTable(this.#edges.openIpvs());
				if (this.#error !== null && this.#firstTableAtMs !== null)
					this.#edges.log.info("the kernel has IPVS again");
				this.#error = null;
				this.#needsLook = true;
				return true;
			} catch (error) {
				if (attempt === "as it is" && error instanceof NoSuchFamily) continue;
				const text =
					error instanceof NoSuchFamily
						? "the kernel has no IPVS: the module ip_vs is missing, traffic is not balanced"
						: `IPVS cannot be reached: ${error instanceof Error ? error.message : error}`;
				if (text !== this.#error) this.#edges.log.error(text);
				this.#error = text;
				break;
			}
		this.#lookIn(this.#backOff());
		return false;
	}

	/** The socket failed: a new one is opened at the next round, and the whole table is looked at. */
	lose(error: unknown): void {
		this.#edges.log.error(`IPVS: ${error instanceof Error ? error.message : error}`);
		this.#error = error instanceof Error ? error.message : String(error);
		this.#table?.client.close();
		this.#table = null;
		this.#needsLook = true;
	}

	/** What an earlier run of this director left in the kernel: none after an orderly stop. */
	async readLeft(): Promise<IpvsTable> {
		const none: IpvsTable = new Map();
		if (this.owned.size === 0 || this.#table === null) return none;
		try {
			const table = await this.#table.read(this.owned);
			return new Map([...table].filter(([key]) => this.owned.has(key)));
		} catch (error) {
			this.lose(error);
			return none;
		}
	}

	/** What the kernel refuses is logged, and tried at the next reload: the rest of a configuration counts all the same. */
	setTimeouts(): void {
		const wanted = this.#source.config.global.lvsTimeouts;
		if (wanted === null || this.#table === null) return;
		const { client } = this.#table;
		const differs = (a: number, b: number) => a !== 0 && a !== b;
		try {
			const now = client.timeouts();
			if (
				differs(wanted.tcpSeconds, now.tcpSeconds) ||
				differs(wanted.tcpFinSeconds, now.tcpFinSeconds) ||
				differs(wanted.udpSeconds, now.udpSeconds)
			)
				client.setTimeouts(wanted);
		} catch (error) {
			this.#edges.log.error(error instanceof Error ? error.message : String(error));
		}
	}

	/** Starts and stops synchronisation daemons; what the kernel refuses is logged, and tried at the next change. */
	syncDaemons(hadOne = false): void {
		const table = this.#table;
		const settings = this.#source.config.global.lvsSyncDaemon;
		if (table === null || this.#stopped || (settings === null && !hadOne)) return;
		// Until VRRP has spoken, what an earlier run started goes on.
		if (settings !== null && settings.instance !== null && this.#source.vrrpState === null) return;
		try {
			const changes = reconcileDaemons(
				desiredDaemons(this.#source.config, this.#source.vrrpState),
				table.client.daemons(),
			);
			for (const state of changes.stop) table.client.stopDaemon(state);
			for (const daemon of changes.start) {
				table.client.startDaemon(daemon);
				this.#edges.log.info(`IPVS ${daemon.state} synchronisation on ${daemon.interface}`);
			}
		} catch (error) {
			this.#edges.log.error(error instanceof Error ? error.message : String(error));
		}
	}

	async removeOwn(): Promise<void> {
		const table = this.#table;
		if (table === null) return;
		try {
			if (this.#source.config.global.lvsSyncDaemon !== null)
				for (const { state } of table.client.daemons()) table.client.stopDaemon(state);
			if (this.#source.config.global.lvsFlushOnStop === "all") table.client.flush();
			else {
				const operations = table.client
					.services({ stats: false })
					.filter(({ key }) => this.owned.has(serviceKeyText(key)))
					.map(({ key }): IpvsOperation => ({ kind: "delete-service", key }));
				this.#report(await table.apply(operations));
			}
			this.owned.clear();
			this.#source.saveState();
		} catch (error) {
			this.#edges.log.error(error instanceof Error ? error.message : String(error));
		}
	}
}
