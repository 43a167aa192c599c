/**
 * What the real-time thread does by itself when a master has gone silent: adverts, and after the first one
 * the virtual addresses and their first announcements. All of it is prepared ahead and again whenever something in
 * it changes, so that nobody waits for JavaScript. The service then finds done what it would have done.
 */
import { NETLINK_ROUTE, NetlinkSocket } from "../kernel/netlink.ts";
import type { Datagram } from "../kernel/realtime.ts";
import { type Link, RouteNetlink } from "../kernel/rtnetlink.ts";
import { netlinkAddress } from "../kernel/sockaddr.ts";
import type { HeldAddress } from "./address-keeper.ts";
import type { KernelView } from "./kernel-view.ts";
import type { Router } from "./router.ts";
import type { Port } from "./transport.ts";

/** Addresses of one router that are prepared: one request's worth. The rest follows by the service. */
const ADDRESS_LIMIT = 500;

/** What was prepared for a router, and from what; null: it has to ask. */
interface Prepared {
	readonly port: Port;
	readonly config: Router["config"];
	readonly priority: number;
	readonly alone: boolean;
	readonly links: readonly Link[];
	/** What the thread adds. */
	readonly wanted: readonly HeldAddress[];
}

export interface TakeoverSources {
	wanted(router: Router): readonly HeldAddress[];
	announcements(router: Router, wanted: readonly HeldAddress[]): readonly Datagram[];
}

export class Takeovers {
	readonly #view: KernelView;
	readonly #sources: TakeoverSources;
	/** Not the one whose answers are waited for. */
	readonly #netlink = NetlinkSocket.open(NETLINK_ROUTE);
	readonly #prepared = new Map<string, Prepared>();

	constructor(view: KernelView, sources: TakeoverSources) {
		this.#view = view;
		this.#sources = sources;
		// Refusals are the service's to tell: it asks for the same thing again.
		this.#netlink.listen(
			() => {},
			() => {},
		);
	}

	/** `alone`: nobody else has a say in when it becomes master. Cheap when nothing has changed. */
	prepare(key: string, port: Port, router: Router, alone: boolean): void {
		// As MASTER it sends something else by the same means.
		if (router.state === "MASTER") this.#prepared.delete(key);
		if (router.state !== "BACKUP") return;
		const { config, priority } = router;
		const before = this.#prepared.get(key);
		if (
			before?.port === port &&
			before.config === config &&
			before.priority === priority &&
			before.alone === alone &&
			before.links.every((link) => this.#view.linkAt(link.index) === link)
		)
			return;
		const wanted = this.#sources.wanted(router).slice(0, ADDRESS_LIMIT);
		const links = [...new Set(wanted.map(({ kernel }) => this.#view.linkAt(kernel.interfaceIndex)!))];
		this.#prepared.set(key, { port, config, priority, alone, links, wanted });
		port.setTakeover(
			alone
				? {
						priority,
						intervalMicros: config.advertIntervalMicros,
						opening: this.#opening(router, wanted),
					}
				: null,
		);
	}

	/** Returns the addresses that the thread may have added. */
	forget(key: string): readonly HeldAddress[] {
		const wanted = this.#prepared.get(key)?.wanted ?? [];
		this.#prepared.delete(key);
		return wanted;
	}

	close(): void {
		this.#prepared.clear();
		this.#netlink.close();
	}

	#opening(router: Router, wanted: readonly HeldAddress[]): Datagram[] {
		if (wanted.length === 0) return [];
		const request = RouteNetlink.addAddressesRequest(wanted.map(({ kernel }) => kernel));
		return [
			{ fd: this.#netlink.fd, address: netlinkAddress(), data: request },
			...this.#sources.announcements(router, wanted),
		];
	}
}
