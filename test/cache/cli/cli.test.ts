/** The management protocol (varnish-cli(7)), parameters and the command line (varnishd(1)). */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { table } from "../../../firmware/cache/cli/command.ts";
import { parameterTable } from "../../../firmware/cache/cli/parameter-table.ts";
import { formatBytes, ParameterSet, parseBytes } from "../../../firmware/cache/cli/parameters.ts";
import {
	authResponse,
	CommandReader,
	encodeReply,
	jsonReply,
	splitWords,
} from "../../../firmware/cache/cli/protocol.ts";
import { parseOptions, splitAddress } from "../../../firmware/cache/manager/options.ts";
import { explain, reasonOf } from "../../../firmware/cache/why.ts";
import { NOTHING_STORED } from "../../../firmware/cache/worker/cache-status.ts";

describe("framing", () => {
	test("13 bytes, the body, a line feed", () =>
		expect(encodeReply(200, "PONG", 1000)).toBe("200 4       \nPONG\n"));
	test("over cli_limit: cut, status 201", () =>
		expect(encodeReply(200, "x".repeat(50), 20)).toBe(`201 19      \n${"x".repeat(19)}\n`));
	test("the challenge's answer", () => {
		expect(authResponse("a".repeat(32), Buffer.from("secret\n"))).toBe(
			new Bun.CryptoHasher("sha256").update(`${"a".repeat(32)}\nsecret\n${"a".repeat(32)}\n`).digest("hex"),
		);
	});
	test("JSON envelope", () =>
		expect(JSON.parse(jsonReply(2, ["ping", "-j"], 1.5, ["PONG"]))).toEqual([
			2,
			["ping", "-j"],
			1.5,
			"PONG",
		]));
});

describe("words", () => {
	const cases: readonly (readonly [string, string[]])[] = [
		["a b  c", ["a", "b", "c"]],
		['a "b c"', ["a", "b c"]],
		['"a\\"b"', ['a"b']],
		["\\x41\\102\\n", ["AB\n"]],
		['""', [""]],
		["", []],
	];
	for (const [line, words] of cases)
		test(JSON.stringify(line), () => expect(splitWords(line)).toEqual({ ok: true, words }));
	for (const line of ['"open', "\\q", "\\x4"])
		test(`refused: ${line}`, () => expect(splitWords(line).ok).toBe(false));
	test("quoting then splitting is identity (property)", () => {
		fc.assert(
			fc.property(fc.array(fc.string({ unit: "binary-ascii" }), { minLength: 1, maxLength: 5 }), (words) => {
				const line = words
					.map(
						(word) =>
							`"${[...word].map((char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`).join("")}"`,
					)
					.join(" ");
				expect(splitWords(line)).toEqual({ ok: true, words });
			}),
		);
	});
});

describe("commands from a stream", () => {
	test("lines, split anywhere", () => {
		const reader = new CommandReader();
		expect(reader.push("pi")).toEqual([]);
		expect(reader.push("ng\n\nstatus\r\n")).toEqual([
			{ kind: "command", words: ["ping"] },
			{ kind: "command", words: ["status"] },
		]);
	});
	test("a here-document ends at its mark followed by a line end", () => {
		const reader = new CommandReader();
		reader.authenticated = true;
		expect(reader.push('vcl.inline a << END\nsub x { ENDING }\n"')).toEqual([]);
		expect(reader.push("END\nping\n")).toEqual([
			{ kind: "command", words: ["vcl.inline", "a", 'sub x { ENDING }\n"'] },
			{ kind: "command", words: ["ping"] },
		]);
	});
	test("before authentication: no here-document, no long line", () => {
		const reader = new CommandReader();
		expect(reader.push("a b << END\n")).toEqual([{ kind: "command", words: ["a", "b", "<<", "END"] }]);
		expect(reader.push("x".repeat(81))).toEqual([{ kind: "overflow" }]);
	});
	test("any bytes (fuzz)", () => {
		fc.assert(
			fc.property(
				fc.array(
					fc.oneof(
						fc.constantFrom("ping", " ", "\n", '"', "\\", "<<", "END", "vcl.inline"),
						fc.string({ unit: "binary-ascii", maxLength: 8 }),
					),
					{ maxLength: 30 },
				),
				(parts) => {
					const reader = new CommandReader();
					reader.authenticated = parts.length % 2 === 0;
					for (const part of parts) reader.push(part);
				},
			),
			{ numRuns: 1000 },
		);
	});
});

