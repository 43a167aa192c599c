/** What VCL sees of a client's request: req, resp and obj; and the header block with X-Forwarded-For in it. */
import { FieldList, flat } from "../http/headers.ts";
import type { RequestHead, RequestFields as RequestHeaderFields } from "../http/request.ts";
import { record, records } from "../log/records.ts";
import { Tag } from "../log/tags.ts";
import type { TransactionLog } from "../log/transaction-log.ts";
import {
	type CachedObject,
	type ClientRequest,
	type ClientResponse,
	type Director,
	type Stevedore,
	VclFailure,
} from "../vcl/runtime.ts";
import type { Answer } from "./answer.ts";
import type { Engine } from "./engine.ts";
import { RequestFields, ResponseFields, reqTags } from "./messages.ts";
import { hashOf } from "./task.ts";

/** What req asks of the task that it belongs to. */
interface RequestTask {
	readonly vslLog: TransactionLog;
	readonly key: string;
	readonly restarts: number;
	readonly startedAt: number;
	readonly xid: number;
	readonly esiLevel: number;
}

/** What a header block turns into once X-Forwarded-For is in it; the same for the next request of that client. */
export interface Forwarded {
	readonly ip: string;
	readonly lines: string[];
	readonly keys: string[];
	readonly logText: string;
	/** The same with Accept-Encoding as the cache wants it, and the records of that change. */
	readonly normalised: { readonly lines: string[]; readonly keys: string[]; readonly logText: string };
}
let forwarded = new WeakMap<RequestHeaderFields, Forwarded>();

/** Records are made otherwise from now on (vsl_mask, vsl_reclen). */
export function forgetForwarded(): void {
	forwarded = new WeakMap();
}

export function withForwardedFor(fields: RequestHeaderFields, ip: string): Forwarded {
	const known = forwarded.get(fields);
	if (known !== undefined && known.ip === ip) return known;
	const list = new FieldList(fields.lines, fields.keys);
	// It is for this hop, and has been taken off before anything is logged of the request.
	list.unset("expect");
	let logText = records(Tag.ReqHeader, list.lines);
	const old = list.joined("x-forwarded-for");
	if (old !== undefined) {
		for (let index = 0; index < list.keys.length; index++)
			if (list.keys[index] === "x-forwarded-for") logText += record(Tag.ReqUnset, list.lines[index]!);
		list.unset("x-forwarded-for");
	}
	const value = old === undefined || old === "" ? ip : `${old}, ${ip}`;
	list.append("X-Forwarded-For", value);
	logText += record(Tag.ReqHeader, `X-Forwarded-For: ${value}`);
	list.collect("cache-control");
	const changed = list.copy();
	let changeText = "";
	const encoding = list.get("accept-encoding");
	if (encoding !== undefined && encoding !== "gzip") {
		for (let index = 0; index < changed.keys.length; index++)
			if (changed.keys[index] === "accept-encoding")
				changeText += record(Tag.ReqUnset, changed.lines[index]!);
		changed.unset("accept-encoding");
		if (fields.canGzip) {
			changed.append("Accept-Encoding", "gzip");
			changeText += record(Tag.ReqHeader, "Accept-Encoding: gzip");
		}
	}
	const made = {
		ip,
		lines: list.lines,
		keys: list.keys,
		logText: flat(logText),
		normalised: { lines: changed.lines, keys: changed.keys, logText: flat(changeText) },
	};
	forwarded.set(fields, made);
	return made;
}

export class ClientRequestFields extends RequestFields implements ClientRequest {
	readonly #task: RequestTask;
	readonly received: RequestHeaderFields;
	backendHint: Director | null | undefined = undefined;
	canGzip: boolean;
	#esi = true;
	readonly esiLevel: number;
	grace = -1;
	ttl = -1;
	hashAlwaysMiss = false;
	hashIgnoreBusy = false;
	hashIgnoreVary = false;
	isHitmiss = false;
	isHitpass = false;
	storage: Stevedore | null = null;
	readonly transport: string;

