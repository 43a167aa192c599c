/** One stream of an HTTP/2 connection, as the request that came on it sees its client. */
import { copyOf } from "../http/bytes.ts";
import type { FieldList } from "../http/headers.ts";
import { lineValue } from "../http/headers.ts";
import { statusText } from "../http/status.ts";
import type { Http2Connection, Http2Stream } from "../http2/connection.ts";
import { ErrorCode } from "../http2/frame.ts";
import { encodeField, encodeStatus } from "../http2/hpack.ts";
import type { Connection, IpAddress } from "../vcl/runtime.ts";
import type { WaitingClient } from "./body-budget.ts";
import type { Answering, ClientPort, CloseReason } from "./client-port.ts";
import { type Engine, Main } from "./engine.ts";
import type { RequestBody } from "./request-body.ts";

/** What a stream needs of the connection that carries it. */
export interface StreamCarrier {
	readonly client: ClientPort;
	readonly connection: Http2Connection<StreamPort>;
	/** Sends what the streams have, each in its turn. */
	pump(): void;
	/** The stream is over. */
	over(port: StreamPort): void;
	/** For the log. */
	note(text: string): void;
}

/** RFC 9113 §8.2.2: of one HTTP/1 connection. */
const ofConnection: ReadonlySet<string> = new Set([
	"connection",
	"keep-alive",
	"proxy-connection",
	"transfer-encoding",
	"upgrade",
]);

/** Bytes of a body that are kept until it is known whether they are the last: END_STREAM leaves with them then. */
const KEPT_BYTES = 16_384;

/** So much of a body has its turn before the other streams have theirs. */
const TURN_BYTES = 16_384;

/** The same for all streams of a connection, but for what VCL says of the client of one request. */
class StreamConnection implements Connection {
	readonly #facts: Connection;
	#identity: string | undefined;

	constructor(facts: Connection) {
		this.#facts = facts;
	}
	get identity(): string {
		return this.#identity ?? this.#facts.clientIp.text;
	}
	set identity(text: string) {
		this.#identity = text;
	}
	get clientIp(): IpAddress {
		return this.#facts.clientIp;
	}
	get serverIp(): IpAddress {
		return this.#facts.serverIp;
	}
	get remoteIp(): IpAddress {
		return this.#facts.remoteIp;
	}
	get localIp(): IpAddress {
		return this.#facts.localIp;
	}
	get endpoint(): string {
		return this.#facts.endpoint;
	}
	get socket(): string {
		return this.#facts.socket;
	}
	get proxy(): Connection["proxy"] {
		return this.#facts.proxy;
	}
	get credentials(): Connection["credentials"] {
		return this.#facts.credentials;
	}
}

interface Piece {
	bytes: Uint8Array;
	readonly release: (() => void) | undefined;
}

const bytesOf = (pieces: readonly Piece[]) => pieces.reduce((sum, { bytes }) => sum + bytes.length, 0);

const nothing = new Uint8Array(0);

export class StreamPort implements ClientPort, WaitingClient {
	readonly engine: Engine;
	readonly xid: number;
	readonly connection: Connection;
	readonly settings: ClientPort["settings"];
	readonly headBytes: number;
	readonly beginRecord: string;
	readonly clientRecord: string;
	readonly local: boolean;
	readonly administrative: boolean;
	readonly transport = "HTTP/2";
	readonly learning = false;
	readonly willClose = false;
	readonly socket = { pause() {}, resume() {} } as unknown as ClientPort["socket"];
	onPipeEnd: (() => void) | undefined;
	readonly #carrier: StreamCarrier;
	readonly stream: Http2Stream<StreamPort>;
	#task: Answering | undefined;
	body: RequestBody | undefined;
	/** Of the answer, until it is sent. */
	#head: string | undefined;
	readonly #pieces: Piece[] = [];
	/** The answer is complete. */
	#finished = false;
	#whenSent: (() => void) | undefined;
	#corked = 0;
	/** The task has more, and is to be asked for it when there is room. */
	#waitsForRoom = false;
	/** What is left of its turn; without end when nobody waits for it. */
	#turnBytes = Number.POSITIVE_INFINITY;
	/** It is counted among the clients that wait, until it is over. */
	#isWaiting = false;
	/** Bytes that have left since it was last said that some have. */
	#takenBytes = 0;
	/** Unix milliseconds since when the client's windows keep the answer waiting; 0 when they do not. */
	stalledSinceMs = 0;
	/** Unix milliseconds of its head; 0 before it. */
	sendingSinceMs = 0;
	/** Unix milliseconds of the last of the request. */
	heardMs: number;

