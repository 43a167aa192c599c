/**
 * Notifications against Debian's snmptrapd, which knows the MIBs: what the box tells without being
 * asked, from which address, and that it is told again until it is acknowledged.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import {
	appendFileSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { type Cable, eventually, type Namespace, Network } from "./network.ts";

const project = join(import.meta.dir, "../../..");
const drover = [process.execPath, join(project, "firmware/drover.ts")];
const LIMIT_MS = 20_000;
const ENGINE_ID = "80001f88801122334455667788";

let network: Network;
let box: Namespace;
let manager: Namespace;
let spare: Cable;
let directory: string;
let receiver: Subprocess;
let agent: Subprocess;
const servers = new Map<number, Subprocess>();

const settings = `
[[port]]
name = "eth0"
role = "inside"
addresses = ["10.9.0.1/24"]

[snmp]
enabled = true
communities = ["watch"]
sources = ["127.0.0.0/8"]

[[snmp.users]]
name = "nms"
auth_password = "correct horse"
privacy_password = "battery staple"

[[snmp.receivers]]
version = "v2c"
address = "10.9.0.2"
community = "told"

[[snmp.receivers]]
version = "v3"
address = "10.9.0.2"
user = "nms"
kind = "trap"

[[snmp.receivers]]
version = "v3"
address = "10.9.0.2"
user = "nms"
`;

const configuration = `
global_defs { router_id lab-a }
vrrp_sync_group PAIR { group { VI_1 } }
vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 51
    priority 200
    advert_int 0.3
    version 3
    virtual_ipaddress { 10.9.0.100/24 }
}
virtual_server 10.9.0.100 80 {
    delay_loop 0.5
    lb_algo wrr
    lb_kind NAT
    protocol TCP
    real_server 10.9.0.2 81 { TCP_CHECK { connect_timeout 1 retry 0 } }
    real_server 10.9.0.2 82 { TCP_CHECK { connect_timeout 1 retry 0 } }
}`;

const services = new Map<string, Subprocess>();
const path = (name: string) => join(directory, name);
const environment = () => ({
	...process.env,
	DROVER_RUN_DIR: directory,
	DROVER_CONFIG_DIR: path("config"),
	DROVER_UPDATE_DIR: path("update"),
	DROVER_LOG: path("log"),
});

function startReceiver(): Subprocess {
	writeFileSync(
		path("snmptrapd.conf"),
		[
			"authCommunity log told",
			`createUser -e 0x${ENGINE_ID} nms SHA-256 "correct horse" AES "battery staple"`,
			'createUser nms SHA-256 "correct horse" AES "battery staple"',
			"authUser log nms priv",
			"format1 %V\n",
			"",
		].join("\n"),
	);
	const mibs = [
		join(project, "test/status/mibs"),
		join(project, "node_modules/net-snmp/lib/mibs"),
		join(project, "firmware/status/snmp/mib"),
		"/usr/share/snmp/mibs",
	];
	// One line each: how it came, from where, and "name = value" for each binding.
	const line = "%P|%b|%v\n";
	return manager.spawn(
		[
			...["snmptrapd", "-f", "-C", "-c", path("snmptrapd.conf"), "-Lf", path("told"), "-F", line],
			...["-M", mibs.join(":"), "-m", "KEEPALIVED-MIB:VRRPV3-MIB:IF-MIB:DROVER-MIB", "-OsQ", "udp:162"],
		],
		{ env: { ...process.env, SNMP_PERSISTENT_DIR: path("snmptrapd") } },
	);
}

function startAgent(): Subprocess {
	return box.spawn(
		[
			...["unshare", "--mount", "sh", "-c", 'mount -t sysfs sys /sys && exec "$0" "$@"'],
			...[...drover, "snmp", "--config", path("appliance.toml"), "--state", path("state")],
		],
		{ env: environment() },
	);
}

interface Told {
	readonly kind: "TRAP2" | "INFORM";
	readonly security: string;
	readonly from: string;
	readonly name: string;
	readonly values: Readonly<Record<string, string>>;
}

/** All that the receiver was told. */
function told(): Told[] {
	return readFileSync(path("told"), "utf8")
		.split("\n")
		.filter((line) => line.includes("|UDP:"))
		.map((line) => {
			const [how = "", from = "", bindings = ""] = line.split("|");
			const values = Object.fromEntries(
				bindings.split("\t").map((binding) => {
					const [name = "", value = ""] = binding.split(/ = (.*)/s);
					return [name.replace("sysUpTime.0", "uptime"), value.trim()];
				}),
			);
			return {
				kind: how.startsWith("INFORM") ? "INFORM" : "TRAP2",
				security: /SNMP (v\w+)/.exec(how)?.[1] ?? how,
				from: /^UDP: \[([^\]]+)\]/.exec(from)?.[1] ?? from,
				name: values["snmpTrapOID.0"] ?? "",
				values,
			};
		});
}

