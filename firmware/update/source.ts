/** Where a bundle comes from: a file, a USB stick's file, or HTTP(S) with resume. */
import { open } from "node:fs/promises";
import type { ReadExactly } from "./trust.ts";

/** How often a broken transfer is taken up again where it broke. */
export const RESUME_LIMIT = 5;
const RESUME_DELAY_MS = 1_000;
const SILENCE_LIMIT_MS = 30_000;

export interface Source {
	readonly read: ReadExactly;
	close(): Promise<void>;
}

export async function openSource(place: string): Promise<Source> {
	return /^https?:\/\//.test(place) ? urlSource(place) : fileSource(place);
}

async function fileSource(path: string): Promise<Source> {
	const file = await open(path, "r");
	// One buffer for all: new memory for each megabyte costs more than reading it.
	let bytes = new Uint8Array(0);
	return {
		async read(length) {
			if (bytes.length < length) bytes = new Uint8Array(length);
			let done = 0;
			while (done < length) {
				const { bytesRead } = await file.read(bytes, done, length - done);
				if (bytesRead === 0) break;
				done += bytesRead;
			}
			return bytes.subarray(0, done);
		},
		close: () => file.close(),
	};
}

/**
 * Streams a URL. A transfer that breaks goes on with a Range request (RFC 9110 §14) from the
 * last byte; a server that answers it with another file is found out by the hashes.
 */
async function urlSource(url: string): Promise<Source> {
	/** Bytes that have come, in order, and how many were handed on before them. */
	let waiting: Uint8Array[] = [];
	let waitingBytes = 0;
	let position = 0;
	let stream: ReturnType<typeof reader> | null = null;
	let resumes = 0;
	let ended = false;

	const connect = async () => {
		const from = position + waitingBytes;
		const response = await fetch(url, from === 0 ? {} : { headers: { range: `bytes=${from}-` } });
		if (response.status !== (from === 0 ? 200 : 206) || response.body === null)
			throw new Error(`${url} answers ${response.status}${from > 0 ? ` to the rest from byte ${from}` : ""}`);
		stream = reader(response.body);
	};
	const fill = async () => {
		for (;;) {
			try {
				if (stream === null) await connect();
				const { done, value } = await withinSilence(stream!.read(), url);
				if (done) ended = true;
				else {
					waiting.push(value);
					waitingBytes += value.length;
				}
				return;
			} catch (error) {
				void stream?.cancel().catch(() => {});
				stream = null;
				if (++resumes > RESUME_LIMIT) throw error;
				await Bun.sleep(RESUME_DELAY_MS);
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
			await stream?.cancel();
		},
	};
}

/** A server that says nothing any more counts as a broken transfer. */
async function withinSilence<T>(answer: Promise<T>, url: string): Promise<T> {
	let timer: ReturnType<typeof setTimeout> | undefined;
	const silence = new Promise<never>((_, reject) => {
		timer = setTimeout(
			() => reject(new Error(`${url} sent nothing for ${SILENCE_LIMIT_MS / 1000} s`)),
			SILENCE_LIMIT_MS,
		);
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
