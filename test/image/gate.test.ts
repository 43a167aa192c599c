/** The gate at which the other services wait until the election has begun. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";

const scripts = join(import.meta.dir, "../../rootfs/usr/lib/drover");
/** asm/unistd_64.h */
const SYS_OPENAT = 257;
let directory: string;
let children: Subprocess[] = [];
const at = (name: string) => join(directory, name);

beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "drover-gate-"));
	for (const name of ["after-vrrp", "open-gate"])
		writeFileSync(at(name), readFileSync(join(scripts, name), "utf8").replaceAll("/run/drover", directory));
});
afterEach(() => {
	for (const child of children) child.kill("SIGKILL");
	children = [];
	rmSync(directory, { recursive: true });
});

/** Services that say "through" when they are. */
function services(count: number): Subprocess<"ignore", "pipe", "pipe">[] {
	const made = Array.from({ length: count }, () =>
		Bun.spawn(["dash", "-c", `echo waits; . ${at("after-vrrp")}; echo through`], {
			stdin: "ignore",
			stdout: "pipe",
			stderr: "pipe",
		}),
	);
	children.push(...made);
	return made;
}

/** All of them have come to the gate: the kernel says that they are in openat(2). */
async function waiting(all: readonly Subprocess[]): Promise<void> {
	for (const child of all)
		while (!readFileSync(`/proc/${child.pid}/syscall`, "latin1").startsWith(`${SYS_OPENAT} `))
			await Bun.sleep(5);
}

async function through(all: readonly Subprocess<"ignore", "pipe", "pipe">[]): Promise<void> {
	for (const child of all) {
		expect(await new Response(child.stdout).text()).toBe("waits\nthrough\n");
		expect(await new Response(child.stderr).text()).toBe("");
	}
}

const openers: readonly (readonly [string, () => Promise<unknown>])[] = [
	["drover vrrp, when it serves", async () => openByService()],
	["the boot script's bound", () => Bun.spawn(["dash", at("open-gate")]).exited],
];

async function openByService(): Promise<void> {
	process.env["DROVER_RUN_DIR"] = directory;
	try {
		const { openGate } = await import("../../firmware/vrrp/gate.ts");
		openGate();
	} finally {
		delete process.env["DROVER_RUN_DIR"];
	}
}

describe.each(openers)("opened by %s", (_title, open) => {
	test("all that wait go on, and whoever comes later does not wait", async () => {
		Bun.spawnSync(["mkfifo", at("gate")]);
		const early = services(12);
		await waiting(early);
		await open();
		expect(existsSync(at("gate"))).toBe(false);
		await through(early);
		await through(services(1));
	});

	test("one who found it before it was removed comes through, too", async () => {
		Bun.spawnSync(["mkfifo", at("gate")]);
		// As if it had found the name in time: the same FIFO by another name.
		Bun.spawnSync(["ln", at("gate"), at("found")]);
		const opened = open();
		const late = Bun.spawn(
			["dash", "-c", `until [ ! -p ${at("gate")} ]; do :; done; true <${at("found")}; echo through`],
			{ stdout: "pipe" },
		);
		children.push(late);
		expect(await new Response(late.stdout).text()).toBe("through\n");
		await opened;
	});

	test("where there is no gate nothing happens", async () => {
		await open();
		await through(services(1));
	});
});
