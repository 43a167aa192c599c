/**
 * Runs every suite and closes with the sum: `N passed, N failed`. Their files share the machine, the longest first.
 * A suite that cannot run, or that ran no test, counts as failed. Nothing is skipped silently.
 *
 *   bun test/run.ts             all suites
 *   bun test/run.ts unit sim    the named ones
 */
import { Glob } from "bun";
import { bunFailures, bunTotals, type Failure, type Totals } from "./report.ts";
import { sideBySide, type Work } from "./side-by-side.ts";

interface Suite {
	readonly name: string;
	readonly what: string;
	readonly pieces: readonly Piece[];
}

/** One program to be run: a check, or a file of tests. */
interface Piece extends Work {
	readonly suite: string;
	/** For a file of tests its path in the project, "test/wire/bfd.test.ts". */
	readonly title: string;
	readonly command: readonly string[];
	readonly limitSeconds: number;
	/** "check": exit status 0 is one pass. "bun": the totals that bun test prints. */
	readonly kind: "check" | "bun";
}

/** That many pieces of one processor are run at once, on any machine: their tests are timed for no more. */
const PROCESSORS = 2;

const bin = `${import.meta.dir}/../node_modules/.bin`;
/** A test that needs longer says so itself. */
const TEST_LIMIT_MS = 30_000;
const bunTest = (file: string) => [process.execPath, "test", `--timeout=${TEST_LIMIT_MS}`, `./${file}`];

const check = (suite: string, command: readonly string[], limitSeconds: number): readonly Piece[] => [
	{ suite, title: suite, command, limitSeconds, kind: "check", processors: 1 },
];

/** The files that take longest, in this order. They begin first, so that what ends last is short. */
const longest: readonly string[] = [
	"test/lab/vm/director.test.ts",
	"test/lab/vm/update.test.ts",
	"test/lab/vm/console.test.ts",
	"test/console/idle.test.ts",
	"test/lab/vm/loader.test.ts",
	"test/image/release.test.ts",
	"test/cache/vtc.test.ts",
	"test/lab/vm/initramfs.test.ts",
	"test/lab/vm/uml-traffic.test.ts",
	"test/lab/vm/uml-director.test.ts",
];

const each = (processors: number, files: readonly string[]) =>
	Object.fromEntries(files.map((file) => [`test/${file}.test.ts`, processors]));

/**
 * The processors that a file keeps busy, where it is not what its suite says: its processor time over its time,
 * rounded up to the next quarter and more. Whatever looks at the times of VRRP keeps what its suite has.
 */
const busy: Readonly<Record<string, number>> = {
	// Three boxes.
	"test/lab/vm/director.test.ts": 2,
	// A box that its operator waits for now and then, two daemons at once that wait for barriers and delays.
	"test/lab/vm/update.test.ts": 0.75,
	"test/cache/vtc.test.ts": 0.75,
	// For delays, time-outs, periods of checks and of pollers, the second of whole seconds.
	...each(0.5, [
		"cache/http/connection-end",
		"cache/http/departures",
		"cache/http/lying-backends",
		"cache/http/raw-bytes",
		"cache/http/slow-clients",
		"cache/service/persistent",
		"cache/vcl/meaning",
		"command-words",
		"config/corpus",
		"health/probes",
		"notify/notify",
		"status/notifier",
	]),
	// For a minute in which nobody types, a service's idle seconds, peers that answer late.
	...each(0.25, [
		"console/idle",
		"director/tidy-memory",
		"lab/netns/director-mail",
		"lab/netns/director-start",
		"lab/netns/director-told",
		"lab/netns/health-oracle",
		"lab/netns/health-path",
		"lab/netns/host-oracle",
		"lab/netns/realserver-verify",
		"lab/netns/snmp-notifications",
	]),
};

const allFiles = [...new Glob("**/*.test.ts").scanSync(import.meta.dir)].map((path) => `test/${path}`).sort();
const unknownFiles = [...longest, ...Object.keys(busy)].filter((file) => !allFiles.includes(file));
if (unknownFiles.length > 0)
	throw new Error(`test/run.ts names files that are not there: ${unknownFiles.join(", ")}`);

