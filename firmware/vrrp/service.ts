/**
 * `drover vrrp`: drives the engine with this box's sockets, clocks, addresses and scripts.
 * Every decision is the engine's; here is only how it is told and how it is carried out.
 */
import { setPriority } from "node:os";
import type { DroverConfig } from "../config/model.ts";
import { syncGroupOf } from "../config/tracked.ts";
import { SCHED_FIFO, SCHED_OTHER } from "../kernel/constants.ts";
import { native } from "../kernel/native.ts";
import { RecentProcesses, watchProcesses } from "../kernel/process-events.ts";
import { type Expiry, monotonicMicros, RealTime } from "../kernel/realtime.ts";
import { sameAddress } from "../kernel/rtnetlink.ts";
import { interfaceSysctl, SysctlChanges } from "../kernel/sysctl.ts";
import { URGENT_NICENESS } from "../kernel/urgent.ts";
import { WallClock } from "../kernel/wall-clock.ts";
import { setPollerScheduler } from "../kernel/watch.ts";
import { setScriptUmask } from "../notify/start-script.ts";
import type { Log } from "../status/log.ts";
import { Timeline, type TimelineEntry } from "../status/timeline.ts";
import type { VrrpEvent, VrrpStateName, VrrpStatus } from "../status/vrrp.ts";
import { AddressKeeper, type HeldAddress, type LogLine } from "./address-keeper.ts";
import { adopt, type Saved } from "./adoption.ts";
import { type Announcement, Announcer } from "./announcer.ts";
import { ClaimWatch } from "./claim-watch.ts";
import {
	type Engine,
	type EngineAction,
	type EngineEvent,
	type EngineStep,
	newEngine,
	routerOf,
	step,
	wakeAtMicros,
} from "./engine.ts";
import { explain, WHOLE_SERVICE } from "./explain.ts";
import { FilterKeeper } from "./filter-keeper.ts";
import type { Guarded } from "./guard.ts";
import { instanceKey } from "./instance-key.ts";
import { KernelView } from "./kernel-view.ts";
import { Notifier, type NotifyState, STOP_SCRIPT_LIMIT_MS } from "./notify.ts";
import { droppedAddresses } from "./packet-filter.ts";
import { Placement } from "./placement.ts";
import { becomeProcess } from "./process.ts";
import { RareSources } from "./rare-sources.ts";
import type { Tracked } from "./readings.ts";
import { rivalOf } from "./rival.ts";
import { RivalWatch } from "./rival-watch.ts";
import { RouteKeeper } from "./route-keeper.ts";
import { masterDownInterval, type Router, standing } from "./router.ts";
import { instanceStatus, trackedStatus } from "./status-report.ts";
import { Takeovers } from "./takeover.ts";
import { Trackers } from "./trackers.ts";
import { type Port, type PortPlace, Transport } from "./transport.ts";
import { VirtualMacs } from "./virtual-mac.ts";

/** The lease is renewed this often, and is worth at least this much. */
const LEASE_PERIOD_MS = 100;
const LEASE_MIN_MICROS = 2_000_000;
const LEASE_MAX_MICROS = 10_000_000;
/** SCHED_FIFO: the real-time thread strictly above the poller. */
const DEFAULT_PRIORITY = 10;
const RETRACT_AGAIN_MS = 100;
const MEND_INTERFACE_AFTER_MS = 10;
const CLAIM_WATCH_DELAY_MS = 50;
const CLAIM_JUDGED_AFTER_MS = 50;
/** Who has claimed an address is listened to for so long, or for so many of our intervals. */
const RIVAL_LISTEN_MIN_MS = 5_000;
const RIVAL_LISTEN_INTERVALS = 3;
/** setTimeout counts in 32 bits. */
const TIMER_LIMIT_MS = 2 ** 31 - 1;
/** Keys of addresses that belong to no router. */
const STATIC_KEY = "static";

/** Another process's state, and until when it was alive (CLOCK_MONOTONIC µs). */
export interface Predecessor {
	readonly saved: Saved;
	readonly aliveAtMicros: number;
}

export interface ServiceOptions {
	readonly config: DroverConfig;
	readonly configFile: string;
	readonly log: Log;
	/** False runs without SCHED_FIFO, for tests on busy machines. */
	readonly realTime: boolean;
	/** After each change of state: what a successor has to know. */
	onChange(engine: Engine, changed: readonly Router[]): void;
	onEvent(event: VrrpEvent): void;
	/** Every 100 ms while all is well. */
	onAlive(atMicros: number): void;
}

