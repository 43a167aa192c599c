/** The listening sockets of one worker. The kernel shares new connections out among the workers (SO_REUSEPORT). */
import { chmodSync, readFileSync, rmSync } from "node:fs";
import type { SocketHandler, TCPSocketListener, UnixSocketListener } from "bun";
import { type ProxyHeader, parseProxyHeader } from "../http/proxy.ts";
import { record, Side } from "../log/records.ts";
import { Tag } from "../log/tags.ts";
import type { ListenerOption } from "../manager/options.ts";
import { Address } from "./address.ts";
import type { Engine } from "./engine.ts";
import { ClientSession, type ClientSocket } from "./session.ts";

export interface ListenAddress {
	readonly name: string;
	readonly address: string;
	/** "-" for a Unix socket. */
	readonly port: string;
}

/** Milliseconds that a client may take for its PROXY header. */
const PROXY_WAIT_MS = 5000;

/** What a socket carries until its PROXY header is complete. */
interface Greeting {
	bytes: Buffer;
	readonly sinceMs: number;
}

export class Listeners {
	readonly #engine: Engine;
	readonly #sessions = new Set<ClientSession>();
	readonly #greetings = new Map<ClientSocket, Greeting>();
	readonly #open: (TCPSocketListener<ClientSession> | UnixSocketListener<ClientSession>)[] = [];

	constructor(engine: Engine) {
		this.#engine = engine;
	}

	/** Starts to accept; the addresses come back with the ports that the kernel gave. */
	open(options: readonly ListenerOption[]): ListenAddress[] {
		return options.map((option) => {
			const socket = this.#handlers(option);
			const tls =
				option.tls === undefined
					? {}
					: { tls: { cert: readFileSync(option.tls), key: readFileSync(option.tls) } };
			if (option.path !== undefined) {
				const path = option.path.startsWith("@") ? `\0${option.path.slice(1)}` : option.path;
				if (!path.startsWith("\0")) rmSync(path, { force: true });
				const listener = Bun.listen<ClientSession>({
					unix: path,
					socket,
					...tls,
				} as never) as unknown as UnixSocketListener<ClientSession>;
				if (option.mode !== undefined) chmodSync(path, option.mode);
				this.#open.push(listener);
				return { name: option.name, address: option.path, port: "-" };
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
			this.#open.push(listener);
			return { name: option.name, address: hostname, port: String(listener.port) };
		});
	}

	#handlers(option: ListenerOption): SocketHandler<ClientSession> {
		const engine = this.#engine;
		const { name, text, transport, administrative } = option;
		const unix = option.path !== undefined;
		const endpoint = { name, text, transport, administrative, encrypted: option.tls !== undefined, unix };
		const begin = (socket: ClientSocket, proxy?: ProxyHeader) => {
			const remote = unix
				? new Address("0.0.0.0", 0)
				: new Address(socket.remoteAddress, (socket as unknown as { remotePort: number }).remotePort);
			const local = unix
				? new Address("0.0.0.0", 0)
				: new Address((socket as unknown as { localAddress: string }).localAddress, socket.localPort);
			const known = proxy !== undefined && proxy.kind === "proxied" ? proxy : undefined;
			const session = new ClientSession(engine, socket, endpoint, {
				remote,
				local,
				...(known === undefined
					? {}
					: {
							client: new Address(known.source.address, known.source.port),
							server: new Address(known.destination.address, known.destination.port),
							proxy: known.attributes,
						}),
			});
			if (proxy !== undefined) {
				const text =
					known === undefined
						? `${proxy.version} local local local local`
						: `${known.version} ${known.source.address} ${known.source.port} ${known.destination.address} ${known.destination.port}`;
				engine.log.write(session.xid | Side.client, "", session.xid | Side.client, record(Tag.Proxy, text));
			}
			socket.data = session;
			this.#sessions.add(session);
			return session;
		};
		return {
			open: (socket) => {
				socket.setNoDelay(true);
				if (option.transport === "PROXY")
					this.#greetings.set(socket, { bytes: Buffer.alloc(0), sinceMs: Date.now() });
				else begin(socket);
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
					socket.terminate();
					return;
				}
				const session = begin(socket, header);
				const rest = greeting.bytes.subarray(header.end);
				if (rest.length > 0) session.onData(rest);
			},
			drain: (socket) => socket.data?.onDrain(),
			end: (socket) => {
				// The client will send no more. What it asked for is still answered, then the session ends.
				const session = socket.data;
				if (session === undefined || session.idle) socket.end();
				else session.closeAfter("REM_CLOSE");
			},
			close: (socket) => {
				this.#greetings.delete(socket);
				const session = socket.data;
				if (session === undefined) return;
				this.#sessions.delete(session);
				session.onClose();
			},
			error: () => {},
		};
	}

	/** Time outs of sessions and of PROXY headers. */
	checkTimes(nowMs: number): void {
		for (const session of this.#sessions) session.checkTime(nowMs);
		for (const [socket, { sinceMs }] of this.#greetings)
			if (nowMs - sinceMs > PROXY_WAIT_MS) socket.terminate();
	}
}
