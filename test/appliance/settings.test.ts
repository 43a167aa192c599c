/** appliance.toml, and the addresses and routes that it comes to. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { networkPlan, networkRemovals } from "../../firmware/appliance/network-plan.ts";
import { ntpConfiguration } from "../../firmware/appliance/ntp-configuration.ts";
import {
	parseSettings,
	readSettings,
	SETTINGS_LIMIT_BYTES,
	settingsJsonSchema,
} from "../../firmware/appliance/settings.ts";
import { wantedServices } from "../../firmware/appliance/wanted-services.ts";
import { formatDiagnostic } from "../../firmware/config/keepalived/diagnostics.ts";
import { parseClockStatus } from "../../firmware/status/clock.ts";

const director = `
hostname = "director-a"
dns = ["192.168.80.1"]

[[port]]
name = "eth0"
role = "outside"
addresses = ["192.168.80.100/24", "FD00:80::0100/64"]
gateways = ["192.168.80.1"]

[[port]]
name = "eth1"
role = "inside"
addresses = ["10.80.0.100/24"]
mtu = 9000

[[route]]
to = "10.1.0.0/16"
via = "10.80.0.1"
`;

describe("appliance.toml", () => {
	test("ports, addresses and routes become ip(8) commands that may be repeated", () => {
		expect(networkPlan(parseSettings(director))).toEqual([
			"link set dev eth0 up",
			"link set dev eth1 mtu 9000 up",
			"address replace 192.168.80.100/24 dev eth0",
			"address replace fd00:80::100/64 dev eth0",
			"route replace default via 192.168.80.1 dev eth0",
			"address replace 10.80.0.100/24 dev eth1",
			"route replace 10.1.0.0/16 via 10.80.0.1",
		]);
	});

	test("an empty file is a box with defaults", () => {
		expect(parseSettings("")).toMatchObject({ hostname: "drover", port: [], route: [] });
	});

	test.each<[title: string, text: string, part: string]>([
		["not TOML", "hostname = ", "TOML"],
		["an unknown key is named", 'hostnam = "a"', "hostnam"],
		["a host name with an underscore", 'hostname = "a_b"', "hostname"],
		[
			"an address without a prefix",
			'[[port]]\nname="eth0"\nrole="outside"\naddresses=["10.0.0.1"]',
			"prefix",
		],
		["a prefix too long", '[[port]]\nname="eth0"\nrole="outside"\naddresses=["10.0.0.1/33"]', "prefix"],
		["an interface name with a blank", '[[port]]\nname="eth0 up"\nrole="outside"', "interface name"],
		["an unknown role", '[[port]]\nname="eth0"\nrole="left"', "role"],
		["a gateway that is no address", '[[port]]\nname="e"\nrole="inside"\ngateways=["router"]', "gateways"],
		["a file without end", "#".repeat(SETTINGS_LIMIT_BYTES + 1), "longer"],
	])("%s is refused", (_title, text, part) => {
		expect(() => parseSettings(text)).toThrow(part);
	});

	test("whatever the file holds: an error with words, or commands of one line each", () => {
		const field = fc.string({ unit: "binary", maxLength: 20 });
		fc.assert(
			fc.property(field, field, field, (name, address, via) => {
				const text = `[[port]]\nname=${JSON.stringify(name)}\nrole="inside"\naddresses=[${JSON.stringify(address)}]\n[[route]]\nto=${JSON.stringify(address)}\nvia=${JSON.stringify(via)}`;
				let lines: string[];
				try {
					lines = networkPlan(parseSettings(text));
				} catch (error) {
					expect((error as Error).message).not.toBe("");
					return;
				}
				for (const line of lines) expect(line).toMatch(/^(link|address|route) [^\n]+$/);
			}),
			{ numRuns: 300 },
		);
	});
});

describe("what is found: where, what, what to do", () => {
	test.each<[title: string, text: string, found: string]>([
		[
			"an unknown key at the top",
			'hostnam = "a"',
			'appliance.toml:1:1: error: there is no setting "hostnam"\n    hostnam = "a"\n    ^^^^^^^\n    did you mean "hostname"?',
		],
		[
			"an unknown key of an entry",
			'[[snmp.users]]\nname = "nms"\nauth_pasword = "correct horse"\nprivacy_password = "battery staple"\nauth_password = "correct horse"',
			'appliance.toml:3:1: error: there is no setting "auth_pasword" in snmp.users[1]\n    auth_pasword = "correct horse"\n    ^^^^^^^^^^^^\n    did you mean "auth_password"?',
		],
		[
			"an unknown key like no other",
			"[ntp]\nquux = 1",
			'appliance.toml:2:1: error: there is no setting "quux" in ntp\n    quux = 1\n    ^^^^\n    there are: servers',
		],
		[
			"a choice",
			'[[port]]\nname = "eth0"\nrole = "outsid"',
			'appliance.toml:3:8: error: port[1].role must be "outside" or "inside"\n    role = "outsid"\n           ^^^^^^^^\n    did you mean "outside"?',
		],
		[
			"what is missing",
			'[[port]]\nrole = "inside"',
			"appliance.toml:1:1: error: port[1].name is missing\n    [[port]]\n    ^^^^^^^^\n    it is a text in quotes",
		],
		[
			"the wrong kind",
			'[snmp]\nport = "161"',
			'appliance.toml:2:8: error: snmp.port must be a number\n    port = "161"\n           ^^^^^',
		],
		[
			"out of range",
			"[console]\nidle_minutes = 9999",
			"appliance.toml:2:16: error: console.idle_minutes must be at most 1440\n    idle_minutes = 9999\n                   ^^^^",
		],
		[
			"a word that is not what it should be",
			'[syslog]\nreceivers = [{ host = "log host" }]',
			'appliance.toml:2:23: error: syslog.receivers[1].host is neither an IP address nor a host name\n    receivers = [{ host = "log host" }]\n                          ^^^^^^^^^^',
		],
		[
			"a form that does not exist",
			'[[snmp.receivers]]\naddress = "10.0.0.7"\nversion = "v1"',
			'appliance.toml:3:11: error: snmp.receivers[1].version must be "v2c" or "v3"\n    version = "v1"\n              ^^^^\n    did you mean "v3"?',
		],
		[
			"a gateway that no port reaches",
			'[[port]]\nname = "eth0"\nrole = "outside"\naddresses = ["10.0.0.1/24"]\ngateways = ["10.0.1.254"]',
			'appliance.toml:5:13: error: 10.0.1.254 lies in no network of eth0\'s addresses\n    gateways = ["10.0.1.254"]\n                ^^^^^^^^^^^^',
		],
		[
			"an address twice, differently written",
			'[[port]]\nname = "eth0"\nrole = "outside"\naddresses = ["fd00::1/64"]\n[[port]]\nname = "eth1"\nrole = "inside"\naddresses = ["FD00:0::1/64"]',
			'appliance.toml:8:14: error: "fd00::1" is here twice: it is also port[1].addresses[1]\n    addresses = ["FD00:0::1/64"]\n                 ^^^^^^^^^^^^^^',
		],
		[
			"a receiver's user who does not exist",
			'[[snmp.receivers]]\naddress = "10.0.0.7"\nversion = "v3"\nuser = "nms"',
			'appliance.toml:4:8: error: there is no user "nms" in snmp.users\n    user = "nms"\n           ^^^^^\n    add it as [[snmp.users]] with its passwords',
		],
		[
			"metrics without an inside",
			"[metrics]\nenabled = true",
			'appliance.toml:2:11: error: metrics are answered on inside ports only, and none has an address\n    enabled = true\n              ^^^^\n    give one port role = "inside" and an address',
		],
		[
			"a first community that everybody tries",
			'[snmp]\nenabled = true\nsources = ["10.0.0.0/8"]\ncommunities = ["public"]',
			'appliance.toml:4:16: warning: "public" is the first community that anyone tries\n    communities = ["public"]\n                   ^^^^^^^^',
		],
		[
			"a cache with nothing behind it",
			"[cache]\nenabled = true",
			'appliance.toml:1:1: error: the cache needs a policy or a web server\n    [cache]\n    ^^^^^^^\n    set vcl = "default.vcl", backend = "HOST:PORT" or pool = "ADDRESS PORT" of a virtual server',
		],
	])("%s", (_title, text, found) => {
		expect(readSettings(text).diagnostics.map(formatDiagnostic).join("\n")).toBe(found);
	});

	test("all at once, in the order of the file", () => {
		const text = 'hostname = 7\n[[port]]\nname = "e 0"\nrole = "left"\n[snmp]\nx = 1\n';
		expect(readSettings(text).diagnostics.map(({ location }) => location.line)).toEqual([1, 3, 4, 6]);
	});
});

test("docs/appliance.schema.json is what `drover config schema` prints", () => {
	const path = join(import.meta.dir, "../../docs/appliance.schema.json");
	expect(JSON.parse(readFileSync(path, "utf8"))).toEqual(JSON.parse(JSON.stringify(settingsJsonSchema())));
});

describe("what is no longer wanted goes", () => {
	const of = (text: string) => parseSettings(text);
	const port = (addresses: string, gateways = "") =>
		`[[port]]\nname = "eth0"\nrole = "outside"\naddresses = [${addresses}]\ngateways = [${gateways}]\n`;
	test("an address, a gateway, a route; nothing that stays", () => {
		const before = of(
			`${port('"10.0.0.1/24", "10.0.0.2/24"', '"10.0.0.254"')}[[route]]\nto = "10.1.0.0/16"\nvia = "10.0.0.9"\n`,
		);
		const now = of(port('"10.0.0.2/24"', '"10.0.0.253"'));
		expect(networkRemovals(before, now)).toEqual([
			"route del 10.1.0.0/16 via 10.0.0.9",
			"route del default via 10.0.0.254 dev eth0",
			"address del 10.0.0.1/24 dev eth0",
		]);
		expect(networkRemovals(now, now)).toEqual([]);
	});
	test("another spelling of the same address is the same", () => {
		expect(networkRemovals(of(port('"FD00::0001/64"')), of(port('"fd00::1/64"')))).toEqual([]);
	});
});

describe("services that the file switches on", () => {
	const changed = (before: string, now: string) => {
		const [a, b] = [before, now].map((text) => wantedServices(parseSettings(text)));
		return Object.keys(a!).filter((name) => JSON.stringify(a![name]) !== JSON.stringify(b![name]));
	};
	const snmp = '[snmp]\nenabled = true\nsources = ["10.0.0.0/8"]\n';
	test.each<[string, string, string, string[]]>([
		["none from the start", "", "", []],
		["SNMP", "", snmp, ["snmp"]],
		["another community concerns SNMP alone", snmp, `${snmp}communities = ["watch"]\n`, ["snmp"]],
		[
			"another host name concerns who writes it",
			'hostname = "a"\n[[syslog.receivers]]\nhost = "10.0.0.7"',
			'hostname = "b"\n[[syslog.receivers]]\nhost = "10.0.0.7"',
			["syslog"],
		],
		["NTP", "", '[ntp]\nservers = ["pool.example.net"]', ["ntp"]],
	])("%s", (_title, before, now, services) => {
		expect(changed(before, now)).toEqual(services);
	});
	test("ntpd.conf, as OpenNTPD takes it", () => {
		const text = ntpConfiguration(["192.0.2.1", "pool.example.net"]);
		expect(text).toBe("server 192.0.2.1\nservers pool.example.net\n");
		const file = join(mkdtempSync(join(tmpdir(), "drover-ntp-")), "ntpd.conf");
		writeFileSync(file, text);
		expect(Bun.spawnSync(["/usr/sbin/ntpd", "-n", "-f", file]).exitCode).toBe(0);
		rmSync(dirname(file), { recursive: true });
	});
	test.each<[string, ReturnType<typeof parseClockStatus>]>([
		[
			"4/4 peers valid, clock synced, stratum 3\n",
			{ synchronized: true, stratum: 3, validPeers: 4, peers: 4, offsetMs: null },
		],
		[
			"1/2 peers valid, clock unsynced, clock offset is -1234.5ms\n",
			{ synchronized: false, stratum: null, validPeers: 1, peers: 2, offsetMs: -1234.5 },
		],
		["ntpctl: connect: No such file\n", null],
	])("ntpctl says %j", (text, status) => {
		expect(parseClockStatus(text)).toEqual(status);
	});
});
