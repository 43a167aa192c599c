/** What a fetch leaves in the store: the answer, or a mark that there is none to be had. */
import { encodeProgram } from "../esi/program.ts";
import type { ObjectMeta, StoredObject } from "../store/arena.ts";
import type { Stored } from "../store/freshness.ts";
import { Flag, TRANSIENT } from "../store/layout.ts";
import { noTags } from "../store/tags.ts";
import { type Answer, headText } from "./answer.ts";
import type { Engine } from "./engine.ts";

export interface Fetched {
	/** What vcl_hash fed. */
	readonly key: string;
	/** The fetch's transaction number. */
	readonly xid: number;
	/** Number of the newest ban when it began. */
	readonly ban: number;
	/** A stale object was asked about. */
	readonly refreshes: boolean;
	/** Whether it has been purged since it began, or a ban has come and gone. */
	readonly isOutdated: () => boolean;
}

/** What is stored of `answer` beside its body. `remembered`: only to be asked about (no-cache). */
export function metaOf(
	engine: Engine,
	{ key, xid, ban, isOutdated }: Fetched,
	answer: Answer,
	remembered: boolean,
): ObjectMeta {
	const { fields } = answer;
	// Hardly any answer has tags; looking into the head for them takes longer.
	const tagged = fields.has("xkey") || fields.has("x-hashtwo");
	return {
		key,
		vary: answer.vary,
		head: headText(answer),
		tOrigin: answer.tOrigin,
		ttl: answer.ttl,
		grace: answer.grace,
		keep: answer.keep,
		insertedAt: answer.insertedAt,
		flags:
			(answer.gzip ? Flag.gzip : 0) |
			(answer.strict ? Flag.strict : 0) |
			(remembered ? Flag.hitForMiss | Flag.remembered : 0),
		vxid: xid,
		ban,
		marks: tagged ? undefined : noTags,
		esi: answer.esi === undefined ? undefined : encodeProgram(answer.esi),
		storage: engine.storageNumber(answer.storage),
		isOutdated,
	};
}

/** What never was fresh takes no place but that of the object that was asked about: another may still be in its grace. */
export const replacesOlder = ({ refreshes }: Fetched, { ttl }: Answer): boolean => refreshes || ttl > 0;

/** Stores `answer` in place of older ones of the same variant; false when there is no room. */
export function storeAnswer(
	engine: Engine,
	fetched: Fetched,
	answer: Answer,
	remembered: boolean,
	pieces: readonly Uint8Array[],
): boolean {
	const meta = metaOf(engine, fetched, answer, remembered);
	const { arena } = engine;
	return replacesOlder(fetched, answer)
		? arena.replace(meta, pieces)
		: arena.insert(meta, pieces) !== undefined;
}

/** Remembers for that long that the answers to `key` are not for hits. */
export function storeMarker(
	engine: Engine,
	{ key, xid }: Pick<Fetched, "key" | "xid">,
	kind: "hitForMiss" | "hitForPass",
	{ vary, head }: Pick<ObjectMeta, "vary" | "head">,
	lifetime: Pick<Stored, "tOrigin" | "ttl" | "grace" | "keep">,
	now: number,
): StoredObject | undefined {
	return engine.arena.insert(
		{
			key,
			vary,
			head,
			...lifetime,
			insertedAt: now,
			flags: Flag[kind],
			vxid: xid,
			ban: engine.bans.newest,
			storage: engine.storageNumber(TRANSIENT),
		},
		[],
	);
}
