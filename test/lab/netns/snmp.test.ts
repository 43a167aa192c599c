/**
 * The agent against net-snmp's tools, in a namespace with the real services behind it: what
 * is answered is what the services and the kernel say.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { type Namespace, Network } from "./network.ts";

const drover = [process.execPath, join(import.meta.dir, "../../../firmware/drover.ts")];
const KEEPALIVED = "1.3.6.1.4.1.9586.100.5";
const REAL_SERVERS = 1_000;
const LIMIT_MS = 30_000;

let network: Network;
let box: Namespace;
let directory: string;
let agent: Subprocess;

const realServer = (index: number) => `10.9.${1 + (index >> 8)}.${index & 255}`;
const configuration = () => `
global_defs { router_id lab-a }
vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 51
    priority 200
    advert_int 1
    virtual_ipaddress { 10.9.0.100/24 }
}
virtual_server 10.9.0.100 80 {
    lb_algo wrr
    lb_kind NAT
    protocol TCP
${Array.from({ length: REAL_SERVERS }, (_, index) => `    real_server ${realServer(index)} 80 { weight ${1 + (index % 7)} }`).join("\n")}
}`;

const settings = `
[snmp]
enabled = true
location = "rack 7"
communities = ["watch"]
sources = ["127.0.0.0/8"]
[[snmp.users]]
name = "nms"
auth_password = "correct horse"
privacy_password = "battery staple"
[[snmp.users]]
name = "strong"
privacy = "aes256"
auth_password = "correct horse"
privacy_password = "battery staple"
`;

beforeAll(async () => {
	network = Network.create("snmp");
	box = network.namespace("a");
	network.segment("lan").plug(box, "eth0", "10.9.0.1/24");
	directory = mkdtempSync(join(tmpdir(), "drover-snmp-"));
	writeFileSync(join(directory, "keepalived.conf"), configuration());
	writeFileSync(join(directory, "appliance.toml"), settings);
	const env = { ...process.env, DROVER_RUN_DIR: directory, DROVER_LOG: join(directory, "log") };
	for (const service of ["vrrp", "director"])
		box.spawn([...drover, service, "-f", join(directory, "keepalived.conf")], { env });
	agent = startAgent();
	await until("VI_1 is master", () => column(`${KEEPALIVED}.2.3.1.4`)[0] === "2");
}, 2 * LIMIT_MS);

afterAll(() => {
	network[Symbol.dispose]();
	rmSync(directory, { recursive: true, force: true });
});

const env = () => ({ ...process.env, DROVER_RUN_DIR: directory, DROVER_LOG: join(directory, "log") });
/** With the namespace's own /sys, as on a box. */
const startAgent = () =>
	box.spawn(
		[
			...["unshare", "--mount", "sh", "-c", 'mount -t sysfs sys /sys && exec "$0" "$@"'],
			...[...drover, "snmp", "--config", join(directory, "appliance.toml")],
			...["--state", join(directory, "state")],
		],
		{ env: env() },
	);

async function until(what: string, holds: () => boolean): Promise<void> {
	const deadline = Date.now() + LIMIT_MS;
	while (!holds()) {
		if (Date.now() > deadline)
			throw new Error(
				`${what}: not within ${LIMIT_MS / 1000} s; the log:\n${readFileSync(join(directory, "log"), "utf8").slice(-3000)}`,
			);
		await Bun.sleep(200);
	}
}

const v2c = ["-v2c", "-c", "watch"];
const v3 = (user: string, privacy: string) => [
	"-v3",
	"-l",
	"authPriv",
	"-u",
	user,
	"-a",
	"SHA-256",
	"-A",
	"correct horse",
	"-x",
	privacy,
	"-X",
	"battery staple",
];

/** Values only, one a line, numeric. */
function column(oid: string, tool = "snmpbulkwalk", security = v2c): string[] {
	const { stdout } = box.try(tool, ...security, "-r1", "-t2", "-Oqvn", "127.0.0.1", oid);
	return stdout
		.trimEnd()
		.split("\n")
		.map((line) => line.trim().replace(/^"(.*)"$/, "$1"));
}

