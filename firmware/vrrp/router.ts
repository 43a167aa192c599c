/**
 * One virtual router's election: RFC 3768 §6.4, RFC 9568 §6.4, and keepalived's decisions where it
 * extends them. Pure: time is an input, actions are the output, a Router is plain data that
 * survives JSON, so that another process can take it over.
 *
 * What must hold while a state lasts (adverts repeated, a deadline watched, addresses present) is not
 * an action but a function of the Router: see `standing`. Whoever drives a Router keeps to it.
 */
import type { VrrpInstanceConfig } from "../config/model.ts";
import type { MasterReason, ProtocolError, VrrpStateName } from "../status/vrrp.ts";
import { compareAddresses, parseAddress } from "../wire/ip.ts";
import type { Advertisement } from "../wire/vrrp.ts";
import {
	emptyMemory,
	type ReceiveMemory,
	type RefusalKind,
	type Refused,
	seconds,
	type Verdict,
} from "./receive.ts";
import { masterDownIntervalMicros, shortWaitMicros, skewTimeMicros } from "./timers.ts";

/** Something that keeps a router out of the election. */
export interface Fault {
	/** Names the cause: a later report of the same key replaces it. */
	readonly key: string;
	readonly detail: string;
	/** Not known to be bad, only not known yet: INIT instead of FAULT. */
	readonly pending: boolean;
}

/** A sign of a second master, or of one that we cannot understand. */
export interface Conflict {
	readonly source: string;
	readonly detail: string;
	readonly untilMicros: number;
}

/** The counters of keepalived's stats dump, by its names. */
export interface Counters {
	readonly advertisementsReceived: number;
	readonly advertisementsSent: number;
	readonly becameMaster: number;
	readonly releasedMaster: number;
	readonly packetLengthErrors: number;
	readonly ttlErrors: number;
	readonly invalidTypeReceived: number;
	readonly advertisementIntervalErrors: number;
	readonly addressListErrors: number;
	readonly invalidAuthenticationType: number;
	readonly authenticationTypeMismatch: number;
	readonly authenticationFailure: number;
	readonly priorityZeroReceived: number;
	readonly priorityZeroSent: number;
	readonly checksumErrors: number;
	readonly versionErrors: number;
	readonly otherErrors: number;
}

export const zeroCounters: Counters = {
	advertisementsReceived: 0,
	advertisementsSent: 0,
	becameMaster: 0,
	releasedMaster: 0,
	packetLengthErrors: 0,
	ttlErrors: 0,
	invalidTypeReceived: 0,
	advertisementIntervalErrors: 0,
	addressListErrors: 0,
	invalidAuthenticationType: 0,
	authenticationTypeMismatch: 0,
	authenticationFailure: 0,
	priorityZeroReceived: 0,
	priorityZeroSent: 0,
	checksumErrors: 0,
	versionErrors: 0,
	otherErrors: 0,
};

const counterOf: Readonly<Record<RefusalKind, keyof Counters>> = {
	protocol: "otherErrors",
	"virtual-router": "otherErrors",
	length: "packetLengthErrors",
	"hop-limit": "ttlErrors",
	version: "versionErrors",
	type: "invalidTypeReceived",
	"authentication-type": "invalidAuthenticationType",
	"authentication-mismatch": "authenticationTypeMismatch",
	"authentication-failure": "authenticationFailure",
	interval: "advertisementIntervalErrors",
	checksum: "checksumErrors",
	destination: "otherErrors",
	owner: "otherErrors",
	"unicast-source": "otherErrors",
};

