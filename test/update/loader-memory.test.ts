/** The loader's environment block where several programs change it: slots, the serial line's speed, the recovery mark. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EnvironmentBlock } from "../../firmware/update/disk.ts";
import { ENVIRONMENT_BYTES, formatEnvironment, SECTOR_BYTES } from "../../firmware/update/environment.ts";

const folder = mkdtempSync(join(tmpdir(), "drover-loader-memory-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** A partition whose block lies behind a few sectors of a file system. */
function partition(name: string): string {
	const path = join(folder, name);
	const bytes = Buffer.alloc(SECTOR_BYTES * 5 + ENVIRONMENT_BYTES);
	bytes.set(formatEnvironment(new Map([["preferred", "A"]])), SECTOR_BYTES * 5);
	writeFileSync(path, bytes);
	return path;
}

test("of changes by several programs at once none is undone by another", async () => {
	const path = partition("several");
	const [programs, changes] = [4, 50];
	const counting = `
		import { EnvironmentBlock } from ${JSON.stringify(join(import.meta.dir, "../../firmware/update/disk.ts"))};
		const block = new EnvironmentBlock(${JSON.stringify(path)});
		for (let index = 0; index < ${changes}; index++)
			block.change((before) => new Map([...before, ["count", String(Number(before.get("count") ?? 0) + 1)]]));
	`;
	const running = Array.from({ length: programs }, () =>
		Bun.spawn([process.execPath, "-e", counting], { stderr: "pipe" }),
	);
	for (const each of running)
		expect([await new Response(each.stderr).text(), await each.exited]).toEqual(["", 0]);
	const after = new EnvironmentBlock(path).read();
	expect([after.get("count"), after.get("preferred")]).toEqual([String(programs * changes), "A"]);
});

test("a change that finds nothing to do writes nothing, and the lock is free again behind one that fails", () => {
	const block = new EnvironmentBlock(partition("fails"));
	block.change(() => null);
	expect(() =>
		block.change(() => {
			throw new Error("on the way");
		}),
	).toThrow("on the way");
	block.change((before) => new Map([...before, ["preferred", "B"]]));
	expect(block.read().get("preferred")).toBe("B");
});
