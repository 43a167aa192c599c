/**
 * Raw IP sockets (raw(7), ipv6(7)): VRRP (112), AH (51), ICMP.
 * IPv4 sockets receive the IP header too; IPv6 sockets receive the payload only.
 */
import { parseAddress } from "../wire/ip.ts";
import {
	AF_INET,
	AF_INET6,
	IP_ADD_MEMBERSHIP,
	IP_DROP_MEMBERSHIP,
	IP_FREEBIND,
	IP_HDRINCL,
	IP_MTU_DISCOVER,
	IP_MULTICAST_ALL,
	IP_MULTICAST_IF,
	IP_MULTICAST_LOOP,
	IP_MULTICAST_TTL,
	IP_PKTINFO,
	IP_PMTUDISC_DONT,
	IP_TOS,
	IP_TTL,
	IPPROTO_IP,
	IPPROTO_IPV6,
	IPV6_CHECKSUM,
	IPV6_FREEBIND,
	IPV6_HOPLIMIT,
	IPV6_JOIN_GROUP,
	IPV6_LEAVE_GROUP,
	IPV6_MULTICAST_ALL,
	IPV6_MULTICAST_HOPS,
	IPV6_MULTICAST_IF,
	IPV6_MULTICAST_LOOP,
	IPV6_PKTINFO,
	IPV6_RECVHOPLIMIT,
	IPV6_RECVPKTINFO,
	IPV6_TCLASS,
	IPV6_UNICAST_HOPS,
	MSG_DONTWAIT,
	MSG_TRUNC,
	SCM_TIMESTAMPNS,
	SO_BINDTODEVICE,
	SO_MARK,
	SO_PRIORITY,
	SO_RCVBUF,
	SO_TIMESTAMPNS,
	SOCK_NONBLOCK,
	SOCK_RAW,
	SOL_RAW,
	SOL_SOCKET,
} from "./constants.ts";
import { eachControlMessage } from "./control-message.ts";
import { EAGAIN, SystemCallError } from "./errno.ts";
import { native } from "./native.ts";
import { encodeInternetAddress, SOCKADDR_STORAGE_BYTES } from "./sockaddr.ts";
import { type Watch, watchReadable } from "./watch.ts";

export interface RawSocketOptions {
	readonly family: "inet" | "inet6";
	/** IPPROTO_*. */
	readonly protocol: number;
	/** SO_BINDTODEVICE: receives and sends on this interface only. It outlives link down and up, not deletion. */
	readonly interface?: string;
	/** Source address; need not be on this host yet (IP_FREEBIND). */
	readonly source?: string;
	/** IPv4: what is sent begins with the IP header (the kernel fills total length, checksum, and an id of 0). */
	readonly headerIncluded?: boolean;
	/** TTL or hop limit of what is sent, unicast and multicast. Default 255. */
	readonly hopLimit?: number;
	/** TOS or traffic class. Default 0xC0 (internetwork control), as VRRP has it. */
	readonly trafficClass?: number;
	/** Interface index for multicast sends. */
	readonly multicastInterfaceIndex?: number;
	/** Own multicast comes back to this host. Default false. */
	readonly multicastLoop?: boolean;
	readonly mark?: number;
	/** IPv6: the kernel computes the checksum at this offset when sending and checks it when receiving. */
	readonly checksumOffset?: number;
	/** Default 256 KiB: at 250 instances × 100 adverts/s that is a quarter of a second. */
	readonly receiveBufferBytes?: number;
	/** Discards everything that comes in: for sockets that only send. */
	readonly sendOnly?: boolean;
}

