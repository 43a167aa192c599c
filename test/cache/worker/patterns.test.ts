/**
 * A worker that answers by patterns, beside one that takes the long way every time: the same bytes, the same log, the
 * same counters, for programs, objects and requests from a seed.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ParameterSet } from "../../../firmware/cache/cli/parameters.ts";
import { mainCounters } from "../../../firmware/cache/log/counters.ts";
import type { LogSink } from "../../../firmware/cache/log/sink.ts";
import { shownTags, Tag } from "../../../firmware/cache/log/tags.ts";
import { Arena, type ObjectMeta } from "../../../firmware/cache/store/arena.ts";
import { BanList } from "../../../firmware/cache/store/bans.ts";
import { Flag } from "../../../firmware/cache/store/layout.ts";
import { compileVcl } from "../../../firmware/cache/vcl/compile.ts";
import type { Director, VclHost } from "../../../firmware/cache/vcl/runtime.ts";
import { Address } from "../../../firmware/cache/worker/address.ts";
import { BUSY_PLACES, BusyMarks } from "../../../firmware/cache/worker/busy-marks.ts";
import { Engine } from "../../../firmware/cache/worker/engine.ts";
import { workerParameters } from "../../../firmware/cache/worker/parameters.ts";
import { PURGE_PLACES, PurgeMarks } from "../../../firmware/cache/worker/purge-marks.ts";
import { ClientSession, type ClientSocket } from "../../../firmware/cache/worker/session.ts";
import { type Random, randomFrom } from "../../sim/random.ts";

const directory = mkdtempSync(join(tmpdir(), "drover-patterns-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const STORE_BYTES = 4 << 20;
const storage = (name: string) => ({ name, happy: true, freeSpaceBytes: 0, usedSpaceBytes: 0 });
const parameters = workerParameters(new ParameterSet().values);
let stores = 0;

interface Logged {
	readonly id: number;
	readonly tag: string;
	readonly text: string;
}

const tagNames = new Map<number, string>(Object.entries(Tag).map(([name, tag]) => [tag, name]));

/** A worker with one client, whose socket and log are kept. Time stands still unless it is moved, or writing takes some. */
function makeWorker(policy: string) {
	const path = join(directory, String(stores++));
	Arena.create(path, STORE_BYTES, 1000);
	const arena = Arena.open(path, STORE_BYTES, 0);
	const logged: Logged[] = [];
	const log: LogSink = {
		immediate: false,
		write() {},
		append(block, length) {
			const view = new DataView(block.buffer, block.byteOffset, length);
			for (let at = 0; at < length; ) {
				const head = view.getUint32(at, true);
				const tag = head >>> 24;
				const size = head & 0xffff;
				if (tag !== 255)
					logged.push({
						id: view.getUint32(at + 4, true),
						tag: tagNames.get(tag) ?? String(tag),
						text: block.toString("latin1", at + 8, at + 8 + size - 1),
					});
				at += tag === 255 ? 8 : 8 + ((size + 3) & ~3);
			}
		},
	};
	const engine = new Engine({
		arena,
		bans: new BanList(),
		log,
		counters: new Float64Array(mainCounters.counters.length),
		transactions: new Int32Array(1),
		busy: new BusyMarks(new Int32Array(BUSY_PLACES), 0),
		purges: new PurgeMarks(new Int32Array(PURGE_PLACES + 1)),
		banNumbers: new Int32Array(2),
		parameters,
		identity: "box",
		hostname: "box",
		storages: [storage("s0"), storage("Transient")],
		flusher: undefined,
		publishBan: () => 0,
	});
	const clock = { now: 1_700_000_000, writing: 0 };
	engine.now = () => clock.now;
	const compiled = compileVcl(`vcl 4.1; import std; backend b none;\n${policy}`);
	if (!compiled.ok) throw new Error(compiled.error.text);
	const none = { name: "b", definition: null, resolve: () => null, healthy: () => false, changedAt: 0 };
	const host = { backend: () => none as Director, stevedore: () => null } as unknown as VclHost;
	engine.active = { name: "boot", loaded: compiled.vcl.link(host), busy: 0 };
	const sent: string[] = [];
	let byPattern = 0;
	const { patterns, replays } = engine;
	const answer = patterns.answer.bind(patterns);
	patterns.answer = (...request) => {
		const answered = answer(...request);
		if (answered) byPattern++;
		return answered;
	};
	let byReplay = 0;
	let asked = 0;
	const repeat = replays.answer.bind(replays);
	replays.answer = (...request) => {
		asked++;
		const answered = repeat(...request);
		if (answered) byReplay++;
		return answered;
	};
	const endpoint = {
		...{ name: "a0", text: "127.0.0.1:80", transport: "HTTP/1" as const },
		...{ encrypted: false, administrative: false, unix: false },
	};
	const connect = (address: string) => {
		const socket = {
			write(bytes: Uint8Array, from = 0, length = bytes.length) {
				clock.now += clock.writing;
				sent.push(Buffer.from(bytes).toString("latin1", from, from + length));
				return length;
			},
			end() {},
			shutdown() {},
			pause() {},
			resume() {},
		} as unknown as ClientSocket;
		const remote = new Address(address, 40_000);
		return new ClientSession(engine, socket, endpoint, { remote, local: new Address("192.0.2.9", 80) });
	};
	return {
		arena,
		engine,
		clock,
		logged,
		sent,
		connect,
		/** Every request is a stranger from now on. */
		takesTheLongWay() {
			patterns.answer = () => false;
			engine.replays.answer = () => false;
		},
		/** Nothing is answered as it was before, so that patterns are all that there is. */
		repeatsNothing() {
			engine.replays.answer = () => false;
		},
		get byPattern() {
			return byPattern;
		},
		get byReplay() {
			return byReplay;
		},
		/** How often a request was looked for among the replays. */
		get asked() {
			return asked;
		},
	};
}

