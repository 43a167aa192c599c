/**
 * Sends the path check's questions and hears the answers.
 *
 * The VIP is an address of this very box, so the kernel's own sockets would never send to it: frames leave
 * by a packet socket (DR) or inside a tunnel (TUN). For the same reason the kernel drops the answer, whose
 * source is one of its own addresses, before any TCP sees it; the packet socket sees it first. (On a backup,
 * where the VIP is elsewhere, the kernel also answers with RST; twice does no harm.)
 */
import type { Forwarding } from "../config/model.ts";
import {
	AF_INET,
	AF_INET6,
	ETH_P_ALL,
	ETH_P_IP,
	ETH_P_IPV6,
	IPPROTO_IPV6,
	IPPROTO_TCP,
	IPV6_V6ONLY,
	MSG_DONTWAIT,
	SOCK_DGRAM,
	SOCK_NONBLOCK,
	SOCK_STREAM,
} from "../kernel/constants.ts";
import { SystemCallError } from "../kernel/errno.ts";
import { native } from "../kernel/native.ts";
import { type BpfInstruction, bpf, PacketSocket } from "../kernel/packet-socket.ts";
import { RawSocket } from "../kernel/raw-socket.ts";
import { type Link, NUD_VALID, RouteNetlink, RT_SCOPE_LINK } from "../kernel/rtnetlink.ts";
import { decodeSocketAddress, internetAddress } from "../kernel/sockaddr.ts";
import { decodeEthernet, encodeEthernet } from "../wire/ethernet.ts";
import { familyOf, formatAddress, parseAddress } from "../wire/ip.ts";
import { encapsulate, type PathQuestion, readReply, resetPacket, synPacket } from "./path-packet.ts";
import type { PathAnswer } from "./path-verdict.ts";
import { reasonOf } from "./reason.ts";
import type { Wheel, WheelTimer } from "./wheel.ts";

/** A SYN's answer within this, or silence. */
export const ANSWER_WITHIN_MS = 1_000;
/** What was found out about the way to a real server holds this long, unless it proves wrong. */
const WAY_HOLDS_MS = 30_000;
/** ARP and neighbour discovery: looked at this often, and so many times. */
const RESOLVE_STEP_MS = 100;
const RESOLVE_STEPS = 15;
/** Questions in flight; more wait for their next turn. */
const QUESTIONS_LIMIT = 16_384;

export interface PathTarget {
	readonly vip: string;
	readonly port: number;
	readonly realServer: string;
	readonly forwarding: Exclude<Forwarding, { kind: "NAT" }>;
}

type Way =
	| {
			readonly kind: "way";
			readonly interfaceIndex: number;
			readonly ownMac: Uint8Array | null;
			readonly nextHop: string;
			readonly source: Uint8Array;
			readonly untilMs: number;
	  }
	| { readonly kind: "none"; readonly detail: string };

interface Question extends PathQuestion {
	readonly target: PathTarget;
	readonly send: (packet: Uint8Array) => number;
	readonly done: (answer: PathAnswer) => void;
	readonly deadline: WheelTimer;
}

export class PathProber {
	readonly #wheel: Wheel;
	readonly #nowMs: () => number;
	/** Real servers hold these too: a packet from one of them would be refused as their own. */
	readonly #isVirtualAddress: (address: string) => boolean;
	readonly #netlink: RouteNetlink;
	readonly #listener: PacketSocket;
	/** Bound and never listening: keeps our port out of the kernel's hands. */
	readonly #portHolder: number;
	readonly #port: number;
	readonly #questions = new Map<number, Question>();
	readonly #ways = new Map<string, Way>();
	readonly #senders = new Map<number, PacketSocket>();
	readonly #carriers = new Map<string, RawSocket | number>();
	#links: { readonly byIndex: Map<number, Link>; readonly untilMs: number } | null = null;

