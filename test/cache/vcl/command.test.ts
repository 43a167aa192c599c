/** `drover vcl`: what the operator types. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

setDefaultTimeout(60_000);

const folder = mkdtempSync(join(tmpdir(), "drover-vcl-command-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function drover(...words: string[]) {
	const run = Bun.spawnSync([
		process.execPath,
		join(import.meta.dir, "../../../firmware/drover.ts"),
		"vcl",
		...words,
	]);
	return { status: run.exitCode, out: run.stdout.toString(), err: run.stderr.toString() };
}

function file(name: string, text: string): string {
	const path = join(folder, name);
	writeFileSync(path, text);
	return path;
}

describe("drover vcl", () => {
	test("check: accepted", () => {
		const path = file("good.vcl", 'vcl 4.1;\nbackend default { .host = "127.0.0.1"; }\n');
		expect(drover("check", path)).toEqual({ status: 0, out: `${path}: VCL compiled.\n`, err: "" });
	});
	test("check: refused, with the line and the hint", () => {
		const path = file("bad.vcl", "vcl 4.1;\nbackend default none;\nsub vcl_recv { remove req.http.x; }\n");
		const { status, err } = drover("check", path);
		expect(status).toBe(2);
		expect(err).toContain(`('${path}' Line 3 Pos 16)`);
		expect(err).toContain("Hint: `remove` is now `unset`.");
	});
	test("check: includes relative to the file", () => {
		file("part.vcl", "sub vcl_recv { return (pass); }\n");
		const path = file("main.vcl", 'vcl 4.1;\nbackend default none;\ninclude "./part.vcl";\n');
		expect(drover("check", path).status).toBe(0);
	});
	test("show prints the JavaScript", () => {
		const path = file("show.vcl", "vcl 4.1;\nbackend default none;\nsub vcl_recv { return (pipe); }\n");
		expect(drover("show", path).out).toContain("function s_vcl_recv(c)");
	});
	test("upgrade prints the translation, and the notes beside it", () => {
		const path = file("old.vcl", "# mine\nbackend default none;\nsub vcl_recv { remove req.http.x; }\n");
		const { status, out, err } = drover("upgrade", path);
		expect(status).toBe(0);
		expect(out).toBe("vcl 4.1;\n# mine\nbackend default none;\nsub vcl_recv { unset req.http.x; }\n");
		expect(err).toContain("VCL 3: remove -> unset");
	});
	test("no such file, no such verb", () => {
		expect(drover("check", join(folder, "none.vcl")).status).toBe(1);
		expect(drover("paint", "x").status).toBe(2);
	});
});
