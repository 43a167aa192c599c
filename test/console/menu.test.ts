/** The menu's dialogues, driven without a terminal: facts and typed lines in, texts and steps out. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { ApplianceSettings } from "../../firmware/appliance/settings/schema.ts";
import { parseSettings } from "../../firmware/appliance/settings.ts";
import type { ConsoleFacts } from "../../firmware/console/facts.ts";
import { banner } from "../../firmware/console/menu/banner.ts";
import type { Dialogue, Reply, Step } from "../../firmware/console/menu/dialogue.ts";
import { help, mainMenu, session } from "../../firmware/console/menu/main-menu.ts";
import { login } from "../../firmware/console/menu/password.ts";
import { splitWords } from "../../firmware/console/menu/submenu.ts";
import { fold, WIDTH_COLUMNS } from "../../firmware/console/wrap.ts";
import {
	consoleFacts,
	directorStatus,
	instanceStatus,
	realServerStatus,
	virtualServerStatus,
	vrrpStatus,
} from "./samples.ts";

const boxSettings = parseSettings(`hostname = "director-b"
[[port]]
name = "eth0"
role = "outside"
addresses = ["192.168.80.101/24"]
[[route]]
to = "10.1.0.0/16"
via = "192.168.80.1"
[[user]]
name = "anna"
[[syslog.receivers]]
host = "log.example.net"
[[snmp.users]]
name = "watch"
auth_password = "long enough"
privacy_password = "long enough too"
[[snmp.receivers]]
version = "v2c"
address = "10.80.0.7"
community = "told"
`);

interface Played {
	/** All that was shown: texts and prompts. */
	readonly shown: readonly string[];
	readonly commands: readonly string[];
	readonly steps: readonly Step[];
}

interface World {
	readonly facts?: ConsoleFacts;
	/** The speed of the line; null: it has none. */
	readonly lineBaud?: number | null;
	/** What the facts are once a command that commits was run. */
	readonly committed?: ConsoleFacts;
	/** What they are once it was asked whether a commit stays. */
	readonly decided?: ConsoleFacts;
	readonly settings?: ApplianceSettings | null;
	/** Exit status of a command. */
	readonly status?: (command: string) => number;
	/** Null is done. */
	readonly act?: (step: Extract<Step, { kind: "act" }>["act"]) => string | null;
}

/** Types these lines one after the other; what is asked after the last one is not answered. */
function play(dialogue: Dialogue, typed: readonly string[], world: World = {}): Played {
	const shown: string[] = [];
	const commands: string[] = [];
	const steps: Step[] = [];
	const left = [...typed];
	let reply: Reply = { kind: "done" };
	let found = world.facts ?? consoleFacts();
	for (let count = 0; count < 10_000; count++) {
		const step = dialogue.next(reply);
		if (step.done) return { shown, commands, steps };
		steps.push(step.value);
		switch (step.value.kind) {
			case "say":
				shown.push(...step.value.lines);
				for (const line of step.value.lines) expect(line.length).toBeLessThanOrEqual(WIDTH_COLUMNS);
				reply = { kind: "done" };
				break;
			case "ask": {
				const line = left.shift();
				shown.push(step.value.prompt);
				if (step.value.prompt.startsWith("Does everything work?")) found = world.decided ?? found;
				expect(step.value.prompt.trim().length).toBeLessThan(WIDTH_COLUMNS);
				if (line === undefined) return { shown, commands, steps };
				reply = line === "(tick)" ? { kind: "tick" } : { kind: "line", text: line };
				break;
			}
			case "facts":
				reply = { kind: "facts", facts: { ...found, lineBaud: world.lineBaud ?? null } };
				break;
			case "settings":
				reply = { kind: "settings", settings: world.settings === undefined ? boxSettings : world.settings };
				break;
			case "run": {
				const { words, input } = step.value;
				const command = [...words, ...(input.length === 0 ? [] : [`< ${input.join("|")}`])].join(" ");
				commands.push(command);
				if (/ --yes\b|^config (commit|rollback \d+ confirm)/.test(command)) found = world.committed ?? found;
				reply = { kind: "status", status: world.status?.(command) ?? 0 };
				break;
			}
			case "act":
				reply = { kind: "acted", trouble: world.act?.(step.value.act) ?? null };
				break;
			case "lend":
			case "pause":
				reply = { kind: "done" };
		}
	}
	throw new Error("the dialogue does not come to an end");
}

const menu = (...typed: readonly string[]) => play(session(false), typed);
const menuIn = (world: World, ...typed: readonly string[]) => play(session(false), typed, world);

