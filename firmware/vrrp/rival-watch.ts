/**
 * Listens for adverts of whatever kind on an interface where somebody has just claimed one of our addresses, and for a short
 * time only: the election's own sockets hear what concerns it.
 */
import { ETH_P_IP, ETH_P_IPV6 } from "../kernel/constants.ts";
import { bpf, PacketSocket } from "../kernel/packet-socket.ts";
import { decodeIpPacket, type IpPacket } from "../wire/ip-packet.ts";
import { PROTOCOL_AH } from "../wire/ipsec-ah.ts";
import { PROTOCOL_VRRP } from "../wire/vrrp.ts";

/** Of a frame. */
const ETHERNET_HEADER_BYTES = 14;
const IPV4_PROTOCOL = 23;
const IPV6_NEXT_HEADER = 20;

type Family = "inet" | "inet6";

interface Ear {
	readonly socket: PacketSocket;
	timer: ReturnType<typeof setTimeout>;
}

export class RivalWatch {
	readonly #onAdvert: (packet: IpPacket, interfaceIndex: number) => void;
	/** By interface and family. */
	readonly #ears = new Map<string, Ear>();

	/** The packet is valid during the callback only. */
	constructor(onAdvert: (packet: IpPacket, interfaceIndex: number) => void) {
		this.#onAdvert = onAdvert;
	}

	/** Until `forMs` from now. Throws a SystemCallError. */
	listen(interfaceIndex: number, family: Family, forMs: number): void {
		const name = `${interfaceIndex}/${family}`;
		const before = this.#ears.get(name);
		if (before !== undefined) clearTimeout(before.timer);
		const socket = before?.socket ?? this.#open(interfaceIndex, family);
		const timer = setTimeout(() => {
			socket.close();
			this.#ears.delete(name);
		}, forMs);
		timer.unref();
		this.#ears.set(name, { socket, timer });
	}

	close(): void {
		for (const { socket, timer } of this.#ears.values()) {
			clearTimeout(timer);
			socket.close();
		}
		this.#ears.clear();
	}

	#open(interfaceIndex: number, family: Family): PacketSocket {
		const socket = PacketSocket.open({
			interfaceIndex,
			etherType: family === "inet" ? ETH_P_IP : ETH_P_IPV6,
			filter: [
				bpf.loadByte(family === "inet" ? IPV4_PROTOCOL : IPV6_NEXT_HEADER),
				bpf.jumpEqual(PROTOCOL_VRRP, 1, 0),
				bpf.jumpEqual(PROTOCOL_AH, 0, 1),
				bpf.accept(),
				bpf.refuse(),
			],
		});
		socket.receive((frame) => {
			const packet = decodeIpPacket(frame.subarray(ETHERNET_HEADER_BYTES));
			if (packet !== null) this.#onAdvert(packet, interfaceIndex);
		});
		return socket;
	}
}
