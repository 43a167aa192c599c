/**
 * TLS to a backend: the handshake on a connection that stands, and what it must have shown before anything is sent.
 *
 * The chain is judged by the TLS library; whether the certificate is for the name that is wanted is asked apart from
 * it, since each can be switched off by itself.
 */
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import type { Socket, SocketHandler } from "bun";
import { splitAddress } from "../manager/options.ts";
import type { BackendDefinition, BackendTls } from "../vcl/runtime.ts";

/** ALPN's wire form of http/1.1 (RFC 7301 §3.1): a backend must not choose HTTP/2. */
const ALPN_HTTP11 = Buffer.from("\x08http/1.1", "latin1");

/** The name that a certificate has to be for: the one that requests carry, without a port. */
export const tlsName = ({ hostHeader }: BackendDefinition) => splitAddress(hostHeader, "").host;

export type Authorities =
	| { readonly kind: "well-known" }
	| { readonly kind: "own"; readonly pem: string }
	| { readonly kind: "unreadable"; readonly reason: string };

/** Those of `.ssl_ca`. The compiler has seen the file; should it be gone by now, the backend fails and says so. */
export function readAuthorities({ authorities }: BackendTls): Authorities {
	if (authorities === null) return { kind: "well-known" };
	try {
		return { kind: "own", pem: readFileSync(authorities, "utf8") };
	} catch (error) {
		const code = (error as { code?: string }).code ?? String(error);
		return { kind: "unreadable", reason: `.ssl_ca ${authorities} cannot be read: ${code}` };
	}
}

/** What one backend asks of TLS; made once, when the VCL is loaded. */
export class BackendTlsSettings {
	readonly name: string;
	readonly settings: BackendTls;
	readonly authorities: Authorities;

	constructor(definition: BackendDefinition, settings: BackendTls) {
		this.name = tlsName(definition);
		this.settings = settings;
		this.authorities = readAuthorities(settings);
	}
}

export type TlsStart<Data> =
	| { readonly kind: "open"; readonly socket: Socket<Data> }
	| { readonly kind: "failed"; readonly reason: string };

interface HandshakeError {
	readonly code?: string;
	readonly message?: string;
}

/** What the type definitions do not say of a socket of Bun's. */
interface Handshaken {
	getPeerCertificate(): PeerCertificate | null;
}

/** Bun compares with a name of its own when none is said: that verdict is not asked for. */
const NAME_VERDICT = "ERR_TLS_CERT_ALTNAME_INVALID";

/** X509_verify_cert_error's names: the handshake is done, what is not believed is the chain. */
const CHAIN_VERDICT =
	/^(?:CERT_|CRL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERROR_IN_|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_)/;

/** Undefined when the peer has shown all that was asked for. */
function complaint(
	tls: BackendTlsSettings,
	ok: boolean,
	error: HandshakeError | null,
	socket: Handshaken,
): string | undefined {
	const { verifyPeer, verifyHost } = tls.settings;
	const { code = "?", message = "unknown" } = error ?? {};
	const certificate = socket.getPeerCertificate();
	const judged = code === NAME_VERDICT || CHAIN_VERDICT.test(code);
	if (!(ok || judged) || certificate === null || Object.keys(certificate).length === 0)
		return `handshake failed: ${message}`;
	// A chain that is not trusted is reported before a name that does not match.
	if (verifyPeer && error !== null && code !== NAME_VERDICT)
		return `certificate not trusted: ${message} (${code})`;
	if (!verifyHost) return undefined;
	return checkServerIdentity(tls.name, certificate) === undefined
		? undefined
		: `certificate is not for ${tls.name} but for ${certificate.subjectaltname ?? certificate.subject?.CN ?? "nobody"}`;
}

/**
 * Shakes hands over `plain`. From then on `handlers` serve the encrypted socket; `done` is called once, before any
 * of them but `close`. Returns the encrypted socket, for those who want to give it up meanwhile.
 */
export function startTls<Data>(
	plain: Socket<Data>,
	tls: BackendTlsSettings,
	data: Data,
	handlers: Pick<SocketHandler<Data>, "data" | "drain" | "close" | "end">,
	done: (result: TlsStart<Data>) => void,
): Socket<Data> {
	let shaken = false;
	const settle = (result: TlsStart<Data>) => {
		if (shaken) return;
		shaken = true;
		done(result);
	};
	const { sni } = tls.settings;
	const { authorities } = tls;
	const fail = (reason: string) => settle({ kind: "failed", reason });
	if (authorities.kind === "unreadable") {
		fail(authorities.reason);
		plain.terminate();
		return plain;
	}
	try {
		const [, encrypted] = plain.upgradeTLS<Data>({
			data,
			tls: {
				// Judged below, so that the log can say what was wrong.
				rejectUnauthorized: false,
				ALPNProtocols: ALPN_HTTP11,
				...(sni && isIP(tls.name) === 0 ? { serverName: tls.name } : {}),
				...(authorities.kind === "own" ? { ca: authorities.pem } : {}),
			} as never,
			socket: {
				...handlers,
				open: () => {},
				handshake: (socket, ok, error) => {
					const wrong = complaint(tls, ok, error, socket as unknown as Handshaken);
					if (wrong === undefined) {
						settle({ kind: "open", socket });
						return;
					}
					fail(wrong);
					socket.terminate();
				},
				close: (socket, error) => {
					fail("the backend closed the connection during the handshake");
					handlers.close?.(socket, error);
				},
				error: (_socket, error) => fail(error.message),
			},
		});
		return encrypted;
	} catch (error) {
		fail(error instanceof Error ? error.message : String(error));
		plain.terminate();
		return plain;
	}
}
