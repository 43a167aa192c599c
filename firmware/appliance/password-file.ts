/**
 * Where the console's password is kept: /data/access/shadow, in the form of shadow(5), so that sshd
 * finds it through /etc/shadow. No file, or no hash in it: no password has been set yet.
 */
import {
	closeSync,
	existsSync,
	fsyncSync,
	mkdirSync,
	openSync,
	readFileSync,
	renameSync,
	writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { hashPassword } from "./password.ts";

/** DROVER_SHADOW_FILE names another place, for tests. */
export function shadowPath(): string {
	return process.env["DROVER_SHADOW_FILE"] ?? "/data/access/shadow";
}

const FILE_LIMIT_BYTES = 64 * 1024;
const DAY_MS = 86_400_000;

/** Root's hash; null when none has been set ("", "!" and "*" are none). */
export function readPasswordHash(path = shadowPath()): string | null {
	if (!existsSync(path)) return null;
	const text = readFileSync(path, "utf8").slice(0, FILE_LIMIT_BYTES);
	const hash = /^root:([^:\n]*)/m.exec(text)?.[1] ?? "";
	return hash.startsWith("$") ? hash : null;
}

/** Keeps a password. It is on the disk when this returns; power loss leaves the old file or the new one. */
export function writePassword(password: string, path = shadowPath()): void {
	writePasswordHash(hashPassword(password), path);
}

/** As `writePassword`, of a password that only its hash is known of. */
export function writePasswordHash(hash: string, path = shadowPath()): void {
	writeShadow(`root:${hash}:${Math.floor(Date.now() / DAY_MS)}::::::\n${linesOf("others", path)}`, path);
}

/** The lines of everyone but root, as appliance.toml has them. */
export function writeUsers(lines: string, path = shadowPath()): void {
	if (lines === linesOf("others", path)) return;
	writeShadow(`${linesOf("root", path)}${lines}`, path);
}

function linesOf(whose: "root" | "others", path: string): string {
	if (!existsSync(path)) return "";
	return readFileSync(path, "utf8")
		.slice(0, FILE_LIMIT_BYTES)
		.split(/(?<=\n)/)
		.filter((line) => line.startsWith("root:") === (whose === "root"))
		.join("");
}

/** Back to "no password has been set". */
export function forgetPassword(path = shadowPath()): void {
	if (existsSync(path)) writeShadow("root:*:::::::\n", path);
}

function writeShadow(text: string, path: string): void {
	const directory = dirname(path);
	mkdirSync(directory, { recursive: true, mode: 0o700 });
	const file = openSync(`${path}.new`, "w", 0o600);
	try {
		writeSync(file, text);
		fsyncSync(file);
	} finally {
		closeSync(file);
	}
	renameSync(`${path}.new`, path);
	const folder = openSync(directory, "r");
	try {
		fsyncSync(folder);
	} finally {
		closeSync(folder);
	}
}
