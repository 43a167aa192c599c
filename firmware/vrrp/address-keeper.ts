/**
 * Puts virtual addresses on interfaces and takes them off, and keeps them there: one that somebody
 * else deletes is back at once, and the log says who it was.
 */
import type { AddressConfig, VrrpInstanceConfig } from "../config/model.ts";
import { ENODEV } from "../kernel/errno.ts";
import type { RecentProcesses } from "../kernel/process-events.ts";
import {
	IFA_F_HOMEADDRESS,
	IFA_F_MANAGETEMPADDR,
	IFA_F_MCAUTOJOIN,
	IFA_F_NODAD,
	IFA_F_NOPREFIXROUTE,
	type InterfaceAddress,
	RT_SCOPE_UNIVERSE,
	sameAddress,
} from "../kernel/rtnetlink.ts";
import { culprit } from "./culprit.ts";
import type { KernelView } from "./kernel-view.ts";
import { RepairPace } from "./repair-pace.ts";

export interface HeldAddress {
	readonly key: string;
	readonly config: AddressConfig;
	readonly kernel: InterfaceAddress;
}

export type LogLine = (level: "info" | "warn" | "error", text: string) => void;

export class AddressKeeper {
	readonly #view: KernelView;
	readonly #log: LogLine;
	/** By router. */
	readonly #held = new Map<string, readonly HeldAddress[]>();
	readonly #onRepaired: (held: HeldAddress) => void;
	readonly #pace = new RepairPace(() => this.verify());
	readonly #processes: RecentProcesses | null;

	constructor(
		view: KernelView,
		processes: RecentProcesses | null,
		log: LogLine,
		onRepaired: (held: HeldAddress) => void,
	) {
		this.#view = view;
		this.#processes = processes;
		this.#log = log;
		this.#onRepaired = onRepaired;
	}

	held(key: string): readonly HeldAddress[] {
		return this.#held.get(key) ?? [];
	}

	/** Everything held, for whomever. */
	get all(): readonly HeldAddress[] {
		return [...this.#held.values()].flat();
	}

	/** The addresses of a router as the kernel shall have them; those whose interface is missing are left out. */
	wanted(
		key: string,
		instance: VrrpInstanceConfig,
		interfaceOf: (address: AddressConfig) => string | null,
	): HeldAddress[] {
		return [...instance.virtualAddresses, ...instance.excludedAddresses].flatMap((config) => {
			const name = interfaceOf(config);
			const link = name === null ? null : this.#view.link(name);
			return link === null ? [] : [{ key, config, kernel: kernelAddress(config, link.index) }];
		});
	}

	/** `static_ipaddress`: there as long as the service runs. */
	wantedStatic(key: string, configs: readonly AddressConfig[]): HeldAddress[] {
		return configs.flatMap((config) => {
			const link = this.#view.link(config.interface ?? "");
			return link === null ? [] : [{ key, config, kernel: kernelAddress(config, link.index) }];
		});
	}

	/** Makes it so; returns those that were not there before. */
	hold(key: string, wanted: readonly HeldAddress[]): readonly HeldAddress[] {
		const before = this.held(key);
		// One that is to have another label, peer or scope is made anew: the kernel would leave it as it is.
		const otherwise = wanted.flatMap(({ kernel }) => {
			const held = this.#find(kernel);
			return held === null || Bun.deepEquals(held.kernel, kernel) ? [] : [held];
		});
		this.#held.set(key, wanted);
		this.retract(before);
		this.#delete(otherwise);
		return this.#add(wanted);
	}

	/** Takes all of a router's addresses off. */
	release(key: string): void {
		const before = this.held(key);
		this.#held.delete(key);
		this.retract(before);
	}

	/** Takes these off, but for those that a router holds: a reload may have given one to another. */
	retract(addresses: readonly HeldAddress[]): void {
		this.#delete(addresses.filter(({ kernel }) => !this.#isHeld(kernel)));
	}

	/** Removes addresses that nobody holds: what an earlier life left behind. */
	removeStale(candidates: readonly HeldAddress[]): void {
		this.#delete(candidates.filter(({ kernel }) => this.#view.has(kernel) && !this.#isHeld(kernel)));
	}

	onAddressRemoved(address: InterfaceAddress, portId: number): void {
		const held = this.#find(address);
		if (held === null) return;
		// Nobody to fight with.
		if (portId === this.#view.netlink.portId)
			this.#putBack(held, "went with another one of its subnet (promote_secondaries keeps it)");
		else if (portId === 0 && held.kernel.family === "inet6")
			this.#repair(held, "was deleted by somebody (for IPv6 the kernel does not say who)");
		else this.#repair(held, `was deleted by ${culprit(portId, this.#processes)}`);
	}

	/** Looks at everything held, as after lost messages or when a link came back. */
	verify(): void {
		for (const held of this.all)
			if (!this.#view.has(held.kernel)) this.#repair(held, "was deleted by somebody");
	}

	close(): void {
		this.#pace.close();
		this.#held.clear();
	}

	#repair(held: HeldAddress, what: string): void {
		if (this.#pace.take()) this.#putBack(held, what);
	}

	#putBack(held: HeldAddress, what: string): void {
		// keepalived.conf(5): it "will not be reinstated until the instance next transitions to master".
		if (held.config.noTrack) return;
		if (this.#add([held]).length === 0) return;
		const { address, prefixLength } = held.kernel;
		this.#log("warn", `${address}/${prefixLength} ${what}; it is back`);
		this.#onRepaired(held);
	}

	#isHeld(address: InterfaceAddress): boolean {
		return this.#find(address) !== null;
	}

	#find(address: InterfaceAddress): HeldAddress | null {
		for (const list of this.#held.values())
			for (const held of list) if (sameAddress(held.kernel, address)) return held;
		return null;
	}

	#add(wanted: readonly HeldAddress[]): HeldAddress[] {
		if (wanted.length === 0) return [];
		const results = this.#view.netlink.addAddresses(wanted.map(({ kernel }) => kernel));
		return wanted.filter(({ kernel }, index) => {
			const result = results[index]!;
			// An interface that went with it is missed by whoever brings it back.
			if (result.kind === "refused" && result.error.errno !== ENODEV)
				this.#log("error", `cannot add ${kernel.address}: ${result.error.message}`);
			return result.kind === "done";
		});
	}

	#delete(unwanted: readonly HeldAddress[]): void {
		if (unwanted.length === 0) return;
		this.#view.netlink.deleteAddresses(unwanted.map(({ kernel }) => kernel));
	}
}

export function kernelAddress(config: AddressConfig, interfaceIndex: number): InterfaceAddress {
	const six = config.family === "inet6";
	let flags = 0;
	if (six && !config.duplicateAddressDetection) flags |= IFA_F_NODAD;
	if (config.home) flags |= IFA_F_HOMEADDRESS;
	if (config.manageTemporaryAddresses) flags |= IFA_F_MANAGETEMPADDR;
	if (config.noPrefixRoute) flags |= IFA_F_NOPREFIXROUTE;
	if (config.autojoin) flags |= IFA_F_MCAUTOJOIN;
	return {
		family: config.family,
		interfaceIndex,
		address: config.address,
		prefixLength: config.prefixLength,
		peer: config.peer?.split("/")[0] ?? null,
		broadcast: config.broadcast,
		scope: config.scope ?? RT_SCOPE_UNIVERSE,
		label: config.label,
		flags,
		preferredLifetimeSeconds: config.preferredLifetimeSeconds,
		validLifetimeSeconds: null,
	};
}
