/** The object store: what goes in comes out, the budget holds, eviction keeps what is used, a restart loses nothing whole. */
import { afterAll, describe, expect, test } from "bun:test";
import {
	closeSync,
	mkdtempSync,
	openSync,
	readFileSync,
	rmSync,
	statSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
	Arena,
	type ObjectMeta,
	type StoredObject,
	VARIANT_LIMIT,
} from "../../../firmware/cache/store/arena.ts";
import { Book } from "../../../firmware/cache/store/book.ts";
import {
	Control,
	Flag,
	planLayout,
	RECORD_MAGIC,
	Record,
	SEGMENT_WORDS,
	Segment,
	SLOT_WORDS,
	Slot,
	STORE_VERSION,
	STORE_VERSION_BEFORE,
	type StoreSizes,
} from "../../../firmware/cache/store/layout.ts";
import { Segments } from "../../../firmware/cache/store/segments.ts";
import { Wheel } from "../../../firmware/cache/store/wheel.ts";

const directory = mkdtempSync(join(tmpdir(), "drover-arena-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
let files = 0;
const NOW = 1_700_000_000;

function fresh(sizes: StoreSizes): { arena: Arena; path: string } {
	const path = join(directory, `store-${files++}`);
	Arena.create(path, sizes, NOW);
	return { arena: Arena.open(path, sizes, 0), path };
}

function meta(key: string, more: Partial<ObjectMeta> = {}): ObjectMeta {
	return {
		key,
		vary: "",
		head: "HTTP/1.1 200 OK\r\nX: y\r\n",
		tOrigin: NOW,
		ttl: 60,
		grace: 10,
		keep: 0,
		insertedAt: NOW,
		flags: 0,
		vxid: 1,
		ban: 0,
		storage: 0,
		...more,
	};
}

const body = (text: string) => [Buffer.from(text)];
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");

describe("layout", () => {
	test("never takes more than the budget, and leaves most of it to data", () => {
		for (const megabytes of [1, 8, 100, 1024, 20_000]) {
			const layout = planLayout(megabytes * 1048576);
			expect(layout.totalBytes).toBeLessThanOrEqual(megabytes * 1048576);
			expect((layout.segmentBytes * layout.segmentCount) / layout.totalBytes).toBeGreaterThan(0.75);
		}
	});
});

describe("objects", () => {
	test("come out as they went in, newest first", () => {
		const { arena } = fresh(1 << 20);
		arena.insert(meta("/a", { vxid: 1 }), body("one"));
		arena.insert(meta("/a", { vxid: 2, insertedAt: NOW + 1, vary: "v" }), [
			Buffer.from("tw"),
			Buffer.from("o"),
		]);
		arena.insert(meta("/b", { vxid: 3 }), []);
		const found = arena.lookup("/a");
		expect(found.map((object) => [object.vxid, text(object.body), object.vary])).toEqual([
			[2, "two", "v"],
			[1, "one", ""],
		]);
		expect(arena.lookup("/b")[0]!.bodyBytes).toBe(0);
		expect(arena.lookup("/c")).toEqual([]);
		expect(arena.figures().objects).toBe(3);
	});

	test("replace() takes the older objects of that variant out, and no others", () => {
		const { arena } = fresh(1 << 20);
		arena.insert(meta("/a", { vxid: 1 }), body("one"));
		arena.insert(meta("/a", { vxid: 2, vary: "v" }), body("other variant"));
		arena.insert(meta("/a", { vxid: 3, insertedAt: NOW + 5 }), body("newer"));
		arena.insert(meta("/b", { vxid: 4 }), body("other key"));
		expect(arena.replace(meta("/a", { vxid: 5, insertedAt: NOW + 1 }), body("five"))).toBe(true);
		expect(arena.lookup("/a").map(({ vxid }) => vxid)).toEqual([3, 5, 2]);
		expect(arena.lookup("/b").map(({ vxid }) => vxid)).toEqual([4]);
	});
	test("a second process sees them, and sees them go", () => {
		const { arena, path } = fresh(1 << 20);
		const other = Arena.open(path, 1 << 20, 1);
		const object = arena.insert(meta("/a"), body("one"))!;
		const seen = other.lookup("/a")[0]!;
		expect(text(seen.body)).toBe("one");
		expect(arena.remove(object)).toBe(true);
		expect(other.holds(seen)).toBe(false);
		expect(other.lookup("/a")).toEqual([]);
		expect(arena.figures()).toMatchObject({ objects: 0, bytes: 0 });
	});

	test("larger than a segment", () => {
		const { arena } = fresh(8 << 20);
		const large = Buffer.alloc(3_000_000, "abcdefg");
		const object = arena.insert(meta("/large"), [large])!;
		expect(Buffer.compare(Buffer.from(object.body), large)).toBe(0);
		expect(arena.insert(meta("/too-large"), [Buffer.alloc(9 << 20)])).toBeUndefined();
		expect(arena.lookup("/large")).toHaveLength(1);
	});

	test("expire on the second, by the wheel", () => {
		const { arena } = fresh(1 << 20);
		arena.insert(meta("/short", { ttl: 1, grace: 0 }), body("x"));
		arena.insert(meta("/long", { ttl: 100_000 }), body("x"));
		arena.expire(NOW + 1);
		expect(arena.lookup("/short")).toHaveLength(1);
		expect(arena.expire(NOW + 3)).toBe(1);
		expect(arena.lookup("/short")).toHaveLength(0);
		expect(arena.expire(NOW + 90_000)).toBe(0);
		expect(arena.lookup("/long")).toHaveLength(1);
	});

	test("take new lifetimes", () => {
		const { arena } = fresh(1 << 20);
		const object = arena.insert(meta("/a"), body("x"))!;
		arena.relive(object, { ttl: 0, grace: 5 });
		expect(arena.holds(object)).toBe(false);
		expect(arena.lookup("/a")[0]).toMatchObject({ ttl: 0, grace: 5, keep: 0 });
	});
});

/** Two with sizes of their own, and Transient without one. */
const TWO = [16 << 20, 1 << 20, 0];
const [FIRST, SECOND, TRANSIENT] = [0, 1, 2];

describe("several storages", () => {
	test("each has its part of the data, and no two have the same", () => {
		for (const sizes of [
			TWO,
			[1 << 20, 16 << 20, 0],
			[300_000, 7 * 2 ** 30, 64 << 20, 5 << 20],
			[1 << 20, 1 << 20, 1 << 20],
		]) {
			const { areas, segmentCount, segmentBytes, segmentsPerMap, totalBytes, slotCount, dataAt } =
				planLayout(sizes);
			const sum = sizes.reduce((all, bytes) => all + bytes, 0);
			expect(totalBytes).toBeLessThanOrEqual(sum);
			const own = areas.filter(({ storage }, index) => storage === index);
			expect(own.length).toBe(sizes.filter((bytes) => bytes > 0).length);
			const order = own.toSorted((a, b) => a.first - b.first);
			for (const [index, { storage, first, end, step }] of order.entries()) {
				expect(first).toBe(order[index - 1]?.end ?? 0);
				expect(first % step).toBe(0);
				expect(segmentsPerMap % step).toBe(0);
				expect((end - first) % step).toBe(0);
				expect((end - first) / step).toBeGreaterThanOrEqual(8);
				const share = (sizes[storage]! / sum) * (totalBytes - dataAt);
				expect((end - first) * segmentBytes).toBeLessThanOrEqual(share);
				expect((end - first) * segmentBytes).toBeGreaterThan(share * 0.85);
			}
			expect(order.at(-1)!.end).toBeLessThanOrEqual(segmentCount);
			expect(own.reduce((all, { slotLimit }) => all + slotLimit, 0)).toBeLessThanOrEqual(slotCount);
		}
	});

	test("what goes into one takes nothing from the other, and stays within its size", () => {
		const { arena } = fresh(TWO);
		const kept = Array.from({ length: 1000 }, (_, index) => `/page/${index}`);
		for (const key of kept) arena.insert(meta(key, { storage: FIRST }), [Buffer.alloc(3000)]);
		for (let index = 0; index < 3000; index++) {
			expect(
				arena.insert(meta(`/media/${index}`, { storage: SECOND }), [Buffer.alloc((index * 977) % 60_000)]),
			).toBeDefined();
			const { bytes, spaceBytes } = arena.figures().storages[SECOND]!;
			expect(bytes + spaceBytes).toBe(arena.capacity(SECOND));
		}
		// Small ones, of which there are more than its share of the index has room for.
		for (let index = 0; index < 3000; index++)
			expect(arena.insert(meta(`/tiny/${index}`, { storage: SECOND }), [])).toBeDefined();
		expect(kept.filter((key) => arena.lookup(key).length === 1)).toHaveLength(kept.length);
		const [first, second] = arena.figures().storages;
		expect(first).toMatchObject({ objects: 1000, requests: 1000, failures: 0, bytesFreed: 0 });
		expect(first!.bytes).toBe(first!.bytesTaken);
		expect(second!.objects).toBeLessThanOrEqual(arena.layout.areas[SECOND]!.slotLimit);
		expect(second!.bytesTaken - second!.bytesFreed).toBe(second!.bytes);
		expect(second!.requests).toBe(6000);
	});

	test("what is larger than its storage is not stored, and costs nothing", () => {
		const { arena } = fresh(TWO);
		for (let index = 0; index < 20; index++) arena.insert(meta(`/${index}`, { storage: SECOND }), body("x"));
		expect(arena.insert(meta("/large", { storage: SECOND }), [Buffer.alloc(2 << 20)])).toBeUndefined();
		expect(arena.insert(meta("/large", { storage: FIRST }), [Buffer.alloc(2 << 20)])).toBeDefined();
		expect(arena.figures().storages.map(({ objects }) => objects)).toEqual([1, 20, 0]);
		// One that takes all of it is the only one then.
		const all = Buffer.alloc(arena.capacity(SECOND) - 300, "all");
		for (const key of ["/small", "/all"])
			arena.insert(meta(key, { storage: SECOND }), key === "/all" ? [all] : body("x"));
		arena.bury(0, NOW);
		expect(arena.insert(meta("/all", { storage: SECOND }), [all])).toBeDefined();
		expect(Buffer.compare(Buffer.from(arena.lookup("/all")[0]!.body), all)).toBe(0);
		expect(arena.figures().storages.map(({ objects }) => objects)).toEqual([1, 1, 0]);
	});

	test("Transient takes room in the largest, or has a size of its own", () => {
		const { arena } = fresh(TWO);
		arena.insert(meta("/a", { storage: TRANSIENT }), body("x"));
		expect(arena.figures().storages[TRANSIENT]).toMatchObject({ objects: 1, spaceBytes: 0 });
		const { bytes } = arena.figures().storages[TRANSIENT]!;
		expect(arena.figures().storages[FIRST]).toMatchObject({
			objects: 0,
			spaceBytes: arena.capacity(FIRST) - bytes,
		});
		const { arena: bounded } = fresh([4 << 20, 1 << 20]);
		bounded.insert(meta("/kept"), body("x"));
		for (let index = 0; index < 5000; index++)
			expect(bounded.insert(meta(`/${index}`, { storage: 1 }), [Buffer.alloc(1000)])).toBeDefined();
		expect(bounded.lookup("/kept")).toHaveLength(1);
		expect(bounded.figures().storages[1]!.bytes).toBeLessThanOrEqual(1 << 20);
	});

	test("several workers, each with segments of its own, share the least that there is", () => {
		const sizes = [8 << 20, 1, 1];
		const { arena, path } = fresh(sizes);
		const workers = [arena, ...[1, 2, 3].map((worker) => Arena.open(path, sizes, worker))];
		for (let index = 0; index < 2000; index++)
			for (const storage of [1, 2])
				expect(
					workers[index % 4]!.replace(meta(`/${index % 300}`, { storage, insertedAt: NOW + index }), [
						Buffer.alloc(500),
					]),
				).toBe(true);
	});

	test.each(["in order", "by a crash"])("come back when the store was left %s", (way) => {
		const { arena, path } = fresh(TWO);
		const large = Buffer.alloc(700_000, "large");
		for (let index = 0; index < 50; index++)
			for (const storage of [FIRST, SECOND, TRANSIENT])
				arena.insert(meta(`/${storage}/${index}`, { storage }), body(`${index}`));
		for (const storage of [FIRST, SECOND]) arena.insert(meta(`/large/${storage}`, { storage }), [large]);
		const before = arena
			.figures()
			.storages.map(({ objects, bytes, spaceBytes }) => ({ objects, bytes, spaceBytes }));
		if (way === "in order") arena.layDown();
		const again = Arena.open(path, TWO, 0);
		expect(again.reopen(NOW)).toBe(152);
		expect(again.figures().storages).toMatchObject(before);
		for (const storage of [FIRST, SECOND])
			expect(Buffer.compare(Buffer.from(again.lookup(`/large/${storage}`)[0]!.body), large)).toBe(0);
		// The room that they have is known, too.
		for (let index = 0; index < 2000; index++)
			expect(again.insert(meta(`/more/${index}`, { storage: SECOND }), [Buffer.alloc(3000)])).toBeDefined();
		for (let index = 0; index < 50; index++) expect(again.lookup(`/${FIRST}/${index}`)).toHaveLength(1);
	});

	test("other sizes are another store", () => {
		const { path } = fresh(TWO);
		expect(Arena.fits(path, TWO)).toBe(true);
		expect(Arena.fits(path, [1 << 20, 16 << 20, 0])).toBe(false);
		expect(Arena.fits(path, 17 << 20)).toBe(false);
	});
});

describe("many variants of one key", () => {
	const variant = (index: number) => `kind\x01${index}`;

	test("are looked for by their variant: what is asked for, and one of the others", () => {
		const { arena } = fresh(4 << 20);
		for (let index = 0; index < 64; index++)
			arena.replace(meta("/a", { vary: variant(index), vxid: index }), []);
		expect(arena.select("/a", () => false)).toMatchObject({ whole: true });
		for (let index = 64; index < 500; index++)
			arena.replace(meta("/a", { vary: variant(index), vxid: index }), []);
		for (const index of [0, 77, 499]) {
			const { objects, whole } = arena.select("/a", (vary) => vary === variant(index));
			expect(whole).toBe(false);
			expect(objects.some(({ vary }) => vary === variant(index))).toBe(true);
			expect(objects.length).toBeLessThanOrEqual(2);
		}
		expect(arena.select("/a", () => false).objects).toHaveLength(1);
		expect(arena.lookup("/a")).toHaveLength(500);
		// A newer one of the same variant takes the place of the older.
		arena.replace(meta("/a", { vary: variant(77), vxid: 1000, insertedAt: NOW + 1 }), []);
		expect(arena.lookup("/a")).toHaveLength(500);
	});

	test.each(["replace", "insert"] as const)(
		"with %s: they have a bound, and those that are used stay",
		(put) => {
			const { arena } = fresh(8 << 20);
			const [used] = arena.lookup("/a").concat(arena.insert(meta("/a", { vary: variant(-1) }), [])!);
			for (let index = 0; index < VARIANT_LIMIT * 2; index++) {
				arena[put](meta("/a", { vary: variant(index), insertedAt: NOW + index }), []);
				if (index % 500 === 0) arena.use(used!);
			}
			const left = arena.lookup("/a").map(({ vary }) => vary);
			expect(left.length).toBeLessThanOrEqual(VARIANT_LIMIT + 1);
			expect(left.length).toBeGreaterThanOrEqual(VARIANT_LIMIT);
			expect(left).toContain(variant(-1));
			expect(left).not.toContain(variant(0));
			expect(left).toContain(variant(VARIANT_LIMIT * 2 - 1));
			expect(arena.departure("/a")).toMatchObject({ cause: "evicted" });
			// Where all are used, there are twice as many.
			for (let index = 0; index < VARIANT_LIMIT * 6; index++) {
				const object = arena.insert(meta("/b", { vary: variant(index), insertedAt: NOW + index }), [])!;
				for (let times = 0; times < 3; times++) arena.use(object);
			}
			expect(arena.lookup("/b").length).toBeLessThanOrEqual(VARIANT_LIMIT * 2 + 1);
			expect(arena.lookup("/b")[0]!.vary).toBe(variant(VARIANT_LIMIT * 6 - 1));
		},
	);
});

describe("what has to go is found while others change the store", () => {
	/** Another process changes the shard again and again: each of so many readings meets one. */
	const disturbed = (arena: Arena, times: number) => {
		const version = arena.version.bind(arena);
		let left = times;
		arena.version = (shard) => version(shard) + (left-- > 0 ? left : 0);
	};
	const DISTURBANCES = 40;
	const stored = () => {
		const { arena } = fresh(1 << 20);
		arena.insert(meta("/a", { head: "HTTP/1.1 200 OK\r\nxkey: t\r\n" }), body("x"));
		disturbed(arena, DISTURBANCES);
		return arena;
	};
	test("by its key", () => expect(stored().surely("/a")).toHaveLength(1));
	test("by its tag", () => expect(stored().tagged(["t"], 0, 10).objects).toHaveLength(1));
	test("by the lurker", () => expect(stored().walk(0, 10).objects).toHaveLength(1));
	test("or it is an error, not nothing", () => {
		const { arena } = fresh(1 << 20);
		arena.insert(meta("/a"), body("x"));
		let changes = 0;
		arena.version = () => changes++;
		expect(() => arena.surely("/a")).toThrow("could not be read");
		expect(() => arena.walk(0, 10)).toThrow("could not be read");
	});
	test("what comes later and is outdated is not stored", () => {
		const { arena } = fresh(1 << 20);
		expect(arena.insert(meta("/a", { isOutdated: () => true }), body("x"))).toBeUndefined();
		expect(arena.replace(meta("/a", { isOutdated: () => true }), body("x"))).toBe(false);
		expect(arena.insert(meta("/a", { isOutdated: () => false }), body("x"))).toBeDefined();
	});
	test("a ban is over when all that is stored has been tested against it", () => {
		const { arena } = fresh(1 << 20);
		const numbers = new Int32Array([9, 0]);
		arena.insert(meta("/a", { ban: 3 }), body("x"));
		const late = arena.insert(meta("/b", { ban: 1 }), body("x"))!;
		expect(arena.endBans(numbers, 4)).toBe(1);
		expect(numbers[1]).toBe(4);
		arena.noteBan(late, 4);
		expect(arena.endBans(numbers, 4)).toBe(3);
	});
	test("a note of a ban is for that object alone", () => {
		const { arena } = fresh(1 << 20);
		const gone = arena.insert(meta("/a"), body("x"))!;
		arena.remove(gone);
		const next = arena.insert(meta("/b", { vxid: gone.vxid + 1 }), body("x"))!;
		expect(next.slot).toBe(gone.slot);
		arena.noteBan(gone, 7);
		expect(arena.lookup("/b")[0]!.ban).toBe(next.ban);
	});
});

describe("departures", () => {
	test("the last that went tells how, to every process, after a restart too", () => {
		const { arena, path } = fresh(1 << 20);
		const other = Arena.open(path, 1 << 20, 1);
		const put = (key: string, more: Partial<ObjectMeta> = {}) => arena.insert(meta(key, more), body("x"))!;
		arena.remove(put("/a"), "banned", 300_000_000);
		arena.remove(put("/b"), "banned", 7);
		arena.remove(put("/b"), "purged");
		arena.remove(put("/c"));
		arena.remove(put("/d", { flags: Flag.hitForMiss }), "purged");
		put("/e", { ttl: 1, grace: 0 });
		arena.expire(NOW + 5);
		arena.layDown();
		const next = Arena.open(path, 1 << 20, 2);
		for (const each of [arena, other, next])
			expect(["/a", "/b", "/c", "/d", "/e"].map((key) => each.departure(key))).toMatchObject([
				{ cause: "banned", ban: 300_000_000 },
				{ cause: "purged", ban: 0 },
				undefined,
				undefined,
				{ cause: "expired", ban: 0 },
			] as object[]);
		expect(Math.abs(arena.departure("/a")!.at - Date.now() / 1000)).toBeLessThan(60);
		expect(arena.departure("/e")!.at).toBe(NOW + 1);
	});

	test("of many only the latest are known, and none of them wrongly", () => {
		const { arena } = fresh(4 << 20);
		for (let index = 0; index < 40_000; index++) arena.insert(meta(`/${index}`), [Buffer.alloc(300)]);
		const known = Array.from({ length: 40_000 }, (_, index) => arena.departure(`/${index}`) !== undefined);
		const isThere = (index: number) => arena.lookup(`/${index}`).length > 0;
		expect(known.filter((is) => is).length).toBeLessThanOrEqual(arena.layout.departureCount);
		expect(known.filter((is) => is).length).toBeGreaterThan(arena.layout.departureCount / 4);
		expect(known.some((is, index) => is && isThere(index))).toBe(false);
	});
});

describe("eviction", () => {
	test("the budget holds while a thousand times as much goes through", () => {
		const { arena, path } = fresh(1 << 20);
		for (let index = 0; index < 20_000; index++) {
			const object = arena.insert(meta(`/${index}`), [Buffer.alloc(index % 3000, index)]);
			expect(object).toBeDefined();
		}
		const { bytes, spaceBytes, nuked } = arena.figures();
		expect(bytes).toBeGreaterThan(250_000);
		expect(spaceBytes).toBeGreaterThanOrEqual(0);
		expect(nuked).toBeGreaterThan(15_000);
		expect(statSync(path).size).toBeLessThanOrEqual(1 << 20);
	});

	test("what is used stays while one-hit wonders pass", () => {
		const { arena } = fresh(4 << 20);
		const hot = Array.from({ length: 200 }, (_, index) => `/hot/${index}`);
		for (const key of hot) arena.insert(meta(key), [Buffer.alloc(1000)]);
		for (let round = 0; round < 60; round++) {
			for (const key of hot) {
				const object = arena.lookup(key)[0];
				if (object === undefined) arena.insert(meta(key), [Buffer.alloc(1000)]);
				else arena.use(object);
			}
			for (let index = 0; index < 500; index++)
				arena.insert(meta(`/once/${round}/${index}`), [Buffer.alloc(1000)]);
		}
		const kept = hot.filter((key) => arena.lookup(key).length > 0);
		expect(kept.length).toBeGreaterThan(190);
	});

	test("a pinned object's bytes are left alone", () => {
		const { arena } = fresh(1 << 20);
		const pinned = arena.insert(meta("/pinned"), body("precious"))!;
		for (let index = 0; index < 40; index++) arena.insert(meta(`/fill/${index}`), [Buffer.alloc(1500)]);
		expect(arena.pin(arena.lookup("/pinned")[0]!)).toBe(true);
		const view = arena.lookup("/pinned")[0]!.body;
		for (let index = 0; index < 5000; index++) arena.insert(meta(`/${index}`), [Buffer.alloc(2000)]);
		expect(text(view)).toBe("precious");
		arena.unpin(pinned);
	});
});

describe("what has been replaced, has expired or was taken out makes room before what is live", () => {
	/** Bytes and objects that are live, by segment: as they are counted, and as they are. */
	function occupation(path: string, sizes: StoreSizes): [counted: number[][], found: number[][]] {
		const layout = planLayout(sizes);
		const book = new Book(path, layout);
		const empty = () => Array.from({ length: layout.segmentCount }, () => [0, 0]);
		const [counted, found] = [empty(), empty()];
		for (let segment = 0; segment < layout.segmentCount; segment++) {
			const at = segment * SEGMENT_WORDS;
			counted[segment] = [book.segments[at + Segment.liveCount]!, book.segments[at + Segment.liveBytes]!];
		}
		for (let slot = 0; slot < layout.slotCount; slot++) {
			if ((book.slots[slot * SLOT_WORDS + Slot.flags]! & Flag.live) === 0) continue;
			const { words, base } = book.recordOf(slot)!;
			const each = found[book.slots[slot * SLOT_WORDS + Slot.segment]!]!;
			each[0]!++;
			each[1]! += words[(base + Record.totalBytes) >> 2]!;
		}
		return [counted, found];
	}
	const capacityOf = (sizes: number) => {
		const { segmentBytes, segmentCount } = planLayout(sizes);
		return segmentBytes * segmentCount;
	};
	const BODY = 1000;
	const RECORD = 1152;

	test.each([
		["a small store", 512 << 10, 0.6],
		["a larger one", 8 << 20, 0.8],
	])("%s: replaced for ever, at random, not one is lost", (_, sizes, share) => {
		const { arena, path } = fresh(sizes);
		const count = Math.floor((capacityOf(sizes) * share) / RECORD);
		const latest: number[] = [];
		for (let index = 0; index < count; index++) {
			arena.insert(meta(`/${index}`, { vxid: 1 }), [Buffer.alloc(BODY, index)]);
			latest.push(1);
		}
		for (let round = 0; round < 12 * count; round++) {
			const index = Math.floor(Math.random() * count);
			latest[index]!++;
			const renewed = meta(`/${index}`, { vxid: latest[index]! });
			expect(arena.replace(renewed, [Buffer.alloc(BODY, index + latest[index]!)])).toBe(true);
		}
		expect(arena.figures()).toMatchObject({ objects: count, nuked: 0 });
		for (let index = 0; index < count; index++) {
			const [object, ...others] = arena.lookup(`/${index}`);
			expect([object?.vxid, others.length]).toEqual([latest[index], 0]);
			expect(
				Buffer.alloc(BODY, index + (latest[index] === 1 ? 0 : latest[index]!)).equals(object!.body),
			).toBe(true);
		}
		const [counted, found] = occupation(path, sizes);
		expect(counted).toEqual(found);
	});

	test("a store that is full of what is live goes on: the least used go", () => {
		const sizes = 2 << 20;
		const { arena, path } = fresh(sizes);
		const count = Math.floor((capacityOf(sizes) * 1.2) / RECORD);
		for (let round = 0; round < 15 * count; round++) {
			const index = Math.floor(Math.random() * count);
			expect(arena.replace(meta(`/${index}`), [Buffer.alloc(BODY, index)])).toBe(true);
		}
		const { objects, nuked } = arena.figures();
		expect(nuked).toBeGreaterThan(count);
		expect(objects * RECORD).toBeGreaterThan(0.8 * capacityOf(sizes));
		const [counted, found] = occupation(path, sizes);
		expect(counted).toEqual(found);
	});

	test("room that those have who expire among others that stay is used again", () => {
		const sizes = 2 << 20;
		const { arena } = fresh(sizes);
		const count = Math.floor((capacityOf(sizes) * 0.9) / RECORD);
		for (let index = 0; index < count; index++)
			arena.insert(meta(`/${index}`, { ttl: index % 2 === 0 ? 1 : 600, grace: 0 }), [Buffer.alloc(BODY)]);
		arena.expire(NOW + 5, count);
		const later = { tOrigin: NOW + 5, insertedAt: NOW + 5, ttl: 600 };
		for (let index = 0; index < count * 0.4; index++)
			arena.insert(meta(`/new/${index}`, later), [Buffer.alloc(BODY)]);
		expect(arena.figures().nuked).toBe(0);
		for (let index = 1; index < count; index += 2) expect(arena.lookup(`/${index}`)).toHaveLength(1);
		for (let index = 0; index < count * 0.4; index++) expect(arena.lookup(`/new/${index}`)).toHaveLength(1);
	});

	test("what is being sent stays where it is meanwhile", () => {
		const sizes = 1 << 20;
		const { arena } = fresh(sizes);
		const count = Math.floor((capacityOf(sizes) * 0.5) / RECORD);
		for (let index = 0; index < count; index++) arena.insert(meta(`/${index}`), [Buffer.alloc(BODY, index)]);
		const [sent] = arena.lookup("/7");
		expect(arena.pin(sent!)).toBe(true);
		for (let round = 0; round < 20 * count; round++) {
			const index = Math.floor(Math.random() * count);
			if (index !== 7) arena.replace(meta(`/${index}`), [Buffer.alloc(BODY, "other")]);
		}
		expect(Buffer.alloc(BODY, 7).equals(sent!.body)).toBe(true);
		arena.unpin(sent!);
		expect(arena.figures().nuked).toBe(0);
	});
});

describe("a reader in the middle of a change", () => {
	/** Calls `act` once, inside the `at`-th step of a change that anybody makes; how many steps there were. */
	function interrupting(at: number, act: () => void, work: () => void): number {
		let steps = 0;
		const restore: (() => void)[] = [];
		for (const [prototype, name] of [
			[Book.prototype, "touch"],
			[Book.prototype, "account"],
			[Wheel.prototype, "remove"],
			[Segments.prototype, "release"],
			[Segments.prototype, "allocate"],
		] as const) {
			const methods = prototype as unknown as Record<string, (...values: unknown[]) => unknown>;
			const original = methods[name]!;
			methods[name] = function (...values) {
				const result = original.apply(this, values);
				if (steps++ === at) act();
				return result;
			};
			restore.push(() => {
				methods[name] = original;
			});
		}
		try {
			work();
		} finally {
			for (const each of restore) each();
		}
		return steps;
	}

	// Larger than half a segment: a place of its own; smaller: a place among others, and moved when it is used.
	test.each<
		[title: string, bytes: number, uses: number, storeBytes: number, changes: number, others: number]
	>([
		["a large object", 20_000, 0, 1 << 20, 150, 150],
		["a small one", 3_000, 0, 1 << 20, 150, 150],
		["a small one that is used", 3_000, 3, 1 << 20, 150, 150],
		["a small one among those that are replaced", 1_000, 0, 256 << 10, 350, 80],
	])(
		"%s is what was stored as long as it is pinned, or held",
		(_title, bytes, uses, storeBytes, changes, others) => {
			const wanted = Buffer.alloc(bytes, "wanted ");
			let seen = 0;
			for (let at = 0, steps = 1; at < steps; at++) {
				const { arena, path } = fresh(storeBytes);
				const reader = Arena.open(path, storeBytes, 1);
				arena.insert(meta("/x", { vxid: 7 }), [wanted]);
				const [stored] = arena.lookup("/x");
				for (let use = 0; use < uses; use++) arena.use(stored!);
				let pinned: StoredObject | undefined;
				let held: StoredObject | undefined;
				steps = interrupting(
					at,
					() => {
						held = reader.lookup("/x")[0];
						if (held !== undefined && reader.pin(held)) pinned = held;
						const glance = reader.glance("/x");
						if (glance === undefined) return;
						const { map, bodyAt, bodyBytes } = glance;
						const copy = map.buffer.subarray(bodyAt, bodyAt + bodyBytes);
						expect({ at, same: !reader.holds(glance) || wanted.equals(copy) }).toEqual({ at, same: true });
					},
					() => {
						for (let each = 0; each < changes; each++)
							arena.replace(meta(`/other/${(each * 7) % others}`, { vxid: 100 + each }), [
								Buffer.alloc(bytes, each),
							]);
					},
				);
				if (pinned !== undefined) {
					seen++;
					expect({ at, same: wanted.equals(pinned.body) }).toEqual({ at, same: true });
					reader.unpin(pinned);
				}
				if (held !== undefined && reader.holds(held))
					expect({ at, same: wanted.equals(held.body) }).toEqual({ at, same: true });
				rmSync(path);
			}
			expect(seen).toBeGreaterThan(10);
		},
	);
});

describe("restart", () => {
	test.each([
		["after a crash", false],
		["in order", true],
	])(
		"%s: contents and lifetimes survive; what was removed stays away; torn objects are dropped",
		(_, orderly) => {
			const { arena, path } = fresh(2 << 20);
			for (let index = 0; index < 300; index++)
				arena.insert(meta(`/${index}`, { vxid: index + 1 }), body(`body ${index}`));
			arena.remove(arena.lookup("/7")[0]!);
			arena.insert(meta("/large", { ttl: 1000 }), [Buffer.alloc(200_000, "L")]);
			arena.insert(meta("/old", { ttl: 1, grace: 0 }), body("x"));
			if (orderly) arena.layDown();
			const bytes = readFileSync(path);
			const torn = bytes.indexOf("body 100");
			const file = openSync(path, "r+");
			writeSync(file, "B", torn);
			closeSync(file);
			const again = Arena.open(path, 2 << 20, 0);
			expect(Arena.fits(path, 2 << 20)).toBe(true);
			expect(Arena.fits(path, 4 << 20)).toBe(false);
			expect(again.reopen(NOW + 30)).toBe(orderly ? 301 : 300);
			again.expire(NOW + 30);
			expect(again.figures().objects).toBe(300);
			expect(again.lookup("/7")).toEqual([]);
			expect(again.lookup("/old")).toEqual([]);
			expect(again.lookup("/100")).toEqual([]);
			expect(text(again.lookup("/299")[0]!.body)).toBe("body 299");
			expect(again.lookup("/large")[0]!.body.length).toBe(200_000);
			for (let index = 0; index < 5000; index++)
				expect(again.insert(meta(`/n${index}`), [Buffer.alloc(900)])).toBeDefined();
		},
	);

	const damaged = [-1, 0, 1, 1000, 100_000, 0x7fffffff, -0x80000000];
	test.each(damaged.flatMap((length) => [[length, true] as const, [length, false] as const]))(
		"records that say they are %d bytes long (in order: %p): nobody who can be found is written over",
		(length, orderly) => {
			const { arena, path } = fresh(2 << 20);
			const bodyOf = (key: string) => key.padEnd(100 + (Bun.hash.crc32(key) % 900), key);
			const keys = Array.from({ length: 1000 }, (_, index) => `/first/${index}`);
			for (const [index, key] of keys.entries())
				arena.insert(meta(key, { vxid: index + 1 }), body(bodyOf(key)));
			if (orderly) arena.layDown();
			const bytes = readFileSync(path);
			const magic = Buffer.from(Int32Array.of(RECORD_MAGIC).buffer);
			let records = 0;
			for (let at = bytes.indexOf(magic); at >= 0; at = bytes.indexOf(magic, at + 4))
				if (records++ % 10 === 3) bytes.writeInt32LE(length, at + Record.totalBytes);
			writeFileSync(path, bytes);
			const again = Arena.open(path, 2 << 20, 0);
			again.reopen(NOW);
			const held = keys.flatMap((key) => again.lookup(key));
			expect(held.length).toBeGreaterThan(orderly ? 800 : 20);
			const isRight = (object: StoredObject) => text(object.body) === bodyOf(object.key);
			for (let index = 0; index < 6000; index++) {
				const key = `/second/${index}`;
				again.insert(meta(key, { vxid: 2000 + index }), body(bodyOf(key)));
				if (index % 300 > 0) continue;
				// Who has looked one up before reads it again as long as it is said to be there.
				expect(held.filter((object) => again.holds(object) && !isRight(object))).toEqual([]);
				expect(keys.flatMap((each) => again.lookup(each)).filter((object) => !isRight(object))).toEqual([]);
			}
			expect(text(again.lookup("/second/5999")[0]!.body)).toBe(bodyOf("/second/5999"));
		},
	);

	test.each([
		["after a crash", false, [1 << 20, 0]],
		["in order", true, [1 << 20, 0]],
		["several storages, after a crash", false, [1 << 20, 512 << 10, 0]],
		["several storages, in order", true, [1 << 20, 512 << 10, 0]],
	])(
		"%s: with bytes turned anywhere, what is found is what was stored, and the store works",
		(_, orderly, sizes) => {
			const { dataAt, totalBytes } = planLayout(sizes);
			const { arena, path } = fresh(sizes);
			const storageOf = (index: number) => index % sizes.length;
			const head = (index: number) => `HTTP/1.1 200 OK\r\nX-Own: ${"own ".repeat(index % 40)}${index}\r\n`;
			const bodyText = (index: number) => `body ${index} `.repeat(index % 60);
			const keys = Array.from({ length: 400 }, (_each, index) => index);
			for (const index of keys)
				arena.insert(
					meta(`/${index}`, { vxid: index + 1, head: head(index), storage: storageOf(index) }),
					body(bodyText(index)),
				);
			if (orderly) arena.layDown();
			const bytes = readFileSync(path);
			let found = 0;
			for (let round = 0; round < 60; round++) {
				const turned = Buffer.from(bytes);
				// Every other time only the index, which is small beside the data.
				for (let place = 0; place < 40; place++) {
					const end = round % 2 === 0 ? dataAt : totalBytes;
					turned[Math.floor(4096 + Math.random() * (end - 4096))]! ^= 1 << (place % 8);
				}
				const again = join(directory, `turned-${orderly}`);
				writeFileSync(again, turned);
				const reopened = Arena.open(again, sizes, 0);
				reopened.reopen(NOW + 1);
				for (const index of keys) {
					const [object] = reopened.lookup(`/${index}`);
					if (object === undefined) continue;
					found++;
					expect(object).toMatchObject({
						head: head(index),
						tOrigin: NOW,
						ttl: 60,
						grace: 10,
						vxid: index + 1,
						storage: storageOf(index),
					});
					expect(text(object.body)).toBe(bodyText(index));
				}
				for (let index = 0; index < 500; index++)
					reopened.insert(meta(`/n${index}`, { storage: storageOf(index) }), [Buffer.alloc(1500)]);
				reopened.expire(NOW + 500);
			}
			expect(found).toBeGreaterThan(60 * keys.length * 0.9);
		},
	);

	test("a store of the version before keeps its contents, and is of this version then", () => {
		const { arena, path } = fresh(1 << 20);
		for (let index = 0; index < 300; index++) arena.insert(meta(`/${index}`), body(`body ${index}`));
		const book = new Book(path, planLayout(1 << 20));
		book.control[Control.version] = STORE_VERSION_BEFORE;
		for (let at = 0; at < book.segments.length; at += SEGMENT_WORDS)
			book.segments[at + Segment.liveBytes] = 0;
		arena.layDown();
		expect(Arena.fits(path, 1 << 20)).toBe(true);
		expect(Arena.open(path, 1 << 20, 0).reopen(NOW + 1)).toBe(300);
		expect(book.control[Control.version]).toBe(STORE_VERSION);
		const counted = Array.from(
			{ length: planLayout(1 << 20).segmentCount },
			(_, segment) => book.segments[segment * SEGMENT_WORDS + Segment.liveBytes]!,
		);
		expect(counted.reduce((sum, bytes) => sum + bytes, 0)).toBe(arena.figures().bytes);
	});

	test("a page's ESI program stays with it: looked up, laid down, after a crash", () => {
		const program = Buffer.from("what a page is made of");
		for (const orderly of [true, false]) {
			const { arena, path } = fresh(1 << 20);
			arena.insert(meta("/plain"), body("plain"));
			arena.insert(meta("/page", { esi: program }), body("page"));
			if (orderly) arena.layDown();
			const again = Arena.open(path, 1 << 20, 0);
			expect(again.reopen(NOW)).toBe(2);
			for (const each of [arena, again]) {
				const [page] = each.lookup("/page");
				expect(text(page!.body)).toBe("page");
				expect(text(page!.esi!)).toBe(text(program));
				expect(page!.flags & Flag.esi).toBe(Flag.esi);
				const [plain] = each.lookup("/plain");
				expect([text(plain!.body), plain!.esi, plain!.flags & Flag.esi]).toEqual(["plain", undefined, 0]);
			}
			again.relive(again.lookup("/page")[0]!, { ttl: 30 });
			expect(text(again.lookup("/page")[0]!.esi!)).toBe(text(program));
		}
	});

	test("a page whose ESI program is damaged is not served", () => {
		const { arena, path } = fresh(1 << 20);
		arena.insert(meta("/page", { esi: Buffer.from("what a page is made of") }), body("page"));
		const file = Bun.mmap(path, { shared: true });
		file[Buffer.from(file.buffer).indexOf("a page is made of")]! ^= 1;
		const again = Arena.open(path, 1 << 20, 0);
		again.reopen(NOW);
		expect(again.lookup("/page")).toEqual([]);
	});

	test("laid down once is laid down once: a crash after the next start is a crash", () => {
		const { arena, path } = fresh(1 << 20);
		arena.insert(meta("/kept"), body("kept"));
		arena.layDown();
		const second = Arena.open(path, 1 << 20, 0);
		second.reopen(NOW);
		second.insert(meta("/more"), body("more"));
		// It dies here, and the index with it.
		const book = Bun.mmap(path, { shared: true });
		const { bucketsAt, bucketCount } = second.layout;
		book.fill(0, bucketsAt, bucketsAt + bucketCount * 4);
		const third = Arena.open(path, 1 << 20, 0);
		expect(third.reopen(NOW)).toBe(2);
		expect(text(third.lookup("/more")[0]!.body)).toBe("more");
	});

	test("a store whose lock is held is not laid down in order", () => {
		const { arena, path } = fresh(1 << 20);
		arena.insert(meta("/kept"), body("kept"));
		const control = new Int32Array(Bun.mmap(path, { shared: true }).buffer, 0, 64);
		control[Control.lock] = 2;
		arena.layDown();
		expect(control[Control.clean]).toBe(0);
		expect(Arena.open(path, 1 << 20, 0).reopen(NOW)).toBe(1);
	});

	test.each(["in order", "without order"])("of several storages those stay that are to last (%s)", (end) => {
		const sizes = [2 << 20, 4 << 20, 1 << 20, 0];
		const { arena, path } = fresh(sizes);
		for (let index = 0; index < 400; index++)
			arena.insert(meta(`/${index}`, { storage: index % 4, vxid: index + 1 }), body(`${index}`));
		if (end === "in order") arena.layDown();
		const again = Arena.open(path, sizes, 0);
		// Transient has no size of its own: it is in the largest one.
		expect(again.reopen(NOW, (storage) => storage === 1)).toBe(200);
		for (let index = 0; index < 400; index++) {
			const found = again.lookup(`/${index}`).map(({ body: bytes }) => text(bytes));
			expect(found).toEqual(index % 4 === 1 || index % 4 === 3 ? [`${index}`] : []);
		}
		const { storages } = again.figures();
		expect(storages.map(({ objects }) => objects)).toEqual([0, 100, 0, 100]);
		expect(again.insert(meta("/new", { storage: 0 }), body("y"))).toBeDefined();
	});

	test("a worker that dies with the lock leaves a store that works", () => {
		const { arena, path } = fresh(1 << 20);
		for (let index = 0; index < 100; index++) arena.insert(meta(`/${index}`), body("x"));
		const other = Arena.open(path, 1 << 20, 1);
		const words = new Int32Array(Bun.mmap(path, { shared: true }).buffer, 0, 16);
		words[2] = 1;
		other.bury(0, NOW);
		expect(words[2]).toBe(0);
		expect(other.lookup("/50")).toHaveLength(1);
		expect(other.insert(meta("/new"), body("y"))).toBeDefined();
	});

	test("a body that looks like a record of another key is none after a crash", () => {
		const budget = 1 << 20;
		const { segmentBytes, dataAt } = planLayout(budget);
		// What somebody may send who knows how stores are made, and not this store's secret.
		const other = fresh(budget);
		other.arena.insert(meta("/forged", { ttl: 10_000 }), body("evil"));
		const file = readFileSync(other.path);
		const record = file.subarray(dataAt, dataAt + 1024);
		expect(text(record)).toContain("evil");
		const { arena, path } = fresh(budget);
		// Larger than a segment, the record at each place where one might begin in the second.
		const bytes = Buffer.alloc(segmentBytes + 4096);
		arena.insert(meta("/large", { ttl: 1, grace: 0 }), [bytes]);
		const at = readFileSync(path).indexOf("/large") - dataAt;
		record.copy(bytes, segmentBytes - at - "/large".length - meta("").head.length);
		const again = fresh(budget);
		again.arena.insert(meta("/large", { ttl: 1, grace: 0 }), [bytes]);
		const stored = readFileSync(again.path);
		expect(stored.subarray(dataAt + segmentBytes, dataAt + segmentBytes + 1024).equals(record)).toBe(true);
		const reopened = Arena.open(again.path, budget, 0);
		expect(reopened.reopen(NOW + 100)).toBe(0);
		expect(reopened.lookup("/forged")).toEqual([]);
	});

	test("two workers die, and it is the other one that has the lock", () => {
		const { arena, path } = fresh(1 << 20);
		for (let index = 0; index < 100; index++) arena.insert(meta(`/${index}`), body("x"));
		const manager = Arena.open(path, 1 << 20, 31);
		const words = new Int32Array(Bun.mmap(path, { shared: true }).buffer, 0, 16);
		words[2] = 2;
		manager.bury(0, NOW, (worker) => worker === 1);
		expect(words[2]).toBe(0);
		manager.bury(1, NOW, () => true);
		expect(manager.lookup("/50")).toHaveLength(1);
		expect(manager.insert(meta("/new"), body("y"))).toBeDefined();
	});
});
