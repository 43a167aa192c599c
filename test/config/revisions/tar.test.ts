/** Archives of revisions, beside the real tar. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { packTar, TarError, unpackTar } from "../../../firmware/config/revisions/tar.ts";

let directory: string;
beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "drover-tar-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

const bytes = (text: string) => new TextEncoder().encode(text);
const sample = new Map([
	["appliance.toml", bytes('hostname = "a"\n')],
	["default.vcl", bytes("x".repeat(512))],
	["empty", bytes("")],
	["keepalived.conf", bytes("y".repeat(1500))],
]);
const texts = (files: ReadonlyMap<string, Uint8Array>) =>
	[...files].map(([name, content]) => [name, Buffer.from(content).toString()]).sort();

/** `command` in a folder with the sample's files; the archive that it leaves as ../a.tar. */
function made(command: string): Uint8Array {
	const folder = join(directory, "files");
	mkdirSync(folder);
	for (const [name, content] of sample) writeFileSync(join(folder, name), content);
	const { exitCode, stderr } = Bun.spawnSync(["sh", "-ec", command], { cwd: folder, stderr: "pipe" });
	if (exitCode !== 0) throw new Error(stderr.toString());
	return readFileSync(join(directory, "a.tar"));
}

/** Makes the checksum of a description right. */
function writeSum(header: Buffer): void {
	const sum = header.reduce((all, byte, at) => all + (at >= 148 && at < 156 ? 32 : byte), 0);
	header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
}

function refusal(archive: Uint8Array): string {
	try {
		unpackTar(archive);
	} catch (error) {
		if (error instanceof TarError) return error.message;
		throw error;
	}
	throw new Error("it was taken");
}

describe("what tar packs is read, what is packed here tar reads", () => {
	test.each([
		"tar -cf ../a.tar .",
		"tar -cf ../a.tar *",
		"tar --format=ustar -cf ../a.tar .",
		"tar --format=v7 -cf ../a.tar *",
		"tar --format=posix -cf ../a.tar .",
		"busybox tar -cf ../a.tar .",
		"tar -cf ../a.tar keepalived.conf empty; tar -rf ../a.tar appliance.toml default.vcl",
	])("%s", (command) => {
		expect(texts(unpackTar(made(command)))).toEqual(texts(sample));
	});

	test.each(["tar", "busybox tar"])("%s -x", (tar) => {
		writeFileSync(join(directory, "b.tar"), packTar(sample, Date.UTC(2026, 0, 2)));
		mkdirSync(join(directory, "out"));
		const { exitCode } = Bun.spawnSync([...tar.split(" "), "-xf", "../b.tar"], {
			cwd: join(directory, "out"),
		});
		expect(exitCode).toBe(0);
		const out = new Map(
			readdirSync(join(directory, "out")).map((name) => [name, readFileSync(join(directory, "out", name))]),
		);
		expect(texts(out)).toEqual(texts(sample));
	});

	test("any files, there and back", () => {
		const name = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/);
		fc.assert(
			fc.property(
				fc.dictionary(name, fc.uint8Array({ maxLength: 2_000 }), { noNullPrototype: true }),
				(files) => {
					const packed = new Map(Object.entries(files));
					expect(texts(unpackTar(packTar(packed, 0)))).toEqual(texts(packed));
				},
			),
		);
	});
});

