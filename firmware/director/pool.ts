/**
 * One virtual server's state: which of its real servers are up and with what weight, what the
 * operator has overridden, and whether the quorum holds. Pure: an event in, the next state and
 * the notices that follow from it out. What the kernel should hold is read off it in `desired.ts`.
 */
import type { RealServerConfig, VirtualServerConfig } from "../config/model.ts";
import type { CheckOf, Outcome } from "../health/checker.ts";
import { effectiveWeight } from "../health/verdict.ts";
import { endpointText } from "../wire/ipvs.ts";
import { quorumDownAtStart, quorumHolds, quorumKept, quorumLetter, quorumReason } from "./quorum.ts";

/**
 * An operator's word on one real server; it counts as down for the quorum.
 *  - draining: weight 0 until its last connection has ended
 *  - drained: out of the table, after draining
 *  - maintenance: out of the table at once
 */
export type Override = "draining" | "drained" | "maintenance";

export interface PoolMember {
	/** The checks' verdict. */
	readonly alive: boolean;
	/** Effective weight: the file's, or what misc_dynamic made of it. */
	readonly weight: number;
	readonly override: Override | null;
}

export interface Pool {
	readonly config: VirtualServerConfig;
	/** One for each of `config.realServers`, in their order. */
	readonly members: readonly PoolMember[];
	readonly quorumUp: boolean;
}

export type PoolEvent =
	| {
			readonly kind: "verdict";
			readonly member: number;
			readonly alive: boolean;
			readonly weight: number;
			readonly reason: string;
	  }
	| { readonly kind: "override"; readonly member: number; readonly override: Override | null };

/** What the world outside is told: by scripts, FIFO, mail, log and subscribers. */
export type Notice =
	| {
			readonly kind: "real-server";
			readonly pool: Pool;
			readonly member: number;
			readonly up: boolean;
			readonly reason: string;
			/**
			 * It is so from the start. Of one that is up keepalived tells then only with rs_init_notifies; of one that is
			 * down, by `alpha`, when a check first says why.
			 */
			readonly initial: boolean;
			/** What a letter says in place of the reason. */
			readonly letter?: string;
			readonly stopped?: boolean;
	  }
	| {
			readonly kind: "quorum";
			readonly pool: Pool;
			readonly up: boolean;
			readonly reason: string;
			readonly letter: string;
			/** The director ends. */
			readonly stopped?: boolean;
	  };

/** Why a pool is closed, and in keepalived's words to those who get letters. */
const ends = {
	removed: { reason: "no longer configured", letter: "Removing" },
	stopped: { reason: "the director stops", letter: "Shutting down" },
} as const;

export interface PoolStep {
	readonly pool: Pool;
	readonly notices: readonly Notice[];
}

/** Does it take new connections, as far as it alone is concerned? */
export function isServing(member: PoolMember): boolean {
	return member.alive && member.override === null;
}

/** The sum that the quorum is judged by. */
export function liveWeight({ members }: Pool): number {
	return weightOfServing(members);
}

function weightOfServing(members: readonly PoolMember[]): number {
	let sum = 0;
	for (const member of members) if (isServing(member)) sum += member.weight;
	return sum;
}

/** The checks' verdict on one real server, by its place in the configuration. */
export type VerdictOf = (
	member: number,
	server: RealServerConfig,
) => { readonly alive: boolean; readonly weight: number };

/** What a FILE_CHECK says now. */
export type ReadFile = (check: CheckOf<"FILE_CHECK">) => Outcome;

/**
 * A real server's verdict before its first probe: up, except with alpha (keepalived.conf(5)), and what its files say,
 * since that takes no probe.
 */
export function initialVerdict({ checks, weight }: RealServerConfig, readFile: ReadFile): PoolMember {
	// Of tens of thousands without any, not even an iterator is made.
	if (checks.length === 0) return memberOf(true, weight, null);
	let alive = true;
	let moved = weight;
	for (const check of checks) {
		if (check.kind !== "FILE_CHECK") {
			alive &&= !check.timing.alpha;
			continue;
		}
		const outcome = readFile(check);
		alive &&= outcome.kind === "passed";
		if (outcome.kind === "passed") moved = effectiveWeight(moved, [outcome.effect]);
	}
	return memberOf(alive, moved, null);
}

/**
 * A virtual server at start; real servers that are up from the start are noticed if anybody is to be told.
 * `quorumHeld`: an earlier run had its quorum. Loops: of a thousand of them, functions that are handed over would
 * take more room than the pools.
 */
export function openPool(
	config: VirtualServerConfig,
	verdictOf: VerdictOf,
	tellsInitial = true,
	quorumHeld = false,
): PoolStep {
	const { realServers } = config;
	const members = new Array<PoolMember>(realServers.length);
	for (let index = 0; index < members.length; index++) {
		const { alive, weight } = verdictOf(index, realServers[index]!);
		members[index] = memberOf(alive, weight, null);
	}
	const weight = weightOfServing(members);
	const pool: Pool = { config, members, quorumUp: quorumHolds(quorumHeld, weight, config) };
	const notices: Notice[] = [];
	if (tellsInitial)
		for (let index = 0; index < members.length; index++)
			if (members[index]!.alive) notices.push(upNotice(pool, index, "at start", true));
	if (pool.quorumUp) notices.push(quorumNotice(pool, weight, quorumHeld, true));
	// As keepalived: who begins on the sorry server says so.
	else if (config.sorryServer !== null && members.length > 0)
		notices.push({
			kind: "quorum",
			pool,
			up: false,
			reason: quorumDownAtStart(weight, config),
			letter: quorumLetter(false, false, true, weight, config),
		});
	return { pool, notices };
}

