/**
 * `use_vmac` and `use_ipvlan`: an interface of its own for the virtual router's MAC address
 * (RFC 9568 §7.3), with the sysctls that keep ARP on the right one of the two.
 */
import type { AddressFamily, VmacConfig, VrrpInstanceConfig } from "../config/model.ts";
import {
	formatMacAddress,
	IFA_F_NODAD,
	IFF_UP,
	type Link,
	parseMacAddress,
	plainAddress,
} from "../kernel/rtnetlink.ts";
import { interfaceSysctl, SysctlChanges } from "../kernel/sysctl.ts";
import type { LogLine } from "./address-keeper.ts";
import type { KernelView } from "./kernel-view.ts";

/** 00:00:5e:00:01:VRID for IPv4, 00:00:5e:00:02:VRID for IPv6. */
export function virtualMacAddress(family: AddressFamily, virtualRouterId: number): Uint8Array {
	return new Uint8Array([0, 0, 0x5e, 0, family === "inet" ? 1 : 2, virtualRouterId]);
}

/** What the file says, else the one of the virtual router. */
function macOf({ vmac, virtualRouterId }: VrrpInstanceConfig, family: AddressFamily): Uint8Array {
	const configured = vmac === null || vmac.macAddress === null ? null : parseMacAddress(vmac.macAddress);
	return configured ?? virtualMacAddress(family, virtualRouterId);
}

/** An interface to make: for a router, or for its addresses on another interface. */
interface Wanted {
	readonly parent: string;
	readonly family: AddressFamily;
	/** The first that is free or ours. */
	readonly names: readonly string[];
	readonly ipvlan: VmacConfig["ipvlan"];
	readonly macAddress: Uint8Array;
}

interface Made {
	readonly router: string;
	readonly name: string;
	readonly index: number;
	readonly parentIndex: number;
}

/** Names that are tried for one interface while they are taken. */
const NAME_ATTEMPTS = 32;
/** IFNAMSIZ without its NUL. */
const NAME_LENGTH_LIMIT = 15;
const numbers = Array.from({ length: NAME_ATTEMPTS }, (_, index) => index + 1);

/** keepalived's (create_vmac_name): `vrrp.VRID`, then with a number before the dot, for IPv6 6 before the others. */
function namesOf(family: AddressFamily, virtualRouterId: number, prefix: string): string[] {
	const tried = family === "inet6" ? [6, ...numbers.filter((number) => number !== 6)] : numbers;
	return ["", ...tried].map((number) => {
		const rest = `${number}.${virtualRouterId}`;
		return prefix.slice(0, NAME_LENGTH_LIMIT - rest.length) + rest;
	});
}

export class VirtualMacs {
	readonly #view: KernelView;
	readonly #log: LogLine;
	readonly #made = new Map<string, Made>();
	readonly #sysctls = new SysctlChanges();

	constructor(view: KernelView, log: LogLine) {
		this.#view = view;
		this.#log = log;
	}

