/**
 * A backend: where it is, its connections, its health. What VCL calls a director of one.
 *
 * Idle connections are kept for reuse (idle-pool.ts). A connection that a backend closes or writes to while idle is
 * dropped. An address that refused is held down for a moment, so that a dead backend costs its
 * clients no connect time out each.
 */
import type { Socket } from "bun";
import { EADDRNOTAVAIL, ECONNREFUSED, ENETUNREACH, ETIMEDOUT } from "../../kernel/errno.ts";
import { allocateBytes, type ByteBuffer, copyOf } from "../http/bytes.ts";
import { flat } from "../http/headers.ts";
import { formatProxyHeader } from "../http/proxy.ts";
import type { AdminHealth, BackendDefinition, Connection, Director, VclContext } from "../vcl/runtime.ts";
import { BackendTlsSettings, startTls } from "./backend-tls.ts";
import { type DialTarget, dial, errnoText } from "./dial.ts";
import { onHandlerFault } from "./handler-fault.ts";
import type { IdlePool, IdlePools } from "./idle-pool.ts";
import { TimeLimit } from "./time-limit.ts";

/** Connections open at once per backend, whatever VCL says. */
const CONNECTION_LIMIT = 10_000;

const EACCES = 13;
const EPERM = 1;
const EMFILE = 24;

/** The counter that varnishd has for that errno. */
function failFigure(errno: number): keyof BackendFigures {
	switch (errno) {
		case EACCES:
		case EPERM:
			return "failAccess";
		case EADDRNOTAVAIL:
			return "failNoAddress";
		case ECONNREFUSED:
			return "failRefused";
		case ENETUNREACH:
			return "failUnreachable";
		case ETIMEDOUT:
			return "failTimeout";
		default:
			return "failOther";
	}
}

const inert = { data: () => {}, drain: () => {}, close: () => {}, end: () => {}, error: () => {} };

export interface BackendUser {
	/** The client on whose behalf it asks. */
	readonly connection: Connection;
	/** Ready to be written to. `reused`: it served another request before. */
	onOpen(connection: BackendConnection, reused: boolean): void;
	onData(bytes: ByteBuffer): void;
	onDrain(): void;
	/** The backend closed its side, or the connection failed. */
	onClose(): void;
	/** No connection could be had. */
	onFail(reason: string): void;
	/** A limit() has passed. */
	onLate(reason: string): void;
}

/** Why a connection to a backend was closed: varnishd's reasons, with its words. */
const closeWords = {
	REM_CLOSE: "Client Closed",
	RX_BAD: "Received bad req/resp",
	RX_BODY: "Failure receiving req.body",
	RX_JUNK: "Received junk data",
	RX_OVERFLOW: "Received buffer overflow",
	RX_TIMEOUT: "Receive timeout",
	TX_PIPE: "Piped transaction",
	TX_ERROR: "Error transaction",
	RESP_CLOSE: "Backend/VCL requested close",
	OVERLOAD: "Out of some resource",
} as const;

export type BackendCloseReason = keyof typeof closeWords;

/** BackendClose of a connection that does not go on. */
export const closeText = ({ fd, backend }: BackendConnection, reason: BackendCloseReason) =>
	`${fd} ${backend.name} close ${closeWords[reason]}`;

/** FetchError where the request has no backend, or a director that gives none. */
export const noBackend = (asked: Director | null | undefined) =>
	asked === null || asked === undefined || asked instanceof Backend
		? "No backend"
		: `Director ${asked.name} returned no backend`;

export interface BackendFigures {
	happy: number;
	conn: number;
	req: number;
	unhealthy: number;
	busy: number;
	fail: number;
	failAccess: number;
	failNoAddress: number;
	failRefused: number;
	failUnreachable: number;
	failTimeout: number;
	failOther: number;
	helddown: number;
	bereqHeader: number;
	bereqBody: number;
	berespHeader: number;
	berespBody: number;
	pipeHeader: number;
	pipeOut: number;
	pipeIn: number;
}

