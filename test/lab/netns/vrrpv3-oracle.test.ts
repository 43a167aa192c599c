/**
 * VRRPV3-MIB and the traps of VRRP and checkers beside keepalived's own agent: net-snmp's snmpd with the real keepalived
 * behind it in one namespace, Drover in the other, the same file, the same rivals on the segment, one event after the
 * other; after each every object that both have, and what each receiver was told.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { buildIpvsStandIn, hasIpvs } from "./health-peer.ts";
import { eventually, type Namespace, Network } from "./network.ts";

const project = join(import.meta.dir, "../../..");
const drover = [process.execPath, join(project, "firmware/drover.ts")];
const VRRPV3 = ".1.3.6.1.2.1.207";
const mibs = [
	join(project, "test/status/mibs"),
	join(project, "node_modules/net-snmp/lib/mibs"),
	"/usr/share/snmp/mibs",
].join(":");
const LIMIT_MS = 20_000;

const configuration = `global_defs {
	router_id lab-a
	enable_traps
	enable_snmp_vrrp
	enable_snmp_checker
	enable_snmp_rfcv3
	vrrp_version 3
}
track_file wish {
	file "FOLDER/wish"
}
vrrp_sync_group G {
	group {
		VI_1
		VI_2
	}
}
vrrp_instance VI_1 {
	interface eth0
	virtual_router_id 51
	priority 150
	advert_int 0.3
	accept
	virtual_ipaddress {
		10.9.0.100/24
		10.9.0.101/24
	}
}
vrrp_instance VI_2 {
	interface eth0
	virtual_router_id 52
	priority 150
	advert_int 0.3
	virtual_ipaddress {
		fe80::200/64
		2001:db8::200/64
	}
}
vrrp_instance VI_3 {
	interface eth0
	virtual_router_id 53
	priority 150
	advert_int 0.3
	nopreempt
	track_file {
		wish weight 0
	}
	virtual_ipaddress {
		10.9.0.110/24
	}
}
virtual_server_group VG {
	10.9.0.100 81
}
virtual_server 10.9.0.100 80 {
	delay_loop 1
	protocol TCP
	lb_kind NAT
	real_server 10.9.0.1 81 {
		TCP_CHECK {
			connect_timeout 1
			retry 0
		}
	}
}
virtual_server group VG {
	delay_loop 1
	protocol UDP
	lb_kind NAT
	real_server 10.9.0.1 83 {
		TCP_CHECK {
			connect_timeout 1
			retry 0
		}
	}
}
virtual_server fwmark 9 {
	delay_loop 1
	lb_kind NAT
	real_server 10.9.0.1 84 {
		TCP_CHECK {
			connect_timeout 1
			retry 0
		}
	}
}
`;

/** A keepalived that has nothing but the same instances, with another priority. */
const rival = (priority: number, version = 3) => `global_defs {
	router_id rival
	vrrp_version ${version}
}
${[
	[51, "10.9.0.100/24\n\t\t10.9.0.101/24"],
	[52, "fe80::200/64\n\t\t2001:db8::200/64"],
	[53, "10.9.0.110/24"],
]
	.filter(([id]) => version === 3 || id !== 52)
	.map(
		([id, addresses]) => `vrrp_instance R_${id} {
	interface eth0
	virtual_router_id ${id}
	priority ${priority}
	advert_int ${version === 3 ? 0.3 : 1}
	virtual_ipaddress {
		${addresses}
	}
}
`,
	)
	.join("")}`;

/** Columns of VRRPV3-MIB that differ, and why. */
const differences: Readonly<Record<string, string>> = {
	vrrpv3OperationsVirtualMacAddr: "keepalived has the interface's own without use_vmac, RFC 6527 the VRID's",
	vrrpv3OperationsUpTime: "it goes on",
	vrrpv3StatisticsRcvdAdvertisements: "it goes on",
	vrrpv3StatisticsRefreshRate: "Drover looks once a second, keepalived says its interval",
	vrrpv3RouterVersionErrors: "it goes on",
	vrrpv3AssociatedIpAddrRowStatus: "keepalived's index lacks the length of RFC 2578 §7.7",
};

let network: Network;
let directory: string;
let peers: readonly Peer[];

interface Peer {
	readonly name: "theirs" | "ours";
	readonly box: Namespace;
	readonly rivals: Namespace;
	readonly folder: string;
	/** What runs VRRP. */
	vrrp: Subprocess | null;
	rival: Subprocess | null;
}

