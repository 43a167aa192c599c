/**
 * N boxes that run the real engine on a virtual network with a virtual clock. Everything that
 * `drover vrrp` gets from the kernel and from the real-time thread is played here: sockets, repeated
 * adverts, watched deadlines, addresses, pauses, crashes. Adverts cross the network as bytes.
 */
import type { DroverConfig } from "../../firmware/config/model.ts";
import {
	concerns,
	type Engine,
	type EngineAction,
	type EngineEvent,
	newEngine,
	routerOf,
	step,
	wakeAtMicros,
} from "../../firmware/vrrp/engine.ts";
import { instanceKey } from "../../firmware/vrrp/instance-key.ts";
import { type Standing, standing } from "../../firmware/vrrp/router.ts";
import { formatAddress, parseAddress } from "../../firmware/wire/ip.ts";
import { decodeIpPacket, encodeIpPacket, type IpPacket } from "../../firmware/wire/ip-packet.ts";
import { decodeAdvertisement, encodeAdvertisement, simplePassword } from "../../firmware/wire/vrrp.ts";
import type { Random } from "./random.ts";

export interface Weather {
	readonly dropProbability: number;
	readonly duplicateProbability: number;
	/** One-way delay is drawn between these; a wide range reorders. */
	readonly minDelayMicros: number;
	readonly maxDelayMicros: number;
	/** How late JavaScript may come to an expired deadline. */
	readonly maxPauseMicros: number;
}

export const fairWeather: Weather = {
	dropProbability: 0,
	duplicateProbability: 0,
	minDelayMicros: 50,
	maxDelayMicros: 300,
	maxPauseMicros: 200,
};

interface Reflex {
	advert: Standing["advert"];
	nextTurnMicros: number;
	watch: Standing["watch"];
	heard: number;
	lastHeardMicros: number;
	generation: number;
	/** The deadline passed: JavaScript sees every packet until it arms the watch again. */
	disarmed: boolean;
	present: boolean;
}

export interface Box {
	readonly name: string;
	readonly address4: string;
	readonly address6: string;
	config: DroverConfig;
	engine: Engine | null;
	readonly reflexes: Map<string, Reflex>;
	/** Boxes with the same number hear each other; a box alone has its cable out. */
	segment: number;
	cableIn: boolean;
	frozenSinceMicros: number | null;
	readonly waiting: Uint8Array[];
	/** Its reflexes swallow repeated adverts, as the real-time thread does. */
	readonly hasReflexes: boolean;
	wakeGeneration: number;
}

export interface Transition {
	readonly atMicros: number;
	readonly box: string;
	readonly key: string;
	readonly from: string;
	readonly to: string;
	readonly reason: string;
}

interface Scheduled {
	readonly atMicros: number;
	readonly order: number;
	run(): void;
}

/** Packets that wait for a frozen box: its socket buffer. */
const SOCKET_BUFFER_PACKETS = 64;
/** Events in one simulation; more means that something spins. */
const EVENT_LIMIT = 2_000_000;

export class Simulator {
	nowMicros = 0;
	weather: Weather = fairWeather;
	readonly boxes: readonly Box[];
	readonly transitions: Transition[] = [];
	/** Newest last; for the report of a failure. */
	readonly trace: string[] = [];
	readonly #random: Random;
	readonly #heap: Scheduled[] = [];
	#order = 0;
	#events = 0;

	constructor(configs: readonly DroverConfig[], random: Random, hasReflexes: boolean) {
		this.#random = random;
		this.boxes = configs.map((config, index) => ({
			name: `box${index + 1}`,
			address4: `192.0.2.${index + 1}`,
			address6: `fe80::${index + 1}`,
			config,
			engine: null,
			reflexes: new Map(),
			segment: 0,
			cableIn: true,
			frozenSinceMicros: null,
			waiting: [],
			hasReflexes,
			wakeGeneration: 0,
		}));
	}

