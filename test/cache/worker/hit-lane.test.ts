/**
 * A worker that is busy, with real connections: what waits in numbers is answered in batches, whatever else comes on such
 * a connection is answered as ever. The worker is stopped (SIGSTOP) while requests gather, so that they are many.
 */
import { afterAll, beforeAll, expect, spyOn, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HitLane } from "../../../firmware/cache/worker/hit-lane.ts";

const root = join(import.meta.dir, "../../..");
const directory = mkdtempSync(join(tmpdir(), "drover-lane-"));
const workDirectory = join(directory, "n");
const CLIENTS = 40;
const sizes: Readonly<Record<string, number>> = { "/small": 1000, "/large": 60_000 };
const bodyOf = (path: string) => path.padEnd(sizes[path] ?? 10, ".");
const asking = (path: string, more = "") => `GET ${path} HTTP/1.1\r\nHost: shop\r\n${more}\r\n`;

let origin: Bun.Server<undefined>;
let daemon: Bun.Subprocess<"ignore", "ignore", "inherit">;
let worker = 0;
let port = 0;
const clients: Client[] = [];

interface Answer {
	readonly head: string;
	readonly body: string;
}

/** A connection whose answers are taken one by one. */
class Client {
	#received = "";
	#waiting: (() => void) | undefined;
	#socket!: Bun.Socket;
	hasEnded = false;

