// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the configuration has this syntax of its own
/** keepalived.conf(5): conditional lines, parameter substitution, sequences, includes. */
import { describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Findings } from "../../firmware/config/keepalived/diagnostics.ts";
import { type Files, LineReader } from "../../firmware/config/keepalived/preprocessor.ts";
import { RandomNumbers } from "../../firmware/config/keepalived/random.ts";
import type { Source } from "../../firmware/config/keepalived/source.ts";
import { loadText } from "./load-text.ts";

/** Logical lines after the preprocessor, and its messages. */
function run(text: string, more: Readonly<Record<string, string>> = {}, configId = "me") {
	const texts: Record<string, string> = { "/c/main": text, ...more };
	const files: Files = {
		read: (path) => {
			const found = texts[path];
			return found === undefined ? { kind: "missing" } : { kind: "text", text: found, executable: false };
		},
		match: (pattern, directory) => {
			const glob = new Bun.Glob(pattern.startsWith("/") ? pattern : `${directory}/${pattern}`);
			return Object.keys(texts)
				.filter((path) => glob.match(path))
				.sort();
		},
		resolve: (path, directory) => (path.startsWith("/") ? path : `${directory}/${path}`),
		directoryOf: (path) => path.slice(0, path.lastIndexOf("/")),
	};
	const sources: Source[] = [];
	const found = new Findings(sources);
	const surroundings = {
		configId,
		variable: (name: string) => (name === "SITE" ? "north" : undefined),
		random: new RandomNumbers(),
	};
	const reader = new LineReader(files, surroundings, found, sources);
	reader.open("/c/main", "main");
	const lines: string[] = [];
	while (reader.next()) {
		const lexer = reader.current;
		const words = Array.from({ length: lexer.count }, (_, index) => lexer.word(index));
		lines.push([...words, ...(lexer.opens ? ["{"] : []), ...(lexer.closes ? ["}"] : [])].join(" "));
	}
	return {
		lines,
		messages: found.list.map((one) => one.message),
		sources: sources.map((source) => source.name),
	};
}

describe("${_RANDOM} and random_seed", () => {
	const drawn = (seed: number | null): string[] => {
		const head = seed === null ? "" : `random_seed ${seed}\n`;
		const loaded = loadText(
			`global_defs {\n${head}router_id r\${_RANDOM}_\${_RANDOM 1 6}\nlvs_sync_daemon eth0 id \${_RANDOM 1 255}\n}\n`,
		);
		return [loaded.config.global.routerId];
	};

	test("the same seed draws the same numbers at every reading, another one others", () => {
		expect(drawn(7)).toEqual(drawn(7));
		expect(drawn(7)).not.toEqual(drawn(8));
	});

	test("without a seed they differ", () => {
		expect(new Set(Array.from({ length: 20 }, () => drawn(null)[0])).size).toBeGreaterThan(1);
	});

	test("every number of the range comes, and none outside it", () => {
		const random = new RandomNumbers();
		random.seed(1);
		const numbers = Array.from({ length: 2_000 }, () => random.between(3, 8));
		expect([...new Set(numbers)].sort()).toEqual([3, 4, 5, 6, 7, 8]);
		for (const number of [3, 4, 5, 6, 7, 8])
			expect(numbers.filter((one) => one === number).length).toBeGreaterThan(250);
		expect(random.between(5, 2)).toBe(5);
	});
});

describe("conditional lines", () => {
	test.each([
		["@ID keeps the line on that machine only", "@me a\n@other b\n", ["a"]],
		["@^ID keeps it everywhere else", "@^me a\n@^other b\n", ["b"]],
		["a bare @ID is nothing", "@me\n@^x\na\n", ["a"]],
		["in front of a definition", "@me $X=1\n@other $X=2\nq${X}\n", ["q1"]],
		["an @ further on is text", "a b@me\n", ["a b@me"]],
	])("%s", (_title, text, expected) => {
		expect(run(text).lines).toEqual(expected);
	});
});

