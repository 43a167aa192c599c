/**
 * The image's own init, from its first script to its last service, as the first process of namespaces of this
 * machine: what waits for what, without a kernel of its own.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import {
	mkdirSync,
	mkdtempSync,
	readFileSync,
	rmSync,
	symlinkSync,
	truncateSync,
	writeFileSync,
} from "node:fs";
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { writePassword } from "../../../firmware/appliance/password-file.ts";
import { runTool } from "../../../image/disk/tool.ts";
import { bundleFirmware } from "../../../image/firmware-bundle.ts";
import { findKernel } from "../../../image/kernel.ts";
import { rootTree } from "../../../image/root-tree.ts";
import { compileServices } from "../../../image/services-executable.ts";
import { eventually } from "./network.ts";

const START_LIMIT_MS = 25_000;
const directory = mkdtempSync(join(tmpdir(), "drover-start-"));
const root = join(directory, "root");

beforeAll(async () => {
	const scratchDirectory = join(directory, "scratch");
	mkdirSync(scratchDirectory);
	const firmware = await bundleFirmware();
	const bunPath = await compileServices(scratchDirectory);
	rootTree({ kernel: findKernel(), bunPath, firmware, version: "0.0.0", scratchDirectory }).write(root);
	// Modules and settings of the kernel are this machine's; terminals there are none.
	rmSync(join(root, "usr/lib/modules"), { recursive: true });
	mkdirSync(join(root, "usr/lib/modules", release()), { recursive: true });
	for (const name of ["modules.dep", "modules.alias", "modules.symbols", "modules.builtin"])
		writeFileSync(join(root, "usr/lib/modules", release(), name), "");
	writeFileSync(join(root, "etc/sysctl.d/drover.conf"), "");
	const inittab = readFileSync(join(root, "etc/inittab"), "utf8");
	writeFileSync(join(root, "etc/inittab"), inittab.replace(/^tty.*\n/gm, ""));
}, 60_000);

afterAll(() => rmSync(directory, { recursive: true, force: true }));

const firm = `
mount --make-rprivate /
mount --bind "$1" "$1"
mount --bind "$1/data" "$1/data"
mount -t proc proc "$1/proc"
mount -t sysfs sys "$1/sys"
mount -t tmpfs dev "$1/dev"
mknod "$1/dev/null" c 1 3 && mknod "$1/dev/zero" c 1 5 && mknod "$1/dev/random" c 1 8 && mknod "$1/dev/urandom" c 1 9
: >"$1/dev/kmsg"
: >"$1/dev/console"
ip link add eth0 type veth peer name cable && ip link set cable up
`;
const start = `cd "$1" && exec chroot . /sbin/init\n`;

class Box {
	readonly #process: Subprocess;

	/**
	 * Switches on a box whose data partition holds this configuration (null is an empty one), with a console or without;
	 * `ground` are lines more for the ground that it stands on, below "$1".
	 */
	constructor(
		configuration: Readonly<Record<string, string>> | null,
		{ console, ground = "" }: { readonly console?: Bun.Terminal; readonly ground?: string } = {},
	) {
		rmSync(join(root, "data"), { recursive: true, force: true });
		mkdirSync(join(root, "data"));
		if (configuration !== null) {
			const revision = join(root, "data/config/revisions/1");
			mkdirSync(revision, { recursive: true });
			for (const [name, text] of Object.entries(configuration)) writeFileSync(join(revision, name), text);
			symlinkSync("revisions/1", join(root, "data/config/current"));
		}
		const apart = ["--mount", "--pid", "--uts", "--net", "--ipc", "--fork", "--kill-child"];
		this.#process = Bun.spawn(["unshare", ...apart, "sh", "-ec", `${firm}${ground}${start}`, "sh", root], {
			...(console === undefined ? { stdio: ["ignore", "ignore", "ignore"] } : { terminal: console }),
			env: { PATH: process.env["PATH"] },
		});
	}

	/** What a command in the box prints; "" while there is no box yet. */
	run(command: string): string {
		const { pid } = this.#process;
		const init = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
		const enter = ["nsenter", "-t", init, "-m", "-p", "-n", "chroot", root, "sh", "-c", command];
		const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" };
		return init === "" ? "" : Bun.spawnSync(enter, { env, stderr: "ignore" }).stdout.toString();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#process.kill("SIGKILL");
		await this.#process.exited;
	}
}

