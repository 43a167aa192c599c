/** The ban lurker: tests stored objects against bans in the background, so that bans come to an end. */
import type { StoredObject } from "../store/arena.ts";
import { type Ban, type BansFinished, tryBan } from "../store/bans.ts";
import { answerOf, bannable } from "./answer.ts";
import { type Engine, Main } from "./engine.ts";

/** Between rounds when no ban ripens: what waits for requests meanwhile may be over by then. */
const ROUND_REST_SECONDS = 0.5;
const LEAST_REST_SECONDS = 0.02;

export class BanLurker {
	readonly #engine: Engine;
	#slot = 0;
	/** Of the round under way: the newest ban that it tests, and the oldest that an object stays at. */
	#newest = 0;
	/** Objects that have come no further than this ban are given up (ban_cutoff). */
	#cutoff = -1;
	#oldestSoFar = Number.POSITIVE_INFINITY;
	/** Until the next round. */
	#restSeconds = ROUND_REST_SECONDS;
	#timer: ReturnType<typeof setTimeout> | undefined;
	/** As of the last full round. */
	finished: BansFinished | undefined;

	constructor(engine: Engine) {
		this.#engine = engine;
	}

	run(): void {
		const { banLurkerSleep } = this.#engine.parameters;
		const pause = banLurkerSleep > 0 ? this.#batch() : 1;
		this.#timer = setTimeout(() => this.run(), pause * 1000);
	}

	/** A ban came: look sooner. */
	wake(): void {
		if (this.#timer === undefined) return;
		clearTimeout(this.#timer);
		this.#timer = setTimeout(() => this.run(), 10);
	}

	/** One batch; returns for how many seconds to rest. */
	#batch(): number {
		const engine = this.#engine;
		const { bans, arena, parameters } = engine;
		const now = engine.now();
		if (this.#slot === 0) {
			const young = bans.all.findIndex((ban) => now - ban.addedAt < parameters.banLurkerAge);
			const ripe = young < 0 ? bans.all : bans.all.slice(0, young);
			const ripensIn =
				young < 0 ? Number.POSITIVE_INFINITY : bans.all[young]!.addedAt + parameters.banLurkerAge - now;
			this.#restSeconds = Math.min(ROUND_REST_SECONDS, Math.max(ripensIn, LEAST_REST_SECONDS));
			// A list of one that is over is as short as it gets.
			if (ripe.length < 2 && !ripe.some(({ completed }) => !completed)) return this.#restSeconds;
			this.#newest = ripe.at(-1)!.number;
			const { banCutoff } = parameters;
			this.#cutoff = banCutoff > 0 ? (bans.all.at(-banCutoff)?.number ?? -1) : -1;
		}
		const { objects, next } = arena.walk(this.#slot, parameters.banLurkerBatch);
		for (const object of objects) {
			const reached = this.#test(object, now);
			if (reached !== undefined) this.#oldestSoFar = Math.min(this.#oldestSoFar, reached);
		}
		if (next >= 0) {
			this.#slot = next;
			return parameters.banLurkerSleep;
		}
		this.#slot = 0;
		// Something may have been stored behind its back.
		const all = engine.endBans(Math.min(this.#oldestSoFar, this.#newest));
		this.finished = { all, ofObjects: this.#newest };
		bans.finish(this.finished);
		this.#oldestSoFar = Number.POSITIVE_INFINITY;
		return this.#restSeconds;
	}

	/**
	 * Tests one object against all bans that need no request; returns the newest that it is past together with all older
	 * ones, nothing when it was banned. What a request ban keeps it from passing is tested in one round only: then the
	 * ban is completed.
	 */
	#test(object: StoredObject, now: number): number | undefined {
		const { bans, arena } = this.#engine;
		let reached = object.ban;
		let blocked = false;
		for (const ban of bans.all) {
			if (ban.number <= object.ban) continue;
			if (ban.number > this.#newest) break;
			if (!ban.completed && object.ban <= this.#cutoff) {
				this.#engine.count(Main.bans_lurker_obj_killed_cutoff);
				arena.remove(object, "evicted");
				return undefined;
			}
			if (!ban.completed && ban.needsRequest) blocked = true;
			else if (!ban.completed && this.#holds(ban, object, now)) {
				arena.remove(object, "banned", ban.number);
				return undefined;
			}
			if (!blocked) reached = ban.number;
		}
		if (reached > object.ban) arena.noteBan(object, reached);
		return reached;
	}

	#holds(ban: Ban, object: StoredObject, now: number): boolean {
		const engine = this.#engine;
		engine.count(Main.bans_lurker_tested);
		const subject = { request: undefined, object: bannable(answerOf(object, []), now) };
		const { holds, tests } = tryBan(ban, subject);
		engine.count(Main.bans_lurker_tests_tested, tests);
		if (holds) engine.count(Main.bans_lurker_obj_killed);
		return holds;
	}
}
