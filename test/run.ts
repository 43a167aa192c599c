/**
 * Runs every suite, fastest first, and closes with the sum: `N passed, N failed`.
 * A suite that cannot run, or that ran no test, counts as failed. Nothing is skipped silently.
 *
 *   bun test/run.ts             all suites
 *   bun test/run.ts unit sim    the named ones
 */
import { existsSync, readdirSync } from "node:fs";
import { bunFailures, bunTotals, type Failure, type Totals } from "./report.ts";

interface Suite {
	readonly name: string;
	readonly what: string;
	readonly command: readonly string[];
	/** The whole suite's bound. */
	readonly limitSeconds: number;
	/** "check": exit status 0 is one pass. "bun": the totals that bun test prints. */
	readonly kind: "check" | "bun";
}

const bin = `${import.meta.dir}/../node_modules/.bin`;
/** A test that needs longer says so itself. */
const TEST_LIMIT_MS = 30_000;
const bunTest = (...paths: string[]) => [
	process.execPath,
	"test",
	`--timeout=${TEST_LIMIT_MS}`,
	...paths.map((path) => `./test/${path}`),
];
/** Two files at a time: most of their time is spent waiting, or on one processor. Not for those that boot several boxes. */
const bunTestPairs = (...paths: string[]) => [...bunTest(...paths), "--parallel=2"];

/** Everything in test/ that has no suite of its own, so that no folder can be forgotten. */
const unitTests = readdirSync(import.meta.dir, { withFileTypes: true })
	.filter((entry) =>
		entry.isDirectory() ? !["lab", "sim", "bench"].includes(entry.name) : entry.name.endsWith(".test.ts"),
	)
	.map((entry) => entry.name)
	.sort();

/** Guests of one processor: user-mode Linux, the boot loader, the initramfs. The others of the folder boot whole boxes. */
const guestTests = readdirSync(`${import.meta.dir}/lab/vm`)
	.filter((name) => /^(uml|loader|initramfs).*\.test\.ts$/.test(name))
	.map((name) => `lab/vm/${name}`);
const boxTests = readdirSync(`${import.meta.dir}/lab/vm`)
	.filter((name) => name.endsWith(".test.ts") && !guestTests.includes(`lab/vm/${name}`))
	.map((name) => `lab/vm/${name}`);

const suites: readonly Suite[] = [
	{
		name: "format",
		what: "formatter and linter",
		command: [`${bin}/biome`, "check", "--error-on-warnings"],
		limitSeconds: 60,
		kind: "check",
	},
	{
		name: "types",
		what: "TypeScript, strict",
		command: [`${bin}/tsc`, "--noEmit"],
		limitSeconds: 120,
		kind: "check",
	},
	{
		name: "unit",
		what: "the specification, area by area",
		command: bunTestPairs(...unitTests),
		limitSeconds: 600,
		kind: "bun",
	},
	{
		name: "sim",
		what: "the election under a hostile network, seed by seed",
		command: bunTest("sim"),
		limitSeconds: 300,
		kind: "bun",
	},
	{
		name: "netns",
		what: "real sockets and real peers in network namespaces",
		command: bunTestPairs("lab/netns"),
		limitSeconds: 600,
		kind: "bun",
	},
	{
		name: "guests",
		what: "real IPVS in user-mode Linux, the real GRUB, disks of every kind",
		command: bunTestPairs(...guestTests),
		limitSeconds: 1200,
		kind: "bun",
	},
	{
		name: "lab",
		what: "the booted image: directors, web servers, a client",
		command: bunTest(...boxTests),
		limitSeconds: 2400,
		kind: "bun",
	},
];

/** What a suite came to. */
interface Outcome extends Totals {
	readonly failures: readonly Failure[];
}

/**
 * A test that failed is run once more with its file, alone. What passes then is unsteady: it is named at the end,
 * and counts as passed. More files than this are no accident of a busy machine, and are not run again.
 */
const SECOND_RUN_FILES_MAX = 3;
const SECOND_RUN_SECONDS = 600;

