/**
 * The kernel's links, addresses, routes, rules and neighbours (rtnetlink(7)).
 *
 *   const kernel = RouteNetlink.open();
 *   const [result] = kernel.addAddresses([{ ...plainAddress, family: "inet", interfaceIndex: 2,
 *     address: "10.0.0.1", prefixLength: 24 }]);
 *   const monitor = RouteMonitor.open((event) => …);
 *
 * Requests are synchronous: when a call returns, the kernel has done it, and what cannot be done is said with the
 * kernel's own words. A deletion of what is not there and an addition of what is there are "unchanged", not errors.
 */
import { readFileSync } from "node:fs";
import { EADDRNOTAVAIL, EEXIST, ENODEV, ENOENT, ESRCH, SystemCallError } from "./errno.ts";
import { native } from "./native.ts";
import {
	decodeNeighbour,
	dumpNeighbours,
	lookUpNeighbour,
	type Neighbour,
	RTM_DELNEIGH,
	RTM_NEWNEIGH,
	resolveNeighbour,
} from "./neighbour.ts";
import {
	type MessageBuilder,
	NETLINK_ROUTE,
	type NetlinkError,
	type NetlinkMessage,
	NetlinkSocket,
	NLM_F_REQUEST,
} from "./netlink.ts";
import {
	addRoute,
	decodeRoute,
	deleteRoute,
	dumpRoutes,
	lookUpRoute,
	type Route,
	RTM_DELROUTE,
	RTM_NEWROUTE,
	sameRoute,
} from "./route.ts";
import {
	addAddress,
	decodeInterfaceAddress,
	deleteAddress,
	dumpAddresses,
	type InterfaceAddress,
	RTM_DELADDR,
	RTM_NEWADDR,
} from "./route-address.ts";
import {
	changeLink,
	createLink,
	decodeLink,
	deleteLink,
	dumpLinks,
	type Link,
	type LinkChange,
	type NewLink,
	RTM_DELLINK,
	RTM_NEWLINK,
} from "./route-link.ts";
import {
	addRule,
	decodeRule,
	deleteRule,
	dumpRules,
	RTM_DELRULE,
	RTM_NEWRULE,
	type Rule,
	sameRule,
} from "./route-rule.ts";

export * from "./neighbour.ts";
export * from "./route.ts";
export * from "./route-address.ts";
export * from "./route-link.ts";
export * from "./route-rule.ts";

/** What became of one of several changes. */
export type ChangeResult =
	| { readonly kind: "done" }
	/** Added what was there, deleted what was not. */
	| { readonly kind: "unchanged" }
	| { readonly kind: "refused"; readonly error: NetlinkError };

function resultOf(error: NetlinkError | null, harmless: readonly number[]): ChangeResult {
	if (error === null) return { kind: "done" };
	return harmless.includes(error.errno) ? { kind: "unchanged" } : { kind: "refused", error };
}

/** Absent routes answer ESRCH, absent addresses EADDRNOTAVAIL, absent rules ENOENT, absent interfaces ENODEV. */
const ABSENT = [EADDRNOTAVAIL, ENODEV, ENOENT, ESRCH];

function decodeAll<T>(messages: readonly NetlinkMessage[], decode: (payload: Uint8Array) => T | null): T[] {
	const values: T[] = [];
	for (const message of messages) {
		const value = decode(message.payload);
		if (value !== null) values.push(value);
	}
	return values;
}

/** Answers to one batch of requests fit. */
const COMMAND_BUFFER_BYTES = 1_048_576;

export class RouteNetlink {
	readonly #socket: NetlinkSocket;

	private constructor(socket: NetlinkSocket) {
		this.#socket = socket;
	}

	/** In the current network namespace, with a receive buffer of at least so many bytes. Throws a SystemCallError. */
	static open(receiveBufferBytes = 0): RouteNetlink {
		const bytes = Math.max(receiveBufferBytes, COMMAND_BUFFER_BYTES);
		return new RouteNetlink(NetlinkSocket.open(NETLINK_ROUTE, { receiveBufferBytes: bytes }));
	}

	/** Our address: the origin of our own changes in a monitor's events. */
	get portId(): number {
		return this.#socket.portId;
	}

	close(): void {
		this.#socket.close();
	}

	// ── links ──

