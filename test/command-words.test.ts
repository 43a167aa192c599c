/** Every command, called with words that it cannot mean: what is wrong in a line or two, and no stack. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";

const drover = join(import.meta.dir, "../firmware/drover.ts");
const directory = mkdtempSync(join(tmpdir(), "drover-words-"));
afterAll(() => rmSync(directory, { recursive: true }));

async function call(
	words: readonly string[],
	environment: Readonly<Record<string, string>> = {},
): Promise<{ readonly text: string; readonly exitCode: number }> {
	const child = Bun.spawn([process.execPath, drover, ...words], {
		stdin: "ignore",
		stdout: "pipe",
		stderr: "pipe",
		env: { ...process.env, DROVER_CONFIG_DIR: directory, DROVER_RUN_DIR: directory, ...environment },
	});
	const texts = await Promise.all([child.stdout.text(), child.stderr.text()]);
	return { text: texts.join("").trim(), exitCode: await child.exited };
}

const howCalled = (name: string) => `"drover ${name} --help" shows how it is called.`;

const wrongly: readonly (readonly [words: string, text: string])[] = [
	["cache status --foo", `drover cache status: what is "--foo"?\n${howCalled("cache")}`],
	["cache purge /a /b", `drover cache purge: what is "/b"?\n${howCalled("cache")}`],
	["snmp now", `drover snmp: Unexpected argument 'now'\n${howCalled("snmp")}`],
	["metrics --port 1", `drover metrics: Unknown option '--port'\n${howCalled("metrics")}`],
	["vcl check --quick a.vcl", `drover vcl: Unknown option '--quick'\n${howCalled("vcl")}`],
	["update status --jsn", `drover update: Unknown option '--jsn'\n${howCalled("update")}`],
	["update rollback --reboot", `drover update rollback: too many words\n${howCalled("update")}`],
	["config history 3", `drover config history: what is "3"?\n${howCalled("config")}`],
	["config commit --confirm 5", `drover config commit: what is "--confirm"?\n${howCalled("config")}`],
	["config chekc a.conf", `drover config: what is "chekc"?\n${howCalled("config")}`],
	["config check a.conf b.conf", `drover config: one file: what is "b.conf"?\n${howCalled("config")}`],
	["config check --jsn a.conf", `drover config: what is "--jsn"?\n${howCalled("config")}`],
	["config plan a.conf --against", `drover config: --against needs a file\n${howCalled("config")}`],
	["rs list --foo", `drover rs: Unknown option '--foo'\n${howCalled("rs")}`],
	["realserver verify --foo", `drover realserver: Unknown option '--foo'\n${howCalled("realserver")}`],
	["factory-reset --rebot", `drover factory-reset: Unknown option '--rebot'\n${howCalled("factory-reset")}`],
	["reboot now", `drover reboot: what is "now"?\n${howCalled("reboot")}`],
	["install sdx --nam sdx", `drover install: Unknown option '--nam'\n${howCalled("install")}`],
	["install sdx sdy", `drover install: one disk: what is "sdy"?\n${howCalled("install")}`],
	["config rescue 3 4", `drover config rescue: what is "4"?\n${howCalled("config")}`],
];

test.each(wrongly)("drover %s", async (words, text) => {
	expect(await call(words.split(" "))).toEqual({ text, exitCode: 2 });
});

const undone: readonly (readonly [words: string, text: string])[] = [
	["vcl check /etc", "drover vcl: /etc: is a directory"],
	["config show", "drover config show: nothing runs here; name a file: drover config show FILE"],
	["realserver verify /nowhere.conf", "drover realserver: /nowhere.conf: the configuration does not exist"],
	["realserver verify /etc", "drover realserver: /etc: the configuration is a directory"],
	["reboot --name no.such.box", `Nothing is done: this box is called ${hostname()}.`],
	["factory-reset --name no.such.box", `Nothing is erased: this box is called ${hostname()}.`],
	["vcl upgrade /nowhere.vcl", "drover vcl: /nowhere.vcl: no such file"],
	["varnishd -C -f /etc", "Error: Cannot read -f file '/etc' (Is a directory)\n(-? gives usage)"],
];

test.each(undone)("drover %s", async (words, text) => {
	expect(await call(words.split(" "))).toEqual({ text, exitCode: expect.any(Number) });
});

test.each(["reboot", "poweroff"])(
	"drover %s: in order, once the box's name was said; a line that ends is no name",
	async (how) => {
		const programs = mkdtempSync(join(tmpdir(), "drover-power-"));
		writeFileSync(join(programs, how), `#!/bin/sh\necho it ends\n`, { mode: 0o755 });
		const path = `${programs}:${process.env["PATH"]}`;
		expect(await call([how, "--name", hostname()], { PATH: path, DROVER_LOG: "/dev/null" })).toEqual({
			text: "it ends",
			exitCode: 0,
		});
		const { text, exitCode } = await call([how], { PATH: path });
		expect(text).toContain(`Type the name of this box (${hostname()}) to go on: `);
		expect(text).toContain("Nothing is done");
		expect([text.includes("it ends"), exitCode]).toEqual([false, 1]);
		rmSync(programs, { recursive: true });
	},
);

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

describe("of a box, the files need no name", () => {
	const file = (server: string) =>
		`virtual_server 192.0.2.9 80 {\n\tprotocol TCP\n\tlb_algo rr\n\tlb_kind DR\n\t${server} 10.0.0.1 80 {\n\t}\n}\n`;
	beforeAll(async () => {
		await call(["config", "edit"]);
		writeFileSync(join(directory, "candidate/keepalived.conf"), file("real_server"));
		expect((await call(["config", "commit"])).exitCode).toBe(0);
	});

	test("drover realserver DR, verify: those in force", async () => {
		expect((await call(["realserver", "DR"])).text).toContain("192.0.2.9");
		// Nobody answers from this machine; that the server was asked is what counts.
		expect((await call(["realserver", "verify"])).text).toContain("10.0.0.1");
	}, 60_000);

	test("drover config check, plan --json: the working copy", async () => {
		const ask = async (action: string) => {
			const { text, exitCode } = await call(["config", action, "--json"]);
			return [JSON.parse(text), exitCode];
		};
		expect(await ask("check")).toEqual([{ acceptable: true, problems: [], remarks: [] }, 0]);
		expect(await ask("plan")).toEqual([{ acceptable: true, changes: [], problems: [], remarks: [] }, 0]);
		writeFileSync(join(directory, "candidate/keepalived.conf"), file("real_sever"));
		const problems = expect.arrayContaining([expect.stringContaining('did you mean "real_server"?')]);
		expect(await ask("check")).toEqual([{ acceptable: false, problems, remarks: [] }, 1]);
		expect(await ask("plan")).toMatchObject([{ acceptable: false, problems }, 5]);
	});
});

test.each(["director", "bfd", "ipvs", "vcl"])("drover %s --help shows examples of itself", async (name) => {
	const { text } = await call([name, "--help"]);
	expect(text).toMatch(new RegExp(`\nexamples?:\n  drover ${name} `));
});