describe("the first screen", () => {
	test("banner and menu of an ordinary box: at 9600 baud under 0.8 s", () => {
		const ports = consoleFacts().ports;
		const facts = consoleFacts({
			ports: [...ports, { ...ports[0]!, name: "eth1", addresses: ["10.80.0.101/24"] }],
			director: {
				kind: "running",
				status: directorStatus({ virtualServers: [virtualServerStatus(), virtualServerStatus()] }),
			},
		});
		const text = play(session(false), [], { facts }).shown.join("\r\n");
		expect(text).toBe(
			[
				"director-b  Drover 0.1.0+7df1c122  slot A good  up 1 h 02 min  00:01:01 UTC",
				"VI_1 MASTER holds 192.168.80.200",
				"eth0 1000 Mb/s 192.168.80.101/24; eth1 1000 Mb/s 10.80.0.101/24",
				"2 virtual servers, 4 of 4 real servers in",
				"",
				" 1 Status              5 Cache             9 Firmware",
				" 2 Network             6 Configuration    10 Access",
				" 3 Virtual servers     7 Logs and events  11 Shell",
				" 4 High availability   8 Tools            12 Restart or power off",
				" 0 Log out   ? Help",
				"\ndirector-b> ",
			].join("\r\n"),
		);
		expect(text.length).toBeLessThan(0.8 * 960);
		expect(mainMenu("set").join("\r\n").length).toBeLessThan(700);
	});

	describe("on a slow line", () => {
		const reason = "an advert of 192.168.80.103 with another list of virtual addresses than ours ".repeat(4);
		const ports = Array.from({ length: 12 }, (_, index) => ({
			...consoleFacts().ports[0]!,
			name: `enp1s0f${index}v10000`.slice(0, 15),
			carrier: index > 3,
			addresses: ["192.168.80.101/24", "2001:db8:1234:5678:9abc:def0:1234:5678/64"],
		}));
		const troubled = consoleFacts({
			hostname: "h".repeat(63),
			ports,
			vrrp: {
				kind: "running",
				status: vrrpStatus({
					instances: Array.from({ length: 9 }, (_, index) =>
						instanceStatus({
							name: `SHOP_${index}_${"X".repeat(40)}`,
							conflict: reason,
							virtualAddresses: Array.from({ length: 20 }, (_, host) => `192.168.80.${host}/32`),
						}),
					),
				}),
			},
			reverted: reason,
			password: "none",
		});
		const some = consoleFacts({ ports: ports.slice(0, 2), password: "none", reverted: "1.2.0 was not good" });
		const screen = (facts: ConsoleFacts, lineBaud: number | null) =>
			play(session(false), [], { facts, lineBaud }).shown.join("\n").replaceAll("\n", "\r\n");

		test.each([
			["an ordinary box", consoleFacts()],
			["three alarms", some],
			["everything at once", troubled],
		])("of 9600 baud it is drawn in 0.65 s: %s", (_, facts) => {
			const text = screen(facts, 9_600);
			expect(text.length).toBeLessThan(0.65 * 960);
			expect(text).toContain("12 Restart or power off");
			expect(text.endsWith(`\r\n${facts.hostname}> `)).toBe(true);
		});

		test("alarms are the last to be left out, and it is said how many", () => {
			expect(screen(troubled, 9_600).split("\r\n").slice(1, 4)).toEqual([
				"! an advert of 192.168.80.103 with another list of virtual addresses than ours~",
				"! and 14 more: 1 shows them",
				"VRRP instances: 9 (4 shows them)",
			]);
			expect(screen(some, 9_600).split("\r\n").slice(1, 6)).toEqual([
				"! 1.2.0 was not good",
				"! No password is set: whoever is at this line is in (10 Access)",
				"! enp1s0f0v10000 has no link",
				"! enp1s0f1v10000 has no link",
				"VI_1 MASTER holds 192.168.80.200",
			]);
		});

		test("a fast one, or none, shows all", () => {
			expect(screen(troubled, 115_200)).toBe(screen(troubled, null));
			expect(screen(troubled, null).length).toBeGreaterThan(2_000);
		});
	});

	test("alarms come first", () => {
		const lines = banner(
			consoleFacts({
				slotState: "trial",
				reverted: "1.2.0 did not prove itself; the box went back to 1.1.0 in slot A",
				password: "none",
				crashing: [{ service: "cache", text: "ended 5 times within 60 s, last with status 1, signal 0" }],
				revision: { current: 8, pending: { revision: 8, previous: 7, deadlineMs: 61_000 + 240_000 } },
				director: { kind: "silent", reason: "director is not running" },
			}),
		);
		expect(lines.slice(0, 9)).toEqual([
			"director-b  Drover 0.1.0+7df1c122  slot A ON TRIAL  up 1 h 02 min  00:01:01 UTC",
			"! The firmware is on trial: it goes back by itself unless it does what the old",
			"  one did",
			"! 1.2.0 did not prove itself; the box went back to 1.1.0 in slot A",
			"! Revision 8 is taken back in 4 min 00 s unless confirmed (6 Configuration)",
			"! Service cache keeps ending: ended 5 times within 60 s, last with status 1,",
			"  signal 0",
			"! Balancing does not run: director is not running",
			"! and 1 more: 1 shows them",
		]);
	});

	test("no line of any menu is wider than 79 columns, none has over 12 items or takes a line of 9600 baud 0.65 s", () => {
		for (let item = 1; item <= 12; item++) {
			const { shown } = menu(String(item));
			const own = shown.slice(shown.indexOf("\ndirector-b> ") + 1);
			for (const line of own) expect(line.length).toBeLessThanOrEqual(WIDTH_COLUMNS);
			if (item === 1) continue;
			// A line of 9600 baud carries it in less than 0.65 s.
			expect(own.join("\r\n").length).toBeLessThan(0.65 * 960);
			expect(own.filter((line) => /^ ?\d+ /.test(line)).length).toBeLessThanOrEqual(13);
		}
		for (const line of help) expect(line.length).toBeLessThanOrEqual(WIDTH_COLUMNS);
	});

	test.each([
		["5", "3"],
		["5", "4"],
		["5", "5"],
		["6", "9"],
		["6", "10"],
		["8", "1"],
		["8", "2"],
		["9", "3"],
	])("0 goes back where a text is asked for, too: %s, %s", (item, below) => {
		const { commands, shown } = menu(item, below, "0");
		expect(commands).toEqual([]);
		expect(shown.at(-1)).toMatch(/^\w+> $/);
	});
	test("an empty line shows the banner again; what is not there is said", () => {
		const { shown } = menu("", "13", "help");
		expect(shown.filter((line) => line.startsWith("director-b  Drover"))).toHaveLength(2);
		expect(shown).toContain("There is no 13 here: 1 to 12.");
		expect(shown).toContain("A number opens an item, Enter shows the banner again, 0 goes back.");
	});
});

