/**
 * The kernel's connection entries, from /proc/net/ip_vs_conn (ip_vs_conn.c, ip_vs_conn_seq_show), and
 * as `ipvsadm -Lnc` prints them. Pure.
 */
import { formatAddress, parseIpv6 } from "../wire/ip.ts";
import { endpointText } from "../wire/ipvs.ts";

export interface IpvsEndpoint {
	readonly address: string;
	readonly port: number;
}

export interface IpvsConnection {
	/** "TCP", "UDP", "SCTP", or "IP" for a persistence template of a fwmark service. */
	readonly protocol: string;
	readonly client: IpvsEndpoint;
	readonly virtual: IpvsEndpoint;
	readonly destination: IpvsEndpoint;
	/** Such as "ESTABLISHED"; "NONE" is a persistence template. */
	readonly state: string;
	readonly expiresInSeconds: number;
	readonly persistenceEngine: { readonly name: string; readonly data: string } | null;
}

/** Entries shown at most: a director may have millions, and the kernel writes them all as text. */
export const CONNECTION_LIMIT = 1_000_000;

/** The entries in `text`; lines that are none (the title, a torn last line) are left out. */
export function parseConnections(text: string): readonly IpvsConnection[] {
	const connections: IpvsConnection[] = [];
	for (const line of text.split("\n")) {
		const words = line.trim().split(/ +/);
		if (words.length < 9 || connections.length >= CONNECTION_LIMIT) continue;
		const client = parseEndpoint(words[1]!, words[2]!);
		const virtual = parseEndpoint(words[3]!, words[4]!);
		const destination = parseEndpoint(words[5]!, words[6]!);
		if (client === null || virtual === null || destination === null || !/^\d+$/.test(words[8]!)) continue;
		connections.push({
			protocol: words[0]!,
			client,
			virtual,
			destination,
			state: words[7]!,
			expiresInSeconds: Number(words[8]),
			persistenceEngine: words[9] === undefined ? null : { name: words[9], data: words.slice(10).join(" ") },
		});
	}
	return connections;
}

/** `ipvsadm -Lnc`. */
export function connectionsText(connections: readonly IpvsConnection[]): string {
	const lines = connections.map(({ protocol, client, virtual, destination, state, expiresInSeconds }) => {
		const minutes = String(Math.floor(expiresInSeconds / 60)).padStart(2, "0");
		const seconds = String(expiresInSeconds % 60).padStart(2, "0");
		const expires = `${minutes}:${seconds}`;
		return [
			`${protocol.padEnd(3)} ${expires}  ${state.padEnd(11)}`,
			endpointText(client).padEnd(18),
			endpointText(virtual).padEnd(18),
			endpointText(destination),
		].join(" ");
	});
	return [
		"IPVS connection entries",
		"pro expire state       source             virtual            destination",
		...lines,
		"",
	].join("\n");
}

/** "0A000001" or "[fd00:0000:…:0001]" with a port in four hex digits. */
function parseEndpoint(address: string, port: string): IpvsEndpoint | null {
	if (!/^[0-9A-Fa-f]{4}$/.test(port)) return null;
	const number = Number.parseInt(port, 16);
	if (/^[0-9A-Fa-f]{8}$/.test(address)) {
		const value = Number.parseInt(address, 16);
		return {
			address: formatAddress(Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value)),
			port: number,
		};
	}
	const bytes = parseIpv6(address.replace(/^\[|\]$/g, ""));
	return bytes === null ? null : { address: formatAddress(bytes), port: number };
}
