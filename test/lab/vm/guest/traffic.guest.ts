/** Traffic through the director on a real kernel: weights, forwarding methods, drains, reloads, crashes. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createLan, DirectorProcess, Host, ipvsadm, saved, sh, until } from "./box.ts";

const here = import.meta.dir;
const bun = process.execPath;
const director = new DirectorProcess();
let client: Host;
const webs: Host[] = [];

/** Virtual addresses: one per test, because connection entries outlive their service for minutes. */
const nat = "10.0.1.1";
const dr = "10.0.1.2";
const tun = "10.0.1.3";
const nat6 = "fd00::1:1";
const dr6 = "fd00::1:2";
const tun6 = "fd00::1:3";
const kept = "10.0.1.4";
const drained = "10.0.1.5";
const crash = "10.0.1.6";
const churn = "10.0.1.7";
const sorry = "10.0.1.8";
const marked = "10.0.1.9";
const group = "10.0.1.10";
const tun46 = "10.0.1.13";
const tun64 = "fd00::1:13";
const sorry6 = "fd00::1:8";
const path6 = "fd00::1:14";
const datagrams = "10.0.1.15";
const associations = "10.0.1.16";

const check = (port = 80) => `TCP_CHECK {
	connect_timeout 2
	connect_port ${port}
	retry 1
	delay_before_retry 1
}`;
const weights = [3, 2, 1];
const realServers = (prefix: string, extra = "") =>
	weights
		.map((weight, index) => `real_server ${prefix}${index + 1} 80 { weight ${weight}\n${extra} ${check()} }`)
		.join("\n");
const virtual = (
	address: string,
	kind: string,
	prefix = "10.0.0.1",
	extra = "",
) => `virtual_server ${address} 80 {
	delay_loop 1
	lb_algo wrr
	lb_kind ${kind}
	protocol TCP
	${extra.includes("path_check") ? "" : "path_check off"}
	${extra}
	${realServers(prefix)}
}`;
/** Of another protocol than TCP; whether its real servers live is seen by their web servers. */
const other = (address: string, port: number, protocol: string) => `virtual_server ${address} ${port} {
	delay_loop 1
	lb_algo wrr
	lb_kind NAT
	protocol ${protocol}
	${weights.map((weight, index) => `real_server 10.0.0.1${index + 1} ${port} { weight ${weight}\n ${check()} }`).join("\n")}
}`;
const config = (...more: string[]) =>
	[
		virtual(nat, "NAT"),
		virtual(dr, "DR"),
		virtual(tun, "TUN"),
		virtual(nat6, "NAT", "fd00::1"),
		virtual(dr6, "DR", "fd00::1"),
		virtual(tun6, "TUN", "fd00::1"),
		virtual(kept, "NAT"),
		virtual(drained, "NAT"),
		virtual(crash, "NAT"),
		virtual(tun46, "TUN", "fd00::1"),
		virtual(tun64, "TUN", "10.0.0.1"),
		virtual(sorry, "NAT", "10.0.0.1", "quorum 4\n sorry_server 10.0.0.19 80"),
		virtual(sorry6, "NAT", "fd00::1", "quorum 4\n sorry_server fd00::19 80"),
		virtual(path6, "DR", "fd00::1", "path_check on"),
		other(datagrams, 53, "UDP"),
		other(associations, 9, "SCTP"),
		`virtual_server fwmark 5 { delay_loop 1\n lb_algo wrr\n lb_kind NAT\n ${realServers("10.0.0.1")} }`,
		`virtual_server_group pair {\n ${group}-12 80\n }`,
		`virtual_server group pair { delay_loop 1\n lb_algo rr\n lb_kind NAT\n protocol TCP\n ${realServers("10.0.0.1")} }`,
		...more,
	].join("\n");

/** The shares of 3:2:1 in so many answers. */
const shares = (of: number) => ({ web1: of / 2, web2: of / 3, web3: of / 6 });

async function count(requests: number, address: string, port = 80): Promise<Record<string, number>> {
	const child = client.spawn(bun, `${here}/client.ts`, "count", String(requests), address, String(port));
	return JSON.parse(await new Response(child.stdout).text());
}

