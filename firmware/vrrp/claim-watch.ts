/**
 * Listens for anybody else who says that one of our addresses is his: ARP and neighbour advertisements
 * on the interfaces where we hold them. A filter in the kernel wakes nobody for all other frames.
 */
import { ETH_P_ARP, ETH_P_IPV6 } from "../kernel/constants.ts";
import { type BpfInstruction, bpf, PacketSocket } from "../kernel/packet-socket.ts";
import type { Link } from "../kernel/rtnetlink.ts";
import { familyOf, formatAddress, parseAddress } from "../wire/ip.ts";

export interface Watched {
	readonly address: string;
	readonly link: Link;
}

export type OnClaim = (address: string, interfaceIndex: number, mac: string) => void;

/** Offsets in an Ethernet frame: ARP's sender address; ICMPv6 type and target. */
const ARP_SENDER_MAC = 22;
const ARP_SENDER_ADDRESS = 28;
const IPV6_NEXT_HEADER = 20;
const ICMPV6_TYPE = 54;
const NA_TARGET = 62;
const PROTOCOL_ICMPV6 = 58;
const NEIGHBOR_ADVERTISEMENT = 136;
/** Classic programs jump at most 255 instructions; more addresses on one interface are not watched. */
const ADDRESS_LIMIT = 200;

interface Ear {
	readonly socket: PacketSocket;
	readonly addresses: string;
}

export class ClaimWatch {
	readonly #onClaim: OnClaim;
	/** By interface and family. */
	readonly #ears = new Map<string, Ear>();

	constructor(onClaim: OnClaim) {
		this.#onClaim = onClaim;
	}

	/** From now on these, and no others. */
	watch(held: readonly Watched[]): void {
		const wanted = new Map<string, { link: Link; family: "inet" | "inet6"; addresses: string[] }>();
		for (const { address, link } of held) {
			const family = familyOf(address);
			const name = `${link.index}/${family}`;
			const entry = wanted.get(name) ?? { link, family, addresses: [] };
			entry.addresses.push(address);
			wanted.set(name, entry);
		}
		for (const [name, ear] of this.#ears) {
			if (wanted.get(name)?.addresses.join() === ear.addresses) continue;
			ear.socket.close();
			this.#ears.delete(name);
		}
		for (const [name, { link, family, addresses }] of wanted) {
			if (this.#ears.has(name)) continue;
			this.#ears.set(name, { socket: this.#listen(link, family, addresses), addresses: addresses.join() });
		}
	}

	close(): void {
		for (const { socket } of this.#ears.values()) socket.close();
		this.#ears.clear();
	}

	#listen(link: Link, family: "inet" | "inet6", addresses: readonly string[]): PacketSocket {
		const mine = new Set(addresses);
		const socket = PacketSocket.open({
			interfaceIndex: link.index,
			etherType: family === "inet" ? ETH_P_ARP : ETH_P_IPV6,
			filter: family === "inet" ? arpFilter(addresses) : neighbourFilter(addresses),
		});
		socket.receive((frame) => {
			const [at, width] = family === "inet" ? [ARP_SENDER_ADDRESS, 4] : [NA_TARGET, 16];
			if (frame.length < at + width) return;
			const address = formatAddress(frame.subarray(at, at + width));
			const sender =
				family === "inet" ? frame.subarray(ARP_SENDER_MAC, ARP_SENDER_MAC + 6) : frame.subarray(6, 12);
			const mac = [...sender].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
			const own = link.macAddress === null ? "" : Buffer.from(link.macAddress).toString("hex");
			if (mine.has(address) && mac.replaceAll(":", "") !== own) this.#onClaim(address, link.index, mac);
		});
		return socket;
	}
}

function arpFilter(addresses: readonly string[]): BpfInstruction[] {
	const watched = addresses.slice(0, ADDRESS_LIMIT);
	return [
		bpf.loadWord(ARP_SENDER_ADDRESS),
		...watched.map((address, index) => bpf.jumpEqual(wordAt(address, 0), watched.length - index, 0)),
		bpf.refuse(),
		bpf.accept(),
	];
}

/** By the last four bytes; the program compares the rest. */
function neighbourFilter(addresses: readonly string[]): BpfInstruction[] {
	const watched = addresses.slice(0, ADDRESS_LIMIT);
	const steps = watched.length;
	return [
		bpf.loadByte(IPV6_NEXT_HEADER),
		bpf.jumpEqual(PROTOCOL_ICMPV6, 0, steps + 3),
		bpf.loadByte(ICMPV6_TYPE),
		bpf.jumpEqual(NEIGHBOR_ADVERTISEMENT, 0, steps + 1),
		bpf.loadWord(NA_TARGET + 12),
		...watched.map((address, index) => bpf.jumpEqual(wordAt(address, 12), steps - index, 0)),
		bpf.refuse(),
		bpf.accept(),
	];
}

function wordAt(address: string, offset: number): number {
	const bytes = parseAddress(address)!;
	return new DataView(bytes.buffer, bytes.byteOffset).getUint32(offset);
}
