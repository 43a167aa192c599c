/** DROVER-MIB as a network management station reads it: clean, and the very objects that the agent answers. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DROVER_OID } from "../../firmware/status/snmp/tree/drover.ts";

const project = join(import.meta.dir, "../..");
const mibs = join(project, "firmware/status/snmp/mib");
/** The base modules: Debian has them in non-free only, the SNMP library brings them. */
const path = [join(project, "node_modules/net-snmp/lib/mibs"), "/usr/share/snmp/mibs"];
const scratch = mkdtempSync(join(tmpdir(), "drover-mib-"));
afterAll(() => rmSync(scratch, { recursive: true }));

/** What smilint says at its strictest. */
function lint(file: string): string {
	const configuration = join(scratch, "smi.conf");
	writeFileSync(configuration, `path ${path.join(":")}\n`);
	const { stdout, stderr } = Bun.spawnSync(["smilint", "-c", configuration, "-l", "6", file]);
	return stdout.toString() + stderr.toString();
}

test("smilint has nothing to say", () => {
	expect(lint(join(mibs, "DROVER-MIB.txt"))).toBe("");
});

test("smilint would have something to say", () => {
	const text = readFileSync(join(mibs, "DROVER-MIB.txt"), "utf8");
	const broken = join(scratch, "DROVER-MIB.txt");
	writeFileSync(broken, text.replace("SYNTAX      DisplayString", "SYNTAX      DisplayedString"));
	expect(lint(broken)).toContain("DisplayedString");
});

test("the module hangs where the agent answers", () => {
	const { stdout } = Bun.spawnSync([
		...["snmptranslate", "-M", [mibs, ...path].join(":"), "-m", "DROVER-MIB", "-On"],
		"DROVER-MIB::droverVersion.0",
	]);
	expect(stdout.toString().trim()).toBe(`.${DROVER_OID}.1.1.0`);
});
