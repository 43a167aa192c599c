/** The IPVS client against a real kernel, with the real ipvsadm as the oracle. Runs inside user-mode Linux. */
import { afterEach, describe, expect, test } from "bun:test";
import {
	daemonsText,
	type ListStyle,
	listText,
	saveText,
	sortEntries,
	timeoutsText,
} from "../../../../firmware/director/ipvs-text.ts";
import { reconcileTable } from "../../../../firmware/director/reconcile.ts";
import { IpvsClient } from "../../../../firmware/kernel/ipvs-client.ts";
import {
	type IpvsDestination,
	type IpvsEntry,
	type IpvsOperation,
	type IpvsService,
	type IpvsServiceKey,
	NO_LIMITS,
	netmaskOfPrefix,
	plainTunnel,
	requestCount,
	serviceFlags,
	serviceKeyText,
} from "../../../../firmware/wire/ipvs.ts";

const client = IpvsClient.open();

function run(...command: string[]): string {
	const result = Bun.spawnSync(command, { stderr: "pipe" });
	if (result.exitCode !== 0) throw new Error(`${command.join(" ")}: ${result.stderr.toString()}`);
	return result.stdout.toString();
}
const ipvsadm = (...words: string[]) => run("ipvsadm", ...words);

const tcp = (address: string, port = 80): IpvsServiceKey => ({
	kind: "address",
	family: address.includes(":") ? "inet6" : "inet",
	protocol: "TCP",
	address,
	port,
});
const service = (key: IpvsServiceKey, change: Partial<IpvsService> = {}): IpvsService => ({
	key,
	scheduler: "rr",
	flags: 0,
	timeoutSeconds: 0,
	netmask: netmaskOfPrefix(key.family, key.family === "inet6" ? 128 : 32),
	persistenceEngine: null,
	...change,
});
const destination = (address: string, change: Partial<IpvsDestination> = {}): IpvsDestination => ({
	family: address.includes(":") ? "inet6" : "inet",
	address,
	port: 80,
	forwarding: { kind: "NAT" },
	weight: 1,
	limits: NO_LIMITS,
	...change,
});
const add = (entry: IpvsEntry): IpvsOperation[] => [{ kind: "new-service", ...entry }];
const readAll = () =>
	client.services().map((row) => ({ service: row, destinations: client.destinations(row.key) }));
const readTable = (): Map<string, IpvsEntry> =>
	new Map(readAll().map((entry) => [serviceKeyText(entry.service.key), entry]));

afterEach(() => client.flush());