export interface RawDatagram {
	/** 4 or 16 bytes. */
	readonly source: Uint8Array;
	/** From the header or IP_PKTINFO / IPV6_PKTINFO. */
	readonly destination: Uint8Array;
	readonly interfaceIndex: number;
	/** TTL or hop limit; -1 when the kernel told none. */
	readonly hopLimit: number;
	/** Kernel receive time, CLOCK_REALTIME µs; NaN when the kernel told none. */
	readonly receivedAtRealtimeMicros: number;
	/** The IPv4 header as received (empty for IPv6). Valid during the callback only, as is `payload`. */
	readonly header: Uint8Array;
	readonly payload: Uint8Array;
}

/** Any IP datagram fits. */
const BUFFER_BYTES = 65_536;
/** Datagrams read in one go before other callbacks get their turn. */
const DATAGRAMS_PER_WAKE = 64;
/** struct sock_filter of "return 0": BPF_RET | BPF_K. */
const DROP_ALL = new Uint8Array([0x06, 0, 0, 0, 0, 0, 0, 0]);

const int = (value: number) => new Uint8Array(new Int32Array([value]).buffer);

export class RawSocket {
	readonly fd: number;
	readonly family: "inet" | "inet6";
	#watch: Watch | null = null;
	#closed = false;

	private constructor(fd: number, family: "inet" | "inet6") {
		this.fd = fd;
		this.family = family;
	}

	/** Non-blocking, with packet information, hop limit and kernel time stamps on. Throws a SystemCallError. */
	static open(options: RawSocketOptions): RawSocket {
		const v4 = options.family === "inet";
		const fd = native.socket(v4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_NONBLOCK, options.protocol);
		if (fd < 0) throw new SystemCallError(`raw socket of protocol ${options.protocol}`, fd);
		const socket = new RawSocket(fd, options.family);
		try {
			socket.#configure(options, v4);
		} catch (error) {
			socket.close();
			throw error;
		}
		return socket;
	}

