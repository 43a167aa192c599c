/** A fetched page with ESI tags: read, and packed again if it is to be stored so. Long ones in turns with everything else. */
import { packPage } from "../esi/pack.ts";
import { EsiParser, type EsiRemark, type EsiRules } from "../esi/parser.ts";
import type { EsiProgram, EsiStep } from "../esi/program.ts";

/** So many bytes are read, or packed, before others have their turn. */
const TURN_BYTES = 128 * 1024;
const PIECE_BYTES = 64 * 1024;

export interface EsiPage {
	/** As it is stored. */
	readonly bytes: Uint8Array;
	/** Undefined: there are no tags in it. */
	readonly program: EsiProgram | undefined;
}

export interface PageSource {
	readonly plain: Uint8Array;
	/** What it was asked for with. */
	readonly url: string;
	readonly rules: EsiRules;
	/** gzip level, if it is to be packed. */
	readonly packLevel: number | undefined;
	/** What it was before it was unpacked: kept as it is when there are no tags in it. */
	readonly packed: Uint8Array | undefined;
	tell(remark: EsiRemark): void;
}

/** `done` is called at once for a page of no more than one turn; `isWanted` says whether to go on with a longer one. */
export function makePage(source: PageSource, isWanted: () => boolean, done: (page: EsiPage) => void): void {
	const making = make(source);
	const turn = () => {
		if (!isWanted()) return;
		for (let bytes = 0; bytes < TURN_BYTES; ) {
			const next = making.next();
			if (next.done) {
				done(next.value);
				return;
			}
			bytes += next.value;
		}
		setImmediate(turn);
	};
	turn();
}

/** Yields the bytes it has worked on. */
function* make({ plain, url, rules, packLevel, packed, tell }: PageSource): Generator<number, EsiPage> {
	const parser = new EsiParser(url, rules, tell);
	for (let at = 0; at < plain.length; at += PIECE_BYTES) {
		parser.push(plain.subarray(at, at + PIECE_BYTES));
		yield Math.min(PIECE_BYTES, plain.length - at);
	}
	const steps = parser.end();
	if (packLevel === undefined)
		return { bytes: plain, program: steps === undefined ? undefined : { packed: false, steps } };
	if (steps === undefined && packed !== undefined) return { bytes: packed, program: undefined };
	const whole: readonly EsiStep[] = [{ kind: "verbatim", bytes: plain.length, crc: 0, plainBytes: 0 }];
	const packing = packPage(plain, steps ?? whole, packLevel);
	const pieces: Uint8Array[] = [];
	for (;;) {
		const next = packing.next();
		if (next.done)
			return {
				bytes: Buffer.concat(pieces),
				program: steps === undefined ? undefined : { packed: true, steps: next.value },
			};
		pieces.push(next.value);
		yield PIECE_BYTES;
	}
}