test("? in a menu below shows it again, and what can be typed there", () => {
	const { shown, commands } = menu("2", "?", "help");
	expect(commands).toEqual([]);
	expect(shown.filter((line) => line.startsWith(" 1 Ports, addresses, routes"))).toHaveLength(3);
	expect(shown.filter((line) => line.includes("the command that does the same"))).toHaveLength(2);
});

test.each([
	["Logged out after how many idle minutes", ["10", "8", "x"], "A number from 1 to 1440 or never."],
	["Authentication", ["10", "4", "3", "bob", "short"], "It is sha256 or sha."],
])("%s: a wrong answer is told the right ones", (_prompt, typed, words) => {
	expect(menu(...typed).shown).toContain(words);
});

test("reboot and poweroff are no commands of the program, and take no words", () => {
	const { shown, commands } = menu("reboot now", "poweroff --help");
	expect(commands).toEqual([]);
	expect(shown).toContain('"reboot" takes no words: it asks.');
	expect(shown).toContain('"poweroff" takes no words: it asks.');
});

test("a whole virtual server is drained on request only", () => {
	expect(menu("3", "5", "n").commands).toEqual([]);
});

describe("a command's lines that are wider than the terminal", () => {
	test.each([
		["short", ["short"]],
		["one two three four", ["one two ", "three four"]],
		["  indented by two", ["  indented ", "by two"]],
		["abcdefghijklmno", ["abcdefghijk", "lmno"]],
		["           x", ["           ", "x"]],
		["", [""]],
	])("%p: between words where there are any, and nothing is lost", (line, parts) => {
		expect(fold(line, 11)).toEqual([...parts]);
	});
});

describe("every item has its command", () => {
	test.each([
		[["2", "1"], "network"],
		[["2", "6"], "ports blink eth0 10"],
		[["2", "7"], "network apply"],
		[["3", "5", "y"], "vs drain 192.168.80.200:80"],
		[["3", "6", "y"], "vs maintenance 192.168.80.200:80"],
		[["3", "7"], "vs undo 192.168.80.200:80"],
		[["3", "2", "2", "1"], "rs why 192.168.80.102:80 192.168.80.200:80"],
		[["3", "2", "5", "2"], "rs drain 192.168.80.103:80 192.168.80.200:80"],
		[["4", "2"], "ha why VI_1"],
		[["4", "3", "director-b"], "ha failover"],
		[["4", "4"], "ha take-over"],
		[["5", "1"], "cache status"],
		[["5", "2"], "cache top"],
		[["5", "3", "www.example.org/"], "cache why www.example.org/"],
		[["5", "4", "www.example.org/"], "cache purge www.example.org/"],
		[["5", "5", "req.url ~ ^/news/", "y"], "cache ban req.url ~ ^/news/"],
		[["6", "1"], "config history"],
		[["6", "3", ""], "config compare 7"],
		[["6", "5"], "config confirm"],
		[["6", "6", "y"], "config discard"],
		[["6", "7", "3", "y"], "config rollback 3 confirm 5"],
		[["6", "8", "3"], "config rescue 3"],
		[["6", "9", "/data/backup.tar"], "config backup /data/backup.tar"],
		[["6", "10", "", "director-b"], "config restore usb"],
		[["7", "1", ""], "log events 20"],
		[["7", "2", "50"], "log 50"],
		[["7", "3", "vrrp"], "log 40 vrrp"],
		[["7", "4"], "log last 40"],
		[["7", "5"], "log 40 warn"],
		[["8", "1", "10.0.0.4"], "tools ping 10.0.0.4"],
		[["8", "2", "10.0.0.4"], "tools traceroute 10.0.0.4"],
		[["8", "3"], "tools conflicts"],
		[["8", "4"], "tools verify"],
		[["8", "5", "vrrp", "5"], "tools capture eth0 --seconds 5 --filter vrrp"],
		[["8", "6", "", ""], "tools capture eth0 --seconds 20 --usb"],
		[["8", "7"], "ipvs"],
		[["9", "1"], "update status"],
		[["9", "2"], "update history"],
		[["9", "3", "https://example.org/a.fw", "", "director-b"], "update install https://example.org/a.fw"],
		[["9", "4", "y"], "update confirm"],
		[["9", "5", "director-b"], "update rollback"],
		[["9", "6", "/dev/sda", "/dev/sda"], "install /dev/sda --name /dev/sda"],
		[["9", "7", "director-b"], "factory-reset --name director-b --reboot"],
		[["10", "2"], "access"],
		[["10", "9", "9600"], "console speed 9600"],
		[["drover ha"], "ha"],
		[["tools ping 10.0.0.4"], "tools ping 10.0.0.4"],
		[['cache ban "req.url ~ /a b"'], "cache ban req.url ~ /a b"],
	] as const)("%p runs %p", (typed, command) => {
		expect(menu(...typed).commands).toContain(command);
	});

	test("shell, editor, restart", () => {
		expect(menu("11").steps).toContainEqual({ kind: "lend", program: "shell" });
		expect(menu("6", "2", "", "y").steps).toContainEqual({
			kind: "lend",
			program: { editFile: "keepalived.conf" },
		});
		// scp asks for a password on the terminal itself.
		for (const typed of [
			["6", "9", "scp://anna@10.0.0.7/b.tar"],
			["config backup scp://anna@10.0.0.7/b.tar"],
		])
			expect(menu(...typed).steps).toContainEqual({
				kind: "lend",
				program: { command: ["config", "backup", "scp://anna@10.0.0.7/b.tar"] },
			});
		expect(menu("6", "3", "0").commands).toEqual([]);
		// A revision that is not there is no question.
		const missing: World = { status: (command) => (command === "config compare 7 55" ? 2 : 0) };
		expect(menuIn(missing, "6", "7", "55").shown.at(-1)).toBe("config> ");
		const restart: Step = { kind: "act", act: { kind: "end-machine", how: "reboot" } };
		expect(menu("12", "reboot", "director-b").steps).toContainEqual(restart);
		expect(menu("reboot", "director-b").steps).toContainEqual(restart);
	});
});

