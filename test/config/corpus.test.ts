/**
 * Sixty files as people wrote them. For each one the verdict is keepalived's on this machine, or a
 * better explained one; whatever it is, the file comes back byte for byte and parses to the same model.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { parseDocument, print } from "../../firmware/config/keepalived/document.ts";
import { type LoadedConfig, loadConfig } from "../../firmware/config/keepalived/load.ts";
import { same } from "../../firmware/config/same.ts";

const corpus = join(import.meta.dir, "../../../shared/corpus/keepalived");
const names = readdirSync(corpus)
	.filter((name) => name.endsWith(".conf"))
	.sort();

/** Where the exit statuses differ, and why Drover's is the better one. */
const differences: Readonly<Record<string, string>> = {
	"02.conf":
		"it names a network namespace that is not there: keepalived -t stops at that line and says 0; Drover says so, checks the rest and misses two scripts",
	"03.conf": "the same; Drover misses a script, and scripts run without script security",
};

/** What keepalived would run of some of them, counted by hand. */
const models: Readonly<Record<string, { instances: number; servers: number; realServers: number }>> = {
	"28.conf": { instances: 1, servers: 1, realServers: 3 },
	"43.conf": { instances: 1, servers: 0, realServers: 0 },
	"51.conf": { instances: 1, servers: 1, realServers: 8 },
	"57.conf": { instances: 180, servers: 0, realServers: 0 },
};

const verdicts = new Map<string, { theirs: number; ours: LoadedConfig }>();

beforeAll(async () => {
	process.chdir(corpus);
	// Two at a time: each keepalived -t takes some hundredths of a second.
	const queue = [...names];
	const worker = async () => {
		for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
			const child = Bun.spawn(["timeout", "30", "keepalived", "-t", "-f", name], {
				cwd: corpus,
				stdin: "ignore",
				stdout: "ignore",
				stderr: "ignore",
			});
			const theirs = await child.exited;
			verdicts.set(name, { theirs, ours: loadConfig(name, { configId: hostname() }) });
		}
	};
	await Promise.all([worker(), worker()]);
	process.chdir(import.meta.dir);
}, 60_000);

afterAll(() => {
	const rows = [...verdicts].sort().map(([name, { theirs, ours }]) => {
		const count = (severity: string) => ours.diagnostics.filter((one) => one.severity === severity).length;
		const { vrrpInstances, virtualServers } = ours.config;
		const servers = virtualServers.reduce((sum, server) => sum + server.realServers.length, 0);
		return [
			name,
			`keepalived ${theirs}`,
			`drover ${ours.exitStatus}`,
			`${count("error")} errors`,
			`${count("warning")} warnings`,
			`${count("hint")} hints`,
			`${vrrpInstances.length} instances`,
			`${virtualServers.length} virtual servers`,
			`${servers} real servers`,
			differences[name] ?? "",
		].join("  ");
	});
	console.log(`\n${rows.join("\n")}`);
});

describe("verdicts", () => {
	test("all sixty are here", () => {
		expect(names).toHaveLength(60);
	});

	test.each(names)("%s", (name) => {
		const { theirs, ours } = verdicts.get(name)!;
		if (differences[name] === undefined) expect(ours.exitStatus as number).toBe(theirs);
		else expect(ours.exitStatus as number).not.toBe(theirs);
		// What is not accepted is explained.
		expect(ours.acceptable).toBe(!ours.diagnostics.some((one) => one.severity === "error"));
		if (ours.exitStatus !== 0) expect(ours.diagnostics.length).toBeGreaterThan(0);
		for (const one of ours.diagnostics) {
			expect(one.message).not.toBe("");
			expect(one.location.line).toBeGreaterThan(0);
		}
	});

	test.each(Object.entries(models))("what keepalived would run of %s", (name, expected) => {
		const { config } = verdicts.get(name)!.ours;
		expect({
			instances: config.vrrpInstances.length,
			servers: config.virtualServers.length,
			realServers: config.virtualServers.reduce((sum, server) => sum + server.realServers.length, 0),
		}).toEqual(expected);
	});
});

describe("the tree", () => {
	test.each(names)("%s comes back byte for byte, and means the same", (name) => {
		const text = readFileSync(join(corpus, name), "latin1");
		const printed = print(parseDocument(text));
		expect(printed).toBe(text);
		expect(print(parseDocument(printed))).toBe(text);
		const directory = mkdtempSync(join(tmpdir(), "drover-corpus-"));
		try {
			writeFileSync(join(directory, name), printed, "latin1");
			const again = loadConfig(join(directory, name), { configId: hostname() });
			expect(again.config.vrrpInstances.length).toBe(verdicts.get(name)!.ours.config.vrrpInstances.length);
			expect(
				same(
					again.config.virtualServers.map((one) => one.name),
					verdicts.get(name)!.ours.config.virtualServers.map((one) => one.name),
				),
			).toBe(true);
		} finally {
			rmSync(directory, { recursive: true });
		}
	});
});