describe("refused", () => {
	test("cut anywhere before its end", () => {
		const archive = packTar(sample, 0);
		for (let length = 0; length <= archive.length - 1024; length += 64)
			expect(refusal(archive.subarray(0, length))).toMatch(/^is (empty|cut short|no tar archive)/);
	});

	test("whatever descriptions say whose checksum is right: files that lie within the archive, or a refusal", () => {
		const field = fc.tuple(fc.nat(511), fc.uint8Array({ minLength: 1, maxLength: 100 }));
		const size = fc.oneof(
			fc.nat(4_096).map((value) => value.toString(8).padStart(11, "0")),
			fc.stringMatching(/^[0-9 \0-]{1,12}$/),
		);
		const block = fc.record({
			fields: fc.array(field, { maxLength: 3 }),
			size,
			body: fc.uint8Array({ maxLength: 1_500 }),
		});
		fc.assert(
			fc.property(
				fc.array(block, { minLength: 1, maxLength: 4 }),
				fc.constantFrom(..."0\x005xg12L"),
				(blocks, kind) => {
					const archive = Buffer.concat(
						blocks.map(({ fields, size, body }) => {
							const head = Buffer.alloc(512);
							head.write("some.conf", 0);
							head.write(size, 124);
							head.write(kind, 156);
							for (const [at, bytes] of fields) head.set(bytes.subarray(0, 512 - at), at);
							writeSum(head);
							return Buffer.concat([head, body, Buffer.alloc(-body.length & 511)]);
						}),
					);
					const whole = Buffer.concat([archive, Buffer.alloc(1_024)]);
					try {
						const total = [...unpackTar(whole).values()].reduce((sum, file) => sum + file.length, 0);
						expect(total).toBeLessThanOrEqual(whole.length);
					} catch (error) {
						if (!(error instanceof TarError)) throw error;
					}
				},
			),
			{ numRuns: 3_000 },
		);
	});

	test("any flipped bit of a file's description", () => {
		const archive = packTar(sample, 0);
		for (let at = 0; at < 512; at++) {
			const torn = Uint8Array.from(archive);
			torn[at]! ^= 0x01;
			// In the checksum's own place, what ends the digits means nothing.
			if (at >= 154 && at < 156) continue;
			expect(refusal(torn)).toMatch(/^is no tar archive|^is damaged/);
		}
		const second = Uint8Array.from(archive);
		second[1024]! ^= 0x01;
		expect(refusal(second)).toBe("is damaged near byte 1024");
	});

	test.each([
		["ln -s /etc/passwd link; tar -cf ../a.tar .", 'holds "link", which is no plain file'],
		["ln keepalived.conf other; tar -cf ../a.tar .", "which is no plain file"],
		["mkfifo pipe; tar -cf ../a.tar .", 'holds "pipe", which is no plain file'],
		["mkdir sub; tar -cf ../a.tar .", 'holds "sub/", which is no plain file'],
		["cd ..; tar -cf a.tar files/keepalived.conf", 'holds "files/keepalived.conf", which is in a folder'],
		[
			"tar -P -cf ../a.tar ../files/keepalived.conf",
			'holds "../files/keepalived.conf", which is in a folder',
		],
		["truncate -s 1M hole; tar -S -cf ../a.tar hole", 'holds "hole", which is no plain file'],
		["tar -czf ../a.tar .", 'is compressed: "gunzip" it first'],
		[`touch ${"n".repeat(120)}; tar -cf ../a.tar n*`, "which is no plain file"],
		[`touch ${"n".repeat(120)}; tar --format=posix -cf ../a.tar n*`, "too long for a revision"],
		["echo hello >../a.tar", "is no tar archive"],
	])("%s", (command, words) => {
		expect(refusal(made(command))).toContain(words);
	});

	test("a file that says to be longer than its archive", () => {
		const archive = packTar(new Map([["keepalived.conf", bytes("x")]]), 0);
		const header = Buffer.from(archive.subarray(0, 512));
		header.write("77777777777\0", 124);
		writeSum(header);
		expect(refusal(Buffer.concat([header, archive.subarray(512)]))).toContain("is cut short");
	});

	test("a name moves no cursor", () => {
		const archive = packTar(new Map([["keepalived.conf", bytes("x")]]), 0);
		const header = Buffer.from(archive.subarray(0, 512));
		header.write("\x1b[2Jx\0", 0);
		writeSum(header);
		expect([...unpackTar(Buffer.concat([header, archive.subarray(512)])).keys()]).toEqual(["?[2Jx"]);
	});
});
