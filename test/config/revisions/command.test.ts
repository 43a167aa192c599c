/** `drover config commit` and its kin, as the operator types them. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const drover = join(import.meta.dir, "../../../firmware/drover.ts");
let directory: string;
beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "drover-config-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** Runs `drover config WORDS`; status and both outputs. */
function config(...words: string[]): { status: number; text: string } {
	const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, drover, "config", ...words], {
		env: {
			...process.env,
			DROVER_CONFIG_DIR: directory,
			DROVER_RUN_DIR: join(directory, "run"),
			USER: "anna",
		},
	});
	return { status: exitCode, text: stdout.toString() + stderr.toString() };
}
const candidate = () => join(directory, "candidate/keepalived.conf");
const running = () => readFileSync(join(directory, "current/keepalived.conf"), "utf8");
const server = (weight: number) => `virtual_server 192.0.2.1 80 {
    protocol TCP
    real_server 192.0.2.10 80 {
        weight ${weight}
    }
}
`;

function write(text: string): void {
	config("edit");
	writeFileSync(candidate(), text);
}

test("edit, compare, commit, history", () => {
	write(server(1));
	expect(config("commit", "first", "service").text).toContain("Revision 1 is in force.");
	write(server(3));
	expect(config("compare").text).toContain("-        weight 1\n+        weight 3");
	const committed = config("commit", "more weight");
	expect(committed.text).toMatch(/weight 1 .*3/);
	expect(committed.text).toContain("Revision 2 is in force.");
	expect(running()).toBe(server(3));
	expect(config("history").text).toMatch(
		/^ +2 .*anna, shell: more weight {2}\[in force\]\n +1 .*first service\n$/,
	);
	expect(config("compare").text).toBe("No difference.\n");
});

test("a typo costs nothing: it is named, and what runs stays", () => {
	write(server(1));
	config("commit");
	write(server(2).replace("weight", "wieght"));
	const refused = config("commit");
	expect(refused.status).toBe(1);
	expect(refused.text).toContain('did you mean "weight"?');
	expect(refused.text).toContain("Not committed: the running configuration stays as it is.");
	expect(running()).toBe(server(1));
});

describe("commit confirm", () => {
	test("goes back by itself when nobody confirms", async () => {
		write(server(1));
		config("commit");
		write(server(2));
		expect(config("commit", "confirm", "0.02").text).toContain("unless you say");
		expect(running()).toBe(server(2));
		const deadline = Date.now() + 20_000;
		while (running() !== server(1) && Date.now() < deadline) await Bun.sleep(100);
		expect(running()).toBe(server(1));
	});
	test("stays when confirmed", () => {
		write(server(1));
		config("commit");
		write(server(2));
		config("commit", "confirm", "5");
		expect(config("history").text).toContain("[in force, back in 5 minutes]");
		expect(config("confirm").text).toBe("Revision 2 stays.\n");
		expect(config("history").text).not.toContain("back in");
		expect(running()).toBe(server(2));
	});
	test.each(["0", "-1", "soon", "99999"])("%p minutes are refused", (minutes) => {
		expect(config("commit", "confirm", minutes).text).toContain("takes minutes, 1 to 1440");
	});
});

test("roll back, rescue, backup and restore", () => {
	write(server(1));
	config("commit");
	write(server(2));
	config("commit");
	expect(config("rollback", "1").text).toContain("Revision 3 is in force: what revision 1 was.");
	expect(running()).toBe(server(1));
	expect(config("rescue", "2").text).toBe("Rescue starts with revision 2.\n");
	const archive = join(directory, "backup.tar");
	expect(config("backup", archive).text).toContain("holds revision 3");
	write(server(9));
	config("commit");
	config("restore", archive);
	config("commit");
	expect(running()).toBe(server(1));
	expect(config("rollback", "77").text).toBe("drover config: there is no revision 77\n");
});