/** The suite that a file belongs to. Whatever has none of its own is of "unit", so that no folder can be forgotten. */
function suiteOf(file: string): "unit" | "sim" | "netns" | "guests" | "lab" {
	if (file.startsWith("test/sim/")) return "sim";
	if (file.startsWith("test/lab/netns/")) return "netns";
	// Guests of one processor: user-mode Linux, the boot loader, the initramfs. The others of the folder boot whole boxes.
	if (/^test\/lab\/vm\/(uml|loader|initramfs)/.test(file)) return "guests";
	return file.startsWith("test/lab/vm/") ? "lab" : "unit";
}

const tests = (suite: ReturnType<typeof suiteOf>, limitSeconds: number, processors = 1): readonly Piece[] =>
	allFiles
		.filter((file) => suiteOf(file) === suite)
		.map((file) => ({
			suite,
			title: file,
			command: bunTest(file),
			limitSeconds,
			kind: "bun",
			processors: busy[file] ?? processors,
		}));

const suites: readonly Suite[] = [
	{
		name: "format",
		what: "formatter and linter",
		pieces: check("format", [`${bin}/biome`, "check", "--error-on-warnings"], 60),
	},
	{
		name: "types",
		what: "TypeScript, strict",
		pieces: check("types", [`${bin}/tsc`, "--noEmit"], 120),
	},
	{
		name: "unit",
		what: "the specification, area by area",
		pieces: tests("unit", 400),
	},
	{
		name: "sim",
		what: "the election under a hostile network, seed by seed",
		pieces: tests("sim", 300),
	},
	{
		name: "netns",
		what: "real sockets and real peers in network namespaces",
		// They mostly wait for each other.
		pieces: tests("netns", 400, 0.5),
	},
	{
		name: "guests",
		what: "real IPVS in user-mode Linux, the real GRUB, disks of every kind",
		pieces: tests("guests", 700),
	},
	{
		name: "lab",
		what: "the booted image: directors, web servers, a client",
		pieces: tests("lab", 1200),
	},
];

/** What a piece came to. */
interface Outcome extends Totals {
	readonly failures: readonly Failure[];
	/** From its start to its end. */
	readonly seconds: number;
}

/**
 * A test that failed is run once more with its file, alone. What passes then is unsteady: it is named at the end,
 * and counts as passed. More files than this are no accident of a busy machine, and are not run again.
 */
const SECOND_RUN_FILES_MAX = 3;
/** Of what a file printed that failed without a failing test. */
const WHY_LINES = 14;
/** For the last words of a program that has ended. */
const OUTPUT_GRACE_MS = 5_000;

/** Runs it to its end. What it prints comes in one block, not mixed with what others print. */
async function runPiece({ title, command, limitSeconds, kind }: Piece): Promise<Outcome> {
	const started = performance.now();
	const child = Bun.spawn([...command], {
		cwd: `${import.meta.dir}/..`,
		stdin: "ignore",
		stdout: "pipe",
		stderr: "pipe",
		env: { ...process.env, NO_COLOR: "1" },
	});
	let printed = "";
	let verdicts = "";
	const timer = setTimeout(() => {
		printed += `over the limit of ${limitSeconds} s, stopped\n`;
		child.kill("SIGKILL");
	}, limitSeconds * 1000);
	// The verdicts are on standard error, and must not be torn by what the tests themselves print.
	const gather = async (stream: ReadableStream<Uint8Array>, isVerdicts: boolean) => {
		const decoder = new TextDecoder();
		for await (const chunk of stream) {
			const text = decoder.decode(chunk, { stream: true });
			printed += text;
			if (isVerdicts) verdicts += text;
		}
	};
	const gathered = Promise.all([gather(child.stdout, false), gather(child.stderr, true)]);
	const status = await child.exited;
	clearTimeout(timer);
	// A process that was left behind may hold them open.
	await Promise.race([gathered, Bun.sleep(OUTPUT_GRACE_MS)]);
	const totals =
		kind === "bun"
			? bunTotals(verdicts, status)
			: { passed: status === 0 ? 1 : 0, failed: status === 0 ? 0 : 1 };
	const failures = kind === "bun" ? [...bunFailures(verdicts)] : [];
	if (totals.failed > 0 && failures.length === 0)
		failures.push({ file: title, test: "", why: printed.trimEnd().split("\n").slice(-WHY_LINES) });
	const seconds = (performance.now() - started) / 1000;
	const { passed, failed } = totals;
	console.log(
		`\n── ${title}: ${passed} passed, ${failed} failed in ${seconds.toFixed(1)} s\n${printed.trim()}`,
	);
	return { passed, failed, failures, seconds };
}

