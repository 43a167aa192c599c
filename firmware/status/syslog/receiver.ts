/** The connection to one syslog receiver: UDP, TCP or TLS, begun again whenever it ends. Nothing waits for it. */
import { createSocket, type Socket as DatagramSocket } from "node:dgram";
import type { Socket } from "bun";
import { parseAddress } from "../../wire/ip.ts";
import { Backlog } from "./backlog.ts";
import { frameMessage } from "./message.ts";

export interface ReceiverOptions {
	readonly host: string;
	readonly port: number;
	readonly transport: "udp" | "tcp" | "tls";
	/** The certificates to trust, PEM; TLS alone. */
	readonly ca: string | null;
	readonly onTrouble: (words: string) => void;
}

export interface ReceiverStatus {
	readonly host: string;
	readonly port: number;
	readonly transport: string;
	readonly connected: boolean;
	readonly waiting: number;
	readonly lost: number;
}

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 30_000;
/** UDP: a datagram that cannot be sent (no route, no name) is tried again after this. */
const DATAGRAM_RETRY_MS = 1_000;

export class Receiver {
	readonly #options: ReceiverOptions;
	readonly #backlog = new Backlog();
	#transport: StreamTransport | DatagramTransport;

	constructor(options: ReceiverOptions) {
		this.#options = options;
		this.#transport =
			options.transport === "udp"
				? new DatagramTransport(options, this.#backlog)
				: new StreamTransport(options, this.#backlog);
	}

	send(message: Uint8Array): void {
		this.#backlog.add(message);
		this.#transport.wake();
	}

	status(): ReceiverStatus {
		const { host, port, transport } = this.#options;
		return {
			host,
			port,
			transport,
			connected: this.#transport.connected,
			waiting: this.#backlog.length,
			lost: this.#backlog.lost,
		};
	}

	close(): void {
		this.#transport.close();
	}
}

class DatagramTransport {
	readonly #options: ReceiverOptions;
	readonly #backlog: Backlog;
	readonly #socket: DatagramSocket;
	#sending = false;
	connected = false;

	constructor(options: ReceiverOptions, backlog: Backlog) {
		this.#options = options;
		this.#backlog = backlog;
		this.#socket = createSocket(parseAddress(options.host)?.length === 16 ? "udp6" : "udp4");
		this.#socket.on("error", () => {});
	}

	wake(): void {
		if (this.#sending) return;
		const message = this.#backlog.peek();
		if (message === null) return;
		this.#sending = true;
		this.#socket.send(message, this.#options.port, this.#options.host, (error) => {
			const again = () => {
				this.#sending = false;
				this.wake();
			};
			// "Connection refused" answers an earlier one; this one was not sent either.
			if (error !== null && error !== undefined) {
				if (this.connected) this.#options.onTrouble(error.message);
				this.connected = false;
				setTimeout(again, DATAGRAM_RETRY_MS);
				return;
			}
			this.connected = true;
			this.#backlog.shift();
			again();
		});
	}

	close(): void {
		this.#socket.close();
	}
}

class StreamTransport {
	readonly #options: ReceiverOptions;
	readonly #backlog: Backlog;
	#socket: Socket<undefined> | null = null;
	/** The rest of a frame that the kernel did not take whole. */
	#unwritten: Uint8Array | null = null;
	#retryMs = FIRST_RETRY_MS;
	#timer: ReturnType<typeof setTimeout> | null = null;
	#closed = false;

	constructor(options: ReceiverOptions, backlog: Backlog) {
		this.#options = options;
		this.#backlog = backlog;
		void this.#connect();
	}

	get connected(): boolean {
		return this.#socket !== null;
	}

	wake(): void {
		const socket = this.#socket;
		if (socket === null) return;
		for (;;) {
			if (this.#unwritten === null) {
				const message = this.#backlog.peek();
				if (message === null) return;
				this.#unwritten = frameMessage(message);
			}
			const written = socket.write(this.#unwritten);
			if (written < this.#unwritten.length) {
				// A slow reader: "drain" goes on.
				if (written > 0) this.#unwritten = this.#unwritten.subarray(written);
				return;
			}
			this.#unwritten = null;
			this.#backlog.shift();
		}
	}

	close(): void {
		this.#closed = true;
		if (this.#timer !== null) clearTimeout(this.#timer);
		this.wake();
		this.#socket?.end();
	}

	async #connect(): Promise<void> {
		const { host, port, transport, ca } = this.#options;
		const ended = (words: string) => {
			// A frame that was cut off is sent whole on the next connection.
			this.#unwritten = null;
			if (this.#closed || this.#timer !== null) return;
			this.#socket = null;
			this.#options.onTrouble(words);
			this.#timer = setTimeout(() => {
				this.#timer = null;
				void this.#connect();
			}, this.#retryMs);
			this.#retryMs = Math.min(this.#retryMs * 2, LONGEST_RETRY_MS);
		};
		const ready = (socket: Socket<undefined>) => {
			this.#socket = socket;
			this.#retryMs = FIRST_RETRY_MS;
			this.wake();
		};
		try {
			await Bun.connect<undefined>({
				hostname: host,
				port,
				...(transport === "tls" ? { tls: { ca: ca ?? "", rejectUnauthorized: true, serverName: host } } : {}),
				socket: {
					open: (socket) => {
						if (transport === "tcp") ready(socket);
					},
					handshake: (socket, _success, trouble) => {
						// RFC 5425 §5.2: whoever is not who the certificate says gets nothing.
						if (trouble === null) ready(socket);
						else {
							ended(`the receiver's certificate: ${trouble.message}`);
							socket.terminate();
						}
					},
					data: () => {},
					drain: () => this.wake(),
					close: () => ended("the receiver closed the connection"),
					error: (_socket, error) => ended(error.message),
					connectError: (_socket, error) => ended(error.message),
				},
			});
		} catch (error) {
			ended(error instanceof Error ? error.message : String(error));
		}
	}
}
