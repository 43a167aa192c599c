/**
 * All virtual routers of one box: instances, sync groups and tracking as one state machine. Pure.
 * The simulator, the tests and `drover vrrp` drive this same `step`.
 */
import type {
	DroverConfig,
	SyncGroupConfig,
	TrackProcessConfig,
	VrrpInstanceConfig,
} from "../config/model.ts";
import { syncGroupOf } from "../config/tracked.ts";
import { named } from "../named.ts";
import type { ProtocolError, VrrpStateName } from "../status/vrrp.ts";
import { formatAddress } from "../wire/ip.ts";
import type { IpPacket } from "../wire/ip-packet.ts";
import { type Conditions, conditionsOf } from "./conditions.ts";
import { instanceKey } from "./instance-key.ts";
import {
	type InterfaceReading,
	type ProcessReading,
	type Readings,
	ripened,
	type Tracked,
	withInterface,
} from "./readings.ts";
import { type Refused, receive } from "./receive.ts";
import {
	type Fault,
	type LogLevel,
	newRouter,
	type Router,
	type RouterEvent,
	type Standing,
	standing,
	step as stepRouter,
	zeroCounters,
} from "./router.ts";
import { groupFaultOf, groupState, mayBecomeMaster } from "./sync-group.ts";
import { initialScript, processIsUp, report, rescaledScript, scriptResult, undecided } from "./tracking.ts";

export interface Engine {
	readonly config: DroverConfig;
	readonly routers: readonly Router[];
	/** Key of a router to its place. */
	readonly places: Readonly<Record<string, number>>;
	readonly readings: Readings;
	readonly groupStates: Readonly<Record<string, VrrpStateName>>;
	/** `vrrp_startup_delay`: nobody takes part before. */
	readonly startupUntilMicros: number;
	/** The box cannot serve yet: everybody listens and waits, nobody takes mastership by itself. */
	readonly held: boolean;
	/** After the start event; readings that come earlier are only kept. */
	readonly started: boolean;
}

export type EngineEvent =
	/** Before the start: whoever waits for a master has to hear adverts from the first moment of the wait on. */
	| { readonly kind: "listen" }
	| { readonly kind: "start" }
	/** A packet that `concerns` this router. */
	| { readonly kind: "packet"; readonly key: string; readonly packet: IpPacket }
	/** The watched deadline passed; `advertSent` when the reflexes already answered it. */
	| { readonly kind: "expired"; readonly key: string; readonly advertSent: boolean }
	| {
			readonly kind: "heard-again";
			readonly key: string;
			readonly count: number;
			readonly lastAtMicros: number;
	  }
	| { readonly kind: "sent"; readonly key: string; readonly count: number }
	| { readonly kind: "claimed"; readonly key: string; readonly address: string; readonly mac: string }
	/** Of `rivalOf`. */
	| { readonly kind: "rival"; readonly key: string; readonly verdict: Refused }
	| { readonly kind: "overdue"; readonly key: string; readonly gapMicros: number }
	/** Some wake-up time has come. */
	| { readonly kind: "timer" }
	| { readonly kind: "interface"; readonly reading: InterfaceReading }
	| { readonly kind: "interface-gone"; readonly name: string }
	/** `success` null: it could not be started. */
	| { readonly kind: "script"; readonly name: string; readonly success: boolean | null }
	| { readonly kind: "process"; readonly name: string; readonly count: number }
	| { readonly kind: "file"; readonly name: string; readonly value: number }
	| { readonly kind: "bfd"; readonly name: string; readonly up: boolean }
	/** Whether a router's virtual interface could be made: null, or why not. */
	| { readonly kind: "virtual-interface"; readonly key: string; readonly problem: string | null }
	| { readonly kind: "clear-counters" }
	| { readonly kind: "resign"; readonly keys: readonly string[]; readonly reason: string }
	| { readonly kind: "take-over"; readonly keys: readonly string[]; readonly reason: string }
	/** The box can serve from now on; `reason` says how that is known. */
	| { readonly kind: "release"; readonly reason: string }
	/** `tracked`: what holds already of all that the new configuration tracks. */
	| { readonly kind: "reload"; readonly config: DroverConfig; readonly tracked: Tracked }
	| { readonly kind: "stop" };

