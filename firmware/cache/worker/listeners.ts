/** The listening sockets of one worker. The kernel shares new connections out among the workers (SO_REUSEPORT). */
import { readFileSync, rmSync } from "node:fs";
import type { SocketHandler, TCPSocketListener, UnixSocketListener } from "bun";
import { type ProxyHeader, parseProxyHeader } from "../http/proxy.ts";
import { ownSocketFile } from "../listening-places.ts";
import { record, Side } from "../log/records.ts";
import { Tag } from "../log/tags.ts";
import type { ListenerOption } from "../manager/options.ts";
import type { ProxyAttributes } from "../vcl/runtime.ts";
import { Address } from "./address.ts";
import type { Engine } from "./engine.ts";
import { onHandlerFault } from "./handler-fault.ts";
import { ClientSession, type ClientSocket } from "./session.ts";

export interface ListenAddress {
	readonly name: string;
	readonly address: string;
	/** "-" for a Unix socket. */
	readonly port: string;
}

/** Milliseconds that a client may take for its PROXY header, or to shake hands. */
const GREETING_WAIT_MS = 5000;
/** ALPN's wire form of http/1.1, and of h2 before it (RFC 7301 §3.1). */
const ALPN_HTTP11 = Buffer.from("\x08http/1.1", "latin1");
const ALPN_HTTP2 = Buffer.from("\x02h2\x08http/1.1", "latin1");

interface Opened {
	/** With the port that the kernel gave. */
	readonly option: ListenerOption;
	readonly listener: TCPSocketListener<ClientSession> | UnixSocketListener<ClientSession>;
	readonly address: ListenAddress;
}

/** What a socket carries until its PROXY header is complete, or its handshake is done. */
interface Greeting {
	bytes: Buffer;
	readonly sinceMs: number;
	/** Ends the connection whose time is over. */
	late(): void;
}

export class Listeners {
	readonly #engine: Engine;
	readonly #sessions = new Set<ClientSession>();
	readonly #greetings = new Map<ClientSocket, Greeting>();
	#open: Opened[] = [];

	constructor(engine: Engine) {
		this.#engine = engine;
	}

	/** Starts to accept; the addresses come back with the ports that the kernel gave. */
	open(options: readonly ListenerOption[]): ListenAddress[] {
		for (const option of options) this.#open.push(this.#listen(option));
		return this.#open.map(({ address }) => address);
	}

