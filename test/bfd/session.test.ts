/** A BFD session as a function: RFC 5880 §6, and two of them on a network that loses. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Arrival, sessionFor } from "../../firmware/bfd/demultiplex.ts";
import {
	type BfdEvent,
	type BfdSession,
	type BfdStep,
	bfdStep,
	bfdWakeMicros,
	detectionTimeMicros,
	newBfdSession,
	transmitIntervalMicros,
} from "../../firmware/bfd/session.ts";
import type { BfdConfig } from "../../firmware/config/model.ts";
import type { BfdControl, BfdState } from "../../firmware/wire/bfd.ts";

const SECOND = 1_000_000;

function config(change: Partial<BfdConfig> = {}): BfdConfig {
	return {
		name: "peer",
		neighbor: "192.0.2.2",
		source: null,
		minRxMicros: 10_000,
		minTxMicros: 10_000,
		idleTxMicros: SECOND,
		multiplier: 5,
		passive: false,
		ttl: 255,
		maxHops: 0,
		multihop: false,
		weight: 0,
		reverse: false,
		forVrrp: true,
		forChecker: true,
		location: { file: "test", line: 1, column: 1 },
		...change,
	};
}

function packet(state: BfdState, change: Partial<BfdControl> = {}): BfdControl {
	return {
		diagnostic: 0,
		state,
		poll: false,
		final: false,
		demand: false,
		detectMultiplier: 3,
		myDiscriminator: 22,
		yourDiscriminator: 11,
		desiredMinTxMicros: 20_000,
		requiredMinRxMicros: 30_000,
		...change,
	};
}

const start = (change: Partial<BfdConfig> = {}) => newBfdSession(config(change), 11, 0);
const hear = (session: BfdSession, state: BfdState, at = 0, change: Partial<BfdControl> = {}) =>
	bfdStep(session, { kind: "packet", control: packet(state, change) }, at, 0);
const through = (session: BfdSession, ...states: BfdState[]): BfdSession =>
	states.reduce((before, state) => hear(before, state).session, session);
const up = (change: Partial<BfdConfig> = {}) => through(start(change), "Down", "Init");

describe("RFC 5880 §6.8.6: the state machine", () => {
	const ways: Record<"Down" | "Init" | "Up", BfdSession> = {
		Down: start(),
		Init: through(start(), "Down"),
		Up: up(),
	};
	test.each<["Down" | "Init" | "Up", BfdState, BfdState]>([
		["Down", "AdminDown", "Down"],
		["Down", "Down", "Init"],
		["Down", "Init", "Up"],
		["Down", "Up", "Down"],
		["Init", "AdminDown", "Down"],
		["Init", "Down", "Init"],
		["Init", "Init", "Up"],
		["Init", "Up", "Up"],
		["Up", "AdminDown", "Down"],
		["Up", "Down", "Down"],
		["Up", "Init", "Up"],
		["Up", "Up", "Up"],
	])("%s hears %s: %s", (before, heard, after) => {
		expect(ways[before].state).toBe(before);
		expect(hear(ways[before], heard).session.state).toBe(after);
	});
});

describe("RFC 5880 §6.8.7: what is sent", () => {
	test("an active session begins by itself, once a second at most", () => {
		const { session, packets } = bfdStep(start(), { kind: "timer" }, 0, 0);
		expect(packets).toMatchObject([{ state: "Down", yourDiscriminator: 0, desiredMinTxMicros: SECOND }]);
		expect(session.nextSendMicros).toBe(SECOND);
	});
	test("a passive one waits for the first packet", () => {
		expect(bfdWakeMicros(start({ passive: true }))).toBeNull();
		expect(hear(start({ passive: true }), "Down").packets).toMatchObject([{ state: "Init" }]);
	});
	test("a change of state is told at once", () => {
		expect(hear(start(), "Down").packets).toMatchObject([{ state: "Init", yourDiscriminator: 22 }]);
	});
	test("the interval is the larger of ours and theirs, less a jitter of up to a quarter", () => {
		const session = up();
		expect(transmitIntervalMicros(session)).toBe(30_000);
		for (const [chance, next] of [
			[0, 30_000],
			[0.999_999, 22_500],
		] as const)
			expect(
				bfdStep(session, { kind: "timer" }, session.nextSendMicros!, chance).session.nextSendMicros,
			).toBe(session.nextSendMicros! + next);
	});
	test("with a multiplier of 1 a tenth at least is taken off", () => {
		expect(up({ multiplier: 1 }).nextSendMicros).toBe(27_000);
	});
	test("nothing to somebody who wants nothing", () => {
		const { session, packets } = hear(up(), "Up", 5, { requiredMinRxMicros: 0 });
		expect(packets).toEqual([]);
		expect(session.nextSendMicros).toBeNull();
	});
	test("nothing periodic to somebody in demand mode, once the poll has ended", () => {
		const polled = hear(up(), "Up", 5, { final: true }).session;
		expect(hear(polled, "Up", 6, { demand: true }).session.nextSendMicros).toBeNull();
	});
	test("a poll is answered at once, with the final bit alone", () => {
		const { packets } = hear(up(), "Up", 5, { poll: true });
		expect(packets).toMatchObject([{ final: true, poll: false, state: "Up" }]);
	});
});

describe("RFC 5880 §6.8.4: detection", () => {
	test("their multiplier times the slower of both", () => {
		expect(detectionTimeMicros(up())).toBe(3 * 20_000);
		expect(detectionTimeMicros(up({ minRxMicros: 50_000 }))).toBe(3 * 50_000);
	});
	test("silence: down with diagnostic 1, told at once and to those who track it", () => {
		const session = up();
		const { session: after, packets, report } = bfdStep(session, { kind: "timer" }, 60_000, 0);
		expect(after).toMatchObject({
			state: "Down",
			diagnostic: 1,
			remoteDiscriminator: 0,
			detectAtMicros: null,
		});
		expect(packets.at(-1)).toMatchObject({ state: "Down", diagnostic: 1, desiredMinTxMicros: SECOND });
		expect(report).toEqual({ up: false, reason: "nothing heard for 60 ms" });
	});
	test("the neighbor says down: diagnostic 3", () => {
		const result = hear(up(), "Down", 5, { diagnostic: 1 });
		expect(result.session).toMatchObject({ state: "Down", diagnostic: 3 });
		expect(result.report).toEqual({
			up: false,
			reason: "the neighbor says down: control detection time expired",
		});
	});
	test("RFC 5882 §4.2: a neighbor that is switched off on purpose is no failure", () => {
		const result = hear(up(), "AdminDown", 5);
		expect(result.session.state).toBe("Down");
		expect(result.report).toBeUndefined();
	});
});

describe("RFC 5880 §6.8.3: new intervals", () => {
	const polled = hear(up(), "Up", 5, { final: true, requiredMinRxMicros: 1 }).session;
	const configure = (change: Partial<BfdConfig>) =>
		bfdStep(polled, { kind: "configure", config: config(change) }, 6, 0).session;
	test("going up asks for them in a poll, which the final bit ends", () => {
		expect(up().polling).toBe(true);
		expect(polled.polling).toBe(false);
	});
	test("a longer one is asked for at once and used after the poll", () => {
		const session = configure({ minTxMicros: 40_000 });
		expect(session).toMatchObject({ polling: true, desiredMinTxMicros: 40_000, transmitMicros: 10_000 });
		expect(hear(session, "Up", 7, { final: true }).session.transmitMicros).toBe(40_000);
	});
	test("a shorter one is used at once", () => {
		expect(configure({ minTxMicros: 5_000 }).transmitMicros).toBe(5_000);
	});
	test("a shorter detection waits for the poll, a longer one does not", () => {
		expect(configure({ minRxMicros: 5_000 }).detectMinRxMicros).toBe(10_000);
		expect(configure({ minRxMicros: 50_000 }).detectMinRxMicros).toBe(50_000);
	});
});

test("RFC 5880 §6.8.16: switched off, the neighbor hears it once, and nothing is heard any more", () => {
	const { session, packets, report } = bfdStep(up(), { kind: "admin-down" }, 5, 0);
	expect(packets).toMatchObject([{ state: "AdminDown", diagnostic: 7 }]);
	expect(report).toEqual({ up: false, reason: "switched off here" });
	expect(bfdWakeMicros(session)).toBeNull();
	expect(hear(session, "Up").session.state).toBe("AdminDown");
});

describe("RFC 5880 §6.3, RFC 5881 §5: whose packet it is", () => {
	const sessions = new Map([[11, { session: up() }]]);
	const near: Arrival = { source: "192.0.2.2", hopLimit: 255, multihop: false };
	test.each<[string, Partial<BfdControl>, Partial<Arrival>, string]>([
		["our discriminator", {}, {}, "peer"],
		["none yet: the address", { yourDiscriminator: 0 }, {}, "peer"],
		["another discriminator", { yourDiscriminator: 12 }, {}, "no session with 192.0.2.2"],
		["a stranger", { yourDiscriminator: 0 }, { source: "192.0.2.3" }, "no session with 192.0.2.3"],
		[
			"a stranger who knows the discriminator",
			{},
			{ source: "192.0.2.3" },
			"192.0.2.3 uses the discriminator of peer, whose neighbor is 192.0.2.2",
		],
		["routed", {}, { hopLimit: 254 }, "192.0.2.2: TTL 254, and peer wants 255 or more (ttl, max_hops)"],
		["the other port", { yourDiscriminator: 0 }, { multihop: true }, "no session with 192.0.2.2"],
	])("%s", (_title, control, arrival, expected) => {
		const found = sessionFor(sessions, packet("Up", control), { ...near, ...arrival });
		expect(typeof found === "string" ? found : found.session.config.name).toBe(expected);
	});
	test("max_hops allows as many", () => {
		const few = new Map([[11, { session: up({ maxHops: 1 }) }]]);
		expect(sessionFor(few, packet("Up"), { ...near, hopLimit: 254 })).toBeObject();
		const any = new Map([[11, { session: up({ maxHops: -1 }) }]]);
		expect(sessionFor(any, packet("Up"), { ...near, hopLimit: -1 })).toBeObject();
	});
});

/** Two sessions over a cable of 1 ms that loses with `loss`; until `cutAt` µs, then nothing gets through. */
class Cable {
	readonly ends: [BfdSession, BfdSession];
	readonly reports: { readonly end: number; readonly atMicros: number; readonly up: boolean }[] = [];
	nowMicros = 0;
	#flying: { readonly atMicros: number; readonly to: 0 | 1; readonly control: BfdControl }[] = [];
	readonly #random: () => number;
	readonly #loss: number;
	cut = false;

