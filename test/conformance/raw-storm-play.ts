/** Lanes through a cache, each with an origin of its own: raw bytes go in at both ends, and what came out is read. */
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { freePorts, type RunningCache, startCache } from "./caches.ts";
import { Connection, type ReceivedAnswer } from "./http-storm-client.ts";
import type { Played } from "./http-storm-compare.ts";
import { firstRequest, type SeenRequest } from "./http-storm-origin.ts";
import { PROBE, piecesOf, type RawAnswer, type RawBytes, type RawScenario } from "./raw-storm-plan.ts";

/** Between two pieces. */
const PIECE_MS = 4;

async function inPieces(bytes: RawBytes, send: (piece: string) => void): Promise<void> {
	for (const [at, piece] of piecesOf(bytes).entries()) {
		if (at > 0) await Bun.sleep(PIECE_MS);
		send(piece);
	}
}

export class RawOrigin {
	readonly #server: Server;
	readonly #sockets = new Set<Socket>();
	#answers: readonly RawAnswer[] = [];
	#seen: SeenRequest[] = [];

	private constructor() {
		this.#server = createServer((socket) => this.#serve(socket));
	}

	static async start(): Promise<RawOrigin> {
		const origin = new RawOrigin();
		await new Promise<void>((resolve) => origin.#server.listen(0, "127.0.0.1", resolve));
		return origin;
	}

	get port(): number {
		const address = this.#server.address();
		return typeof address === "object" && address !== null ? address.port : 0;
	}

	begin(answers: readonly RawAnswer[]): void {
		this.#answers = answers;
		this.#seen = [];
	}

	/** What it was asked since begin(). Its connections end. */
	end(): readonly SeenRequest[] {
		for (const socket of this.#sockets) socket.destroy();
		return this.#seen;
	}

	stop(): void {
		this.end();
		this.#server.close();
	}

	#serve(socket: Socket): void {
		let rest: Buffer = Buffer.alloc(0);
		let unfinished: SeenRequest | undefined;
		this.#sockets.add(socket);
		socket.setNoDelay(true);
		socket.on("error", () => {});
		socket.on("close", () => this.#sockets.delete(socket));
		const answerAll = async () => {
			for (;;) {
				const first = firstRequest(rest);
				if (first === undefined) return;
				const { request } = first;
				if (first.rest === undefined) {
					if (unfinished !== undefined) return;
					unfinished = request;
					this.#seen.push(unfinished);
					return;
				}
				rest = first.rest;
				const known = unfinished === undefined ? this.#seen.length : this.#seen.indexOf(unfinished);
				this.#seen[known] = request;
				unfinished = undefined;
				const answer = this.#answers[Math.min(known, this.#answers.length - 1)]!;
				await inPieces(answer, (piece) => void socket.write(Buffer.from(piece, "latin1")));
				if (answer.closes) socket.removeAllListeners("data").resume().end();
			}
		};
		// One answer after the other, whenever its request came.
		let turn = Promise.resolve();
		socket.on("data", (bytes: Buffer) => {
			rest = Buffer.concat([rest, bytes]);
			turn = turn.then(answerAll);
		});
	}
}

/** Plays a scenario; what has not come `quietMs` after the last byte, or `firstMs` without any, does not come. */
export async function playRaw(
	where: number | string,
	origin: RawOrigin,
	scenario: RawScenario,
	quietMs: number,
	firstMs = quietMs,
): Promise<Played> {
	origin.begin(scenario.answers);
	const connection = new Connection(where);
	await inPieces(scenario.client, (piece) => connection.send(piece));
	if (scenario.halfClosed) connection.finish();
	await connection.untilQuiet(quietMs, firstMs);
	if (!scenario.halfClosed && !connection.closed) {
		connection.send(PROBE);
		await connection.untilQuiet(quietMs, firstMs);
	}
	const answers: ReceivedAnswer[] = [];
	for (;;) {
		const answer = await connection.answer(undefined, 0);
		if (answer === undefined) break;
		answers.push(answer);
	}
	const end = connection.closed ? "closed" : connection.quiet ? "open" : "talkative";
	connection.destroy();
	return { exchanges: [{ answers, end }], asked: origin.end() };
}

export interface Lane {
	readonly origin: RawOrigin;
	readonly ports: Readonly<Record<RawScenario["listener"], number>>;
	/** The path of a Unix-domain listener. */
	readonly path: string;
}

export interface RawSide {
	readonly cache: RunningCache;
	readonly lanes: readonly Lane[];
}

/** Starts `command` with so many lanes, each a listener of both kinds and a backend of its own; its program in `directory`. */
export async function startLanes(
	directory: string,
	name: string,
	command: readonly string[],
	count: number,
	...more: string[]
): Promise<RawSide> {
	const origins = await Promise.all(Array.from({ length: count }, () => RawOrigin.start()));
	const ports = await freePorts(2 * count);
	const lanes = origins.map((origin, at) => ({
		origin,
		ports: { http: ports[2 * at]!, proxy: ports[2 * at + 1]! },
		path: join(directory, `${name}-${at}.sock`),
	}));
	const each = (text: (lane: Lane, at: number) => string) => lanes.map(text).join("\n");
	const policy = readFileSync(join(import.meta.dir, "raw-storm.vcl"), "utf8")
		.replace(
			"@BACKENDS@",
			each(({ origin }, at) => `backend b${at} { .host = "127.0.0.1"; .port = "${origin.port}"; }`),
		)
		.replace(
			"@HINTS@",
			each((_, at) => `\tif (local.socket ~ "^.${at}$") { set req.backend_hint = b${at}; }`),
		);
	const file = join(directory, `${name}.vcl`);
	writeFileSync(file, policy);
	const listeners = lanes.flatMap(({ ports, path }, at) => [
		...["-a", `h${at}=127.0.0.1:${ports.http},HTTP`],
		...["-a", `p${at}=127.0.0.1:${ports.proxy},PROXY`],
		...["-a", `u${at}=${path},HTTP`],
	]);
	const places = lanes.flatMap(({ ports, path }) => [ports.http, ports.proxy, path]);
	return { cache: await startCache(command, 0, ["-f", file, ...listeners, ...more], places), lanes };
}

export async function stopLanes({ cache, lanes }: RawSide): Promise<void> {
	await cache.stop();
	for (const { origin } of lanes) origin.stop();
}
