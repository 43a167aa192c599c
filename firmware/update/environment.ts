/**
 * GRUB's environment block: 1024 bytes that begin with a signature line, hold `name=value`
 * lines, and are filled up with `#`. Pure.
 *
 * All variables stay within the first 512 bytes, one sector, so that a torn write leaves the
 * old values or the new ones, never a mixture. Source: GRUB manual, "Environment block".
 */

export const ENVIRONMENT_BYTES = 1024;
/** What a disk writes whole. */
export const SECTOR_BYTES = 512;
const SIGNATURE = "# GRUB Environment Block\n";

export type Environment = ReadonlyMap<string, string>;

/** The variables of a block, or null when the bytes are none. A line without "=" is ignored, as GRUB does. */
export function parseEnvironment(block: Uint8Array): Environment | null {
	const text = Buffer.from(block).toString("latin1");
	if (block.length !== ENVIRONMENT_BYTES || !text.startsWith(SIGNATURE)) return null;
	const variables = new Map<string, string>();
	for (const line of text.slice(SIGNATURE.length).split("\n")) {
		const equals = line.indexOf("=");
		if (equals > 0 && !line.startsWith("#")) variables.set(line.slice(0, equals), line.slice(equals + 1));
	}
	return variables;
}

/** The block for `variables`. Throws a RangeError when they do not fit one sector or hold what a line cannot. */
export function formatEnvironment(variables: Environment): Uint8Array {
	let text = SIGNATURE;
	for (const [name, value] of variables) {
		if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) || !/^[\x20-\x7e]*$/.test(value) || value.includes("\\"))
			throw new RangeError(`"${name}=${value}" cannot stand in a GRUB environment`);
		text += `${name}=${value}\n`;
	}
	if (text.length > SECTOR_BYTES)
		throw new RangeError(`the environment's ${text.length} bytes do not fit one sector of ${SECTOR_BYTES}`);
	return Buffer.from(text.padEnd(ENVIRONMENT_BYTES, "#"), "latin1");
}
