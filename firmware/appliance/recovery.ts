/** Whether a new password may be set at the machine: the settings, and the loader's memory where these are lost. */
import { existsSync, readFileSync } from "node:fs";
import { configDirectory } from "../config/revisions/workspace.ts";
import { isDiskKnown, loaderEnvironment } from "../update/disk.ts";
import {
	isLockedForGood,
	nextRecoveryMark,
	type RecoveryFacts,
	recoveryIsAllowed,
	recoveryIsMarkedForbidden,
	withRecoveryMark,
} from "../update/recovery-mark.ts";
import { readPasswordHash } from "./password-file.ts";
import { parseSettings } from "./settings.ts";

export const recoveryAllowed = (): boolean => recoveryIsAllowed(readRecoveryFacts(), recoveryIsMarked());

/** Whether the password is lost and nobody may set one: not by the first start's questions, and not by a stick. */
export const lockedForGood = (): boolean => isLockedForGood(readRecoveryFacts(), recoveryIsMarked());

/** The loader's word alone. False where it cannot be read, too: a box must not lock its owner out. */
export function recoveryIsMarked(): boolean {
	try {
		return isDiskKnown() && recoveryIsMarkedForbidden(loaderEnvironment().read());
	} catch {
		return false;
	}
}

/** The loader's memory follows the settings; written only when it changes. Says on standard error why it cannot be. */
export function keepRecoveryMark(): void {
	if (!isDiskKnown()) return;
	try {
		setMark((marked) => nextRecoveryMark(readRecoveryFacts(), marked));
	} catch (error) {
		console.error(
			`drover: [console] password_recovery holds, but not if the data is lost: ${error instanceof Error ? error.message : error}`,
		);
	}
}

/** The data is erased: the box is as it left the factory, and whoever sets it up decides. Throws when that cannot be kept. */
export function forgetRecoveryMark(): void {
	if (isDiskKnown()) setMark(() => false);
}

function setMark(next: (marked: boolean) => boolean): void {
	loaderEnvironment().change((environment) => {
		const marked = recoveryIsMarkedForbidden(environment);
		const wanted = next(marked);
		return wanted === marked ? null : withRecoveryMark(environment, wanted);
	});
}

function readRecoveryFacts(): RecoveryFacts {
	return { allowed: readAllowed(), hasPassword: readPasswordHash() !== null };
}

function readAllowed(): boolean | null {
	const path = `${configDirectory()}/current/appliance.toml`;
	if (!existsSync(path)) return null;
	try {
		return parseSettings(readFileSync(path, "utf8")).console.password_recovery;
	} catch {
		return null;
	}
}