test("the last real server that is in is taken out only on a yes", () => {
	const realServers = [
		realServerStatus(),
		realServerStatus({ address: "192.168.80.103", override: "maintenance" }),
	];
	const status = directorStatus({ virtualServers: [virtualServerStatus({ realServers })] });
	const world = { facts: consoleFacts({ director: { kind: "running", status } }) };
	for (const item of ["5", "6"]) {
		const asked = menuIn(world, "3", "2", item, "1", "n");
		expect(asked.shown.join(" ")).toContain("is the last of 192.168.80.200:80 that is in");
		expect(asked.commands).toEqual([]);
		expect(menuIn(world, "3", "2", item, "1", "y").commands).toHaveLength(1);
		expect(menuIn(world, "3", "2", item, "2").commands).toHaveLength(1);
	}
	expect(menuIn(world, "3", "2", "7", "2").commands).toHaveLength(1);
});

describe("nothing destructive without the box's name", () => {
	test.each([
		[["3", "8"], "vs remove"],
		[["3", "2", "8", "1"], "rs remove"],
		[["4", "3"], "ha failover"],
		[["6", "10", "/data/x"], "config restore"],
		[["9", "3", "/data/x.fw"], "update install"],
		[["9", "5"], "update rollback"],
		[["9", "7"], "factory-reset"],
	] as const)("%p", (typed, command) => {
		for (const wrong of ["", "y", "yes", "director-a", "DIRECTOR-B"]) {
			const { commands, shown } = menu(...typed, wrong);
			expect(commands.filter((each) => each.startsWith(command))).toEqual([]);
			expect(shown).toContain('That is not "director-b". Nothing was done.');
		}
	});
	test("restart and power off", () => {
		for (const how of ["reboot", "poweroff"])
			expect(menu("12", how, "yes").steps.some(({ kind }) => kind === "act")).toBe(false);
	});
});

