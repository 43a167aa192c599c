/**
 * A backtracking matcher with PCRE's semantics and a bound on its work. It runs what JavaScript's engine would answer
 * differently, and what that engine could be kept busy with. First plainly, with a small budget; then, where what a
 * place leads to depends on the place alone, remembering every (instruction, position) that led nowhere: the work is
 * then at most pattern × subject. Beyond the bound the match fails loudly, never with another answer.
 */
import { type ByteSet, hasByte } from "./byte-set.ts";
import type { AssertionKind } from "./pattern.ts";
import type { Instruction, Program } from "./program.ts";

/** A match that would take too long; becomes a VCL failure. */
export class MatchLimit extends Error {
	override readonly name = "MatchLimit";
}

/** Steps of the plain run, and of the last one: some 50 ns each, so 30 ms at the very worst. */
export const plainSteps = 20_000;
export const lastSteps = 600_000;
/** What entering a look or an atomic group costs, in steps: the groups are copied. */
const enterSteps = 8;
const maxRememberedBits = 1 << 27;
const maxStackEntries = 1 << 21;

/** Positions of the groups, or null: [begin0, end0, begin1, …]; -1 = not set. */
export function run(program: Program, subject: string, from: number, notEmpty: boolean): Int32Array | null {
	try {
		const steps = program.memorable ? plainSteps : lastSteps;
		return new Run(program, subject, from, notEmpty, steps, null).search();
	} catch (error) {
		if (!(error instanceof MatchLimit) || !program.memorable) throw error;
	}
	const bits = program.code.length * (subject.length + 1);
	if (bits > maxRememberedBits) throw new MatchLimit("regular expression: subject too long for this pattern");
	return new Run(program, subject, from, notEmpty, lastSteps, new Uint8Array((bits >>> 3) + 1)).search();
}

/** Entries of the stack: an alternative (instruction, position), or a slot to restore (-1 - slot, value). */
class Run {
	private readonly code: readonly Instruction[];
	private readonly subject: string;
	private readonly from: number;
	private readonly notEmpty: boolean;
	private readonly failed: Uint8Array | null;
	private readonly firstBytes: ByteSet | null;
	private readonly slots: Int32Array;
	private readonly stack: number[] = [];
	private left: number;

	constructor(
		program: Program,
		subject: string,
		from: number,
		notEmpty: boolean,
		steps: number,
		failed: Uint8Array | null,
	) {
		this.code = program.code;
		this.subject = subject;
		this.from = from;
		this.notEmpty = notEmpty;
		this.left = steps;
		this.failed = failed;
		this.firstBytes = program.firstBytes;
		this.slots = new Int32Array(program.slots).fill(-1);
	}

	search(): Int32Array | null {
		const { firstBytes, subject } = this;
		for (let start = this.from; start <= subject.length; start++) {
			if (firstBytes !== null && !(start < subject.length && hasByte(firstBytes, subject.charCodeAt(start))))
				continue;
			this.slots[0] = start;
			const end = this.attempt(0, start, true);
			if (end >= 0) {
				this.slots[1] = end;
				return this.slots;
			}
		}
		return null;
	}

