/** Self-signed certificates of the test's own, made by the real openssl. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Certificate {
	readonly certificatePath: string;
	readonly keyPath: string;
	/** Both in one file, as -a …,tls= takes them. */
	readonly bothPath: string;
}

/** Makes one for `names` (DNS:…, IP:…) in `directory`. */
export function makeCertificate(directory: string, label: string, names: readonly string[]): Certificate {
	const certificatePath = join(directory, `${label}.crt`);
	const keyPath = join(directory, `${label}.key`);
	const bothPath = join(directory, `${label}.pem`);
	const made = Bun.spawnSync([
		"openssl",
		...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"],
		...["-keyout", keyPath, "-out", certificatePath, "-subj", `/CN=${label}`],
		...["-addext", `subjectAltName=${names.join(",")}`],
	]);
	if (!made.success) throw new Error(`openssl: ${made.stderr}`);
	writeFileSync(bothPath, readFileSync(certificatePath, "utf8") + readFileSync(keyPath, "utf8"));
	return { certificatePath, keyPath, bothPath };
}
