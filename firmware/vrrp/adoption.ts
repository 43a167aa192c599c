/**
 * One process takes over from another on the same box: what of its state still holds. Pure.
 *
 * A master's last advert is a lease: until `down_timer_adverts` intervals after it no backup moves
 * (its skew comes on top), so who comes back within it goes on as master and nobody notices.
 */
import type { DroverConfig, VrrpInstanceConfig } from "../config/model.ts";
import { named } from "../named.ts";
import { type Engine, type EngineAction, type EngineStep, newEngine, step } from "./engine.ts";
import { instanceKey } from "./instance-key.ts";
import type { Readings } from "./readings.ts";
import { masterDownInterval, newRouter, type Router, standing } from "./router.ts";
import { groupState } from "./sync-group.ts";

export type SavedRouter = Omit<Router, "config">;

/** What the next process needs to know. Plain data. */
export interface Saved {
	readonly routers: Readonly<Record<string, SavedRouter>>;
	readonly readings: Omit<Readings, "interfaces" | "virtualInterfaces">;
}

/** Below this interval nobody can be back in time for sure: the others are told at once instead. */
export const LEASE_MIN_INTERVAL_MICROS = 100_000;

export function savedRouter({ config: _config, ...rest }: Router): SavedRouter {
	return rest;
}

export function save(engine: Engine): Saved {
	const { interfaces: _interfaces, virtualInterfaces: _virtual, ...readings } = engine.readings;
	return {
		routers: Object.fromEntries(
			engine.routers.map((router) => [instanceKey(router.config), savedRouter(router)]),
		),
		readings,
	};
}

/** Until when a master that was alive at `aliveAtMicros` is not missed by anybody. */
export function leaseEndMicros(
	config: VrrpInstanceConfig,
	router: SavedRouter,
	aliveAtMicros: number,
): number {
	if (router.advertAnchorMicros === null) return 0;
	const interval = config.advertIntervalMicros;
	const turns = Math.floor((aliveAtMicros - router.advertAnchorMicros) / interval);
	return router.advertAnchorMicros + (Math.max(turns, -1) + config.downTimerAdverts) * interval;
}

/** May this router go on where its predecessor, alive until `aliveAtMicros`, was interrupted? */
export function holds(
	config: VrrpInstanceConfig,
	router: SavedRouter,
	aliveAtMicros: number,
	atMicros: number,
): boolean {
	if (router.state !== "MASTER") return router.started;
	if (config.advertIntervalMicros < LEASE_MIN_INTERVAL_MICROS) return false;
	return atMicros < leaseEndMicros(config, router, aliveAtMicros);
}

/**
 * An engine that goes on where another one was interrupted. The caller has to feed it the interfaces
 * before anything else happens (`prepare`), as before a first start.
 */
export function adopt(
	config: DroverConfig,
	saved: Saved,
	aliveAtMicros: number,
	atMicros: number,
	prepare: (engine: Engine) => Engine,
): EngineStep {
	const fresh = newEngine(config, atMicros);
	const adopted = new Set<string>();
	const routers = fresh.routers.map((router): Router => {
		const key = instanceKey(router.config);
		const before = saved.routers[key];
		if (before === undefined || !holds(router.config, before, aliveAtMicros, atMicros))
			return newRouter(router.config, atMicros);
		adopted.add(key);
		const back: Router = { ...before, config: router.config, lastAdvertisement: null };
		// What was heard after the last report is not known; who is silent now is silent soon enough.
		if (back.state === "BACKUP") return { ...back, masterDownAtMicros: atMicros + masterDownInterval(back) };
		if (back.state === "MASTER")
			return { ...back, advertAnchorMicros: atMicros + back.config.advertIntervalMicros };
		return back;
	});
	const groupStates = Object.fromEntries(
		config.syncGroups.map(({ name, members }) => [
			name,
			groupState(routers.filter((router) => members.includes(router.config.name))),
		]),
	);
	let { scripts } = fresh.readings;
	for (const [name, reading] of Object.entries(saved.readings.scripts))
		if (named(scripts, name) !== undefined) scripts = { ...scripts, [name]: reading };
	const ready = prepare({
		...fresh,
		routers,
		groupStates,
		readings: { ...saved.readings, scripts, interfaces: {}, virtualInterfaces: {} },
		startupUntilMicros: adopted.size > 0 ? atMicros : fresh.startupUntilMicros,
	});
	const listening = step(ready, { kind: "listen" }, atMicros);
	const actions: EngineAction[] = [...listening.actions];
	for (const router of listening.engine.routers) {
		const key = instanceKey(router.config);
		if (!adopted.has(key)) {
			// Its lease is too short to come back in: who waits for it shall not wait.
			if (saved.routers[key]?.state === "MASTER") actions.push({ kind: "send", key, priority: 0 });
			continue;
		}
		const { advert, watch, addressesPresent } = standing(router);
		if (advert !== null) actions.push({ kind: "send", key, priority: router.priority });
		if (addressesPresent) actions.push({ kind: "addresses", key, present: true, announceNew: true });
		if (advert !== null) actions.push({ kind: "advert", key, advert });
		if (watch !== null) actions.push({ kind: "watch", key, watch });
	}
	const started = step(listening.engine, { kind: "start" }, atMicros);
	actions.push(...started.actions);
	return { engine: started.engine, actions };
}