	constructor(a: BfdConfig, b: BfdConfig, seed: number, loss: number) {
		this.ends = [newBfdSession(a, 1, 0), newBfdSession(b, 2, 0)];
		let state = seed >>> 0 || 1;
		this.#random = () => {
			state ^= state << 13;
			state ^= state >>> 17;
			state ^= state << 5;
			return (state >>> 0) / 2 ** 32;
		};
		this.#loss = loss;
	}

	run(untilMicros: number): void {
		for (;;) {
			const wakes = this.ends.map((end) => bfdWakeMicros(end) ?? Number.POSITIVE_INFINITY);
			const arrival = this.#flying[0]?.atMicros ?? Number.POSITIVE_INFINITY;
			const next = Math.min(...wakes, arrival);
			if (next > untilMicros) break;
			this.nowMicros = Math.max(this.nowMicros, next);
			if (arrival === next) {
				const { to, control } = this.#flying.shift()!;
				this.#step(to, { kind: "packet", control });
			} else this.#step(wakes[0] === next ? 0 : 1, { kind: "timer" });
		}
		this.nowMicros = untilMicros;
	}

	#step(end: 0 | 1, event: BfdEvent): void {
		const result: BfdStep = bfdStep(this.ends[end], event, this.nowMicros, this.#random());
		this.ends[end] = result.session;
		if (result.report) this.reports.push({ end, atMicros: this.nowMicros, up: result.report.up });
		for (const control of result.packets)
			if (!this.cut && this.#random() >= this.#loss)
				this.#flying.push({ atMicros: this.nowMicros + 1_000, to: end === 0 ? 1 : 0, control });
	}
}

