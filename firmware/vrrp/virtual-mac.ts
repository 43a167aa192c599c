/**
 * `use_vmac` and `use_ipvlan`: an interface of its own for the virtual router's MAC address
 * (RFC 9568 §7.3), with the sysctls that keep ARP on the right one of the two.
 */
import type { VrrpInstanceConfig } from "../config/model.ts";
import { parseMacAddress } from "../kernel/rtnetlink.ts";
import { interfaceSysctl, SysctlChanges } from "../kernel/sysctl.ts";
import type { LogLine } from "./address-keeper.ts";
import type { KernelView } from "./kernel-view.ts";

/** 00:00:5e:00:01:VRID for IPv4, 00:00:5e:00:02:VRID for IPv6. */
export function virtualMacAddress(config: VrrpInstanceConfig): Uint8Array {
	const configured = config.vmac?.macAddress ?? null;
	const parsed = configured === null ? null : parseMacAddress(configured);
	if (parsed !== null) return parsed;
	return new Uint8Array([0, 0, 0x5e, 0, config.family === "inet" ? 1 : 2, config.virtualRouterId]);
}

interface Made {
	readonly name: string;
	readonly index: number;
}

/** Names that are tried for one router: its own, or `vrrp.VRID`, then with a suffix while that is taken. */
const NAME_ATTEMPTS = 32;
function candidateNames(config: VrrpInstanceConfig, prefix: string): string[] {
	if (config.vmac !== null && config.vmac.name !== null) return [config.vmac.name];
	const name = `${prefix}.${config.virtualRouterId}`;
	const six = config.family === "inet6" ? [`${name}.6`] : [];
	return [name, ...six, ...Array.from({ length: NAME_ATTEMPTS }, (_, index) => `${name}.${index + 1}`)];
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

	/** Makes the interface if it is not there; returns its name, or null when it cannot be had. */
	ensure(key: string, config: VrrpInstanceConfig, prefix: string): string | null {
		const parent = this.#view.link(config.vmac?.parentInterface ?? config.interface ?? "");
		if (config.vmac === null || parent === null) return null;
		const made = this.#made.get(key);
		if (made !== undefined && this.#view.link(made.name)?.index === made.index) return made.name;
		const others = new Set([...this.#made].filter(([other]) => other !== key).map(([, { name }]) => name));
		let name: string | null = null;
		for (const candidate of candidateNames(config, prefix)) {
			const known = this.#view.link(candidate);
			// What an earlier life left behind is as good as new.
			if (known !== null && known.parentIndex === parent.index && !others.has(candidate)) {
				this.#made.set(key, { name: candidate, index: known.index });
				return candidate;
			}
			if (known === null) name ??= candidate;
		}
		if (name === null) return null;
		try {
			const { netlink } = this.#view;
			const { ipvlan } = config.vmac;
			netlink.createLink(
				ipvlan === null
					? {
							kind: "macvlan",
							name,
							parentIndex: parent.index,
							mode: "private",
							macAddress: virtualMacAddress(config),
						}
					: { kind: "ipvlan", name, parentIndex: parent.index, mode: ipvlan.mode },
			);
			this.#view.refreshLinks();
			const link = this.#view.link(name);
			if (link === null) return null;
			netlink.changeLink(link.index, { linkLocalAddress: "none" });
			this.#configure(name, parent.name, config.family);
			netlink.changeLink(link.index, { up: true });
			this.#view.refreshLinks();
			this.#made.set(key, { name, index: link.index });
			return name;
		} catch (error) {
			this.#log("error", `cannot make ${name}: ${error instanceof Error ? error.message : error}`);
			return null;
		}
	}

	release(key: string): void {
		const made = this.#made.get(key);
		if (made === undefined) return;
		this.#made.delete(key);
		this.#view.netlink.deleteLink(made.index);
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