	links(): Link[] {
		return decodeAll(this.#socket.dump(dumpLinks(), "reading the links"), decodeLink);
	}

	/** Throws a NetlinkError; EEXIST when the name is taken. */
	createLink(link: NewLink): void {
		this.#socket.request(createLink(link), `creating ${link.kind} ${link.name}`);
	}

	deleteLink(index: number): ChangeResult {
		return this.#one(deleteLink(index), `deleting link ${index}`, ABSENT);
	}

	/** Throws a NetlinkError. */
	changeLink(index: number, change: LinkChange): void {
		this.#socket.request(changeLink(index, change), `changing link ${index}`);
	}

	// ── addresses ──

	addresses(family: "inet" | "inet6" | null = null): InterfaceAddress[] {
		return decodeAll(
			this.#socket.dump(dumpAddresses(family), "reading the addresses"),
			decodeInterfaceAddress,
		);
	}

	/** Adds them in order, with one system call for a few hundred. Never throws for a single one's refusal. */
	addAddresses(addresses: readonly InterfaceAddress[]): ChangeResult[] {
		return this.#all(addresses, (address) => addAddress(address), "adding addresses", [EEXIST]);
	}

	deleteAddresses(addresses: readonly InterfaceAddress[]): ChangeResult[] {
		return this.#all(addresses, deleteAddress, "deleting addresses", ABSENT);
	}

	/**
	 * The same as bytes, for whoever sends them later to `kernelAddress` from a netlink socket of its own: the kernel answers
	 * only for what it refuses.
	 */
	static addAddressesRequest(addresses: readonly InterfaceAddress[]): Uint8Array {
		return Buffer.concat(
			addresses.map((address, index) => addAddress(address).finish(index + 1, NLM_F_REQUEST)),
		);
	}

	// ── routes and rules ──

	routes(family: "inet" | "inet6"): Route[] {
		return decodeAll(this.#socket.dump(dumpRoutes(family), "reading the routes"), decodeRoute);
	}

	addRoutes(
		routes: readonly Route[],
		mode: "exclusive" | "replace" | "append" = "exclusive",
	): ChangeResult[] {
		return this.#all(routes, (route) => addRoute(route, mode), "adding routes", [EEXIST]);
	}

	deleteRoutes(routes: readonly Route[]): ChangeResult[] {
		return this.#all(routes, deleteRoute, "deleting routes", ABSENT);
	}

	/** How the kernel would send to `address`: its interface, gateway and source; null when it has no route. */
	routeTo(
		address: string,
		options: { readonly mark?: number; readonly interfaceIndex?: number } = {},
	): Route | null {
		try {
			const answers = this.#socket.request(
				lookUpRoute(address, options),
				`looking up the route to ${address}`,
			);
			return decodeAll(answers, decodeRoute)[0] ?? null;
		} catch (error) {
			// ENETUNREACH, EHOSTUNREACH, EACCES (prohibit), EINVAL (blackhole): there is no way.
			if (error instanceof SystemCallError) return null;
			throw error;
		}
	}

	rules(family: "inet" | "inet6"): Rule[] {
		return decodeAll(this.#socket.dump(dumpRules(family), "reading the rules"), decodeRule);
	}

	/** The kernel takes the same rule twice when its priority is left open, so what is there is looked at first. */
	addRules(rules: readonly Rule[]): ChangeResult[] {
		return this.#changeRules(rules, addRule, "adding rules", [EEXIST], false);
	}

	deleteRules(rules: readonly Rule[]): ChangeResult[] {
		return this.#changeRules(rules, deleteRule, "deleting rules", ABSENT, true);
	}

	#changeRules(
		rules: readonly Rule[],
		build: (rule: Rule) => MessageBuilder,
		what: string,
		harmless: readonly number[],
		mustBePresent: boolean,
	): ChangeResult[] {
		const present = { inet: null as Rule[] | null, inet6: null as Rule[] | null };
		return rules.map((rule) => {
			present[rule.family] ??= this.rules(rule.family);
			const match = present[rule.family]!.find((other) => sameRule(rule, other));
			if ((match !== undefined) !== mustBePresent) return { kind: "unchanged" };
			const result = this.#one(build(match ?? rule), what, harmless);
			present[rule.family] = null;
			return result;
		});
	}

	// ── neighbours ──

	neighbours(family: "inet" | "inet6"): Neighbour[] {
		return decodeAll(this.#socket.dump(dumpNeighbours(family), "reading the neighbours"), decodeNeighbour);
	}

	/** The table's entry, or null when there is none. */
	neighbour(interfaceIndex: number, address: string): Neighbour | null {
		try {
			const answers = this.#socket.request(lookUpNeighbour(interfaceIndex, address), `looking up ${address}`);
			return decodeAll(answers, decodeNeighbour)[0] ?? null;
		} catch (error) {
			if (error instanceof SystemCallError && ABSENT.includes(error.errno)) return null;
			throw error;
		}
	}

	/** Has the kernel ask for the address's MAC now; the answer shows in `neighbour` or a monitor. Throws a NetlinkError. */
	resolveNeighbour(interfaceIndex: number, address: string): void {
		this.#socket.request(resolveNeighbour(interfaceIndex, address), `resolving ${address}`);
	}

	#one(message: MessageBuilder, what: string, harmless: readonly number[]): ChangeResult {
		return resultOf(this.#socket.requestAll([message], what)[0]!, harmless);
	}

	#all<T>(
		values: readonly T[],
		build: (value: T) => MessageBuilder,
		what: string,
		harmless: readonly number[],
	): ChangeResult[] {
		return this.#socket.requestAll(values.map(build), what).map((error) => resultOf(error, harmless));
	}
}

/** Index of an interface in the current network namespace, or null. */
export function interfaceIndex(name: string): number | null {
	return native.interfaceIndex(name) || null;
}

/** Who changed something. */
export interface Origin {
	/** Netlink address of the socket that asked; 0: the kernel itself, or it does not say (IPv6 addresses). */
	readonly portId: number;
	/** The process, if one with that number is alive: by default a process's first socket has its number. */
	readonly process: { readonly pid: number; readonly name: string } | null;
}

export type RouteEvent = { readonly change: "new" | "delete"; readonly origin: Origin } & (
	| { readonly kind: "link"; readonly link: Link }
	| { readonly kind: "address"; readonly address: InterfaceAddress }
	| { readonly kind: "route"; readonly route: Route }
	| { readonly kind: "rule"; readonly rule: Rule }
	| { readonly kind: "neighbour"; readonly neighbour: Neighbour }
);

// <linux/rtnetlink.h> RTNLGRP_*
const groups = {
	link: [1],
	neighbour: [3],
	address: [5, 9],
	route: [7, 11],
	rule: [8, 19],
} as const;

export type MonitoredKind = keyof typeof groups;

/** 4 MiB: some 10,000 changes at once before anything is lost. */
const MONITOR_BUFFER_BYTES = 4 * 1024 * 1024;

/** Tells of every change of the kernel's tables, whoever made it, in order. */
export class RouteMonitor {
	readonly #socket: NetlinkSocket;

