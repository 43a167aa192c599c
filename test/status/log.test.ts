/** The services' log: pino's lines, whole ones, and never waited for. */
import { afterEach, describe, expect, test } from "bun:test";
import { closeSync, constants, mkdtempSync, openSync, readFileSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import pino from "pino";
import { LineWriter, lineOf } from "../../firmware/status/log.ts";

const module = JSON.stringify(join(import.meta.dir, "../../firmware/status/log.ts"));
const directories: string[] = [];
function directory(): string {
	directories.push(mkdtempSync(join(tmpdir(), "drover-log-")));
	return directories.at(-1)!;
}
afterEach(() => {
	for (const name of directories.splice(0)) rmSync(name, { recursive: true });
});

/** What pino makes of it, with the settings that these lines have. */
function pinoLine(level: "info" | "error", time: Date, fields: object | string, text?: string): string {
	let line = "";
	const log = pino(
		{
			name: "director",
			base: undefined,
			timestamp: () => `,"time":"${time.toISOString()}"`,
			formatters: { level: (label) => ({ level: label }) },
			mixin: () => ({ service: "director" }),
		},
		{
			write(written: string) {
				line = written;
			},
		},
	);
	if (typeof fields === "string") log[level](fields);
	else log[level](fields, text);
	return line;
}

describe("a line is pino's", () => {
	const time = new Date(1_700_000_000_123);
	test("text alone, also with what JSON escapes", () => {
		fc.assert(
			fc.property(fc.string({ unit: "binary" }), (text) => {
				expect(lineOf("info", time, "director", text)).toBe(pinoLine("info", time, text));
			}),
			{ numRuns: 40 },
		);
	});
	test("fields and text", () => {
		const value = fc.oneof(
			fc.string(),
			fc.integer(),
			fc.boolean(),
			fc.constant(null),
			fc.array(fc.integer()),
		);
		const name = fc.stringMatching(/^[a-z][a-zA-Z]{2,12}$/).filter((key) => !["err", "msg"].includes(key));
		fc.assert(
			fc.property(fc.dictionary(name, value), fc.string(), (fields, text) => {
				expect(lineOf("error", time, "director", fields, text)).toBe(pinoLine("error", time, fields, text));
			}),
			{ numRuns: 40 },
		);
	});
	test("a field without a value is left out; one that JSON cannot say is told in words", () => {
		const circle: { self?: unknown } = {};
		circle.self = circle;
		expect(lineOf("info", time, "vrrp", { a: undefined, b: 1n, c: circle, d: new Error("why") }, "x")).toBe(
			`{"level":"info","time":"${time.toISOString()}","name":"vrrp","service":"vrrp","b":"1","c":"[object Object]","d":"why","msg":"x"}\n`,
		);
	});
});

test("DROVER_LOG names the file, DROVER_LOG_LEVEL the least; what is said last is written", () => {
	const path = join(directory(), "log");
	const run = (level: string) =>
		Bun.spawnSync(
			[
				process.execPath,
				"-e",
				`const log = (await import(${module})).openLog("x"); log.debug("no"); log.info("one"); log.warn("two"); await Bun.sleep(0); log.error("three"); process.exit(0);`,
			],
			{ env: { ...process.env, DROVER_LOG: path, DROVER_LOG_LEVEL: level } },
		);
	run("info");
	run("warn");
	const texts = readFileSync(path, "utf8")
		.trim()
		.split("\n")
		.map((line) => JSON.parse(line).msg);
	expect(texts).toEqual(["one", "two", "three", "two", "three"]);
	expect(run("loud").stderr.toString()).toContain('there is no level "loud"');
});

test("a reader that takes nothing costs lines, not time; what it takes then is whole lines, oldest first", async () => {
	const path = join(directory(), "fifo");
	Bun.spawnSync(["mkfifo", path]);
	const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
	const lines = new LineWriter(fd);
	const startedMs = performance.now();
	const count = 4_000;
	for (let number = 0; number < count; number++) lines.add(`${number} ${"x".repeat(1_000)}\n`);
	expect(performance.now() - startedMs).toBeLessThan(2_000);
	let text = "";
	const buffer = Buffer.alloc(65_536);
	const take = () => {
		try {
			text += buffer.toString("latin1", 0, readSync(fd, buffer));
		} catch {
			// Nothing there for now.
		}
	};
	for (let still = 0, before = -1; still < 40; still = before === text.length ? still + 1 : 0) {
		before = text.length;
		await Bun.sleep(10);
		take();
	}
	closeSync(fd);
	const numbers = text.trimEnd().split("\n");
	expect(text.length).toBeGreaterThan(1_000_000);
	expect(text.length).toBeLessThan(1_300_000);
	expect(numbers.every((line, index) => line === `${index} ${"x".repeat(1_000)}`)).toBe(true);
});
