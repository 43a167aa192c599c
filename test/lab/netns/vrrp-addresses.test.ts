/** Addresses that several routers of one box have to do with. */
import { describe, expect, test } from "bun:test";
import { eventually } from "./network.ts";
import { instanceText, Lab } from "./vrrp-lab.ts";

const MOVING = "198.51.100.40";

describe.concurrent("an address of one router", () => {
	/** Two masters, of which the given one has the address, too. */
	const owned = (owner: 0 | 1) =>
		[0, 1]
			.map((index) =>
				instanceText({
					name: `VI_${index + 1}`,
					virtualRouterId: 51 + index,
					priority: 100,
					version: 3,
					interval: 0.2,
					addresses: [`192.0.2.${200 + index}/24`],
					more: index === owner ? `virtual_ipaddress_excluded {\n${MOVING}/32\n}` : "",
				}),
			)
			.join("");

	for (const [from, to] of [
		[0, 1],
		[1, 0],
	] as const)
		test(`goes from instance ${from + 1} to instance ${to + 1} by a reload, and stays`, async () => {
			using lab = new Lab(`moving-${from}`);
			const box = lab.box("ours", 1);
			const drover = box.drover(owned(from), "--no-standby");
			await box.becomes("MASTER", 20_000, "VI_1");
			await box.becomes("MASTER", 20_000, "VI_2");
			await box.holds(MOVING);
			box.write(owned(to));
			drover.process.kill("SIGHUP");
			await eventually("the reload is done", () => drover.log().includes("reloaded"));
			await Bun.sleep(500);
			expect(box.has(MOVING)).toBe(true);
			// The new owner's to take off.
			box.write("global_defs {\n}\n");
			drover.process.kill("SIGHUP");
			await box.lacks(MOVING);
		}, 60_000);

	test("is made anew by a reload that gives it another label, peer, broadcast address or scope, as with keepalived", async () => {
		using lab = new Lab("attributes");
		const box = lab.box("ours", 1);
		const text = (words: string) =>
			instanceText({
				name: "VI_1",
				virtualRouterId: 51,
				priority: 100,
				version: 3,
				interval: 0.2,
				addresses: [`${MOVING}/32 ${words}`],
			});
		const drover = box.drover(text(""), "--no-standby");
		await box.holds(MOVING);
		const shown = () =>
			box.namespace
				.run("ip", "-4", "-o", "address", "show", "dev", "eth0")
				.split("\n")
				.filter((line) => line.includes(MOVING));
		for (const [words, expected] of [
			["label eth0:web", " eth0:web"],
			["scope link", " scope link "],
			["brd 198.51.100.255", " brd 198.51.100.255 "],
			["peer 198.51.100.41", " peer 198.51.100.41/32 "],
			["", ` ${MOVING}/32 scope global eth0`],
		] as const) {
			box.write(text(words));
			drover.process.kill("SIGHUP");
			await eventually(`it has "${words}", alone`, () => {
				const lines = shown();
				return lines.length === 1 && lines[0]!.includes(expected);
			});
		}
		expect(drover.log()).not.toContain("it is back");
	}, 60_000);

	test("brings its routes and rules along to another instance, and to the box itself", async () => {
		using lab = new Lab("routes");
		const box = lab.box("ours", 1);
		const routes = "203.0.113.0/25 dev eth0\n203.0.113.128/25 dev eth0";
		const rules = "from 203.0.113.0/25 table 77 priority 100\nfrom 203.0.113.128/25 table 77 priority 101";
		const text = (owner: number | null) =>
			`${owner === null ? `static_routes {\n${routes}\n}\nstatic_rules {\n${rules}\n}\n` : ""}${[0, 1]
				.map((index) =>
					instanceText({
						name: `VI_${index + 1}`,
						virtualRouterId: 51 + index,
						priority: 100,
						version: 3,
						interval: 0.2,
						addresses: [`192.0.2.${200 + index}/24`],
						more: index === owner ? `virtual_routes {\n${routes}\n}\nvirtual_rules {\n${rules}\n}` : "",
					}),
				)
				.join("")}`;
		const there = () =>
			["route", "rule"].map(
				(what) =>
					box.namespace
						.run("ip", what, "show")
						.split("\n")
						.filter((line) => line.includes("203.0.113.")).length,
			);
		const drover = box.drover(text(1), "--no-standby");
		await box.becomes("MASTER", 20_000, "VI_1");
		await box.becomes("MASTER", 20_000, "VI_2");
		await eventually("they are there", () => there().join() === "2,2");
		let reloads = 0;
		for (const owner of [0, 1, null, 0, null, 1]) {
			box.write(text(owner));
			drover.process.kill("SIGHUP");
			reloads++;
			await eventually("the reload is done", () => drover.log().split("reloaded").length > reloads);
			await Bun.sleep(200);
			expect([owner, ...there()]).toEqual([owner, 2, 2]);
		}
	}, 60_000);

	// Linux: a deleted primary address takes its secondaries along, unless promote_secondaries is set.
	test("stays when another one's goes that was the first of their subnet", async () => {
		using lab = new Lab("subnet");
		const box = lab.box("ours", 1);
		for (const where of ["all", "eth0"])
			box.namespace.sysctl(`net.ipv4.conf.${where}.promote_secondaries`, 0);
		const text = (...hosts: readonly number[]) =>
			hosts
				.map((host) =>
					instanceText({
						name: `VI_${host}`,
						virtualRouterId: host,
						priority: 100,
						version: 3,
						interval: 0.2,
						addresses: [`198.51.100.${host}/24`],
					}),
				)
				.join("");
		const drover = box.drover(text(11), "--no-standby");
		await box.holds("198.51.100.11");
		box.write(text(11, 12));
		drover.process.kill("SIGHUP");
		await box.holds("198.51.100.12");
		await box.becomes("MASTER", 20_000, "VI_12");
		await box.command("resign", { instances: ["VI_11"] });
		await box.lacks("198.51.100.11");
		await box.holds("198.51.100.12", 500);
		expect(drover.log()).toContain("198.51.100.12/24 went with another one of its subnet");
	}, 60_000);
});
