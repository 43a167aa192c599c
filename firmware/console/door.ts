/** The console's door: checks passwords, counts failures, keeps the waits between two tries. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { type Door as DoorKind, type Failures, failed, noFailures, shutForMs } from "../appliance/lockout.ts";
import { verifyPassword } from "../appliance/password.ts";
import { readPasswordHash, writePassword } from "../appliance/password-file.ts";
import { keepRecoveryMark } from "../appliance/recovery.ts";
import { runDirectory } from "../bus/socket-path.ts";
import type { Log } from "../status/log.ts";

/** All terminals together: hanging up does not make the next try free. */
const failuresPath = () => `${runDirectory()}/login-failures`;

export class Door {
	readonly #kind: DoorKind;

	constructor(kind: DoorKind) {
		this.#kind = kind;
	}

	get hasPassword(): boolean {
		return readPasswordHash() !== null;
	}

	/** How long nobody is listened to. */
	shutForMs(): number {
		return shutForMs(readFailures(), this.#kind, Date.now());
	}

	/** Null when it is the right one; else what to say, with the wait that follows. */
	async check(password: string, log: Log): Promise<string | null> {
		const shutMs = this.shutForMs();
		// Over the network it may be minutes: nobody is left before a line that says nothing.
		if (this.#kind === "network" && shutMs > 0)
			return `After wrong passwords the next try is possible in ${Math.ceil(shutMs / 1_000)} s.`;
		// Whoever hung up during the wait waits on.
		await Bun.sleep(shutMs);
		const hash = readPasswordHash();
		if (hash !== null && verifyPassword(password, hash)) {
			writeFailures(noFailures);
			return null;
		}
		const failures = failed(readFailures(), Date.now());
		writeFailures(failures);
		const terminal = process.env["DROVER_TERMINAL"] ?? "unknown";
		log.warn({ terminal, failures: failures.count }, "wrong password");
		const seconds = Math.ceil(this.shutForMs() / 1_000);
		return `Wrong password. The next try is possible in ${seconds} s.`;
	}

	/** Null when it is kept. */
	setPassword(password: string, log: Log): string | null {
		try {
			writePassword(password);
			keepRecoveryMark();
		} catch (error) {
			return `The password could not be kept: ${error instanceof Error ? error.message : error}`;
		}
		log.warn({ terminal: process.env["DROVER_TERMINAL"] ?? "unknown" }, "a new password was set");
		return null;
	}
}

function readFailures(): Failures {
	try {
		const { count, lastAtMs } = JSON.parse(readFileSync(failuresPath(), "utf8"));
		return Number.isInteger(count) && Number.isFinite(lastAtMs) ? { count, lastAtMs } : noFailures;
	} catch {
		return noFailures;
	}
}

function writeFailures(failures: Failures): void {
	const path = failuresPath();
	if (!existsSync(dirname(path))) mkdirSync(dirname(path), { recursive: true });
	writeFileSync(path, JSON.stringify(failures), { mode: 0o600 });
}
