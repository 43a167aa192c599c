/** Bun as the image has it: what a start of the two services touches lies in one piece, and the program is the same. */
import { afterAll, describe, expect, test } from "bun:test";
import {
	chmodSync,
	closeSync,
	mkdtempSync,
	openSync,
	readFileSync,
	readSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { buildIdOf, gatherable, gathered } from "../../image/start-pages/gathered-executable.ts";
import { formatPageList, PAGE_BYTES, parsePageList, runsOf } from "../../image/start-pages/page-runs.ts";
import { compileRemap } from "../../image/start-pages/remap.ts";
import { startPages } from "../../image/start-pages/start-pages.ts";

const directory = mkdtempSync(join(tmpdir(), "drover-start-pages-"));
afterAll(() => rmSync(directory, { recursive: true }));

const original = readFileSync(process.execPath);
const path = join(directory, "bun");
const changed = gathered(original, startPages.runs, compileRemap(directory));
writeFileSync(path, changed);
chmodSync(path, 0o755);

describe("a list of pages", () => {
	test.each<[string, number[], number, [number, number][]]>([
		["none", [], 4, []],
		["one after the other", [7, 8, 9], 0, [[7, 3]]],
		[
			"with a gap",
			[7, 9],
			0,
			[
				[7, 1],
				[9, 1],
			],
		],
		["with a gap that is taken along", [7, 9], 1, [[7, 3]]],
		[
			"with one that is too wide",
			[7, 10],
			1,
			[
				[7, 1],
				[10, 1],
			],
		],
		["from the first page", [0, 1], 0, [[0, 2]]],
	])("%s", (_, pages, gapPages, runs) => {
		expect(runsOf(pages, gapPages)).toEqual(runs.map(([firstPage, pages]) => ({ firstPage, pages })));
	});

	test("reads as it was written", () => {
		const run = fc.record({ firstPage: fc.nat(), pages: fc.integer({ min: 1, max: 1 << 20 }) });
		fc.assert(
			fc.property(fc.array(run), (runs) => {
				const list = { buildId: "00ff", runs };
				expect(parsePageList(formatPageList(list))).toEqual(list);
			}),
		);
	});

	test.each([
		["", "begins with a build identifier"],
		["build-id 00\n12", '"12" is no run'],
		["build-id 00\n12+1 x+2", '"x+2" is no run'],
	])("%j is refused", (text, message) => {
		expect(() => parsePageList(text)).toThrow(message);
	});

	test("is of this Bun, and has nothing that cannot be moved (if not: bun image/start-pages/record.ts)", () => {
		expect(startPages.buildId).toBe(buildIdOf(original));
		expect(gatherable(original, startPages.runs)).toEqual([...startPages.runs]);
	});
});

describe("the gathered executable", () => {
	test("is Bun", () => {
		const { stdout, exitCode } = Bun.spawnSync([path, "-e", "console.log(Bun.version, process.execPath)"]);
		expect({ exitCode, said: stdout.toString() }).toEqual({ exitCode: 0, said: `${Bun.version} ${path}\n` });
	});

	test("in memory each page of its code and constants is what it was, at the same place", async () => {
		const child = Bun.spawn([path, "-e", "console.log('up'); setInterval(() => {}, 1e6)"], {
			stdout: "pipe",
		});
		const fd = openSync(`/proc/${child.pid}/mem`, "r");
		try {
			await child.stdout.getReader().read();
			const page = Buffer.alloc(PAGE_BYTES);
			let compared = 0;
			for (const { address, offset, bytes } of readOnlySegments(original))
				for (let at = 0; at + PAGE_BYTES <= bytes; at += PAGE_BYTES) {
					readSync(fd, page, 0, PAGE_BYTES, address + at);
					// The head names another entry; see the next test.
					if (
						address + at >= FIRST_PAGE_END &&
						!page.equals(original.subarray(offset + at, offset + at + PAGE_BYTES))
					)
						throw new Error(`the page at 0x${(address + at).toString(16)} is another one`);
					compared++;
				}
			expect(compared).toBeGreaterThan(20_000);
		} finally {
			closeSync(fd);
			child.kill();
			await child.exited;
		}
	});

	test("what lies behind the rest is mapped with its pages", async () => {
		const child = Bun.spawn([path, "-e", "console.log('up'); setInterval(() => {}, 1e6)"], {
			stdout: "pipe",
		});
		try {
			await child.stdout.getReader().read();
			const text = readFileSync(`/proc/${child.pid}/smaps`, "latin1");
			// proc(5): addresses, permissions, offset in the file, device, inode, path; then fields, in kB.
			const mappings = text.matchAll(
				/^[\da-f]+-[\da-f]+ r-[x-]p ([\da-f]+) \S+ \d+ +(.*)\nSize: +(\d+) kB\n(?:.*\n)*?Rss: +(\d+) kB$/gm,
			);
			const moved = [...mappings]
				.filter(([, offset, file]) => file === path && Number.parseInt(offset!, 16) > original.length)
				.map(([, , , size, resident]) => ({ size: Number(size), resident: Number(resident) }));
			expect(moved.length).toBeGreaterThan(100);
			expect(moved.filter(({ size, resident }) => resident < size)).toEqual([]);
		} finally {
			child.kill();
			await child.exited;
		}
	});

	test("what a start touches lies behind the rest, in one piece; where it was are holes", () => {
		const before = pagesOf(original);
		const after = pagesOf(changed);
		const moved = before.filter((page, index) => index > 0 && !page.equals(after[index]!));
		expect(moved.length).toBeGreaterThan(4_000);
		expect(
			before.every((page, index) => index === 0 || page.equals(after[index]!) || isZero(after[index]!)),
		).toBe(true);
		const behind = after.slice(before.length).filter((page) => !isZero(page));
		expect(Buffer.concat(behind.slice(-moved.length)).equals(Buffer.concat(moved))).toBe(true);
		// Code and table.
		expect(behind.length - moved.length).toBeLessThan(4);
	});

	test("without /proc it says so", () => {
		const { stderr, exitCode } = Bun.spawnSync([
			"unshare",
			"--mount",
			"sh",
			"-c",
			'umount -l /proc; exec "$0"',
			path,
		]);
		expect({ exitCode, said: stderr.toString() }).toEqual({
			exitCode: 127,
			said: "drover: cannot map its own executable (is /proc mounted?)\n",
		});
	});

	test("what is no executable at fixed addresses is left alone", () => {
		for (const bytes of [new Uint8Array(64), readFileSync("/bin/dash")])
			expect(() => gathered(bytes, startPages.runs, new Uint8Array(0))).toThrow("at fixed addresses");
	});
});

function pagesOf(file: Buffer): Buffer[] {
	return Array.from({ length: Math.floor(file.length / PAGE_BYTES) }, (_, page) =>
		file.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES),
	);
}

const zeroPage = Buffer.alloc(PAGE_BYTES);
const isZero = (page: Buffer) => page.equals(zeroPage);

/** Where the page with the file's head ends in memory. */
const FIRST_PAGE_END = 0x201000;

/** elf(5): program headers of type PT_LOAD without PF_W. */
function readOnlySegments(file: Buffer) {
	const at = Number(file.readBigUInt64LE(32));
	return Array.from({ length: file.readUInt16LE(56) }, (_, index) => at + index * 56)
		.filter((header) => file.readUInt32LE(header) === 1 && (file.readUInt32LE(header + 4) & 2) === 0)
		.map((header) => ({
			offset: Number(file.readBigUInt64LE(header + 8)),
			address: Number(file.readBigUInt64LE(header + 16)),
			bytes: Number(file.readBigUInt64LE(header + 32)),
		}));
}
