/**
 * What compiled VCL and the HTTP engine say to each other. Types, and the one error class both know.
 *
 * All text is a *byte string*: one JavaScript character per byte (latin1), as the bytes came from the wire.
 * Null means "not set" (VCL's NULL string). Times are seconds since 1970 with a fraction; durations are seconds.
 *
 * The engine calls `loaded.subs.vcl_recv(context)` and acts on the `Action` that comes back. A compiled sub never
 * waits and throws nothing but `VclFailure`. Only in a program that uses vtc.sleep or vtc.barrier_sync (test helpers),
 * subs are generators: they yield what they wait for, and go on when they are asked for their next step.
 */

/** A VCL failure (reference §6.4): the client side answers 503 through vcl_synth, the backend side fails the fetch. */
export class VclFailure extends Error {
	override readonly name = "VclFailure";
}

/** VCL's IP. `bytes` has 4 or 16 bytes; a Unix socket is 0.0.0.0 port 0. */
export interface IpAddress {
	readonly text: string;
	readonly port: number;
	readonly bytes: Uint8Array;
}

/** Where a sub may hand its task over. Tags are VCL's own action names. */
export type Action =
	| { readonly kind: "abandon" }
	| { readonly kind: "deliver" }
	/** `reason` null: the standard phrase of the status. Status is the VCL value; the wire carries `status % 1000`. */
	| { readonly kind: "error"; readonly status: number; readonly reason: string | null }
	| { readonly kind: "fail"; readonly message: string }
	| { readonly kind: "fetch" }
	| { readonly kind: "hash" }
	| { readonly kind: "lookup" }
	| { readonly kind: "ok" }
	/** From vcl_backend_response: hit-for-pass for `durationSeconds`; null = for beresp.ttl. Elsewhere always null. */
	| { readonly kind: "pass"; readonly durationSeconds: number | null }
	| { readonly kind: "pipe" }
	| { readonly kind: "purge" }
	| { readonly kind: "restart" }
	| { readonly kind: "retry" }
	| { readonly kind: "synth"; readonly status: number; readonly reason: string | null }
	| { readonly kind: "vcl"; readonly label: string };

export type ActionKind = Action["kind"];

/**
 * The header fields of one message. Names come twice where the engine stores a field: as written in the VCL, and in
 * lower case for the look-up. Both are constants of the compiled program, so comparing them is comparing pointers.
 */
export interface HeaderFields {
	/** The first field of that name, without surrounding white space; null when there is none. */
	header(lowerName: string): string | null;
	/** Replaces every field of that name by one. The compiled code has checked `value` (no CR, LF, NUL …). */
	setHeader(lowerName: string, name: string, value: string): void;
	/** The same with the whole line, "Name: value", where it is a constant of the program. */
	setLine(lowerName: string, line: string): void;
	/** Adds a field after those that are there (vmod header). */
	appendHeader(lowerName: string, name: string, value: string): void;
	/** Removes every field of that name. */
	unsetHeader(lowerName: string): void;
	/** std.collect(): joins every field of that name into the first one. */
	collectHeader(lowerName: string, separator: string): void;
	/** All fields in order, as stored (used by vmods, not by the hot path). */
	headerList(): readonly { readonly name: string; readonly value: string }[];
}

export interface RequestMessage extends HeaderFields {
	method: string;
	url: string;
	proto: string;
}

export interface ResponseMessage extends HeaderFields {
	/** Setting it also sets `reason` to the standard phrase; compiled code does that by `setStatus`. */
	readonly status: number;
	setStatus(status: number): void;
	reason: string;
	proto: string;
}

/** `req` (and `req_top`, which has the same shape and is read only). */
export interface ClientRequest extends RequestMessage {
	/** Undefined: not chosen yet, which means the default backend; compiled code reads it as that. Null: none. */
	backendHint: Director | null | undefined;
	/** The request's Accept-Encoding admits gzip. */
	readonly canGzip: boolean;
	esi: boolean;
	readonly esiLevel: number;
	/** Seconds; -1 = no cap. */
	grace: number;
	/** Seconds; -1 = no cap. */
	ttl: number;
	/** SHA-256 of what vcl_hash fed, 32 bytes as a byte string. */
	readonly hash: string;
	hashAlwaysMiss: boolean;
	hashIgnoreBusy: boolean;
	hashIgnoreVary: boolean;
	readonly isHitmiss: boolean;
	readonly isHitpass: boolean;
	readonly restarts: number;
	storage: Stevedore | null;
	readonly time: number;
	/** "HTTP/1" */
	readonly transport: string;
	/** Decimal VXID. */
	readonly xid: string;
}

