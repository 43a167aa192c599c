/** The box's own addresses and routes, as the lines that `ip -batch` reads. Pure. */
import { formatAddress, parseAddress } from "../wire/ip.ts";
import type { ApplianceSettings } from "./settings.ts";

/** Commands without the leading "ip", in order; each may be repeated without harm. */
export function networkPlan(settings: ApplianceSettings): string[] {
	const lines: string[] = [];
	for (const port of settings.port) {
		const mtu = port.mtu === undefined ? "" : ` mtu ${port.mtu}`;
		lines.push(`link set dev ${port.name}${mtu} up`);
		for (const prefix of port.addresses)
			lines.push(`address replace ${canonicalPrefix(prefix)} dev ${port.name}`);
		for (const gateway of port.gateways)
			lines.push(`route replace default via ${canonical(gateway)} dev ${port.name}`);
	}
	for (const route of settings.route)
		lines.push(`route replace ${canonicalPrefix(route.to)} via ${canonical(route.via)}`);
	return lines;
}

function canonical(address: string): string {
	const bytes = parseAddress(address);
	if (bytes === null) throw new Error(`"${address}" is not an address`);
	return formatAddress(bytes);
}

function canonicalPrefix(prefix: string): string {
	const [address = "", length = ""] = prefix.split("/");
	return `${canonical(address)}/${length}`;
}
