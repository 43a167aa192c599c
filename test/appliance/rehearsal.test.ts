/** What a starting box loads ahead of its first services (image/initramfs/init). */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
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

test.each([
	["loads both services", []],
	["loads nothing when the box is set up already", ["set-up"]],
])("a rehearsal %s, and ends by itself without a word", async (_, marks) => {
	const directory = mkdtempSync(join(tmpdir(), "drover-rehearsal-"));
	const loaded = join(directory, "loaded");
	const look = join(directory, "look.ts");
	writeFileSync(
		look,
		`process.on("exit", () => require("node:fs").writeFileSync("${loaded}", Object.keys(require.cache).join("\\n")));`,
	);
	for (const mark of marks) writeFileSync(join(directory, mark), "");
	const program = [process.execPath, "--preload", look, join(project, "firmware/services-program.ts")];
	const child = Bun.spawn([...program, "rehearse", file], {
		env: { ...process.env, DROVER_RUN_DIR: directory },
		stdin: "ignore",
		stdout: "pipe",
		stderr: "pipe",
	});
	const [output, errors] = await Promise.all([
		new Response(child.stdout).text(),
		new Response(child.stderr).text(),
	]);
	expect({ status: await child.exited, output, errors }).toEqual({ status: 0, output: "", errors: "" });
	const services = (await Bun.file(loaded).text()).match(/\/(vrrp\/main|director\/service)\.ts$/gm) ?? [];
	expect(services).toHaveLength(marks.length === 0 ? 2 : 0);
	rmSync(directory, { recursive: true });
});
