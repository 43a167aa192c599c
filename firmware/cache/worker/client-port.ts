/** What a request needs of the connection that it came on. */
import type { Socket } from "bun";
import type { EsiInclude } from "../esi/program.ts";
import type { FieldList } from "../http/headers.ts";
import type { ClientRequest, Connection, Session } from "../vcl/runtime.ts";
import type { Engine } from "./engine.ts";
import type { EsiOutput } from "./esi-output.ts";
import type { Outcome } from "./replay.ts";

/** Why a session ended, as SessClose says it; each has a counter. */
export type CloseReason =
	| "REM_CLOSE"
	| "REQ_CLOSE"
	| "REQ_HTTP10"
	| "RX_BAD"
	| "RX_BODY"
	| "RX_JUNK"
	| "RX_OVERFLOW"
	| "RX_TIMEOUT"
	| "RX_CLOSE_IDLE"
	| "TX_PIPE"
	| "TX_ERROR"
	| "TX_EOF"
	| "RESP_CLOSE"
	| "OVERLOAD"
	| "PIPE_OVERFLOW"
	| "RANGE_SHORT"
	| "VCL_FAILURE";

/** A request while it is being answered, as the session sees it. */
export interface Answering {
	/** The head of the answer has left. */
	readonly begun: boolean;
	/** The client takes bytes again. */
	onBody(): void;
	/** The client has gone. */
	abandon(): void;
	/** The request's body is broken: its answer is a bare 400, whatever the VCL was about to say. */
	refuse(reason: string): void;
}

/** That a request is for a part of a page (ESI). */
export interface Included {
	/** 1 for a part of what the client asked for. */
	readonly level: number;
	readonly include: EsiInclude;
	/** Header fields of the page's request, as it was received. */
	readonly fields: FieldList;
	/** When the client asked for it. */
	readonly startedAt: number;
	/** The page is packed: so may its parts be. */
	readonly packed: boolean;
	/** What the client asked for. */
	readonly top: ClientRequest;
	/** Where the part's body goes, */
	readonly output: EsiOutput;
	/** and who counts its bytes too. */
	sent(bytes: number): void;
}

export interface ClientPort {
	/** Undefined for what clients ask for themselves. */
	readonly included?: Included | undefined;
	readonly engine: Engine;
	readonly xid: number;
	readonly connection: Connection;
	readonly settings: Session;
	/** Bytes of the head that is being answered. */
	readonly headBytes: number;
	/** Begin of every request of the session. */
	readonly beginRecord: string;
	/** ReqStart, the same for every request of the session. */
	readonly clientRecord: string;
	/** VCL_use and ReqStart, the same for every request of the session. */
	startRecords(vclName: string): string;
	/** The outcome of the request at hand is wanted (replay.ts). */
	readonly learning: boolean;
	learn(outcome: Outcome): void;
	/** As VCL has it (req.transport). */
	readonly transport: "HTTP/1" | "HTTP/2";
	/** The client is on this machine. */
	readonly local: boolean;
	/** The client may give orders. */
	readonly administrative: boolean;
	readonly willClose: boolean;
	/** Nothing more can be sent just now. */
	readonly blocked: boolean;
	/** So many bytes of a body can be sent just now. Asked by who has some: 0 promises a call of onBody(). */
	readonly room: number;
	/** Of a pipe, which pauses and resumes it. */
	readonly socket: Pick<Socket, "pause" | "resume">;
	/** Set by a pipe: the client has gone. */
	onPipeEnd: (() => void) | undefined;
	/** The session ends after the response that is being made. The first reason stands. */
	closeAfter(reason: CloseReason): void;
	/** Runs `work` and sends what it emitted in one go. */
	cork(work: () => void): void;
	/** Sends a head (one character per byte) and a body; `release` is called when its bytes are no longer needed. */
	emit(head: string, body: Uint8Array | undefined, release?: () => void): void;
	/** The head of an answer as this connection has it, for emit(). */
	headText(status: number, reason: string, fields: FieldList): string;
	/** The client may send its body (RFC 9110 §10.1.1). */
	sayContinue(): void;
	/** The task in charge changes (restart). */
	replaceTask(task: Answering): void;
	/** Says when what was emitted has left, or that it never will. */
	afterSending(done: () => void): void;
	/** Bytes of the body that were emitted and have not left, where that is told from sending (HTTP/2). */
	readonly unsentBytes: number;
	/** A request has been answered in full. */
	taskDone(task: Answering): void;
	/** From here on the session's bytes go to `onData` as they are; `onEnd`: the client will send no more. */
	takeOver(onData: (bytes: Buffer) => void, onDrain: () => void, onEnd: () => void): void;
	/** Ends at once; what was to be sent is not. */
	abort(reason: CloseReason): void;
	/** Ends in order, after what has been written (pipe). */
	finish(reason: CloseReason): void;
}
