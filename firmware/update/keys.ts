/** The keys that this box takes firmware from. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { TrustedKey } from "./trust.ts";

/** One `ID.pem` each, laid into the root file system when the image is built. */
export const KEYS_DIRECTORY = "/usr/share/drover/keys";

/** Keys are replaced by updates; the first line of a file may say `# expires 2036-01-01`. */
const DEFAULT_EXPIRY = "2036-01-01";

export function readTrustedKeys(directory = KEYS_DIRECTORY): readonly TrustedKey[] {
	if (!existsSync(directory)) return [];
	return readdirSync(directory)
		.filter((name) => name.endsWith(".pem"))
		.sort()
		.map((name) => {
			const publicKeyPem = readFileSync(join(directory, name), "utf8");
			const expires = /^# expires (\d{4}-\d\d-\d\d)/.exec(publicKeyPem)?.[1] ?? DEFAULT_EXPIRY;
			return { id: name.slice(0, -4), publicKeyPem, expiresAtSeconds: Date.parse(expires) / 1000 };
		});
}
