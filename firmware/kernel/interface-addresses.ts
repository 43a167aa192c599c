/**
 * All addresses of all interfaces, by the interface's index: also those with a label of their own ("eth0:vip") and
 * those of interfaces that are down or have no cable, which getifaddrs(3)'s callers usually leave out.
 */
import { type InterfaceAddress, RouteNetlink } from "./rtnetlink.ts";

/** Each interface's in the kernel's order, IPv4 first. Throws a SystemCallError. */
export function interfaceAddresses(): ReadonlyMap<number, readonly InterfaceAddress[]> {
	const netlink = RouteNetlink.open();
	try {
		return Map.groupBy(netlink.addresses(), ({ interfaceIndex }) => interfaceIndex);
	} finally {
		netlink.close();
	}
}