	/** Throws a SystemCallError when this process may not open packet sockets. */
	constructor(wheel: Wheel, nowMs: () => number, isVirtualAddress: (address: string) => boolean) {
		this.#wheel = wheel;
		this.#nowMs = nowMs;
		this.#isVirtualAddress = isVirtualAddress;
		this.#netlink = RouteNetlink.open();
		const held = holdPort();
		this.#portHolder = held.fd;
		this.#port = held.port;
		try {
			this.#listener = PacketSocket.open({
				interfaceIndex: 0,
				etherType: ETH_P_ALL,
				filter: answerFilter(held.port),
			});
		} catch (error) {
			native.close(held.fd);
			this.#netlink.close();
			throw error;
		}
		this.#listener.receive((frame) => this.#heard(frame));
	}

	/** Asks once. `done` is called later, once; not after the returned function was called. */
	ask(target: PathTarget, done: (answer: PathAnswer) => void): () => void {
		let stopped = false;
		let cancelQuestion: (() => void) | null = null;
		const finish = (answer: PathAnswer) => {
			if (stopped) return;
			stopped = true;
			done(answer);
		};
		const attempt = (step: number) => {
			if (stopped) return;
			const way = this.#wayTo(target);
			if (way.kind === "none") {
				finish({ kind: "impossible", detail: way.detail });
				return;
			}
			if (this.#questions.size >= QUESTIONS_LIMIT) {
				finish({ kind: "impossible", detail: "too many path checks at once" });
				return;
			}
			if (target.forwarding.kind === "TUN") {
				cancelQuestion = this.#pose(target, way.source, this.#tunnel(target), finish);
				return;
			}
			const mac = this.#macOf(way.interfaceIndex, way.nextHop);
			if (mac !== null) {
				cancelQuestion = this.#pose(target, way.source, this.#frames(way, mac), finish);
				return;
			}
			if (step >= RESOLVE_STEPS) {
				this.#ways.delete(wayKey(target));
				finish({ kind: "unresolved", nextHop: way.nextHop });
				return;
			}
			if (step === 0) this.#resolve(way.interfaceIndex, way.nextHop);
			this.#wheel.set(again, this.#nowMs() + RESOLVE_STEP_MS);
			steps = step + 1;
		};
		let steps = 0;
		const again = this.#wheel.timer(() => attempt(steps));
		this.#wheel.set(again, 0);
		return () => {
			stopped = true;
			this.#wheel.cancel(again);
			cancelQuestion?.();
		};
	}

	/** The MAC address that frames to `address` go to, as far as the kernel knows it. */
	macOf(address: string): Uint8Array | null {
		const route = this.#netlink.routeTo(address);
		const hop = route?.nextHops[0];
		if (route === null || hop === undefined || hop.interfaceIndex === null) return null;
		return this.#macOf(hop.interfaceIndex, hop.gateway ?? address);
	}

	close(): void {
		for (const question of this.#questions.values()) this.#wheel.cancel(question.deadline);
		this.#questions.clear();
		for (const sender of this.#senders.values()) sender.close();
		for (const carrier of this.#carriers.values())
			if (typeof carrier === "number") native.close(carrier);
			else carrier.close();
		this.#listener.close();
		native.close(this.#portHolder);
		this.#netlink.close();
	}

	#pose(
		target: PathTarget,
		source: Uint8Array,
		send: (packet: Uint8Array) => number,
		done: (answer: PathAnswer) => void,
	): () => void {
		let sequence: number;
		do sequence = crypto.getRandomValues(new Uint32Array(1))[0]!;
		while (this.#questions.has(sequence));
		const question: Question = {
			source,
			sourcePort: this.#port,
			vip: parseAddress(target.vip)!,
			port: target.port,
			sequence,
			target,
			send,
			done,
			deadline: this.#wheel.timer(() => {
				this.#questions.delete(sequence);
				this.#ways.delete(wayKey(target));
				done({ kind: "silent" });
			}),
		};
		const status = send(synPacket(question));
		if (status < 0) {
			this.#ways.delete(wayKey(target));
			done({ kind: "impossible", detail: `sending: ${reasonOf(status)}` });
			return () => {};
		}
		this.#questions.set(sequence, question);
		this.#wheel.set(question.deadline, this.#nowMs() + ANSWER_WITHIN_MS);
		return () => {
			this.#wheel.cancel(question.deadline);
			this.#questions.delete(sequence);
		};
	}

	#heard(frame: Uint8Array): void {
		const ethernet = decodeEthernet(frame);
		if (ethernet === null) return;
		const reply = readReply(ethernet.payload);
		if (reply === null || reply.destinationPort !== this.#port) return;
		const question = this.#questions.get(reply.sequence);
		if (question === undefined || question.port !== reply.port) return;
		// The same stack may answer from another address of its own: that is no answer from the VIP.
		if (formatAddress(reply.vip) !== formatAddress(question.vip)) return;
		this.#questions.delete(reply.sequence);
		this.#wheel.cancel(question.deadline);
		if (reply.kind === "accepted") question.send(resetPacket(question));
		question.done({ kind: reply.kind });
	}

	/** Interface, next hop and our own address for a target, as the kernel's routes have it. */
	#wayTo(target: PathTarget): Way {
		const key = wayKey(target);
		const cached = this.#ways.get(key);
		if (cached?.kind === "way" && cached.untilMs > this.#nowMs()) return cached;
		const way = this.#findWay(target);
		if (way.kind === "way") this.#ways.set(key, way);
		return way;
	}

	#findWay({ realServer, vip }: PathTarget): Way {
		const none = (detail: string): Way => ({ kind: "none", detail });
		const route = this.#netlink.routeTo(realServer);
		if (route === null) return none(`no route to ${realServer}`);
		if (route.type === "local") return none("the real server is this box itself");
		const hop = route.nextHops[0];
		const link = hop?.interfaceIndex == null ? undefined : this.#link(hop.interfaceIndex);
		if (hop === undefined || link === undefined) return none(`no interface towards ${realServer}`);
		const family = familyOf(vip);
		const source =
			family === route.family &&
			route.preferredSource !== null &&
			!this.#isVirtualAddress(route.preferredSource)
				? route.preferredSource
				: this.#addressOn(link.index, family);
		if (source === null)
			return none(`no ${family === "inet" ? "IPv4" : "IPv6"} address of our own on ${link.name} to ask from`);
		return {
			kind: "way",
			interfaceIndex: link.index,
			ownMac: link.macAddress,
			nextHop: hop.gateway ?? realServer,
			source: parseAddress(source)!,
			untilMs: this.#nowMs() + WAY_HOLDS_MS,
		};
	}

	/** An address of ours that is no VIP and that others can answer to. */
	#addressOn(interfaceIndex: number, family: "inet" | "inet6"): string | null {
		const found = this.#netlink
			.addresses(family)
			.find(
				({ interfaceIndex: index, address, scope }) =>
					index === interfaceIndex && scope < RT_SCOPE_LINK && !this.#isVirtualAddress(address),
			);
		return found?.address ?? null;
	}

	#link(index: number): Link | undefined {
		if (this.#links === null || this.#links.untilMs < this.#nowMs() || !this.#links.byIndex.has(index))
			this.#links = {
				byIndex: new Map(this.#netlink.links().map((link) => [link.index, link])),
				untilMs: this.#nowMs() + WAY_HOLDS_MS,
			};
		return this.#links.byIndex.get(index);
	}

	#macOf(interfaceIndex: number, nextHop: string): Uint8Array | null {
		const neighbour = this.#netlink.neighbour(interfaceIndex, nextHop);
		if (neighbour === null || (neighbour.state & NUD_VALID) === 0) return null;
		return neighbour.macAddress?.length === 6 ? neighbour.macAddress : null;
	}

	#resolve(interfaceIndex: number, nextHop: string): void {
		try {
			this.#netlink.resolveNeighbour(interfaceIndex, nextHop);
		} catch (error) {
			// A full table, an interface that is just going down: it shows as unresolved.
			if (!(error instanceof SystemCallError)) throw error;
		}
	}

	/** DR: to the real server's MAC, with the VIP as destination. */
	#frames(way: Extract<Way, { kind: "way" }>, mac: Uint8Array): (packet: Uint8Array) => number {
		return (packet) => {
			let sender = this.#senders.get(way.interfaceIndex);
			if (sender === undefined) {
				sender = PacketSocket.open({ interfaceIndex: way.interfaceIndex, etherType: 0 });
				this.#senders.set(way.interfaceIndex, sender);
			}
			const type = packet[0]! >> 4 === 4 ? ETH_P_IP : ETH_P_IPV6;
			const status = sender.send(encodeEthernet(mac, way.ownMac ?? new Uint8Array(6), type, packet));
			if (status < 0) {
				// The interface may have been made anew.
				sender.close();
				this.#senders.delete(way.interfaceIndex);
			}
			return status;
		};
	}

	/** TUN: inside a packet to the real server's own address. */
	#tunnel({ realServer, forwarding }: PathTarget): (packet: Uint8Array) => number {
		const family = familyOf(realServer);
		const address = parseAddress(realServer)!;
		return (packet) => {
			const { carrier, payload } = encapsulate(packet, forwarding as Extract<Forwarding, { kind: "TUN" }>);
			if (carrier.kind === "ip") {
				const key = `${family} ${carrier.protocol}`;
				let socket = this.#carriers.get(key);
				if (socket === undefined) {
					socket = RawSocket.open({
						family,
						protocol: carrier.protocol,
						sendOnly: true,
						hopLimit: 64,
						trafficClass: 0,
					});
					this.#carriers.set(key, socket);
				}
				return (socket as RawSocket).send(payload, address);
			}
			let fd = this.#carriers.get(`${family} udp`) as number | undefined;
			if (fd === undefined) {
				fd = native.socket(family === "inet" ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0);
				if (fd < 0) return fd;
				this.#carriers.set(`${family} udp`, fd);
			}
			return native.sendTo(fd, payload, internetAddress(realServer, carrier.port), MSG_DONTWAIT);
		};
	}
}

