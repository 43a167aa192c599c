/** BFD beside the real keepalived on one wire, and VRRP's track_bfd. */
import { afterEach, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { call } from "../../../firmware/bus/client.ts";
import type { BfdSessionStatus, BfdStatus } from "../../../firmware/status/bfd.ts";
import { bunPath, eventually } from "./network.ts";
import { type Box, instanceText, Lab } from "./vrrp-lab.ts";

const DROVER = join(import.meta.dir, "../../../firmware/drover.ts");

interface Case {
	readonly title: string;
	address(number: number): string;
	readonly ours: string;
	readonly theirs: string;
	readonly detectionTimeMs: number;
}

const cases: readonly Case[] = [
	{
		title: "IPv4, as it comes: 10 ms, 5 of them",
		address: (number) => `192.0.2.${number}`,
		ours: "",
		theirs: "",
		detectionTimeMs: 50,
	},
	{
		title: "IPv6, other numbers on each side",
		address: (number) => `2001:db8::${number}`,
		ours: "min_rx 40\nmin_tx 20\nmultiplier 3",
		theirs: "min_rx 50\nmin_tx 30\nmultiplier 4",
		detectionTimeMs: 160,
	},
	{
		title: "the neighbor is passive",
		address: (number) => `192.0.2.${number}`,
		ours: "min_tx 20",
		theirs: "passive\nmin_tx 20",
		detectionTimeMs: 100,
	},
	{
		title: "we are passive",
		address: (number) => `192.0.2.${number}`,
		ours: "passive\nmin_tx 20",
		theirs: "min_tx 20",
		detectionTimeMs: 100,
	},
];

const instance = (name: string, own: string, neighbor: string, more: string) => `bfd_instance ${name} {
	neighbor_ip ${neighbor}
	source_ip ${own}
	${more}
}
`;

let lab: Lab | null = null;
afterEach(() => {
	lab?.[Symbol.dispose]();
	lab = null;
});

function build(): { ours: Box; theirs: Box } {
	lab = new Lab("bfd");
	return { ours: lab.box("ours", 1), theirs: lab.box("theirs", 2) };
}

/** `drover NAME` on a box, with its own run directory. */
function run(box: Box, name: string): { readonly pid: number } {
	return box.namespace.spawn([bunPath, DROVER, name, "-f", box.configFile], {
		stdout: "ignore",
		stderr: "ignore",
		env: { ...process.env, DROVER_RUN_DIR: join(box.folder, "run"), TMPDIR: box.folder },
	});
}

function ask<Output>(box: Box, service: string): Promise<Output | null> {
	process.env["DROVER_RUN_DIR"] = join(box.folder, "run");
	return call<Output>(service, "status").catch(() => null);
}

const sessionOf = async (box: Box): Promise<BfdSessionStatus | undefined> =>
	(await ask<BfdStatus>(box, "bfd"))?.sessions[0];
const becomes = (box: Box, state: string) =>
	eventually(`the session is ${state}`, async () => {
		const session = await sessionOf(box);
		return session?.state === state ? session : null;
	});

/** The real keepalived with its BFD process; what it logs. */
function keepalived(box: Box, text: string): { log(): string; stop(): Promise<void> } {
	const file = join(box.folder, "real.conf");
	const log = join(box.folder, "real.log");
	const pid = (name: string) => join(box.folder, name);
	Bun.write(file, text);
	const child = box.namespace.spawn(
		[
			"/bin/sh",
			"-c",
			`exec keepalived -n -l -G -D -f ${file} -p ${pid("k")} -r ${pid("v")} -c ${pid("c")} -b ${pid("b")} >>${log} 2>&1`,
		],
		{ stdout: "ignore", stderr: "ignore" },
	);
	return {
		log() {
			try {
				return readFileSync(log, "utf8");
			} catch {
				return "";
			}
		},
		async stop() {
			child.kill("SIGTERM");
			await child.exited;
		},
	};
}

describe("RFC 5880 beside keepalived", () => {
	test.each(cases)("$title", async ({ address, ours: own, theirs: other, detectionTimeMs }) => {
		const { ours, theirs } = build();
		ours.write(instance("peer", address(1), address(2), own));
		run(ours, "bfd");
		const real = keepalived(theirs, instance("drover", address(2), address(1), other));
		await becomes(ours, "Up");
		await eventually("keepalived is up", () => /\(drover\).*(Up|UP)/.test(real.log()));
		await eventually(
			"the poll has ended",
			async () => (await sessionOf(ours))?.detectionTimeMs === detectionTimeMs,
		);

		// A cut cable: both sides say so by themselves.
		theirs.cable.unplug();
		const down = await becomes(ours, "Down");
		expect(down).toMatchObject({ up: false, reason: `nothing heard for ${detectionTimeMs} ms` });
		theirs.cable.plugIn();
		await becomes(ours, "Up");

		// Its end it does not announce; ours is announced, and is no failure to it.
		await real.stop();
		expect((await becomes(ours, "Down")).reason).toBe(`nothing heard for ${detectionTimeMs} ms`);
	});
});

describe("what follows a session", () => {
	test("our end is announced: the neighbor is told that it is no failure", async () => {
		const { ours, theirs } = build();
		for (const [box, own, neighbor] of [
			[ours, "192.0.2.1", "192.0.2.2"],
			[theirs, "192.0.2.2", "192.0.2.1"],
		] as const)
			box.write(instance("peer", own, neighbor, ""));
		run(ours, "bfd");
		const other = run(theirs, "bfd");
		await becomes(ours, "Up");
		process.kill(other.pid, "SIGTERM");
		const ended = await becomes(ours, "Down");
		expect(ended).toMatchObject({ up: true, reason: "the neighbor is administratively down" });
	});
	test("SIGHUP: new numbers in the same session, without a gap", async () => {
		const { ours, theirs } = build();
		ours.write(instance("peer", "192.0.2.1", "192.0.2.2", "min_rx 20"));
		const pid = run(ours, "bfd").pid;
		const real = keepalived(theirs, instance("drover", "192.0.2.2", "192.0.2.1", ""));
		const before = await becomes(ours, "Up");
		ours.write(instance("peer", "192.0.2.1", "192.0.2.2", "min_rx 60"));
		process.kill(pid, "SIGHUP");
		await eventually("the detection time is the new one", async () => {
			const session = await sessionOf(ours);
			return session?.detectionTimeMs === 300 ? session : null;
		});
		expect(await sessionOf(ours)).toMatchObject({
			state: "Up",
			localDiscriminator: before.localDiscriminator,
			sinceMs: expect.closeTo(before.sinceMs, -1),
		});
		await real.stop();
	});
	test("track_bfd: FAULT until it is up, and as soon as it is down", async () => {
		const { ours, theirs } = build();
		ours.write(`${instance("peer", "192.0.2.1", "192.0.2.2", "")}
${instanceText({ priority: 200, version: 3, interval: 0.1, more: "track_bfd {\npeer\n}" })}
`);
		run(ours, "bfd");
		run(ours, "vrrp");
		await ours.becomes("FAULT");
		theirs.write(instance("peer", "192.0.2.2", "192.0.2.1", ""));
		const other = run(theirs, "bfd");
		await ours.becomes("MASTER");
		await ours.holds("192.0.2.200");
		process.kill(other.pid, "SIGKILL");
		const fault = await ours.becomes("FAULT");
		expect(fault.reason).toContain("BFD session peer is down");
		await ours.lacks("192.0.2.200");
	});
});