/** A connection that is kept open; `lines` grows as it goes on. */
async function hold(
	address: string,
): Promise<{ readonly server: string; alive(): number; end(): void; lost(): boolean }> {
	const child = client.spawn(bun, `${here}/client.ts`, "hold", address, "80");
	let text = "";
	void (async () => {
		for await (const chunk of child.stdout) text += Buffer.from(chunk).toString();
	})();
	const server = await until("a server answers", () => /^server (\S+)$/m.exec(text)?.[1] ?? "");
	return {
		server,
		alive: () => text.split("alive").length - 1,
		lost: () => text.includes("lost"),
		end: () => child.kill("SIGKILL"),
	};
}

/** Goes on for a while after now, without a loss. */
async function goesOn(connection: Awaited<ReturnType<typeof hold>>): Promise<void> {
	const before = connection.alive();
	await until("the connection goes on", () => connection.alive() > before + 5);
	expect(connection.lost()).toBe(false);
}

const servers = new Map<string, Bun.Subprocess<"ignore", "pipe", "inherit">>();

async function startWeb(web: Host): Promise<void> {
	const server = web.spawn(bun, `${here}/web-server.ts`, web.name, "80");
	servers.set(web.name, server);
	const { value } = await server.stdout.getReader().read();
	expect(Buffer.from(value!).toString()).toBe("ready\n");
}

async function stopWeb(web: Host): Promise<void> {
	servers.get(web.name)!.kill("SIGKILL");
	await servers.get(web.name)!.exited;
}

/** Counters of services without traffic; the kernel sums up what its processors counted every two seconds. */
async function dump(): Promise<string> {
	await Bun.sleep(2_500);
	return ipvsadm("-Ln", "--stats", "--exact");
}

beforeAll(async () => {
	createLan(
		"10.0.0.254/16",
		"fd00::fe/64",
		...[nat, dr, tun, tun46, kept, drained, crash, churn, sorry, marked, datagrams, associations].map(
			(address) => `${address}/32`,
		),
		...[group, "10.0.1.11", "10.0.1.12"].map((address) => `${address}/32`),
	);
	for (const address of [nat6, dr6, tun6, tun64, sorry6, path6])
		sh(`ip addr add ${address}/128 dev lan nodad preferred_lft 0`);
	sh("modprobe -a ipip ip6_tunnel 2>/dev/null || true; modprobe sctp");
	client = new Host("client", "10.0.2.1/16", "fd00::2:1/64");
	// Requests come from outside through the director; answers of DR and TUN go past it, over the cable on the LAN.
	sh(`ip link add client2 type veth peer name eth1 netns client
		sysctl -qw net.ipv6.conf.client2.accept_dad=0 net.ipv4.conf.client2.rp_filter=0
		ip link set client2 up
		ip addr add 10.9.0.1/24 dev client2
		ip addr add fd09::1/64 dev client2 nodad`);
	client.sh(
		"sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0 net.ipv6.conf.eth1.accept_dad=0",
	);
	client.ip("link set eth1 up");
	client.ip("addr add 10.9.0.2/24 dev eth1");
	client.ip("addr add fd09::2/64 dev eth1 nodad");
	client.ip("route add 10.0.1.0/24 via 10.9.0.1 src 10.9.0.2");
	client.ip("-6 route add fd00::1:0/112 via fd09::1 src fd09::2");
	for (const index of [1, 2, 3, 9]) {
		const web = new Host(`web${index}`, `10.0.0.1${index}/16`, `fd00::1${index}/64`);
		web.ip("route add default via 10.0.0.254");
		web.ip("-6 route add default via fd00::fe");
		web.sh(
			"sysctl -qw net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0",
		);
		web.ip("rule add from 10.0.1.0/24 table 100");
		web.ip("route add default via 10.0.2.1 table 100");
		web.ip("-6 rule add from fd00::1:0/112 table 100");
		web.ip("-6 route add default via fd00::2:1 table 100");
		// Answers to the director's own questions, too, come from the VIP.
		web.ip("-6 rule add to fd00::fe table main pref 10");
		for (const address of [dr, tun, tun46]) web.ip(`addr add ${address}/32 dev lo`);
		for (const address of [dr6, tun6, tun64, path6]) web.ip(`addr add ${address}/128 dev lo nodad`);
		web.sh(
			"ip link set tunl0 up 2>/dev/null || ip link add tunl0 type ipip; ip link set tunl0 up; sysctl -qw net.ipv4.conf.tunl0.rp_filter=0",
		);
		web.sh("ip link set ip6tnl0 up || { ip link add ip6tnl0 type ip6tnl; ip link set ip6tnl0 up; }");
		// The tunnels that come with the modules carry their own family only.
		web.sh(
			`ip link add any6 type ip6tnl mode any local fd00::1${index} remote ::; ip link set any6 up; ip link set sit0 up; sysctl -qw net.ipv4.conf.any6.rp_filter=0`,
		);
		webs.push(web);
		await startWeb(web);
		web.spawn(bun, `${here}/datagram.ts`, "answer", web.name, "53");
		// Bun has no SCTP. A name for each association, whatever it asks.
		web.spawn("socat", "-U", "SCTP-LISTEN:9,fork,reuseaddr", `SYSTEM:echo ${web.name}`);
	}
	// The mark that iptables or nftables would set.
	sh(`tc qdisc add dev client2 ingress
		tc filter add dev client2 parent ffff: protocol ip u32 match ip dst ${marked}/32 action skbedit mark 5`);
	director.start(config());
	await until("the table is there", () => saved().filter((line) => line.startsWith("-a")).length >= 40);
	await until("every check has spoken", () => {
		const status = JSON.parse(director.ask("status"));
		return status.virtualServers.every(
			(server: { realServers: { checks: { atMs: number; up: boolean }[] }[] }) =>
				server.realServers.every(({ checks }) => checks.every(({ atMs, up }) => atMs > 0 && up)),
		);
	});
}, 180_000);

