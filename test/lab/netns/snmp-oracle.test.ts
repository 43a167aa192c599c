/**
 * KEEPALIVED-MIB beside keepalived's own agent: net-snmp's snmpd with the real keepalived behind it in one namespace,
 * Drover in the other, the same file, and every object that either of them answers.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildIpvsStandIn, hasIpvs } from "./health-peer.ts";
import { eventually, type Namespace, Network } from "./network.ts";

const drover = [process.execPath, join(import.meta.dir, "../../../firmware/drover.ts")];
const KEEPALIVED = ".1.3.6.1.4.1.9586.100.5";
/** The base modules: Debian has them in non-free only, the SNMP library brings them. */
const mibs = [join(import.meta.dir, "../../../node_modules/net-snmp/lib/mibs"), "/usr/share/snmp/mibs"].join(
	":",
);
const LIMIT_MS = 30_000;

/** The tracked process is none of any machine's: in a namespace keepalived sees no process start or end. */
const configuration = `global_defs {
	router_id lab-a
	notification_email {
		a@example.org
		b@example.org
	}
	notification_email_from k@example.org
	smtp_server 127.0.0.1
	smtp_connect_timeout 20
	enable_snmp_vrrp
	enable_snmp_checker
	script_user root
	enable_script_security
	lvs_timeouts tcp 7200 tcpfin 30 udp 60
}
static_ipaddress {
	192.0.2.77/32 dev eth0
}
static_routes {
	203.0.113.0/25 via 10.9.0.3 dev eth0 mtu 1400 advmss lock 1000
	blackhole 203.0.113.128/26
	203.0.113.224/28 table 50 nexthop via 10.9.0.3 dev eth0 weight 2 nexthop via 10.9.0.4 dev eth0 weight 1
	2001:db8:5::/48 via 2001:db8::3 dev eth0 metric 7
}
static_rules {
	from 192.0.2.50/32 lookup 50 priority 1500
	to 2001:db8:6::/48 lookup 50 priority 1501
}
vrrp_script good {
	script "/usr/bin/true"
	interval 1
	weight 3
	rise 2
	fall 2
}
vrrp_script bad {
	script "/usr/bin/false"
	interval 1
	weight -3
}
track_file wish {
	file "FOLDER/wish"
	weight 1
}
vrrp_track_process nobody {
	process oracle-nobody
	quorum 1
	weight 2
}
vrrp_sync_group G {
	group {
		VI_1
		VI_2
	}
	track_script {
		good
	}
	smtp_alert
}
vrrp_instance VI_1 {
	interface eth0
	virtual_router_id 51
	priority 200
	advert_int 1
	virtual_ipaddress {
		10.9.0.100/24
		10.9.0.101/24 brd 10.9.0.255 dev eth0 label eth0:1
	}
	virtual_ipaddress_excluded {
		10.9.0.110/24
	}
	virtual_routes {
		203.0.113.192/27 via 10.9.0.3 dev eth0 metric 5
	}
	virtual_rules {
		from 192.0.2.200/32 fwmark 7 table 50 priority 1600
		iif eth0 to 192.0.2.201/32 unreachable priority 1601
	}
	authentication {
		auth_type PASS
		auth_pass 1111
	}
	preempt_delay 5
	garp_master_delay 3
}
vrrp_instance VI_2 {
	interface eth0
	virtual_router_id 52
	priority 150
	version 3
	advert_int 0.5
	virtual_ipaddress {
		2001:db8::200/64
		fe80::200/64
	}
}
vrrp_instance VI_3 {
	interface eth0
	virtual_router_id 53
	priority 150
	nopreempt
	state BACKUP
	virtual_ipaddress {
		10.9.0.120/24
	}
	track_script {
		good
		bad
	}
	track_interface {
		lo weight 5
	}
	track_file {
		wish weight 2
	}
	track_process {
		nobody
	}
	smtp_alert
}
virtual_server_group VG {
	10.9.0.100 81
	10.9.0.101 82
	10.9.0.103-105 83
	fwmark 7
	10.9.0.160/30 84
}
virtual_server 10.9.0.100 80 {
	delay_loop 3
	lb_algo wrr
	lb_kind NAT
	protocol TCP
	persistence_timeout 60
	persistence_granularity 255.255.255.0
	virtualhost www.example.org
	quorum 2
	hysteresis 1
	omega
	ha_suspend
	sorry_server 10.9.0.9 80
	real_server 10.9.0.2 80 {
		weight 3
		inhibit_on_failure
		uthreshold 100
		lthreshold 10
		TCP_CHECK {
			connect_timeout 1
			retry 0
		}
	}
	real_server 10.9.0.3 8080 {
		weight 2
	}
}
virtual_server group VG {
	lb_algo lc
	lb_kind NAT
	protocol UDP
	real_server 10.9.0.2 53 {
		weight 1
	}
}
virtual_server fwmark 9 {
	lb_algo sh
	lb_kind NAT
	real_server 10.9.0.2 443 {
		weight 1
	}
}
`;

