/**
 * Sees what happens on the box: the services' own events, the kernel's links, and once a second what
 * is written down about updates, commits and restarts. Tells each as a BoxEvent.
 */
import { call, subscribe } from "../../../bus/client.ts";
import { IFF_LOOPBACK, type Link, RouteMonitor, RouteNetlink } from "../../../kernel/rtnetlink.ts";
import { readBoxRecords, readServicePids } from "../../box/read-firmware.ts";
import type { DirectorEvent, DirectorStatus } from "../../director.ts";
import type { VrrpEvent, VrrpStatus } from "../../vrrp.ts";
import { type BoxRecords, boxChanges } from "./box-changes.ts";
import { type CrashHistory, crashLoops } from "./crash-loop.ts";
import type { BoxEvent } from "./notification.ts";
import { endedGroups, missedByDirector, missedByVrrp, noteEvent, subjectOf, type Told } from "./told.ts";

const LOOK_INTERVAL_MS = 1_000;
const RECONNECT_MS = 500;
/** Events that come within this are looked at together: a service in a storm has better to do than to be asked. */
const GATHER_MS = 50;
const SERVICE_TIMEOUT_MS = 1_000;
/** What a crash loop is looked for in. */
const SERVICES = ["bfd", "vrrp", "director", "cache", "monitor", "metrics", "syslog", "ntp", "sshd"];

export interface WatcherOptions {
	readonly onEvent: (event: BoxEvent) => void;
	/** Unix milliseconds of the newest update that was told before. */
	readonly toldUntilMs: number;
	/** The same, whenever it grows. */
	readonly onTold: (untilMs: number) => void;
	/** What the receivers know of VRRP and of servers; it is brought up to date as events are told. */
	readonly told: Told;
}

/** Watches until the returned function is called. */
export function watchBox({ onEvent, toldUntilMs, onTold, told }: WatcherOptions): () => void {
	const tellNews = (event: BoxEvent) => {
		if (noteEvent(told, event)) onEvent(event);
	};
	const ends = [
		watchService<VrrpStatus>(
			"vrrp",
			(event) => vrrpEvent(event as VrrpEvent),
			(status, heardOf) => missedByVrrp(told, status, heardOf),
			// The groups' states are in the status alone.
			"after each event",
			(event) => {
				tellNews(event);
				if (isEnd(event)) for (const group of endedGroups(told)) tellNews(group);
			},
		),
		watchService<DirectorStatus>(
			"director",
			(event) => ({ kind: "director", event: event as DirectorEvent }),
			(status, heardOf) => missedByDirector(told, status, heardOf, Date.now()),
			"when connected",
			tellNews,
		),
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

function vrrpEvent(event: VrrpEvent): BoxEvent {
	if (event.kind === "transition") return { kind: "vrrp", event };
	const { kind, instance, error } = event;
	return { kind, instance, error };
}

/** The service ends: what its status says from here on is of no use. */
const isEnd = (event: BoxEvent) => event.kind === "vrrp" && event.event.stopped === true;

/**
 * A service's events, over its restarts, and what was missed before the first of them. The look comes after the
 * subscription, so nothing falls between the two.
 */
function watchService<Status>(
	name: string,
	eventOf: (event: unknown) => BoxEvent,
	missed: (status: Status, heardOf: ReadonlySet<string>) => readonly BoxEvent[],
	looks: "when connected" | "after each event",
	tell: (event: BoxEvent) => void,
): () => void {
	let ended = false;
	let isConnected = false;
	let isEnding = false;
	let unsubscribe = () => {};
	/** Of events that came while a look was under way: they are newer than it. */
	let heardOf = new Set<string>();
	let looking: Promise<void> = Promise.resolve();
	let lookWaits = false;
	const look = () => {
		// The look that waits will see what this one would.
		if (lookWaits) return;
		lookWaits = true;
		looking = looking.then(async () => {
			await Bun.sleep(GATHER_MS);
			lookWaits = false;
			heardOf = new Set();
			const status = await call<Status>(name, "status", {}, SERVICE_TIMEOUT_MS).catch(() => null);
			if (ended || isEnding) return;
			if (status !== null) for (const event of missed(status, heardOf)) tell(event);
			// While a box starts, a service may have no time to answer: what it has to say is not lost.
			else if (isConnected) setTimeout(look, RECONNECT_MS);
		});
	};
	const connect = () => {
		if (ended) return;
		const close = () => {
			isConnected = false;
			setTimeout(connect, RECONNECT_MS);
		};
		const onEvent = (event: unknown) => {
			const happened = eventOf(event);
			const subject = subjectOf(happened);
			if (subject !== null) heardOf.add(subject);
			isEnding ||= isEnd(happened);
			tell(happened);
			if (looks === "after each event") look();
		};
		const begin = () => {
			isConnected = true;
			isEnding = false;
			look();
		};
		unsubscribe = subscribe(name, onEvent, close, begin);
	};
	connect();
	return () => {
		ended = true;
		unsubscribe();
	};
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