describe("parameters", () => {
	test("all 109 of Varnish with its defaults, and rfc9111", () => {
		const parameters = new ParameterSet();
		expect(Object.keys(parameters.values)).toHaveLength(110);
		expect(parameters.text("default_ttl")).toBe("120.000");
		expect(parameters.text("vsl_space")).toBe("80M");
		expect(parameters.text("workspace_client")).toBe("96k");
		expect(parameters.text("fetch_maxchunksize")).toBe("0.25G");
		expect(parameters.text("http_gzip_support")).toBe("on");
	});
	test("param.show says of each what it does, in characters that any terminal has", () => {
		for (const { name, about } of parameterTable) {
			expect(`${name}: ${about}`).toMatch(/^[\x20-\x7e]+$/);
			expect(`${name}: ${about}`).toMatch(/: .{27,}[.]$/);
			expect(about.toLowerCase()).not.toBe(name.replaceAll("_", " "));
		}
	});
	const wrong: readonly (readonly [string, string, string])[] = [
		["http_req_size", "1.5", "Fractional BYTES not allowed"],
		["default_ttl", "-1", "Must be greater or equal to 0.000"],
		["default_ttl", "abc", "Invalid number (abc)"],
		["max_restarts", "x", "Not a number (x)"],
		["gzip_level", "10", "Must be no more than 9"],
		["workspace_client", "10", "Must be at least 9k"],
		["acceptor_sleep_decay", "3", "Must be less than or equal to 1"],
		["http_gzip_support", "maybe", 'use "on" or "off"'],
		["feature", "http2", "Missing '+' or '-' (http2)"],
		["thread_pool_min", "6000", "Must be no more than 5000"],
		["nope", "1", 'Unknown parameter "nope".'],
	];
	for (const [name, value, message] of wrong)
		test(`${name}=${value}`, () => {
			const result = new ParameterSet().set(name, value, true);
			expect(result.ok ? "" : result.message).toContain(message);
		});
	test("bits, read-only, reset", () => {
		const parameters = new ParameterSet();
		expect(parameters.set("debug", "+syncvsl,+vtc_mode", true).ok).toBe(true);
		expect(parameters.bit("debug", "vtc_mode")).toBe(true);
		expect(parameters.hiddenTags()).toContain("Debug");
		expect(parameters.hiddenTags()).not.toContain("ReqHeader");
		parameters.set("vsl_mask", "-ReqHeader", true);
		expect(parameters.hiddenTags()).toContain("ReqHeader");
		parameters.protect("default_ttl");
		expect(parameters.set("default_ttl", "1", true)).toMatchObject({ ok: false, status: 107 });
		expect(parameters.set("default_ttl", "1", false).ok).toBe(true);
	});
	test("sizes", () => {
		expect([parseBytes("100m"), parseBytes("1.5G"), parseBytes("10"), parseBytes("x")]).toEqual([
			104857600,
			1610612736,
			10,
			undefined,
		]);
		expect([65535, 81920, 1048576].map(formatBytes)).toEqual(["65535b", "80k", "1M"]);
	});
});