	/**
	 * Accepts with the certificates that the files hold now; connections that are open keep theirs.
	 * Throws when one cannot be had: then all stay as they were.
	 */
	renewCertificates(): void {
		const fresh: Opened[] = [];
		try {
			for (const { option } of this.#open) if (option.tls !== undefined) fresh.push(this.#listen(option));
		} catch (error) {
			for (const { listener } of fresh) listener.stop();
			throw error;
		}
		for (const { option, listener } of this.#open) if (option.tls !== undefined) listener.stop();
		this.#open = [...this.#open.filter(({ option }) => option.tls === undefined), ...fresh];
	}

	/** What is offered to clients behind TLS has changed. Where a certificate cannot be read again, the old offer stands. */
	renewProtocols(): void {
		try {
			this.renewCertificates();
		} catch {}
	}

	#listen(wanted: ListenerOption): Opened {
		const option: { -readonly [Key in keyof ListenerOption]: ListenerOption[Key] } = { ...wanted };
		const socket = this.#handlers(option);
		const ALPNProtocols = this.#engine.parameters.http2 === undefined ? ALPN_HTTP11 : ALPN_HTTP2;
		const tls = option.tls === undefined ? {} : { tls: { ...readCertificate(option.tls), ALPNProtocols } };
		if (option.path !== undefined) {
			const path = option.path.startsWith("@") ? `\0${option.path.slice(1)}` : option.path;
			if (!path.startsWith("\0")) rmSync(path, { force: true });
			const listener = Bun.listen<ClientSession>({
				unix: path,
				allowHalfOpen: true,
				socket,
				...tls,
			} as never) as unknown as UnixSocketListener<ClientSession>;
			ownSocketFile(path, option);
			return { option, listener, address: { name: option.name, address: option.path, port: "-" } };
		}
		const hostname = option.host === "" ? "0.0.0.0" : option.host;
		// reusePort and allowHalfOpen are missing from the type definitions, not from Bun.
		const listener = Bun.listen<ClientSession>({
			hostname,
			port: Number(option.port),
			reusePort: true,
			allowHalfOpen: true,
			socket,
			...tls,
		} as never) as TCPSocketListener<ClientSession>;
		const port = String(listener.port);
		// The port that the kernel gave counts as if it had been asked for.
		if (option.port === "0") Object.assign(option, { port, text: `${hostname}:${port}` });
		return { option, listener, address: { name: option.name, address: hostname, port } };
	}

	#handlers(option: ListenerOption): SocketHandler<ClientSession> {
		const engine = this.#engine;
		const { name, transport, administrative } = option;
		const unix = option.path !== undefined;
		const endpoint = {
			name,
			get text() {
				return option.text;
			},
			transport,
			administrative,
			encrypted: option.tls !== undefined,
			unix,
		};
		const greeted = option.transport === "PROXY" || option.tls !== undefined;
		const begin = (socket: ClientSocket, proxy?: ProxyHeader) => {
			const remote = unix
				? new Address("0.0.0.0", 0)
				: new Address(socket.remoteAddress, (socket as unknown as { remotePort: number }).remotePort);
			const local = unix
				? new Address("0.0.0.0", 0)
				: new Address((socket as unknown as { localAddress: string }).localAddress, socket.localPort);
			const known = proxy !== undefined && proxy.kind === "proxied" ? proxy : undefined;
			const encryption = option.tls === undefined ? {} : { proxy: tlsAttributes(socket) };
			const session = new ClientSession(engine, socket, endpoint, {
				remote,
				local,
				...(known === undefined
					? encryption
					: {
							client: new Address(known.source.address, known.source.port),
							server: new Address(known.destination.address, known.destination.port),
							proxy: known.attributes,
						}),
			});
			if (proxy !== undefined) {
				const id = session.xid | Side.client;
				engine.log.write(id, "", id, proxyRecord(proxy));
			}
			socket.data = session;
			this.#sessions.add(session);
			return session;
		};
		return {
			open: (socket) => {
				socket.setNoDelay(true);
				if (!greeted) {
					begin(socket);
					return;
				}
				const late = () => {
					if (transport === "PROXY") this.#refuseGreeting(begin(socket), "no whole PROXY header in time");
					else socket.terminate();
				};
				this.#greetings.set(socket, { bytes: Buffer.alloc(0), sinceMs: Date.now(), late });
			},
			handshake: (socket, ok, error) => {
				this.#greetings.delete(socket);
				if (ok) {
					begin(socket);
					return;
				}
				const id = engine.nextTransaction() | Side.client;
				const reason = `TLS handshake failed: ${error?.message ?? "unknown"}`;
				engine.log.write(
					id,
					"",
					id,
					record(Tag.Begin, `sess 0 ${transport}`) + record(Tag.Error, reason) + record(Tag.End, ""),
				);
				socket.terminate();
			},
			data: (socket, bytes) => {
				const greeting = option.transport === "PROXY" ? this.#greetings.get(socket) : undefined;
				if (greeting === undefined) {
					socket.data?.onData(bytes);
					return;
				}
				greeting.bytes = Buffer.concat([greeting.bytes, bytes]);
				const header = parseProxyHeader(greeting.bytes);
				if (header.kind === "more") return;
				this.#greetings.delete(socket);
				if (header.kind === "bad") {
					this.#refuseGreeting(begin(socket), header.reason);
					return;
				}
				const session = begin(socket, header);
				const rest = greeting.bytes.subarray(header.end);
				if (rest.length > 0) session.onData(rest);
			},
			drain: (socket) => socket.data?.onDrain(),
			end: (socket) => {
				if (socket.data === undefined) socket.end();
				else socket.data.onEnd();
			},
			close: (socket) => {
				this.#greetings.delete(socket);
				const session = socket.data;
				if (session === undefined) return;
				this.#sessions.delete(session);
				session.onClose();
			},
			error: onHandlerFault,
		};
	}

	/** Who does not say who the client is has no session; the log says why. */
	#refuseGreeting(session: ClientSession, reason: string): void {
		const id = session.xid | Side.client;
		session.engine.log.write(id, "", id, record(Tag.ProxyGarbage, reason));
		session.abort("RX_JUNK");
	}

	/** This process ends. */
	farewell(): void {
		for (const session of this.#sessions) session.farewell();
	}

	/** Time outs of sessions and of PROXY headers. */
	checkTimes(nowMs: number): void {
		for (const session of this.#sessions) session.checkTime(nowMs);
		for (const [socket, { sinceMs, late }] of this.#greetings)
			if (nowMs - sinceMs > GREETING_WAIT_MS) {
				this.#greetings.delete(socket);
				late();
			}
	}
}

/** A PEM file with the certificate, those that vouch for it, and the key. */
function readCertificate(path: string): { cert: Buffer; key: Buffer } {
	try {
		const pem = readFileSync(path);
		return { cert: pem, key: pem };
	} catch (error) {
		throw new Error(`(-a) certificate ${path} cannot be read: ${(error as { code?: string }).code ?? error}`);
	}
}

/** What the log says of a PROXY header that was read. */
function proxyRecord(header: ProxyHeader): string {
	if (header.kind === "local")
		return header.ignored === null
			? record(Tag.Proxy, `${header.version} local local local local`)
			: record(Tag.ProxyGarbage, header.ignored);
	const { version, source, destination } = header;
	return record(
		Tag.Proxy,
		`${version} ${source.address} ${source.port} ${destination.address} ${destination.port}`,
	);
}

/** What vmod proxy says of a connection that is encrypted here, and not by a terminator in front. */
function tlsAttributes(socket: ClientSocket): ProxyAttributes {
	const tls = socket as unknown as {
		getTLSVersion?(): string;
		getCipher?(): { readonly name?: string } | null;
		readonly alpnProtocol?: string | false;
		getServername?(): string | null;
	};
	return {
		alpn: tls.alpnProtocol || null,
		authority: tls.getServername?.() || null,
		ssl: {
			client: 1,
			verify: 0,
			version: tls.getTLSVersion?.() ?? null,
			commonName: null,
			cipher: tls.getCipher?.()?.name ?? null,
			signatureAlgorithm: null,
			keyAlgorithm: null,
		},
	};
}
