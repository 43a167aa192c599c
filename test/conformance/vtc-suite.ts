/**
 * Varnish's own test suite against `drover varnishd`. Its files are not part of this tree: they are in Varnish's
 * source package. The stock varnishd says which of them hold for its version; of those, each that Drover does not
 * pass is named, with the reason that vtc-suite-known.ts has for it. Exit status 1: some have none.
 *
 *   bun test/conformance/vtc-suite.ts DIRECTORY          every .vtc below it
 *   bun test/conformance/vtc-suite.ts DIRECTORY c0 r013  those whose names begin like this
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { Glob } from "bun";
import { pathWith, type Run, varnishtest } from "../cache/varnishtest.ts";
import { knownReason } from "./vtc-suite-known.ts";

/** Two processors; most of a file's time is waiting. */
const AT_ONCE = 3;
const LIMIT_SECONDS = 60;
/** One varnishtest runs so many, so that something is seen meanwhile. */
const BATCH = 40;

/** What did not pass gets a second chance alone: delays in the files are real time. */
async function run(title: string, files: readonly string[], path: string): Promise<ReadonlyMap<string, Run>> {
	const runs = new Map<string, Run>();
	for (let from = 0; from < files.length; from += BATCH) {
		const batch = files.slice(from, from + BATCH);
		for (const [name, each] of await varnishtest(batch, path, {
			atOnce: AT_ONCE,
			limitSeconds: LIMIT_SECONDS,
		}))
			runs.set(name, each);
		const failed = batch.filter((name) => runs.get(name)?.verdict === "failed");
		if (failed.length > 0)
			for (const [name, each] of await varnishtest(failed, path, { atOnce: 1, limitSeconds: LIMIT_SECONDS }))
				runs.set(name, each);
		console.error(`${title}: ${runs.size} of ${files.length}`);
	}
	return runs;
}

const passed = (runs: ReadonlyMap<string, Run>) =>
	[...runs].filter(([, { verdict }]) => verdict === "passed").map(([name]) => name);

const [directory, ...beginnings] = process.argv.slice(2);
if (directory === undefined) {
	console.error("usage: bun test/conformance/vtc-suite.ts DIRECTORY [BEGINNING …]");
	process.exit(2);
}
const files = [...new Glob("**/*.vtc").scanSync(directory)]
	.filter((name) => beginnings.length === 0 || beginnings.some((each) => basename(name).startsWith(each)))
	.sort()
	.map((name) => join(directory, name));
if (files.length === 0) {
	console.error(`There is no such .vtc file below ${directory}.`);
	process.exit(2);
}
const scratch = mkdtempSync(join(tmpdir(), "drover-suite-"));
try {
	const valid = passed(await run("varnishd", files, pathWith(scratch, "stock")));
	const ours = await run("Drover", valid, pathWith(scratch, "drover"));
	const missed = valid.filter((name) => ours.get(name)?.verdict !== "passed");
	let unexplained = 0;
	for (const name of missed) {
		const log = ours.get(name)?.log ?? "";
		const reason = knownReason(basename(name, ".vtc"), log);
		if (reason === undefined) unexplained++;
		console.log(`${basename(name)}: ${reason ?? `NO REASON IS KNOWN\n${log}`}`);
	}
	console.log(
		`${files.length} files; the stock varnishd passes ${valid.length}, and Drover ${valid.length - missed.length} of these; of ${missed.length} missed, ${unexplained} have no reason`,
	);
	process.exitCode = unexplained === 0 ? 0 : 1;
} finally {
	rmSync(scratch, { recursive: true, force: true });
}
