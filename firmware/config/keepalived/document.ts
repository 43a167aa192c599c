/**
 * One keepalived.conf as its author wrote it, to be edited by program: comments, order, spacing and
 * line ends stay, and a file differs only where it was edited.
 *
 *   const document = parseDocument(text);
 *   const edited = addBlock(document, ["virtual_server 10.0.0.1 80"], "real_server 10.0.0.4 80", ["weight 3"]);
 *   print(edited) // the text, with that real server added in its neighbours' indentation
 *
 * The tree knows lines and blocks, not what they mean: definitions and includes are lines like any
 * other. Pure.
 */
import { Lexer } from "./lexer.ts";
import { limits } from "./limits.ts";
import { byteOrderMarkLength } from "./source.ts";

/** A line or part of a line with words, a comment, or nothing: kept as written. */
export interface TextNode {
	readonly kind: "text";
	/** Everything up to and with the line end or the blank before a brace. */
	readonly text: string;
	/** The words; empty for comments and empty lines. */
	readonly words: readonly string[];
}

/** A block: what stands before and with `{`, what is inside, and what belongs to `}`. */
export interface BlockNode {
	readonly kind: "block";
	/** From the end of the node before, comments excluded, to `{` and the rest of its line when only a comment follows. */
	readonly head: string;
	/** The words before the brace: `["virtual_server", "10.0.0.1", "80"]`. */
	readonly words: readonly string[];
	readonly children: readonly Node[];
	/** From the last child to `}` and the rest of its line; "" when the file ends inside the block. */
	readonly tail: string;
}

export type Node = TextNode | BlockNode;

export interface Document {
	readonly nodes: readonly Node[];
}

/** Never fails: whatever a text holds comes back from `print` byte for byte. */
export function parseDocument(text: string): Document {
	return new DocumentReader(text).read();
}

/** The text of a document; `print(parseDocument(text))` is `text`. */
export function print(document: Document): string {
	const parts: string[] = [];
	const visit = (node: Node) => {
		if (node.kind === "text") parts.push(node.text);
		else {
			parts.push(node.head);
			for (const child of node.children) visit(child);
			parts.push(node.tail);
		}
	};
	for (const node of document.nodes) visit(node);
	return parts.join("");
}

/** Blocks within blocks that are seen as such; deeper ones are text. */
const DEPTH_LIMIT = limits.blockDepth;

class DocumentReader {
	readonly #text: string;
	readonly #lexer = new Lexer();
	/** Offset behind what the nodes so far hold. */
	#taken = 0;

	constructor(text: string) {
		this.#text = text;
		this.#lexer.reset(text);
		this.#lexer.seek(byteOrderMarkLength(text), 1, 0);
	}

	read(): Document {
		const nodes: Node[] = [];
		for (;;) {
			const { children, tail } = this.#body(0);
			nodes.push(...children);
			if (tail === "") break;
			// A brace that closes nothing is text like any other.
			nodes.push({ kind: "text", text: tail, words: ["}"] });
		}
		return { nodes };
	}

