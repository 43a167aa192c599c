/** return (pipe): the bytes of both sides are passed on as they are until one of them ends. */
import { copyOf } from "../http/bytes.ts";
import { FieldList } from "../http/headers.ts";
import { parseResponse } from "../http/response.ts";
import { Side } from "../log/records.ts";
import { Tag } from "../log/tags.ts";
import { TransactionLog } from "../log/transaction-log.ts";
import type { Action, BackendRequest, Connection, Director } from "../vcl/runtime.ts";
import { Backend, type BackendConnection, type BackendUser, closeText, noBackend } from "./backend.ts";
import type { ClientRequestFields } from "./client-messages.ts";
import type { ClientPort } from "./client-port.ts";
import { Main } from "./engine.ts";
import { pipeFields } from "./hop-by-hop.ts";
import { bereqTags, RequestFields } from "./messages.ts";
import type { RequestBody } from "./request-body.ts";
import { hashOf, type Outcome, type Task } from "./task.ts";

/** Bytes that may wait for the slower side before the other is paused. */
const BACKLOG_BYTES = 512 * 1024;

/** The client's request, as far as its pipe is concerned. */
export interface PipedRequest extends Task {
	readonly client: ClientPort;
	readonly body: RequestBody | undefined;
	readonly key: string;
	readonly startedAt: number;
	readonly req: ClientRequestFields;
	/** Runs vcl_pipe. */
	runPipe(): Outcome;
	/** Pipe gave up before it began: synth and friends. */
	afterPipe(action: Action): void;
	/** The backend's answer began like this. */
	pipeAnswered(answer: { readonly status: number; readonly fields: FieldList }): void;
	/** The pipe is over; the session ends with it. */
	pipeDone(account: string): void;
}

const unavailable: Action = { kind: "synth", status: 503, reason: null };

class PipeRequest extends RequestFields implements BackendRequest {
	backend: Director | null = null;
	betweenBytesTimeout = 0;
	connectTimeout = 0;
	firstByteTimeout = 0;
	readonly isBgfetch = false;
	readonly isHitmiss = false;
	readonly isHitpass = false;
	readonly retries = 0;
	readonly uncacheable = true;
	readonly time: number;
	readonly xid: string;
	readonly #task: PipedRequest;

	constructor(task: PipedRequest, fields: FieldList, xid: number, log: TransactionLog) {
		super(task.req.method, task.req.url, task.req.proto, fields, log, bereqTags);
		this.#task = task;
		this.time = task.startedAt;
		this.xid = String(xid);
	}
	get hash(): string {
		return hashOf(this.#task.key);
	}
	unsetBody(): void {}
}

export class Pipe implements BackendUser {
	readonly #task: PipedRequest;
	readonly #request: PipeRequest;
	/** Of the backend's side: a transaction of its own, as that of a fetch. */
	readonly #log: TransactionLog;
	#logEnded = false;
	#connection: BackendConnection | undefined;
	#backend: Backend | undefined;
	#fromClient = 0;
	#toClient = 0;
	#headBytes = 0;
	#over = false;
	#cancel: () => void = () => {};
	/** The client's bytes until the backend is there. */
	readonly #waiting: Uint8Array[] = [];
	#clientSaidAll = false;
	/** Start of the backend's answer, until its head has been read. */
	#answerText: string | undefined = "";

	constructor(task: PipedRequest) {
		this.#task = task;
		const fields = pipeFields(task.req.fields, task.req.received);
		fields.set("Connection", "close");
		const xid = task.engine.nextTransaction();
		fields.append("X-Varnish", String(xid));
		const now = task.engine.now();
		const log = new TransactionLog(task.engine.log, xid | Side.backend, now);
		this.#log = log;
		log.add(Tag.Begin, `bereq ${task.xid} pipe`);
		log.timestamp("Start", now);
		this.#request = new PipeRequest(task, fields, xid, log);
		this.#request.logAll();
		const hint = task.req.backendHint;
		this.#request.backend = hint === undefined ? task.vcl.loaded.defaultBackend : hint;
		task.vslLog.add(Tag.Link, `bereq ${xid} pipe`);
		task.bereq = this.#request;
	}

	get connection(): Connection {
		return this.#task.connection;
	}

	run(): void {
		this.#ran(this.#task.runPipe());
	}

	#ran(action: Outcome): void {
		const task = this.#task;
		const { engine } = task;
		if (action.kind === "waiting") {
			action.afterwards((acted) => this.#ran(acted));
			return;
		}
		if (action.kind !== "pipe") {
			this.#giveUp(action);
			return;
		}
		const now = engine.now();
		task.vslLog.timestamp("Process", now);
		this.#log.timestamp("Process", now);
		const { pipeSessMax } = engine.parameters;
		if (pipeSessMax > 0 && engine.counters[Main.n_pipe]! >= pipeSessMax) {
			engine.count(Main.pipe_limited);
			task.client.closeAfter("PIPE_OVERFLOW");
			this.#giveUp(unavailable);
			return;
		}
		const backend = this.#request.backend?.resolve(task) ?? null;
		if (!(backend instanceof Backend) || !backend.healthy(task)) {
			this.#log.add(
				Tag.FetchError,
				backend instanceof Backend ? `backend ${backend.name}: unhealthy` : noBackend(this.#request.backend),
			);
			this.#giveUp(unavailable);
			return;
		}
		if (task.body?.kept === true) this.#beginWith(task.body);
		else if (task.body !== undefined && task.body.bytes > 0) {
			// Part of the body has been taken out of its framing: there is no passing it on as it was.
			task.client.closeAfter("TX_PIPE");
			this.#giveUp(unavailable);
			return;
		}
		this.#backend = backend;
		engine.count(Main.s_pipe);
		// Whatever the body's framing is: from here on bytes are bytes.
		task.client.takeOver(
			(bytes) => this.#onClientData(bytes),
			() => this.#connection?.socket?.resume(),
			() => {
				this.#clientSaidAll = true;
				this.#connection?.shutdown();
			},
		);
		task.client.onPipeEnd = () => this.#end("REM_CLOSE");
		this.#cancel = backend.connect(
			this,
			this.#request.connectTimeout ||
				backend.definition.connectTimeoutSeconds ||
				engine.parameters.connectTimeout,
			0,
			true,
		);
	}

