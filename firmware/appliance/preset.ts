/**
 * `drover.toml`: what a box is to be, on a USB stick or on the disk's own boot partition, read
 * at the first start. It is an appliance.toml, with one more line allowed, which is no setting:
 *
 *     console_password_hash = "$7$…"      (crypt(5) with scrypt: mkpasswd -m scrypt)
 *
 * Beside it may lie a keepalived.conf and VCL files, which become the first revision with it. Pure.
 */
import { parseSettings, SETTINGS_LIMIT_BYTES } from "./settings.ts";

export const PRESET_NAME = "drover.toml";

export interface Preset {
	/** appliance.toml of the first revision. */
	readonly settings: string;
	/** Null: the console asks for a password. */
	readonly passwordHash: string | null;
}

const hashLine = /^console_password_hash[ \t]*=[ \t]*"([^"\n]*)"[ \t\r]*$/m;

/** Throws an Error in the operator's words: where, what, what to do. */
export function parsePreset(text: string): Preset {
	if (text.length > SETTINGS_LIMIT_BYTES)
		throw new Error(`${PRESET_NAME} is longer than ${SETTINGS_LIMIT_BYTES} bytes`);
	const passwordHash = hashLine.exec(text)?.[1] ?? null;
	if (passwordHash !== null && !/^\$7\$[./0-9A-Za-z]{11,100}\$[./0-9A-Za-z]{43}$/.test(passwordHash))
		throw new Error(`${PRESET_NAME}: console_password_hash is no scrypt hash of crypt(5), "$7$…"`);
	// The line stays, empty: places in later messages are those of the file.
	const settings = text.replace(hashLine, "");
	parseSettings(settings, PRESET_NAME);
	return { settings, passwordHash };
}

/** Files beside drover.toml that go into the first revision with it. */
export function belongsToPreset(name: string): boolean {
	return name === "keepalived.conf" || /^[A-Za-z0-9_][A-Za-z0-9._-]{0,90}\.vcl$/.test(name);
}
