/** What is in the image: built from this machine's packages, the same twice, and complete. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundleFirmware } from "../../image/firmware-bundle.ts";
import { initramfsTree } from "../../image/initramfs-tree.ts";
import { findKernel } from "../../image/kernel.ts";
import { rootTree } from "../../image/root-tree.ts";

const scratchDirectory = mkdtempSync(join(tmpdir(), "drover-root-"));
afterAll(() => rmSync(scratchDirectory, { recursive: true }));
const kernel = findKernel();
const firmware = await bundleFirmware();
const make = () =>
	rootTree({ kernel, bunPath: process.execPath, firmware, version: "0.0.0", scratchDirectory });

describe("the root file system", () => {
	const root = make();

	test("two builds are the same", () => {
		expect(make().digest()).toBe(root.digest());
	});

	test("our stand-ins for Debian's libraries have all that its programs look up; what they spare is not there", () => {
		for (const program of ["/usr/sbin/sshd", "/usr/bin/ssh", "/usr/bin/ssh-keygen"]) {
			const { stdout, stderr } = Bun.spawnSync(["ldd", "-r", program], {
				env: { ...process.env, LD_LIBRARY_PATH: join(scratchDirectory, "stand-ins") },
			});
			expect(`${stdout}${stderr}`).toContain(scratchDirectory);
			expect(`${stdout}${stderr}`).not.toContain("undefined symbol");
		}
		for (const spared of ["libkrb5support.so.0", "libtirpc.so.3", "libpcre2-8.so.0", "libgcrypt.so.20"])
			expect(root.has(`usr/lib/x86_64-linux-gnu/${spared}`)).toBe(false);
	});

	test.each([
		["usr/lib/drover/bun"],
		["usr/lib/drover/drover.js"],
		["usr/lib/drover/drover.node"],
		["usr/lib/drover/vrrp.js"],
		["usr/lib/drover/vrrp.js.jsc"],
		["usr/lib/drover/node_modules/net-snmp/package.json"],
		["usr/bin/drover"],
		["usr/sbin/keepalived"],
		["usr/sbin/nft"],
		["usr/sbin/init"],
		["usr/sbin/modprobe"],
		["etc/sv/vrrp/run"],
		["etc/sv/vrrp/finish"],
		["usr/sbin/sshd"],
		["etc/sv/director/run"],
		["etc/drover-release"],
	])("%s is there", (path) => {
		expect(root.has(path)).toBe(true);
	});

	test("every link leads to something in the image, or to what the running box makes", () => {
		const made = /^(\/?proc|run|data)\//;
		const offences = root.entries().filter((entry) => {
			if (entry.kind !== "symlink") return false;
			const target = entry.target.startsWith("/")
				? entry.target.slice(1)
				: join(entry.path, "..", entry.target);
			return !made.test(target) && !made.test(entry.target) && target !== "run" && !root.has(target);
		});
		expect(offences).toEqual([]);
	});

	test("scripts are executable, and nothing is writable by others", () => {
		const wrong = root.entries().filter((entry) => {
			if (entry.kind !== "file") return false;
			const script =
				entry.content[0] === 0x23 && entry.content[1] === 0x21 && !/node_modules|drover\.js/.test(entry.path);
			return (script && (entry.mode & 0o111) === 0) || (entry.mode & 0o022) !== 0;
		});
		expect(wrong.map(({ path }) => path)).toEqual([]);
	});

	test("the program that a start waits for is taken in its parsed form by the Bun beside it", () => {
		const at = join(scratchDirectory, "firmware");
		mkdirSync(at);
		for (const name of ["vrrp.js", "vrrp.js.jsc"]) {
			const file = firmware.files.find(({ path }) => path === name);
			writeFileSync(join(at, name), file!.content);
		}
		for (const { path, content } of firmware.files)
			if (path.endsWith(".node")) writeFileSync(join(at, path), content);
		const { exitCode, stdout, stderr } = Bun.spawnSync(
			[process.execPath, join(at, "vrrp.js"), "vrrp", "--help"],
			{
				env: { ...process.env, BUN_JSC_verboseDiskCache: "1" },
			},
		);
		expect({ exitCode, stderr: stderr.toString() }).toMatchObject({ exitCode: 0 });
		expect(`${stdout}${stderr}`).toContain("usage: drover vrrp");
		expect(`${stdout}${stderr}`).toContain("Cache hit");
	});

	test("no password and no key of anybody's is in it", () => {
		const shadow = root.entries().find(({ path }) => path === "etc/shadow");
		expect(shadow).toEqual({ kind: "symlink", path: "etc/shadow", target: "../data/access/shadow" });
		expect(root.entries().filter(({ path }) => /\.key$|id_ed25519|private/.test(path))).toEqual([]);
	});
});

test("the initramfs brings what mounts the root file system, and nothing of the appliance", () => {
	const tree = initramfsTree(kernel, scratchDirectory);
	const paths = tree.entries().map(({ path }) => path);
	for (const module of ["virtio_blk", "squashfs", "dm-verity", "ahci", "nvme", "usb-storage", "overlay"])
		expect(paths.some((path) => path.endsWith(`/${module}.ko`))).toBe(true);
	expect(paths.some((path) => path.includes("drover.js") || path.endsWith("/bun"))).toBe(false);
	expect(tree.sizeBytes()).toBeLessThan(30e6);
});
