/** The director's start and its end: what it waits for has an end, and after a crash it is that of what ran before. */
import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { call } from "../../../firmware/bus/client.ts";
import type { DirectorStatus } from "../../../firmware/status/director.ts";
import { DroverCheckers, hasIpvs } from "./health-peer.ts";
import { bunPath, eventually, Network } from "./network.ts";

const DROVER = join(import.meta.dir, "../../../firmware/drover.ts");

const configuration = `virtual_server 10.9.0.100 80 {
	delay_loop 1
	lb_algo rr
	lb_kind NAT
	protocol TCP
	alpha
	real_server 10.9.0.1 80 {
		MISC_CHECK {
			misc_path "/bin/true"
		}
	}
}
`;

test("a modprobe that never ends holds up neither the start nor the checks", async () => {
	using network = Network.create("start");
	const box = network.namespace("box");
	const folder = mkdtempSync(join(tmpdir(), "drover-start-"));
	const path = (name: string) => join(folder, name);
	writeFileSync(path("modprobe"), `#!/bin/sh\ntouch ${path("asked")}\nexec sleep 600\n`, { mode: 0o755 });
	writeFileSync(path("keepalived.conf"), configuration);
	writeFileSync(path("log"), "");
	const child = box.spawn([bunPath, DROVER, "director", "-f", path("keepalived.conf")], {
		env: {
			...process.env,
			PATH: `${folder}:${process.env["PATH"]}`,
			DROVER_LOG: path("log"),
			DROVER_RUN_DIR: folder,
		},
	});
	await eventually("the check has passed", () => readFileSync(path("log"), "utf8").includes("Gained quorum"));
	if (!hasIpvs()) expect(await Bun.file(path("asked")).exists()).toBe(true);
	child.kill("SIGTERM");
	await child.exited;
	rmSync(folder, { recursive: true, force: true });
}, 60_000);

test("after a crash a file that a reload would refuse is not what goes on; after an orderly end it is the file that counts", async () => {
	using network = Network.create("crash");
	const box = network.namespace("box");
	const folder = mkdtempSync(join(tmpdir(), "drover-crash-"));
	const path = (name: string) => join(folder, name);
	const write = (server: string) =>
		writeFileSync(path("servers.conf"), configuration.replace("10.9.0.1 80", server));
	writeFileSync(path("keepalived.conf"), `include ${path("server*.conf")}\n`);
	const env = { ...process.env, DROVER_LOG: path("log"), DROVER_RUN_DIR: folder };
	const start = () => box.spawn([bunPath, DROVER, "director", "-f", path("keepalived.conf")], { env });
	const ask = async () => {
		process.env["DROVER_RUN_DIR"] = folder;
		const status = await call<DirectorStatus>("director", "status").catch(() => null);
		return status?.virtualServers[0]?.realServers.every(({ alive }) => alive) === true && status;
	};
	const runs = async () => {
		const { reload, virtualServers } = await eventually("it checks", ask);
		return [virtualServers[0]?.realServers.map(({ address }) => address).join(), reload?.ok ?? null];
	};
	write("10.9.0.1 80");
	let child = start();
	const endWith = async (signal: "SIGKILL" | "SIGTERM") => {
		child.kill(signal);
		await child.exited;
		child = start();
	};
	expect(await runs()).toEqual(["10.9.0.1", null]);
	write("10.9.0.2 80 {\n\t}\n\treal_sever 10.9.0.3 80");
	await endWith("SIGKILL");
	expect(await runs()).toEqual(["10.9.0.1", false]);
	await endWith("SIGKILL");
	expect(await runs()).toEqual(["10.9.0.1", false]);
	// What a reload would take is taken.
	write("10.9.0.4 80");
	await endWith("SIGKILL");
	expect(await runs()).toEqual(["10.9.0.4", null]);
	write("10.9.0.5 80 {\n\t\tweigth 3\n\t}\n\treal_server 10.9.0.6 80");
	await endWith("SIGTERM");
	expect(await runs()).toEqual(["10.9.0.5,10.9.0.6", null]);
	child.kill("SIGTERM");
	await child.exited;
	rmSync(folder, { recursive: true, force: true });
}, 60_000);

