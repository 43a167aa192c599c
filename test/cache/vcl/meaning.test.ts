/** Expressions mean what they mean to the stock program: both run them on the same request. */
import { describe, expect, test } from "bun:test";
import { expressions, probe } from "./expressions.ts";
import { load } from "./mini-runtime.ts";
import { programFor, runStock } from "./stock-run.ts";

describe("the same request, the same text", () => {
	for (const [section, list] of Object.entries(expressions))
		test(`reference ${section} (${list.length})`, async () => {
			const expected = await runStock(list);
			const world = load(
				`vcl 4.1;\nbackend s1 { .host = "127.0.0.1"; }\n${programFor(list)}`,
				{ headers: probe.headers, url: probe.url, clientIp: "127.0.0.1" },
				{ unusedIsError: false },
			);
			const { req } = world.run("vcl_recv").context;
			const results = list.map((expression, index) => [
				expression,
				req.header(`r${index}`)?.slice(1, -1) ?? null,
			]);
			expect(results).toEqual(list.map((expression, index) => [expression, expected[index]!]));
		}, 120_000);
});
