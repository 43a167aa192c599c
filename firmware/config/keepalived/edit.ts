/**
 * Changes to a document: add, remove and change blocks and settings. Each returns a new document
 * that differs from the old one only where it was edited. Pure.
 */
import { type BlockNode, type Document, type Node, parseDocument, type TextNode } from "./document.ts";
import { wordsOf } from "./lexer.ts";
import { withoutComment } from "./preprocessor.ts";

/** Where a block is: the words of each block from the outermost one on, `["virtual_server 10.0.0.1 80"]`. */
export type Path = readonly string[];

/** There is no such block or setting, or it exists already; the message is for the operator. */
export class EditError extends Error {}

/** Every block with this keyword directly under `path`. */
export function blocksAt(document: Document, path: Path, keyword: string): readonly BlockNode[] {
	return childrenAt(document, path).filter(
		(node): node is BlockNode => node.kind === "block" && node.words[0] === keyword,
	);
}

export function hasBlock(document: Document, path: Path): boolean {
	try {
		childrenAt(document, path);
		return true;
	} catch (error) {
		if (error instanceof EditError) return false;
		throw error;
	}
}

/** The words after a keyword directly under `path`, of its last line; null when it is not there. */
export function settingAt(document: Document, path: Path, keyword: string): readonly string[] | null {
	const found = childrenAt(document, path).findLast(
		(node) => node.kind === "text" && node.words[0] === keyword,
	);
	return found === undefined ? null : found.words.slice(1);
}

/**
 * Adds a block at the end of `path` (or behind the last one of its keyword). `body` holds its lines;
 * a line that is an array is a block within.
 *
 *   addBlock(document, ["virtual_server 10.0.0.1 80"], "real_server 10.0.0.4 80", ["weight 3", ["TCP_CHECK", "connect_timeout 3"]])
 */
export function addBlock(document: Document, path: Path, head: string, body: readonly Line[]): Document {
	if (hasBlock(document, [...path, head])) throw new EditError(`${head} exists already`);
	const [keyword] = wordsOf(head);
	return edit(document, path, (children, style) => {
		const text = renderBlock(head, body, style);
		const node: BlockNode = reparse(text);
		const siblings = children.map((child) => child.kind === "block" && child.words[0] === keyword);
		const last = siblings.lastIndexOf(true);
		const at = last >= 0 ? last + 1 : endOf(children);
		const gap: Node[] = path.length === 0 && at > 0 ? [{ kind: "text", text: style.newline, words: [] }] : [];
		return [...closeLine(children.slice(0, at), style), ...gap, node, ...children.slice(at)];
	});
}

export type Line = string | Lines;
export interface Lines extends ReadonlyArray<Line> {
	/** The words before the brace. */
	readonly 0: string;
}

/** Removes the block that `path` leads to, with the comment lines directly above it. */
export function removeBlock(document: Document, path: Path): Document {
	const own = path.at(-1);
	if (own === undefined) throw new EditError("the whole file is no block");
	return edit(document, path.slice(0, -1), (children) => {
		const index = findBlock(children, own);
		let from = index;
		while (from > 0 && isComment(children[from - 1]!)) from--;
		return [...children.slice(0, from), ...children.slice(index + 1)];
	});
}

/** Gives the setting `keyword` under `path` these words; adds it when it is not there. */
export function setSetting(
	document: Document,
	path: Path,
	keyword: string,
	words: readonly string[],
): Document {
	const value = [keyword, ...words].join(" ");
	return edit(document, path, (children, style) => {
		const index = children.findLastIndex((node) => node.kind === "text" && node.words[0] === keyword);
		if (index < 0) {
			const firstBlock = children.findIndex((node) => node.kind === "block");
			const at = firstBlock < 0 ? endOf(children) : leadOf(children, firstBlock);
			const line: TextNode = {
				kind: "text",
				text: style.indent + value + style.newline,
				words: [keyword, ...words],
			};
			return [...closeLine(children.slice(0, at), style), line, ...children.slice(at)];
		}
		const node = children[index] as TextNode;
		const changed: TextNode = { kind: "text", text: replaceWords(node, value), words: [keyword, ...words] };
		return [...children.slice(0, index), changed, ...children.slice(index + 1)];
	});
}

/** Removes every line of this keyword directly under `path`. */
export function removeSetting(document: Document, path: Path, keyword: string): Document {
	return edit(document, path, (children) =>
		children.filter((node) => !(node.kind === "text" && node.words[0] === keyword)),
	);
}

/** Adds a data line to a value block: an address to `virtual_ipaddress`. */
export function addLine(document: Document, path: Path, line: string): Document {
	return edit(document, path, (children, style) => {
		const at = endOf(children);
		const node: TextNode = { kind: "text", text: style.indent + line + style.newline, words: wordsOf(line) };
		return [...closeLine(children.slice(0, at), style), node, ...children.slice(at)];
	});
}

/** Removes the data lines whose first word is `first`. */
export function removeLine(document: Document, path: Path, first: string): Document {
	return removeSetting(document, path, first);
}

/** Gives a block other words: a virtual server another address. */
export function renameBlock(document: Document, path: Path, head: string): Document {
	const own = path.at(-1);
	if (own === undefined) throw new EditError("the whole file is no block");
	return edit(document, path.slice(0, -1), (children) => {
		const index = findBlock(children, own);
		const node = children[index] as BlockNode;
		const start = node.head.search(/\S/);
		const written = node.head.slice(start, node.head.indexOf("{")).trimEnd();
		const changed = node.head.slice(0, start) + head + node.head.slice(start + written.length);
		return [
			...children.slice(0, index),
			{ ...node, head: changed, words: wordsOf(head) },
			...children.slice(index + 1),
		];
	});
}

