/** The director as a process on a real kernel, beside the real keepalived where there is something to compare. */
import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { serve } from "../../../../firmware/bus/server.ts";
import { loadConfig } from "../../../../firmware/config/keepalived/load.ts";
import { desiredTable } from "../../../../firmware/director/desired.ts";
import { initialVerdict, openPool } from "../../../../firmware/director/pool.ts";
import { reconcileTable } from "../../../../firmware/director/reconcile.ts";
import type { CheckOf } from "../../../../firmware/health/checker.ts";
import { readFileCheck } from "../../../../firmware/health/file.ts";
import { IpvsClient } from "../../../../firmware/kernel/ipvs-client.ts";
import { DirectorProcess, ipvsadm, run, saved, savedLines, sh, until } from "./box.ts";

let director = new DirectorProcess();
afterEach(async () => {
	await director.stop();
	director = new DirectorProcess();
	ipvsadm("-C");
});

const corpus = new URL("../../../../../shared/corpus/keepalived", import.meta.url).pathname;

/**
 * What keepalived puts into the kernel for a file, before its first check. It is frozen when it says that its checks
 * begin: the reader of its log has real-time priority, so on the guest's one processor nothing comes between.
 */
async function keepalivedTable(file: string, namespace: string | null): Promise<string[]> {
	const freezer = `while IFS= read -r line; do
			printf '%s\\n' "$line"
			case "$line" in
			*": Activating "*)
				pids=$(pidof keepalived)
				kill -STOP $pids
				echo "frozen $pids"
				exec cat >/dev/null;;
			esac
		done`;
	if (namespace !== null) {
		run("ip", "netns", "add", namespace);
		// The kernel takes no destinations where it has no local addresses.
		run("ip", "-n", namespace, "link", "set", "lo", "up");
	}
	const child = Bun.spawn(
		["sh", "-c", `keepalived -C -n -l -G -f "$1" 2>&1 | chrt -f 50 sh -c "$2"`, "sh", file, freezer],
		{ stdin: "ignore", stdout: "pipe", stderr: "inherit" },
	);
	let log = "";
	const frozen = () => /^frozen (.+)$/m.exec(log)?.[1];
	try {
		for await (const bytes of child.stdout) {
			log += Buffer.from(bytes).toString();
			if (frozen() !== undefined) break;
		}
		if (frozen() === undefined) throw new Error(`keepalived gives ${file} up:\n${log}`);
		return namespace === null ? saved() : savedLines(run("ip", "netns", "exec", namespace, "ipvsadm", "-Sn"));
	} finally {
		// pidof may or may not name a process that is stopped.
		sh(`for pid in ${frozen() ?? ""} $(pidof keepalived); do kill -9 $pid || true; done
			rm -rf /run/keepalived /run/keepalived*.pid /run/checkers*.pid`);
		await child.exited;
		if (namespace === null) ipvsadm("-C");
		else run("ip", "netns", "delete", namespace);
	}
}

/** What the director would put there. */
function ourTable(file: string): string[] {
	const { config } = loadConfig(file);
	const read = (check: CheckOf<"FILE_CHECK">) => readFileCheck(check, config.trackFiles);
	const pools = config.virtualServers.map(
		(server) => openPool(server, (_member, one) => initialVerdict(one, read)).pool,
	);
	const client = IpvsClient.open();
	try {
		const ownership = { owned: new Set<string>(), removeForeign: false };
		const failures = client.apply(reconcileTable(desiredTable(pools), new Map(), ownership));
		expect(failures.map(({ reason }) => reason)).toEqual([]);
		return saved();
	} finally {
		client.flush();
		client.close();
	}
}

describe("files as people wrote them: the kernel's table is the one that keepalived makes", () => {
	const files = readdirSync(corpus)
		.filter((name) => /^\s*virtual_server\s/m.test(readFileSync(`${corpus}/${name}`, "latin1")))
		.sort();
	test("there are some", () => {
		expect(files.length).toBeGreaterThan(10);
	});
	for (const name of files)
		test(name, async () => {
			const file = `${corpus}/${name}`;
			const theirs = await keepalivedTable(file, loadConfig(file).config.global.networkNamespace);
			expect(ourTable(file)).toEqual(theirs);
		});
});

