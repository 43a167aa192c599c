/**
 * Hits that were answered before, answered again without parsing anything or running the VCL.
 *
 * The outcome of a request is learnt when the VCL used nothing on its way that differs from run to run
 * (vcl/steady.ts): then the same bytes, from the same address, through the same listener and program, over the same
 * object, have the same outcome. What does differ is put in anew: numbers, times, the age (replay-form.ts); counters,
 * uses and the log are those of a hit.
 *
 * What is learnt is void when the program, a label or a parameter changes (`forget`), and is looked at again
 * whenever the object's shard has changed. A request is learnt at its second appearance, so that one-off requests
 * cost a checksum and nothing else.
 */
import { copyOf } from "../http/bytes.ts";
import type { LogSink } from "../log/sink.ts";
import type { Arena, StoredObject } from "../store/arena.ts";
import { FORM_LIMIT, Forms, type Run, shapeOf, takeApart } from "./log-form.ts";
import { Main } from "./main-counters.ts";
import { Form, type Template } from "./replay-form.ts";

/** Different requests that are remembered; a power of two. */
const REPLAY_SLOTS = 4096;
const SEEN_SLOTS = 16384;
/** All requests, answers and records together. */
const REPLAY_TOTAL_BYTES = 48 << 20;
const REQUEST_BYTES = 8192;
/** Bodies up to this size are kept beside their head; larger ones leave from the store, pinned meanwhile. */
const BODY_BYTES = 64 * 1024;
/**
 * Learning costs as much as a few answers. It is paid from what repeating has saved: where requests do not come
 * again, learning soon stops but for a trickle.
 */
const CREDIT_LIMIT = 8192;
const LEARNING_PRICE = 4;
/** One request in so many that are not known earns a credit. */
const TRICKLE = 64;

/** How one request was answered, as the delivery saw it. */
export interface Outcome {
	readonly object: StoredObject;
	readonly key: string;
	/** Head and body as they were sent; the body is copied. */
	readonly head: string;
	readonly body: Uint8Array;
	/** All records of the transaction. */
	readonly log: string;
	readonly transaction: number;
	readonly age: number;
	/** Unix seconds until which the request takes the object as fresh. */
	readonly freshUntil: number;
	readonly hitsBound: number;
	/** Where in the key the request's URL is; nowhere when the outcome is that of this URL or this object alone. */
	readonly urlPlaces: readonly number[];
}

/** What replays need of the worker. */
interface ReplayEngine {
	readonly arena: Arena;
	readonly bans: { readonly newest: number };
	readonly log: LogSink;
	readonly counters: Float64Array;
	/** The program in use, by its identity. */
	readonly active: object | undefined;
	readonly accessLog: object | undefined;
	readonly cacheStatus: boolean;
	now(): number;
	nextTransaction(): number;
}

/** What a replay needs to know of the connection. */
export interface ReplaySession {
	readonly xid: number;
	readonly endpoint: object;
	readonly clientIp: { readonly text: string; readonly port: number };
	/** A checksum of the client's address: its requests are its own. */
	readonly addressSum: number;
	/** What answered last here: most connections ask the same again. */
	lastReplay: Replay | undefined;
	/** Sends `bytes`, all or a part; what the kernel does not take now goes later. */
	sendWhole(bytes: Uint8Array, from?: number, end?: number): void;
	/** Sends a head and a body in the store; `release` is called when the body's bytes are no longer needed. */
	sendLarge(head: Uint8Array, body: Uint8Array, release: () => void): void;
}

const nothing = new Uint8Array(0);

export class Replay {
	readonly request: Uint8Array;
	readonly checksum: number;
	readonly generation: number;
	readonly address: string;
	readonly endpoint: object;
	readonly vcl: object;
	readonly outcome: Omit<Outcome, "body"> & { readonly bodyBytes: number };
	readonly template: Template;
	object: StoredObject;
	/** What was stored under the key (Arena.kin). */
	readonly kin: number;
	/** Where a large body begins in the object's; negative: the body is kept here. */
	readonly largeFrom: number;
	readonly #forms: Forms<Form>;