const policies = [
	"",
	'sub vcl_deliver { if (obj.hits > 0) { set resp.http.X-Cache = "HIT"; } }',
	'sub vcl_recv { if (req.url ~ "^/0") { set req.http.X-Zero = "1"; } if (req.url == "/1") { return (pass); } }',
	'sub vcl_recv { if (req.url ~ "3$") { set req.url = regsub(req.url, "3$", "4"); } }',
	'sub vcl_recv { if (req.url ~ "\\?") { set req.http.X-Query = regsub(req.url, ".*\\?", ""); } }',
	"sub vcl_deliver { unset resp.http.Via; unset resp.http.X-Varnish; unset resp.http.Server; }",
	'sub vcl_deliver { if (resp.http.Server ~ "nginx") { set resp.http.X-Tag = resp.http.Server; } }',
	'sub vcl_deliver { set resp.http.ETag = "mine"; if (req.url ~ "5") { set resp.http.X-Five = "5"; } }',
	'sub vcl_hit { if (obj.http.X-Kind == "b") { set req.http.X-Kind = "b"; } } sub vcl_deliver { set resp.http.X-Kind = req.http.X-Kind; }',
	'sub vcl_recv { if (req.url ~ "^/x") { set req.url = "/x?a=3"; } }',
	"sub vcl_deliver { set resp.http.X-URL = req.url; }",
	"sub vcl_deliver { set resp.http.X-Hash = req.hash; unset resp.http.Age; }",
	"sub vcl_deliver { set resp.http.X-Grace = obj.grace; set resp.http.X-Keep = obj.keep; set resp.http.X-Time = obj.time; }",
	"sub vcl_deliver { set resp.http.X-Hits = obj.hits; }",
	'sub vcl_deliver { if (obj.hits > 6) { set resp.http.X-Often = "yes"; } }',
	"sub vcl_hash { hash_data(req.url); }",
	'sub vcl_hash { hash_data("x"); hash_data(req.url); hash_data("y"); return (lookup); }',
	"sub vcl_hash { hash_data(req.url + req.method); return (lookup); }",
	'sub vcl_hash { hash_data(regsub(req.url, "[?].*", "")); return (lookup); }',
	'sub vcl_recv { std.log("at " + req.url); }',
	"sub vcl_recv { set req.ttl = 30s; }",
	"sub vcl_recv { set req.hash_ignore_vary = true; }",
	'sub vcl_recv { if (req.url == "/0") { set req.http.X = "a"; } elseif (req.url == "/2") { set req.http.X = "b"; } elseif (req.url == "/4") { set req.http.X = "c"; } }',
	'sub vcl_deliver { if (resp.status == 404) { set resp.status = 200; set resp.reason = "Fine"; } }',
	'sub vcl_deliver { set resp.http.Content-Length = "3"; }',
	"sub vcl_recv { set req.http.X-Reply = req.url; } sub vcl_deliver { set resp.http.X-Reply = req.http.X-Reply; }",
	'sub vcl_recv { set req.http.X-Now = now; if (req.url !~ "x") { unset req.http.X-Now; } }',
];

