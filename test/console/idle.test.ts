/** A console that was left alone asks for the password again, wherever it was left. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { writePassword } from "../../firmware/appliance/password-file.ts";
import { ConsolePty } from "./console-pty.ts";

const PASSWORD = "correct horse";
const IDLE_MINUTES = 1;
const TEST_LIMIT_MS = 120_000;
const SSH_PORT = 22_022;
let directory: string;
let sshd: Subprocess;

beforeAll(() => {
	directory = mkdtempSync(join(tmpdir(), "drover-idle-"));
	mkdirSync(join(directory, "config/current"), { recursive: true });
	writeFileSync(
		join(directory, "config/current/appliance.toml"),
		`hostname = "box"\n[console]\nidle_minutes = ${IDLE_MINUTES}\n`,
	);
	writePassword(PASSWORD, join(directory, "access/shadow"));
	// A small machine has no editor; the box's is busybox's.
	mkdirSync(join(directory, "bin"));
	symlinkSync("/bin/busybox", join(directory, "bin/vi"));
	mkdirSync("/run/sshd", { recursive: true });
	const hostKey = join(directory, "host-key");
	Bun.spawnSync(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", hostKey]);
	const options = ["ListenAddress=127.0.0.1", `Port=${SSH_PORT}`, `HostKey=${hostKey}`, "PidFile=none"];
	sshd = Bun.spawn(["/usr/sbin/sshd", "-D", "-f", "/dev/null", ...options.flatMap((each) => ["-o", each])]);
});
afterAll(async () => {
	sshd.kill();
	await sshd.exited;
	rmSync(directory, { recursive: true, force: true });
});

async function leftAlone(leave: (console: ConsolePty) => Promise<unknown>): Promise<void> {
	const console = new ConsolePty(directory, {
		ownsTerminal: true,
		environment: { PATH: `${directory}/bin:${process.env["PATH"]}` },
	});
	try {
		await console.shows("Password: ");
		await console.answer(PASSWORD, "> ");
		await leave(console);
		const leftAtMs = performance.now();
		await console.shows("Logged out: nothing was typed for too long.", TEST_LIMIT_MS);
		const aloneMs = performance.now() - leftAtMs;
		expect(aloneMs).toBeGreaterThan(IDLE_MINUTES * 60_000 - 1_000);
		expect(aloneMs).toBeLessThan(IDLE_MINUTES * 60_000 + 15_000);
		await console.shows("Password: ");
		// Who read the terminal before reads it no longer: what is typed comes here.
		await console.answer("not that one", "Wrong password.");
	} finally {
		await console.close();
	}
}

test.concurrent(
	"at the menu's prompt",
	() => leftAlone((console) => console.answer("3", "servers> ")),
	TEST_LIMIT_MS,
);
test.concurrent(
	"at a status screen that comes again by itself",
	() =>
		leftAlone(async (console) => {
			await console.answer("1", "0 back: ");
			await console.answer("20", "every 20 s; Enter stops, 0 back: ");
		}),
	TEST_LIMIT_MS,
);
test.concurrent(
	"in the editor",
	() =>
		leftAlone(async (console) => {
			await console.answer("config", "config> ");
			await console.answer("2", "[keepalived.conf]: ");
			await console.answer("", "[y/N] ");
			await console.answer("y", "keepalived.conf");
		}),
	TEST_LIMIT_MS,
);
test.concurrent(
	"at a question that another program asks",
	() =>
		leftAlone((console) =>
			console.answer(`config restore scp://root@127.0.0.1:${SSH_PORT}/backup.tar`, "(yes/no"),
		),
	TEST_LIMIT_MS,
);
test.concurrent(
	"whoever ends with ^C what somebody else left running is not let in by that",
	async () => {
		const console = new ConsolePty(directory);
		try {
			await console.shows("Password: ");
			await console.answer(PASSWORD, "> ");
			const run = "tools capture lo --filter vrrp --seconds 200";
			console.type(`${run}\r`);
			await Bun.sleep(5_000);
			await console.answer("\x03", "> ");
			console.type(`${run}\r`);
			await Bun.sleep(IDLE_MINUTES * 60_000 + 1_000);
			console.type("\x03");
			await console.shows("Logged out: nothing was typed for too long.");
			await console.shows("Password: ");
		} finally {
			await console.close();
		}
	},
	TEST_LIMIT_MS,
);
test.concurrent("in the shell", () => leftAlone((console) => console.answer("shell", "exit")), TEST_LIMIT_MS);
test.concurrent(
	"whoever comes back from a shell in which he typed is not sent away",
	async () => {
		const console = new ConsolePty(directory);
		try {
			await console.shows("Password: ");
			await console.answer(PASSWORD, "> ");
			await console.answer("shell", "exit");
			await console.answer("exit", "> ");
			expect(await console.answer("help", "> ")).toContain("A number opens an item");
		} finally {
			await console.close();
		}
	},
	TEST_LIMIT_MS,
);
