/**
 * The answer's way to the client: vcl_deliver and vcl_synth, the head, the body from the store, from memory or
 * from a fetch that is still running, and the account of it. What is to be answered is decided in client-task.ts.
 */
import type { EsiInclude } from "../esi/program.ts";
import { copyOf } from "../http/bytes.ts";
import { chunkHead, LAST_CHUNK } from "../http/chunked.ts";
import { notModified } from "../http/conditional.ts";
import { formatHttpDate } from "../http/date.ts";
import { FieldList } from "../http/headers.ts";
import type { RequestHead } from "../http/request.ts";
import { opensTunnel } from "../http/response.ts";
import { reasonPhrase } from "../http/status.ts";
import { Side } from "../log/records.ts";
import { Tag } from "../log/tags.ts";
import { TransactionLog } from "../log/transaction-log.ts";
import type { Action, MethodName } from "../vcl/runtime.ts";
import { type Answer, answerLogText } from "./answer.ts";
import type { BodyReader, BodyStream } from "./body-stream.ts";
import { cacheStatus, type Handling, type Missed, madeHere } from "./cache-status.ts";
import { type ClientRequestFields, ClientResponseFields, type HitObject } from "./client-messages.ts";
import type { ClientPort, Included } from "./client-port.ts";
import { type ActiveVcl, Main } from "./engine.ts";
import { EsiOutput, PART_LIMIT } from "./esi-output.ts";
import { type Page, PageSender, type PartBody, PartSender } from "./esi-sender.ts";
import { weaken } from "./hop-by-hop.ts";
import { respTags } from "./messages.ts";
import { applyRange, asksForPart, type Outgoing } from "./range-body.ts";
import { AT_ONCE_BYTES, recode, unpackedRecord } from "./recode.ts";
import { recodeStream, streamOf } from "./recode-stream.ts";
import { DROP_BYTES, type RequestBody } from "./request-body.ts";
import { type Outcome, Task } from "./task.ts";

const VIA = "1.1 varnish (Varnish/7.1)";
const VIA_LINE = `Via: ${VIA}`;
/** Stored bodies up to this size are copied next to their head and sent in one write. */
const COPY_BYTES = 96 * 1024;

/** What a client of HTTP/2 may leave of a body that is copied for it. */
const FRAME_BYTES = 16_384;

/** When vcl_synth fails nothing is left to be said by a VCL. */
const FAILED_SYNTH = 500;
/** Of a head that no VCL sees: the connection ends behind it. */
const closing = new FieldList(["Connection: close"], ["connection"]);

const nothing = new Uint8Array(0);
const nowhere: number[] = [];

/** A request for a part of a page. */
export interface PartRequest {
	run(): void;
	/** Nobody wants the answer. */
	abandon(): void;
}

/** A strong validator does not hold for a page whose parts change by themselves. */
function weakenVisibly(resp: ClientResponseFields): void {
	const etag = resp.fields.get("etag");
	if (etag !== undefined && !etag.startsWith("W/")) resp.setHeader("etag", "ETag", `W/${etag}`);
}

export abstract class Delivery extends Task implements BodyReader {
	readonly client: ClientPort;
	readonly head: RequestHead;
	readonly body: RequestBody | undefined;
	readonly startedAt: number;
	/** req.restarts; over max_restarts when the one that was too many has become a vcl_synth. */
	restarts: number;
	override req: ClientRequestFields = undefined as never;
	override resp: ClientResponseFields = undefined as never;
	key = "";
	/** Where in the key the URL is, while the outcome is to be learnt. */
	protected urlPlaces: number[] = nowhere;
	handling: Handling = "error";
	/** Why, in the operator's words. */
	why = "";
	/** What became of the look-up, when it was a miss. */
	missed: Missed = "uri-miss";
	/** `drover cache why` wants to be told; taken from local clients only. */
	protected asksWhy = false;
	/** Nothing is owed to the client any more. */
	protected done = false;
	protected readonly headOnly: boolean;
	/** req.esi_level */
	readonly esiLevel: number;
	/** What is being sent of a page with ESI tags, or of a part of one, and the request for a part of it. */
	#sender: PageSender | PartSender | undefined;
	#part: PartRequest | undefined;
	/** The look-up found something to deliver, whatever vcl_hit made of it. */
	protected found = false;
	/** Until when the request takes the stored object as fresh; 0: the answer is not a fresh stored one. */
	protected freshUntil = 0;
	#answer: Answer | undefined;
	#stream: BodyStream | undefined;
	#streamChunked = false;
	#streamLeft: number | undefined;
	/** Of a part that is wanted: so many bytes come before it. */
	#streamSkip = 0;
	#streamsPart = false;
	#headBytes = 0;
	#bodyBytes = 0;
	#processedAt = 0;
	#streamed = false;
	#unpacks = false;
	/** The answer is vcl_synth's. */
	#made = false;
	/** Kept while the outcome is to be learnt. */
	#sent: { readonly head: string; readonly body: Uint8Array } | undefined;