export type EngineAction =
	| { readonly kind: "send"; readonly key: string; readonly priority: number }
	/** Put them on the interface, or take them off. Idempotent; `announceNew` for those that were not there. */
	| {
			readonly kind: "addresses";
			readonly key: string;
			readonly present: boolean;
			readonly announceNew: boolean;
	  }
	| { readonly kind: "announce"; readonly key: string; readonly rounds: number; readonly reason: string }
	| { readonly kind: "announce-source"; readonly key: string }
	| { readonly kind: "announce-elsewhere"; readonly key: string }
	/** Repeat adverts so from now on; null stops. */
	| { readonly kind: "advert"; readonly key: string; readonly advert: Standing["advert"] }
	| { readonly kind: "watch"; readonly key: string; readonly watch: Standing["watch"] }
	| {
			readonly kind: "transition";
			readonly key: string;
			readonly from: VrrpStateName;
			readonly to: VrrpStateName | "STOP" | "DELETED";
			/** By a reload, whatever that is called. */
			readonly deleted?: true;
			readonly reason: string;
			readonly priority: number;
			/** The change of its sync group says the same: no own mail. */
			readonly config: VrrpInstanceConfig;
	  }
	| {
			readonly kind: "group-transition";
			readonly group: SyncGroupConfig;
			readonly to: VrrpStateName | "STOP";
	  }
	| {
			readonly kind: "notice";
			readonly key: string;
			readonly notice: "MASTER_RX_LOWER_PRI" | "PRIORITY";
			readonly priority: number;
	  }
	| { readonly kind: "protocol-error"; readonly name: string; readonly error: ProtocolError }
	| { readonly kind: "log"; readonly name: string; readonly level: LogLevel; readonly text: string }
	/** This router is new, or its way of sending changed: open what it needs. */
	| { readonly kind: "open"; readonly key: string }
	| { readonly kind: "close"; readonly key: string };

export interface EngineStep {
	readonly engine: Engine;
	readonly actions: readonly EngineAction[];
}

/** Does a packet that came in on `interfaceName` speak to this router? */
export function concerns(
	config: VrrpInstanceConfig,
	interfaceName: string | null,
	packet: IpPacket,
): boolean {
	if (packet.family !== config.family) return false;
	if (config.interface !== null && interfaceName !== config.interface) {
		if (config.vmac === null || interfaceName !== config.vmac.parentInterface) return false;
	}
	const unicast = config.unicastPeers.length > 0;
	if (unicast && config.sourceAddress !== null && !isMulticast(packet.destination))
		return formatAddress(packet.destination) === config.sourceAddress;
	return true;
}

function isMulticast(address: Uint8Array): boolean {
	return address.length === 4 ? address[0]! >> 4 === 0xe : address[0] === 0xff;
}

export function newEngine(config: DroverConfig, atMicros: number): Engine {
	const routers = config.vrrpInstances.map((instance) => newRouter(instance, atMicros));
	return {
		config,
		routers,
		places: placesOf(routers),
		readings: {
			interfaces: {},
			scripts: Object.fromEntries(config.trackScripts.map((script) => [script.name, initialScript(script)])),
			processes: {},
			files: {},
			bfd: {},
			virtualInterfaces: {},
		},
		groupStates: Object.fromEntries(config.syncGroups.map(({ name }) => [name, "INIT" as const])),
		startupUntilMicros: atMicros + config.global.startupDelayMs * 1000,
		held: false,
		started: false,
	};
}

function placesOf(routers: readonly Router[]): Record<string, number> {
	return Object.fromEntries(routers.map(({ config }, place) => [instanceKey(config), place]));
}

/** When `step` wants a timer event at the latest; null is never. Deadlines of watches are not in it. */
export function wakeAtMicros(engine: Engine): number | null {
	let earliest = Number.POSITIVE_INFINITY;
	for (const router of engine.routers) {
		const at = standing(router).wakeAtMicros;
		if (at !== null && at < earliest) earliest = at;
		if (router.faults.some(({ key }) => key === "startup-delay"))
			earliest = Math.min(earliest, engine.startupUntilMicros);
	}
	for (const { link } of Object.values(engine.readings.interfaces))
		if (link.candidate !== null) earliest = Math.min(earliest, link.atMicros);
	for (const { enough } of Object.values(engine.readings.processes))
		if (enough.candidate !== null) earliest = Math.min(earliest, enough.atMicros);
	return earliest === Number.POSITIVE_INFINITY ? null : earliest;
}