	constructor(task: RequestTask, head: RequestHead, fields: FieldList) {
		super(head.method, head.url, head.proto, fields, task.vslLog, reqTags);
		this.#task = task;
		this.transport = head.proto === "HTTP/2.0" ? "HTTP/2" : "HTTP/1";
		this.received = head.fields;
		this.esiLevel = task.esiLevel;
		this.canGzip = head.fields.canGzip;
	}
	get esi(): boolean {
		return this.#esi;
	}
	/** It is said of what the client asked for: a part's program has no say in it, as with varnishd. */
	set esi(wanted: boolean) {
		if (this.esiLevel === 0) this.#esi = wanted;
	}
	get hash(): string {
		return hashOf(this.#task.key);
	}
	get restarts(): number {
		return this.#task.restarts;
	}
	get time(): number {
		return this.#task.startedAt;
	}
	get xid(): string {
		return String(this.#task.xid);
	}
	/** What VCL has made of the request stays in a restart. */
	takeOver(earlier: ClientRequestFields): void {
		this.restore(earlier.method, earlier.url, earlier.proto, this.fields);
		this.backendHint = earlier.backendHint;
		this.esi = earlier.esi;
		this.grace = earlier.grace;
		this.ttl = earlier.ttl;
		this.hashAlwaysMiss = earlier.hashAlwaysMiss;
		this.hashIgnoreBusy = earlier.hashIgnoreBusy;
		this.hashIgnoreVary = earlier.hashIgnoreVary;
		this.storage = earlier.storage;
	}
	rollBack(method: string, url: string, proto: string, fields: FieldList): void {
		this.restore(method, url, proto, fields);
	}
}

/** What resp.filters may name; blanks are between them. */
const KNOWN_FILTERS: readonly string[] = ["", "esi", "gunzip", "range"];

export class ClientResponseFields extends ResponseFields implements ClientResponse {
	/** What of the page's tags is done; begins as what req.esi says. */
	#doEsi = true;
	/** There are tags. */
	canEsi = false;
	/** Names of filters; undefined until VCL names some. */
	#filters: string | undefined;
	/** Those that the answer gets where VCL does not say, but for ESI. */
	usualFilters = "";
	get filters(): string {
		return this.#filters ?? `${this.canEsi && this.#doEsi ? " esi" : ""}${this.usualFilters}`;
	}
	/** What the VCL says of a filter; undefined when it does not say. */
	wantsFilter(name: "esi" | "gunzip" | "range"): boolean | undefined {
		return this.#filters?.split(" ").includes(name);
	}
	/** A filter that there is not fails the VCL. */
	set filters(names: string) {
		const unknown = names.split(" ").find((name) => !KNOWN_FILTERS.includes(name));
		if (unknown !== undefined) throw new VclFailure(`Filter '${unknown}' not found`);
		this.#filters = names;
	}
	isStreaming = false;
	time = 0;
	body: string | undefined;

	get doEsi(): boolean {
		this.#mustBeOpen();
		return this.#doEsi;
	}
	set doEsi(wanted: boolean) {
		this.#mustBeOpen();
		this.#doEsi = wanted;
	}
	/** What req.esi says, whatever filters are named. */
	followEsi(wanted: boolean): void {
		this.#doEsi = wanted;
	}
	/** Fails the VCL that has named the filters, and asks for one in another way. */
	#mustBeOpen(): void {
		if (this.#filters !== undefined)
			throw new VclFailure("resp.filters are already fixed, resp.do_esi is undefined");
	}
	/** Whether the tags of a page are followed. */
	get processesEsi(): boolean {
		return this.canEsi && (this.wantsFilter("esi") ?? this.#doEsi);
	}
	setBody(text: string): void {
		this.body = text;
	}
	addBody(text: string): void {
		this.body = (this.body ?? "") + text;
	}
}

type Lifetime = Pick<Answer, "ttl" | "grace" | "keep">;

export class HitObject implements CachedObject {
	readonly #answer: Answer;
	#lifetime: Lifetime;
	readonly #engine: Engine;
	/** What ttl and age count from: the request's beginning, in vcl_deliver its own. */
	now: number;
	readonly hits: number;

	constructor(answer: Answer, engine: Engine, now: number, hits: number) {
		this.#answer = answer;
		this.#lifetime = answer;
		this.#engine = engine;
		this.now = now;
		this.hits = hits;
	}
	/** The object of that transaction has been given another lifetime. */
	relive(vxid: number, lifetime: Lifetime): void {
		if (vxid === this.#answer.vxid) this.#lifetime = lifetime;
	}
	header(lowerName: string): string | null {
		return this.#answer.fields.get(lowerName) ?? null;
	}
	get canEsi(): boolean {
		return this.#answer.esi !== undefined;
	}
	get age(): number {
		return this.now - this.#answer.tOrigin;
	}
	get grace(): number {
		return this.#lifetime.grace;
	}
	get keep(): number {
		return this.#lifetime.keep;
	}
	get proto(): string {
		return this.#answer.proto;
	}
	get reason(): string {
		return this.#answer.reason;
	}
	get status(): number {
		return this.#answer.status;
	}
	get storage(): Stevedore | null {
		return this.#engine.storages.find((storage) => storage.name === this.#answer.storage) ?? null;
	}
	get time(): number {
		return this.#answer.tOrigin;
	}
	get ttl(): number {
		return this.#answer.tOrigin + Math.max(0, this.#lifetime.ttl) - this.now;
	}
	get uncacheable(): boolean {
		return this.#answer.uncacheable;
	}
}
