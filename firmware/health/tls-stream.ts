/** TLS over a probe's TCP connection. Any certificate is accepted, as keepalived does: it is a health check. */
import { readFileSync } from "node:fs";
import { Duplex } from "node:stream";
import { type TLSSocket, connect as tlsConnect } from "node:tls";
import type { CheckTarget, TlsClientConfig } from "../config/model.ts";
import type { ProbeEnvironment } from "./checker.ts";
import { type Stream, type StreamOwner, TcpStream } from "./stream.ts";

export interface TlsOptions {
	/** SNI; null sends none. */
	readonly serverName: string | null;
	/** A connection that ends without close_notify is an error (RFC 8446 §6.1). */
	readonly compliant: boolean;
}

/** Bytes that a server may send before the TLS layer has taken them. */
const QUEUE_LIMIT_BYTES = 1024 * 1024;

export class TlsStream implements Stream {
	readonly #tcp: TcpStream;
	readonly #owner: StreamOwner;
	readonly #options: TlsOptions;
	#pipe: Duplex | null = null;
	#tls: TLSSocket | null = null;
	#secure = false;
	#closed = false;
	#ended = false;

	constructor(target: CheckTarget, options: TlsOptions, environment: ProbeEnvironment, owner: StreamOwner) {
		this.#owner = owner;
		this.#options = options;
		this.#tcp = new TcpStream(target, true, environment, {
			opening: null,
			connected: () => this.#handshake(environment.tlsClient),
			received: (bytes) => {
				this.#pipe?.push(Buffer.from(bytes));
				if ((this.#pipe?.readableLength ?? 0) > QUEUE_LIMIT_BYTES) this.#fail("too much data at once");
			},
			ended: () => this.#tcpEnded(),
			failed: (detail) => this.#fail(detail),
			postponed: (detail) => {
				this.close();
				owner.postponed(detail);
			},
		});
	}

	write(bytes: Uint8Array): void {
		this.#tls?.write(bytes);
	}

	close(): void {
		if (this.#closed) return;
		this.#closed = true;
		this.#tls?.destroy();
		this.#pipe?.destroy();
		this.#tcp.close();
	}

	#handshake(client: TlsClientConfig | null): void {
		const pipe = new Duplex({
			read() {},
			write: (chunk: Uint8Array, _encoding, callback) => {
				this.#tcp.write(chunk);
				callback();
			},
			final: (callback) => callback(),
		});
		pipe.on("error", () => {});
		this.#pipe = pipe;
		try {
			this.#tls = tlsConnect({
				socket: pipe,
				rejectUnauthorized: false,
				...(this.#options.serverName === null ? {} : { servername: this.#options.serverName }),
				...clientMaterial(client),
			});
		} catch (error) {
			this.#fail(`TLS: ${words(error)}`);
			return;
		}
		const tls = this.#tls;
		tls.on("secureConnect", () => {
			if (this.#closed) return;
			this.#secure = true;
			if (this.#owner.opening !== null) this.write(this.#owner.opening);
			this.#owner.connected?.();
		});
		tls.on("data", (bytes: Buffer) => {
			if (!this.#closed) this.#owner.received(bytes);
		});
		tls.on("end", () => this.#tlsEnded());
		tls.on("close", () => this.#tlsEnded());
		tls.on("error", (error) => this.#fail(`TLS: ${words(error)}`));
	}

	/** close_notify, or what follows the end of the TCP connection. */
	#tlsEnded(): void {
		if (this.#closed || this.#ended) return;
		if (!this.#secure) {
			this.#fail("TLS: closed during the handshake");
			return;
		}
		this.#ended = true;
		this.#owner.ended();
	}

	#tcpEnded(): void {
		// What came before the end is still on its way through the TLS layer.
		setImmediate(() => {
			if (this.#closed || this.#ended) return;
			if (this.#secure && this.#options.compliant) this.#fail("TLS: closed without close_notify");
			else if (this.#pipe === null) this.#fail("TLS: closed during the handshake");
			else {
				this.#pipe.push(null);
				setImmediate(() => this.#tlsEnded());
			}
		});
	}

	#fail(detail: string): void {
		if (this.#closed) return;
		this.close();
		this.#owner.failed(detail);
	}
}

const materialCache = new WeakMap<TlsClientConfig, object>();

/** The files of `SSL { … }`; what cannot be read is left out, and the handshake says what is missing. */
function clientMaterial(client: TlsClientConfig | null): object {
	if (client === null) return {};
	let material = materialCache.get(client);
	if (material === undefined) {
		const file = (name: string, path: string | null) => {
			if (path === null) return {};
			try {
				return { [name]: readFileSync(path) };
			} catch {
				return {};
			}
		};
		material = {
			...file("ca", client.caFile),
			...file("cert", client.certificateFile),
			...file("key", client.keyFile),
			...(client.password === null ? {} : { passphrase: client.password }),
		};
		materialCache.set(client, material);
	}
	return material;
}

function words(error: unknown): string {
	const text = error instanceof Error ? error.message : String(error);
	// BoringSSL's "…:error:1000042e:SSL routines:OPENSSL_internal:TLSV1_ALERT_PROTOCOL_VERSION:…": its name is enough.
	return /OPENSSL_internal:([A-Z0-9_]+)/.exec(text)?.[1]?.toLowerCase().replaceAll("_", " ") ?? text;
}
