/**
 * The .vtc files beside this one, run by the stock varnishtest against `drover varnishd` and against the stock
 * varnishd: a test that the stock daemon fails is a wrong test. `own-*.vtc` need what only Drover has.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { Glob } from "bun";
import { commandNames } from "../../firmware/cache/cli/commands.ts";
import { actionNames, methods } from "../../firmware/cache/vcl/methods.ts";
import { variables } from "../../firmware/cache/vcl/variables.ts";
import { vmods } from "../../firmware/cache/vcl/vmods/index.ts";
import { pathWith, varnishtest } from "./varnishtest.ts";

const bin = mkdtempSync(join(tmpdir(), "drover-vtc-"));
afterAll(() => rmSync(bin, { recursive: true, force: true }));

const files = [...new Glob("*.vtc").scanSync(join(import.meta.dir, "vtc"))]
	.sort()
	.map((name) => join(import.meta.dir, "vtc", name));

/** Several files wait for barriers and time outs at the same time. */
const AT_ONCE = 2;
const FILE_LIMIT_SECONDS = 60;
const ALL_LIMIT_MS = 400_000;

/** The output of each that did not pass, by its name. */
async function failures(list: readonly string[], path: string, atOnce: number) {
	const runs = await varnishtest(list, path, { atOnce, limitSeconds: FILE_LIMIT_SECONDS });
	return new Map(
		[...runs].filter(([, { verdict }]) => verdict !== "passed").map(([name, { log }]) => [name, log]),
	);
}

function suite(title: string, list: readonly string[], path: string): void {
	describe(title, () => {
		let failed: ReadonlyMap<string, string> = new Map();
		beforeAll(async () => {
			failed = await failures(list, path, AT_ONCE);
			// Delays in the files are real time: what two at once on a starved machine missed, one alone has to pass.
			if (failed.size > 0) failed = await failures([...failed.keys()], path, 1);
		}, ALL_LIMIT_MS);
		for (const file of list) test(basename(file), () => expect(failed.get(file) ?? "passed").toBe("passed"));
	});
}

suite("against drover varnishd", files, pathWith(bin, "drover"));
suite(
	"against the stock varnishd",
	files.filter((each) => !basename(each).startsWith("own-")),
	pathWith(bin, "stock"),
);

/** Everything that the language, the vmods and the management protocol have is in some .vtc. */
describe("complete", () => {
	const texts = files.map((file) => readFileSync(file, "utf8"));
	const all = texts.join("\n");
	const missing = (names: readonly string[], isThere: (name: string) => boolean) =>
		names.filter((name) => !isThere(name));
	const word = (name: string) => new RegExp(`(?<![\\w.])${name.replaceAll(".", "\\.")}(?![\\w.])`);

	test("every variable", () => {
		const names = [...new Set(variables.map(({ name }) => name))];
		// bereq, beresp, req and resp themselves are arguments of vmods.
		expect(
			missing(
				names.filter((name) => name.includes(".") || name === "now"),
				(name) => (name.endsWith(".") ? all.includes(name) : word(name).test(all)),
			),
		).toEqual([]);
	});

	test("every action of every sub", () => {
		const bodies = new Map<string, string>();
		for (const text of texts)
			for (const [, name = "", body = ""] of text.matchAll(/\bsub (vcl_\w+) \{\n([\s\S]*?)\n\t\}/g))
				bodies.set(name, (bodies.get(name) ?? "") + body);
		const oneLine = [...all.matchAll(/\bsub (vcl_\w+) \{([^\n]*)\}/g)];
		for (const [, name = "", body = ""] of oneLine) bodies.set(name, (bodies.get(name) ?? "") + body);
		const pairs = methods.flatMap(({ name, returns }) => returns.map((action) => `${name} ${action}`));
		expect(
			missing(pairs, (pair) => {
				const [name = "", action = ""] = pair.split(" ");
				return new RegExp(`return \\(${action}\\b`).test(bodies.get(name) ?? "");
			}),
		).toEqual([]);
		expect(missing([...actionNames], (action) => new RegExp(`return \\(${action}\\b`).test(all))).toEqual([]);
	});

	test("every function and method of every vmod", () => {
		const names = [...vmods.values()].flatMap((vmod) => [
			...[...vmod.functions.keys()].map((name) => `${vmod.name}.${name}`),
			...[...vmod.objects.values()].flatMap(({ name, methods: own }) => [
				name,
				...[...own.keys()].map((method) => `.${method}`),
			]),
		]);
		expect(missing(names, (name) => all.includes(`${name}(`))).toEqual([]);
	});

	test("every management command", () => {
		// quit ends the connection that varnishtest itself needs; auth is how it begins; the last kills the manager.
		const exempt = ["auth", "quit", "debug.panic.master"];
		expect(
			missing(
				commandNames().filter((name) => !exempt.includes(name)),
				(name) => new RegExp(`(?<![\\w.])${name.replaceAll(".", "\\.")}(?![\\w.])`).test(all),
			),
		).toEqual([]);
	});
});