/** Waits until all three receivers heard of it; the last one's values without the two that all have. */
async function heard(name: string, matches: (values: Told["values"]) => boolean = () => true) {
	const all = await eventually(
		`${name} by all three; so far:\n${told()
			.slice(-12)
			.map((each) => JSON.stringify(each))
			.join("\n")}`,
		() => {
			const found = told().filter((each) => each.name === name && matches(each.values));
			return new Set(found.map(({ kind, security }) => `${kind} ${security}`)).size === 3 ? found : null;
		},
		LIMIT_MS,
	);
	for (const each of all) expect(each.from).toBe("10.9.0.1");
	const { uptime: _uptime, "snmpTrapOID.0": _name, ...values } = all.at(-1)!.values;
	expect(all.map((each) => ({ ...each.values, uptime: "" }))).toEqual(
		all.map(() => ({ uptime: "", "snmpTrapOID.0": name, ...values })),
	);
	return values;
}

function startServer(port: number): void {
	servers.set(port, manager.spawn(["socat", `TCP-LISTEN:${port},fork,reuseaddr`, "/dev/null"]));
}

beforeAll(async () => {
	network = Network.create("notify");
	box = network.namespace("a");
	manager = network.namespace("nms");
	const lan = network.segment("lan");
	lan.plug(box, "eth0", "10.9.0.1/24");
	spare = lan.plug(box, "eth1");
	lan.plug(manager, "eth0", "10.9.0.2/24");
	directory = mkdtempSync(join(tmpdir(), "drover-notify-"));
	for (const name of ["state", "config/revisions/4", "config/revisions/5", "update", "snmptrapd"])
		mkdirSync(path(name), { recursive: true });
	writeFileSync(path("keepalived.conf"), configuration);
	writeFileSync(path("appliance.toml"), settings);
	writeFileSync(path("told"), "");
	writeFileSync(
		path("state/state.json"),
		JSON.stringify({ engineId: ENGINE_ID, engineBoots: 6, interfaceIndices: {}, toldUntilMs: 0 }),
	);
	receiver = startReceiver();
	for (const port of [81, 82]) startServer(port);
	const env = environment();
	for (const service of ["vrrp", "director"])
		services.set(service, box.spawn([...drover, service, "-f", path("keepalived.conf")], { env }));
	// Whatever was first, nothing is lost.
	await eventually(
		"the address is held",
		() => box.run("ip", "-br", "address", "show", "eth0").includes("10.9.0.100"),
		LIMIT_MS,
	);
	agent = startAgent();
}, 2 * LIMIT_MS);

afterAll(() => {
	network[Symbol.dispose]();
	rmSync(directory, { recursive: true, force: true });
});

test("SNMPv2-MIB coldStart, by v2c inform, v3 trap and v3 inform, from the box's own address", async () => {
	expect(await heard("coldStart")).toEqual({});
});

test("KEEPALIVED-MIB vrrpInstanceStateChange and vrrpSyncGroupStateChange; VRRPV3-MIB vrrpv3NewMaster", async () => {
	expect(
		await heard("vrrpInstanceStateChange", (values) => values["vrrpInstanceState.1"] === "master"),
	).toEqual({
		"vrrpInstanceName.1": "VI_1",
		"vrrpInstanceState.1": "master",
		"vrrpInstanceInitialState.1": "backup",
		"routerId.0": "lab-a",
	});
	expect(
		await heard("vrrpSyncGroupStateChange", (values) => values["vrrpSyncGroupState.1"] === "master"),
	).toEqual({
		"vrrpSyncGroupName.1": "PAIR",
		"vrrpSyncGroupState.1": "master",
		"routerId.0": "lab-a",
	});
	const index =
		box
			.ipJson<{ ifname: string }>("link", "show")
			.map(({ ifname }) => ifname)
			.sort()
			.indexOf("eth0") + 1;
	expect(await heard("vrrpv3NewMaster")).toEqual({
		[`vrrpv3OperationsMasterIpAddr.${index}.51.ipv4`]: expect.anything(),
		[`vrrpv3StatisticsNewMasterReason.${index}.51.ipv4`]: "masterNoResponse",
	});
});

