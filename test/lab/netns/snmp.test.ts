/**
 * The agent against net-snmp's tools, and the metrics against Prometheus's own parser, in a namespace
 * with the real services behind them: what is answered is what the services and the kernel say.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { compareOids, parseOid } from "../../../firmware/status/snmp/view.ts";
import { type Namespace, Network } from "./network.ts";

const drover = [process.execPath, join(import.meta.dir, "../../../firmware/drover.ts")];
const KEEPALIVED = "1.3.6.1.4.1.9586.100.5";
const REAL_SERVERS = 1_000;
const LIMIT_MS = 30_000;

let network: Network;
let box: Namespace;
let directory: string;
let agent: Subprocess;
let services: Subprocess[];

const realServer = (index: number) => `10.9.${1 + (index >> 8)}.${index & 255}`;
/** `first`: where the real servers begin; `more`: what else there is. */
const configuration = (first = 0, more = "") => `
global_defs { router_id lab-a }
${more}
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
${Array.from({ length: REAL_SERVERS }, (_, index) => `    real_server ${realServer(first + index)} 80 { weight ${1 + (index % 7)} }`).join("\n")}
}`;

const settings = `
[[port]]
name = "eth0"
role = "inside"
addresses = ["10.9.0.1/24"]
[metrics]
enabled = true
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
	services = ["vrrp", "director"].map((service) =>
		box.spawn([...drover, service, "-f", join(directory, "keepalived.conf")], { env }),
	);
	agent = startAgent();
	box.spawn([...drover, "metrics", "--config", join(directory, "appliance.toml")], { env });
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
	test("RFC 3414 §3.2 step 7: a question that was recorded before a restart gets a report and no value", async () => {
		// Between snmpget and the agent: keeps what passes towards the agent, and can say it again.
		const relay = box.spawn([process.execPath, join(import.meta.dir, "snmp-relay.ts"), "1161", "161"], {
			stdin: "pipe",
		});
		const reader = relay.stdout.getReader();
		await reader.read();
		const get = ["-r1", "-t2", "127.0.0.1:1161", "1.3.6.1.2.1.1.6.0"];
		expect(box.try("snmpget", ...v3("nms", "AES"), ...get).stdout).toContain("rack 7");
		agent.kill("SIGKILL");
		await agent.exited;
		agent = startAgent();
		await until("the agent is back", () => column("1.3.6.1.6.3.10.2.1.2.0", "snmpget")[0] !== "");
		(relay.stdin as unknown as { write(text: string): void; flush(): void }).write("again\n");
		(relay.stdin as unknown as { flush(): void }).flush();
		const answer = new TextDecoder().decode((await reader.read()).value);
		// usmStatsNotInTimeWindows in an authenticated report, in clear.
		expect(answer).toContain("2b060106030f01010200");
		expect(answer).not.toContain(Buffer.from("rack 7").toString("hex"));
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
});

describe("RFC 2863 §3.1.5: ifIndex after a restart", () => {
	test("each port keeps its number, whatever the kernel calls first; a new one takes the next", async () => {
		const numbers = () => {
			const indices = column("1.3.6.1.2.1.2.2.1.1");
			return Object.fromEntries(column("1.3.6.1.2.1.31.1.1.1.1").map((name, at) => [name, indices[at]!]));
		};
		const before = numbers();
		// In front of all others by its name, behind them by the kernel's number.
		box.ip("link", "add", "a0", "type", "veth", "peer", "name", "a1");
		agent.kill("SIGKILL");
		await agent.exited;
		agent = startAgent();
		await until("the agent knows it", () => numbers()["a0"] !== undefined);
		const after = numbers();
		expect(after).toMatchObject(before);
		const highest = Math.max(...Object.values(before).map(Number));
		expect(new Set(["a0", "a1"].map((name) => after[name]))).toEqual(
			new Set([String(highest + 1), String(highest + 2)]),
		);
	});

	test("ifLastChange: zero for a port that was there when the agent began, and when it came for a later one", async () => {
		const changes = () => {
			const ticks = column("1.3.6.1.2.1.2.2.1.9");
			return Object.fromEntries(column("1.3.6.1.2.1.31.1.1.1.1").map((name, at) => [name, ticks[at]!]));
		};
		box.ip("link", "add", "late0", "type", "veth", "peer", "name", "late1");
		await until("the agent knows it", () => changes()["late0"] !== undefined);
		const seen = changes();
		const never = "0:0:00:00.00";
		expect(seen["a0"]).toBe(never);
		expect(seen["late0"]).toMatch(/^0:0:\d\d:\d\d\.\d\d$/);
		expect(seen["late0"]).not.toBe(never);
	});
});

describe("IP-MIB", () => {
	test("ipAddressTable has the VIP, an address with a label of its own, and one of a port without a cable", async () => {
		const addresses = () =>
			box.try("snmpbulkwalk", ...v2c, "-On", "127.0.0.1", "1.3.6.1.2.1.4.34.1.3").stdout;
		expect(addresses()).toContain(".1.4.10.9.0.100 ");
		box.ip("addr", "add", "10.9.200.1/24", "dev", "eth0", "label", "eth0:more");
		box.ip("link", "add", "loose0", "type", "veth", "peer", "name", "loose1");
		box.ip("addr", "add", "10.8.0.1/24", "dev", "loose0");
		await until("both are there", () =>
			["10.9.200.1", "10.8.0.1"].every((address) => addresses().includes(`.1.4.${address} `)),
		);
		box.ip("link", "del", "loose0");
		box.ip("addr", "del", "10.9.200.1/24", "dev", "eth0");
		await until("both are gone", () => !/\.1\.4\.10\.(9\.200|8\.0)\.1 /.test(addresses()));
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

describe("while all that can be asked for comes and goes", () => {
	/** In front of what stays and behind it, so that rows move. */
	const passing = (round: number) => {
		const instance = (id: number) => `vrrp_instance V${id} {
    interface eth0
    virtual_router_id ${id}
    advert_int 1
    virtual_ipaddress { 10.9.0.${id}/24 }
}
vrrp_sync_group G${id} { group { V${id} } }
`;
		const server = `virtual_server 10.9.0.100 ${8000 + round} {
    protocol TCP
    real_server 10.9.0.2 80 { weight 1 }
}
`;
		return `${instance(101 + (round % 5))}${round % 2 === 0 ? instance(120) : server}`;
	};
	const walks = [
		["snmpwalk", []],
		["snmpbulkwalk", ["-Cr10"]],
		["snmpbulkwalk", ["-Cr100"]],
	] as const;

	test(
		"a walk ends, in order, with all that stays",
		async () => {
			let isOver = false;
			let rounds = 0;
			const change = async () => {
				for (; !isOver; rounds++) {
					writeFileSync(join(directory, "keepalived.conf"), configuration(rounds % 7, passing(rounds)));
					for (const service of services) service.kill("SIGHUP");
					box.ip("link", "add", `go${rounds % 3}`, "type", "veth", "peer", "name", `gp${rounds % 3}`);
					box.ip("addr", "add", `10.7.0.${1 + (rounds % 200)}/24`, "dev", "eth0");
					await Bun.sleep(150);
					box.ip("addr", "del", `10.7.0.${1 + (rounds % 200)}/24`, "dev", "eth0");
					box.ip("link", "del", `go${rounds % 3}`);
					await Bun.sleep(50);
				}
			};
			const changing = change();
			for (const [tool, words] of [...walks, ...walks]) {
				const before = rounds;
				const walk = box.spawn([tool, ...v2c, "-r1", "-t5", "-On", ...words, "127.0.0.1", "1.3.6.1"], {
					stdout: "pipe",
					stderr: "pipe",
				});
				const [text, trouble] = await Promise.all([
					new Response(walk.stdout as ReadableStream).text(),
					new Response(walk.stderr as ReadableStream).text(),
				]);
				expect([tool, await walk.exited, trouble]).toEqual([tool, 0, ""]);
				const rows = text
					.split("\n")
					.filter((line) => /^\.[\d.]+ = /.test(line) && !line.includes("No more variables"));
				const oids = rows.map((line) => parseOid(line.slice(1).split(" ")[0]!));
				for (let at = 1; at < oids.length; at++)
					if (compareOids(oids[at - 1]!, oids[at]!) >= 0)
						throw new Error(`${rows[at - 1]} before ${rows[at]}`);
				expect(text).toContain('"VI_1"');
				expect(text).toContain('"eth0"');
				expect(text).toContain(".1.4.10.9.0.1 = ");
				// The servers' addresses, the first seven of which come and go.
				expect(rows.filter((line) => line.includes(`.${KEEPALIVED}.3.4.1.4.`)).length).toBeGreaterThanOrEqual(
					REAL_SERVERS,
				);
				expect(rounds).toBeGreaterThan(before);
			}
			isOver = true;
			await changing;
			writeFileSync(join(directory, "keepalived.conf"), configuration());
			for (const service of services) service.kill("SIGHUP");
			await until(
				"all is as before",
				() =>
					column(`${KEEPALIVED}.3.3.1.20`).join() === String(REAL_SERVERS) &&
					column(`${KEEPALIVED}.2.3.1.2`).join() === "VI_1",
			);
		},
		4 * LIMIT_MS,
	);
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

describe("OpenMetrics", () => {
	interface Sample {
		readonly name: string;
		readonly labels: Readonly<Record<string, string>>;
		readonly value: number;
	}
	/** Status, content type and body; null when nobody answers. */
	function get(url: string, method = "GET"): { status: number; type: string; body: string } | null {
		const program = `const answer = await fetch("${url}", { method: "${method}" });
