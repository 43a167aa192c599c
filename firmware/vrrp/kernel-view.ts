/**
 * What the kernel says of links and addresses, kept current: one dump, then the rtnetlink multicasts.
 * Reports interfaces to the election, and every address that goes away with who took it.
 */
import {
	type InterfaceAddress,
	type Link,
	RouteMonitor,
	RouteNetlink,
	sameAddress,
} from "../kernel/rtnetlink.ts";
import type { InterfaceReading } from "./readings.ts";

export interface KernelViewHandlers {
	onInterface(reading: InterfaceReading): void;
	onInterfaceGone(name: string): void;
	/** `portId`: the netlink socket that asked for it; 0 is the kernel, or IPv6, where it does not say. */
	onAddressRemoved(address: InterfaceAddress, portId: number): void;
}

export class KernelView {
	/** Our requests carry its port as their origin. */
	readonly netlink: RouteNetlink;
	readonly #monitor: RouteMonitor;
	readonly #links = new Map<number, Link>();
	readonly #indexes = new Map<string, number>();
	readonly #addresses = new Map<number, InterfaceAddress[]>();
	readonly #handlers: KernelViewHandlers;
	readonly #polled = new Map<string, boolean>();
	readonly #dirty = new Set<number>();
	#flushing = false;
	#closed = false;

	/** Buffers below Drover's own sizes count for nothing. */
	constructor(
		handlers: KernelViewHandlers,
		buffers: { readonly commandBytes: number | null; readonly monitorBytes: number | null },
	) {
		this.#handlers = handlers;
		this.netlink = RouteNetlink.open(buffers.commandBytes ?? 0);
		this.#monitor = RouteMonitor.open(
			["link", "address"],
			(event) => {
				if (event.kind === "link") this.#onLink(event.link, event.change === "delete");
				else if (event.kind === "address")
					this.#onAddress(event.address, event.change === "delete", event.origin.portId);
			},
			() => this.#resynchronise(),
			buffers.monitorBytes ?? 0,
		);
		this.#read();
	}

	link(name: string): Link | null {
		const index = this.#indexes.get(name);
		const link = index === undefined ? undefined : this.#links.get(index);
		return link?.name === name ? link : null;
	}

	linkAt(index: number): Link | null {
		return this.#links.get(index) ?? null;
	}

	nameOf(index: number): string | null {
		return this.#links.get(index)?.name ?? null;
	}

	has(address: InterfaceAddress): boolean {
		return (this.#addresses.get(address.interfaceIndex) ?? []).some((known) => sameAddress(known, address));
	}

	/** What polling says of an interface counts more than the kernel's own opinion; null leaves it to the kernel. */
	setPolled(name: string, up: boolean | null): void {
		if (this.#polled.get(name) === (up ?? undefined)) return;
		if (up === null) this.#polled.delete(name);
		else this.#polled.set(name, up);
		const index = this.#indexes.get(name);
		if (index !== undefined) this.#touch(index);
	}

	/** Every interface as it is now. */
	readings(): InterfaceReading[] {
		return [...this.#links.values()].map((link) => this.#reading(link));
	}

	/** Looks at the kernel right now, without waiting for its messages. */
	refreshLinks(): void {
		for (const link of this.netlink.links()) this.#know(link);
	}

	close(): void {
		this.#closed = true;
		this.#monitor.close();
		this.netlink.close();
	}

	#reading(link: Link): InterfaceReading {
		const addresses = (this.#addresses.get(link.index) ?? []).map(({ address }) => address);
		const up = this.#polled.get(link.name) ?? link.running;
		return { name: link.name, index: link.index, up, addresses };
	}

	#read(): void {
		this.#links.clear();
		this.#addresses.clear();
		this.refreshLinks();
		for (const address of this.netlink.addresses()) {
			const known = this.#addresses.get(address.interfaceIndex);
			if (known === undefined) this.#addresses.set(address.interfaceIndex, [address]);
			else known.push(address);
		}
	}

	/** Messages were lost: compare everything. */
	#resynchronise(): void {
		const links = new Map(this.#links);
		const addresses = [...this.#addresses.values()].flat();
		this.#read();
		for (const [index, link] of links)
			if (this.#links.get(index)?.name !== link.name) this.#handlers.onInterfaceGone(link.name);
		for (const address of addresses) if (!this.has(address)) this.#handlers.onAddressRemoved(address, 0);
		for (const index of this.#links.keys()) this.#touch(index);
	}

	#know(link: Link): void {
		this.#links.set(link.index, link);
		this.#indexes.set(link.name, link.index);
	}

	#onLink(link: Link, gone: boolean): void {
		const before = this.#links.get(link.index);
		if (gone || (before !== undefined && before.name !== link.name)) {
			this.#links.delete(link.index);
			this.#handlers.onInterfaceGone(before?.name ?? link.name);
		}
		if (gone) return;
		this.#know(link);
		if (before?.running !== link.running || before.name !== link.name) this.#touch(link.index);
	}

	#onAddress(address: InterfaceAddress, gone: boolean, portId: number): void {
		const known = (this.#addresses.get(address.interfaceIndex) ?? []).filter(
			(other) => !sameAddress(other, address),
		);
		if (gone) this.#addresses.set(address.interfaceIndex, known);
		else if (!this.has(address)) this.#addresses.set(address.interfaceIndex, [...known, address]);
		else return;
		this.#touch(address.interfaceIndex);
		if (gone) this.#handlers.onAddressRemoved(address, portId);
	}

	/** One report per interface and batch of messages. */
	#touch(index: number): void {
		this.#dirty.add(index);
		if (this.#flushing) return;
		this.#flushing = true;
		queueMicrotask(() => {
			this.#flushing = false;
			const dirty = [...this.#dirty];
			this.#dirty.clear();
			if (this.#closed) return;
			for (const each of dirty) {
				const link = this.#links.get(each);
				if (link !== undefined) this.#handlers.onInterface(this.#reading(link));
			}
		});
	}
}
