/**
 * One exchange with a backend: a connection is had, the request goes out on it, and what comes back is cut into a head
 * and the bytes of a body. What they mean, and what becomes of a failure, is fetch-task.ts's.
 */
import { type ByteBuffer, copyOf } from "../http/bytes.ts";
import { chunkHead, LAST_CHUNK } from "../http/chunked.ts";
import { headOverLimit } from "../http/head.ts";
import { parseResponse, type ResponseHead } from "../http/response.ts";
import { Tag } from "../log/tags.ts";
import type { IpAddress } from "../vcl/runtime.ts";
import { Address } from "./address.ts";
import {
	Backend,
	type BackendCloseReason,
	type BackendConnection,
	type BackendUser,
	closeText,
	noBackend,
} from "./backend.ts";
import type { BackendRequestFields } from "./backend-messages.ts";
import { Main } from "./engine.ts";
import { ReceivedBody } from "./received-body.ts";
import type { RequestBody, RequestBodyTaker } from "./request-body.ts";
import { Task } from "./task.ts";

/** Informational answers in a row before a backend is thought to be flooding. */
const INFORMATIONAL_LIMIT = 16;
/** Request body bytes that may wait for a slow backend. */
const BACKEND_BACKLOG_BYTES = 512 * 1024;
const CHUNK_END = "\r\n";

type ByteCounts = readonly [number, number, number, number];
const NO_BYTES: ByteCounts = [0, 0, 0, 0];

export type Phase = "idle" | "connecting" | "head" | "body" | "done";

export abstract class Exchange extends Task implements BackendUser, RequestBodyTaker {
	override bereq: BackendRequestFields = undefined as never;
	backend: Backend | undefined;
	protected phase: Phase = "idle";
	/** Of the client's request; undefined when there is none, or VCL has dropped it. */
	protected requestBody: RequestBody | undefined;
	protected head: ResponseHead | undefined;
	protected readonly requestBytes = { header: 0, body: 0 };
	protected readonly responseBytes = { header: 0, body: 0 };
	/** VCL has said so: the connection does not go on. */
	protected closes = false;
	/** What it is a retry of had so many. */
	protected earlierBytes: ByteCounts = NO_BYTES;
	#connection: BackendConnection | undefined;
	#reused = false;
	#sawBytes = false;
	#cancel: () => void = () => {};
	#text = "";
	#informational = 0;
	#body: ReceivedBody | undefined;
	#junk = false;
	#bodySent = false;
	/** The reader of the body does not keep up. */
	#paused = false;
	#meanwhile: { readonly pieces: Uint8Array[]; closed: boolean } | undefined;

	/** The head is here; `rest` came with it. */
	protected abstract onHead(head: ResponseHead, rest: Uint8Array): void;
	/** Bytes of the body. */
	protected abstract onBodyBytes(bytes: Uint8Array): void;
	protected abstract onBodyEnd(): void;
	/** No answer that could be used, and nothing of one has been used; `close`: why its connection is closed. */
	protected abstract fetchError(reason: string, close?: BackendCloseReason): void;
	/** The backend or the connection failed after the request was sent. */
	protected abstract broken(reason: string, close?: BackendCloseReason): void;

	// ── asking ──────────────────────────────────────────────────────────────────────────────

	/** `fresh`: on no connection that was used before. */
	protected connect(fresh: boolean): void {
		this.now = this.engine.now();
		this.head = undefined;
		this.vslLog.timestamp("Fetch", this.now);
		const resolved = this.bereq.backend?.resolve(this) ?? null;
		if (!(resolved instanceof Backend)) {
			this.fetchError(noBackend(this.bereq.backend));
			return;
		}
		this.backend = resolved;
		if (!resolved.healthy(this)) {
			resolved.figures.unhealthy++;
			this.engine.count(Main.backend_unhealthy);
			this.fetchError(`backend ${resolved.name}: unhealthy`);
			return;
		}
		this.phase = "connecting";
		const timeout = this.#timeout("connectTimeout", resolved);
		this.#cancel = resolved.connect(this, timeout, this.engine.parameters.remoteErrorHolddown, fresh);
	}

	onFail(reason: string): void {
		if (this.phase !== "connecting") return;
		this.engine.count(reason.endsWith("busy") ? Main.backend_busy : Main.backend_fail);
		this.fetchError(reason);
	}

