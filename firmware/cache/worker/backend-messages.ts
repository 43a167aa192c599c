/** What VCL sees of a fetch: bereq and beresp. */
import type { FieldList } from "../http/headers.ts";
import { Tag } from "../log/tags.ts";
import type { TransactionLog } from "../log/transaction-log.ts";
import { storageName } from "../vcl/format.ts";
import type { BackendRequest, BackendResponse, Director, IpAddress, Stevedore } from "../vcl/runtime.ts";
import type { Backend } from "./backend.ts";
import type { Engine } from "./engine.ts";
import type { FetchReason } from "./inflight.ts";
import { bereqTags, berespTags, RequestFields, ResponseFields } from "./messages.ts";
import { hashOf } from "./task.ts";

/** What bereq and beresp ask of the fetch that they belong to. */
interface FetchSide {
	readonly vslLog: TransactionLog;
	readonly engine: Engine;
	readonly key: string;
	readonly reason: FetchReason;
	readonly start: { readonly hitForMiss: boolean; readonly hitForPass: boolean };
	readonly retries: number;
	readonly startedAt: number;
	readonly now: number;
	readonly xid: number;
	readonly backend: Backend | undefined;
	/** Of the connection that the answer came over; null without one. */
	readonly backendIp: IpAddress | null;
	dropRequestBody(): void;
}

export class BackendRequestFields extends RequestFields implements BackendRequest {
	readonly #task: FetchSide;
	backend: Director | null | undefined = undefined;
	/** Seconds; 0 until VCL sets one: then the backend's own counts, and at last the parameter. */
	betweenBytesTimeout = 0;
	connectTimeout = 0;
	firstByteTimeout = 0;

	constructor(task: FetchSide, method: string, url: string, fields: FieldList) {
		super(method, url, "HTTP/1.1", fields, task.vslLog, bereqTags);
		this.#task = task;
	}

	get hash(): string {
		return hashOf(this.#task.key);
	}
	get isBgfetch(): boolean {
		return this.#task.reason === "bgfetch";
	}
	get isHitmiss(): boolean {
		return this.#task.start.hitForMiss;
	}
	get isHitpass(): boolean {
		return this.#task.start.hitForPass;
	}
	get retries(): number {
		return this.#task.retries;
	}
	get time(): number {
		return this.#task.startedAt;
	}
	get uncacheable(): boolean {
		return this.#task.reason === "pass";
	}
	get xid(): string {
		return String(this.#task.xid);
	}
	unsetBody(): void {
		this.#task.dropRequestBody();
		this.unsetHeader("content-length");
	}
	rollBack(method: string, url: string, proto: string, fields: FieldList): void {
		this.restore(method, url, proto, fields);
	}
}

export class BackendResponseFields extends ResponseFields implements BackendResponse {
	readonly #task: FetchSide;
	doGunzip = false;
	doGzip = false;
	doEsi = false;
	doStream = true;
	/** Names of filters; undefined until VCL names some. */
	#filters: string | undefined;
	/** Those that the answer gets where VCL does not say. */
	usualFilters = "";
	/** The VCL's choice; to begin with the one whose turn it is. */
	storage: Stevedore | null;
	get storageHint(): string | null {
		return this.storage === null ? null : storageName(this.storage);
	}
	was304 = false;
	tOrigin = 0;
	body = "";
	#ttl = 0;
	#grace = 0;
	#keep = 0;
	#uncacheable = false;
	/** The VCL has set ttl or grace. */
	lifetimeDecided = false;

	constructor(
		task: FetchSide,
		status: number,
		reason: string,
		proto: string,
		fields: FieldList,
		storage: Stevedore | null = task.reason === "pass"
			? task.engine.storages.at(-1)!
			: task.engine.nextStorage(),
	) {
		super(status, reason, proto, fields, task.vslLog, berespTags);
		this.#task = task;
		this.storage = storage;
	}

	get age(): number {
		return this.#task.now - this.tOrigin;
	}
	get backend(): Director | null {
		return this.#task.backend ?? null;
	}
	get backendIp(): IpAddress | null {
		return this.#task.backendIp;
	}
	get time(): number {
		return this.#task.now;
	}
	get uncacheable(): boolean {
		return this.#uncacheable;
	}
	set uncacheable(wanted: boolean) {
		if (!wanted && this.#uncacheable) {
			this.#task.vslLog.add(Tag.VCL_Error, "Ignoring attempt to reset beresp.uncacheable");
			return;
		}
		this.#uncacheable = wanted;
		this.#logLifetime();
	}
	/** The same where the program did not say so. */
	markUncacheable(): void {
		this.#uncacheable = true;
	}
	/** What is left of the lifetime: the age that the answer came with is spent already. */
	get ttl(): number {
		return Math.max(0, this.#ttl) - this.age;
	}
	set ttl(seconds: number) {
		this.#ttl = seconds + this.age;
		this.lifetimeDecided = true;
		this.#logLifetime();
	}
	/** The lifetime from tOrigin on, as it is stored. */
	get wholeTtl(): number {
		return this.#ttl;
	}
	get grace(): number {
		return this.#grace;
	}
	set grace(seconds: number) {
		this.#grace = seconds;
		this.lifetimeDecided = true;
		this.#logLifetime();
	}
	get keep(): number {
		return this.#keep;
	}
	set keep(seconds: number) {
		this.#keep = seconds;
		this.#logLifetime();
	}
	setLifetime(tOrigin: number, ttl: number, grace: number, keep: number): void {
		this.tOrigin = tOrigin;
		this.#ttl = ttl;
		this.#grace = grace;
		this.#keep = keep;
	}
	#logLifetime(): void {
		const kind = this.#uncacheable ? "uncacheable" : "cacheable";
		this.#task.vslLog.add(
			Tag.TTL,
			`VCL ${this.#ttl.toFixed(0)} ${this.#grace.toFixed(0)} ${this.#keep.toFixed(0)} ${this.tOrigin.toFixed(0)} ${kind}`,
		);
	}
	/** What a 304 (its own fields are logged) has made of the stored answer: its start, and the stored fields that stand. */
	logUpdate(notModified: FieldList): void {
		this.logStart();
		const { lines } = this.fields;
		for (const line of lines) if (!notModified.lines.includes(line)) this.log.add(this.tags.header, line);
	}
	get filters(): string {
		if (this.#filters !== undefined || !this.doEsi) return this.#filters ?? this.usualFilters;
		// Each with a blank before it, as varnishd lists them.
		const isPacked = this.usualFilters !== "";
		const unpacks = isPacked ? " gunzip" : "";
		const packs = this.doGzip || (isPacked && !this.doGunzip);
		return `${unpacks}${packs ? " esi_gzip" : " esi"}`;
	}
	set filters(names: string) {
		this.#filters = names;
	}
	/** The filters that VCL named, in its order; undefined when it named none. */
	get namedFilters(): readonly string[] | undefined {
		return this.#filters?.split(" ").filter((name) => name !== "");
	}
	setBody(text: string): void {
		this.body = text;
	}
	addBody(text: string): void {
		this.body += text;
	}
}