afterAll(async () => {
	console.log(director.log().slice(-4000));
	await director.stop();
});

describe("weights 3:2:1, exactly", () => {
	for (const [name, address] of Object.entries({
		NAT: nat,
		DR: dr,
		TUN: tun,
		"NAT, IPv6": nat6,
		"DR, IPv6": dr6,
		"TUN, IPv6": tun6,
		"TUN, IPv4 to IPv6 real servers": tun46,
		"TUN, IPv6 to IPv4 real servers": tun64,
		"a firewall mark": marked,
	}))
		test(name, async () => {
			expect(await count(60, address)).toEqual(shares(60));
		});

	test("UDP: a datagram from each of 60 ports", async () => {
		const child = client.spawn(bun, `${here}/datagram.ts`, "ask", "60", datagrams, "53");
		expect(JSON.parse(await new Response(child.stdout).text())).toEqual(shares(60));
	});

	test("SCTP: 6 associations", () => {
		const answers: Record<string, number> = {};
		const script = `for turn in $(seq 6); do timeout 10 socat -u SCTP-CONNECT:${associations}:9 -; done`;
		for (const name of client.sh(script).trim().split("\n")) answers[name] = (answers[name] ?? 0) + 1;
		expect(answers).toEqual(shares(6));
	});

	test("a group: every address of its range", async () => {
		expect(saved().filter((line) => /^-A -t 10\.0\.1\.1[012]:80/.test(line)).length).toBe(3);
		expect(await count(30, "10.0.1.12")).toEqual({ web1: 10, web2: 10, web3: 10 });
	});
});

test("a reload: what it does not concern keeps its connections, counters and place", async () => {
	const connection = await hold(kept);
	const before = (await dump())
		.split("\n")
		.filter((line) => !line.includes(kept) && !line.includes("10.0.0.1"));
	director.write(config(virtual(churn, "NAT")).replace("weight 3", "weight 4"));
	expect(director.ask("reload")).toContain("taken over");
	expect(saved().filter((line) => line.includes(churn)).length).toBe(4);
	expect(saved()).toContain(`-a -t ${nat}:80 -r 10.0.0.11:80 -m -w 4`);
	const after = await dump();
	for (const line of before) expect(after).toContain(line);
	await goesOn(connection);
	director.write(config());
	director.signal("SIGHUP");
	await until("the reload by signal", () => !saved().some((line) => line.includes(churn)));
	expect(saved()).toContain(`-a -t ${nat}:80 -r 10.0.0.11:80 -m -w 3`);
	await goesOn(connection);
	connection.end();
});