/** A real server that was never up has had its first bad answer. */
export function staysDownNotice(pool: Pool, member: number, reason: string): Notice {
	return { ...upNotice(pool, member, reason, true), up: false };
}

/** One event. Unknown members are ignored: a verdict may arrive after the reload that removed its server. */
export function stepPool(pool: Pool, event: PoolEvent): PoolStep {
	const before = pool.members[event.member];
	if (before === undefined) return { pool, notices: [] };
	const after: PoolMember =
		event.kind === "verdict"
			? { alive: event.alive, weight: event.weight, override: before.override }
			: { ...before, override: event.override };
	if (after.alive === before.alive && after.weight === before.weight && after.override === before.override)
		return { pool, notices: [] };
	const members = pool.members.slice();
	members[event.member] = after;
	const next: Pool = { ...pool, members };
	const notices: Notice[] = [];
	if (event.kind === "verdict" && after.alive !== before.alive)
		notices.push({ ...upNotice(next, event.member, event.reason, false), up: after.alive });
	const judged = judgeQuorum(next);
	return { pool: judged.pool, notices: [...notices, ...judged.notices] };
}

/**
 * The same virtual server under a new configuration: verdicts, overrides and the quorum are carried over; a new real
 * server is as at start (`verdictOf`); one that is gone is reported down. Whoever knows better than the old verdicts
 * says so with verdict events afterwards.
 */
export function reloadPool(old: Pool, config: VirtualServerConfig, verdictOf: VerdictOf): PoolStep {
	const notices: Notice[] = [];
	const fresh: number[] = [];
	// Nearly always the same servers stand in the same places; names are only looked up when they do not.
	const aligned =
		config.realServers.length === old.config.realServers.length &&
		config.realServers.every(({ address, port }, index) => {
			const other = old.config.realServers[index]!;
			return address === other.address && port === other.port;
		});
	const before = new Map(
		aligned ? [] : old.config.realServers.map((server, index) => [endpointText(server), index]),
	);
	const members = config.realServers.map((server, index): PoolMember => {
		const known = aligned ? index : before.get(endpointText(server));
		if (known === undefined) {
			fresh.push(index);
			const { alive, weight } = verdictOf(index, server);
			return memberOf(alive, weight, null);
		}
		if (!aligned) before.delete(endpointText(server));
		const { alive, weight, override } = old.members[known]!;
		// A weight that a check has set stays until the check says another.
		const configured = weight === old.config.realServers[known]!.weight;
		return memberOf(alive, configured ? server.weight : weight, override);
	});
	const renewed: Pool = { config, members, quorumUp: old.quorumUp };
	for (const index of fresh)
		if (members[index]!.alive) notices.push(upNotice(renewed, index, "newly configured", true));
	for (const index of before.values())
		if (old.members[index]!.alive) notices.push(downNotice(old, index, "removed"));
	const judged = judgeQuorum(renewed, true);
	return { pool: judged.pool, notices: [...notices, ...judged.notices] };
}

/**
 * What is reported of a virtual server that is taken away, and with `omega` when the director stops: then, as with
 * keepalived, also of one that had no quorum.
 */
export function closePool(pool: Pool, end: keyof typeof ends): readonly Notice[] {
	const notices: Notice[] = [];
	pool.members.forEach((member, index) => {
		if (member.alive) notices.push(downNotice(pool, index, end));
	});
	if (pool.quorumUp || end === "stopped") notices.push(closedNotice(pool, end));
	return notices;
}

/** A virtual server's own notice of it. */
export function closedNotice(pool: Pool, end: keyof typeof ends): Notice {
	const { reason, letter } = ends[end];
	const about = { kind: "quorum", pool, up: false, reason } as const;
	return end === "stopped"
		? { ...about, letter, stopped: true }
		: { ...about, letter: quorumLetter(false, true, false, 0, pool.config) };
}

function downNotice(pool: Pool, member: number, end: keyof typeof ends): Notice {
	const { reason, letter } = ends[end];
	const notice = { ...upNotice(pool, member, reason, false), up: false, letter };
	return end === "stopped" ? { ...notice, stopped: true } : notice;
}

/** Weights up to this are nearly all there are. */
const COMMON_WEIGHTS = 256;
const commonMembers: { readonly [alive in "up" | "down"]: PoolMember[] } = { up: [], down: [] };

/** Members are values: tens of thousands of them that say the same are one. */
function memberOf(alive: boolean, weight: number, override: Override | null): PoolMember {
	if (override !== null || weight >= COMMON_WEIGHTS) return { alive, weight, override };
	const common = commonMembers[alive ? "up" : "down"];
	common[weight] ??= { alive, weight, override: null };
	return common[weight];
}

function upNotice(
	pool: Pool,
	member: number,
	reason: string,
	initial: boolean,
): Extract<Notice, { kind: "real-server" }> {
	return { kind: "real-server", pool, member, up: true, reason, initial };
}

function judgeQuorum(pool: Pool, atReading = false): PoolStep {
	const held = pool.quorumUp;
	const weight = liveWeight(pool);
	const up = quorumHolds(held, weight, pool.config);
	if (up === pool.quorumUp) return { pool, notices: [] };
	const next: Pool = { ...pool, quorumUp: up };
	return { pool: next, notices: [quorumNotice(next, weight, held, atReading)] };
}

/** `held`: it was up before, or in an earlier run. */
function quorumNotice(pool: Pool, weight: number, held: boolean, atReading: boolean): Notice {
	const { config, quorumUp: up } = pool;
	const reason = up && held ? quorumKept(weight, config) : quorumReason(up, weight, config);
	return { kind: "quorum", pool, up, reason, letter: quorumLetter(up, held, atReading, weight, config) };
}