	/** std.cache_req_body took the body out of the client's bytes: it goes first. */
	#beginWith(body: RequestBody): void {
		body.take({
			onRequestBody: (piece) => {
				this.#fromClient += piece.length;
				this.#waiting.push(piece);
				return false;
			},
			onRequestBodyEnd() {},
		});
	}

	/** It ends before it began. */
	#giveUp(action: Action): void {
		this.#endLog();
		this.#task.afterPipe(action);
	}

	#endLog(): void {
		if (this.#logEnded) return;
		this.#logEnded = true;
		this.#log.account(Tag.BereqAcct, 0, 0, 0, 0);
		this.#log.end();
	}

	onFail(reason: string): void {
		if (this.#over) return;
		this.#over = true;
		this.#waiting.length = 0;
		this.#task.client.onPipeEnd = undefined;
		this.#task.client.closeAfter("TX_PIPE");
		this.#log.add(Tag.FetchError, reason);
		this.#giveUp(unavailable);
	}

	#onClientData(bytes: Buffer): void {
		const { client } = this.#task;
		this.#fromClient += bytes.length;
		if (this.#connection === undefined) {
			// The backend is being connected to; the client may not run ahead for long.
			this.#waiting.push(copyOf(bytes));
			if (this.#fromClient > BACKLOG_BYTES) client.socket.pause();
			return;
		}
		this.#connection.write(copyOf(bytes));
		if (this.#connection.waitingBytes > BACKLOG_BYTES) client.socket.pause();
	}

	onOpen(connection: BackendConnection, reused: boolean): void {
		if (this.#over) {
			connection.backend.discard(connection);
			return;
		}
		this.#connection = connection;
		const task = this.#task;
		const { client, engine } = task;
		engine.count(Main.n_pipe);
		this.#log.timestamp("Connected", engine.now());
		this.#log.add(Tag.BackendOpen, connection.openText(reused));
		const head = `${this.#request.method} ${this.#request.url} ${this.#request.proto}\r\n${this.#request.fields.text()}\r\n`;
		this.#headBytes = head.length;
		connection.write(Buffer.from(head, "latin1"));
		const now = engine.now();
		task.vslLog.timestamp("Pipe", now);
		this.#log.timestamp("Bereq", now);
		for (const bytes of this.#waiting.splice(0)) connection.write(bytes);
		if (this.#clientSaidAll) connection.shutdown();
		client.socket.resume();
	}

	onData(bytes: Uint8Array): void {
		this.#toClient += bytes.length;
		if (this.#answerText !== undefined) this.#readAnswer(bytes);
		const { client } = this.#task;
		client.emit("", bytes);
		if (client.blocked) this.#connection?.socket?.pause();
	}

	/** Looks at the head of the first answer, while it is short enough, for what it says about stored objects. */
	#readAnswer(bytes: Uint8Array): void {
		const text = this.#answerText + Buffer.from(bytes).toString("latin1");
		let at = 0;
		for (;;) {
			const head = parseResponse(text, at, this.#request.method, this.#task.engine.parameters.response);
			if (head.kind === "more") {
				this.#answerText = text;
				return;
			}
			if (head.kind === "response" && head.status >= 100 && head.status < 200 && head.status !== 101) {
				at = head.end;
				continue;
			}
			this.#answerText = undefined;
			if (head.kind === "response")
				this.#task.pipeAnswered({
					status: head.status,
					fields: new FieldList(head.lines, head.keys),
				});
			return;
		}
	}

	onDrain(): void {
		this.#task.client.socket.resume();
	}

	onClose(): void {
		this.#end("TX_PIPE");
	}

	/** Bytes may come when they like: pipe_timeout is the session's. */
	onLate(): void {}

	#end(reason: "TX_PIPE" | "REM_CLOSE"): void {
		if (this.#over) return;
		this.#over = true;
		const task = this.#task;
		const { engine, client } = task;
		if (this.#connection === undefined) this.#cancel();
		else engine.count(Main.n_pipe, -1);
		engine.count(Main.s_pipe_hdrbytes, client.headBytes);
		engine.count(Main.s_pipe_in, this.#fromClient);
		engine.count(Main.s_pipe_out, this.#toClient);
		if (this.#backend !== undefined) {
			this.#backend.figures.pipeHeader += this.#headBytes;
			this.#backend.figures.pipeIn += this.#toClient;
			this.#backend.figures.pipeOut += this.#fromClient;
			if (this.#connection !== undefined) {
				this.#log.add(Tag.BackendClose, closeText(this.#connection, "TX_PIPE"));
				this.#backend.discard(this.#connection);
			}
		}
		this.#endLog();
		task.pipeDone(`${client.headBytes} ${this.#headBytes} ${this.#fromClient} ${this.#toClient}`);
		client.finish(reason);
	}
}
