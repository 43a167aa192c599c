/**
 * What the receivers know of VRRP and of the servers, so that nothing is lost between a service's start and the
 * agent's, or while one of them is away, and nothing is told twice. Pure.
 *
 * Until told otherwise they take an instance or a group to be in INIT, a virtual server to have its quorum, and
 * a real server to be alive: that is what a start looks like. What has left the configuration is forgotten.
 */
import { z } from "zod";
import { realServerName } from "../../../director/names.ts";
import type { DirectorEvent, DirectorStatus } from "../../director.ts";
import type { VrrpStatus } from "../../vrrp.ts";
import type { BoxEvent } from "./notification.ts";

const states = z.enum(["INIT", "BACKUP", "MASTER", "FAULT"]);

export const toldSchema = z.object({
	instances: z.record(z.string(), states),
	groups: z.record(z.string(), states),
	/** Virtual servers' quorum and real servers, by `serverKey`. */
	servers: z.record(z.string(), z.boolean()),
});
export type Told = z.infer<typeof toldSchema>;

export const nothingTold = (): Told => ({ instances: {}, groups: {}, servers: {} });

/** An event's subject, as long as it has a state: what `missedBy…` leaves out when it was heard of meanwhile. */
export function subjectOf(event: BoxEvent): string | null {
	switch (event.kind) {
		case "vrrp":
			return `instance ${event.event.instance}`;
		case "sync-group":
			return `group ${event.name}`;
		case "director":
			return event.event.kind === "drift" ? null : serverKey(event.event);
		default:
			return null;
	}
}

const serverKey = ({ virtualServer, realServer }: Pick<DirectorEvent, "virtualServer" | "realServer">) =>
	realServer === null ? virtualServer : `${realServer} of ${virtualServer}`;

/** Notes what an event says; false when the receivers know it already. */
export function noteEvent(told: Told, event: BoxEvent): boolean {
	const note = <Value>(of: Record<string, Value>, name: string, value: Value): boolean => {
		const isNews = !Object.hasOwn(of, name) || of[name] !== value;
		of[name] = value;
		return isNews;
	};
	switch (event.kind) {
		case "vrrp":
			return note(told.instances, event.event.instance, event.event.to);
		case "sync-group":
			return note(told.groups, event.name, event.state);
		case "director":
			return event.event.kind === "drift" || note(told.servers, serverKey(event.event), event.event.up);
		default:
			return true;
	}
}

/**
 * Forgets what these looks do not show any more, so that `told` holds no more than is configured. Null is a service
 * that did not answer. What was told after the look began and is forgotten with it is told once more.
 */
export function forgetGone(told: Told, vrrp: VrrpStatus | null, director: DirectorStatus | null): void {
	const keep = (of: Record<string, unknown>, names: ReadonlySet<string>) => {
		for (const name of Object.keys(of)) if (!names.has(name)) delete of[name];
	};
	if (vrrp !== null) {
		keep(told.instances, new Set(vrrp.instances.map(({ name }) => name)));
		keep(told.groups, new Set(vrrp.syncGroups.map(({ name }) => name)));
	}
	if (director === null) return;
	const servers = new Set<string>();
	for (const { name, protocolName, realServers } of director.virtualServers) {
		servers.add(name);
		for (const server of realServers)
			servers.add(serverKey({ virtualServer: name, realServer: realServerName(server, protocolName) }));
	}
	keep(told.servers, servers);
}

/** VRRP ends: so does each group of which the receivers know a state. */
export function endedGroups(told: Told): BoxEvent[] {
	return Object.entries(told.groups)
		.filter(([, state]) => state !== "INIT")
		.map(([name]): BoxEvent => ({ kind: "sync-group", name, state: "INIT", stopped: true }));
}

/** What a look at VRRP shows that nobody was told of. `heardOf`: subjects of events that came after the look began. */
export function missedByVrrp(told: Told, status: VrrpStatus, heardOf: ReadonlySet<string>): BoxEvent[] {
	const instances = status.instances.map(
		({ name, state, sinceMs, reason }): BoxEvent => ({
			kind: "vrrp",
			event: {
				kind: "transition",
				atMs: sinceMs,
				instance: name,
				from: told.instances[name] ?? "INIT",
				to: state,
				reason,
			},
		}),
	);
	const groups = status.syncGroups.map(({ name, state }): BoxEvent => ({ kind: "sync-group", name, state }));
	const isOpen = (event: BoxEvent) => {
		if (heardOf.has(subjectOf(event)!)) return false;
		if (event.kind === "vrrp") return event.event.from !== event.event.to;
		return event.kind === "sync-group" && (told.groups[event.name] ?? "INIT") !== event.state;
	};
	return [...instances, ...groups].filter(isOpen);
}

/** The same for virtual and real servers. */
export function missedByDirector(
	told: Told,
	status: DirectorStatus,
	heardOf: ReadonlySet<string>,
	nowMs: number,
): BoxEvent[] {
	const missed: BoxEvent[] = [];
	const compare = (event: DirectorEvent) => {
		const key = serverKey(event);
		if (heardOf.has(key)) return;
		const known = Object.hasOwn(told.servers, key) ? told.servers[key] : true;
		if (known !== event.up) missed.push({ kind: "director", event });
	};
	for (const { name, protocolName, quorumUp, realServers } of status.virtualServers) {
		for (const server of realServers)
			compare({
				kind: "real-server",
				atMs: nowMs,
				virtualServer: name,
				realServer: realServerName(server, protocolName),
				up: server.alive,
				reason: server.reason ?? "",
			});
		compare({
			kind: "quorum",
			atMs: nowMs,
			virtualServer: name,
			realServer: null,
			up: quorumUp,
			reason: "",
		});
	}
	return missed;
}