describe("changes go through the plan and a commit that waits", () => {
	const waiting = consoleFacts({
		revision: { current: 8, pending: { revision: 8, previous: 7, deadlineMs: 361_000 } },
	});
	const asked = ["3", "2", "4", "1", "5"];
	const change = "rs change 192.168.80.102:80 192.168.80.200:80 --weight 5";

	test("seen, put into force, kept", () => {
		expect(menuIn({ committed: waiting }, ...asked, "y", "y").commands).toEqual([
			`${change} --plan`,
			`${change} --yes`,
			"config confirm",
		]);
	});
	test("taken back at once, or left to the clock", () => {
		expect(menuIn({ committed: waiting }, ...asked, "y", "n").commands.at(-1)).toBe("config rollback 7");
		expect(menuIn({ committed: waiting }, ...asked, "y", "").commands.at(-1)).toBe(`${change} --yes`);
	});
	test("in force with trouble somewhere: it is asked all the same whether it stays", () => {
		const trouble = (command: string) => (command.endsWith("--yes") ? 1 : 0);
		expect(menuIn({ committed: waiting, status: trouble }, ...asked, "y", "n").commands.at(-1)).toBe(
			"config rollback 7",
		);
		expect(menuIn({ status: trouble }, ...asked, "y").shown.at(-1)).toBe("real servers> ");
	});
	test.each([
		["its time has run out", 7, "Revision 8 was taken back meanwhile: revision 7 is in force."],
		["somebody else has confirmed it", 8, "Somebody else has confirmed revision 8 meanwhile: it stays."],
		["somebody has gone on from there", 9, "Somebody else has gone on to revision 9 meanwhile."],
	])("over the question %s: the answer does nothing, and says so", (_title, current, said) => {
		const decided = consoleFacts({ revision: { current, pending: null } });
		for (const answer of ["y", "n"]) {
			const { commands, shown } = menuIn({ committed: waiting, decided }, ...asked, "y", answer);
			expect(commands.at(-1)).toBe(`${change} --yes`);
			expect(shown.join(" ")).toContain(`${said} Your answer did nothing.`);
		}
	});
	test("refused, since somebody else's commit waits: that one is not asked about", () => {
		const refused = (command: string) => (command.endsWith("--yes") ? 1 : 0);
		expect(menuIn({ facts: waiting, status: refused }, ...asked, "y").shown.at(-1)).toBe("real servers> ");
		expect(
			menuIn(
				{ facts: waiting, status: (command) => (command === "config compare" ? 1 : 0) },
				"6",
				"4",
				"5",
				"",
				"y",
			).shown.at(-1),
		).toBe("config> ");
	});
	test("a weight is shown as it is while the server is drained, too; Enter leaves it, 0 is one", () => {
		const real = realServerStatus({ override: "drained", weight: 0 });
		const virtualServers = [virtualServerStatus({ realServers: [real] })];
		const facts = consoleFacts({
			director: { kind: "running", status: directorStatus({ virtualServers }) },
		});
		const weigh = (text: string) => menuIn({ facts, status: () => 1 }, "3", "2", "4", text);
		const left = weigh("");
		expect(left.commands).toEqual([]);
		expect(left.shown.slice(-8)).toContain("Weight of 192.168.80.102:80 [3]: ");
		expect(left.shown).toContain("Nothing was changed.");
		expect(weigh("0").commands).toEqual(["rs change 192.168.80.102:80 192.168.80.200:80 --weight 0 --plan"]);
	});
	test("a plan that is refused or says nothing ends it", () => {
		for (const status of [1, 5])
			expect(menuIn({ status: () => status }, ...asked).commands).toEqual([`${change} --plan`]);
	});
	test("seen and not wanted", () => {
		const { commands, shown } = menu(...asked, "");
		expect(commands).toEqual([`${change} --plan`]);
		expect(shown).toContain("Nothing was changed.");
	});
	test("a change that is typed as a command goes the same way", () => {
		expect(menuIn({ committed: waiting }, "vs remove 192.168.80.200:80", "y", "y").commands).toEqual([
			"vs remove 192.168.80.200:80 --plan",
			"vs remove 192.168.80.200:80 --yes",
			"config confirm",
		]);
	});

	test("a setting that is typed as a command, too; its quotation marks hold it together", () => {
		expect(menuIn({ committed: waiting }, 'config set "snmp.location=rack 3"', "y", "y").commands).toEqual([
			"config set snmp.location=rack 3 --plan",
			"config set snmp.location=rack 3 --yes",
			"config confirm",
		]);
	});

	test("a question for y or n is asked again when the answer is for another question", () => {
		const { commands, shown } = menuIn({}, ...["6", "6", "99", "y"]);
		expect(shown).toContain('"99" is neither y nor n.');
		expect(commands).toEqual(["config discard"]);
		expect(menuIn({}, ...["6", "6", "confirm", "n"]).commands).toEqual([]);
	});

	test.each([
		["ipvs --save >table", ">"],
		["drover log 500 | grep VI_1", "|"],
		["status 2>&1", "2>"],
	])("%s is for a shell, and is not run", (line, sign) => {
		const { commands, shown } = menuIn({}, line);
		expect(commands).toEqual([]);
		expect(shown.join("\n")).toContain(`"${sign}" is for a shell`);
	});

	test.each([
		["cache ban obj.age > 1d", "cache ban obj.age > 1d"],
		['tools capture eth0 --filter "len > 100"', "tools capture eth0 --filter len > 100"],
		["config commit R&D->production", "config commit R&D->production"],
	])("%s is none of it", (line, command) => {
		expect(menuIn({}, line).commands).toEqual([command]);
	});

	test("a virtual server, question by question, with wrong answers in between", () => {
		const { commands, shown } = menuIn(
			{ committed: waiting },
			...["3", "3"],
			...["192.168.80.300:80", "192.168.80.201:443"],
			...["http", "tcp"],
			...["lan", "dr"],
			...["best", ""],
			...["icmp", "http:/health"],
			...["192.168.80.102", "192.168.80.103:8443=3", "web3", ""],
			"n",
		);
		expect(commands).toEqual([
			"vs add 192.168.80.201:443 --protocol tcp --forward dr --scheduler wlc --check http:/health --real 192.168.80.102:443 --real 192.168.80.103:8443=3 --plan",
		]);
		for (const mistake of [
			'"192.168.80.300:80" is not ADDRESS:PORT, such as 10.0.0.4:80.',
			'There is no protocol "http": TCP, UDP or SCTP.',
			'There is no forwarding "lan": NAT, DR or TUN.',
			'"icmp" is no check: tcp, none, or http:/PATH.',
			'"web3" is not ADDRESS:PORT, such as 10.0.0.4:80.',
		])
			expect(shown).toContain(mistake);
	});

	test("only what was answered is changed", () => {
		const { commands } = menu("3", "4", "wlc", "", "", "off", "", "10.0.0.9:80", "n");
		expect(commands).toEqual([
			"vs change 192.168.80.200:80 --scheduler wlc --persistence off --sorry 10.0.0.9:80 --plan",
		]);
		expect(menu("3", "4", "", "", "", "", "", "").commands).toEqual([]);
		const { commands: givenUp, shown } = menu("3", "4", "wlc", "0");
		expect(givenUp).toEqual([]);
		expect(shown.at(-1)).toStartWith("servers> ");
	});
});

