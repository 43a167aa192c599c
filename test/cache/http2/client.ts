/** The client's side of an HTTP/2 connection, for tests: frames for the server's, and what came of them. */
import {
	Http2Connection,
	type Http2Events,
	type Http2Stream,
} from "../../../firmware/cache/http2/connection.ts";
import {
	errorName,
	Flag,
	FRAME_HEAD_BYTES,
	Frame,
	frame,
	readFrameHead,
	setting,
	text32,
} from "../../../firmware/cache/http2/frame.ts";
import { encodeField, type HeaderField } from "../../../firmware/cache/http2/hpack.ts";
import type { LocalSettings } from "../../../firmware/cache/http2/settings.ts";

export const usual: LocalSettings = {
	headerTableBytes: 4096,
	concurrentStreams: 100,
	windowBytes: 65_535,
	frameBytes: 16_384,
	headerListBytes: 2 ** 31 - 1,
	windowIncrementBytes: 1 << 20,
	windowLowWaterBytes: 10 << 20,
	headBytes: 32_768,
	headerLines: 64,
	nocheck: false,
};

const names =
	"DATA HEADERS PRIORITY RST_STREAM SETTINGS PUSH_PROMISE PING GOAWAY WINDOW_UPDATE CONTINUATION".split(" ");

export const block = (...fields: readonly (readonly [string, string])[]) =>
	fields.map(([name, value]) => encodeField(name, value)).join("");

export const get = block([":method", "GET"], [":scheme", "http"], [":path", "/"], [":authority", "a"]);

/** A request without a body, or the beginning of one. */
export const headers = (stream: number, end = true, fields = get) =>
	frame(Frame.headers, Flag.endHeaders | (end ? Flag.endStream : 0), stream, fields);
export const data = (stream: number, payload: string, end = false) =>
	frame(Frame.data, end ? Flag.endStream : 0, stream, payload);
export const rst = (stream: number, code = 8) => frame(Frame.rstStream, 0, stream, text32(code));
export const windowUpdate = (stream: number, more: number) =>
	frame(Frame.windowUpdate, 0, stream, text32(more));
export const settings = (...pairs: readonly (readonly [number, number])[]) =>
	frame(Frame.settings, 0, 0, pairs.map(([name, value]) => setting(name, value)).join(""));
export const ping = (payload = "12345678") => frame(Frame.ping, 0, 0, payload);

/** A frame in words: "HEADERS 1 end", "RST_STREAM 1 CANCEL", "DATA 1 [5] end". */
export function inWords(head: string, payload: Uint8Array | undefined): string {
	const bytes = Buffer.from(head, "latin1");
	const { type, flags, stream, length } = readFrameHead(bytes, 0);
	const rest = Buffer.concat([bytes.subarray(FRAME_HEAD_BYTES), payload ?? new Uint8Array(0)]);
	if (rest.length !== length) throw new Error(`a frame of ${length} bytes has ${rest.length}`);
	const words = [names[type], String(stream)];
	if (type === Frame.data) words.push(`[${length}]`);
	if (type === Frame.rstStream) words.push(errorName(rest.readUInt32BE(0)));
	if (type === Frame.goAway) words.push(`last ${rest.readUInt32BE(0)}`, errorName(rest.readUInt32BE(4)));
	if (type === Frame.windowUpdate) words.push(`+${rest.readUInt32BE(0)}`);
	if (type === Frame.ping || type === Frame.settings) {
		if ((flags & Flag.ack) !== 0) words.push("ack");
	} else if ((type === Frame.data || type === Frame.headers) && (flags & Flag.endStream) !== 0)
		words.push("end");
	return words.join(" ");
}

export interface Asked {
	readonly stream: Http2Stream<string>;
	readonly fields: HeaderField[];
	readonly whole: boolean;
}

/** A server's side with everything that it did written down. */
export class Recorded implements Http2Events<string> {
	readonly connection: Http2Connection<string>;
	/** Frames sent, and events, in order. */
	readonly log: string[] = [];
	readonly asked: Asked[] = [];
	readonly notes: string[] = [];
	/** Bytes of bodies that came, by stream. */
	readonly bodies = new Map<number, string>();
	readonly traces = false;
	now = 1_000_000;

	constructor(local: Partial<LocalSettings> = {}) {
		this.connection = new Http2Connection<string>({ ...usual, ...local }, this, this.now);
		this.connection.begin();
	}
	/** What the server did about these frames. */
	get(...frames: readonly string[]): string[] {
		const from = this.log.length;
		this.connection.receive(Buffer.from(frames.join(""), "latin1"), this.now);
		return this.log.slice(from);
	}
	/** Past the settings of both sides. */
	static settled(local: Partial<LocalSettings> = {}): Recorded {
		const server = new Recorded(local);
		server.get(settings());
		server.log.length = 0;
		return server;
	}
	send(head: string, payload?: Uint8Array): void {
		this.log.push(inWords(head, payload));
	}
	request(stream: Http2Stream<string>, fields: HeaderField[], whole: boolean): void {
		this.asked.push({ stream, fields, whole });
		this.log.push(`request ${stream.id}${whole ? "" : " with a body"}`);
	}
	body({ id }: Http2Stream<string>, bytes: Uint8Array): void {
		this.bodies.set(id, (this.bodies.get(id) ?? "") + Buffer.from(bytes).toString("latin1"));
		this.log.push(`body ${id} [${bytes.length}]`);
	}
	bodyEnd({ id }: Http2Stream<string>): void {
		this.log.push(`body ${id} ends`);
	}
	reset({ id }: Http2Stream<string>): void {
		this.log.push(`reset ${id}`);
	}
	writable(): void {
		this.log.push("writable");
	}
	leaving(): void {
		this.log.push("leaving");
	}
	broken(): void {
		this.log.push("broken");
	}
	note(text: string): void {
		this.notes.push(text);
	}
	trace(): void {}
}
