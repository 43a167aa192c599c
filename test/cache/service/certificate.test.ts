/** Certificates of a revision: what is said of them at a commit. Made by the real openssl. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspectCertificate } from "../../../firmware/cache/service/certificate.ts";
import { makeCertificate } from "../http/certificate.ts";

const directory = mkdtempSync(join(tmpdir(), "drover-certificate-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const one = makeCertificate(directory, "one", ["DNS:one.example.com"]);
const other = makeCertificate(directory, "other", ["DNS:other.example.com"]);
const text = (path: string) => readFileSync(path, "latin1");
const DAY_MS = 24 * 3600 * 1000;
const said = (pem: string, nowMs = Date.now()) => {
	try {
		return inspectCertificate(pem, "shop.pem", nowMs);
	} catch (error) {
		return (error as Error).message;
	}
};

describe("a certificate with its key", () => {
	// Two days is all that these live.
	test("expires soon, has expired, is not valid yet", () => {
		expect(said(text(one.bothPath))).toMatch(/^shop\.pem expires on \d{4}-\d\d-\d\d$/);
		expect(said(text(one.bothPath), Date.now() + 3 * DAY_MS)).toContain("has expired on");
		expect(said(text(one.bothPath), Date.now() - 30 * DAY_MS)).toContain("is not valid before");
	});

	test("the key may come first; certificates that vouch for it may follow", () => {
		expect(said(text(one.keyPath) + text(one.certificatePath))).toContain("expires on");
		expect(said(text(one.bothPath) + text(other.certificatePath))).toContain("expires on");
	});
});

describe("what cannot be used", () => {
	test.each<[string, () => string, string]>([
		["nothing", () => "", "holds no certificate"],
		["a key alone", () => text(one.keyPath), "holds no certificate"],
		["a certificate alone", () => text(one.certificatePath), "holds no private key"],
		[
			"another's key",
			() => text(one.certificatePath) + text(other.keyPath),
			"is not that of its first certificate",
		],
		["bytes", () => "\x30\x82\x01\xff".repeat(1000), "holds no certificate"],
		["a certificate cut short", () => text(one.certificatePath).slice(0, 200), "holds no certificate"],
	])("%s", (_title, pem, words) => {
		expect(said(pem())).toContain(words);
	});
});
