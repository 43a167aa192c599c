/** Where on the sticks that are in something may lie, or be put. Pure. */

export interface DiskSight {
	/** As the kernel calls it: "sda". */
	readonly name: string;
	readonly isUsb: boolean;
	readonly sectors: number;
	readonly partitions: readonly { readonly name: string; readonly sectors: number }[];
}

/**
 * Names of USB partitions, and of whole disks without any; the largest first: what people keep files on is larger than
 * the boot partitions that some systems put before it. The disk that the box runs from is no stick, even if it is one.
 */
export function usbPartitions(disks: readonly DiskSight[], runningDisk: string | null): readonly string[] {
	return disks
		.filter(({ name, isUsb }) => isUsb && name !== runningDisk)
		.flatMap(({ name, sectors, partitions }) => (partitions.length > 0 ? partitions : [{ name, sectors }]))
		.filter(({ sectors }) => sectors > 0)
		.sort((a, b) => b.sectors - a.sectors || (a.name < b.name ? -1 : 1))
		.map(({ name }) => name);
}

/** Where each device is mounted, from /proc/mounts: the first place of each. */
export function mountPlaces(mounts: string): ReadonlyMap<string, string> {
	const places = new Map<string, string>();
	for (const line of mounts.split("\n")) {
		const [device, place] = line.split(" ");
		// Blanks in a name are written in octal (proc(5)).
		const plain = place?.replace(/\\([0-7]{3})/g, (_, digits) =>
			String.fromCharCode(Number.parseInt(digits, 8)),
		);
		if (plain !== undefined && !places.has(device!)) places.set(device!, plain);
	}
	return places;
}
