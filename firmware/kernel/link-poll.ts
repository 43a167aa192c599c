/**
 * Is there a link? Asked of the driver, for those that do not tell the kernel: by MII registers, ethtool
 * or the interface's flags. <linux/sockios.h>, <linux/mii.h>, <linux/ethtool.h>, netdevice(7).
 */
import { AF_INET, SOCK_DGRAM } from "./constants.ts";
import { SystemCallError } from "./errno.ts";
import { native } from "./native.ts";

export type LinkPollMethod = "mii" | "ethtool" | "ioctl";

const SIOCGIFFLAGS = 0x8913;
const SIOCETHTOOL = 0x8946;
const SIOCGMIIPHY = 0x8947;
const SIOCGMIIREG = 0x8948;
const ETHTOOL_GLINK = 0x0a;
const MII_BMSR = 1;
const BMSR_LSTATUS = 0x0004;
const IFF_UP = 0x1;
const IFF_RUNNING = 0x40;

/** struct ifreq */
const REQUEST_BYTES = 40;
const NAME_BYTES = 16;

/** In the order in which one stands in for another. */
const methods: readonly LinkPollMethod[] = ["mii", "ethtool", "ioctl"];

export class LinkPoll {
	readonly #fd: number;

	/** Throws a SystemCallError. */
	constructor() {
		this.#fd = native.socket(AF_INET, SOCK_DGRAM, 0);
		if (this.#fd < 0) throw new SystemCallError("socket for link polling", this.#fd);
	}

	/** By `preferred`, else by what works after it; null when the interface does not say. */
	isUp(name: string, preferred: LinkPollMethod): boolean | null {
		for (const method of [preferred, ...methods.filter((other) => other !== preferred)]) {
			const up = this.#ask(name, method);
			if (up !== null) return up;
		}
		return null;
	}

	close(): void {
		native.close(this.#fd);
	}

	#ask(name: string, method: LinkPollMethod): boolean | null {
		const request = new Uint8Array(REQUEST_BYTES);
		request.set(new TextEncoder().encode(name).subarray(0, NAME_BYTES - 1));
		const view = new DataView(request.buffer);
		switch (method) {
			case "mii": {
				if (native.ioctl(this.#fd, SIOCGMIIPHY, request) < 0) return null;
				// struct mii_ioctl_data: phy_id, reg_num, val_in, val_out; link losses are kept until read.
				view.setUint16(NAME_BYTES + 2, MII_BMSR, true);
				native.ioctl(this.#fd, SIOCGMIIREG, request);
				if (native.ioctl(this.#fd, SIOCGMIIREG, request) < 0) return null;
				return (view.getUint16(NAME_BYTES + 6, true) & BMSR_LSTATUS) !== 0;
			}
			case "ethtool": {
				// struct ethtool_value: cmd, data.
				const value = new Uint32Array([ETHTOOL_GLINK, 0]);
				const bytes = new Uint8Array(value.buffer);
				if (native.interfaceIoctl(this.#fd, SIOCETHTOOL, name, bytes) < 0) return null;
				return value[1] !== 0;
			}
			case "ioctl": {
				if (native.ioctl(this.#fd, SIOCGIFFLAGS, request) < 0) return null;
				const flags = view.getUint16(NAME_BYTES, true);
				return (flags & IFF_UP) !== 0 && (flags & IFF_RUNNING) !== 0;
			}
		}
	}
}