interface SecondRun {
	/** What failed and passes when its file runs again alone. */
	readonly unsteady: readonly Failure[];
	/** What failed this time, be it the same or something else. */
	readonly again: readonly Failure[];
}

/** Runs the files of these failures once more, each alone. */
async function secondRun(failures: readonly Failure[], pieces: readonly Piece[]): Promise<SecondRun> {
	const failed = pieces.filter(
		({ kind, title }) => kind === "bun" && failures.some(({ file }) => file === title),
	);
	const unsteady: Failure[] = [];
	const again: Failure[] = [];
	if (failed.length === 0 || failed.length > SECOND_RUN_FILES_MAX) return { unsteady, again };
	console.log(`\n── once more, alone: ${failed.map(({ title }) => title).join(", ")}`);
	for (const piece of failed) {
		const outcome = await runPiece(piece);
		if (outcome.failed === 0) unsteady.push(...failures.filter(({ file }) => file === piece.title));
		else again.push(...outcome.failures);
	}
	return { unsteady, again };
}

const told = ({ file, test, why }: Failure) =>
	`${[file, test].filter(Boolean).join(": ")}\n${why.map((line) => `    ${line}`).join("\n")}`;

if (import.meta.main) {
	const words = process.argv.slice(2);
	const unknown = words.filter((name) => !suites.some((suite) => suite.name === name));
	if (unknown.length > 0) {
		console.error(
			`no such suite: ${unknown.join(", ")} (there are ${suites.map((suite) => suite.name).join(", ")})`,
		);
		process.exit(2);
	}
	const wanted = suites.filter(({ name }) => words.length === 0 || words.includes(name));
	const rank = ({ kind, title }: Piece) =>
		kind === "check" ? -1 : (longest.indexOf(title) + longest.length + 1) % (longest.length + 1);
	const pieces = wanted.flatMap((suite) => suite.pieces).sort((one, other) => rank(one) - rank(other));
	const outcomes = new Map<Piece, Outcome>();
	await sideBySide(pieces, PROCESSORS, async (piece) => {
		outcomes.set(piece, await runPiece(piece));
	});

	console.log("");
	const sum: Totals = { passed: 0, failed: 0 };
	for (const { name, what, pieces: ofSuite } of wanted) {
		const came = ofSuite.map((piece) => outcomes.get(piece)!);
		const passed = came.reduce((total, outcome) => total + outcome.passed, 0);
		if (came.length === 0) console.log(`── ${name}: its tests are missing`);
		const failed = came.length === 0 ? 1 : came.reduce((total, outcome) => total + outcome.failed, 0);
		const seconds = came.reduce((total, outcome) => total + outcome.seconds, 0);
		console.log(`── ${name}: ${passed} passed, ${failed} failed, ${seconds.toFixed(0)} s: ${what}`);
		sum.passed += passed;
		sum.failed += failed;
	}
	const failures = [...outcomes.values()].flatMap((outcome) => outcome.failures);
	const { unsteady, again } = await secondRun(failures, pieces);
	const steadyAtLast = new Set(unsteady.map(({ file }) => file));
	const passedAtLast = pieces
		.filter(({ title }) => steadyAtLast.has(title))
		.reduce((total, piece) => total + outcomes.get(piece)!.failed, 0);
	sum.passed += passedAtLast;
	sum.failed -= passedAtLast;
	const failed = failures.filter((failure) => !unsteady.includes(failure));
	if (unsteady.length > 0)
		console.log(`\nUnsteady, passed when run again alone:\n${unsteady.map(told).join("\n")}`);
	if (failed.length > 0) console.log(`\nFailed:\n${failed.map(told).join("\n")}`);
	if (again.length > 0) console.log(`\nFailed in the second run:\n${again.map(told).join("\n")}`);
	console.log(`\n${sum.passed} passed, ${sum.failed} failed`);
	process.exit(sum.failed === 0 ? 0 : 1);
}
