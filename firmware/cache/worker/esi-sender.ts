/** Sends a page with ESI tags, and the bodies of what is included in it, at the pace of the client. */
import { STRETCH_BYTES } from "../esi/pack.ts";
import type { EsiInclude, EsiProgram } from "../esi/program.ts";
import { copyOf } from "../http/bytes.ts";
import type { BodyReader, BodyStream } from "./body-stream.ts";
import type { EsiOutput } from "./esi-output.ts";

/** So many includes that are answered at once go by before others have their turn. */
const TURN_INCLUDES = 64;

export interface Page {
	readonly program: EsiProgram;
	readonly body: Uint8Array;
	/** Called once, when `body` is not read any more. */
	readonly release?: () => void;
}

interface PageOwner {
	/** `done` is called when the part has been sent, or will not be; not before this returns if it takes time. */
	include(include: EsiInclude, done: () => void): void;
	/** So many bytes of the page itself have gone out. */
	sent(bytes: number): void;
	/** All of it has. */
	end(): void;
}

export class PageSender {
	readonly #page: Page;
	readonly #output: EsiOutput;
	readonly #owner: PageOwner;
	/** Number of the step at hand, and how much of its stretch has been sent. */
	#step = 0;
	#ofStep = 0;
	/** In the body. */
	#at = 0;
	#running = false;
	#including = false;
	#over = false;

	constructor(page: Page, output: EsiOutput, owner: PageOwner) {
		this.#page = page;
		this.#output = output;
		this.#owner = owner;
	}

	run(): void {
		if (this.#running || this.#over) return;
		this.#running = true;
		let included = 0;
		while (!this.#over && !this.#including) {
			if (this.#output.isPaused) {
				this.#output.whenResumed(() => this.run());
				break;
			}
			const step = this.#page.program.steps[this.#step];
			if (step === undefined) {
				this.stop();
				this.#owner.end();
				break;
			}
			if (step.kind === "verbatim") this.#stretch(step);
			else if (step.kind === "skip") {
				this.#at += step.bytes;
				this.#step++;
			} else if (included++ === TURN_INCLUDES) {
				setImmediate(() => this.run());
				break;
			} else this.#include(step);
		}
		this.#running = false;
	}

	#include(step: EsiInclude): void {
		this.#step++;
		this.#including = true;
		this.#owner.include(step, () => {
			this.#including = false;
			this.run();
		});
	}

	#stretch({ bytes, crc, plainBytes }: { bytes: number; crc: number; plainBytes: number }): void {
		const { program, body } = this.#page;
		const { packed } = program;
		// A packed one is no longer than that unpacked.
		const length = packed ? bytes : Math.min(bytes - this.#ofStep, STRETCH_BYTES);
		const piece = copyOf(body.subarray(this.#at, this.#at + length));
		this.#at += length;
		this.#ofStep += length;
		if (this.#ofStep === bytes) {
			this.#step++;
			this.#ofStep = 0;
		}
		this.#owner.sent(packed ? this.#output.packed(piece, crc, plainBytes) : this.#output.plain(piece));
	}

	/** Nothing more is sent. */
	stop(): void {
		if (this.#over) return;
		this.#over = true;
		this.#page.release?.();
	}
}

/** The body of an included answer that is no page itself; not packed. */
export type PartBody =
	| { readonly kind: "none" }
	| { readonly kind: "bytes"; readonly bytes: Uint8Array; readonly release?: (() => void) | undefined }
	| { readonly kind: "stream"; readonly stream: BodyStream };

/** Longest part of which all is waited for before any of it is sent. */
const AWAITED_BYTES = 8 * 1024 * 1024;

interface PartOwner {
	sent(bytes: number): void;
	/** All has been sent that there is: of a part that failed, less than it should be. */
	end(failed: boolean): void;
}

export class PartSender implements BodyReader {
	readonly #output: EsiOutput;
	readonly #owner: PartOwner;
	/** What came of a part that is sent as a whole or not at all; undefined when it may be sent as it comes. */
	#awaited: Uint8Array[] | undefined;
	#awaitedBytes = 0;
	#body: PartBody = { kind: "none" };
	#at = 0;
	#over = false;

	/** `whole`: a part that fails is left out. One that is longer than can be waited for is sent nevertheless. */
	constructor(output: EsiOutput, whole: boolean, owner: PartOwner) {
		this.#output = output;
		this.#owner = owner;
		this.#awaited = whole ? [] : undefined;
	}

	/** Bytes without `release` are good until this returns. */
	run(body: PartBody): void {
		this.#body =
			body.kind === "bytes" && body.release === undefined ? { ...body, bytes: copyOf(body.bytes) } : body;
		if (body.kind === "stream") body.stream.join(this);
		this.onBody();
	}

	onBody(): void {
		this.#await();
		while (!this.#over && this.#awaited === undefined) {
			if (this.#output.isPaused) {
				this.#output.whenResumed(() => this.onBody());
				return;
			}
			const piece = this.#early.shift() ?? this.#next();
			if (piece === undefined) break;
			this.#owner.sent(this.#output.plain(piece));
		}
		const body = this.#body;
		if (this.#over || (body.kind === "stream" && !isOver(body.stream, this))) return;
		const failed = body.kind === "stream" && body.stream.state === "failed";
		this.stop();
		this.#owner.end(failed);
	}

	/** What was awaited, and is sent first. */
	#early: Uint8Array[] = [];

	#await(): void {
		const awaited = this.#awaited;
		const body = this.#body;
		if (awaited === undefined) return;
		if (body.kind === "stream")
			while (this.#awaitedBytes <= AWAITED_BYTES) {
				const piece = takeOwn(body.stream, this);
				if (piece === undefined) break;
				awaited.push(piece);
				this.#awaitedBytes += piece.length;
			}
		const isThere = body.kind !== "stream" || body.stream.state === "whole";
		if (!isThere && this.#awaitedBytes <= AWAITED_BYTES) return;
		this.#early = awaited;
		this.#awaited = undefined;
	}

	#next(): Uint8Array | undefined {
		const body = this.#body;
		if (body.kind === "stream") return takeOwn(body.stream, this);
		if (body.kind === "none" || this.#at === body.bytes.length) return undefined;
		const piece = body.bytes.subarray(this.#at, this.#at + STRETCH_BYTES);
		this.#at += piece.length;
		// What is to be released may be another's afterwards.
		return body.release === undefined ? piece : copyOf(piece);
	}

	stop(): void {
		if (this.#over) return;
		this.#over = true;
		const body = this.#body;
		if (body.kind === "stream") body.stream.leave(this);
		else if (body.kind === "bytes") body.release?.();
	}
}

/** What is read from the store may be another's when the client gets it. */
function takeOwn(stream: BodyStream, reader: BodyReader): Uint8Array | undefined {
	const piece = stream.take(reader);
	return piece !== undefined && stream.inStore ? copyOf(piece) : piece;
}

const isOver = (stream: BodyStream, reader: BodyReader) => stream.state !== "open" && stream.drained(reader);
