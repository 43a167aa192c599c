/** The commands' help, and their completion in a real bash. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { help as factoryReset } from "../../firmware/appliance/factory-reset.ts";
import { help as cache } from "../../firmware/cache/ask.ts";
import { help as config } from "../../firmware/config/command.ts";
import { help as access } from "../../firmware/console/access.ts";
import { formatHelp } from "../../firmware/console/command-help.ts";
import { bashCompletion } from "../../firmware/console/completion.ts";
import { help as ha } from "../../firmware/console/ha.ts";
import { help as log } from "../../firmware/console/log.ts";
import { help as network } from "../../firmware/console/network-face.ts";
import { help as password } from "../../firmware/console/password.ts";
import { help as rs } from "../../firmware/console/rs.ts";
import { help as shell } from "../../firmware/console/shell.ts";
import { help as status } from "../../firmware/console/status.ts";
import { help as tools } from "../../firmware/console/tools.ts";
import { help as vs } from "../../firmware/console/vs.ts";
import { WIDTH_COLUMNS } from "../../firmware/console/wrap.ts";
import { commandNames } from "../../firmware/drover.ts";
import { help as realserver } from "../../firmware/health/realserver.ts";
import { help as update } from "../../firmware/update/command.ts";
import { help as install } from "../../firmware/update/install-command.ts";

const drover = join(import.meta.dir, "../../firmware/drover.ts");
const helps = {
	...{ access, ha, log, network, password, rs, status, tools, vs },
	...{ cache, config, "factory-reset": factoryReset, install, realserver, shell, update },
};

describe("--help", () => {
	test.each(Object.entries(helps))(
		"drover %s: every way to call it, with examples, on 79 columns",
		(name, help) => {
			const text = formatHelp(help);
			expect(text).toStartWith(`usage: drover ${name}`);
			expect(text).toContain("example");
			for (const [line] of help.examples) expect(line.split(" ")[0]).toBe(name);
			for (const line of text.split("\n")) expect(line.length).toBeLessThanOrEqual(WIDTH_COLUMNS);
		},
	);
});

describe("bash", () => {
	const complete = (...words: readonly string[]) => {
		const script = `${bashCompletion(commandNames)}
COMP_LINE='${words.join(" ")}'; COMP_POINT=\${#COMP_LINE}; COMP_WORDBREAKS=; _drover; echo "\${COMPREPLY[@]}"`;
		const { stdout, stderr } = Bun.spawnSync(["bash", "-c", script]);
		expect(stderr.toString()).toBe("");
		return stdout.toString().trim().split(" ");
	};
	test.each([
		[["drover", "to"], ["tools"]],
		[["drover", "vs", "ma"], ["maintenance"]],
		[["drover", "vs", "change", "10.0.0.1:80", "--sch"], ["--scheduler"]],
		[
			["drover", "vs", "change", "10.0.0.1:80", "--scheduler", "w"],
			["wrr", "wlc"],
		],
		[["drover", "rs", "add", "x", "y", "--check", "h"], ["http:/"]],
		[["drover", "ha", "f"], ["failover"]],
		[
			["drover", "console", "--"],
			["--json", "--help"],
		],
		[["drover", "keepalived", "--check", "--config-t"], ["--config-test"]],
	])("%p", (words, expected) => {
		expect(complete(...words)).toEqual(expected);
	});
	test.each(Object.entries(helps))("drover %s: every verb that its help shows", (name, help) => {
		const verbs = help.usage.flatMap((line) => line.split(" ")[1]?.split("|") ?? []);
		const words = verbs.filter((word) => /^([a-z][a-z-]*|DR|TUN)$/.test(word));
		expect(complete("drover", name, "")).toEqual(expect.arrayContaining(words));
	});
	test("every command has help, and every option that it shows is offered", async () => {
		for (const name of commandNames) {
			const { stdout, exitCode } = Bun.spawnSync([process.execPath, drover, name, "--help"]);
			expect([name, exitCode, stdout.length > 0]).toEqual([name, 0, true]);
			const options = stdout.toString().match(/(?<![\w-]|ipvsadm )--[a-z][\w-]*/g) ?? [];
			expect([name, complete("drover", name, "--")]).toEqual([name, expect.arrayContaining(options)]);
		}
	}, 60_000);
	test("every command is offered", () => {
		expect(complete("drover", "").sort()).toEqual([...commandNames, "help"].sort());
	});
});