test("SIGTERM: neither a notify script that runs on, nor a reader without an ear for it, nor a silent mail server holds up the end", async () => {
	using network = Network.create("end");
	const box = network.namespace("box");
	box.ip("link", "set", "lo", "up");
	const folder = mkdtempSync(join(tmpdir(), "drover-end-"));
	const path = (name: string) => join(folder, name);
	const script = (name: string, text: string) =>
		writeFileSync(path(name), `#!/bin/sh\necho $$ > ${path(`${name}.pid`)}\n${text}\n`, { mode: 0o755 });
	script("notify", "exec sleep 600");
	script("reader", "trap '' TERM\nwhile :; do sleep 1; done");
	const server = `await Bun.write("${path("listens")}", ""); setInterval(() => {}, 1e6);`;
	const listen = `Bun.listen({ hostname: "127.0.0.1", port: 2525, socket: { data() {} } }); ${server}`;
	box.spawn([bunPath, "-e", listen]);
	await eventually("the mail server listens", () => existsSync(path("listens")));
	const text = `global_defs {
	script_user root
	notification_email {
		a@example.org
	}
	smtp_server 127.0.0.1 2525
	smtp_connect_timeout 60
	smtp_alert
	lvs_notify_fifo ${path("fifo")}
	lvs_notify_fifo_script ${path("reader")}
}
${configuration
	.replace("/bin/true", "/bin/false")
	.replace("\talpha\n", "")
	.replace("MISC_CHECK", `notify_down ${path("notify")}\n\t\tMISC_CHECK`)}`;
	writeFileSync(path("keepalived.conf"), text);
	const child = box.spawn([bunPath, DROVER, "director", "-f", path("keepalived.conf")], {
		env: { ...process.env, DROVER_LOG: path("log"), DROVER_RUN_DIR: folder },
	});
	const started = () => ["notify.pid", "reader.pid"].every((name) => existsSync(path(name)));
	await eventually("both scripts run", started, 30_000);
	const toldAtMs = performance.now();
	child.kill("SIGTERM");
	await child.exited;
	expect(performance.now() - toldAtMs).toBeLessThan(5_000);
	expect(child.exitCode).toBe(0);
	expect(readFileSync(path("log"), "utf8")).toMatch(
		/not waited for: notify scripts, which run on: 1; mails, which may be lost: [1-9]/,
	);
	rmSync(folder, { recursive: true, force: true });
}, 60_000);

/** sendto(2) of a machine whose kernel loses every request for generic netlink: taken, and never answered. */
const deafKernel = `#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/netlink.h>
#include <sys/socket.h>
static int is(int fd, int option, int value) {
	int is = -1;
	socklen_t length = sizeof is;
	return getsockopt(fd, SOL_SOCKET, option, &is, &length) == 0 && is == value;
}
ssize_t sendto(int fd, const void *data, size_t length, int flags, const struct sockaddr *to, socklen_t size) {
	if (is(fd, SO_DOMAIN, AF_NETLINK) && is(fd, SO_PROTOCOL, NETLINK_GENERIC)) return length;
	return ((ssize_t (*)(int, const void *, size_t, int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "sendto"))(
		fd, data, length, flags, to, size);
}
`;

test("a kernel that never answers about IPVS is named, and holds up neither the checks for long nor the end", async () => {
	using network = Network.create("deaf");
	const box = network.namespace("box");
	const folder = mkdtempSync(join(tmpdir(), "drover-deaf-"));
	const path = (name: string) => join(folder, name);
	writeFileSync(path("deaf.c"), deafKernel);
	const built = Bun.spawnSync(["cc", "-shared", "-fPIC", "-o", path("deaf.so"), path("deaf.c"), "-ldl"]);
	expect(built.exitCode).toBe(0);
	writeFileSync(path("keepalived.conf"), configuration);
	writeFileSync(path("log"), "");
	const child = box.spawn([bunPath, DROVER, "director", "-f", path("keepalived.conf")], {
		env: { ...process.env, LD_PRELOAD: path("deaf.so"), DROVER_LOG: path("log"), DROVER_RUN_DIR: folder },
	});
	const log = () => readFileSync(path("log"), "utf8");
	await eventually("the check has passed", () => log().includes("Gained quorum"), 10_000);
	expect(log()).toContain(
		"IPVS cannot be reached: generic netlink family IPVS: no answer from the kernel: EWOULDBLOCK",
	);
	// Most likely in the midst of another attempt.
	await Bun.sleep(700);
	const toldAtMs = performance.now();
	child.kill("SIGTERM");
	await child.exited;
	expect(performance.now() - toldAtMs).toBeLessThan(8_000);
	expect(child.exitCode).toBe(0);
	rmSync(folder, { recursive: true, force: true });
}, 60_000);

test("kill -9 while a check's program runs: it ends, and a second one that its lock keeps out takes no server away", async () => {
	using network = Network.create("orphan");
	const box = network.namespace("box");
	box.ip("link", "set", "lo", "up");
	const folder = mkdtempSync(join(tmpdir(), "drover-orphan-"));
	const lock = join(folder, "lock");
	const director = new DroverCheckers(
		box,
		folder,
		`virtual_server 10.9.0.100 80 {
	delay_loop 1
	protocol TCP
	real_server 10.9.0.1 80 {
		MISC_CHECK {
			misc_path "/usr/bin/flock -n ${lock} /bin/sleep 3"
			misc_timeout 10
		}
	}
}
`,
	);
	const programs = () =>
		Bun.spawnSync(["pgrep", "-f", `^/usr/bin/flock -n ${lock}`])
			.stdout.toString()
			.split("\n")
			.filter(Boolean);
	await eventually("the program runs", () => programs().length === 1, 30_000);
	await Bun.sleep(500);
	const before = programs();
	await director.crash();
	expect(programs()).toEqual(before);
	await eventually("it is ended", () => !programs().includes(before[0]!), 2_500);
	await eventually("the next runs", () => programs().length === 1, 30_000);
	await Bun.sleep(4_000);
	expect(director.fifo.lines.filter(({ up }) => !up)).toEqual([]);
	expect(director.log()).toContain("had left running were ended: 1");
	await director.stop();
	expect(programs()).toEqual([]);
	expect(existsSync(join(folder, "director.programs"))).toBe(false);
	rmSync(folder, { recursive: true, force: true });
}, 120_000);
