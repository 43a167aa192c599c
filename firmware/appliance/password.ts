/**
 * Passwords as crypt(5) writes them with scrypt (RFC 7914): `$7$`, one character for log2 N, five
 * each for r and p, the salt, `$`, the hash. One form for this console and for sshd, which asks the
 * C library. Pure, but for the salt.
 */
import { randomBytes, scryptSync, timingSafeEqual } from "node:crypto";

/** 32 MB and about 0.1 s of one core: RFC 7914 §2 with r = 8, p = 1. */
const LOG2_N = 15;
const R = 8;
const P = 1;
const HASH_BYTES = 32;
/** Six bits each: 132 bits. */
const SALT_CHARACTERS = 22;
/** What a hash from elsewhere may ask of this box. */
const MEMORY_LIMIT_BYTES = 256 * 1024 * 1024;

export const PASSWORD_LEAST_CHARACTERS = 8;
/** The console's lines are longer; sshd takes this much. */
export const PASSWORD_LONGEST_CHARACTERS = 128;

const alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** Why this cannot be a password, in the operator's words; null when it can. */
export function passwordProblem(password: string): string | null {
	if (password.length < PASSWORD_LEAST_CHARACTERS)
		return `A password has at least ${PASSWORD_LEAST_CHARACTERS} characters.`;
	if (password.length > PASSWORD_LONGEST_CHARACTERS)
		return `A password has at most ${PASSWORD_LONGEST_CHARACTERS} characters.`;
	if (!/^[\x20-\x7e]+$/.test(password))
		return "A password has letters, digits and signs of ASCII: every terminal can type those.";
	if (/^(.)\1*$/.test(password)) return "One character over and over is no password.";
	return null;
}

/** The form that is kept. Takes about 0.1 s. */
export function hashPassword(password: string): string {
	const salt = Array.from(randomBytes(SALT_CHARACTERS), (byte) => alphabet[byte & 63]).join("");
	const setting = `$7$${alphabet[LOG2_N]}${encodeNumber(R)}${encodeNumber(P)}${salt}`;
	return `${setting}$${encodeBytes(derive(password, { log2N: LOG2_N, r: R, p: P, salt }))}`;
}

/** False for a hash of another form, such as "!" or "*": nobody logs in with those. */
export function verifyPassword(password: string, hash: string): boolean {
	const form = /^\$7\$([./0-9A-Za-z])([./0-9A-Za-z]{5})([./0-9A-Za-z]{5})([^$]{0,86})\$([./0-9A-Za-z]{43})$/;
	const match = form.exec(hash);
	if (match === null) return false;
	const [, cost = "", r = "", p = "", salt = "", encoded = ""] = match;
	const parameters = {
		log2N: alphabet.indexOf(cost),
		r: decodeNumber(r),
		p: decodeNumber(p),
		salt,
	};
	const memoryBytes = 128 * parameters.r * (2 ** parameters.log2N + parameters.p);
	if (parameters.log2N < 1 || parameters.r < 1 || parameters.p < 1 || memoryBytes > MEMORY_LIMIT_BYTES)
		return false;
	const derived = encodeBytes(derive(password, parameters));
	return timingSafeEqual(Buffer.from(derived), Buffer.from(encoded));
}

interface Parameters {
	readonly log2N: number;
	readonly r: number;
	readonly p: number;
	readonly salt: string;
}

function derive(password: string, { log2N, r, p, salt }: Parameters): Uint8Array {
	return scryptSync(password, salt, HASH_BYTES, {
		N: 2 ** log2N,
		r,
		p,
		maxmem: 2 * MEMORY_LIMIT_BYTES,
	});
}

/** 30 bits in five characters, lowest first. */
function encodeNumber(value: number): string {
	return Array.from({ length: 5 }, (_, place) => alphabet[(value >>> (6 * place)) & 63]).join("");
}

function decodeNumber(text: string): number {
	return [...text].reduce((sum, character, place) => sum + alphabet.indexOf(character) * 64 ** place, 0);
}

/** Three bytes in four characters, lowest first; the last two bytes in three. */
function encodeBytes(bytes: Uint8Array): string {
	let text = "";
	for (let at = 0; at < bytes.length; at += 3) {
		const group = bytes.subarray(at, at + 3);
		const value = group.reduce((sum, byte, place) => sum + byte * 256 ** place, 0);
		for (let place = 0; place <= group.length; place++) text += alphabet[(value >>> (6 * place)) & 63];
	}
	return text;
}
