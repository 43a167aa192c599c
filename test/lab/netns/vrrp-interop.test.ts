/** Drover beside the real keepalived on one wire: each as master and as backup of the other. */
import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "./network.ts";
import { type InstanceText, instanceText, Lab, watchAdverts } from "./vrrp-lab.ts";
import { type StrangeAdvert, Stranger } from "./vrrp-stranger.ts";

interface Case {
	readonly title: string;
	readonly version: 2 | 3;
	readonly interval: number;
	readonly address: string;
	/** By box number: the other one's number is the peer. */
	more(other: number): string;
	/** What tcpdump says of an advert of ours. */
	readonly wire: RegExp;
	/** Where the address shows up on Drover's box. */
	readonly device?: string;
}

const cases: readonly Case[] = [
	{
		title: "version 2",
		version: 2,
		interval: 1,
		address: "192.0.2.200",
		more: () => "",
		wire: /VRRPv2, Advertisement, vrid 51, prio 100, authtype none, intvl 1s, length 20, addrs: 192\.0\.2\.200/,
	},
	{
		title: "version 2, PASS",
		version: 2,
		interval: 1,
		address: "192.0.2.200",
		more: () => "authentication {\nauth_type PASS\nauth_pass 1111\n}",
		wire: /VRRPv2, Advertisement, vrid 51, prio 100, authtype simple, intvl 1s, length 20, addrs: 192\.0\.2\.200 auth "1111/,
	},
	{
		title: "version 2, AH",
		version: 2,
		interval: 1,
		address: "192.0.2.200",
		more: () => "authentication {\nauth_type AH\nauth_pass secret12\n}",
		wire: /spi=0xc0000201,.*VRRPv2, Advertisement, vrid 51, prio 100, authtype ah, intvl 1s/,
	},
	{
		title: "version 2, unicast, PASS",
		version: 2,
		interval: 1,
		address: "192.0.2.200",
		more: (other) =>
			`unicast_peer {\n192.0.2.${other}\n}\nauthentication {\nauth_type PASS\nauth_pass 1111\n}`,
		wire: /192\.0\.2\.1 > 192\.0\.2\.2: .*VRRPv2, Advertisement, vrid 51, prio 100, authtype simple/,
	},
	{
		title: "version 2, virtual MAC",
		version: 2,
		interval: 1,
		address: "192.0.2.200",
		more: () => "use_vmac",
		wire: /VRRPv2, Advertisement, vrid 51, prio 100/,
		device: "vrrp.51",
	},
	{
		title: "version 3 over IPv4, 200 ms",
		version: 3,
		interval: 0.2,
		address: "192.0.2.200",
		more: () => "",
		wire: /VRRPv3, Advertisement, vrid 51, prio 100, intvl 20cs, length 12, addrs: 192\.0\.2\.200/,
	},
	{
		title: "version 3 over IPv4, unicast",
		version: 3,
		interval: 0.2,
		address: "192.0.2.200",
		more: (other) => `unicast_peer {\n192.0.2.${other}\n}`,
		wire: /192\.0\.2\.1 > 192\.0\.2\.2: .*VRRPv3, Advertisement, vrid 51, prio 100, intvl 20cs/,
	},
	{
		title: "version 3 over IPv6",
		version: 3,
		interval: 0.2,
		address: "fe80::200",
		more: () => "",
		wire: /fe80::1 > ff02::12: .*VRRPv3, Advertisement, vrid 51, prio 100, intvl 20cs, length 24, addrs: fe80::200/,
	},
	{
		title: "version 3 over IPv6, virtual MAC",
		version: 3,
		interval: 0.2,
		address: "fe80::200",
		more: () => "use_vmac",
		wire: /fe80::1 > ff02::12: .*VRRPv3, Advertisement, vrid 51, prio 100, intvl 20cs/,
		device: "vrrp.51",
	},
	{
		title: "version 3 over IPv6, unicast",
		version: 3,
		interval: 0.2,
		address: "2001:db8::200",
		more: (other) => `unicast_src_ip 2001:db8::${3 - other}\nunicast_peer {\n2001:db8::${other}\n}`,
		wire: /2001:db8::1 > 2001:db8::2: .*VRRPv3, Advertisement, vrid 51, prio 100, intvl 20cs/,
	},
];

