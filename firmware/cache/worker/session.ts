/**
 * One client connection: bytes in, requests out, responses back in order.
 *
 * Responses made while received bytes are being worked on gather in one buffer and leave in one write. What the
 * kernel does not take waits; while anything waits, no further request is read (a slow client costs what it
 * asked for and no more).
 */
import type { Socket } from "bun";
import { sendAhead } from "../../kernel/send-ahead.ts";
import { allocateBytes, type ByteBuffer, copyOf } from "../http/bytes.ts";
import { ChunkedDecoder } from "../http/chunked.ts";
import { headOverLimit } from "../http/head.ts";
import { FieldList, flat } from "../http/headers.ts";
import { isMet, parseRequest, type RequestHead } from "../http/request.ts";
import { statusText } from "../http/status.ts";
import { PREFACE } from "../http2/frame.ts";
import { readUpgradeSettings } from "../http2/settings.ts";
import { formatSeconds, record, Side } from "../log/records.ts";
import { Tag } from "../log/tags.ts";
import type { Connection, IpAddress, ProxyAttributes, Session } from "../vcl/runtime.ts";
import type { Address } from "./address.ts";
import type { WaitingClient } from "./body-budget.ts";
import type { Answering, ClientPort, CloseReason } from "./client-port.ts";
import { ClientTask } from "./client-task.ts";
import { credentialsOf } from "./credentials.ts";
import { type Engine, Main } from "./engine.ts";
import type { LaneSession } from "./hit-lane.ts";
import { Http2Session } from "./http2-session.ts";
import type { PatternSession, PatternSet } from "./patterns.ts";
import type { Outcome, Replay, ReplaySession } from "./replay.ts";
import { DROP_BYTES, RequestBody } from "./request-body.ts";

/** The gathering buffer of the worker. A response that does not fit leaves in pieces. */
const GATHER_BYTES = 256 * 1024;
const gather = allocateBytes(GATHER_BYTES);
let gathered = 0;
/** Received bytes that may wait behind the request that is being answered. */
const PIPELINE_BYTES = 256 * 1024;
/** A connection that ends while its client may be sending is read so long, and so much of it, before it is closed. */
const LINGER_MS = 2000;
const LINGER_BYTES = 16 * 1024 * 1024;
/** A client whom patterns answer asks for something else each time: so many requests are not looked for among the replays. */
const REPLAY_PAUSE = 7;

const closeCounters: Readonly<Record<CloseReason, number>> = {
	REM_CLOSE: Main.sc_rem_close,
	REQ_CLOSE: Main.sc_req_close,
	REQ_HTTP10: Main.sc_req_http10,
	RX_BAD: Main.sc_rx_bad,
	RX_BODY: Main.sc_rx_body,
	RX_JUNK: Main.sc_rx_junk,
	RX_OVERFLOW: Main.sc_rx_overflow,
	RX_TIMEOUT: Main.sc_rx_timeout,
	RX_CLOSE_IDLE: Main.sc_rx_close_idle,
	TX_PIPE: Main.sc_tx_pipe,
	TX_ERROR: Main.sc_tx_error,
	TX_EOF: Main.sc_tx_eof,
	RESP_CLOSE: Main.sc_resp_close,
	OVERLOAD: Main.sc_overload,
	PIPE_OVERFLOW: Main.sc_pipe_overflow,
	RANGE_SHORT: Main.sc_range_short,
	VCL_FAILURE: Main.sc_vcl_failure,
};
const errors: ReadonlySet<CloseReason> = new Set([
	"RX_BAD",
	"RX_BODY",
	"RX_JUNK",
	"RX_OVERFLOW",
	"TX_ERROR",
	"OVERLOAD",
	"PIPE_OVERFLOW",
	"RANGE_SHORT",
	"VCL_FAILURE",
]);

/** Ends that a client learns of from the answer alone: it may be sending meanwhile. */
const unannounced: ReadonlySet<CloseReason> = new Set([
	"RX_BAD",
	"RX_BODY",
	"RX_JUNK",
	"RX_OVERFLOW",
	"TX_EOF",
	"TX_PIPE",
	"RESP_CLOSE",
	"OVERLOAD",
	"PIPE_OVERFLOW",
	"VCL_FAILURE",
]);

export interface ClientAddress {
	readonly text: string;
	readonly port: number;
}

export interface Endpoint {
	/** a0, a1 … or the name given. */
	readonly name: string;
	/** Text of the -a argument. */
	readonly text: string;
	readonly transport: "HTTP/1" | "PROXY";
	readonly encrypted: boolean;
	readonly administrative: boolean;
	/** A Unix socket. */
	readonly unix: boolean;
}