describe("versions and security", () => {
	test.each<[string, string[]]>([
		["v2c", v2c],
		["v3 authPriv SHA-256, AES", v3("nms", "AES")],
	])("%s", (_title, security) => {
		expect(column("1.3.6.1.2.1.1.6.0", "snmpget", security)).toEqual(["rack 7"]);
	});
	test.each<[string, string[]]>([
		["a wrong community", ["-v2c", "-c", "public"]],
		["a wrong password", v3("nms", "AES").map((word) => (word === "correct horse" ? "wrong horse!" : word))],
		["an unknown user", v3("nobody", "AES")],
	])("%s gets no value", (_title, security) => {
		expect(box.try("snmpget", ...security, "-r0", "-t1", "127.0.0.1", "1.3.6.1.2.1.1.6.0").status).not.toBe(
			0,
		);
	});
	test("a source that is not listed gets nothing", () => {
		expect(box.try("snmpget", ...v2c, "-r0", "-t1", "10.9.0.1", "1.3.6.1.2.1.1.6.0").status).not.toBe(0);
	});
	test("SET is refused", () => {
		const { stderr, stdout } = box.try("snmpset", ...v2c, "127.0.0.1", "1.3.6.1.2.1.1.6.0", "s", "elsewhere");
		expect(stderr + stdout).toContain("notWritable");
	});
	test("engine boots grow with every start, and are stored before anything is answered", async () => {
		const boots = () => Number(column("1.3.6.1.6.3.10.2.1.2.0", "snmpget")[0]);
		const before = boots();
		agent.kill("SIGKILL");
		await agent.exited;
		agent = startAgent();
		await until("the agent is back", () => boots() > 0);
		expect(boots()).toBe(before + 1);
		expect(JSON.parse(readFileSync(join(directory, "state/state.json"), "utf8")).engineBoots).toBe(
			before + 1,
		);
	});
});

describe("IF-MIB", () => {
	test("names, states and octets are the kernel's", () => {
		const names = column("1.3.6.1.2.1.31.1.1.1.1");
		expect([...names].sort()).toEqual(
			box
				.ipJson<{ ifname: string }>("link", "show")
				.map(({ ifname }) => ifname)
				.sort(),
		);
		const indices = column("1.3.6.1.2.1.2.2.1.1");
		const index = indices[names.indexOf("eth0")]!;
		const octets = () => Number(column(`1.3.6.1.2.1.31.1.1.1.10.${index}`, "snmpget")[0]);
		const kernel = () =>
			box.ipJson<{ stats64: { tx: { bytes: number } } }>("-s", "link", "show", "dev", "eth0")[0]!.stats64.tx
				.bytes;
		const low = kernel();
		expect(octets()).toBeGreaterThanOrEqual(low - 100_000);
		expect(octets()).toBeLessThanOrEqual(kernel());
	});
	test("the VIP is in ipAddressTable", () => {
		expect(box.try("snmpbulkwalk", ...v2c, "-On", "127.0.0.1", "1.3.6.1.2.1.4.34.1.3").stdout).toContain(
			".1.4.10.9.0.100 ",
		);
	});
});

describe("KEEPALIVED-MIB", () => {
	test("the instance: name, state, priority, VIPs", () => {
		const cell = (number: number) => column(`${KEEPALIVED}.2.3.1.${number}.1`, "snmpget")[0];
		expect([2, 3, 4, 8, 9].map(cell)).toEqual(["VI_1", "51", "2", "200", "1"]);
		expect(column(`${KEEPALIVED}.1.2.0`, "snmpget")).toEqual(["lab-a"]);
	});
	test("every real server, with its address and weight", () => {
		expect(column(`${KEEPALIVED}.3.3.1.20`)).toEqual([String(REAL_SERVERS)]);
		const addresses = column(`${KEEPALIVED}.3.4.1.4`);
		expect(addresses).toHaveLength(REAL_SERVERS);
		const hex = (address: string) =>
			address
				.split(".")
				.map((part) => Number(part).toString(16).toUpperCase().padStart(2, "0"))
				.join(" ");
		expect(addresses[700]).toStartWith(hex(realServer(700)));
	});
	test("a walk of the whole box ends, meets every instance once, in order", () => {
		const { stdout, status } = box.try("snmpbulkwalk", ...v2c, "-On", "-Cr50", "127.0.0.1", "1.3.6.1");
		expect(status).toBe(0);
		const oids = stdout
			.split("\n")
			.filter((line) => line.startsWith(".") && !line.includes("No more variables left"))
			.map((line) => line.split(" ")[0]!);
		expect(new Set(oids).size).toBe(oids.length);
		expect(oids.length).toBeGreaterThan(REAL_SERVERS * 15);
	});
});

describe("VRRPV3-MIB", () => {
	test("master, with its priority and interval in centiseconds", () => {
		const base = "1.3.6.1.2.1.207.1.1.1.1";
		expect([column(`${base}.6`), column(`${base}.7`), column(`${base}.9`)]).toEqual([
			["3"],
			["200"],
			["100"],
		]);
	});
});