export interface Router {
	readonly config: VrrpInstanceConfig;
	readonly state: VrrpStateName;
	/** Why it is in this state. */
	readonly reason: string;
	readonly sinceMicros: number;
	/** When it last left INIT or FAULT; null while it is in one of them. */
	readonly takesPartSinceMicros: number | null;
	/** Why it became master the last time. */
	readonly masterReason: MasterReason;
	readonly lastProtocolError: ProtocolError | null;
	/** What adverts are sent from; null keeps the router in FAULT. */
	readonly sourceAddress: string | null;
	/** After tracking: 1–254, or 255 for an owner. */
	readonly priority: number;
	readonly faults: readonly Fault[];
	/** Another member of the sync group is faulty. */
	readonly groupFault: Fault | null;
	/** Version 3 learns it from the master; version 2 uses its own. */
	readonly masterIntervalMicros: number;
	/** BACKUP: when the master counts as gone. */
	readonly masterDownAtMicros: number | null;
	/** BACKUP: the timer ran out, but others of its sync group, or the box (`held`), are not ready yet. */
	readonly wantsMaster: boolean;
	/** The box could not serve yet: it listens and waits with the others, and takes no mastership by itself. */
	readonly held: boolean;
	/** A sync group decides when it becomes master. */
	readonly grouped: boolean;
	/** MASTER: adverts go out at this time and every interval after it. */
	readonly advertAnchorMicros: number | null;
	/** `preempt_delay`: lower adverts are obeyed until then. */
	readonly preemptAtMicros: number | null;
	/** The operator made it resign: it preempts nobody until released. */
	readonly resigned: boolean;
	readonly master: { readonly address: string; readonly priority: number } | null;
	/** The advertisement obeyed last: an identical one changes nothing but the deadline. */
	readonly lastAdvertisement: Advertisement | null;
	readonly secondBurstAtMicros: number | null;
	readonly refreshAtMicros: number | null;
	readonly lowerPriorityBurstAtMicros: number | null;
	/** `garp_extra_if`: the next announcement on interfaces that adverts do not pass. */
	readonly elsewhereAtMicros: number | null;
	/** No burst on account of a refused packet before then. */
	readonly conflictBurstNotBeforeMicros: number;
	/** No word of a protocol error before then. */
	readonly protocolErrorNotBeforeMicros: number;
	/** No announcement on account of another's claim before then. */
	readonly claimDefenceNotBeforeMicros: number;
	readonly conflict: Conflict | null;
	/** Oddities already logged; emptied when the master or the state changes. */
	readonly logged: readonly string[];
	readonly memory: ReceiveMemory;
	readonly counters: Counters;
	/** It left INIT at least once. */
	readonly started: boolean;
	readonly stopped: boolean;
}

export type RouterEvent =
	/** Tracking's sum for this router; a change of the source address; all causes of fault; whether the box can serve. */
	| {
			readonly kind: "conditions";
			readonly priority: number;
			readonly sourceAddress: string | null;
			readonly faults: readonly Fault[];
			readonly held: boolean;
			readonly grouped: boolean;
	  }
	| { readonly kind: "group-fault"; readonly fault: Fault | null }
	/** A packet for this virtual router, already judged. */
	| { readonly kind: "packet"; readonly verdict: Verdict }
	/** A deadline may have passed. In a sync group the others decide whether MASTER is allowed. */
	| { readonly kind: "timer"; readonly mayBecomeMaster: boolean }
	/** The reflexes saw the last advertisement again, `count` times, last at `lastAtMicros`. */
	| { readonly kind: "heard-again"; readonly count: number; readonly lastAtMicros: number }
	/** No advert could be sent for so long that others may have taken over. */
	| { readonly kind: "overdue"; readonly gapMicros: number }
	/** The reflexes sent this many. */
	| { readonly kind: "sent"; readonly count: number }
	/** Somebody else's ARP or neighbour advertisement has one of our addresses. */
	| { readonly kind: "claimed"; readonly address: string; readonly mac: string }
	/** He who claimed it sends adverts that are none for this router. */
	| { readonly kind: "rival"; readonly verdict: Refused }
	| { readonly kind: "group-master"; readonly by: string; readonly masterReason: MasterReason }
	| { readonly kind: "group-backup"; readonly by: string }
	| { readonly kind: "resign"; readonly reason: string }
	| { readonly kind: "take-over"; readonly reason: string }
	| { readonly kind: "stop" };

export type LogLevel = "info" | "warn" | "error";

export type Action =
	/** One advertisement now, besides the repeated ones. */
	| { readonly kind: "send"; readonly priority: number }
	/** Gratuitous ARP or unsolicited NA for every address, `rounds` times. */
	| { readonly kind: "announce"; readonly rounds: number; readonly reason: string }
	/** One round for the addresses on interfaces that adverts do not pass. */
	| { readonly kind: "announce-elsewhere" }
	/** The same for the router's own address (unicast, back from FAULT). */
	| { readonly kind: "announce-source" }
	| {
			readonly kind: "transition";
			readonly from: VrrpStateName;
			readonly to: VrrpStateName | "STOP" | "DELETED";
			readonly reason: string;
	  }
	| { readonly kind: "notice"; readonly notice: "MASTER_RX_LOWER_PRI" | "PRIORITY" }
	/** For who watches the box: RFC 6527's vrrpv3ProtoError. */
	| { readonly kind: "protocol-error"; readonly error: ProtocolError }
	| { readonly kind: "log"; readonly level: LogLevel; readonly text: string };

export interface Step {
	readonly router: Router;
	readonly actions: readonly Action[];
}

/** What a driver must keep up while the router is as it is. */
export interface Standing {
	/** Repeat the advertisement with this priority from `anchorMicros` on, every interval. */
	readonly advert: {
		readonly priority: number;
		readonly intervalMicros: number;
		readonly anchorMicros: number;
		readonly source: string | null;
	} | null;
	/** Report when this time passes without a repetition of `expected`, which moves it by `timeoutMicros`. */
	readonly watch: {
		readonly deadlineMicros: number;
		readonly timeoutMicros: number;
		readonly expected: { readonly source: string; readonly advertisement: Advertisement } | null;
	} | null;
	readonly addressesPresent: boolean;
	/** Step with a timer event then; for what needs no real-time exactness. */
	readonly wakeAtMicros: number | null;
}