test("every construct of a virtual server at once: the table is keepalived's", async () => {
	const file = "/tmp/constructs.conf";
	await Bun.write(
		file,
		`
virtual_server_group mixed {
	10.1.1.1-3 80
	10.1.2.1 443
	fwmark 8
}
virtual_server_group six {
	fd00:1::1-3 80
}
virtual_server 10.0.0.1 80 {
	lb_algo wrr
	lb_kind DR
	protocol TCP
	persistence_timeout 120
	persistence_granularity 255.255.255.0
	sorry_server 10.9.9.9 80
	real_server 10.9.0.1 80 {
		weight 3
		uthreshold 100
		lthreshold 50
	}
	real_server 10.9.0.2 80 {
		weight 0
		lvs_method NAT
	}
}
virtual_server 10.0.0.2 53 {
	lb_algo rr
	lb_kind NAT
	protocol UDP
	ops
	real_server 10.9.0.1 5353 {
		weight 2147483647
	}
}
virtual_server 10.0.0.3 5060 {
	lb_algo mh
	mh-port
	mh-fallback
	lb_kind TUN
	protocol UDP
	persistence_engine sip
	persistence_timeout 60
	real_server 10.9.0.1 5060 {
	}
	real_server 10.9.0.2 5060 {
		lvs_method TUN type gue port 6080 csum
	}
	real_server 10.9.0.3 5060 {
		lvs_method TUN type gre
	}
	real_server fd00:9::3 5060 {
	}
}
virtual_server 10.0.0.4 80 {
	lb_algo sh
	sh-port
	lb_kind NAT
	protocol SCTP
	alpha
	sorry_server 10.9.9.9 8080
	sorry_server_inhibit
	real_server 10.9.0.1 80 {
		inhibit_on_failure
		TCP_CHECK {
			connect_timeout 1
		}
	}
	real_server 10.9.0.2 80 {
		TCP_CHECK {
			connect_timeout 1
		}
	}
}
virtual_server fd00::1 80 {
	lb_algo lblcr
	lb_kind DR
	protocol TCP
	persistence_timeout 30
	persistence_granularity 64
	real_server fd00:9::1 80 {
	}
}
virtual_server group mixed {
	lb_algo rr
	lb_kind DR
	protocol TCP
	sorry_server 10.9.9.9 80
	sorry_server_inhibit
	real_server 10.9.0.1 80 {
	}
}
virtual_server group six {
	lb_algo wlc
	lb_kind NAT
	protocol TCP
	real_server fd00:9::1 8080 {
	}
}
virtual_server fwmark 3 {
	lb_algo sed
	lb_kind NAT
	flag-1
	real_server 10.9.0.1 80 {
	}
}
virtual_server fwmark 4 {
	ip_family inet6
	lb_algo nq
	lb_kind DR
	real_server fd00:9::1 80 {
	}
}
`,
	);
	const theirs = await keepalivedTable(file, null);
	expect(theirs!.length).toBeGreaterThan(25);
	expect(ourTable(file)).toEqual(theirs!);
});

const oneServer = (extra = "", server = "") => `${extra}
virtual_server 10.0.0.1 80 {
	delay_loop 1
	lb_kind NAT
	protocol TCP
	quorum_up "/bin/touch /tmp/quorum-up"
	quorum_down "/bin/touch /tmp/quorum-down"
	real_server 127.0.0.1 8099 {
		notify_up "/bin/touch /tmp/notify-up"
		notify_down "/bin/touch /tmp/notify-down"
		TCP_CHECK {
			connect_timeout 1
		}
	}
	${server}
}`;

