/** Tracked scripts over reloads, and when another process takes over: real ones, which refuse to run twice at once. */
import { afterAll, expect, test } from "bun:test";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TrackScriptConfig } from "../../firmware/config/model.ts";
import { Trackers } from "../../firmware/vrrp/trackers.ts";
import { configOf, nowhere, trackScriptOf } from "./config.ts";

const folder = mkdtempSync(join(tmpdir(), `drover-trackers-${process.pid}-`));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const RUN_SECONDS = 0.6;

/** Runs for a while, notes its beginning and its end, and fails beside another one of its name. */
function guarded(name: string, over: Partial<TrackScriptConfig> = {}): TrackScriptConfig {
	const text = [
		`exec 9> ${folder}/${name}.lock`,
		"flock -n 9 || exit 1",
		`echo begin >> ${folder}/${name}`,
		`trap 'echo ended >> ${folder}/${name}; exit 1' TERM`,
		`sleep ${RUN_SECONDS} 9>&- & wait`,
		`echo end >> ${folder}/${name}`,
	].join("\n");
	writeFileSync(join(folder, name), "");
	return trackScriptOf(name, {
		script: { command: ["/bin/sh", "-c", text], user: null, group: null, location: nowhere },
		intervalMs: 1_000,
		timeoutMs: 5_000,
		...over,
	});
}

const told = (name: string) => readFileSync(join(folder, name), "utf8").split("\n").filter(Boolean);

function trackers(results: string[]): Trackers {
	return new Trackers(
		{
			onScript: (name, success) => results.push(`${name} ${success}`),
			onProcess: () => {},
			onFile: () => {},
		},
		() => {},
	);
}

async function until(holds: () => boolean, what: string): Promise<void> {
	const limit = performance.now() + 10_000;
	while (!holds()) {
		if (performance.now() > limit) throw new Error(`not within 10 s: ${what}`);
		await Bun.sleep(10);
	}
}

test("a reload leaves a script alone that stays as it was: no second one beside it, and its result counts", async () => {
	const results: string[] = [];
	const subject = trackers(results);
	const script = guarded("kept");
	subject.configure(configOf([], { trackScripts: [script] }), false);
	await until(() => told("kept").length === 1, "it has begun");
	expect([...subject.runningScripts]).toEqual(["kept"]);
	// Written elsewhere in the file.
	const moved = { ...script, location: { ...nowhere, line: 9 } };
	subject.configure(configOf([], { trackScripts: [moved] }), true);
	await until(() => results.length === 2, "two turns are over");
	subject.close();
	expect(results).toEqual(["kept true", "kept true"]);
	expect(told("kept").slice(0, 4)).toEqual(["begin", "end", "begin", "end"]);
});

test("a script that a reload changes, or takes away, is ended, and its result counts no more", async () => {
	const results: string[] = [];
	const subject = trackers(results);
	const [changed, gone] = [guarded("changed"), guarded("gone")];
	subject.configure(configOf([], { trackScripts: [changed, gone] }), false);
	await until(() => told("changed").length + told("gone").length === 2, "both have begun");
	const other = { ...changed, script: { ...changed.script, command: ["/bin/true"] } };
	subject.configure(configOf([], { trackScripts: [other] }), true);
	await until(() => told("changed").length + told("gone").length === 4, "both were ended");
	await until(() => results.length > 0, "the other one was run");
	subject.close();
	expect([told("changed")[1], told("gone")[1]]).toEqual(["ended", "ended"]);
	expect(new Set(results)).toEqual(new Set(["changed true"]));
});

test("who takes over from another process does not run beside what that one may have left, where the result is known", async () => {
	const results: string[] = [];
	const subject = trackers(results);
	const [known, unknown] = [guarded("known"), guarded("unknown")];
	const before = performance.now();
	subject.configure(configOf([], { trackScripts: [known, unknown] }), true, new Set(["known"]));
	await until(() => told("unknown").length === 1, "the other one has begun");
	appendFileSync(join(folder, "known"), "not yet\n");
	await until(() => told("known").includes("begin"), "its next turn has come");
	expect(performance.now() - before).toBeGreaterThanOrEqual(known.intervalMs);
	expect(told("known")[0]).toBe("not yet");
	subject.close();
});