/** Objects that differ, by name, and why. */
const differences: Readonly<Record<string, string>> = {
	version: "each has its own",
	smtpEmailSmtpAlert: "the model has what became of it, per instance and server",
	smtpEmailSmtpAlertVrrp: "the same",
	smtpEmailSmtpAlertChecker: "the same",
	vrrpInstanceTrackPrimaryIf: "keepalived says whether track_interface is there",
	vrrpInstanceAccept: "keepalived says 0, which is no TruthValue, for VRRPv2",
	vrrpTrackedInterfaceName: "its row has the interface's number, which is ifTable's own",
	vrrpTrackedInterfaceWeight: "the same",
	vrrpTrackedInterfaceWgtRev: "the same",
	vrrpAddressIfIndex: "the same",
	vrrpRouteIfIndex: "the same",
	vrrpRouteNextHopIfIndex: "the same",
	vrrpAddressAdvertising: "keepalived says no for all but the first instance's",
	vrrpScriptCommand: "keepalived puts its words into quotes",
	vrrpTrackedFileWeight: "keepalived has the file's own",
	vrrpRouteAdvmss: "keepalived leaves a locked one out",
	vrrpRuleDirection: "obsolete",
	vrrpRuleAddressType: "obsolete",
	vrrpRuleAddress: "obsolete",
	vrrpRuleAddressMask: "obsolete",
	virtualServerProtocol: "keepalived has none for a mark, the MIB none(4)",
	virtualServerVirtualHost: "the model has it where it is used: with the checks",
	virtualServerPersistGranularity6: "keepalived has it for IPv4 as well",
	virtualServerHashed: "keepalived says no",
	virtualServerActionWhenDown: "the default for real servers, which have their own",
	virtualServerRetry: "the same: Drover answers for the first check",
	virtualServerDelayBeforeRetry: "the same",
	virtualServerWarmup: "the same",
	virtualServerWeight: "the same",
	virtualServerDelayBeforeRetrUsec: "the same",
	virtualServerWarmupUsec: "the same",
	virtualServerConnTimeoutUsec: "the same",
	realServerRetry: "keepalived has the default for its checks, Drover what its first check does",
	realServerDelayBeforeRetry: "the same",
	realServerWarmup: "the same",
	realServerDelayLoop: "the same",
	realServerDelayBeforeRetryUsec: "the same",
	realServerWarmupUsec: "the same",
	realServerDelayLoopUsec: "the same",
	realServerConnTimeoutUsec: "the same",
};

let network: Network;
let directory: string;

beforeAll(() => {
	directory = mkdtempSync(join(tmpdir(), "drover-snmp-oracle-"));
	network = Network.create("oracle");
});
afterAll(() => {
	network[Symbol.dispose]();
	rmSync(directory, { recursive: true, force: true });
});

function box(name: string): { namespace: Namespace; file: string; folder: string } {
	const folder = join(directory, name);
	Bun.spawnSync(["mkdir", "-p", folder]);
	const namespace = network.namespace(name);
	// Each on a segment of its own, so that both are masters.
	network.segment(`lan-${name}`).plug(namespace, "eth0", "10.9.0.1/24", "2001:db8::1/64");
	writeFileSync(join(folder, "wish"), "3\n");
	const file = join(folder, "keepalived.conf");
	writeFileSync(file, configuration.replaceAll("FOLDER", directory));
	writeFileSync(join(directory, "wish"), "3\n");
	return { namespace, file, folder };
}

