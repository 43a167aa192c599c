/** Passwords: crypt(5)'s scrypt form, with the C library as oracle; waits after wrong ones. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import {
	FORGOTTEN_AFTER_MS,
	failed,
	noFailures,
	shutForMs,
	waitAfterMs,
} from "../../firmware/appliance/lockout.ts";
import { hashPassword, passwordProblem, verifyPassword } from "../../firmware/appliance/password.ts";
import { forgetPassword, readPasswordHash, writePassword } from "../../firmware/appliance/password-file.ts";

/** crypt(3) of the C library, which sshd asks. */
function crypt(password: string, setting: string): string {
	const { stdout } = Bun.spawnSync(["perl", "-e", "print crypt($ARGV[0], $ARGV[1])", password, setting]);
	return stdout.toString();
}

describe("crypt(5), $7$", () => {
	test("the C library makes the same of it", () => {
		for (const password of ["correct horse", "p:$#'\"\\ ~!", "x".repeat(128)]) {
			const hash = hashPassword(password);
			expect(crypt(password, hash)).toBe(hash);
			expect(verifyPassword(password, hash)).toBe(true);
			expect(verifyPassword(`${password} `, hash)).toBe(false);
		}
	});

	test("a hash that the C library made is understood", () => {
		const setting = "$7$C6..../....SodiumChloride";
		const hash = crypt("pleaseletmein", setting);
		expect(hash.startsWith(`${setting}$`)).toBe(true);
		expect(verifyPassword("pleaseletmein", hash)).toBe(true);
		expect(verifyPassword("pleaseletmeIn", hash)).toBe(false);
	});

	test("two hashes of one password differ", () => {
		expect(hashPassword("the same")).not.toBe(hashPassword("the same"));
	});

	test("another form, a huge cost, any text: nobody gets in, and nothing is spent", () => {
		const huge = `$7$z${"z".repeat(5)}${"z".repeat(5)}salt$${".".repeat(43)}`;
		for (const hash of ["", "!", "*", "$6$salt$abc", huge]) expect(verifyPassword("", hash)).toBe(false);
		fc.assert(fc.property(fc.string({ maxLength: 200 }), (hash) => !verifyPassword(hash, hash)));
	});
});

describe("what can be a password", () => {
	test.each([
		["short", "A password has at least 8 characters."],
		["x".repeat(129), "A password has at most 128 characters."],
		[
			"gr\u00fc\u00dfe aus b",
			"A password has letters, digits and signs of ASCII: every terminal can type those.",
		],
		["aaaaaaaaaa", "One character over and over is no password."],
	])("%s", (password, problem) => {
		expect(passwordProblem(password)).toBe(problem);
	});
	test("words with blanks", () => {
		expect(passwordProblem("correct horse battery")).toBeNull();
	});
});

describe("the file", () => {
	test("none, set, changed, forgotten; for root alone", () => {
		const directory = mkdtempSync(join(tmpdir(), "drover-password-"));
		try {
			const path = join(directory, "access/shadow");
			expect(readPasswordHash(path)).toBeNull();
			writePassword("first one", path);
			expect(statSync(path).mode & 0o777).toBe(0o600);
			writePassword("second one", path);
			const hash = readPasswordHash(path)!;
			expect(verifyPassword("first one", hash)).toBe(false);
			expect(verifyPassword("second one", hash)).toBe(true);
			forgetPassword(path);
			expect(readPasswordHash(path)).toBeNull();
		} finally {
			rmSync(directory, { recursive: true });
		}
	});
});

describe("waits after wrong passwords", () => {
	test("at the console: 1, 2, 4 … 30 s, never longer", () => {
		expect([0, 1, 2, 3, 4, 5, 6, 7, 1_000_000].map((count) => waitAfterMs(count, "console") / 1000)).toEqual([
			0, 1, 2, 4, 8, 16, 30, 30, 30,
		]);
	});

	test("over the network: minutes, a quarter of an hour at most", () => {
		expect([1, 2, 3, 4, 5, 6, 7, 1_000].map((count) => waitAfterMs(count, "network") / 1000)).toEqual([
			1, 1, 60, 120, 240, 480, 900, 900,
		]);
	});

	test("the door opens when the wait is over, whatever the clock does", () => {
		let failures = noFailures;
		for (let count = 0; count < 5; count++) failures = failed(failures, 1_000_000);
		expect(shutForMs(failures, "console", 1_000_000)).toBe(16_000);
		expect(shutForMs(failures, "console", 1_016_000)).toBe(0);
		// The clock was set back by a day.
		expect(shutForMs(failures, "console", 1_000_000 - 86_400_000)).toBe(16_000);
	});

	test("an hour without a failure forgets them", () => {
		const five = { count: 5, lastAtMs: 0 };
		expect(failed(five, FORGOTTEN_AFTER_MS).count).toBe(6);
		expect(failed(five, FORGOTTEN_AFTER_MS + 1).count).toBe(1);
	});
});
