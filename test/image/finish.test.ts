/** runit's finish script: restart at once, wait and raise an alarm when a service keeps ending. */
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = mkdtempSync(join(tmpdir(), "drover-finish-"));
afterAll(() => rmSync(root, { recursive: true }));
const script = join(root, "finish");
writeFileSync(
	script,
	readFileSync(join(import.meta.dir, "../../rootfs/usr/lib/drover/finish"), "utf8")
		.replaceAll("/run/drover", root)
		.replace("BACK_OFF_SECONDS=10", "BACK_OFF_SECONDS=1"),
);
const alarm = join(root, "alarms/director");

function finish(status: number, signal: number): number {
	const started = performance.now();
	const { stderr } = Bun.spawnSync(["dash", script, String(status), String(signal)], {
		cwd: join(root, "director"),
		stderr: "pipe",
	});
	expect(stderr.toString()).toBe("");
	return performance.now() - started;
}

describe("a service that ends", () => {
	beforeEach(() => {
		for (const name of ["alarms", "crashes", "director"]) {
			rmSync(join(root, name), { recursive: true, force: true });
			mkdirSync(join(root, name));
		}
	});
	test("four crashes cost nothing, the fifth within a minute waits and raises the alarm", () => {
		for (let count = 0; count < 4; count++) finish(1, 0);
		expect(existsSync(alarm)).toBe(false);
		expect(finish(-1, 11)).toBeGreaterThanOrEqual(1000);
		expect(readFileSync(alarm, "utf8")).toBe("ended 5 times within 60 s, last with status -1, signal 11\n");
	});
	test("crashes that lie further apart are counted anew", () => {
		writeFileSync(join(root, "crashes/director"), "-1000 40\n");
		finish(1, 0);
		expect(readFileSync(join(root, "crashes/director"), "utf8")).toEndWith(" 1\n");
	});
	test("a wanted end is no crash", () => {
		for (let count = 0; count < 10; count++) {
			finish(0, 0);
			finish(-1, 15);
		}
		expect(existsSync(join(root, "crashes/director"))).toBe(false);
	});
});