const walk = (namespace: Namespace): Map<string, string> =>
	new Map(
		namespace
			.try("snmpwalk", "-v2c", "-c", "watch", "-On", "-t", "5", "127.0.0.1", KEEPALIVED)
			.stdout.split("\n")
			.filter((line) => line.startsWith(KEEPALIVED) && line.includes(" = "))
			.map((line) => line.split(" = ", 2) as [string, string]),
	);

/** What the MIB calls the object of an instance. */
function objectNames(oids: readonly string[]): (oid: string) => string {
	const { stdout } = Bun.spawnSync(["snmptranslate", "-M", mibs, "-m", "KEEPALIVED-MIB", ...oids]);
	const names = stdout.toString().split("\n").filter(Boolean);
	const byOid = new Map(oids.map((oid, at) => [oid, /::(\w+)/.exec(names[at] ?? "")?.[1] ?? oid]));
	return (oid) => byOid.get(oid)!;
}

test(
	"every object of either is the other's, but for those with a reason",
	async () => {
		const theirs = box("theirs");
		const ours = box("ours");
		const socket = join(directory, "agentx");
		writeFileSync(
			join(directory, "snmpd.conf"),
			`master agentx\nagentXSocket ${socket}\nrocommunity watch\nagentaddress udp:127.0.0.1:161\n`,
		);
		theirs.namespace.spawn(["snmpd", "-f", "-LE", "0", "-C", "-c", join(directory, "snmpd.conf")], {
			stdout: "ignore",
			stderr: "ignore",
		});
		const pid = (name: string) => join(theirs.folder, name);
		theirs.namespace.spawn(
			[
				...["keepalived", "-n", "-l", "-x", "-A", `unix:${socket}`, "-f", theirs.file],
				...["-p", pid("k"), "-r", pid("v"), "-c", pid("c")],
			],
			{
				env: { ...process.env, ...(hasIpvs() ? {} : { LD_PRELOAD: buildIpvsStandIn(directory) }) },
				stdout: "ignore",
				stderr: "ignore",
			},
		);
		writeFileSync(
			join(directory, "appliance.toml"),
			'[[port]]\nname = "eth0"\nrole = "inside"\naddresses = ["10.9.0.1/24"]\n[snmp]\nenabled = true\ncommunities = ["watch"]\nsources = ["127.0.0.0/8"]\n',
		);
		const env = { ...process.env, DROVER_RUN_DIR: directory, DROVER_LOG: join(directory, "log") };
		for (const service of ["vrrp", "director"])
			ours.namespace.spawn([...drover, service, "-f", ours.file], { env });
		ours.namespace.spawn(
			[
				...drover,
				"snmp",
				...["--config", join(directory, "appliance.toml"), "--state", join(directory, "state")],
			],
			{ env },
		);
		const state = (namespace: Namespace, column: string) =>
			[...walk(namespace)]
				.filter(([oid]) => oid.startsWith(`${KEEPALIVED}.${column}.`))
				.map(([, value]) => value);
		// All three are masters, and the check that fails has failed.
		for (const { namespace } of [theirs, ours])
			await eventually(
				"three masters and a dead server",
				() =>
					state(namespace, "2.3.1.4").join() === "INTEGER: 2,INTEGER: 2,INTEGER: 2" &&
					state(namespace, "3.4.1.6")[0] === "INTEGER: 2" &&
					state(namespace, "2.9.1.6").join() === "INTEGER: 3,INTEGER: 2",
				LIMIT_MS,
			);
		const answers = { keepalived: walk(theirs.namespace), drover: walk(ours.namespace) };
		const oids = [...new Set([...answers.keepalived.keys(), ...answers.drover.keys()])];
		const nameOf = objectNames(oids);
		const unlike = oids
			.filter((oid) => answers.keepalived.get(oid) !== answers.drover.get(oid))
			.filter((oid) => differences[nameOf(oid)] === undefined)
			.map(
				(oid) =>
					`${nameOf(oid)} ${oid}: ${answers.keepalived.get(oid)} there, ${answers.drover.get(oid)} here`,
			);
		expect(unlike).toEqual([]);
		expect(answers.drover.size).toBeGreaterThan(600);
		// A reason for what does not differ any more is no reason.
		const needed = new Set(
			oids.filter((oid) => answers.keepalived.get(oid) !== answers.drover.get(oid)).map(nameOf),
		);
		expect(Object.keys(differences).filter((name) => !needed.has(name))).toEqual([]);
	},
	3 * LIMIT_MS,
);
