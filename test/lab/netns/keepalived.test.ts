/** keepalived(8), options and signals: what scripts and unit files rely on, with Drover behind it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import type { VrrpStatus } from "../../../firmware/status/vrrp.ts";
import { type Namespace, Network } from "./network.ts";

const drover = [process.execPath, join(import.meta.dir, "../../../firmware/drover.ts")];
const LIMIT_MS = 20_000;

const configuration = (addresses: readonly string[]) => `
vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 51
    priority 200
    advert_int 0.1
    version 3
    virtual_ipaddress {
        ${addresses.join("\n        ")}
    }
}`;

const jsonConfiguration = `vrrp_script quick {
    script "/usr/bin/true"
    interval 1
}
vrrp_track_process lives {
    process keepalived
}
vrrp_instance OLD {
    interface eth0
    state BACKUP
    virtual_router_id 61
    priority 150
    advert_int 1
    authentication {
        auth_type PASS
        auth_pass 1234
    }
    garp_master_delay 2
    garp_master_refresh 60
    garp_lower_prio_repeat 3
    preempt_delay 4
    track_interface {
        lo
    }
    track_script {
        quick
    }
    notify_master "/usr/bin/true with words"
    notify "/usr/bin/true"
    smtp_alert
    virtual_ipaddress {
        10.9.3.9 label eth0:1
        10.9.3.10/24
    }
    virtual_ipaddress_excluded {
        10.9.3.11 dev lo
    }
}
vrrp_instance NEW {
    interface eth0
    version 3
    virtual_router_id 62
    priority 90
    advert_int 0.5
    nopreempt
    dont_track_primary
    unicast_peer {
        10.9.3.2
    }
    virtual_ipaddress {
        10.9.3.12/24 home
    }
}
vrrp_instance SIX {
    interface eth0
    version 3
    virtual_router_id 63
    priority 90
    advert_int 0.25
    virtual_ipaddress {
        fe80::61/64
        2001:db8::5/64 preferred_lft 300
        2001:db8::6
    }
}
`;

/** Without what differs from run to run, and the password, which we do not tell. */
function steady({ data, stats }: Readonly<Record<"data" | "stats", Readonly<Record<string, unknown>>>>) {
	const { last_transition: transitionSeconds, auth_data: _password, ...rest } = data;
	return {
		data: { ...rest, isRecent: Math.abs(Date.now() / 1000 - Number(transitionSeconds)) < 60 },
		stats: { ...stats, advert_sent: Number(stats["advert_sent"]) > 0 },
	};
}

let network: Network;
let box: Namespace;
let directory: string;
let parent: Subprocess;
const file = () => join(directory, "keepalived.conf");
const pidFile = () => join(directory, "keepalived.pid");
const environment = () => ({ ...process.env, DROVER_RUN_DIR: directory, DROVER_LOG: join(directory, "log") });

beforeAll(() => {
	network = Network.create("kd");
	box = network.namespace("a");
	network.segment("lan").plug(box, "eth0", "10.9.0.1/24");
	directory = mkdtempSync(join(tmpdir(), "drover-keepalived-"));
	writeFileSync(file(), configuration(["10.9.0.100/24"]));
	parent = box.spawn(
		[...drover, "keepalived", "-n", "-P", "-f", file(), "-p", pidFile(), "-b", join(directory, "bfd.pid")],
		{
			env: environment(),
		},
	);
});
afterAll(() => {
	network[Symbol.dispose]();
	rmSync(directory, { recursive: true, force: true });
});

async function until(what: string, holds: () => boolean): Promise<void> {
	const deadline = Date.now() + LIMIT_MS;
	while (!holds()) {
		if (Date.now() > deadline) throw new Error(`${what}: not within ${LIMIT_MS / 1000} s`);
		await Bun.sleep(50);
	}
}

const status = (): VrrpStatus =>
	JSON.parse(
		Bun.spawnSync([process.execPath, join(import.meta.dir, "ask.ts"), "vrrp", "status"], {
			env: environment(),
		}).stdout.toString(),
	);