class ConnectionFacts implements Connection {
	readonly clientIp: Address;
	readonly serverIp: Address;
	readonly remoteIp: Address;
	readonly localIp: Address;
	readonly endpoint: string;
	readonly socket: string;
	readonly proxy: ProxyAttributes | null;
	readonly #descriptor: number;
	#credentials: Connection["credentials"] | undefined;
	#identity: string | undefined;

	constructor(
		endpoint: Endpoint,
		remote: Address,
		local: Address,
		client: Address,
		server: Address,
		proxy: ProxyAttributes | null,
		descriptor: number,
	) {
		this.#descriptor = descriptor;
		this.endpoint = endpoint.text;
		this.socket = endpoint.name;
		this.remoteIp = remote;
		this.localIp = local;
		this.clientIp = client;
		this.serverIp = server;
		this.proxy = proxy;
	}
	get credentials(): Connection["credentials"] {
		if (this.#credentials === undefined) this.#credentials = credentialsOf(this.#descriptor);
		return this.#credentials;
	}
	get identity(): string {
		return this.#identity ?? this.clientIp.text;
	}
	set identity(text: string) {
		this.#identity = text;
	}
	/** What one request was told to be is not what the next one is. */
	forgetIdentity(): void {
		this.#identity = undefined;
	}
}

/** What a session keeps in its socket. */
export type ClientSocket = Socket<ClientSession>;

export class ClientSession implements ClientPort, WaitingClient, ReplaySession, PatternSession, LaneSession {
	readonly engine: Engine;
	readonly socket: ClientSocket;
	readonly xid: number;
	readonly endpoint: Endpoint;
	readonly openedAt: number;
	connection: ConnectionFacts;
	readonly settings: Session;
	/** Bytes of the head that is being answered, for ReqAcct. */
	headBytes = 0;
	/** Unix milliseconds of the last progress, for the time outs. */
	lastActiveMs: number;
	#startRecords = "";
	#startVcl = "";
	#task: Answering | undefined;
	#pending: Buffer | undefined;
	#body: RequestBody | undefined;
	#bodyLeft = 0;
	#decoder: ChunkedDecoder | undefined;
	#bodyPaused = false;
	/** Unix milliseconds since when a request head has been coming; 0 when none is. */
	#headSinceMs = 0;
	/** Unix milliseconds since when a response has been seen to wait for its client; 0 when none does. */
	#sendingSinceMs = 0;
	#backlog: { bytes: Uint8Array; release: (() => void) | undefined }[] = [];
	#corked = 0;
	#closeReason: CloseReason | undefined;
	#ended = false;
	#raw: ((bytes: Buffer) => void) | undefined;
	#rawDrain: (() => void) | undefined;
	#rawEnd: (() => void) | undefined;
	/** The client will send no more. */
	#saidAll = false;
	requests = 0;
	learning = false;
	#outcome: Outcome | undefined;
	lastReplay: Replay | undefined;
	/** Requests that are not looked for among the replays: a pattern answered one that was not there. */
	#replayPause = 0;
	/** A pattern answered the last request. */
	#patterned = false;
	lastPatterns: PatternSet | undefined;
	laneToken = 0;
	laneStreak = 0;
	readonly addressSum: number;
	/** Set by a pipe: the client has gone. */
	onPipeEnd: (() => void) | undefined;

	constructor(
		engine: Engine,
		socket: ClientSocket,
		endpoint: Endpoint,
		addresses: {
			remote: Address;
			local: Address;
			client?: Address;
			server?: Address;
			proxy?: ProxyAttributes | null;
		},
	) {
		this.engine = engine;
		this.socket = socket;
		this.endpoint = endpoint;
		this.openedAt = engine.now();
		this.lastActiveMs = this.openedAt * 1000;
		this.xid = engine.nextTransaction();
		this.administrative = endpoint.administrative;
		this.local =
			addresses.remote.text.startsWith("127.") ||
			addresses.remote.text === "::1" ||
			addresses.remote.text === addresses.local.text;
		this.beginRecord = flat(record(Tag.Begin, `req ${this.xid} rxreq`));
		const { remote, local } = addresses;
		this.connection = new ConnectionFacts(
			endpoint,
			remote,
			local,
			addresses.client ?? remote,
			addresses.server ?? local,
			addresses.proxy ?? null,
			endpoint.unix ? ((socket as unknown as { fd?: number }).fd ?? -1) : -1,
		);
		this.addressSum = Bun.hash.crc32(this.connection.clientIp.text) | 0;
		const { parameters } = engine;
		this.settings = {
			idleSendTimeout: parameters.idleSendTimeout,
			sendTimeout: parameters.sendTimeout,
			timeoutIdle: parameters.timeoutIdle,
			timeoutLinger: 0.05,
			xid: String(this.xid),
			setIpTos() {},
		};
		engine.count(Main.sess_conn);
		engine.count(Main.s_sess);
		engine.sessionCount++;
		const id = this.xid | Side.client;
		engine.log.write(
			id,
			"",
			id,
			record(Tag.Begin, `sess 0 ${endpoint.transport}`) +
				record(
					Tag.SessOpen,
					`${remote.text} ${remote.port} ${endpoint.name} ${local.text} ${local.port} ${formatSeconds(this.openedAt)} ${(socket as unknown as { fd?: number }).fd ?? -1}`,
				),
		);
	}

