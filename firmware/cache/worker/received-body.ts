/** The body of a backend's answer, as its framing cuts it out of the bytes that come (RFC 9112 §6.3). Pure. */
import { ChunkedDecoder } from "../http/chunked.ts";
import type { ResponseFraming } from "../http/response.ts";

export type BodyProgress =
	| { readonly kind: "more" }
	/** `untidy`: more came behind it that means nothing; where the next answer would begin is not known. */
	| { readonly kind: "whole"; readonly untidy: boolean }
	/** It is not what it says. */
	| { readonly kind: "bad"; readonly reason: string };

const more: BodyProgress = { kind: "more" };
const whole: BodyProgress = { kind: "whole", untidy: false };
const untidy: BodyProgress = { kind: "whole", untidy: true };

/** The words that varnishd has for what is wrong with chunks. */
function varnishdSays(fault: string): string {
	if (/over its limit/.test(fault)) return "chunked header too long";
	if (/^chunk data/.test(fault)) return "chunked tail no NL";
	if (/CRLF$/.test(fault)) return "chunked header no NL";
	return "chunked header non-hex";
}

export class ReceivedBody {
	readonly #framing: ResponseFraming;
	readonly #decoder = new ChunkedDecoder();
	#left: number;

	constructor(framing: ResponseFraming) {
		this.#framing = framing;
		this.#left = framing.kind === "length" ? framing.bytes : 0;
	}

	/** What is wrong when its connection ends before it does. */
	get missing(): string {
		return this.#framing.kind === "chunked" ? "chunked insufficient bytes" : "straight insufficient bytes";
	}

	/** Its end is that of the connection. */
	get endsWithConnection(): boolean {
		return this.#framing.kind === "eof";
	}

	/** Takes what came; `onData` gets slices of it. */
	take(bytes: Uint8Array, onData: (data: Uint8Array) => void): BodyProgress {
		switch (this.#framing.kind) {
			case "length": {
				const left = this.#left - bytes.length;
				if (left < 0) {
					onData(bytes.subarray(0, this.#left));
					return behind(bytes.subarray(this.#left));
				}
				this.#left = left;
				onData(bytes);
				return left > 0 ? more : whole;
			}
			case "chunked": {
				const end = this.#decoder.push(bytes, 0, onData);
				if (typeof end === "string") return { kind: "bad", reason: `${varnishdSays(end)}: ${end}` };
				return this.#decoder.done ? behind(bytes.subarray(end)) : more;
			}
			case "eof":
				onData(bytes);
				return more;
			case "none":
				// No body was announced, so none is missing.
				return untidy;
		}
	}
}

/** More than was announced: one of the two is a lie, and nothing of it is used. A stray line end is only untidy. */
function behind(rest: Uint8Array): BodyProgress {
	if (rest.length === 0) return whole;
	if (rest.every((byte) => byte === 0x0d || byte === 0x0a)) return untidy;
	return { kind: "bad", reason: "backend sent more than the announced body" };
}
