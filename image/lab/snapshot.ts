/** A session as its screen shows it. */

import { type DirectorName, virtualAddress, type WebName } from "./lab.ts";
import type { DirectorLine, LabSnapshot, WebLine } from "./lab-screen.ts";
import type { Session } from "./session.ts";

const webAddresses: Readonly<Record<WebName, string>> = { web1: "192.168.80.102", web2: "192.168.80.103" };

export function snapshot(session: Session, version: string, nowMs = Date.now()): LabSnapshot {
	const rates = session.traffic.rates(nowMs);
	return {
		nowMs,
		startedAtMs: session.startedAtMs,
		version,
		virtualAddress,
		directors: [directorLine(session, "a"), directorLine(session, "b")],
		web: [webLine(session, "web1", rates), webLine(session, "web2", rates)],
		failedPerSecond: rates.get("failed") ?? 0,
		answered: session.traffic.answered,
		failed: session.traffic.failed,
		log: session.log,
	};
}

function directorLine(session: Session, name: DirectorName): DirectorLine {
	const { vrrp, director } = session.watch.view(name);
	const instance = vrrp?.instances[0];
	const server = director?.virtualServers[0];
	return {
		name,
		condition: session.conditions[name],
		state: instance?.state ?? null,
		reason: instance?.reason ?? "",
		priority: instance?.effectivePriority ?? null,
		pool: server === undefined ? null : `${server.aliveRealServers} of ${server.totalRealServers}`,
	};
}

function webLine(session: Session, name: WebName, rates: ReadonlyMap<string, number>): WebLine {
	const master = session.watch.master();
	const view = master === null ? null : session.watch.view(master).director;
	const real = view?.virtualServers[0]?.realServers.find(({ address }) => address === webAddresses[name]);
	return {
		name,
		alive: session.lab.web[name].isAlive,
		inPool: real === undefined ? null : real.alive && real.weight > 0,
		perSecond: rates.get(name) ?? 0,
	};
}
