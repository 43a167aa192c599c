/**
 * A person walks through the whole menu of a booted director, at its real serial port: every item, wrong
 * answers, ^C, a cable that is pulled in the middle, 9600 baud, the log-in.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DirectorStatus } from "../../../firmware/status/director.ts";
import { build } from "../../../image/build.ts";
import { addBridge, Host } from "../../../image/lab/hosts.ts";
import { presetConfiguration, WebHost } from "../../../image/lab/lab.ts";
import { labOverlay } from "../../../image/lab/overlay.ts";
import { VirtualMachine } from "../../../image/lab/virtual-machine.ts";
import { SerialConsole } from "./serial-console.ts";

const BOOT_LIMIT_MS = 400_000;
const TEST_LIMIT_MS = 240_000;
const SETTLED_LIMIT_MS = 180_000;
const LOOK_EVERY_MS = 1_000;
const PROMPT = "director-a> ";
const PASSWORD = "correct horse";

let directory: string;
let director: VirtualMachine;
const hosts: Host[] = [];

beforeAll(async () => {
	directory = mkdtempSync(join(tmpdir(), "drover-console-"));
	const boot = await build({ release: false, onProgress: () => {} });
	const [fabric, web1, web2] = await Promise.all(["fabric", "web1", "web2"].map((name) => Host.start(name)));
	hosts.push(fabric!, web1!, web2!);
	addBridge(fabric!, "outside");
	addBridge(fabric!, "inside");
	director = new VirtualMachine({
		name: "a",
		number: 1,
		directory,
		boot,
		overlay: labOverlay(),
		configuration: presetConfiguration("a"),
		fabric: fabric!,
	});
	await director.powerOn();
	new WebHost(fabric!, web1!, "web1", 102);
	new WebHost(fabric!, web2!, "web2", 103);
	await director.ready();
	await until("it is master", isMaster);
	await until("both web servers are in", async () => (await virtualServer())?.aliveRealServers === 2);
}, BOOT_LIMIT_MS);

afterAll(async () => {
	await director?.powerOff();
	await Promise.all(hosts.map((host) => host.stop()));
	rmSync(directory, { recursive: true, force: true });
}, 60_000);

async function until(what: string, check: () => Promise<boolean>): Promise<void> {
	const started = Date.now();
	while (!(await check().catch(() => false))) {
		if (Date.now() - started > SETTLED_LIMIT_MS)
			throw new Error(
				`${what}: not within ${SETTLED_LIMIT_MS / 1000} s; ${director.consoleText().slice(-1000)}`,
			);
		await Bun.sleep(LOOK_EVERY_MS);
	}
}

/** A command in the guest is a program started without hardware help: it is given its time. */
const COMMAND_LIMIT_MS = 60_000;
const isMaster = async () =>
	(await director.agent.run("ip -4 address show dev eth0", COMMAND_LIMIT_MS)).includes(" 192.168.80.200/32");
const virtualServer = async () =>
	(
		JSON.parse(
			await director.agent.run("drover vs list --json", COMMAND_LIMIT_MS),
		) as DirectorStatus["virtualServers"]
	)[0];

const stop = (title: string, use: (console: SerialConsole) => Promise<void>) =>
	test(
		title,
		async () => {
			const console = await SerialConsole.open(director.consolePath, PROMPT);
			try {
				await use(console);
			} finally {
				console.close();
			}
		},
		TEST_LIMIT_MS,
	);

