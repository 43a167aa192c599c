/** The front end under bad input: whatever comes, a program or an error with words; never a crash, a hang or growth. */
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { toByteString } from "../../../firmware/cache/vcl/byte-string.ts";
import { compileVcl } from "../../../firmware/cache/vcl/compile.ts";
import { upgradeVcl } from "../../../firmware/cache/vcl/upgrade.ts";
import { expressions } from "./expressions.ts";
import { head, mistakes } from "./mistakes.ts";

const corpus = join(import.meta.dir, "../../../../shared/corpus/vcl");
const seeds: readonly string[] = [
	...readdirSync(corpus).map((name) => toByteString(readFileSync(join(corpus, name)))),
	...Object.values(mistakes)
		.flat()
		.map((mistake) => head + mistake),
	...Object.values(expressions)
		.flat()
		.map((expression) => `${head}import std;\nsub vcl_recv { set req.http.x = ${expression}; }`),
];

/** One compilation: its outcome must be one of two, and soon. The bound is for a stuck loop, not for speed. */
function compile(source: string): void {
	const begin = performance.now();
	const result = compileVcl(source, { name: "fuzz.vcl", unusedIsError: false });
	if (!result.ok) expect(result.error.text.length).toBeGreaterThan(0);
	expect(performance.now() - begin).toBeLessThan(60_000);
}

const word = fc.constantFrom(
	...'vcl 4.1 ; { } ( ) sub vcl_recv if else set unset req.url = == ~ !~ + - * / % && || ! , . "a" {"b"} 10s 1KB 5 1.5 acl backend probe import std std.log return synth pass hash call new include :Zm9v: C{ }C # /* */ // \n regsub true now client.ip -1 req.http.a "(" "[a"'.split(
		" ",
	),
	"\n",
	"\t",
	"\0",
	"\xff",
	'"',
	"{",
);

describe("the VCL front end", () => {
	test("any bytes", () => {
		fc.assert(
			fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
				compileVcl(bytes, { name: "fuzz.vcl" });
				upgradeVcl(bytes);
			}),
			{ numRuns: 600, seed: 11 },
		);
	}, 120_000);

	test("any words in a row", () => {
		fc.assert(
			fc.property(fc.array(word, { maxLength: 40 }), (words) => {
				compile(words.join(" "));
				compile(`vcl 4.1;\nbackend a none;\nsub vcl_recv { ${words.join(" ")} }`);
			}),
			{ numRuns: 400, seed: 12 },
		);
	}, 120_000);

	test("real files, torn and patched", () => {
		const mutation = fc.record({
			seed: fc.nat({ max: seeds.length - 1 }),
			other: fc.nat({ max: seeds.length - 1 }),
			cuts: fc.array(
				fc.record({
					at: fc.double({ min: 0, max: 1, noNaN: true }),
					length: fc.nat({ max: 30 }),
					insert: word,
					what: fc.constantFrom("delete", "insert", "copy", "flip"),
				}),
				{ minLength: 1, maxLength: 6 },
			),
		});
		fc.assert(
			fc.property(mutation, ({ seed, other, cuts }) => {
				let text = seeds[seed]!;
				for (const { at, length, insert, what } of cuts) {
					const place = Math.floor(at * text.length);
					if (what === "delete") text = text.slice(0, place) + text.slice(place + length);
					else if (what === "insert") text = text.slice(0, place) + insert + text.slice(place);
					else if (what === "copy")
						text = text.slice(0, place) + seeds[other]!.slice(0, 200) + text.slice(place);
					else
						text =
							text.slice(0, place) +
							String.fromCharCode((text.charCodeAt(place) || 0) ^ (1 << (length % 8))) +
							text.slice(place + 1);
				}
				compile(text);
			}),
			{ numRuns: 200, seed: 13 },
		);
	}, 120_000);

	test("depth and size have bounds", () => {
		for (const [open, close] of [
			["(", ")"],
			["!", ""],
			["-", ""],
			["{", "}"],
		] as const)
			for (const depth of [50, 5_000, 50_000]) {
				compile(`${head}sub vcl_recv { if (${open.repeat(depth)}true${close.repeat(depth)}) { } }`);
				compile(`${head}sub vcl_recv ${open.repeat(depth)}${close.repeat(depth)}`);
			}
		compile(`${head}sub vcl_recv { set req.http.x = ${'"a" + req.url + '.repeat(20_000)}"b"; }`);
		compile(`${head}sub vcl_recv { ${"if (req.url) { } ".repeat(20_000)} }`);
		compile(`${head}sub vcl_recv { set req.http${".a".repeat(10_000)} = "x"; }`);
		compile(`${head}acl a { ${'"10.0.0.1"; '.repeat(20_000)} }`);
		compile(`${head}sub vcl_recv { if (req.url) { } ${"elsif (req.url) { } ".repeat(20_000)} }`);
		const subs = Array.from(
			{ length: 60 },
			(_, index) => `sub s${index} { call s${index + 1}; call s${index + 1}; }`,
		);
		compile(`${head}${subs.join("\n")}\nsub s60 { }\nsub vcl_recv { call s0; }`);
	}, 120_000);
});
