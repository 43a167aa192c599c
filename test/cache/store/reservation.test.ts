/** Objects that are written into the store as they come: the budget, the others, and who dies over it. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Arena, type ObjectMeta } from "../../../firmware/cache/store/arena.ts";
import { Book } from "../../../firmware/cache/store/book.ts";
import { Control, planLayout, WORKER_LIMIT } from "../../../firmware/cache/store/layout.ts";
import type { Reservation } from "../../../firmware/cache/store/reservation.ts";

const directory = mkdtempSync(join(tmpdir(), "drover-reservation-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const NOW = 1_700_000_000;
const SIZE = 8 << 20;
let files = 0;

function fresh() {
	const path = join(directory, `store-${files++}`);
	Arena.create(path, SIZE, NOW);
	return { path, arena: Arena.open(path, SIZE, 0), other: Arena.open(path, SIZE, 1) };
}

const meta = (key: string, more: Partial<ObjectMeta> = {}): ObjectMeta => ({
	key,
	vary: "",
	head: "HTTP/1.1 200 OK\r\nX: y\r\n",
	...{ tOrigin: NOW, ttl: 60, grace: 10, keep: 0, insertedAt: NOW },
	...{ flags: 0, vxid: 1, ban: 0, storage: 0 },
	...more,
});

/** No two pieces of it are alike. */
const content = (bytes: number) => {
	const all = Buffer.alloc(bytes);
	for (let at = 0; at + 4 <= bytes; at += 4) all.writeInt32LE(Math.imul(at, 0x9e3779b1), at);
	return all;
};

function fill(reservation: Reservation, body: Uint8Array, piece = 65_521): void {
	for (let at = 0; at < body.length; at += piece) {
		const placed = reservation.write(body.subarray(at, at + piece))!;
		expect(Buffer.compare(placed, body.subarray(at, at + piece))).toBe(0);
	}
}

const LARGE = Math.floor(SIZE * 0.6);

test("six tenths of the storage, among open segments of others: it is found whole, and after a kill too", () => {
	const { arena, other, path } = fresh();
	for (let each = 0; each < 2000; each++) {
		arena.insert(meta(`/${each}`, { vxid: each + 1 }), [content(1000)]);
		other.insert(meta(`/o${each}`, { vxid: each + 1 }), [content(1000)]);
	}
	const body = content(LARGE);
	const reservation = arena.reserve(meta("/large", { vxid: 7 }), body.length)!;
	expect(arena.lookup("/large")).toEqual([]);
	fill(reservation, body);
	// Others go on meanwhile, and take nothing of it.
	for (let each = 0; each < 20_000; each++) other.insert(meta(`/p${each}`), [content(1000)]);
	expect(arena.commit(reservation, meta("/large", { vxid: 7 }), true)).toBe(true);
	arena.release(reservation);
	expect(Buffer.compare(other.lookup("/large")[0]!.body, body)).toBe(0);
	expect(statSync(path).size).toBeLessThanOrEqual(SIZE);
	expect(arena.figures().bytes).toBeLessThanOrEqual(SIZE);
	// The small ones still go in and out.
	other.insert(meta("/small"), [content(1000)]);
	expect(other.lookup("/small").length).toBe(1);

	const again = Arena.open(path, SIZE, WORKER_LIMIT);
	again.reopen(NOW);
	const found = again.lookup("/large")[0]!;
	expect(Buffer.compare(found.body, body)).toBe(0);
	expect(found.head).toBe(meta("").head);
});

test("a second one of that size gets no room while the first is being written, and has it afterwards", () => {
	const { arena, other } = fresh();
	const first = arena.reserve(meta("/1"), LARGE)!;
	expect(other.reserve(meta("/2"), LARGE)).toBeUndefined();
	expect(other.insert(meta("/2"), [content(LARGE)])).toBeUndefined();
	fill(first, content(LARGE));
	expect(arena.commit(first, meta("/1"), true)).toBe(true);
	// Somebody is still sent what the first one had.
	expect(other.reserve(meta("/2"), LARGE)).toBeUndefined();
	arena.release(first);
	const second = other.reserve(meta("/2"), LARGE)!;
	expect(arena.lookup("/1")).toEqual([]);
	other.release(second);
});

test("what is given up leaves its room; more than was said, or less, is no object", () => {
	const { arena } = fresh();
	for (let round = 0; round < 20; round++) {
		const reservation = arena.reserve(meta("/broken"), LARGE)!;
		fill(reservation, content(LARGE - 1));
		expect(reservation.write(new Uint8Array(2))).toBeUndefined();
		expect(arena.commit(reservation, meta("/broken"), true)).toBe(false);
		arena.release(reservation);
	}
	expect(arena.lookup("/broken")).toEqual([]);
	expect(arena.figures()).toMatchObject({ objects: 0, bytes: 0 });
	expect(arena.reserve(meta("/too-large"), SIZE)).toBeUndefined();
});

