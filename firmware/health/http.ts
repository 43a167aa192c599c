/**
 * HTTP_GET: one request, and the answer's status, digest and content.
 * Its own client, because the checks decide when a connection is opened and closed, and because
 * the configuration names things (source port, interface, mark) that no ready-made client takes.
 */
import { CryptoHasher } from "bun";
import type { CheckTarget, UrlCheck } from "../config/model.ts";
import { type Checker, type CheckOf, failed, type Outcome, passed, postponed } from "./checker.ts";
import { HttpResponseReader, ResponseError, type ResponseSink } from "./http-response.ts";
import { compilePcre, PatternError, searchBody } from "./pcre.ts";
import { type Stream, type StreamOwner, TcpStream } from "./stream.ts";

/** What `regex` looks through; a longer body is searched up to here. */
export const SEARCH_LIMIT_BYTES = 4 * 1024 * 1024;

type HttpCheck = CheckOf<"HTTP_GET" | "SSL_GET">;

/** Opens what the request travels over. */
export type OpenStream = (owner: StreamOwner) => Stream;

export const checkHttp: Checker<"HTTP_GET"> = (check, url, environment, done) =>
	probeHttp(check, url, done, (owner) => new TcpStream(check.target, true, environment, owner));

/** The request's bytes; check_http.c's text, so that servers' logs and rules see what they always saw. */
export function requestBytes(
	target: Pick<CheckTarget, "address" | "family" | "port">,
	url: Pick<UrlCheck, "path" | "virtualHost">,
	protocol: HttpCheck["httpProtocol"],
): Uint8Array {
	const host =
		url.virtualHost ?? `${target.family === "inet6" ? `[${target.address}]` : target.address}:${target.port}`;
	const version = protocol === "1.1" ? "1.1" : "1.0";
	const close = protocol === "1.0" ? "" : "Connection: close\r\n";
	return new TextEncoder().encode(
		`GET ${url.path} HTTP/${version}\r\nUser-Agent: KeepAliveClient\r\n${close}Host: ${host}\r\n\r\n`,
	);
}

/** Requests and patterns are the same for ever: made once per URL. */
const prepared = new WeakMap<
	UrlCheck,
	{ readonly request: Uint8Array; readonly regex: RegExp | string | null }
>();

function prepare(check: HttpCheck, url: UrlCheck) {
	let ready = prepared.get(url);
	if (ready === undefined) {
		let regex: RegExp | string | null = null;
		if (url.regex !== null)
			try {
				regex = compilePcre(url.regex.pattern, url.regex.options);
			} catch (error) {
				if (!(error instanceof PatternError)) throw error;
				regex = error.message;
			}
		ready = { request: requestBytes(check.target, url, check.httpProtocol), regex };
		prepared.set(url, ready);
	}
	return ready;
}

export function probeHttp(
	check: HttpCheck,
	urlIndex: number,
	done: (outcome: Outcome) => void,
	open: OpenStream,
): () => void {
	const url = check.urls[urlIndex];
	if (url === undefined) throw new RangeError(`the check has no URL ${urlIndex}`);
	const { request, regex } = prepare(check, url);
	const probe = new HttpProbe(check, url, request, regex, done);
	probe.stream = open(probe);
	return () => probe.stream?.close();
}

class HttpProbe implements StreamOwner, ResponseSink {
	readonly opening: Uint8Array;
	stream: Stream | null = null;
	readonly #check: HttpCheck;
	readonly #url: UrlCheck;
	readonly #regex: RegExp | string | null;
	readonly #done: (outcome: Outcome) => void;
	readonly #reader: HttpResponseReader;
	/** Of the body as it came, and without its chunk framing. */
	readonly #rawDigest: CryptoHasher | null;
	readonly #bodyDigest: CryptoHasher | null;
	#parts: Uint8Array[] | null = null;
	#keptBytes = 0;

	constructor(
		check: HttpCheck,
		url: UrlCheck,
		request: Uint8Array,
		regex: RegExp | string | null,
		done: (outcome: Outcome) => void,
	) {
		this.opening = request;
		this.#check = check;
		this.#url = url;
		this.#regex = regex;
		this.#done = done;
		this.#rawDigest = url.digest === null ? null : new CryptoHasher("md5");
		this.#bodyDigest = url.digest === null ? null : new CryptoHasher("md5");
		this.#reader = new HttpResponseReader(url.digest === null && regex === null ? null : this);
	}

	failed(detail: string): void {
		this.#finish(failed(this.#named(detail)));
	}

	postponed(detail: string): void {
		this.#finish(postponed(detail));
	}

	/** With several URLs, says which. */
	#named(detail: string): string {
		return this.#check.urls.length > 1 ? `${this.#url.path}: ${detail}` : detail;
	}

	#finish(outcome: Outcome): void {
		this.stream?.close();
		this.#done(outcome);
	}

	received(bytes: Uint8Array): void {
		try {
			this.#reader.push(bytes);
		} catch (error) {
			if (!(error instanceof ResponseError)) throw error;
			this.#finish(failed(this.#named(error.message)));
			return;
		}
		// keepalived waits for the server to close; a whole answer is an answer.
		if (this.#reader.complete) this.#judge();
	}

	ended(): void {
		if (this.#reader.headRead) this.#judge();
		else this.#finish(failed(this.#named("closed without an answer")));
	}

	raw(bytes: Uint8Array): void {
		this.#rawDigest?.update(bytes);
	}

	body(bytes: Uint8Array): void {
		this.#bodyDigest?.update(bytes);
		if (this.#regex === null || this.#keptBytes >= SEARCH_LIMIT_BYTES) return;
		const part = bytes.slice(0, SEARCH_LIMIT_BYTES - this.#keptBytes);
		this.#parts ??= [];
		this.#parts.push(part);
		this.#keptBytes += part.length;
	}

	#judge(): void {
		const wrong = this.#fault();
		this.#finish(wrong === null ? passedWith(this.#reader.status) : failed(this.#named(wrong)));
	}

	#fault(): string | null {
		const { status } = this.#reader;
		const { statusCodes, digest, regex } = this.#url;
		if (!statusCodes.some(({ from, to }) => status >= from && status <= to))
			return `HTTP ${status}, wanted ${statusCodes.map(rangeText).join(" ")}`;
		if (digest !== null) {
			const found = this.#rawDigest!.digest("hex");
			if (found !== digest && this.#bodyDigest!.digest("hex") !== digest)
				return `digest ${found} differs from ${digest}`;
		}
		if (regex === null || this.#regex === null) return null;
		if (typeof this.#regex === "string") return `regex "${regex.pattern}": ${this.#regex}`;
		const body = Buffer.concat(this.#parts ?? []);
		// keepalived looks through what came with the first read, the head too, and counts from its beginning: what
		// files ask for is found there as well. What must not be there is looked for in the page only.
		const found =
			searchBody(this.#regex, body, regex) ||
			(!regex.noMatch &&
				searchBody(this.#regex, Buffer.concat([Buffer.from(this.#reader.head, "latin1"), body]), regex));
		if (found === !regex.noMatch) return null;
		return regex.noMatch ? `regex "${regex.pattern}" is there` : `regex "${regex.pattern}" is not there`;
	}
}

const passedByStatus = new Map<number, Outcome>();

function passedWith(status: number): Outcome {
	let outcome = passedByStatus.get(status);
	if (outcome === undefined) {
		outcome = passed(`HTTP ${status}`);
		passedByStatus.set(status, outcome);
	}
	return outcome;
}

function rangeText({ from, to }: { readonly from: number; readonly to: number }): string {
	return from === to ? String(from) : `${from}-${to}`;
}