export interface BackendRequest extends RequestMessage {
	/** As `backendHint`. */
	backend: Director | null | undefined;
	betweenBytesTimeout: number;
	connectTimeout: number;
	firstByteTimeout: number;
	readonly hash: string;
	readonly isBgfetch: boolean;
	readonly isHitmiss: boolean;
	readonly isHitpass: boolean;
	readonly retries: number;
	readonly time: number;
	readonly uncacheable: boolean;
	readonly xid: string;
	/** `unset bereq.body`: also drops Content-Length. */
	unsetBody(): void;
}

export interface BackendResponse extends ResponseMessage {
	readonly age: number;
	readonly backend: Director | null;
	/** Address the fetch used (VCL 4.0 only). */
	readonly backendIp: IpAddress | null;
	doEsi: boolean;
	doGunzip: boolean;
	doGzip: boolean;
	doStream: boolean;
	filters: string;
	/** The compiled code never sets a negative lifetime: it clamps to 0. Setting one logs the TTL record. */
	ttl: number;
	grace: number;
	keep: number;
	storage: Stevedore | null;
	/** The storage as text (VCL 4.0 only). */
	readonly storageHint: string | null;
	readonly time: number;
	/** Can only become true. */
	uncacheable: boolean;
	readonly was304: boolean;
	/** vcl_backend_error: the body of the made-up answer. */
	setBody(text: string): void;
	addBody(text: string): void;
}

export interface ClientResponse extends ResponseMessage {
	doEsi: boolean;
	filters: string;
	readonly isStreaming: boolean;
	readonly time: number;
	/** vcl_synth: the body of the made-up answer. */
	setBody(text: string): void;
	addBody(text: string): void;
}

/** The object that was hit (vcl_hit, partly vcl_deliver). Read only. */
export interface CachedObject {
	header(lowerName: string): string | null;
	readonly age: number;
	readonly canEsi: boolean;
	readonly grace: number;
	readonly hits: number;
	readonly keep: number;
	readonly proto: string;
	readonly reason: string;
	readonly status: number;
	readonly storage: Stevedore | null;
	readonly time: number;
	/** Remaining; negative in grace. */
	readonly ttl: number;
	readonly uncacheable: boolean;
}

export interface Session {
	idleSendTimeout: number;
	sendTimeout: number;
	timeoutIdle: number;
	timeoutLinger: number;
	readonly xid: string;
	/** Remembered per session; the engine applies it to the socket. */
	setIpTos(tos: number): void;
}

/** TLV attributes of a PROXY v2 header; null where the header had none. */
export interface ProxyAttributes {
	readonly alpn: string | null;
	readonly authority: string | null;
	readonly ssl: {
		/** Bits of PP2_CLIENT_*: 1 ssl, 2 certificate on this connection, 4 certificate in this session. */
		readonly client: number;
		readonly verify: number;
		readonly version: string | null;
		readonly commonName: string | null;
		readonly cipher: string | null;
		readonly signatureAlgorithm: string | null;
		readonly keyAlgorithm: string | null;
	} | null;
}

export interface Connection {
	/** Defaults to the text of clientIp; settable from VCL. */
	identity: string;
	readonly clientIp: IpAddress;
	readonly serverIp: IpAddress;
	readonly remoteIp: IpAddress;
	readonly localIp: IpAddress;
	/** Text of the -a argument. */
	readonly endpoint: string;
	/** Name of the -a argument (a0 …). */
	readonly socket: string;
	readonly proxy: ProxyAttributes | null;
	/** Peer credentials of a Unix socket; null on TCP. */
	readonly credentials: {
		readonly uid: number;
		readonly gid: number;
		readonly user: string;
		readonly group: string;
	} | null;
}

export interface Stevedore {
	readonly name: string;
	readonly freeSpaceBytes: number;
	readonly usedSpaceBytes: number;
	readonly happy: boolean;
}

/**
 * A backend, or something that picks one (a VCL BACKEND value). Directors of vmod_directors implement it in
 * `vmods/directors.ts`; plain backends are implemented by the engine.
 */
export interface Director {
	/** The name in VCL, e.g. "default" or "rr". */
	readonly name: string;
	/** The backend to use now, or null ("No backend"). A plain backend returns itself. */
	resolve(context: VclContext | null): Director | null;
	/** Probe and administrative state. */
	healthy(context: VclContext | null): boolean;
	/** Time of the last change of the health, seconds since 1970 (shard's rampup). */
	readonly changedAt: number;
	/** Defined for plain backends only. */
	readonly definition: BackendDefinition | null;
}

export type AdminHealth = "auto" | "healthy" | "sick";

/** What the operator is told of a director, and may say of it (backend.list, backend.set_health). */
export interface NamedDirector extends Director {
	/** The operator's word, which goes before what its members are. */
	admin: AdminHealth;
	adminChangedAt: number;
	report(): DirectorReport;
}

