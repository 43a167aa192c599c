/**
 * What one step of the election saw and decided, for `drover ha why`: the same events and actions
 * that the drivers carry out, in words, with the rule behind each decision. Pure.
 */
import { named } from "../named.ts";
import type { Sighting } from "../status/timeline.ts";
import { formatAddress } from "../wire/ip.ts";
import type { Engine, EngineAction, EngineEvent, EngineStep } from "./engine.ts";
import { instanceKey } from "./instance-key.ts";
import { seconds } from "./receive.ts";
import { FOLLOWS_GROUP, type Router } from "./router.ts";
import { skewTimeMicros } from "./timers.ts";

/** The subject of what concerns the whole service. */
export const WHOLE_SERVICE = "";

type Transition = Extract<EngineAction, { kind: "transition" }>;

/** In the order in which it happened: what came in, what was noticed, what was decided. */
export function explain(
	before: Engine,
	event: EngineEvent,
	{ engine: after, actions }: EngineStep,
): Sighting[] {
	const from = sourceOf(event);
	const sightings: Sighting[] = [...incoming(before, event)];
	for (const router of after.routers) sightings.push(...learned(routerAt(before, router), router));
	for (const action of actions)
		switch (action.kind) {
			case "log":
				sightings.push({ subject: action.name, text: action.text, from, rule: null });
				break;
			case "transition":
				sightings.push({
					subject: action.config.name,
					text: `${action.from} -> ${action.to}: ${action.reason}`,
					from: null,
					rule: ruleOf(action, event, routerNamed(before, action.key)),
				});
				break;
			case "group-transition":
				sightings.push({
					subject: action.group.name,
					text: `sync group ${action.group.name} -> ${action.to}`,
					from: null,
					rule: "vrrp_sync_group: what happens to one member happens to all",
				});
				break;
		}
	// A reading and what it does to a router may have the same words; two routers have a story each.
	return sightings.filter(
		({ subject, text }, index) =>
			sightings.findIndex(
				(other) => other.text === text && [WHOLE_SERVICE, subject].includes(other.subject),
			) === index,
	);
}

/** Readings that say something new; packets show by what is learned from them. */
function incoming(before: Engine, event: EngineEvent): readonly Sighting[] {
	const seen = (text: string, from: string): readonly Sighting[] => [
		{ subject: WHOLE_SERVICE, text, from, rule: null },
	];
	switch (event.kind) {
		case "start":
			return seen("the service started", "operator");
		case "reload":
			return seen("the configuration was read again", "operator");
		case "resign":
			return seen("asked to give up mastership", "operator");
		case "take-over":
			return seen("asked to become master", "operator");
		case "release":
			return seen(event.reason, "director");
		case "interface": {
			const known = named(before.readings.interfaces, event.reading.name);
			if (known !== undefined && known.up === event.reading.up) return [];
			const text = `interface ${event.reading.name} is ${event.reading.up ? "up" : "down"}`;
			return before.started ? seen(text, "kernel") : [];
		}
		case "interface-gone":
			return seen(`there is no interface ${event.name} any more`, "kernel");
		case "process":
			return [undefined, event.count].includes(named(before.readings.processes, event.name)?.count)
				? []
				: seen(`process ${event.name}: ${event.count} running`, "kernel");
		case "file":
			return named(before.readings.files, event.name) === event.value
				? []
				: seen(`file ${event.name} says ${event.value}`, `file ${event.name}`);
		case "bfd":
			return named(before.readings.bfd, event.name) === event.up
				? []
				: seen(`BFD session ${event.name} is ${event.up ? "up" : "down"}`, `bfd ${event.name}`);
		default:
			return [];
	}
}