	private constructor(socket: NetlinkSocket) {
		this.#socket = socket;
	}

	/**
	 * `onOverflow`: changes came faster than they were read and some are lost; read the tables anew.
	 * Listening begins with this call; what happens after it is not missed. Throws a SystemCallError.
	 */
	static open(
		kinds: readonly MonitoredKind[],
		onEvent: (event: RouteEvent) => void,
		onOverflow: () => void,
		receiveBufferBytes = 0,
	): RouteMonitor {
		const socket = NetlinkSocket.open(NETLINK_ROUTE, {
			groups: kinds.flatMap((kind) => groups[kind]),
			receiveBufferBytes: Math.max(receiveBufferBytes, MONITOR_BUFFER_BYTES),
		});
		socket.listen((message) => {
			const event = decodeEvent(message);
			if (event !== null) onEvent(event);
		}, onOverflow);
		return new RouteMonitor(socket);
	}

	close(): void {
		this.#socket.close();
	}
}

function decodeEvent(message: NetlinkMessage): RouteEvent | null {
	const { type, payload, portId } = message;
	const origin: Origin = {
		portId,
		// Asked for only when somebody looks: most events need no name.
		get process() {
			return processOf(portId);
		},
	};
	const change = [RTM_DELLINK, RTM_DELADDR, RTM_DELROUTE, RTM_DELRULE, RTM_DELNEIGH].includes(type)
		? "delete"
		: "new";
	switch (type) {
		case RTM_NEWLINK:
		case RTM_DELLINK: {
			const link = decodeLink(payload);
			return link && { kind: "link", change, origin, link };
		}
		case RTM_NEWADDR:
		case RTM_DELADDR: {
			const address = decodeInterfaceAddress(payload);
			return address && { kind: "address", change, origin, address };
		}
		case RTM_NEWROUTE:
		case RTM_DELROUTE: {
			const route = decodeRoute(payload);
			return route && { kind: "route", change, origin, route };
		}
		case RTM_NEWRULE:
		case RTM_DELRULE: {
			const rule = decodeRule(payload);
			return rule && { kind: "rule", change, origin, rule };
		}
		case RTM_NEWNEIGH:
		case RTM_DELNEIGH: {
			const neighbour = decodeNeighbour(payload);
			return neighbour && { kind: "neighbour", change, origin, neighbour };
		}
		default:
			return null;
	}
}

function processOf(portId: number): Origin["process"] {
	if (portId === 0) return null;
	try {
		return { pid: portId, name: readFileSync(`/proc/${portId}/comm`, "utf8").trim() };
	} catch {
		return null;
	}
}

/** Finds the one that is `wanted` in a table. */
export function findRoute(table: readonly Route[], wanted: Route): Route | null {
	return table.find((route) => sameRoute(route, wanted)) ?? null;
}
