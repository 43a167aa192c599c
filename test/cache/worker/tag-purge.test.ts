/** A tag on every object of a large store: they all go, and others have their turns meanwhile. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Arena } from "../../../firmware/cache/store/arena.ts";
import { purgeTagged, purgeTaggedAtOnce } from "../../../firmware/cache/worker/tag-purge.ts";

const directory = mkdtempSync(join(tmpdir(), "drover-tag-purge-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const NOW = 1_700_000_000;
const OBJECTS = 20_000;

function filled() {
	const path = join(directory, crypto.randomUUID());
	Arena.create(path, 64 << 20, NOW);
	const arena = Arena.open(path, 64 << 20, 0);
	const times = { tOrigin: NOW, ttl: 60, grace: 10, keep: 0, insertedAt: NOW };
	for (let vxid = 1; vxid <= OBJECTS; vxid++) {
		const head = `HTTP/1.1 200 OK\r\nxkey: all ${vxid % 2 === 0 ? "even" : "odd"}\r\n`;
		arena.insert({ key: `/${vxid}`, vary: "", head, ...times, flags: 0, vxid, ban: 0, storage: 0 }, []);
	}
	return arena;
}

test("in turns: what has it goes, the rest stays, and others come between", async () => {
	const arena = filled();
	let count = -1;
	let others = 0;
	const purge = (object: Parameters<typeof arena.remove>[0]) => void arena.remove(object, "purged");
	purgeTagged({ arena, tags: ["even"], purge }, (objects) => {
		count = objects;
	});
	while (count < 0) {
		others++;
		await new Promise((resolve) => setImmediate(resolve));
	}
	expect(count).toBe(OBJECTS / 2);
	expect(arena.figures().objects).toBe(OBJECTS / 2);
	expect(arena.lookup("/2")).toEqual([]);
	expect(arena.lookup("/1")).toHaveLength(1);
	expect(others).toBeGreaterThan(5);
});

test("at once where nobody can wait; none, and none with that tag", () => {
	const arena = filled();
	const purge = (object: Parameters<typeof arena.remove>[0]) => void arena.remove(object, "purged");
	expect(purgeTaggedAtOnce({ arena, tags: ["nothing"], purge })).toBe(0);
	expect(purgeTaggedAtOnce({ arena, tags: [], purge })).toBe(0);
	expect(purgeTaggedAtOnce({ arena, tags: ["odd", "all"], purge })).toBe(OBJECTS);
	expect(arena.figures().objects).toBe(0);
});