const starts = [...Array(12).fill("HTTP/1.1 200 OK"), "HTTP/1.0 200 Ok", "HTTP/1.1 404 Not Found"];

function makeObject(random: Random, key: string, index: number, now: number): [ObjectMeta, Uint8Array] {
	const body = Buffer.alloc(random.pick([0, 5, 100, 1000]) + random.integer(0, 9), "b");
	const lines = [random.pick(starts)];
	const add = (chance: number, line: string) => {
		if (random.chance(chance)) lines.push(line);
	};
	add(0.5, "Content-Type: text/html");
	add(0.5, `ETag: "${random.integer(1, 99)}"`);
	add(0.3, `server: ${random.pick(["nginx", "apache"])}`);
	add(0.3, `X-Kind: ${random.pick(["a", "b"])}`);
	add(0.7, `${random.pick(["Content-Length", "content-length"])}: ${body.length}`);
	add(0.1, "Via: 1.0 fred");
	add(0.05, "Via: 1.0 barney");
	add(0.1, "X-Cache: MISS");
	add(0.4, `Last-Modified: Tue, 14 Nov 2023 0${random.integer(0, 9)}:00:00 GMT`);
	add(0.1, `X-Long: ${"l".repeat(300)}`);
	add(0.1, "X-Tag:");
	return [
		{
			key,
			vary: random.chance(0.8) ? "" : random.pick(["accept-language\x01de", "accept-language\x01fr"]),
			head: `${lines.join("\r\n")}\r\n`,
			tOrigin: now - random.integer(0, 120),
			ttl: random.pick([0, 100, 3600, 3600, 3600]),
			grace: random.pick([0, 10]),
			keep: random.pick([0, 5]),
			insertedAt: now,
			flags: random.chance(0.9) ? 0 : random.pick([Flag.gzip, Flag.hitForMiss]),
			vxid: 100 + index,
			ban: 0,
			storage: 0,
		},
		body,
	];
}

const blocks = [
	"Host: a\r\n\r\n",
	"Host: a\r\nAccept-Encoding: gzip, br\r\nUser-Agent: x\r\n\r\n",
	"Host: a\r\nAccept-Language: de\r\n\r\n",
	"Host: a\r\nAccept-Language: fr\r\n\r\n",
	"Host: a\r\nCustom-Language: de\r\n\r\n",
	'Host: a\r\nIf-None-Match: "7"\r\n\r\n',
	"Host: a\r\nRange: bytes=1-2\r\n\r\n",
	"Host: a\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n",
];
const urls = [
	"/0",
	"/1",
	"/2",
	"/3",
	"/4",
	"/5",
	"/x?a=3",
	"/x?b=5",
	"/00000",
	"/a/b/c/d",
	"/\x7f",
	"http://a/0",
];

/** How many bytes at the end of one of the batch are those of the one before. */
function commonEnd(batch: readonly { readonly request: Buffer }[], place: number): number {
	const [one, other] = [batch[place - 1]?.request ?? Buffer.alloc(0), batch[place]!.request];
	let same = 0;
	while (same < Math.min(one.length, other.length) && one.at(-1 - same) === other.at(-1 - same)) same++;
	return same;
}

