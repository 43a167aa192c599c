/**
 * Asks, now and then, who holds each VIP, and listens to whoever says so unasked.
 * RFC 5227 §2.1.1 (ARP probe), RFC 4861 §4.3 with an unspecified source.
 */
import { ETH_P_ARP, ETH_P_IPV6, IPPROTO_ICMPV6 } from "../kernel/constants.ts";
import { SystemCallError } from "../kernel/errno.ts";
import { type BpfInstruction, bpf, PacketSocket } from "../kernel/packet-socket.ts";
import { ARPHRD_ETHER, type InterfaceAddress, type Link, RouteNetlink } from "../kernel/rtnetlink.ts";
import { decodeArp, encodeArp } from "../wire/arp.ts";
import { broadcastMac, decodeEthernet, encodeEthernet } from "../wire/ethernet.ts";
import { formatAddress, parseAddress } from "../wire/ip.ts";
import { decodeIpPacket, encodeIpPacket } from "../wire/ip-packet.ts";
import {
	decodeNeighbourMessage,
	encodeNeighbourMessage,
	ICMPV6_NEIGHBOUR_ADVERTISEMENT,
} from "../wire/ndisc.ts";
import { inPrefix } from "./prefix.ts";
import { ageClaims, type Claims, conflictsOf, hearClaim, noClaims, type VipConflict } from "./vip-claims.ts";
import type { Wheel, WheelTimer } from "./wheel.ts";

/** Each VIP is asked for this often. */
export const ROUND_MS = 10_000;
/** A claim that was heard once is asked after. */
const SECOND_LOOK_MS = 1_000;
/** VIPs asked for; those beyond are only listened to. */
const PROBED_VIPS_LIMIT = 2_048;

export interface VipConflictOptions {
	readonly wheel: Wheel;
	nowMs(): number;
	/** A conflict began (`stands`) or ended. */
	report(conflict: VipConflict, stands: boolean): void;
	/** Listening is not possible; once. */
	unavailable(reason: string): void;
}

interface Ear {
	readonly interfaceIndex: number;
	readonly name: string;
	readonly mac: Uint8Array;
	readonly arp: PacketSocket;
	readonly neighbours: PacketSocket;
}

export class VipConflictWatch {
	readonly #options: VipConflictOptions;
	readonly #round: WheelTimer;
	readonly #secondLook: WheelTimer;
	readonly #ears = new Map<number, Ear>();
	readonly #doubtful = new Set<string>();
	#netlink: RouteNetlink | null = null;
	#vips = new Set<string>();
	#realServers = new Set<string>();
	#ownMacs = new Set<string>();
	#here = new Set<string>();
	/** The interface on which each VIP is, or would be. */
	#places = new Map<string, number>();
	#claims: Claims = noClaims;
	#failed = false;

