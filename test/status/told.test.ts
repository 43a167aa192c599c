/** What the receivers of notifications know, whatever the agent missed. */
import { expect, test } from "bun:test";
import type { DirectorEvent, DirectorStatus } from "../../firmware/status/director.ts";
import type { BoxEvent } from "../../firmware/status/snmp/notification/notification.ts";
import {
	endedGroups,
	forgetGone,
	missedByDirector,
	missedByVrrp,
	noteEvent,
	nothingTold,
	subjectOf,
	toldSchema,
} from "../../firmware/status/snmp/notification/told.ts";
import type { VrrpStateName, VrrpStatus } from "../../firmware/status/vrrp.ts";

const became = (to: VrrpStateName, from: VrrpStateName = "BACKUP"): BoxEvent => ({
	kind: "vrrp",
	event: { kind: "transition", atMs: 1, instance: "VI_1", from, to, reason: "" },
});
const vrrp = (state: VrrpStateName): VrrpStatus =>
	({
		instances: [{ name: "VI_1", state, sinceMs: 7, reason: "why" }],
		syncGroups: [{ name: "G", state }],
	}) as unknown as VrrpStatus;
const server = (up: boolean): BoxEvent => ({
	kind: "director",
	event: {
		kind: "real-server",
		atMs: 1,
		virtualServer: "[10.0.0.1]:tcp:80",
		realServer: "[10.0.0.2]:tcp:81",
		up,
		reason: "",
	},
});
const servers = (alive: boolean, quorumUp: boolean): DirectorStatus =>
	({
		virtualServers: [
			{
				name: "[10.0.0.1]:tcp:80",
				protocol: "TCP",
				protocolName: "tcp",
				quorumUp,
				realServers: [{ address: "10.0.0.2", port: 81, alive, reason: "refused" }],
			},
		],
	}) as unknown as DirectorStatus;
const nobody = new Set<string>();

/** Looks and tells; what was news. */
function look(told: ReturnType<typeof nothingTold>, events: readonly BoxEvent[]): string[] {
	return events
		.filter((event) => noteEvent(told, event))
		.map((event) => {
			if (event.kind === "vrrp") return `${event.event.from} to ${event.event.to}`;
			if (event.kind === "sync-group") return `group ${event.state}`;
			const { kind, up } = (event as { event: DirectorEvent }).event;
			return `${kind} ${up ? "up" : "down"}`;
		});
}

test("VRRP was there first: its state is told, once", () => {
	const told = nothingTold();
	expect(look(told, missedByVrrp(told, vrrp("MASTER"), nobody))).toEqual(["INIT to MASTER", "group MASTER"]);
	expect(look(told, missedByVrrp(told, vrrp("MASTER"), nobody))).toEqual([]);
});

test("what has left the configuration is forgotten; a service that does not answer forgets nothing", () => {
	const told = nothingTold();
	for (let port = 1; port <= 1_000; port++) {
		const gone = server(false) as { event: DirectorEvent };
		noteEvent(told, {
			kind: "director",
			event: { ...gone.event, realServer: `[10.0.0.9]:tcp:${port}` } as DirectorEvent,
		});
	}
	noteEvent(told, server(false));
	noteEvent(told, became("MASTER"));
	forgetGone(told, null, null);
	expect(Object.keys(told.servers)).toHaveLength(1_001);
	forgetGone(told, vrrp("MASTER"), servers(false, true));
	expect(told).toEqual({
		instances: { VI_1: "MASTER" },
		groups: {},
		servers: { "[10.0.0.2]:tcp:81 of [10.0.0.1]:tcp:80": false },
	});
	forgetGone(told, { instances: [], syncGroups: [] } as unknown as VrrpStatus, null);
	expect(told.instances).toEqual({});
});

test("a state that is INIT is nothing to tell", () => {
	expect(missedByVrrp(nothingTold(), vrrp("INIT"), nobody)).toEqual([]);
});

test("an event that the look had shown already is not told again", () => {
	const told = nothingTold();
	look(told, missedByVrrp(told, vrrp("MASTER"), nobody));
	expect(look(told, [became("MASTER")])).toEqual([]);
	expect(look(told, [became("BACKUP", "MASTER")])).toEqual(["MASTER to BACKUP"]);
});

test("a look that is older than an event does not take it back", () => {
	const told = nothingTold();
	expect(look(told, [became("MASTER")])).toEqual(["BACKUP to MASTER"]);
	const heardOf = new Set([subjectOf(became("MASTER"))!]);
	expect(look(told, missedByVrrp(told, vrrp("BACKUP"), heardOf))).toEqual(["group BACKUP"]);
});

test("servers: what is down is told, what is well is not, unless it was said to be down", () => {
	const told = nothingTold();
	expect(look(told, missedByDirector(told, servers(true, true), nobody, 9))).toEqual([]);
	expect(look(told, missedByDirector(told, servers(false, false), nobody, 9))).toEqual([
		"real-server down",
		"quorum down",
	]);
	expect(look(told, [server(false)])).toEqual([]);
	expect(look(told, missedByDirector(told, servers(true, true), nobody, 9))).toEqual([
		"real-server up",
		"quorum up",
	]);
});

test("it is kept over the agent's restart", () => {
	const told = nothingTold();
	look(told, [...missedByVrrp(told, vrrp("FAULT"), nobody), server(false)]);
	const kept = toldSchema.parse(JSON.parse(JSON.stringify(told)));
	expect(look(kept, [...missedByVrrp(kept, vrrp("FAULT"), nobody), server(false)])).toEqual([]);
});

test("repairs of the kernel's table have no state: each is told", () => {
	const told = nothingTold();
	const drift = {
		kind: "director",
		event: {
			kind: "drift",
			atMs: 1,
			virtualServer: "v",
			realServer: null,
			up: true,
			reason: "",
		} satisfies DirectorEvent,
	} as const;
	expect(subjectOf(drift)).toBeNull();
	expect([noteEvent(told, drift), noteEvent(told, drift)]).toEqual([true, true]);
});

test("when VRRP ends, each group ends of which a state was told, and is told of again when it is back", () => {
	const told = nothingTold();
	noteEvent(told, { kind: "sync-group", name: "G", state: "MASTER" });
	noteEvent(told, { kind: "sync-group", name: "H", state: "INIT" });
	const ended = endedGroups(told);
	expect(ended).toEqual([{ kind: "sync-group", name: "G", state: "INIT", stopped: true }]);
	expect(look(told, ended)).toHaveLength(1);
	expect(endedGroups(told)).toEqual([]);
	expect(missedByVrrp(told, vrrp("MASTER"), nobody)).toContainEqual({
		kind: "sync-group",
		name: "G",
		state: "MASTER",
	});
});