/** A conflict shows for this many advertisement intervals after its last sign. */
const CONFLICT_SHOWN_INTERVALS = 5;
/** Least time between two announcement bursts that refused packets provoke. */
const CONFLICT_BURST_GAP_MICROS = 1_000_000;
/** Least time between two words of protocol errors: who sends one such packet sends one each second, or thousands. */
const PROTOCOL_ERROR_GAP_MICROS = 60_000_000;
/** RFC 5227 §1.1: DEFEND_INTERVAL. */
const CLAIM_DEFENCE_GAP_MICROS = 10_000_000;
/** The reflexes count in whole nanoseconds: what they call expired may lack a rounding error here. */
const DEADLINE_ROUNDING_MICROS = 1;
/** Different oddities remembered as logged. */
const LOGGED_LIMIT = 16;

/** How the reason begins when another member of the sync group decided. */
export const FOLLOWS_GROUP = "sync group follows ";

export function newRouter(config: VrrpInstanceConfig, atMicros: number): Router {
	return {
		config,
		state: "INIT",
		reason: "starting",
		sinceMicros: atMicros,
		takesPartSinceMicros: null,
		masterReason: "not-master",
		lastProtocolError: null,
		sourceAddress: config.sourceAddress,
		priority: config.priority,
		faults: [{ key: "start", detail: "starting", pending: true }],
		groupFault: null,
		masterIntervalMicros: config.advertIntervalMicros,
		masterDownAtMicros: null,
		wantsMaster: false,
		held: false,
		grouped: false,
		advertAnchorMicros: null,
		preemptAtMicros: null,
		resigned: false,
		master: null,
		lastAdvertisement: null,
		secondBurstAtMicros: null,
		refreshAtMicros: null,
		lowerPriorityBurstAtMicros: null,
		elsewhereAtMicros: null,
		conflictBurstNotBeforeMicros: 0,
		protocolErrorNotBeforeMicros: 0,
		claimDefenceNotBeforeMicros: 0,
		conflict: null,
		logged: [],
		memory: emptyMemory,
		counters: zeroCounters,
		started: false,
		stopped: false,
	};
}

export function masterDownInterval(router: Router): number {
	const { version, downTimerAdverts } = router.config;
	return masterDownIntervalMicros(version, router.priority, router.masterIntervalMicros, downTimerAdverts);
}

export function standing(router: Router): Standing {
	const { state, config } = router;
	const wakes = [
		router.secondBurstAtMicros,
		router.refreshAtMicros,
		router.lowerPriorityBurstAtMicros,
		router.elsewhereAtMicros,
		router.conflict?.untilMicros ?? null,
	].filter((at) => at !== null);
	return {
		advert:
			state === "MASTER"
				? {
						priority: router.priority,
						intervalMicros: config.advertIntervalMicros,
						anchorMicros: router.advertAnchorMicros!,
						source: router.sourceAddress,
					}
				: null,
		watch:
			state === "BACKUP"
				? {
						deadlineMicros: router.masterDownAtMicros!,
						timeoutMicros: masterDownInterval(router),
						expected: expectedAgain(router),
					}
				: null,
		addressesPresent: state === "MASTER",
		wakeAtMicros: wakes.length > 0 ? Math.min(...wakes) : null,
	};
}

/** The advertisement whose repetition needs no decision; null when each one must be looked at. */
function expectedAgain(
	router: Router,
): { readonly source: string; readonly advertisement: Advertisement } | null {
	const { lastAdvertisement: last, master, config } = router;
	if (last === null || master === null || last.priority === 0) return null;
	if (config.authentication?.type === "AH" || config.authHmac !== null) return null;
	if (router.preemptAtMicros !== null || router.wantsMaster) return null;
	if (!obeys(router, last.priority, Number.POSITIVE_INFINITY)) return null;
	return { source: master.address, advertisement: last };
}

/** RFC 9568 §6.4.2: does a backup let this priority hold it back? */
function obeys(router: Router, priority: number, atMicros: number): boolean {
	const { config } = router;
	if (!config.preempt || router.resigned || priority >= router.priority) return true;
	if (config.preemptDelayMs === 0) return false;
	return router.preemptAtMicros === null
		? atMicros !== Number.POSITIVE_INFINITY
		: atMicros < router.preemptAtMicros;
}

