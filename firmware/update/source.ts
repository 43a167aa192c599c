/** Where a bundle comes from: a file, a USB stick's file, or HTTP(S) with resume. */
import { open } from "node:fs/promises";
import { webTrouble } from "../web-trouble.ts";
import type { ReadExactly } from "./trust.ts";

/** How often a broken transfer is taken up again where it broke. */
export const RESUME_LIMIT = 5;

/** How long a broken transfer is left alone before it is taken up again, and which silence is a break. */
export interface Pace {
	readonly resumeDelayMs: number;
	readonly silenceLimitMs: number;
}
const USUAL_PACE: Pace = { resumeDelayMs: 1_000, silenceLimitMs: 30_000 };

export interface Source {
	readonly read: ReadExactly;
	close(): Promise<void>;
}

/**
 * `authority`: PEM of who signed an https server's certificate, null for the well-known ones. Throws, there or at a
 * read, in the operator's words.
 */
export async function openSource(
	place: string,
	authority: string | null,
	pace = USUAL_PACE,
): Promise<Source> {
	if (!/^https?:\/\//.test(place)) return fileSource(place);
	if (!URL.canParse(place))
		throw new Error(`${place} is no URL, such as https://example.org/drover-1.2.0.fw`);
	return urlSource(place, authority, pace);
}

async function fileSource(path: string): Promise<Source> {
	const file = await open(path, "r").catch((error) => {
		throw new Error(fileTrouble(path, error));
	});
	if (!(await file.stat()).isFile()) {
		await file.close();
		throw new Error(`${path} is no file`);
	}
	// One buffer for all: new memory for each megabyte costs more than reading it.
	let bytes = new Uint8Array(0);
	return {
		async read(length) {
			if (bytes.length < length) bytes = new Uint8Array(length);
			let done = 0;
			while (done < length) {
				const { bytesRead } = await file.read(bytes, done, length - done).catch((error) => {
					throw new Error(fileTrouble(path, error));
				});
				if (bytesRead === 0) break;
				done += bytesRead;
			}
			return bytes.subarray(0, done);
		},
		close: () => file.close(),
	};
}

function fileTrouble(path: string, error: NodeJS.ErrnoException): string {
	switch (error.code) {
		case "ENOENT":
		case "ENOTDIR":
			return `there is no file ${path}`;
		case "EIO":
			return `${path} cannot be read: its medium may be failing`;
		default:
			return `${path} cannot be read: ${error.message}`;
	}
}

/** What tells one version of a file from another (RFC 9110 §8.8); null where the server does not say. */
interface Version {
	readonly etag: string | null;
	readonly lastModified: string | null;
	readonly totalBytes: number | null;
}

/** Going on would mix two files: no further try can help. */
class OtherFileError extends Error {}

/**
 * Streams a URL. A transfer that breaks goes on with a Range request (RFC 9110 §14) from the
 * last byte, of the same file only (§13.1.5); a server without ranges sends all of it once more.
 * What a server that lies about either sends instead is found out by the hashes.
 */
async function urlSource(
	url: string,
	authority: string | null,
	{ resumeDelayMs, silenceLimitMs }: Pace,
): Promise<Source> {
	const trust = authority === null ? {} : { tls: { ca: authority } };
	/** Bytes that have come, in order, and how many were handed on before them. */
	let waiting: Uint8Array[] = [];
	let waitingBytes = 0;
	let position = 0;
	let first: Version | null = null;
	let stream: ReturnType<typeof reader> | null = null;
	/** Of what the server sends now: bytes that have come before. */
	let skippedBytes = 0;
	let resumes = 0;
	let ended = false;

	const connect = async () => {
		const from = position + waitingBytes;
		// Offsets are of the file itself, not of a compressed form of it.
		const headers: Record<string, string> = { "accept-encoding": "identity" };
		if (from > 0) headers["range"] = `bytes=${from}-`;
		if (from > 0 && first?.etag?.startsWith('"') === true) headers["if-range"] = first.etag;
		const abort = new AbortController();
		const response = await withinSilence(
			fetch(url, { ...trust, headers, decompress: false, signal: abort.signal }),
			url,
			silenceLimitMs,
		).catch((error) => {
			abort.abort();
			throw webTrouble(url, error);
		});
		const { status, body } = response;
		if ((status !== 200 && !(status === 206 && from > 0)) || body === null) {
			abort.abort();
			throw new Error(`${url} answers ${status}${from > 0 ? ` to the rest from byte ${from}` : ""}`);
		}
		stream = reader(body);
		const part = status === 206 ? readContentRange(response) : null;
		const version = versionOf(response, part?.totalBytes ?? null);
		if ((status === 206 && part?.firstByte !== from) || (first !== null && differ(first, version)))
			throw new OtherFileError(`${url} does not go on with the same file: it may have changed meanwhile`);
		first ??= version;
		skippedBytes = status === 200 ? from : 0;
	};
	const fill = async () => {
		for (;;) {
			try {
				if (stream === null) await connect();
				const { done, value } = await withinSilence(stream!.read(), url, silenceLimitMs);
				if (done) {
					const gotBytes = position + waitingBytes;
					if (skippedBytes > 0 || gotBytes < (first?.totalBytes ?? 0))
						throw new Error(`${url} ends after ${gotBytes} of ${first?.totalBytes} bytes`);
					ended = true;
					return;
				}
				const fresh = value.subarray(Math.min(skippedBytes, value.length));
				skippedBytes -= value.length - fresh.length;
				if (fresh.length === 0) continue;
				waiting.push(fresh);
				waitingBytes += fresh.length;
				return;
			} catch (error) {
				void stream?.cancel().catch(() => {});
				stream = null;
				if (error instanceof OtherFileError || ++resumes > RESUME_LIMIT) throw error;
				await Bun.sleep(resumeDelayMs);
			}
		}
	};
	await connect();
	return {
		async read(length) {
			while (waitingBytes < length && !ended) await fill();
			const all = waiting.length === 1 ? waiting[0]! : Buffer.concat(waiting);
			const bytes = all.subarray(0, length);
			waiting = bytes.length < all.length ? [all.subarray(bytes.length)] : [];
			waitingBytes -= bytes.length;
			position += bytes.length;
			return bytes;
		},
		async close() {
			// One that has failed already says so once more.
			await stream?.cancel().catch(() => {});
		},
	};
}

/** "bytes 100-999/1000" (RFC 9110 §14.4); null when it is none. */
function readContentRange(response: Response): { firstByte: number; totalBytes: number | null } | null {
	const match = /^bytes (\d+)-\d+\/(\d+|\*)$/i.exec(response.headers.get("content-range")?.trim() ?? "");
	if (match === null) return null;
	return { firstByte: Number(match[1]), totalBytes: match[2] === "*" ? null : Number(match[2]) };
}

function versionOf(response: Response, totalBytes: number | null): Version {
	const { headers, status } = response;
	const length = headers.get("content-length");
	return {
		etag: headers.get("etag"),
		lastModified: headers.get("last-modified"),
		totalBytes: status === 200 && length !== null ? Number(length) : totalBytes,
	};
}

/** Whether two answers speak of different files, in something that both say. */
function differ(one: Version, other: Version): boolean {
	return (["etag", "lastModified", "totalBytes"] as const).some(
		(key) => one[key] !== null && other[key] !== null && one[key] !== other[key],
	);
}

/** A server that says nothing any more counts as a broken transfer. */
async function withinSilence<T>(answer: Promise<T>, url: string, limitMs: number): Promise<T> {
	let timer: ReturnType<typeof setTimeout> | undefined;
	const silence = new Promise<never>((_, reject) => {
		timer = setTimeout(() => reject(new Error(`${url} sent nothing for ${limitMs / 1000} s`)), limitMs);
	});
	try {
		return await Promise.race([answer, silence]);
	} finally {
		clearTimeout(timer);
	}
}

function reader(body: ReadableStream<Uint8Array>) {
	return body.getReader();
}
