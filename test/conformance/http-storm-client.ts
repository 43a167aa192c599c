/** The clients of one side of a storm: requests in their order, and whatever came back. */
import { connect, type Socket } from "node:net";
import { chunkSize, headField, pathOf, stamped } from "./http-storm-origin.ts";
import type { PlannedRequest, Scenario } from "./http-storm-plan.ts";

export interface ReceivedAnswer {
	/** The status line. */
	readonly status: string;
	readonly fields: readonly string[];
	readonly body: string;
	/** The body ended where it said that it would. */
	readonly whole: boolean;
}

/** What came back for requests that were sent together. */
export interface Exchange {
	readonly answers: readonly ReceivedAnswer[];
	/** What became of the connection. */
	readonly end: "open" | "closed" | "silent" | "talkative";
}

const ANSWER_LIMIT_MS = 3000;
/** Until a connection that is to be closed has been. */
const CLOSING_MS = 15;

export class Connection {
	readonly #socket: Socket;
	#rest = Buffer.alloc(0);
	#closed = false;
	#wake: () => void = () => {};

	/** A port of the loopback, or the path of a Unix-domain socket. */
	constructor(where: number | string) {
		this.#socket = typeof where === "number" ? connect(where, "127.0.0.1") : connect(where);
		this.#socket.setNoDelay(true);
		this.#socket.on("data", (bytes: Buffer) => {
			this.#rest = Buffer.concat([this.#rest, bytes]);
			this.#wake();
		});
		for (const event of ["end", "close", "error"])
			this.#socket.on(event, () => {
				this.#closed = true;
				this.#wake();
			});
	}

	get closed(): boolean {
		return this.#closed;
	}
	get quiet(): boolean {
		return this.#rest.length === 0;
	}
	send(text: string): void {
		this.#socket.write(Buffer.from(text, "latin1"));
	}
	/** Says that no more will be sent. */
	finish(): void {
		this.#socket.end();
	}
	destroy(): void {
		this.#socket.destroy();
	}

	/** Waits until `there` gives something; undefined when the connection ended, or time did. */
	async until<Found>(
		there: (bytes: Buffer) => Found | undefined,
		limitMs: number,
	): Promise<Found | undefined> {
		const end = performance.now() + limitMs;
		for (;;) {
			const found = there(this.#rest);
			if (found !== undefined) return found;
			const left = end - performance.now();
			if (this.#closed || left <= 0) return undefined;
			await new Promise<void>((resolve) => {
				const timer = setTimeout(resolve, left);
				this.#wake = () => {
					clearTimeout(timer);
					resolve();
				};
			});
		}
	}

	/** Waits until nothing has come for so long. */
	async untilQuiet(quietMs: number, firstMs = quietMs): Promise<void> {
		let limitMs = firstMs;
		for (let grew: true | undefined = true; grew && !this.#closed; ) {
			const { length } = this.#rest;
			grew = await this.until((bytes) => (bytes.length > length ? true : undefined), limitMs);
			limitMs = quietMs;
		}
	}

	/**
	 * One answer; undefined when none came within `limitMs`. What cannot be told when `method` is not known: a body
	 * that begins as an answer does is none.
	 */
	async answer(method: string | undefined, limitMs = ANSWER_LIMIT_MS): Promise<ReceivedAnswer | undefined> {
		const headEnd = await this.until((bytes) => {
			const at = bytes.indexOf("\r\n\r\n");
			return at < 0 ? undefined : at;
		}, limitMs);
		if (headEnd === undefined) return undefined;
		const [status = "", ...fields] = this.#rest.subarray(0, headEnd).toString("latin1").split("\r\n");
		this.#rest = this.#rest.subarray(headEnd + 4);
		const code = Number(status.split(" ")[1]);
		const length = headField(fields, "content-length");
		const next = method === undefined && this.#rest.toString("latin1", 0, 9) === "HTTP/1.1 ";
		if (method === "HEAD" || next || code < 200 || code === 204 || code === 304)
			return { status, fields, body: "", whole: true };
		if (headField(fields, "transfer-encoding") !== undefined)
			return { status, fields, ...(await this.#chunks(limitMs)) };
		const bytes = length === undefined ? Number.POSITIVE_INFINITY : Number(length);
		const whole = await this.until((rest) => (rest.length >= bytes ? true : undefined), limitMs);
		const body = this.#take(Math.min(bytes, this.#rest.length));
		return { status, fields, body, whole: whole === true || (length === undefined && this.#closed) };
	}

	#take(bytes: number): string {
		const text = this.#rest.subarray(0, bytes).toString("latin1");
		this.#rest = this.#rest.subarray(bytes);
		return text;
	}

	async #chunks(limitMs: number): Promise<{ body: string; whole: boolean }> {
		let body = "";
		for (;;) {
			const size = await this.until((bytes) => {
				const line = bytes.indexOf("\r\n");
				if (line < 0) return undefined;
				const count = chunkSize(bytes.subarray(0, line));
				return bytes.length < line + 2 + count + 2 ? undefined : { skip: line + 2, count };
			}, limitMs);
			if (size === undefined) return { body: body + this.#take(this.#rest.length), whole: false };
			this.#take(size.skip);
			body += this.#take(size.count);
			this.#take(2);
			if (size.count === 0) return { body, whole: true };
		}
	}
}

function requestText(request: PlannedRequest, id: string, nowSeconds: number): string {
	const { body, chunked } = request;
	const lines = [
		`${request.method} ${pathOf(id, request.resource)} ${request.protocol}`,
		...request.fields.map((field) => stamped(field, nowSeconds)),
	];
	const inChunks = chunked && request.protocol === "HTTP/1.1";
	if (body !== undefined)
		lines.push(inChunks ? "Transfer-Encoding: chunked" : `Content-Length: ${body.length}`);
	const head = `${lines.join("\r\n")}\r\n\r\n`;
	if (body === undefined || !inChunks) return head + (body ?? "");
	return `${head}${body === "" ? "" : `${body.length.toString(16)}\r\n${body}\r\n`}0\r\n\r\n`;
}

/** Plays a scenario against the cache at that port. */
export async function play(
	port: number,
	id: string,
	scenario: Scenario,
	nowSeconds: number,
): Promise<readonly Exchange[]> {
	const exchanges: Exchange[] = [];
	const groups: PlannedRequest[][] = [];
	for (const request of scenario.requests) {
		const before = groups.at(-1)?.at(-1);
		// What is sent behind a PURGE, which is piped, is no request of the cache's any more.
		if (request.pipelined && before !== undefined && before.method !== "PURGE") groups.at(-1)!.push(request);
		else groups.push([request]);
	}
	let connection: Connection | undefined;
	const began = performance.now();
	for (const group of groups) {
		const waitMs = began + (group[0]!.atMs ?? 0) - performance.now();
		if (waitMs > 0) await Bun.sleep(waitMs);
		if (connection === undefined || connection.closed || group[0]!.fresh) {
			connection?.destroy();
			connection = new Connection(port);
		}
		connection.send(group.map((request) => requestText(request, id, nowSeconds)).join(""));
		const answers: ReceivedAnswer[] = [];
		for (const { method } of group) {
			const answer = await connection.answer(method);
			if (answer === undefined) break;
			answers.push(answer);
			if (!answer.whole) break;
		}
		const closes = answers.at(-1)?.fields.some((field) => /^connection: *close/i.test(field)) === true;
		await connection.until(() => undefined, closes ? ANSWER_LIMIT_MS : CLOSING_MS);
		const missing = answers.length < group.length || answers.at(-1)?.whole === false;
		const end = connection.closed ? "closed" : missing ? "silent" : connection.quiet ? "open" : "talkative";
		exchanges.push({ answers, end });
		if (end !== "open") {
			connection.destroy();
			connection = undefined;
		}
	}
	connection?.destroy();
	return exchanges;
}
