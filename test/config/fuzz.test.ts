/** Whatever is in a file: an answer within bounded time, never an exception. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatDiagnostic } from "../../firmware/config/keepalived/diagnostics.ts";
import { grammars } from "../../firmware/config/keepalived/keywords/index.ts";
import { limits } from "../../firmware/config/keepalived/limits.ts";
import { brief, instance, loadText, server } from "./load-text.ts";

/** Generous: the machine may be busy. Quadratic behaviour would exceed it by far. */
const TIME_LIMIT_MS = 15_000;

function timed<T>(work: () => T): T {
	const started = performance.now();
	const result = work();
	expect(performance.now() - started).toBeLessThan(TIME_LIMIT_MS);
	return result;
}

/** Loads, prints every finding, and survives a round through JSON: the model is plain data. */
function digest(text: string | Uint8Array) {
	const loaded = loadText(text);
	for (const one of loaded.diagnostics) formatDiagnostic(one);
	expect(JSON.parse(JSON.stringify(loaded.config))).toEqual(loaded.config as never);
	expect(loaded.acceptable).toBe(!loaded.diagnostics.some((one) => one.severity === "error"));
	return loaded;
}

const words = [...new Set(Object.values(grammars).flatMap((table) => [...table.keys()]))];
const value = fc.oneof(
	fc.constantFrom(
		"0",
		"1",
		"-1",
		"255",
		"4294967296",
		"1.5",
		"on",
		"off",
		"eth0",
		"10.0.0.1",
		"10.0.0.1/24",
		"::1",
		"NAT",
	),
	fc.constantFrom(
		"MASTER",
		"TCP",
		"rr",
		"weight",
		"dev",
		"fwmark",
		"group",
		"reverse",
		'"a b"',
		'"',
		"{",
		"}",
		"VI_1",
	),
	fc.stringMatching(/^[ -~]{0,12}$/),
);
const line = fc.tuple(
	fc.constantFrom(...words),
	fc.array(value, { maxLength: 4 }),
	fc.constantFrom("", " {", " {", "\n}"),
);

describe("arbitrary input", () => {
	test("bytes", () => {
		fc.assert(
			fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
				digest(bytes);
			}),
			{ numRuns: 100 },
		);
	}, 60_000);

	test("keywords, values and braces in any order", () => {
		fc.assert(
			fc.property(fc.array(line, { maxLength: 40 }), (lines) => {
				digest(lines.map(([keyword, values, end]) => `${keyword} ${values.join(" ")}${end}`).join("\n"));
			}),
			{ numRuns: 300 },
		);
	}, 60_000);

	test("a good file with one piece cut out, doubled or changed", () => {
		const good =
			instance("\ttrack_interface {\n\t\teth1 weight 5\n\t}") +
			server("\tquorum 1", "\t\tTCP_CHECK {\n\t\t}");
		fc.assert(
			fc.property(
				fc.nat(good.length),
				fc.nat(20),
				fc.constantFrom("", "{", "}", '"', "\n", "$", "~SEQ(", "@"),
				(at, length, put) => {
					digest(good.slice(0, at) + put + good.slice(at + length));
					digest(good.slice(0, at) + put + good.slice(Math.max(0, at - length)));
				},
			),
			{ numRuns: 200 },
		);
	}, 60_000);

	test("definitions and sequences in any order", () => {
		const piece = fc.constantFrom(
			"$A=",
			"$A",
			"$" + "{A}",
			"$B=$" + "{A}$" + "{A} \\",
			"$B",
			"~SEQ(A,3) ",
			"~LST({A,B},{1},{2,3}) ",
			"include x",
			"@director ",
			"@^director ",
			"\n",
			"\n",
			" a ",
			"{",
			"}",
			"\\",
		);
		fc.assert(
			fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
				timed(() => digest(pieces.join("")));
			}),
			{ numRuns: 300 },
		);
	}, 60_000);
});

describe("size", () => {
	test("10 MB of virtual servers", () => {
		const one = server("", "\t\tTCP_CHECK {\n\t\t\tconnect_timeout 3\n\t\t}\n\t\tweight 7");
		const parts: string[] = [];
		for (let index = 0, size = 0; size < 10 * 1024 * 1024; index++, size += one.length)
			parts.push(one.replace("10.0.0.1", `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`));
		const loaded = timed(() => loadText(parts.join("")));
		expect(loaded.config.virtualServers.length).toBe(parts.length);
		expect(brief(loaded)).toEqual([]);
	}, 60_000);

	test("10 MB of one word", () => {
		const loaded = timed(() => loadText("x".repeat(10 * 1024 * 1024)));
		expect(loaded.diagnostics.map((one) => one.code)).toEqual(["long-line", "unknown-keyword"]);
		for (const one of loaded.diagnostics) expect(formatDiagnostic(one).length).toBeLessThan(2000);
	}, 60_000);

	test("10 MB of mistakes: the first thousand are told, the rest is counted", () => {
		const loaded = timed(() => loadText("nonsense word\n".repeat(750_000)));
		expect(loaded.diagnostics).toHaveLength(limits.diagnostics);
		expect(loaded.moreDiagnostics).toBe(750_000 - limits.diagnostics);
		expect(loaded.acceptable).toBe(false);
	}, 60_000);

	test("10 MB of opening and of closing braces", () => {
		timed(() => loadText("{".repeat(10 * 1024 * 1024)));
		timed(() => loadText("}\n".repeat(5 * 1024 * 1024)));
	}, 60_000);

	test("more than the limit of one file", () => {
		const loaded = loadText("#".repeat(limits.fileSizeBytes + 1));
		expect(loaded.diagnostics.map((one) => one.message)).toEqual([
			`the configuration has ${limits.fileSizeBytes + 1} bytes; the limit is ${limits.fileSizeBytes}`,
		]);
	}, 60_000);

	test("definitions that double forty times", () => {
		const lines = ["$A0=x"];
		for (let index = 1; index <= 40; index++) lines.push(`$A${index}=$\{A${index - 1}}$\{A${index - 1}}`);
		timed(() => loadText(`${lines.join("\n")}\n$\{A40}\n`));
	}, 60_000);

	test("multi-line definitions that double twenty times", () => {
		const lines = ["$A0= \\\n x \\\n y"];
		for (let index = 1; index <= 20; index++)
			lines.push(`$A${index}= \\\n $A${index - 1} \\\n $A${index - 1}`);
		timed(() => loadText(`${lines.join("\n")}\n$A20\n`));
	}, 60_000);
});