	constructor(
		client: ClientPort,
		vcl: ActiveVcl,
		head: RequestHead,
		body: RequestBody | undefined,
		previous: Delivery | undefined,
	) {
		const { engine } = client;
		const now = engine.now();
		const xid = engine.nextTransaction();
		const startedAt = previous?.startedAt ?? client.included?.startedAt ?? now;
		// A part has the time of its page, and its log begins with itself.
		const logStart = client.included === undefined ? startedAt : now;
		super(engine, vcl, xid, new TransactionLog(engine.log, xid | Side.client, logStart), now);
		this.client = client;
		this.head = head;
		this.body = body;
		this.startedAt = startedAt;
		this.restarts = previous === undefined ? 0 : previous.restarts + 1;
		this.connection = client.connection;
		this.session = client.settings;
		this.headOnly = head.method === "HEAD";
		this.esiLevel = client.included?.level ?? 0;
		if (client.learning) this.urlPlaces = [];
	}

	get begun(): boolean {
		return this.#headBytes > 0;
	}

	/** Answers 503 because the VCL failed. */
	protected abstract fail(): void;
	/** Begins again at vcl_recv, in a task of its own. */
	protected abstract restart(): void;
	/** The client waits for a word before it sends its body, and has not got one (RFC 9110 §10.1.1). */
	protected abstract get owesContinue(): boolean;
	protected abstract sayContinue(): void;
	/** The request for a part of the page; `done` is called when it has been answered. */
	protected abstract ask(included: Included, done: () => void): PartRequest;
	/** Header fields of the request as it was received. */
	protected abstract get receivedFields(): FieldList;
	/** The client has gone: nobody wants what was asked for on its behalf. */
	protected abstract forsake(): void;

