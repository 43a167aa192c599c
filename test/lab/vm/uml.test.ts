import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { guestSuite, guestTests, runInUml } from "./uml.ts";

await guestSuite("./test/lab/vm/guest/harness.guest.ts");

test("the guest left nothing on the host", () => {
	expect(existsSync("/etc/drover-was-here")).toBe(false);
});

test("exit status, output and files come out", async () => {
	const run = await runInUml(["sh", "-c", "cat /uml/in; echo back > /uml/out; exit 7"], {
		files: { in: "it's there\n" },
		collect: ["out", "none"],
	});
	expect(run).toMatchObject({ status: 7, output: "it's there\n", collected: { out: "back\n" } });
}, 60_000);

test("a report of failed and skipped tests", () => {
	expect(
		guestTests(
			'<testcase name="a &quot;b&quot;" classname="x" time="0" /><testcase name="c"><failure type="AssertionError" /></testcase><testcase name="d"><skipped /></testcase>',
		),
	).toMatchObject([
		{ name: 'x > a "b"', failure: null },
		{ name: "c", failure: expect.any(String) },
		{ name: "d", failure: expect.any(String) },
	]);
});
