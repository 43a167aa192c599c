/**
 * How badly can backtracking go? The pattern becomes a position automaton (Glushkov); a backtracker's work on a
 * subject of n bytes is n to the number of loops that can share one stretch of text in a row, or exponential when a
 * loop can go around in two ways over the same text (Weber and Seidl's criteria IDA and EDA, 1991).
 * Where the test itself would cost too much, the answer errs on the dangerous side.
 */
import { type ByteSet, complement, emptySet, intersects } from "./byte-set.ts";
import { isNullable, type Pattern, type PatternNode, some } from "./pattern.ts";

/** Degree of the polynomial; Infinity = exponential. 1 is linear. */
export type Degree = number;

/** Bounds of the analysis. */
const maxPositions = 6000;
/** Where many positions can each follow many: half a second of a processor, and minutes beyond it. */
const maxLinks = 1_000_000;
const maxProductSteps = 400_000;

export function worstDegree(pattern: Pattern): Degree {
	try {
		return analyse(pattern.root, true);
	} catch (error) {
		if (error instanceof TooLarge) return error.degree;
		throw error;
	}
}

/**
 * Ways through the finite parts, as a power of two: `(a?){30}` has 30 of them without any loop. A bound, not a count.
 */
export function finiteChoicesLog2(node: PatternNode, counted = false): number {
	switch (node.kind) {
		case "sequence":
			return node.items.reduce((sum, item) => sum + finiteChoicesLog2(item, counted), 0);
		case "alternation":
			return (
				Math.max(...node.options.map((option) => finiteChoicesLog2(option, counted))) +
				(counted ? Math.log2(node.options.length) : 0)
			);
		case "capture":
		case "atomic":
		case "look":
			return finiteChoicesLog2(node.body, counted);
		case "repeat": {
			const copies = node.max === Number.POSITIVE_INFINITY ? node.min : node.max;
			const each = finiteChoicesLog2(node.body, counted || copies > 1);
			const lengths = node.max === Number.POSITIVE_INFINITY ? 0 : Math.log2(node.max - node.min + 1);
			return copies * each + lengths;
		}
		case "set":
		case "assertion":
		case "backreference":
		case "keep":
			return 0;
		default:
			return node satisfies never;
	}
}

class TooLarge extends Error {
	readonly degree: Degree;

	constructor(degree: Degree) {
		super("automaton too large");
		this.degree = degree;
	}
}

interface Fragment {
	/** Positions that can come first; `anchored` ones only at the start of the subject. */
	readonly first: readonly { readonly position: number; readonly anchored: boolean }[];
	readonly last: readonly number[];
	readonly nullable: boolean;
	/** The empty way through is anchored at the start of the subject. */
	readonly anchored: boolean;
}

class Automaton {
	readonly sets: ByteSet[] = [];
	/** Successors of a position, and how many ways lead there. */
	readonly follow: Map<number, number>[] = [];
	/** Degrees of looks inside, which run on their own. */
	extra = 0;
	private links = 0;

	position(set: ByteSet): number {
		if (this.sets.length >= maxPositions) throw new TooLarge(Number.POSITIVE_INFINITY);
		this.follow.push(new Map());
		return this.sets.push(set) - 1;
	}

	link(from: readonly number[], to: Fragment["first"]): void {
		this.links += from.length * to.length;
		if (this.links > maxLinks) throw new TooLarge(Number.POSITIVE_INFINITY);
		for (const source of from)
			for (const { position, anchored } of to)
				if (!anchored) {
					const known = this.follow[source]!;
					known.set(position, (known.get(position) ?? 0) + 1);
				}
	}
}

const nothing: Fragment = { first: [], last: [], nullable: true, anchored: false };

function build(automaton: Automaton, node: PatternNode): Fragment {
	switch (node.kind) {
		case "set": {
			const position = automaton.position(node.set);
			return { first: [{ position, anchored: false }], last: [position], nullable: false, anchored: false };
		}
		case "sequence":
			return node.items.reduce<Fragment>(
				(before, item) => join(automaton, before, build(automaton, item)),
				nothing,
			);
		case "alternation": {
			const options = node.options.map((option) => build(automaton, option));
			return {
				first: options.flatMap(({ first }) => first),
				last: options.flatMap(({ last }) => last),
				nullable: options.some(({ nullable }) => nullable),
				anchored: options.filter(({ nullable }) => nullable).every(({ anchored }) => anchored),
			};
		}
		case "capture":
		case "atomic":
			return build(automaton, node.body);
		case "repeat":
			return repeat(automaton, node.body, node.min, node.max);
		case "assertion":
			return { ...nothing, anchored: node.what === "subject-start" || node.what === "search-start" };
		case "look":
			if (some(node.body, ({ kind }) => kind === "repeat"))
				automaton.extra = Math.max(automaton.extra, analyse(node.body, false));
			return nothing;
		case "backreference":
			// Its text is unknown: anything of any length.
			throw new TooLarge(Number.POSITIVE_INFINITY);
		case "keep":
			return nothing;
		default:
			return node satisfies never;
	}
}

