/** Who signed the certificate of a server on the web, when it is nobody well-known: `ca FILE` behind its URL. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";

/** What is wrong with `ca FILE`; the message is for the operator. */
export class AuthorityError extends Error {}

/** PEM text of the `words` `ca FILE` behind a place; null when nothing is there. Throws an AuthorityError. */
export function readAuthority(place: string, [word, path, more]: readonly string[]): string | null {
	if (word === undefined) return null;
	if (word !== "ca" || path === undefined || more !== undefined)
		throw new AuthorityError(
			'behind the place there may be "ca FILE": who signed the certificate of its server',
		);
	if (!place.startsWith("https://")) throw new AuthorityError('"ca" is for https:// alone');
	try {
		const text = readFileSync(path, "utf8");
		new X509Certificate(text);
		return text;
	} catch {
		throw new AuthorityError(`${path} cannot be read as a certificate (PEM)`);
	}
}
