/** The console's door over the network, where the waits are minutes. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writePassword } from "../../firmware/appliance/password-file.ts";
import { Door } from "../../firmware/console/door.ts";
import { openLog } from "../../firmware/status/log.ts";

const directory = mkdtempSync(join(tmpdir(), "drover-door-"));
const environment = {
	DROVER_RUN_DIR: directory,
	DROVER_SHADOW_FILE: join(directory, "shadow"),
	DROVER_LOG_LEVEL: "silent",
};
const before = Object.keys(environment).map((name) => [name, process.env[name]] as const);
beforeAll(() => {
	Object.assign(process.env, environment);
	writePassword("ox and cart");
});
afterAll(() => {
	for (const [name, value] of before)
		if (value === undefined) delete process.env[name];
		else process.env[name] = value;
	rmSync(directory, { recursive: true });
});

test("after three wrong ones the next is refused at once, with the wait that is left", async () => {
	const door = new Door("network");
	const log = openLog("door");
	expect(await door.check("one", log)).toBe("Wrong password. The next try is possible in 1 s.");
	expect(await door.check("ox and cart", log)).toBe("After wrong passwords the next try is possible in 1 s.");
	for (let count = 2; count <= 3; count++) {
		await Bun.sleep(door.shutForMs() + 10);
		await door.check("wrong", log);
	}
	const started = performance.now();
	expect(await door.check("ox and cart", log)).toBe(
		"After wrong passwords the next try is possible in 60 s.",
	);
	expect(performance.now() - started).toBeLessThan(5_000);
});
