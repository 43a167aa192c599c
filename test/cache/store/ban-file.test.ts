/** The file of bans beside a persistent store: what was written down is read, whatever happened to its end. */
import { afterAll, expect, test } from "bun:test";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, truncateSync } from "node:fs";
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

test("what was added is read, in order; nothing is nothing", () => {
	const path = join(directory, "added");
	const file = new BanFile(path);
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
		const found = file.read();
		expect(found.slice(0, 2)).toEqual([1, 2].map(ban));
		// The line's end is all that may be missing.
		expect(found.length).toBe(bytes === all.length - 1 ? 3 : 2);
	}
	appendFileSync(path, "{}\nnull\n[1]\n\0\xff\n");
	expect(new BanFile(path).read()).toEqual([1, 2].map(ban));
});

test("many bans that are no more: the file asks to be written anew", () => {
	const file = new BanFile(join(directory, "many"));
	file.rewrite(Array.from({ length: 1001 }, (_, index) => ban(index)));
	expect(file.add(ban(2000), 1)).toBe(false);
	expect(file.add(ban(2001), 1)).toBe(true);
});
