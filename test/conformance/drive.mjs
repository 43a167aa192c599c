/**
 * Runs the public suite's own client under Node, which it is written for, and prints tests and results as JSON.
 *   node drive.mjs SUITE-DIRECTORY BASE-URL TESTS-AT-A-TIME [ID,ID...]
 */
import fetch from "node-fetch";

const [directory, base, together, only] = process.argv.slice(2);
const load = (path) => import(`${directory}/${path}`);
const { runTests, getResults } = await load("client/runner.mjs");
const { default: suites } = await load("tests/index.mjs");
const { default: surrogate } = await load("tests/surrogate-control.mjs");
suites.push(surrogate);
if (only !== undefined) {
	const ids = new Set(only.split(","));
	for (const suite of suites) suite.tests = suite.tests.filter(({ id }) => ids.has(id));
}

const tests = suites.flatMap((suite) =>
	suite.tests
		.filter((test) => test.browser_only !== true)
		.map((test) => ({
			id: test.id,
			name: test.name,
			area: suite.name,
			kind: test.kind ?? "required",
			dependsOn: test.depends_on ?? [],
		})),
);
await runTests(suites, fetch, false, base, Number(together));
process.stdout.write(JSON.stringify({ tests, results: getResults() }));
