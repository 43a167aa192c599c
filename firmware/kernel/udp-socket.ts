/** UDP sockets (udp(7)) that say from how far a datagram came: for protocols that believe only their neighbours. */
import {
	AF_INET,
	AF_INET6,
	IP_FREEBIND,
	IP_RECVTTL,
	IP_TOS,
	IP_TTL,
	IPPROTO_IP,
	IPPROTO_IPV6,
	IPPROTO_UDP,
	IPV6_FREEBIND,
	IPV6_HOPLIMIT,
	IPV6_RECVHOPLIMIT,
	IPV6_TCLASS,
	IPV6_UNICAST_HOPS,
	IPV6_V6ONLY,
	MSG_DONTWAIT,
	MSG_TRUNC,
	SO_PRIORITY,
	SOCK_DGRAM,
	SOCK_NONBLOCK,
	SOL_SOCKET,
} from "./constants.ts";
import { eachControlMessage } from "./control-message.ts";
import { EAGAIN, SystemCallError } from "./errno.ts";
import { native } from "./native.ts";
import {
	decodeSocketAddress,
	encodeSocketAddress,
	SOCKADDR_STORAGE_BYTES,
	type SocketAddress,
} from "./sockaddr.ts";
import { type Watch, watchReadable } from "./watch.ts";

type InternetAddress = Extract<SocketAddress, { kind: "inet" | "inet6" }>;

export interface UdpDatagram {
	readonly source: InternetAddress;
	/** TTL or hop limit on arrival; -1 when the kernel told none. */
	readonly hopLimit: number;
	/** Valid during the callback only. */
	readonly payload: Uint8Array;
}

export interface UdpSocketOptions {
	readonly family: "inet" | "inet6";
	/** Local port. */
	readonly port: number;
	/** Local address; it need not be on this host yet. Default: any. */
	readonly address?: string;
	/** TTL or hop limit of what is sent. */
	readonly hopLimit?: number;
}

/** Datagrams read in one go before other callbacks get their turn. */
const DATAGRAMS_PER_WAKE = 64;
/** Internetwork control (RFC 2474 §4.2.2.2). */
const TRAFFIC_CLASS = 0xc0;
/** TC_PRIO_CONTROL: ahead of the box's other traffic in its own queues. */
const CONTROL_PRIORITY = 7;

export class UdpSocket {
	readonly #fd: number;
	#watch: Watch | null = null;
	#closed = false;

	private constructor(fd: number) {
		this.#fd = fd;
	}

	/** Bound and non-blocking. Throws a SystemCallError. */
	static open({ family, port, address, hopLimit }: UdpSocketOptions): UdpSocket {
		const v4 = family === "inet";
		const fd = native.socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, IPPROTO_UDP);
		if (fd < 0) throw new SystemCallError("UDP socket", fd);
		const socket = new UdpSocket(fd);
		try {
			const [level, options] = v4
				? [IPPROTO_IP, { [IP_RECVTTL]: 1, [IP_TOS]: TRAFFIC_CLASS, [IP_FREEBIND]: 1 }]
				: [
						IPPROTO_IPV6,
						{ [IPV6_RECVHOPLIMIT]: 1, [IPV6_TCLASS]: TRAFFIC_CLASS, [IPV6_FREEBIND]: 1, [IPV6_V6ONLY]: 1 },
					];
			for (const [name, value] of Object.entries(options)) socket.#set(level, Number(name), value);
			if (hopLimit !== undefined) socket.#set(level, v4 ? IP_TTL : IPV6_UNICAST_HOPS, hopLimit);
			socket.#set(SOL_SOCKET, SO_PRIORITY, CONTROL_PRIORITY);
			const local = v4
				? ({ kind: "inet", address: address ?? "0.0.0.0", port } as const)
				: ({ kind: "inet6", address: address ?? "::", port, flowInfo: 0, scopeId: 0 } as const);
			const status = native.bind(fd, encodeSocketAddress(local));
			if (status < 0) throw new SystemCallError(`bind to ${local.address} port ${port}`, status);
		} catch (error) {
			socket.close();
			throw error;
		}
		return socket;
	}

	/** Returns the datagram's length or -errno. */
	send(data: Uint8Array, to: InternetAddress): number {
		return native.sendTo(this.#fd, data, encodeSocketAddress(to), MSG_DONTWAIT);
	}

	/** Calls back for each datagram of at most `limitBytes` until `close`; longer ones are dropped. */
	receive(limitBytes: number, onDatagram: (datagram: UdpDatagram) => void): void {
		const buffer = new Uint8Array(limitBytes);
		const name = new Uint8Array(SOCKADDR_STORAGE_BYTES);
		const control = new Uint8Array(256);
		const lengths = new Int32Array(3);
		this.#watch = watchReadable(this.#fd, () => {
			for (let count = 0; count < DATAGRAMS_PER_WAKE && !this.#closed; count++) {
				const length = native.receiveMessage(this.#fd, buffer, name, control, lengths, MSG_DONTWAIT);
				if (length === -EAGAIN) return;
				// An ICMP error about something sent: the next read goes on.
				if (length < 0 || (lengths[2]! & MSG_TRUNC) !== 0) continue;
				const source = decodeSocketAddress(name.subarray(0, lengths[0]!));
				if (source.kind !== "inet" && source.kind !== "inet6") continue;
				onDatagram({
					source,
					hopLimit: hopLimitOf(control.subarray(0, lengths[1]!)),
					payload: buffer.subarray(0, length),
				});
			}
		});
	}

	close(): void {
		if (this.#closed) return;
		this.#closed = true;
		this.#watch?.close();
		native.close(this.#fd);
	}

	#set(level: number, name: number, value: number): void {
		const status = native.setSocketOption(
			this.#fd,
			level,
			name,
			new Uint8Array(new Int32Array([value]).buffer),
		);
		if (status < 0) throw new SystemCallError(`socket option ${level}/${name}`, status);
	}
}

function hopLimitOf(control: Uint8Array): number {
	let hopLimit = -1;
	eachControlMessage(control, (level, kind, data) => {
		if ((level === IPPROTO_IP && kind === IP_TTL) || (level === IPPROTO_IPV6 && kind === IPV6_HOPLIMIT))
			if (data.byteLength >= 4) hopLimit = data.getInt32(0, true);
	});
	return hopLimit;
}