console.log(JSON.stringify({ status: answer.status, type: answer.headers.get("content-type"), body: await answer.text() }))`;
		const { status, stdout } = box.try(process.execPath, "-e", program);
		return status === 0 ? JSON.parse(stdout) : null;
	}
	/** What Prometheus's parser makes of the text. */
	function parse(text: string): readonly Sample[] {
		const program = `import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
print(json.dumps([dict(name=s.name, labels=s.labels, value=s.value)
    for family in text_string_to_metric_families(sys.stdin.read()) for s in family.samples]))`;
		const { stdout, stderr, exitCode } = Bun.spawnSync(["/usr/bin/python3", "-c", program], {
			stdin: Buffer.from(text),
		});
		if (exitCode !== 0) throw new Error(stderr.toString());
		return JSON.parse(stdout.toString());
	}
	const wanted = (samples: readonly Sample[], name: string, labels: Sample["labels"]) =>
		samples.filter(
			(sample) =>
				sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
		);

	test("/metrics is read by Prometheus's parser, and says what SNMP says", async () => {
		await until(
			"the metrics are there",
			() => get("http://10.9.0.1:9100/metrics")?.body.includes("drover_virtual_server_real_servers") === true,
		);
		const { type, body } = get("http://10.9.0.1:9100/metrics")!;
		expect(type).toBe("application/openmetrics-text; version=1.0.0; charset=utf-8");
		const samples = parse(body);
		const value = (name: string, labels: Sample["labels"]) =>
			wanted(samples, name, labels).map((each) => each.value);
		const states = wanted(samples, "drover_vrrp_state", { instance: "VI_1" });
		expect(
			states.filter((each) => each.value === 1).map(({ labels }) => labels["drover_vrrp_state"]),
		).toEqual(["MASTER"]);
		expect(value("drover_vrrp_effective_priority", { instance: "VI_1" })).toEqual(
			column(`${KEEPALIVED}.2.3.1.8`).map(Number),
		);
		expect(value("drover_virtual_server_real_servers", {})).toEqual(
			column(`${KEEPALIVED}.3.3.1.20`).map(Number),
		);
		expect(value("drover_virtual_server_real_servers_alive", {})).toEqual(
			column(`${KEEPALIVED}.3.3.1.21`).map(Number),
		);
		const weights = wanted(samples, "drover_real_server_weight", {});
		expect(weights).toHaveLength(REAL_SERVERS);
		// SNMP has the configured one, as keepalived does, metrics what the kernel has: this one has no IPVS.
		expect(weights.every((each) => each.value === 0)).toBe(true);
		expect(column(`${KEEPALIVED}.3.4.1.7`)).toEqual(
			Array.from({ length: REAL_SERVERS }, (_, index) => String(1 + (index % 7))),
		);
		expect(value("drover_memory_total_bytes", {})).toEqual(
			column("1.3.6.1.4.1.2021.4.5").map((kib) => Number(kib.split(" ")[0]) * 1024),
		);
		expect(value("drover_interface_up", { interface: "eth0" })).toEqual([1]);
		expect(value("drover_vrrp_advertisements_sent_total", { instance: "VI_1" })[0]).toBeGreaterThan(0);
	});
	test("/healthz says what is wrong: this kernel has no IPVS", () => {
		const { status, body } = get("http://10.9.0.1:9100/healthz")!;
		expect(status).toBe(503);
		expect(body).toContain("IPVS does not answer");
	});
	test("only the inside port's address answers; what else is asked is refused", () => {
		expect(get("http://127.0.0.1:9100/metrics")).toBeNull();
		expect(get("http://10.9.0.100:9100/metrics")).toBeNull();
		expect(get("http://10.9.0.1:9100/etc/passwd")?.status).toBe(404);
		expect(get("http://10.9.0.1:9100/metrics", "POST")?.status).toBe(405);
	});
});