export function routerOf(engine: Engine, key: string): Router | null {
	const place = engine.places[key];
	return place === undefined ? null : engine.routers[place]!;
}

/** One event at `atMicros` (never before an earlier one's time). */
export function step(engine: Engine, event: EngineEvent, atMicros: number): EngineStep {
	const run = new Run(engine, atMicros);
	switch (event.kind) {
		case "listen":
			run.listen();
			break;
		case "start":
			run.start();
			run.reconsider();
			break;
		case "packet": {
			const router = run.router(event.key);
			if (router !== null)
				run.apply(event.key, {
					kind: "packet",
					verdict: receive(event.packet, router.config, router.memory),
				});
			break;
		}
		case "expired":
			run.timer(event.key, event.advertSent);
			break;
		case "heard-again":
			run.apply(event.key, { kind: "heard-again", count: event.count, lastAtMicros: event.lastAtMicros });
			break;
		case "sent":
			run.apply(event.key, { kind: "sent", count: event.count });
			break;
		case "claimed":
			run.apply(event.key, { kind: "claimed", address: event.address, mac: event.mac });
			break;
		case "rival":
			run.apply(event.key, { kind: "rival", verdict: event.verdict });
			break;
		case "overdue":
			run.apply(event.key, { kind: "overdue", gapMicros: event.gapMicros });
			break;
		case "timer":
			run.readings((readings) => ripened(readings, atMicros));
			run.reconsider();
			for (const router of run.routers) {
				const wake = standing(router).wakeAtMicros;
				if (wake !== null && wake <= atMicros) run.timer(instanceKey(router.config), false);
			}
			break;
		case "interface":
			run.readings((readings) => withInterface(readings, event.reading, engine.config, atMicros));
			run.reconsider();
			break;
		case "interface-gone":
			run.readings((readings) => {
				const { [event.name]: _gone, ...interfaces } = readings.interfaces;
				return { ...readings, interfaces };
			});
			run.reconsider();
			break;
		case "script":
			run.script(event.name, event.success);
			break;
		case "process":
			run.process(event.name, event.count);
			break;
		case "file":
			run.readings((readings) => ({ ...readings, files: { ...readings.files, [event.name]: event.value } }));
			run.reconsider();
			break;
		case "bfd":
			run.readings((readings) => ({ ...readings, bfd: { ...readings.bfd, [event.name]: event.up } }));
			run.reconsider();
			break;
		case "virtual-interface":
			run.readings((readings) => {
				const { [event.key]: _before, ...others } = readings.virtualInterfaces;
				const virtualInterfaces = event.problem === null ? others : { ...others, [event.key]: event.problem };
				return { ...readings, virtualInterfaces };
			});
			run.reconsider();
			break;
		case "clear-counters":
			run.clearCounters();
			break;
		case "resign":
			for (const key of event.keys) run.apply(key, { kind: "resign", reason: event.reason });
			break;
		case "take-over":
			for (const key of event.keys) run.apply(key, { kind: "take-over", reason: event.reason });
			break;
		case "release":
			run.release();
			run.reconsider();
			break;
		case "reload":
			run.reload(event.config, event.tracked);
			break;
		case "stop":
			run.stop();
			break;
	}
	return run.finish();
}

/** One step's working state; lives no longer than the step. */
class Run {
	readonly actions: EngineAction[] = [];
	readonly #atMicros: number;
	#config: DroverConfig;
	#places: Readonly<Record<string, number>>;
	#routers: Router[] | null = null;
	readonly #engine: Engine;
	#readings: Readings;
	#held: boolean;
	#started: boolean;

	constructor(engine: Engine, atMicros: number) {
		this.#engine = engine;
		this.#atMicros = atMicros;
		this.#config = engine.config;
		this.#places = engine.places;
		this.#readings = engine.readings;
		this.#held = engine.held;
		this.#started = engine.started;
	}