	constructor(
		request: Uint8Array,
		checksum: number,
		generation: number,
		session: ReplaySession,
		vcl: object,
		outcome: Replay["outcome"],
		template: Template,
		kin: number,
		largeFrom: number,
	) {
		this.kin = kin;
		this.largeFrom = largeFrom;
		this.request = request;
		this.checksum = checksum;
		this.generation = generation;
		this.address = session.clientIp.text;
		this.endpoint = session.endpoint;
		this.vcl = vcl;
		this.outcome = outcome;
		this.template = template;
		this.#forms = new Forms((run) => new Form(template, run));
		this.object = outcome.object;
	}

	/** Bytes of memory, about: every form has the answer and the records in full. */
	get bytes(): number {
		const { head, log } = this.outcome;
		const form = head.length + log.length + this.template.body.length;
		return this.request.length + head.length + log.length + (1 + FORM_LIMIT) * form + 1024;
	}

	form(run: Run): Form {
		return this.#forms.of(run, shapeOf(run));
	}
}

export class Replays {
	readonly #engine: ReplayEngine;
	#slots: (Replay | undefined)[] = new Array(REPLAY_SLOTS).fill(undefined);
	readonly #seen = new Int32Array(SEEN_SLOTS);
	#generation = 1;
	#bytes = 0;
	/** Checksum of the request that answer() did not know. */
	#checksum = 0;
	readonly #run: { -readonly [Name in keyof Run]: Run[Name] } = {
		transaction: 0,
		session: 0,
		port: 0,
		age: 0,
		remainingMicros: 0,
	};
	/** answer() did not know the request, and saw it before: its outcome is worth learning. */
	wanted = false;
	#credit = CREDIT_LIMIT;
	#strangers = 0;
	/** What answer() was asked last, in this batch, and the replay that has the same request. */
	#provenBytes: Buffer | undefined;
	#proven: Replay | undefined;

	constructor(engine: ReplayEngine) {
		this.#engine = engine;
	}

	/** What was learnt is void. */
	forget(): void {
		this.#generation++;
		this.#slots.fill(undefined);
		this.#bytes = 0;
	}

	/** A batch of requests begins, in buffers that another batch had. */
	begin(): void {
		this.#provenBytes = undefined;
	}

	/**
	 * Answers the request that `bytes` are, if it is one request and its outcome is known. `receivedAt` is engine.now().
	 * `before` came before it in the same batch, and of both so many bytes at the end are the same.
	 */
	answer(session: ReplaySession, bytes: Buffer, receivedAt: number, before?: Buffer, commonEnd = 0): boolean {
		this.wanted = false;
		const { length } = bytes;
		if (length > REQUEST_BYTES) return false;
		let replay = session.lastReplay;
		if (
			replay === undefined ||
			replay.request.length !== length ||
			replay.generation !== this.#generation ||
			!(
				(before !== undefined &&
					before === this.#provenBytes &&
					replay === this.#proven &&
					commonEnd === length) ||
				bytes.equals(replay.request)
			)
		) {
			replay = this.#find(session, bytes);
			if (replay === undefined) return false;
			session.lastReplay = replay;
		}
		this.#provenBytes = bytes;
		this.#proven = replay;
		return this.#repeat(session, replay, receivedAt);
	}

	#find(session: ReplaySession, bytes: Buffer): Replay | undefined {
		const checksum = (Bun.hash.crc32(bytes) ^ session.addressSum) | 0;
		const replay = this.#slots[checksum & (REPLAY_SLOTS - 1)];
		if (
			replay !== undefined &&
			replay.checksum === checksum &&
			replay.address === session.clientIp.text &&
			replay.endpoint === session.endpoint &&
			bytes.equals(replay.request)
		)
			return replay;
		this.#checksum = checksum;
		if (++this.#strangers % TRICKLE === 0 && this.#credit < CREDIT_LIMIT) this.#credit++;
		const at = checksum & (SEEN_SLOTS - 1);
		const { log, accessLog, cacheStatus } = this.#engine;
		this.wanted =
			this.#seen[at] === checksum &&
			this.#credit >= LEARNING_PRICE &&
			!log.immediate &&
			accessLog === undefined &&
			!cacheStatus;
		this.#seen[at] = checksum;
		return undefined;
	}

	#repeat(session: ReplaySession, replay: Replay, receivedAt: number): boolean {
		const engine = this.#engine;
		const { arena } = engine;
		const { outcome } = replay;
		let { object } = replay;
		const nowMicros = Math.round(receivedAt * 1e6);
		const now = nowMicros / 1e6;
		if (outcome.freshUntil <= now || object.ban < engine.bans.newest || replay.vcl !== engine.active)
			return false;
		if (!arena.holds(object)) {
			const again = arena.again(object, outcome.key, replay.kin);
			if (again === undefined) {
				this.#drop(replay);
				session.lastReplay = undefined;
				return false;
			}
			replay.object = again;
			object = again;
		}
		if (replay.largeFrom >= 0 && !arena.pin(object)) return false;
		if (arena.use(object) < outcome.hitsBound) {
			// The index was built anew and with it the number of hits.
			if (replay.largeFrom >= 0) arena.unpin(object);
			this.#drop(replay);
			session.lastReplay = undefined;
			return false;
		}
		const transaction = engine.nextTransaction();
		const run = this.#run;
		run.transaction = transaction;
		run.session = session.xid;
		run.port = session.clientIp.port;
		run.age = Math.max(0, Math.floor(now - object.tOrigin));
		run.remainingMicros = Math.max(0, Math.round((object.tOrigin + object.ttl) * 1e6) - nowMicros);
		const form = replay.form(run);
		form.fill(run, nowMicros);
		if (replay.largeFrom < 0) session.sendWhole(form.answer);
		else {
			const from = replay.largeFrom;
			session.sendLarge(form.answer, object.body.subarray(from, from + outcome.bodyBytes), () =>
				arena.unpin(object),
			);
		}
		const { log } = form;
		log.finish(Math.round(engine.now() * 1e6), nowMicros);
		engine.log.append(log.bytes, log.bytes.length, log.recordCount);
		const { counters } = engine;
		counters[Main.client_req]!++;
		counters[Main.cache_hit]!++;
		counters[Main.s_req_hdrbytes]! += replay.request.length;
		counters[Main.s_resp_hdrbytes]! += form.headBytes;
		counters[Main.s_resp_bodybytes]! += outcome.bodyBytes;
		if (this.#credit < CREDIT_LIMIT) this.#credit++;
		return true;
	}

	#drop(replay: Replay): void {
		const at = replay.checksum & (REPLAY_SLOTS - 1);
		if (this.#slots[at] !== replay) return;
		this.#slots[at] = undefined;
		this.#bytes -= replay.bytes;
	}

	/** Keeps how the request was answered that answer() did not know. */
	learn(session: ReplaySession, bytes: Uint8Array, vcl: object, outcome: Outcome): void {
		const { transaction, age, object, head, body, log } = outcome;
		if (object.ttl > 2e9) return;
		this.#credit -= LEARNING_PRICE;
		const large = body.length > BODY_BYTES;
		// A body that was made for this answer is not in the store.
		if (large && body.buffer !== object.body.buffer) return;
		const facts = {
			transaction,
			session: session.xid,
			port: session.clientIp.port,
			age,
			objectTransaction: object.vxid,
		};
		const records = takeApart(log, facts);
		if (records === undefined) return;
		const { arena } = this.#engine;
		const kin = arena.kin(outcome.key);
		if (!arena.holds(object)) return;
		const { body: _body, ...rest } = outcome;
		const kept = { ...rest, bodyBytes: body.length };
		const replay = new Replay(
			copyOf(bytes),
			this.#checksum,
			this.#generation,
			session,
			vcl,
			kept,
			{
				records,
				head,
				facts,
				body: large ? nothing : copyOf(body),
				bodyBytes: body.length,
			},
			kin,
			large ? body.byteOffset - object.body.byteOffset : -1,
		);
		const at = this.#checksum & (REPLAY_SLOTS - 1);
		const old = this.#slots[at];
		if (old !== undefined) this.#bytes -= old.bytes;
		this.#slots[at] = replay;
		this.#bytes += replay.bytes;
		if (this.#bytes > REPLAY_TOTAL_BYTES) this.forget();
	}
}
