/** A console that was left alone asks for the password again, wherever it was left: at its prompt, in its shell. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writePassword } from "../../firmware/appliance/password-file.ts";
import { ConsolePty } from "./console-pty.ts";

const PASSWORD = "correct horse";
const IDLE_MINUTES = 1;
const TEST_LIMIT_MS = 120_000;
let directory: string;

beforeAll(() => {
	directory = mkdtempSync(join(tmpdir(), "drover-idle-"));
	mkdirSync(join(directory, "config/current"), { recursive: true });
	writeFileSync(
		join(directory, "config/current/appliance.toml"),
		`hostname = "box"\n[console]\nidle_minutes = ${IDLE_MINUTES}\n`,
	);
	writePassword(PASSWORD, join(directory, "access/shadow"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function leftAlone(leave: (console: ConsolePty) => Promise<unknown>): Promise<void> {
	const console = new ConsolePty(directory);
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
	} finally {
		await console.close();
	}
}

test.concurrent(
	"at the menu's prompt",
	() => leftAlone((console) => console.answer("3", "servers> ")),
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