test("scripts and FIFO lines, in keepalived's words", async () => {
	sh("mkfifo /tmp/lvs.fifo; rm -f /tmp/quorum-* /tmp/notify-*");
	const reader = Bun.spawn(["cat", "/tmp/lvs.fifo"], { stdin: "ignore", stdout: "pipe" });
	let lines = "";
	void (async () => {
		for await (const chunk of reader.stdout) lines += Buffer.from(chunk).toString();
	})();
	director.start(oneServer("global_defs {\n lvs_notify_fifo /tmp/lvs.fifo\n script_user root\n}"));
	await until("nobody listens: down", () => existsSync("/tmp/quorum-down") && existsSync("/tmp/notify-down"));
	await until("the lines", () => lines.includes("VS [10.0.0.1]:tcp:80 DOWN"));
	expect(lines).toBe(
		"VS [10.0.0.1]:tcp:80 UP\nRS [127.0.0.1]:tcp:8099 [10.0.0.1]:tcp:80 DOWN\nVS [10.0.0.1]:tcp:80 DOWN\n",
	);
	expect(saved()).toEqual(["-A -t 10.0.0.1:80 -s wlc"]);
	const listener = Bun.listen({ hostname: "127.0.0.1", port: 8099, socket: { data() {} } });
	await until("up again", () => existsSync("/tmp/notify-up"));
	await until("in the table", () => saved().length === 2);
	await until("the lines of both", () =>
		lines.endsWith("RS [127.0.0.1]:tcp:8099 [10.0.0.1]:tcp:80 UP\nVS [10.0.0.1]:tcp:80 UP\n"),
	);
	listener.stop(true);
	reader.kill();
});

