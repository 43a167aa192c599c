/**
 * Sees what happens on the box: the services' own events, the kernel's links, and once a second what
 * is written down about updates, commits and restarts. Tells each as a BoxEvent.
 */
import { call, subscribe } from "../../../bus/client.ts";
import { IFF_LOOPBACK, type Link, RouteMonitor, RouteNetlink } from "../../../kernel/rtnetlink.ts";
import { readBoxRecords, readServicePids } from "../../box/read-firmware.ts";
import type { DirectorEvent } from "../../director.ts";
import type { VrrpEvent, VrrpStateName, VrrpStatus } from "../../vrrp.ts";
import { type BoxRecords, boxChanges } from "./box-changes.ts";
import { type CrashHistory, crashLoops } from "./crash-loop.ts";
import type { BoxEvent } from "./notification.ts";

const LOOK_INTERVAL_MS = 1_000;
const RECONNECT_MS = 500;
const SERVICE_TIMEOUT_MS = 1_000;
/** What a crash loop is looked for in. */
const SERVICES = ["vrrp", "director", "cache", "monitor", "metrics", "syslog", "ntp", "sshd"];

export interface WatcherOptions {
	readonly onEvent: (event: BoxEvent) => void;
	/** Unix milliseconds of the newest update that was told before. */
	readonly toldUntilMs: number;
	/** The same, whenever it grows. */
	readonly onTold: (untilMs: number) => void;
}

/** Watches until the returned function is called. */
export function watchBox({ onEvent, toldUntilMs, onTold }: WatcherOptions): () => void {
	const ends = [
		watchVrrp(onEvent),
		watchService("director", (event) => onEvent({ kind: "director", event: event as DirectorEvent })),
		watchLinks(onEvent),
	];
	let records: BoxRecords | null = null;
	let crashes: CrashHistory = new Map();
	let toldUntil = toldUntilMs;
	const look = () => {
		const now = readBoxRecords();
		for (const event of boxChanges(records, now, toldUntil)) onEvent(event);
		records = now;
		const newest = now.updates[0]?.atMs ?? 0;
		if (newest > toldUntil) {
			toldUntil = newest;
			onTold(newest);
		}
		const { history, loops } = crashLoops(crashes, readServicePids(SERVICES), performance.now());
		crashes = history;
		for (const service of loops) onEvent({ kind: "crash-loop", service });
	};
	look();
	const timer = setInterval(look, LOOK_INTERVAL_MS);
	return () => {
		clearInterval(timer);
		for (const end of ends) end();
	};
}

/** A service's events, over its restarts. */
function watchService(
	name: string,
	onEvent: (event: unknown) => void,
	onConnect: () => void = () => {},
): () => void {
	let ended = false;
	let unsubscribe = () => {};
	const connect = () => {
		if (ended) return;
		unsubscribe = subscribe(name, onEvent, () => setTimeout(connect, RECONNECT_MS));
		onConnect();
	};
	connect();
	return () => {
		ended = true;
		unsubscribe();
	};
}

/** The groups' states are in the status alone: it is asked for after each event. */
function watchVrrp(onEvent: (event: BoxEvent) => void): () => void {
	const states = new Map<string, VrrpStateName>();
	let looks = Promise.resolve();
	/** The first look at a group is where it begins, unless something has happened before it could be made. */
	const lookAtGroups = (upon: VrrpEvent | null) => {
		looks = looks.then(async () => {
			const status = await call<VrrpStatus>("vrrp", "status", {}, SERVICE_TIMEOUT_MS).catch(() => null);
			for (const { name, state } of status?.syncGroups ?? []) {
				const before = states.get(name);
				states.set(name, state);
				if (before !== state && (before !== undefined || upon !== null))
					onEvent({ kind: "sync-group", name, state });
			}
		});
	};
	return watchService(
		"vrrp",
		(event) => {
			onEvent({ kind: "vrrp", event: event as VrrpEvent });
			lookAtGroups(event as VrrpEvent);
		},
		() => lookAtGroups(null),
	);
}

/** linkUp and linkDown: ifOperStatus left or reached up (RFC 2863 §3.1.15). */
function watchLinks(onEvent: (event: BoxEvent) => void): () => void {
	const running = new Map<number, boolean>();
	const see = ({ index, name, flags, running: up }: Link) => {
		if ((flags & IFF_LOOPBACK) !== 0) return;
		const before = running.get(index);
		running.set(index, up);
		if (before !== undefined && before !== up) onEvent({ kind: "link", name, up });
	};
	const seeAll = () => {
		const kernel = RouteNetlink.open();
		try {
			for (const link of kernel.links()) see(link);
		} finally {
			kernel.close();
		}
	};
	const monitor = RouteMonitor.open(
		["link"],
		(event) => {
			if (event.kind !== "link") return;
			if (event.change === "delete") running.delete(event.link.index);
			else see(event.link);
		},
		seeAll,
	);
	seeAll();
	return () => monitor.close();
}
