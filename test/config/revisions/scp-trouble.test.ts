/** What the real scp says when it fails, in one line. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { scpTrouble } from "../../../firmware/config/revisions/scp-trouble.ts";

const START_LIMIT_MS = 10_000;
let directory: string;
let server: Subprocess;
let port: number;

function makeKey(name: string): string {
	const path = join(directory, name);
	expect(Bun.spawnSync(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path]).exitCode).toBe(0);
	return readFileSync(`${path}.pub`, "utf8").split(" ").slice(0, 2).join(" ");
}

function freePort(): Promise<number> {
	return new Promise((resolve) => {
		const listener = createServer().listen(0, "127.0.0.1", () => {
			const { port } = listener.address() as { port: number };
			listener.close(() => resolve(port));
		});
	});
}

beforeAll(async () => {
	directory = mkdtempSync(join(tmpdir(), "drover-scp-"));
	mkdirSync("/run/sshd", { recursive: true });
	port = await freePort();
	makeKey("host");
	const settings = [
		`Port ${port}`,
		"ListenAddress 127.0.0.1",
		`HostKey ${join(directory, "host")}`,
		"PidFile none",
	];
	writeFileSync(join(directory, "sshd_config"), settings.join("\n"));
	server = Bun.spawn(["/usr/sbin/sshd", "-D", "-e", "-f", join(directory, "sshd_config")], {
		stdio: ["ignore", "ignore", "pipe"],
	});
	const deadline = performance.now() + START_LIMIT_MS;
	while (scp("").includes("Connection refused")) {
		if (performance.now() > deadline) throw new Error("sshd does not listen");
		await Bun.sleep(50);
	}
});

afterAll(async () => {
	server.kill();
	await server.exited;
	rmSync(directory, { recursive: true, force: true });
});

/** What it says to a host that is to show `key`. */
function scp(key: string): string {
	const hosts = join(directory, "known_hosts");
	writeFileSync(hosts, key === "" ? "" : `[127.0.0.1]:${port} ${key}\n`);
	const options = [
		`UserKnownHostsFile=${hosts}`,
		"StrictHostKeyChecking=yes",
		"BatchMode=yes",
		"IdentityFile=none",
	];
	const { stderr } = Bun.spawnSync(
		["scp", ...options.flatMap((option) => ["-o", option]), "/dev/null", `scp://127.0.0.1:${port}/x`],
		{ stdin: "ignore", stdout: "ignore", stderr: "pipe" },
	);
	return stderr.toString();
}

test("a host with another key than before: what that may mean, and how the old one is forgotten", () => {
	expect(scpTrouble(scp(makeKey("other")))).toBe(
		`the host shows another key than before: somebody may be in between. If the host was set up anew, forget its old key in the shell: ssh-keygen -f "${join(directory, "known_hosts")}" -R "[127.0.0.1]:${port}"`,
	);
});

test("a host that is not known, and one that lets nobody in", () => {
	expect(scpTrouble(scp(""))).toBe("Host key verification failed.");
	const key = readFileSync(join(directory, "host.pub"), "utf8").split(" ").slice(0, 2).join(" ");
	expect(scpTrouble(scp(key))).toContain("Permission denied");
});