describe("definitions", () => {
	test.each([
		["braces anywhere", "$A=5\nfoo${A}x y${A}\n", ["foo5x y5"]],
		[
			"bare before a blank, a comma, a parenthesis, the end",
			"$A=5\n$A, x$A,y z$A) w$A\n",
			["5, x5,y z5) w5"],
		],
		["$A.1 is not replaced", "$A=5\na $A.1\n", ["a $A.1"]],
		["what nobody defined stays", "a $B\n", ["a $B"]],
		["replaced at use, not at definition", "$X=a b\n$Y=${X}\n$X= q\n${Y}w\n", ["qw"]],
		["within quotes", '$X=a b\n"${X}z"\n', ["a bz"]],
		["the comment is no part of the value", "$X=abc # hi\n${X}d e\n", ["abcd e"]],
		["no blank before =", "$X =foo\n", ["$X =foo"]],
		["a name is letters, digits and _", "$1=d\na\n", ["$1=d", "a"]],
		["empty value", "$X=\na ${X}b\n", ["a b"]],
		["several lines", "$M= \\\n foo a \\\n bar {\\\n }\ng {\n $M\n}\n", ["g {", "foo a", "bar {", "}", "}"]],
		["several lines behind words", "$M=b \\\n c\na $M\n", ["a b", "c"]],
		["a commented line goes on", "$M= \\\n a \\\n# b \\\n c\n$M\nd\n", ["a", "c", "d"]],
		["lines that define", "$M= \\\n $X=1 \\\n a ${X} \\\n $X=2\n$M\n${X}\n", ["a 1", "2"]],
		["${_PWD}, ${_INSTANCE}", "${_PWD} ${_INSTANCE}\n", ["/c me"]],
		["${_HASH}, ${_BANG}", "a${_HASH}b ${_BANG}\n", ["a#b !"]],
		["${_RANDOM min max}", "${_RANDOM 4 4}\n", ["4"]],
		["${_ENV NAME}", "${_ENV SITE}\n", ["north"]],
		["braces in a value are braces", "$A={\ng $A\n}\n", ["g {", "}"]],
	])("%s", (_title, text, expected) => {
		const { lines, messages } = run(text);
		expect(lines).toEqual(expected);
		expect(messages).toEqual([]);
	});

	test("a definition of itself ends with a message", () => {
		const { lines, messages } = run("$A=${A}x\n${A}\nb\n");
		expect(lines).toEqual(["b"]);
		expect(messages).toEqual(["definitions refer to one another more than 64 deep"]);
	});

	test("a multi-line definition must end its line", () => {
		expect(run("$M= \\\n a \\\n b\n$M c\n").messages).toEqual([
			'"M" has several lines, so it must be the last thing on its line',
		]);
	});

	test("a line that grows too long is dropped", () => {
		const { lines, messages } = run(`$A=${"x".repeat(700)}\n\${A}\${A}\nb\n`);
		expect(lines).toEqual(["b"]);
		expect(messages).toEqual([
			"the line has 1400 characters after its definitions are replaced; the limit is 1023",
		]);
	});
});

describe("sequences", () => {
	test.each([
		["~SEQ(var, end)", "~SEQ(x, 3) foo$x bar\n", ["foo1 bar", "foo2 bar", "foo3 bar"]],
		["~SEQ(var, start, end)", "~SEQ(i,3,1) u$i\n", ["u3", "u2", "u1"]],
		["~SEQ(var, start, step, end)", "~SEQ(i,2,3,8) u$i\n", ["u2", "u5", "u8"]],
		["a negative end", "~SEQ(i, -2) w$i\n", ["w-1", "w-2"]],
		["numbers as strtol takes them", "~SEQ(i,0x10,021) w$i\n", ["w16", "w17"]],
		["~SEQx in hexadecimal", "~SEQx(y, 10, 12) y$y\n", ["ya", "yb", "yc"]],
		["nested", "~SEQ(x, 2) ~SEQx(y, 10, 11) ${x}_${y}\n", ["1_a", "1_b", "2_a", "2_b"]],
		["parameters may be definitions", "$N=2\n~SEQ(x, $N) a$x\n", ["a1", "a2"]],
		["around a multi-line definition", "$B= \\\n a${x} { \\\n }\n~SEQ(x,2) $B\n", ["a1 {", "}", "a2 {", "}"]],
		["~LST of one", "~LST(a, 1,2,) q${a}w\n", ["q1w", "q2w", "qw"]],
		["~LST of several; missing ones are empty", "~LST({a,b},{1},{2,3}) q${a}w${b}\n", ["q1w", "q2w3"]],
	])("%s", (_title, text, expected) => {
		const { lines, messages } = run(text);
		expect(lines).toEqual(expected);
		expect(messages).toEqual([]);
	});

	test.each([
		["~SEQ(i,1,x) w$i\n", '~SEQ: "x" is no whole number'],
		["~SEQ(i,1,-1,5) w$i\n", "~SEQ: step -1 never leads from 1 to 5"],
		["~SEQ(i 1) z\n", '~SEQ: "i 1" is no name for a variable'],
		["~SEQ(i,1 z\n", "~SEQ has no closing parenthesis"],
		["~SEQx(i,-1) z\n", "~SEQx counts only from 0 up"],
		["~SEQ(i,1,1000000000) z\n", "~SEQ would repeat 1000000000 times; the limit is 100000"],
		["~LST({a,b},{1,2,3}) q\n", '~LST has 2 variables, but "{1,2,3}" has 3 values'],
		["~LST({a,b) q\n", "~LST: braces do not match"],
	])("%s", (text, message) => {
		expect(run(text).messages).toEqual([message]);
	});

	test("nested ones together keep the limit", () => {
		const { lines, messages } = run("~SEQ(a,1,1000) ~SEQ(b,1,1000) x\n");
		expect(lines).toHaveLength(100_000);
		expect(messages).toEqual(["the sequence gives more than 100000 lines"]);
	});
});