test("before a roll back what runs is compared with what is to run, not the working copy", () => {
	expect(menu("6", "7", "3", "y").commands).toEqual([
		"config history",
		"config compare 7 3",
		"config rollback 3 confirm 5",
	]);
});

test("a roll back is a change: it is asked whether it stays, and taken back by itself", () => {
	const committed = consoleFacts({
		revision: { current: 8, pending: { revision: 8, previous: 7, deadlineMs: 361_000 } },
	});
	const last = (answer: string) => menuIn({ committed }, "6", "7", "3", "y", answer).commands.at(-1);
	expect(["y", "n", ""].map(last)).toEqual([
		"config confirm",
		"config rollback 7",
		"config rollback 3 confirm 5",
	]);
});

test("an https place is asked who signed its certificate", () => {
	const place = "https://backup.example/b.tar";
	expect(menu("6", "9", place, "/data/ca.pem").commands).toEqual([`config backup ${place} ca /data/ca.pem`]);
	expect(menu("6", "9", place, "").commands).toEqual([`config backup ${place}`]);
	expect(menu("6", "10", place, "/data/ca.pem", "director-b").commands[0]).toBe(
		`config restore ${place} ca /data/ca.pem`,
	);
	expect(menu("9", "3", place, "/data/ca.pem", "director-b").commands).toEqual([
		`update install ${place} ca /data/ca.pem`,
	]);
});

