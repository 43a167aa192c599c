/** What sshd(8) is told: judged by sshd itself, and by what must never be in it. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readPasswordHash, writePassword, writeUsers } from "../../firmware/appliance/password-file.ts";
import { parseSettings } from "../../firmware/appliance/settings.ts";
import {
	authorizedKeys,
	passwdLines,
	shadowLines,
	sshdConfig,
} from "../../firmware/appliance/sshd-config.ts";

const directory = mkdtempSync(join(tmpdir(), "drover-sshd-"));
afterAll(() => rmSync(directory, { recursive: true }));
for (const type of ["ed25519", "ecdsa"])
	Bun.spawnSync(["ssh-keygen", "-q", "-t", type, "-N", "", "-f", join(directory, `ssh_host_${type}_key`)]);
const key = readFileSync(join(directory, "ssh_host_ed25519_key.pub"), "utf8").trim();
const settings = (more: string) =>
	parseSettings(`[ssh]\nenabled = true\n${more}\n[[user]]\nname = "anna"\nkeys = [${JSON.stringify(key)}]\n`);

/** The settings as sshd understands them: `sshd -T`. */
function understood(text: string): Map<string, string> {
	const path = join(directory, "sshd_config");
	writeFileSync(path, text);
	mkdirSync("/run/sshd", { recursive: true });
	const child = Bun.spawnSync(["/usr/sbin/sshd", "-T", "-f", path, "-C", "user=anna,host=a,addr=10.1.2.3"], {
		stderr: "pipe",
	});
	expect(child.stderr.toString()).toBe("");
	const lines = child.stdout.toString().trim().split("\n");
	return new Map(lines.map((line) => [line.split(" ")[0]!, line.split(" ").slice(1).join(" ")] as const));
}

describe("sshd_config(5)", () => {
	test("keys only, the console and nothing else, by default", () => {
		const said = understood(sshdConfig(settings(""), directory));
		expect(Object.fromEntries(said)).toMatchObject({
			port: "22",
			passwordauthentication: "no",
			permitrootlogin: "without-password",
			forcecommand: "/usr/lib/drover/terminal",
			disableforwarding: "yes",
			usepam: "no",
		});
	});
	test("passwords, another port and sources when they are asked for", () => {
		const text = sshdConfig(
			settings('passwords = true\nport = 2222\nsources = ["10.0.0.0/8", "fd00::/8"]'),
			directory,
		);
		const said = understood(text);
		expect(said.get("passwordauthentication")).toBe("yes");
		expect(said.get("port")).toBe("2222");
		expect(text).toContain("AllowUsers root@10.0.0.0/8 root@fd00::/8 anna@10.0.0.0/8 anna@fd00::/8");
	});
	test("a user is another name of root, with keys of its own and no password", () => {
		expect(passwdLines(settings(""))).toBe("anna:x:0:0:anna:/root:/bin/bash\n");
		expect(shadowLines(settings(""))).toBe("anna:*:::::::\n");
		expect(authorizedKeys(settings("")).get("anna")).toBe(`${key}\n`);
	});
});

test("the console's password and the users' lines do not overwrite each other", () => {
	const path = join(directory, "shadow");
	writePassword("a good password", path);
	const hash = readPasswordHash(path);
	writeUsers(shadowLines(settings("")), path);
	expect(readPasswordHash(path)).toBe(hash);
	writePassword("another password", path);
	expect(readFileSync(path, "utf8")).toMatch(/^root:\$7\$[^\n]+\nanna:\*:::::::\n$/);
});