describe("the serial console", () => {
	stop("banner, menu and status", async (console) => {
		const first = await console.answer("");
		expect(first).toContain("director-a  Drover ");
		expect(first).toContain("slot lab");
		expect(first).toMatch(/VI_1 MASTER holds 192\.168\.80\.200/);
		expect(first).toMatch(/eth0 .*192\.168\.80\.100\/24/);
		expect(first).toContain("! No password is set");
		expect(first).toContain("12 Restart or power off");
		const status = await console.answer("1", "0 back: ");
		expect(status).toMatch(/VI_1 +MASTER +for .*priority 100, VRID 51 on eth0/);
		expect(status).toMatch(/\[192\.168\.80\.200\]:tcp:80 wrr DR +2 of 2/);
		expect(await console.answer("x", "0 back: ")).toContain('"x" is nothing here');
		expect(await console.answer("r", "0 back: ")).toContain("High availability");
		await console.answer("3", "Enter stops, 0 back: ");
		// The next one comes by itself.
		expect(await console.answer("\x0c", "Enter stops, 0 back: ")).toContain("High availability");
		await console.answers(["", "0 back: "], ["", PROMPT]);
		expect(await console.answer("hepl\x7f\x08lp")).toContain("poweroff");
		expect(await console.answer("nonsense")).toContain('there is no command "nonsense"');
		expect(await console.answer("half a line\x03")).toContain(" 1 Status");
	});

	stop("network, cache, logs, firmware, access", async (console) => {
		await console.answer("2", "network> ");
		const network = await console.answer("1", "network> ");
		expect(network).toMatch(/eth0 +outside .*192\.168\.80\.100\/24/);
		expect(network).toContain("192.168.80.0/24 dev eth0");
		expect(await console.answer("9", "network> ")).toContain("There is no 9 here: 1 to 8");
		const plan = await console.answers(
			["2", "goes back): "],
			["2", "[inside]: "],
			["", "[10.80.0.100/24 fd00:81::100/64]: "],
			["10.80.0.100/24 10.80.0.300/24", "[10.80.0.100/24 fd00:81::100/64]: "],
			["10.80.0.100/24 10.80.0.110/24", "[none]: "],
			["", "[1500]: "],
			["", "[y/N] "],
		);
		expect(plan).toContain("- address fd00:81::100/64 dev eth1");
		expect(plan).toContain("+ address 10.80.0.110/24 dev eth1");
		expect(await console.answer("n", "network> ")).toContain("Nothing was changed.");
		await console.answer("0");
		await console.answer("5", "cache> ");
		await console.answer("0");
		await console.answer("7", "log> ");
		expect(await console.answers(["1", "[20]: "], ["50", "log> "])).toContain("rule: RFC 9568 6.4.2");
		expect(await console.answers(["2", "[20]: "], ["many", "[20]: "])).toContain("A number from 1 to 10000");
		expect(await console.answer("5", "log> ")).toMatch(/\d\d:\d\d:\d\d/);
		expect(await console.answers(["3", "...: "], ["nobody", "log> "])).toContain('no log of "nobody"');
		await console.answer("0");
		await console.answer("9", "firmware> ");
		expect(await console.answer("1", "firmware> ")).toContain("so it has no slots");
		await console.answer("0");
		await console.answer("10", "access> ");
		expect(await console.answer("2", "access> ")).toMatch(/Password +NOT SET/);
		await console.answer("0");
	});

	stop("tools", async (console) => {
		await console.answer("8", "tools> ");
		expect(await console.answers(["1", "Host: "], ["-f", "Host: "])).toContain("An address or a name");
		expect(await console.answer("192.168.80.102", "tools> ")).toContain("5 packets transmitted, 5");
		expect(await console.answers(["2", "Host: "], ["192.168.80.102", "tools> "])).toContain(
			" 1  192.168.80.102",
		);
		expect(await console.answer("3", "tools> ")).toContain("Nobody else has one of these");
		const capture = await console.answers(
			["5", "goes back): "],
			["1", "for all) [-]: "],
			["port http", "for all) [-]: "],
			["vrrp and host 192.168.80.100", "[20]: "],
			["3", "tools> "],
		);
		expect(capture).toMatch(/vrrp 192\.168\.80\.100 > 224\.0\.0\.18 v2 VRID 51 priority 100/);
		expect(await console.answer("7", "tools> ")).toContain("IP Virtual Server version");
		await console.answer("0");
	});

	stop("a real server: why, drained, back, its weight changed and taken back", async (console) => {
		const list = await console.answers(["3", "servers> "], ["1", "servers> "]);
		expect(list).toMatch(/^ *1 192\.168\.80\.200:80 +wrr +DR +2 of 2/m);
		// There is one only, so it is not asked which.
		await console.answer("2", "real servers> ");
		expect(await console.answers(["2", "goes back): "], ["77", "goes back): "])).toContain(
			'"77" is not one of them',
		);
		await console.answer("\x03");
		await console.answers(["3", "servers> "], ["2", "real servers> "]);
		const why = await console.answers(["2", "goes back): "], ["1", "real servers> "]);
		expect(why).toMatch(/192\.168\.80\.102:80 of 192\.168\.80\.200:80 is in/);
		expect(why).toMatch(/up +path: /);
		const drained = await console.answers(["5", "goes back): "], ["1", "real servers> "]);
		expect(drained).toContain("no new connections");
		expect(drained).toContain("Drained: no connection is left");
		const undone = await console.answers(["7", "goes back): "], ["1", "real servers> "]);
		expect(undone).toContain("takes connections again");
		const plan = await console.answers(
			["4", "goes back): "],
			["1", "192.168.80.102:80: "],
			["heavy", "192.168.80.102:80: "],
			["7", "[y/N] "],
		);
		expect(plan).toContain("weight");
		const done = await console.answer("y", "Enter: later ");
		expect(done).toMatch(/Revision \d+ is in force\./);
		expect(await console.answer("n", "real servers> ")).toContain("is in force: what revision 1 was");
		await console.answer("\x03");
		await until("the weight is what it was", async () => {
			const [first] = (await virtualServer())!.realServers;
			return first!.effectiveWeight === 3 && first!.override === null;
		});
	});

	stop("high availability: why, and a cable that is pulled while a question is open", async (console) => {
		await console.answer("4", "ha> ");
		expect(await console.answer("1", "ha> ")).toMatch(/VI_1 +MASTER/);
		await console.answer("3", "go on: ");
		await director.setCable("outside", false);
		await until("it has let go of its address", async () => !(await isMaster()));
		expect(await console.answer("director-b", "ha> ")).toContain(
			'That is not "director-a". Nothing was done.',
		);
		const why = await console.answer("ha why VI_1", "ha> ");
		expect(why).toContain("VI_1 is FAULT");
		expect(why).toMatch(/interface eth0 is down/);
		expect(why).toContain("rule: keepalived.conf(5): its interface");
		await console.answer("\x03");
		expect(await console.answer("")).toContain("! eth0 has no link");
		await director.setCable("outside", true);
		await until("it is master again", isMaster);
		expect(await console.answer("ha why VI_1 --count 6")).toContain("BACKUP -> MASTER");
	});

	stop("configuration; the shell is audited; restart asks for the name", async (console) => {
		await console.answer("6", "config> ");
		expect(await console.answer("1", "config> ")).toContain("[in force]");
		const odd = await console.answers(["7", "which revision: "], ["x", "which revision: "]);
		expect(odd).toContain('"x" is no revision');
		await console.answer("\x03");
		expect(await console.answer("config check /data/config/current/keepalived.conf")).toContain(
			"nat_mask is an old spelling",
		);
		const shell = await console.shell("echo $((6 * 7)); tty; hostname");
		expect(shell).toContain("42");
		expect(shell).toContain("/dev/ttyS0");
		const log = await console.answer("log 5 shell");
		expect(log).toContain("echo $((6 * 7)); tty; hostname");
		expect(await console.answer("log 3 console")).toContain("shell closed");
		expect(await console.answers(["12", "goes back): "], ["halt", "goes back): "])).toContain(
			'Type "reboot" or',
		);
		expect(await console.answers(["poweroff", "go on: "], ["yes", PROMPT])).toContain("Nothing was done.");
	});

	stop("access: SSH is turned on by questions: planned, in force, kept", async (console) => {
		await console.answers(["10", "access> "], ["3", "ssh> "]);
		const plan = await console.answers(
			["1", "[off]: "],
			["on", "[off]: "],
			["perhaps", "[off]: "],
			["on", "[22]: "],
			["", "[none]: "],
			["10.80.0.0/24", "[y/N] "],
		);
		expect(plan).toContain("+ the service sshd starts");
		expect(plan).toContain("~ ssh.sources: none");
		expect(await console.answer("y", "Enter: later ")).toMatch(/Revision \d+ is in force\./);
		await console.answers(["y", "ssh> "], ["0", "access> "], ["0", PROMPT]);
	});

	stop("at 9600 baud", async (console) => {
		const menu = await console.answer("3", "servers> ");
		expect(menu.length).toBeLessThan(700);
		await console.answer("0");
		await console.shell("stty -F /dev/ttyS0 9600; stty -F /dev/ttyS0 speed");
		const banner = await console.answer("");
		expect(banner).toContain("12 Restart or power off");
		const speed = await console.shell("stty -F /dev/ttyS0 speed; stty -F /dev/ttyS0 115200");
		expect(speed).toContain("9600");
	});

	stop("a password is set, asked for, and guessed wrong", async (console) => {
		await console.answers(
			["10", "access> "],
			["1", "New password: "],
			["short", "New password: "],
			[PASSWORD, "Once more: "],
			[PASSWORD, "access> "],
			["0", PROMPT],
		);
		await console.answer("0", "Password: ");
		const wrong = await console.answer("guess", "Password: ");
		expect(wrong).toContain("The next try is possible in 1 s.");
		expect(wrong).not.toContain("guess");
		await console.answer("\x03", "Password: ");
		await console.answer(PASSWORD);
		expect(await console.answer("log 20 console warn")).toContain("wrong password");
		await director.agent.run("rm /data/access/shadow");
	});
});
