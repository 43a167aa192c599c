/**
 * The server's side of one HTTP/2 connection (RFC 9113): frames in, requests and bodies out, answers back as the
 * client's windows allow. Pure: bytes and times come in by calls, what is to be done goes out by calls of Http2Events.
 *
 * Priorities are read and not acted on, nothing is pushed. A stream is here from its HEADERS until both sides have said
 * all, or one of them has taken it back.
 */
import {
	DEFAULT_TABLE_BYTES,
	DEFAULT_WINDOW_BYTES,
	ErrorCode,
	errorName,
	Flag,
	FRAME_HEAD_BYTES,
	Frame,
	type FrameHead,
	frame,
	frameHead,
	LARGEST_WINDOW_BYTES,
	read32,
	readFrameHead,
	text32,
} from "./frame.ts";
import { type HeaderField, HpackDecoder } from "./hpack.ts";
import { isField } from "./request.ts";
import { Restraint } from "./restraint.ts";
import { announce, defaultRemote, type LocalSettings, SETTING_BYTES, takeSettings } from "./settings.ts";

/** A header block may be so many times as long as its fields may be: coded it is shorter, as a rule. */
const BLOCK_FACTOR = 2;
/** CONTINUATION frames of one block. */
export const CONTINUATIONS = 64;
/** Streams that are over and still known to have been: what comes for them late is no mistake, or is known to be one. */
export const CLOSED_REMEMBERED = 256;
/** A stream whose body nobody waits for gets no more room than this, whatever h2_rx_window_low_water says. */
const STREAM_WINDOW_BYTES = 1 << 20;
/** Bytes of bodies that may wait for their readers, all streams of a connection together, before it gets no more room. */
export const WAITING_BYTES = 16 << 20;
/** DATA that is shorter costs more than it holds, while nobody takes it; so does a window that is opened by less. */
const SHORT_DATA_BYTES = 128;
/** A client may answer a frame of an answer by opening both windows by as much, however short it was. */
const UPDATES_PER_FRAME = 2;
/** Short updates that are owed to frames of answers at most. */
const UPDATES_EARNED = 1000;
/** One frame of an answer: a larger one would keep the other streams waiting. */
const DATA_BYTES = 16_384;

/** PADDED has one byte in front, PRIORITY five. */
const PRIORITY_BYTES = 5;

export interface Http2Events<Owner> {
	/** A frame for the client, the head as text with one character per byte, with the payload behind it if there is one. */
	send(head: string, payload?: Uint8Array): void;
	/** A request without its body; `whole`: there is none. `blockBytes`: its fields as they came. */
	request(stream: Http2Stream<Owner>, fields: HeaderField[], whole: boolean, blockBytes: number): void;
	/** Bytes of a request's body. */
	body(stream: Http2Stream<Owner>, bytes: Uint8Array): void;
	bodyEnd(stream: Http2Stream<Owner>): void;
	/** The stream is over before its answer was: the client has taken it back, or has broken the protocol. */
	reset(stream: Http2Stream<Owner>): void;
	/** There is more room for answers. */
	writable(): void;
	/** No frame is read any more: the connection ends when its streams have. */
	leaving(): void;
	/** The connection is to end at once; a GOAWAY with this code has been sent. */
	broken(code: number): void;
	/** For the log. */
	note(text: string): void;
	/** Frames are wanted in the log. */
	readonly traces: boolean;
	trace(received: boolean, head: string | Uint8Array, payload: Uint8Array | undefined): void;
}

/** One request and its answer. */
export class Http2Stream<Owner> {
	readonly id: number;
	readonly openedMs: number;
	/** Who answers it. */
	owner: Owner | undefined;
	/** Bytes that the client takes of this stream; below zero when it has changed its mind (§6.9.2). */
	sendWindow: number;
	receiveWindow: number;
	/** What is left of the body that Content-Length announced. */
	bodyLeft: number | undefined;
	/** The client has said all of it. */
	remoteDone = false;
	/** The body's reader does not keep up. */
	paused = false;
	/** Bytes that came since. */
	waitingBytes = 0;
	gone = false;

	constructor(id: number, openedMs: number, sendWindow: number, receiveWindow: number) {
		this.id = id;
		this.openedMs = openedMs;
		this.sendWindow = sendWindow;
		this.receiveWindow = receiveWindow;
	}
}

