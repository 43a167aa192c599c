/**
 * A person walks through the whole menu of a booted director, at its real serial port: every item, wrong
 * answers, ^C, a cable that is pulled in the middle, 9600 baud, the log-in.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "../../../image/build.ts";
import { addBridge, Host } from "../../../image/lab/hosts.ts";
import { forwardServices, presetConfiguration, WebHost } from "../../../image/lab/lab.ts";
import { labOverlay } from "../../../image/lab/overlay.ts";
import { VirtualMachine } from "../../../image/lab/virtual-machine.ts";
import { capture } from "./capture.ts";
import { directorStatus } from "./director-lab.ts";
import { SerialConsole } from "./serial-console.ts";

const BOOT_LIMIT_MS = 400_000;
const TEST_LIMIT_MS = 240_000;
const SETTLED_LIMIT_MS = 180_000;
const LOOK_EVERY_MS = 1_000;
const PROMPT = "director-a> ";
const PASSWORD = "correct horse";
const DIRECTOR_INSIDE = "10.80.0.100";
/** The station of whoever runs the box, on the inside segment: asks, logs in, keeps time and receives the log. */
const STATION = "10.80.0.102";
/** Its clock, against the one that the box starts with. */
const STATION_AHEAD_SECONDS = 7_200;

/** Added to the box's own from its first start on: metrics, who may ask, who may log in. */
const accessSettings = (key: string) => `
[metrics]
enabled = true

[snmp]
communities = ["watch"]

[[user]]
name = "root"
keys = ["${key}"]
`;
/** Added by an edit: before the tutorial's real servers. */
const cacheSettings = `
[cache]
enabled = true
listen = ["${DIRECTOR_INSIDE}:80"]
storage = [{ kind = "memory", name = "s0", size = "8M" }]
vcl = "default.vcl"
pool = "192.168.80.200 80"

[cache.parameters]
vsl_space = "1m"
`;
const cacheVcl = `vcl 4.1;
include "pool.vcl";
sub vcl_deliver {
	set resp.http.X-Cache = "HIT";
	if (obj.hits == 0) { set resp.http.X-Cache = "MISS"; }
}
`;

let directory: string;
let director: VirtualMachine;
let station: Host;
const hosts: Host[] = [];

