/**
 * What the receivers know of VRRP and of the servers, so that nothing is lost between a service's start and the
 * agent's, or while one of them is away, and nothing is told twice. Pure.
 *
 * Until told otherwise they take an instance or a group to be in INIT, a virtual server to have its quorum, and
 * a real server to be alive: that is what a start looks like.
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
	for (const { name, protocol, quorumUp, realServers } of status.virtualServers) {
		for (const server of realServers)
			compare({
				kind: "real-server",
				atMs: nowMs,
				virtualServer: name,
				realServer: realServerName(server, protocol),
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
