/** Every command, called with words that it cannot mean: what is wrong in a line or two, and no stack. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const drover = join(import.meta.dir, "../firmware/drover.ts");
const directory = mkdtempSync(join(tmpdir(), "drover-words-"));
afterAll(() => rmSync(directory, { recursive: true }));

async function call(words: readonly string[]): Promise<{ readonly text: string; readonly exitCode: number }> {
	const child = Bun.spawn([process.execPath, drover, ...words], {
		stdin: "ignore",
		stdout: "pipe",
		stderr: "pipe",
		env: { ...process.env, DROVER_CONFIG_DIR: directory, DROVER_RUN_DIR: directory },
	});
	const texts = await Promise.all([child.stdout.text(), child.stderr.text()]);
	return { text: texts.join("").trim(), exitCode: await child.exited };
}

const howCalled = (name: string) => `"drover ${name} --help" shows how it is called.`;

const wrongly: readonly (readonly [words: string, text: string])[] = [
	["snmp now", `drover snmp: Unexpected argument 'now'\n${howCalled("snmp")}`],
	["metrics --port 1", `drover metrics: Unknown option '--port'\n${howCalled("metrics")}`],
	["vcl check --quick a.vcl", `drover vcl: Unknown option '--quick'\n${howCalled("vcl")}`],
	["update status --jsn", `drover update: Unknown option '--jsn'\n${howCalled("update")}`],
	["update rollback --reboot", `drover update rollback: too many words\n${howCalled("update")}`],
	["config history 3", `drover config history: what is "3"?\n${howCalled("config")}`],
	["config commit --confirm 5", `drover config commit: what is "--confirm"?\n${howCalled("config")}`],
	["config rescue 3 4", `drover config rescue: what is "4"?\n${howCalled("config")}`],
];

test.each(wrongly)("drover %s", async (words, text) => {
	expect(await call(words.split(" "))).toEqual({ text, exitCode: 2 });
});

const undone: readonly (readonly [words: string, text: string])[] = [
	["vcl check /etc", "drover vcl: /etc: is a directory"],
	["vcl upgrade /nowhere.vcl", "drover vcl: /nowhere.vcl: no such file"],
	["varnishd -C -f /etc", "Error: Cannot read -f file '/etc' (Is a directory)\n(-? gives usage)"],
];

test.each(undone)("drover %s", async (words, text) => {
	expect(await call(words.split(" "))).toEqual({ text, exitCode: expect.any(Number) });
});

test("drover vcl --help, on its own and after a verb", async () => {
	for (const words of [
		["vcl", "--help"],
		["vcl", "check", "--help"],
	]) {
		const { text, exitCode } = await call(words);
		expect(text).toStartWith("usage: drover vcl check FILE");
		expect(exitCode).toBe(0);
	}
});

test("drover config history --json: for programs", async () => {
	const { text, exitCode } = await call(["config", "history", "--json"]);
	expect(JSON.parse(text)).toEqual({ current: null, rescue: null, waiting: null, revisions: [] });
	expect(exitCode).toBe(0);
});