test("KEEPALIVED-MIB realServerStateChange, virtualServerQuorumStateChange", async () => {
	const virtual = {
		"virtualServerType.1": "ip",
		"virtualServerProtocol.1": "tcp",
		"virtualServerRealServersTotal.1": "2",
		"virtualServerAddrType.1": "ipv4",
		"virtualServerAddress.1": expect.stringContaining("0A 09 00 64"),
		"virtualServerPort.1": "80",
		"routerId.0": "lab-a",
	};
	const real = (member: number, status: string, up: string) => ({
		[`realServerAddrType.1.${member}`]: "ipv4",
		[`realServerAddress.1.${member}`]: expect.stringContaining("0A 09 00 02"),
		[`realServerPort.1.${member}`]: String(80 + member),
		[`realServerStatus.1.${member}`]: status,
		"virtualServerRealServersUp.1": up,
		...virtual,
	});
	servers.get(82)!.kill("SIGKILL");
	expect(await heard("realServerStateChange", (values) => values["realServerStatus.1.2"] === "dead")).toEqual(
		real(2, "dead", "1"),
	);
	servers.get(81)!.kill("SIGKILL");
	const quorum = (status: string, up: string) => ({
		"virtualServerQuorumStatus.1": status,
		"virtualServerQuorum.1": "1",
		"virtualServerRealServersUp.1": up,
		...virtual,
	});
	const isQuorum = (status: string) => (values: Told["values"]) =>
		values["virtualServerQuorumStatus.1"] === status;
	expect(await heard("virtualServerQuorumStateChange", isQuorum("notMet"))).toEqual(quorum("notMet", "0"));
	startServer(81);
	expect(
		await heard("realServerStateChange", (values) => values["realServerStatus.1.1"] === "alive"),
	).toEqual(real(1, "alive", "1"));
	expect(await heard("virtualServerQuorumStateChange", isQuorum("met"))).toEqual(quorum("met", "1"));
});

test("what happened while the agent was away is told when it is back, and nothing twice", async () => {
	const changed = (name: string) => statSync(path(name)).mtimeMs;
	// What it has not heard of as acknowledged is told again.
	await eventually("all is acknowledged", () => changed("snmp-told.json") >= changed("told"), LIMIT_MS);
	agent.kill("SIGKILL");
	await agent.exited;
	const before = told().length;
	startServer(82);
	const isAlive = () =>
		JSON.parse(
			Bun.spawnSync([...drover, "director", "status"], { env: environment() }).stdout.toString(),
		).virtualServers[0].realServers.every(({ alive }: { alive: boolean }) => alive);
	await eventually("both servers are alive", isAlive, LIMIT_MS);
	agent = startAgent();
	await heard("warmStart");
	await heard("realServerStateChange", (values) => values["realServerStatus.1.2"] === "alive");
	const later = told().slice(before);
	expect([...new Set(later.map(({ name }) => name))].sort()).toEqual(["realServerStateChange", "warmStart"]);
	expect(later.length).toBe(6);
});

test("IF-MIB linkDown and linkUp", async () => {
	const index =
		box
			.ipJson<{ ifname: string }>("link", "show")
			.map(({ ifname }) => ifname)
			.sort()
			.indexOf("eth1") + 1;
	const link = (operation: string) => ({
		[`ifIndex.${index}`]: String(index),
		[`ifAdminStatus.${index}`]: "up",
		[`ifOperStatus.${index}`]: operation,
		[`ifDescr.${index}`]: "eth1",
	});
	spare.unplug();
	expect(await heard("linkDown")).toEqual(link("down"));
	spare.plugIn();
	expect(await heard("linkUp", (values) => values[`ifDescr.${index}`] === "eth1")).toEqual(link("up"));
});

test("where it cannot be kept what the receivers know, they are told all the same", async () => {
	mkdirSync(path("snmp-told.json.new"));
	try {
		for (const [name, change] of [
			["linkDown", () => spare.unplug()],
			["linkUp", () => spare.plugIn()],
		] as const) {
			const before = told().length;
			change();
			const isTold = () =>
				told()
					.slice(before)
					.filter((each) => each.name === name && Object.values(each.values).includes("eth1")).length >= 3;
			await eventually(`${name} by all three`, isTold, LIMIT_MS);
		}
		expect(agent.exitCode).toBeNull();
		const said = "what the receivers know cannot be kept";
		await eventually("the log says so", () => readFileSync(path("log"), "utf8").includes(said), LIMIT_MS);
	} finally {
		rmSync(path("snmp-told.json.new"), { recursive: true });
	}
});