export interface DirectorReport {
	readonly type: string;
	/** How many members are well, and how many there are; null: it does not say. */
	readonly members: readonly [well: number, all: number] | null;
	readonly healthy: boolean;
	/** Seconds since 1970; 0: never. */
	readonly changedAt: number;
	/** A heading and a row for each member. */
	readonly table: readonly (readonly string[])[];
	/** The same for programs. */
	readonly figures: Readonly<Record<string, unknown>>;
}

/** Per-task context. One object per client request and one per fetch; members of the other side are undefined there. */
export interface VclContext {
	readonly req: ClientRequest;
	readonly reqTop: ClientRequest;
	readonly bereq: BackendRequest;
	readonly beresp: BackendResponse;
	readonly resp: ClientResponse;
	readonly obj: CachedObject;
	readonly connection: Connection;
	readonly session: Session;
	/** Wall clock at the start of the current method, seconds. The engine sets it before each method. */
	readonly now: number;
	/** The running sub's method, for vmods that may run in some only. The engine sets it before each method. */
	readonly method: MethodName;
	/** Set by compiled code that used something which differs from one run to the next (steady.ts). */
	varied: boolean;
	/** Set by compiled code that used something of this URL or object which the next one may not have (steady.ts). */
	particular: boolean;
	/** Raised by compiled code that compared obj.hits with constants: any larger number of hits compares alike. */
	hitsBound: number;
	/** Restrictions of the active VCL: state of vmods for the length of the task (PRIV_TASK), keyed by vmod or object. */
	readonly taskState: Map<object, unknown>;
	/** VCL_Log, VCL_Error, VCL_acl, Timestamp, Debug …; the text is a byte string. */
	log(tag: LogTag, text: string): void;
	/** vcl_hash: feeds text and then one NUL byte. Null feeds as the empty string. */
	hashData(text: string): void;
	/** The same with req.url as it is. */
	hashUrl(): void;
	/** Adds a ban; returns the error text, null when it was accepted. */
	ban(expression: string): string | null;
	/** std.timestamp(): logs a Timestamp record with that label. */
	timestamp(label: string): void;
	/** std.rollback(): back to the message as received. */
	rollback(message: RequestMessage): void;
	/** std.cache_req_body(): says whether the body (if any) fits, at once or when all of it has come. */
	cacheRequestBody(sizeBytes: number, done: (fits: boolean) => void): void;
	/** std.late_100_continue() */
	late100Continue(late: boolean): void;
	/** purge.hard()/purge.soft() in vcl_hit and vcl_miss; negative = leave as it is. Returns the number of objects. */
	purge(ttlSeconds: number, graceSeconds: number, keepSeconds: number): number;
	/**
	 * xkey.purge(), xkey.softpurge(): every object that was stored with one of these tags (separated by blanks or
	 * commas) goes, or only ends its lifetime when `soft`. Others are served meanwhile.
	 */
	purgeTags(keys: string, soft: boolean): WaitRequest;
}

export type WaitRequest =
	| { readonly kind: "sleep"; readonly durationSeconds: number }
	| { readonly kind: "barrier"; readonly address: string; readonly timeoutSeconds: number }
	| { readonly kind: "request-body"; gather(done: (fits: boolean) => void): void }
	| { readonly kind: "tag-purge"; begin(done: (objects: number) => void): void; atOnce(): number };

/** What a program gets that has waited. */
export type Granted = boolean | number | undefined;

export type LogTag =
	| "Debug"
	| "Error"
	| "VCL_Error"
	| "VCL_Log"
	| "VCL_acl"
	| "VCL_Error"
	| "Timestamp"
	| "Notice";

export type MethodName =
	| "vcl_recv"
	| "vcl_pipe"
	| "vcl_pass"
	| "vcl_hash"
	| "vcl_purge"
	| "vcl_miss"
	| "vcl_hit"
	| "vcl_deliver"
	| "vcl_synth"
	| "vcl_backend_fetch"
	| "vcl_backend_response"
	| "vcl_backend_error"
	| "vcl_init"
	| "vcl_fini";

/** `probe` (reference §7.2), defaults filled in. */
export interface ProbeDefinition {
	/** Null for a probe written inline in a backend. */
	readonly name: string | null;
	/** Null when `request` is given. */
	readonly url: string | null;
	/** The whole request with CRLFs; null when `url` is used. */
	readonly request: string | null;
	readonly expectedStatus: number;
	readonly timeoutSeconds: number;
	readonly intervalSeconds: number;
	readonly window: number;
	readonly threshold: number;
	readonly initial: number;
}