test("a reload that is not acceptable changes nothing and says why", async () => {
	const before = saved();
	director.write(config().replaceAll("lb_kind NAT", "lb_kind NATT"));
	expect(() => director.ask("reload")).toThrow(/not taken over: .*NATT/);
	expect(saved()).toEqual(before);
	const status = JSON.parse(director.ask("status"));
	expect(status.reload).toMatchObject({ ok: false });
	director.write(config());
	expect(director.ask("reload")).toContain("taken over");
});

test("drain: new connections go elsewhere, the kept one goes on to its end, then the server leaves", async () => {
	const connection = await hold(drained);
	const address = `10.0.0.1${connection.server.slice(3)}:80`;
	const others = ["web1", "web2", "web3"].filter((name) => name !== connection.server).sort();
	director.ask("drain", address, `[${drained}]:tcp:80`);
	expect(saved()).toContain(`-a -t ${drained}:80 -r ${address} -m -w 0`);
	expect(Object.keys(await count(12, drained)).sort()).toEqual(others);
	await goesOn(connection);
	expect(saved()).toContain(`-a -t ${drained}:80 -r ${address} -m -w 0`);
	connection.end();
	await until(
		"it leaves",
		() => !saved().some((line) => line.includes(`${drained}:80 -r ${address}`)),
		60_000,
	);
	director.ask("undo", address, `[${drained}]:tcp:80`);
	expect(saved().some((line) => line.includes(`${drained}:80 -r ${address} -m -w`))).toBe(true);
}, 240_000);

test("maintenance: out at once, also over a restart of the director", async () => {
	director.ask("maintenance", "10.0.0.13:80", `[${drained}]:tcp:80`);
	const gone = () => !saved().some((line) => line.includes(`${drained}:80 -r 10.0.0.13`));
	expect(gone()).toBe(true);
	await director.kill();
	director.start();
	await until("it is back", () => director.ask("status"));
	expect(gone()).toBe(true);
	director.ask("undo", "10.0.0.13", `[${drained}]:tcp:80`);
	expect(gone()).toBe(false);
});

test("drift: what others change in the table is put back and told", async () => {
	const before = saved();
	const stats = (await dump()).split("\n").filter((line) => line.includes(dr));
	ipvsadm("-e", "-t", `${nat}:80`, "-r", "10.0.0.11:80", "-m", "-w", "9");
	ipvsadm("-d", "-t", `${nat}:80`, "-r", "10.0.0.12:80");
	ipvsadm("-a", "-t", `${nat}:80`, "-r", "10.0.0.99:80", "-m");
	ipvsadm("-E", "-t", `${tun}:80`, "-s", "rr");
	ipvsadm("-D", "-t", `${churn}0:80`.replace(`${churn}0`, kept));
	ipvsadm("-A", "-t", "10.77.0.1:80", "-s", "rr");
	await until(
		"the table is as it was",
		() =>
			saved()
				.filter((line) => !line.includes("10.77.0.1"))
				.join() === before.join(),
	);
	// Somebody else's service is none of ours.
	expect(saved()).toContain("-A -t 10.77.0.1:80 -s rr");
	ipvsadm("-D", "-t", "10.77.0.1:80");
	expect((await dump()).split("\n").filter((line) => line.includes(dr))).toEqual(stats);
	const log = director.log();
	expect(log).toContain("weight 9 instead of 3");
	expect(log).toContain("real server 10.0.0.12:80 was missing; put back");
	expect(log).toContain("real server 10.0.0.99:80 did not belong there; removed");
	expect(log).toContain("scheduler rr instead of wrr");
	expect(log).toContain(`service TCP ${kept}:80 was missing; put back`);
	expect(JSON.parse(director.ask("status")).driftRepairs).toBeGreaterThanOrEqual(5);
});

