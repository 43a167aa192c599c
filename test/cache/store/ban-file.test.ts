/** The file of bans beside a persistent store: what was written down is read, whatever happened to its end. */
import { afterAll, expect, test } from "bun:test";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BanFile, type SavedBan } from "../../../firmware/cache/manager/ban-file.ts";

const directory = mkdtempSync(join(tmpdir(), "drover-bans-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const ban = (number: number): SavedBan => ({
	number,
	addedAt: 1_700_000_000 + number / 8,
	text: `obj.http.x == "a \\"${number}\\" b"`,
});

test("what was added is read, in order; no file is none", () => {
	const path = join(directory, "added");
	const file = new BanFile(path);
	expect(file.read()).toBeUndefined();
	file.rewrite([]);
	expect(file.read()).toEqual([]);
	for (let number = 1; number <= 5; number++) expect(file.add(ban(number), 5)).toBe(false);
	expect(new BanFile(path).read()).toEqual([1, 2, 3, 4, 5].map(ban));
	file.rewrite([ban(3), ban(5)]);
	file.add(ban(6), 3);
	expect(new BanFile(path).read()).toEqual([3, 5, 6].map(ban));
});

test("cut at any byte: the bans before it stand, and those that are added after a rewrite too", () => {
	const path = join(directory, "cut");
	new BanFile(path).rewrite([1, 2].map(ban));
	const whole = readFileSync(path).length;
	new BanFile(path).add(ban(3), 3);
	const all = readFileSync(path);
	for (let bytes = all.length - 1; bytes >= whole; bytes--) {
		truncateSync(path, bytes);
		const file = new BanFile(path);
		const found = file.read()!;
		expect(found.slice(0, 2)).toEqual([1, 2].map(ban));
		// The line's end is all that may be missing.
		expect(found.length).toBe(bytes === all.length - 1 ? 3 : 2);
	}
	for (const rest of ["{}", "null", "[1]", "\0\0\0", "\xff"]) {
		truncateSync(path, whole);
		appendFileSync(path, rest);
		expect(new BanFile(path).read()).toEqual([1, 2].map(ban));
	}
});

test("any byte turned: it is not believed, or says what it said", () => {
	const path = join(directory, "turned");
	new BanFile(path).rewrite([1, 2].map(ban));
	const all = readFileSync(path);
	for (let at = 0; at < all.length - 1; at++) {
		const bytes = Buffer.from(all);
		bytes[at]! ^= 1 << (at % 8);
		writeFileSync(path, bytes);
		expect(new BanFile(path).read() ?? [1, 2].map(ban)).toEqual([1, 2].map(ban));
	}
	for (const lines of ["{}\n", "null\n", "[1]\n", "\n"]) {
		writeFileSync(path, all);
		appendFileSync(path, lines);
		expect(new BanFile(path).read()).toBeUndefined();
	}
});

test("many bans that are no more: the file asks to be written anew", () => {
	const file = new BanFile(join(directory, "many"));
	file.rewrite(Array.from({ length: 1001 }, (_, index) => ban(index)));
	expect(file.add(ban(2000), 1)).toBe(false);
	expect(file.add(ban(2001), 1)).toBe(true);
});
