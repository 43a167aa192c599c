/** How long an answer may be used: RFC 9111 §4.2, RFC 5861, and Varnish's grace and keep. */
import { describe, expect, test } from "bun:test";
import { parseDirectives } from "../../../firmware/cache/http/cache-control.ts";
import { formatHttpDate, parseHttpDate } from "../../../firmware/cache/http/date.ts";
import { FieldList, fieldKey } from "../../../firmware/cache/http/headers.ts";
import {
	ageAt,
	initialLifetime,
	staleIfError,
	varyMatches,
	varySpecification,
} from "../../../firmware/cache/store/freshness.ts";

const NOW = 1_700_000_000;
const parameters = { defaultTtl: 120, defaultGrace: 10, defaultKeep: 0, clockSkew: 10 };
const fields = (...lines: string[]) =>
	new FieldList(
		lines,
		lines.map((line) => fieldKey(line.slice(0, line.indexOf(":")))),
	);
const date = (offset: number) => formatHttpDate(NOW + offset);

describe("lifetime (RFC 9111 §4.2.1)", () => {
	const cases: readonly (readonly [title: string, status: number, lines: readonly string[], ttl: number])[] =
		[
			["nothing said: default_ttl", 200, [], 120],
			["max-age", 200, ["Cache-Control: max-age=60"], 60],
			["s-maxage before max-age", 200, ["Cache-Control: max-age=60, s-maxage=30"], 30],
			[
				"max-age before Expires",
				200,
				["Cache-Control: max-age=60", `Expires: ${date(900)}`, `Date: ${date(0)}`],
				60,
			],
			["names in any case", 200, ["Cache-Control: MaX-aGe=60"], 60],
			["quoted argument", 200, ['Cache-Control: max-age="60"'], 60],
			["inside another directive's quotes", 200, ['Cache-Control: ext="max-age=60"'], 120],
			["junk is stale (§1.2.2)", 200, ["Cache-Control: max-age=abc"], 0],
			["negative is stale", 200, ["Cache-Control: max-age=-1"], 0],
			["the first of two counts (§4.2.1)", 200, ["Cache-Control: max-age=5, max-age=60"], 5],
			["too large is capped", 200, ["Cache-Control: max-age=99999999999999"], 2 ** 31],
			["Expires less now, clocks agreeing", 200, [`Expires: ${date(300)}`, `Date: ${date(0)}`], 300],
			["Expires less Date, clocks apart", 200, [`Expires: ${date(1300)}`, `Date: ${date(1000)}`], 300],
			["Expires before Date", 200, [`Expires: ${date(-10)}`, `Date: ${date(0)}`], 0],
			["Expires: 0 (§5.3)", 200, ["Expires: 0", `Date: ${date(0)}`], 0],
			["302 without a lifetime", 302, [], -1],
			["302 with one", 302, ["Cache-Control: max-age=9"], 9],
			["404 by default", 404, [], 120],
			["500 never", 500, ["Cache-Control: max-age=60"], -1],
			["206 never", 206, ["Cache-Control: max-age=60"], -1],
		];
	for (const [title, status, lines, ttl] of cases)
		test(title, () => expect(initialLifetime(status, fields(...lines), NOW, parameters).ttl).toBe(ttl));

	test("Age was spent elsewhere", () =>
		expect(
			initialLifetime(200, fields("Age: 40", "Cache-Control: max-age=60"), NOW, parameters).tOrigin,
		).toBe(NOW - 40));
	test("stale-while-revalidate is the grace", () =>
		expect(
			initialLifetime(200, fields("Cache-Control: max-age=1, stale-while-revalidate=77"), NOW, parameters)
				.grace,
		).toBe(77));
	test("must-revalidate forbids grace (§5.2.2.2)", () =>
		expect(
			initialLifetime(200, fields("Cache-Control: max-age=1, must-revalidate"), NOW, parameters).grace,
		).toBe(0));
	test("stale-if-error, unless must-revalidate", () => {
		expect(staleIfError(fields("Cache-Control: max-age=1, stale-if-error=60"))).toBe(60);
		expect(staleIfError(fields("Cache-Control: stale-if-error=60, must-revalidate"))).toBe(0);
	});
});

describe("age", () => {
	const stored = { tOrigin: NOW, ttl: 10, grace: 5, keep: 5 };
	const cases: readonly (readonly [after: number, kind: string])[] = [
		[0, "fresh"],
		[9.9, "fresh"],
		[10, "grace"],
		[14.9, "grace"],
		[15, "keep"],
		[19.9, "keep"],
		[20, "expired"],
	];
	for (const [after, kind] of cases)
		test(`${after} s: ${kind}`, () => expect(ageAt(stored, NOW + after).kind).toBe(kind as "fresh"));
	test("req.ttl and req.grace are caps", () => {
		expect(ageAt(stored, NOW + 6, 5).kind).toBe("grace");
		expect(ageAt(stored, NOW + 12, -1, 1).kind).toBe("keep");
		expect(ageAt(stored, NOW + 6, 50, 50).kind).toBe("fresh");
	});
});

describe("Vary (RFC 9111 §4.1)", () => {
	const request = fields("Accept-Language: de, en", "X: 1");
	test("same fields match, others do not", () => {
		const specification = varySpecification("Accept-Language, X", request)!;
		expect(varyMatches(specification, fields("X: 1", "Accept-Language: de,en"))).toBe(true);
		expect(varyMatches(specification, fields("X: 2", "Accept-Language: de, en"))).toBe(false);
		expect(varyMatches(specification, fields("X: 1"))).toBe(false);
	});
	test("absent is not empty", () => {
		const specification = varySpecification("Y", request)!;
		expect(varyMatches(specification, fields())).toBe(true);
		expect(varyMatches(specification, fields("Y: "))).toBe(false);
	});
	test("* and junk are no specification", () => {
		expect(varySpecification("*", request)).toBeUndefined();
		expect(varySpecification("X, *", request)).toBeUndefined();
		expect(varySpecification("a b", request)).toBeUndefined();
		expect(varySpecification(undefined, request)).toBe("");
	});
});

describe("HTTP dates (RFC 9110 §5.6.7)", () => {
	for (const text of [
		"Sun, 06 Nov 1994 08:49:37 GMT",
		"Sunday, 06-Nov-94 08:49:37 GMT",
		"Sun Nov  6 08:49:37 1994",
	])
		test(text, () => expect(parseHttpDate(text)).toBe(784111777));
	for (const text of [
		"0",
		"",
		"tomorrow",
		"Sun, 06 Nov 1994 08:49:37 CET",
		"Sun, 06 Nov 1994 28:49:37 GMT",
		"Sun, 6 Nov 1994 08:49:37 GMT",
	])
		test(`not "${text}"`, () => expect(parseHttpDate(text)).toBeUndefined());
	test("written form", () => expect(formatHttpDate(784111777)).toBe("Sun, 06 Nov 1994 08:49:37 GMT"));
});

test("directives keep commas inside quotes", () => {
	expect([...parseDirectives('private="a, b", max-age=1 , no-store')]).toEqual([
		["private", "a, b"],
		["max-age", "1"],
		["no-store", undefined],
	]);
});
