/** What the sessions and tasks of one worker share. */
import type { LogSink } from "../log/sink.ts";
import type { Arena, StoredObject } from "../store/arena.ts";
import type { BanList } from "../store/bans.ts";
import type { Done, Flusher } from "../store/flusher.ts";
import type { LoadedVcl, Stevedore } from "../vcl/runtime.ts";
import type { AccessLog } from "./access-log.ts";
import { BodyBudget } from "./body-budget.ts";
import type { BusyMarks } from "./busy-marks.ts";
import { HitLane } from "./hit-lane.ts";
import type { InflightFetches } from "./inflight.ts";
import { Main } from "./main-counters.ts";
import { Objects } from "./objects.ts";
import type { WorkerParameters } from "./parameters.ts";
import { Patterns } from "./patterns.ts";
import type { PurgeMarks } from "./purge-marks.ts";
import { Replays } from "./replay.ts";

export { Main };

export interface ActiveVcl {
	readonly name: string;
	readonly loaded: LoadedVcl;
	/** Tasks that still run it. */
	busy: number;
}

export interface EngineOptions {
	readonly arena: Arena;
	readonly bans: BanList;
	readonly log: LogSink;
	/** One number per MAIN counter, this worker's share. */
	readonly counters: Float64Array;
	/** Shared: word 0 is the last transaction number given out. */
	readonly transactions: Int32Array;
	/** What other workers fetch. */
	readonly busy: BusyMarks;
	/** What has been purged, by whomever. */
	readonly purges: PurgeMarks;
	/** Shared: the words of ControlPage.bans. */
	readonly banNumbers: Int32Array;
	readonly parameters: WorkerParameters;
	readonly identity: string;
	readonly hostname: string;
	/** By number; Transient is the last. */
	readonly storages: readonly Stevedore[];
	/** Of a persistent store. */
	readonly flusher: Flusher | undefined;
	/** Hands a ban, in the words of its text, to the manager, which makes it known; `ticket` comes back with banKnown(). */
	publishBan(ticket: number, text: string): void;
}

/** A body of up to this part of its storage is held in memory until it is whole; a larger one is written into the store as it comes. */
const HELD_SHARE = 4;
/** The wall clock may be so far from ours before we follow it. */
const CLOCK_SLACK_MS = 2;

export class Engine {
	readonly arena: Arena;
	readonly objects: Objects;
	readonly replays: Replays;
	readonly patterns: Patterns;
	readonly lane = new HitLane({
		begin: () => {
			// Requests of one batch begin when the one before has been answered.
			this.now();
			this.replays.begin();
			this.patterns.begin();
		},
		foreseen: () => this.patterns.readAhead(),
	});
	readonly bans: BanList;
	readonly log: LogSink;
	readonly counters: Float64Array;
	parameters: WorkerParameters;
	readonly identity: string;
	readonly hostname: string;
	readonly storages: readonly Stevedore[];
	readonly flusher: Flusher | undefined;
	readonly #banNumbers: Int32Array;
	readonly #publishBan: EngineOptions["publishBan"];
	readonly busy: BusyMarks;
	readonly purges: PurgeMarks;
	/** Fetches under way whose answer others may wait for, by key. */
	readonly inflight: InflightFetches = new Map();
	active: ActiveVcl | undefined;
	readonly labels = new Map<string, ActiveVcl>();
	/** Of all bodies that are on their way. */
	readonly bodies: BodyBudget;
	/** Answers carry a Cache-Status field (RFC 9211). */
	cacheStatus = false;
	sessionCount = 0;
	/** Fetches under way; each holds its task for as long as its backend takes. */
	fetchCount = 0;
	/** Requests that wait for the fetch of another one. */
	sleeperCount = 0;
	accessLog: AccessLog | undefined;
	readonly #transactions: Int32Array;

	constructor(options: EngineOptions) {
		this.arena = options.arena;
		this.bans = options.bans;
		this.log = options.log;
		this.counters = options.counters;
		this.parameters = options.parameters;
		this.identity = options.identity;
		this.hostname = options.hostname;
		this.storages = options.storages;
		this.flusher = options.flusher;
		this.#publishBan = options.publishBan;
		this.busy = options.busy;
		this.purges = options.purges;
		this.#banNumbers = options.banNumbers;
		this.#transactions = options.transactions;
		this.objects = new Objects(
			options.arena,
			options.storages.map((storage) => storage.name),
		);
		this.replays = new Replays(this);
		this.patterns = new Patterns(this);
		const { segmentBytes, segmentCount } = options.arena.layout;
		this.bodies = new BodyBudget(Math.max(segmentBytes, (segmentBytes * segmentCount) / HELD_SHARE));
	}

