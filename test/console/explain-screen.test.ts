/** `drover rs why` and `drover ha why` on the screen. */
import { expect, test } from "bun:test";
import { whyInstance, whyRealServer } from "../../firmware/console/explain-screen.ts";
import { instanceStatus, realServerStatus } from "./samples.ts";

const NOW_MS = Date.UTC(2026, 10, 30, 12);

test("a check that fails while its retries last is said to be tried again, not to be well", () => {
	const check = { kind: "TCP_CHECK", up: true, detail: "connection refused", atMs: NOW_MS - 2_000 };
	const lines = (failures: number) =>
		whyRealServer(
			{
				virtualServer: "[192.168.80.200]:tcp:80",
				realServer: realServerStatus({ checks: [{ ...check, failures }] }),
				timeline: [],
			},
			NOW_MS,
		);
	expect(lines(0)).toContain("  up TCP_CHECK: connection refused, 2 s ago");
	expect(lines(2)).toContain(
		"  up TCP_CHECK: connection refused, 2 s ago; bad 2 times in a row, tried again",
	);
});

test("an instance that was told to give up says how that ends", () => {
	const lines = whyInstance(instanceStatus({ state: "BACKUP", resigned: true }), [], NOW_MS);
	expect(lines).toContain('  It was told to give up: "drover ha take-over" undoes that.');
});