describe("ipvsadm writes, we read and print", () => {
	const tables: Record<string, string[]> = {
		"every scheduler": "rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh"
			.split(" ")
			.map((name, index) => `-A -t 10.1.0.${index}:80 -s ${name}`),
		"protocols and families": [
			"-A -t 10.0.0.1:80 -s wrr",
			"-a -t 10.0.0.1:80 -r 192.168.0.9:8080 -m -w 3 -x 100 -y 50",
			"-a -t 10.0.0.1:80 -r 192.168.0.8:80 -g -w 0",
			"-a -t 10.0.0.1:80 -r 10.9.0.4:80 -i -w 100000",
			"-A -u 10.0.0.1:53 -s rr -o",
			"-A --sctp-service 10.0.0.2:99 -s lc",
			"-A -t [fd00::1]:80 -s rr",
			"-a -t [fd00::1]:80 -r [fd00:aaaa:bbbb:cccc:dddd:eeee:ffff:1]:8080 -m -w 2",
			"-a -t [fd00::1]:80 -r [fd00::9]:80 -g",
			"-A -t 192.168.80.200:80 -s rr",
			"-A -t 10.200.0.1:80 -s rr",
			"-A -t 10.200.0.1:9 -s rr",
		],
		"firewall marks": [
			"-A -f 7 -s wlc -p 50 -M 255.0.0.0",
			"-a -f 7 -r 10.9.0.3 -g",
			"-A -f 7 -6 -s wlc -p 60 -M 64",
			"-a -f 7 -6 -r [fd00::9]:0 -m",
			// ipvsadm prints larger marks as negative numbers, which it does not take back.
			"-A -f 2147483647 -s rr",
			"-a -f 2147483647 -r 10.9.0.4 -g -x 7",
		],
		"persistence, engines, one packet, scheduler flags": [
			"-A -u 10.0.0.1:5060 -s mh -b mh-port,mh-fallback -p 300 -M 255.255.255.0 --pe sip",
			"-A -t 10.0.0.2:80 -s sh -b sh-port,sh-fallback -p",
			"-A -t 10.0.0.3:80 -s sh -b flag-1,flag-3",
			"-A -t 10.0.0.4:80 -s wlc -b flag-2,flag-3",
			"-A -u 10.0.0.5:80 -s wlc -o -p 5",
			"-A -t [fd00:aaaa:bbbb:cccc:dddd:eeee:ffff:2]:65535 -s rr -p 3 -M 64",
		],
		"tunnels, also from IPv4 to IPv6 and back": [
			"-A -t 10.0.0.1:80 -s wrr",
			"-a -t 10.0.0.1:80 -r 10.9.0.5:80 -i --tun-type gue --tun-port 6080 --tun-remcsum",
			"-a -t 10.0.0.1:80 -r 10.9.0.6:80 -i --tun-type gre --tun-csum",
			"-a -t 10.0.0.1:80 -r 10.9.0.7:80 -i --tun-type gue --tun-port 6081",
			"-a -t 10.0.0.1:80 -r [fd00::7]:80 -i",
			"-A -t [fd00::1]:80 -s wrr",
			"-a -t [fd00::1]:80 -r 10.9.0.7:80 -i",
			"-a -t [fd00::1]:80 -r [fd00::7]:80 -i",
		],
	};
	const styles: [ListStyle, string[]][] = [
		["connections", []],
		["stats", ["--stats"]],
		["rate", ["--rate"]],
		["thresholds", ["--thresholds"]],
		["persistent", ["--persistent-conn"]],
	];
	for (const [name, lines] of Object.entries(tables))
		test(name, () => {
			for (const line of lines) ipvsadm(...line.split(" "));
			const entries = readAll();
			// ipvsadm does not save thresholds.
			expect(saveText(sortEntries(entries)).replace(/ -[xy] \d+/g, "")).toBe(ipvsadm("-Sn"));
			for (const [style, words] of styles) {
				expect(listText(client.info, sortEntries(entries), { style, exact: false })).toBe(
					ipvsadm("-Ln", ...words),
				);
				expect(listText(client.info, entries, { style, exact: true })).toBe(
					ipvsadm("-Ln", "--nosort", "--exact", ...words),
				);
			}
			// And back: what we print is what ipvsadm restores.
			const saved = saveText(sortEntries(entries));
			const looks = () => [ipvsadm("-Sn"), ipvsadm("-Ln", "--thresholds")];
			const before = looks();
			client.flush();
			const restored = Bun.spawnSync(["ipvsadm", "-R"], { stdin: Buffer.from(saved) });
			expect(restored.exitCode).toBe(0);
			expect(looks()).toEqual(before);
			expect(saveText(sortEntries(readAll()))).toBe(saved);
		});
});

