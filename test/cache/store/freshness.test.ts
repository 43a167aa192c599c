/** How long an answer may be used: RFC 9111 §4.2, RFC 5861, and Varnish's grace and keep. */
import { describe, expect, test } from "bun:test";
import { parseDirectives } from "../../../firmware/cache/http/cache-control.ts";
import { formatHttpDate, parseHttpDate } from "../../../firmware/cache/http/date.ts";
import { FieldList, fieldKey } from "../../../firmware/cache/http/headers.ts";
import { sameOriginTarget } from "../../../firmware/cache/http/target.ts";
import {
	ageAt,
	initialLifetime,
	isStrict,
	keptForRevalidation,
	purgedSoftly,
	staleIfError,
} from "../../../firmware/cache/store/freshness.ts";
import { variantTest, varyMatches, varySpecification } from "../../../firmware/cache/store/vary.ts";
import { updatedFields } from "../../../firmware/cache/worker/revalidation.ts";

const NOW = 1_700_000_000;
/** varnishd's own rules, and those of RFC 9111 on top. */
const parameters = { defaultTtl: 120, defaultGrace: 10, defaultKeep: 0, clockSkew: 10, rfc9111: false };
const strict = { ...parameters, rfc9111: true };
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
		expect(staleIfError(fields("Cache-Control: max-age=1, stale-if-error=60"), false, strict)).toBe(60);
		expect(staleIfError(fields("Cache-Control: stale-if-error=60, must-revalidate"), true, strict)).toBe(0);
	});
});

