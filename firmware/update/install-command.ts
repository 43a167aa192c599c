/** `drover install`: from a stick that the box was started from to the box's own disk. */

import { randomUUID } from "node:crypto";
import { closeSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { basename } from "node:path";
import { parseArgs } from "node:util";
import { makeDataFileSystem } from "../appliance/data-file-system.ts";
import type { CommandHelp } from "../console/command-help.ts";
import { print, runCommand } from "../console/command-line.ts";
import { typedLine } from "../console/typed-name.ts";
import { UsageError } from "../console/usage-error.ts";
import { readRunning } from "./box.ts";
import { EnvironmentBlock } from "./disk.ts";
import { describeDisk, lookAtDisk, readDiskFacts, refusal } from "./disk-target.ts";
import { PRIMARY_SECTORS, parseGpt, SECTOR_BYTES } from "./gpt.ts";
import { planInstall, usedBytes } from "./install-plan.ts";
import { factorySlots, writeSlots } from "./slots.ts";
import { writeDiskAndTable } from "./write-disk.ts";

export const help: CommandHelp = {
	usage: ["install [--json]", "install DISK [--name DISK]"],
	about:
		"Writes the running firmware to another disk of this box, such as from a USB stick to the built-in disk. Without DISK it lists the disks. Everything on the disk is lost; its name has to be typed, unless --name says it.",
	words: [["--json", "the disks, for programs"]],
	examples: [
		["install", "which disks there are, and what is on them"],
		["install /dev/sda", "onto this one"],
	],
};

export async function main(words: readonly string[]): Promise<number> {
	return runCommand("install", help, words, async () => {
		const { values, positionals } = parseArgs({
			args: [...words],
			options: { name: { type: "string" }, json: { type: "boolean" } },
			allowPositionals: true,
		});
		const [place, other] = positionals;
		if (other !== undefined) throw new UsageError(`one disk: what is "${other}"?`);
		if (place !== undefined && values.json) throw new UsageError("--json is for the list of disks");
		try {
			return place === undefined ? list(values.json ?? false) : await install(place, values.name ?? null);
		} catch (error) {
			console.error(`drover install: ${error instanceof Error ? error.message : error}`);
			return 1;
		}
	});
}

function list(json: boolean): number {
	const running = readDiskFacts("/dev/null", 0).runningDisk;
	const disks = readdirSync("/sys/block").filter((name) => /^(sd|vd|hd|nvme|mmcblk|xvd)/.test(name));
	const others = disks.filter((each) => each !== running).map((name) => lookAtDisk(`/dev/${name}`));
	print(json, { runningDisk: running === null ? null : `/dev/${running}`, others }, () => [
		...others.flatMap(describeDisk),
		...(others.length === 0 ? ["There is no other disk in this box."] : []),
		running === null
			? "This system was not started from a Drover disk."
			: `This system runs from /dev/${running}.`,
	]);
	return 0;
}

async function install(place: string, typedName: string | null): Promise<number> {
	const running = readRunning();
	const facts = readDiskFacts(place.startsWith("/") ? place : `/dev/${place}`, 0);
	const { disk, runningDisk } = facts;
	const sourceDisk = `/dev/${runningDisk}`;
	const read = (offset: number, length: number) => {
		const bytes = new Uint8Array(length);
		const fd = openSync(sourceDisk, "r");
		readSync(fd, bytes, 0, length, offset);
		closeSync(fd);
		return bytes;
	};
	const start = read(0, PRIMARY_SECTORS * SECTOR_BYTES);
	const reason = refusal(disk, facts);
	if (reason !== null) throw new Error(`not written: ${reason}`);
	const source = parseGpt(start);
	const used = (part: "boot" | "root") => {
		const partition = source.partitions.find(({ name }) => name === `${part}-${running.slot}`);
		return usedBytes(read((partition?.firstSector ?? 0) * SECTOR_BYTES, 4096), part === "root");
	};
	const plan = planInstall(source, start, running.slot, facts.sizeBytes / SECTOR_BYTES, randomUUID, {
		boot: used("boot"),
		root: used("root"),
	});
	console.log(`${describeDisk(lookAtDisk(disk)).join("\n")}\nEverything on it will be lost.`);
	const typed = typedName ?? (await typedLine(`Type the disk's name (${basename(disk)}) to write it: `));
	if (typed.trim() !== basename(disk)) throw new Error("not written: that was not the disk's name");
	const copies = plan.copies.map((copy) => ({ ...copy, source: sourceDisk }));
	writeDiskAndTable(disk, copies, plan, console.log);
	run(["blockdev", "--rereadpt", disk]);
	const partition = (name: string) =>
		`${disk}${/\d$/.test(disk) ? "p" : ""}${plan.gpt.partitions.find((each) => each.name === name)!.number}`;
	await appears(partition("data"));
	new EnvironmentBlock(partition("env")).write(writeSlots(factorySlots(running.version)));
	makeDataFileSystem(partition("data"));
	run(["sync"]);
	console.log(
		`${disk} holds Drover ${running.version}, read back and right. Switch off, pull the stick out, switch on.`,
	);
	return 0;
}

/** The kernel makes a partition's device a moment after it has read the table. */
async function appears(path: string): Promise<void> {
	const name = basename(path);
	for (let waitedMs = 0; waitedMs < 5_000; waitedMs += 100) {
		if (readFileSync("/proc/partitions", "utf8").includes(` ${name}\n`)) return;
		await Bun.sleep(100);
	}
	throw new Error(`${path} did not appear after the table was written`);
}

function run(command: readonly string[]): void {
	const { exitCode, stderr } = Bun.spawnSync([...command], { stdin: "ignore", stderr: "pipe" });
	if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr.toString().trim()}`);
}