	#body(depth: number): { children: Node[]; tail: string } {
		const children: Node[] = [];
		const lexer = this.#lexer;
		while (lexer.next()) {
			const words = Array.from({ length: lexer.count }, (_, index) => lexer.word(index));
			// Lines that the preprocessor would replace or drop may hold braces of their own.
			if (this.#isDirective(words)) {
				this.#leadingLines(children);
				children.push({ kind: "text", text: this.#takeLine(), words });
				continue;
			}
			if (lexer.closes) {
				this.#leadingLines(children);
				return { children, tail: this.#takeRest() };
			}
			if (lexer.opens && depth < DEPTH_LIMIT) {
				let named = words;
				let before: Node | undefined;
				if (words.length === 0) {
					// The brace stands alone: the words are those of the line above.
					const index = lastWith(children);
					before = index < 0 ? undefined : children[index];
					if (before?.kind === "text" && index >= 0 && !before.text.includes("{")) {
						named = [...before.words];
						const head = children.splice(index).map(textOf).join("");
						const own = this.#takeRest();
						const body = this.#body(depth + 1);
						children.push({
							kind: "block",
							head: head + own,
							words: named,
							children: body.children,
							tail: body.tail,
						});
						continue;
					}
				}
				this.#leadingLines(children);
				const head = this.#takeRest();
				const body = this.#body(depth + 1);
				children.push({ kind: "block", head, words: named, children: body.children, tail: body.tail });
				continue;
			}
			this.#leadingLines(children);
			children.push({ kind: "text", text: this.#takeRest(), words });
		}
		if (this.#taken < this.#text.length) {
			this.#pushLines(children, this.#text.slice(this.#taken));
			this.#taken = this.#text.length;
		}
		return { children, tail: "" };
	}

	/** `$X=…`, `~SEQ…`, `@ID …` at the beginning of a physical line. */
	#isDirective(words: readonly string[]): boolean {
		const first = words[0];
		if (first === undefined || !/^[$~@]/.test(first)) return false;
		const lexer = this.#lexer;
		return /^[ \t]*$/.test(this.#text.slice(lexer.lineStart, lexer.wordStart(0)));
	}

	/** A whole physical line, with those that continue a definition. */
	#takeLine(): string {
		const text = this.#text;
		let lineNumber = this.#lexer.line;
		let end = text.indexOf("\n", this.#lexer.lineStart);
		const isDefinition = /^[ \t]*(@\S+[ \t]+)?\$[A-Za-z_][A-Za-z0-9_]*=/.test(
			text.slice(this.#lexer.lineStart, end < 0 ? undefined : end),
		);
		lineNumber++;
		let start = this.#lexer.lineStart;
		while (isDefinition && end >= 0 && /\\[ \t\r]*$/.test(text.slice(start, end))) {
			start = end + 1;
			end = text.indexOf("\n", start);
			lineNumber++;
		}
		const stop = end < 0 ? text.length : end + 1;
		this.#lexer.seek(stop, lineNumber);
		const taken = text.slice(this.#taken, stop);
		this.#taken = stop;
		return taken;
	}

	/** Comments and empty lines before the current logical line become nodes of their own. */
	#leadingLines(children: Node[]): void {
		const { lineStart } = this.#lexer;
		if (lineStart > this.#taken) {
			this.#pushLines(children, this.#text.slice(this.#taken, lineStart));
			this.#taken = lineStart;
		}
	}

	#pushLines(children: Node[], text: string): void {
		for (let at = 0; at < text.length; ) {
			const newline = text.indexOf("\n", at);
			const end = newline < 0 ? text.length : newline + 1;
			children.push({ kind: "text", text: text.slice(at, end), words: [] });
			at = end;
		}
	}

	/** The current logical line; with the rest of its physical line when only blanks or a comment follow. */
	#takeRest(): string {
		const text = this.#text;
		const lexer = this.#lexer;
		let end = Math.max(lexer.position, this.#taken);
		if (text.charCodeAt(end - 1) !== 10) {
			const newline = text.indexOf("\n", end);
			const stop = newline < 0 ? text.length : newline + 1;
			if (/^[ \t\r\f\v]*([#!].*)?\n?$/s.test(text.slice(end, stop))) {
				end = stop;
				lexer.seek(end, lexer.line + (newline < 0 ? 0 : 1));
			}
		}
		const taken = text.slice(this.#taken, end);
		this.#taken = end;
		return taken;
	}
}

function textOf(node: Node): string {
	return print({ nodes: [node] });
}

/** Index of the last node with words, when only comments and empty lines follow it. */
function lastWith(nodes: readonly Node[]): number {
	for (let index = nodes.length - 1; index >= 0; index--) {
		const node = nodes[index]!;
		if (node.kind === "block") return -1;
		if (node.words.length > 0) return index;
	}
	return -1;
}