	#configure(options: RawSocketOptions, v4: boolean): void {
		if (options.sendOnly) this.#must("SO_ATTACH_FILTER", native.attachFilter(this.fd, DROP_ALL));
		if (options.interface !== undefined)
			this.#must(
				`SO_BINDTODEVICE ${options.interface}`,
				native.setSocketOption(
					this.fd,
					SOL_SOCKET,
					SO_BINDTODEVICE,
					new TextEncoder().encode(options.interface),
				),
			);
		this.#set("SO_TIMESTAMPNS", SOL_SOCKET, SO_TIMESTAMPNS, 1);
		this.#set("SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, options.receiveBufferBytes ?? 262_144);
		// TC_PRIO_CONTROL: ahead of the box's other traffic in its own queues.
		this.#set("SO_PRIORITY", SOL_SOCKET, SO_PRIORITY, 7);
		if (options.mark !== undefined) this.#set("SO_MARK", SOL_SOCKET, SO_MARK, options.mark);
		const hopLimit = options.hopLimit ?? 255;
		const loop = options.multicastLoop ? 1 : 0;
		const trafficClass = options.trafficClass ?? 0xc0;
		if (v4) {
			this.#set("IP_PKTINFO", IPPROTO_IP, IP_PKTINFO, 1);
			this.#set("IP_TTL", IPPROTO_IP, IP_TTL, hopLimit);
			this.#set("IP_MULTICAST_TTL", IPPROTO_IP, IP_MULTICAST_TTL, hopLimit);
			this.#set("IP_MULTICAST_LOOP", IPPROTO_IP, IP_MULTICAST_LOOP, loop);
			this.#set("IP_MULTICAST_ALL", IPPROTO_IP, IP_MULTICAST_ALL, 0);
			this.#set("IP_TOS", IPPROTO_IP, IP_TOS, trafficClass);
			// No DF: the kernel then counts the IP id.
			this.#set("IP_MTU_DISCOVER", IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
			this.#set("IP_FREEBIND", IPPROTO_IP, IP_FREEBIND, 1);
			if (options.headerIncluded) this.#set("IP_HDRINCL", IPPROTO_IP, IP_HDRINCL, 1);
			if (options.multicastInterfaceIndex !== undefined) {
				// struct ip_mreqn: group, address, index.
				const request = new Uint8Array(12);
				new DataView(request.buffer).setInt32(8, options.multicastInterfaceIndex, true);
				this.#must("IP_MULTICAST_IF", native.setSocketOption(this.fd, IPPROTO_IP, IP_MULTICAST_IF, request));
			}
		} else {
			this.#set("IPV6_RECVPKTINFO", IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
			this.#set("IPV6_RECVHOPLIMIT", IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
			this.#set("IPV6_UNICAST_HOPS", IPPROTO_IPV6, IPV6_UNICAST_HOPS, hopLimit);
			this.#set("IPV6_MULTICAST_HOPS", IPPROTO_IPV6, IPV6_MULTICAST_HOPS, hopLimit);
			this.#set("IPV6_MULTICAST_LOOP", IPPROTO_IPV6, IPV6_MULTICAST_LOOP, loop);
			this.#set("IPV6_MULTICAST_ALL", IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0);
			this.#set("IPV6_TCLASS", IPPROTO_IPV6, IPV6_TCLASS, trafficClass);
			this.#set("IPV6_FREEBIND", IPPROTO_IPV6, IPV6_FREEBIND, 1);
			if (options.checksumOffset !== undefined)
				this.#set("IPV6_CHECKSUM", SOL_RAW, IPV6_CHECKSUM, options.checksumOffset);
			if (options.multicastInterfaceIndex !== undefined)
				this.#set("IPV6_MULTICAST_IF", IPPROTO_IPV6, IPV6_MULTICAST_IF, options.multicastInterfaceIndex);
		}
		if (options.source !== undefined) {
			const address = addressOf(options.source);
			const scope = isLinkLocal(address) ? (options.multicastInterfaceIndex ?? 0) : 0;
			this.#must(`bind to ${options.source}`, native.bind(this.fd, encodeInternetAddress(address, 0, scope)));
		}
	}

	/** Joins a multicast group on an interface; already being a member is fine. Throws a SystemCallError. */
	joinGroup(group: string, interfaceIndex: number): void {
		const status = this.#membership(group, interfaceIndex, IP_ADD_MEMBERSHIP, IPV6_JOIN_GROUP);
		if (status < 0 && -status !== EADDRINUSE)
			throw new SystemCallError(`joining ${group} on interface ${interfaceIndex}`, status);
	}

	/** Leaves it; not being a member (the interface is gone) is fine. */
	leaveGroup(group: string, interfaceIndex: number): void {
		this.#membership(group, interfaceIndex, IP_DROP_MEMBERSHIP, IPV6_LEAVE_GROUP);
	}

	#membership(group: string, interfaceIndex: number, v4Option: number, v6Option: number): number {
		const address = addressOf(group);
		if (this.family === "inet") {
			// struct ip_mreqn
			const request = new Uint8Array(12);
			request.set(address, 0);
			new DataView(request.buffer).setInt32(8, interfaceIndex, true);
			return native.setSocketOption(this.fd, IPPROTO_IP, v4Option, request);
		}
		// struct ipv6_mreq
		const request = new Uint8Array(20);
		request.set(address, 0);
		new DataView(request.buffer).setUint32(16, interfaceIndex, true);
		return native.setSocketOption(this.fd, IPPROTO_IPV6, v6Option, request);
	}

	/** Sends one datagram to `address` (4 or 16 bytes). Returns its length or -errno. */
	send(data: Uint8Array, address: Uint8Array, scopeId = 0): number {
		return native.sendTo(this.fd, data, encodeInternetAddress(address, 0, scopeId), MSG_DONTWAIT);
	}

	/** Calls back for each datagram until `close`. An error of the socket (ENETDOWN, ICMP) goes to `onError`; it lives on. */
	receive(onDatagram: (datagram: RawDatagram) => void, onError?: (errno: number) => void): void {
		const buffer = new Uint8Array(BUFFER_BYTES);
		const name = new Uint8Array(SOCKADDR_STORAGE_BYTES);
		const control = new Uint8Array(512);
		const lengths = new Int32Array(3);
		this.#watch?.close();
		this.#watch = watchReadable(this.fd, () => {
			for (let count = 0; count < DATAGRAMS_PER_WAKE && !this.#closed; count++) {
				const length = native.receiveMessage(this.fd, buffer, name, control, lengths, MSG_DONTWAIT);
				if (length === -EAGAIN) return;
				if (length < 0) {
					onError?.(-length);
					return;
				}
				if ((lengths[2]! & MSG_TRUNC) !== 0) continue;
				const datagram = decodeRawDatagram(
					this.family,
					buffer.subarray(0, length),
					name.subarray(0, lengths[0]!),
					control.subarray(0, lengths[1]!),
				);
				if (datagram !== null) onDatagram(datagram);
			}
		});
	}

	close(): void {
		if (this.#closed) return;
		this.#closed = true;
		this.#watch?.close();
		native.close(this.fd);
	}

	#set(what: string, level: number, name: number, value: number): void {
		this.#must(what, native.setSocketOption(this.fd, level, name, int(value)));
	}

	#must(what: string, status: number): void {
		if (status < 0) throw new SystemCallError(what, status);
	}
}

