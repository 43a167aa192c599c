import { describe, expect, test } from "bun:test";
import { bunFailures, bunTotals, quoted } from "./report.ts";

const RUN = `
test/wire/bfd.test.ts:
(pass) RFC 5880 4.1 > a packet [0.20ms]
12 | 	expect(seen).toBe(4);
                    ^
error: expect(received).toBe(expected)

Expected: 4
Received: 3

      at <anonymous> (test/wire/bfd.test.ts:12:14)
(fail) RFC 5880 4.1 > a packet [in one piece] [1.25ms]
(pass) RFC 5880 4.1 > another [0.10ms]

test/lab/uml.test.ts:
(fail) boots [30000.00ms]
  ^ this test timed out after 30000ms.

2 tests failed:
(fail) RFC 5880 4.1 > a packet [in one piece] [1.25ms]
(fail) boots [30000.00ms]

 2 pass
 2 fail
 7 expect() calls
Ran 4 tests across 2 files. [31.00s]
`;

describe("what bun test printed", () => {
	test("the failures, each once, with file, name and reason", () => {
		const failures = bunFailures(RUN);
		expect(failures.map(({ file, test }) => [file, test])).toEqual([
			["test/wire/bfd.test.ts", "RFC 5880 4.1 > a packet [in one piece]"],
			["test/lab/uml.test.ts", "boots"],
		]);
		expect(failures[0]?.why.slice(0, 3)).toEqual([
			"12 | \texpect(seen).toBe(4);",
			"                    ^",
			"error: expect(received).toBe(expected)",
		]);
		expect(failures[0]?.why.at(-1)).toContain("bfd.test.ts:12:14");
	});

	test("a run within a run: its verdicts are part of a reason, and none of ours", () => {
		const outer = `guest.test.ts:\n${quoted(RUN)}\n(fail) in the guest\n(pass) after it\n\n 1 pass\n 1 fail\n`;
		expect(bunFailures(outer).map(({ file, test }) => [file, test])).toEqual([
			["guest.test.ts", "in the guest"],
		]);
		expect(bunTotals(outer, 1)).toEqual({ passed: 1, failed: 1 });
	});

	test("a reason is bounded", () => {
		const long = `a.test.ts:\n${"line\n".repeat(100)}(fail) it\n`;
		expect(bunFailures(long)[0]?.why).toHaveLength(14);
	});

	test("the totals: what was skipped counts as failed, and so does a run without a test", () => {
		expect(bunTotals(RUN, 1)).toEqual({ passed: 2, failed: 2 });
		expect(bunTotals(" 3 pass\n 1 skip\n 0 fail\n", 0)).toEqual({ passed: 3, failed: 1 });
		expect(bunTotals("", 0)).toEqual({ passed: 0, failed: 1 });
		expect(bunTotals(" 3 pass\n 0 fail\n", 137)).toEqual({ passed: 3, failed: 1 });
	});
});
