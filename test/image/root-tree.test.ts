/** What is in the image: built from this machine's packages, the same twice, and complete. */
import { afterAll, describe, expect, test } from "bun:test";
import {
	copyFileSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { billOfMaterials } from "../../image/bill-of-materials.ts";
import { bundleFirmware } from "../../image/firmware-bundle.ts";
import { initramfsTree } from "../../image/initramfs-tree.ts";
import { findKernel } from "../../image/kernel.ts";
import { rootTree } from "../../image/root-tree.ts";
import { compileServices } from "../../image/services-executable.ts";
import { compileStarter } from "../../image/starter/starter.ts";

const scratchDirectory = mkdtempSync(join(tmpdir(), "drover-root-"));
afterAll(() => rmSync(scratchDirectory, { recursive: true }));
const kernel = findKernel();
const firmware = await bundleFirmware();
const make = async () => {
	const bunPath = await compileServices(scratchDirectory);
	return rootTree({ kernel, bunPath, firmware, version: "0.0.0", scratchDirectory });
};

const root = await make();

describe("the root file system", () => {
	test("two builds are the same", async () => {
		expect((await make()).digest()).toBe(root.digest());
	}, 30_000);

	test("our stand-ins for Debian's libraries have all that its programs look up; what they spare is not there", () => {
		for (const program of [
			"/usr/sbin/sshd",
			"/usr/bin/ssh",
			"/usr/bin/ssh-keygen",
			"/sbin/ip",
			"/usr/sbin/nft",
		]) {
			const { stdout, stderr } = Bun.spawnSync(["ldd", "-r", program], {
				env: { ...process.env, LD_LIBRARY_PATH: join(scratchDirectory, "stand-ins") },
			});
			expect(`${stdout}${stderr}`).toContain(scratchDirectory);
			expect(`${stdout}${stderr}`).not.toContain("undefined symbol");
			expect(`${stdout}${stderr}`).not.toContain("no version information");
		}
		for (const spared of [
			"libkrb5support.so.0",
			"libtirpc.so.3",
			"libpcre2-8.so.0",
			"libgcrypt.so.20",
			"libmd.so.0",
			"libcap-ng.so.0",
		])
			expect(root.has(`usr/lib/x86_64-linux-gnu/${spared}`)).toBe(false);
	});

	test.each([
		["usr/lib/drover/bun"],
		["usr/lib/drover/drover.js"],
		["usr/lib/drover/drover.node"],
		["usr/lib/drover/pino.js"],
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

	describe("the two services that a start waits for", () => {
		const at = join(scratchDirectory, "firmware");
		mkdirSync(at);
		for (const { path, content } of firmware.files)
			if (!path.startsWith("node_modules")) writeFileSync(join(at, path), content);
		copyFileSync(firmware.shimPath, join(at, "drover.node"));
		copyFileSync(join(scratchDirectory, "bun"), join(at, "bun"));
		const run = (name: string, words: readonly string[], env: Record<string, string> = {}) => {
			const { exitCode, stdout, stderr } = Bun.spawnSync([join(at, "bun"), name, ...words], {
				env: { ...process.env, ...env },
			});
			return { exitCode, text: `${stdout}${stderr}` };
		};

		test.each(["vrrp", "director"])("drover %s is in Bun's executable, in its parsed form", (name) => {
			const { exitCode, text } = run(name, ["--help"], { BUN_JSC_verboseDiskCache: "1" });
			expect({ exitCode, text }).toMatchObject({ exitCode: 0 });
			expect(text).toContain(`usage: drover ${name}`);
			expect(text).toContain("Cache hit");
		});

		test("a rehearsal of them ends by itself without a word", () => {
			const file = join(import.meta.dir, "../../rootfs/usr/share/drover/rehearsal.conf");
			expect(run("rehearse", [file])).toEqual({ exitCode: 0, text: "" });
		});

		test("for all other programs it is Bun", () => {
			const { exitCode, stdout } = Bun.spawnSync(
				[join(at, "bun"), "--no-install", join(at, "drover.js"), "help"],
				{
					env: { ...process.env, BUN_BE_BUN: "1" },
				},
			);
			expect({ exitCode, text: stdout.toString() }).toMatchObject({ exitCode: 0 });
			expect(stdout.toString()).toContain("usage: drover COMMAND");
		});

		test("what they load later is found beside them", () => {
			// The log's writer is.
			const { exitCode, text } = run("director", ["-f", join(at, "absent.conf")]);
			expect(exitCode).toBe(6);
			expect(JSON.parse(text.split("\n").find((line) => line.startsWith("{"))!)).toMatchObject({
				level: "fatal",
				service: "director",
			});
		});
	});

	test("a stick may hold what people have on theirs", () => {
		const modules = root.entries().map(({ path }) => path.split("/").at(-1));
		for (const module of ["usb-storage", "uas", "vfat", "exfat", "ext4"])
			expect(modules).toContain(`${module}.ko`);
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
	for (const module of [
		"virtio_blk",
		"squashfs",
		"dm-verity",
		"blake2b_generic",
		"ahci",
		"nvme",
		"usb-storage",
		"overlay",
	])
		expect(paths.some((path) => path.endsWith(`/${module}.ko`))).toBe(true);
	expect(paths.some((path) => path.includes("drover.js") || path.endsWith("/bun"))).toBe(false);
	expect(tree.sizeBytes()).toBeLessThan(30e6);
});

test("the list of what is in the image has each Debian package that a file of it is from", () => {
	const from = new Set<string>();
	for (const tree of [root, initramfsTree(kernel, scratchDirectory)])
		for (const entry of tree.entries()) {
			if (entry.kind !== "file") continue;
			const source = `/${entry.path}`;
			if (existsSync(source) && Buffer.compare(readFileSync(source), entry.content) === 0) from.add(source);
		}
	// A package knows its files by one of the two names that they have since /lib is a link to /usr/lib.
	const names = [...from].flatMap((path) => [path, path.replace(/^\/usr/, "")]);
	const { stdout } = Bun.spawnSync(["dpkg-query", "-S", ...names], { stderr: "ignore" });
	const packages = [...stdout.toString().matchAll(/^([^:]+)(?::\w+)?: \//gm)].map(([, name]) => name!);
	expect(packages).toContain("openssh-server");
	const { packages: listed } = billOfMaterials("0.0.0", kernel.release) as { packages: { name: string }[] };
	expect(listed.map(({ name }) => name)).toEqual(expect.arrayContaining([...new Set(packages)]));
});

test("the kernel has no program to load modules by before the initramfs's script gives it one", () => {
	expect(initramfsTree(kernel, scratchDirectory).has("sbin")).toBe(false);
	const script = readFileSync(join(import.meta.dir, "../../image/initramfs/init"), "utf8");
	const given = script.indexOf("\nln -s bin /sbin\n");
	expect(given).toBeGreaterThan(0);
	expect(script.indexOf("modprobe -")).toBeGreaterThan(given);
});

test("until the box has its addresses, the shell is one that needs no libraries, and its applets do what is asked", () => {
	const early = ["boot", "set-up", "other-services", "after-release", "terminal", "start-network"].map(
		(name) => `usr/lib/drover/${name}`,
	);
	for (const service of ["vrrp", "director"])
		early.push(`etc/sv/${service}/run`, `etc/sv/${service}/log/run`);
	for (const path of early) {
		const script = readFileSync(join(import.meta.dir, "../../rootfs", path), "utf8");
		expect(script).toStartWith("#!/usr/bin/busybox sh\n");
		// An applet goes before a program of its name; ip's knows no batch.
		expect(script).not.toMatch(/(?<!\/usr\/sbin\/)\bip -(force|batch)/);
	}
});

describe("/usr/bin/drover", () => {
	/** What Bun is started with on a box with these processors: its words, and the variables that concern it. */
	const startedWith = (online: string | null, ...words: readonly string[]) => startedIn({}, online, ...words);
	const startedIn = (
		env: Readonly<Record<string, string>>,
		online: string | null,
		...words: readonly string[]
	) => startedAs("drover", env, online, words);
	const startedAs = (
		calledAs: string,
		env: Readonly<Record<string, string>>,
		online: string | null,
		words: readonly string[],
	) => {
		const directory = mkdtempSync(join(tmpdir(), "drover-start-"));
		const processors = join(directory, "online");
		if (online !== null) writeFileSync(processors, `${online}\n`);
		writeFileSync(join(directory, "bun"), '#!/bin/sh\necho "$@"\nenv\n', { mode: 0o755 });
		const starter = compileStarter(directory, { home: `${directory}/`, processors });
		const program = calledAs === "drover" ? starter : join(directory, calledAs);
		if (program !== starter) symlinkSync("drover", program);
		const run = Bun.spawnSync([program, ...words], { env: { PATH: process.env["PATH"]!, ...env } });
		const [first, ...variables] = run.stdout.toString().trimEnd().split("\n");
		rmSync(directory, { recursive: true });
		return {
			words: first!.replaceAll(`${directory}/`, ""),
			asBun: variables.includes("BUN_BE_BUN=1"),
			tuned: variables.flatMap((line) => /^(?:BUN_JSC|MIMALLOC)_[^=]*/.exec(line) ?? []).sort(),
			variables,
		};
	};

	/** What serves for months is compiled later: a start calls most of it a few times. */
	const compiledLater = ["BUN_JSC_thresholdForJITAfterWarmUp", "BUN_JSC_thresholdForJITSoon"];

	test("the two services are in Bun's executable, whoever starts them; for all other programs it is Bun", () => {
		const shell = { BUN_BE_BUN: "1" };
		for (const name of ["vrrp", "director", "rehearse"])
			expect(startedIn(shell, "0-3", name, "-f", "x")).toMatchObject({
				words: `${name} -f x`,
				asBun: false,
				tuned: compiledLater,
			});
		expect(startedWith("0-3", "status", "--json")).toMatchObject({
			words: "--no-install drover.js status --json",
			asBun: true,
			tuned: [],
		});
	});

	test("a link's name is the command; words and variables stay as they are, but for those it sets", () => {
		const env = { A: "=b c=", NO_COLOR: "", NO_COLORS: "1", BUN_BE_BUN: "0" };
		const { words, variables } = startedAs("keepalived", env, "0", ["-f", "a b", ""]);
		expect(words).toBe("--no-install drover.js keepalived -f a b ");
		expect(variables).toEqual(
			expect.arrayContaining([
				"A==b c=",
				"NO_COLOR=1",
				"NO_COLORS=1",
				"BUN_BE_BUN=1",
				`PATH=${process.env["PATH"]}`,
			]),
		);
		expect(variables.filter((line) => /^(NO_COLOR|BUN_BE_BUN)=/.test(line))).toHaveLength(2);
		expect(startedAs("keepalived", {}, "0", []).words).toBe("--no-install drover.js keepalived");
		expect(startedAs("drover", {}, "0", []).words).toBe("--no-install drover.js");
	});

	test("a login shell's name for it is not its name", () => {
		const directory = mkdtempSync(join(tmpdir(), "drover-start-"));
		const program = compileStarter(directory, { home: `${directory}/`, processors: "/none" });
		writeFileSync(join(directory, "bun"), '#!/bin/sh\necho "$@"\n', { mode: 0o755 });
		const { stdout } = Bun.spawnSync([program, "status"], { argv0: "-drover" });
		expect(stdout.toString()).toBe(`--no-install ${directory}/drover.js status\n`);
		rmSync(join(directory, "bun"));
		const { exitCode, stderr } = Bun.spawnSync([program]);
		expect([exitCode, stderr.toString()]).toEqual([127, `drover: cannot start ${directory}/bun\n`]);
		rmSync(directory, { recursive: true });
	});

	test("the director of a box with one processor has no threads beside it, and keeps its pages for a while", () => {
		const alone = [
			...[
				"BUN_JSC_useConcurrentGC",
				"BUN_JSC_useConcurrentJIT",
				"BUN_JSC_useFTLJIT",
				"BUN_JSC_largeHeapSize",
			],
			...["BUN_JSC_thresholdForOptimizeAfterWarmUp", "BUN_JSC_useWarmUpMarkedBlocks", "MIMALLOC_PURGE_DELAY"],
		];
		expect(startedWith("0", "director", "-f", "x").tuned).toEqual([...alone, ...compiledLater].sort());
	});

	test("the SNMP agent's garbage does not stand until it is several times what the agent keeps", () => {
		expect(startedWith("0-3", "snmp").tuned).toEqual(["BUN_JSC_forceRAMSize"]);
	});

	test.each([
		["with several processors", "0-3", "director", compiledLater],
		["without the kernel's word on them", null, "director", compiledLater],
		["for VRRP", "0", "vrrp", compiledLater],
		["for anything else", "0", "status", []],
	])("%s nothing of that is changed", (_title, online, word, tuned) => {
		expect(startedWith(online, word).tuned).toEqual(tuned);
	});
});