describe("we write, ipvsadm reads", () => {
	const rows: Record<string, [IpvsEntry, string]> = {
		"TCP, wrr, NAT with thresholds and weight": [
			{
				service: service(tcp("10.0.0.1"), { scheduler: "wrr" }),
				destinations: [
					destination("192.168.0.9", {
						port: 8080,
						weight: 3,
						limits: { upperThreshold: 9, lowerThreshold: 4 },
					}),
				],
			},
			"-A -t 10.0.0.1:80 -s wrr\n-a -t 10.0.0.1:80 -r 192.168.0.9:8080 -m -w 3\n",
		],
		"UDP one packet, DR": [
			{
				service: service({ ...tcp("10.0.0.1"), protocol: "UDP" } as IpvsServiceKey, {
					flags: serviceFlags.onePacket,
				}),
				destinations: [destination("192.168.0.9", { forwarding: { kind: "DR" }, weight: 0 })],
			},
			"-A -u 10.0.0.1:80 -s rr -o\n-a -u 10.0.0.1:80 -r 192.168.0.9:80 -g -w 0\n",
		],
		"SCTP over IPv6": [
			{
				service: service({ ...tcp("fd00::1"), protocol: "SCTP" } as IpvsServiceKey),
				destinations: [destination("fd00::2")],
			},
			"-A --sctp-service [fd00::1]:80 -s rr\n-a --sctp-service [fd00::1]:80 -r [fd00::2]:80 -m -w 1\n",
		],
		"firewall mark, persistent by network": [
			{
				service: service(
					{ kind: "fwmark", family: "inet6", fwmark: 3 },
					{ flags: serviceFlags.persistent, timeoutSeconds: 60, netmask: 64 },
				),
				destinations: [destination("fd00::2", { port: 0, forwarding: { kind: "DR" } })],
			},
			"-A -f 3 -6 -s rr -p 60 -M 64\n-a -f 3 -6 -r [fd00::2]:0 -g -w 1\n",
		],
		"engine and scheduler flags": [
			{
				service: service({ ...tcp("10.0.0.1", 5060), protocol: "UDP" } as IpvsServiceKey, {
					scheduler: "mh",
					flags: serviceFlags.persistent | serviceFlags.scheduler1 | serviceFlags.scheduler2,
					timeoutSeconds: 300,
					netmask: netmaskOfPrefix("inet", 24),
					persistenceEngine: "sip",
				}),
				destinations: [],
			},
			"-A -u 10.0.0.1:5060 -s mh -p 300 -M 255.255.255.0 --pe sip -b mh-fallback,mh-port\n",
		],
		"tunnels of every type": [
			{
				service: service(tcp("10.0.0.1")),
				destinations: [
					destination("10.9.0.1", { forwarding: plainTunnel }),
					destination("10.9.0.2", {
						forwarding: { kind: "TUN", tunnel: "gue", port: 6080, checksum: "remcsum" },
					}),
					destination("10.9.0.3", {
						forwarding: { kind: "TUN", tunnel: "gre", port: 0, checksum: "csum" },
					}),
					destination("fd00::9", { forwarding: plainTunnel }),
				],
			},
			[
				"-A -t 10.0.0.1:80 -s rr",
				"-a -t 10.0.0.1:80 -r [fd00::9]:80 -i -w 1 --tun-type ipip",
				"-a -t 10.0.0.1:80 -r 10.9.0.1:80 -i -w 1 --tun-type ipip",
				"-a -t 10.0.0.1:80 -r 10.9.0.2:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum",
				"-a -t 10.0.0.1:80 -r 10.9.0.3:80 -i -w 1 --tun-type gre --tun-csum",
				"",
			].join("\n"),
		],
	};
	for (const [name, [entry, saved]] of Object.entries(rows))
		test(name, () => {
			expect(client.apply(add(entry))).toEqual([]);
			expect(ipvsadm("-Sn")).toBe(saved);
			// Read back, nothing is left to do.
			const table = new Map([[serviceKeyText(entry.service.key), entry]]);
			const ownership = { owned: new Set<string>(), removeForeign: true };
			expect(reconcileTable(table, readTable(), ownership)).toEqual([]);
		});

	test("every scheduler of the kernel", () => {
		const names = "rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh".split(" ");
		const operations = names.flatMap((scheduler, index) =>
			add({
				service: service(tcp(`10.1.0.${index}`), { scheduler }),
				destinations: [destination("10.2.0.1")],
			}),
		);
		expect(client.apply(operations)).toEqual([]);
		expect(
			ipvsadm("-Sn")
				.split("\n")
				.filter((line) => line.startsWith("-A")),
		).toEqual(names.map((name, index) => `-A -t 10.1.0.${index}:80 -s ${name}`));
	});

	test("edits: scheduler, flags, persistence, weight, forwarding, thresholds, in place", () => {
		const before = { service: service(tcp("10.0.0.1")), destinations: [destination("192.168.0.9")] };
		const after: IpvsEntry = {
			service: service(tcp("10.0.0.1"), {
				scheduler: "sh",
				flags: serviceFlags.persistent | serviceFlags.scheduler2,
				timeoutSeconds: 30,
				netmask: netmaskOfPrefix("inet", 16),
			}),
			destinations: [
				destination("192.168.0.9", {
					weight: 7,
					forwarding: { kind: "DR" },
					limits: { upperThreshold: 5, lowerThreshold: 0 },
				}),
			],
		};
		client.apply(add(before));
		const wanted = new Map([[serviceKeyText(after.service.key), after]]);
		const ownership = { owned: new Set<string>(), removeForeign: false };
		const operations = reconcileTable(wanted, readTable(), ownership);
		expect(operations.map(({ kind }) => kind)).toEqual(["set-service", "set-destination"]);
		expect(client.apply(operations)).toEqual([]);
		expect(ipvsadm("-Sn")).toBe(
			"-A -t 10.0.0.1:80 -s sh -p 30 -M 255.255.0.0 -b sh-port\n-a -t 10.0.0.1:80 -r 192.168.0.9:80 -g -w 7\n",
		);
		expect(reconcileTable(wanted, readTable(), ownership)).toEqual([]);
		client.apply(reconcileTable(new Map([...wanted].map(([key]) => [key, before])), readTable(), ownership));
		expect(ipvsadm("-Sn")).toBe("-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 192.168.0.9:80 -m -w 1\n");
	});
});

