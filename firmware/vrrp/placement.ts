/**
 * On which interfaces a router's addresses and adverts belong, its own virtual ones included:
 * those are made when they are first asked for.
 */
import type { AddressConfig, DroverConfig, VrrpInstanceConfig } from "../config/model.ts";
import type { AddressKeeper, HeldAddress } from "./address-keeper.ts";
import type { Guarded } from "./guard.ts";
import { instanceKey } from "./instance-key.ts";
import type { KernelView } from "./kernel-view.ts";
import type { Router } from "./router.ts";
import type { PortPlace } from "./transport.ts";
import type { VirtualMacs } from "./virtual-mac.ts";

export class Placement {
	readonly #view: KernelView;
	readonly #addresses: AddressKeeper;
	readonly #virtualMacs: VirtualMacs;
	readonly #config: () => DroverConfig;

	constructor(
		view: KernelView,
		addresses: AddressKeeper,
		virtualMacs: VirtualMacs,
		config: () => DroverConfig,
	) {
		this.#view = view;
		this.#addresses = addresses;
		this.#virtualMacs = virtualMacs;
		this.#config = config;
	}

	/** The virtual addresses of a router, each with the interface that it is put on. */
	wanted({ config }: Router): HeldAddress[] {
		const virtual = this.#virtualInterface(config);
		return this.#addresses.wanted(instanceKey(config), config, (address) =>
			this.#interfaceOf(config, address, virtual),
		);
	}

	/** The same for whoever takes them off when this process is gone. */
	guarded(router: Router): Guarded[] {
		const { advertIntervalMicros, downTimerAdverts } = router.config;
		const leaseMicros = advertIntervalMicros * downTimerAdverts;
		return this.wanted(router).flatMap((held) => {
			const device = this.#view.nameOf(held.kernel.interfaceIndex);
			return device === null ? [] : [{ held, device, leaseMicros }];
		});
	}

	/** Where its adverts are sent and heard; null while there is no such place. */
	ofAdverts({ config, sourceAddress }: Router): PortPlace | null {
		if (sourceAddress === null) return null;
		const unicast = config.unicastPeers.length > 0;
		if (config.interface === null)
			return { receiveIndexes: [], sendName: null, sendIndex: null, sourceAddress };
		const own = this.#view.link(config.interface);
		if (own === null) return null;
		const virtual = this.#virtualInterface(config);
		const sendName =
			virtual !== null && !config.vmac!.transmitOnBase && !unicast ? virtual : config.interface;
		const sendIndex = this.#view.link(sendName)?.index ?? null;
		const virtualIndex = virtual === null ? undefined : this.#view.link(virtual)?.index;
		const receiveIndexes = virtualIndex === undefined ? [own.index] : [own.index, virtualIndex];
		return { receiveIndexes, sendName, sendIndex, sourceAddress };
	}

	/** Why a router cannot have its virtual interface, or null: then it is out, as with keepalived. */
	problemOf({ config }: Router): string | null {
		if (config.vmac === null) return null;
		// Without the interface below it, that one is the fault.
		const parent = this.#view.link(config.vmac.parentInterface ?? config.interface ?? "");
		return parent === null || this.#virtualInterface(config) !== null
			? null
			: `its virtual interface on ${parent.name} cannot be made`;
	}

	#virtualInterface(config: VrrpInstanceConfig): string | null {
		if (config.vmac === null) return null;
		return this.#virtualMacs.ensure(instanceKey(config), config, this.#config().global.vmacPrefix);
	}

	/** `virtual` is the router's virtual interface. */
	#interfaceOf(instance: VrrpInstanceConfig, address: AddressConfig, virtual: string | null): string | null {
		const elsewhere = address.interface !== null && address.interface !== instance.interface;
		const device = address.interface ?? instance.interface;
		const ownMac =
			address.useVmac ||
			(instance.vmacForAddresses && (elsewhere || (address.family !== instance.family && virtual !== null)));
		if (ownMac && device !== null)
			return this.#virtualMacs.ensureFor(
				instanceKey(instance),
				instance,
				address.family,
				device,
				this.#config().global.vmacAddressPrefix,
			);
		if (address.interface !== null) return address.interface;
		// An ipvlan interface shares its parent's MAC address: virtual addresses stay on the parent, as with keepalived.
		const isOwn = virtual !== null && instance.vmac?.ipvlan === null && address.family === instance.family;
		return isOwn ? virtual : instance.interface;
	}
}
