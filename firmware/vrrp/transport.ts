/**
 * Adverts in and out: raw sockets, multicast groups, and the real-time thread's repeats and watches,
 * one port per virtual router. Decides nothing.
 */
import type { VrrpInstanceConfig } from "../config/model.ts";
import { MSG_DONTWAIT } from "../kernel/constants.ts";
import { native } from "../kernel/native.ts";
import { RawSocket } from "../kernel/raw-socket.ts";
import type { Datagram, Expiry, Frame, RealTime, Receiver, Repeat, Watch } from "../kernel/realtime.ts";
import { encodeInternetAddress } from "../kernel/sockaddr.ts";
import { parseAddress } from "../wire/ip.ts";
import { encodeIpPacket, type IpPacket } from "../wire/ip-packet.ts";
import { encodeAuthenticationHeader, PROTOCOL_AH, sealPacket } from "../wire/ipsec-ah.ts";
import {
	type Advertisement,
	type ChecksumScope,
	encodeAdvertisement,
	PROTOCOL_VRRP,
	simplePassword,
	TRAFFIC_CLASS,
	VRRP_HOP_LIMIT,
} from "../wire/vrrp.ts";
import { concerns } from "./engine.ts";
import type { Standing } from "./router.ts";

/** Offset of the VRID in what follows the IP header. */
const VRID_OFFSET = 1;
const VRID_OFFSET_AH = 25;
/** Adverts with sequence numbers prepared ahead; refilled by `maintain`. */
const PREPARED_ROUNDS = 256;
const REFILL_BELOW_ROUNDS = 64;

/** Of the socket that all routers of a family share. */
const RECEIVE_BUFFER_BYTES = 1_048_576;

export interface PortHandlers {
	onPacket(packet: IpPacket, atMicros: number): void;
	onExpired(expiry: Expiry): void;
	onLapse(atMicros: number): void;
}

interface SharedReceiver {
	readonly socket: RawSocket;
	readonly receiver: Receiver;
	/** How many ports use a membership, by group and interface. */
	readonly members: Map<string, number>;
}

interface SharedSender {
	readonly socket: RawSocket;
	users: number;
}

export class Transport {
	readonly realTime: RealTime;
	readonly #receiveBufferBytes: number;
	readonly #receivers = new Map<string, SharedReceiver>();
	readonly #senders = new Map<string, SharedSender>();
	readonly #onUnknown: ((virtualRouterId: number, frame: Frame) => void) | null;

	/** A receive buffer below Drover's own size counts for nothing. */
	constructor(
		realTime: RealTime,
		receiveBufferBytes: number,
		onUnknown: ((virtualRouterId: number, frame: Frame) => void) | null,
	) {
		this.realTime = realTime;
		this.#receiveBufferBytes = Math.max(RECEIVE_BUFFER_BYTES, receiveBufferBytes);
		this.#onUnknown = onUnknown;
	}

	/** Throws a SystemCallError when a socket cannot be had. */
	open(config: VrrpInstanceConfig, place: PortPlace, handlers: PortHandlers): Port {
		return new Port(this, config, place, handlers);
	}

