/** A worker is killed under load: who notices, how long a place is empty, and what is lost. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Socket } from "bun";
import type { BenchResult } from "../result.ts";
import { droverCommand, plainVcl } from "./contestants.ts";
import { answering, descendants, freePort, spawn, stop } from "./machine.ts";
import type { Table } from "./serving.ts";

const CONNECTIONS = 40;
const OBJECTS = 200;
const WORKER_BACK_MS = 300;

/** The inode numbers of a process's listening or connected sockets say which worker a connection is with. */
function socketsOf(pid: number): string {
	return Bun.spawnSync(["ss", "-tnpH", "state", "established"])
		.stdout.toString()
		.split("\n")
		.filter((line) => line.includes(`pid=${pid},`))
		.join("\n");
}

const listens = (pid: number) => Bun.spawnSync(["ss", "-tlnpH"]).stdout.toString().includes(`pid=${pid},`);

class Client {
	answers = 0;
	misses = 0;
	broken = false;
	stopping = false;
	#socket: Socket | undefined;
	#left = 0;
	#head = "";
	#port = 0;
	readonly #url: () => string;
	localPort = 0;

	constructor(url: () => string) {
		this.#url = url;
	}

	async open(port: number): Promise<void> {
		this.#port = port;
		const gone = () => {
			if (!this.stopping) this.broken = true;
		};
		this.#socket = await Bun.connect({
			hostname: "127.0.0.1",
			port,
			socket: { data: (_socket, bytes) => this.#take(bytes), close: gone, error: gone },
		});
		this.localPort = this.#socket.localPort;
		this.#ask();
	}

	#ask(): void {
		this.#socket!.write(`GET ${this.#url()} HTTP/1.1\r\nHost: 127.0.0.1:${this.#port}\r\n\r\n`);
	}

	#take(bytes: Buffer): void {
		let rest = bytes;
		if (this.#left === 0) {
			this.#head += rest.toString("latin1");
			const end = this.#head.indexOf("\r\n\r\n");
			if (end < 0) return;
			if (!this.#head.startsWith("HTTP/1.1 200")) this.broken = true;
			if (!this.#head.includes("X-Cache: HIT")) this.misses++;
			this.#left = Number(/content-length: (\d+)/i.exec(this.#head)?.[1] ?? 0);
			rest = Buffer.from(this.#head.slice(end + 4), "latin1");
			this.#head = "";
		}
		this.#left -= rest.length;
		if (this.#left > 0) return;
		this.answers++;
		if (!this.stopping) this.#ask();
	}

	end(): void {
		this.stopping = true;
		this.#socket?.end();
	}
}

export async function crash(table: Table): Promise<BenchResult[]> {
	const vcl = join(table.directory, "crash.vcl");
	writeFileSync(vcl, plainVcl(table.originPort));
	const port = freePort();
	const command = droverCommand(join(table.directory, "crash"), port, vcl, "-p", "thread_pools=2");
	const child = spawn(command, "0,1");
	const clients: Client[] = [];
	try {
		await answering(`http://127.0.0.1:${port}/1k`);
		for (let index = 0; index < OBJECTS; index++) await answering(`http://127.0.0.1:${port}/crash/${index}`);
		const workers = () => descendants(child.pid).filter(listens);
		// Two that listen, and one in waiting.
		const all = () => descendants(child.pid).length;
		for (let wait = 0; (workers().length < 2 || all() < 3) && wait < 100; wait++) await Bun.sleep(50);
		await Bun.sleep(500);
		let turn = 0;
		for (let index = 0; index < CONNECTIONS; index++) {
			const client = new Client(() => `/crash/${turn++ % OBJECTS}`);
			await client.open(port);
			clients.push(client);
		}
		await Bun.sleep(500);
		const [victim, other] = workers() as [number, number];
		const connected = socketsOf(other);
		const survivors = clients.filter(({ localPort }) => connected.includes(`127.0.0.1:${localPort} `));
		const answersBefore = survivors.map(({ answers }) => answers);
		const missesBefore = clients.reduce((sum, { misses }) => sum + misses, 0);
		const killed = performance.now();
		process.kill(victim, "SIGKILL");
		let backMs = Number.NaN;
		while (performance.now() - killed < 5000) {
			if (workers().some((pid) => pid !== other && pid !== victim)) {
				backMs = performance.now() - killed;
				break;
			}
			await Bun.sleep(1);
		}
		await Bun.sleep(500);
		const silent = survivors.filter(({ answers }, index) => answers === answersBefore[index]).length;
		const errors = survivors.filter(({ broken }) => broken).length + silent;
		// New connections reach the new worker too: everything must still be in the cache there.
		const late: Client[] = [];
		for (let index = 0; index < CONNECTIONS; index++) {
			const client = new Client(() => `/crash/${turn++ % OBJECTS}`);
			await client.open(port);
			late.push(client);
			clients.push(client);
		}
		await Bun.sleep(500);
		const lost =
			clients.reduce((sum, { misses }) => sum + misses, 0) -
			missesBefore +
			late.filter(({ broken }) => broken).length;
		if (survivors.length === 0) throw new Error("no connection was with the other worker");
		return [
			{
				name: "kill -9 of a worker under load: back after",
				ours: `${backMs.toFixed(0)} ms`,
				peer: `${WORKER_BACK_MS} ms (bar)`,
				ratio: backMs / WORKER_BACK_MS,
				bar: 1,
			},
			{
				name: `kill -9 of a worker under load: errors on ${survivors.length} connections of the other, misses after`,
				ours: `${errors}, ${lost}`,
				peer: "0, 0 (bar)",
				ratio: errors + lost,
				bar: 0,
			},
		];
	} finally {
		for (const client of clients) client.end();
		await stop(child);
	}
}