/** A header block that has not come to its end. */
interface Block {
	readonly stream: number;
	readonly use: "request" | "trailers" | "refused" | "ignored";
	readonly endStream: boolean;
	readonly parts: Uint8Array[];
	bytes: number;
	readonly sinceMs: number;
}

/** The beginning of a frame. Its room doubles: no byte is moved with every piece that comes behind it. */
class FrameBeginning {
	/** When its first byte came (Unix milliseconds). */
	readonly sinceMs: number;
	#room: Uint8Array;
	#bytes: number;

	constructor(bytes: Uint8Array, sinceMs: number) {
		this.sinceMs = sinceMs;
		this.#room = bytes;
		this.#bytes = bytes.length;
	}

	/** All that has come with `more` behind it; stays as it is when more is added. */
	add(more: Uint8Array): Uint8Array {
		const length = this.#bytes + more.length;
		if (length > this.#room.length) {
			const larger = new Uint8Array(Math.max(length, 2 * this.#room.length));
			larger.set(this.#room.subarray(0, this.#bytes));
			this.#room = larger;
		}
		this.#room.set(more, this.#bytes);
		this.#bytes = length;
		return this.#room.subarray(0, length);
	}
}

export class Http2Connection<Owner> {
	readonly #events: Http2Events<Owner>;
	readonly #local: LocalSettings;
	readonly #remote = defaultRemote();
	readonly #decoder: HpackDecoder;
	readonly #restraint: Restraint;
	readonly #streams = new Map<number, Http2Stream<Owner>>();
	/** Streams that are over: whether the client had said all. Oldest first. */
	readonly #closed = new Map<number, "ended" | "reset">();
	#beginning: FrameBeginning | undefined;
	#block: Block | undefined;
	#settled = false;
	/** The table size of the client's decoder is to be acknowledged in the next block (RFC 7541 §4.2). */
	#owesTableSize = false;
	/** The last stream that has begun, */
	#highest = 0;
	/** and the last of which a request was taken, or refused by name: what a GOAWAY says (§6.8). */
	#lastTaken = 0;
	#sendWindow = DEFAULT_WINDOW_BYTES;
	#receiveWindow = DEFAULT_WINDOW_BYTES;
	#waitingBytes = 0;
	/** Short updates of windows that have a reason. */
	#updatesEarned = 0;
	#nowMs: number;
	#broken = false;
	#left = false;
	/** Of frames as such: heads, and payloads of those that belong to no request. */
	readonly account = { headIn: 0, bodyIn: 0, headOut: 0, bodyOut: 0 };

	constructor(local: LocalSettings, events: Http2Events<Owner>, nowMs: number) {
		this.#local = local;
		this.#events = events;
		this.#nowMs = nowMs;
		this.#restraint = new Restraint(nowMs);
		// Until it has heard of another size, the client's table has the usual one.
		this.#decoder = new HpackDecoder(
			Math.max(local.headerTableBytes, DEFAULT_TABLE_BYTES),
			DEFAULT_TABLE_BYTES,
		);
	}

	get streams(): ReadonlyMap<number, Http2Stream<Owner>> {
		return this.#streams;
	}
	/** A header block has begun and not ended. */
	get withinBlock(): boolean {
		return this.#block !== undefined;
	}
	/** Since when the header block, or else the frame, that is not whole has been coming (ms); undefined when none is. */
	get incompleteSinceMs(): number | undefined {
		return this.#block?.sinceMs ?? this.#beginning?.sinceMs;
	}
	get broken(): boolean {
		return this.#broken;
	}
	/** No new request is taken. */
	get left(): boolean {
		return this.#left;
	}

	/** The first frame of the server (§3.4). */
	begin(): void {
		this.#control(Frame.settings, 0, 0, announce(this.#local));
	}

	/** The request that asked for the upgrade is stream 1, half closed (RFC 7540 §3.2). */
	upgraded(settings: Uint8Array): Http2Stream<Owner> | undefined {
		if (settings.length % SETTING_BYTES !== 0 || takeSettings(this.#remote, settings) !== undefined)
			return undefined;
		const stream = this.#open(1);
		stream.remoteDone = true;
		return stream;
	}

	// ── receiving ───────────────────────────────────────────────────────────────────────────

	/** Bytes behind the preface. */
	receive(bytes: Uint8Array, nowMs: number): void {
		this.#nowMs = nowMs;
		const beginning = this.#beginning;
		this.#beginning = undefined;
		const all = beginning === undefined ? bytes : beginning.add(bytes);
		let at = 0;
		while (all.length - at >= FRAME_HEAD_BYTES && !this.#broken) {
			const head = readFrameHead(all, at);
			if (head.length > this.#local.frameBytes) {
				this.#fail(ErrorCode.frameSizeError, `a frame of ${head.length} bytes`);
				return;
			}
			const end = at + FRAME_HEAD_BYTES + head.length;
			if (end > all.length) break;
			const payload = all.subarray(at + FRAME_HEAD_BYTES, end);
			if (this.#events.traces) this.#events.trace(true, all.subarray(at, at + FRAME_HEAD_BYTES), payload);
			at = end;
			this.#frame(head, payload);
		}
		if (at === all.length || this.#broken) return;
		// What was there before and is not whole began then.
		this.#beginning =
			beginning !== undefined && at === 0 ? beginning : new FrameBeginning(all.subarray(at), nowMs);
	}

	#frame(head: FrameHead, payload: Uint8Array): void {
		const { type, stream } = head;
		this.account.headIn += FRAME_HEAD_BYTES;
		if (type !== Frame.data && type !== Frame.headers && type !== Frame.continuation)
			this.account.bodyIn += payload.length;
		if (!this.#settled) {
			// §3.4: the client's preface ends with its settings.
			if (!this.#local.nocheck && (type !== Frame.settings || (head.flags & Flag.ack) !== 0)) {
				this.#fail(ErrorCode.protocolError, "the first frame is not SETTINGS");
				return;
			}
			this.#settled = true;
		}
		if (this.#block !== undefined && (type !== Frame.continuation || stream !== this.#block.stream)) {
			this.#fail(ErrorCode.protocolError, "another frame within a header block");
			return;
		}
		if (type > Frame.continuation) {
			this.#idle("frames of unknown types");
			return;
		}
		// §5.1.1: a client's streams are odd.
		if (stream !== 0 && stream % 2 === 0) {
			this.#fail(ErrorCode.protocolError, `illegal stream ${stream}`);
			return;
		}
		const ofConnection = type === Frame.settings || type === Frame.ping || type === Frame.goAway;
		if (type !== Frame.windowUpdate && ofConnection !== (stream === 0)) {
			this.#fail(ErrorCode.protocolError, `a frame of type ${type} on stream ${stream}`);
			return;
		}
		// §5.1: only these may come for a stream that is idle.
		if (stream > this.#highest && type !== Frame.headers && type !== Frame.priority) {
			this.#fail(ErrorCode.protocolError, `a frame of type ${type} on the idle stream ${stream}`);
			return;
		}
		switch (type) {
			case Frame.data:
				this.#data(head, payload);
				break;
			case Frame.headers:
				this.#headers(head, payload);
				break;
			case Frame.continuation:
				this.#continuation(head, payload);
				break;
			case Frame.priority:
				if (payload.length !== PRIORITY_BYTES)
					this.#control(Frame.rstStream, 0, stream, text32(ErrorCode.frameSizeError));
				this.#idle("PRIORITY frames");
				break;
			case Frame.rstStream:
				this.#rstStream(stream, payload);
				break;
			case Frame.settings:
				this.#settings(head, payload);
				break;
			case Frame.pushPromise:
				this.#fail(ErrorCode.protocolError, "PUSH_PROMISE by a client");
				break;
			case Frame.ping:
				this.#ping(head, payload);
				break;
			case Frame.goAway:
				if (payload.length < 8) this.#fail(ErrorCode.frameSizeError, "a short GOAWAY");
				else {
					this.#events.note(`GOAWAY ${errorName(read32(payload, 4))}`);
					this.leave(false);
				}
				break;
			case Frame.windowUpdate:
				this.#windowUpdate(stream, payload);
				break;
		}
	}

	/** A payload without its padding (§6.1); undefined when there is more padding than payload. */
	#unpadded({ flags }: FrameHead, payload: Uint8Array): Uint8Array | undefined {
		if ((flags & Flag.padded) === 0) return payload;
		const padding = payload[0];
		if (padding !== undefined && padding < payload.length)
			return payload.subarray(1, payload.length - padding);
		this.#fail(ErrorCode.protocolError, "padding longer than its frame");
		return undefined;
	}

	#data(head: FrameHead, payload: Uint8Array): void {
		// §6.9.1: padding counts, and so does what is ignored.
		this.#receiveWindow -= payload.length;
		if (this.#receiveWindow < 0) {
			this.#fail(ErrorCode.flowControlError, "more DATA than the connection's window");
			return;
		}
		const data = this.#unpadded(head, payload);
		if (data === undefined) return;
		const end = (head.flags & Flag.endStream) !== 0;
		if (data.length === 0 && !end && !this.#idle("empty DATA frames")) return;
		const stream = this.#streams.get(head.stream);
		if (stream === undefined) {
			// §5.1: who had said all may not go on; what was on its way to a stream that was taken back is nothing.
			if (this.#closed.get(head.stream) === "ended")
				this.#fail(ErrorCode.streamClosed, "DATA on a closed stream");
			else this.#creditConnection();
			return;
		}
		if (stream.remoteDone) {
			this.#streamError(stream, ErrorCode.streamClosed);
			return;
		}
		stream.receiveWindow -= payload.length;
		if (stream.receiveWindow < 0) {
			this.#streamError(stream, ErrorCode.flowControlError);
			return;
		}
		if (stream.bodyLeft !== undefined) {
			stream.bodyLeft -= data.length;
			// §8.1.1: a body that is not as long as it says is malformed.
			if (stream.bodyLeft < 0 || (end && stream.bodyLeft > 0)) {
				this.#streamError(stream, ErrorCode.protocolError);
				return;
			}
		}
		if (stream.paused) {
			if (data.length < SHORT_DATA_BYTES && !this.#idle("short DATA frames")) return;
			stream.waitingBytes += data.length;
			this.#waitingBytes += data.length;
		}
		if (data.length > 0) this.#events.body(stream, data);
		if (stream.gone) return;
		this.#creditConnection();
		this.#creditStream(stream);
		if (end) this.#remoteDone(stream);
	}

	#remoteDone(stream: Http2Stream<Owner>): void {
		stream.remoteDone = true;
		this.#events.bodyEnd(stream);
	}

	#creditConnection(): void {
		if (this.#receiveWindow >= this.#local.windowLowWaterBytes || this.#waitingBytes > WAITING_BYTES) return;
		const { windowIncrementBytes } = this.#local;
		this.#receiveWindow += windowIncrementBytes;
		this.#control(Frame.windowUpdate, 0, 0, text32(windowIncrementBytes));
	}

	#creditStream(stream: Http2Stream<Owner>): void {
		const lowWater = Math.min(this.#local.windowLowWaterBytes, STREAM_WINDOW_BYTES);
		if (stream.paused || stream.receiveWindow >= lowWater) return;
		const { windowIncrementBytes } = this.#local;
		stream.receiveWindow += windowIncrementBytes;
		this.#control(Frame.windowUpdate, 0, stream.id, text32(windowIncrementBytes));
	}

	/** The body's reader does not keep up: the client gets no more room on this stream. */
	pause(stream: Http2Stream<Owner>): void {
		stream.paused = true;
	}

	/** The reader has taken what there was. */
	resume(stream: Http2Stream<Owner>): void {
		if (!stream.paused) return;
		stream.paused = false;
		this.#forgetWaiting(stream);
		if (stream.gone || this.#broken) return;
		this.#creditConnection();
		if (!stream.remoteDone) this.#creditStream(stream);
	}

	#forgetWaiting(stream: Http2Stream<Owner>): void {
		this.#waitingBytes -= stream.waitingBytes;
		stream.waitingBytes = 0;
	}

	#headers(head: FrameHead, payload: Uint8Array): void {
		let fragment = this.#unpadded(head, payload);
		if (fragment === undefined) return;
		if ((head.flags & Flag.priority) !== 0) {
			if (fragment.length < PRIORITY_BYTES) {
				this.#fail(ErrorCode.protocolError, "HEADERS without its priority");
				return;
			}
			fragment = fragment.subarray(PRIORITY_BYTES);
		}
		const use = this.#useOfBlock(head);
		if (use === undefined) return;
		const endStream = (head.flags & Flag.endStream) !== 0;
		this.#block = { stream: head.stream, use, endStream, parts: [], bytes: 0, sinceMs: this.#nowMs };
		this.#fragment(head, fragment);
	}

	#useOfBlock({ stream: id, flags }: FrameHead): Block["use"] | undefined {
		const stream = this.#streams.get(id);
		if (stream?.remoteDone) {
			this.#fail(ErrorCode.streamClosed, "HEADERS on a half-closed stream");
			return undefined;
		}
		if (stream !== undefined) {
			// §8.1: behind the body come trailers, and with them the end.
			if ((flags & Flag.endStream) !== 0) return "trailers";
			this.#fail(ErrorCode.protocolError, "HEADERS within a body");
			return undefined;
		}
		if (id <= this.#highest) {
			const how = this.#closed.get(id);
			if (how === "reset") return "ignored";
			if (how === "ended") this.#fail(ErrorCode.streamClosed, "HEADERS on a closed stream");
			else this.#fail(ErrorCode.protocolError, "a stream below one that is known");
			return undefined;
		}
		this.#highest = id;
		if (this.#left) {
			// What comes behind these HEADERS is ignored with them.
			this.#remember(id, "reset");
			return "ignored";
		}
		this.#lastTaken = id;
		return this.#streams.size >= this.#local.concurrentStreams ? "refused" : "request";
	}

	#continuation(head: FrameHead, payload: Uint8Array): void {
		if (this.#block === undefined) this.#fail(ErrorCode.protocolError, "CONTINUATION without HEADERS");
		else if (this.#block.parts.length > CONTINUATIONS)
			this.#fail(ErrorCode.enhanceYourCalm, "too many CONTINUATION frames");
		else this.#fragment(head, payload);
	}

	#fragment(head: FrameHead, fragment: Uint8Array): void {
		const block = this.#block!;
		block.bytes += fragment.length;
		if (block.bytes > this.#local.headBytes * BLOCK_FACTOR) {
			this.#fail(ErrorCode.enhanceYourCalm, "a header block over its limit");
			return;
		}
		block.parts.push(fragment);
		if ((head.flags & Flag.endHeaders) === 0) return;
		this.#block = undefined;
		this.#blockDone(block);
	}

	#blockDone({ stream: id, use, endStream, parts, bytes }: Block): void {
		const { headBytes, headerListBytes, headerLines } = this.#local;
		const list = this.#decoder.decode(parts.length === 1 ? parts[0]! : Buffer.concat(parts), {
			listBytes: Math.min(headBytes, headerListBytes),
			fields: headerLines,
		});
		if (list.kind === "bad") {
			this.#fail(ErrorCode.compressionError, `HPACK: ${list.reason}`);
			return;
		}
		switch (use) {
			case "ignored":
				this.#idle("HEADERS on streams that are over");
				return;
			case "refused":
				this.#events.note(`H2: stream ${id}: Hit maximum number of concurrent streams`);
				this.#remember(id, "reset");
				this.#control(Frame.rstStream, 0, id, text32(ErrorCode.refusedStream));
				this.#idle("streams over the limit");
				return;
			case "trailers": {
				const stream = this.#streams.get(id);
				if (stream === undefined) return;
				const isBad = list.fields.some(([name, value]) => !isField(name, value));
				const isShort = stream.bodyLeft !== undefined && stream.bodyLeft > 0;
				if (isBad || isShort) this.#streamError(stream, ErrorCode.protocolError);
				else this.#remoteDone(stream);
				return;
			}
			case "request": {
				const stream = this.#open(id);
				if (endStream) stream.remoteDone = true;
				if (list.over) {
					this.#events.note(`H2: stream ${id}: too many headers`);
					this.#streamError(stream, ErrorCode.enhanceYourCalm);
					return;
				}
				this.#restraint.request();
				this.#events.request(stream, list.fields, endStream, bytes);
			}
		}
	}

