/**
 * What `--help` shows as an example, run as it is printed, by a shell, on a box with VRRP, a director and a stored
 * configuration.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { commandNames } from "../../../firmware/drover.ts";
import { eventually, type Namespace, Network } from "./network.ts";

const program = join(import.meta.dir, "../../../firmware/drover.ts");
const LIMIT_MS = 20_000;

let network: Network;
let box: Namespace;
let directory: string;

const configuration = `vrrp_instance VI_1 {
	interface eth0
	virtual_router_id 51
	priority 100
	advert_int 1
	virtual_ipaddress {
		10.9.0.100/24
	}
}
virtual_server 10.0.0.1 80 {
	protocol TCP
	lb_kind DR
	real_server 10.0.0.4 80 {
		weight 1
	}
}
virtual_server 192.168.80.200 443 {
	protocol TCP
	lb_kind DR
	real_server 10.80.0.102 80 {
		weight 1
	}
}
`;

const environment = () => ({
	...process.env,
	PATH: `${directory}/bin:${process.env["PATH"]}`,
	DROVER_CONFIG_DIR: join(directory, "config"),
	DROVER_RUN_DIR: join(directory, "run"),
	DROVER_SHADOW_FILE: join(directory, "shadow"),
	DROVER_LOG: join(directory, "log"),
});

/** With the namespace's own /sys, as on a box. */
const withItsOwnSys = ["unshare", "--mount", "sh", "-c", 'mount -t sysfs sys /sys && exec "$0" "$@"'];

/** A line for the shell, in the box, where nobody types anything. */
async function shell(line: string): Promise<{ readonly status: number; readonly text: string }> {
	const child = box.spawn([...withItsOwnSys, "sh", "-c", `${line} 2>&1`], {
		env: environment(),
		cwd: join(directory, "home"),
	});
	const text = await new Response(child.stdout).text();
	return { status: await child.exited, text };
}

beforeAll(async () => {
	directory = mkdtempSync(join(tmpdir(), "drover-examples-"));
	for (const folder of ["bin", "config", "run", "home"]) mkdirSync(join(directory, folder));
	writeFileSync(join(directory, "bin/drover"), `#!/bin/sh\nexec ${process.execPath} ${program} "$@"\n`, {
		mode: 0o755,
	});
	network = Network.create("examples");
	box = network.namespace("a");
	network.segment("lan").plug(box, "eth0", "10.9.0.1/24");
	for (const file of ["default", "old"])
		writeFileSync(
			join(directory, "home", `${file}.vcl`),
			'vcl 4.1;\nbackend default { .host = "127.0.0.1"; }\n',
		);
	await shell("drover config edit");
	writeFileSync(join(directory, "config/candidate/keepalived.conf"), configuration);
	const { status, text } = await shell("drover config commit");
	if (status !== 0) throw new Error(text);
	for (const service of ["vrrp", "director"])
		box.spawn(["drover", service, "-f", join(directory, "config/current/keepalived.conf")], {
			env: environment(),
			stdout: "ignore",
			stderr: "ignore",
		});
	await eventually(
		"VI_1 is master",
		async () => (await shell("drover ha")).text.includes("MASTER"),
		LIMIT_MS,
	);
	await eventually(
		"the director answers",
		async () => (await shell("drover vs list")).status === 0,
		LIMIT_MS,
	);
}, 3 * LIMIT_MS);
afterAll(() => {
	network[Symbol.dispose]();
	rmSync(directory, { recursive: true, force: true });
});

/** The lines below "example:", those that are broken joined again. */
function examplesOf(help: string): string[] {
	const lines = help.split("\n");
	const at = lines.findIndex((line) => /^examples?:/.test(line));
	if (at < 0) return [];
	const examples: string[] = [];
	for (const line of [lines[at]!.replace(/^examples?:/, " "), ...lines.slice(at + 1)]) {
		if (/^ {2}drover /.test(line)) examples.push(line.trim());
		else if (/^ {6}-/.test(line)) examples[examples.length - 1] += ` ${line.trim()}`;
	}
	return examples;
}

/** What `bash` makes of what was typed, once a key for completion is pressed behind it. */
async function completed(typed: string, awaited: string): Promise<string> {
	let shown = "";
	const terminal = new Bun.Terminal({
		cols: 200,
		rows: 24,
		data: (_terminal: unknown, bytes: Uint8Array) => {
			shown += Buffer.from(bytes).toString("latin1");
		},
	});
	const bash = Bun.spawn(box.command([...withItsOwnSys, "bash", "--norc", "--noprofile", "-i"]), {
		terminal,
		env: { ...environment(), TERM: "dumb", PS1: "ready> ", HISTFILE: "/dev/null" },
		cwd: join(directory, "home"),
	});
	try {
		terminal.write('eval "$(drover completion)"; echo loaded\r');
		await eventually("bash has read it", () => shown.endsWith("\nloaded\r\nready> "));
		shown = "";
		terminal.write(`${typed}\t`);
		await eventually(`${awaited} behind ${typed}`, () => shown.includes(awaited)).catch(() => {});
		return shown.replaceAll("\x07", "");
	} finally {
		bash.kill("SIGKILL");
		terminal.close();
	}
}

