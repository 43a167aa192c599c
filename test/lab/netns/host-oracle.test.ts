/**
 * SNMPv2-MIB, IF-MIB, IP-MIB, HOST-RESOURCES-MIB and UCD-SNMP-MIB beside net-snmp's own snmpd in one namespace: what both
 * have is the same, in the same type, but for what has a reason.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually, type Namespace, Network } from "./network.ts";

const drover = [process.execPath, join(import.meta.dir, "../../../firmware/drover.ts")];
const LIMIT_MS = 20_000;
const PORTS = { netSnmp: 1161, drover: 161 };
const IF_NAME = ".1.3.6.1.2.1.31.1.1.1.1.";
const STORAGE_NAME = ".1.3.6.1.2.1.25.2.3.1.3.";
const TREES = ["1.3.6.1.2.1.1", "1.3.6.1.2.1.2", "1.3.6.1.2.1.31", "1.3.6.1.2.1.4.34", "1.3.6.1.2.1.25"];
const UCD_TREES = ["1.3.6.1.4.1.2021.4", "1.3.6.1.4.1.2021.10"];

/** What differs, by the beginning of its OID, and why. */
const differences: Readonly<Record<string, string>> = {
	".1.3.6.1.2.1.1.1.": "sysDescr: each is another program",
	".1.3.6.1.2.1.1.2.": "sysObjectID: the same",
	".1.3.6.1.2.1.1.4.": "sysContact: what each was told",
	".1.3.6.1.2.1.1.6.": "sysLocation: the same",
	".1.3.6.1.2.1.2.2.1.5.lo": "ifSpeed: net-snmp makes one up where the driver says none",
	".1.3.6.1.2.1.31.1.1.1.15.lo": "ifHighSpeed: the same",
	".1.3.6.1.2.1.4.34.1.5.": "ipAddressPrefix: Drover has no table of prefixes",
	".1.3.6.1.2.1.4.34.1.9.": "ipAddressLastChanged: Drover does not say",
};

/** What moves between two questions: the type alone is compared. */
const moving = [
	".1.3.6.1.2.1.1.3.",
	".1.3.6.1.2.1.25.1.1.",
	".1.3.6.1.2.1.25.1.2.",
	".1.3.6.1.2.1.25.1.6.",
	".1.3.6.1.2.1.25.2.3.1.6.",
	".1.3.6.1.2.1.25.3.3.1.2.",
	".1.3.6.1.4.1.2021.4.",
	".1.3.6.1.4.1.2021.10.1.3.",
	".1.3.6.1.4.1.2021.10.1.5.",
];

let network: Network;
let box: Namespace;
let directory: string;

beforeAll(() => {
	network = Network.create("host");
	box = network.namespace("a");
	const other = network.namespace("b");
	const lan = network.segment("lan");
	lan.plug(box, "eth0", "10.9.0.1/24", "2001:db8::1/64");
	lan.plug(other, "eth0", "10.9.0.2/24");
	// A pair that is quiet after a few packets: its counters can be compared.
	box.ip("link", "add", "quiet0", "type", "veth", "peer", "name", "quiet1");
	for (const name of ["quiet0", "quiet1"]) box.sysctl(`net/ipv6/conf/${name}/disable_ipv6`, 1);
	box.ip("addr", "add", "10.6.0.1/24", "dev", "quiet0");
	for (const name of ["quiet0", "quiet1"]) box.ip("link", "set", name, "up");
	box.ip("neigh", "add", "10.6.0.2", "lladdr", "02:00:00:00:00:02", "dev", "quiet0", "nud", "permanent");
	box.try("ping", "-c3", "-i0.2", "-W0.1", "10.6.0.2");
	// One without a cable, one that is down, and addresses that are on their way out.
	box.ip("link", "add", "loose0", "type", "veth", "peer", "name", "loose1");
	box.ip("link", "set", "loose0", "up", "mtu", "1400");
	box.ip("addr", "add", "2001:db8:6::1/128", "dev", "eth0", "valid_lft", "1000", "preferred_lft", "0");
	directory = mkdtempSync(join(tmpdir(), "drover-host-"));
	mkdirSync(join(directory, "persistent"));
	writeFileSync(
		join(directory, "snmpd.conf"),
		`rocommunity watch\nagentaddress udp:127.0.0.1:${PORTS.netSnmp}\n`,
	);
	writeFileSync(
		join(directory, "appliance.toml"),
		'[[port]]\nname = "eth0"\nrole = "inside"\naddresses = ["10.9.0.1/24"]\n[snmp]\nenabled = true\ncommunities = ["watch"]\nsources = ["127.0.0.0/8"]\n',
	);
	const env = {
		...process.env,
		SNMP_PERSISTENT_DIR: join(directory, "persistent"),
		DROVER_RUN_DIR: directory,
		DROVER_LOG: join(directory, "log"),
	};
	const withItsOwnSys = ["unshare", "--mount", "sh", "-c", 'mount -t sysfs sys /sys && exec "$0" "$@"'];
	for (const command of [
		["snmpd", "-f", "-LE", "0", "-C", "-c", join(directory, "snmpd.conf")],
		[
			...[...drover, "snmp", "--config", join(directory, "appliance.toml")],
			...["--state", join(directory, "state")],
		],
	])
		box.spawn([...withItsOwnSys, ...command], { env, stdout: "ignore", stderr: "ignore" });
});
afterAll(() => {
	network[Symbol.dispose]();
	rmSync(directory, { recursive: true, force: true });
});

