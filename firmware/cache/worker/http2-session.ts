/**
 * HTTP/2 on a client connection: what http2/connection.ts decides, done. The session keeps its socket and its place in
 * the log; each stream is a request with a task of its own.
 */

import { FieldList } from "../http/headers.ts";
import { isMet, type RequestHead } from "../http/request.ts";
import { reasonPhrase } from "../http/status.ts";
import { Http2Connection, type Http2Events, type Http2Stream } from "../http2/connection.ts";
import { ErrorCode, FRAME_HEAD_BYTES, PREFACE } from "../http2/frame.ts";
import type { HeaderField } from "../http2/hpack.ts";
import { readRequest } from "../http2/request.ts";
import type { LocalSettings } from "../http2/settings.ts";
import { binaryRecord, formatSeconds, record, Side } from "../log/records.ts";
import { shownTags, Tag } from "../log/tags.ts";
import type { Answering, ClientPort, CloseReason } from "./client-port.ts";
import { ClientTask } from "./client-task.ts";
import { Main } from "./engine.ts";
import { type StreamCarrier, StreamPort } from "./http2-stream.ts";
import { RequestBody } from "./request-body.ts";

/** How the session ends, by the code that the client was given; as varnishd has it. */
const closeReasons: Readonly<Record<number, CloseReason>> = {
	[ErrorCode.noError]: "REM_CLOSE",
	[ErrorCode.internalError]: "VCL_FAILURE",
	[ErrorCode.flowControlError]: "OVERLOAD",
	[ErrorCode.enhanceYourCalm]: "OVERLOAD",
};

const frameTags = [Tag.H2RxHdr, Tag.H2RxBody, Tag.H2TxHdr, Tag.H2TxBody];
const noFields = new FieldList();
const nothing = new Uint8Array(0);

export class Http2Session implements Answering, StreamCarrier, Http2Events<StreamPort> {
	readonly client: ClientPort;
	readonly connection: Http2Connection<StreamPort>;
	/** Those that send next come first. */
	readonly #ports = new Set<StreamPort>();
	/** Windows have opened: who waits for room has its turn. */
	#writable = false;
	/** The streams have their turns, and are to have them once more. */
	#pumping = false;
	#wanted = false;
	#ended = false;
	#saidAll = false;
	/** Why it ends when its streams have ended. */
	#leaves: CloseReason = "REM_CLOSE";
	/** Unix milliseconds of the last that came, */
	#lastMs: number;
	/** and of the last stream that was over. */
	#answeredMs = 0;
	readonly #nocheck: boolean;
	/** After an upgrade the client begins with its preface; what waits for it. */
	#afterPreface: { bytes: Buffer; readonly begin: () => void } | undefined;
	readonly begun = true;