const EADDRINUSE = 98;

function addressOf(text: string): Uint8Array {
	const bytes = parseAddress(text);
	if (bytes === null) throw new RangeError(`no IP address: "${text}"`);
	return bytes;
}

/** fe80::/10, RFC 4291 §2.5.6. */
function isLinkLocal(address: Uint8Array): boolean {
	return address.length === 16 && address[0] === 0xfe && (address[1]! & 0xc0) === 0x80;
}

/** What recvmsg gave, put together; null when it is no datagram of the family. Pure. */
export function decodeRawDatagram(
	family: "inet" | "inet6",
	data: Uint8Array,
	name: Uint8Array,
	control: Uint8Array,
): RawDatagram | null {
	let interfaceIndex = 0;
	let hopLimit = -1;
	let receivedAtRealtimeMicros = Number.NaN;
	let destination: Uint8Array | null = null;
	eachControlMessage(control, (level, kind, view) => {
		if (level === SOL_SOCKET && kind === SCM_TIMESTAMPNS && view.byteLength >= 16)
			receivedAtRealtimeMicros =
				Number(view.getBigInt64(0, true)) * 1e6 + Math.floor(Number(view.getBigInt64(8, true)) / 1e3);
		else if (level === IPPROTO_IP && kind === IP_PKTINFO && view.byteLength >= 12)
			interfaceIndex = view.getInt32(0, true);
		else if (level === IPPROTO_IPV6 && kind === IPV6_PKTINFO && view.byteLength >= 20) {
			destination = new Uint8Array(view.buffer, view.byteOffset, 16).slice();
			interfaceIndex = view.getInt32(16, true);
		} else if (level === IPPROTO_IPV6 && kind === IPV6_HOPLIMIT && view.byteLength >= 4)
			hopLimit = view.getInt32(0, true);
	});
	if (family === "inet") {
		const headerBytes = data.length >= 20 && data[0]! >> 4 === 4 ? (data[0]! & 15) * 4 : 0;
		if (headerBytes < 20 || headerBytes > data.length) return null;
		return {
			source: data.slice(12, 16),
			destination: data.slice(16, 20),
			interfaceIndex,
			hopLimit: data[8]!,
			receivedAtRealtimeMicros,
			header: data.subarray(0, headerBytes),
			payload: data.subarray(headerBytes),
		};
	}
	if (name.length < 24) return null;
	return {
		source: name.slice(8, 24),
		destination: destination ?? new Uint8Array(16),
		interfaceIndex,
		hopLimit,
		receivedAtRealtimeMicros,
		header: data.subarray(0, 0),
		payload: data,
	};
}
