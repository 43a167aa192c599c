/** What client requests and backend fetches have in common towards VCL. */
import { createHash } from "node:crypto";
import { Tag } from "../log/tags.ts";
import type { TransactionLog } from "../log/transaction-log.ts";
import type { StoredObject } from "../store/arena.ts";
import { parseVclBan } from "../store/bans.ts";
import type { Done } from "../store/flusher.ts";
import { splitTags } from "../store/tags.ts";
import {
	type Action,
	type BackendRequest,
	type BackendResponse,
	type CachedObject,
	type ClientRequest,
	type ClientResponse,
	type Connection,
	type Granted,
	type LogTag,
	type MethodName,
	type RequestMessage,
	type Session,
	type Subs,
	type VclContext,
	VclFailure,
	type WaitingSub,
	type WaitRequest,
} from "../vcl/runtime.ts";
import { syntaxKey } from "../vcl/vmods/std.ts";
import { type ActiveVcl, type Engine, Main } from "./engine.ts";
import { grant, grantAtOnce } from "./grant.ts";
import { callName } from "./method-log.ts";
import { purgeTagged, purgeTaggedAtOnce } from "./tag-purge.ts";

/** A sub's action, or that it is not there yet. */
export type Outcome = Action | Waiting;

/**
 * The sub waits (std.cache_req_body, xkey.purge, vtc.sleep, vtc.barrier_sync), or its purge has to reach the disk: whoever called it
 * leaves, and goes on when it has acted.
 */
export interface Waiting {
	readonly kind: "waiting";
	afterwards(goOn: (action: Action) => void): void;
}

/** In the middle of a sub. */
interface Paused extends Waiting {
	readonly request: WaitRequest;
}

type Steps = ReturnType<WaitingSub>;

/** A VCL failure is an action; anything else that a sub throws is a fault of ours, and fails the task too. */
const failed = (error: unknown): Action => ({
	kind: "fail",
	message:
		error instanceof VclFailure
			? error.message
			: `internal error: ${error instanceof Error ? error.stack : error}`,
});

/** A member that the running side does not have; the compiler lets no program reach it. */
const absent = undefined as never;

/** In the operator's words. */
export const failedIn = (method: MethodName) => `the VCL failed in ${method} (VCL_Error in the log says why)`;

export abstract class Task implements VclContext {
	readonly engine: Engine;
	vcl: ActiveVcl;
	vslLog: TransactionLog;
	/** Transaction number. */
	readonly xid: number;
	req: ClientRequest = absent;
	reqTop: ClientRequest = absent;
	bereq: BackendRequest = absent;
	beresp: BackendResponse = absent;
	resp: ClientResponse = absent;
	obj: CachedObject = absent;
	connection: Connection = absent;
	session: Session = absent;
	now: number;
	method: MethodName = "vcl_recv";
	varied = false;
	particular = false;
	hitsBound = -1;
	#taskState: Map<object, unknown> | undefined;

	constructor(engine: Engine, vcl: ActiveVcl, xid: number, log: TransactionLog, now: number) {
		this.engine = engine;
		this.vcl = vcl;
		this.xid = xid;
		this.vslLog = log;
		this.now = now;
	}

	get taskState(): Map<object, unknown> {
		this.#taskState ??= new Map<object, unknown>([[syntaxKey, this.vcl.loaded.syntax]]);
		return this.#taskState;
	}

	/** What modules remember of a task goes on in a restart or a retry, */
	protected inheritState(previous: Task): void {
		this.#taskState = previous.#taskState;
	}

	/** and ends when the task is rolled back. */
	protected forgetState(): void {
		this.#taskState = undefined;
	}