const running = (box: Box) =>
	box
		.run("sv status /run/sv/*")
		.split("\n")
		.flatMap((line) => /^run: \/run\/sv\/(\S+):/.exec(line)?.[1] ?? []);

test("addresses first: the other services come when VRRP may take them, and it takes them after the director's table", async () => {
	await using box = new Box({
		"appliance.toml":
			'hostname = "gate"\n[[port]]\nname = "eth0"\nrole = "outside"\naddresses = ["192.0.2.1/24"]\n',
		"keepalived.conf": `
vrrp_instance VI_1 {
	state MASTER
	interface eth0
	virtual_router_id 51
	priority 100
	advert_int 1
	virtual_ipaddress {
		192.0.2.200/24
	}
}
virtual_server 192.0.2.200 80 {
	lb_algo rr
	lb_kind NAT
	protocol TCP
	real_server 192.0.2.2 80 {
	}
}
`,
	});
	// Those that are not wanted run for a moment, to find that out.
	const wanted = "director,monitor,vrrp";
	await eventually("what is wanted runs", () => running(box).join() === wanted, START_LIMIT_MS);
	await eventually(
		"the address is there",
		() => box.run("ip -4 -o address show dev eth0").includes(" 192.0.2.200/24"),
		START_LIMIT_MS,
	);
	const why = box.run("drover ha why VI_1");
	expect(why).toMatch(/INIT -> BACKUP: started[\s\S]*the director has its table[\s\S]*BACKUP -> MASTER/);
	expect(box.run("cat /run/drover/crashes/* /run/drover/alarms/*")).toBe("");
}, 60_000);

test("a box without a configuration has all its services too; the first two lie down again", async () => {
	await using box = new Box(null);
	const lie = /^down: \S+ \d+s, normally up; .*\ndown: \S+ \d+s, normally up; /;
	await eventually(
		"the monitor runs, and nothing else",
		() => running(box).join() === "monitor" && lie.test(box.run("sv status /run/sv/vrrp /run/sv/director")),
		START_LIMIT_MS,
	);
	expect(box.run("cat /run/drover/crashes/* /run/drover/alarms/*")).toBe("");
}, 60_000);

test("the first words are on the console whole, whatever ends while the line is held up", async () => {
	let shown = "";
	await using console = new Bun.Terminal({
		cols: 80,
		rows: 24,
		data: (_terminal: unknown, bytes: Uint8Array) => {
			shown += Buffer.from(bytes).toString("latin1");
		},
	});
	// ^S: whoever writes waits.
	console.write("\x13");
	await using box = new Box(null, { console });
	const waiting = () => box.run("cat /proc/$(pidof set-up)/wchan") === "wait_woken";
	await eventually("the words wait for the line", waiting, START_LIMIT_MS);
	// As the kernel does when a search for drivers ends.
	box.run("kill -CHLD $(pidof set-up)");
	await Bun.sleep(200);
	expect(shown).not.toContain("Drover");
	console.write("\x11");
	await eventually("the words are there", () => shown.includes("/data is "), START_LIMIT_MS);
	expect(shown).toMatch(/^Drover 0\.0\.0, slot none\r?\n\/ is .* on .*, \/data is .*\r?\n/m);
}, 60_000);

/** An empty file for a data partition. */
function emptyBacking(name: string): string {
	const backing = join(directory, name);
	writeFileSync(backing, "");
	truncateSync(backing, 64 * 1024 * 1024);
	return backing;
}

/** The data partition of one box after another: a disk without TRIM; `words` are more for their kernel's command line. */
function dataPartition(backing: string, words = ""): Disposable & { readonly ground: string } {
	const device = runTool("losetup", ["--find", "--show", backing]).trim();
	const [major, minor] = runTool("stat", ["-c", "%Hr %Lr", device]).split(" ");
	const trim = `/sys/block/${device.slice("/dev/".length)}/queue/discard_max_bytes`;
	return {
		ground: `
[ ! -w ${trim} ] || echo 0 >${trim}
mknod "$1/dev/disk" b ${major} ${minor}
echo "drover.data=/dev/disk ${words}" >"$1/dev/cmdline"
mount --bind "$1/dev/cmdline" "$1/proc/cmdline"
`,
		[Symbol.dispose]: () => void runTool("losetup", ["--detach", device]),
	};
}