/** What one virtual router does with one event at `atMicros`. */
export function step(router: Router, event: RouterEvent, atMicros: number): Step {
	if (router.stopped) return { router, actions: [] };
	switch (event.kind) {
		case "conditions":
			return onConditions(router, event, atMicros);
		case "group-fault":
			return settle({ ...router, groupFault: event.fault }, atMicros);
		case "packet":
			return onPacket(router, event.verdict, atMicros);
		case "timer":
			return onTimer(router, event.mayBecomeMaster, atMicros);
		case "heard-again":
			return onHeardAgain(router, event.count, event.lastAtMicros);
		case "sent":
			return { router: count(router, "advertisementsSent", event.count), actions: [] };
		case "overdue":
			return onOverdue(router, event.gapMicros, atMicros);
		case "claimed":
			return onClaimed(router, event.address, event.mac, atMicros);
		case "rival":
			return onRival(router, event.verdict, atMicros);
		case "group-master":
			if (router.state !== "BACKUP") return { router, actions: [] };
			return becomeMaster(router, FOLLOWS_GROUP + event.by, event.masterReason, atMicros);
		case "group-backup":
			if (router.state !== "MASTER") return { router: { ...router, wantsMaster: false }, actions: [] };
			return becomeBackup(router, FOLLOWS_GROUP + event.by, atMicros);
		case "resign": {
			if (router.state !== "MASTER") return { router: { ...router, resigned: true }, actions: [] };
			const goodbye = sendZero(router);
			return prepend(
				goodbye.actions,
				becomeBackup({ ...goodbye.router, resigned: true, lastAdvertisement: null }, event.reason, atMicros),
			);
		}
		case "take-over":
			if (router.state !== "BACKUP") return { router: { ...router, resigned: false }, actions: [] };
			return becomeMaster({ ...router, resigned: false }, event.reason, "preempted", atMicros);
		case "stop":
			return stop(router, atMicros);
	}
}

function onConditions(
	router: Router,
	event: Extract<RouterEvent, { kind: "conditions" }>,
	atMicros: number,
): Step {
	const actions: Action[] = [];
	let next: Router = {
		...router,
		faults: event.faults,
		sourceAddress: event.sourceAddress,
		held: event.held,
		grouped: event.grouped,
	};
	// Its time has come while it was held.
	if (router.held && !next.held && next.wantsMaster) next = { ...next, masterDownAtMicros: atMicros };
	if (event.priority !== router.priority) {
		next = { ...next, priority: event.priority };
		if (router.started) {
			actions.push({
				kind: "log",
				level: "info",
				text: `Changing effective priority from ${router.priority} to ${event.priority}`,
			});
			actions.push({ kind: "notice", notice: "PRIORITY" });
		}
	}
	return prepend(actions, settle(next, atMicros));
}

/** Enters or leaves FAULT as the causes demand. */
function settle(router: Router, atMicros: number): Step {
	const causes = router.groupFault === null ? router.faults : [...router.faults, router.groupFault];
	const hard = causes.find(({ pending }) => !pending);
	if (causes.length === 0) {
		if (router.state === "INIT") return begin(router, atMicros);
		if (router.state !== "FAULT") return { router, actions: [] };
		// keepalived: always through BACKUP; an owner waits only a moment.
		const back = becomeBackup(router, `no longer: ${router.reason}`, atMicros);
		const masterDownAtMicros =
			router.config.priority === 255
				? atMicros + shortWaitMicros(router.config.version, router.config.advertIntervalMicros)
				: back.router.masterDownAtMicros;
		const actions: Action[] = [...back.actions];
		if (router.config.unicastPeers.length > 0) actions.push({ kind: "announce-source" });
		return { router: { ...back.router, masterDownAtMicros }, actions };
	}
	if (router.state === "FAULT") {
		const reason = (hard ?? causes[0]!).detail;
		return { router: reason === router.reason ? router : { ...router, reason }, actions: [] };
	}
	if (router.state === "INIT" && hard === undefined)
		return { router: { ...router, reason: causes[0]!.detail }, actions: [] };
	if (hard === undefined && router.started) return { router, actions: [] };
	return becomeFaulty(router, (hard ?? causes[0]!).detail, atMicros);
}

/**
 * First entry: RFC 9568 §6.4.1. `state MASTER` shortens the wait, and skips nothing. An owner in a sync group wants to be
 * master at once, and is when all of the group want to.
 */
function begin(router: Router, atMicros: number): Step {
	const { config } = router;
	const started: Router = { ...router, started: true };
	if (config.priority === 255 && router.resigned === false && config.initialState === "MASTER") {
		if (!router.held && !router.grouped)
			return becomeMaster(started, "we own the addresses", "preempted", atMicros);
		const waiting = becomeBackup(started, "started", atMicros);
		const masterDownAtMicros = router.held ? waiting.router.masterDownAtMicros : atMicros;
		return { router: { ...waiting.router, wantsMaster: true, masterDownAtMicros }, actions: waiting.actions };
	}
	const waitMicros =
		config.initialState === "MASTER"
			? shortWaitMicros(config.version, config.advertIntervalMicros)
			: masterDownInterval(router);
	const back = becomeBackup(started, "started", atMicros);
	return { router: { ...back.router, masterDownAtMicros: atMicros + waitMicros }, actions: back.actions };
}

