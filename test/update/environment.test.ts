/** GRUB manual, "Environment block". The oracle is the real grub-editenv. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { $ } from "bun";
import fc from "fast-check";
import { ENVIRONMENT_BYTES, formatEnvironment, parseEnvironment } from "../../firmware/update/environment.ts";

const names = fc.stringMatching(/^[A-Z][A-Za-z_]{0,8}$/);
const values = fc.stringMatching(/^[ -[\]-~]{0,12}$/);

test("parse after format is identity", () => {
	fc.assert(
		fc.property(fc.dictionary(names, values, { maxKeys: 15 }), (variables) => {
			const map = new Map(Object.entries(variables));
			expect(parseEnvironment(formatEnvironment(map))).toEqual(map);
		}),
	);
});

test("any other bytes are no block, and never throw", () => {
	fc.assert(
		fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => expect(parseEnvironment(bytes)).toBeNull()),
	);
});

describe("limits", () => {
	test("more than one sector is refused", () => {
		expect(() => formatEnvironment(new Map([["long", "x".repeat(500)]]))).toThrow(RangeError);
	});
	test.each([
		["A=B", "x"],
		["A", "line\nbreak"],
		["A", "back\\slash"],
	])("%p=%p is refused", (name, value) => {
		expect(() => formatEnvironment(new Map([[name, value]]))).toThrow(RangeError);
	});
});

test("grub-editenv reads what we write, and we read what it writes", async () => {
	const directory = mkdtempSync(join(tmpdir(), "drover-env-"));
	try {
		const file = join(directory, "grubenv");
		writeFileSync(
			file,
			formatEnvironment(
				new Map([
					["order", "A B"],
					["A_left", "3"],
				]),
			),
		);
		expect(await $`grub-editenv ${file} list`.text()).toBe("order=A B\nA_left=3\n");
		await $`grub-editenv ${file} set B_left=2 A_left=1`.quiet();
		const block = readFileSync(file);
		expect(block.length).toBe(ENVIRONMENT_BYTES);
		expect(parseEnvironment(block)).toEqual(
			new Map([
				["order", "A B"],
				["A_left", "1"],
				["B_left", "2"],
			]),
		);
	} finally {
		rmSync(directory, { recursive: true });
	}
});