const isSetUp = (box: Box) =>
	eventually("it is set up", () => box.run("ls /run/drover/set-up") !== "", START_LIMIT_MS);

test("a data partition that does not mount is made anew by the loader's factory reset", async () => {
	using data = dataPartition(emptyBacking("broken"), "drover.reset");
	await using box = new Box(null, data);
	await isSetUp(box);
	expect(box.run("cat /proc/mounts")).toMatch(/^\/dev\/disk \/data ext4 rw,nosuid,nodev/m);
	expect(box.run("ls /data/factory-reset")).toBe("");
}, 60_000);

test("a factory reset on a disk without TRIM: neither a file nor what was removed before can be read from it", async () => {
	const backing = emptyBacking("read");
	const secret = (name: string) => `${name} secret `.repeat(2_000);
	const content = join(directory, "content");
	mkdirSync(join(content, "kept"), { recursive: true });
	writeFileSync(join(content, "removed"), secret("removed"));
	writeFileSync(join(content, "kept/file"), secret("kept"));
	writeFileSync(join(content, "factory-reset"), "");
	runTool("mke2fs", ["-q", "-F", "-t", "ext4", "-d", content, backing]);
	rmSync(content, { recursive: true });
	runTool("debugfs", ["-w", "-R", "rm removed", backing]);
	for (const name of ["removed", "kept"]) expect(readFileSync(backing).includes(secret(name))).toBe(true);
	using data = dataPartition(backing);
	await using box = new Box(null, data);
	await isSetUp(box);
	expect(box.run("ls -A /data")).not.toMatch(/kept|zeros|factory-reset/);
	box.run("sync");
	for (const name of ["removed", "kept"])
		expect(readFileSync(backing).includes(`${name} secret`)).toBe(false);
}, 60_000);

test("the log of a start is the next one's last", async () => {
	const backing = emptyBacking("log");
	runTool("mke2fs", ["-q", "-F", "-t", "ext4", backing]);
	using data = dataPartition(backing);
	const word = "words of the first start";
	{
		await using box = new Box(null, data);
		await eventually("the monitor runs", () => running(box).includes("monitor"), START_LIMIT_MS);
		box.run(`mkdir -p /run/log/console
echo '{"level":"warn","time":"2026-01-01T00:00:00.000Z","service":"console","msg":"${word}"}' >>/run/log/console/current
/usr/lib/drover/shutdown`);
	}
	await using box = new Box(null, data);
	await isSetUp(box);
	expect(box.run("drover log last 20")).toContain(word);
	expect(box.run("drover log 20")).not.toContain(word);
}, 60_000);

test("a step that takes long has the watchdog fed meanwhile, for its time at most, and lets go of it", async () => {
	const step = async (limitSeconds: number) => {
		const child = Bun.spawn(
			[
				// Of the processes, its own alone count.
				...["unshare", "--mount", "--pid", "--fork", "sh", "-c"],
				`mount -t tmpfs dev "$1/dev"; mount -t proc proc "$1/proc"; : >"$1/dev/null"; : >"$1/dev/watchdog"
				chroot "$1" /usr/lib/drover/patiently ${limitSeconds} sh -c 'sleep 6; wc -c </dev/watchdog; exit 7'
				echo $?
				ls -l "$1"/proc/[0-9]*/fd 2>/dev/null | grep -c "$1/dev/watchdog"`,
				...["sh", root],
			],
			{ stdin: "ignore", stdout: "pipe", stderr: "inherit" },
		);
		return (await new Response(child.stdout).text()).split("\n").slice(0, 3);
	};
	// Bytes that fed it, the step's exit status, who still holds it.
	expect(await Promise.all([step(60), step(5)])).toEqual([
		["2", "7", "0"],
		["1", "7", "0"],
	]);
}, 20_000);

test("a commit that nobody confirms is taken back, and the log says so", async () => {
	await using box = new Box({ "appliance.toml": 'hostname = "gate"\n' });
	await eventually("the monitor runs", () => running(box).includes("monitor"), START_LIMIT_MS);
	box.run(
		"cd $(drover config edit | head -n 1) && echo 'dns = [\"192.0.2.9\"]' >>appliance.toml && drover config commit confirm 0.02",
	);
	await eventually(
		"it is told",
		() =>
			/warn: revision 2 was taken back to 1,\s+because it was not\s+confirmed in time/.test(
				box.run("drover log 20"),
			),
		START_LIMIT_MS,
	);
}, 60_000);

