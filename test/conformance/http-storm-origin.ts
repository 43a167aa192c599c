/** The origin of one side of a storm: answers as the scenario of the path says, and writes down what it was asked. */
import { createServer, type Server, type Socket } from "node:net";
import { gzipSync } from "node:zlib";
import type { PlannedAnswer, Scenario } from "./http-storm-plan.ts";

export interface SeenRequest {
	readonly line: string;
	readonly fields: readonly string[];
	readonly body: string;
}

/** "Name: @-60" with the time that it stands for, of a clock that both sides share. */
export const stamped = (line: string, nowSeconds: number) =>
	line.replace(/@(-?\d+)$/, (_all, offset) => new Date((nowSeconds + Number(offset)) * 1000).toUTCString());

/** Where a scenario's resources are. */
export const pathOf = (id: string, resource: number) => `/${id}/${resource}`;

export const headField = (fields: readonly string[], name: string) =>
	fields
		.find((field) => field.toLowerCase().startsWith(`${name}:`))
		?.slice(name.length + 1)
		.trim();

const CHUNK_END = "0\r\n\r\n";
const chunk = (bytes: Buffer) =>
	Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")]);

/** The bytes of an answer, and whether the connection ends with it. */
function answerBytes(
	answer: PlannedAnswer,
	request: SeenRequest,
	nowSeconds: number,
): { bytes: Buffer; close: boolean } {
	const fields = answer.fields.map((field) => stamped(field, nowSeconds));
	const conditional = ["if-none-match", "if-modified-since"].some(
		(name) => headField(request.fields, name) !== undefined,
	);
	const head = (status: string) =>
		Buffer.from(`HTTP/1.1 ${status}\r\n${fields.map((each) => `${each}\r\n`).join("")}\r\n`, "latin1");
	let close = fields.some((field) => /^connection:.*close/i.test(field));
	const bare = request.line.startsWith("HEAD ");
	if (answer.validates && conditional) return { bytes: head("304 Not Modified"), close };
	let body = Buffer.from(answer.body, "latin1");
	if (answer.gzip) {
		body = gzipSync(body);
		fields.push("Content-Encoding: gzip");
	}
	const half = body.length >> 1;
	const pieces = [body.subarray(0, half), body.subarray(half)].filter(({ length }) => length > 0).map(chunk);
	switch (answer.framing) {
		case "length":
			fields.push(`Content-Length: ${body.length}`);
			break;
		case "end":
			close ||= !bare;
			break;
		case "chunked":
			fields.push("Transfer-Encoding: chunked");
			pieces.push(Buffer.from(CHUNK_END));
			body = Buffer.concat(pieces);
			break;
		default:
			answer.framing satisfies never;
	}
	return { bytes: bare ? head(answer.status) : Buffer.concat([head(answer.status), body]), close };
}

/** Infinite where there is none: what it begins never ends. */
export function chunkSize(line: Buffer): number {
	const [digits] = /^[0-9a-f]+/i.exec(line.toString("latin1")) ?? [];
	return digits === undefined ? Number.POSITIVE_INFINITY : Number.parseInt(digits, 16);
}

/** The body of a request whose head ends before `at`, and where it ends; undefined: it is not all there. */
function requestBody(
	bytes: Buffer,
	at: number,
	fields: readonly string[],
): { body: string; end: number } | undefined {
	if (headField(fields, "transfer-encoding") === undefined) {
		const end = at + Number(headField(fields, "content-length") ?? 0);
		return !(bytes.length >= end) ? undefined : { body: bytes.subarray(at, end).toString("latin1"), end };
	}
	let body = "";
	for (let next = at; ; ) {
		const line = bytes.indexOf("\r\n", next);
		if (line < 0) return undefined;
		const size = chunkSize(bytes.subarray(next, line));
		const end = line + 2 + size + 2;
		if (bytes.length < end) return undefined;
		if (size === 0) return { body, end };
		body += bytes.subarray(line + 2, line + 2 + size).toString("latin1");
		next = end;
	}
}

/** The first request in `bytes` and what follows it; no `rest`: its body is not all there. Undefined: not even its head is. */
export function firstRequest(bytes: Buffer): { request: SeenRequest; rest?: Buffer } | undefined {
	const end = bytes.indexOf("\r\n\r\n");
	if (end < 0) return undefined;
	const [line = "", ...fields] = bytes.subarray(0, end).toString("latin1").split("\r\n");
	const read = requestBody(bytes, end + 4, fields);
	if (read === undefined) return { request: { line, fields, body: "unfinished" } };
	return { request: { line, fields, body: read.body }, rest: bytes.subarray(read.end) };
}

export class StormOrigin {
	readonly #server: Server;
	readonly #scenarios = new Map<string, Scenario>();
	readonly #seen = new Map<string, SeenRequest[]>();
	readonly #nowSeconds: number;

	private constructor(nowSeconds: number) {
		this.#nowSeconds = nowSeconds;
		this.#server = createServer((socket) => this.#serve(socket));
	}

	/** `nowSeconds`: what "@0" is. */
	static async start(nowSeconds: number): Promise<StormOrigin> {
		const origin = new StormOrigin(nowSeconds);
		await new Promise<void>((resolve) => origin.#server.listen(0, "127.0.0.1", resolve));
		return origin;
	}

	get port(): number {
		const address = this.#server.address();
		return typeof address === "object" && address !== null ? address.port : 0;
	}

	begin(id: string, scenario: Scenario): void {
		this.#scenarios.set(id, scenario);
		this.#seen.set(id, []);
	}

	/** What it was asked of a scenario, which it forgets. */
	end(id: string): readonly SeenRequest[] {
		const seen = this.#seen.get(id) ?? [];
		this.#scenarios.delete(id);
		this.#seen.delete(id);
		return seen;
	}

	stop(): void {
		this.#server.close();
	}

	#serve(socket: Socket): void {
		let rest: Buffer = Buffer.alloc(0);
		socket.setNoDelay(true);
		socket.on("error", () => {});
		socket.on("data", (bytes: Buffer) => {
			rest = Buffer.concat([rest, bytes]);
			for (;;) {
				const first = firstRequest(rest);
				if (first?.rest === undefined) return;
				rest = first.rest;
				const { bytes, close } = this.#answer(first.request);
				if (close) {
					// What comes now is for nobody, and will come again on another connection.
					socket.removeAllListeners("data").resume().end(bytes);
					return;
				}
				socket.write(bytes);
			}
		});
	}

	#answer(request: SeenRequest): { bytes: Buffer; close: boolean } {
		const [, id = "", resource = ""] = /^\S+ \/(\w+)\/(\d+)/.exec(request.line) ?? [];
		const answers = this.#scenarios.get(id)?.resources[Number(resource)];
		const seen = this.#seen.get(id);
		if (answers === undefined || seen === undefined)
			return { bytes: Buffer.from("HTTP/1.1 404 Unplanned\r\nContent-Length: 0\r\n\r\n"), close: false };
		const before = seen.filter(({ line }) =>
			line.split(" ")[1]?.startsWith(pathOf(id, Number(resource))),
		).length;
		seen.push(request);
		return answerBytes(answers[Math.min(before, answers.length - 1)]!, request, this.#nowSeconds);
	}
}