	/** Runs one sub of the VCL. A VCL failure comes back as "fail". */
	protected call(method: keyof Subs): Outcome {
		const { waitingSubs } = this.vcl.loaded;
		return this.#lasting(
			waitingSubs === null ? this.#run(method) : this.#first(method, waitingSubs[method](this)),
		);
	}

	/** How many purges of this task are not on the disk yet, and how many bans not there or not with every worker. */
	#unsettled = 0;
	#unsettledBecause: Error | null = null;
	#whenSettled: (() => void) | undefined;

	/** `begin` is given what to call when a purge or ban of this task counts, or cannot be made to. */
	#settle(begin: (done: Done) => void): void {
		this.#unsettled++;
		begin((error) => {
			this.#unsettled--;
			this.#unsettledBecause ??= error;
			if (this.#unsettled === 0) this.#whenSettled?.();
		});
	}

	/** Notes that objects were purged. */
	protected purgedFromStore(): void {
		const { flusher } = this.engine;
		if (flusher !== undefined) this.#settle((done) => flusher.settle(done));
	}

	/**
	 * What follows on a purge or a ban is the acknowledgement of it: it comes when a ban is known to every worker and, with
	 * a persistent store, when either will last.
	 */
	#lasting(outcome: Action | Paused): Outcome {
		const isSettled = this.#unsettled === 0 && this.#unsettledBecause === null;
		if (isSettled || outcome.kind === "waiting") return outcome;
		return { kind: "waiting", afterwards: (goOn) => this.whenLasting(() => goOn(outcome), goOn) };
	}

	/** Goes on when what was purged and banned counts; `fail` gets a failure of the VCL. */
	protected whenLasting(goOn: () => void, fail: (failure: Action) => void): void {
		const settled = () => {
			const error = this.#unsettledBecause;
			this.#unsettledBecause = null;
			if (error === null) {
				goOn();
				return;
			}
			const failure = failed(new VclFailure(`a purge or ban does not count yet: ${error.message}`));
			this.returning(failure);
			fail(failure);
		};
		if (this.#unsettled === 0) settled();
		else
			this.#whenSettled = () => {
				this.#whenSettled = undefined;
				this.resume(settled);
			};
	}

	/** The same where there is no going on later: while the sub waits, the whole worker does. */
	protected callAtOnce(method: keyof Subs): Action {
		const { waitingSubs } = this.vcl.loaded;
		if (waitingSubs === null) return this.#run(method);
		const steps = waitingSubs[method](this);
		let outcome = this.#first(method, steps);
		while (outcome.kind === "waiting") {
			const { failure, granted } = grantAtOnce(outcome.request);
			outcome = this.#next(method, steps, failure, granted);
		}
		return outcome;
	}

	/** Goes on after a wait, unless there is nothing to go on for any more. */
	protected resume(goOn: () => void): void {
		goOn();
	}

	#first(method: keyof Subs, steps: Steps): Action | Paused {
		this.vslLog.add(Tag.VCL_call, callName(method));
		return this.#next(method, steps, undefined);
	}

	/** Runs a sub that may wait as far as it gets. What went wrong while it waited is thrown where it waited. */
	#next(
		method: keyof Subs,
		steps: Steps,
		failure: VclFailure | undefined,
		granted: Granted = undefined,
	): Action | Paused {
		this.method = method;
		let action: Action;
		try {
			const step = failure === undefined ? steps.next(granted) : steps.throw(failure);
			if (!step.done) return this.#waiting(method, steps, step.value);
			action = step.value;
		} catch (error) {
			action = failed(error);
		}
		this.returning(action);
		this.vslLog.add(Tag.VCL_return, action.kind);
		return action;
	}

	#waiting(method: keyof Subs, steps: Steps, request: WaitRequest): Paused {
		return {
			kind: "waiting",
			request,
			afterwards: (goOn) =>
				grant(request, (failure, granted) =>
					this.resume(() => {
						const outcome = this.#lasting(this.#next(method, steps, failure, granted));
						if (outcome.kind === "waiting") {
							outcome.afterwards(goOn);
							return;
						}
						// Only now: to the sub itself all of it is one moment.
						this.now = this.engine.now();
						goOn(outcome);
					}),
				),
		};
	}

	/** Whatever the log has of an action beside its VCL_return. */
	protected returning(action: Action): void {
		if (action.kind !== "fail") return;
		if (action.message !== "") this.vslLog.add(Tag.VCL_Error, action.message);
		this.engine.count(Main.vcl_fail);
	}

	#run(method: keyof Subs): Action {
		this.method = method;
		const log = this.vslLog;
		log.add(Tag.VCL_call, callName(method));
		let action: Action;
		try {
			action = this.vcl.loaded.subs[method](this);
		} catch (error) {
			action = failed(error);
		}
		this.returning(action);
		log.add(Tag.VCL_return, action.kind);
		return action;
	}

	log(tag: LogTag, text: string): void {
		this.vslLog.add(Tag[tag], text);
	}

	hashData(_text: string): void {}

	hashUrl(): void {}

	ban(expression: string): string | null {
		const parsed = parseVclBan(expression);
		if (!parsed.ok) return parsed.message;
		const { engine } = this;
		this.#settle((done) => engine.ban(parsed.text, done));
		return null;
	}

	timestamp(label: string): void {
		this.vslLog.timestamp(label, this.engine.now());
	}

	rollback(_message: RequestMessage): void {}

	cacheRequestBody(_sizeBytes: number, done: (fits: boolean) => void): void {
		done(false);
	}

	late100Continue(_late: boolean): void {}

	purge(_ttlSeconds: number, _graceSeconds: number, _keepSeconds: number): number {
		return 0;
	}

	purgeTags(keys: string, soft: boolean): WaitRequest {
		const { arena } = this.engine;
		const now = this.engine.now();
		const tags = splitTags(keys);
		this.engine.notePurge(tags);
		const work = {
			arena,
			tags,
			purge: (object: StoredObject) => {
				if (soft) arena.relive(object, { ttl: Math.min(object.ttl, now - object.tOrigin) });
				else arena.remove(object, "purged");
			},
		};
		const noted = (count: number) => {
			if (count > 0) this.purgedFromStore();
			return count;
		};
		return {
			kind: "tag-purge",
			begin: (done) => purgeTagged(work, (count) => done(noted(count))),
			atOnce: () => noted(purgeTaggedAtOnce(work)),
		};
	}
}

/** SHA-256 of what vcl_hash fed, as a byte string. */
export function hashOf(key: string): string {
	return createHash("sha256").update(Buffer.from(key, "latin1")).digest().toString("latin1");
}
