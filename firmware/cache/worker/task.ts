/** What client requests and backend fetches have in common towards VCL. */
import { createHash } from "node:crypto";
import type { TransactionLog } from "../log/records.ts";
import { Tag } from "../log/tags.ts";
import { banWords, parseBan } from "../store/bans.ts";
import {
	type Action,
	type BackendRequest,
	type BackendResponse,
	type CachedObject,
	type ClientRequest,
	type ClientResponse,
	type Connection,
	type LogTag,
	type MethodName,
	type RequestMessage,
	type Session,
	type Subs,
	type VclContext,
	VclFailure,
	type WaitRequest,
} from "../vcl/runtime.ts";
import { syncBarrier } from "./barrier.ts";
import { type ActiveVcl, type Engine, Main } from "./engine.ts";
import { callAndReturnRecord, callRecord, returnRecord } from "./method-log.ts";

/** A member that the running side does not have; the compiler lets no program reach it. */
const absent = undefined as never;

export abstract class Task implements VclContext {
	readonly engine: Engine;
	readonly vcl: ActiveVcl;
	readonly vslLog: TransactionLog;
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
		this.#taskState ??= new Map();
		return this.#taskState;
	}

	/** Runs one sub of the VCL. A VCL failure comes back as "fail". */
	protected call(method: keyof Subs): Action {
		this.method = method;
		const log = this.vslLog;
		log.hold(callRecord(method));
		let action: Action;
		try {
			action = this.vcl.loaded.subs[method](this);
		} catch (error) {
			const message =
				error instanceof VclFailure
					? error.message
					: `internal error: ${error instanceof Error ? error.stack : error}`;
			action = { kind: "fail", message };
		}
		if (action.kind === "fail") {
			if (action.message !== "") log.add(Tag.VCL_Error, action.message);
			this.engine.count(Main.vcl_fail);
		}
		// Most subs log nothing: call and return are one piece then.
		if (log.holding) log.replaceHeld(callAndReturnRecord(method, action.kind));
		else log.addText(returnRecord(action.kind));
		return action;
	}

	log(tag: LogTag, text: string): void {
		this.vslLog.add(Tag[tag], text);
	}

	hashData(_text: string): void {}

	ban(expression: string): string | null {
		const parsed = parseBan(banWords(expression));
		if (!parsed.ok) return parsed.message;
		this.engine.publishBan(parsed.tests, parsed.text, this.engine.now());
		return null;
	}

	timestamp(label: string): void {
		this.vslLog.timestamp(label, this.engine.now());
	}

	rollback(_message: RequestMessage): void {}

	cacheRequestBody(_sizeBytes: number): boolean {
		return false;
	}

	late100Continue(_late: boolean): void {}

	purge(_ttlSeconds: number, _graceSeconds: number, _keepSeconds: number): number {
		return 0;
	}

	wait(request: WaitRequest): void {
		switch (request.kind) {
			case "sleep":
				Bun.sleepSync(request.durationSeconds * 1000);
				return;
			case "barrier":
				syncBarrier(request.address, request.timeoutSeconds);
		}
	}
}

/** SHA-256 of what vcl_hash fed, as a byte string. */
export function hashOf(key: string): string {
	return createHash("sha256").update(Buffer.from(key, "latin1")).digest().toString("latin1");
}
