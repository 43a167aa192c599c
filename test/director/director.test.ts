/** The director without a kernel's table: what it answers then. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Director } from "../../firmware/director/director.ts";
import { NoSuchFamily } from "../../firmware/kernel/genetlink.ts";
import { loadText } from "../config/load-text.ts";
import { silentLog } from "../health/fixtures.ts";

test("without IPVS nothing is drained, since no connection can be counted, and it says so", async () => {
	const runBefore = process.env["DROVER_RUN_DIR"];
	const run = mkdtempSync(join(tmpdir(), "drover-director-"));
	process.env["DROVER_RUN_DIR"] = run;
	const { config } = loadText(`virtual_server 10.0.0.1 80 {
	protocol TCP
	real_server 10.1.0.1 80 {
	}
}`);
	const director = new Director(
		{
			log: silentLog(),
			openHealth: () => Promise.reject(new Error("no checks here")),
			publish() {},
			openIpvs() {
				throw new NoSuchFamily("IPVS");
			},
			loadModule: () => Promise.resolve(),
		},
		config,
		"/keepalived.conf",
	);
	try {
		await director.start();
		const ask = (action: "drain" | "maintenance") =>
			director.override({ action, realServer: "10.1.0.1:80", virtualServer: null });
		await expect(ask("drain")).rejects.toThrow("nothing is drained: the kernel has no IPVS");
		expect(await ask("maintenance")).toBe(1);
	} finally {
		await director.stop(true);
		if (runBefore === undefined) delete process.env["DROVER_RUN_DIR"];
		else process.env["DROVER_RUN_DIR"] = runBefore;
		rmSync(run, { recursive: true });
	}
});
