/**
 * `make flash DISK=/dev/sdX`: writes the image to a whole disk. It says what is on that disk,
 * asks for its name, writes, reads back and compares; the running system's disk and disks in
 * use are refused.
 */
import {
	closeSync,
	existsSync,
	fsyncSync,
	openSync,
	readFileSync,
	readSync,
	realpathSync,
	statSync,
	writeSync,
} from "node:fs";
import { basename } from "node:path";
import { createInterface } from "node:readline/promises";
import { release } from "./release.ts";

const CHUNK_BYTES = 4 * 1024 * 1024;

/** Why `disk` must not be written, or null. `mounts` and `swaps` are /proc/mounts and /proc/swaps. */
export function refusal(
	disk: string,
	facts: {
		readonly isDisk: boolean;
		readonly mounts: string;
		readonly swaps: string;
		readonly sizeBytes: number;
		readonly imageBytes: number;
	},
): string | null {
	if (!facts.isDisk)
		return `${disk} is not a whole disk: name it like /dev/sdb, without a partition's number`;
	const used = [...facts.mounts.matchAll(/^(\/dev\/\S+) (\S+)/gm)].find(([, device]) =>
		isPartOf(device!, disk),
	);
	if (used !== undefined) return `${disk} is in use: ${used[1]} is mounted on ${used[2]}`;
	const swap = [...facts.swaps.matchAll(/^(\/dev\/\S+)/gm)].find(([, device]) => isPartOf(device!, disk));
	if (swap !== undefined) return `${disk} is in use: ${swap[1]} is swap`;
	if (facts.sizeBytes < facts.imageBytes)
		return `${disk} has ${facts.sizeBytes} bytes; the image needs ${facts.imageBytes}`;
	return null;
}

function isPartOf(device: string, disk: string): boolean {
	return device === disk || (device.startsWith(disk) && /^p?\d+$/.test(device.slice(disk.length)));
}

const attribute = (disk: string, name: string): string => {
	const path = `/sys/block/${basename(disk)}/${name}`;
	return existsSync(path) ? readFileSync(path, "utf8").trim() : "";
};

function describe(disk: string, sizeBytes: number): string {
	const model =
		`${attribute(disk, "device/vendor")} ${attribute(disk, "device/model")}`.trim() || "unknown model";
	const content = Bun.spawnSync([
		"lsblk",
		"--noheadings",
		"--output",
		"NAME,SIZE,FSTYPE,LABEL",
		disk,
	]).stdout.toString();
	return `${disk}: ${model}, ${(sizeBytes / 1e9).toFixed(1)} GB\n${content}`;
}

async function flash(words: readonly string[]): Promise<number> {
	const named = words.find((word) => !word.startsWith("-"));
	if (named === undefined || !existsSync(named)) {
		console.error(
			named === undefined
				? 'Say which disk: make flash DISK=/dev/sdX ("lsblk" lists them)'
				: `There is no ${named}.`,
		);
		return 2;
	}
	const disk = realpathSync(named);
	const isDisk = statSync(disk).isBlockDevice() && existsSync(`/sys/block/${basename(disk)}`);
	const { disk: image } = await release({ small: true, onProgress: (line) => console.log(line) });
	const imageBytes = statSync(image).size;
	const sizeBytes = Number(attribute(disk, "size") || 0) * 512;
	const reason = refusal(disk, {
		isDisk,
		sizeBytes,
		imageBytes,
		mounts: readFileSync("/proc/mounts", "utf8"),
		swaps: readFileSync("/proc/swaps", "utf8"),
	});
	if (reason !== null) {
		console.error(`Not written: ${reason}.`);
		return 1;
	}
	console.log(`${describe(disk, sizeBytes)}\nEverything on it will be lost.`);
	const prompt = createInterface({ input: process.stdin, output: process.stdout });
	const answer = await prompt.question(`Type the disk's name (${basename(disk)}) to write it: `);
	prompt.close();
	if (answer.trim() !== basename(disk)) {
		console.error("Not written: that was not its name.");
		return 1;
	}
	write(image, disk, imageBytes);
	return 0;
}

function write(image: string, disk: string, imageBytes: number): void {
	const from = openSync(image, "r");
	const to = openSync(disk, "r+");
	try {
		copy(from, imageBytes, "written", (bytes, offset) => void writeSync(to, bytes, 0, bytes.length, offset));
		fsyncSync(to);
		Bun.spawnSync(["blockdev", "--flushbufs", disk]);
		const back = Buffer.alloc(CHUNK_BYTES);
		copy(from, imageBytes, "compared", (bytes, offset) => {
			readSync(to, back, 0, bytes.length, offset);
			if (Buffer.compare(back.subarray(0, bytes.length), bytes) !== 0)
				throw new Error(
					`${disk} does not hold what was written to it (near byte ${offset}): do not use this disk`,
				);
		});
		Bun.spawnSync(["blockdev", "--rereadpt", disk]);
		console.log(`${disk} is ready: put it into the box and switch on.`);
	} finally {
		closeSync(from);
		closeSync(to);
	}
}

function copy(
	from: number,
	length: number,
	word: string,
	each: (bytes: Uint8Array, offset: number) => void,
): void {
	const bytes = Buffer.alloc(CHUNK_BYTES);
	let shown = 0;
	for (let offset = 0; offset < length; ) {
		const count = readSync(from, bytes, 0, Math.min(CHUNK_BYTES, length - offset), offset);
		each(bytes.subarray(0, count), offset);
		offset += count;
		const percent = Math.floor((offset * 10) / length) * 10;
		if (percent > shown) console.log(`${percent} % ${word}`);
		shown = percent;
	}
}

if (import.meta.main) process.exitCode = await flash(process.argv.slice(2));