	/** One socket per family and protocol receives for all routers. */
	receiver(family: "inet" | "inet6", protocol: number): SharedReceiver {
		const name = `${family}/${protocol}`;
		let shared = this.#receivers.get(name);
		if (shared === undefined) {
			const socket = RawSocket.open({ family, protocol, receiveBufferBytes: this.#receiveBufferBytes });
			const keyOffset = protocol === PROTOCOL_AH ? VRID_OFFSET_AH : VRID_OFFSET;
			const onUnknown = this.#onUnknown;
			const receiver = this.realTime.receiver({
				fd: socket.fd,
				family,
				keyOffset,
				...(onUnknown === null
					? {}
					: { onUnknown: (frame: Frame) => onUnknown(frame.payload[keyOffset] ?? 0, frame) }),
			});
			shared = { socket, receiver, members: new Map() };
			this.#receivers.set(name, shared);
		}
		return shared;
	}

	join(shared: SharedReceiver, group: string, interfaceIndex: number): void {
		const name = `${group}%${interfaceIndex}`;
		const users = shared.members.get(name) ?? 0;
		if (users === 0) shared.socket.joinGroup(group, interfaceIndex);
		shared.members.set(name, users + 1);
	}

	leave(shared: SharedReceiver, group: string, interfaceIndex: number): void {
		const name = `${group}%${interfaceIndex}`;
		const users = (shared.members.get(name) ?? 1) - 1;
		if (users > 0) {
			shared.members.set(name, users);
			return;
		}
		shared.members.delete(name);
		shared.socket.leaveGroup(group, interfaceIndex);
	}

	sender(name: string, open: () => RawSocket): RawSocket {
		let shared = this.#senders.get(name);
		if (shared === undefined) {
			shared = { socket: open(), users: 0 };
			this.#senders.set(name, shared);
		}
		shared.users++;
		return shared.socket;
	}

	returnSender(name: string): void {
		const shared = this.#senders.get(name);
		if (shared === undefined || --shared.users > 0) return;
		this.#senders.delete(name);
		shared.socket.close();
	}

	close(): void {
		for (const { socket, receiver } of this.#receivers.values()) {
			receiver.close();
			socket.close();
		}
		this.#receivers.clear();
		for (const { socket } of this.#senders.values()) socket.close();
		this.#senders.clear();
	}
}

/** What the real-time thread may do without asking when the master has gone silent. */
export interface Takeover {
	readonly priority: number;
	readonly intervalMicros: number;
	/** After the first advert. */
	readonly opening: readonly Datagram[];
}

/** The interfaces as they are now. */
export interface PortPlace {
	/**
	 * Where adverts come in; empty with unicast and no interface. With a virtual MAC that is its interface
	 * too: a peer has the same MAC, and macvlan in private mode gives frames from it to its own namesake.
	 */
	readonly receiveIndexes: readonly number[];
	/** Where adverts leave: the interface, or the virtual MAC's. */
	readonly sendName: string | null;
	readonly sendIndex: number | null;
	readonly sourceAddress: string | null;
}

/** A virtual router's way in and out. */
export class Port {
	/** May be replaced by one that needs no other sockets. */
	config: VrrpInstanceConfig;
	readonly place: PortPlace;
	readonly #transport: Transport;
	readonly #shared: SharedReceiver;
	readonly #senderName: string;
	readonly #sender: RawSocket;
	readonly #repeat: Repeat;
	/** What it has sent since, it began by itself. */
	#sentWhenToldTo = 0;
	readonly #watch: Watch;
	/** The frame that is being judged right now. */
	#frame: Frame | null = null;
	#pinned: Advertisement | null = null;
	#pinnedFrame: Frame | null = null;
	#pinnedTimeoutMicros = 0;
	#advert: Standing["advert"] = null;
	#matched = 0;
	#matchedAtMicros = 0;
	#repeated = 0;
	/** RFC 2402 §2.5. It starts at the time of day, so that it grows across restarts. */
	#sequenceNumber = Math.floor(native.realtimeMicros() / 1_000_000) >>> 0;
	#identification = 0;

	constructor(transport: Transport, config: VrrpInstanceConfig, place: PortPlace, handlers: PortHandlers) {
		this.config = config;
		this.place = place;
		this.#transport = transport;
		const authenticated = config.authentication?.type === "AH";
		const protocol = authenticated ? PROTOCOL_AH : PROTOCOL_VRRP;
		const { family } = config;
		this.#shared = transport.receiver(family, protocol);
		if (config.unicastPeers.length === 0)
			for (const index of place.receiveIndexes)
				transport.join(this.#shared, config.multicastDestination, index);
		const hopLimit = config.unicastPeers.length > 0 ? (config.unicastTtl ?? VRRP_HOP_LIMIT) : VRRP_HOP_LIMIT;
		const bound = family === "inet6" ? `/${place.sourceAddress}/${hopLimit}` : "";
		this.#senderName = `${family}/${protocol}/${place.sendName ?? ""}/${place.sendIndex}${bound}`;
		this.#sender = transport.sender(this.#senderName, () =>
			RawSocket.open({
				family,
				protocol,
				hopLimit,
				trafficClass: TRAFFIC_CLASS,
				sendOnly: true,
				headerIncluded: family === "inet",
				...(place.sendName === null ? {} : { interface: place.sendName }),
				...(place.sendIndex === null ? {} : { multicastInterfaceIndex: place.sendIndex }),
				...(family === "inet6" && place.sourceAddress !== null ? { source: place.sourceAddress } : {}),
			}),
		);
		this.#repeat = transport.realTime.repeat(({ atMicros }) => handlers.onLapse(atMicros));
		this.#watch = this.#shared.receiver.watch(config.virtualRouterId, {
			onFrame: (frame) => {
				const packet = this.#packetOf(frame, protocol);
				if (place.receiveIndexes.length > 0 && !place.receiveIndexes.includes(frame.interfaceIndex)) return;
				if (!concerns(this.config, this.config.interface, packet)) return;
				this.#frame = frame;
				handlers.onPacket(packet, frame.atMicros);
				this.#frame = null;
			},
			onExpired: handlers.onExpired,
		});
	}

	/** keepalived counts one sequence for all routers of a VRID: what was heard must be exceeded. */
	sequenceAtLeast(heard: number): void {
		if (heard > this.#sequenceNumber) this.#sequenceNumber = heard >>> 0;
	}

	/** One advert right now. */
	send(priority: number): void {
		for (const { fd, address, data } of this.#round(priority)) native.sendTo(fd, data, address, MSG_DONTWAIT);
		// The prepared ones have older sequence numbers.
		if (this.config.authentication?.type === "AH" && this.#advert !== null) this.#prepare(this.#advert);
	}

	/** Repeats from now on as told, or not at all. */
	setAdvert(advert: Standing["advert"]): void {
		const running = this.#advert !== null;
		this.#advert = advert;
		if (advert === null) {
			if (running) {
				this.#repeat.stop(false);
				this.#sentWhenToldTo = this.#repeat.statistics().sent;
			}
			return;
		}
		this.#prepare(advert);
		this.#repeat.start(advert.anchorMicros, advert.intervalMicros);
	}

	/** Sets up what the thread does by itself when the watch expires: adverts, and the opening after the first one. */
	setTakeover(takeover: Takeover | null): void {
		if (this.#advert !== null) return;
		if (takeover === null) {
			this.#watch.startOnExpiry(null);
			return;
		}
		this.#repeat.set(this.#round(takeover.priority), this.#round(0));
		this.#repeat.setOpening(takeover.opening);
		this.#watch.startOnExpiry(this.#repeat, takeover.intervalMicros);
	}

	/** The thread has taken over, and nobody has said yet that it shall go on: perhaps for so long that it lapsed. */
	get tookOver(): boolean {
		return this.#advert === null && this.#repeat.statistics().sent > this.#sentWhenToldTo;
	}

	/** The thread took over when it was not meant to any more. */
	retract(): void {
		if (this.#advert !== null) return;
		this.#repeat.stop(true);
		this.#sentWhenToldTo = this.#repeat.statistics().sent;
	}

	setWatch(watch: Standing["watch"]): void {
		if (watch === null) {
			this.#watch.disarm();
			this.#pinned = null;
			this.#pinnedFrame = null;
			return;
		}
		const advertisement = watch.expected?.advertisement ?? null;
		const isNew = advertisement !== this.#pinned;
		// Only a frame at hand can be pinned; without one the next is looked at, and pinned then.
		const frame = isNew ? this.#frame : this.#pinnedFrame;
		if (advertisement === null || frame === null) {
			if (this.#pinned !== null) this.#watch.unpin();
			this.#pinned = null;
			this.#pinnedFrame = null;
			this.#watch.rearm(watch.deadlineMicros);
			return;
		}
		if (isNew || watch.timeoutMicros !== this.#pinnedTimeoutMicros) {
			// Not `accept`: the pinned frame may have come long ago, and what follows from its time is over.
			this.#watch.pin(frame, watch.timeoutMicros);
			this.#pinned = advertisement;
			this.#pinnedFrame = frame;
			this.#pinnedTimeoutMicros = watch.timeoutMicros;
		}
		this.#watch.rearm(watch.deadlineMicros);
	}

	/**
	 * What the thread has heard of the master without a word since the last call: how often in time, and when last. Null:
	 * nothing. What others send on this wire says nothing of the master.
	 */
	heardAgain(): { readonly count: number; readonly lastAtMicros: number } | null {
		const { matched, lastMatchedAtMicros } = this.#watch.statistics();
		if (lastMatchedAtMicros <= this.#matchedAtMicros) return null;
		const count = matched - this.#matched;
		this.#matched = matched;
		this.#matchedAtMicros = lastMatchedAtMicros;
		return { count, lastAtMicros: lastMatchedAtMicros };
	}

	/** Adverts that the thread repeated since the last call. */
	repeated(): number {
		const { sent } = this.#repeat.statistics();
		const destinations = Math.max(1, this.config.unicastPeers.length);
		const count = Math.floor((sent - this.#repeated) / destinations);
		this.#repeated += count * destinations;
		return count;
	}

	statistics() {
		return this.#repeat.statistics();
	}

	/** When the next repeated advert is due; null when none is. */
	get nextAdvertMicros(): number | null {
		const { running, nextAtMicros } = this.#repeat.statistics();
		return running ? nextAtMicros : null;
	}

	/** Starts the repeats again after a lapse of the lease. */
	resume(advert: NonNullable<Standing["advert"]>): void {
		this.setAdvert(advert);
	}

	/** Sequence numbers run out: prepares more. Cheap otherwise. */
	maintain(): void {
		if (this.#advert === null || this.config.authentication?.type !== "AH") return;
		if (this.#repeat.statistics().roundsLeft < REFILL_BELOW_ROUNDS) this.#prepare(this.#advert);
	}

	close(): void {
		this.#repeat.close();
		this.#watch.close();
		if (this.config.unicastPeers.length === 0)
			for (const index of this.place.receiveIndexes)
				this.#transport.leave(this.#shared, this.config.multicastDestination, index);
		this.#transport.returnSender(this.#senderName);
	}

	#prepare(advert: NonNullable<Standing["advert"]>): void {
		if (this.config.authentication?.type !== "AH") {
			this.#repeat.set(this.#round(advert.priority), this.#round(0));
			return;
		}
		const rounds = Array.from({ length: PREPARED_ROUNDS }, () => this.#round(advert.priority));
		this.#repeat.setRounds(rounds, this.#round(0));
	}

	#packetOf(frame: Frame, protocol: number): IpPacket {
		return {
			family: this.config.family,
			source: frame.source,
			destination: frame.destination,
			hopLimit: frame.hopLimit,
			protocol,
			header: frame.header,
			payload: frame.payload,
		};
	}

	/** An advert to everyone who shall hear it. */
	#round(priority: number): Datagram[] {
		const { config, place } = this;
		if (place.sourceAddress === null) return [];
		const source = parseAddress(place.sourceAddress)!;
		const unicast = config.unicastPeers.length > 0;
		const destinations = unicast
			? config.unicastPeers.map(({ address }) => address)
			: [config.multicastDestination];
		return destinations.map((text) => {
			const destination = parseAddress(text)!;
			return {
				fd: this.#sender.fd,
				address: encodeInternetAddress(destination, 0, isScoped(destination) ? (place.sendIndex ?? 0) : 0),
				data: this.#packet(priority, source, destination, unicast),
			};
		});
	}

	#packet(priority: number, source: Uint8Array, destination: Uint8Array, unicast: boolean): Uint8Array {
		const { config } = this;
		const { authentication } = config;
		const type = authentication === null ? 0 : authentication.type === "PASS" ? 1 : 2;
		const message = encodeAdvertisement(
			{
				version: config.version,
				virtualRouterId: config.virtualRouterId,
				priority,
				intervalMicros: config.advertIntervalMicros,
				authenticationType: config.family === "inet" && config.version === 2 ? type : 0,
				addresses: config.virtualAddresses.map(({ address }) => address),
			},
			config.family,
			this.#checksumScope(source, destination, unicast),
			authentication?.type === "PASS" && config.version === 2
				? simplePassword(authentication.password)
				: null,
		);
		if (config.family === "inet6") return message;
		const fields = {
			source,
			destination,
			hopLimit: unicast ? (config.unicastTtl ?? VRRP_HOP_LIMIT) : VRRP_HOP_LIMIT,
			trafficClass: TRAFFIC_CLASS,
		};
		if (authentication?.type !== "AH")
			return encodeIpPacket({ ...fields, protocol: PROTOCOL_VRRP, identification: 0 }, message);
		this.#sequenceNumber = (this.#sequenceNumber + 1) >>> 0;
		// The check value covers it, so the kernel must not choose it.
		this.#identification = (this.#identification % 0xffff) + 1;
		const header = encodeAuthenticationHeader(PROTOCOL_VRRP, source, this.#sequenceNumber);
		const payload = new Uint8Array(header.length + message.length);
		payload.set(header);
		payload.set(message, header.length);
		const packet = encodeIpPacket(
			{ ...fields, protocol: PROTOCOL_AH, identification: this.#identification },
			payload,
		);
		sealPacket(packet, simplePassword(authentication.password), unicast);
		return packet;
	}

	#checksumScope(source: Uint8Array, destination: Uint8Array, unicast: boolean): ChecksumScope {
		const { config } = this;
		if (config.family === "inet" && (config.version === 2 || config.checksumWithoutPseudoHeader))
			return { kind: "message" };
		const old = unicast && config.family === "inet" && config.oldUnicastChecksum === "always";
		return {
			kind: "pseudo-header",
			source,
			destination: old ? parseAddress(config.multicastDestination)! : destination,
		};
	}
}

/** Link-local, unicast or multicast: it means nothing without an interface. */
function isScoped(address: Uint8Array): boolean {
	if (address.length !== 16) return false;
	if (address[0] === 0xff) return (address[1]! & 0x0f) <= 2;
	return address[0] === 0xfe && (address[1]! & 0xc0) === 0x80;
}