async function runCommand(
	name: string,
	command: readonly string[],
	limitSeconds: number,
): Promise<{ text: string; status: number }> {
	const child = Bun.spawn([...command], {
		cwd: `${import.meta.dir}/..`,
		stdin: "ignore",
		stdout: "inherit",
		stderr: "pipe",
		env: { ...process.env, NO_COLOR: "1" },
	});
	const timer = setTimeout(() => {
		console.log(`${name}: over its limit of ${limitSeconds} s, stopped`);
		child.kill("SIGKILL");
	}, limitSeconds * 1000);
	let text = "";
	const decoder = new TextDecoder();
	for await (const chunk of child.stderr) {
		process.stdout.write(chunk);
		text += decoder.decode(chunk, { stream: true });
	}
	const status = await child.exited;
	clearTimeout(timer);
	return { text, status };
}

async function runSuite(suite: Suite): Promise<Outcome> {
	const started = performance.now();
	console.log(`\n── ${suite.name}: ${suite.what}`);
	const { text, status } = await runCommand(suite.name, suite.command, suite.limitSeconds);
	const outcome: Outcome =
		suite.kind === "bun"
			? { ...bunTotals(text, status), failures: bunFailures(text) }
			: status === 0
				? { passed: 1, failed: 0, failures: [] }
				: { passed: 0, failed: 1, failures: [{ file: "", test: suite.what, why: [] }] };
	const seconds = ((performance.now() - started) / 1000).toFixed(1);
	console.log(`── ${suite.name}: ${outcome.passed} passed, ${outcome.failed} failed in ${seconds} s`);
	return outcome;
}

interface SecondRun {
	/** What failed and passes when its file runs again alone. */
	readonly unsteady: readonly Failure[];
	/** What failed this time, be it the same or something else. */
	readonly again: readonly Failure[];
}

/** Runs the files of these failures once more, each alone. */
async function secondRun(failures: readonly Failure[]): Promise<SecondRun> {
	const files = [...new Set(failures.map(({ file }) => file))].filter((file) => file !== "");
	const unsteady: Failure[] = [];
	const again: Failure[] = [];
	if (files.length === 0 || files.length > SECOND_RUN_FILES_MAX) return { unsteady, again };
	console.log(`\n── once more, alone: ${files.join(", ")}`);
	for (const file of files) {
		const { text, status } = await runCommand(file, bunTest(file.replace(/^test\//, "")), SECOND_RUN_SECONDS);
		if (bunTotals(text, status).failed === 0)
			unsteady.push(...failures.filter((failure) => failure.file === file));
		else again.push(...bunFailures(text));
	}
	return { unsteady, again };
}

const told = ({ file, test, why }: Failure) =>
	`${[file, test].filter(Boolean).join(": ")}\n${why.map((line) => `    ${line}`).join("\n")}`;

if (import.meta.main) {
	const wanted = process.argv.slice(2);
	const unknown = wanted.filter((name) => !suites.some((suite) => suite.name === name));
	if (unknown.length > 0) {
		console.error(
			`no such suite: ${unknown.join(", ")} (there are ${suites.map((suite) => suite.name).join(", ")})`,
		);
		process.exit(2);
	}
	const sum: Totals = { passed: 0, failed: 0 };
	const failures: Failure[] = [];
	for (const suite of suites) {
		if (wanted.length > 0 && !wanted.includes(suite.name)) continue;
		const present =
			suite.kind === "check" ||
			suite.command.slice(3).some((path) => existsSync(`${import.meta.dir}/../${path}`));
		if (!present) console.log(`\n── ${suite.name}: its tests are missing`);
		const outcome = present ? await runSuite(suite) : { passed: 0, failed: 1, failures: [] };
		sum.passed += outcome.passed;
		sum.failed += outcome.failed;
		failures.push(...outcome.failures);
	}
	const { unsteady, again } = await secondRun(failures);
	sum.passed += unsteady.length;
	sum.failed -= unsteady.length;
	const failed = failures.filter((failure) => !unsteady.includes(failure));
	if (unsteady.length > 0)
		console.log(`\nUnsteady, passed when run again alone:\n${unsteady.map(told).join("\n")}`);
	if (failed.length > 0) console.log(`\nFailed:\n${failed.map(told).join("\n")}`);
	if (again.length > 0) console.log(`\nFailed in the second run:\n${again.map(told).join("\n")}`);
	console.log(`\n${sum.passed} passed, ${sum.failed} failed`);
	process.exit(sum.failed === 0 ? 0 : 1);
}
