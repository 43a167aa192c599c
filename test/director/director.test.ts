/** The director without a kernel's table: what it answers then, and what it would put there. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Director, type DirectorEdges } from "../../firmware/director/director.ts";
import { createHealth } from "../../firmware/health/health.ts";
import { NoSuchFamily } from "../../firmware/kernel/genetlink.ts";
import type { DirectorEvent } from "../../firmware/status/director.ts";
import { loadText } from "../config/load-text.ts";
import { silentLog } from "../health/fixtures.ts";

let folder: string;
let runBefore: string | undefined;
let director: Director;
beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "drover-director-"));
	runBefore = process.env["DROVER_RUN_DIR"];
	process.env["DROVER_RUN_DIR"] = folder;
});
afterEach(async () => {
	await director.stop(true);
	if (runBefore === undefined) delete process.env["DROVER_RUN_DIR"];
	else process.env["DROVER_RUN_DIR"] = runBefore;
	rmSync(folder, { recursive: true });
});

async function start(text: string, edges: Partial<DirectorEdges>): Promise<void> {
	director = new Director(
		{
			log: silentLog(),
			openHealth: () => Promise.reject(new Error("no checks here")),
			publish() {},
			openIpvs() {
				throw new NoSuchFamily("IPVS");
			},
			loadModule: () => Promise.resolve(),
			...edges,
		},
		loadText(text).config,
		"/keepalived.conf",
	);
	await director.start();
}

test("without IPVS nothing is drained, since no connection can be counted, and it says so", async () => {
	await start(
		`virtual_server 10.0.0.1 80 {
	protocol TCP
	real_server 10.1.0.1 80 {
	}
}`,
		{},
	);
	const ask = (action: "drain" | "maintenance") =>
		director.override({ action, realServer: "10.1.0.1:80", virtualServer: null });
	await expect(ask("drain")).rejects.toThrow("nothing is drained: the kernel has no IPVS");
	expect(await ask("maintenance")).toBe(1);
});

test("FILE_CHECK: a server that its file marks as bad is not tried on clients, neither at the start nor after a reload", async () => {
	const file = (name: string, text: string) => {
		writeFileSync(join(folder, name), text);
		return `track_file ${name} {\n\tfile ${join(folder, name)}\n\tweight 0\n}\n`;
	};
	const files = file("bad", "1\n") + file("good", "0\n");
	const text = (...names: readonly string[]) => `${files}virtual_server 10.0.0.1 80 {
	protocol TCP
${names
	.map(
		(name, index) => `	real_server 10.1.0.${index + 1} 80 {
		FILE_CHECK {
			track_file ${name}
		}
	}`,
	)
	.join("\n")}
}`;
	const told: string[] = [];
	const say = (event: DirectorEvent) => {
		if (event.kind === "real-server") told.push(`${event.realServer} ${event.up ? "up" : "down"}`);
	};
	const states = async () =>
		(await director.status()).virtualServers[0]!.realServers.map(({ alive }) => alive);
	await start(text("bad", "good"), {
		openHealth: async () => createHealth({ log: silentLog() }),
		publish: say,
	});
	// As the first table has them.
	expect(await states()).toEqual([false, true]);
	await director.startChecks();
	expect(await states()).toEqual([false, true]);
	await director.reload(loadText(text("bad", "good", "bad")).config);
	expect(await states()).toEqual([false, true, false]);
	await Bun.sleep(50);
	expect(told).toEqual(["[10.1.0.1]:tcp:80 down", "[10.1.0.3]:tcp:80 down"]);
});

test("ha_suspend taken out by a reload: what rested is checked again, though its address is elsewhere", async () => {
	const web = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
	const { port } = web;
	const text = (suspend: string) => `virtual_server 10.0.0.1 80 {
	protocol TCP
	delay_loop 1
	${suspend}
	real_server 127.0.0.1 ${port} {
		TCP_CHECK {
			connect_timeout 1
			retry 0
		}
	}
}`;
	await start(text("ha_suspend"), { openHealth: async () => createHealth({ log: silentLog() }) });
	director.localAddressesChanged(new Set());
	await director.startChecks();
	const alive = async () => (await director.status()).virtualServers[0]!.realServers[0]!.alive;
	await director.reload(loadText(text("")).config);
	web.stop(true);
	const limit = performance.now() + 10_000;
	while (await alive()) {
		expect(performance.now()).toBeLessThan(limit);
		await Bun.sleep(50);
	}
	// And back: its last state stands while it rests.
	await director.reload(loadText(text("ha_suspend")).config);
	director.localAddressesChanged(new Set());
	const again = Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } });
	await Bun.sleep(2_500);
	expect(await alive()).toBe(false);
	director.localAddressesChanged(new Set(["10.0.0.1"]));
	const limitAgain = performance.now() + 10_000;
	while (!(await alive())) {
		expect(performance.now()).toBeLessThan(limitAgain);
		await Bun.sleep(50);
	}
	again.stop(true);
}, 40_000);