function join(automaton: Automaton, before: Fragment, after: Fragment): Fragment {
	automaton.link(before.last, after.first);
	return {
		first: before.nullable
			? [
					...before.first,
					...after.first.map(({ position, anchored }) => ({
						position,
						anchored: anchored || before.anchored,
					})),
				]
			: before.first,
		last: after.nullable ? [...before.last, ...after.last] : after.last,
		nullable: before.nullable && after.nullable,
		anchored: before.anchored || after.anchored,
	};
}

function repeat(automaton: Automaton, body: PatternNode, min: number, max: number): Fragment {
	let result = nothing;
	const copies = max === Number.POSITIVE_INFINITY ? Math.max(min, 1) : max;
	for (let copy = 1; copy <= copies; copy++) {
		let turn = build(automaton, body);
		if (copy > min) turn = { ...turn, nullable: true };
		if (copy === copies && max === Number.POSITIVE_INFINITY) {
			automaton.link(turn.last, turn.first);
			// A turn may be empty: then one more way leads around.
			if (isNullable(body)) automaton.link(turn.last, turn.first);
		}
		result = join(automaton, result, turn);
	}
	return result;
}

function analyse(node: PatternNode, unanchored: boolean): Degree {
	const automaton = new Automaton();
	const everything = complement(emptySet());
	// A search may begin anywhere: a loop over everything before the pattern.
	const start = unanchored ? automaton.position(everything) : -1;
	const fragment = build(automaton, node);
	if (start >= 0) {
		automaton.link([start], [{ position: start, anchored: false }]);
		automaton.link([start], fragment.first);
	}
	const components = stronglyConnected(automaton);
	if (isExponential(automaton, components)) return Number.POSITIVE_INFINITY;
	let chain: Degree;
	try {
		chain = longestChain(automaton, components);
	} catch (error) {
		if (!(error instanceof TooLarge)) throw error;
		// At the worst every loop follows every other.
		chain = new Set(components.cyclic.map((position) => components.of[position])).size;
	}
	return Math.max(1, chain) + automaton.extra;
}

interface Components {
	/** Component of each position. */
	readonly of: readonly number[];
	/** Positions that lie on a cycle. */
	readonly cyclic: readonly number[];
}

/** Tarjan's algorithm, without recursion. */
function stronglyConnected(automaton: Automaton): Components {
	const count = automaton.sets.length;
	const successors = automaton.follow.map((ways) => [...ways.keys()]);
	const of = new Array<number>(count).fill(-1);
	const order = new Int32Array(count).fill(-1);
	const low = new Int32Array(count);
	const sizes = new Map<number, number>();
	const open: number[] = [];
	let clock = 0;
	for (let root = 0; root < count; root++) {
		if (order[root] !== -1) continue;
		const path: { readonly position: number; next: number }[] = [{ position: root, next: 0 }];
		order[root] = low[root] = clock++;
		open.push(root);
		while (path.length > 0) {
			const top = path.at(-1)!;
			const { position } = top;
			const successor = successors[position]![top.next++];
			if (successor !== undefined) {
				if (order[successor] === -1) {
					order[successor] = low[successor] = clock++;
					open.push(successor);
					path.push({ position: successor, next: 0 });
				} else if (of[successor] === -1) low[position] = Math.min(low[position]!, order[successor]!);
				continue;
			}
			path.pop();
			const parent = path.at(-1);
			if (parent !== undefined) low[parent.position] = Math.min(low[parent.position]!, low[position]!);
			if (low[position] !== order[position]) continue;
			let size = 0;
			let member: number;
			do {
				member = open.pop()!;
				of[member] = position;
				size++;
			} while (member !== position);
			sizes.set(position, size);
		}
	}
	const cyclic: number[] = [];
	for (let position = 0; position < count; position++)
		if (sizes.get(of[position]!)! > 1 || automaton.follow[position]!.has(position)) cyclic.push(position);
	return { of, cyclic };
}

class Budget {
	left = maxProductSteps;

	spend(): void {
		if (--this.left < 0) throw new TooLarge(Number.POSITIVE_INFINITY);
	}
}

