/** The string code of HPACK (RFC 7541 §5.2 and appendix B). Pure. */

/**
 * Bits of each symbol's code, "a" for 5 to "z" for 30, in the order of the symbols; the last is the end of the string.
 * The code is canonical: codes of one length follow each other in the order of their symbols, shorter ones come first.
 */
const LENGTHS =
	"isxxxxxxxtzxxzxxxxxxxxzxxxxxxxxxbffhibdgffdgdbbbaaabbbbbbbcdkbhfibccccccccccccccccccccccdcdioijbkabababbbaccbbbabcbaabccccckg" +
	"jixprpprrrsrssssststtrstssssqrsrsstrqprrssqsrrtqrssqqrqsrssprrrsrrsvvporsruvvvwwvtuoqvwwvwtqqvvxwwwptpqrqqsrruuttvsvwvvwwwwwx" +
	"wwwwwvz";
const END_OF_STRING = 256;
/** RFC 7541 §5.2: more bits behind the last symbol are an error. */
const PADDING_BITS = 7;

/** The code as a tree: at 2 × node + bit the next node, or a symbol as its complement. */
const tree = grow();

function grow(): Int16Array {
	const nodes: number[] = [0, 0];
	const symbols = [...LENGTHS].map((letter, symbol) => ({ symbol, length: letter.charCodeAt(0) - 0x61 + 5 }));
	symbols.sort((a, b) => a.length - b.length || a.symbol - b.symbol);
	let code = 0;
	let before = symbols[0]!.length;
	for (const { symbol, length } of symbols) {
		code *= 2 ** (length - before);
		before = length;
		let node = 0;
		for (let bit = length - 1; bit > 0; bit--) {
			const at = 2 * node + (Math.floor(code / 2 ** bit) & 1);
			if (nodes[at] === 0) {
				nodes[at] = nodes.length / 2;
				nodes.push(0, 0);
			}
			node = nodes[at]!;
		}
		nodes[2 * node + (code & 1)] = ~symbol;
		code++;
	}
	return Int16Array.from(nodes);
}

/** Five bits are the shortest code. */
export const longestDecoded = (codedBytes: number) => Math.floor((codedBytes * 8) / 5);

/**
 * Decodes `bytes` from `start` to `end` into `out`, which has room for longestDecoded(); returns how many bytes came out,
 * negative when it is no such string: a code for the end of it, padding that is longer than needed or not all ones.
 */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number, out: Uint8Array): number {
	let node = 0;
	let length = 0;
	/** Bits since the last symbol, and whether all were ones. */
	let bits = 0;
	let ones = true;
	for (let at = start; at < end; at++) {
		const byte = bytes[at]!;
		for (let shift = 7; shift >= 0; shift--) {
			const bit = (byte >> shift) & 1;
			const next = tree[2 * node + bit]!;
			if (next >= 0) {
				node = next;
				bits++;
				ones &&= bit === 1;
				continue;
			}
			if (~next === END_OF_STRING) return -1;
			out[length++] = ~next;
			node = 0;
			bits = 0;
			ones = true;
		}
	}
	return bits > PADDING_BITS || !ones ? -1 : length;
}