	/** What has one of these keys or tags is purged: it is not stored any more, and can be found if it was. */
	notePurge(names: readonly string[]): void {
		for (const name of names) this.purges.note(name);
		this.arena.awaitStores();
	}

	storageNumber(name: string): number {
		return Math.max(
			0,
			this.storages.findIndex((storage) => storage.name === name),
		);
	}

	/** Where the next answer goes if the VCL does not say: each storage has its turn, but for Transient. */
	nextStorage(): Stevedore {
		this.#turn = (this.#turn + 1) % Math.max(1, this.storages.length - 1);
		return this.storages[this.#turn]!;
	}

	#turn = -1;

	/** Largest body that is held in memory while it is fetched, in order to be stored there. */
	heldLimitBytes(storage: string): number {
		const { arena } = this;
		const number = this.storageNumber(storage);
		const { step } = arena.layout.areas[number]!;
		return Math.max(step * arena.layout.segmentBytes, arena.capacity(number) / HELD_SHARE);
	}

	/**
	 * Pins a stored object, found anew when its shard has changed since it was looked up; undefined when it is gone.
	 * Whoever pins an object unpins what this returned.
	 */
	pin(key: string, object: StoredObject): StoredObject | undefined {
		if (this.arena.pin(object)) return object;
		const { objects } = this.arena.select(key, (vary) => vary === object.vary);
		const again = objects.find(({ vxid }) => vxid === object.vxid);
		return again !== undefined && this.arena.pin(again) ? again : undefined;
	}

	/** False, and counted, when so many fetches are under way that one more may not begin. */
	mayFetch(): boolean {
		if (this.fetchCount < this.parameters.fetchesAtOnce) return true;
		this.count(Main.fetch_no_thread);
		return false;
	}

	/** False, and counted, when so many requests wait for fetches of others that one more may not. */
	maySleep(): boolean {
		if (this.sleeperCount < this.bodies.waitingRequests) return true;
		this.count(Main.busy_killed);
		return false;
	}

	/** What was learnt of earlier requests is void. */
	forgetOutcomes(): void {
		this.replays.forget();
		this.patterns.forget();
	}

	/** By ticket: those who wait for a ban to count. */
	readonly #pendingBans = new Map<number, Done>();
	#banTickets = 0;

	/**
	 * Calls `done` when the ban of that text is known to every worker and, with a persistent store, on the disk; or when
	 * it cannot be brought there.
	 */
	ban(text: string, done: Done): void {
		const ticket = ++this.#banTickets;
		this.#pendingBans.set(ticket, done);
		this.#publishBan(ticket, text);
	}

	/** Number of the newest ban that is over: what was asked for before it came must not be stored any more. */
	get bansOver(): number {
		return Atomics.load(this.#banNumbers, 1);
	}

	/** Everything stored is past the bans up to `number`, as far as is known; returns up to which it is for certain. */
	endBans(number: number): number {
		return number > this.bansOver ? this.arena.endBans(this.#banNumbers, number) : number;
	}

	/** What became of a ban that this worker handed on. */
	banKnown(ticket: number, error: string | undefined): void {
		const done = this.#pendingBans.get(ticket);
		this.#pendingBans.delete(ticket);
		done?.(error === undefined ? null : new Error(error));
	}

	/** Next transaction number: 30 bits, shared by all workers. */
	nextTransaction(): number {
		const number = (Atomics.add(this.#transactions, 0, 1) + 1) & 0x3fffffff;
		return number === 0 ? this.nextTransaction() : number;
	}

	/** Unix seconds with microseconds. */
	now(): number {
		this.latest = (this.#originMs + performance.now()) / 1000;
		return this.latest;
	}

	/** What now() said last. */
	latest = 0;

	/** Follows the wall clock; called now and then. */
	adjustClock(): void {
		const origin = Date.now() - performance.now();
		if (Math.abs(origin - this.#originMs) > CLOCK_SLACK_MS) this.#originMs = origin;
	}

	#originMs = performance.timeOrigin;

	count(counter: number, by = 1): void {
		this.counters[counter]! += by;
	}
}
