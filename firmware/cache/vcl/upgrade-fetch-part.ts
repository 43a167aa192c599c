/**
 * VCL 3's vcl_miss and vcl_pass could change the request to the backend, which VCL 4 has in vcl_backend_fetch only. Such
 * a body is written twice, and each copy leaves out what belongs into the other: this says which statements. Works on
 * tokens; what is malformed is left to the compiler.
 */
import type { Token } from "./token.ts";

/** Indexes of tokens; `end` is the one after the last. */
export interface TokenRange {
	readonly begin: number;
	readonly end: number;
}

/** Index of the brace or parenthesis that closes the one at `open`; the end of input when none does. */
export function closingIndex(tokens: readonly Token[], open: number): number {
	const opener = tokens[open]!.kind;
	const closer = opener === "{" ? "}" : ")";
	let depth = 0;
	for (let index = open; index < tokens.length; index++) {
		const { kind } = tokens[index]!;
		if (kind === opener) depth++;
		else if (kind === closer && --depth === 0) return index;
	}
	return tokens.length - 1;
}

/** Does the statement at `index` change the request to the backend? `writers`: subroutines whose call does. */
export function writesBereq(tokens: readonly Token[], index: number, writers: ReadonlySet<string>): boolean {
	const target = tokens[index + 1]?.text ?? "";
	switch (tokens[index]!.text) {
		case "set":
		case "unset":
		case "remove":
			return target === "bereq";
		case "call":
			return writers.has(target);
		case "std":
			return tokens[index + 2]?.text === "collect" && tokens[index + 4]?.text === "bereq";
		default:
			return false;
	}
}

/** Is it one of the words that end a subroutine of VCL 3? */
export function isAction(tokens: readonly Token[], index: number): boolean {
	const { text } = tokens[index]!;
	if (text === "return") return tokens[index + 1]?.kind === "(";
	if (text === "error") return tokens[index + 1]?.kind !== ".";
	return plainActions.has(text) && tokens[index + 1]?.kind === ";";
}

/** VCL 2 wrote them without `return`. */
export const plainActions: ReadonlySet<string> = new Set([
	"deliver",
	"fetch",
	"hash",
	"hit_for_pass",
	"lookup",
	"pass",
	"pipe",
	"restart",
]);

/** Does the statement at `index` go on to the fetch, as vcl_miss and vcl_pass say it? */
export function goesOnToFetch(tokens: readonly Token[], index: number): boolean {
	if (!isAction(tokens, index)) return false;
	const { text } = tokens[index]!;
	const action = text === "return" ? tokens[index + 2]!.text : text;
	return action === "fetch" || action === "pass";
}

interface Statement {
	/** Index after its last token. */
	readonly end: number;
	/** Indexes of the opening braces of its blocks; none of a plain one. */
	readonly blocks: readonly number[];
}

const further: ReadonlySet<string> = new Set(["else", "elseif", "elsif", "elif"]);

function statementAt(tokens: readonly Token[], begin: number, limit: number): Statement {
	let at = begin;
	if (tokens[at]!.kind === "CSRC") return { end: at + 1, blocks: [] };
	const isCompound = tokens[at]!.kind === "{" || tokens[at]!.text === "if";
	if (!isCompound) {
		while (at < limit && tokens[at]!.kind !== ";") at++;
		return { end: Math.min(at + 1, limit), blocks: [] };
	}
	const blocks: number[] = [];
	do {
		while (at < limit && tokens[at]!.kind !== "{")
			at = tokens[at]!.kind === "(" ? closingIndex(tokens, at) + 1 : at + 1;
		if (at >= limit) break;
		blocks.push(at);
		at = closingIndex(tokens, at) + 1;
	} while (at < limit && further.has(tokens[at]!.text));
	return { end: Math.min(at, limit), blocks };
}

/**
 * The statements between the braces at `open` and `close` that a copy has to leave out so that only those are left
 * which `keeps` wants; an `if` of which nothing is left goes as a whole. `keeps` is asked of plain statements, with the
 * index of their first token and how many blocks they are in.
 */
export function leftOut(
	tokens: readonly Token[],
	open: number,
	close: number,
	keeps: (index: number, depth: number) => boolean,
	depth = 0,
): readonly TokenRange[] {
	const out: TokenRange[] = [];
	for (let begin = open + 1; begin < close; ) {
		const { end, blocks } = statementAt(tokens, begin, close);
		const ranges = blocks.map((block) => ({
			begin: block + 1,
			end: closingIndex(tokens, block),
			gone: leftOut(tokens, block, closingIndex(tokens, block), keeps, depth + 1),
		}));
		const kept = blocks.length === 0 ? keeps(begin, depth) : !ranges.every(isGone);
		if (kept) out.push(...ranges.flatMap(({ gone }) => gone));
		else out.push({ begin, end });
		begin = end;
	}
	return out;
}

/** Is all of a block left out? */
function isGone(block: TokenRange & { readonly gone: readonly TokenRange[] }): boolean {
	let at = block.begin;
	for (const { begin, end } of block.gone) {
		if (begin !== at) return false;
		at = end;
	}
	return at === block.end;
}