describe("two sessions on one cable", () => {
	const milliseconds = fc.integer({ min: 1, max: 400 }).map((value) => value * 1_000);
	const numbers = fc.record({
		minRxMicros: milliseconds,
		minTxMicros: milliseconds,
		multiplier: fc.integer({ min: 3, max: 10 }),
	});
	test("both come up within 4 s, whatever their numbers; a cut is seen within the detection time", () => {
		fc.assert(
			fc.property(numbers, numbers, fc.boolean(), fc.nat(), (a, b, passive, seed) => {
				const cable = new Cable(config(a), config({ ...b, passive }), seed, 0);
				cable.run(4 * SECOND);
				expect(cable.ends.map(({ state }) => state)).toEqual(["Up", "Up"]);
				cable.run(20 * SECOND);
				expect(cable.reports.map((report) => report.up)).toEqual([true, true]);
				cable.cut = true;
				const limits = cable.ends.map((end) => detectionTimeMicros(end));
				cable.run(60 * SECOND);
				for (const end of [0, 1] as const) {
					const down = cable.reports.find((report) => report.end === end && !report.up);
					expect(down).toBeDefined();
					expect(down!.atMicros).toBeLessThanOrEqual(20 * SECOND + 1_000 + limits[end]!);
				}
			}),
			{ numRuns: 200 },
		);
	});
	test("after any losses they come up again when the cable is whole", () => {
		fc.assert(
			fc.property(fc.nat(), fc.double({ min: 0.3, max: 1, noNaN: true }), (seed, loss) => {
				const cable = new Cable(config(), config(), seed, loss);
				cable.run(30 * SECOND);
				const whole = new Cable(config(), config(), seed, 0);
				whole.ends[0] = cable.ends[0];
				whole.ends[1] = cable.ends[1];
				whole.nowMicros = cable.nowMicros;
				whole.run(40 * SECOND);
				expect(whole.ends.map(({ state }) => state)).toEqual(["Up", "Up"]);
			}),
			{ numRuns: 100 },
		);
	});
});