/** What the same requests come to in both; times in the log have no meaning while the clock stands. */
async function compare(policy: string, seed: number): Promise<number> {
	const random = randomFrom(seed);
	const usual = makeWorker(policy);
	const quick = makeWorker(policy);
	usual.takesTheLongWay();
	quick.repeatsNothing();
	const keysOf = (url: string) => [
		`${url}\0a\0`,
		`${url}\0${url}\0a\0`,
		`x\0${url}\0y\0`,
		`${url}GET\0`,
		`${url.replace(/[?].*/, "")}\0`,
	];
	let index = 0;
	for (const url of urls)
		for (const key of keysOf(url)) {
			const [meta, body] = makeObject(random, key, index++, usual.clock.now);
			for (const { arena } of [usual, quick]) arena.insert(meta, [body]);
		}
	const clients = ["192.0.2.1", "192.0.2.2"].map((address) => [
		usual.connect(address),
		quick.connect(address),
	]);
	for (let round = 0; round < 120; round++) {
		// What comes together, each with a buffer of its own, is foreseen together.
		const batch = Array.from({ length: random.pick([1, 1, 2, 5]) }, () => {
			// Some are asked for far more often than others.
			const url = urls[Math.floor(urls.length * random.next() ** 2)]!;
			const request = Buffer.from(`GET ${url} HTTP/1.1\r\n${random.pick(blocks)}`, "latin1");
			return { request, at: random.chance(0.8) ? 0 : 1, goes: random.chance(0.05) };
		});
		const { patterns } = quick.engine;
		patterns.begin();
		for (const [place, { request, at }] of batch.entries())
			clients[at]![1]!.foresee(request, batch[place - 1]?.request, commonEnd(batch, place));
		patterns.readAhead();
		for (const [place, { request, at, goes }] of batch.entries()) {
			const [theirSession, ourSession] = clients[at]!;
			theirSession!.onData(Buffer.from(request), usual.clock.now);
			ourSession!.onData(request, quick.clock.now, batch[place - 1]?.request, commonEnd(batch, place));
			// A refreshing fetch begins when the request has been answered.
			await Promise.resolve();
			const passed = random.chance(0.1) ? random.integer(1, 5) + 0.25 : 0;
			for (const { clock } of [usual, quick]) clock.now += passed;
			if (goes) {
				const [meta, body] = makeObject(random, keysOf(urls[0]!)[0]!, index++, usual.clock.now);
				for (const { arena } of [usual, quick]) arena.replace(meta, [body]);
			}
			const [theirs, ours] = [usual, quick].map(({ sent, logged }) => ({
				sent: sent.splice(0),
				logged: logged.splice(0),
			}));
			const asked = request.toString("latin1");
			if (JSON.stringify(ours) !== JSON.stringify(theirs))
				expect({ asked, ...ours }).toEqual({ asked, ...theirs! });
			if (clients[at]!.some((session) => session.willClose))
				clients[at] = [usual.connect("192.0.2.1"), quick.connect("192.0.2.1")];
		}
	}
	expect([...quick.engine.counters]).toEqual([...usual.engine.counters]);
	for (const url of urls)
		for (const key of keysOf(url)) {
			const [one, other] = [usual, quick].map(({ arena }) =>
				arena.lookup(key).map((each) => arena.use(each)),
			);
			expect(other).toEqual(one!);
		}
	return quick.byPattern;
}

