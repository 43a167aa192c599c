/** A pattern as instructions for the backtracking matcher. */
import { addAll, type ByteSet, complement, emptySet } from "./byte-set.ts";
import {
	type AssertionKind,
	fixedLength,
	isNullable,
	optionsOf,
	type Pattern,
	type PatternNode,
	some,
} from "./pattern.ts";

/** Larger programs are refused: counted repeats multiply. */
const maxInstructions = 30_000;

export type Instruction =
	| { readonly op: "set"; readonly set: ByteSet }
	/** Tries `first`, then `second`. */
	| { readonly op: "split"; first: number; second: number }
	| { readonly op: "jump"; to: number }
	| { readonly op: "save"; readonly slot: number }
	| { readonly op: "assert"; readonly what: AssertionKind }
	/** Runs the program at `body` up to its "done"; then goes on at `next`. */
	| { readonly op: "look"; readonly negated: boolean; readonly body: number; next: number }
	| { readonly op: "atomic"; readonly body: number; next: number }
	/** Steps back in the subject (look-behind). */
	| { readonly op: "back"; readonly bytes: number }
	| { readonly op: "backreference"; readonly group: number; readonly caseless: boolean }
	/** Ends a group that refers to itself: until now it had what an earlier turn set. */
	| { readonly op: "close"; readonly group: number; readonly begin: number }
	/** Remembers where a turn of a loop, or such a group, began. */
	| { readonly op: "mark"; readonly slot: number }
	/** Leaves the loop when the turn was empty. */
	| { readonly op: "empty"; readonly slot: number; to: number }
	| { readonly op: "done" };

export interface Program {
	readonly code: readonly Instruction[];
	readonly groups: number;
	/** Two per group (0 is the whole match), then marks. */
	readonly slots: number;
	/** What a place leads to depends on the place alone. */
	readonly memorable: boolean;
	/** Bytes that a match can begin with; null when it can be empty or looks around first. */
	readonly firstBytes: ByteSet | null;
}

export class ProgramTooLarge extends Error {}

export function compileProgram(pattern: Pattern): Program {
	const assembler = new Assembler(2 * (pattern.groups + 1));
	assembler.compile(pattern.root);
	assembler.emit({ op: "done" });
	return {
		code: assembler.code,
		groups: pattern.groups,
		slots: assembler.slots,
		memorable: !some(pattern.root, ({ kind }) => kind === "backreference" || kind === "keep"),
		firstBytes: isNullable(pattern.root) ? null : firstBytes(pattern.root),
	};
}

/** The node cannot be empty. */
function firstBytes(node: PatternNode): ByteSet {
	const set = emptySet();
	const add = (each: PatternNode): void => {
		switch (each.kind) {
			case "set":
				addAll(set, each.set);
				return;
			case "sequence":
				for (const item of each.items) {
					add(item);
					if (!isNullable(item)) return;
				}
				return;
			case "alternation":
				for (const option of each.options) add(option);
				return;
			case "capture":
			case "repeat":
			case "atomic":
				add(each.body);
				return;
			case "backreference":
				addAll(set, complement(emptySet()));
				return;
			case "assertion":
			case "look":
			case "keep":
				return;
			default:
				each satisfies never;
		}
	};
	add(node);
	return set;
}

class Assembler {
	readonly code: Instruction[] = [];
	slots: number;

	constructor(slots: number) {
		this.slots = slots;
	}

	emit<T extends Instruction>(instruction: T): T {
		if (this.code.length >= maxInstructions) throw new ProgramTooLarge("regular expression is too large");
		this.code.push(instruction);
		return instruction;
	}

	/** The options in order, the first one preferred. */
	private choose(options: readonly (() => void)[]): void {
		const jumps: Extract<Instruction, { op: "jump" }>[] = [];
		options.forEach((option, index) => {
			if (index === options.length - 1) {
				option();
				return;
			}
			const split = this.emit({ op: "split" as const, first: this.code.length + 1, second: 0 });
			option();
			jumps.push(this.emit({ op: "jump" as const, to: 0 }));
			split.second = this.code.length;
		});
		for (const jump of jumps) jump.to = this.code.length;
	}

	compile(node: PatternNode): void {
		switch (node.kind) {
			case "set":
				this.emit({ op: "set", set: node.set });
				return;
			case "sequence":
				for (const item of node.items) this.compile(item);
				return;
			case "alternation":
				this.choose(node.options.map((option) => () => this.compile(option)));
				return;
			case "capture": {
				const { group } = node;
				if (some(node.body, (inner) => inner.kind === "backreference" && inner.group === group)) {
					const begin = this.slots++;
					this.emit({ op: "mark", slot: begin });
					this.compile(node.body);
					this.emit({ op: "close", group, begin });
					return;
				}
				this.emit({ op: "save", slot: 2 * group });
				this.compile(node.body);
				this.emit({ op: "save", slot: 2 * group + 1 });
				return;
			}
			case "repeat":
				for (let turn = 0; turn < node.min; turn++) this.compile(node.body);
				if (node.max === Number.POSITIVE_INFINITY) this.loop(node.body, node.lazy);
				else this.upTo(node.body, node.max - node.min, node.lazy);
				return;
			case "atomic": {
				const atomic = this.emit({ op: "atomic" as const, body: this.code.length + 1, next: 0 });
				this.compile(node.body);
				this.emit({ op: "done" });
				atomic.next = this.code.length;
				return;
			}
			case "assertion":
				this.emit({ op: "assert", what: node.what });
				return;
			case "look": {
				const look = this.emit({
					op: "look" as const,
					negated: node.negated,
					body: this.code.length + 1,
					next: 0,
				});
				if (node.ahead) this.compile(node.body);
				else {
					this.choose(
						optionsOf(node.body).map((option) => () => {
							this.emit({ op: "back", bytes: fixedLength(option) ?? 0 });
							this.compile(option);
						}),
					);
				}
				this.emit({ op: "done" });
				look.next = this.code.length;
				return;
			}
			case "backreference":
				this.emit({ op: "backreference", group: node.group, caseless: node.caseless });
				return;
			case "keep":
				this.emit({ op: "save", slot: 0 });
				return;
			default:
				node satisfies never;
		}
	}

	private loop(body: PatternNode, lazy: boolean): void {
		const begin = this.code.length;
		const split = this.emit({ op: "split" as const, first: 0, second: 0 });
		const checked = isNullable(body);
		const slot = this.slots;
		if (checked) {
			this.slots++;
			this.emit({ op: "mark", slot });
		}
		this.compile(body);
		const empty = checked ? this.emit({ op: "empty" as const, slot, to: 0 }) : null;
		this.emit({ op: "jump", to: begin });
		const end = this.code.length;
		if (empty !== null) empty.to = end;
		split.first = lazy ? end : begin + 1;
		split.second = lazy ? begin + 1 : end;
	}

	private upTo(body: PatternNode, turns: number, lazy: boolean): void {
		const splits: { at: number; split: Extract<Instruction, { op: "split" }> }[] = [];
		for (let turn = 0; turn < turns; turn++) {
			splits.push({
				at: this.code.length,
				split: this.emit({ op: "split" as const, first: 0, second: 0 }),
			});
			this.compile(body);
		}
		const end = this.code.length;
		for (const { at, split } of splits) {
			split.first = lazy ? end : at + 1;
			split.second = lazy ? at + 1 : end;
		}
	}
}
