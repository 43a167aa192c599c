/**
 * Consistent hashing for the shard director: each member owns `replicas` points of a circle of 2^32; a key belongs to
 * the next point. A member's loss moves only its own keys. Pure.
 */
import { hashPoint } from "./pick.ts";

export interface RingPoint {
	readonly point: number;
	/** Index of the member. */
	readonly member: number;
}

export interface RingMember {
	readonly ident: string;
	readonly replicas: number;
}

/** Bound of the points of one circle: about a second of a processor. */
export const maxPoints = 1_000_000;

/** Null: the members have more than `maxPoints` replicas together. */
export function buildRing(members: readonly RingMember[]): RingPoint[] | null {
	if (members.reduce((sum, { replicas }) => sum + replicas, 0) > maxPoints) return null;
	const points: RingPoint[] = [];
	for (const [member, { ident, replicas }] of members.entries())
		for (let replica = 0; replica < replicas; replica++)
			points.push({ point: hashPoint(`${ident}${replica}`), member });
	return points.sort((a, b) => a.point - b.point || a.member - b.member);
}

/**
 * Index of the first point at or after the key; behind the last point it is the last one, and of two points it is always
 * the last one: where varnishd's search ends.
 */
export function ringIndex(ring: readonly RingPoint[], key: number): number {
	if (ring.length === 2) return 1;
	let low = 0;
	let high = ring.length;
	while (low < high) {
		const middle = (low + high) >>> 1;
		if (ring[middle]!.point < key) low = middle + 1;
		else high = middle;
	}
	return Math.min(low, ring.length - 1);
}

export interface ShardChoice {
	readonly key: number;
	/** The n-th alternative member on the circle. */
	readonly alternative: number;
	/** Share of requests given to the next member to warm it up; -1 = `defaultWarmup`. */
	readonly warmup: number;
	readonly rampup: boolean;
	readonly healthy: "CHOSEN" | "IGNORE" | "ALL";
}

export interface ShardWorld {
	healthy(member: number): boolean;
	/** Seconds since 1970. */
	changedAt(member: number): number;
	rampupSeconds(member: number): number;
	readonly defaultWarmup: number;
	/** Seconds since 1970. */
	readonly now: number;
	/** In [0, 1). */
	random(): number;
}

/** Which member serves the key; null when none can. */
export function pickShard(
	ring: readonly RingPoint[],
	memberCount: number,
	choice: ShardChoice,
	world: ShardWorld,
): number | null {
	if (memberCount === 0 || ring.length === 0) return null;
	const alternative = Math.min(Math.max(choice.alternative, 0), memberCount - 1);
	const seen = new Set<number>();
	let at = ringIndex(ring, choice.key);
	let previous = -1;
	let last = -1;
	/** Walks on to the next member after skipping `skip` of them; false when the circle is used up. */
	const next = (skip: number, onlyHealthy: boolean): boolean => {
		let left = skip;
		while (seen.size < memberCount) {
			const { member } = ring[at]!;
			if (!seen.has(member)) {
				seen.add(member);
				const up = world.healthy(member);
				if ((up || !onlyHealthy) && left-- === 0) {
					if (last >= 0) previous = last;
					last = member;
					return true;
				}
				if (up) previous = member;
			}
			at = (at + 1) % ring.length;
		}
		return false;
	};
	if (alternative > 0 && !next(alternative - 1, choice.healthy === "ALL"))
		return previous >= 0 ? previous : null;
	if (!next(0, choice.healthy !== "IGNORE")) return previous >= 0 ? previous : null;
	const chosen = last;
	const warmup = choice.warmup === -1 ? world.defaultWarmup : choice.warmup;
	if (alternative > 0 || choice.healthy === "IGNORE" || (!choice.rampup && warmup === 0)) return chosen;
	if (!next(0, true)) return chosen;
	const other = last;
	const age = world.now - world.changedAt(chosen);
	const ramp = world.rampupSeconds(chosen);
	if (age < ramp) {
		if (
			!choice.rampup ||
			world.now - world.changedAt(other) < world.rampupSeconds(other) ||
			world.random() * ramp < age
		)
			return chosen;
	} else if (warmup === 0 || world.random() > warmup) return chosen;
	return other;
}
