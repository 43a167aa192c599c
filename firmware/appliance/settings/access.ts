/** Who may work on the box, and how. Pure. */
import { z } from "zod";
import { network, portNumber } from "./words.ts";

export const userName = z
	.string()
	.regex(/^[a-z_][a-z0-9_-]{0,31}$/, "is not a user name: small letters, digits, _ and -");

/** What crypt(5) makes of a password; a password in clear has no business in a file. */
const passwordHash = z
	.string()
	.max(255)
	.regex(/^\$(7|6|5|y)\$[^:\s]+$/, 'is no hash of a password; "drover password" sets one');

export const publicKey = z
	.string()
	.max(16_384)
	.regex(
		/^(ssh-(ed25519|rsa)|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com) [A-Za-z0-9+/=]+( [^\x00-\x1f\x7f]*)?$/,
		'is not a public key, such as "ssh-ed25519 AAAA… anna"',
	);

export const userSchema = z.strictObject({
	name: userName,
	password_hash: passwordHash.optional().describe("crypt(5); none: no log-in by password"),
	keys: z.array(publicKey).max(32).default([]).describe("public keys for SSH"),
});

export const sshSchema = z.strictObject({
	enabled: z.boolean().default(false),
	port: portNumber.default(22),
	passwords: z.boolean().default(false).describe("log-in by password; keys always work"),
	sources: z.array(network).max(64).default([]).describe("who may connect; empty: everyone"),
});

export const consoleSchema = z.strictObject({
	idle_minutes: z.int().min(0).max(1440).default(10).describe("back to the log-in after so long; 0: never"),
	password_recovery: z
		.boolean()
		.default(true)
		.describe('whether the loader\'s entry "recover" may set a new password'),
});