export class VrrpService {
	readonly #options: ServiceOptions;
	readonly #log: Log;
	readonly #view: KernelView;
	readonly #realTime: RealTime;
	readonly #transport: Transport;
	readonly #announcer = new Announcer();
	readonly #addresses: AddressKeeper;
	readonly #routes: RouteKeeper;
	readonly #virtualMacs: VirtualMacs;
	readonly #trackers: Trackers;
	readonly #claims: ClaimWatch;
	readonly #rivals: RivalWatch;
	readonly #filter: FilterKeeper;
	readonly #placement: Placement;
	readonly #rareSources: RareSources;
	readonly #sysctls = new SysctlChanges();
	#claimsDue = false;
	#notifier: Notifier | null = null;
	readonly #line: LogLine;
	readonly #processWatch: { close(): void } | null;
	readonly #ports = new Map<string, Port>();
	readonly #takeovers: Takeovers;
	readonly #timeline = new Timeline();
	readonly #wallClock = new WallClock();
	readonly #startedAtMs: number;
	/** SCHED_FIFO, or null for none. */
	readonly #priority: number | null;
	#engine: Engine;
	#config: DroverConfig;
	#lastMicros = 0;
	#wakeTimer: ReturnType<typeof setTimeout> | null = null;
	#wakeAt: number | null = null;
	#leaseTimer: ReturnType<typeof setInterval> | null = null;
	#leaseMicros = LEASE_MIN_MICROS;
	#stopped = false;
	#locked = false;