	/** Runs until `untilMicros`; `check` after every event. */
	run(untilMicros: number, check: () => void = () => {}): void {
		for (;;) {
			const next = this.#heap[0];
			if (next === undefined || next.atMicros > untilMicros) break;
			this.#pop();
			this.nowMicros = next.atMicros;
			if (++this.#events > EVENT_LIMIT) throw new Error("the simulation does not come to rest");
			next.run();
			check();
		}
		this.nowMicros = untilMicros;
	}

	power(box: Box): void {
		if (box.engine !== null) return;
		this.note(`${box.name} starts`);
		box.engine = newEngine(box.config, this.nowMicros);
		this.#feedInterface(box);
		this.feed(box, { kind: "listen" });
		this.feed(box, { kind: "start" });
	}

	/** Power off or a kernel panic: nothing is said, and the addresses are gone. */
	crash(box: Box): void {
		this.note(`${box.name} crashes`);
		box.engine = null;
		box.frozenSinceMicros = null;
		box.waiting.length = 0;
		box.reflexes.clear();
	}

	/** The process dies and another one goes on from its state. */
	adopt(box: Box): void {
		if (box.engine !== null) box.engine = JSON.parse(JSON.stringify(box.engine)) as Engine;
	}

	stop(box: Box): void {
		if (box.engine === null || box.frozenSinceMicros !== null) return;
		this.note(`${box.name} stops`);
		this.feed(box, { kind: "stop" });
		this.crash(box);
	}

	freeze(box: Box): void {
		if (box.engine === null || box.frozenSinceMicros !== null) return;
		this.note(`${box.name} freezes`);
		box.frozenSinceMicros = this.nowMicros;
	}

	thaw(box: Box): void {
		const since = box.frozenSinceMicros;
		if (since === null) return;
		this.note(`${box.name} thaws`);
		box.frozenSinceMicros = null;
		// The lease is over: the repeats have stopped and say so.
		for (const [key, reflex] of box.reflexes) {
			if (reflex.advert === null || reflex.nextTurnMicros > this.nowMicros) continue;
			const gapMicros = this.nowMicros - (reflex.nextTurnMicros - reflex.advert.intervalMicros);
			this.feed(box, { kind: "overdue", key, gapMicros });
			const { advert } = reflex;
			if (advert !== null && reflex.nextTurnMicros <= this.nowMicros)
				this.#startRepeat(box, key, reflex, { ...advert, anchorMicros: this.nowMicros });
		}
		// What waits in the socket counts before any deadline.
		for (const bytes of box.waiting.splice(0)) this.#arrive(box, bytes);
		for (const [key, reflex] of box.reflexes) this.#armWatch(box, key, reflex);
		this.#armWake(box);
	}

	setCable(box: Box, cableIn: boolean): void {
		box.cableIn = cableIn;
		this.note(`${box.name}: cable ${cableIn ? "in" : "out"}`);
		if (box.engine !== null) this.#feedInterface(box);
	}

	feed(box: Box, event: EngineEvent): void {
		if (box.engine === null) return;
		// As the driver does: what the reflexes know comes first.
		for (const [key, reflex] of box.reflexes) {
			if (reflex.heard === 0) continue;
			const heard: EngineEvent = {
				kind: "heard-again",
				key,
				count: reflex.heard,
				lastAtMicros: reflex.lastHeardMicros,
			};
			reflex.heard = 0;
			this.#step(box, heard);
		}
		this.#step(box, event);
		this.#armWake(box);
	}

	note(text: string): void {
		this.trace.push(`${(this.nowMicros / 1e6).toFixed(4)} ${text}`);
	}

	#step(box: Box, event: EngineEvent): void {
		if (box.engine === null) return;
		const { engine, actions } = step(box.engine, event, this.nowMicros);
		box.engine = engine;
		for (const action of actions) this.#perform(box, action);
	}