	constructor(options: VipConflictOptions) {
		this.#options = options;
		this.#round = options.wheel.timer(() => this.#takeRound());
		this.#secondLook = options.wheel.timer(() => {
			for (const vip of this.#doubtful) this.#probe(vip);
			this.#doubtful.clear();
		});
	}

	/** Watches these VIPs; the real servers are those that would be named. */
	watch(vips: ReadonlySet<string>, realServers: ReadonlySet<string>): void {
		const began = this.#vips.size === 0;
		this.#vips = new Set(vips);
		this.#realServers = new Set(realServers);
		if (vips.size === 0) this.#stop();
		else if (began && !this.#failed)
			this.#options.wheel.set(this.#round, this.#options.nowMs() + SECOND_LOOK_MS);
	}

	conflicts(): readonly VipConflict[] {
		return conflictsOf(this.#claims);
	}

	close(): void {
		this.#vips.clear();
		this.#stop();
	}

	#stop(): void {
		this.#options.wheel.cancel(this.#round);
		this.#options.wheel.cancel(this.#secondLook);
		for (const ear of this.#ears.values()) this.#deafen(ear);
		this.#netlink?.close();
		this.#netlink = null;
		this.#claims = noClaims;
	}

	#takeRound(): void {
		try {
			this.#netlink ??= RouteNetlink.open();
			this.#look(this.#netlink);
		} catch (error) {
			if (!(error instanceof SystemCallError)) throw error;
			this.#failed = true;
			this.#stop();
			this.#options.unavailable(error.message);
			return;
		}
		const aged = ageClaims(this.#claims, this.#options.nowMs());
		this.#claims = aged.claims;
		for (const conflict of aged.over) this.#options.report(conflict, false);
		let left = PROBED_VIPS_LIMIT;
		for (const vip of this.#vips) if (left-- > 0) this.#probe(vip);
		this.#options.wheel.set(this.#round, this.#options.nowMs() + ROUND_MS);
	}

	/** What is ours, and where each VIP is at home. */
	#look(netlink: RouteNetlink): void {
		const links = netlink.links();
		const addresses = netlink.addresses();
		this.#ownMacs = new Set(
			links.flatMap(({ macAddress }) => (macAddress === null ? [] : macText(macAddress))),
		);
		this.#here = new Set(addresses.map(({ address }) => address));
		this.#places = new Map();
		for (const vip of this.#vips) {
			const index = placeOf(vip, addresses);
			if (index !== null) this.#places.set(vip, index);
		}
		const wanted = new Set(this.#places.values());
		const byIndex = new Map(links.map((link) => [link.index, link]));
		for (const [index, ear] of this.#ears)
			if (!wanted.has(index) || byIndex.get(index)?.name !== ear.name) this.#deafen(ear);
		for (const index of wanted) {
			const link = byIndex.get(index);
			if (link !== undefined && !this.#ears.has(index)) this.#listen(link);
		}
	}

	#listen(link: Link): void {
		if (link.hardwareType !== ARPHRD_ETHER || link.macAddress?.length !== 6) return;
		const arp = PacketSocket.open({ interfaceIndex: link.index, etherType: ETH_P_ARP });
		let neighbours: PacketSocket;
		try {
			neighbours = PacketSocket.open({
				interfaceIndex: link.index,
				etherType: ETH_P_IPV6,
				filter: advertisementFilter,
			});
		} catch (error) {
			arp.close();
			throw error;
		}
		const ear: Ear = { interfaceIndex: link.index, name: link.name, mac: link.macAddress, arp, neighbours };
		this.#ears.set(link.index, ear);
		arp.receive((frame) => {
			const ethernet = decodeEthernet(frame);
			const message = ethernet === null ? null : decodeArp(ethernet.payload);
			if (message !== null) this.#heard(ear, formatAddress(message.senderAddress), message.senderMac);
		});
		neighbours.receive((frame) => {
			const ethernet = decodeEthernet(frame);
			const packet = ethernet === null ? null : decodeIpPacket(ethernet.payload);
			const message = packet === null ? null : decodeNeighbourMessage(packet);
			if (message?.kind === "advertisement")
				this.#heard(ear, formatAddress(message.target), message.macAddress ?? ethernet!.source.slice());
		});
	}

	#deafen(ear: Ear): void {
		ear.arp.close();
		ear.neighbours.close();
		this.#ears.delete(ear.interfaceIndex);
	}

	#heard(ear: Ear, vip: string, mac: Uint8Array): void {
		if (!this.#vips.has(vip)) return;
		const text = macText(mac);
		if (this.#ownMacs.has(text)) return;
		const owners = this.#addressesOf(ear.interfaceIndex, mac);
		const result = hearClaim(
			this.#claims,
			{ vip, mac: text, interface: ear.name },
			{
				own: false,
				vipIsHere: this.#here.has(vip),
				realServer: owners.find((address) => this.#realServers.has(address)) ?? null,
				neighbour: owners.find((address) => address !== vip) ?? null,
			},
			this.#options.nowMs(),
		);
		this.#claims = result.claims;
		if (result.confirmed !== null) this.#options.report(result.confirmed, true);
		if (result.doubtful) {
			this.#doubtful.add(vip);
			if (!this.#secondLook.set)
				this.#options.wheel.set(this.#secondLook, this.#options.nowMs() + SECOND_LOOK_MS);
		}
	}

	/** The neighbour table, read backwards. */
	#addressesOf(interfaceIndex: number, mac: Uint8Array): string[] {
		const text = macText(mac);
		const netlink = this.#netlink;
		if (netlink === null) return [];
		try {
			return (["inet", "inet6"] as const).flatMap((family) =>
				netlink
					.neighbours(family)
					.filter(
						(each) =>
							each.interfaceIndex === interfaceIndex &&
							each.macAddress !== null &&
							macText(each.macAddress) === text,
					)
					.map(({ address }) => address),
			);
		} catch (error) {
			if (!(error instanceof SystemCallError)) throw error;
			return [];
		}
	}

	#probe(vip: string): void {
		const ear = this.#ears.get(this.#places.get(vip) ?? -1);
		if (ear === undefined) return;
		const address = parseAddress(vip)!;
		if (address.length === 4) ear.arp.send(arpProbe(ear.mac, address));
		else ear.neighbours.send(solicitation(ear.mac, address));
	}
}

/** RFC 5227 §2.1.1: from nobody, so that no cache learns anything from it. */
export function arpProbe(ownMac: Uint8Array, vip: Uint8Array): Uint8Array {
	const message = encodeArp({
		operation: "request",
		senderMac: ownMac,
		senderAddress: new Uint8Array(4),
		targetMac: new Uint8Array(6),
		targetAddress: vip,
	});
	return encodeEthernet(broadcastMac, ownMac, ETH_P_ARP, message);
}

/** RFC 4862 §5.4.2: as in duplicate address detection, to the solicited-node group (RFC 4291 §2.7.1). */
export function solicitation(ownMac: Uint8Array, vip: Uint8Array): Uint8Array {
	const unspecified = new Uint8Array(16);
	const group = parseAddress("ff02::1:ff00:0")!;
	group.set(vip.subarray(13), 13);
	const message = encodeNeighbourMessage(
		{ kind: "solicitation", target: vip, macAddress: null },
		unspecified,
		group,
	);
	const packet = encodeIpPacket(
		{
			source: unspecified,
			destination: group,
			hopLimit: 255,
			protocol: IPPROTO_ICMPV6,
			trafficClass: 0,
			identification: 0,
		},
		message,
	);
	// RFC 2464 §7.
	const mac = Uint8Array.of(0x33, 0x33, ...group.subarray(12));
	return encodeEthernet(mac, ownMac, ETH_P_IPV6, packet);
}

const advertisementFilter: readonly BpfInstruction[] = [
	bpf.loadByte(20),
	bpf.jumpEqual(IPPROTO_ICMPV6, 0, 2),
	bpf.loadByte(54),
	bpf.jumpEqual(ICMPV6_NEIGHBOUR_ADVERTISEMENT, 1, 0),
	bpf.refuse(),
	bpf.accept(),
];

/** Where the VIP is, or else the interface whose network it belongs to. */
function placeOf(vip: string, addresses: readonly InterfaceAddress[]): number | null {
	const bytes = parseAddress(vip);
	if (bytes === null) return null;
	let best: InterfaceAddress | null = null;
	for (const address of addresses) {
		if (address.address === vip && address.scope < 254) return address.interfaceIndex;
		const network = parseAddress(address.address);
		if (network === null || network.length !== bytes.length || address.prefixLength === bytes.length * 8)
			continue;
		if (inPrefix(bytes, network, address.prefixLength) && address.prefixLength > (best?.prefixLength ?? 0))
			best = address;
	}
	return best?.interfaceIndex ?? null;
}

function macText(mac: Uint8Array): string {
	return Buffer.from(mac)
		.toString("hex")
		.replace(/(..)(?!$)/g, "$1:");
}