function peer(name: Peer["name"]): Peer {
	const folder = join(directory, name);
	for (const part of ["", "r", "persistent"]) mkdirSync(join(folder, part), { recursive: true });
	const box = network.namespace(name);
	const rivals = network.namespace(`${name}-r`);
	const segment = network.segment(`lan-${name}`);
	segment.plug(box, "eth0", "10.9.0.1/24");
	segment.plug(rivals, "eth0", "10.9.0.2/24");
	// Both sides have the same link-local addresses.
	for (const [number, namespace] of [box, rivals].entries()) {
		namespace.ip("link", "set", "eth0", "down", "addrgenmode", "none");
		namespace.ip("link", "set", "eth0", "up");
		for (const address of [`fe80::${number + 1}/64`, `2001:db8::${number + 1}/64`])
			namespace.ip("address", "add", address, "dev", "eth0", "nodad");
	}
	writeFileSync(join(folder, "wish"), "0\n");
	writeFileSync(join(folder, "keepalived.conf"), configuration.replaceAll("FOLDER", folder));
	writeFileSync(join(folder, "told"), "");
	writeFileSync(join(folder, "snmptrapd.conf"), "authCommunity log told\n");
	box.spawn(
		[
			...["snmptrapd", "-f", "-C", "-c", join(folder, "snmptrapd.conf"), "-Lf", join(folder, "told")],
			...["-F", "%v\n", "-M", mibs, "-m", "KEEPALIVED-MIB:VRRPV3-MIB", "-OsQ", "udp:127.0.0.1:162"],
		],
		{ env: { ...process.env, SNMP_PERSISTENT_DIR: join(folder, "persistent") }, stderr: "ignore" },
	);
	return { name, box, rivals, folder, vrrp: null, rival: null };
}

function startTheirs(one: Peer): void {
	const { box, folder } = one;
	const socket = join(folder, "agentx");
	writeFileSync(
		join(folder, "snmpd.conf"),
		`master agentx\nagentXSocket ${socket}\nrocommunity watch\nagentaddress udp:127.0.0.1:161\ntrap2sink 127.0.0.1 told\n`,
	);
	box.spawn(["snmpd", "-f", "-LE", "0", "-C", "-c", join(folder, "snmpd.conf")], {
		env: { ...process.env, SNMP_PERSISTENT_DIR: join(folder, "persistent") },
		stdout: "ignore",
		stderr: "ignore",
	});
	one.vrrp = startKeepalived(box, folder, join(folder, "keepalived.conf"), ["-x", "-A", `unix:${socket}`]);
}

/** The agent first: what comes in the moments before it listens is told as the state that came of it. */
async function startOurs(one: Peer): Promise<void> {
	const { box, folder } = one;
	writeFileSync(
		join(folder, "appliance.toml"),
		`[[port]]
name = "eth0"
role = "inside"
addresses = ["10.9.0.1/24"]
[snmp]
enabled = true
communities = ["watch"]
sources = ["127.0.0.0/8"]
[[snmp.receivers]]
version = "v2c"
address = "127.0.0.1"
community = "told"
`,
	);
	const env = { ...process.env, DROVER_RUN_DIR: folder, DROVER_LOG: join(folder, "log") };
	box.spawn(
		[
			...["unshare", "--mount", "sh", "-c", 'mount -t sysfs sys /sys && exec "$0" "$@"', ...drover, "snmp"],
			...["--config", join(folder, "appliance.toml"), "--state", join(folder, "state")],
		],
		{ env },
	);
	await eventually("the agent answers", () => walk(one).size > 0, LIMIT_MS);
	const start = (service: string) =>
		box.spawn([...drover, service, "-f", join(folder, "keepalived.conf")], { env });
	one.vrrp = start("vrrp");
	start("director");
}

function startKeepalived(
	namespace: Namespace,
	folder: string,
	file: string,
	words: readonly string[] = ["-P"],
): Subprocess {
	return namespace.spawn(
		[
			...["keepalived", "-n", "-l", "-f", file, ...words],
			...["-p", join(folder, "k.pid"), "-r", join(folder, "v.pid"), "-c", join(folder, "c.pid")],
		],
		{
			env: { ...process.env, ...(hasIpvs() ? {} : { LD_PRELOAD: buildIpvsStandIn(directory) }) },
			stdout: "ignore",
			stderr: "ignore",
		},
	);
}