/** Who the current master is, whether there are two, and what keeps this router out. */
function learned(before: Router | null, after: Router): Sighting[] {
	if (before === null || before === after) return [];
	const found: Sighting[] = [];
	const subject = after.config.name;
	const { master } = after;
	const heard =
		master !== null &&
		(before.master?.address !== master.address || before.master.priority !== master.priority);
	if (heard)
		found.push({
			subject,
			text:
				master.priority === 0
					? `${master.address} says goodbye (priority 0)`
					: `heard an advert of ${master.address}, priority ${master.priority}; ours is ${after.priority}`,
			from: master.address,
			rule: after.state === "BACKUP" ? obedience(after, master.priority) : null,
		});
	if (after.conflict !== null && before.conflict?.detail !== after.conflict.detail)
		found.push({ subject, text: after.conflict.detail, from: after.conflict.source, rule: null });
	const were = new Set(before.faults.map(({ detail }) => detail));
	const are = new Set(after.faults.map(({ detail }) => detail));
	for (const { detail, key } of after.faults)
		if (!were.has(detail) && key !== "start") found.push({ subject, text: detail, from: key, rule: null });
	for (const { detail, key, pending } of before.faults)
		if (!are.has(detail) && !pending)
			found.push({ subject, text: `no longer: ${detail}`, from: key, rule: null });
	return found;
}

function obedience(router: Router, priority: number): string {
	if (priority === 0) return "RFC 9568 6.4.2: after a goodbye a backup waits its skew time only";
	if (priority >= router.priority) return "RFC 9568 6.4.2: a backup obeys its own priority and higher ones";
	if (!router.config.preempt) return "nopreempt: a lower priority is obeyed too";
	if (router.resigned) return "it was told to give up: it obeys lower priorities too";
	return router.preemptAtMicros === null
		? "preempt: a lower priority is not obeyed, the wait for a master goes on"
		: "preempt_delay: a lower priority is obeyed until then";
}

function ruleOf(action: Transition, event: EngineEvent, before: Router | null): string | null {
	if (action.reason.startsWith(FOLLOWS_GROUP)) return "vrrp_sync_group: all members are master, or none";
	switch (action.to) {
		case "MASTER":
			if (event.kind === "take-over") return "the operator's word";
			if (action.from === "INIT") return "RFC 9568 6.4.1: priority 255 owns the addresses";
			return before === null ? null : masterDownRule(before);
		case "BACKUP":
			if (action.from === "INIT") return "RFC 9568 6.4.1: who does not own the addresses begins as backup";
			if (action.from === "FAULT") return "from FAULT always to BACKUP first, as keepalived does";
			if (event.kind === "resign")
				return "the operator's word: priority 0 was sent, so that the peer takes over at once";
			if (event.kind === "overdue")
				return "who was silent for as long as backups wait must not go on as master";
			return "RFC 9568 6.4.3: the higher priority wins; among equals the higher address";
		case "FAULT":
			return "keepalived.conf(5): its interface, or a tracked thing without weight, keeps it out of the election";
		case "INIT":
		case "STOP":
			return "priority 0 was sent, so that the peer takes over at once";
		case "DELETED":
			return "it is no longer configured";
	}
}

/** RFC 9568 §6.1 with the numbers of this router. */
function masterDownRule(router: Router): string {
	const { config, masterIntervalMicros, priority } = router;
	const skew = skewTimeMicros(config.version, priority, masterIntervalMicros);
	if (router.master?.priority === 0)
		return `RFC 9568 6.4.2: after a goodbye a backup waits its skew time only, ${seconds(skew)}`;
	const words = `RFC 9568 6.4.2: nobody it obeys was heard for ${config.downTimerAdverts} x ${seconds(masterIntervalMicros)} + ${seconds(skew)} skew`;
	return config.initialState === "MASTER" && router.master === null
		? "RFC 9568 6.4.2: nobody it obeys was heard; state MASTER shortens the first wait"
		: words;
}

function sourceOf(event: EngineEvent): string | null {
	switch (event.kind) {
		case "packet":
			return formatAddress(event.packet.source);
		case "claimed":
			return event.mac;
		case "rival":
			return event.verdict.source;
		case "script":
			return `script ${event.name}`;
		default:
			return null;
	}
}

function routerAt(engine: Engine, router: Router): Router | null {
	return routerNamed(engine, instanceKey(router.config));
}

function routerNamed(engine: Engine, key: string): Router | null {
	const place = engine.places[key];
	return place === undefined ? null : (engine.routers[place] ?? null);
}