test("the synchronisation daemon follows the VRRP instance", async () => {
	sh("ip link add sync0 type dummy; ip link set sync0 up; ip addr add 10.55.0.1/24 dev sync0");
	process.env["DROVER_RUN_DIR"] = director.directory;
	const daemons = () => ipvsadm("-Ln", "--daemon");
	let state = "BACKUP";
	const vrrp = serve("vrrp", {
		status: {
			input: { safeParse: (data: unknown) => ({ success: true, data }) },
			handle: () => ({ instances: [{ name: "VI_1", state }] }),
		} as never,
	});
	const become = (to: string) => {
		vrrp.publish({ kind: "transition", atMs: Date.now(), instance: "VI_1", from: state, to, reason: "test" });
		state = to;
	};
	try {
		director.start(`global_defs {
	lvs_sync_daemon sync0 VI_1 id 51
}
vrrp_instance VI_1 {
	interface sync0
	virtual_router_id 51
	virtual_ipaddress { 10.55.0.9 }
}
${oneServer()}`);
		await until("backup", () => /^backup sync daemon \(mcast=sync0, syncid=51,/.test(daemons()));
		become("MASTER");
		await until("master", () => /^master sync daemon \(mcast=sync0, syncid=51,/.test(daemons()));
		// Killed as master, it leaves the daemon running until VRRP has spoken again.
		await director.kill();
		director.start();
		await until("it runs again", () => director.ask("status").includes("master on sync0, sync id 51"));
		become("FAULT");
		await until("backup again", () => /^backup sync daemon \(mcast=sync0, syncid=51,/.test(daemons()));
		await director.stop();
		expect(daemons().trim()).toBe("");
	} finally {
		vrrp.close();
		sh("ip link del sync0");
	}
});

test("timeouts from the file; lvs_flush removes what others left, at the start only", async () => {
	ipvsadm("-A", "-t", "10.77.0.1:80", "-s", "rr");
	director.start(oneServer("global_defs {\n lvs_timeouts tcp 700 tcpfin 70 udp 77\n lvs_flush\n}"));
	await until("the table", () => saved().join() === "-A -t 10.0.0.1:80 -s wlc");
	await until("timeouts", () => ipvsadm("-Ln", "--timeout").includes("700 70 77"));
	ipvsadm("-A", "-t", "10.77.0.1:80", "-s", "rr");
	director.ask("look");
	expect(saved()).toContain("-A -t 10.77.0.1:80 -s rr");
});

test("ha_suspend: checks rest while the address is not here", async () => {
	director.start(oneServer().replace("protocol TCP", "protocol TCP\n ha_suspend"));
	const check = () => JSON.parse(director.ask("status")).virtualServers[0].realServers[0].checks[0];
	await until("it runs", () => check());
	await Bun.sleep(1_500);
	const resting = check();
	await Bun.sleep(2_500);
	expect(check().atMs).toBe(resting.atMs);
	sh("ip addr add 10.0.0.1/32 dev lo");
	await until("it is probed", () => check().atMs > resting.atMs && !check().up);
	sh("ip addr del 10.0.0.1/32 dev lo");
	await Bun.sleep(1_500);
	const again = check();
	await Bun.sleep(2_500);
	expect(check().atMs).toBe(again.atMs);
}, 60_000);

test("a scheduler that the kernel does not have is named, the rest is served; drover ipvs prints it all", async () => {
	director.start(`${oneServer()}
virtual_server 10.0.0.2 80 {
	lb_algo twos
	protocol TCP
	real_server 10.9.0.1 80 {
	}
}
virtual_server 10.0.0.3 80 {
	lb_algo rr
	lb_kind NAT
	protocol TCP
	real_server 10.9.0.1 80 {
	}
}`);
	await until("the rest is served", () => saved().includes("-a -t 10.0.0.3:80 -r 10.9.0.1:80 -m -w 1"));
	await until("it is named", () => director.ask("status").includes('the kernel has no scheduler \\"twos\\"'));
	const drover = (...words: string[]) =>
		run(
			process.execPath,
			new URL("../../../../firmware/drover.ts", import.meta.url).pathname,
			"ipvs",
			...words,
		);
	expect(drover("-Ln", "-t", "10.0.0.3:80")).toBe(ipvsadm("-Ln", "-t", "10.0.0.3:80"));
	expect(drover("--save")).toBe(ipvsadm("-Sn"));
	expect(drover("--timeout")).toBe(ipvsadm("-Ln", "--timeout"));
	expect(JSON.parse(drover("--json")).services.length).toBe(2);
});

test("without IPVS it says so, goes on checking, and serves once the module is there", async () => {
	// Nobody finds the module: not the director, and not the kernel by itself.
	sh(`lsmod | awk '/^ip_vs_/ {print $1}' | xargs rmmod
		rmmod ip_vs
		mkdir -p /tmp/no-modules
		mount --bind /tmp/no-modules /lib/modules
		echo /bin/false > /proc/sys/kernel/modprobe`);
	try {
		director.start(oneServer());
		const status = () => JSON.parse(director.ask("status"));
		await until("it says so", () => /the kernel has no IPVS/.test(status().ipvsError));
		expect(status().ipvsVersion).toBeNull();
		await until("it checks", () => status().virtualServers[0].realServers[0].checks[0]?.up === false);
	} finally {
		sh("umount /lib/modules; echo /sbin/modprobe > /proc/sys/kernel/modprobe");
	}
	await until("it serves", () => saved().join() === "-A -t 10.0.0.1:80 -s wlc", 60_000);
	expect(JSON.parse(director.ask("status"))).toMatchObject({ ipvsVersion: "1.2.1", ipvsError: null });
}, 120_000);

test("keepalived.conf(5) checker_process_name, checker_priority, checker_rt_priority, checker_no_swap", async () => {
	const settings = (lines: string) => `global_defs {\n${lines}\n}\nvirtual_server 10.0.0.1 80 {
	lb_algo rr
	lb_kind NAT
	protocol TCP
	real_server 127.0.0.1 80 { TCP_CHECK { connect_timeout 1 } }
}`;
	const of = (file: string) => readFileSync(`/proc/${director.pid}/${file}`, "latin1");
	/** proc(5): fields behind the name; 19 is nice, 41 the policy, 40 the real-time priority. */
	const field = (stat: string, number: number) =>
		Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[number - 3]);
	const threads = () => readdirSync(`/proc/${director.pid}/task`).map((task) => of(`task/${task}/stat`));
	const realTime = () =>
		threads()
			.filter((stat) => field(stat, 41) !== 0)
			.map((stat) => field(stat, 40));
	director.start(
		settings(
			"checker_process_name checkers\nchecker_priority -7\nchecker_rt_priority 33\nchecker_no_swap\nchecker_rlimit_rttime 900000\nchecker_cpu_affinity 0",
		),
	);
	await until("the settings are there", () => of("comm") === "checkers\n" && realTime().length === 1);
	expect(realTime()).toEqual([33]);
	expect(field(of("stat"), 19)).toBe(-7);
	expect(of("limits")).toMatch(/^Max realtime timeout +900000 /m);
	expect(Number(/^VmLck:\s+(\d+)/m.exec(of("status"))![1])).toBeGreaterThan(0);
	director.write(settings("checker_priority 3"));
	director.signal("SIGHUP");
	await until("they are gone", () => field(of("stat"), 19) === 3 && realTime().length === 0);
});

test("SIGUSR1 writes what keepalived writes of its servers and checks", async () => {
	const file = "/tmp/dumped.conf";
	await Bun.write(
		file,
		`virtual_server_group mixed {
	10.1.1.1-3 80
	fwmark 8
}
virtual_server 10.0.0.1 80 {
	delay_loop 600
	lb_algo wrr
	lb_kind DR
	protocol TCP
	path_check off
	persistence_timeout 120
	persistence_granularity 255.255.255.0
	quorum 2
	hysteresis 1
	quorum_up "/usr/bin/true up"
	sorry_server 10.9.9.9 80
	real_server 10.9.0.1 80 {
		weight 3
		uthreshold 100
		lthreshold 50
		TCP_CHECK {
			connect_timeout 300
			retry 2
			delay_before_retry 1
			connect_port 8080
		}
		HTTP_GET {
			connect_timeout 300
			url {
				path /x
				status_code 200-299
			}
		}
	}
	real_server 10.9.0.2 80 {
		weight 0
		inhibit_on_failure
	}
}
virtual_server group mixed {
	lb_algo rr
	lb_kind NAT
	protocol UDP
	ops
	real_server 10.9.0.3 53 {
	}
}
virtual_server fwmark 5 {
	lb_algo sh
	lb_kind TUN
	path_check off
	real_server 10.9.0.5 0 {
	}
}
virtual_server fd00::1 80 {
	lb_algo lc
	lb_kind NAT
	protocol SCTP
	alpha
	real_server fd00::2 80 {
	}
}
`,
	);
	const path = "/tmp/keepalived_check.data";
	sh(
		`rm -f ${path}; ip link add blackhole type dummy; ip link set blackhole up; ip route add 10.9.0.0/16 dev blackhole`,
	);
	try {
		director.start(readFileSync(file, "latin1"));
		await until("it runs", () => director.log().includes("as configured"));
		await until("its dump", () => {
			director.signal("SIGUSR1");
			return existsSync(path);
		});
		const ours = readFileSync(path, "utf8").split("\n");
		await director.stop();
		sh(`rm -f ${path}`);
		Bun.write(file, readFileSync(file, "latin1").replaceAll("\tpath_check off\n", ""));
		const keepalived = Bun.spawn(["keepalived", "-C", "-n", "-f", file], {
			stdout: "ignore",
			stderr: "ignore",
		});
		try {
			// Before it has a handler the signal would end it.
			await until("keepalived's table", () => saved().some((line) => line.includes("fd00::1")));
			await Bun.sleep(500);
			await until("keepalived's dump", () => {
				keepalived.kill("SIGUSR1");
				return existsSync(path) && readFileSync(path, "utf8").includes("fd00::2");
			});
			const theirs = new Set(readFileSync(path, "utf8").split("\n"));
			expect(ours.filter((line) => !theirs.has(line))).toEqual([]);
			expect(ours.length).toBeGreaterThan(100);
		} finally {
			keepalived.kill("SIGKILL");
			sh(
				"for pid in $(pidof keepalived); do kill -9 $pid; done; rm -f /run/keepalived*.pid /run/checkers.pid",
			);
		}
	} finally {
		sh("ip link delete blackhole");
	}
});