	constructor(options: ServiceOptions) {
		this.#options = options;
		this.#log = options.log;
		this.#config = options.config;
		this.#startedAtMs = Date.now();
		const line: LogLine = (level, text) => this.#log[level](text);
		this.#line = line;
		becomeProcess(options.config.global, line);
		const priority = options.realTime ? (options.config.global.vrrpRtPriority ?? DEFAULT_PRIORITY) : null;
		this.#realTime = RealTime.open({ priority: priority === null ? null : Math.min(99, priority + 2) });
		this.#priority = priority;
		const { vrrpProcess } = options.config.global;
		this.#view = new KernelView(
			{
				onInterface: (reading) => {
					this.#feed({ kind: "interface", reading });
					for (const [key, port] of this.#ports) this.#prepareTakeover(key, port);
					if (!reading.up) this.#mendVirtualInterfaceSoon(reading.name, false);
					this.#holdLateStaticAddresses();
					this.#routes.restoreSoon();
				},
				onInterfaceGone: (name) => {
					this.#feed({ kind: "interface-gone", name });
					this.#mendVirtualInterfaceSoon(name, true);
				},
				onAddressRemoved: (address, portId) => this.#addresses.onAddressRemoved(address, portId),
			},
			{
				commandBytes: vrrpProcess.netlinkCommandBufferBytes,
				monitorBytes: vrrpProcess.netlinkMonitorBufferBytes,
			},
		);
		this.#transport = new Transport(
			this.#realTime,
			Math.max(
				vrrpProcess.receiveBufferBytes ?? 0,
				options.config.vrrpInstances.reduce((sum, { receiveBufferBytes }) => sum + receiveBufferBytes, 0),
			),
			options.config.global.logUnknownVrids
				? (virtualRouterId) => this.#log.info(`Unknown VRID(${virtualRouterId}) received`)
				: null,
		);
		const recent = new RecentProcesses();
		this.#processWatch = this.#watchProcesses(recent);
		const processes = this.#processWatch === null ? null : recent;
		this.#addresses = new AddressKeeper(this.#view, processes, line, (held) => this.#announceHeld([held], 1));
		this.#routes = new RouteKeeper(this.#view, processes, line);
		this.#virtualMacs = new VirtualMacs(this.#view, line);
		this.#placement = new Placement(this.#view, this.#addresses, this.#virtualMacs, () => this.#config);
		this.#rareSources = new RareSources({
			onLink: (name, up) => this.#view.setPolled(name, up),
			onBfd: (name, up) => this.#feed({ kind: "bfd", name, up }),
		});
		this.#filter = new FilterKeeper((text) => line("error", text));
		this.#takeovers = new Takeovers(this.#view, {
			wanted: (router) => this.#placement.wanted(router),
			// Paced ones wait for their turn in the announcer.
			announcements: (router, wanted) =>
				this.#announcer.datagrams(
					this.#announcements(router, wanted).filter(({ gapMicros }) => gapMicros === 0),
				),
		});
		this.#claims = new ClaimWatch((address, interfaceIndex, mac) =>
			this.#onClaim(address, interfaceIndex, mac),
		);
		this.#rivals = new RivalWatch((packet, interfaceIndex) => {
			for (const key of this.#heldOn(interfaceIndex)) {
				const config = routerOf(this.#engine, key)?.config;
				const verdict = config === undefined ? null : rivalOf(packet, config);
				if (verdict !== null) this.#feed({ kind: "rival", key, verdict });
			}
		});
		this.#trackers = new Trackers(
			{
				onScript: (name, success) => this.#feed({ kind: "script", name, success }),
				onProcess: (name, count) => this.#feed({ kind: "process", name, count }),
				onFile: (name, value) => this.#feed({ kind: "file", name, value }),
			},
			line,
		);
		this.#leaseMicros = leaseMicros(options.config);
		this.#engine = newEngine(options.config, monotonicMicros());
	}

	/**
	 * First in line for this thread, but no real-time priority: what cannot wait the other thread does, and a real-time
	 * thread that computes for milliseconds keeps the kernel from handling the packets of its CPU.
	 * After the heavy work of starting, which must not hold up others.
	 */
	becomeUrgent(): void {
		if (this.#priority === null) return;
		if (this.#realTime.schedulerStatus < 0)
			this.#log.warn("no real-time priority: adverts may be late on a busy box");
		// It is not handed down to scripts: the shim sets SCHED_RESET_ON_FORK.
		native.setScheduler(SCHED_OTHER, 0);
		try {
			setPriority(0, this.#config.global.vrrpProcess.niceness ?? URGENT_NICENESS);
		} catch {
			// Without privilege it stays as it is, as the real-time thread does.
		}
		setPollerScheduler(SCHED_FIFO, Math.min(99, this.#priority + 1));
	}

	/**
	 * Begins: from nothing, or where another process was interrupted. Until then it only looks and learns.
	 * `held`: it takes no mastership by itself before `release`.
	 */
	start(predecessor: Predecessor | null, held: boolean): void {
		this.#notifier = new Notifier(this.#config, this.#line);
		this.renewLease();
		this.#leaseTimer = setInterval(() => this.#onLeaseTimer(), LEASE_PERIOD_MS);
		this.#holdStatic();
		const now = monotonicMicros();
		if (predecessor === null) {
			this.#engine = this.#withInterfaces({ ...newEngine(this.#config, now), held }, now);
			// Before anybody takes part with a priority that it does not have.
			this.#feedTracked(this.#trackers.configure(this.#config, false));
			this.#removeStale();
			this.#feed({ kind: "listen" });
			this.#feed({ kind: "start" });
		} else {
			const { saved, aliveAtMicros } = predecessor;
			const result = adopt(this.#config, saved, aliveAtMicros, now, (engine) =>
				this.#withInterfaces({ ...engine, held }, now),
			);
			this.#timeline.note(
				[
					{
						subject: WHOLE_SERVICE,
						text: "this process goes on where another one ended",
						from: null,
						rule: null,
					},
				],
				Date.now(),
			);
			this.#apply(result);
			this.#removeStale();
			const { scripts } = this.#engine.readings;
			const known = Object.entries(scripts).flatMap(([name, { up }]) => (up === null ? [] : [name]));
			this.#feedTracked(this.#trackers.configure(this.#config, true, new Set(known)));
		}
		this.#applyFilter();
		this.#rareSources.configure(this.#config);
	}

	#feedTracked({ files, processes }: Tracked): void {
		for (const [name, value] of Object.entries(files)) this.#feed({ kind: "file", name, value });
		for (const [name, count] of Object.entries(processes)) this.#feed({ kind: "process", name, count });
	}

	/** The box can serve from now on; `reason` is for the timeline. */
	release(reason: string): void {
		this.#feed({ kind: "release", reason });
		for (const [key, port] of this.#ports) this.#prepareTakeover(key, port);
	}

	/** What runs now. */
	get config(): DroverConfig {
		return this.#config;
	}

	/** SIGHUP: adverts go on while this happens. */
	reload(config: DroverConfig): void {
		this.#config = config;
		setScriptUmask(config.global.umask);
		if (this.#notifier === null) {
			this.#engine = this.#withInterfaces(newEngine(config, monotonicMicros()), monotonicMicros());
			return;
		}
		this.#notifier?.configure(config);
		this.#leaseMicros = leaseMicros(config);
		this.#holdStatic();
		this.#feed({ kind: "reload", config, tracked: this.#trackers.configure(config, true) });
		this.#applyFilter();
		this.#rareSources.configure(config);
		if (config.global.fifoWriteVrrpStatesOnReload)
			for (const router of this.#engine.routers)
				this.#notifier?.repeatState(router.config, notifyStateOf(router.state), router.priority);
	}

	/** Priority 0, addresses off, scripts told; resolves when that is done. */
	async stop(): Promise<void> {
		if (this.#stopped) return;
		this.#trackers.close();
		this.#feed({ kind: "stop" });
		this.#stopped = true;
		this.#routes.release(STATIC_KEY);
		this.#addresses.release(STATIC_KEY);
		this.#claims.close();
		this.#rivals.close();
		this.#filter.clear();
		this.#rareSources.close();
		this.#sysctls.restore();
		if (this.#leaseTimer !== null) clearInterval(this.#leaseTimer);
		if (this.#wakeTimer !== null) clearTimeout(this.#wakeTimer);
		await this.#notifier?.settle(STOP_SCRIPT_LIMIT_MS);
		this.#notifier?.close();
		this.#virtualMacs.close();
		this.#addresses.close();
		this.#routes.close();
		this.#takeovers.close();
		this.#announcer.close();
		this.#processWatch?.close();
		this.#transport.close();
		this.#realTime.close();
		this.#view.close();
	}

	/** Gives back what only starting needed; no page of the rest is ever waited for on a disk. */
	settleMemory(): void {
		if (!this.#locked) native.releaseCode();
		if (this.#options.realTime) this.#locked = native.lockMemory(true) === 0;
	}

	/** What is touched from now on can be given back, until the memory settles again. */
	unsettleMemory(): void {
		if (this.#locked) native.lockMemory(false);
		this.#locked = false;
	}

	/** Takes every virtual address off and does nothing more: somebody else shall have them. */
	abandon(): void {
		this.#removeStale();
	}

	/** Every address that this service may put on an interface, whoever holds it now. */
	guarded(): Guarded[] {
		return this.#engine.routers.flatMap((router) => this.#placement.guarded(router));
	}

	/** The operator's word; names or none for all. Returns how many there were. */
	command(kind: "resign" | "take-over", names: readonly string[] | null): number {
		const keys = this.#engine.routers
			.filter(({ config }) => names === null || names.includes(config.name))
			.map(({ config }) => instanceKey(config));
		this.#feed({ kind, keys, reason: "the operator asked for it" });
		return keys.length;
	}

	/** Every counter begins at zero again. */
	clearCounters(): void {
		this.#feed({ kind: "clear-counters" });
	}

	/** Names of tracked scripts that run at this moment. */
	get runningScripts(): ReadonlySet<string> {
		return this.#trackers.runningScripts;
	}

	get engine(): Engine {
		this.#hearAll();
		return this.#engine;
	}

	/** CLOCK_MONOTONIC to Unix milliseconds. */
	wallMs(atMicros: number): number {
		return this.#wallClock.toMs(atMicros, native.realtimeMicros(), monotonicMicros());
	}

	status(): VrrpStatus {
		this.#hearAll();
		return {
			startedAtMs: this.#startedAtMs,
			configFile: this.#options.configFile,
			instances: this.#engine.routers.map((router) =>
				instanceStatus(router, this.#config.syncGroups, (atMicros) => this.wallMs(atMicros)),
			),
			syncGroups: Object.entries(this.#engine.groupStates).map(([name, state]) => ({ name, state })),
			tracked: trackedStatus(this.#engine.readings),
		};
	}

	/** The newest `count` sightings about an instance (and what concerns all), or about everything; oldest first. */
	timeline(instance: string | null, count: number): readonly TimelineEntry[] {
		const groups = this.#config.syncGroups.filter(({ members }) => members.includes(instance ?? ""));
		const subjects = new Set([WHOLE_SERVICE, instance, ...groups.map(({ name }) => name)]);
		return this.#timeline.newest(count, (subject) => instance === null || subjects.has(subject));
	}

	#watchProcesses(recent: RecentProcesses): { close(): void } | null {
		try {
			return watchProcesses(
				(event) => recent.note(event),
				() => {},
				this.#config.global.vrrpProcess.processMonitorBufferBytes ?? undefined,
			);
		} catch {
			// Not in the first network namespace: names of ended processes stay unknown.
			return null;
		}
	}

	#withInterfaces(engine: Engine, atMicros: number): Engine {
		let next = engine;
		for (const reading of this.#view.readings())
			next = step(next, { kind: "interface", reading }, atMicros).engine;
		return next;
	}

	/** What an earlier life left on the interfaces and nobody holds now. */
	#removeStale(): void {
		const candidates = this.#engine.routers.flatMap((router) => this.#placement.wanted(router));
		this.#addresses.removeStale(candidates);
	}

	#holdStatic(): void {
		const wanted = this.#addresses.wantedStatic(STATIC_KEY, this.#config.staticAddresses);
		if (wanted.length > 0 || this.#addresses.held(STATIC_KEY).length > 0)
			this.#addresses.hold(STATIC_KEY, wanted);
		this.#routes.hold(STATIC_KEY, {
			virtualRoutes: this.#config.staticRoutes,
			virtualRules: this.#config.staticRules,
			nameFolders: this.#config.global.routeNameFolders,
		});
	}

	/** Those of an interface that comes late, or comes back under another number. */
	#holdLateStaticAddresses(): void {
		if (this.#notifier === null || this.#stopped) return;
		const wanted = this.#addresses.wantedStatic(STATIC_KEY, this.#config.staticAddresses);
		const held = this.#addresses.held(STATIC_KEY);
		const isHeld = ({ kernel }: HeldAddress) => held.some((other) => sameAddress(other.kernel, kernel));
		if (!wanted.every(isHeld)) this.#addresses.hold(STATIC_KEY, wanted);
	}

	#feed(event: EngineEvent, atMicros = monotonicMicros()): void {
		if (this.#stopped) return;
		if ("key" in event) this.#hear(event.key);
		else this.#hearAll();
		this.#lastMicros = Math.max(this.#lastMicros, atMicros);
		this.#applyExplained(event, this.#lastMicros);
	}

	#applyExplained(event: EngineEvent, atMicros: number): void {
		const before = this.#engine;
		const result = step(before, event, atMicros);
		this.#apply(result);
		// Deciding and acting come first.
		this.#timeline.note(explain(before, event, result), Date.now());
	}

	#apply({ engine, actions }: EngineStep): void {
		const before = this.#engine;
		this.#engine = engine;
		for (const action of actions) {
			try {
				this.#perform(action);
			} catch (error) {
				this.#log.error({ action: action.kind }, error instanceof Error ? error.message : String(error));
			}
		}
		this.#armWake();
		if (engine !== before) this.#options.onChange(engine, changedRouters(before, engine));
	}

	#perform(action: EngineAction): void {
		switch (action.kind) {
			case "open":
				this.#ensurePort(action.key, true);
				this.#reportVirtualInterface(action.key);
				break;
			case "close":
				this.#closePort(action.key);
				this.#addresses.release(action.key);
				this.#virtualMacs.release(action.key);
				break;
			case "send":
				this.#ensurePort(action.key)?.send(action.priority);
				break;
			case "advert":
				if (action.advert === null) this.#ports.get(action.key)?.setAdvert(null);
				else {
					// Who was held up past the lease, and decides before its timer comes, is back all the same.
					this.renewLease();
					this.#ensurePort(action.key)?.setAdvert(action.advert);
				}
				break;
			case "watch": {
				const port = this.#ensurePort(action.key);
				port?.setWatch(action.watch);
				if (port !== undefined) this.#prepareTakeover(action.key, port);
				break;
			}
			case "addresses":
				this.#setAddresses(action.key, action.present, action.announceNew);
				break;
			case "announce":
				this.#announceHeld(this.#addresses.held(action.key), action.rounds);
				break;
			case "announce-elsewhere":
				this.#announceElsewhere(action.key);
				break;
			case "announce-source":
				this.#announceSource(action.key);
				break;
			case "transition":
				this.#onTransition(action);
				break;
			case "group-transition":
				this.#log.info(`VRRP_Group(${action.group.name}) Syncing instances to ${action.to} state`);
				this.#notifier?.group(action.group, notifyStateOf(action.to));
				break;
			case "notice": {
				const router = routerOf(this.#engine, action.key);
				if (router === null) break;
				if (action.notice === "MASTER_RX_LOWER_PRI")
					this.#notifier?.lowerPriorityHeard(router.config, action.priority);
				// Whoever is not master is called BACKUP there, as by keepalived.
				else
					this.#notifier?.priorityChanged(
						router.config,
						router.state === "MASTER" ? "MASTER" : "BACKUP",
						action.priority,
					);
				break;
			}
			case "protocol-error": {
				const { kind, name: instance, error } = action;
				this.#options.onEvent({ kind, atMs: Date.now(), instance, error });
				break;
			}
			case "log":
				this.#log[action.level](action.name === "" ? action.text : `(${action.name}) ${action.text}`);
				break;
		}
	}

	#onTransition(action: Extract<EngineAction, { kind: "transition" }>): void {
		const { config, from, to, deleted, reason, priority } = action;
		this.#log.info({ reason }, `(${config.name}) Entering ${to} STATE`);
		this.#notifier?.instance(config, notifyStateOf(to), priority);
		const state: VrrpStateName = to === "STOP" || to === "DELETED" ? "INIT" : to;
		this.#options.onEvent({
			kind: "transition",
			atMs: Date.now(),
			instance: config.name,
			from,
			to: state,
			...(to === "STOP" ? { stopped: true } : {}),
			...(deleted === true ? { deleted } : {}),
			reason,
		});
	}

	#setAddresses(key: string, present: boolean, announceNew: boolean): void {
		this.#watchClaimsSoon();
		const router = routerOf(this.#engine, key);
		if (!present || router === null) {
			this.#announcer.cancel(key);
			this.#addresses.release(key);
			this.#routes.release(key);
			return;
		}
		const { config } = router;
		const added = this.#addresses.hold(key, this.#placement.wanted(router));
		this.#routes.hold(key, { ...config, nameFolders: this.#config.global.routeNameFolders });
		if (announceNew) this.#announceHeld(added, config.garp.repeat);
	}

	/** Drops what comes for addresses that are not to be answered for. */
	#applyFilter(): void {
		const { packetFilter } = this.#config.global;
		const dropped = droppedAddresses(this.#config, (key) => {
			const router = routerOf(this.#engine, key);
			if (router === null) return [];
			return this.#placement.wanted(router).flatMap(({ kernel: { family, address, interfaceIndex } }) => {
				const device = this.#view.nameOf(interfaceIndex);
				return device === null ? [] : [{ family, address, device }];
			});
		});
		this.#filter.apply(packetFilter, dropped);
	}

	/** Once for many changes: opening sockets can wait until the takeover is done. */
	#watchClaimsSoon(): void {
		if (this.#claimsDue) return;
		this.#claimsDue = true;
		setTimeout(() => {
			this.#claimsDue = false;
			if (this.#stopped) return;
			try {
				this.#claims.watch(
					this.#addresses.all.flatMap(({ kernel }) => {
						const link = this.#view.linkAt(kernel.interfaceIndex);
						return link === null ? [] : [{ address: kernel.address, link }];
					}),
				);
			} catch (error) {
				this.#log.warn(`not listening for others' claims: ${error instanceof Error ? error.message : error}`);
			}
		}, CLAIM_WATCH_DELAY_MS);
	}

	#onClaim(address: string, interfaceIndex: number, mac: string): void {
		// A new master announces right after its first advert: that one must have been judged before.
		setTimeout(() => {
			const held = this.#addresses.all.find(
				({ kernel }) => kernel.address === address && kernel.interfaceIndex === interfaceIndex,
			);
			if (this.#stopped || held === undefined || held.key === STATIC_KEY) return;
			this.#feed({ kind: "claimed", key: held.key, address, mac });
			this.#listenForRival(interfaceIndex, held);
		}, CLAIM_JUDGED_AFTER_MS);
	}

	/** Whoever he is, he most likely advertises: why the election does not hear him is told by that. */
	#listenForRival(interfaceIndex: number, { key, kernel: { family } }: HeldAddress): void {
		const intervalMicros = routerOf(this.#engine, key)?.config.advertIntervalMicros ?? 0;
		const forMs = Math.max(RIVAL_LISTEN_MIN_MS, (RIVAL_LISTEN_INTERVALS * intervalMicros) / 1000);
		try {
			this.#rivals.listen(interfaceIndex, family, forMs);
		} catch (error) {
			this.#log.warn(`not listening for a second master: ${error instanceof Error ? error.message : error}`);
		}
	}

	/** The routers with addresses there. */
	#heldOn(interfaceIndex: number): ReadonlySet<string> {
		const held = this.#addresses.all.filter(({ kernel }) => kernel.interfaceIndex === interfaceIndex);
		return new Set(held.map(({ key }) => key));
	}

	#announceHeld(held: readonly HeldAddress[], rounds: number): void {
		const announcements = held.flatMap((one) => this.#announcements(routerOf(this.#engine, one.key), [one]));
		this.#announcer.announce(announcements, rounds);
	}

	/** A router of null has no pacing of its own. */
	#announcements(router: Router | null, held: readonly HeldAddress[]): Announcement[] {
		const garp = router?.config.garp;
		return held.flatMap(({ key, kernel }) => {
			const link = this.#view.linkAt(kernel.interfaceIndex);
			if (link === null) return [];
			const gapMicros = (kernel.family === "inet" ? garp?.garpIntervalMicros : garp?.gnaIntervalMicros) ?? 0;
			return [{ address: kernel.address, link, gapMicros, key }];
		});
	}

	/** Switches there hear no adverts: they shall not forget where the addresses are. */
	#announceElsewhere(key: string): void {
		const router = routerOf(this.#engine, key);
		if (router === null) return;
		const { sendIndex } = this.#ports.get(key)?.place ?? { sendIndex: null };
		const held = this.#addresses.held(key).filter(({ kernel: { interfaceIndex } }) => {
			if (router.config.garp.elsewhereAll) return true;
			return interfaceIndex !== sendIndex && this.#virtualMacs.has(interfaceIndex);
		});
		this.#announceHeld(held, 1);
	}

	#announceSource(key: string): void {
		const router = routerOf(this.#engine, key);
		const link = this.#view.link(router?.config.interface ?? "");
		if (router === null || router.sourceAddress === null || link === null) return;
		this.#announcer.announce([{ address: router.sourceAddress, link, gapMicros: 0, key }], 1);
	}

	#reportVirtualInterface(key: string): void {
		const router = routerOf(this.#engine, key);
		if (router === null || router.config.vmac === null) return;
		const problem = this.#placement.problemOf(router);
		if (problem === (this.#engine.readings.virtualInterfaces[key] ?? null)) return;
		queueMicrotask(() => this.#feed({ kind: "virtual-interface", key, problem }));
	}

	/** A moment later: when the interface below it goes as well, that message comes after this one's. */
	#mendVirtualInterfaceSoon(name: string, deleted: boolean): void {
		if (this.#virtualMacs.routerOf(name) === null) return;
		setTimeout(() => this.#stopped || this.#mendVirtualInterface(name, deleted), MEND_INTERFACE_AFTER_MS);
	}

	/**
	 * One that somebody deleted or set down is there again, with what it carries; with keepalived it is in FAULT for
	 * as long as it is down.
	 */
	#mendVirtualInterface(name: string, deleted: boolean): void {
		const key = this.#virtualMacs.routerOf(name);
		if (key === null || !this.#virtualMacs.parentRuns(name)) return;
		try {
			if (!deleted && !this.#virtualMacs.setUp(name)) return;
		} catch (error) {
			this.#log.error(`cannot set ${name} up: ${error instanceof Error ? error.message : error}`);
			return;
		}
		this.#ensurePort(key);
		this.#reportVirtualInterface(key);
		this.#log.warn(`${name} was ${deleted ? "deleted" : "set down"} by somebody; it is back`);
		if (routerOf(this.#engine, key)?.state !== "MASTER") return;
		this.#setAddresses(key, true, false);
		// Also what it never lost: nobody could be told while it was away.
		this.#announceHeld(this.#addresses.held(key), 1);
	}

	/** The port of a router as it must be now; undefined while it cannot be had. */
	#ensurePort(key: string, reopen = false): Port | undefined {
		const router = routerOf(this.#engine, key);
		const open = this.#ports.get(key);
		if (router === null) return open;
		const place = this.#placement.ofAdverts(router);
		if (place === null) return open;
		if (open !== undefined && !reopen && samePlace(open.place, place)) {
			open.config = router.config;
			if (router.config.authentication?.type === "AH")
				open.sequenceAtLeast(Math.max(0, ...Object.values(router.memory.sequenceNumbers)));
			return open;
		}
		if (open !== undefined) this.#closePort(key);
		const port = this.#transport.open(router.config, place, {
			onPacket: (packet, atMicros) => this.#feed({ kind: "packet", key, packet }, atMicros),
			onExpired: (expiry) => this.#onExpired(key, expiry),
			onLapse: () => this.#onLapse(key),
		});
		this.#ports.set(key, port);
		if (router.config.promoteSecondaries && router.config.interface !== null)
			this.#sysctls.set(interfaceSysctl("ipv4", router.config.interface, "promote_secondaries"), 1);
		if (this.#config.global.disableLocalIgmp)
			this.#sysctls.set("/proc/sys/net/ipv4/igmp_link_local_mcast_reports", 0);
		const { advert, watch } = standing(router);
		if (advert !== null) port.setAdvert(advert);
		if (watch !== null) port.setWatch(watch);
		this.#prepareTakeover(key, port);
		return port;
	}

	#closePort(key: string): void {
		const port = this.#ports.get(key);
		if (port?.tookOver) this.#retractUnlessMaster(key);
		port?.close();
		this.#ports.delete(key);
		this.#takeovers.forget(key);
	}

	#onExpired(key: string, { atMicros, startedRepeat }: Expiry): void {
		this.#feed(
			{ kind: "expired", key, advertSent: startedRepeat },
			startedRepeat ? atMicros : monotonicMicros(),
		);
		const router = routerOf(this.#engine, key);
		if (startedRepeat && router?.state === "BACKUP")
			this.#log.info(
				`(${router.config.name}) the master was silent for so long that an advert of ours went out; it is heard again`,
			);
		if (startedRepeat) this.#retractUnlessMaster(key);
		// The watch is spent: whoever still waits needs it again.
		if (router?.state === "BACKUP") this.#ports.get(key)?.setWatch(standing(router).watch);
	}

	/** The thread may have taken over in the very moment in which it was decided otherwise. */
	#retractUnlessMaster(key: string): void {
		if (routerOf(this.#engine, key)?.state === "MASTER") return;
		this.#ports.get(key)?.retract();
		const added = this.#takeovers.forget(key);
		const retract = () => {
			if (routerOf(this.#engine, key)?.state !== "MASTER") this.#addresses.retract(added);
		};
		retract();
		// What it had prepared may have been waiting for the kernel.
		setTimeout(() => this.#stopped || retract(), RETRACT_AGAIN_MS);
	}

	/** Lets the real-time thread answer the expiry by itself, where nobody else has a say. */
	#prepareTakeover(key: string, port: Port): void {
		const router = routerOf(this.#engine, key);
		if (router === null) return;
		const inGroup = syncGroupOf(this.#config.syncGroups, router.config.name) !== null;
		const alone = !inGroup && !this.#engine.held;
		this.#takeovers.prepare(key, port, router, alone);
	}

	/** What the thread saw and sent meanwhile, for this router. */
	#hear(key: string): void {
		const port = this.#ports.get(key);
		if (port === undefined) return;
		const heard = port.heardAgain();
		if (heard === null) return;
		const { engine } = step(this.#engine, { kind: "heard-again", key, ...heard }, this.#lastMicros);
		this.#engine = engine;
	}

	#hearAll(): void {
		for (const [key, port] of this.#ports) {
			this.#hear(key);
			const count = port.repeated();
			if (count > 0) this.#engine = step(this.#engine, { kind: "sent", key, count }, this.#lastMicros).engine;
		}
	}

	/** Adverts go on for so long without a word from here. */
	renewLease(micros = this.#leaseMicros): void {
		this.#realTime.renewLease(micros);
	}

	#onLeaseTimer(): void {
		this.renewLease();
		for (const port of this.#ports.values()) port.maintain();
		this.#options.onAlive(monotonicMicros());
	}

	/** This thread was held up so long that the other one stopped sending and said goodbye. */
	#onLapse(key: string): void {
		this.renewLease();
		const router = routerOf(this.#engine, key);
		const port = this.#ports.get(key);
		if (router === null || port === undefined || router.state !== "MASTER") return;
		const gapMicros = Math.max(
			monotonicMicros() - port.statistics().lastSentAtMicros,
			masterDownInterval(router),
		);
		this.#feed({ kind: "overdue", key, gapMicros });
		const after = routerOf(this.#engine, key);
		const { advert } = after === null ? { advert: null } : standing(after);
		if (advert !== null && !port.statistics().running) port.setAdvert(advert);
	}

	#armWake(): void {
		const at = wakeAtMicros(this.#engine);
		if (at === this.#wakeAt && this.#wakeTimer !== null) return;
		if (this.#wakeTimer !== null) clearTimeout(this.#wakeTimer);
		this.#wakeTimer = null;
		this.#wakeAt = at;
		if (at === null || this.#stopped) return;
		const waitMs = Math.min(TIMER_LIMIT_MS, Math.max(0, Math.ceil((at - monotonicMicros()) / 1000)));
		this.#wakeTimer = setTimeout(() => {
			this.#wakeTimer = null;
			this.#feed({ kind: "timer" });
		}, waitMs);
	}
}

/** How long the real-time thread goes on without hearing from this one. */
function leaseMicros(config: DroverConfig): number {
	const longest = Math.max(
		0,
		...config.vrrpInstances.map(({ advertIntervalMicros }) => advertIntervalMicros),
	);
	return Math.min(LEASE_MAX_MICROS, Math.max(LEASE_MIN_MICROS, 2 * longest));
}

function samePlace(a: PortPlace, b: PortPlace): boolean {
	return (
		a.receiveIndexes.join() === b.receiveIndexes.join() &&
		a.sendName === b.sendName &&
		a.sendIndex === b.sendIndex &&
		a.sourceAddress === b.sourceAddress
	);
}

function changedRouters(before: Engine, after: Engine): readonly Router[] {
	if (before.routers === after.routers) return [];
	return after.routers.filter((router, place) => before.routers[place] !== router);
}

function notifyStateOf(state: VrrpStateName | "STOP" | "DELETED"): NotifyState {
	return state;
}
