/** The URLs that were asked for most, out of log records. Pure. */
import type { TopEntry } from "../../status/cache.ts";
import { Tag } from "./tags.ts";

/** Different URLs that are counted; more of them are not looked at. */
const URL_LIMIT = 100_000;

interface Request {
	url: string;
	host: string;
	handling: "hits" | "misses" | "passes" | undefined;
}

type Mutable = { -readonly [Name in keyof TopEntry]: TopEntry[Name] };

/** Takes records in the order of the log; a request counts when its End has been seen. */
export class TopUrls {
	readonly #open = new Map<number, Request>();
	readonly #entries = new Map<string, Mutable>();
	readonly #bytes = new Map<number, number>();

	add(tag: number, id: number, payload: string): void {
		switch (tag) {
			case Tag.Begin:
				if (payload.startsWith("req ")) this.#open.set(id, { url: "", host: "", handling: undefined });
				return;
			case Tag.ReqURL: {
				// The first one is what the client asked for; VCL may change it later.
				const request = this.#open.get(id);
				if (request?.url === "") request.url = payload;
				return;
			}
			case Tag.ReqHeader: {
				const request = this.#open.get(id);
				if (request?.host === "" && /^host:/i.test(payload)) request.host = payload.slice(5).trim();
				return;
			}
			case Tag.VCL_call: {
				const request = this.#open.get(id);
				if (request === undefined) return;
				if (payload === "HIT") request.handling = "hits";
				else if (payload === "MISS") request.handling = "misses";
				else if (payload === "PASS") request.handling = "passes";
				return;
			}
			case Tag.ReqAcct:
				this.#bytes.set(id, Number(payload.split(" ")[5] ?? 0));
				return;
			case Tag.End:
				this.#finish(id);
				return;
			default:
		}
	}

	#finish(id: number): void {
		const request = this.#open.get(id);
		const bytes = this.#bytes.get(id) ?? 0;
		this.#open.delete(id);
		this.#bytes.delete(id);
		if (request === undefined || request.url === "") return;
		const { host, url } = request;
		const key = `${host} ${url}`;
		let entry = this.#entries.get(key);
		if (entry === undefined) {
			if (this.#entries.size >= URL_LIMIT) return;
			entry = { host, url, requests: 0, hits: 0, misses: 0, passes: 0, bytes: 0 };
			this.#entries.set(key, entry);
		}
		entry.requests++;
		entry.bytes += bytes;
		if (request.handling !== undefined) entry[request.handling]++;
	}

	/** The `count` URLs with the most requests, most first. */
	most(count: number): TopEntry[] {
		return [...this.#entries.values()].sort((a, b) => b.requests - a.requests).slice(0, count);
	}
}
