/** Compile errors, letter for letter as the stock compiler prints them, and the hint under them. */
import { afterAll, describe, expect, test } from "bun:test";
import { compileVcl } from "../../../firmware/cache/vcl/compile.ts";
import { formatFailure } from "../../../firmware/cache/vcl/diagnostic.ts";
import { vmods } from "../../../firmware/cache/vcl/vmods/index.ts";
import { head, mistakes } from "./mistakes.ts";
import { normalise, StockCompiler } from "./stock.ts";

const stock = new StockCompiler();
afterAll(() => stock.close());

function ours(source: string) {
	return compileVcl(Buffer.from(source), {
		name: "F",
		include: ({ name }) => ({ ok: false, error: `Cannot read file '${name}' (No such file or directory)` }),
	});
}

describe("the same mistakes, the same words", () => {
	for (const [section, list] of Object.entries(mistakes))
		test(`reference ${section} (${list.length})`, () => {
			for (const mistake of list) {
				const expected = stock.compile(head + mistake);
				const result = ours(head + mistake);
				expect({ mistake, ok: result.ok }).toEqual({ mistake, ok: expected.ok });
				if (!result.ok) expect(normalise(formatFailure({ ...result.error, hint: null }))).toBe(expected.text);
			}
		}, 120_000);
});

describe("VCL 4.0 has one space of names, too", () => {
	for (const mistake of [
		"acl a { }",
		"acl req { }",
		"acl set { }",
		"probe vcl_recv { }",
		"backend true none;",
		"sub x { } acl x { }",
		"import std; backend std none;",
		"sub vcl_recv { if (client.ip ~ b) { } } backend b none; acl b { }",
		'sub vcl_recv { set req.http = "x"; }',
		"sub vcl_recv { std.log(1) sub vcl_miss { }",
		"sub vcl_recv { sub vcl_miss { }",
	])
		test(mistake, () => {
			const source = `vcl 4.0;\nbackend a none;\n${mistake}`;
			const result = ours(source);
			if (result.ok) throw new Error("accepted");
			expect(normalise(formatFailure({ ...result.error, hint: null }))).toBe(stock.compile(source).text);
		});
});

describe("no version line", () => {
	for (const source of ["", "foo", 'backend a { .host = "127.0.0.1"; }', "sub vcl_recv { }"])
		test(JSON.stringify(source), () => {
			const expected = stock.compile(source);
			const result = compileVcl(source, { name: "F", upgrade: false });
			expect(result.ok).toBe(expected.ok);
			if (!result.ok) expect(normalise(formatFailure({ ...result.error, hint: null }))).toBe(expected.text);
		});
});

describe("the reply", () => {
	test("closes as the management protocol does, with the hint under the source line", () => {
		const result = ours("sub vcl_recv { }");
		if (result.ok) throw new Error("accepted");
		const text = formatFailure(result.error);
		expect(text).toStartWith("Message from VCC-compiler:\nVCL version declaration missing\n");
		expect(text).toContain("\nHint: ");
		expect(text).toEndWith("Running VCC-compiler failed, exited with 2\n\nVCL compilation failed");
	});

	test("names the place for tools", () => {
		const result = ours(`${head}sub vcl_recv {\n\tset req.foo = 1;\n}`);
		if (result.ok) throw new Error("accepted");
		expect(result.error.place).toEqual({ file: "F", line: 4, position: 13 });
	});
});

describe("what is not available is said", () => {
	const cases: readonly [string, RegExp][] = [
		['sub vcl_recv { if (req.url ~ "(?R)") { } }', /cannot be translated exactly/],
		['sub vcl_recv { if (req.url ~ "(?(1)a|b)") { } }', /cannot be translated exactly/],
		['sub vcl_recv { if (req.url ~ "\\p{L}") { } }', /cannot be translated exactly/],
	];
	for (const [source, message] of cases)
		test(source, () => {
			const result = ours(head + source);
			if (result.ok) throw new Error("accepted");
			expect(result.error.text).toMatch(message);
			expect(result.error.hint).not.toBeNull();
		});

	test("the file of another module, and that of none", () => {
		const path = "/usr/lib/x86_64-linux-gnu/varnish/vmods";
		const accepted = (source: string) => ours(`${head}${source}`).ok;
		expect(accepted(`import std from "${path}/libvmod_std.so";`)).toBe(true);
		expect(accepted('import std from "libvmod_std.so";')).toBe(true);
		expect(accepted(`import std from "${path}/";`)).toBe(true);
		const result = ours(`${head}import std from "${path}/libvmod_blob.so";`);
		if (result.ok) throw new Error("accepted");
		expect(result.error.text).toStartWith(
			`Could not open VMOD std\n\tFile name: ${path}/libvmod_blob.so\n('F' Line 3 Pos 8)\n`,
		);
		expect(result.error.hint).toContain("`import std;`");
	});

	test("C in a program without a version line", () => {
		const result = ours(`${head.replace(/^vcl.*\n/, "")}C{ int x; }C\nsub vcl_recv { C{ x++; }C }`);
		if (result.ok) throw new Error("accepted");
		expect(result.error.text).toStartWith("VCL version declaration missing\n");
		expect(result.error.hint).toContain("Inline C cannot run here");
	});

	test("a director that asks DNS", () => {
		const result = ours(
			'backend b { .host = "192.0.2.1"; }\ndirector d dns { .list = { .port = "80"; "192.0.2.0"/24; } .ttl = 5m; }\nsub vcl_recv { set req.backend = d; }',
		);
		if (result.ok) throw new Error("accepted");
		expect(result.error.hint).toContain("A dns director looked the request's Host up");
	});

	test("a module that is not there: those that are", () => {
		const result = ours(`${head}import nothing;`);
		if (result.ok) throw new Error("accepted");
		for (const name of vmods.keys()) expect(result.error.hint).toContain(name);
	});
});

describe("warnings let the program load", () => {
	test("an unused declaration, when that is allowed", () => {
		const source = `${head}acl unused { }`;
		const expected = stock.compile(source, ["-p", "vcc_err_unref=off"]);
		const result = compileVcl(source, { name: "F", unusedIsError: false });
		expect(expected.ok).toBe(true);
		if (!result.ok) throw new Error(result.error.text);
		expect(result.vcl.warnings).toBe(
			"Unused acl unused, defined:\n('F' Line 3 Pos 5)\nacl unused { }\n----######----\n\n(That was just a warning)\n",
		);
	});
});
