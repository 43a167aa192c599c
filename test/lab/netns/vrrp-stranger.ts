/** Somebody on the wire who sends adverts of his own making. */
import { MSG_DONTWAIT } from "../../../firmware/kernel/constants.ts";
import { native } from "../../../firmware/kernel/native.ts";
import { RawSocket } from "../../../firmware/kernel/raw-socket.ts";
import { encodeInternetAddress } from "../../../firmware/kernel/sockaddr.ts";
import { parseAddress } from "../../../firmware/wire/ip.ts";
import { encodeIpPacket } from "../../../firmware/wire/ip-packet.ts";
import {
	encodeAdvertisement,
	PROTOCOL_VRRP,
	simplePassword,
	TRAFFIC_CLASS,
} from "../../../firmware/wire/vrrp.ts";
import { inside } from "./inside.ts";
import type { Namespace } from "./network.ts";

export interface StrangeAdvert {
	readonly family: "inet" | "inet6";
	readonly version: 2 | 3;
	readonly virtualRouterId: number;
	readonly priority: number;
	readonly intervalMicros: number;
	readonly addresses: readonly string[];
	readonly hopLimit: number;
	readonly checksumIsRight: boolean;
	/** Version 2: PASS, or nothing. */
	readonly password: string | null;
}

export class Stranger {
	readonly #namespace: Namespace;
	readonly #interfaceIndex: number;
	readonly #number: number;

	/** `number` is the last part of its addresses, as a box's. */
	constructor(namespace: Namespace, number: number) {
		this.#namespace = namespace;
		this.#interfaceIndex = namespace.ipJson<{ ifindex: number }>("link", "show", "dev", "eth0")[0]!.ifindex;
		this.#number = number;
	}

	/** `count` times, to `destinations`; resolves when all are sent. */
	async send(
		advert: StrangeAdvert,
		destinations: readonly string[],
		count: number,
		everyMs: number,
	): Promise<void> {
		const { family, hopLimit } = advert;
		const socket = inside(this.#namespace, () =>
			RawSocket.open({
				family,
				protocol: PROTOCOL_VRRP,
				hopLimit,
				trafficClass: TRAFFIC_CLASS,
				sendOnly: true,
				headerIncluded: family === "inet",
				interface: "eth0",
				multicastInterfaceIndex: this.#interfaceIndex,
			}),
		);
		try {
			for (let sent = 0; sent < count; sent++) {
				for (const destination of destinations) {
					const to = parseAddress(destination)!;
					const scope = to.length === 16 && (to[0]! & 0xfe) === 0xfe ? this.#interfaceIndex : 0;
					native.sendTo(
						socket.fd,
						this.#packet(advert, to),
						encodeInternetAddress(to, 0, scope),
						MSG_DONTWAIT,
					);
				}
				await Bun.sleep(everyMs);
			}
		} finally {
			socket.close();
		}
	}

	#packet(advert: StrangeAdvert, destination: Uint8Array): Uint8Array {
		const { family, version, password } = advert;
		const isLinkLocal = destination[0]! >= 0xfe;
		const prefix = family === "inet" ? "192.0.2." : isLinkLocal ? "fe80::" : "2001:db8::";
		const source = parseAddress(`${prefix}${this.#number}`)!;
		const message = encodeAdvertisement(
			{ ...advert, authenticationType: version === 2 && password !== null ? 1 : 0 },
			family,
			version === 2 ? { kind: "message" } : { kind: "pseudo-header", source, destination },
			password === null ? null : simplePassword(password),
		);
		if (!advert.checksumIsRight) message[6]! ^= 0xff;
		if (family === "inet6") return message;
		return encodeIpPacket(
			{
				source,
				destination,
				hopLimit: advert.hopLimit,
				trafficClass: TRAFFIC_CLASS,
				protocol: PROTOCOL_VRRP,
				identification: 0,
			},
			message,
		);
	}
}