	listen(): void {
		this.#routers = this.routers.map((router) => ({
			...router,
			sourceAddress: this.#conditions(router).sourceAddress,
		}));
		for (const { config } of this.#routers) this.actions.push({ kind: "open", key: instanceKey(config) });
	}

	start(): void {
		this.#started = true;
	}

	release(): void {
		this.#held = false;
	}

	clearCounters(): void {
		this.#routers = this.routers.map((router) => ({ ...router, counters: zeroCounters }));
	}

	get routers(): readonly Router[] {
		return this.#routers ?? this.#engine.routers;
	}

	router(key: string): Router | null {
		const place = this.#places[key];
		return place === undefined ? null : this.routers[place]!;
	}

	readings(change: (readings: Readings) => Readings): void {
		this.#readings = change(this.#readings);
	}

	#members(group: SyncGroupConfig): readonly Router[] {
		return this.routers.filter(({ config }) => group.members.includes(config.name));
	}

	#groupOf(config: VrrpInstanceConfig): SyncGroupConfig | null {
		return syncGroupOf(this.#config.syncGroups, config.name);
	}

	timer(key: string, advertSent: boolean): void {
		const router = this.router(key);
		if (router === null) return;
		const group = this.#groupOf(router.config);
		const may = group === null || mayBecomeMaster(router, this.#members(group));
		this.apply(key, { kind: "timer", mayBecomeMaster: may }, advertSent);
	}

	/** Steps one router and everything that follows from it in its sync group. */
	apply(key: string, event: RouterEvent, advertSent = false): void {
		const place = this.#places[key];
		if (place === undefined) return;
		const before = this.routers[place]!;
		const { router: after, actions } = stepRouter(before, event, this.#atMicros);
		if (after === before && actions.length === 0) return;
		this.#routers ??= [...this.#engine.routers];
		this.#routers[place] = after;
		const was = standing(before);
		const is = standing(after);
		// An advert of the repeated series must not follow the farewell.
		if (was.advert !== null && is.advert === null) this.actions.push({ kind: "advert", key, advert: null });
		for (const action of actions) {
			switch (action.kind) {
				case "send":
					if (!advertSent || action.priority === 0)
						this.actions.push({ kind: "send", key, priority: action.priority });
					break;
				case "transition":
					if (was.addressesPresent !== is.addressesPresent)
						this.actions.push({
							kind: "addresses",
							key,
							present: is.addressesPresent,
							announceNew: false,
						});
					this.actions.push({ ...action, key, priority: after.priority, config: after.config });
					break;
				case "log":
				case "protocol-error":
					this.actions.push({ ...action, name: after.config.name });
					break;
				case "notice":
					this.actions.push({ ...action, key, priority: after.priority });
					break;
				case "announce":
				case "announce-source":
				case "announce-elsewhere":
					this.actions.push({ ...action, key });
					break;
			}
		}
		if (is.advert !== null && !sameAdvert(was.advert, is.advert))
			this.actions.push({ kind: "advert", key, advert: is.advert });
		if (event.kind !== "heard-again" && !sameWatch(was.watch, is.watch))
			this.actions.push({ kind: "watch", key, watch: is.watch });
		this.#groupFollows(before, after);
	}

	#groupFollows(before: Router, after: Router): void {
		if (before.state === after.state && before.faults === after.faults) return;
		const group = this.#groupOf(after.config);
		if (group === null || after.stopped) return;
		for (const member of this.#members(group)) {
			if (member.config.name === after.config.name) continue;
			const key = instanceKey(member.config);
			const fault = groupFaultOf(member, this.#members(group));
			if (JSON.stringify(fault) !== JSON.stringify(member.groupFault))
				this.apply(key, { kind: "group-fault", fault });
			if (before.state !== "MASTER" && after.state === "MASTER")
				this.apply(key, { kind: "group-master", by: after.config.name, masterReason: after.masterReason });
			if (before.state === "MASTER" && after.state === "BACKUP")
				this.apply(key, { kind: "group-backup", by: after.config.name });
		}
	}

	#conditions(router: Router): Conditions {
		return conditionsOf(
			router,
			this.#groupOf(router.config),
			this.#config,
			this.#readings,
			this.#atMicros < this.#engine.startupUntilMicros,
		);
	}

	/** Compares every router's conditions with what the readings say now. */
	reconsider(): void {
		if (!this.#started) return;
		for (const router of this.routers) {
			if (router.stopped) continue;
			const group = this.#groupOf(router.config);
			const conditions = this.#conditions(router);
			if (
				conditions.priority !== router.priority ||
				conditions.sourceAddress !== router.sourceAddress ||
				router.held !== this.#held ||
				router.grouped !== (group !== null) ||
				!sameFaults(conditions.faults, router.faults)
			)
				this.apply(instanceKey(router.config), {
					kind: "conditions",
					...conditions,
					held: this.#held,
					grouped: group !== null,
				});
		}
	}

	script(name: string, success: boolean | null): void {
		const config = this.#config.trackScripts.find((script) => script.name === name);
		const reading = named(this.#readings.scripts, name);
		if (config === undefined || reading === undefined) return;
		const after = scriptResult(reading, config, success);
		this.#readings = { ...this.#readings, scripts: { ...this.#readings.scripts, [name]: after } };
		if (after.up === reading.up) return;
		const text = `Script \`${name}\` now returning ${success ? "success" : "failure"}`;
		if (success !== null)
			this.actions.push({ kind: "log", name: "", level: success ? "info" : "warn", text });
		this.reconsider();
	}

	process(name: string, count: number): void {
		const config = this.#config.trackProcesses.find((process) => process.name === name);
		if (config === undefined) return;
		const before = named(this.#readings.processes, name);
		const after = this.#counted(config, count);
		this.#readings = { ...this.#readings, processes: { ...this.#readings.processes, [name]: after } };
		if (after.enough.value !== (before?.enough ?? undecided).value) this.reconsider();
	}

	#counted(config: TrackProcessConfig, count: number): ProcessReading {
		const up = processIsUp(count, config);
		const delayMs = up ? config.forkDelayMs : config.terminateDelayMs;
		const before = named(this.#readings.processes, config.name)?.enough ?? undecided;
		return { count, enough: report(before, up, delayMs * 1000, this.#atMicros) };
	}

	/** Matches old and new routers by what they are; nothing that stays is interrupted. */
	reload(config: DroverConfig, tracked: Tracked): void {
		const before = this.routers;
		const kept = new Map(before.map((router) => [instanceKey(router.config), router]));
		const wanted = new Set(config.vrrpInstances.map(instanceKey));
		for (const router of before) {
			const key = instanceKey(router.config);
			if (wanted.has(key)) continue;
			const { saysDeleted } = router.config.notify;
			this.apply(key, { kind: "stop" });
			const last = this.actions.findLastIndex((action) => action.kind === "transition" && action.key === key);
			const said = this.actions[last];
			if (said?.kind === "transition")
				this.actions[last] = { ...said, to: saysDeleted ? "DELETED" : "FAULT", deleted: true };
			this.actions.push({ kind: "close", key });
		}
		this.#config = config;
		const scripts = Object.fromEntries(
			config.trackScripts.map((script) => {
				const old = this.#engine.config.trackScripts.find(({ name }) => name === script.name);
				const reading = named(this.#readings.scripts, script.name);
				const same =
					old !== undefined &&
					reading !== undefined &&
					JSON.stringify([old.script.command, old.script.user]) ===
						JSON.stringify([script.script.command, script.script.user]);
				if (same) return [script.name, rescaledScript(reading, script)];
				// Not run yet, but it blocks nothing: it would stop a running master.
				return [script.name, { counter: script.rise + script.fall - 1, up: true }];
			}),
		);
		const processes = Object.fromEntries(
			config.trackProcesses.map((process) => [
				process.name,
				this.#counted(process, tracked.processes[process.name] ?? 0),
			]),
		);
		this.#readings = { ...this.#readings, scripts, files: tracked.files, processes };
		this.#routers = config.vrrpInstances.map((instance) => {
			const old = kept.get(instanceKey(instance));
			if (old === undefined) return newRouter(instance, this.#atMicros);
			const masterIntervalMicros =
				old.config.advertIntervalMicros === instance.advertIntervalMicros &&
				old.config.version === instance.version
					? old.masterIntervalMicros
					: instance.advertIntervalMicros;
			return { ...old, config: instance, masterIntervalMicros, logged: [] };
		});
		this.#places = placesOf(this.#routers);
		for (const router of this.#routers) {
			const key = instanceKey(router.config);
			const old = kept.get(key);
			if (old === undefined || needsReopening(old.config, router.config))
				this.actions.push({ kind: "open", key });
			if (old === undefined) continue;
			if (router.state === "MASTER") {
				this.actions.push({ kind: "addresses", key, present: true, announceNew: true });
				if (old.config.vmac?.macAddress !== router.config.vmac?.macAddress) {
					const { repeat: rounds } = router.config.garp;
					this.actions.push({ kind: "announce", key, rounds, reason: "another MAC address" });
				}
				this.#routers[this.#places[key]!] = {
					...router,
					advertAnchorMicros: this.#atMicros + router.config.advertIntervalMicros,
				};
				this.actions.push({ kind: "send", key, priority: router.priority });
			}
			const { advert, watch } = standing(this.router(key)!);
			if (advert !== null) this.actions.push({ kind: "advert", key, advert });
			if (watch !== null) this.actions.push({ kind: "watch", key, watch });
		}
		this.reconsider();
		for (const router of this.routers) {
			const group = this.#groupOf(router.config);
			const fault = group === null ? null : groupFaultOf(router, this.#members(group));
			if (JSON.stringify(fault) !== JSON.stringify(router.groupFault))
				this.apply(instanceKey(router.config), { kind: "group-fault", fault });
		}
		// A group made of masters and backups: all are backups. Who comes with this reload does not count, and follows.
		for (const group of config.syncGroups) {
			const waiting = this.#members(group).find(
				(member) => member.state === "BACKUP" && kept.get(instanceKey(member.config))?.state === "BACKUP",
			);
			if (waiting === undefined) continue;
			for (const member of this.#members(group))
				if (member.state === "MASTER")
					this.apply(instanceKey(member.config), { kind: "group-backup", by: waiting.config.name });
		}
	}

	stop(): void {
		for (const { config } of this.routers) this.apply(instanceKey(config), { kind: "stop" });
		for (const group of this.#config.syncGroups)
			this.actions.push({ kind: "group-transition", group, to: "STOP" });
		for (const { config } of this.routers) this.actions.push({ kind: "close", key: instanceKey(config) });
	}

	finish(): EngineStep {
		const states: [name: string, state: VrrpStateName][] = [];
		for (const group of this.#config.syncGroups) {
			const members = this.#members(group);
			const state = members.some(({ stopped }) => stopped) ? "INIT" : groupState(members);
			states.push([group.name, state]);
			const before = named(this.#engine.groupStates, group.name);
			if (state !== before && state !== "INIT")
				this.actions.push({ kind: "group-transition", group, to: state });
		}
		const engine: Engine = {
			config: this.#config,
			routers: this.routers,
			places: this.#places,
			readings: this.#readings,
			groupStates: Object.fromEntries(states),
			startupUntilMicros: this.#engine.startupUntilMicros,
			held: this.#held,
			started: this.#started,
		};
		return { engine, actions: this.actions };
	}
}

/** Sockets, groups or the virtual interface differ. */
function needsReopening(before: VrrpInstanceConfig, after: VrrpInstanceConfig): boolean {
	const way = (config: VrrpInstanceConfig) =>
		JSON.stringify([
			config.version,
			config.sourceAddress,
			config.unicastPeers,
			config.unicastTtl,
			config.authentication?.type,
			config.vmac,
			config.vrf,
		]);
	return way(before) !== way(after);
}

function sameAdvert(a: Standing["advert"], b: Standing["advert"]): boolean {
	if (a === null || b === null) return a === b;
	return (
		a.anchorMicros === b.anchorMicros &&
		a.priority === b.priority &&
		a.intervalMicros === b.intervalMicros &&
		a.source === b.source
	);
}

function sameWatch(a: Standing["watch"], b: Standing["watch"]): boolean {
	if (a === null || b === null) return a === b;
	return (
		a.deadlineMicros === b.deadlineMicros &&
		a.timeoutMicros === b.timeoutMicros &&
		a.expected?.advertisement === b.expected?.advertisement
	);
}

function sameFaults(a: readonly Fault[], b: readonly Fault[]): boolean {
	return (
		a.length === b.length &&
		a.every((fault, index) => {
			const other = b[index]!;
			return fault.key === other.key && fault.detail === other.detail && fault.pending === other.pending;
		})
	);
}
