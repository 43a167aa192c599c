/**
 * `make flash DISK=/dev/sdX`: writes the image to a whole disk. It says what is on that disk,
 * asks for its name, writes, reads back and compares; the running system's disk and disks in
 * use are refused. The disk gets identifiers of its own, so that two of them in one box differ.
 * `IMAGE=FILE` takes a raw image that is there already and builds nothing.
 */
import { randomUUID } from "node:crypto";
import { closeSync, existsSync, openSync, readSync, statSync } from "node:fs";
import { basename } from "node:path";
import { createInterface } from "node:readline/promises";
import { describeDisk, lookAtDisk, readDiskFacts, refusal } from "../firmware/update/disk-target.ts";
import {
	BACKUP_SECTORS,
	formatGpt,
	PRIMARY_SECTORS,
	parseGpt,
	renewGuids,
	SECTOR_BYTES,
} from "../firmware/update/gpt.ts";
import { writeDiskAndTable } from "../firmware/update/write-disk.ts";
import { release } from "./release.ts";

async function main(words: readonly string[]): Promise<number> {
	const [named, given] = words.filter((word) => !word.startsWith("-"));
	if (named === undefined || !existsSync(named)) {
		console.error(
			named === undefined
				? 'Say which disk: make flash DISK=/dev/sdX ("lsblk" lists them)'
				: `There is no ${named}.`,
		);
		return 2;
	}
	if (given !== undefined && !existsSync(given)) {
		console.error(`There is no ${given}.`);
		return 2;
	}
	// Before anything is built: a wrong name is said at once.
	const early = refusalOf(named);
	if (early !== null) {
		console.error(`Not written: ${early}.`);
		return 1;
	}
	const image = given ?? (await release({ small: true, onProgress: (line) => console.log(line) })).disk;
	return flash(named, image, async (disk) => {
		const prompt = createInterface({ input: process.stdin, output: process.stdout });
		try {
			return await prompt.question(`Type the disk's name (${basename(disk)}) to write it: `);
		} finally {
			prompt.close();
		}
	});
}

function refusalOf(named: string): string | null {
	const facts = readDiskFacts(named, 0);
	return refusal(facts.disk, facts);
}

/** Writes the raw `image`. `askName` gives what the person typed. Returns the exit status. */
export async function flash(
	named: string,
	image: string,
	askName: (disk: string) => Promise<string>,
	say: (line: string) => void = console.log,
): Promise<number> {
	const imageBytes = statSync(image).size;
	const facts = readDiskFacts(named, imageBytes);
	const { disk } = facts;
	const reason = refusal(disk, facts);
	if (reason !== null) {
		say(`Not written: ${reason}.`);
		return 1;
	}
	say(`${describeDisk(lookAtDisk(disk)).join("\n")}\nEverything on it will be lost.`);
	if ((await askName(disk)).trim() !== basename(disk)) {
		say("Not written: that was not its name.");
		return 1;
	}
	const start = new Uint8Array(PRIMARY_SECTORS * SECTOR_BYTES);
	const fd = openSync(image, "r");
	readSync(fd, start, 0, start.length, 0);
	closeSync(fd);
	const table = formatGpt(renewGuids(parseGpt(start), randomUUID), facts.sizeBytes / SECTOR_BYTES, start);
	const rest = PRIMARY_SECTORS * SECTOR_BYTES;
	const lengthBytes = imageBytes - rest - BACKUP_SECTORS * SECTOR_BYTES;
	writeDiskAndTable(disk, [{ to: rest, source: image, from: rest, lengthBytes }], table, say);
	Bun.spawnSync(["blockdev", "--rereadpt", disk]);
	say(`${disk} is ready: put it into the box and switch on.`);
	return 0;
}

if (import.meta.main)
	try {
		process.exitCode = await main(process.argv.slice(2));
	} catch (error) {
		console.error(`make flash: ${error instanceof Error ? error.message : error}`);
		process.exitCode = 1;
	}
