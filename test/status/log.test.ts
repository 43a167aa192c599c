/** The services' log: whole lines with the time at which they were said, and never waited for. */
import { afterEach, describe, expect, test } from "bun:test";
import { closeSync, constants, mkdtempSync, openSync, readFileSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const module = JSON.stringify(join(import.meta.dir, "../../firmware/status/log.ts"));
const directories: string[] = [];
function directory(): string {
	directories.push(mkdtempSync(join(tmpdir(), "drover-log-")));
	return directories.at(-1)!;
}
afterEach(() => {
	for (const name of directories.splice(0)) rmSync(name, { recursive: true });
});

/** A program that has `log` of service "x". */
const program = (code: string) => [
	process.execPath,
	"-e",
	`const log = (await import(${module})).openLog("x"); ${code}`,
];

interface Line {
	readonly level: string;
	readonly time: string;
	readonly msg: string;
}

describe("lines", () => {
	const said = (code: string, level = "info"): Line[] => {
		const path = join(directory(), "log");
		Bun.spawnSync(program(code), { env: { ...process.env, DROVER_LOG: path, DROVER_LOG_LEVEL: level } });
		return readFileSync(path, "utf8")
			.trim()
			.split("\n")
			.map((line) => JSON.parse(line));
	};
	test("level, time, service, fields, text", () => {
		const [line] = said(`log.warn({ vip: "192.0.2.1", attempts: 3 }, "claimed");`);
		expect(line).toEqual({
			level: "warn",
			time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
			name: "x",
			service: "x",
			vip: "192.0.2.1",
			attempts: 3,
			msg: "claimed",
		} as unknown as Line);
	});
	test("each has the time at which it was said, though it is written later; none is out of order", () => {
		const lines = said(
			`for (let n = 0; n < 8; n++) { log.info(String(n)); await Bun.sleep(n === 0 ? 150 : 100); } log.info("8");`,
		);
		expect(lines.map(({ msg }) => msg)).toEqual(["0", "1", "2", "3", "4", "5", "6", "7", "8"]);
		const times = lines.map(({ time }) => Date.parse(time));
		expect(times[1]! - times[0]!).toBeGreaterThanOrEqual(149);
		expect(times.toSorted((a, b) => a - b)).toEqual(times);
	});
	test("many at once, and the last before the end", () => {
		const lines = said(`for (let n = 0; n < 500; n++) log.info(String(n)); process.exit(1);`);
		expect(lines.map(({ msg }) => msg)).toEqual(Array.from({ length: 500 }, (_, n) => String(n)));
	});
	test("what was said before an exception that ends the program", () => {
		expect(said(`log.info("almost"); throw new Error("over");`)).toMatchObject([{ msg: "almost" }]);
	});
	test("DROVER_LOG_LEVEL is the least that is written", () => {
		const levels = `log.debug("a"); log.info("b"); log.warn("c"); log.error("d");`;
		expect(said(levels, "debug").map(({ msg }) => msg)).toEqual(["a", "b", "c", "d"]);
		expect(said(levels, "warn").map(({ msg }) => msg)).toEqual(["c", "d"]);
	});
});

test("a level that there is not is named", () => {
	const { stderr } = Bun.spawnSync(program(""), { env: { ...process.env, DROVER_LOG_LEVEL: "loud" } });
	expect(stderr.toString()).toContain('DROVER_LOG_LEVEL: there is no level "loud" (there are trace, debug,');
});

test("a reader that takes nothing costs lines, not time; what it takes then is whole lines, oldest first", async () => {
	const path = join(directory(), "fifo");
	Bun.spawnSync(["mkfifo", path]);
	const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
	const child = Bun.spawn(
		program(`
			const text = "x".repeat(1_000);
			const before = performance.now();
			for (let n = 0; n < 4_000; n++) { log.info(n + " " + text); if (n % 500 === 0) await Bun.sleep(0); }
			console.log(performance.now() - before);
			await Bun.sleep(20_000);
		`),
		{ env: { ...process.env, DROVER_LOG: path }, stdout: "pipe" },
	);
	const tookMs = Number(new TextDecoder().decode((await child.stdout.getReader().read()).value));
	expect(tookMs).toBeLessThan(5_000);
	let text = "";
	const buffer = Buffer.alloc(65_536);
	for (let still = 0; still < 40; ) {
		await Bun.sleep(10);
		try {
			text += buffer.toString("latin1", 0, readSync(fd, buffer));
			still = 0;
		} catch {
			still++;
		}
	}
	child.kill();
	await child.exited;
	closeSync(fd);
	const numbers = text
		.split("\n")
		.slice(0, -1)
		.map((line) => Number(/"msg":"(\d+) x{1000}"\}$/.exec(line)?.[1]));
	expect(numbers.length).toBeGreaterThan(500);
	expect(numbers.length).toBeLessThan(2_000);
	expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
});
