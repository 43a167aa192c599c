/**
 * Tells when an interface loses or gains its carrier, and which addresses lie behind it: the servers there are
 * out of reach at once, whatever the checks' timeouts and retries say.
 */
import { SystemCallError } from "../kernel/errno.ts";
import { RouteMonitor, RouteNetlink } from "../kernel/rtnetlink.ts";
import { parseAddress } from "../wire/ip.ts";
import { inPrefix } from "./prefix.ts";

/** Addresses behind a gateway are looked up one by one; beyond this many they are left to their checks. */
const LOOK_UPS_LIMIT = 2_048;

export interface LinkChange {
	readonly interface: string;
	readonly up: boolean;
	/** Those of `addresses` that the kernel reaches through this interface. */
	behind(addresses: Iterable<string>): Set<string>;
}

export class LinkWatch {
	readonly #netlink: RouteNetlink;
	readonly #monitor: RouteMonitor;
	readonly #running = new Map<number, boolean>();

	/** Throws a SystemCallError. */
	constructor(changed: (change: LinkChange) => void) {
		this.#netlink = RouteNetlink.open();
		const take = (index: number, name: string, up: boolean) => {
			const before = this.#running.get(index);
			this.#running.set(index, up);
			if (before !== undefined && before !== up)
				changed({ interface: name, up, behind: (addresses) => this.#behind(index, addresses) });
		};
		const readAll = () => {
			for (const link of this.#netlink.links()) take(link.index, link.name, link.running);
		};
		try {
			this.#monitor = RouteMonitor.open(
				["link"],
				(event) => {
					if (event.kind === "link")
						take(event.link.index, event.link.name, event.change === "new" && event.link.running);
				},
				readAll,
			);
		} catch (error) {
			this.#netlink.close();
			throw error;
		}
		readAll();
	}

	close(): void {
		this.#monitor.close();
		this.#netlink.close();
	}

	#behind(index: number, addresses: Iterable<string>): Set<string> {
		const found = new Set<string>();
		try {
			const networks = this.#netlink.addresses().flatMap((each) => {
				const bytes = parseAddress(each.address);
				return bytes === null ? [] : [{ ...each, bytes }];
			});
			let lookUps = 0;
			for (const address of addresses) {
				const bytes = parseAddress(address);
				if (bytes === null) continue;
				const onLink = networks.filter((each) => inPrefix(bytes, each.bytes, each.prefixLength));
				if (onLink.length > 0) {
					if (onLink.every(({ interfaceIndex }) => interfaceIndex === index)) found.add(address);
				} else if (lookUps++ < LOOK_UPS_LIMIT) {
					const hops = this.#netlink.routeTo(address)?.nextHops ?? [];
					if (hops.length === 1 && hops[0]!.interfaceIndex === index) found.add(address);
				}
			}
		} catch (error) {
			if (!(error instanceof SystemCallError)) throw error;
		}
		return found;
	}
}