	/** The router's own interface, made if it is not there; its name, or null when it cannot be had. */
	ensure(router: string, config: VrrpInstanceConfig, prefix: string): string | null {
		const { vmac, family, virtualRouterId } = config;
		if (vmac === null) return null;
		return this.#ensure(router, router, {
			parent: vmac.parentInterface ?? config.interface ?? "",
			family,
			names: vmac.name === null ? namesOf(family, virtualRouterId, prefix) : [vmac.name],
			ipvlan: vmac.ipvlan,
			macAddress: macOf(config, family),
		});
	}

	/** `use_vmac_addr`: the same for addresses of `family` on the interface `parent`. */
	ensureFor(
		router: string,
		config: VrrpInstanceConfig,
		family: AddressFamily,
		parent: string,
		prefix: string,
	): string | null {
		const { virtualRouterId } = config;
		return this.#ensure(router, `${router}@${parent}/${family}`, {
			parent,
			family,
			names: namesOf(family, virtualRouterId, prefix),
			ipvlan: null,
			macAddress: macOf(config, family),
		});
	}

	/** Did we make it? */
	has(index: number): boolean {
		return [...this.#made.values()].some((made) => made.index === index);
	}

	/** Of what was made: the router that it was made for; null for any other interface. */
	routerOf(name: string): string | null {
		return this.#find(name)?.router ?? null;
	}

	/** Whether the interface that it sits on can carry it. */
	parentRuns(name: string): boolean {
		return this.#view.linkAt(this.#find(name)?.parentIndex ?? 0)?.running === true;
	}

	/** Sets it up when somebody set it down; returns whether that was so. Throws a NetlinkError. */
	setUp(name: string): boolean {
		const link = this.#view.link(name);
		if (link === null || (link.flags & IFF_UP) !== 0) return false;
		this.#view.netlink.changeLink(link.index, { up: true });
		return true;
	}

	#find(name: string): Made | undefined {
		return [...this.#made.values()].find((made) => made.name === name);
	}

	#ensure(router: string, key: string, wanted: Wanted): string | null {
		const parent = this.#view.link(wanted.parent);
		if (parent === null) return null;
		const made = this.#made.get(key);
		const standing = made === undefined ? null : this.#view.linkAt(made.index);
		if (standing !== null && standing.name === made!.name) {
			this.#setMac(standing, wanted);
			return standing.name;
		}
		const others = new Set([...this.#made].filter(([other]) => other !== key).map(([, { name }]) => name));
		let name: string | null = null;
		for (const candidate of wanted.names) {
			const known = this.#view.link(candidate);
			// What an earlier life left behind is as good as new.
			if (
				known !== null &&
				known.parentIndex === parent.index &&
				known.kind === (wanted.ipvlan === null ? "macvlan" : "ipvlan") &&
				!others.has(candidate)
			) {
				this.#made.set(key, { router, name: candidate, index: known.index, parentIndex: parent.index });
				this.#setMac(known, wanted);
				this.#configure(candidate, parent.name, wanted.family);
				if (this.setUp(candidate)) this.#view.refreshLinks();
				this.#addOwnAddress(known.index, wanted);
				return candidate;
			}
			if (known === null) name ??= candidate;
		}
		if (name === null) return null;
		try {
			const { netlink } = this.#view;
			const { ipvlan } = wanted;
			netlink.createLink(
				ipvlan === null
					? {
							kind: "macvlan",
							name,
							parentIndex: parent.index,
							mode: "private",
							macAddress: wanted.macAddress,
						}
					: { kind: "ipvlan", name, parentIndex: parent.index, mode: ipvlan.mode },
			);
			this.#view.refreshLinks();
			const link = this.#view.link(name);
			if (link === null) return null;
			netlink.changeLink(link.index, { linkLocalAddress: "none" });
			this.#configure(name, parent.name, wanted.family);
			netlink.changeLink(link.index, { up: true });
			this.#view.refreshLinks();
			this.#made.set(key, { router, name, index: link.index, parentIndex: parent.index });
			this.#addOwnAddress(link.index, wanted);
			return name;
		} catch (error) {
			this.#log("error", `cannot make ${name}: ${error instanceof Error ? error.message : error}`);
			return null;
		}
	}

	/** The file may have another one by now. */
	#setMac({ index, name, macAddress }: Link, wanted: Wanted): void {
		if (
			wanted.ipvlan !== null ||
			macAddress === null ||
			wanted.macAddress.every((byte, at) => byte === macAddress[at])
		)
			return;
		try {
			this.#view.netlink.changeLink(index, { macAddress: wanted.macAddress });
			this.#view.refreshLinks();
		} catch (error) {
			this.#log(
				"error",
				`cannot give ${name} the address ${formatMacAddress(wanted.macAddress)}: ${error instanceof Error ? error.message : error}`,
			);
		}
	}

	/** `use_ipvlan`: the address that adverts come from; without a prefix length it is that address alone. */
	#addOwnAddress(interfaceIndex: number, { ipvlan, family }: Wanted): void {
		if (ipvlan === null || ipvlan.address === null) return;
		const [address, length] = ipvlan.address.split("/");
		const whole = family === "inet" ? 32 : 128;
		const prefixLength = length === undefined ? whole : Number(length);
		const [result] = this.#view.netlink.addAddresses([
			{
				...plainAddress,
				family,
				interfaceIndex,
				address: address!,
				prefixLength,
				flags: family === "inet6" ? IFA_F_NODAD : 0,
				// No source of other connections (keepalived does the same).
				preferredLifetimeSeconds: family === "inet6" && prefixLength === whole ? 0 : null,
			},
		]);
		if (result?.kind === "refused") this.#log("error", `cannot add ${address}: ${result.error.message}`);
	}

	/** All that was made for a router. */
	release(router: string): void {
		for (const [key, made] of [...this.#made]) {
			if (made.router !== router) continue;
			this.#made.delete(key);
			this.#view.netlink.deleteLink(made.index);
		}
	}

	/** Puts the parents' sysctls back. */
	close(): void {
		this.#sysctls.restore();
	}

	#configure(name: string, parent: string, family: "inet" | "inet6"): void {
		const set = (device: string, setting: string, value: number) =>
			this.#sysctls.set(interfaceSysctl("ipv4", device, setting), value);
		set(parent, "arp_ignore", 1);
		set(parent, "arp_filter", 1);
		set(name, "arp_ignore", 1);
		if (family === "inet6") return;
		set(name, "accept_local", 1);
		set(name, "rp_filter", 0);
		set(name, "promote_secondaries", 1);
	}
}