	/** ReqStart, the same for every request of the session. */
	get clientRecord(): string {
		const { clientIp } = this.connection;
		return record(Tag.ReqStart, `${clientIp.text} ${clientIp.port} ${this.endpoint.name}`);
	}

	/** VCL_use and ReqStart, the same for every request of the session. */
	startRecords(vclName: string): string {
		if (this.#startVcl !== vclName) {
			this.#startVcl = vclName;
			this.#startRecords = flat(record(Tag.VCL_use, vclName) + this.clientRecord);
		}
		return this.#startRecords;
	}

	/** Where the kernel takes this connection's bytes as they are; negative when they are encrypted first. */
	get descriptor(): number {
		return this.endpoint.encrypted ? -1 : ((this.socket as unknown as { fd?: number }).fd ?? -1);
	}

	/** Begin of every request of the session. */
	readonly beginRecord: string;

	/** The client is on this machine. */
	readonly local: boolean;
	readonly administrative: boolean;

	readonly transport = "HTTP/1";

	headText(status: number, reason: string, fields: FieldList): string {
		return `HTTP/1.1 ${statusText(status)} ${reason}\r\n${fields.text()}\r\n`;
	}

	sayContinue(): void {
		this.emit("HTTP/1.1 100 Continue\r\n\r\n", undefined);
	}

	get willClose(): boolean {
		return this.#closeReason !== undefined;
	}

	/** The session ends after the response that is being made. The first reason stands. */
	closeAfter(reason: CloseReason): void {
		this.#closeReason ??= reason;
	}

	/** Nothing more can be sent just now. */
	get blocked(): boolean {
		return this.#backlog.length > 0;
	}

	/** The kernel takes as much as it likes of a piece; the rest waits here. */
	get room(): number {
		return this.blocked ? 0 : Number.POSITIVE_INFINITY;
	}

	get sending(): boolean {
		return this.#backlog.length > 0;
	}

	// ── receiving ───────────────────────────────────────────────────────────────────────────

	/** Whose last request was answered by a pattern will have the next one answered by one. */
	foresee(bytes: Buffer, before: Buffer | undefined, commonEnd: number): void {
		if (this.#patterned && this.#resting)
			this.engine.patterns.foresee(
				this,
				bytes as unknown as ByteBuffer,
				before as unknown as ByteBuffer | undefined,
				commonEnd,
			);
	}

	onBatched(bytes: Buffer, before: Buffer | undefined, commonEnd: number): void {
		this.onData(bytes, this.engine.latest, before, commonEnd);
	}

	/** `now` is engine.now(); `before`, `commonEnd`: as in onBatched(). */
	onData(received: Buffer, now = this.engine.now(), before?: Buffer, commonEnd = 0): void {
		const { replays, patterns, lane } = this.engine;
		this.lastActiveMs = now * 1000;
		let bytes = received;
		if (this.#resting) {
			const asked = this.#replayPause === 0;
			if (asked && replays.answer(this, bytes, now, before, commonEnd)) {
				this.#patterned = false;
				this.requests++;
				if (!this.blocked) lane.answered(this);
				return;
			}
			const again = asked && replays.wanted;
			if (!again && patterns.answer(this, bytes as unknown as ByteBuffer, now)) {
				this.#replayPause = asked ? REPLAY_PAUSE : this.#replayPause - 1;
				this.#patterned = true;
				this.requests++;
				if (!this.blocked) lane.answered(this);
				return;
			}
			this.#replayPause = 0;
			this.#patterned = false;
			bytes = this.#outOfLane(received);
			if (again || patterns.wanted) {
				this.#watch(bytes, again);
				return;
			}
		} else bytes = this.#outOfLane(received);
		if (this.#ended) {
			this.#lingeringBytes += bytes.length;
			if (this.#lingeringBytes > LINGER_BYTES) this.socket.terminate();
			return;
		}
		if (this.#raw !== undefined) {
			this.#raw(bytes);
			return;
		}
		this.#receive(bytes);
	}

	/** The runtime's socket goes on with what came in a batch, whose bytes hold for this call alone. */
	#outOfLane(bytes: Buffer): Buffer {
		if (this.laneToken === 0) return bytes;
		this.engine.lane.leave(this);
		return Buffer.from(bytes);
	}

	/** Nothing is under way: what comes in next is the start of a request. */
	get #resting(): boolean {
		return (
			this.#task === undefined &&
			this.#pending === undefined &&
			this.#body === undefined &&
			this.#closeReason === undefined &&
			this.#raw === undefined &&
			this.#corked === 0 &&
			this.#backlog.length === 0 &&
			!this.#ended
		);
	}