test("a backup goes over scp to a host that is asked about once, and comes back", async () => {
	const password = "ox and cart";
	await using box = new Box({ "appliance.toml": 'hostname = "gate"\n', "keepalived.conf": "" });
	await eventually("the monitor runs", () => running(box).includes("monitor"), START_LIMIT_MS);
	writePassword(password, join(root, "data/access/shadow"));
	// A host that takes files, and an operator who answers what scp asks.
	box.run(`mkdir -p /run/sshd /tmp/host; cd /tmp/host
ssh-keygen -q -t ed25519 -N "" -f key
cat >config <<'END'
Port 2222
ListenAddress 127.0.0.1
HostKey /tmp/host/key
PermitRootLogin yes
Subsystem sftp internal-sftp
PidFile none
END
/usr/sbin/sshd -f config
cat >operator <<'END'
#!/bin/sh
echo "$1" >>/tmp/host/asked
case $1 in *yes/no*) echo yes ;; *) echo "${password}" ;; esac
END
chmod +x operator`);
	const config = (words: string) =>
		box.run(`SSH_ASKPASS=/tmp/host/operator SSH_ASKPASS_REQUIRE=force drover config ${words} 2>&1`);
	const place = "scp://root@127.0.0.1:2222//tmp/host/backup.tar";
	const commit = (text: string) =>
		box.run(
			`cd $(drover config edit | head -n 1) && echo "${text}" >keepalived.conf && drover config commit`,
		);
	commit("# kept");
	expect(config(`backup ${place}`)).toContain("holds revision 2");
	commit("# changed");
	config(`restore ${place}`);
	expect(config("commit")).toContain("Revision 4 is in force.");
	expect(box.run("cat /data/config/current/keepalived.conf")).toBe("# kept\n");
	expect(box.run("grep -c yes/no /tmp/host/asked; grep -c password: /tmp/host/asked")).toBe("1\n2\n");
}, 60_000);

test("a service that a commit switches off, or changes, ends: none goes on with what is no longer set", async () => {
	await using box = new Box({
		"appliance.toml": `
[[port]]
name = "eth0"
role = "inside"
addresses = ["192.0.2.1/24"]
[snmp]
enabled = true
sources = ["192.0.2.9"]
communities = ["first"]
[metrics]
enabled = true
[syslog]
receivers = [{ host = "192.0.2.9" }]
[ssh]
enabled = true
passwords = true
`,
	});
	const names = ["metrics", "snmp", "syslog"];
	/** Each process of these services by its number; "593 snmp". */
	const processes = () =>
		box
			.run("for each in /proc/[0-9]*/cmdline; do echo $each $(tr '\\0' ' ' <$each); done")
			.split("\n")
			.flatMap((line) => {
				const [, pid, name] = /^\/proc\/(\d+)\S* \S*\/bun .*drover\.js (\w+)$/.exec(line) ?? [];
				return name !== undefined && names.includes(name) ? [`${pid} ${name}`] : [];
			});
	const run = () =>
		processes()
			.map((line) => line.split(" ")[1]!)
			.sort();
	await eventually("all three run", () => run().join() === names.join(), START_LIMIT_MS);
	const [before] = processes().filter((line) => line.endsWith(" snmp"));
	const commit = (edit: string) =>
		box.run(
			`cd $(drover config edit | head -n 1) && sed -i '${edit}' appliance.toml && drover config commit`,
		);
	const throttle = () => box.run("nft list table inet drover_ssh");
	await eventually("who tries passwords is counted", () => throttle().includes("dport 22"), START_LIMIT_MS);
	commit("s/first/second/");
	await eventually(
		"another agent runs, and no second one",
		() => !processes().includes(before!) && run().join() === names.join(),
		START_LIMIT_MS,
	);
	commit("s/enabled = true/enabled = false/; /receivers/d");
	await eventually("none runs", () => processes().length === 0, START_LIMIT_MS);
	await eventually("nobody is counted", () => throttle() === "", START_LIMIT_MS);
	expect(box.run("cat /run/drover/crashes/* /run/drover/alarms/*")).toBe("");
}, 90_000);