test.each([
	["drover ha why V", "drover ha why VI_1 "],
	["drover config rollback ", "drover config rollback 1 "],
	[
		"drover config set ssh.enabled=on console.pass",
		"drover config set ssh.enabled=on console.password_recovery=",
	],
	[
		"drover config set --remove snmp.users[+].privacy_p",
		"drover config set --remove snmp.users[+].privacy_password ",
	],
	// bash takes a colon for the end of a word.
	["drover rs why 10.0.0.4:", "drover rs why 10.0.0.4:80 "],
	["drover rs drain 10.0.0.4:80 192", "drover rs drain 10.0.0.4:80 192.168.80.200:443 "],
	["drover vs change 10.0.0.1:80 --sched", "drover vs change 10.0.0.1:80 --scheduler "],
	["drover rs add 10.0.0.5:80 10.", "drover rs add 10.0.0.5:80 10.0.0.1:80 "],
	[
		"drover rs add 10.0.0.5:80 10.0.0.1:80 --check http:",
		"drover rs add 10.0.0.5:80 10.0.0.1:80 --check http:/ ",
	],
])(
	"bash completes %p",
	async (typed, expected) => {
		expect(await completed(typed, expected)).toBe(expected);
	},
	60_000,
);

/** What this box cannot do, and what it says then; all else ends well. */
const refused: Readonly<Record<string, RegExp>> = {
	"drover director drain 10.80.0.102:80": /^drover director: nothing is drained: .* no IPVS/,
	"drover director undo 10.80.0.102:80": /^drover director: no real server 10\.80\.0\.102:80/,
	"drover bfd status": /^drover bfd: bfd is not running/,
	"drover ipvs --rate -t 192.168.80.200:80": /^drover ipvs: the kernel has no IPVS/,
	"drover ipvs --save >table": /^$/,
	"drover realserver verify": /^\? .*no route to 10\.0\.0\.4\n.*\n2 of 2 real servers could not be asked\n$/s,
	"drover config check /etc/keepalived/keepalived.conf": /0 VRRP instances|does not exist/,
	"drover config rollback 7": /^drover config: there is no revision 7/,
	"drover config backup usb": /^drover config: there is no USB stick: plug one in/,
	"drover log 100 vrrp": /^drover log: there is no log of "vrrp"/,
	"drover console speed 9600": /^drover console speed: this box was not started from a Drover disk/,
	"drover password": /^drover password: there is no terminal to ask on/,
	"drover vs add 192.168.80.200:443 --forward dr --real 192.168.80.102:443 --real 192.168.80.103:443":
		/^drover vs: virtual_server 192\.168\.80\.200 443 exists already/,
	"drover vs change 192.168.80.200:443 --scheduler wrr": /lb_algo wlc → wrr\n.*nobody is here to agree/s,
	"drover rs add 10.0.0.6:80 10.0.0.1:80 --weight 3 --check http:/health":
		/10\.0\.0\.6:80: weight 3.*nobody is here to agree/s,
	"drover vs drain 192.168.80.200:443": /^drover vs: nothing is drained: .* no IPVS/,
	"drover rs drain 10.0.0.4:80": /^drover rs: nothing is drained: .* no IPVS/,
	"drover tools ping 10.0.0.4": /^ping: connect: Network is unreachable/,
	// A port has hardware behind it, which a namespace has not.
	"drover ports blink eth1 10": /^drover ports: there is no port eth1: there are none\n$/,
	'drover tools capture eth0 --filter "vrrp" --count 5':
		/^drover tools: there is no port "eth0"; there are none\n$/,
	"drover install /dev/sda": /^drover install: this box was not started from a Drover disk/,
	"drover factory-reset --reboot": /Type the name of this box .*Nothing is erased/,
	"drover reboot": /Type the name of this box .*Nothing is done/,
	"drover poweroff": /Type the name of this box .*Nothing is done/,
	"drover update install usb": /^drover update: there is no USB stick|not started from a Drover disk/,
	"drover update install https://example.org/drover-1.2.0.fw --reboot": /not started from a Drover disk/,
	"drover cache top 20": /^drover cache: cache is not running/,
	"drover cache ban req.url '~' '^/news/'": /^drover cache: cache is not running/,
	"drover cache why www.example.org/ 'Cookie: a=b'": /^drover cache: no cache runs on this box/,
};
/** A program that has said what it has to say ends; the longest of them listen to the network for five seconds. */
const EXAMPLE_LIMIT_MS = 10_000;

test("each is understood, and does what it says or says why not", async () => {
	const shown: string[] = [];
	for (const name of commandNames) {
		const { text: help } = await shell(`drover ${name} --help`);
		for (const example of examplesOf(help)) {
			shown.push(example);
			const startedMs = performance.now();
			const { status, text } = await shell(example);
			expect([example, performance.now() - startedMs < EXAMPLE_LIMIT_MS]).toEqual([example, true]);
			const reason = refused[example];
			if (reason === undefined) expect([example, text, status]).toEqual([example, expect.any(String), 0]);
			else {
				expect([example, status]).not.toEqual([example, 0]);
				expect(text).toMatch(reason);
			}
			if (example.includes("commit confirm")) expect((await shell("drover config confirm")).status).toBe(0);
		}
	}
	expect(shown.length).toBeGreaterThan(45);
	expect(Object.keys(refused).filter((example) => !shown.includes(example))).toEqual([]);
}, 300_000);