describe("settings: questions with what is set now, then the plan", () => {
	test("a port that is not in the file yet needs its role, and nothing is asked before that", () => {
		const settings = { ...boxSettings, port: [] };
		const on = (...typed: readonly string[]) => menuIn({ settings }, "2", "2", ...typed);
		for (const answer of ["", "0"]) {
			const { shown, commands } = on(answer);
			expect(shown).toContain("eth0 is not set up yet: that comes first.");
			expect(commands).toEqual([]);
		}
		expect(on("inside", "192.0.2.10/24", "", "").commands[0]).toBe(
			"config set port[eth0].role=inside port[eth0].addresses=192.0.2.10/24 --plan",
		);
	});
	const planned = (...typed: readonly string[]) => {
		const { commands } = menu(...typed);
		for (const command of commands) expect(command).toMatch(/^config set .* --plan/);
		return commands.map((command) => command.replace("config set ", "").replace(" --plan", ""));
	};
	test.each([
		[
			["2", "2", "", "192.0.2.10/24 fd00::10/64", "192.0.2.1", ""],
			"port[eth0].addresses=192.0.2.10/24,fd00::10/64 port[eth0].gateways=192.0.2.1",
		],
		[
			["2", "2", "inside", "none", "", "9000"],
			"port[eth0].role=inside port[eth0].addresses= port[eth0].mtu=9000",
		],
		[["2", "3", "gate", "192.0.2.53", ""], "hostname=gate dns=192.0.2.53"],
		[["2", "4", "10.2.0.0/16", "10.80.0.2"], "route[+].to=10.2.0.0/16 route[+].via=10.80.0.2"],
		[["2", "5", "1"], "--remove route[1]"],
		[
			["10", "3", "1", "on", "", "2222", "10.80.0.0/24"],
			"ssh.enabled=on ssh.port=2222 ssh.sources=10.80.0.0/24",
		],
		[["10", "3", "2", "", "ssh-ed25519 AAAA anna"], "user[root].keys+=ssh-ed25519 AAAA anna"],
		[["10", "3", "3", "1"], "--remove user[1]"],
		[
			["10", "4", "1", "on", "10.80.0.0/24", "rack 3", ""],
			"snmp.enabled=on snmp.sources=10.80.0.0/24 snmp.location=rack 3",
		],
		[["10", "4", "2", "whisper murmur"], "snmp.communities=- < whisper,murmur"],
		[
			["10", "4", "3", "ops", "", "one long word", "one long word", "", "a second one", "a second one"],
			"snmp.users[ops].auth=sha256 snmp.users[ops].auth_password=- snmp.users[ops].privacy=aes snmp.users[ops].privacy_password=- < one long word|a second one",
		],
		[["10", "4", "4", "1"], "--remove snmp.users[1]"],
		[
			["10", "4", "5", "10.80.0.8", "", "", "told"],
			"snmp.receivers[+].version=v2c snmp.receivers[+].address=10.80.0.8 snmp.receivers[+].kind=inform snmp.receivers[+].community=- < told",
		],
		[
			["10", "4", "5", "10.80.0.8", "trap", "v3"],
			"snmp.receivers[+].version=v3 snmp.receivers[+].address=10.80.0.8 snmp.receivers[+].kind=trap snmp.receivers[+].user=watch",
		],
		[["10", "4", "6", "1"], "--remove snmp.receivers[1]"],
		[
			["10", "5", "1", "10.80.0.9", "", ""],
			"syslog.receivers[+].host=10.80.0.9 syslog.receivers[+].transport=udp",
		],
		[
			["10", "5", "1", "log.example.net", "tls", "", "ca.pem"],
			"syslog.receivers[+].host=log.example.net syslog.receivers[+].transport=tls syslog.receivers[+].ca=ca.pem",
		],
		[["10", "5", "2", "1"], "--remove syslog.receivers[1]"],
		[["10", "5", "3", "debug"], "syslog.level=debug"],
		[["10", "6", "192.0.2.123, pool.example"], "ntp.servers=192.0.2.123,pool.example"],
		[["10", "7", "on", "", "10.80.0.0/24"], "metrics.enabled=on metrics.sources=10.80.0.0/24"],
		[["10", "8", "never", "off"], "console.idle_minutes=0 console.password_recovery=off"],
	] as const)("%p", (typed, expected) => expect(planned(...typed)).toEqual([expected]));

	test("a wrong answer is told why, and asked again; what was answered before it is kept", () => {
		const { shown, commands } = menu(
			...["10", "3", "1", "perhaps", "on", "", "70000", "", "10.80.0.0/240", "none"],
		);
		for (const mistake of [
			"On or off.",
			"A number from 1 to 65535.",
			'"10.80.0.0/240" is not an address or a network, such as 192.168.80.0/24.',
		])
			expect(shown).toContain(mistake);
		expect(commands).toEqual(["config set ssh.enabled=on --plan"]);
	});
	test("0 gives up at every question, Enter at every one changes nothing", () => {
		for (const item of [
			["2", "2"],
			["2", "3"],
			["10", "3", "1"],
			["10", "4", "1"],
			["10", "5", "3"],
			["10", "6"],
			["10", "7"],
			["10", "8"],
		]) {
			expect(menu(...item, "0").shown).toContain("Nothing was changed.");
			const { commands, shown } = menu(...item, "", "", "", "");
			expect(commands).toEqual([]);
			expect(shown).toContain("Nothing was changed.");
		}
		for (const item of [
			["2", "4"],
			["2", "5"],
			["10", "3", "2"],
			["10", "4", "2"],
			["10", "4", "3"],
			["10", "4", "5"],
			["10", "5", "1"],
			["10", "5", "2"],
		])
			expect(menu(...item, "0").commands).toEqual([]);
	});
	test("secrets are typed unseen, and are in no command", () => {
		const { steps } = menu(
			"10",
			"4",
			"3",
			"ops",
			"",
			"short",
			"one long word",
			"another",
			"one long word",
			"one long word",
			"",
			"a second one",
			"a second one",
		);
		const secrets = steps.flatMap((step) => (step.kind === "ask" && step.secret ? [step.prompt] : []));
		expect(secrets).toHaveLength(7);
		for (const step of steps)
			if (step.kind === "run") expect(step.words.join(" ")).not.toContain("long word");
	});
	test("seen, put into force, kept", () => {
		const waiting = consoleFacts({
			revision: { current: 8, pending: { revision: 8, previous: 7, deadlineMs: 361_000 } },
		});
		expect(menuIn({ committed: waiting }, "10", "6", "192.0.2.1", "y", "y").commands).toEqual([
			"config set ntp.servers=192.0.2.1 --plan",
			"config set ntp.servers=192.0.2.1 --yes",
			"config confirm",
		]);
	});
	test("a file that cannot be used is said, and nothing asked", () => {
		for (const item of [
			["2", "2"],
			["2", "3"],
			["2", "5"],
			["10", "3", "1"],
			["10", "4", "2"],
			["10", "6"],
		])
			expect(menuIn({ settings: null }, ...item).shown).toContain(
				'appliance.toml cannot be used: "config check" says why.',
			);
	});
	test("the menus below a menu fit, too", () => {
		for (const item of ["3", "4", "5"]) {
			const { shown } = menu("10", item);
			const own = shown.slice(shown.lastIndexOf("access> ") + 1);
			// A line of 9600 baud carries it in less than 0.65 s.
			expect(own.join("\r\n").length).toBeLessThan(0.65 * 960);
			for (const line of own) expect(line.length).toBeLessThanOrEqual(WIDTH_COLUMNS);
		}
	});
});

