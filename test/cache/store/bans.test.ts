/** Ban expressions and the ban list (varnish-cli(7), vcl(7) "ban"). */
import { describe, expect, test } from "bun:test";
import { BanList, banHolds, banWords, parseBan } from "../../../firmware/cache/store/bans.ts";

const subject = (
	request: Record<string, string> | undefined,
	object: Record<string, string>,
	more: Partial<{ status: number; age: number; ttl: number }> = {},
) => ({
	request:
		request === undefined ? undefined : { url: request["url"] ?? "/", header: (key: string) => request[key] },
	object: {
		status: 200,
		age: 10,
		ttl: 60,
		grace: 10,
		keep: 0,
		...more,
		header: (key: string) => object[key],
	},
});
const ban = (text: string) => {
	const parsed = parseBan(banWords(text));
	if (!parsed.ok) throw new Error(parsed.message);
	return new BanList().add(1, 0, parsed.tests, parsed.text, true);
};

describe("expressions", () => {
	const cases: readonly (readonly [string, ReturnType<typeof subject>, boolean])[] = [
		["req.url == /a", subject({ url: "/a" }, {}), true],
		["req.url ~ ^/a", subject({ url: "/b" }, {}), false],
		["obj.http.X-Tag ~ red", subject(undefined, { "x-tag": "dark red" }), true],
		["obj.http.x == 1 && obj.status == 404", subject(undefined, { x: "1" }), false],
		["obj.status != 200", subject(undefined, {}, { status: 404 }), true],
		["obj.age > 5s", subject(undefined, {}), true],
		["obj.ttl <= 1m", subject(undefined, {}), true],
		["obj.http.gone == x", subject(undefined, {}), false],
		["obj.http.gone !~ x", subject(undefined, {}), true],
		['obj.http.x == "a b"', subject(undefined, { x: "a b" }), true],
		["req.url ~ (?i)^/A$", subject({ url: "/a" }, {}), true],
		// Expressions are those of VCL, not of JavaScript.
		["req.url ~ ^/a(?i)B[[:digit:]]$", subject({ url: "/ab7" }, {}), true],
		["req.url ~ \\A/a++b\\Z", subject({ url: "/aab" }, {}), true],
		["req.url ~ ^/a$", subject({ url: "/a\n" }, {}), true],
	];
	for (const [text, what, holds] of cases) test(text, () => expect(banHolds(ban(text), what)).toBe(holds));

	const wrong: readonly (readonly [string, string])[] = [
		["req.url ==", "Wrong number of arguments"],
		["foo == 1", 'Unknown or unsupported field "foo"'],
		["req.url < 1", "expected conditional"],
		["obj.ttl ~ 1", "expected conditional"],
		["obj.ttl > x", "expected duration"],
		["req.url ~ (", "Regex compile error"],
		["req.url == a || req.url == b", "expected &&"],
		["req.url ~ \\p{L}", "Regex compile error"],
	];
	for (const [text, message] of wrong)
		test(`refused: ${text}`, () => {
			const parsed = parseBan(banWords(text));
			expect(parsed.ok ? "" : parsed.message).toContain(message);
		});
});

describe("list", () => {
	const add = (list: BanList, number: number, text: string) => {
		const parsed = parseBan(banWords(text));
		if (parsed.ok) list.add(number, number, parsed.tests, parsed.text, true);
	};
	test("only bans newer than the object are tested", () => {
		const list = new BanList();
		add(list, 1, "obj.http.x == 1");
		add(list, 2, "obj.http.y == 1");
		const what = subject(undefined, { x: "1" });
		expect(list.holds(0, what)?.number).toBe(1);
		expect(list.holds(1, what)).toBeUndefined();
	});
	test("an equal ban completes the older one; what everything is past is dropped", () => {
		const list = new BanList();
		add(list, 1, "obj.http.x == 1");
		add(list, 2, "obj.http.x == 1");
		add(list, 3, "req.url == /");
		expect(list.all.map((each) => each.completed)).toEqual([true, false, false]);
		list.finish({ all: 2, ofObjects: 2 });
		expect(list.all.map(({ number, completed }) => [number, completed])).toEqual([
			[2, true],
			[3, false],
		]);
		list.finish({ all: 3, ofObjects: 3 });
		expect(list.all.map(({ number, completed }) => [number, completed])).toEqual([[3, true]]);
	});
	test("what objects were tested against is over, though an older ban needs requests", () => {
		const list = new BanList();
		add(list, 1, "obj.http.x == 1");
		add(list, 2, "req.url == /");
		add(list, 3, "obj.http.x == 3");
		add(list, 4, "obj.http.x == 4");
		expect(list.finish({ all: 1, ofObjects: 3 })).toBe(true);
		expect(list.finish({ all: 1, ofObjects: 3 })).toBe(false);
		expect(list.all.map(({ number, completed }) => [number, completed])).toEqual([
			[1, true],
			[2, false],
			[3, true],
			[4, false],
		]);
	});
	test("an object that was being fetched is held against what came meanwhile, over or not", () => {
		const list = new BanList();
		add(list, 1, "obj.http.x == 1");
		add(list, 2, "req.url ~ .");
		add(list, 3, "obj.http.x == 3");
		list.finish({ all: 0, ofObjects: 3 });
		expect(list.holds(0, subject(undefined, { x: "3" }))).toBeUndefined();
		expect(list.holdsForNew(0, subject(undefined, { x: "3" }))?.number).toBe(3);
		expect(list.holdsForNew(3, subject(undefined, { x: "3" }))).toBeUndefined();
		expect(list.holdsForNew(0, subject(undefined, { x: "2" }))).toBeUndefined();
	});
	test("references: each object to the newest ban that it was tested against", () => {
		const list = new BanList();
		for (const number of [2, 4, 6]) add(list, number, `obj.http.x == ${number}`);
		// Ban 5 is no more; those before 2 are the oldest's.
		expect(
			list.referenced(
				new Map([
					[0, 1],
					[2, 10],
					[5, 100],
					[6, 1000],
				]),
			),
		).toEqual([11, 100, 1000]);
		expect(new BanList().referenced(new Map([[1, 1]]))).toEqual([]);
	});
	test("a ban on requests waits for one", () => {
		const list = new BanList();
		add(list, 1, "req.url == /");
		expect(list.holds(0, subject(undefined, {}))).toBeUndefined();
		expect(list.holds(0, subject({ url: "/" }, {}))?.number).toBe(1);
	});
});