test("SNMPv2-MIB authenticationFailure: a wrong community, a wrong source; at most one a second", async () => {
	const count = () =>
		told().filter(
			({ name, kind, security }) => name === "authenticationFailure" && kind === "TRAP2" && security === "v3",
		).length;
	box.try("snmpget", "-v2c", "-c", "public", "-r0", "-t1", "127.0.0.1", "1.3.6.1.2.1.1.6.0");
	expect(await heard("authenticationFailure")).toEqual({});
	const before = count();
	for (let attempt = 0; attempt < 20; attempt++)
		box.try("snmpget", "-v2c", "-c", "watch", "-r0", "-t0.02", "10.9.0.1", "1.3.6.1.2.1.1.6.0");
	await eventually("another one", () => count() > before, LIMIT_MS);
	expect(count() - before).toBeLessThan(20);
});

test("DROVER-MIB: updates and commits", async () => {
	const note = (what: string, detail: string) =>
		appendFileSync(path("update/history.jsonl"), `${JSON.stringify({ atMs: Date.now(), what, detail })}\n`);
	note("installed", "0.2.0 into slot B");
	expect(await heard("droverUpdateInstalled")).toEqual({
		"droverSlot.0": "none",
		"droverLastUpdate.0": "0.2.0 into slot B",
	});
	note("reverted", "0.2.0 did not prove itself");
	expect(await heard("droverUpdateReverted")).toEqual({
		"droverSlot.0": "none",
		"droverLastUpdate.0": "0.2.0 did not prove itself",
	});
});

test("an inform that nobody acknowledged is repeated until somebody does", async () => {
	receiver.kill("SIGKILL");
	await receiver.exited;
	writeFileSync(path("told"), "");
	spare.unplug();
	// The trap is lost; the informs' first attempts as well.
	const troubles = () => readFileSync(path("log"), "utf8").split("a notification: no answer").length - 1;
	const before = troubles();
	await eventually("attempts without an answer", () => troubles() > before, LIMIT_MS);
	expect(told()).toEqual([]);
	receiver = startReceiver();
	const again = await eventually(
		"both informs",
		() => {
			const found = told().filter(({ name }) => name === "linkDown");
			return new Set(found.map(({ security }) => security)).size === 2 ? found : null;
		},
		LIMIT_MS,
	);
	expect(new Set(again.map(({ kind }) => kind))).toEqual(new Set(["INFORM"]));
});

test("what nobody had acknowledged when the agent ended is told by the next one", async () => {
	receiver.kill("SIGKILL");
	await receiver.exited;
	const troubles = () => readFileSync(path("log"), "utf8").split("a notification: no answer").length - 1;
	const before = troubles();
	servers.get(82)!.kill("SIGKILL");
	await eventually("an inform without an answer", () => troubles() > before, LIMIT_MS);
	agent.kill("SIGKILL");
	await agent.exited;
	writeFileSync(path("told"), "");
	receiver = startReceiver();
	agent = startAgent();
	await heard("realServerStateChange", (values) => values["realServerStatus.1.2"] === "dead");
});

test("KEEPALIVED-MIB: an instance that a reload takes away is deleted(6), a director that ends leaves shutdown(3)", async () => {
	const vrrp = /vrrp_sync_group[\s\S]*?\n}\n/;
	const deleted = (text: string) => writeFileSync(path("keepalived.conf"), text);
	deleted(configuration.replace("version 3", "version 3\n    notify_deleted"));
	services.get("vrrp")!.kill("SIGHUP");
	await Bun.sleep(1_000);
	deleted(configuration.replace(vrrp, ""));
	services.get("vrrp")!.kill("SIGHUP");
	expect(
		await heard("vrrpInstanceStateChange", (values) => values["vrrpInstanceState.1"] === "deleted"),
	).toMatchObject({ "vrrpInstanceName.1": "VI_1", "vrrpInstanceInitialState.1": "backup" });
	services.get("director")!.kill("SIGTERM");
	expect(
		await heard(
			"virtualServerQuorumStateChange",
			(values) => values["virtualServerQuorumStatus.1"] === "shutdown",
		),
	).toMatchObject({ "virtualServerPort.1": "80", "virtualServerQuorum.1": "1" });
});
