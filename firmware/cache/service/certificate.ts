/** A certificate of a revision, looked at before anybody is answered with it. */
import { createPrivateKey, X509Certificate } from "node:crypto";

/** So long before its end it is worth a word at each commit. */
const EXPIRES_SOON_MS = 14 * 24 * 3600 * 1000;

/**
 * What to tell the operator of a PEM text with the certificate, those that vouch for it, and the key; null when
 * there is nothing. `name` is what the file is called. Throws an Error in the operator's words when it cannot be used.
 */
export function inspectCertificate(pem: string, name: string, nowMs: number): string | null {
	let certificate: X509Certificate;
	try {
		certificate = new X509Certificate(pem);
	} catch {
		throw new Error(`${name} holds no certificate: it must be PEM, and begin with the server's own`);
	}
	let matches: boolean;
	try {
		matches = certificate.checkPrivateKey(createPrivateKey(pem));
	} catch {
		throw new Error(
			`${name} holds no private key that can be read: append it, in PEM and without a password`,
		);
	}
	if (!matches) throw new Error(`${name}: the private key is not that of its first certificate`);
	const endsMs = Date.parse(certificate.validTo);
	const day = new Date(endsMs).toISOString().slice(0, 10);
	if (endsMs <= nowMs) return `${name} has expired on ${day}: browsers will refuse it`;
	if (endsMs - nowMs <= EXPIRES_SOON_MS) return `${name} expires on ${day}`;
	const beginsMs = Date.parse(certificate.validFrom);
	if (beginsMs > nowMs) return `${name} is not valid before ${new Date(beginsMs).toISOString().slice(0, 10)}`;
	return null;
}