	#perform(box: Box, action: EngineAction): void {
		switch (action.kind) {
			case "open":
				box.reflexes.set(
					action.key,
					box.reflexes.get(action.key) ?? {
						advert: null,
						nextTurnMicros: 0,
						watch: null,
						heard: 0,
						lastHeardMicros: 0,
						generation: 0,
						disarmed: false,
						present: false,
					},
				);
				break;
			case "close":
				box.reflexes.delete(action.key);
				break;
			case "send":
				this.#send(box, action.key, action.priority);
				break;
			case "addresses":
				box.reflexes.get(action.key)!.present = action.present;
				break;
			case "advert": {
				const reflex = box.reflexes.get(action.key)!;
				reflex.advert = null;
				if (action.advert !== null) this.#startRepeat(box, action.key, reflex, action.advert);
				break;
			}
			case "watch": {
				const reflex = box.reflexes.get(action.key)!;
				reflex.watch = action.watch;
				this.#armWatch(box, action.key, reflex);
				break;
			}
			case "transition":
				this.note(`${box.name} ${action.key} ${action.from} → ${action.to}: ${action.reason}`);
				this.transitions.push({
					atMicros: this.nowMicros,
					box: box.name,
					key: action.key,
					from: action.from,
					to: action.to,
					reason: action.reason,
				});
				break;
			case "announce":
			case "announce-source":
			case "group-transition":
			case "notice":
			case "log":
				break;
		}
	}

	#startRepeat(box: Box, key: string, reflex: Reflex, advert: NonNullable<Standing["advert"]>): void {
		reflex.advert = advert;
		reflex.nextTurnMicros = Math.max(advert.anchorMicros, this.nowMicros);
		const turn = () => {
			if (reflex.advert !== advert || box.engine === null || box.frozenSinceMicros !== null) return;
			if (box.reflexes.get(key) !== reflex) return;
			this.#send(box, key, advert.priority);
			reflex.nextTurnMicros += advert.intervalMicros;
			this.#at(reflex.nextTurnMicros, turn);
		};
		this.#at(reflex.nextTurnMicros, turn);
	}

	#armWatch(box: Box, key: string, reflex: Reflex): void {
		const generation = ++reflex.generation;
		reflex.disarmed = false;
		if (reflex.watch === null) return;
		const look = () => {
			if (reflex.generation !== generation || reflex.watch === null) return;
			if (box.engine === null || box.frozenSinceMicros !== null || box.reflexes.get(key) !== reflex) return;
			if (this.nowMicros < reflex.watch.deadlineMicros) {
				this.#at(reflex.watch.deadlineMicros, look);
				return;
			}
			reflex.disarmed = true;
			// JavaScript comes to it a little later; an advert judged in between overtakes it.
			const expire = () => {
				if (reflex.generation !== generation || box.frozenSinceMicros !== null) return;
				if (box.engine === null || box.reflexes.get(key) !== reflex) return;
				this.feed(box, { kind: "expired", key, advertSent: false });
			};
			this.#at(this.nowMicros + this.#random.integer(0, this.weather.maxPauseMicros), expire);
		};
		this.#at(Math.max(reflex.watch.deadlineMicros, this.nowMicros), look);
	}

	#armWake(box: Box): void {
		const generation = ++box.wakeGeneration;
		const at = box.engine === null ? null : wakeAtMicros(box.engine);
		if (at === null) return;
		this.#at(Math.max(at, this.nowMicros), () => {
			if (box.wakeGeneration === generation && box.frozenSinceMicros === null)
				this.feed(box, { kind: "timer" });
		});
	}

	#send(box: Box, key: string, priority: number): void {
		const router = routerOf(box.engine!, key);
		if (router === null || !box.cableIn) return;
		const { config } = router;
		const source = parseAddress(config.family === "inet" ? box.address4 : box.address6)!;
		const destination = parseAddress(config.multicastDestination)!;
		const message = encodeAdvertisement(
			{
				version: config.version,
				virtualRouterId: config.virtualRouterId,
				priority,
				intervalMicros: config.advertIntervalMicros,
				authenticationType: config.authentication === null ? 0 : 1,
				addresses: config.virtualAddresses.map(({ address }) => address),
			},
			config.family,
			config.version === 2 ? { kind: "message" } : { kind: "pseudo-header", source, destination },
			config.authentication === null ? null : simplePassword(config.authentication.password),
		);
		const packet = encodeIpPacket(
			{ source, destination, hopLimit: 255, protocol: 112, trafficClass: 0xc0, identification: 1 },
			message,
		);
		for (const other of this.boxes) {
			if (other === box || other.segment !== box.segment || !other.cableIn) continue;
			const copies = this.#random.chance(this.weather.duplicateProbability) ? 2 : 1;
			for (let copy = 0; copy < copies; copy++) {
				if (this.#random.chance(this.weather.dropProbability)) continue;
				const delay = this.#random.integer(this.weather.minDelayMicros, this.weather.maxDelayMicros);
				this.#at(this.nowMicros + delay, () => {
					if (other.engine === null || !other.cableIn || other.segment !== box.segment) return;
					if (other.frozenSinceMicros === null) this.#arrive(other, packet);
					else if (other.waiting.length < SOCKET_BUFFER_PACKETS) other.waiting.push(packet);
				});
			}
		}
	}

	#arrive(box: Box, bytes: Uint8Array): void {
		const packet = decodeIpPacket(bytes)!;
		for (const [key, reflex] of box.reflexes) {
			const router = routerOf(box.engine!, key);
			if (router === null || router.config.virtualRouterId !== packet.payload[1]) continue;
			if (!concerns(router.config, "eth0", packet)) continue;
			const watch = box.hasReflexes && !reflex.disarmed ? reflex.watch : null;
			if (watch !== null && isExpected(watch, packet)) {
				reflex.watch = { ...watch, deadlineMicros: this.nowMicros + watch.timeoutMicros };
				reflex.heard++;
				reflex.lastHeardMicros = this.nowMicros;
			} else this.feed(box, { kind: "packet", key, packet });
		}
	}

	#feedInterface(box: Box): void {
		this.feed(box, {
			kind: "interface",
			reading: { name: "eth0", index: 2, up: box.cableIn, addresses: [box.address4, box.address6] },
		});
	}

	#at(atMicros: number, run: () => void): void {
		const heap = this.#heap;
		heap.push({ atMicros, order: this.#order++, run });
		let place = heap.length - 1;
		while (place > 0) {
			const parent = (place - 1) >> 1;
			if (!before(heap[place]!, heap[parent]!)) break;
			[heap[place], heap[parent]] = [heap[parent]!, heap[place]!];
			place = parent;
		}
	}

	#pop(): void {
		const heap = this.#heap;
		const last = heap.pop()!;
		if (heap.length === 0) return;
		heap[0] = last;
		for (let place = 0; ; ) {
			let least = place;
			for (const child of [place * 2 + 1, place * 2 + 2])
				if (child < heap.length && before(heap[child]!, heap[least]!)) least = child;
			if (least === place) return;
			[heap[place], heap[least]] = [heap[least]!, heap[place]!];
			place = least;
		}
	}
}

function before(a: Scheduled, b: Scheduled): boolean {
	return a.atMicros !== b.atMicros ? a.atMicros < b.atMicros : a.order < b.order;
}

function isExpected(watch: NonNullable<Standing["watch"]>, packet: IpPacket): boolean {
	if (watch.expected === null || formatAddress(packet.source) !== watch.expected.source) return false;
	const decoded = decodeAdvertisement(packet.payload, packet.family);
	return (
		decoded.kind === "advertisement" &&
		JSON.stringify(decoded.advertisement) === JSON.stringify(watch.expected.advertisement)
	);
}

export { instanceKey, routerOf, standing };