function becomeMaster(router: Router, reason: string, masterReason: MasterReason, atMicros: number): Step {
	const { garp, advertIntervalMicros } = router.config;
	const actions: Action[] = [
		{ kind: "send", priority: router.priority },
		{ kind: "transition", from: router.state, to: "MASTER", reason },
		{ kind: "announce", rounds: garp.repeat, reason: "became master" },
	];
	return {
		router: {
			...count(count(router, "advertisementsSent"), "becameMaster"),
			state: "MASTER",
			reason,
			sinceMicros: atMicros,
			takesPartSinceMicros: router.takesPartSinceMicros ?? atMicros,
			masterReason,
			masterDownAtMicros: null,
			wantsMaster: false,
			preemptAtMicros: null,
			resigned: false,
			master: null,
			lastAdvertisement: null,
			masterIntervalMicros: advertIntervalMicros,
			advertAnchorMicros: atMicros + advertIntervalMicros,
			secondBurstAtMicros: garp.delayMs > 0 ? atMicros + garp.delayMs * 1000 : null,
			refreshAtMicros: garp.refreshMs > 0 ? atMicros + (garp.delayMs + garp.refreshMs) * 1000 : null,
			elsewhereAtMicros: garp.elsewhereMs > 0 ? atMicros + garp.elsewhereMs * 1000 : null,
			logged: [],
		},
		actions,
	};
}

/** Everything that only a MASTER has, cleared. */
function withoutMastership(router: Router): Router {
	return {
		...(router.state === "MASTER" ? count(router, "releasedMaster") : router),
		advertAnchorMicros: null,
		secondBurstAtMicros: null,
		refreshAtMicros: null,
		lowerPriorityBurstAtMicros: null,
		elsewhereAtMicros: null,
		masterDownAtMicros: null,
		wantsMaster: false,
		preemptAtMicros: null,
		logged: [],
	};
}

function becomeBackup(router: Router, reason: string, atMicros: number): Step {
	const next: Router = {
		...withoutMastership(router),
		state: "BACKUP",
		reason,
		sinceMicros: atMicros,
		takesPartSinceMicros: router.takesPartSinceMicros ?? atMicros,
	};
	return {
		router: { ...next, masterDownAtMicros: atMicros + masterDownInterval(next) },
		actions: [{ kind: "transition", from: router.state, to: "BACKUP", reason }],
	};
}

function becomeFaulty(router: Router, reason: string, atMicros: number): Step {
	// keepalived says goodbye twice: the link may come back half up.
	const own = router.faults.some(({ pending }) => !pending);
	let goodbye: Step = { router, actions: [] };
	if (router.state === "MASTER") {
		goodbye = sendZero(router);
		if (own) goodbye = prepend(goodbye.actions, sendZero(goodbye.router));
	}
	return {
		router: {
			...withoutMastership(goodbye.router),
			state: "FAULT",
			reason,
			sinceMicros: atMicros,
			takesPartSinceMicros: null,
			started: true,
			master: null,
			lastAdvertisement: null,
			masterIntervalMicros: router.config.advertIntervalMicros,
		},
		actions: [...goodbye.actions, { kind: "transition", from: router.state, to: "FAULT", reason }],
	};
}

function stop(router: Router, atMicros: number): Step {
	const goodbye = router.state === "MASTER" ? sendZero(router) : { router, actions: [] };
	return {
		router: {
			...withoutMastership(goodbye.router),
			state: "INIT",
			reason: "stopped",
			sinceMicros: atMicros,
			takesPartSinceMicros: null,
			conflict: null,
			stopped: true,
		},
		actions: [...goodbye.actions, { kind: "transition", from: router.state, to: "STOP", reason: "stopped" }],
	};
}

function sendZero(router: Router): Step {
	return {
		router: count(count(router, "priorityZeroSent"), "advertisementsSent"),
		actions: [{ kind: "send", priority: 0 }],
	};
}