describe("command line", () => {
	test("varnishtest's own", () => {
		const parsed = parseOptions(
			"-d -n /tmp/v1 -l 2m -p auto_restart=off -p debug=+vtc_mode"
				.split(" ")
				.concat("-a", "127.0.0.1:0", "-M", "127.0.0.1 4711", "-P", "/tmp/v1/pid"),
		);
		expect(parsed).toMatchObject({
			kind: "run",
			options: {
				mode: "debug",
				reverseCli: "127.0.0.1 4711",
				listeners: [{ name: "a0", host: "127.0.0.1", port: "0" }],
			},
		});
	});
	test("Debian's unit", () => {
		const parsed = parseOptions(
			"-j unix,user=vcache -F -a :6081 -T localhost:6082 -f /etc/varnish/default.vcl -S /etc/varnish/secret -s malloc,256m".split(
				" ",
			),
		);
		expect(parsed).toMatchObject({
			kind: "run",
			options: {
				mode: "foreground",
				files: ["/etc/varnish/default.vcl"],
				storages: [
					{ name: "s0", kind: "malloc", bytes: 268435456 },
					{ name: "Transient", kind: "malloc", bytes: 0 },
				],
			},
		});
	});
	const storagesOf = (line: string) => {
		const parsed = parseOptions(`-b a ${line}`.trim().split(" "));
		return parsed.kind === "run"
			? parsed.options.storages.map(({ name, bytes }) => [name, bytes >> 20])
			: parsed;
	};
	test("storages: Transient is the last, with a size of its own or without", () => {
		expect(storagesOf("")).toEqual([
			["s0", 100],
			["Transient", 0],
		]);
		expect(storagesOf("-s Transient=malloc,8m -s malloc,4m -s b=malloc,2m")).toEqual([
			["s0", 4],
			["b", 2],
			["Transient", 8],
		]);
		expect(storagesOf("-s Transient=malloc,8m")).toEqual([["Transient", 8]]);
		expect(storagesOf(Array(31).fill("-s malloc,1m").join(" "))).toHaveLength(32);
	});
	const wrong = [
		"-b a -s a=malloc,1m -s a=malloc,2m",
		"-b a -s malloc,1000k",
		"-b a -s persistent,/x,1",
		`-b a ${Array(32).fill("-s malloc,1m").join(" ")}`,
		"-b a -f b",
		"-F",
		"-F -d -b a",
		"-b",
		"-q",
		"-b a -s tape",
		"-b a -a 1:1 -a 1:1",
		"-V -F",
		"-b a extra",
		"-p x -b a",
		"-b a -a 1:1,SPDY",
	];
	for (const line of wrong)
		test(`refused: ${line}`, () => expect(parseOptions(line.split(" ")).kind).toBe("wrong"));
	test("addresses", () => {
		expect([
			splitAddress("a:1", "80"),
			splitAddress("[::1]:2", "80"),
			splitAddress("::1", "80"),
			splitAddress(":3", "80"),
			splitAddress("b 4", "80"),
		]).toEqual([
			{ host: "a", port: "1" },
			{ host: "::1", port: "2" },
			{ host: "::1", port: "80" },
			{ host: "", port: "3" },
			{ host: "b", port: "4" },
		]);
	});
});

describe("why", () => {
	const reason = (cacheStatus: string, fields: Record<string, string> = {}) =>
		reasonOf(200, new Headers({ "cache-status": cacheStatus, ...fields }));
	test("a hit, fresh and in grace", () => {
		expect(reason('"Drover"; hit; ttl=30')).toMatchObject({ handling: "hit", ttlSeconds: 30, stored: true });
		expect(explain(reason('"Drover"; hit; ttl=-3'))).toContain("3 s past its lifetime, served in grace");
	});
	test("a pass says why it was not looked up", () =>
		expect(
			explain(reason('"Drover"; fwd=bypass; fwd-status=200; detail="the request carries a Cookie"')),
		).toContain("not from the cache: the request carries a Cookie"));
	test("members of caches on the way are not this one's", () =>
		expect(reason('"Origin"; hit; ttl=9, "Drover"; fwd=uri-miss; fwd-status=200; stored')).toMatchObject({
			handling: "miss",
			stored: true,
		}));
	test("an answer without the field", () =>
		expect(reasonOf(503, new Headers())).toMatchObject({ handling: "other", cacheStatus: null }));
	test("an answer that is not stored says why not", () =>
		expect(
			reason(`"Drover"; fwd=uri-miss; fwd-status=200; detail="${NOTHING_STORED}; not stored: Set-Cookie"`)
				.lines,
		).toEqual([
			`not from the cache: ${NOTHING_STORED}`,
			"the answer is not stored",
			"it may not be: Set-Cookie",
		]));
	test("served along with another's fetch", () =>
		expect(reason('"Drover"; fwd=uri-miss; collapsed').lines[0]).toContain(
			"another request was fetching it",
		));
});

test.each([
	[15, 3],
	[16, 2],
	[20, 2],
	[21, 1],
	[26, 1],
])(
	"a table spreads over a line as varnishd's: names of %d characters are followed by %d blanks",
	(width, blanks) => {
		const date = "Mon, 30 Nov 2026 03:11:45 GMT";
		const heading = ["Backend name", "Admin", "Probe", "Health", "Last change"];
		const [, row] = table([heading, ["n".repeat(width), "healthy", "0/0", "healthy", date]]).split("\n");
		const gap = " ".repeat(blanks);
		expect(row).toBe(`${"n".repeat(width)}${gap}healthy${gap} 0/0  ${gap} healthy${gap} ${date}`);
	},
);
