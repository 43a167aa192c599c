import { expect, test } from "bun:test";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { kernelAddress } from "../../firmware/vrrp/address-keeper.ts";
import { guardedText, guardScript } from "../../firmware/vrrp/guard.ts";
import { addressOf } from "./config.ts";

test("the guard waits from lease to lease, the shortest first", () => {
	const one = (address: string, leaseMicros: number) => {
		const config = addressOf(address);
		return { held: { key: "k", config, kernel: kernelAddress(config, 2) }, device: "eth0", leaseMicros };
	};
	const text = guardedText([
		one("192.0.2.201", 3_000_000),
		one("192.0.2.200", 300_000),
		one("192.0.2.202", 3_000_000),
	]);
	expect(text.split("\n").map((line) => line.replace(/\/\d+/, ""))).toEqual([
		"0.3 192.0.2.200 eth0",
		"2.7 192.0.2.201 eth0",
		"0 192.0.2.202 eth0",
		"",
	]);
});

test.each([[["dash"]], [["busybox", "sh"]]])(
	"%p takes the address off at the end of its lease, unless somebody is back before, and ends then",
	async (shell) => {
		const folder = mkdtempSync(join(tmpdir(), "drover-guard-"));
		const [fifo, list] = [join(folder, "held"), join(folder, "guarded")];
		Bun.spawnSync(["mkfifo", fifo]);
		writeFileSync(list, "1.4 192.0.2.9/32 lo\n");
		const hold = () => openSync(fifo, "r+");
		let held = hold();
		const box = 'ip address add 192.0.2.9/32 dev lo && echo there && exec "$@" 2>&1';
		const guard = Bun.spawn(
			["unshare", "--net", "sh", "-c", box, "sh", ...shell, "-c", guardScript, fifo, list],
			{ stdout: "pipe" },
		);
		const reader = guard.stdout.getReader();
		const line = async () => new TextDecoder().decode((await reader.read()).value);
		expect(await line()).toBe("there\n");
		await Bun.sleep(100);
		closeSync(held);
		await Bun.sleep(100);
		held = hold();
		await Bun.sleep(1_500);
		const goneAtMs = performance.now();
		closeSync(held);
		expect(await line()).toBe("no VRRP process is left: 192.0.2.9/32 is taken off lo\n");
		const tookMs = performance.now() - goneAtMs;
		// To the fraction of a second: busybox's timeout(1) would end sooner.
		expect(tookMs).toBeGreaterThan(1_400);
		expect(tookMs).toBeLessThan(3_000);
		expect(await guard.exited).toBe(0);
		rmSync(folder, { recursive: true, force: true });
	},
);
