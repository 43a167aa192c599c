/** Where a bundle comes from: a file, a USB stick's file, or HTTP(S) with resume. */
import { open } from "node:fs/promises";
import type { ReadExactly } from "./trust.ts";

/** How often a broken transfer is taken up again where it broke. */
export const RESUME_LIMIT = 5;
const RESUME_DELAY_MS = 1_000;

export interface Source {
	readonly read: ReadExactly;
	close(): Promise<void>;
}

export async function openSource(place: string): Promise<Source> {
	return /^https?:\/\//.test(place) ? urlSource(place) : fileSource(place);
}

async function fileSource(path: string): Promise<Source> {
	const file = await open(path, "r");
	return {
		async read(length) {
			const bytes = new Uint8Array(length);
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
	let position = 0;
	let waiting: Uint8Array = new Uint8Array(0);
	let stream: ReturnType<typeof reader> | null = null;
	let resumes = 0;
	let ended = false;

	const connect = async () => {
		const from = position + waiting.length;
		const response = await fetch(url, from === 0 ? {} : { headers: { range: `bytes=${from}-` } });
		if (response.status !== (from === 0 ? 200 : 206) || response.body === null)
			throw new Error(`${url} answers ${response.status}${from > 0 ? ` to the rest from byte ${from}` : ""}`);
		stream = reader(response.body);
	};
	const fill = async () => {
		for (;;) {
			try {
				if (stream === null) await connect();
				const { done, value } = await stream!.read();
				if (done) ended = true;
				else waiting = waiting.length === 0 ? value : Buffer.concat([waiting, value]);
				return;
			} catch (error) {
				stream = null;
				if (++resumes > RESUME_LIMIT) throw error;
				await Bun.sleep(RESUME_DELAY_MS);
			}
		}
	};
	await connect();
	return {
		async read(length) {
			while (waiting.length < length && !ended) await fill();
			const bytes = waiting.subarray(0, length);
			waiting = waiting.subarray(bytes.length);
			position += bytes.length;
			return bytes;
		},
		async close() {
			await stream?.cancel();
		},
	};
}

function reader(body: ReadableStream<Uint8Array>) {
	return body.getReader();
}