beforeAll(async () => {
	directory = mkdtempSync(join(tmpdir(), "drover-console-"));
	const boot = await build({ release: false, onProgress: () => {} });
	const [fabric, web1, web2] = await Promise.all(["fabric", "web1", "web2"].map((name) => Host.start(name)));
	hosts.push(fabric!, web1!, web2!);
	addBridge(fabric!, "outside");
	addBridge(fabric!, "inside");
	fabric!.run("ip address add 10.80.0.1/24 dev inside");
	web1!.run(`ssh-keygen -q -t ed25519 -N "" -C station -f ${join(directory, "key")}`);
	const key = readFileSync(join(directory, "key.pub"), "utf8").trim();
	const preset = presetConfiguration("a");
	director = new VirtualMachine({
		name: "a",
		number: 1,
		directory,
		boot,
		overlay: labOverlay(),
		configuration: { ...preset, "appliance.toml": preset["appliance.toml"]! + accessSettings(key) },
		fabric: fabric!,
	});
	await director.powerOn();
	process.env["DROVER_RUN_DIR"] = directory;
	forwardServices(fabric!, directory, "a");
	new WebHost(fabric!, web1!, "web1", 102);
	new WebHost(fabric!, web2!, "web2", 103);
	station = web1!;
	const timeServer = join(import.meta.dir, "guest/time-server.ts");
	station.spawn([process.execPath, timeServer, STATION, String(STATION_AHEAD_SECONDS)], "ignore");
	const received = `OPEN:${join(directory, "syslog")},creat,append`;
	station.spawn(["socat", "-u", `UDP4-RECV:514,bind=${STATION}`, received], "ignore");
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
const virtualServer = async () => (await directorStatus("a"))?.virtualServers[0];

const newestLogs = () =>
	director.agent
		.run("cd /run/log; for each in */current; do echo == $each; tail -n 12 $each; done", COMMAND_LIMIT_MS)
		.catch(String);

const stop = (title: string, use: (console: SerialConsole) => Promise<void>) =>
	test(
		title,
		async () => {
			const console = await SerialConsole.open(director.consolePath, PROMPT);
			try {
				await use(console);
			} catch (error) {
				throw new Error(`${(error as Error).message}\nthe logs:\n${await newestLogs()}`, { cause: error });
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
		capture("README.md", "menu", first);
		const status = await console.answer("1", "0 back: ");
		capture("README.md", "status", status.slice(status.indexOf("\n")));
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
		expect(await console.answer("3", "tools> ")).toMatch(/Nobody else has (this address|one of these)/);
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
			["1", "192.168.80.102:80 [3]: "],
			["heavy", "192.168.80.102:80 [3]: "],
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
		expect(why).toContain("VI_1 has been FAULT");
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

	/** Puts a planned change into force and keeps it. Returns the plan. */
	const keepChange = async (console: SerialConsole, plan: string, menu: string) => {
		expect(await console.answer("y", "Enter: later ")).toMatch(/Revision \d+ is in force\./);
		await console.answer("y", menu);
		return plan;
	};

	stop("access: SSH, SNMP, syslog and NTP by questions: planned, in force, kept", async (console) => {
		await console.answers(["10", "access> "], ["3", "ssh> "]);
		const ssh = await console.answers(
			["1", "[off]: "],
			["on", "[off]: "],
			["perhaps", "[off]: "],
			["on", "[22]: "],
			["", "[none]: "],
			["10.80.0.0/24", "[y/N] "],
		);
		expect(await keepChange(console, ssh, "ssh> ")).toContain("+ the service sshd starts");
		await console.answer("0", "access> ");

		await console.answer("4", "snmp> ");
		const snmp = await console.answers(
			["1", "[off]: "],
			["on", "[none]: "],
			["10.80.0.0/33", "[none]: "],
			["10.80.0.0/24", "Location [none]: "],
			["rack 3", "Contact [none]: "],
			["", "[y/N] "],
		);
		expect(await keepChange(console, snmp, "snmp> ")).toContain("+ the service snmp starts");
		await console.answer("0", "access> ");

		const syslog = await console.answers(
			["5", "syslog> "],
			["1", "receiver: "],
			[STATION, "[udp]: "],
			["icmp", "[udp]: "],
			["", "Port [514]: "],
			["", "[y/N] "],
		);
		expect(await keepChange(console, syslog, "syslog> ")).toContain("+ the service syslog starts");
		await console.answer("0", "access> ");

		const ntp = await console.answers(["6", "[none]: "], [STATION, "[y/N] "]);
		expect(await keepChange(console, ntp, "access> ")).toContain("+ the service ntp starts");
		const access = await console.answer("2", "access> ");
		expect(access).toContain("SSH       on, port 22, keys and passwords, from 10.80.0.0/24");
		expect(access).toMatch(/SNMP +on, .*1 v2c communit/);
		expect(access).toContain(`Syslog    to ${STATION}`);
		expect(access).toContain(`NTP       asks ${STATION}`);
		await console.answer("0");
	});

	stop(
		"what was set there is done: the clock, the log, SNMP, metrics; the last two on the inside alone",
		async () => {
			await until("the clock is the station's", async () => {
				const ahead = Number(await director.agent.run("date +%s", COMMAND_LIMIT_MS)) - Date.now() / 1000;
				return Math.abs(ahead - STATION_AHEAD_SECONDS) < 60;
			});
			await until("the station has the log", async () =>
				/^<\d+>1 \S+ director-a drover-\w+ /m.test(readFileSync(join(directory, "syslog"), "utf8")),
			);
			const get = (address: string) =>
				station.runLater(
					`snmpget -v2c -c watch -m '' -r 0 -t 5 -Oqv ${address} 1.3.6.1.2.1.1.5.0 1.3.6.1.2.1.1.6.0 1.3.6.1.4.1.9586.100.5.2.3.1.4.1`,
				);
			await until("SNMP answers", async () => (await get(DIRECTOR_INSIDE)).status === 0);
			expect((await get(DIRECTOR_INSIDE)).output.replaceAll('"', "").split("\n").slice(0, 3)).toEqual([
				"director-a",
				"rack 3",
				"2",
			]);
			expect((await get("192.168.80.100")).status).not.toBe(0);
			const ask = async (address: string, path: string) =>
				(await station.runLater(`curl --silent --show-error --max-time 30 http://${address}:9100${path}`))
					.output;
			await until("it answers", async () => (await ask(DIRECTOR_INSIDE, "/metrics")).includes("# EOF"));
			expect(await ask(DIRECTOR_INSIDE, "/metrics")).toMatch(/^drover_vrrp_\w+\{.*VI_1.*\} /m);
			expect(await ask(DIRECTOR_INSIDE, "/healthz")).toBe("ok\n");
			for (const outside of ["192.168.80.100", "192.168.80.200"])
				expect(await ask(outside, "/healthz")).toContain("Failed to connect");
		},
	);

	stop(
		"both VRRP processes end and stay away: the addresses are taken off, and come back with them",
		async () => {
			await director.agent.run(
				`sv once /run/sv/vrrp
				pids=
				for each in /proc/[0-9]*; do
					case "$(tr '\\0' ' ' <$each/cmdline)" in *"/bun v"rrp*) pids="$pids \${each#/proc/}" ;; esac
				done
				kill -9 $pids`,
				COMMAND_LIMIT_MS,
			);
			await until("its address is off", async () => !(await isMaster()));
			expect(await director.agent.run("sv status /run/sv/vrrp")).toMatch(/^down: /);
			await director.agent.run("sv up /run/sv/vrrp", COMMAND_LIMIT_MS);
			await until("it is master again", isMaster);
		},
	);

	stop("the cache, turned on by an edit: a MISS, and then a HIT that says its age", async (console) => {
		await director.agent.run(
			`cd $(drover config edit | head -n 1)
cat >>appliance.toml <<'END'
${cacheSettings}END
cat >default.vcl <<'END'
${cacheVcl}END`,
			COMMAND_LIMIT_MS,
		);
		expect(await console.answer("config commit a cache")).toContain("is in force");
		const ask = async (path: string) =>
			(await station.runLater(`curl --silent --include --max-time 30 http://${DIRECTOR_INSIDE}${path}`))
				.output;
		await until("the cache answers", async () => (await ask("/")).startsWith("HTTP/1.1 200"));
		const [first, second] = [await ask("/page"), await ask("/page")];
		expect(first).toMatch(/^X-Cache: MISS\r$/m);
		expect(first).toMatch(/^web[12]$/m);
		expect(second).toMatch(/^X-Cache: HIT\r$/m);
		expect(second).toMatch(/^Age: \d+\r$/m);
		expect(second.split("\r\n\r\n")[1]).toBe(first.split("\r\n\r\n")[1]!);
		// And the menu knows.
		await console.answer("5", "cache> ");
		expect(await console.answer("1", "cache> ")).toMatch(/hit/i);
		await console.answer("0");
	});

	stop("at 9600 baud", async (console) => {
		const menu = await console.answer("3", "servers> ");
		expect(menu.length).toBeLessThan(700);
		await console.answer("0");
		await console.shell("stty -F /dev/ttyS0 9600; stty -F /dev/ttyS0 speed");
		const banner = await console.answer("");
		expect(banner).toContain("12 Restart or power off");
		// The line carries it in less than 0.65 s, whatever is to be said of the box.
		expect(banner.length).toBeLessThan(0.65 * 960);
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
	});

	/** Logs in and types; what came until `awaited` was there, or the connection had ended. */
	const ssh = async (options: string, typed: string, awaited: string) => {
		const [input, output, askPass] = ["typed", "shown", "ask-pass"].map((name) => join(directory, name));
		writeFileSync(input!, typed);
		// What was shown before must not be taken for what is awaited now.
		writeFileSync(output!, "");
		writeFileSync(askPass!, `#!/bin/sh\necho '${PASSWORD}'\n`, { mode: 0o700 });
		const known = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=10";
		await station.runLater(
			`export TERM=dumb SSH_ASKPASS=${askPass} SSH_ASKPASS_REQUIRE=force
			timeout 60 ssh -tt ${known} ${options} <${input} >${output} 2>&1 &
			until grep -q '${awaited}' ${output} || ! kill -0 $! 2>/dev/null; do sleep 0.2; done
			kill $! 2>/dev/null; wait`,
		);
		return readFileSync(output!, "utf8");
	};

	stop("over SSH, by key and by password, there is the same menu; from elsewhere there is none", async () => {
		const key = `-i ${join(directory, "key")} -o PreferredAuthentications=publickey`;
		const shown = await ssh(`${key} root@${DIRECTOR_INSIDE}`, "1\r", "holds 192.168.80.200/32");
		expect(shown).toContain("director-a  Drover ");
		expect(shown).toContain("12 Restart or power off");
		// The menu's banner is the first thing that is said.
		expect(shown).not.toContain("lastlog");
		const password = "-o PreferredAuthentications=password -o PubkeyAuthentication=no";
		expect(await ssh(`${password} root@${DIRECTOR_INSIDE}`, "", "VI_1 MASTER holds")).toMatch(
			/VI_1 MASTER holds 192\.168\.80\.200/,
		);
		const outside = await ssh(`${key} -b 192.168.80.102 root@192.168.80.100`, "", "Drover");
		expect(outside).toContain("Permission denied");
		expect(outside).not.toContain("director-a  Drover");
		// Who guesses waits.
		const throttle = await director.agent.run("nft list table inet drover_ssh");
		expect(throttle).toContain("limit rate over 30/hour burst 10 packets");
		await director.agent.run("rm /data/access/shadow");
	});
});
