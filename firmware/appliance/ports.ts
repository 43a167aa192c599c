/** The box's network ports as the kernel shows them below /sys/class/net. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { interfaceAddresses } from "../kernel/interface-addresses.ts";
import type { Port } from "../status/port.ts";

export type { Port };

const classDirectory = "/sys/class/net";

function attribute(port: string, name: string): string | null {
	try {
		return readFileSync(`${classDirectory}/${port}/${name}`, "utf8").trim();
	} catch {
		// Reading carrier or speed of a port that is down is EINVAL.
		return null;
	}
}

/** Interfaces with hardware behind them, in the kernel's order of names. */
export function physicalPorts(): string[] {
	return readdirSync(classDirectory)
		.filter((name) => existsSync(`${classDirectory}/${name}/device`))
		.sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
}

const IFF_UP = 1;

export function readPorts(): Port[] {
	const addresses = interfaceAddresses();
	return physicalPorts().map((name) => {
		const speed = Number(attribute(name, "speed") ?? -1);
		return {
			name,
			macAddress: attribute(name, "address") ?? "",
			enabled: (Number(attribute(name, "flags") ?? 0) & IFF_UP) !== 0,
			carrier: attribute(name, "carrier") === "1",
			speedMegabits: speed > 0 ? speed : null,
			addresses: (addresses.get(Number(attribute(name, "ifindex"))) ?? [])
				.map(({ address, prefixLength }) => `${address}/${prefixLength}`)
				.filter((cidr) => !cidr.startsWith("fe80:")),
		};
	});
}