/** `backend` (reference §7.1). A timeout of null takes the parameter of that name. */
export interface BackendDefinition {
	readonly name: string;
	readonly endpoint:
		| { readonly kind: "none" }
		/** `host` as written; `addresses` the resolved literals (at most one of each family; empty: resolve later). */
		| {
				readonly kind: "tcp";
				readonly host: string;
				readonly port: string;
				readonly addresses: readonly string[];
		  }
		| { readonly kind: "unix"; readonly path: string };
	readonly hostHeader: string;
	readonly connectTimeoutSeconds: number | null;
	readonly firstByteTimeoutSeconds: number | null;
	readonly betweenBytesTimeoutSeconds: number | null;
	/** 0 = unlimited. */
	readonly maxConnections: number;
	readonly proxyHeader: 0 | 1 | 2;
	/** Null: plain text. */
	readonly tls: BackendTls | null;
	/** Byte string sent first on each new connection; null = none. */
	readonly preamble: string | null;
	readonly probe: ProbeDefinition | null;
}

/** TLS to a backend, the extension `.ssl` and what goes with it. */
export interface BackendTls {
	/** Say the name that is wanted (RFC 6066 §3), unless it is an address. */
	readonly sni: boolean;
	/** The certificate must come from an authority that is trusted. */
	readonly verifyPeer: boolean;
	/** The certificate must be for the name that is wanted (RFC 9110 §4.3.4). */
	readonly verifyHost: boolean;
	/** PEM file of the authorities that are trusted; null = the well-known ones. */
	readonly authorities: string | null;
}

/** What the process gives to a VCL that is being loaded. */
export interface VclHost {
	/** Makes (or finds) the backend of that definition. */
	backend(definition: BackendDefinition): Director;
	stevedore(name: string): Stevedore | null;
	/** `-i` value. */
	readonly identity: string;
	readonly hostname: string;
	/** std.fileread and std.blobread: the file's bytes, or null with a VCL failure. */
	readFile(path: string): string | null;
	fileExists(path: string): boolean;
	getenv(name: string): string | null;
	syslog(priority: number, text: string): void;
	/** std.ip() with a name: numeric literals need no call. Null when it does not resolve (or never resolves names). */
	resolveName(name: string, port: string): IpAddress | null;
	/** A number in [0, 1). */
	random(): number;
	/** Seconds since 1970, for objects that keep time outside a task (shard). */
	clock(): number;
	/** vcl_init/vcl_fini output: VCL_Log and VCL_Error of the CLI. */
	log(tag: LogTag, text: string): void;
}

export type TaskSub = (context: VclContext) => Action;
export type WaitingSub = (context: VclContext) => Generator<WaitRequest, Action, Granted>;

/** Every method but the house-keeping ones. */
export type Subs = { readonly [Name in Exclude<MethodName, "vcl_init" | "vcl_fini">]: TaskSub };

export type WaitingSubs = { readonly [Name in keyof Subs]: WaitingSub };

/** A VCL that is ready to run. */
export interface LoadedVcl {
	/** 40 or 41. */
	readonly syntax: number;
	readonly subs: Subs;
	/** The same for a program that waits; then `subs` must not be called. Null for all others. */
	readonly waitingSubs: WaitingSubs | null;
	/** What the program finds when it asks its questions of req.url: URLs of one shape take the same way through it. */
	readonly urlShape: (url: string) => number;
	/** Lower-case names of the fields of answers that it reads or changes on the way to a client. */
	readonly answerFields: ReadonlySet<string>;
	/** Runs vcl_init. Not ok: the load is refused with that message. Call once. */
	init(): { readonly ok: true } | { readonly ok: false; readonly message: string };
	/** Runs vcl_fini. */
	fini(): void;
	/** `default`, or the first one declared; null: that one is `none`. */
	readonly defaultBackend: Director | null;
	readonly backends: ReadonlyMap<string, Director>;
	/** Objects made by `new` that are directors. Filled by init(). */
	readonly directors: ReadonlyMap<string, NamedDirector>;
}

/** An include, or the main file. Kept for vcl.show -v. */
export interface VclSource {
	readonly name: string;
	readonly text: string;
}

/** The result of compiling. Immutable; may be linked any number of times. */
export interface CompiledVcl {
	/** 40 or 41. */
	readonly syntax: number;
	/** The generated JavaScript. */
	readonly code: string;
	/** Main file first, then the built-in, then includes in order of appearance. */
	readonly sources: readonly VclSource[];
	readonly backends: readonly BackendDefinition[];
	readonly defaultBackend: string;
	readonly probes: readonly ProbeDefinition[];
	readonly acls: readonly string[];
	/** Labels that `return (vcl(label))` names. */
	readonly labels: readonly string[];
	readonly vmods: readonly string[];
	/** Warning blocks in Varnish's shape, empty when there are none. */
	readonly warnings: string;
	link(host: VclHost): LoadedVcl;
}
