/** HOST-RESOURCES-MIB and UCD-SNMP-MIB where numbers are equal, or larger than their type. */
import { expect, test } from "bun:test";
import type { Facts } from "../../firmware/status/box/facts.ts";
import { hostTree } from "../../firmware/status/snmp/tree/host.ts";
import { integer, parseOid, text, View } from "../../firmware/status/snmp/view.ts";

const view = (host: Partial<Facts["host"]>) =>
	new View(
		hostTree({
			host: {
				...{ hostName: "h", description: "d", hostUpMs: 1, dateMs: 1, processes: 1 },
				...{ memoryKib: {}, processorLoads: [], fileSystems: [], loadAverages: [0, 0, 0], ...host },
			},
		} as Facts),
	);
const cell = (from: View, oid: string) => from.get(parseOid(oid))?.value;

test("laNames: an idle box has three averages that are alike", () => {
	const names = [1, 2, 3].map((row) => cell(view({}), `1.3.6.1.4.1.2021.10.1.2.${row}`));
	expect(names).toEqual(["Load-1", "Load-5", "Load-15"].map(text));
});

test("hrStorageSize: of a file system with more blocks than an Integer32 holds it counts larger ones", () => {
	const storage = view({
		fileSystems: [{ path: "/data", blockBytes: 4096, blocks: 10 * 2 ** 30, usedBlocks: 9 * 2 ** 30 }],
	});
	const row = [4, 5, 6].map((column) => cell(storage, `1.3.6.1.2.1.25.2.3.1.${column}.2`));
	expect(row).toEqual([32_768, 1.25 * 2 ** 30, 1.125 * 2 ** 30].map(integer));
});
