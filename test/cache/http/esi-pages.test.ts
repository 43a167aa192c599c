/** Pages put together from parts: of any shape and size, at the pace of the client, from a store that was restarted. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { PART_LIMIT } from "../../../firmware/cache/worker/esi-output.ts";
import { drover, type RunningCache, startCache } from "../../conformance/caches.ts";

const directory = mkdtempSync(join(tmpdir(), "drover-esi-"));
const store = join(directory, "store");
const vcl = join(directory, "esi.vcl");
let cache: RunningCache;
let asked: string[] = [];
/** By URL. */
const bodies = new Map<string, { readonly text: string; readonly packed: boolean; readonly page: boolean }>();

const origin = Bun.serve({
	port: 0,
	hostname: "127.0.0.1",
	async fetch(request) {
		const { pathname, search } = new URL(request.url);
		asked.push(pathname);
		if (pathname === "/late") await Bun.sleep(20);
		const body = bodies.get(pathname);
		if (body === undefined) return new Response("none", { status: 404 });
		const bytes = Buffer.from(body.text, "latin1");
		const headers: Record<string, string> = { "cache-control": search === "" ? "max-age=1000" : "no-store" };
		if (body.page) headers["surrogate-control"] = "ESI/1.0";
		if (body.packed) headers["content-encoding"] = "gzip";
		return new Response(body.packed ? gzipSync(bytes) : bytes, { headers });
	},
});

const start = () =>
	startCache(drover, 0, ["-f", vcl, "-s", `persistent,${store},64m`, "-p", "thread_pools=1"]);

beforeAll(async () => {
	await Bun.write(
		vcl,
		`vcl 4.1; backend default { .host = "127.0.0.1"; .port = "${origin.port}"; }
		sub vcl_backend_response { set beresp.do_esi = beresp.http.surrogate-control ~ "ESI"; }`,
	);
	cache = await start();
}, 60_000);

afterAll(async () => {
	await cache?.stop();
	origin.stop(true);
	rmSync(directory, { recursive: true, force: true });
});

const include = (url: string) => `<esi:include src="${url}"/>`;
const put = (url: string, text: string, packed = false, page = true) =>
	bodies.set(url, { text, packed, page });

/** The body as it is meant. */
async function take(url: string, gzip: boolean): Promise<string> {
	// The port of the cache, which is another after a restart, is not to be in the key.
	const headers = { host: "page.test", "accept-encoding": gzip ? "gzip" : "identity" };
	const response = await fetch(`http://127.0.0.1:${cache.port}${url}`, {
		headers,
		decompress: false,
	} as RequestInit);
	const bytes = Buffer.from(await response.arrayBuffer());
	const isPacked = response.headers.get("content-encoding") === "gzip";
	expect(isPacked && !gzip).toBe(false);
	return (isPacked ? gunzipSync(bytes) : bytes).toString("latin1");
}

/** The same for one that takes its time. */
async function takeSlowly(url: string): Promise<string> {
	const socket = connect(cache.port, "127.0.0.1");
	socket.write(`GET ${url} HTTP/1.0\r\nHost: page.test\r\n\r\n`);
	const pieces: Buffer[] = [];
	socket.on("data", (piece: Buffer) => {
		pieces.push(piece);
		socket.pause();
		setTimeout(() => socket.resume(), 1);
	});
	await new Promise((resolve) => socket.once("end", resolve));
	const answer = Buffer.concat(pieces).toString("latin1");
	return answer.slice(answer.indexOf("\r\n\r\n") + 4);
}

interface Node {
	readonly packed: boolean;
	/** Passed each time. */
	readonly fleeting: boolean;
	readonly page: boolean;
	readonly texts: readonly string[];
	readonly parts: readonly Node[];
}

const text = fc.string({ maxLength: 40 }).map((any) => any.replace(/[^ -~]|[<>]/g, ""));
const nodes = fc.letrec<{ node: Node }>((tie) => ({
	node: fc.record({
		packed: fc.boolean(),
		fleeting: fc.boolean(),
		page: fc.boolean(),
		texts: fc.array(
			fc.oneof(
				text,
				fc.nat(900_000).map((length) => "long ".repeat(length / 5)),
			),
			{
				minLength: 3,
				maxLength: 3,
			},
		),
		parts: fc.oneof(
			{ depthSize: "large", maxDepth: 3 },
			fc.constant([] as Node[]),
			fc.array(tie("node"), { minLength: 1, maxLength: 3 }),
		),
	}),
})).node;

let names = 0;
/** Puts a node where the origin finds it; returns its URL and what a client should get of it. */
function lay(node: Node): { readonly url: string; readonly meant: string } {
	const name = `/node-${names++}`;
	const parts = node.parts.map(lay);
	let written = "<a>";
	let meant = "<a>";
	for (const [index, words] of node.texts.entries()) {
		const part = parts[index];
		const tags = part === undefined ? "<esi:comment text=''/>" : include(part.url);
		written += words + tags;
		meant += words + (node.page ? (part?.meant ?? "") : tags);
	}
	put(name, written, node.packed, node.page);
	return { url: node.fleeting ? `${name}?` : name, meant };
}