test("an ESI program goes with it", () => {
	const { arena, path } = fresh();
	const withProgram = meta("/page", { esi: Buffer.from("a program") });
	const reservation = arena.reserve(withProgram, LARGE)!;
	fill(reservation, content(LARGE));
	expect(arena.commit(reservation, withProgram, true)).toBe(true);
	arena.release(reservation);
	const again = Arena.open(path, SIZE, 0);
	again.reopen(NOW);
	const found = again.lookup("/page")[0]!;
	expect(Buffer.from(found.esi!).toString()).toBe("a program");
	expect(Buffer.compare(found.body, content(LARGE))).toBe(0);
});

test("of unknown length: it grows over what is behind it, and leaves what it does not need", () => {
	const { arena, other, path } = fresh();
	for (let each = 0; each < 4000; each++) other.insert(meta(`/${each}`, { vxid: each + 1 }), [content(1000)]);
	const body = content(LARGE);
	const wanted = meta("/grown", { vxid: 7 });
	const reservation = arena.reserveRoom(wanted, 1_000_000)!;
	for (let at = 0; at < body.length; at += 65_521) {
		const piece = body.subarray(at, at + 65_521);
		while (reservation.write(piece) === undefined) expect(arena.extend(reservation, wanted)).toBe(true);
	}
	expect(arena.commit(reservation, wanted, true)).toBe(true);
	arena.release(reservation);
	expect(Buffer.compare(other.lookup("/grown")[0]!.body, body)).toBe(0);
	// What it had beyond its length is others'.
	for (let each = 0; each < 20_000; each++) other.insert(meta(`/p${each}`), [content(1000)]);
	const again = Arena.open(path, SIZE, 0);
	again.reopen(NOW);
	for (const found of again.lookup("/grown")) expect(Buffer.compare(found.body, body)).toBe(0);
});

test("of unknown length: it ends where another one is being written, and leaves its room", () => {
	const { arena, other } = fresh();
	const first = arena.reserveRoom(meta("/1"), 1_000_000)!;
	const second = other.reserveRoom(meta("/2"), 1_000_000)!;
	let grown = 0;
	while (arena.extend(first, meta("/1"))) grown++;
	while (other.extend(second, meta("/2"))) grown++;
	expect(grown).toBeGreaterThan(3);
	expect(first.roomBytes + second.roomBytes).toBeLessThan(SIZE);
	fill(second, content(second.roomBytes));
	expect(other.commit(second, meta("/2"), true)).toBe(true);
	other.release(second);
	arena.release(first);
	expect(Buffer.compare(arena.lookup("/2")[0]!.body, content(second.roomBytes))).toBe(0);
	const third = arena.reserve(meta("/3"), LARGE)!;
	expect(third).toBeDefined();
	arena.release(third);
});

test("it replaces what was stored under its key", () => {
	const { arena } = fresh();
	arena.insert(meta("/a", { vxid: 1 }), [content(10)]);
	const reservation = arena.reserve(meta("/a", { vxid: 2, insertedAt: NOW + 1 }), LARGE)!;
	fill(reservation, content(LARGE));
	expect(arena.commit(reservation, meta("/a", { vxid: 2, insertedAt: NOW + 1 }), true)).toBe(true);
	arena.release(reservation);
	expect(arena.lookup("/a").map(({ vxid }) => vxid)).toEqual([2]);
});

test("who dies while he writes leaves nothing; what others write stays theirs, though the index is built anew", () => {
	const { arena, other, path } = fresh();
	const manager = Arena.open(path, SIZE, WORKER_LIMIT);
	expect(arena.reserve(meta("/dead"), LARGE)).toBeDefined();
	manager.bury(0, NOW);
	const body = content(LARGE);
	const living = other.reserve(meta("/living"), LARGE)!;
	fill(living, body);
	// The next one dies with the lock.
	new Book(path, planLayout(SIZE)).control[Control.lock] = 1;
	manager.bury(0, NOW);
	for (let each = 0; each < 5000; each++) arena.insert(meta(`/${each}`), [content(1000)]);
	expect(other.commit(living, meta("/living"), true)).toBe(true);
	other.release(living);
	expect(Buffer.compare(arena.lookup("/living")[0]!.body, body)).toBe(0);
});

test("a store that was left with one half written begins without it", () => {
	const { arena, path } = fresh();
	const reservation = arena.reserve(meta("/half"), LARGE)!;
	fill(reservation, content(LARGE - 100));
	arena.layDown();
	const again = Arena.open(path, SIZE, 0);
	again.reopen(NOW);
	expect(again.lookup("/half")).toEqual([]);
	expect(again.reserve(meta("/next"), LARGE)).toBeDefined();
});
