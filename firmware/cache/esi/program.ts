/**
 * What a page with ESI tags is made of, in order: stretches of its stored body that are sent, stretches that are left
 * out, and includes between them. Kept with the object.
 */

export type EsiStep =
	/** Sent. Of a packed body also the CRC-32 and the length of what the stretch unpacks to. */
	| { readonly kind: "verbatim"; readonly bytes: number; readonly crc: number; readonly plainBytes: number }
	/** Left out: tags, and what they take away. */
	| { readonly kind: "skip"; readonly bytes: number }
	| EsiInclude;

export interface EsiInclude {
	readonly kind: "include";
	/** Host field of the sub-request; "" keeps that of the page's request. */
	readonly host: string;
	/** Its URL, from the slash on. */
	readonly url: string;
	/** onerror="continue": a part that fails is left out as a whole (with the feature esi_include_onerror). */
	readonly continues: boolean;
}

export interface EsiProgram {
	/** The body is one gzip member whose stretches can be taken apart. */
	readonly packed: boolean;
	readonly steps: readonly EsiStep[];
}

const Code = { verbatim: 1, skip: 2, include: 3, includeOrContinue: 4 } as const;
const PACKED = 1;
const PLAIN = 0;

/** As it is stored; decodeProgram() reads it. */
export function encodeProgram({ packed, steps }: EsiProgram): Uint8Array {
	const parts: Buffer[] = [Buffer.from([packed ? PACKED : PLAIN])];
	for (const step of steps)
		switch (step.kind) {
			case "verbatim":
				parts.push(Buffer.from([Code.verbatim]), words(step.bytes, step.crc, step.plainBytes));
				break;
			case "skip":
				parts.push(Buffer.from([Code.skip]), words(step.bytes));
				break;
			case "include":
				parts.push(
					Buffer.from([step.continues ? Code.includeOrContinue : Code.include]),
					words(step.host.length, step.url.length),
					Buffer.from(step.host + step.url, "latin1"),
				);
				break;
		}
	return Buffer.concat(parts);
}

function words(...numbers: readonly number[]): Buffer {
	const bytes = Buffer.alloc(numbers.length * 4);
	for (const [index, number] of numbers.entries()) bytes.writeUInt32LE(number >>> 0, index * 4);
	return bytes;
}

/** Throws a RangeError when `stored` is not what encodeProgram() made; it is kept under a checksum. */
export function decodeProgram(stored: Uint8Array): EsiProgram {
	const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
	const steps: EsiStep[] = [];
	let at = 1;
	const word = () => {
		at += 4;
		return bytes.readUInt32LE(at - 4);
	};
	const text = (length: number) => {
		if (at + length > bytes.length) throw new RangeError("an ESI program ends early");
		at += length;
		return bytes.toString("latin1", at - length, at);
	};
	while (at < bytes.length) {
		const code = bytes[at++]!;
		switch (code) {
			case Code.verbatim:
				steps.push({ kind: "verbatim", bytes: word(), crc: word(), plainBytes: word() });
				break;
			case Code.skip:
				steps.push({ kind: "skip", bytes: word() });
				break;
			case Code.include:
			case Code.includeOrContinue: {
				const hostBytes = word();
				const urlBytes = word();
				const continues = code === Code.includeOrContinue;
				steps.push({ kind: "include", host: text(hostBytes), url: text(urlBytes), continues });
				break;
			}
			default:
				throw new RangeError(`an ESI program has a step of kind ${code}`);
		}
	}
	return { packed: bytes[0] === PACKED, steps };
}
