/** The box's own addresses and routes, as the lines that `ip -batch` reads. Pure. */
import { formatAddress, parseAddress } from "../wire/ip.ts";
import type { ApplianceSettings } from "./settings/schema.ts";

/** What a box's addresses and routes are made of. */
export type NetworkSettings = Pick<ApplianceSettings, "port" | "route">;

/** Commands without the leading "ip", in order; each may be repeated without harm. */
export function networkPlan(settings: NetworkSettings): string[] {
	return [
		...settings.port.map(
			({ name, mtu }) => `link set dev ${name}${mtu === undefined ? "" : ` mtu ${mtu}`} up`,
		),
		...addressesAndRoutes(settings).map((line) => line.replace(" ", " replace ")),
	];
}

/**
 * What `before` had set and `now` does not want any more; to be done after the new is there. Each may fail
 * without harm: the kernel drops a route with its address. Nothing else on the ports is touched.
 */
export function networkRemovals(before: NetworkSettings, now: NetworkSettings): string[] {
	const wanted = new Set(addressesAndRoutes(now));
	return addressesAndRoutes(before)
		.filter((line) => !wanted.has(line))
		.reverse()
		.map((line) => line.replace(" ", " del "));
}

/** "address 10.0.0.1/24 dev eth0", "route default via 10.0.0.254 dev eth0". */
function addressesAndRoutes({ port, route }: NetworkSettings): string[] {
	return [
		...port.flatMap(({ name, addresses, gateways }) => [
			...addresses.map((prefix) => `address ${canonicalPrefix(prefix)} dev ${name}`),
			...gateways.map((gateway) => `route default via ${canonical(gateway)} dev ${name}`),
		]),
		...route.map(({ to, via }) => `route ${canonicalPrefix(to)} via ${canonical(via)}`),
	];
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