	/** The usual way, with an eye on the outcome. */
	#watch(bytes: Buffer, again: boolean): void {
		this.learning = true;
		this.#outcome = undefined;
		const { active, replays, patterns } = this.engine;
		this.#receive(bytes);
		this.learning = false;
		const outcome = this.#outcome as Outcome | undefined;
		this.#outcome = undefined;
		// Only when the bytes were that one request.
		if (outcome === undefined || active === undefined || this.headBytes !== bytes.length) return;
		if (again) replays.learn(this, bytes, active, outcome);
		else patterns.learn(this, bytes as unknown as ByteBuffer, outcome);
	}

	learn(outcome: Outcome): void {
		this.#outcome = outcome;
	}

	get clientIp(): IpAddress {
		return this.connection.clientIp;
	}

	sendWhole(bytes: Uint8Array, from = 0, end = bytes.length): void {
		if (this.laneToken !== 0 && this.engine.lane.put(this, bytes, from, end)) return;
		const sent = from + Math.max(0, this.socket.write(bytes, from, end - from));
		if (sent < end) this.#backlog.push({ bytes: copyOf(bytes.subarray(sent, end)), release: undefined });
	}

	sendRest(rest: Uint8Array): void {
		this.#write(rest, undefined);
	}

	sendLarge(head: Uint8Array, body: Uint8Array, release: () => void): void {
		const ahead = sendAhead(this.descriptor, head);
		if (ahead < head.length) this.sendWhole(head.subarray(ahead));
		this.#write(body, release);
	}

	#receive(bytes: Buffer): void {
		this.#corked++;
		let rest: Buffer | undefined = bytes;
		if (this.#pending !== undefined) {
			rest = Buffer.concat([this.#pending, bytes]);
			this.#pending = undefined;
		}
		this.#work(rest);
		this.#uncork();
	}

	#work(bytes: Buffer): void {
		let rest = bytes;
		while (rest.length > 0 && !this.#ended) {
			if (this.#raw !== undefined) {
				this.#raw(rest);
				return;
			}
			if (this.#body !== undefined && !this.#body.ended) {
				const used = this.#bodyBytes(rest);
				if (used < 0) return;
				rest = rest.subarray(used);
				continue;
			}
			if (this.#task !== undefined || this.#backlog.length > 0) {
				this.#hold(rest);
				return;
			}
			// RFC 9112 §9.6: after an answer that says close nothing more is a request.
			if (this.#closeReason !== undefined) return;
			const used = this.#requests(rest);
			if (used === 0) {
				this.#pending = rest;
				if (this.#headSinceMs === 0) this.#headSinceMs = this.lastActiveMs;
				return;
			}
			this.#headSinceMs = 0;
			// Mostly it was all; an empty view would cost more than this question.
			if (used === rest.length) return;
			rest = rest.subarray(used);
		}
	}

	#hold(rest: Buffer): void {
		if (this.#closeReason !== undefined) return;
		this.#pending = rest;
		this.engine.count(Main.sess_readahead);
		if (rest.length > PIPELINE_BYTES) this.socket.pause();
	}

	/** Parses and runs requests from `bytes`; returns how many bytes were used, 0 when more are needed. */
	#requests(bytes: Buffer): number {
		const text = (bytes as unknown as { latin1Slice(): string }).latin1Slice();
		let at = 0;
		while (at < text.length) {
			const head = parseRequest(text, at, this.engine.parameters.request);
			if (head.kind === "more") return at;
			if (head.kind === "bad") {
				if (this.#speaksHttp2(text, at)) return this.#http2 === undefined ? at : at + PREFACE.length;
				const end = text.indexOf("\r\n\r\n", at);
				this.headBytes = (end < 0 ? text.length : end + 4) - at;
				const close = head === headOverLimit ? "RX_OVERFLOW" : "RX_JUNK";
				this.#refuse(400, head.reason, close, text.slice(at, at + 200));
				return bytes.length;
			}
			this.headBytes = head.end - at;
			at = head.end;
			this.#start(head, text.length - at);
			if (this.#task !== undefined || this.#body !== undefined || this.#ended || this.#backlog.length > 0)
				return at;
			if (this.#closeReason !== undefined) return bytes.length;
		}
		return at;
	}

	#http2: Http2Session | undefined;

	/**
	 * A client with prior knowledge (RFC 9113 §3.3), or as much of its preface as has come. Where it is not spoken the
	 * whole of it is refused.
	 */
	#speaksHttp2(text: string, at: number): boolean {
		if (this.requests > 0 || !PREFACE.startsWith(text.slice(at, at + PREFACE.length))) return false;
		if (text.length - at < PREFACE.length) return true;
		const { http2 } = this.engine.parameters;
		if (http2 === undefined) return false;
		this.#http2 = new Http2Session(this, http2);
		this.#hearHttp2(this.#http2);
		return true;
	}

	/** RFC 7540 §3.2: "Upgrade: h2c" with settings, and both named as of this connection; not behind TLS, nor with a body. */
	#upgradesToHttp2(head: RequestHead): boolean {
		const local = this.engine.parameters.http2;
		const { fields, proto } = head;
		if (
			local === undefined ||
			this.endpoint.encrypted ||
			proto !== "HTTP/1.1" ||
			fields.framing.kind !== "none"
		)
			return false;
		if (!fields.connection.includes("upgrade") || !fields.connection.includes("http2-settings")) return false;
		const list = new FieldList(fields.lines, fields.keys);
		const settings = list.get("http2-settings");
		if (list.joined("upgrade")?.toLowerCase() !== "h2c" || list.countOf("http2-settings") !== 1) return false;
		const bytes = readUpgradeSettings(settings ?? "");
		if (bytes === undefined) return false;
		const kept = list.copy();
		kept.filter((key) => key !== "upgrade" && key !== "http2-settings" && key !== "connection");
		this.emit("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", undefined);
		this.#http2 = new Http2Session(this, local);
		this.#http2.upgrade(
			{
				...head,
				proto: "HTTP/2.0",
				// What else Connection names was for this hop, too: it goes no further (hop-by-hop.ts).
				fields: { ...fields, lines: kept.lines, keys: kept.keys },
			},
			bytes,
			this.headBytes,
		);
		this.#hearHttp2(this.#http2);
		return true;
	}

	/** This process ends; a client of HTTP/2 can be told. */
	farewell(): void {
		this.#http2?.farewell();
	}

	#hearHttp2(http2: Http2Session): void {
		this.takeOver(
			(bytes) => http2.receive(bytes),
			() => {},
			() => http2.saidAll(),
		);
	}