interface Style {
	/** Blanks before a line of this block, and one level of them. */
	readonly indent: string;
	readonly level: string;
	readonly newline: string;
}

function childrenAt(document: Document, path: Path): readonly Node[] {
	let children: readonly Node[] = document.nodes;
	for (const name of path) children = (children[findBlock(children, name)] as BlockNode).children;
	return children;
}

function findBlock(children: readonly Node[], name: string): number {
	const words = wordsOf(name);
	const index = children.findIndex(
		(node) =>
			node.kind === "block" &&
			node.words.length === words.length &&
			node.words.every((word, each) => word === words[each]),
	);
	if (index < 0) throw new EditError(`there is no ${name}`);
	return index;
}

/** Replaces the children of the block that `path` leads to. */
function edit(
	document: Document,
	path: Path,
	change: (children: readonly Node[], style: Style) => readonly Node[],
): Document {
	const newline = firstNewline(document);
	const level = levelOf(document);
	const descend = (children: readonly Node[], depth: number): readonly Node[] => {
		if (depth === path.length)
			return change(children, { indent: indentOf(children, level, depth), level, newline });
		const index = findBlock(children, path[depth]!);
		const node = children[index] as BlockNode;
		const inner = descend(node.children, depth + 1);
		const opened = openLines(node, inner, level.repeat(depth), newline);
		return [...children.slice(0, index), opened, ...children.slice(index + 1)];
	};
	return { nodes: descend(document.nodes, 0) };
}

/** A block written on one line gets lines of its own when something is added to it. */
function openLines(node: BlockNode, children: readonly Node[], indent: string, newline: string): BlockNode {
	if (children.length <= node.children.length || node.head.endsWith("\n")) return { ...node, children };
	const last = node.children.at(-1);
	const closed = last === undefined || textEnd(last).endsWith("\n");
	return {
		...node,
		head: node.head.trimEnd() + newline,
		children,
		tail: closed || node.children.length < children.length ? indent + node.tail.trimStart() : node.tail,
	};
}

function textEnd(node: Node): string {
	return node.kind === "text" ? node.text : node.tail;
}

/** The last node must end its line before another line can follow. */
function closeLine(nodes: readonly Node[], style: Style): Node[] {
	const last = nodes.at(-1);
	if (last === undefined || textEnd(last).endsWith("\n")) return [...nodes];
	const closed: Node =
		last.kind === "text"
			? { ...last, text: `${last.text.trimEnd()}${style.newline}` }
			: { ...last, tail: `${last.tail}${style.newline}` };
	return [...nodes.slice(0, -1), closed];
}

function isComment(node: Node): boolean {
	return node.kind === "text" && node.words.length === 0 && /^[ \t]*[#!]/.test(node.text);
}

/** Where a block with the comments above it begins. */
function leadOf(children: readonly Node[], index: number): number {
	let at = index;
	while (at > 0 && children[at - 1]!.kind === "text" && (children[at - 1] as TextNode).words.length === 0)
		at--;
	return at;
}

/** Behind the last node that says something: trailing empty lines stay behind what is added. */
function endOf(children: readonly Node[]): number {
	let at = children.length;
	while (at > 0) {
		const node = children[at - 1]!;
		if (node.kind === "block" || node.words.length > 0 || node.text.trim() !== "") break;
		at--;
	}
	return at;
}

function firstNewline(document: Document): string {
	for (const node of document.nodes) {
		const text = node.kind === "text" ? node.text : node.head;
		if (text.includes("\n")) return text.includes("\r\n") ? "\r\n" : "\n";
	}
	return "\n";
}

/** One level of indentation, as the file has it; four blanks when it has none. */
function levelOf(document: Document): string {
	for (const node of document.nodes) {
		if (node.kind !== "block") continue;
		for (const child of node.children) {
			const blanks = /^[ \t]+(?=\S)/.exec(child.kind === "text" ? child.text : child.head)?.[0];
			if (blanks !== undefined && node.head.endsWith("\n")) return blanks;
		}
	}
	return "    ";
}

function indentOf(children: readonly Node[], level: string, depth: number): string {
	for (const child of children) {
		const text = child.kind === "text" ? child.text : child.head;
		if (child.words.length > 0 && /^[ \t]*\S/.test(text)) {
			const blanks = /^[ \t]*/.exec(text)![0];
			if (blanks !== "" || depth === 0) return blanks;
		}
	}
	return level.repeat(depth);
}

function renderBlock(head: string, body: readonly Line[], style: Style): string {
	const lines = [`${style.indent}${head} {`];
	const visit = (line: Line, indent: string) => {
		if (typeof line === "string") lines.push(indent + line);
		else {
			const [innerHead, ...inner] = line as readonly [string, ...Line[]];
			lines.push(`${indent}${innerHead} {`);
			for (const each of inner) visit(each, indent + style.level);
			lines.push(`${indent}}`);
		}
	};
	for (const line of body) visit(line, style.indent + style.level);
	lines.push(`${style.indent}}`);
	return lines.join(style.newline) + style.newline;
}

function reparse(text: string): BlockNode {
	const [node] = parseDocument(text).nodes;
	if (node?.kind !== "block") throw new EditError("this is no block");
	return node;
}

/** The line with other words: blanks before, comment and line end stay. */
function replaceWords(node: TextNode, value: string): string {
	const start = node.text.search(/\S/);
	const body = withoutComment(node.text.slice(start)).trimEnd();
	return node.text.slice(0, start) + value + node.text.slice(start + body.length);
}
