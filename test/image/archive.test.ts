/** The pieces that images are made of: trees, the initramfs archive, module lists, the kernel. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { cpio } from "../../image/cpio.ts";
import {
	elfBytes,
	findKernel,
	readKernel,
	unpackKernel,
	withoutTypeDescriptions,
} from "../../image/kernel.ts";
import {
	initramfsModules,
	moduleName,
	parseDependencies,
	rootModules,
	selectModules,
} from "../../image/modules.ts";
import { packInitramfs } from "../../image/pack-initramfs.ts";
import { packSquashfs } from "../../image/squashfs.ts";
import { Tree } from "../../image/tree.ts";

const scratch = mkdtempSync(join(tmpdir(), "drover-image-"));
afterAll(() => rmSync(scratch, { recursive: true }));

function sample(): Tree {
	const tree = new Tree();
	tree.file("usr/bin/tool", "#!/bin/sh\n", 0o755);
	tree.file("etc/empty", "");
	tree.directory("tmp");
	tree.symlink("bin", "usr/bin");
	return tree;
}

describe("a tree", () => {
	test("parents come before children, and the order is that of names", () => {
		const paths = sample()
			.entries()
			.map((entry) => entry.path);
		expect(paths).toEqual(["bin", "etc", "etc/empty", "tmp", "usr", "usr/bin", "usr/bin/tool"]);
	});
	test("its digest knows content, mode, target and name, and nothing else", () => {
		const digest = (change: (tree: Tree) => void) => {
			const tree = sample();
			change(tree);
			return tree.digest();
		};
		const same = digest(() => {});
		expect(digest((tree) => tree.file("etc/empty", ""))).toBe(same);
		const others = [
			digest((tree) => tree.file("etc/empty", "x")),
			digest((tree) => tree.file("etc/empty", "", 0o600)),
			digest((tree) => tree.symlink("bin", "usr/sbin")),
			digest((tree) => tree.file("etc/other", "")),
		];
		expect(new Set([same, ...others]).size).toBe(5);
	});
});

test("a packed initramfs: lz4 unpacks it, and the kernel finds its end and, on a boundary, what follows", () => {
	// Lengths on both sides of a boundary.
	for (let length = 480; length < 524; length++) {
		const archive = Uint8Array.from({ length }, (_, index) => (index * index * 31 + index * length) >> 3);
		const packed = Buffer.from(packInitramfs(archive, 1, scratch));
		expect(packed.length % 4).toBe(0);
		expect(packed.readUInt32LE(0)).toBe(0x184c2102);
		const end = 8 + packed.readUInt32LE(4);
		expect(packed.subarray(end).every((byte) => byte === 0)).toBe(true);
		expect(packed.length - end).toBeGreaterThanOrEqual(4);
		const unpacked = Bun.spawnSync(["lz4", "-dcq"], { stdin: packed.subarray(0, end) }).stdout;
		expect(Buffer.compare(unpacked, archive)).toBe(0);
	}
});

describe("cpio", () => {
	test("cpio(1) unpacks what was packed", () => {
		const directory = join(scratch, "unpacked");
		mkdirSync(directory);
		const result = Bun.spawnSync(["cpio", "-idm", "--quiet"], { cwd: directory, stdin: cpio(sample()) });
		expect(result.stderr.toString()).toBe("");
		expect(readFileSync(join(directory, "usr/bin/tool"), "utf8")).toBe("#!/bin/sh\n");
		expect(statSync(join(directory, "usr/bin/tool")).mode & 0o777).toBe(0o755);
		expect(statSync(join(directory, "tmp")).mode & 0o7777).toBe(0o1777);
		expect(readlinkSync(join(directory, "bin"))).toBe("usr/bin");
	});
	test("content of every length comes back", () => {
		fc.assert(
			fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 6 }), (contents) => {
				const tree = new Tree();
				contents.forEach((content, index) => {
					tree.file(`f${index}`, content);
				});
				const archive = cpio(tree);
				expect(archive.length % 512).toBe(0);
				const listed = Bun.spawnSync(["cpio", "-itv", "--quiet"], { stdin: archive }).stdout.toString();
				const sizes = listed
					.split("\n")
					.filter((line) => line !== "")
					.map((line) => Number(line.split(/ +/)[4]));
				expect(sizes).toEqual(contents.map((content) => content.length));
			}),
			{ numRuns: 20 },
		);
	});
});

describe("squashfs", () => {
	test("two runs give the same bytes", async () => {
		const one = Bun.file(await packSquashfs(sample(), 3, scratch));
		const first = new Uint8Array(await one.arrayBuffer());
		const two = Bun.file(await packSquashfs(sample(), 3, scratch));
		expect(Buffer.compare(first, new Uint8Array(await two.arrayBuffer()))).toBe(0);
		const listing = Bun.spawnSync(["unsquashfs", "-lln", two.name!]).stdout.toString();
		expect(listing).toContain("-rwxr-xr-x 0/0");
		expect(listing).toContain("drwxrwxrwt 0/0");
	});
});

describe("kernel and modules", () => {
	const kernel = findKernel();
	const dependencies = parseDependencies(readFileSync(`${kernel.modulesDirectory}/modules.dep`, "utf8"));

	test("the kernel unpacks to an ELF that QEMU can enter by PVH", async () => {
		const elf = await unpackKernel(readKernel(kernel));
		const path = join(scratch, "vmlinux");
		await Bun.write(path, elf);
		expect(Bun.spawnSync(["readelf", "-n", path]).stdout.toString()).toContain("Xen");
	});

	test("its type descriptions are blanked out, and nothing else of it", async () => {
		const elf = await unpackKernel(readKernel(kernel));
		const blank = withoutTypeDescriptions(elf);
		const path = join(scratch, "vmlinux");
		await Bun.write(path, elf);
		const sections = Bun.spawnSync(["readelf", "-SW", path]).stdout.toString();
		const [, offset = "", size = ""] = / \.BTF +PROGBITS +\w+ +(\w+) +(\w+)/.exec(sections)!;
		const [start, end] = [Number(`0x${offset}`), Number(`0x${offset}`) + Number(`0x${size}`)];
		expect(blank.length).toBe(elf.length);
		expect(blank.subarray(start, end).every((byte) => byte === 0)).toBe(true);
		expect(Buffer.compare(blank.subarray(0, start), elf.subarray(0, start))).toBe(0);
		expect(Buffer.compare(blank.subarray(end), elf.subarray(end))).toBe(0);
	});

	test("the ELF ends where the relocations begin: a zero, then addresses in ascending order", async () => {
		const elf = await unpackKernel(readKernel(kernel));
		const view = new DataView(elf.buffer, elf.byteOffset + elfBytes(elf));
		expect(view.getUint32(0, true)).toBe(0);
		const last = view.getUint32(view.byteLength - 4, true);
		expect(last).toBeGreaterThan(view.getUint32(view.byteLength - 8, true));
	});

	test("every pattern of ours matches a module, and what is chosen is closed under dependency", () => {
		for (const patterns of [initramfsModules, rootModules]) {
			const chosen = new Set(selectModules(dependencies, patterns));
			for (const module of chosen)
				for (const needed of dependencies.get(module)!) expect(chosen.has(needed)).toBe(true);
		}
	});

	test("every scheduler that the kernel has is in the root file system", () => {
		const chosen = selectModules(dependencies, rootModules).map(moduleName);
		const schedulers = "rr wrr lc wlc fo ovf lblc lblcr dh sh mh sed nq".split(" ");
		for (const scheduler of schedulers) expect(chosen).toContain(`ip_vs_${scheduler}`);
	});

	test("each watchdog that the initramfs carries keeps going when it is closed, and gives a start three minutes", () => {
		const options = readFileSync(join(import.meta.dir, "../../image/initramfs/modprobe.conf"), "utf8");
		const carried = selectModules(dependencies, initramfsModules).filter(
			(path) => path.includes("/watchdog/") && !/_vendor_support|watchdog\.ko/.test(path),
		);
		expect(carried.length).toBeGreaterThan(4);
		for (const name of carried.map(moduleName))
			expect(options).toMatch(
				new RegExp(`^options ${name} nowayout=1 (heartbeat|timeout|soft_margin)=180$`, "m"),
			);
	});

	test("a mistyped pattern is an error", () => {
		expect(() => selectModules(dependencies, ["drivers/net/no-such.ko"])).toThrow("no-such");
	});
});