test("what the kernel refuses is named, and the rest of the batch is done", () => {
	const failures = client.apply([
		...add({ service: service(tcp("10.0.0.1")), destinations: [destination("192.168.0.9")] }),
		...add({ service: service(tcp("10.0.0.1")), destinations: [] }),
		...add({ service: service(tcp("10.0.0.2"), { scheduler: "nonesuch" }), destinations: [] }),
		{ kind: "set-destination", key: tcp("10.0.0.1"), destination: destination("192.168.0.10") },
		{ kind: "delete-destination", key: tcp("10.0.0.3"), destination: destination("192.168.0.10") },
		...add({ service: service(tcp("10.0.0.4")), destinations: [destination("192.168.0.9")] }),
	]);
	expect(failures.map(({ reason }) => reason)).toEqual([
		"cannot add TCP 10.0.0.1:80: it is there already",
		'cannot add TCP 10.0.0.2:80: the kernel has no scheduler "nonesuch"',
		"cannot change real server 192.168.0.10:80 of TCP 10.0.0.1:80: it is not there",
		"cannot remove real server 192.168.0.10:80 of TCP 10.0.0.3:80: it is not there",
	]);
	expect(ipvsadm("-Sn").split("\n").length).toBe(5);
});

test("a new service comes with its destinations, however many batches that takes, and each refused one is named", () => {
	const many = Array.from({ length: 1_200 }, (_, index) => `192.168.${index >> 8}.${index & 255}`);
	const [first, middle, last] = [many[0]!, many[700]!, many[1_199]!];
	const failures = client.apply([
		...add({
			service: service(tcp("10.0.0.1")),
			destinations: [...many, first, middle].map((address) => destination(address)),
		}),
		...add({
			service: service(tcp("10.0.0.2"), { scheduler: "nonesuch" }),
			destinations: [destination(last)],
		}),
		...add({ service: service(tcp("10.0.0.3")), destinations: [destination(last)] }),
	]);
	expect(failures.map(({ reason }) => reason)).toEqual([
		`cannot add real server ${first}:80 of TCP 10.0.0.1:80: it is there already`,
		`cannot add real server ${middle}:80 of TCP 10.0.0.1:80: it is there already`,
		'cannot add TCP 10.0.0.2:80: the kernel has no scheduler "nonesuch"',
		`cannot add real server ${last}:80 of TCP 10.0.0.2:80: it is not there`,
	]);
	expect(
		client
			.destinations(tcp("10.0.0.1"))
			.map(({ address }) => address)
			.sort(),
	).toEqual(many.toSorted());
	expect(client.destinations(tcp("10.0.0.3")).map(({ address }) => address)).toEqual([last]);
});

test("timeouts", () => {
	const before = client.timeouts();
	client.setTimeouts({ tcpSeconds: 800, tcpFinSeconds: 0, udpSeconds: 60 });
	expect(timeoutsText(client.timeouts())).toBe(ipvsadm("-Ln", "--timeout"));
	expect(client.timeouts()).toEqual({ tcpSeconds: 800, tcpFinSeconds: before.tcpFinSeconds, udpSeconds: 60 });
});

test("synchronisation daemons", () => {
	client.startDaemon({
		state: "master",
		interface: "lo",
		syncId: 3,
		maxLengthBytes: 0,
		group: null,
		port: 0,
		ttl: 0,
	});
	client.startDaemon({
		state: "backup",
		interface: "lo",
		syncId: 4,
		maxLengthBytes: 1400,
		group: "224.0.0.82",
		port: 8849,
		ttl: 3,
	});
	expect(daemonsText(client.daemons())).toBe(ipvsadm("-Ln", "--daemon"));
	expect(client.daemons().length).toBe(2);
	client.stopDaemon("master");
	expect(daemonsText(client.daemons())).toBe(ipvsadm("-Ln", "--daemon"));
	client.stopDaemon("backup");
	expect(client.daemons()).toEqual([]);
});

test("1,000 services with 20 servers each: programmed, read back, nothing left to do", () => {
	const table = new Map<string, IpvsEntry>();
	for (let index = 0; index < 1000; index++) {
		const key = tcp(`10.${100 + (index >> 8)}.${index & 255}.1`);
		table.set(serviceKeyText(key), {
			service: service(key, { scheduler: "wrr" }),
			destinations: Array.from({ length: 20 }, (_, host) =>
				destination(`192.168.${index & 255}.${host + 1}`, { weight: host + 1 }),
			),
		});
	}
	const ownership = { owned: new Set<string>(), removeForeign: true };
	const started = performance.now();
	const operations = reconcileTable(table, readTable(), ownership);
	expect(client.apply(operations)).toEqual([]);
	const programmedMs = performance.now() - started;
	const found = readTable();
	console.log(
		`programmed in ${programmedMs.toFixed(0)} ms, read back in ${(performance.now() - started - programmedMs).toFixed(0)} ms`,
	);
	expect(operations.reduce((sum, operation) => sum + requestCount(operation), 0)).toBe(21_000);
	expect(reconcileTable(table, found, ownership)).toEqual([]);
	expect(
		ipvsadm("-Sn")
			.split("\n")
			.filter((line) => line.startsWith("-a")).length,
	).toBe(20_000);
});