	static async connect(): Promise<Client> {
		const client = new Client();
		const wake = () => {
			client.#waiting?.();
			client.#waiting = undefined;
		};
		const end = () => {
			client.hasEnded = true;
			wake();
		};
		client.#socket = await Bun.connect({
			hostname: "127.0.0.1",
			port,
			allowHalfOpen: true,
			socket: {
				data(_: Bun.Socket, bytes: Buffer) {
					client.#received += bytes.toString("latin1");
					wake();
				},
				end,
				close: end,
			},
		} as never);
		return client;
	}

	send(text: string): void {
		expect(this.#socket.write(text)).toBe(text.length);
	}
	pause(): void {
		this.#socket.pause();
	}
	resume(): void {
		this.#socket.resume();
	}
	shutdown(): void {
		this.#socket.shutdown();
	}
	terminate(): void {
		this.#socket.terminate();
	}

	async answer(): Promise<Answer> {
		for (;;) {
			const headEnd = this.#received.indexOf("\r\n\r\n") + 4;
			const length = Number(/^content-length: (\d+)\r$/im.exec(this.#received.slice(0, headEnd))?.[1]);
			if (headEnd >= 4 && this.#received.length >= headEnd + length) {
				const head = this.#received.slice(0, headEnd);
				const body = this.#received.slice(headEnd, headEnd + length);
				this.#received = this.#received.slice(headEnd + length);
				return { head, body };
			}
			if (this.hasEnded) throw new Error(`ended behind ${JSON.stringify(this.#received.slice(0, 200))}`);
			await this.news();
		}
	}

	news(): Promise<void> {
		return new Promise((resolve) => {
			this.#waiting = resolve;
		});
	}
}

/** Does `work` while the worker stands still. */
function whileStopped(work: () => void): void {
	process.kill(worker, "SIGSTOP");
	try {
		work();
	} finally {
		process.kill(worker, "SIGCONT");
	}
}

/** All clients ask at once. */
async function burst(path = "/small"): Promise<Answer[]> {
	whileStopped(() => {
		for (const client of clients) client.send(asking(path));
	});
	const answers = await Promise.all(clients.map((client) => client.answer()));
	for (const { head, body } of answers) {
		expect(head).toStartWith("HTTP/1.1 200 OK\r\n");
		expect(body).toBe(bodyOf(path));
	}
	return answers;
}

const EPOLLRDHUP = 0x2000;
/** Connections that the worker receives from in batches: it alone waits for the edge and for the stream's end. */
function inLane(): number {
	let count = 0;
	for (const each of readdirSync(`/proc/${worker}/fdinfo`)) {
		let text = "";
		try {
			text = readFileSync(`/proc/${worker}/fdinfo/${each}`, "latin1");
		} catch {
			// It was closed in between.
		}
		for (const [, events] of text.matchAll(/^tfd: +\d+ events: +([0-9a-f]+)/gm)) {
			const bits = Number.parseInt(events!, 16);
			if ((bits & EPOLLRDHUP) !== 0 && bits >= 2 ** 31) count++;
		}
	}
	return count;
}

async function fillLane(): Promise<void> {
	for (let round = 0; inLane() < clients.length; round++) {
		expect(round).toBeLessThan(500);
		await burst();
	}
}

function run(...words: string[]): string {
	const { stdout, exitCode, stderr } = Bun.spawnSync(words);
	expect(stderr.toString()).toBe("");
	expect(exitCode).toBe(0);
	return stdout.toString();
}
const cacheHits = (): number =>
	Number(/cache_hit +(\d+)/.exec(run("varnishstat", "-n", workDirectory, "-1", "-f", "MAIN.cache_hit"))?.[1]);

const vcl = (mark: string) => `vcl 4.1;
backend default { .host = "127.0.0.1"; .port = "${origin.port}"; }
sub vcl_deliver { set resp.http.X-Mark = "${mark}"; }`;

beforeAll(async () => {
	origin = Bun.serve({
		port: 0,
		hostname: "127.0.0.1",
		async fetch(request) {
			const said = await request.text();
			const { pathname } = new URL(request.url);
			return new Response(said === "" ? bodyOf(pathname) : said, {
				headers: { "cache-control": "max-age=3600" },
			});
		},
	});
	const free = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
	port = free.port;
	free.stop(true);
	writeFileSync(join(directory, "one.vcl"), vcl("one"));
	daemon = Bun.spawn(
		[
			...[process.execPath, join(root, "firmware/drover.ts"), "varnishd", "-F", "-n", workDirectory],
			...["-a", `127.0.0.1:${port}`, "-f", join(directory, "one.vcl"), "-p", "thread_pools=1"],
		],
		{ stdin: "ignore", stdout: "ignore", stderr: "inherit" },
	);
	for (const path of ["/small", "/large"])
		for (;;) {
			const answer = await fetch(`http://127.0.0.1:${port}${path}`).catch(() => undefined);
			if (answer?.status === 200) break;
			await Bun.sleep(50);
		}
	worker = Number(readFileSync(`/proc/${daemon.pid}/task/${daemon.pid}/children`, "latin1").split(" ")[0]);
	for (let index = 0; index < CLIENTS; index++) clients.push(await Client.connect());
});

afterAll(async () => {
	daemon.kill();
	await daemon.exited;
	origin.stop(true);
	rmSync(directory, { recursive: true, force: true });
});

test("requests that wait in numbers are answered in batches, each as ever", async () => {
	await burst("/large");
	await fillLane();
	let before = cacheHits();
	// The counters are told now and then.
	for (let last = -1; last !== before; last = before, before = cacheHits()) await Bun.sleep(1000);
	const answers = [...(await burst()), ...(await burst()), ...(await burst("/large"))];
	const numbers = answers.map(({ head }) => /^x-varnish: (\d+) (\d+)\r$/im.exec(head)!);
	expect(new Set(numbers.map(([, request]) => request)).size).toBe(3 * CLIENTS);
	expect(new Set(numbers.map(([, , object]) => object)).size).toBe(2);
	while (cacheHits() - before < 3 * CLIENTS) await Bun.sleep(50);
	expect(cacheHits() - before).toBe(3 * CLIENTS);
});

test("a request that is like the one before it in the batch is not taken for what came before that one", async () => {
	await fillLane();
	for (let round = 0; round < 20; round++) {
		const field = `X-Round: ${String.fromCharCode(97 + round)}\r\n`;
		for (let times = 0; times < 4; times++) {
			whileStopped(() => {
				for (const client of clients) client.send(asking("/small", field));
			});
			for (const client of clients) expect((await client.answer()).body).toBe(bodyOf("/small"));
		}
		const paths = clients.map((_, index) => (index % 5 === 0 ? "/small" : "/large"));
		whileStopped(() => {
			for (const [index, client] of clients.entries()) client.send(asking(paths[index]!, field));
		});
		for (const [index, client] of clients.entries())
			expect((await client.answer()).body).toBe(bodyOf(paths[index]!));
	}
});

test.each<[what: string, say: (client: Client) => void, check: (client: Client) => Promise<void>]>([
	[
		"a page that is not in the cache",
		(client) => client.send(asking("/other")),
		async (client) => expect((await client.answer()).body).toBe(bodyOf("/other")),
	],
	[
		"two requests in one piece",
		(client) => client.send(asking("/small") + asking("/large")),
		async (client) => {
			expect((await client.answer()).body).toBe(bodyOf("/small"));
			expect((await client.answer()).body).toBe(bodyOf("/large"));
		},
	],
	[
		"half a request",
		(client) => client.send(asking("/small").slice(0, 20)),
		async (client) => {
			await Bun.sleep(20);
			client.send(asking("/small").slice(20));
			expect((await client.answer()).body).toBe(bodyOf("/small"));
		},
	],
	[
		"a request with a body",
		(client) => client.send("POST /form HTTP/1.1\r\nHost: shop\r\nContent-Length: 7\r\n\r\nsay"),
		async (client) => {
			await Bun.sleep(20);
			client.send(" yes");
			expect((await client.answer()).body).toBe("say yes");
		},
	],
	[
		"a request that is longer than what is received at once",
		(client) => {
			const field = (name: string) => `${name}: ${"c".repeat(4000)}\r\n`;
			client.send(asking("/small", field("X-A") + field("X-B") + field("X-C")));
		},
		async (client) => expect((await client.answer()).body).toBe(bodyOf("/small")),
	],
	[
		"what is no request",
		(client) => client.send("GET / HTTP/1.1\r\nContent-Length: 1, 2\r\n\r\n"),
		async (client) => {
			while (!client.hasEnded) await client.news();
		},
	],
	[
		"a request and the end of the stream",
		(client) => {
			client.send(asking("/small"));
			client.shutdown();
		},
		async (client) => {
			expect((await client.answer()).body).toBe(bodyOf("/small"));
			while (!client.hasEnded) await client.news();
		},
	],
	["a broken connection", (client) => client.terminate(), async () => {}],
])("%s, among many that are hits", async (_, say, check) => {
	await fillLane();
	const [client, ...others] = clients as [Client, ...Client[]];
	whileStopped(() => {
		for (const each of others) each.send(asking("/small"));
		say(client);
	});
	await check(client);
	for (const each of others) expect((await each.answer()).body).toBe(bodyOf("/small"));
	expect(inLane()).toBeLessThan(CLIENTS);
	if (client.hasEnded) clients[0] = await Client.connect();
	await burst();
});

test("who asks for much and reads nothing gets all of it once he reads, and holds up nobody", async () => {
	await fillLane();
	const [slow, ...others] = clients as [Client, ...Client[]];
	slow.pause();
	let asked = 0;
	for (; asked < 400; asked++) {
		whileStopped(() => {
			for (const each of clients) each.send(asking(each === slow ? "/large" : "/small"));
		});
		for (const each of others) expect((await each.answer()).body).toBe(bodyOf("/small"));
	}
	expect(inLane()).toBeLessThan(CLIENTS);
	slow.resume();
	for (let index = 0; index < asked; index++) expect((await slow.answer()).body).toBe(bodyOf("/large"));
	await burst();
});

test("a new program answers from its first request on", async () => {
	await fillLane();
	expect((await burst())[0]!.head).toContain("\r\nX-Mark: one\r\n");
	writeFileSync(join(directory, "two.vcl"), vcl("two"));
	run("varnishadm", "-n", workDirectory, "vcl.load", "two", join(directory, "two.vcl"));
	run("varnishadm", "-n", workDirectory, "vcl.use", "two");
	for (const { head } of await burst()) expect(head).toContain("\r\nX-Mark: two\r\n");
});

test("a new connection is answered beside it", async () => {
	await fillLane();
	const guest = await Client.connect();
	const gathered = clients.map((client) => {
		client.send(asking("/small"));
		return client.answer();
	});
	guest.send(asking("/large"));
	expect((await guest.answer()).body).toBe(bodyOf("/large"));
	await Promise.all(gathered);
	guest.terminate();
});

test("when requests come one by one, the runtime's own sockets serve them", async () => {
	await fillLane();
	while (inLane() > 0) {
		clients[0]!.send(asking("/small"));
		expect((await clients[0]!.answer()).body).toBe(bodyOf("/small"));
	}
	await burst();
});

test("where batches cannot be had it is told once, and the connection goes on as it is", async () => {
	const told = spyOn(console, "error").mockImplementation(() => {});
	try {
		const lane = new HitLane({ begin() {}, foreseen() {} });
		const never = () => {
			throw new Error("it is not to be touched");
		};
		// No poller waits for it.
		const session = {
			...{ laneToken: 0, laneStreak: 0, descriptor: 1_000_000 },
			...{ foresee: never, onBatched: never, sendRest: never },
			socket: { pause: never, resume: never, terminate: never },
		};
		for (let round = 0; round < 5; round++) {
			for (let answer = 0; answer < 200; answer++) lane.answered(session);
			await new Promise(setImmediate);
		}
		expect(session.laneToken).toBe(0);
		expect(told.mock.calls).toEqual([
			[
				"Error: hits are not received in batches from here on: the event loop's descriptor was not found in /proc/self/fdinfo",
			],
		]);
	} finally {
		told.mockRestore();
	}
});

test("a fault over one request of a batch ends its connection alone, and batches go on", async () => {
	const told = spyOn(console, "error").mockImplementation(() => {});
	const accepted: (Bun.Socket & { readonly fd: number })[] = [];
	const listener = Bun.listen({
		hostname: "127.0.0.1",
		port: 0,
		socket: { open: (socket) => void accepted.push(socket as never), data() {} },
	});
	const peers = [await connectTo(listener.port), await connectTo(listener.port)];
	try {
		while (accepted.length < 2) await Bun.sleep(1);
		const lane = new HitLane({ begin() {}, foreseen() {} });
		const got: string[] = [];
		const terminated: string[] = [];
		const done = Promise.withResolvers<void>();
		const session = (name: string, index: number) => ({
			...{ laneToken: 0, laneStreak: 0, descriptor: accepted[index]!.fd, sendRest() {} },
			socket: {
				pause: () => accepted[index]!.pause(),
				resume: () => accepted[index]!.resume(),
				terminate: () => terminated.push(name),
			},
			foresee() {
				if (name === "bad") throw new Error("a fault");
			},
			onBatched(bytes: Buffer) {
				if (name === "bad") return;
				got.push(bytes.toString());
				if (got.length === 2) done.resolve();
				else peers[index]!.write("again");
			},
		});
		const sessions = [session("bad", 0), session("good", 1)];
		for (let answer = 0; answer < 200; answer++) lane.answered(sessions[0]!);
		await new Promise(setImmediate);
		for (let answer = 0; answer < 8; answer++) for (const each of sessions) lane.answered(each);
		expect(sessions.map(({ laneToken }) => laneToken)).toEqual([1, 2]);
		for (const peer of peers) peer.write("first");
		await done.promise;
		expect(got).toEqual(["first", "again"]);
		expect(terminated).toEqual(["bad"]);
		expect(String(told.mock.calls[0])).toContain(
			"a fault in this program ended one connection: Error: a fault",
		);
		for (const each of sessions) lane.leave(each);
	} finally {
		told.mockRestore();
		for (const peer of peers) peer.terminate();
		listener.stop(true);
	}
});

const connectTo = (port: number) =>
	Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } }) as Promise<Bun.Socket>;