const noFigures = (): BackendFigures => ({
	happy: 0,
	conn: 0,
	req: 0,
	unhealthy: 0,
	busy: 0,
	fail: 0,
	failAccess: 0,
	failNoAddress: 0,
	failRefused: 0,
	failUnreachable: 0,
	failTimeout: 0,
	failOther: 0,
	helddown: 0,
	bereqHeader: 0,
	bereqBody: 0,
	berespHeader: 0,
	berespBody: 0,
	pipeHeader: 0,
	pipeOut: 0,
	pipeIn: 0,
});

/** Requests are put together here: a request's head is written in one go. */
const outgoing = allocateBytes(64 * 1024);

export class BackendConnection {
	/** Whom it serves, or served last. */
	backend: Backend;
	readonly pool: IdlePool<BackendConnection>;
	socket: Socket<BackendConnection> | undefined;
	user: BackendUser | undefined;
	requests = 0;
	idleSince = 0;
	fd = -1;
	#waiting: Uint8Array[] = [];
	waitingBytes = 0;
	#saidAll = false;
	closed = false;
	readonly #limit = new TimeLimit(() => this.user?.onLate(this.#limitReason));
	#limitReason = "";

	constructor(backend: Backend) {
		this.backend = backend;
		this.pool = backend.pool;
	}

	#reuseText: string | undefined;

	/** Goes on for another request, of that backend. */
	reuse(backend: Backend, user: BackendUser): void {
		if (backend !== this.backend) this.#reuseText = undefined;
		this.backend = backend;
		this.user = user;
		this.requests++;
	}

	/** BackendOpen: both ends of the connection. */
	openText(reused: boolean): string {
		if (reused && this.#reuseText !== undefined) return this.#reuseText;
		const { host, port } = this.backend.address;
		const local = this.backend.definition.endpoint.kind === "unix" ? "0.0.0.0 0" : this.#localEnd;
		const text = `${this.fd} ${this.backend.name} ${host} ${port} ${local} `;
		if (!reused) return `${text}connect`;
		this.#reuseText = flat(`${text}reuse`);
		return this.#reuseText;
	}

	get #localEnd(): string {
		const { localAddress = "0.0.0.0", localPort = 0 } = (this.socket ?? {}) as {
			localAddress?: string;
			localPort?: number;
		};
		return `${localAddress} ${localPort}`;
	}

	/** Its user hears of it when nothing sets another limit within `seconds`; 0 or less: no limit. */
	limit(seconds: number, reason: string): void {
		this.#limitReason = reason;
		this.#limit.set(seconds);
	}

	unlimit(): void {
		this.#limit.lift();
	}

	/** Sends a text of one byte per character. */
	writeText(text: string): void {
		if (this.#waiting.length > 0 || this.socket === undefined || text.length > outgoing.length) {
			this.write(Buffer.from(text, "latin1"));
			return;
		}
		const length = outgoing.latin1Write(text, 0);
		const written = this.closed ? length : Math.max(0, this.socket.write(outgoing, 0, length));
		if (written < length) this.#wait(copyOf(outgoing.subarray(written, length)));
	}