describe("parameter rfc9111: what varnishd's rules leave open", () => {
	const cases: readonly (readonly [title: string, status: number, lines: readonly string[], ttl: number])[] =
		[
			["nothing said: default_ttl still", 200, [], 120],
			["§3: any final status with a lifetime", 299, ["Cache-Control: max-age=60"], 60],
			["an error too", 500, ["Cache-Control: max-age=60"], 60],
			["but not a part", 206, ["Cache-Control: max-age=60"], -1],
			["an error without one", 500, [`Last-Modified: ${date(-1000)}`], -1],
			["§4.2.2: 405 by its Last-Modified", 405, [`Last-Modified: ${date(-1000)}`, `Date: ${date(0)}`], 100],
			["at most default_ttl", 501, [`Last-Modified: ${date(-9999)}`, `Date: ${date(0)}`], 120],
			["405 without one", 405, [], -1],
			["public makes any status so", 599, ["Cache-Control: public", `Last-Modified: ${date(-1000)}`], 100],
			["§5.2.2.3: must-understand, known", 404, ["Cache-Control: max-age=9, must-understand"], 9],
			["must-understand, unknown", 599, ["Cache-Control: max-age=9, must-understand"], -1],
			["§4.2.1: Expires less Date, however near", 200, [`Expires: ${date(10)}`, `Date: ${date(-10)}`], 20],
			["Age is not a number", 200, ["Age: abc", "Cache-Control: max-age=60"], 0],
			["Age is negative", 200, ["Age: -5", "Cache-Control: max-age=60"], 0],
			["Age comes twice", 200, ["Age: 0", "Age: 0", "Cache-Control: max-age=60"], 0],
			[
				"RFC 9213: CDN-Cache-Control goes first",
				200,
				["CDN-Cache-Control: max-age=7", "Cache-Control: s-maxage=60", `Expires: ${date(900)}`],
				7,
			],
			["an empty one does not", 200, ["CDN-Cache-Control: ", "Cache-Control: max-age=60"], 60],
			["Surrogate-Control goes first", 200, ["Surrogate-Control: max-age=0", "Cache-Control: max-age=60"], 0],
			["with its stale time behind a plus", 200, ["Surrogate-Control: max-age=30+600"], 30],
			["meant for another", 200, ["Surrogate-Control: max-age=30;other", "Cache-Control: max-age=60"], 60],
		];
	for (const [title, status, lines, ttl] of cases)
		test(title, () => expect(initialLifetime(status, fields(...lines), NOW, strict).ttl).toBe(ttl));

	const lifetimeOf = (...lines: string[]) => initialLifetime(200, fields(...lines), NOW, strict);
	const strictOf = (...lines: string[]) => isStrict(lifetimeOf(...lines), false, strict);
	test("§4.2.4: nobody asked for stale answers: grace is for revalidation", () => {
		expect(strictOf("Cache-Control: max-age=60")).toBe(true);
		expect(strictOf(`Expires: ${date(60)}`, `Date: ${date(0)}`)).toBe(true);
		expect(ageAt({ tOrigin: NOW, ttl: 10, grace: 5, keep: 5, strict: true }, NOW + 11).kind).toBe("keep");
		expect(ageAt({ tOrigin: NOW, ttl: 10, grace: 5, keep: 5, strict: true }, NOW + 20).kind).toBe("expired");
	});
	test("no lifetime said: varnishd's grace stands", () => expect(strictOf()).toBe(false));
	test("RFC 5861 §3: the origin asked", () =>
		expect(strictOf("Cache-Control: max-age=60, stale-while-revalidate=30")).toBe(false));
	test("s-maxage forbids, unless it comes with such a permission", () => {
		expect(lifetimeOf("Cache-Control: s-maxage=60").grace).toBe(0);
		expect(lifetimeOf("Cache-Control: s-maxage=60, stale-while-revalidate=30").grace).toBe(30);
		expect(lifetimeOf("Cache-Control: s-maxage=60, stale-while-revalidate=30, must-revalidate").grace).toBe(
			0,
		);
	});
	test("the VCL decided, or the operator, or the parameter is off", () => {
		expect(isStrict({ explicit: true }, true, strict)).toBe(false);
		expect(isStrict({ explicit: true }, false, { ...strict, defaultGrace: 20 })).toBe(false);
		expect(isStrict({ explicit: true }, false, parameters)).toBe(false);
	});
	test("§4.2.4: the origin cannot be reached", () => {
		expect(staleIfError(fields("Cache-Control: max-age=1"), true, strict)).toBe(10);
		expect(staleIfError(fields("Cache-Control: max-age=1"), false, strict)).toBe(0);
		for (const word of ["no-cache", "must-revalidate", "proxy-revalidate", "s-maxage=2"])
			expect(staleIfError(fields(`Cache-Control: max-age=2, ${word}`), true, strict)).toBe(0);
	});
	test("it is kept as long as stale-if-error needs it", () =>
		expect(
			initialLifetime(200, fields("Cache-Control: max-age=1, stale-if-error=60"), NOW, strict).keep,
		).toBe(50));
	test("§5.2.2.4: no-cache with a validator is kept to be asked about", () => {
		const kept = (...lines: string[]) => keptForRevalidation(200, fields(...lines));
		expect(kept("Cache-Control: no-cache", 'ETag: "a"')).toBe(true);
		expect(kept("Cache-Control: no-cache")).toBe(false);
		expect(kept("Cache-Control: private, no-cache", 'ETag: "a"')).toBe(false);
		expect(kept("Cache-Control: no-cache, no-store", 'ETag: "a"')).toBe(false);
		expect(kept('Cache-Control: no-cache="x"', 'ETag: "a"')).toBe(false);
		expect(kept("Cache-Control: no-cache", "Set-Cookie: a=b", 'ETag: "a"')).toBe(false);
	});
});

