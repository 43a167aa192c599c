/** gzip as varnishd does it: packing, unpacking, and the check that what says it is gzip is (Gzip records of the log). */
import { createGunzip, type Gunzip, gunzipSync, gzipSync } from "node:zlib";

/** A body that unpacks to more is not checked or unpacked here. */
const UNPACK_LIMIT_BYTES = 256 * 1024 * 1024;

export type Recoding = "gzip" | "gunzip" | "check";

export type Recoded =
	/** `bytes` is undefined when the body stays as it is; `record` is the payload of the Gzip record. */
	| { readonly ok: true; readonly bytes: Uint8Array | undefined; readonly record: string }
	| { readonly ok: false; readonly reason: string };

export function recode(body: Uint8Array, recoding: Recoding, level: number): Recoded {
	if (recoding === "gzip") {
		const packed = gzipSync(body, { level });
		const record = `G F - ${body.length} ${packed.length} 80 80 ${packed.length * 8}`;
		return { ok: true, bytes: packed, record };
	}
	try {
		const plain = gunzipSync(body, { maxOutputLength: UNPACK_LIMIT_BYTES });
		const unpacks = recoding === "gunzip";
		const record = unpackedRecord(unpacks ? "U F" : "u F", body.length, plain.length);
		return { ok: true, bytes: unpacks ? plain : undefined, record };
	} catch (error) {
		return invalid(error);
	}
}

/** `way`: unpacked or only tried, in a fetch or a delivery (vsl(7), Gzip). */
export const unpackedRecord = (way: "U F" | "u F" | "U D", packedBytes: number, plainBytes: number) =>
	`${way} - ${packedBytes} ${plainBytes} 80 80 ${packedBytes * 8}`;

const invalid = (error: unknown): Recoded => ({
	ok: false,
	reason: `Invalid Gzip input: ${error instanceof Error ? error.message : error}`,
});

/** The check of a body that goes by and is not kept. */
export class GzipCheck {
	/** Most bodies are one piece, which is checked as it is. */
	#first: Uint8Array | undefined;
	#unpack: Gunzip | undefined;
	#packedBytes = 0;
	#plainBytes = 0;
	#outcome: Recoded | undefined;
	#done: ((outcome: Recoded) => void) | undefined;

	/** The caller must not change `piece` afterwards. */
	push(piece: Uint8Array): void {
		this.#packedBytes += piece.length;
		if (this.#first === undefined) {
			this.#first = piece;
			return;
		}
		this.#unpack ??= this.#start(this.#first);
		this.#unpack.write(piece);
	}

	get empty(): boolean {
		return this.#first === undefined;
	}

	#start(first: Uint8Array): Gunzip {
		const unpack = createGunzip();
		unpack.on("data", (plain: Buffer) => {
			this.#plainBytes += plain.length;
		});
		unpack.on("error", (error) => this.#settle(invalid(error)));
		unpack.on("end", () =>
			this.#settle({
				ok: true,
				bytes: undefined,
				record: unpackedRecord("u F", this.#packedBytes, this.#plainBytes),
			}),
		);
		unpack.write(first);
		return unpack;
	}

	#settle(outcome: Recoded): void {
		this.#outcome ??= outcome;
		this.#done?.(this.#outcome);
		this.#done = undefined;
	}

	/** All of it (not nothing) has gone by. */
	end(done: (outcome: Recoded) => void): void {
		if (this.#unpack === undefined) done(recode(this.#first!, "check", 0));
		else if (this.#outcome !== undefined) done(this.#outcome);
		else {
			this.#done = done;
			this.#unpack.end();
		}
	}

	giveUp(): void {
		this.#done = undefined;
		this.#unpack?.destroy();
	}
}
