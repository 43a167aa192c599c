/** TOML 1.0 by its sections; Python's tomllib is the second opinion. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { NESTING_LIMIT, parseToml, TomlError } from "../../firmware/appliance/toml.ts";

const value = (text: string) => parseToml(text).value;

describe("what is read", () => {
	test.each<[section: string, text: string, expected: object]>([
		["Comment", "# all\na = 1 # rest\n", { a: 1 }],
		[
			"Keys: bare, quoted, dotted",
			"a-b_1 = 1\n\"c d\" = 2\n'e' . f = 3",
			{ "a-b_1": 1, "c d": 2, e: { f: 3 } },
		],
		["Keys: dotted ones share a table", "a.b = 1\na.c.d = 2", { a: { b: 1, c: { d: 2 } } }],
		["Keys: __proto__ is a key like any other", "__proto__.x = 1", JSON.parse('{"__proto__":{"x":1}}')],
		["String: basic", 'a = "q\\"\\t\\u00e9\\U0001F600\\\\"', { a: 'q"\té😀\\' }],
		["String: multi-line basic", 'a = """\nb\\\n   c""d"""""', { a: 'bc""d""' }],
		["String: literal", "a = 'C:\\x'", { a: "C:\\x" }],
		["String: multi-line literal", "a = '''\nx\\\n'y'''", { a: "x\\\n'y" }],
		[
			"Integer",
			"a = [+99, -17, 0, 1_000, 0xDEAD_beef, 0o17, 0b1_0]",
			{ a: [99, -17, 0, 1000, 0xdeadbeef, 15, 2] },
		],
		[
			"Float",
			"a = [1.5, -0.01, 5e+2, 1e-2, 6.6_2e3, inf, -inf]",
			{ a: [1.5, -0.01, 500, 0.01, 6620, Infinity, -Infinity] },
		],
		["Boolean", "a = true\nb = false", { a: true, b: false }],
		["Array: over lines, trailing comma, comments", "a = [ # x\n 1,\n [2], # y\n]", { a: [1, [2]] }],
		["Table: in any order", "[a.b]\nx = 1\n[a]\ny = 2", { a: { b: { x: 1 }, y: 2 } }],
		["Inline table", "a = { b = 1, c.d = 'x' }", { a: { b: 1, c: { d: "x" } } }],
		[
			"Array of tables",
			"[[a]]\nx=1\n[[a.b]]\ny=2\n[a.c]\nz=3\n[[a]]",
			{ a: [{ x: 1, b: [{ y: 2 }], c: { z: 3 } }, {}] },
		],
		["line ends of DOS, and a byte order mark", "\ufeffa = 1\r\nb = 2\r\n", { a: 1, b: 2 }],
	])("%s", (_section, text, expected) => {
		expect(value(text)).toEqual(expected as never);
	});
});

describe("what is refused, and where", () => {
	test.each<[text: string, line: number, column: number, message: string]>([
		["a = ", 1, 5, "a value is missing here"],
		["a = b", 1, 5, "b is no value; text stands in quotes"],
		["a 1", 1, 3, '"=" was expected after the key "a"'],
		["x = 1\n= 2", 2, 1, "a key was expected here"],
		['a = "x', 1, 5, "the text has no closing quote"],
		['a = """x', 1, 5, 'the text has no closing """'],
		["a = 'x\ny'", 1, 5, "the text has no closing quote"],
		['a = "\\q"', 1, 6, "there is no such escape"],
		['a = "\\ud800"', 1, 6, "there is no such escape"],
		["a = 1 b = 2", 1, 7, "the line should end here"],
		["a = 01", 1, 5, "01 is no value"],
		["a = 1__0", 1, 5, "1__0 is no value"],
		["a = 9007199254740993", 1, 5, "too large a number"],
		["a = 1979-05-27", 1, 5, "no setting is a date or a time"],
		["a = 1\na = 2", 2, 1, '"a" is here for the second time'],
		["[a]\n[a]", 2, 2, 'the table "a" is here for the second time'],
		["a = {}\na.b = 1", 2, 1, '"a" cannot be added to from here'],
		["a = {}\n[a.b]", 2, 2, "already something else than a table"],
		["a = []\n[[a]]", 2, 3, "already something else than an array of tables"],
		["[[a]]\n[a]", 2, 2, "already something else than a table"],
		["a = [1 2]", 1, 8, '"," or "]" was expected here'],
		["a = { b = 1, }", 1, 14, "a key was expected here"],
		["[a", 1, 3, '"]" was expected here'],
		["a = \x01", 1, 5, "is no value"],
		["# \x00", 1, 3, "a control character"],
	])("%j", (text, line, column, message) => {
		try {
			parseToml(text);
		} catch (error) {
			expect(error).toBeInstanceOf(TomlError);
			expect((error as TomlError).message).toContain(message);
			expect((error as TomlError).place).toMatchObject({ line, column });
			return;
		}
		expect.unreachable();
	});
	test("what nests too deep", () => {
		expect(() => parseToml(`a = ${"[".repeat(NESTING_LIMIT + 2)}`)).toThrow("within each other");
		expect(() => parseToml(`${"a.".repeat(NESTING_LIMIT + 2)}a = 1`)).toThrow("within each other");
	});
});

test("every key and value knows its place", () => {
	const document = parseToml('top = 1\n[[port]]\n  name = "eth0"\n  list = ["a",\n    "bc"]\n');
	expect(document.keyPlace(["port", 0, "name"])).toEqual({ line: 3, column: 3, length: 4 });
	expect(document.valuePlace(["port", 0, "name"])).toEqual({ line: 3, column: 10, length: 6 });
	expect(document.valuePlace(["port", 0, "list", 1])).toEqual({ line: 5, column: 5, length: 4 });
	expect(document.keyPlace(["port", 0])).toEqual({ line: 2, column: 1, length: 8 });
	expect(document.keyPlace(["nothing"])).toBeNull();
});

/** What tomllib says of each text: its value, or null when it refuses it. */
function secondOpinions(texts: readonly string[]): unknown[] {
	const program = `import json, sys, tomllib
def read(text):
    try: return json.loads(json.dumps(tomllib.loads(text), default=lambda value: "a date"))
    except (tomllib.TOMLDecodeError, RecursionError): return None
print(json.dumps([read(text) for text in json.load(sys.stdin)]))`;
	const { stdout, exitCode, stderr } = Bun.spawnSync(["/usr/bin/python3", "-c", program], {
		stdin: Buffer.from(JSON.stringify(texts)),
	});
	if (exitCode !== 0) throw new Error(stderr.toString());
	return JSON.parse(stdout.toString());
}