describe("a hit by a pattern is a hit like any other", () => {
	test.each(policies.map((policy, index) => [policy, index] as const))("%s", async (policy, index) => {
		let byPattern = 0;
		for (let seed = 0; seed < 2; seed++) byPattern += await compare(policy, index * 100 + seed);
		// Where the program uses the URL or the object otherwise for every request, there is no pattern.
		const never =
			/X-URL|X-Hash|X-Grace|X-Hits|url \+|hash_data\(reg|std\.log|req\.ttl|Content-L|X-Reply|X-Now/;
		if (never.test(policy)) expect(byPattern).toBe(0);
		else expect(byPattern).toBeGreaterThan(20);
	});

	test("its log is its own, however many hits are of how many lengths", () => {
		const usual = makeWorker(policies[1]!);
		const quick = makeWorker(policies[1]!);
		usual.takesTheLongWay();
		quick.repeatsNothing();
		const asked: string[] = [];
		for (let length = 1; length <= 250; length++)
			for (const bodyBytes of [0, 12, 345, 1024]) {
				const url = `/${String(bodyBytes).padStart(length, "u")}`;
				const [meta] = makeObject(randomFrom(1), `${url}\0a\0`, asked.length, usual.clock.now);
				const more = "X-More: m\r\n".repeat(length % 3);
				const head = `HTTP/1.1 200 OK\r\nX-Long: ${"l".repeat(length % 7)}\r\n${more}`;
				const plain = { ...meta, head, vary: "", ttl: 10 + 5 * length, tOrigin: usual.clock.now, flags: 0 };
				for (const { arena } of [usual, quick]) arena.insert(plain, [Buffer.alloc(bodyBytes, "b")]);
				asked.push(url);
			}
		const clients = ["192.0.2.1", "192.0.2.200"].map((address) =>
			[usual, quick].map((worker) => worker.connect(address)),
		);
		for (let round = 0; round < 2; round++)
			for (const url of asked)
				for (const client of clients.flatMap((each) => [each, each, each])) {
					const request = Buffer.from(`GET ${url} HTTP/1.1\r\nHost: a\r\n\r\n`);
					for (const session of client) session.onData(Buffer.from(request));
					const [theirs, ours] = [usual, quick].map(({ sent, logged }) => ({
						sent: sent.splice(0),
						logged: logged.splice(0),
					}));
					if (JSON.stringify(ours) !== JSON.stringify(theirs))
						expect({ url, ...ours }).toEqual({ url, ...theirs! });
				}
		expect(quick.byPattern).toBeGreaterThan(5000);
	});

	test("obj.hits decides by the object at hand", () => {
		const { arena, clock, connect, sent, repeatsNothing } = makeWorker(
			'sub vcl_deliver { if (obj.hits > 6) { set resp.http.X-Often = "yes"; } }',
		);
		repeatsNothing();
		for (const url of ["/often", "/seldom"]) {
			const [meta] = makeObject(randomFrom(1), `${url}\0a\0`, 1, clock.now);
			const head = "HTTP/1.1 200 OK\r\n";
			arena.insert({ ...meta, head, vary: "", ttl: 100, tOrigin: clock.now, flags: 0 }, []);
		}
		const session = connect("192.0.2.1");
		const often = (url: string) => {
			session.onData(Buffer.from(`GET ${url} HTTP/1.1\r\nHost: a\r\n\r\n`));
			return sent.splice(0).join("").includes("X-Often: yes");
		};
		expect(Array.from({ length: 12 }, () => often("/often"))).toEqual([
			...Array(6).fill(false),
			...Array(6).fill(true),
		]);
		expect(Array.from({ length: 8 }, () => often("/seldom"))).toEqual([...Array(6).fill(false), true, true]);
	});

	/** A worker that has learnt a pattern, with fresh objects at these URLs. */
	const taught = (urls: readonly string[]) => {
		const worker = makeWorker("");
		for (const url of ["/a0", "/a1", "/a2", ...urls]) {
			const [meta] = makeObject(randomFrom(1), `${url}\0a\0`, 1, worker.clock.now);
			const head = "HTTP/1.1 200 OK\r\n";
			worker.arena.insert({ ...meta, head, vary: "", ttl: 1000, tOrigin: worker.clock.now, flags: 0 }, []);
		}
		const session = worker.connect("192.0.2.1");
		const ask = (url: string) => session.onData(Buffer.from(`GET ${url} HTTP/1.1\r\nHost: a\r\n\r\n`));
		for (const url of ["/a0", "/a1", "/a2"]) ask(url);
		expect(worker.byPattern).toBe(1);
		return { worker, ask };
	};

	test("its log says how long it took, across the turn of a second", () => {
		const { worker, ask } = taught(["/b"]);
		const { clock, logged } = worker;
		for (const [began, took] of [
			[1_700_000_007.25, 0.001234],
			[1_700_000_008.999, 0.002],
			[1_700_000_009.000001, 0],
			[1_700_000_010.5, 2.5],
		] as const) {
			clock.now = began;
			clock.writing = took;
			logged.length = 0;
			ask("/b");
			const at = began.toFixed(6);
			expect(logged.filter(({ tag }) => tag === "Timestamp").map(({ text }) => text)).toEqual([
				`Start: ${at} 0.000000 0.000000`,
				`Req: ${at} 0.000000 0.000000`,
				`Process: ${at} 0.000000 0.000000`,
				`Resp: ${(began + took).toFixed(6)} ${took.toFixed(6)} ${took.toFixed(6)}`,
			]);
		}
		expect(worker.byPattern).toBe(5);
	});

	test("who asks for something else each time is seldom looked for among the replays", () => {
		const urls = Array.from({ length: 160 }, (_, index) => `/c${index}`);
		const { worker, ask } = taught(urls);
		const { asked } = worker;
		for (const url of urls) ask(url);
		expect(worker.byPattern).toBe(161);
		expect(worker.asked - asked).toBeLessThanOrEqual(20);
		expect(worker.byReplay).toBe(0);
	});

	test("who goes on to ask for one thing is answered by a replay again", () => {
		const { worker, ask } = taught(["/b"]);
		for (let count = 0; count < 40; count++) ask("/b");
		expect(worker.byReplay).toBeGreaterThan(20);
	});

	test.each(["Hit", "VCL_use", "ReqStart", "Begin", "ReqURL", "End", "Link", "Timestamp"] as const)(
		"%s need not be in the log",
		async (hidden) => {
			shownTags[Tag[hidden]] = 0;
			try {
				expect(await compare(policies[1]!, 7000 + Tag[hidden])).toBeGreaterThan(5);
			} finally {
				shownTags[Tag[hidden]] = 1;
			}
		},
	);
});