test("kill -9 and restart: the table stays as it is, no connection is lost, what went from the file goes", async () => {
	director.write(config(virtual(churn, "NAT")));
	director.ask("reload");
	// One server is dead: the restart must not try it on clients.
	await stopWeb(webs[0]!);
	await until(
		"web1 has left",
		() => !saved().some((line) => /-r (10\.0\.0\.11|\[fd00::11\]):/.test(line)),
		60_000,
	);
	const connection = await hold(crash);
	const before = saved();
	const stats = (await dump()).split("\n").filter((line) => line.includes(dr));
	await director.kill();
	expect(saved()).toEqual(before);
	director.write(config());
	director.start();
	let seenWeb1 = false;
	await until("it runs again", () => {
		seenWeb1 ||= saved().some((line) => line.includes("-r 10.0.0.11:"));
		return JSON.parse(director.ask("status")).ipvsError === null;
	});
	await until("what went from the file is gone", () => !saved().some((line) => line.includes(churn)));
	expect(saved()).toEqual(before.filter((line) => !line.includes(churn)));
	expect(seenWeb1).toBe(false);
	expect((await dump()).split("\n").filter((line) => line.includes(dr))).toEqual(stats);
	await goesOn(connection);
	connection.end();
	await startWeb(webs[0]!);
	await until(
		"web1 is back",
		() => saved().some((line) => line.includes(`${nat}:80 -r 10.0.0.11:80 -m -w 3`)),
		60_000,
	);
}, 240_000);

test("quorum and sorry server, IPv4 and IPv6", async () => {
	const pools = [
		{ vip: sorry, service: `${sorry}:80`, real: "10.0.0.1", spare: "10.0.0.19:80" },
		{ vip: sorry6, service: `[${sorry6}]:80`, real: "[fd00::1", spare: "[fd00::19]:80" },
	];
	const rows = (service: string) => saved().filter((line) => line.includes(`${service} -r`));
	for (const { vip, service } of pools) {
		await until("the pool is whole", () => rows(service).length === 3);
		expect(await count(6, vip)).toEqual(shares(6));
	}
	await stopWeb(webs[0]!);
	for (const { vip, service, spare } of pools) {
		await until(
			"the sorry server serves alone",
			() => rows(service).join() === `-a -t ${service} -r ${spare} -m -w 1`,
		);
		expect(await count(4, vip)).toEqual({ web9: 4 });
	}
	await startWeb(webs[0]!);
	for (const { service, real, spare } of pools) {
		await until(
			"the live servers are back",
			() => rows(service).filter((line) => line.includes(`-r ${real}`)).length === 3,
		);
		expect(rows(service).some((line) => line.includes(spare))).toBe(false);
	}
}, 240_000);

test("path check, IPv6: a real server without the VIP is out though it answers on its own address", async () => {
	const server = () =>
		JSON.parse(director.ask("status"))
			.virtualServers.find(({ name }: { name: string }) => name.includes(path6))
			.realServers.find(({ address }: { address: string }) => address === "fd00::12");
	await until("it is in", () => server().alive && server().path?.ok === true);
	webs[1]!.ip(`addr del ${path6}/128 dev lo`);
	await until("it is out", () => !server().alive);
	expect(saved().some((line) => line.includes(`[${path6}]:80 -r [fd00::12]`))).toBe(false);
	expect(server().path).toMatchObject({ ok: false });
	expect(server().path.detail).toContain("does not accept the VIP");
	expect(server().checks.every(({ up }: { up: boolean }) => up)).toBe(true);
	expect(Object.keys(await count(6, path6)).sort()).toEqual(["web1", "web3"]);
	webs[1]!.ip(`addr add ${path6}/128 dev lo nodad`);
	await until("it is back", () => server().alive);
	expect(saved()).toContain(`-a -t [${path6}]:80 -r [fd00::12]:80 -g -w 2`);
}, 120_000);

test("stop: its own services go, others' stay", async () => {
	ipvsadm("-A", "-t", "10.77.0.1:80", "-s", "rr");
	expect(await director.stop()).toBe(0);
	expect(saved()).toEqual(["-A -t 10.77.0.1:80 -s rr"]);
	ipvsadm("-C");
}, 20_000);
