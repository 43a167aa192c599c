/** A client of HTTP/2 on a real connection, for tests: it sends whatever frames it is given. */
import type { Socket } from "node:net";
import {
	Flag,
	FRAME_HEAD_BYTES,
	Frame,
	PREFACE,
	readFrameHead,
} from "../../../firmware/cache/http2/frame.ts";
import { type HeaderField, HpackDecoder } from "../../../firmware/cache/http2/hpack.ts";
import { block, inWords, settings } from "./client.ts";

export interface Heard {
	readonly words: string;
	readonly stream: number;
	readonly type: number;
	readonly flags: number;
	readonly payload: Buffer;
}

export class Client {
	readonly socket: Socket;
	readonly heard: Heard[] = [];
	closed = false;
	#rest = Buffer.alloc(0);
	readonly #decoder = new HpackDecoder(4096);
	readonly #fields = new Map<number, HeaderField[]>();

	constructor(socket: Socket, begin = PREFACE + settings()) {
		this.socket = socket;
		socket.on("error", () => {});
		socket.on("close", () => {
			this.closed = true;
		});
		socket.on("data", (bytes: Buffer) => {
			this.#rest = Buffer.concat([this.#rest, bytes]);
			while (this.#rest.length >= FRAME_HEAD_BYTES) {
				const { length, stream, type, flags } = readFrameHead(this.#rest, 0);
				const end = FRAME_HEAD_BYTES + length;
				if (this.#rest.length < end) return;
				const payload = Buffer.from(this.#rest.subarray(FRAME_HEAD_BYTES, end));
				const words = inWords(this.#rest.toString("latin1", 0, FRAME_HEAD_BYTES), payload);
				this.#rest = this.#rest.subarray(end);
				if (type === Frame.headers) {
					const list = this.#decoder.decode(payload, { listBytes: 65_536, fields: 100 });
					if (list.kind === "bad") throw new Error(list.reason);
					// Those of a 100 Continue are followed by those of the answer.
					this.#fields.set(stream, list.fields);
				}
				this.heard.push({ words, stream, type, flags, payload });
			}
		});
		socket.write(begin, "latin1");
	}
	send(...frames: readonly string[]): this {
		this.socket.write(frames.join(""), "latin1");
		return this;
	}
	field(stream: number, name: string): string | undefined {
		return this.#fields.get(stream)?.find(([each]) => each === name)?.[1];
	}
	fields(stream: number): readonly HeaderField[] {
		return this.#fields.get(stream) ?? [];
	}
	body(stream: number): Buffer {
		return Buffer.concat(
			this.heard
				.filter((each) => each.stream === stream && each.type === Frame.data)
				.map(({ payload }) => payload),
		);
	}
	ended(stream: number): boolean {
		return this.heard.some(
			(each) =>
				each.stream === stream &&
				(each.type === Frame.rstStream ||
					((each.type === Frame.data || each.type === Frame.headers) && (each.flags & Flag.endStream) !== 0)),
		);
	}
	/** The server has taken it back, or has ended it before the request was whole and the answer: NO_ERROR is none. */
	reset(stream: number): boolean {
		return this.heard.some(
			(each) => each.stream === stream && each.type === Frame.rstStream && !each.words.endsWith("NO_ERROR"),
		);
	}
	has(words: string): boolean {
		return this.heard.some((each) => each.words === words);
	}
	async until(what: () => boolean): Promise<void> {
		const limit = performance.now() + 15_000;
		while (!what()) {
			if (performance.now() > limit)
				throw new Error(`heard only ${this.heard.map(({ words }) => words).join(", ")}`);
			await Bun.sleep(5);
		}
	}
	async answer(stream: number): Promise<string> {
		await this.until(() => this.ended(stream));
		return `${this.field(stream, ":status")} ${this.body(stream).toString("latin1")}`;
	}
}

export const ask = (path: string, method = "GET", ...more: readonly (readonly [string, string])[]) =>
	block([":method", method], [":scheme", "http"], [":path", path], [":authority", "a"], ...more);