	/** `following`: so many bytes came behind it. */
	#start(head: RequestHead, following: number): void {
		const { engine } = this;
		const { fields } = head;
		const { active } = engine;
		this.requests++;
		if (fields.connection.length > 1 && this.#upgradesToHttp2(head)) return;
		engine.count(Main.client_req);
		if (fields.expect !== undefined && !isMet(fields.expect)) {
			engine.count(Main.client_req_417);
			this.#refuse(417, `Expect: ${fields.expect}`, "RX_JUNK");
			return;
		}
		if (active === undefined) {
			this.#refuse(503, "no VCL is active", "RX_JUNK");
			return;
		}
		const { connection } = fields;
		if (connection.length > 0 && connection.includes("close")) this.closeAfter("REQ_CLOSE");
		else if (head.proto === "HTTP/1.0" && !connection.includes("keep-alive")) this.closeAfter("REQ_HTTP10");
		const { framing } = fields;
		if (framing.kind === "chunked" || (framing.kind === "length" && framing.bytes > 0)) {
			const body = new RequestBody(framing.kind === "length" ? framing.bytes : undefined);
			this.#body = body;
			body.cameWithHead = framing.kind === "length" && following >= framing.bytes;
			this.#bodyLeft = framing.kind === "length" ? framing.bytes : 0;
			this.#decoder = framing.kind === "chunked" ? new ChunkedDecoder() : undefined;
			body.pause = () => {
				if (!this.#bodyPaused) this.socket.pause();
				this.#bodyPaused = true;
			};
			body.resume = () => {
				if (this.#bodyPaused) this.socket.resume();
				this.#bodyPaused = false;
			};
		}
		this.connection.forgetIdentity();
		const task = new ClientTask(this, active, head, this.#body);
		this.#task = task;
		task.run();
	}

	/** Bytes of a request body; returns how many were used, negative when the session ended. */
	#bodyBytes(bytes: Buffer): number {
		const body = this.#body!;
		if (this.#decoder !== undefined) {
			const end = this.#decoder.push(bytes, 0, (data) => body.push(data));
			if (typeof end === "string") {
				this.#badBody(end);
				return -1;
			}
			if (body.dropped && body.bytes > DROP_BYTES) {
				// Its end is too far away: the answer that is being made, or was, is the last one.
				this.closeAfter("RX_BODY");
				this.#finishIfIdle();
				return -1;
			}
			if (this.#decoder.done) this.#bodyDone();
			return end;
		}
		const take = Math.min(this.#bodyLeft, bytes.length);
		this.#bodyLeft -= take;
		body.push(bytes.subarray(0, take));
		if (this.#bodyLeft === 0) this.#bodyDone();
		return take;
	}

	/** Where the next request would begin is not known. Who has not been answered yet is told so. */
	#badBody(reason: string): void {
		const task = this.#task;
		if (task?.begun) {
			this.abort("RX_BODY");
			return;
		}
		this.#task = undefined;
		this.#body = undefined;
		this.#decoder = undefined;
		this.closeAfter("RX_BODY");
		if (task !== undefined) {
			this.engine.count(Main.client_req_400);
			task.refuse(reason);
		}
		this.#finishIfIdle();
	}

	#bodyDone(): void {
		const body = this.#body!;
		this.#decoder = undefined;
		body.end();
		if (this.#task === undefined) this.#body = undefined;
	}

	/** Answers without VCL and closes (varnishd's bare 400 and 417). */
	#refuse(status: number, reason: string, close: CloseReason, garbage = ""): void {
		const { engine } = this;
		if (status === 400) engine.count(Main.client_req_400);
		const xid = engine.nextTransaction();
		const phrase =
			status === 400 ? "Bad Request" : status === 417 ? "Expectation Failed" : "Service Unavailable";
		const now = engine.now();
		let text = record(Tag.Begin, `req ${this.xid} rxreq`);
		text += record(Tag.Timestamp, `Start: ${formatSeconds(now)} 0.000000 0.000000`);
		text += record(Tag.Timestamp, `Req: ${formatSeconds(now)} 0.000000 0.000000`);
		text += record(Tag.BogoHeader, reason);
		if (garbage !== "") text += record(Tag.HttpGarbage, garbage);
		const answer = `HTTP/1.1 ${status} ${phrase}\r\nConnection: close\r\n\r\n`;
		text +=
			record(Tag.RespProtocol, "HTTP/1.1") +
			record(Tag.RespStatus, String(status)) +
			record(Tag.RespReason, phrase);
		const { headBytes } = this;
		engine.count(Main.s_req_hdrbytes, headBytes);
		text += record(Tag.ReqAcct, `${headBytes} 0 ${headBytes} ${answer.length} 0 ${answer.length}`);
		text += record(Tag.End, "");
		engine.log.write(xid | Side.client, text, this.xid | Side.client, record(Tag.Link, `req ${xid} rxreq`));
		this.closeAfter(close);
		this.emit(answer, undefined);
		this.#finishIfIdle();
	}

	/** The task in charge changes (restart). */
	replaceTask(task: Answering): void {
		this.#task = task;
	}

	readonly unsentBytes = 0;

	afterSending(done: () => void): void {
		done();
	}

	/** A request has been answered in full. */
	taskDone(task: Answering): void {
		if (this.#task !== task) return;
		this.#task = undefined;
		if (this.#body?.ended) this.#body = undefined;
		this.lastActiveMs = Date.now();
		if (this.#corked === 0) this.#proceed();
	}

	/** Goes on with what waited behind the last request, or ends. */
	#proceed(): void {
		if (this.#finishIfIdle()) return;
		const rest = this.#pending;
		if (rest !== undefined && this.#task === undefined && this.#backlog.length === 0) {
			this.#pending = undefined;
			if (rest.length > PIPELINE_BYTES) this.socket.resume();
			this.#corked++;
			this.#work(rest);
			this.#uncork();
		}
		this.#leave();
	}

	/** Who has said all is answered all that it asked in full, and no more is waited for. */
	#leave(): void {
		if (!this.#saidAll || this.#ended) return;
		if (this.#raw !== undefined) {
			this.#rawEnd?.();
			this.#rawEnd = undefined;
			return;
		}
		const body = this.#body;
		if (body !== undefined && !body.ended && !body.dropped) this.#badBody("body ends early");
		else if (body?.ended === false || (this.#task === undefined && this.#backlog.length === 0))
			this.closeAfter("REM_CLOSE");
		this.#finishIfIdle();
	}

	#finishIfIdle(): boolean {
		if (this.#ended) return true;
		if (this.#closeReason === undefined || this.#task !== undefined) return false;
		if (this.#backlog.length > 0 || this.#corked > 0) return true;
		this.#hangUp();
		return true;
	}

	/**
	 * Ends, and closes in stages if the client may still be sending (RFC 9112 §9.6): a reset for what nobody reads would
	 * overtake the last answer.
	 */
	#hangUp(): void {
		const lingers = !this.#saidAll && this.#maySend;
		this.#end();
		if (!lingers) {
			this.socket.end();
			return;
		}
		this.#lingersUntilMs = Date.now() + LINGER_MS;
		this.socket.shutdown();
		// Whoever had it paused is gone.
		this.socket.resume();
	}
	/** Unix milliseconds; 0 when it does not linger. */
	#lingersUntilMs = 0;
	#lingeringBytes = 0;

	get #maySend(): boolean {
		return (
			unannounced.has(this.#closeReason!) ||
			this.#http2 !== undefined ||
			(this.#body !== undefined && !this.#body.ended)
		);
	}

	// ── sending ─────────────────────────────────────────────────────────────────────────────

	/** Runs `work` and sends what it emitted in one go. */
	cork(work: () => void): void {
		this.#corked++;
		work();
		this.#uncork();
	}

	#uncork(): void {
		if (--this.#corked > 0) return;
		this.#flush();
		if (this.#ended) return;
		if (this.#closeReason !== undefined) this.#finishIfIdle();
		else if (this.#pending !== undefined && this.#task === undefined && this.#backlog.length === 0)
			this.#proceedIfComplete();
		else this.#leave();
	}

	/** Pipelined requests wait for the one before; once that is answered they go on. */
	#proceedIfComplete(): void {
		const { length } = this.#pending!;
		if (length === this.#stalledAt) return;
		this.#stalledAt = length;
		this.#proceed();
		this.#stalledAt = -1;
	}
	#stalledAt = -1;

	/** Sends a head (one character per byte) and a body. `release` is called when the body's bytes are no longer needed. */
	emit(head: string, body: Uint8Array | undefined, release?: () => void): void {
		if (this.#ended) {
			release?.();
			return;
		}
		const bodyBytes = body?.length ?? 0;
		if (gatherOwner !== this) gatherOwner?.flushGathered();
		const wantedBytes = gathered + head.length + (release === undefined ? bodyBytes : 0);
		if (wantedBytes > GATHER_BYTES || this.#backlog.length > 0) this.#flush();
		// What has just been sent may have found no room: then this waits behind it.
		if (this.#backlog.length > 0) {
			if (head !== "") this.#backlog.push({ bytes: Buffer.from(head, "latin1"), release: undefined });
			if (body !== undefined)
				this.#backlog.push({ bytes: release === undefined ? copyOf(body) : body, release });
			return;
		}
		// Sending gives it up: what is gathered without an owner would wait, and go to another client.
		gatherOwner = this;
		if (head.length > GATHER_BYTES) {
			this.#write(Buffer.from(head, "latin1"), undefined);
		} else if (head !== "") gathered += gather.latin1Write(head, gathered);
		if (body !== undefined) {
			if (release === undefined && gathered + bodyBytes <= GATHER_BYTES && this.#backlog.length === 0) {
				gather.set(body, gathered);
				gathered += bodyBytes;
			} else {
				this.#flush(true);
				this.#write(body, release);
			}
		}
		if (this.#corked === 0) {
			this.#flush();
			this.#finishIfIdle();
		}
	}

	flushGathered(): void {
		this.#flush();
	}

	/** Sends what was gathered. `ahead`: a body follows at once, in the same packets. */
	#flush(ahead = false): void {
		if (gatherOwner !== this) return;
		gatherOwner = undefined;
		if (gathered === 0) return;
		const length = gathered;
		gathered = 0;
		if (this.#ended) return;
		if (this.#backlog.length > 0) {
			this.#backlog.push({ bytes: copyOf(gather.subarray(0, length)), release: undefined });
			return;
		}
		let written = ahead ? sendAhead(this.descriptor, gather.subarray(0, length)) : 0;
		if (written < length) written += Math.max(0, this.socket.write(gather, written, length - written));
		if (written < length)
			this.#backlog.push({ bytes: copyOf(gather.subarray(written, length)), release: undefined });
	}

	#write(bytes: Uint8Array, release: (() => void) | undefined): void {
		if (this.#backlog.length > 0) {
			this.#backlog.push({ bytes: release === undefined ? copyOf(bytes) : bytes, release });
			return;
		}
		const written = Math.max(0, this.socket.write(bytes));
		if (written === bytes.length) release?.();
		else
			this.#backlog.push({
				bytes: release === undefined ? copyOf(bytes.subarray(written)) : bytes.subarray(written),
				release,
			});
	}

	onDrain(): void {
		this.lastActiveMs = Date.now();
		if (this.#rawDrain !== undefined) this.#rawDrain();
		this.engine.bodies.renew(this);
		while (this.#backlog.length > 0) {
			const next = this.#backlog[0]!;
			const written = Math.max(0, this.socket.write(next.bytes));
			if (written < next.bytes.length) {
				next.bytes = next.bytes.subarray(written);
				return;
			}
			next.release?.();
			this.#backlog.shift();
		}
		this.engine.bodies.leave(this);
		if (this.#task !== undefined) this.#task.onBody();
		else this.#proceed();
	}

	// ── pipe ────────────────────────────────────────────────────────────────────────────────

	/** From here on the session's bytes go to `onData` as they are; what waits already is handed over first. */
	takeOver(onData: (bytes: Buffer) => void, onDrain: () => void, onEnd: () => void): void {
		this.#raw = onData;
		this.#rawDrain = onDrain;
		this.#rawEnd = onEnd;
		this.#body = undefined;
		this.#decoder = undefined;
		const rest = this.#pending;
		this.#pending = undefined;
		if (rest !== undefined) onData(rest);
		// What is being worked on comes first.
		if (this.#corked === 0) this.#leave();
	}

	// ── the end ─────────────────────────────────────────────────────────────────────────────

	/** Ends at once; what was to be sent is not. */
	abort(reason: CloseReason): void {
		if (this.#ended) return;
		this.#closeReason = reason;
		this.#flush();
		this.#end();
		this.socket.end();
		this.socket.terminate();
	}

	/** The worker's memory for clients that take nothing is spent, and this one has taken nothing for longest. */
	giveUp(): void {
		this.abort("OVERLOAD");
	}

	/** Ends in order, after what has been written (pipe). */
	finish(reason: CloseReason): void {
		if (this.#ended) return;
		this.#closeReason = reason;
		this.#task = undefined;
		this.#raw = undefined;
		this.#rawDrain = undefined;
		this.#rawEnd = undefined;
		this.#finishIfIdle();
	}

	/** The client will send no more, but still listens (RFC 9112 §9.6). */
	onEnd(): void {
		this.#saidAll = true;
		if (this.#ended) this.socket.end();
		this.#proceed();
	}

	/** The client has closed or the connection broke. */
	onClose(): void {
		if (this.#ended) return;
		this.#closeReason ??= "REM_CLOSE";
		this.onPipeEnd?.();
		if (!this.#ended) this.#end();
	}

	#end(): void {
		this.#ended = true;
		const { engine } = this;
		engine.lane.forget(this);
		if (gatherOwner === this) {
			gatherOwner = undefined;
			gathered = 0;
		}
		for (const each of this.#backlog.splice(0)) each.release?.();
		engine.bodies.leave(this);
		const task = this.#task;
		this.#task = undefined;
		task?.abandon();
		const reason = this.#closeReason ?? "REM_CLOSE";
		engine.count(closeCounters[reason]);
		engine.count(Main.sess_closed);
		if (errors.has(reason)) engine.count(Main.sess_closed_err);
		engine.sessionCount--;
		const id = this.xid | Side.client;
		engine.log.write(
			id,
			"",
			id,
			record(Tag.SessClose, `${reason} ${(engine.now() - this.openedAt).toFixed(3)}`) + record(Tag.End, ""),
		);
	}

	/** Its client is among those that wait, with what it has left here. */
	#countWaiting(): void {
		let bytes = 0;
		for (const each of this.#backlog) if (each.release === undefined) bytes += each.bytes.length;
		this.engine.bodies.wait(this, bytes);
	}

	/** Time outs; called now and then. `nowMs` is Unix time. */
	checkTime(nowMs: number): void {
		if (this.#ended) {
			if (this.#lingersUntilMs > 0 && nowMs > this.#lingersUntilMs) this.socket.terminate();
			return;
		}
		const quietSeconds = (nowMs - this.lastActiveMs) / 1000;
		if (this.#task === undefined && this.#backlog.length === 0) this.#sendingSinceMs = 0;
		this.#http2?.onTime(nowMs);
		if (this.#raw !== undefined && this.#http2 === undefined) {
			if (quietSeconds > this.engine.parameters.pipeTimeout) this.abort("RX_TIMEOUT");
		} else if (this.#backlog.length > 0) {
			if (this.#sendingSinceMs === 0) this.#sendingSinceMs = nowMs;
			const sendingSeconds = (nowMs - this.#sendingSinceMs) / 1000;
			const { idleSendTimeout, sendTimeout } = this.settings;
			if (quietSeconds > idleSendTimeout || sendingSeconds > sendTimeout) this.abort("TX_ERROR");
			else this.#countWaiting();
		} else if (this.#task === undefined) {
			// A head that trickles in is no more alive than a silent one.
			const headSeconds = this.#headSinceMs === 0 ? 0 : (nowMs - this.#headSinceMs) / 1000;
			if (Math.max(quietSeconds, headSeconds) <= this.settings.timeoutIdle) return;
			this.closeAfter(this.#pending === undefined ? "RX_CLOSE_IDLE" : "RX_TIMEOUT");
			this.#finishIfIdle();
		}
	}
}

let gatherOwner: ClientSession | undefined;
