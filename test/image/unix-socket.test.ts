import { afterAll, expect, test } from "bun:test";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectWhenThere } from "../../image/lab/unix-socket.ts";

const directory = mkdtempSync(join(tmpdir(), "drover-socket-"));
afterAll(() => rmSync(directory, { recursive: true }));

/** A socket that is bound, and at which nobody listens: what bind(2) leaves before listen(2). */
const bound = (path: string) =>
	Bun.spawnSync(["python3", "-c", `import socket; socket.socket(socket.AF_UNIX).bind("${path}")`]);

test("a program that has bound its socket and does not listen yet is waited for", async () => {
	const path = join(directory, "late");
	bound(path);
	const connected = connectWhenThere(path, 10_000);
	await Bun.sleep(50);
	rmSync(path);
	await Bun.sleep(50);
	const server = createServer((client) => client.end("there"));
	server.listen(path);
	const [said] = await once(await connected, "data");
	expect(String(said)).toBe("there");
	server.close();
});

test("one that has ended is not, and neither is one that never comes", async () => {
	const path = join(directory, "never");
	await expect(connectWhenThere(path, 10_000, () => true)).rejects.toThrow("nobody listens at");
	await expect(connectWhenThere(path, 0)).rejects.toThrow("nobody listens at");
});