/** EDA: one text takes a position back to itself in two ways. */
function isExponential(automaton: Automaton, { of, cyclic }: Components): boolean {
	const count = automaton.sets.length;
	for (const position of cyclic)
		for (const [next, ways] of automaton.follow[position]!)
			if (ways > 1 && of[next] === of[position]) return true;
	const budget = new Budget();
	// Pairs inside one component, reached from the diagonal and leading back to it.
	for (const position of new Set(cyclic.map((each) => of[each]!))) {
		const inside = (each: number) => of[each] === position;
		const forward = new Set<number>();
		const edges = new Map<number, number[]>();
		const stack = cyclic.filter(inside).map((each) => each * count + each);
		for (const pair of stack) forward.add(pair);
		while (stack.length > 0) {
			const pair = stack.pop()!;
			const left = Math.floor(pair / count);
			const right = pair % count;
			for (const nextLeft of automaton.follow[left]!.keys()) {
				if (!inside(nextLeft)) continue;
				for (const nextRight of automaton.follow[right]!.keys()) {
					budget.spend();
					if (!inside(nextRight)) continue;
					if (!intersects(automaton.sets[nextLeft]!, automaton.sets[nextRight]!)) continue;
					const next = nextLeft * count + nextRight;
					const back = edges.get(next);
					if (back === undefined) edges.set(next, [pair]);
					else back.push(pair);
					if (!forward.has(next)) {
						forward.add(next);
						stack.push(next);
					}
				}
			}
		}
		const backward = new Set<number>();
		const queue = [...forward].filter((pair) => Math.floor(pair / count) === pair % count);
		while (queue.length > 0) {
			const pair = queue.pop()!;
			for (const before of edges.get(pair) ?? []) {
				budget.spend();
				if (backward.has(before)) continue;
				backward.add(before);
				queue.push(before);
				if (Math.floor(before / count) !== before % count) return true;
			}
		}
	}
	return false;
}

/** IDA: the longest chain of loops of which each can hand over to the next within the same text. */
function longestChain(automaton: Automaton, components: Components): Degree {
	const { of, cyclic } = components;
	const budget = new Budget();
	const shares = new Map<number, Set<number>>();
	for (const from of cyclic)
		for (const to of cyclic) {
			const a = components.of[from]!;
			const b = components.of[to]!;
			if (a === b || shares.get(a)?.has(b) === true) continue;
			if (handsOver(automaton, of, from, to, budget)) {
				const known = shares.get(a) ?? new Set<number>();
				known.add(b);
				shares.set(a, known);
			}
		}
	const memo = new Map<number, number>();
	const depth = (component: number): number => {
		const known = memo.get(component);
		if (known !== undefined) return known;
		memo.set(component, 1);
		let longest = 1;
		for (const next of shares.get(component) ?? []) longest = Math.max(longest, 1 + depth(next));
		memo.set(component, longest);
		return longest;
	};
	return Math.max(0, ...cyclic.map((position) => depth(of[position]!)));
}

/** Is there a text that loops at `from`, leads from `from` to `to`, and loops at `to`? */
function handsOver(
	automaton: Automaton,
	of: readonly number[],
	from: number,
	to: number,
	budget: Budget,
): boolean {
	const count = automaton.sets.length;
	const key = (a: number, b: number, c: number) => (a * count + b) * count + c;
	const goal = key(from, to, to);
	const seen = new Set<number>();
	const stack: [number, number, number][] = [[from, from, to]];
	while (stack.length > 0) {
		const [a, b, c] = stack.pop()!;
		for (const nextA of automaton.follow[a]!.keys()) {
			if (of[nextA] !== of[from]) continue;
			for (const nextC of automaton.follow[c]!.keys()) {
				if (of[nextC] !== of[to]) continue;
				if (!intersects(automaton.sets[nextA]!, automaton.sets[nextC]!)) continue;
				for (const nextB of automaton.follow[b]!.keys()) {
					budget.spend();
					if (!meet(automaton.sets[nextA]!, automaton.sets[nextB]!, automaton.sets[nextC]!)) continue;
					const next = key(nextA, nextB, nextC);
					if (next === goal) return true;
					if (seen.has(next)) continue;
					seen.add(next);
					stack.push([nextA, nextB, nextC]);
				}
			}
		}
	}
	return false;
}

function meet(a: ByteSet, b: ByteSet, c: ByteSet): boolean {
	for (let word = 0; word < 8; word++) if ((a[word]! & b[word]! & c[word]!) !== 0) return true;
	return false;
}