describe("age", () => {
	const stored = { tOrigin: NOW, ttl: 10, grace: 5, keep: 5, strict: false };
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
		// Past the request's limit alone there is no grace, as with varnishd.
		expect(ageAt(stored, NOW + 6, 5).kind).toBe("keep");
		expect(ageAt(stored, NOW + 12, -1, 1).kind).toBe("keep");
		expect(ageAt(stored, NOW + 6, 50, 50).kind).toBe("fresh");
	});
	test("a request that waited for the answer began before it: fresh, unless it has no lifetime", () => {
		expect(ageAt(stored, NOW - 1).kind).toBe("fresh");
		expect(ageAt(stored, NOW - 1, 0).kind).toBe("fresh");
		expect(ageAt({ ...stored, ttl: 0 }, NOW - 1).kind).toBe("grace");
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
	test("for many at once: the same as one by one, in any order", () => {
		const requests = [
			[],
			["X: 1"],
			["X: 1", "Xy: 1"],
			["Xy: 12"],
			["X: "],
			["X: 1,2"],
			["Accept-Language: de, en"],
		];
		const varies = ["X", "Xy", "X, Xy", "Accept-Language", "", "X"];
		const specifications = requests.flatMap((lines) =>
			varies.map((vary) => varySpecification(vary, fields(...lines), "de")!),
		);
		for (const lines of requests) {
			const test = variantTest(fields(...lines));
			const right = specifications.map((each) => varyMatches(each, fields(...lines)));
			expect(specifications.map(test)).toEqual(right);
			expect(specifications.toReversed().map(test)).toEqual(right.toReversed());
			expect(new Set(right).size).toBe(2);
		}
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

describe("what selects the same variant (RFC 9111 §4.1)", () => {
	test("the order of weights means nothing, the weights do (RFC 9110 §12.4.2)", () => {
		const specification = varySpecification("Accept-Language", fields("Accept-Language: de, en;q=0.5"))!;
		expect(varyMatches(specification, fields("Accept-Language: EN;q=0.50 ,DE"))).toBe(true);
		expect(varyMatches(specification, fields("Accept-Language: de;q=0.5, en"))).toBe(false);
	});
	test("the stored answer is in the language that the request puts first", () => {
		const specification = varySpecification("Accept-Language", fields("Accept-Language: en, de"), "de")!;
		expect(varyMatches(specification, fields("Accept-Language: fr;q=0.5, de"))).toBe(true);
		expect(varyMatches(specification, fields("Accept-Language: fr, de"))).toBe(false);
		expect(varyMatches(specification, fields("Accept-Language: fr, de;q=0.5"))).toBe(false);
		expect(varyMatches(specification, fields("Accept-Language: de, en"))).toBe(true);
	});
	test("blanks around commas, but not inside quotes", () => {
		const specification = varySpecification("X", fields("X: 1,2"))!;
		expect(varyMatches(specification, fields("X: 1 , 2"))).toBe(true);
		const quoted = varySpecification("X", fields('X: "1,2"'))!;
		expect(varyMatches(quoted, fields('X: "1, 2"'))).toBe(false);
	});
});

describe("a soft purge", () => {
	const stored = { ttl: 60, grace: 20, keep: 10 };
	const asked = { ttl: 0, grace: -1, keep: -1 };
	test("ends the lifetime, or shortens it; grace and keep begin there", () => {
		expect(purgedSoftly(stored, 5, asked)).toEqual({ ttl: 5, grace: 20, keep: 10 });
		expect(purgedSoftly(stored, 5, { ttl: 3, grace: 7, keep: 30 })).toEqual({ ttl: 8, grace: 7, keep: 30 });
	});
	test("makes nothing fresh again, and keeps nothing for longer", () => {
		expect(purgedSoftly(stored, 70, asked)).toEqual(stored);
		expect(purgedSoftly(stored, 70, { ttl: 100, grace: 25, keep: 100 })).toEqual({
			ttl: 60,
			grace: 25,
			keep: 5,
		});
		expect(purgedSoftly(stored, 50, { ttl: 0, grace: 100, keep: 100 })).toEqual({
			ttl: 50,
			grace: 40,
			keep: 0,
		});
	});
});

describe("304 (RFC 9111 §3.2)", () => {
	test("fields of the 304 replace the stored ones, all lines of them, but for those about the bytes", () => {
		const stored = fields("A: 1", 'ETag: "x"', "Content-Length: 5", "Set-Cookie: a", "B: 2");
		const answer = fields("A: 2", 'ETag: "y"', "Content-Length: 9", "Set-Cookie: b", "Set-Cookie: c");
		expect(updatedFields(stored, answer).lines.toSorted()).toEqual(
			["A: 2", "B: 2", "Content-Length: 5", 'ETag: "x"', "Set-Cookie: b", "Set-Cookie: c"].toSorted(),
		);
	});
});

describe("targets that an answer names (RFC 9111 §4.4)", () => {
	const cases: readonly (readonly [string, string | undefined])[] = [
		["/a?b", "/a?b"],
		["c", "/x/c"],
		["", "/x/y?z"],
		["http://h/a", "/a"],
		["https://H/a", "/a"],
		["http://other/a", undefined],
		["//other/a", undefined],
		["mailto:a@b", undefined],
		["http://[", undefined],
	];
	for (const [reference, target] of cases)
		test(`"${reference}" from /x/y?z at h`, () =>
			expect(sameOriginTarget(reference, "/x/y?z", "h")).toBe(target));
});