	protected deliver(answer: Answer): void {
		this.#answer = answer;
		const { vslLog } = this;
		const resp = new ClientResponseFields(
			answer.status,
			answer.reason,
			answer.proto,
			answer.fields.copy(),
			vslLog,
			respTags,
		);
		this.resp = resp;
		resp.time = this.now;
		resp.isStreaming = answer.body.kind === "stream" && answer.body.stream.state === "open";
		// What is delivered again and again has its records made once.
		const known = answer.body.kind === "stored" ? answerLogText(answer) : undefined;
		if (known === undefined) resp.logAll();
		else vslLog.addText(known);
		resp.appendHeader("x-varnish", "X-Varnish", this.found ? `${this.xid} ${answer.vxid}` : String(this.xid));
		resp.appendHeader("age", "Age", String(Math.max(0, Math.floor(this.now - answer.tOrigin))));
		const via = resp.fields.get("via");
		if (via === undefined) {
			resp.fields.appendLine(VIA_LINE, "via");
			vslLog.add(Tag.RespHeader, VIA_LINE);
		} else resp.setHeader("via", "Via", `${via}, ${VIA}`);
		if (answer.status === 200 && this.engine.parameters.rangeSupport && this.handling !== "pass") {
			resp.fields.unset("accept-ranges");
			resp.fields.appendLine("Accept-Ranges: bytes", "accept-ranges");
			vslLog.add(Tag.RespHeader, "Accept-Ranges: bytes");
		}
		resp.canEsi = answer.esi !== undefined;
		this.#esiBefore = this.req.esi;
		resp.followEsi(this.#esiBefore);
		this.#unpacks = this.#mustUnpack(answer);
		if (this.#unpacks) weaken(resp.fields);
		// Each with a blank before it, as varnishd lists them.
		const isRanged = answer.status === 200 && this.handling !== "pass" && asksForPart(this);
		resp.usualFilters = `${this.#unpacks ? " gunzip" : ""}${isRanged ? " range" : ""}`;
		// RFC 9211 §2: not on what was made here.
		if (this.asksWhy || (this.engine.cacheStatus && answer.body.kind !== "bytes"))
			resp.append("Cache-Status", cacheStatus(this, answer, this.engine.parameters));
		(this.obj as HitObject).now = this.now;
		this.#afterDeliver(this.call("vcl_deliver"), answer);
	}

	/** The client does not take gzip. What is passed stays as it is where there is no whole body to unpack. */
	#mustUnpack({ gzip, status }: Answer): boolean {
		if (!gzip || this.req.canGzip || !this.engine.parameters.gzipSupport) return false;
		return this.handling !== "pass" || (!this.headOnly && status !== 206 && status !== 304);
	}

	#afterDeliver(action: Outcome, answer: Answer): void {
		if (action.kind === "waiting") {
			action.afterwards((acted) => this.#afterDeliver(acted, answer));
			return;
		}
		this.#processedAt = this.engine.now();
		this.vslLog.timestamp("Process", this.#processedAt);
		if (action.kind === "deliver") {
			this.#transmit(answer);
			return;
		}
		this.dropAnswer();
		if (action.kind === "restart") this.restart();
		else if (action.kind === "synth") this.synthByVcl(action, this.method);
		else this.fail();
	}

	/** An answer that will not be sent: a private stream has to be let go. */
	protected dropAnswer(): void {
		const body = this.#answer?.body;
		if (body?.kind === "stream") {
			body.stream.join(this);
			body.stream.leave(this);
		}
	}

	protected synthByVcl({ status, reason }: Extract<Action, { kind: "synth" }>, method: MethodName): void {
		this.why = `the VCL said return (synth(${status})) in ${method}`;
		this.synth(status, reason);
	}

	protected synth(status: number, reason: string | null): void {
		const { engine, vslLog } = this;
		engine.count(Main.s_synth);
		this.freshUntil = 0;
		if (this.handling !== "hit") this.handling = "synth";
		this.now = engine.now();
		const resp = new ClientResponseFields(
			status,
			reason ?? reasonPhrase(status),
			"HTTP/1.1",
			new FieldList(),
			vslLog,
			respTags,
		);
		this.resp = resp;
		resp.time = this.now;
		resp.logStart();
		resp.append("Date", formatHttpDate(this.now));
		resp.append("Server", "Varnish");
		resp.append("X-Varnish", String(this.xid));
		// Nobody knows whether the body is going to come, unless VCL takes this back: then it is asked for.
		if (this.owesContinue && this.client.transport === "HTTP/1") resp.append("Connection", "close");
		if (this.asksWhy) resp.append("Cache-Status", madeHere(this.why));
		this.#afterSynth(this.call("vcl_synth"));
	}

	#afterSynth(action: Outcome): void {
		const { engine, resp } = this;
		if (action.kind === "waiting") {
			action.afterwards((acted) => this.#afterSynth(acted));
			return;
		}
		this.vslLog.timestamp("Process", engine.now());
		if (action.kind === "restart" && this.restarts <= engine.parameters.maxRestarts) {
			this.restart();
			return;
		}
		if (action.kind !== "deliver" && action.kind !== "restart") {
			engine.count(Main.client_resp_500);
			this.client.closeAfter("VCL_FAILURE");
			this.#sendBareHead(FAILED_SYNTH);
			this.#finish();
			return;
		}
		const bytes = Buffer.from(resp.body ?? "", "latin1");
		resp.fields.unset("content-length");
		this.#made = true;
		this.#send({ kind: "bytes", bytes, length: bytes.length });
	}

	/** req.esi when vcl_deliver began. */
	#esiBefore = true;

	#transmit(answer: Answer): void {
		const { resp, req, engine } = this;
		const { included } = this.client;
		const top = included === undefined && (req.method === "GET" || req.method === "HEAD");
		// VCL 4.0 says it of the request, in vcl_deliver, too.
		if (req.esi !== this.#esiBefore) resp.followEsi(req.esi);
		const isPage = resp.processesEsi;
		const unpacks = resp.wantsFilter("gunzip");
		if (unpacks !== undefined) {
			if (unpacks && !this.#unpacks) weaken(resp.fields);
			this.#unpacks = unpacks && answer.gzip;
		}
		if (this.#unpacks) {
			resp.unsetHeader("content-encoding");
			resp.unsetHeader("content-length");
		}
		if (resp.status === 200 && top) {
			const etag = resp.fields.get("etag");
			// RFC 9111 §4.3.2: a stored answer without Last-Modified is as old as its Date.
			const stored = this.handling !== "pass";
			const modified =
				resp.fields.get("last-modified") ??
				(stored ? (resp.fields.get("date") ?? formatHttpDate(answer.tOrigin)) : undefined);
			if (notModified(req.fields, etag, modified)) {
				resp.setStatus(304);
				this.vslLog.add(Tag.Filters, isPage ? resp.filters : "");
				if (isPage) weakenVisibly(resp);
				resp.fields.unset("content-length");
				this.dropAnswer();
				this.#send({ kind: "none", length: undefined });
				return;
			}
		}
		// A part is packed with its page, whatever it is itself.
		const gunzip = this.#unpacks || (included !== undefined && answer.gzip && !isPage);
		if (gunzip) engine.count(Main.n_gunzip);
		if (resp.body !== undefined) {
			this.dropAnswer();
			const bytes = Buffer.from(resp.body, "latin1");
			this.#send({ kind: "bytes", bytes, length: bytes.length });
			return;
		}
		if (isPage) {
			this.#sendPage(answer);
			return;
		}
		const { body } = answer;
		switch (body.kind) {
			case "bytes":
				this.#send({ kind: "bytes", bytes: body.bytes, length: body.bytes.length });
				return;
			case "stored":
				this.#sendStored(answer, gunzip);
				return;
			case "stream": {
				const { stream } = body;
				if (stream.hasLeftStore) {
					// While the VCL took its time; what is in the store now is looked up.
					this.restart();
					return;
				}
				const { whole } = stream;
				const length = stream.state === "whole" ? stream.bytes : body.length;
				if (whole !== undefined && !gunzip && !this.headOnly && !this.#isShared(whole))
					this.#send({ kind: "bytes", bytes: whole, length: whole.length });
				else if (gunzip && this.headOnly && (whole === undefined || whole.length > COPY_BYTES))
					this.#sendUnknownLength();
				else if (gunzip && whole !== undefined && whole.length <= COPY_BYTES) {
					this.dropAnswer();
					this.#sendUnpacked(whole);
				} else if (gunzip) this.#sendUnpacking(stream);
				else if (this.headOnly && stream.state === "whole" && !stream.keeping)
					this.#send({ kind: "stream", stream, length: undefined });
				else this.#send({ kind: "stream", stream, length });
				return;
			}
		}
	}

	/** A body of more than a frame is read from its stream at the pace of the client: it is here once for all its readers. */
	#isShared({ length }: Uint8Array): boolean {
		return this.client.transport === "HTTP/2" && length > FRAME_BYTES && !asksForPart(this);
	}

	// ── pages with ESI tags ─────────────────────────────────────────────────────────────────

	#sendPage(answer: Answer): void {
		const { resp, engine, client } = this;
		const { included } = client;
		this.vslLog.add(Tag.Filters, resp.filters);
		weakenVisibly(resp);
		resp.unsetHeader("content-length");
		if (this.headOnly) {
			this.dropAnswer();
			this.#send({ kind: "none", length: undefined, filtersLogged: true });
			return;
		}
		const page = this.#pageOf(answer);
		if (page === undefined) {
			this.restart();
			return;
		}
		const level = page.program.packed && !this.#unpacks ? engine.parameters.gzipLevel : undefined;
		const output = included?.output ?? new EsiOutput(level, engine.bodies);
		const sender = new PageSender(page, output, {
			include: (include, done) => this.#include(include, page, output, done),
			sent: (bytes) => this.#countPart(bytes),
			end: () => {
				if (included === undefined) output.end();
				else this.#finish();
			},
		});
		if (included === undefined) {
			output.begin();
			this.#send({ kind: "stream", stream: output.stream, length: undefined, filtersLogged: true });
			// A status that has no body needs no parts.
			if (this.done) {
				sender.stop();
				return;
			}
		}
		this.#sender = sender;
		sender.run();
	}

	/** The page's body, to be read at the pace of the client; undefined when it has gone meanwhile. */
	#pageOf({ esi, body }: Answer): Page | undefined {
		const { arena } = this.engine;
		const program = esi!;
		if (body.kind === "bytes") return { program, body: body.bytes };
		if (body.kind === "stream") {
			const { whole, pieces } = body.stream;
			const bytes = whole ?? Buffer.concat(pieces);
			this.dropAnswer();
			return { program, body: bytes };
		}
		const object = this.engine.pin(this.key, body.object);
		if (object === undefined) return undefined;
		if (object.body.length > COPY_BYTES)
			return { program, body: object.body, release: () => arena.unpin(object) };
		const bytes = copyOf(object.body);
		arena.unpin(object);
		return { program, body: bytes };
	}

	#include(include: EsiInclude, page: Page, output: EsiOutput, done: () => void): void {
		const { engine, vslLog } = this;
		const { esiDepth } = engine.parameters;
		if (this.esiLevel >= esiDepth) {
			vslLog.add(Tag.VCL_Error, `ESI depth limit reach (param max_esi_depth = ${esiDepth})`);
			done();
			return;
		}
		if (output.parts >= PART_LIMIT) {
			vslLog.add(Tag.Error, `ESI include left out: ${PART_LIMIT} requests were made for this page`);
			done();
			return;
		}
		output.parts++;
		engine.count(Main.esi_req);
		const { packed } = page.program;
		const included: Included = {
			level: this.esiLevel + 1,
			include,
			fields: this.receivedFields,
			packed,
			top: this.reqTop,
			startedAt: this.startedAt,
			output,
			sent: (bytes) => this.#countPart(bytes),
		};
		this.#part = this.ask(included, () => {
			this.#part = undefined;
			done();
		});
		this.#part.run();
	}

	/** What a part, or a page that is one, adds to the body. That of the client's own request is counted as it leaves. */
	#countPart(bytes: number): void {
		const { included } = this.client;
		if (included === undefined) return;
		this.#bodyBytes += bytes;
		included.sent(bytes);
	}

	/** The body of a part goes where its page goes. */
	#sendPart(body: Outgoing, included: Included): void {
		const { output, include } = included;
		const status = this.resp.status % 1000;
		const isWanted = status >= 200 && status !== 204 && status !== 304;
		if (!isWanted && body.kind === "bytes") body.release?.();
		else if (!isWanted) this.dropAnswer();
		const failsWhole = this.engine.parameters.esiFailsWhole;
		const part: PartBody = isWanted ? body : { kind: "none" };
		const sender = new PartSender(output, failsWhole && include.continues, {
			sent: (bytes) => this.#countPart(bytes),
			end: (failed) => {
				if (failed && failsWhole && !include.continues) output.fail();
				else this.#finish();
			},
		});
		this.#sender = sender;
		sender.run(part);
	}

	/** To HEAD: how long the body would be unpacked is only known when it is. */
	#sendUnknownLength(): void {
		this.dropAnswer();
		this.#send({ kind: "none", length: undefined });
	}

	#sendStored(answer: Answer, gunzip: boolean): void {
		const { engine } = this;
		if (answer.body.kind !== "stored") return;
		const object = engine.pin(this.key, answer.body.object);
		if (object === undefined) {
			this.restart();
			return;
		}
		const { body } = object;
		if (gunzip) {
			if (body.length > AT_ONCE_BYTES && this.headOnly) {
				engine.arena.unpin(object);
				this.#sendUnknownLength();
				return;
			}
			if (body.length > AT_ONCE_BYTES) {
				this.#sendUnpacking(streamOf(body), () => engine.arena.unpin(object));
				return;
			}
			const packed = copyOf(body);
			engine.arena.unpin(object);
			this.#sendUnpacked(packed);
			return;
		}
		// Over HTTP/2 a client says how much it takes, and what it leaves stays where it is, as long as room can be made.
		const isCopied =
			this.client.transport === "HTTP/1" || this.client.included !== undefined || engine.arena.pinsMuch;
		if (isCopied && body.length <= COPY_BYTES) {
			this.#send({ kind: "bytes", bytes: body, length: body.length });
			engine.arena.unpin(object);
		} else
			this.#send({
				kind: "bytes",
				bytes: body,
				length: body.length,
				release: () => engine.arena.unpin(object),
			});
	}

	/** `release` is called when `stream` is not read any more. */
	#sendUnpacking(stream: BodyStream, release?: () => void): void {
		const unpacked = recodeStream(stream, "gunzip", 0, this.engine.bodies, release);
		this.#send({ kind: "stream", stream: unpacked, length: undefined });
	}

	/** A short body at once, if what it unpacks to is not long. */
	#sendUnpacked(packed: Uint8Array): void {
		const unpacked = packed.length === 0 ? undefined : recode(packed, "gunzip", 0);
		if (unpacked?.ok === false && unpacked.tooLong === true) {
			this.#sendUnpacking(streamOf(packed));
			return;
		}
		this.vslLog.add(Tag.Filters, "gunzip");
		if (unpacked?.ok === false) {
			this.client.closeAfter("TX_ERROR");
			this.synth(503, "Stored object cannot be unpacked");
			return;
		}
		const plain = unpacked?.bytes ?? nothing;
		this.vslLog.add(Tag.Gzip, unpackedRecord("U D", packed.length, plain.length));
		this.#send({ kind: "bytes", bytes: plain, length: plain.length, filtersLogged: true });
	}

	/** The daemon's own answer, which no VCL sees: one field and no body. */
	protected sendBare(status: number, reason: string, name: string, value: string): void {
		this.handling = "synth";
		this.resp = new ClientResponseFields(status, reason, "HTTP/1.1", new FieldList(), this.vslLog, respTags);
		this.resp.logStart();
		this.resp.append(name, value);
		this.#send({ kind: "bytes", bytes: Buffer.alloc(0), length: 0 });
	}

	#send(body: Outgoing): void {
		const { resp, client, head } = this;
		const { fields } = resp;
		let status = resp.status % 1000;
		let source = body;
		let ranges = "";
		/** HTTP/1: how long a body is, and what becomes of the connection, is told in the head. */
		const byConnection = client.transport === "HTTP/1";
		const tunnels = opensTunnel(head.method, status);
		const mayHaveBody = status >= 200 && status !== 204 && status !== 304 && !tunnels;
		// A client that was told yes takes what follows for the tunnel's.
		if (tunnels) client.closeAfter("RESP_CLOSE");
		const ranged = this.#answer !== undefined || this.#made;
		if (status === 200 && ranged && this.handling !== "pass" && body.kind !== "none") {
			const part = applyRange(this, body, () => this.dropAnswer());
			if (part !== undefined) {
				source = part;
				ranges = "range";
				status = resp.status % 1000;
			}
		}
		const filtersLogged = "filtersLogged" in source;
		if (!filtersLogged && !this.#made) this.vslLog.add(Tag.Filters, ranges);
		if (client.included !== undefined) {
			if (this.#made) this.#logMade(ranges);
			this.#sendPart(source, client.included);
			return;
		}
		const headOnly = this.headOnly || !mayHaveBody;
		let chunked = false;
		if (!mayHaveBody) {
			if (status !== 304) fields.unset("content-length");
		} else if (source.length !== undefined && !(this.headOnly && fields.has("content-length"))) {
			const text = String(source.length);
			if (fields.get("content-length") !== text) {
				resp.unsetHeader("content-length");
				resp.append("Content-Length", text);
			}
		} else if (source.length === undefined && !this.headOnly) {
			fields.unset("content-length");
			if (head.proto === "HTTP/1.1") {
				chunked = true;
				resp.append("Transfer-Encoding", "chunked");
			} else if (byConnection) client.closeAfter("TX_EOF");
		}
		if (this.#made) this.#logMade(ranges);
		const wanted = fields.get("connection");
		if (wanted !== undefined) {
			if (/(?:^|,)\s*close\s*(?:$|,)/i.test(wanted)) client.closeAfter("RESP_CLOSE");
			fields.unset("connection");
		}
		if (this.#made && this.owesContinue && byConnection && !client.willClose) this.sayContinue();
		if (this.body !== undefined && !this.body.ended && !client.willClose) {
			// The rest of a body that nobody wants: read it if it is short (chunks: as long as they are), else close.
			if (!byConnection || this.body.length === undefined || this.body.length < DROP_BYTES) this.body.drop();
			else client.closeAfter("RX_BODY");
		}
		if (!byConnection) this.vslLog.add(Tag.RespProtocol, "HTTP/2.0");
		else if (client.willClose) resp.append("Connection", "close");
		else {
			fields.appendLine("Connection: keep-alive", "connection");
			this.vslLog.add(Tag.RespHeader, "Connection: keep-alive");
		}
		const text = client.headText(status, resp.reason, fields);
		this.#headBytes = text.length;
		if (headOnly || source.kind === "none") {
			client.emit(text, undefined);
			if (client.learning && source.kind !== "stream") this.#sent = { head: text, body: nothing };
			if (source.kind === "bytes") source.release?.();
			if (source.kind === "stream") {
				source.stream.join(this);
				source.stream.leave(this);
			}
			this.#finish();
			return;
		}
		if (source.kind === "bytes") {
			this.#bodyBytes = source.bytes.length;
			if (client.learning && !("filtersLogged" in source)) this.#sent = { head: text, body: source.bytes };
			client.emit(text, source.bytes, source.release);
			this.#finish();
			return;
		}
		client.emit(text, undefined);
		this.#stream = source.stream;
		this.#streamed = true;
		this.#streamChunked = chunked;
		this.#streamLeft = source.length;
		this.#streamSkip = source.first ?? 0;
		this.#streamsPart = source.first !== undefined;
		source.stream.join(this);
		this.onBody();
	}

	#logMade(filters: string): void {
		this.vslLog.add(Tag.Storage, "malloc Transient");
		this.vslLog.add(Tag.Filters, filters);
	}

	/** More of a streamed body. Also called by the session when the client takes bytes again. */
	onBody(): void {
		const stream = this.#stream;
		if (stream === undefined || this.done) return;
		this.client.cork(() => {
			const partIsSent = () => this.#streamsPart && this.#streamLeft === 0;
			while (!stream.drained(this) && !partIsSent()) {
				const { room } = this.client;
				const taken = room === 0 ? undefined : stream.take(this, room);
				if (taken === undefined) break;
				const piece = this.#streamsPart ? this.#partOf(taken) : taken;
				this.#bodyBytes += piece.length;
				if (this.#streamChunked) {
					this.client.emit(chunkHead(piece.length), piece);
					this.client.emit("\r\n", undefined);
				} else {
					if (this.#streamLeft !== undefined) this.#streamLeft -= piece.length;
					this.client.emit("", piece);
				}
			}
			if (partIsSent()) {
				// The rest is for others, or for the store.
				stream.leave(this);
				this.#stream = undefined;
				this.#finish();
				return;
			}
			if (stream.state === "failed") {
				// What the client has is not whole: the connection must show it.
				stream.leave(this);
				this.#stream = undefined;
				this.client.abort("TX_ERROR");
				return;
			}
			if (stream.state === "whole" && stream.drained(this)) {
				stream.leave(this);
				this.#stream = undefined;
				if (this.#streamChunked) this.client.emit(LAST_CHUNK, undefined);
				else if (this.#streamLeft !== undefined && this.#streamLeft !== 0) {
					this.client.abort("TX_ERROR");
					return;
				}
				this.#finish();
			}
		});
	}

	/** What is wanted of a piece. */
	#partOf(piece: Uint8Array): Uint8Array {
		const from = Math.min(this.#streamSkip, piece.length);
		this.#streamSkip -= from;
		return piece.subarray(from, from + (this.#streamLeft ?? piece.length));
	}

	/** The client has gone. */
	abandon(): void {
		if (this.done) return;
		// Before the stream lets go of what waits, and has them go on.
		this.#sender?.stop();
		this.#part?.abandon();
		const stream = this.#stream;
		this.#stream = undefined;
		stream?.leave(this);
		this.forsake();
		this.#account();
		this.close();
	}

	refuse(reason: string): void {
		if (this.done) return;
		this.forsake();
		this.vslLog.add(Tag.BogoHeader, reason);
		this.#sendBareHead(400);
		this.#account();
		this.close();
	}

	/** An answer that no VCL sees: a head without fields, behind which the connection ends. */
	#sendBareHead(status: number): void {
		const { vslLog } = this;
		const reason = reasonPhrase(status);
		this.resp = new ClientResponseFields(status, reason, "HTTP/1.1", new FieldList(), vslLog, respTags);
		this.resp.logStart();
		const text = this.client.headText(status, reason, closing);
		this.#headBytes = text.length;
		this.client.emit(text, undefined);
	}

	#account(): void {
		const { engine } = this;
		// A stored body leaves in the same breath: one look at the clock does for both.
		const now =
			this.#stream === undefined &&
			!this.#streamed &&
			this.#processedAt > 0 &&
			this.client.transport === "HTTP/1"
				? this.#processedAt
				: engine.now();
		this.vslLog.timestamp("Resp", now);
		this.#bodyBytes -= this.client.unsentBytes;
		const bodyIn = this.body?.bytes ?? 0;
		const headIn = this.client.headBytes;
		this.vslLog.account(Tag.ReqAcct, headIn, bodyIn, this.#headBytes, this.#bodyBytes);
		// What a part has sent is counted with its page.
		if (this.client.included !== undefined) return;
		engine.count(Main.s_req_hdrbytes, headIn);
		engine.count(Main.s_req_bodybytes, bodyIn);
		engine.count(Main.s_resp_hdrbytes, this.#headBytes);
		engine.count(Main.s_resp_bodybytes, this.#bodyBytes);
		if (engine.accessLog !== undefined) this.#logAccess(now);
	}

	#logAccess(now: number): void {
		const { req, resp } = this;
		this.engine.accessLog?.write({
			time: new Date(this.startedAt * 1000).toISOString(),
			client: this.connection.clientIp.text,
			method: this.head.method,
			host: this.head.host ?? req.fields.get("host") ?? "",
			url: this.head.url,
			status: resp === undefined ? 0 : resp.status % 1000,
			bytes: this.#bodyBytes,
			seconds: Number((now - this.startedAt).toFixed(6)),
			handling: this.handling,
			why: this.handling === "hit" ? "" : this.why,
			referer: req.fields.get("referer") ?? "",
			userAgent: req.fields.get("user-agent") ?? "",
			xid: this.xid,
		});
	}

	/** All of the answer is on its way; over HTTP/2 the account waits until the client's windows have let it pass. */
	#finish(): void {
		if (this.client.transport === "HTTP/1") this.#finished();
		else this.client.afterSending(() => this.#finished());
	}

	#finished(): void {
		this.#account();
		const log = this.close(this.#sent !== undefined);
		if (log !== undefined) this.#teach(log);
		this.client.taskDone(this);
	}

	/** Hands the outcome over if it would be the same again: a fresh hit that depends on nothing that varies. */
	#teach(log: string): void {
		const { client, resp, obj } = this;
		const answer = this.#answer;
		const sent = this.#sent;
		if (sent === undefined || answer?.body.kind !== "stored" || this.handling !== "hit") return;
		if (answer.esi !== undefined) return;
		if (this.varied || this.asksWhy || this.restarts > 0 || this.body !== undefined || client.willClose)
			return;
		if (obj.hits <= this.hitsBound || this.freshUntil <= this.startedAt || resp.body !== undefined) return;
		client.learn({
			...sent,
			log,
			object: answer.body.object,
			key: this.key,
			transaction: this.xid,
			age: Math.max(0, Math.floor(this.now - answer.tOrigin)),
			freshUntil: this.freshUntil,
			hitsBound: this.hitsBound,
			urlPlaces: this.particular || this.req.ttl >= 0 ? [] : this.urlPlaces,
		});
	}

	/** The end of the transaction; returns its log when that is `wanted` and all of it is still here. */
	protected close(wanted = false): string | undefined {
		if (this.done) return undefined;
		this.done = true;
		this.vcl.busy--;
		return this.vslLog.end(wanted);
	}
}