function startRival(one: Peer, priority: number, version = 3): void {
	const file = join(one.folder, "r/keepalived.conf");
	writeFileSync(file, rival(priority, version));
	one.rival = startKeepalived(one.rivals, join(one.folder, "r"), file);
}

async function stopRival(one: Peer): Promise<void> {
	one.rival?.kill("SIGTERM");
	await one.rival?.exited;
	one.rival = null;
}

/** Without a word of farewell. */
async function killRival(one: Peer): Promise<void> {
	const pids = Bun.spawnSync(["ip", "netns", "pids", one.rivals.name]).stdout.toString();
	// keepalived's children say farewell when they see its end: all are held before the first is killed.
	for (const signal of ["SIGSTOP", "SIGKILL"] as const)
		for (const pid of pids.split(/\s+/).filter(Boolean)) process.kill(Number(pid), signal);
	await one.rival?.exited;
	one.rival = null;
	// A dead child that nobody has waited for yet counts as one that runs.
	for (const name of ["k", "v", "c"]) rmSync(join(one.folder, "r", `${name}.pid`), { force: true });
}

/** `vrrpv3OperationsStatus.51.ipv4` → value: the interface's number is left out. */
function walk({ box }: Peer): Map<string, string> {
	const { stdout } = box.try(
		...["snmpwalk", "-v2c", "-c", "watch", "-M", mibs, "-m", "VRRPV3-MIB", "-OsQ", "-t", "5", "127.0.0.1"],
		VRRPV3,
	);
	return new Map(
		stdout
			.split("\n")
			.filter((line) => line.includes(" = "))
			.map((line) => line.split(" = ", 2) as [string, string])
			.map(([name, value]) => [
				name.replace(/^(vrrpv3(?:Operations|Statistics|Associated)\w*)\.\d+/, "$1"),
				value.trim(),
			]),
	);
}

/** Each as "NAME: object = value …", without rows' numbers and times. */
function told({ folder }: Peer): string[] {
	return readFileSync(join(folder, "told"), "utf8")
		.split("\n")
		.filter((line) => line.includes("snmpTrapOID.0 = "))
		.map((line) => {
			const bindings = line.split("\t").map((binding) => binding.split(/ = (.*)/s));
			const name = bindings.find(([object]) => object === "snmpTrapOID.0")?.[1] ?? "";
			const values = bindings
				.filter(([object = ""]) => !/^(sysUpTime|snmpTrap|DISMAN)/.test(object))
				.map(([object = "", value = ""]) => `${object.replace(/\..*$/, "")} = ${value.trim()}`);
			return `${name}: ${values.sort().join(", ")}`;
		})
		.filter((line) => /^(vrrp|realServer|virtualServer)/.test(line));
}

const states = (one: Peer) =>
	["51.ipv4", "52.ipv6", "53.ipv4"].map((row) => walk(one).get(`vrrpv3OperationsStatus.${row}`)).join(" ");

async function both(what: string, wanted: string): Promise<void> {
	for (const one of peers)
		await eventually(
			`${what}: ${wanted} on ${one.name}; it is "${states(one)}"`,
			() => states(one) === wanted,
			LIMIT_MS,
		);
}

/** What differs in the tree. */
function unlike(): string[] {
	const [theirs, ours] = peers.map(walk) as [Map<string, string>, Map<string, string>];
	return [...new Set([...theirs.keys(), ...ours.keys()])]
		.filter((name) => theirs.get(name) !== ours.get(name))
		.filter((name) => differences[name.replace(/\..*$/, "")] === undefined)
		.map((name) => `${name}: ${theirs.get(name)} there, ${ours.get(name)} here`);
}

beforeAll(() => {
	directory = mkdtempSync(join(tmpdir(), "drover-vrrpv3-"));
	network = Network.create("v3oracle");
	peers = [peer("theirs"), peer("ours")];
});
afterAll(() => {
	network[Symbol.dispose]();
	rmSync(directory, { recursive: true, force: true });
});

/** How much of what each was told was looked at. */
const seen = new Map<Peer, number>();

/** Traps that have a counterpart, or none that can be the same. */
const comparable = (trap: string) =>
	// keepalived has one for each packet, Drover at most one a minute.
	!trap.startsWith("vrrpv3ProtoError") &&
	// Drover takes a quorum to be met until it is not.
	!/^virtualServerQuorumStateChange.*virtualServerQuorumStatus = met/.test(trap);