	/** Seconds: what VCL set, else what the backend says, else the parameter. */
	#timeout(
		name: "connectTimeout" | "firstByteTimeout" | "betweenBytesTimeout",
		backend: Backend | undefined,
	): number {
		return this.bereq[name] || backend?.definition[`${name}Seconds`] || this.engine.parameters[name];
	}

	get backendIp(): IpAddress | null {
		const address = this.#connection?.socket?.remoteAddress;
		return address === undefined ? null : new Address(address, 0);
	}

	onOpen(connection: BackendConnection, reused: boolean): void {
		if (this.phase !== "connecting") {
			connection.backend.recycle(connection, this.engine.now());
			return;
		}
		const { backend } = connection;
		this.#connection = connection;
		this.#reused = reused;
		this.#sawBytes = false;
		this.#text = "";
		this.phase = "head";
		this.engine.count(reused ? Main.backend_reuse : Main.backend_conn);
		this.engine.count(Main.backend_req);
		backend.figures.req++;
		// A connection that is there already takes no time.
		this.vslLog.timestamp("Connected", reused ? this.now : this.engine.now());
		this.vslLog.add(Tag.BackendOpen, connection.openText(reused));
		if (!this.bereq.fields.has("host")) this.bereq.setHeader("host", "Host", backend.definition.hostHeader);
		const body = this.requestBody;
		const { fields } = this.bereq;
		// The framing is ours, whatever the VCL or the client made of these fields.
		fields.unset("transfer-encoding");
		if (body === undefined) {
			const said = fields.get("content-length");
			if (said !== undefined && said !== "0") fields.unset("content-length");
		} else if (body.length === undefined) {
			fields.unset("content-length");
			this.bereq.setHeader("transfer-encoding", "Transfer-Encoding", "chunked");
		} else if (fields.joined("content-length") !== String(body.length))
			fields.set("Content-Length", String(body.length));
		const head = `${this.bereq.method} ${this.bereq.url} HTTP/1.1\r\n${fields.text()}\r\n`;
		this.requestBytes.header = head.length;
		connection.writeText(head);
		if (body !== undefined) {
			body.take(this);
			this.#bodySent = body.spent;
		}
		this.vslLog.timestamp("Bereq", this.engine.now());
		connection.limit(this.#timeout("firstByteTimeout", backend), "first byte timeout");
	}

	onRequestBody(piece: Uint8Array): boolean {
		const connection = this.#connection;
		if (connection === undefined) return false;
		this.#bodySent = true;
		this.requestBytes.body += piece.length;
		if (this.requestBody?.length === undefined) {
			const size = chunkHead(piece.length);
			this.requestBytes.body += size.length + CHUNK_END.length;
			connection.writeText(size);
			connection.write(piece);
			connection.writeText(CHUNK_END);
		} else connection.write(piece);
		return connection.waitingBytes > BACKEND_BACKLOG_BYTES;
	}

	onRequestBodyEnd(): void {
		if (this.requestBody?.length !== undefined || this.#connection === undefined) return;
		this.requestBytes.body += LAST_CHUNK.length;
		this.#connection.writeText(LAST_CHUNK);
	}

	onDrain(): void {
		this.requestBody?.resume();
	}

	onLate(reason: string): void {
		if (this.phase !== "body") {
			this.broken(reason, "RX_TIMEOUT");
			return;
		}
		this.vslLog.add(Tag.FetchError, `Resource temporarily unavailable (${reason})`);
		this.broken(this.#body!.missing);
	}

	protected limitBetweenBytes(): void {
		this.#connection?.limit(this.#timeout("betweenBytesTimeout", this.backend), "between bytes timeout");
	}

	// ── the answer ──────────────────────────────────────────────────────────────────────────

	onData(bytes: ByteBuffer): void {
		this.#sawBytes = true;
		if (this.#meanwhile !== undefined) {
			this.#meanwhile.pieces.push(copyOf(bytes));
			return;
		}
		if (this.phase === "body") {
			this.bodyBytes(bytes);
			return;
		}
		if (this.phase !== "head") return;
		const before = this.#text.length;
		// Mostly the whole head is here, and what follows it need not become text.
		const headEnd = before === 0 ? bytes.indexOf("\r\n\r\n") : -1;
		const text = headEnd < 0 ? bytes.latin1Slice() : bytes.latin1Slice(0, headEnd + 4);
		this.#text = before === 0 ? text : this.#text + text;
		let at = 0;
		for (;;) {
			const head = parseResponse(this.#text, at, this.bereq.method, this.engine.parameters.response);
			if (head.kind === "more") {
				if (at > 0) this.#text = this.#text.slice(at);
				return;
			}
			if (head.kind === "bad") {
				this.responseBytes.header = this.#text.length - at;
				this.vslLog.add(Tag.BogoHeader, head.reason);
				this.vslLog.add(Tag.HttpGarbage, this.#text.slice(at));
				const tooLong = head.reason === headOverLimit.reason;
				this.fetchError(
					tooLong ? `overflow: ${head.reason}` : `http format error: ${head.reason}`,
					tooLong ? "RX_OVERFLOW" : "RX_JUNK",
				);
				return;
			}
			if (head.status >= 200) {
				this.responseBytes.header = head.end - at;
				this.head = head;
				this.#text = "";
				this.#body = new ReceivedBody(head.framing);
				this.onHead(head, bytes.subarray(head.end - before));
				return;
			}
			if (head.status === 101 || ++this.#informational > INFORMATIONAL_LIMIT) {
				this.engine.count(Main.fetch_1xx);
				this.fetchError(head.status === 101 ? "protocol switch without upgrade" : "too many 1xx answers");
				return;
			}
			at = head.end;
			if (headEnd >= 0) this.#text = bytes.latin1Slice();
		}
	}

	/** What the backend says from now on is kept behind `rest`, until goOn() is called on what this returns. */
	protected holdAnswer(rest: Uint8Array): { goOn(use: (bytes: Uint8Array) => void): void } {
		const meanwhile = { pieces: [copyOf(rest)], closed: false };
		this.#meanwhile = meanwhile;
		this.#connection?.unlimit();
		this.#connection?.socket?.pause();
		return {
			goOn: (use) => {
				this.#meanwhile = undefined;
				this.#connection?.socket?.resume();
				use(Buffer.concat(meanwhile.pieces));
				if (meanwhile.closed) this.onClose();
			},
		};
	}

	/** The reader of the body does not keep up. */
	pauseBody(): void {
		this.#paused = true;
		this.#connection?.unlimit();
		this.#connection?.socket?.pause();
	}

	resumeBody(): void {
		this.#paused = false;
		this.#connection?.socket?.resume();
		this.limitBetweenBytes();
	}

	protected bodyBytes(bytes: Uint8Array): void {
		const progress = this.#body!.take(bytes, (data) => {
			this.responseBytes.body += data.length;
			this.onBodyBytes(data);
		});
		if (this.phase !== "body") return;
		switch (progress.kind) {
			case "more":
				break;
			case "whole":
				this.#junk ||= progress.untidy;
				this.onBodyEnd();
				break;
			case "bad":
				this.#junk = true;
				this.broken(progress.reason);
				return;
		}
		if (this.phase === "body") this.limitBetweenBytes();
	}

	onClose(): void {
		if (this.#meanwhile !== undefined) {
			this.#meanwhile.closed = true;
			return;
		}
		if (this.phase === "body" && this.#body?.endsWithConnection) {
			this.onBodyEnd();
			return;
		}
		if (this.phase === "head" && this.#reused && !this.#sawBytes && !this.#bodySent) {
			// The backend closed an idle connection just as we wrote: that is no answer yet, ask again.
			this.engine.count(Main.backend_retry);
			this.#dropConnection("RX_BAD");
			this.connect(true);
			return;
		}
		this.broken(this.phase === "head" ? "HTC eof (-1)" : this.#body!.missing);
	}

	// ── the end ─────────────────────────────────────────────────────────────────────────────

	/** The answer is complete: the connection goes back for reuse, if it can be; tellLetGo() says so. */
	protected letGo(): void {
		const connection = this.#connection;
		if (connection === undefined) return;
		this.#connection = undefined;
		const pending = this.requestBody !== undefined && !this.requestBody.ended;
		const kept = this.head!.keepAlive && !this.closes && !this.#junk && !pending;
		// Its last bytes may have been those that were too many: the next answer on it must be read.
		if (this.#paused) connection.socket?.resume();
		const closed = closeText(connection, this.#junk ? "RX_JUNK" : pending ? "TX_ERROR" : "RESP_CLOSE");
		const recycled = kept && connection.backend.recycle(connection, this.engine.now());
		if (!kept) connection.backend.discard(connection);
		if (recycled) this.engine.count(Main.backend_recycle);
		this.#letGoText = recycled ? `${connection.fd} ${connection.backend.name} recycle` : closed;
	}
	#letGoText: string | undefined;

	/** BackendClose, behind what there is to say of the body. */
	protected tellLetGo(): void {
		if (this.#letGoText !== undefined) this.vslLog.add(Tag.BackendClose, this.#letGoText);
		this.#letGoText = undefined;
	}

	#dropConnection(reason: BackendCloseReason): void {
		const connection = this.#connection;
		this.#connection = undefined;
		if (connection === undefined) return;
		this.vslLog.add(Tag.BackendClose, closeText(connection, reason));
		connection.backend.discard(connection);
	}

	protected closeConnection(reason: BackendCloseReason = this.phase === "body" ? "RX_BODY" : "RX_BAD"): void {
		if (this.phase === "connecting") this.#cancel();
		this.tellLetGo();
		this.#dropConnection(reason);
		if (this.phase !== "done") this.phase = "idle";
	}

	/** In the backend's figures. */
	protected countBytes(): void {
		if (this.backend === undefined) return;
		const { figures } = this.backend;
		figures.bereqHeader += this.requestBytes.header;
		figures.bereqBody += this.requestBytes.body;
		figures.berespHeader += this.responseBytes.header;
		figures.berespBody += this.responseBytes.body;
	}

	/** Of this exchange and those that it is a retry of: request head and body, answer's head and body. */
	protected get allBytes(): ByteCounts {
		const { requestBytes: sent, responseBytes: got, earlierBytes: before } = this;
		return [before[0] + sent.header, before[1] + sent.body, before[2] + got.header, before[3] + got.body];
	}

	/** Its bytes in the backend's figures and in the log. */
	protected account(): void {
		this.countBytes();
		this.vslLog.account(Tag.BereqAcct, ...this.allBytes);
	}
}
