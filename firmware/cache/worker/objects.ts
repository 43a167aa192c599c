/**
 * The objects that this worker looked up lately, parsed. In front of the shared store: an entry is good as long
 * as its shard's version stands, so a hit costs one map look-up and one atomic load.
 */
import type { FieldList } from "../http/headers.ts";
import type { Arena } from "../store/arena.ts";
import { variantTest } from "../store/vary.ts";
import { type Answer, answerOf } from "./answer.ts";

/** Keys of which it is known that they were looked up before; a power of two. */
const SEEN_SLOTS = 8192;
/** Keys remembered. An entry holds parsed heads, about 1 to 2 KB; bodies stay in the store. */
const ENTRY_LIMIT = 4096;

export interface CachedKey {
	readonly shard: number;
	readonly version: number;
	/** Newest first. */
	readonly answers: readonly Answer[];
}

interface Selecting {
	readonly fields: FieldList;
	readonly hashIgnoreVary: boolean;
}

export class Objects {
	readonly #arena: Arena;
	readonly #storageNames: readonly string[];
	/** Two generations: when the young one is full it becomes the old one, and the old one is forgotten. */
	#young = new Map<string, CachedKey>();
	#old = new Map<string, CachedKey>();
	/** Fingerprints: a key is remembered at its second look-up, most keys of a large store never. */
	readonly #seen = new Int32Array(SEEN_SLOTS);

	constructor(arena: Arena, storageNames: readonly string[]) {
		this.#arena = arena;
		this.#storageNames = storageNames;
	}

	/** Records are made otherwise from now on (vsl_mask, vsl_reclen): those of stored heads too. */
	forget(): void {
		this.#young = new Map();
		this.#old = new Map();
	}

	/** Where there are many variants, the answers are those that `request` may have and one of the others. */
	find(key: string, request: Selecting): CachedKey {
		let entry = this.#young.get(key);
		if (entry === undefined) {
			entry = this.#old.get(key);
			if (entry !== undefined) this.#remember(key, entry);
		}
		if (entry !== undefined && this.#arena.version(entry.shard) === entry.version) return entry;
		const selects = request.hashIgnoreVary ? () => true : variantTest(request.fields);
		const { objects, whole } = this.#arena.select(key, selects);
		const shard = objects[0]?.shard ?? this.#arena.shardOf(key);
		const fresh: CachedKey = {
			shard,
			version: objects[0]?.version ?? -1,
			answers: objects.map((object) => answerOf(object, this.#storageNames)),
		};
		if (objects.length === 0) {
			if (entry !== undefined) this.#young.delete(key);
		} else if (whole && (entry !== undefined || this.#sawBefore(key))) this.#remember(key, fresh);
		return fresh;
	}

	#sawBefore(key: string): boolean {
		const fingerprint = this.#arena.fingerprintOf(key);
		const at = fingerprint & (SEEN_SLOTS - 1);
		const before = this.#seen[at] === fingerprint;
		this.#seen[at] = fingerprint;
		return before;
	}

	#remember(key: string, entry: CachedKey): void {
		if (this.#young.size >= ENTRY_LIMIT / 2) {
			this.#old = this.#young;
			this.#young = new Map();
		}
		this.#young.set(key, entry);
	}
}
