/** `drover ports`: the network ports; `drover ports blink NAME` shows which socket is which. */
import { blinkPort } from "../kernel/ethtool.ts";
import { physicalPorts, readPorts } from "./ports.ts";

const BLINK_SECONDS = 5;
const BLINK_LIMIT_SECONDS = 60;

const help = `usage: drover ports [--json]
       drover ports blink NAME [SECONDS]

Lists the network ports, or lets the light of one blink (${BLINK_SECONDS} s).

example: drover ports blink eth1 10`;

export async function main(words: readonly string[]): Promise<number> {
	const [verb, name, seconds = String(BLINK_SECONDS)] = words;
	if (verb === undefined || verb === "--json") {
		const ports = readPorts();
		if (verb === "--json") console.log(JSON.stringify(ports));
		else
			for (const { name: port, macAddress, carrier, speedMegabits, addresses } of ports)
				console.log(
					`${port.padEnd(10)} ${macAddress}  ${carrier ? (speedMegabits === null ? "link" : `${speedMegabits} Mb/s`) : "no link"}  ${addresses.join(" ")}`.trimEnd(),
				);
		return 0;
	}
	if (verb !== "blink" || name === undefined || !/^\d{1,2}$/.test(seconds)) {
		console.log(help);
		return verb === "--help" ? 0 : 2;
	}
	if (!physicalPorts().includes(name)) {
		console.error(
			`drover ports: there is no port ${name}: there are ${physicalPorts().join(", ") || "none"}`,
		);
		return 1;
	}
	try {
		if (blinkPort(name, Math.min(Number(seconds), BLINK_LIMIT_SECONDS))) return 0;
		console.error(`The driver of ${name} cannot let it blink.`);
	} catch (error) {
		console.error(`drover ports: ${error instanceof Error ? error.message : error}`);
	}
	return 1;
}