/** The next `count` traps whose name begins with `prefix`, sorted: the order among instances is chance. */
async function next(one: Peer, prefix: string, count: number): Promise<string[]> {
	const since = () =>
		told(one)
			.slice(seen.get(one) ?? 0)
			.filter((trap) => trap.startsWith(prefix) && comparable(trap))
			// keepalived: "udp" for whatever is not TCP.
			.map((trap) => trap.replace(/(FwMark = 9, virtualServerProtocol = )udp/, "$1none"));
	const until = performance.now() + LIMIT_MS;
	while (since().length < count && performance.now() < until) await Bun.sleep(100);
	// One too many would come soon.
	await Bun.sleep(300);
	return since().sort();
}

/** Both trees are the same, and so are the next traps: all VRRP's, of which there are `traps`. */
async function alike(traps: number): Promise<string> {
	const [theirs, ours] = await Promise.all(peers.map((one) => next(one, "vrrp", traps)));
	expect(unlike()).toEqual([]);
	expect(ours!).toEqual(theirs!);
	expect(ours!).toHaveLength(traps);
	for (const one of peers) seen.set(one, told(one).length);
	return [51, 53].map((id) => walk(peers[1]!).get(`vrrpv3StatisticsNewMasterReason.${id}.ipv4`)).join(" ");
}

test(
	"VRRP: one event after the other",
	async () => {
		for (const one of peers) startRival(one, 50);
		const isMaster = ({ rivals }: Peer) => rivals.addresses("eth0").includes("10.9.0.110/24");
		await eventually("the rivals are masters", () => peers.every(isMaster), LIMIT_MS);
		startTheirs(peers[0]!);
		await startOurs(peers[1]!);
		await both("a start beside lower ones", "master master backup");
		// Both groups' members: BACKUP and MASTER, with two new masters; the third is BACKUP.
		expect(await alike(9)).toBe("preempted notMaster");
		for (const one of peers) await stopRival(one);
		await both("the lower one has gone", "master master master");
		expect(await alike(2)).toBe("preempted priority");
		for (const one of peers) startRival(one, 200);
		await both("a higher one", "backup backup backup");
		expect(await alike(4)).toBe("preempted priority");
		for (const one of peers) await killRival(one);
		await both("it is silent", "master master master");
		expect(await alike(7)).toBe("masterNoResponse masterNoResponse");
		for (const one of peers) startRival(one, 200, 2);
		for (const one of peers)
			await eventually(
				`version 2 is met by ${one.name}`,
				() =>
					[51, 53].every(
						(id) => walk(one).get(`vrrpv3StatisticsProtoErrReason.${id}.ipv4`) === "versionError",
					),
				LIMIT_MS,
			);
		const errors = (one: Peer) => told(one).filter((trap) => trap.startsWith("vrrpv3ProtoError"));
		const [theirs, ours] = peers.map(errors) as [string[], string[]];
		expect(new Set(ours)).toEqual(new Set(theirs));
		// Of the two instances that meet it; keepalived has one more with each packet.
		expect(ours).toHaveLength(2);
		expect(await alike(0)).toBe("masterNoResponse masterNoResponse");
	},
	6 * LIMIT_MS,
);

test(
	"checkers: what is told of an address, a group and a mark",
	async () => {
		seen.clear();
		const both = async (count: number) => {
			const checks = (one: Peer) =>
				Promise.all([next(one, "realServer", 3), next(one, "virtualServer", count)]).then((lists) =>
					lists.flat(),
				);
			const [theirs, ours] = await Promise.all(peers.map(checks));
			expect(ours!).toEqual(theirs!);
			expect(ours!).toHaveLength(3 + count);
		};
		await both(3);
		for (const one of peers) {
			seen.set(one, told(one).length);
			for (const port of [81, 83, 84])
				one.box.spawn(["socat", `TCP-LISTEN:${port},fork,reuseaddr`, "/dev/null"]);
		}
		await both(0);
	},
	3 * LIMIT_MS,
);

test(
	"VRRP ends",
	async () => {
		for (const one of peers) {
			seen.set(one, told(one).length);
			one.vrrp?.kill("SIGTERM");
			await one.vrrp?.exited;
		}
		const [theirs, ours] = await Promise.all(peers.map((one) => next(one, "vrrp", 4)));
		expect(ours!).toEqual(theirs!);
		expect(ours!.join("\n")).toContain("vrrpInstanceState = shutdown");
	},
	3 * LIMIT_MS,
);
