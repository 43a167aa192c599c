/** The check of a gzip body that goes by: it is unpacked beside, and what comes of it thrown away. */
import { createGunzip, type Gunzip } from "node:zlib";
import { AT_ONCE_BYTES, invalidGzip, type Recoded, recode, unpackedRecord } from "./recode.ts";

/** Bytes that may wait to be unpacked; with more the backend has to wait. */
export const BACKLOG_BYTES = 1024 * 1024;

export class GzipCheck {
	/** Most bodies are one piece, which is checked as it is. */
	#first: Uint8Array | undefined;
	#unpack: Gunzip | undefined;
	#packedBytes = 0;
	#plainBytes = 0;
	#outcome: Recoded | undefined;
	#done: ((outcome: Recoded) => void) | undefined;
	readonly #onCaughtUp: () => void;

	/** `onCaughtUp` is called when nothing waits any more after push() said that too much does. */
	constructor(onCaughtUp: () => void) {
		this.#onCaughtUp = onCaughtUp;
	}

	/** False: too much waits to be unpacked, and no more shall come until it has. The caller must not change `piece`. */
	push(piece: Uint8Array): boolean {
		this.#packedBytes += piece.length;
		if (this.#first === undefined) {
			this.#first = piece;
			return true;
		}
		// What is known to be broken needs no more of it.
		if (this.#outcome !== undefined) return true;
		this.#unpack ??= this.#start(this.#first);
		this.#unpack.write(piece);
		return this.#unpack.writableLength <= BACKLOG_BYTES;
	}

	get empty(): boolean {
		return this.#first === undefined;
	}

	#start(first: Uint8Array): Gunzip {
		const unpack = createGunzip();
		unpack.on("data", (plain: Buffer) => {
			this.#plainBytes += plain.length;
		});
		unpack.on("error", (error) => this.#settle(invalidGzip(error)));
		unpack.on("end", () =>
			this.#settle({
				ok: true,
				bytes: undefined,
				record: unpackedRecord("u F", this.#packedBytes, this.#plainBytes),
			}),
		);
		unpack.on("drain", () => this.#onCaughtUp());
		unpack.write(first);
		return unpack;
	}

	#settle(outcome: Recoded): void {
		this.#outcome ??= outcome;
		this.#done?.(this.#outcome);
		this.#done = undefined;
		// A drain would not come any more.
		this.#onCaughtUp();
	}

	/** All of it (not nothing) has gone by. */
	end(done: (outcome: Recoded) => void): void {
		const first = this.#first!;
		if (this.#unpack === undefined && first.length <= AT_ONCE_BYTES) {
			const checked = recode(first, "check", 0);
			if (checked.ok || checked.tooLong !== true) {
				done(checked);
				return;
			}
		}
		if (this.#outcome !== undefined) {
			done(this.#outcome);
			return;
		}
		this.#unpack ??= this.#start(first);
		this.#done = done;
		this.#unpack.end();
	}

	giveUp(): void {
		this.#done = undefined;
		this.#unpack?.destroy();
	}
}