	constructor(client: ClientPort, local: LocalSettings) {
		this.client = client;
		this.#nocheck = local.nocheck;
		this.#lastMs = Date.now();
		this.connection = new Http2Connection<StreamPort>(local, this, this.#lastMs);
		client.replaceTask(this);
		this.client.cork(() => this.connection.begin());
	}

	/**
	 * The request that asked for the upgrade (RFC 7540 §3.2), with the settings that came with it. It waits for the
	 * client's preface, as with varnishd.
	 */
	upgrade(head: RequestHead, settings: Uint8Array, headBytes: number): void {
		const begin = () => {
			const stream = this.connection.upgraded(settings);
			if (stream !== undefined) this.#start(stream, head, headBytes);
		};
		this.#afterPreface = { bytes: Buffer.alloc(0), begin };
	}

	// ── the connection's bytes ──────────────────────────────────────────────────────────────

	receive(received: Uint8Array): void {
		if (this.#ended) return;
		// Nor does a preface that trickles in count.
		if (this.#afterPreface === undefined) this.#lastMs = Date.now();
		this.client.cork(() => {
			const bytes = this.#behindPreface(received);
			if (bytes.length > 0) this.connection.receive(bytes, this.#lastMs);
			if (this.#writable) {
				this.#writable = false;
				this.pump();
			}
		});
	}

	#behindPreface(bytes: Uint8Array): Uint8Array {
		const waits = this.#afterPreface;
		if (waits === undefined) return bytes;
		waits.bytes = Buffer.concat([waits.bytes, bytes]);
		const text = waits.bytes.toString("latin1", 0, PREFACE.length);
		if (!PREFACE.startsWith(text)) {
			this.#end("RX_JUNK");
			return nothing;
		}
		if (text.length < PREFACE.length) return nothing;
		this.#afterPreface = undefined;
		waits.begin();
		return waits.bytes.subarray(PREFACE.length);
	}

	/** The client says no more: what it has asked for in full is answered, as far as its windows are open. */
	saidAll(): void {
		this.#saidAll = true;
		for (const { remoteDone, owner } of [...this.connection.streams.values()])
			if (!remoteDone) owner?.abort("RX_BODY");
		this.connection.leave(false);
		this.#giveUpStalled();
		this.#endIfIdle();
	}

	/** This process ends: what the client asks for from here on it may ask another one. */
	farewell(): void {
		if (!this.#ended) this.client.cork(() => this.connection.leave(true));
	}

	/** Who has said all will not open a window any more. */
	#giveUpStalled(): void {
		if (!this.#saidAll) return;
		for (const port of [...this.#ports]) if (port.stalledSinceMs > 0) port.abort("REM_CLOSE");
	}

	/** The socket takes bytes again. */
	onBody(): void {
		this.pump();
	}

	pump(): void {
		this.#wanted = true;
		if (this.#pumping) return;
		this.#pumping = true;
		const { client } = this;
		while (this.#wanted && !client.blocked) {
			this.#wanted = false;
			for (const port of [...this.#ports]) {
				if (!port.hasOutput || !port.turn()) continue;
				this.#wanted = true;
				// Whoever has sent goes to the end of the row.
				if (this.#ports.delete(port) && !port.stream.gone) this.#ports.add(port);
				if (client.blocked) break;
			}
		}
		this.#pumping = false;
		this.#giveUpStalled();
	}

	over(port: StreamPort): void {
		if (!this.#ports.delete(port)) return;
		this.#answeredMs = Date.now();
		if (this.connection.left) this.#endIfIdle();
	}

	/** The client has gone. */
	abandon(): void {
		this.#ended = true;
		for (const port of [...this.#ports]) port.abandon();
		this.#account();
	}

	refuse(_reason: string): void {}

	#endIfIdle(): void {
		if (this.#ports.size === 0) this.#end(this.#leaves);
	}

	#end(reason: CloseReason): void {
		if (this.#ended) return;
		this.#ended = true;
		for (const port of [...this.#ports]) port.abandon();
		this.#account();
		this.client.closeAfter(reason);
		this.client.taskDone(this);
	}

	/** Frames as such, in the session's own account. */
	#account(): void {
		const { headIn, bodyIn, headOut, bodyOut } = this.connection.account;
		this.#log(
			record(
				Tag.ReqAcct,
				`${headIn} ${bodyIn} ${headIn + bodyIn} ${headOut} ${bodyOut} ${headOut + bodyOut}`,
			),
		);
		const { engine } = this.client;
		engine.count(Main.s_req_hdrbytes, headIn);
		engine.count(Main.s_req_bodybytes, bodyIn);
		engine.count(Main.s_resp_hdrbytes, headOut);
		engine.count(Main.s_resp_bodybytes, bodyOut);
	}

	#log(text: string): void {
		const id = this.client.xid | Side.client;
		if (text !== "") this.client.engine.log.write(id, "", id, text);
	}

	/** Time outs; `quietSeconds` since anything came or went. */
	onTime(nowMs: number): void {
		if (this.#ended) return;
		const { idleSendTimeout, sendTimeout, timeoutIdle } = this.client.settings;
		this.client.cork(() => {
			for (const port of [...this.#ports]) {
				const { stalledSinceMs, sendingSinceMs, stream } = port;
				if (this.client.blocked) port.countWaiting();
				const stalled = stalledSinceMs > 0 && nowMs - stalledSinceMs > idleSendTimeout * 1000;
				if (stalled) this.note(`H2: stream ${stream.id}: Hit idle_send_timeout waiting for WINDOW_UPDATE`);
				const sends = sendingSinceMs > 0 && nowMs - sendingSinceMs > sendTimeout * 1000;
				if (sends && !stalled) this.note(`H2: stream ${stream.id}: Hit send_timeout`);
				const silent = !stream.remoteDone && !stream.paused && nowMs - port.heardMs > sendTimeout * 1000;
				if (!stalled && !sends && !silent) continue;
				this.connection.reset(stream, ErrorCode.cancel);
				port.abandon();
			}
			const { withinBlock, incompleteSinceMs } = this.connection;
			const waits = this.#ports.size === 0 || withinBlock;
			// A frame or a header block that trickles in is no more alive than a silent client.
			const sinceMs = Math.max(incompleteSinceMs ?? this.#lastMs, this.#answeredMs);
			if (!waits || nowMs - sinceMs <= timeoutIdle * 1000) return;
			this.#leaves = incompleteSinceMs === undefined ? "RX_CLOSE_IDLE" : "RX_TIMEOUT";
			this.connection.leave(true);
			this.#end(this.#leaves);
		});
	}

	// ── what the connection decides ─────────────────────────────────────────────────────────

	send(head: string, payload?: Uint8Array): void {
		this.client.emit(head, payload);
	}

	request(stream: Http2Stream<StreamPort>, fields: HeaderField[], whole: boolean, blockBytes: number): void {
		const { request: limits } = this.client.engine.parameters;
		const head = readRequest(fields, whole, limits, this.#nocheck);
		if (head.kind === "bad") {
			this.#refuse(head.reason, blockBytes);
			this.connection.malformed(stream);
			return;
		}
		this.#start(stream, head, blockBytes);
	}

	#start(stream: Http2Stream<StreamPort>, head: RequestHead, headBytes: number): void {
		const { engine } = this.client;
		const { active } = engine;
		const { framing, expect } = head.fields;
		engine.count(Main.client_req);
		const port = new StreamPort(this, stream, headBytes, this.#lastMs);
		stream.owner = port;
		this.#ports.add(port);
		if (framing.kind === "length") stream.bodyLeft = framing.bytes;
		if (expect !== undefined && !isMet(expect)) {
			engine.count(Main.client_req_417);
			this.#answerBare(port, 417, `Expect: ${expect}`);
			return;
		}
		if (active === undefined) {
			this.#answerBare(port, 503, "no VCL is active");
			return;
		}
		if (!stream.remoteDone) {
			const body = new RequestBody(framing.kind === "length" ? framing.bytes : undefined);
			port.body = body;
			body.pause = () => this.connection.pause(stream);
			body.resume = () => this.client.cork(() => this.connection.resume(stream));
		}
		const task = new ClientTask(port, active, head, port.body);
		port.run(task, () => task.run());
	}

	/** Answers without VCL. */
	#answerBare(port: StreamPort, status: number, reason: string): void {
		this.#refuse(reason, port.headBytes, status);
		port.emit(port.headText(status, "", noFields), undefined);
		port.afterSending(() => {});
	}

	/** A request that no VCL sees, in the log. */
	#refuse(reason: string, headBytes: number, status?: number): void {
		const { engine, xid: session } = this.client;
		const xid = engine.nextTransaction();
		const now = formatSeconds(engine.now());
		let text =
			this.client.beginRecord +
			record(Tag.Timestamp, `Start: ${now} 0.000000 0.000000`) +
			record(Tag.Timestamp, `Req: ${now} 0.000000 0.000000`) +
			record(Tag.BogoHeader, reason);
		if (status !== undefined)
			text +=
				record(Tag.RespProtocol, "HTTP/2.0") +
				record(Tag.RespStatus, String(status)) +
				record(Tag.RespReason, reasonPhrase(status));
		engine.count(Main.s_req_hdrbytes, headBytes);
		text += record(Tag.ReqAcct, `${headBytes} 0 ${headBytes} 0 0 0`) + record(Tag.End, "");
		engine.log.write(xid | Side.client, text, session | Side.client, record(Tag.Link, `req ${xid} rxreq`));
	}

	body(stream: Http2Stream<StreamPort>, bytes: Uint8Array): void {
		const port = stream.owner;
		if (port === undefined) return;
		port.heardMs = this.#lastMs;
		port.body?.push(bytes);
	}

	bodyEnd(stream: Http2Stream<StreamPort>): void {
		stream.owner?.body?.end();
	}

	reset(stream: Http2Stream<StreamPort>): void {
		stream.owner?.abandon();
	}

	writable(): void {
		this.#writable = true;
	}

	leaving(): void {
		this.#endIfIdle();
	}

	broken(code: number): void {
		this.#end(closeReasons[code] ?? "RX_JUNK");
	}

	note(text: string): void {
		this.#log(record(Tag.Debug, text));
	}

	get traces(): boolean {
		return frameTags.some((tag) => shownTags[tag] === 1);
	}

	trace(received: boolean, head: string | Uint8Array, payload: Uint8Array | undefined): void {
		const text = typeof head === "string" ? head : Buffer.from(head).toString("latin1");
		const rest =
			text.slice(FRAME_HEAD_BYTES) + (payload === undefined ? "" : Buffer.from(payload).toString("latin1"));
		const [headTag, bodyTag] = received ? [Tag.H2RxHdr, Tag.H2RxBody] : [Tag.H2TxHdr, Tag.H2TxBody];
		this.#log(
			binaryRecord(headTag, text.slice(0, FRAME_HEAD_BYTES)) +
				(rest === "" ? "" : binaryRecord(bodyTag, rest)),
		);
	}
}
