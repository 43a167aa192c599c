/** PCRE2 patterns as a tree. One record per kind. */
import type { ByteSet } from "./byte-set.ts";

export interface SetNode {
	readonly kind: "set";
	readonly set: ByteSet;
}
export interface Sequence {
	readonly kind: "sequence";
	readonly items: readonly PatternNode[];
}
export interface Alternation {
	readonly kind: "alternation";
	readonly options: readonly PatternNode[];
}
export interface Capture {
	readonly kind: "capture";
	readonly group: number;
	readonly body: PatternNode;
}
export interface Repeat {
	readonly kind: "repeat";
	readonly body: PatternNode;
	readonly min: number;
	/** Infinity: no bound. */
	readonly max: number;
	readonly lazy: boolean;
}
export interface Atomic {
	readonly kind: "atomic";
	readonly body: PatternNode;
}
export type AssertionKind =
	| "subject-start"
	| "subject-end"
	| "subject-end-or-last-newline"
	| "line-start"
	| "line-end"
	| "word-boundary"
	| "no-word-boundary"
	| "search-start";
export interface Assertion {
	readonly kind: "assertion";
	readonly what: AssertionKind;
}
export interface Look {
	readonly kind: "look";
	readonly ahead: boolean;
	readonly negated: boolean;
	readonly body: PatternNode;
}
export interface Backreference {
	readonly kind: "backreference";
	readonly group: number;
	readonly caseless: boolean;
}
/** \K: the match is said to begin here. */
export interface Keep {
	readonly kind: "keep";
}

export type PatternNode =
	| SetNode
	| Sequence
	| Alternation
	| Capture
	| Repeat
	| Atomic
	| Assertion
	| Look
	| Backreference
	| Keep;

export interface Pattern {
	readonly root: PatternNode;
	readonly groups: number;
	/** Letters were read only under (?i). */
	readonly allCaseless: boolean;
	/** (?| numbers groups more than once: no other engine does. */
	readonly branchReset: boolean;
}

/** Can it match without consuming? Assertions count as empty. */
export function isNullable(node: PatternNode): boolean {
	switch (node.kind) {
		case "set":
			return false;
		case "sequence":
			return node.items.every(isNullable);
		case "alternation":
			return node.options.some(isNullable);
		case "capture":
		case "atomic":
			return isNullable(node.body);
		case "repeat":
			return node.min === 0 || isNullable(node.body);
		case "assertion":
		case "look":
		case "backreference":
		case "keep":
			return true;
		default:
			return node satisfies never;
	}
}

export function children(node: PatternNode): readonly PatternNode[] {
	switch (node.kind) {
		case "sequence":
			return node.items;
		case "alternation":
			return node.options;
		case "capture":
		case "repeat":
		case "atomic":
		case "look":
			return [node.body];
		case "set":
		case "assertion":
		case "backreference":
		case "keep":
			return [];
		default:
			return node satisfies never;
	}
}

export function some(node: PatternNode, test: (node: PatternNode) => boolean): boolean {
	return test(node) || children(node).some((child) => some(child, test));
}

/** The alternatives of what a group holds. */
export const optionsOf = (body: PatternNode): readonly PatternNode[] =>
	body.kind === "alternation" ? body.options : [body];

/** Length in bytes when every match has the same one; else null. */
export function fixedLength(node: PatternNode): number | null {
	switch (node.kind) {
		case "set":
			return 1;
		case "sequence": {
			let sum = 0;
			for (const item of node.items) {
				const length = fixedLength(item);
				if (length === null) return null;
				sum += length;
			}
			return sum;
		}
		case "alternation": {
			const lengths = new Set(node.options.map(fixedLength));
			return lengths.size === 1 ? [...lengths][0]! : null;
		}
		case "capture":
		case "atomic":
			return fixedLength(node.body);
		case "repeat": {
			// PCRE2 overlooks how often it looks ahead.
			if (node.body.kind === "look" && node.body.ahead) return 0;
			const length = node.min === node.max ? fixedLength(node.body) : null;
			return length === null ? null : length * node.min;
		}
		case "assertion":
		case "look":
		case "keep":
			return 0;
		case "backreference":
			return null;
		default:
			return node satisfies never;
	}
}