	constructor(carrier: StreamCarrier, stream: Http2Stream<StreamPort>, headBytes: number, nowMs: number) {
		const { client } = carrier;
		this.#carrier = carrier;
		this.stream = stream;
		this.engine = client.engine;
		this.xid = client.xid;
		this.connection = new StreamConnection(client.connection);
		this.settings = client.settings;
		this.headBytes = headBytes;
		this.beginRecord = client.beginRecord;
		this.clientRecord = client.clientRecord;
		this.local = client.local;
		this.administrative = client.administrative;
		this.heardMs = nowMs;
	}

	startRecords(vclName: string): string {
		return this.#carrier.client.startRecords(vclName);
	}

	learn(): void {}

	/** The connection stays, whatever becomes of one request. */
	closeAfter(_reason: CloseReason): void {}

	get blocked(): boolean {
		return this.room === 0;
	}

	/** What the client's windows take, and the turn that this stream has: the rest stays where it is read from. */
	get room(): number {
		this.sendAll();
		const windows = this.#windows;
		const room = this.#pieces.length > 0 ? 0 : Math.min(windows, this.#turnBytes);
		if (room > 0) return room;
		this.#waitsForRoom = true;
		if (windows === 0) this.#stall();
		return 0;
	}

	/** Bytes that the client takes just now; the socket may not. */
	get #windows(): number {
		return this.#carrier.connection.room(this.stream);
	}

	#stall(): void {
		if (this.stalledSinceMs === 0) this.stalledSinceMs = Date.now();
		if (!this.#isWaiting) this.countWaiting();
	}

	/** Its client is among those that wait, with what is here for it alone. */
	countWaiting(): void {
		if (this.stream.gone) return;
		this.#isWaiting = true;
		const own = this.#pieces.filter(({ release }) => release === undefined);
		this.engine.bodies.wait(this, bytesOf(own));
	}

	/** The worker's memory for clients that take nothing is spent, and this one has taken nothing for longest. */
	giveUp(): void {
		const { stream } = this;
		this.engine.count(Main.req_dropped);
		this.#carrier.note(`H2: stream ${stream.id}: given up, too many bytes wait for clients`);
		this.#carrier.connection.reset(stream, ErrorCode.enhanceYourCalm);
		this.abandon();
	}

	/** A field block: `:status`, and the fields without those of an HTTP/1 connection. */
	headText(status: number, _reason: string, fields: FieldList): string {
		let block = encodeStatus(statusText(status));
		const { lines, keys } = fields;
		for (let index = 0; index < keys.length; index++) {
			const key = keys[index]!;
			if (!ofConnection.has(key)) block += encodeField(key, lineValue(lines[index]!, key.length));
		}
		return block;
	}

	sayContinue(): void {
		this.#carrier.connection.sendHeaders(this.stream, encodeStatus("100"), false);
	}

	emit(head: string, body: Uint8Array | undefined, release?: () => void): void {
		if (this.stream.gone) {
			release?.();
			return;
		}
		if (head !== "") this.#head = head;
		this.#turnBytes -= body?.length ?? 0;
		if (body !== undefined && body.length > 0) {
			if (release !== undefined) this.#pieces.push({ bytes: body, release });
			else {
				const piece: Piece = { bytes: body, release: undefined };
				this.#pieces.push(piece);
				// Whoever emits it may have it back.
				if (body.length > KEPT_BYTES) this.sendAll();
				if (piece.bytes.length > 0) piece.bytes = copyOf(piece.bytes);
			}
		} else release?.();
		if (this.#corked === 0) this.#carrier.pump();
	}

	cork(work: () => void): void {
		this.#carrier.client.cork(() => {
			this.#corked++;
			work();
			this.#corked--;
			this.#carrier.pump();
		});
	}

	/** There is something that could be sent now, or the end to be said, or the task has more. */
	get hasOutput(): boolean {
		if (this.#corked > 0) return false;
		return this.#head !== undefined || this.#pieces.length > 0 || this.#finished || this.#waitsForRoom;
	}

	get unsentBytes(): number {
		return bytesOf(this.#pieces);
	}

	sendAll(): void {
		while (this.#step());
	}

	/** Sends one frame, or has the task give about as much; false when there is none, or no room for it. */
	turn(): boolean {
		if (this.#head !== undefined || this.#pieces.length > 0 || this.#finished) return this.#step();
		if (!this.#waitsForRoom || this.#carrier.client.blocked || this.#windows === 0) return false;
		this.#waitsForRoom = false;
		this.#turnBytes = TURN_BYTES;
		this.#task?.onBody();
		const isUsed = this.#turnBytes < TURN_BYTES;
		this.#turnBytes = Number.POSITIVE_INFINITY;
		return isUsed;
	}

	/** Sends one frame; false when there is none, or no room for it. */
	#step(): boolean {
		const { stream } = this;
		const { client, connection } = this.#carrier;
		if (stream.gone || client.blocked) return false;
		const isLast = this.#finished && this.#pieces.length <= 1;
		if (this.#head !== undefined) {
			const head = this.#head;
			this.#head = undefined;
			this.sendingSinceMs = Date.now();
			const end = isLast && this.#pieces.length === 0;
			connection.sendHeaders(stream, head, end);
			if (end) this.#over();
			return true;
		}
		const piece = this.#pieces[0];
		if (piece === undefined) {
			if (!this.#finished) return false;
			connection.sendBody(stream, nothing, true);
			this.#over();
			return true;
		}
		const sent = connection.sendBody(stream, piece.bytes, isLast);
		if (sent === 0) {
			this.#stall();
			return false;
		}
		this.stalledSinceMs = 0;
		this.#renew(sent);
		piece.bytes = piece.bytes.subarray(sent);
		if (piece.bytes.length > 0) return true;
		this.#pieces.shift();
		piece.release?.();
		if (isLast) this.#over();
		return true;
	}

	/** A client that takes a byte now and then has taken nothing. */
	#renew(sent: number): void {
		if (!this.#isWaiting) return;
		this.#takenBytes += sent;
		if (this.#takenBytes < TURN_BYTES) return;
		this.#takenBytes = 0;
		this.engine.bodies.renew(this);
	}

	#over(): void {
		if (this.#isWaiting) this.engine.bodies.leave(this);
		this.#isWaiting = false;
		const done = this.#whenSent;
		this.#whenSent = undefined;
		done?.();
		for (const { release } of this.#pieces.splice(0)) release?.();
		this.body?.drop();
		this.#carrier.over(this);
	}

	run(task: Answering, go: () => void): void {
		this.#task = task;
		this.cork(go);
	}

	replaceTask(task: Answering): void {
		this.#task = task;
	}

	/** The answer is complete: its end is said with its last bytes. */
	afterSending(done: () => void): void {
		this.#task = undefined;
		this.#finished = true;
		this.#whenSent = done;
		if (this.stream.gone) this.#over();
		else if (this.#corked === 0) this.#carrier.pump();
	}

	/** afterSending() was told so before. */
	taskDone(): void {}

	/** The stream is gone: nobody wants its answer. */
	abandon(): void {
		const task = this.#task;
		this.#task = undefined;
		this.#head = undefined;
		task?.abandon();
		this.#over();
	}

	takeOver(): void {
		throw new Error("a stream of HTTP/2 is no pipe");
	}

	/** What the client has of the answer is not whole: the stream must show it. */
	abort(_reason: CloseReason): void {
		if (this.stream.gone) return;
		this.#carrier.connection.reset(this.stream, ErrorCode.internalError);
		this.abandon();
	}

	finish(reason: CloseReason): void {
		this.abort(reason);
	}
}
