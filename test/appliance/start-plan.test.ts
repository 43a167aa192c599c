/** What a commit leaves ready for the next start is used only as it was made, for the settings and the firmware it was made of. */
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import {
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseSettings } from "../../firmware/appliance/settings.ts";
import { startFiles } from "../../firmware/appliance/start-files.ts";
import { storeStartPlan } from "../../firmware/appliance/start-plan.ts";

const folder = mkdtempSync(join(tmpdir(), "drover-start-"));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (...names: string[]) => join(folder, ...names);
const plan = at("start");
const text = `hostname = "gate"
dns = ["10.0.0.53"]

[[port]]
name = "nowhere0"
role = "outside"
addresses = ["10.0.0.1/24"]

[snmp]
enabled = true
sources = ["10.0.0.0/8"]

[ntp]
servers = ["10.0.0.3"]
`;

/** Fails when the plan does not fit; the kernel's name is a file, and `ip` only takes notes. */
function start(): { readonly used: boolean; readonly files: readonly string[] } {
	rmSync(at("run"), { recursive: true, force: true });
	mkdirSync(at("run"));
	const script = readFileSync(join(import.meta.dir, "../../rootfs/usr/lib/drover/start-network"), "utf8");
	const here = script
		.replace("/proc/sys/kernel/hostname", at("kernel-name"))
		.replace("/usr/sbin/ip", at("bin/ip"));
	writeFileSync(at("script"), here, { mode: 0o755 });
	const { exitCode } = Bun.spawnSync([at("script"), plan, at("run")], { stderr: "ignore" });
	return { used: exitCode === 0, files: readdirSync(at("run"), { recursive: true }).map(String).sort() };
}

beforeEach(() => {
	mkdirSync(at("bin"), { recursive: true });
	writeFileSync(at("bin/ip"), `#!/bin/sh\necho "$@" >${at("ip-called")}\n`, { mode: 0o755 });
	for (const name of ["ip-called", "kernel-name"]) rmSync(at(name), { force: true });
	writeFileSync(at("appliance.toml"), text);
	writeFileSync(at("release"), "VERSION=1.0.0+0a0b0c0d\n");
	store();
});

function store(settings = text): void {
	storeStartPlan(
		parseSettings(settings),
		new Map([
			[at("appliance.toml"), settings],
			[at("release"), "VERSION=1.0.0+0a0b0c0d\n"],
		]),
		plan,
	);
}

test("as it was made, it is used: name, addresses, and all files of a running box", () => {
	const { used, files } = start();
	expect(used).toBe(true);
	const expected = startFiles(parseSettings(text));
	expect(files.filter((name) => name !== "wanted")).toEqual([...expected.keys()].sort());
	for (const [name, content] of expected) expect(readFileSync(at("run", name), "utf8")).toBe(content);
	expect(readFileSync(at("kernel-name"), "utf8")).toBe("gate\n");
	expect(readFileSync(at("ip-called"), "utf8")).toContain("-batch");
	expect(statSync(at("run/wanted/snmp")).mode & 0o077).toBe(0);
});

test("a later one takes its place, and nothing of the one before stays", () => {
	const later = text.replace(/\[snmp\]\n.*\n.*\n/, "");
	writeFileSync(at("appliance.toml"), later);
	store(later);
	const { used, files } = start();
	expect(used).toBe(true);
	expect(files).not.toContain("wanted/snmp");
});

describe("otherwise the start does it the long way, and the plan has done nothing:", () => {
	const damages: readonly (readonly [string, () => void])[] = [
		["other settings are current", () => writeFileSync(at("appliance.toml"), text.replace("gate", "door"))],
		["there are no settings", () => rmSync(at("appliance.toml"))],
		["another firmware made it", () => writeFileSync(at("release"), "VERSION=1.0.1+0a0b0c0e\n")],
		["there is none", () => rmSync(plan, { recursive: true })],
		["its sums were cut off", () => writeFileSync(join(plan, "SHA256SUMS"), "")],
		[
			"its sums end within a line",
			() => {
				const sums = readFileSync(join(plan, "SHA256SUMS"), "utf8");
				writeFileSync(join(plan, "SHA256SUMS"), sums.slice(0, -20));
			},
		],
		...[...startFiles(parseSettings(text)).keys()].flatMap((name): (readonly [string, () => void])[] => [
			[`${name} is missing`, () => rmSync(join(plan, "files", name))],
			[`${name} is cut off`, () => writeFileSync(join(plan, "files", name), "")],
		]),
	];
	test.each(damages)("%s", (_title, damage) => {
		damage();
		expect(start()).toEqual({ used: false, files: [] });
		expect(existsSync(at("ip-called"))).toBe(false);
		expect(existsSync(at("kernel-name"))).toBe(false);
	});
});
