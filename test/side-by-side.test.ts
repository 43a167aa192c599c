import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { sideBySide } from "./side-by-side.ts";

interface Piece {
	readonly name: string;
	readonly processors: number;
	readonly turns: number;
}

/** Runs it, and what was running whenever something had begun. */
async function watched(work: readonly Piece[], processors: number): Promise<readonly (readonly Piece[])[]> {
	const running = new Set<Piece>();
	const seen: Piece[][] = [];
	await sideBySide(work, processors, async (piece) => {
		running.add(piece);
		seen.push([...running]);
		for (let turn = 0; turn < piece.turns; turn++) await Promise.resolve();
		running.delete(piece);
	});
	expect(running.size).toBe(0);
	return seen;
}
const piece = (name: string, processors: number, turns = 10): Piece => ({ name, processors, turns });
const names = (seen: readonly (readonly Piece[])[]) =>
	seen.map((set) => set.map(({ name }) => name).join(" "));

describe("work side by side", () => {
	test("as many at once as there are processors, the next when one has ended", async () => {
		expect(
			names(await watched([piece("long", 1, 50), piece("b", 1), piece("c", 1), piece("d", 1)], 2)),
		).toEqual(["long", "long b", "long c", "long d"]);
	});

	test("what mostly waits takes part of one", async () => {
		expect(names(await watched([piece("a", 1), piece("b", 0.5), piece("c", 0.5)], 2))).toEqual([
			"a",
			"a b",
			"a b c",
		]);
	});

	test("what wants much is not overtaken", async () => {
		expect(names(await watched([piece("a", 1), piece("all", 2), piece("c", 1)], 2))).toEqual([
			"a",
			"all",
			"c",
		]);
	});

	test("what is left over beside one that does not fit yet is for the next that does", async () => {
		const work = [
			piece("a", 1, 30),
			piece("b", 0.75, 50),
			piece("c", 1),
			piece("d", 0.5),
			piece("e", 0.25, 5),
		];
		expect(names(await watched(work, 2))).toEqual(["a", "a b", "a b e", "b c", "b d"]);
	});

	test("also then what wants much is not overtaken", async () => {
		const work = [piece("a", 1, 30), piece("b", 0.75, 50), piece("all", 2), piece("c", 0.25)];
		expect(names(await watched(work, 2))).toEqual(["a", "a b", "all", "c"]);
	});

	test("what wants more than there is has it all", async () => {
		expect(names(await watched([piece("big", 2), piece("b", 0.5)], 1))).toEqual(["big", "b"]);
	});

	test("each runs once, and never more than there is room for", async () => {
		await fc.assert(
			fc.asyncProperty(
				fc.array(fc.record({ processors: fc.constantFrom(0.25, 0.5, 0.75, 1, 2, 4), turns: fc.nat(9) })),
				fc.integer({ min: 1, max: 4 }),
				async (work, processors) => {
					const seen = await watched(
						work.map((each, index) => ({ ...each, name: String(index) })),
						processors,
					);
					expect(seen.length).toBe(work.length);
					for (const set of seen)
						expect(
							set.reduce((sum, each) => sum + Math.min(each.processors, processors), 0),
						).toBeLessThanOrEqual(processors);
				},
			),
		);
	});
});