function wayKey({ realServer, vip }: PathTarget): string {
	return `${realServer} ${vip}`;
}

/** A TCP port for both families that nobody else on this box gets. */
function holdPort(): { fd: number; port: number } {
	for (const family of [AF_INET6, AF_INET]) {
		const fd = native.socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (fd < 0) continue;
		if (family === AF_INET6) native.setSocketOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, new Uint8Array(4));
		const status = native.bind(fd, internetAddress(family === AF_INET6 ? "::" : "0.0.0.0", 0));
		const name = status < 0 ? null : decodeSocketAddress(native.getSocketName(fd));
		if (name !== null && (name.kind === "inet" || name.kind === "inet6")) return { fd, port: name.port };
		native.close(fd);
	}
	throw new SystemCallError("reserving a port for the path check", -98);
}

/** TCP to `port`, IPv4 or IPv6: nothing else wakes the process. */
function answerFilter(port: number): readonly BpfInstruction[] {
	return [
		bpf.loadHalf(12),
		bpf.jumpEqual(ETH_P_IP, 0, 7),
		bpf.loadByte(23),
		bpf.jumpEqual(IPPROTO_TCP, 0, 10),
		bpf.loadHalf(20),
		bpf.jumpSet(0x1fff, 8, 0),
		bpf.loadHeaderLength(14),
		bpf.loadHalfIndexed(16),
		bpf.jumpEqual(port, 6, 5),
		bpf.jumpEqual(ETH_P_IPV6, 0, 4),
		bpf.loadByte(20),
		bpf.jumpEqual(IPPROTO_TCP, 0, 2),
		bpf.loadHalf(56),
		bpf.jumpEqual(port, 1, 0),
		bpf.refuse(),
		bpf.accept(),
	];
}