function onTimer(router: Router, mayBecomeMaster: boolean, atMicros: number): Step {
	const actions: Action[] = [];
	let next = router;
	if (next.conflict !== null && atMicros >= next.conflict.untilMicros) {
		actions.push({
			kind: "log",
			level: "info",
			text: `no second master heard any more (${next.conflict.source})`,
		});
		next = { ...next, conflict: null };
	}
	if (next.state === "MASTER") {
		const { garp } = next.config;
		if (next.secondBurstAtMicros !== null && atMicros >= next.secondBurstAtMicros) {
			actions.push({ kind: "announce", rounds: garp.repeat, reason: "second burst" });
			next = { ...next, secondBurstAtMicros: null };
		}
		if (next.lowerPriorityBurstAtMicros !== null && atMicros >= next.lowerPriorityBurstAtMicros) {
			actions.push({ kind: "announce", rounds: garp.lowerPriorityRepeat, reason: "second burst" });
			next = { ...next, lowerPriorityBurstAtMicros: null };
		}
		if (next.refreshAtMicros !== null && atMicros >= next.refreshAtMicros) {
			actions.push({ kind: "announce", rounds: garp.refreshRepeat, reason: "refresh" });
			next = { ...next, refreshAtMicros: atMicros + garp.refreshMs * 1000 };
		}
		if (next.elsewhereAtMicros !== null && atMicros >= next.elsewhereAtMicros) {
			actions.push({ kind: "announce-elsewhere" });
			next = {
				...next,
				elsewhereAtMicros: garp.elsewhereMs > 0 ? atMicros + garp.elsewhereMs * 1000 : null,
			};
		}
	}
	if (next.state === "BACKUP" && atMicros + DEADLINE_ROUNDING_MICROS >= next.masterDownAtMicros!) {
		if (!mayBecomeMaster || next.held) {
			next = { ...next, wantsMaster: true, masterDownAtMicros: atMicros + masterDownInterval(next) };
			return { router: next, actions };
		}
		const { reason, masterReason } = silence(next);
		return prepend(actions, becomeMaster(next, reason, masterReason, atMicros));
	}
	return { router: next, actions };
}

/** Why the wait for a master is over, in words and in RFC 6527's. */
function silence(router: Router): { readonly reason: string; readonly masterReason: MasterReason } {
	const { master, lastAdvertisement } = router;
	// keepalived: an owner always preempts.
	const unheard = router.config.priority === 255 ? "preempted" : "no-response";
	if (master === null) return { reason: "no master was heard", masterReason: unheard };
	if (master.priority === 0)
		return { reason: `${master.address} gave it up (priority 0)`, masterReason: "priority" };
	if (lastAdvertisement === null && master.priority < router.priority)
		return {
			reason: `${master.address} has only priority ${master.priority}, ours is ${router.priority}`,
			masterReason: "preempted",
		};
	return {
		reason: `no advert from ${master.address} for ${seconds(masterDownInterval(router))}`,
		masterReason: "no-response",
	};
}

function onHeardAgain(router: Router, times: number, lastAtMicros: number): Step {
	let next = count(router, "advertisementsReceived", times);
	if (next.state === "BACKUP")
		next = {
			...next,
			masterDownAtMicros: Math.max(next.masterDownAtMicros!, lastAtMicros + masterDownInterval(next)),
		};
	return { router: next, actions: [] };
}

function onOverdue(router: Router, gapMicros: number, atMicros: number): Step {
	if (router.state !== "MASTER") return { router, actions: [] };
	const { config } = router;
	const lease = masterDownIntervalMicros(
		config.version,
		255,
		config.advertIntervalMicros,
		config.downTimerAdverts,
	);
	const text = `no advert could be sent for ${seconds(gapMicros)}`;
	const late: Action = { kind: "log", level: "warn", text };
	if (gapMicros < lease) return { router, actions: [late] };
	// Someone else may be master by now. Who would not preempt must not take it back either.
	if (!config.preempt || router.resigned) return prepend([late], becomeBackup(router, text, atMicros));
	return {
		router: {
			...count(router, "advertisementsSent"),
			advertAnchorMicros: atMicros + config.advertIntervalMicros,
			secondBurstAtMicros: config.garp.delayMs > 0 ? atMicros + config.garp.delayMs * 1000 : null,
		},
		actions: [
			late,
			{ kind: "send", priority: router.priority },
			{ kind: "announce", rounds: config.garp.repeat, reason: "back after a gap" },
		],
	};
}

function onPacket(router: Router, verdict: Verdict, atMicros: number): Step {
	// FAULT and INIT ignore packets: keepalived has no socket open for them.
	if (router.state !== "BACKUP" && router.state !== "MASTER") return { router, actions: [] };
	if (verdict.kind === "refused") return onRefused(router, verdict, atMicros);
	const actions: Action[] = [];
	let next: Router = { ...count(router, "advertisementsReceived"), memory: verdict.memory };
	for (const remark of verdict.remarks) {
		if (remark.kind === "addresses") next = count(next, "addressListErrors");
		next = logOnce(next, actions, `${verdict.source} sends ${remark.detail}`);
	}
	if (verdict.advertisement.priority === 0) next = count(next, "priorityZeroReceived");
	return prepend(
		actions,
		router.state === "BACKUP" ? backupHears(next, verdict, atMicros) : masterHears(next, verdict, atMicros),
	);
}