describe("includes", () => {
	test("a glob, relative to the including file, in order; inside blocks, too", () => {
		const { lines, sources } = run("a\ng {\ninclude d/*.conf\n}\nb\n", {
			"/c/d/2.conf": "two\n",
			"/c/d/1.conf": "one {\ninclude sub/x\n}\n",
			"/c/d/sub/x": "deep",
			"/c/d/other": "not",
		});
		expect(lines).toEqual(["a", "g {", "one {", "deep", "}", "two", "}", "b"]);
		expect(sources.sort()).toEqual(["/c/d/1.conf", "/c/d/2.conf", "/c/d/sub/x", "main"]);
	});

	test("definitions are global from their line on, across files", () => {
		expect(run("include x\na ${V}\n", { "/c/x": "b $V\n$V=1\n" }).lines).toEqual(["b $V", "a 1"]);
	});

	test("in a multi-line definition and in a sequence", () => {
		const files = { "/c/x1": "one", "/c/x2": "two" };
		expect(run("~SEQ(i,2) include x$i\nz\n", files).lines).toEqual(["one", "two", "z"]);
		expect(run("$M= \\\n a \\\n include x1 \\\n b\n$M\nz\n", files).lines).toEqual(["a", "one", "b", "z"]);
	});

	test("a file that includes itself", () => {
		const { lines, messages } = run("a\ninclude x\nb\n", { "/c/x": "x\ninclude main\n" });
		expect(lines).toEqual(["a", "x", "b"]);
		expect(messages).toEqual(['"main" includes itself: /c/main → /c/x → /c/main']);
	});

	test.each([
		["include /none", 0, "warning"],
		["include /none*", 0, "hint"],
		["includer /none", 0, "warning"],
		["includem /none", 6, "error"],
		["includew /none*", 6, "error"],
		["includea /none*", 6, "error"],
		["include", 5, "error"],
	])("%s: exit status %d, as keepalived -t has it", (line, status, severity) => {
		const loaded = loadText(`${line}\n`);
		expect(loaded.exitStatus).toBe(status as 0);
		expect(loaded.diagnostics[0]?.severity ?? null).toBe(severity as "error");
	});

	test("include_check widens the policy from its line on", () => {
		const loaded = loadText("include /none\nglobal_defs {\ninclude_check match\n}\ninclude /none\n");
		expect(loaded.diagnostics.map((one) => `${one.severity} ${one.location.line}`)).toEqual([
			"warning 1",
			"error 5",
		]);
	});

	test("executable files and directories are left out", () => {
		const directory = mkdtempSync(join(tmpdir(), "drover-include-"));
		try {
			writeFileSync(join(directory, "run.conf"), "global_defs {\n}\n");
			chmodSync(join(directory, "run.conf"), 0o755);
			const loaded = loadText(`include ${directory}/run.conf\ninclude ${directory}\n`);
			expect(loaded.diagnostics.map((one) => one.message)).toEqual([
				`"${directory}/run.conf" is executable and is left out`,
				`"${directory}" is a directory`,
			]);
		} finally {
			rmSync(directory, { recursive: true });
		}
	});

	test("more than 32 deep", () => {
		const files: Record<string, string> = {};
		for (let index = 0; index < 40; index++) files[`/c/f${index}`] = `include f${index + 1}\n`;
		expect(run("include f0\n", files).messages).toEqual(["files include one another more than 32 deep"]);
	});
});
