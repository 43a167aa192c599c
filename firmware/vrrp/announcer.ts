/** Tells the network where our addresses are: gratuitous ARP and unsolicited NA, paced per interface. */
import { readFileSync } from "node:fs";
import { AF_PACKET, SOCK_NONBLOCK, SOCK_RAW } from "../kernel/constants.ts";
import { native } from "../kernel/native.ts";
import type { Datagram } from "../kernel/realtime.ts";
import { ARPHRD_ETHER, IFF_NOARP, type Link } from "../kernel/route-link.ts";
import { packetAddress } from "../kernel/sockaddr.ts";
import { gratuitousArp, unsolicitedNeighborAdvertisement } from "../wire/gratuitous.ts";
import { parseAddress } from "../wire/ip.ts";

/** Announcements that may wait for their turn on one interface; more are dropped, the newest first. */
const QUEUE_LIMIT = 20_000;
/** Frames sent before other callbacks get their turn. */
const FRAMES_PER_TURN = 64;

export interface Announcement {
	readonly address: string;
	readonly link: Link;
	readonly gapMicros: number;
	/** Whose mastership it speaks for: `cancel` names it. */
	readonly key: string;
}

interface Lane {
	readonly queue: Announcement[];
	timer: ReturnType<typeof setTimeout> | null;
	notBeforeMicros: number;
}

export class Announcer {
	readonly #fd: number;
	readonly #lanes = new Map<number, Lane>();
	readonly #forwarding = new Map<string, { readonly value: boolean; readonly untilMicros: number }>();
	sent = 0;
	failed = 0;

	constructor() {
		// Protocol 0: it only sends.
		this.#fd = native.socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);
	}

	/** The first round goes out at once when no pacing is asked for. */
	announce(announcements: readonly Announcement[], rounds: number): void {
		for (let round = 0; round < rounds; round++)
			for (const announcement of announcements) {
				const { link, gapMicros } = announcement;
				if (!hears(link)) continue;
				const lane = this.#lane(link.index);
				if (gapMicros === 0 && lane.queue.length === 0 && round === 0) this.#send(announcement);
				else if (lane.queue.length < QUEUE_LIMIT) lane.queue.push(announcement);
			}
		for (const lane of this.#lanes.values()) this.#run(lane);
	}

	/** One round as datagrams, for whoever sends it. */
	datagrams(announcements: readonly Announcement[]): Datagram[] {
		return announcements
			.filter(({ link }) => hears(link))
			.map((announcement) => this.#datagram(announcement));
	}

	/** What still waits for this router is not true any more. */
	cancel(key: string): void {
		for (const lane of this.#lanes.values()) {
			const rest = lane.queue.filter((waiting) => waiting.key !== key);
			lane.queue.splice(0, lane.queue.length, ...rest);
		}
	}

	close(): void {
		for (const { timer } of this.#lanes.values()) if (timer !== null) clearTimeout(timer);
		this.#lanes.clear();
		native.close(this.#fd);
	}

	#lane(index: number): Lane {
		let lane = this.#lanes.get(index);
		if (lane === undefined) {
			lane = { queue: [], timer: null, notBeforeMicros: 0 };
			this.#lanes.set(index, lane);
		}
		return lane;
	}

	#run(lane: Lane): void {
		if (lane.timer !== null || lane.queue.length === 0) return;
		const waitMicros = lane.notBeforeMicros - native.monotonicMicros();
		lane.timer = setTimeout(
			() => {
				lane.timer = null;
				for (let count = 0; count < FRAMES_PER_TURN; count++) {
					const next = lane.queue.shift();
					if (next === undefined) return;
					this.#send(next);
					if (next.gapMicros > 0) {
						lane.notBeforeMicros = native.monotonicMicros() + next.gapMicros;
						break;
					}
				}
				this.#run(lane);
			},
			Math.max(0, waitMicros / 1000),
		);
	}

	#send(announcement: Announcement): void {
		const { fd, data, address } = this.#datagram(announcement);
		if (native.sendTo(fd, data, address) < 0) this.failed++;
		else this.sent++;
	}

	#datagram({ address, link }: Announcement): Datagram {
		const bytes = parseAddress(address)!;
		const frame =
			bytes.length === 4
				? gratuitousArp(link.macAddress!, bytes)
				: unsolicitedNeighborAdvertisement(link.macAddress!, bytes, this.#forwards(link.name));
		return {
			fd: this.#fd,
			data: frame,
			address: packetAddress(link.index, (frame[12]! << 8) | frame[13]!),
		};
	}

	/** RFC 4861 §4.4: the router flag is the interface's forwarding switch; looked up once a second at most. */
	#forwards(name: string): boolean {
		const now = native.monotonicMicros();
		const known = this.#forwarding.get(name);
		if (known !== undefined && now < known.untilMicros) return known.value;
		let value = false;
		try {
			value = readFileSync(`/proc/sys/net/ipv6/conf/${name}/forwarding`, "utf8").startsWith("1");
		} catch {
			// No IPv6 there.
		}
		this.#forwarding.set(name, { value, untilMicros: now + 1_000_000 });
		return value;
	}
}

/** Is there anybody to tell? */
function hears({ macAddress, hardwareType, flags }: Link): boolean {
	return macAddress !== null && hardwareType === ARPHRD_ETHER && (flags & IFF_NOARP) === 0;
}