type Accepted = Extract<Verdict, { kind: "accepted" }>;

/** RFC 9568 §6.4.2. */
function backupHears(router: Router, verdict: Accepted, atMicros: number): Step {
	const { advertisement, source } = verdict;
	const { config } = router;
	if (advertisement.priority === 0) {
		const skew = skewTimeMicros(config.version, router.priority, router.masterIntervalMicros);
		return {
			router: {
				...router,
				masterDownAtMicros: atMicros + skew,
				lastAdvertisement: null,
				master: { address: source, priority: 0 },
			},
			actions: [
				{ kind: "log", level: "info", text: `Backup received priority 0 advertisement from ${source}` },
			],
		};
	}
	if (!obeys(router, advertisement.priority, atMicros)) {
		const master = { address: source, priority: advertisement.priority };
		return { router: { ...router, master, lastAdvertisement: null }, actions: [] };
	}
	const actions: Action[] = [];
	let preemptAtMicros = router.preemptAtMicros;
	if (config.preemptDelayMs > 0 && !router.resigned) {
		if (advertisement.priority >= router.priority) preemptAtMicros = null;
		else if (preemptAtMicros === null) {
			preemptAtMicros = atMicros + config.preemptDelayMs * 1000;
			actions.push({
				kind: "log",
				level: "info",
				text: `lower priority ${advertisement.priority} from ${source}: preempting in ${seconds(config.preemptDelayMs * 1000)}`,
			});
		}
	}
	const changedMaster = router.master !== null && router.master.address !== source;
	const next: Router = {
		...router,
		preemptAtMicros,
		wantsMaster: false,
		masterIntervalMicros:
			config.version === 3 && advertisement.intervalMicros > 0
				? advertisement.intervalMicros
				: config.advertIntervalMicros,
		master: { address: source, priority: advertisement.priority },
		lastAdvertisement: advertisement,
		logged: changedMaster ? [] : router.logged,
	};
	return { router: { ...next, masterDownAtMicros: atMicros + masterDownInterval(next) }, actions };
}

/** RFC 9568 §6.4.3, with keepalived's answers to who is wrong. */
function masterHears(router: Router, verdict: Accepted, atMicros: number): Step {
	const { advertisement, source } = verdict;
	const { config } = router;
	const order = compareClaim(router, advertisement.priority, source);
	if (advertisement.priority === 0) {
		// Someone left: whoever listens shall know that we stay.
		return prepend(
			[{ kind: "log", level: "info", text: `Master received priority 0 advertisement from ${source}` }],
			answer(router, atMicros),
		);
	}
	if (order === 0) {
		const actions: Action[] = [];
		const text = `equal priority advert received from remote host with our IP address (${source})`;
		return { router: logOnce(router, actions, text), actions };
	}
	if (order < 0) {
		const lower = `${source} is a second master: priority ${advertisement.priority}, ours is ${router.priority}`;
		const remark = verdict.remarks[0];
		const detail = remark === undefined ? lower : `${lower} (${remark.detail})`;
		let next = withConflict(router, source, detail, atMicros);
		const actions: Action[] = [];
		next = logOnce(next, actions, `${detail}; it is told again who is master`);
		actions.push({ kind: "notice", notice: "MASTER_RX_LOWER_PRI" });
		if (config.lowerPriorityNoAdvert) return { router: next, actions };
		const answered = answer(next, atMicros);
		actions.push(...answered.actions);
		next = answered.router;
		if (config.garp.lowerPriorityRepeat > 0) {
			actions.push({
				kind: "announce",
				rounds: config.garp.lowerPriorityRepeat,
				reason: `a second master at ${source}`,
			});
			if (config.garp.lowerPriorityDelayMs > 0)
				next = {
					...next,
					lowerPriorityBurstAtMicros: atMicros + config.garp.lowerPriorityDelayMs * 1000,
				};
		}
		return { router: next, actions };
	}
	const first: Action[] = config.higherPrioritySendAdvert
		? [{ kind: "send", priority: router.priority }]
		: [];
	const learned: Router = {
		...(first.length > 0 ? count(router, "advertisementsSent") : router),
		master: { address: source, priority: advertisement.priority },
		lastAdvertisement: advertisement,
		conflict: null,
		masterIntervalMicros:
			config.version === 3 && advertisement.intervalMicros > 0
				? advertisement.intervalMicros
				: config.advertIntervalMicros,
	};
	const reason = `${source} has priority ${advertisement.priority}, ours is ${router.priority}`;
	// RFC 9568 §6.1: 255 is for the one router that owns the addresses.
	if (advertisement.priority === 255 && router.priority === 255)
		first.push({
			kind: "log",
			level: "warn",
			text: `${source} owns the addresses as well: one of the two must have a priority below 255; it stays, having the higher address`,
		});
	return prepend(first, becomeBackup(learned, reason, atMicros));
}

