/** What a run of the suite amounts to. Pure. */
import type { CacheTest, Kind, Result, SuiteRun } from "./suite.ts";

export interface Score {
	readonly passed: number;
	readonly of: number;
}

export interface Miss {
	readonly test: CacheTest;
	/** The suite's own words. */
	readonly reason: string;
}

export function score(run: SuiteRun, kind: Kind): Score {
	const tests = run.tests.filter((test) => test.kind === kind);
	return { passed: tests.filter(({ id }) => run.results[id] === true).length, of: tests.length };
}

/** The same as cache-tests.fyi shows it: a pass counts only when all that it depends on has passed. */
export function scoreWithDependencies(run: SuiteRun, kind: Kind): Score {
	const byId = new Map(run.tests.map((test) => [test.id, test]));
	const passes = (id: string): boolean =>
		run.results[id] === true && (byId.get(id)?.dependsOn ?? []).every(passes);
	const tests = run.tests.filter((test) => test.kind === kind);
	return { passed: tests.filter(({ id }) => passes(id)).length, of: tests.length };
}

const words = (result: Result | undefined) =>
	result === undefined ? "was not run" : result === true ? "" : `${result[0]}: ${result[1]}`;

/** The tests of `kind` that did not pass, in the suite's order. */
export const misses = (run: SuiteRun, kind: Kind): readonly Miss[] =>
	run.tests
		.filter((test) => test.kind === kind && run.results[test.id] !== true)
		.map((test) => ({ test, reason: words(run.results[test.id]) }));