describe("running", () => {
	test("-n stays in the foreground, -p names its pid", async () => {
		await until("the pid file", () => existsSync(pidFile()));
		expect(Number(readFileSync(pidFile(), "utf8"))).toBeGreaterThan(1);
		await until("the VIP", () => box.addresses("eth0").includes("10.9.0.100/24"));
	});

	test("SIGHUP takes a changed file over and keeps the mastership", async () => {
		const before = status().instances[0]!;
		expect(before.state).toBe("MASTER");
		writeFileSync(file(), configuration(["10.9.0.100/24", "10.9.0.101/24"]));
		process.kill(Number(readFileSync(pidFile(), "utf8")), "SIGHUP");
		await until("the second VIP", () => box.addresses("eth0").includes("10.9.0.101/24"));
		const after = status().instances[0]!;
		expect(after.sinceMs).toBe(before.sinceMs);
	});

	test("SIGHUP and SIGUSR1 while the children start: nobody ends by them, and the last file is what runs", async () => {
		const folder = mkdtempSync(join(tmpdir(), "drover-early-"));
		const early = network.namespace("c");
		network.segment("early").plug(early, "eth0", "10.9.2.1/24");
		const path = join(folder, "keepalived.conf");
		const write = (addresses: readonly string[]) => writeFileSync(path, configuration(addresses));
		write(["10.9.2.100/24"]);
		const env = { ...environment(), DROVER_RUN_DIR: folder, DROVER_LOG: join(folder, "log"), TMPDIR: folder };
		const pid = join(folder, "pid");
		const started = early.spawn([...drover, "keepalived", "-n", "-f", path, "-p", pid], { env });
		// Its first child is there: the parent listens.
		const children = () => readFileSync(`/proc/${started.pid}/task/${started.pid}/children`, "utf8");
		await until("the children", () => children().trim() !== "");
		for (let count = 0; count < 40; count++) {
			if (count === 20) write(["10.9.2.100/24", "10.9.2.101/24"]);
			started.kill("SIGHUP");
			started.kill("SIGUSR1");
			await Bun.sleep(10);
		}
		await until("what the file says", () => early.addresses("eth0").includes("10.9.2.101/24"));
		expect(readFileSync(join(folder, "log"), "utf8")).not.toContain("it is started again");
		started.kill("SIGTERM");
		await started.exited;
		rmSync(folder, { recursive: true, force: true });
	});

	test("BFD runs from the reload on that brings a session, with a pid file of its own", async () => {
		const bfdPid = join(directory, "bfd.pid");
		await until("no session, no process", () => !existsSync(bfdPid));
		writeFileSync(
			file(),
			`bfd_instance peer {\nneighbor_ip 10.9.0.2\nsource_ip 10.9.0.1\n}\n${configuration(["10.9.0.100/24", "10.9.0.101/24"])}`,
		);
		process.kill(Number(readFileSync(pidFile(), "utf8")), "SIGHUP");
		const text = () => Bun.spawnSync([...drover, "bfd", "status"], { env: environment() }).stdout.toString();
		await until("the session", () => text().startsWith("peer  Down with 10.9.0.2"));
		await until("its pid file", () => existsSync(bfdPid));
		writeFileSync(file(), configuration(["10.9.0.100/24", "10.9.0.101/24"]));
		process.kill(Number(readFileSync(pidFile(), "utf8")), "SIGHUP");
		await until("the last session goes, and the process with it", () => !existsSync(bfdPid));
	});

	test("instance and process_name: pid files of its own, with the names of the parent and its child", async () => {
		const folder = mkdtempSync(join(tmpdir(), "drover-instance-"));
		const other = network.namespace("b");
		network.segment("other").plug(other, "eth0", "10.9.1.1/24");
		const path = join(folder, "keepalived.conf");
		writeFileSync(
			path,
			`instance drover${process.pid}\nglobal_defs { process_name kd_parent }\n${configuration(["10.9.1.100/24"])}`,
		);
		const env = { ...environment(), DROVER_RUN_DIR: folder };
		// The id is handed on to all children.
		const second = other.spawn([...drover, "keepalived", "-n", "-P", "-i", "here", "-f", path], { env });
		const files = ["keepalived", "vrrp"].map((name) => `/run/keepalived/${name}_drover${process.pid}.pid`);
		await until("the VIP", () => other.addresses("eth0").includes("10.9.1.100/24"));
		await until("both pid files", () => files.every(existsSync));
		const pids = files.map((name) => Number(readFileSync(name, "utf8")));
		expect(readFileSync(`/proc/${pids[0]}/comm`, "utf8")).toBe("kd_parent\n");
		expect(readFileSync(`/proc/${pids[1]}/cmdline`, "utf8")).toContain("vrrp");
		process.kill(pids[0]!, "SIGTERM");
		await second.exited;
		expect(files.filter(existsSync)).toEqual([]);
		rmSync(folder, { recursive: true });
	});

	test("SIGRTMIN+2 writes keepalived.json, with what the real one says of the same file", async () => {
		const folder = mkdtempSync(join(tmpdir(), "drover-json-"));
		const path = join(folder, "keepalived.conf");
		writeFileSync(path, jsonConfiguration);
		const signal = Bun.spawnSync(["keepalived", "--signum=JSON"]).stdout.toString().trim();
		const start = (name: string, command: readonly string[]) => {
			const on = network.namespace(name);
			network.segment(`json${name}`).plug(on, "eth0", "10.9.3.1/24");
			const own = join(folder, name);
			mkdirSync(own);
			const words = ["-n", "-P", "-f", path, "-p", join(own, "pid"), "-r", join(own, "vrrp.pid")];
			const env = { ...environment(), DROVER_RUN_DIR: own, DROVER_LOG: join(own, "log"), TMPDIR: own };
			return { on, own, process: on.spawn([...command, ...words], { env }) };
		};
		const both = [start("j", [...drover, "keepalived"]), start("k", ["keepalived"])];
		const dumps = [];
		for (const { on, own, process } of both) {
			await until("the VIPs", () =>
				["10.9.3.9/32", "10.9.3.12/24"].every((address) => on.addresses("eth0").includes(address)),
			);
			const dump = async () => {
				const file = join(own, "keepalived.json");
				rmSync(file, { force: true });
				Bun.spawnSync(["kill", "-s", signal, String(process.pid)]);
				// The real one writes in place.
				await until("the dump", () => existsSync(file) && readFileSync(file, "utf8").endsWith("]\n"));
				return JSON.parse(readFileSync(file, "utf8"));
			};
			dumps.push((await dump()).map(steady));
			// Its statistics begin anew, and nobody ended by either signal.
			Bun.spawnSync(["kill", "-s", "63", String(process.pid)]);
			await until("the statistics", () => existsSync(join(own, "keepalived.stats")));
			expect((await dump())[0].stats.become_master).toBe(0);
			process.kill("SIGTERM");
			await process.exited;
		}
		expect(dumps[0]).toEqual(dumps[1]);
		rmSync(folder, { recursive: true });
	}, 30_000);

	test("reload_file is there until all have read; reload_time_file brings a reload at its time, once", async () => {
		const folder = mkdtempSync(join(tmpdir(), "drover-reload-"));
		const own = network.namespace("d");
		network.segment("own").plug(own, "eth0", "10.9.3.1/24");
		const path = join(folder, "keepalived.conf");
		const [reloadFile, timeFile] = [join(folder, "reading"), join(folder, "time")];
		const write = (addresses: readonly string[]) =>
			writeFileSync(
				path,
				`global_defs {\nreload_file ${reloadFile}\nreload_time_file ${timeFile}\n}\n${configuration(addresses)}`,
			);
		write(["10.9.3.100/24"]);
		const env = { ...environment(), DROVER_RUN_DIR: folder, DROVER_LOG: join(folder, "log") };
		const pid = join(folder, "pid");
		const started = own.spawn([...drover, "keepalived", "-n", "-P", "-B", "-f", path, "-p", pid], { env });
		await until("the VIP", () => own.addresses("eth0").includes("10.9.3.100/24"));
		await until("the parent's pid file", () => existsSync(pid));
		writeFileSync(reloadFile, "wait");
		write(["10.9.3.100/24", "10.9.3.101/24"]);
		started.kill("SIGHUP");
		await until("the reload file is gone", () => !existsSync(reloadFile));
		const configured = Bun.spawnSync([process.execPath, join(import.meta.dir, "ask.ts"), "vrrp", "config"], {
			env,
		});
		expect(configured.stdout.toString() + configured.stderr.toString()).toContain("10.9.3.101");
		write(["10.9.3.100/24", "10.9.3.102/24"]);
		writeFileSync(
			timeFile,
			new Date(Date.now() + 2_000).toISOString().replace("T", " ").replace(/\..*/, "Z"),
		);
		await until("what the file says, at its time", () => own.addresses("eth0").includes("10.9.3.102/24"));
		expect(existsSync(timeFile)).toBe(false);
		started.kill("SIGTERM");
		await started.exited;
		rmSync(folder, { recursive: true, force: true });
	});

	test("net_namespace: its interfaces are the ones that count, at a reload as well", async () => {
		const folder = mkdtempSync(join(tmpdir(), "drover-namespace-"));
		const inside = network.namespace("e");
		network.segment("inside").plug(inside, "inner0", "10.9.4.1/24");
		const path = join(folder, "keepalived.conf");
		const write = (addresses: readonly string[]) =>
			writeFileSync(
				path,
				`net_namespace ${inside.name}\n${configuration(addresses).replace("eth0", "inner0")}`,
			);
		write(["10.9.4.100/24"]);
		const env = { ...environment(), DROVER_RUN_DIR: folder, DROVER_LOG: join(folder, "log") };
		const check = Bun.spawnSync([...drover, "keepalived", "-t", "-f", path], { env });
		expect(check.stdout.toString()).toContain("nothing wrong");
		const vrrp = Bun.spawn([...drover, "vrrp", "--no-standby", "-f", path], {
			env,
			stdout: "ignore",
			stderr: "ignore",
		});
		try {
			await until("the VIP", () => inside.addresses("inner0").includes("10.9.4.100/24"));
			write(["10.9.4.100/24", "10.9.4.101/24"]);
			vrrp.kill("SIGHUP");
			await until("the second VIP", () => inside.addresses("inner0").includes("10.9.4.101/24"));
			vrrp.kill("SIGTERM");
			await vrrp.exited;
		} finally {
			// It is not in the namespace that the network ends with.
			vrrp.kill("SIGKILL");
		}
		expect(readFileSync(join(folder, "log"), "utf8")).not.toContain("no interface");
		rmSync(folder, { recursive: true, force: true });
	});

	test("SIGHUP with a broken file changes nothing", async () => {
		writeFileSync(file(), configuration(["10.9.0.102/24"]).replace("virtual_router_id", "virtual_ruoter_id"));
		process.kill(Number(readFileSync(pidFile(), "utf8")), "SIGHUP");
		await until("a word about it in the log", () =>
			readFileSync(join(directory, "log"), "utf8").includes("virtual_ruoter_id"),
		);
		expect(box.addresses("eth0")).toContain("10.9.0.101/24");
		expect(box.addresses("eth0")).not.toContain("10.9.0.102/24");
	});

	test("SIGTERM ends it with status 0, without VIPs and without its pid file", async () => {
		process.kill(Number(readFileSync(pidFile(), "utf8")), "SIGTERM");
		expect(await parent.exited).toBe(0);
		expect(box.addresses("eth0")).not.toContain("10.9.0.100/24");
		expect(existsSync(pidFile())).toBe(false);
	});
});