/** Sends an advert now and counts the interval anew from here. */
function answer(router: Router, atMicros: number): Step {
	return {
		router: {
			...count(router, "advertisementsSent"),
			advertAnchorMicros: atMicros + router.config.advertIntervalMicros,
		},
		actions: [{ kind: "send", priority: router.priority }],
	};
}

/** Who wins, by priority and then by address: above zero is the other one. */
function compareClaim(router: Router, priority: number, source: string): number {
	if (priority !== router.priority) return priority - router.priority;
	if (router.sourceAddress === null) return 1;
	return compareAddresses(parseAddress(source)!, parseAddress(router.sourceAddress)!);
}

/** A packet for our VRID that must not be obeyed: very likely a second master that we make by refusing it. */
function onRefused(router: Router, verdict: Refused, atMicros: number): Step {
	const actions: Action[] = [];
	const { source, refusal } = verdict;
	let next = count(router, counterOf[refusal]);
	if (refusal === "hop-limit" || refusal === "version" || refusal === "checksum") {
		next = { ...next, lastProtocolError: refusal };
		if (atMicros >= router.protocolErrorNotBeforeMicros) {
			actions.push({ kind: "protocol-error", error: refusal });
			next = { ...next, protocolErrorNotBeforeMicros: atMicros + PROTOCOL_ERROR_GAP_MICROS };
		}
	}
	if (refusal === "owner" || source === router.sourceAddress) return { router: next, actions };
	return prepend(actions, secondMaster(next, verdict, atMicros));
}

/** Says who is not obeyed and why; the winner of the two announces. */
function secondMaster(router: Router, verdict: Refused, atMicros: number): Step {
	const actions: Action[] = [];
	const { source, detail, advertisement } = verdict;
	let next = logOnce(router, actions, `advert from ${source} refused: ${detail}`);
	next = withConflict(next, source, `${source} is not obeyed: ${detail}`, atMicros);
	const wins =
		advertisement !== null &&
		advertisement.priority > 0 &&
		compareClaim(router, advertisement.priority, source) < 0;
	if (router.state === "MASTER" && wins && atMicros >= router.conflictBurstNotBeforeMicros) {
		const rounds = Math.max(1, router.config.garp.lowerPriorityRepeat);
		actions.push({ kind: "announce", rounds, reason: `a second master at ${source}` });
		next = { ...next, conflictBurstNotBeforeMicros: atMicros + CONFLICT_BURST_GAP_MICROS };
	}
	return { router: next, actions };
}

/** RFC 5227 §2.4 (c): whoever must keep its address defends it, but not faster than every ten seconds. */
function onClaimed(router: Router, address: string, mac: string, atMicros: number): Step {
	if (router.state !== "MASTER") return { router, actions: [] };
	const actions: Action[] = [];
	const detail = `${mac} claims ${address}`;
	let next = logOnce(router, actions, detail);
	// An advert says more than an ARP: it keeps its place.
	if (next.conflict === null) next = withConflict(next, mac, detail, atMicros);
	if (atMicros >= next.claimDefenceNotBeforeMicros) {
		actions.push({ kind: "announce", rounds: 1, reason: detail });
		next = { ...next, claimDefenceNotBeforeMicros: atMicros + CLAIM_DEFENCE_GAP_MICROS };
	}
	return { router: next, actions };
}

/** His adverts say why there are two masters. It stands until he may have claimed again. */
function onRival(router: Router, verdict: Refused, atMicros: number): Step {
	if (router.state !== "MASTER" || verdict.source === router.sourceAddress) return { router, actions: [] };
	const { router: next, actions } = secondMaster(router, verdict, atMicros);
	const conflict = next.conflict && {
		...next.conflict,
		untilMicros: next.conflict.untilMicros + CLAIM_DEFENCE_GAP_MICROS,
	};
	return { router: { ...next, conflict }, actions };
}

function withConflict(router: Router, source: string, detail: string, atMicros: number): Router {
	const shown = CONFLICT_SHOWN_INTERVALS * Math.max(router.config.advertIntervalMicros, 1_000_000);
	return { ...router, conflict: { source, detail, untilMicros: atMicros + shown } };
}

function logOnce(router: Router, actions: Action[], text: string): Router {
	if (router.logged.includes(text)) return router;
	actions.push({ kind: "log", level: "warn", text });
	return { ...router, logged: [...router.logged.slice(-LOGGED_LIMIT + 1), text] };
}

function count(router: Router, counter: keyof Counters, by = 1): Router {
	return { ...router, counters: { ...router.counters, [counter]: router.counters[counter] + by } };
}

function prepend(actions: readonly Action[], rest: Step): Step {
	return actions.length === 0 ? rest : { router: rest.router, actions: [...actions, ...rest.actions] };
}