function walk(port: number, oid: string): [oid: string, value: string][] {
	const { stdout } = box.try(
		...["snmpbulkwalk", "-v2c", "-c", "watch", "-On", "-t", "5", `127.0.0.1:${port}`],
		oid,
	);
	return stdout
		.split("\n")
		.filter(
			(line) => line.includes(" = ") && !line.includes("No more variables") && !line.includes("No Such"),
		)
		.map((line) => line.split(/ = (.*)/s) as [string, string]);
}

/** All that an agent says, with the names of ports and file systems in place of the numbers it gave them. */
function answers(port: number): Map<string, string> {
	const all = [...TREES, ...UCD_TREES].flatMap((oid) => walk(port, oid));
	const names = (prefix: string) =>
		new Map(
			all
				.filter(([oid]) => oid.startsWith(prefix))
				.map(([oid, value]) => [oid.slice(prefix.length), /"(.*)"/.exec(value)?.[1] ?? value]),
		);
	const ports = names(IF_NAME);
	const storage = names(STORAGE_NAME);
	return new Map(
		all.map(([oid, value]) => {
			const [, row = "", index = ""] = /^(.*\.)(\d+)$/.exec(oid) ?? [];
			if (/^\.1\.3\.6\.1\.2\.1\.(2\.2|31\.1)\.1\./.test(oid))
				return [`${row}${ports.get(index)}`, row.endsWith(".2.2.1.1.") ? "its number" : value];
			if (oid.startsWith(".1.3.6.1.2.1.25.2.3."))
				return [`${row}${storage.get(index)}`, row.endsWith(".3.1.1.") ? "its number" : value];
			if (oid.startsWith(".1.3.6.1.2.1.4.34.1.3."))
				return [oid, ports.get(value.replace("INTEGER: ", "")) ?? ""];
			return [oid, value];
		}),
	);
}

test("what both have is the same", async () => {
	for (const port of Object.values(PORTS))
		await eventually(`an answer on ${port}`, () => walk(port, "1.3.6.1.2.1.1.5").length === 1, LIMIT_MS);
	const [theirs, ours] = [PORTS.netSnmp, PORTS.drover].map(answers) as [
		Map<string, string>,
		Map<string, string>,
	];
	const comparable = (oid: string, value: string) =>
		moving.some((prefix) => oid.startsWith(prefix)) ? value.split(":")[0] : value;
	const both = [...ours.keys()].filter((oid) => theirs.has(oid));
	const isCounter = /^\.1\.3\.6\.1\.2\.1\.(2\.2\.1\.(1[0-9]|2[0-1])|31\.1\.1\.1\.([2-9]|1[0-3]))\./;
	const unlike = both
		// Those of ports that are never silent go on.
		.filter((oid) => !isCounter.test(oid) || oid.includes("quiet"))
		.filter((oid) => comparable(oid, theirs.get(oid)!) !== comparable(oid, ours.get(oid)!));
	const hasReason = (oid: string) => Object.keys(differences).some((prefix) => oid.startsWith(prefix));
	expect(
		unlike
			.filter((oid) => !hasReason(oid))
			.map((oid) => `${oid}: ${theirs.get(oid)} there, ${ours.get(oid)} here`),
	).toEqual([]);
	expect(both.length).toBeGreaterThan(130);
	expect(ours.get(".1.3.6.1.2.1.31.1.1.1.6.quiet1")).not.toBe("Counter64: 0");
	// Columns that managers discover rows by.
	for (const oid of [".1.3.6.1.2.1.25.2.3.1.1./", ".1.3.6.1.2.1.2.2.1.1.eth0", ".1.3.6.1.4.1.2021.10.1.1.3"])
		expect(both).toContain(oid);
	// A reason for what does not differ is no reason.
	expect(Object.keys(differences).filter((prefix) => !unlike.some((oid) => oid.startsWith(prefix)))).toEqual(
		[],
	);
}, 60_000);

/** Neither is there: what is asked for, or the object that it would be an instance of. */
const absent = [
	"1.3.6.1.2.1.1.1",
	"1.3.6.1.2.1.1.1.1",
	"1.3.6.1.2.1.99.0",
	"1.3.6.1.2.1.2.2.1.2.9999",
	"1.3.6.1.2.1.2.2.1.99.1",
	"1.3.6.1.2.1.25.2.3.1.3.9999",
	"1.3.6.1.4.1.2021.10.1.3.9",
	"1.3.6.1.4.1.99999.1.0",
	"1.3.6.1.7.7",
];

test("what is not there is missing in the same way", () => {
	const [theirs, ours] = Object.values(PORTS).map(
		(port) =>
			box.try("snmpget", "-v2c", "-c", "watch", "-On", "-t", "5", `127.0.0.1:${port}`, ...absent).stdout,
	);
	expect(theirs).toContain("No Such Object");
	expect(theirs).toContain("No Such Instance");
	expect(ours!.split("\n")).toEqual(theirs!.split("\n"));
});