	#wait(bytes: Uint8Array): void {
		this.#waiting.push(bytes);
		this.waitingBytes += bytes.length;
	}

	/** Sends bytes; what the kernel does not take waits in order. The caller must not change them afterwards. */
	write(bytes: Uint8Array): void {
		if (this.closed || this.socket === undefined || bytes.length === 0) return;
		if (this.#waiting.length === 0) {
			const written = Math.max(0, this.socket.write(bytes));
			if (written < bytes.length) this.#wait(bytes.subarray(written));
			return;
		}
		this.#wait(bytes);
	}

	drain(): void {
		while (this.#waiting.length > 0 && this.socket !== undefined) {
			const next = this.#waiting[0]!;
			const written = Math.max(0, this.socket.write(next));
			this.waitingBytes -= written;
			if (written < next.length) {
				this.#waiting[0] = next.subarray(written);
				return;
			}
			this.#waiting.shift();
		}
		if (this.#saidAll) this.shutdown();
		this.user?.onDrain();
	}

	close(): void {
		this.user = undefined;
		this.#limit.end();
		if (this.closed) return;
		this.closed = true;
		this.socket?.end();
		this.socket?.terminate();
	}

	/** Half-close: tells the backend, behind what waits, that no more will come. */
	shutdown(): void {
		this.#saidAll = true;
		if (!this.closed && this.#waiting.length === 0) this.socket?.shutdown();
	}
}

export class Backend implements Director {
	readonly name: string;
	/** "vcl.backend", as logs and the CLI show it. */
	readonly fullName: string;
	readonly definition: BackendDefinition;
	readonly figures: BackendFigures = noFigures();
	admin: AdminHealth = "auto";
	/** What the probe found; true without one. */
	probeHealthy = true;
	changedAt: number;
	readonly pool: IdlePool<BackendConnection>;
	#heldUntilMs = 0;
	/** Connections that are being made. */
	#dialling = 0;
	readonly #tls: BackendTlsSettings | undefined;

	constructor(
		vclName: string,
		definition: BackendDefinition,
		now: number,
		pools: IdlePools<BackendConnection>,
	) {
		this.name = definition.name;
		this.fullName = `${vclName}.${definition.name}`;
		this.definition = definition;
		this.pool = pools.use(definition);
		this.changedAt = now;
		if (definition.tls !== null) this.#tls = new BackendTlsSettings(definition, definition.tls);
	}

	resolve(_context: VclContext | null): Director | null {
		return this.definition.endpoint.kind === "none" ? null : this;
	}

	healthy(_context: VclContext | null): boolean {
		if (this.definition.endpoint.kind === "none") return false;
		return this.admin === "auto" ? this.probeHealthy : this.admin === "healthy";
	}

	/** "addr" and port that a connection goes to, for the log. */
	get address(): { readonly host: string; readonly port: string } {
		const { endpoint } = this.definition;
		if (endpoint.kind === "tcp") return { host: endpoint.addresses[0] ?? endpoint.host, port: endpoint.port };
		if (endpoint.kind === "unix") return { host: "0.0.0.0", port: "0" };
		return { host: "none", port: "0" };
	}

	/**
	 * Finds or opens a connection; exactly one of `onOpen` and `onFail` is called, perhaps before this returns.
	 * `fresh` asks for a new one (after a reused one turned out dead). Returns what cancels the attempt.
	 */
	connect(user: BackendUser, timeoutSeconds: number, holddownSeconds: number, fresh = false): () => void {
		const { maxConnections, proxyHeader } = this.definition;
		const limit = maxConnections > 0 ? maxConnections : CONNECTION_LIMIT;
		if (this.figures.conn + this.#dialling >= limit) {
			this.figures.busy++;
			user.onFail(`backend ${this.name}: busy`);
			return () => {};
		}
		const idle = fresh || proxyHeader !== 0 ? undefined : this.pool.take();
		if (idle !== undefined) {
			idle.reuse(this, user);
			this.figures.conn++;
			user.onOpen(idle, true);
			return () => {};
		}
		if (performance.now() < this.#heldUntilMs) {
			this.figures.helddown++;
			user.onFail(`backend ${this.name}: held down`);
			return () => {};
		}
		return this.#dial(user, timeoutSeconds, holddownSeconds);
	}

	#dial(user: BackendUser, timeoutSeconds: number, holddownSeconds: number): () => void {
		const { endpoint } = this.definition;
		if (endpoint.kind === "none") {
			user.onFail("No backend");
			return () => {};
		}
		const connection = new BackendConnection(this);
		let settled = false;
		this.#dialling++;
		const settle = () => {
			settled = true;
			clearTimeout(timer);
			this.#dialling--;
		};
		const fail = (reason: string) => {
			if (settled) return;
			settle();
			this.figures.fail++;
			user.onFail(reason);
		};
		let giveUp = () => {};
		const failWith = (errno: number) => {
			if (settled) return;
			if (errno !== ETIMEDOUT) this.#heldUntilMs = performance.now() + holddownSeconds * 1000;
			this.figures[failFigure(errno)]++;
			fail(`backend ${this.name}: fail ${errnoText(errno)}`);
		};
		const timer = setTimeout(() => {
			giveUp();
			failWith(ETIMEDOUT);
			connection.close();
		}, timeoutSeconds * 1000);
		const opened = (socket: Socket<BackendConnection>) => {
			connection.socket = socket;
			if (settled) {
				socket.terminate();
				return;
			}
			settle();
			connection.user = user;
			connection.requests = 1;
			this.figures.conn++;
			user.onOpen(connection, false);
		};
		const handlers = {
			data: (_socket: Socket<BackendConnection>, bytes: Buffer) => {
				if (connection.user !== undefined) connection.user.onData(bytes as unknown as ByteBuffer);
				else {
					connection.pool.forget(connection);
					connection.close();
				}
			},
			drain: () => connection.drain(),
			close: () => {
				const { closed: was, user: last } = connection;
				connection.closed = true;
				connection.close();
				connection.pool.forget(connection);
				if (!was && settled) last?.onClose();
			},
			end: () => {
				// The backend has said all it will; a half-open connection is of no use here.
				const { user: last } = connection;
				connection.user = undefined;
				last?.onClose();
				connection.close();
			},
			error: onHandlerFault,
		};
		const tls = this.#tls;
		const open = (socket: Socket<BackendConnection>) => {
			socket.setNoDelay(true);
			// What goes in front of TLS is small enough for an empty socket buffer.
			const greeting = this.#greeting(user);
			if (greeting.length > 0) socket.write(greeting);
			if (tls === undefined || settled) {
				opened(socket);
				return;
			}
			connection.socket = startTls(socket, tls, connection, handlers, (result) => {
				if (result.kind === "open") {
					opened(result.socket);
					return;
				}
				if (settled) return;
				this.figures.failOther++;
				fail(`backend ${this.name}: TLS: ${result.reason}`);
			});
		};
		const target: DialTarget =
			endpoint.kind === "unix"
				? { kind: "unix", path: endpoint.path }
				: {
						kind: "tcp",
						address: endpoint.addresses[0] ?? endpoint.host,
						port: Number(endpoint.port),
					};
		giveUp = dial(target, (dialled) => {
			if (dialled.kind === "failed") {
				failWith(dialled.errno);
				return;
			}
			connection.fd = dialled.fd;
			Bun.connect<BackendConnection>({
				fd: dialled.fd,
				data: connection,
				// Under TLS the bytes of this socket are nobody's business.
				socket: tls === undefined ? { ...handlers, open } : { ...inert, open },
			} as never).catch((error: { errno?: number }) => failWith(Math.abs(error.errno ?? EMFILE)));
		});
		return () => {
			if (settled) return;
			settle();
			giveUp();
			connection.close();
		};
	}

	/** What a new connection begins with: the preamble, then who the client is. */
	#greeting(user: BackendUser): Uint8Array {
		const { preamble, proxyHeader } = this.definition;
		const first = Buffer.from(preamble ?? "", "latin1");
		if (proxyHeader === 0) return first;
		const { clientIp, serverIp } = user.connection;
		return Buffer.concat([first, formatProxyHeader(proxyHeader, clientIp, serverIp)]);
	}

	/** Takes a connection back for reuse; true when it was kept. */
	recycle(connection: BackendConnection, nowSeconds: number): boolean {
		this.figures.conn--;
		connection.user = undefined;
		connection.unlimit();
		connection.idleSince = nowSeconds;
		if (!connection.closed && this.definition.proxyHeader === 0 && this.pool.put(connection)) return true;
		connection.close();
		return false;
	}

	/** Closes a connection that was in use. */
	discard(connection: BackendConnection): void {
		this.figures.conn--;
		connection.close();
	}
}
