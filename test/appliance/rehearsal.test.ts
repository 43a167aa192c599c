/** What a starting box loads ahead of its first services (image/initramfs/init). */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { loadConfig } from "../../firmware/config/keepalived/load.ts";

const project = join(import.meta.dir, "../..");
const file = join(project, "rootfs/usr/share/drover/rehearsal.conf");

test("the configuration of the rehearsal is one that both services would run", () => {
	const { config, diagnostics } = loadConfig(file, { interfaces: new Set(["eth0"]) });
	expect(diagnostics).toEqual([]);
	expect(config.vrrpInstances).toHaveLength(1);
	expect(config.virtualServers).toHaveLength(1);
});

test("a rehearsal loads, reads, and ends by itself without a word", async () => {
	const program = [process.execPath, join(project, "firmware/services-program.ts")];
	const child = Bun.spawn([...program, "rehearse", file], {
		stdin: "ignore",
		stdout: "pipe",
		stderr: "pipe",
	});
	const [output, errors] = await Promise.all([
		new Response(child.stdout).text(),
		new Response(child.stderr).text(),
	]);
	expect({ status: await child.exited, output, errors }).toEqual({ status: 0, output: "", errors: "" });
});
