/**
 * Objects put into a running or resting store directly, as a worker does it: the way to a million objects that does
 * not take a million requests. Also a program: replaces objects in a store at a constant rate.
 *
 *   bun test/bench/cache/direct.ts STORE BYTES PER_SECOND SECONDS OBJECTS
 */
import { Arena, type ObjectMeta } from "../../../firmware/cache/store/arena.ts";
import { WORKER_LIMIT } from "../../../firmware/cache/store/layout.ts";

/** A place among the workers that no real one has (the manager is WORKER_LIMIT - 1). */
const PLACE = WORKER_LIMIT - 2;

const objectUrl = (index: number) => `/object/${String(index).padStart(8, "0")}`;

/** As vcl_hash of the built-in program feeds it. */
export function objectMeta(index: number, host: string, now: number, bodyBytes: number): ObjectMeta {
	return {
		key: `${objectUrl(index)}\0${host}\0`,
		vary: "",
		head: `HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nCache-Control: max-age=36000\r\nContent-Length: ${bodyBytes}\r\n`,
		tOrigin: now,
		ttl: 36_000,
		grace: 10,
		keep: 0,
		insertedAt: now,
		flags: 0,
		vxid: (index + 1) & 0x3fffffff,
		ban: 0,
		storage: 0,
	};
}

export function openDirectly(path: string, bytes: number): Arena {
	return Arena.open(path, bytes, PLACE);
}

export function fill(arena: Arena, count: number, host: string, bodyBytes: number): void {
	const body = [Buffer.alloc(bodyBytes, "x")];
	const now = Date.now() / 1000;
	for (let index = 0; index < count; index++)
		if (arena.insert(objectMeta(index, host, now, bodyBytes), body) === undefined)
			throw new Error(`object ${index} does not fit into the store`);
}

const renewed = [Buffer.alloc(1024, "y")];

/** Takes an old object out and puts a new one in, as a fetch does. */
function replaceOne(arena: Arena, objects: number): void {
	const index = Math.floor(Math.random() * objects);
	if (!arena.replace(objectMeta(index, "bench", Date.now() / 1000, 1024), renewed))
		throw new Error(`object ${index} is not replaced: there is no room`);
}

/** Replaces so many at once. */
export function renew(arena: Arena, count: number, objects: number): void {
	for (let done = 0; done < count; done++) replaceOne(arena, objects);
}

async function replace(arena: Arena, perSecond: number, seconds: number, objects: number): Promise<number> {
	const begin = performance.now();
	let done = 0;
	for (;;) {
		const passed = performance.now() - begin;
		if (passed >= seconds * 1000) return done;
		const due = Math.floor((passed / 1000) * perSecond);
		while (done < due) {
			replaceOne(arena, objects);
			done++;
		}
		await Bun.sleep(1);
	}
}

if (import.meta.main) {
	const [path = "", ...numbers] = process.argv.slice(2);
	const [bytes = 0, perSecond = 0, seconds = 0, objects = 0] = numbers.map(Number);
	console.log(await replace(openDirectly(path, bytes), perSecond, seconds, objects));
}