describe("status", () => {
	const screens = ({ shown }: Played) => shown.filter((line) => line === "High availability").length;
	test("again on r, every few seconds on request, until a key", () => {
		expect(screens(menu("1", "r", "r"))).toBe(3);
		expect(menu("1", "5", "0").shown.at(-1)).toBe("\ndirector-b> ");
		expect(menu("1", "0").shown.at(-1)).toBe("\ndirector-b> ");
		const live = menu("1", "5", "(tick)", "(tick)", "", "");
		expect(screens(live)).toBe(4);
		expect(live.steps).toContainEqual(expect.objectContaining({ kind: "ask", tickSeconds: 5 }));
		expect(live.shown.at(-1)).toBe("\ndirector-b> ");
	});
	test("no faster than the line", () => {
		expect(menu("1", "1").shown).toContain("Every 3 to 3600 seconds.");
		expect(menu("1", "x").shown).toContain('"x" is nothing here.');
	});
});

describe("services that do not answer", () => {
	const facts = consoleFacts({
		vrrp: { kind: "silent", reason: "vrrp is not running" },
		director: { kind: "silent", reason: "director did not answer within 2000 ms" },
		ports: [],
	});
	test("every item says so and goes on", () => {
		for (const typed of [
			["3", "1"],
			["3", "2"],
			["3", "4"],
			["4", "1"],
			["4", "2"],
			["4", "3"],
		]) {
			const { shown } = menuIn({ facts }, ...typed);
			expect(shown.at(-2)).toMatch(/^(Balancing|High availability) does not run: /);
		}
		expect(menuIn({ facts }, "8", "5").shown).toContain("No network port was found.");
	});
	test("a box that is master of nothing has nothing to give up", () => {
		const backup = consoleFacts({
			vrrp: { kind: "running", status: vrrpStatus({ instances: [instanceStatus({ state: "BACKUP" })] }) },
		});
		expect(menuIn({ facts: backup }, "4", "3").shown).toContain(
			"This box is master of nothing: there is nothing to give up.",
		);
	});
});

describe("the password", () => {
	const secret = (word: string) => (act: { kind: string; password?: string }) =>
		act.kind === "check-password" && act.password !== word
			? "Wrong password. The next try is possible in 1 s."
			: null;

	test("log-in: wrong ones are told and followed by a pause, the right one opens", () => {
		const { shown, steps } = play(login(false), ["guess", "", "right"], { act: secret("right") });
		expect(shown).toContain("Wrong password. The next try is possible in 1 s.");
		expect(steps.filter(({ kind }) => kind === "pause")).toHaveLength(1);
		expect(steps.at(-1)?.kind).toBe("act");
		for (const step of steps) if (step.kind === "ask") expect(step.secret).toBe(true);
	});

	test("a new one: the present one first, twice the same, and good enough", () => {
		const set = (played: Played) =>
			played.steps.flatMap((step) =>
				step.kind === "act" && step.act.kind === "set-password" ? [step.act.password] : [],
			);
		expect(set(menuIn({ act: secret("old one") }, "10", "1", "new", "long enough"))).toEqual([]);
		const good = menuIn(
			{ act: secret("old one") },
			...["10", "1", "old one", "short", "long enough", "not the same", "long enough", "long enough"],
		);
		expect(set(good)).toEqual(["long enough"]);
		expect(good.shown).toContain("A password has at least 8 characters.");
		expect(good.shown).toContain("These are not the same.");
		const first = menuIn(
			{ facts: consoleFacts({ password: "none" }) },
			"10",
			"1",
			"long enough",
			"long enough",
		);
		expect(set(first)).toEqual(["long enough"]);
	});

	test("log out", () => {
		expect(menu("0").steps.at(-1)).toEqual({ kind: "act", act: { kind: "log-out" } });
		const open = menuIn({ facts: consoleFacts({ password: "none" }) }, "0");
		expect(open.shown.at(-2)).toContain("nothing to log out of");
	});
});

describe("whatever is typed", () => {
	const word = fc.oneof(
		fc.constantFrom(..."0 1 2 3 4 5 6 7 8 9 10 11 12 y n q r a off usb tcp".split(" "), "", "(tick)"),
		fc.constantFrom("192.168.80.102", "192.168.80.102:80", "director-b", "VI_1", "-1", "99999999999"),
		fc.string({ maxLength: 60 }),
	);
	test("the menu says lines that fit, and asks again", () => {
		fc.assert(
			fc.property(fc.array(word, { maxLength: 40 }), (typed) => {
				const { shown } = menu(...typed);
				for (const text of shown)
					for (const line of text.split("\n")) {
						expect(line.length).toBeLessThanOrEqual(WIDTH_COLUMNS);
						expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
					}
			}),
			{ numRuns: 500 },
		);
	});
	test.each([
		["a b  c", ["a", "b", "c"]],
		['ban "req.url ~ /a b" x', ["ban", "req.url ~ /a b", "x"]],
		["it's", null],
		['"', null],
		["", []],
		["a'b c'd", ["ab cd"]],
	])("words of %p", (line, expected) => {
		expect(splitWords(line)).toEqual(expected);
	});
});