	#open(id: number): Http2Stream<Owner> {
		const stream = new Http2Stream<Owner>(id, this.#nowMs, this.#remote.windowBytes, this.#local.windowBytes);
		this.#highest = id;
		this.#lastTaken = id;
		this.#streams.set(id, stream);
		return stream;
	}

	#rstStream(id: number, payload: Uint8Array): void {
		if (payload.length !== 4) {
			this.#fail(ErrorCode.frameSizeError, "RST_STREAM is not of 4 bytes");
			return;
		}
		const stream = this.#streams.get(id);
		if (stream === undefined) {
			this.#idle("RST_STREAM frames for nothing");
			return;
		}
		this.#events.note(`H2: stream ${id}: RST_STREAM ${errorName(read32(payload, 0))}`);
		this.#close(stream, "ended");
		this.#events.reset(stream);
		this.#countReset(stream);
	}

	#settings({ flags }: FrameHead, payload: Uint8Array): void {
		if ((flags & Flag.ack) !== 0) {
			if (payload.length > 0) this.#fail(ErrorCode.frameSizeError, "an acknowledgement with settings");
			else this.#idle("SETTINGS frames");
			return;
		}
		if (payload.length % SETTING_BYTES !== 0) {
			this.#fail(ErrorCode.frameSizeError, "SETTINGS of an impossible length");
			return;
		}
		const before = this.#remote.windowBytes;
		const error = takeSettings(this.#remote, payload, this.#local.nocheck);
		if (error !== undefined) {
			this.#fail(error, "a setting out of its range");
			return;
		}
		this.#owesTableSize = this.#remote.namedTable;
		const more = this.#remote.windowBytes - before;
		// §6.9.2: streams that are open change with it, the connection does not.
		if (more !== 0)
			for (const stream of this.#streams.values()) {
				stream.sendWindow += more;
				if (stream.sendWindow <= LARGEST_WINDOW_BYTES) continue;
				this.#fail(ErrorCode.flowControlError, "a window over its limit");
				return;
			}
		this.#control(Frame.settings, Flag.ack, 0, "");
		if (this.#idle("SETTINGS frames") && more > 0) this.#events.writable();
	}

	#ping({ flags }: FrameHead, payload: Uint8Array): void {
		if (payload.length !== 8) {
			this.#fail(ErrorCode.frameSizeError, "PING is not of 8 bytes");
			return;
		}
		if (!this.#idle("PING frames") || (flags & Flag.ack) !== 0) return;
		this.#control(Frame.ping, Flag.ack, 0, Buffer.from(payload).toString("latin1"));
	}

	#windowUpdate(id: number, payload: Uint8Array): void {
		if (payload.length !== 4) {
			this.#fail(ErrorCode.frameSizeError, "WINDOW_UPDATE is not of 4 bytes");
			return;
		}
		const more = read32(payload, 0) & 0x7fffffff;
		if (more < SHORT_DATA_BYTES && --this.#updatesEarned < 0) {
			this.#updatesEarned = 0;
			if (!this.#idle("short WINDOW_UPDATE frames")) return;
		}
		if (id === 0) {
			this.#sendWindow += more;
			if (more === 0) this.#fail(ErrorCode.protocolError, "WINDOW_UPDATE by nothing");
			else if (this.#sendWindow > LARGEST_WINDOW_BYTES)
				this.#fail(ErrorCode.flowControlError, "a window over its limit");
			else this.#events.writable();
			return;
		}
		const stream = this.#streams.get(id);
		if (stream === undefined) return;
		stream.sendWindow += more;
		if (more === 0) this.#streamError(stream, ErrorCode.protocolError);
		else if (stream.sendWindow > LARGEST_WINDOW_BYTES) this.#streamError(stream, ErrorCode.flowControlError);
		else this.#events.writable();
	}

	// ── sending ─────────────────────────────────────────────────────────────────────────────

	/** The fields of an answer, or of what comes before it; `end`: there is no body. */
	sendHeaders(stream: Http2Stream<Owner>, block: string, end: boolean): void {
		if (stream.gone || this.#broken) return;
		let rest = block;
		if (this.#owesTableSize) {
			this.#owesTableSize = false;
			this.#remote.namedTable = false;
			// The table is not used: none at all suits every size.
			rest = `\x20${rest}`;
		}
		const { frameBytes } = this.#remote;
		let type: number = Frame.headers;
		do {
			const fragment = rest.length > frameBytes ? rest.slice(0, frameBytes) : rest;
			rest = rest.slice(fragment.length);
			const flags =
				(rest === "" ? Flag.endHeaders : 0) | (type === Frame.headers && end ? Flag.endStream : 0);
			this.#send(frame(type, flags, stream.id, fragment));
			type = Frame.continuation;
		} while (rest !== "");
		if (end) this.#localDone(stream);
	}

	/** Bytes that may be sent on this stream just now. */
	room(stream: Http2Stream<Owner>): number {
		return Math.max(0, Math.min(stream.sendWindow, this.#sendWindow));
	}

	/**
	 * As much of a body as one frame and the windows take; returns how many bytes that was. `end`: nothing comes behind
	 * these; it is said when the last of them leaves.
	 */
	sendBody(stream: Http2Stream<Owner>, bytes: Uint8Array, end: boolean): number {
		if (stream.gone || this.#broken) return bytes.length;
		const length = Math.min(bytes.length, this.room(stream), this.#remote.frameBytes, DATA_BYTES);
		const last = end && length === bytes.length;
		if (length === 0 && !last) return 0;
		// One that a window has cut is no reason to open it by little again.
		if (length === bytes.length)
			this.#updatesEarned = Math.min(UPDATES_EARNED, this.#updatesEarned + UPDATES_PER_FRAME);
		stream.sendWindow -= length;
		this.#sendWindow -= length;
		const head = frameHead(Frame.data, last ? Flag.endStream : 0, stream.id, length);
		this.#send(head, length === bytes.length ? bytes : bytes.subarray(0, length));
		if (last) this.#localDone(stream);
		return length;
	}

	/** All is said to the client. Who has not said all of the request may keep the rest (§8.1). */
	#localDone(stream: Http2Stream<Owner>): void {
		if (stream.remoteDone) this.#close(stream, "ended");
		else this.reset(stream, ErrorCode.noError);
	}

	/** Takes the stream back; its owner knows. */
	reset(stream: Http2Stream<Owner>, code: number): void {
		if (stream.gone || this.#broken) return;
		this.#close(stream, "reset");
		this.#control(Frame.rstStream, 0, stream.id, text32(code));
	}

	/** The client's request is malformed: it is told so, and that counts as if it had taken it back itself. */
	malformed(stream: Http2Stream<Owner>): void {
		this.#streamError(stream, ErrorCode.protocolError);
	}

	/** The client has broken the protocol on one stream (§5.4.2). */
	#streamError(stream: Http2Stream<Owner>, code: number): void {
		if (stream.gone) return;
		this.#events.note(`H2: stream ${stream.id}: ${errorName(code)}`);
		this.reset(stream, code);
		this.#events.reset(stream);
		this.#countReset(stream);
	}

	#countReset(stream: Http2Stream<Owner>): void {
		if (!this.#restraint.reset(stream.openedMs, this.#nowMs))
			this.#fail(ErrorCode.enhanceYourCalm, "streams are opened and taken back too fast");
	}

	#close(stream: Http2Stream<Owner>, how: "ended" | "reset"): void {
		if (stream.gone) return;
		stream.gone = true;
		this.#forgetWaiting(stream);
		this.#streams.delete(stream.id);
		this.#remember(stream.id, how);
	}

	#remember(id: number, how: "ended" | "reset"): void {
		this.#closed.set(id, how);
		if (this.#closed.size > CLOSED_REMEMBERED) this.#closed.delete(this.#closed.keys().next().value!);
	}

	/** Counts a frame that carries nothing; false when the connection is over because of it. */
	#idle(what: string): boolean {
		if (this.#restraint.idleFrame(this.#nowMs)) return true;
		this.#fail(ErrorCode.enhanceYourCalm, `too many ${what}`);
		return false;
	}

	/** The connection ends when its streams have; `say`: the client does not know yet. */
	leave(say: boolean): void {
		if (this.#left || this.#broken) return;
		this.#left = true;
		if (say) this.#control(Frame.goAway, 0, 0, text32(this.#lastTaken) + text32(ErrorCode.noError));
		this.#events.leaving();
	}

	/** A connection error (§5.4.1). */
	#fail(code: number, reason: string): void {
		if (this.#broken) return;
		this.#events.note(`H2: ${errorName(code)}: ${reason}`);
		this.#control(Frame.goAway, 0, 0, text32(this.#lastTaken) + text32(code));
		this.#broken = true;
		this.#block = undefined;
		this.#beginning = undefined;
		this.#events.broken(code);
	}

	/** A frame that is no part of an answer. */
	#control(type: number, flags: number, stream: number, payload: string): void {
		this.account.bodyOut += payload.length;
		this.#send(frame(type, flags, stream, payload));
	}

	#send(head: string, payload?: Uint8Array): void {
		this.account.headOut += FRAME_HEAD_BYTES;
		if (this.#events.traces) this.#events.trace(false, head, payload);
		this.#events.send(head, payload);
	}
}
