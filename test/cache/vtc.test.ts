/**
 * The .vtc files beside this one, run by the stock varnishtest against `drover varnishd` and against the stock
 * varnishd: a test that the stock daemon fails is a wrong test. `own-*.vtc` need what only Drover has.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { Glob } from "bun";

const root = join(import.meta.dir, "../..");
const bin = mkdtempSync(join(tmpdir(), "drover-vtc-"));
afterAll(() => rmSync(bin, { recursive: true, force: true }));
const program = join(bin, "varnishd");
writeFileSync(
	program,
	`#!/bin/sh\nexec "${process.execPath}" "${join(root, "firmware/drover.ts")}" varnishd "$@"\n`,
);
chmodSync(program, 0o755);

const files = [...new Glob("*.vtc").scanSync(join(import.meta.dir, "vtc"))]
	.sort()
	.map((name) => join(import.meta.dir, "vtc", name));

async function varnishtest(file: string, path: string): Promise<{ status: number; text: string }> {
	const child = Bun.spawn(["varnishtest", "-t", "60", file], {
		env: { ...process.env, PATH: path },
		stdout: "pipe",
		stderr: "pipe",
	});
	const text = (await new Response(child.stdout).text()) + (await new Response(child.stderr).text());
	return { status: await child.exited, text };
}

const tail = (text: string) =>
	text
		.split("\n")
		.filter((line) => /^(----|#)/.test(line))
		.join("\n") +
	"\n" +
	text.split("\n").slice(-25).join("\n");

describe("against drover varnishd", () => {
	for (const file of files)
		test(basename(file), async () => {
			const { status, text } = await varnishtest(file, `${bin}:${process.env["PATH"]}`);
			expect(status === 0 ? "passed" : tail(text)).toBe("passed");
		}, 90_000);
});

describe("against the stock varnishd", () => {
	for (const file of files.filter((each) => !basename(each).startsWith("own-")))
		test(basename(file), async () => {
			const { status, text } = await varnishtest(file, "/usr/sbin:/usr/bin:/sbin:/bin");
			expect(status === 0 ? "passed" : tail(text)).toBe("passed");
		}, 90_000);
});