test("pages of any shape are what they are meant to be, the first time and from the store", async () => {
	await fc.assert(
		fc.asyncProperty(nodes, fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }), async (node, gzips) => {
			const { url, meant } = lay(node);
			for (const gzip of gzips) expect((await take(url, gzip)) === meant).toBe(true);
			expect((await takeSlowly(url)) === meant).toBe(true);
		}),
		{ numRuns: 60 },
	);
}, 120_000);

test("a restart of the cache keeps pages and parts", async () => {
	put("/kept", `<a>${include("/kept-part")}</a>`, true);
	put("/kept-part", "part", true, false);
	expect(await take("/kept", true)).toBe("<a>part</a>");
	await cache.stop();
	cache = await start();
	asked = [];
	expect(await take("/kept", true)).toBe("<a>part</a>");
	expect(await take("/kept", false)).toBe("<a>part</a>");
	expect(asked).toEqual([]);
}, 60_000);

test("hundreds of parts, and large ones", async () => {
	const large = "0123456789".repeat(300_000);
	put("/many", `<a>${include("/small").repeat(500)}${include("/large")}${include("/small")}</a>`);
	put("/small", "s", true, false);
	put("/large", large, false, false);
	for (const gzip of [false, true, false])
		expect((await take("/many", gzip)) === `<a>${"s".repeat(500)}${large}s</a>`).toBe(true);
}, 60_000);

test("a part that is larger than what is held in memory, to a client that reads it slowly", async () => {
	const text = Array.from({ length: 2_500_000 }, (_, index) => String(index).padStart(8, "0")).join("");
	put("/huge", text, false, false);
	put("/with-huge", `<a>${include("/huge")}${include("/small")}${include("/huge")}</a>`);
	const meant = Bun.hash(`<a>${text}s${text}</a>`);
	for (let round = 0; round < 2; round++) {
		// Others fill the room that such a body leaves.
		const [slow] = await Promise.all([takeSlowly("/with-huge"), take(`/huge?${round}`, false)]);
		expect(Bun.hash(slow)).toBe(meant);
	}
}, 120_000);

test("clients that go at any time leave nothing behind", async () => {
	put("/leaving", `<a>${include("/late").repeat(3)}${include("/part")}${include("/late?")}</a>`);
	for (let each = 0; each < 60; each++) {
		const socket = connect(cache.port, "127.0.0.1");
		socket.on("error", () => {});
		socket.resume();
		socket.write(`GET /leaving?${each % 7} HTTP/1.1\r\nHost: page.test\r\n\r\n`);
		setTimeout(() => socket.destroy(), (each * 7) % 90);
		await Bun.sleep(3);
	}
	const admin = (...words: string[]) =>
		Bun.spawnSync(["varnishadm", "-n", cache.directory, ...words]).stdout.toString();
	admin("vcl.load", "next", vcl);
	admin("vcl.use", "next");
	admin("vcl.discard", "boot");
	// The program that all of them ran goes when none of them is left.
	for (let waited = 0; admin("vcl.list").includes("boot") && waited < 100; waited++) await Bun.sleep(50);
	expect(admin("vcl.list")).not.toContain("boot");
	expect(await take("/many", false)).toContain("sss");
}, 60_000);

test("a page that includes itself ends, at every depth and as often as it does", async () => {
	put("/self", `<a>${include("/self").repeat(8)}</a>`);
	const body = await take("/self", false);
	const pages = body.split("<a>").length - 1;
	expect(body.split("</a>").length - 1).toBe(pages);
	expect(pages).toBe(PART_LIMIT + 1);
}, 60_000);

test("a client that reads nothing holds the page up, and one that goes lets everything go", async () => {
	const bytes = 1024 * 1024;
	put("/slow", `<a>${include("/part").repeat(200)}</a>`);
	put("/part", "x".repeat(bytes), false, false);
	const earlier = await partRequests();
	const socket = connect(cache.port, "127.0.0.1");
	socket.pause();
	socket.write("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
	await Bun.sleep(1500);
	const before = await partRequests();
	expect(before).toBeGreaterThan(earlier);
	expect(before).toBeLessThan(earlier + 60);
	socket.destroy();
	await Bun.sleep(500);
	// The one that was being sent is in the log when it has ended.
	expect(await partRequests()).toBeLessThanOrEqual(before + 2);
	expect(await take("/many", false)).toContain("sss");
}, 60_000);

/** Links to requests for parts that the log has of the last page. */
async function partRequests(): Promise<number> {
	return (await cache.log()).split("\n").filter((line) => / ReqURL +c \/part$/.test(line)).length;
}
