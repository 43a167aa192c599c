/** Tags of stored objects: what is found by them, over all the ways in which an object comes and goes. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Arena, type ObjectMeta, type StoredObject } from "../../../firmware/cache/store/arena.ts";
import { marksIn, marksOf, splitTags, tagsIn } from "../../../firmware/cache/store/tags.ts";

const directory = mkdtempSync(join(tmpdir(), "drover-tags-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const NOW = 1_700_000_000;

const meta = (key: string, tags: string, vxid: number): ObjectMeta => ({
	key,
	vary: "",
	head: `HTTP/1.1 200 OK\r\nX: y\r\n${tags === "" ? "" : `xkey: ${tags}\r\n`}Z: z\r\n`,
	tOrigin: NOW,
	ttl: 3600,
	grace: 0,
	keep: 0,
	insertedAt: NOW,
	flags: 0,
	vxid,
	ban: 0,
	storage: 0,
});

describe("the fields", () => {
	test("xkey and X-HashTwo in any case and number; blanks and commas separate", () => {
		const head =
			"HTTP/1.1 200 OK\r\nXKEY: a, b\r\nxkey:c\td\r\nY: xkey: no\r\nx-hashtwo: e\r\nnot-xkey: f\r\n";
		expect(tagsIn(head)).toEqual(["a", "b", "c", "d", "e"]);
	});

	test("nothing but separators is no tag", () => expect(splitTags(" ,\t, ")).toEqual([]));

	test("marks of a head hold the marks of each of its tags; a head without has none", () => {
		const tags = Array.from({ length: 40 }, (_, index) => `tag-${index}`);
		const all = marksIn(`HTTP/1.1 200 OK\r\nxkey: ${tags.join(" ")}\r\n`);
		for (const tag of tags) {
			const { low, high } = marksOf([tag]);
			expect([all.low & low, all.high & high]).toEqual([low, high]);
		}
		expect(marksIn("HTTP/1.1 200 OK\r\nX: y\r\n")).toEqual({ low: 0, high: 0 });
	});

	test("a tag in vain: at most 6 of 100 objects with 8 other tags", () => {
		let vain = 0;
		const { low, high } = marksOf(["wanted"]);
		for (let object = 0; object < 5000; object++) {
			const marks = marksOf(Array.from({ length: 8 }, (_, index) => `t${object * 8 + index}`));
			if ((marks.low & low) === low && (marks.high & high) === high) vain++;
		}
		expect(vain / 5000).toBeLessThan(0.06);
	});
});

/** All of them, a few at a time. */
function tagged(store: Arena, tags: readonly string[]): StoredObject[] {
	const found: StoredObject[] = [];
	for (let slot = 0; slot >= 0; ) {
		const { objects, next } = store.tagged(tags, slot, 7);
		expect(objects.length).toBeLessThanOrEqual(7);
		found.push(...objects);
		slot = next;
	}
	return found;
}

describe("in the store", () => {
	const path = join(directory, "store");
	const bytes = 4 << 20;
	Arena.create(path, bytes, NOW);
	const arena = Arena.open(path, bytes, 0);
	const keys = (store: Arena, tag: string) =>
		tagged(store, [tag])
			.map(({ key }) => key)
			.sort();

	test("what has the tag is found, and nothing else; a removed one is not", () => {
		for (let index = 0; index < 1000; index++)
			arena.insert(meta(`/${index}`, index % 2 === 0 ? `n${index % 10}, all` : "", index + 1), []);
		expect(keys(arena, "n4")).toEqual(Array.from({ length: 100 }, (_, index) => `/${index * 10 + 4}`).sort());
		expect(tagged(arena, ["all"])).toHaveLength(500);
		expect(tagged(arena, ["al"])).toEqual([]);
		arena.remove(arena.lookup("/4")[0]!);
		expect(tagged(arena, ["n4"])).toHaveLength(99);
		// Its slot serves another one.
		arena.insert(meta("/again", "", 5000), []);
		expect(tagged(arena, ["n4"])).toHaveLength(99);
	});

	test("several tags are one look, and each object is found once", () => {
		const both = tagged(arena, ["n2", "n6", "n2", "none", "all"]);
		expect(new Set(both.map(({ slot }) => slot)).size).toBe(both.length);
		expect(both).toHaveLength(tagged(arena, ["all"]).length);
		expect(tagged(arena, ["n2", "n6"])).toHaveLength(200);
		expect(tagged(arena, [])).toEqual([]);
	});

	test("another process that has the file mapped finds the same", () => {
		expect(keys(Arena.open(path, bytes, 1), "n4")).toEqual(keys(arena, "n4"));
	});

	test("and so does the next one after an end without order", () => {
		const before = keys(arena, "n6");
		const after = Arena.open(path, bytes, 2);
		expect(after.reopen(NOW)).toBe(1000);
		expect(keys(after, "n6")).toEqual(before);
	});

	test("and after eviction: what is left is found", () => {
		const small = join(directory, "small");
		Arena.create(small, 512 * 1024, NOW);
		const store = Arena.open(small, 512 * 1024, 0);
		for (let index = 0; index < 3000; index++)
			store.insert(meta(`/${index}`, "all", index + 1), [Buffer.alloc(500)]);
		const { objects } = store.figures();
		expect(objects).toBeLessThan(3000);
		expect(tagged(store, ["all"])).toHaveLength(objects);
	});
});