describe("options", () => {
	const run = (...words: string[]) => {
		const { exitCode, stdout, stderr } = Bun.spawnSync([...drover, "keepalived", ...words], {
			env: environment(),
		});
		return { exitCode, text: stdout.toString() + stderr.toString() };
	};
	test.each([
		["STOP", "15"],
		["RELOAD", "1"],
		["DATA", "10"],
		["STATS", "12"],
		["STATS_CLEAR", "63"],
		["JSON", "36"],
	])("--signum=%s is %s, as the real one has it", (name, number) => {
		expect(run(`--signum=${name}`)).toEqual({ exitCode: 0, text: `${number}\n` });
		expect(
			Bun.spawnSync(["keepalived", `--signum=${name}`])
				.stdout.toString()
				.trim(),
		).toBe(number);
	});
	test("--version", () => {
		expect(run("-v").text).toStartWith("Keepalived v2.2.7 (Drover)");
	});
	test("an unknown option is named", () => {
		const { exitCode, text } = run("--nonsense");
		expect(exitCode).toBe(1);
		expect(text).toContain("--nonsense");
	});
	test("a missing file is named, with keepalived's exit status", () => {
		expect(run("-n", "-f", "/nowhere.conf")).toEqual({
			exitCode: 6,
			text: "keepalived: cannot read /nowhere.conf: there is no such file\n",
		});
	});
	test("-t checks a file", () => {
		const path = join(directory, "typo.conf");
		writeFileSync(path, "global_defs {\n    ruoter_id A\n}\n");
		const { exitCode, text } = run("-t", "-f", path);
		expect(exitCode).toBe(5);
		expect(text).toContain('did you mean "router_id"?');
	});
});
