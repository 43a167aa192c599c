/** The ban lurker: tests stored objects against bans in the background, so that bans come to an end. */
import type { StoredObject } from "../store/arena.ts";
import { answerOf } from "./answer.ts";
import { type Engine, Main } from "./engine.ts";

export class BanLurker {
	readonly #engine: Engine;
	#slot = 0;
	#oldestSoFar = Number.POSITIVE_INFINITY;
	#timer: ReturnType<typeof setTimeout> | undefined;
	/** The oldest ban that an object still has to be tested against, as of the last full round. */
	oldest: number | undefined;

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
		const ripe = bans.all.filter((ban) => now - ban.addedAt >= parameters.banLurkerAge);
		if (ripe.length === 0) return Math.max(0.05, parameters.banLurkerSleep);
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
		this.oldest = Math.min(this.#oldestSoFar, ripe.at(-1)!.number);
		bans.finish(this.oldest);
		this.#oldestSoFar = Number.POSITIVE_INFINITY;
		return Math.max(parameters.banLurkerSleep, 0.02);
	}

	/** Tests one object as far as can be without a request; returns the ban it has reached, nothing when it was banned. */
	#test(object: StoredObject, now: number): number | undefined {
		const engine = this.#engine;
		const { bans, arena, parameters } = engine;
		let reached = object.ban;
		const answer = answerOf(object, []);
		for (const ban of bans.all) {
			if (ban.number <= object.ban) continue;
			if (now - ban.addedAt < parameters.banLurkerAge) break;
			if (ban.completed) {
				reached = ban.number;
				continue;
			}
			if (ban.needsRequest) return reached;
			engine.count(Main.bans_lurker_tested);
			engine.count(Main.bans_lurker_tests_tested, ban.tests.length);
			const held = bans.holds(ban.number - 1, {
				request: undefined,
				object: {
					status: answer.status,
					age: now - answer.tOrigin,
					ttl: answer.ttl,
					grace: answer.grace,
					keep: answer.keep,
					header: (key) => answer.fields.get(key),
				},
			});
			if (held !== undefined) {
				engine.count(Main.bans_obj_killed);
				engine.count(Main.bans_lurker_obj_killed);
				arena.remove(object, "banned", held.number);
				return undefined;
			}
			reached = ban.number;
		}
		if (reached > object.ban) arena.noteBan(object, reached);
		return reached;
	}
}
