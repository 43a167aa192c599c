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
				onSorryServer: false,
				ipvsError: null,
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

test.each([
	[
		{ onSorryServer: false, ipvsError: "the kernel has no IPVS: the module ip_vs is missing" },
		{ weight: 0, inTable: false },
		"is out, though its checks are well: the kernel has no IPVS: the module ip_vs is missing.",
	],
	[
		{ onSorryServer: true, ipvsError: null },
		{ weight: 0, inTable: false },
		"is out, though its checks are well: the sorry server serves while there is no quorum.",
	],
	[
		{ onSorryServer: false, ipvsError: null },
		{ weight: 0, inTable: false },
		"is out, though its checks are well: the kernel's table does not have it.",
	],
	[
		{ onSorryServer: false, ipvsError: null },
		{ weight: 0, inTable: true },
		"is out, though its checks are well: its weight in the kernel's table is 0.",
	],
	[
		{ onSorryServer: false, ipvsError: null },
		{ weight: 0, effectiveWeight: 0, inTable: true },
		"is in, with weight 0: it gets no new connections",
	],
	[
		{ onSorryServer: false, ipvsError: "the kernel has no IPVS" },
		{ weight: 0, inTable: false, override: "draining" as const },
		"is drained: the operator's word.",
	],
])("a real server without weight, %o %o: %s", (of, real, said) => {
	const lines = whyRealServer(
		{
			virtualServer: "[192.168.80.200]:tcp:80",
			...of,
			realServer: realServerStatus(real),
			timeline: [],
		},
		NOW_MS,
	);
	const text = lines.map((line) => line.trim()).join(" ");
	expect(text).toContain(said);
	expect(text.includes("drain")).toBe(said.includes("drain"));
});