	/** Position after the match of the program at `entry`, or -1. Slots stay as the match set them. */
	private attempt(entry: number, start: number, outermost: boolean): number {
		const { code, subject, slots, stack } = this;
		const width = subject.length + 1;
		const floor = stack.length;
		// Inside a look or an atomic group places lead to another end: nothing is shared with the outside.
		const failed = this.failed;
		let pc = entry;
		let at = start;
		while (true) {
			if (--this.left < 0) throw new MatchLimit("regular expression: too many steps for this subject");
			let ok = true;
			if (failed !== null) {
				const bit = pc * width + at;
				const mask = 1 << (bit & 7);
				if ((failed[bit >>> 3]! & mask) !== 0 && outermost) ok = false;
				else if (outermost) failed[bit >>> 3]! |= mask;
			}
			if (ok) {
				const instruction = code[pc]!;
				switch (instruction.op) {
					case "set":
						ok = at < subject.length && hasByte(instruction.set, subject.charCodeAt(at));
						at++;
						pc++;
						break;
					case "split":
						if (stack.length >= maxStackEntries)
							throw new MatchLimit("regular expression: too many alternatives for this subject");
						stack.push(instruction.second, at);
						pc = instruction.first;
						break;
					case "jump":
						pc = instruction.to;
						break;
					case "save":
					case "mark":
						stack.push(-1 - instruction.slot, slots[instruction.slot]!);
						slots[instruction.slot] = at;
						pc++;
						break;
					case "close": {
						const slot = 2 * instruction.group;
						stack.push(-1 - slot, slots[slot]!, -2 - slot, slots[slot + 1]!);
						slots[slot] = slots[instruction.begin]!;
						slots[slot + 1] = at;
						pc++;
						break;
					}
					case "empty":
						pc = slots[instruction.slot] === at ? instruction.to : pc + 1;
						break;
					case "assert":
						ok = this.holds(instruction.what, at);
						pc++;
						break;
					case "look": {
						this.left -= enterSteps;
						const before = slots.slice();
						const depth = stack.length;
						const end = this.attempt(instruction.body, at, false);
						ok = end >= 0 !== instruction.negated;
						if (end < 0 || instruction.negated) slots.set(before);
						else this.keepSlots(before, depth);
						pc = instruction.next;
						break;
					}
					case "atomic": {
						this.left -= enterSteps;
						const before = slots.slice();
						const depth = stack.length;
						const end = this.attempt(instruction.body, at, false);
						ok = end >= 0;
						if (ok) {
							this.keepSlots(before, depth);
							at = end;
						} else slots.set(before);
						pc = instruction.next;
						break;
					}
					case "back":
						at -= instruction.bytes;
						ok = at >= 0;
						pc++;
						break;
					case "backreference": {
						const length = this.referenced(instruction.group, instruction.caseless, at);
						ok = length >= 0;
						at += length;
						pc++;
						break;
					}
					case "done":
						if (outermost && this.notEmpty && at === slots[0]) {
							ok = false;
							break;
						}
						stack.length = floor;
						return at;
					default:
						instruction satisfies never;
				}
			}
			if (ok) continue;
			// Back to the last alternative, undoing what was set since.
			while (true) {
				if (stack.length === floor) return -1;
				const value = stack.pop()!;
				const what = stack.pop()!;
				if (what < 0) slots[-1 - what] = value;
				else {
					pc = what;
					at = value;
					break;
				}
			}
		}
	}

	/** After a group that is not entered again: what it set can still be undone as a whole. */
	private keepSlots(before: Int32Array, depth: number): void {
		this.stack.length = depth;
		for (let slot = 0; slot < before.length; slot++)
			if (before[slot] !== this.slots[slot]) this.stack.push(-1 - slot, before[slot]!);
	}

	private isWord(at: number): boolean {
		if (at < 0 || at >= this.subject.length) return false;
		const code = this.subject.charCodeAt(at);
		return (
			(code >= 97 && code <= 122) || (code >= 65 && code <= 90) || (code >= 48 && code <= 57) || code === 95
		);
	}

	private holds(what: AssertionKind, at: number): boolean {
		const { subject } = this;
		switch (what) {
			case "subject-start":
				return at === 0;
			case "search-start":
				return at === this.from;
			case "subject-end":
				return at === subject.length;
			case "subject-end-or-last-newline":
				return at === subject.length || (at === subject.length - 1 && subject[at] === "\n");
			case "line-start":
				return at === 0 || (subject[at - 1] === "\n" && at < subject.length);
			case "line-end":
				return at === subject.length || subject[at] === "\n";
			case "word-boundary":
				return this.isWord(at - 1) !== this.isWord(at);
			case "no-word-boundary":
				return this.isWord(at - 1) === this.isWord(at);
			default:
				return what satisfies never;
		}
	}

	/** Length of the referenced text when it stands here; -1 when not, or when the group is not set. */
	private referenced(group: number, caseless: boolean, at: number): number {
		const begin = this.slots[2 * group]!;
		const end = this.slots[2 * group + 1]!;
		if (begin < 0 || end < 0) return -1;
		let text = this.subject.slice(begin, end);
		let here = this.subject.slice(at, at + text.length);
		this.left -= text.length >>> 3;
		if (caseless) {
			text = text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
			here = here.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
		}
		return text === here ? text.length : -1;
	}
}