describe.concurrent("beside keepalived 2.2.7", () => {
	for (const one of cases)
		test(`${one.title}: master of it, then backup of it, then its successor`, async () => {
			using lab = new Lab("interop");
			const ours = lab.box("ours", 1);
			const theirs = lab.box("theirs", 2);
			const prefix = one.address.includes(":") ? 64 : 24;
			const text = (priority: number, other: number): string => {
				const options: InstanceText = {
					priority,
					version: one.version,
					interval: one.interval,
					addresses: [`${one.address}/${prefix}`],
					more: one.more(other),
				};
				return instanceText(options);
			};
			const device = one.device ?? "eth0";
			const weHold = () => {
				try {
					return ours.has(one.address, device);
				} catch {
					return false;
				}
			};
			const theyHold = () => theirs.namespace.run("ip", "addr").includes(` ${one.address}/`);
			const capture = watchAdverts(theirs.namespace);

			const drover = ours.drover(text(100, 2), "--no-standby");
			const lower = theirs.keepalived(text(90, 1));
			await ours.becomes("MASTER");
			await eventually("our VIP is there", weHold);
			await eventually("theirs went to BACKUP", () => lower.log().includes("Entering BACKUP STATE"));
			await eventually("they do not hold it", () => !theyHold());
			const masteries = lower.log().split("Entering MASTER").length;
			await Bun.sleep(one.interval * 3500);
			// Nobody moved: they hear us.
			expect(lower.log().split("Entering MASTER").length).toBe(masteries);
			expect(theyHold()).toBe(false);
			expect(lower.log()).not.toMatch(/bogus|invalid|mismatch|not equal|incorrect/i);
			await lower.stop();

			const higher = theirs.keepalived(text(110, 1));
			const backup = await ours.becomes("BACKUP");
			await eventually("they hold it", theyHold);
			await eventually("we do not hold it", () => !weHold());
			expect(backup.masterPriority).toBe(110);
			await Bun.sleep(one.interval * 3500);
			const settled = (await ours.instance())!;
			expect(settled.state).toBe("BACKUP");
			expect(settled.conflict).toBeNull();
			const { packetLengthErrors, authenticationFailure, checksumErrors, advertisementIntervalErrors } =
				settled.counters;
			expect([
				packetLengthErrors,
				authenticationFailure,
				checksumErrors,
				advertisementIntervalErrors,
			]).toEqual([0, 0, 0, 0]);

			await higher.stop();
			const successor = await ours.becomes("MASTER");
			expect(successor.counters["priorityZeroReceived"]).toBeGreaterThan(0);
			await eventually("our VIP is back", weHold);
			await drover.stop();
			expect(weHold()).toBe(false);
			await capture.close();
			const wire = capture.text().replaceAll("\n    ", " ");
			expect(wire).toMatch(one.wire);
			expect(wire).not.toMatch(/bad vrrp cksum|bad-vrrp/);
			// The farewell.
			expect(wire).toMatch(/prio 0,/);
		}, 90_000);

	test("a backup whose priority changes all the time, on a file it tracks, says nothing", async () => {
		using lab = new Lab("restless");
		const ours = lab.box("ours", 1);
		const theirs = lab.box("theirs", 2);
		const file = join(ours.folder, "load");
		writeFileSync(file, "0");
		const text = (priority: number, more: string) =>
			instanceText({ priority, version: 3, interval: 0.1, more });
		const master = theirs.keepalived(text(200, ""));
		await eventually("they are master", () => master.log().includes("Entering MASTER"));
		const capture = watchAdverts(theirs.namespace);
		const fifo = join(ours.folder, "fifo");
		const told = join(ours.folder, "told");
		Bun.spawnSync(["mkfifo", fifo]);
		ours.namespace.spawn(["sh", "-c", `exec cat <>${fifo} >${told}`]);
		const backup = ours.drover(
			`global_defs {\nvrrp_notify_fifo ${fifo}\nvrrp_notify_priority_changes\n}
track_file load {\nfile "${file}"\n}\n${text(100, "track_file {\nload weight 1\n}")}`,
		);
		await ours.becomes("BACKUP");
		// The frame that the thread compares with came longer ago than a master may be silent.
		await eventually("it has heard them for a while", () => capture.text().split("192.0.2.2 > ").length > 8);
		for (let change = 1; change <= 20; change++) {
			writeFileSync(file, String(change));
			await eventually(
				`priority ${100 + change}`,
				async () => (await ours.instance())?.effectivePriority === 100 + change,
			);
		}
		await eventually("nobody was silent", async () => (await ours.instance())?.state === "BACKUP");
		// The FIFO tells priorities in FAULT, too.
		ours.cable.unplug();
		await ours.becomes("FAULT");
		writeFileSync(file, "33");
		const lines = () => readFileSync(told, "utf8").split("\n");
		await eventually("the FIFO has told it", () => lines().includes('INSTANCE "VI_1" BACKUP_PRIORITY 133'));
		await backup.stop();
		await capture.close();
		await master.stop();
		expect(capture.text()).not.toContain("192.0.2.1 > ");
		expect(master.log()).not.toContain("received lower priority");
		expect(master.log()).not.toContain("forcing new election");
	}, 60_000);

	test("adverts that are refused, from a stranger, keep nobody from taking over", async () => {
		using lab = new Lab("stranger");
		const ours = lab.box("ours", 1);
		const theirs = lab.box("theirs", 2);
		const stranger = new Stranger(lab.box("stranger", 9).namespace, 9);
		const text = (priority: number) => instanceText({ priority, version: 3, interval: 0.2 });
		const master = theirs.keepalived(text(200));
		await eventually("they are master", () => master.log().includes("Entering MASTER"));
		ours.drover(text(100));
		await ours.becomes("BACKUP");
		const capture = watchAdverts(ours.namespace);
		await eventually("they are heard", () => capture.text().split("192.0.2.2 > ").length > 5);
		const advert: StrangeAdvert = {
			family: "inet",
			version: 3,
			virtualRouterId: 51,
			priority: 200,
			intervalMicros: 200_000,
			addresses: ["192.0.2.200"],
			hopLimit: 255,
			checksumIsRight: false,
			password: null,
		};
		const sending = stranger.send(advert, ["224.0.0.18"], 100, 20);
		await Bun.sleep(100);
		theirs.cable.unplug();
		await ours.becomes("MASTER");
		await sending;
		await ours.holds("192.0.2.200");
		// It never took back what the real-time thread had begun.
		await capture.close();
		expect(capture.text()).not.toMatch(/192\.0\.2\.1 > .*prio 0,/);
	}, 60_000);

	test("a newcomer with state MASTER, which waits little more than an interval, hears whoever is master", async () => {
		using lab = new Lab("newcomer");
		// With each priority comes another moment of the interval in which the master sends.
		const config = (state: "MASTER" | "BACKUP") =>
			Array.from({ length: 60 }, (_, index) =>
				instanceText({
					name: `VI_${index + 1}`,
					virtualRouterId: index + 1,
					priority: 254 - 4 * index,
					version: 3,
					interval: 0.2,
					addresses: [`198.51.100.${index + 1}/32`],
					state,
				}),
			).join("");
		const [master, newcomer] = [lab.box("master", 1), lab.box("newcomer", 2)];
		master.drover(config("BACKUP"), "--no-standby");
		await eventually(
			"one is master of all",
			async () =>
				(await master.status().catch(() => null))?.instances.every(({ state }) => state === "MASTER") ===
				true,
		);
		const { process: child, log } = newcomer.drover(config("MASTER"), "--no-standby");
		await eventually("all wait", () => log().split("Entering BACKUP STATE").length > 60);
		await Bun.sleep(1_000);
		// A busy machine may send one or two too late.
		expect(log().split("Entering MASTER STATE").length - 1).toBeLessThan(4);
		child.kill();
	}, 60_000);

	test("a stranger who gives up what he never had: the master answers at once, and the backup hears it", async () => {
		using lab = new Lab("farewell");
		const ours = lab.box("ours", 1);
		const theirs = lab.box("theirs", 2);
		const stranger = new Stranger(lab.box("stranger", 9).namespace, 9);
		const text = (priority: number) => instanceText({ priority, version: 3, interval: 0.4 });
		const master = theirs.keepalived(text(200));
		await eventually("they are master", () => master.log().includes("Entering MASTER"));
		const backup = ours.drover(text(100));
		await ours.becomes("BACKUP");
		const advert: StrangeAdvert = {
			family: "inet",
			version: 3,
			virtualRouterId: 51,
			priority: 0,
			intervalMicros: 400_000,
			addresses: ["192.0.2.200"],
			hopLimit: 255,
			checksumIsRight: true,
			password: null,
		};
		await stranger.send(advert, ["224.0.0.18"], 12, 150);
		await eventually("they have answered", () => master.log().split("priority 0 message").length > 10);
		expect(backup.log()).not.toContain("Entering MASTER");
		expect(backup.log()).not.toContain("an advert of ours went out");
		expect(master.log()).not.toContain("lower priority");
	}, 60_000);
});