describe("the second opinion", () => {
	const read = (text: string) => {
		try {
			return JSON.parse(JSON.stringify(value(text)));
		} catch (error) {
			if (error instanceof TomlError) return null;
			throw error;
		}
	};
	test("agrees on texts put together from TOML's own pieces", () => {
		const piece = fc.constantFrom(
			...[
				"a",
				"b",
				"a.b",
				'"c"',
				"=",
				"=",
				"1",
				"0x1f",
				"1.5",
				'"x"',
				"'y'",
				"true",
				"[",
				"]",
				"[[",
				"]]",
				"{",
				"}",
			],
			...[
				",",
				"\n",
				"\n",
				" ",
				"#z",
				'"""',
				"'''",
				"\\",
				"[a]\n",
				"[[a]]\n",
				"[a.b]\n",
				"a = 1\n",
				"b = {a = 1}\n",
			],
		);
		const texts = fc.sample(
			fc.array(piece, { maxLength: 14 }).map((pieces) => pieces.join("")),
			{ numRuns: 6_000, seed: 7 },
		);
		const opinions = secondOpinions(texts);
		const different = texts.filter((text, index) => !Bun.deepEquals(read(text), opinions[index]));
		expect(different).toEqual([]);
		expect(opinions.filter((opinion) => opinion !== null).length).toBeGreaterThan(100);
	});
	test("whatever the bytes: a value, or an error that points into the text", () => {
		fc.assert(
			fc.property(fc.string({ unit: "binary", maxLength: 60 }), (text) => {
				try {
					parseToml(text);
				} catch (error) {
					expect(error).toBeInstanceOf(TomlError);
					const { line, column } = (error as TomlError).place;
					const lines = text.replace(/^\ufeff/, "").split("\n");
					expect(column).toBeLessThanOrEqual((lines[line - 1] as string).length + 1);
				}
			}),
			{ numRuns: 2_000 },
		);
	});
});
