/**
 * `struct sockaddr` as bytes, both ways. Pure.
 * Layouts: <netinet/in.h>, <linux/if_packet.h>, <linux/netlink.h>, <sys/un.h>; host order is little-endian,
 * ports and addresses are in network order.
 */
import { formatAddress, parseAddress } from "../wire/ip.ts";
import { AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNIX } from "./constants.ts";

export type SocketAddress =
	| { readonly kind: "inet"; readonly address: string; readonly port: number }
	| {
			readonly kind: "inet6";
			readonly address: string;
			readonly port: number;
			readonly flowInfo: number;
			/** Interface index; needed for link-local addresses. */
			readonly scopeId: number;
	  }
	| {
			readonly kind: "packet";
			/** ETH_P_*. */
			readonly protocol: number;
			readonly interfaceIndex: number;
			/** ARPHRD_*; the kernel fills it on receive. */
			readonly hardwareType: number;
			/** PACKET_HOST …; the kernel fills it on receive. */
			readonly packetType: number;
			readonly hardwareAddress: Uint8Array;
	  }
	| { readonly kind: "netlink"; readonly portId: number; readonly groups: number }
	| { readonly kind: "unix"; readonly path: string }
	| { readonly kind: "other"; readonly family: number; readonly bytes: Uint8Array };

/** Large enough for every address here (`sizeof(struct sockaddr_storage)`). */
export const SOCKADDR_STORAGE_BYTES = 128;

const UNIX_PATH_BYTES = 108;

/** `sockaddr_in` or `sockaddr_in6` for 4 or 16 address bytes; `scopeId` is an interface index. */
export function encodeInternetAddress(address: Uint8Array, port: number, scopeId = 0): Uint8Array {
	if (address.length !== 4 && address.length !== 16)
		throw new RangeError(`an address has 4 or 16 bytes, not ${address.length}`);
	if (!Number.isInteger(port) || port < 0 || port > 0xffff) throw new RangeError(`no port: ${port}`);
	const bytes = new Uint8Array(address.length === 4 ? 16 : 28);
	const view = new DataView(bytes.buffer);
	view.setUint16(0, address.length === 4 ? AF_INET : AF_INET6, true);
	view.setUint16(2, port);
	bytes.set(address, address.length === 4 ? 4 : 8);
	if (address.length === 16) view.setUint32(24, scopeId, true);
	return bytes;
}

/** The same from text. Throws a RangeError when `address` is none. */
export function internetAddress(address: string, port: number, scopeId = 0): Uint8Array {
	const bytes = parseAddress(address);
	if (bytes === null) throw new RangeError(`no IP address: "${address}"`);
	return encodeInternetAddress(bytes, port, scopeId);
}

/** `sockaddr_ll`. `hardwareAddress` has at most 8 bytes. */
export function packetAddress(
	interfaceIndex: number,
	protocol: number,
	hardwareAddress: Uint8Array = new Uint8Array(0),
): Uint8Array {
	if (hardwareAddress.length > 8) throw new RangeError("a hardware address here has at most 8 bytes");
	const bytes = new Uint8Array(20);
	const view = new DataView(bytes.buffer);
	view.setUint16(0, AF_PACKET, true);
	view.setUint16(2, protocol);
	view.setInt32(4, interfaceIndex, true);
	bytes[11] = hardwareAddress.length;
	bytes.set(hardwareAddress, 12);
	return bytes;
}

/** `sockaddr_nl`. Port 0 is the kernel (or "choose one" in bind). */
export function netlinkAddress(portId = 0, groups = 0): Uint8Array {
	const bytes = new Uint8Array(12);
	const view = new DataView(bytes.buffer);
	view.setUint16(0, AF_NETLINK, true);
	view.setUint32(4, portId, true);
	view.setUint32(8, groups, true);
	return bytes;
}

/** `sockaddr_un`; a leading NUL names an abstract socket. */
export function unixAddress(path: string): Uint8Array {
	const name = new TextEncoder().encode(path);
	const abstract = name[0] === 0;
	if (name.length + (abstract ? 0 : 1) > UNIX_PATH_BYTES)
		throw new RangeError(`a socket path has at most ${UNIX_PATH_BYTES - 1} bytes: "${path}"`);
	const bytes = new Uint8Array(2 + name.length + (abstract ? 0 : 1));
	new DataView(bytes.buffer).setUint16(0, AF_UNIX, true);
	bytes.set(name, 2);
	return bytes;
}

export function encodeSocketAddress(address: Exclude<SocketAddress, { kind: "other" }>): Uint8Array {
	switch (address.kind) {
		case "inet":
			return internetAddress(address.address, address.port);
		case "inet6": {
			const bytes = internetAddress(address.address, address.port, address.scopeId);
			new DataView(bytes.buffer).setUint32(4, address.flowInfo);
			return bytes;
		}
		case "packet": {
			const bytes = packetAddress(address.interfaceIndex, address.protocol, address.hardwareAddress);
			new DataView(bytes.buffer).setUint16(8, address.hardwareType, true);
			bytes[10] = address.packetType;
			return bytes;
		}
		case "netlink":
			return netlinkAddress(address.portId, address.groups);
		case "unix":
			return unixAddress(address.path);
	}
}

/** Whatever the kernel wrote; too short or unknown addresses come back as `other`. */
export function decodeSocketAddress(bytes: Uint8Array): SocketAddress {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
	const family = bytes.length >= 2 ? view.getUint16(0, true) : 0;
	if (family === AF_INET && bytes.length >= 8)
		return { kind: "inet", address: formatAddress(bytes.subarray(4, 8)), port: view.getUint16(2) };
	if (family === AF_INET6 && bytes.length >= 28)
		return {
			kind: "inet6",
			address: formatAddress(bytes.subarray(8, 24)),
			port: view.getUint16(2),
			flowInfo: view.getUint32(4),
			scopeId: view.getUint32(24, true),
		};
	if (family === AF_PACKET && bytes.length >= 12)
		return {
			kind: "packet",
			protocol: view.getUint16(2),
			interfaceIndex: view.getInt32(4, true),
			hardwareType: view.getUint16(8, true),
			packetType: bytes[10]!,
			hardwareAddress: bytes.slice(12, Math.min(12 + bytes[11]!, bytes.length)),
		};
	if (family === AF_NETLINK && bytes.length >= 12)
		return { kind: "netlink", portId: view.getUint32(4, true), groups: view.getUint32(8, true) };
	if (family === AF_UNIX) {
		const name = bytes.subarray(2);
		const end = name[0] === 0 ? name.length : name.indexOf(0);
		return { kind: "unix", path: new TextDecoder().decode(end < 0 ? name : name.subarray(0, end)) };
	}
	return { kind: "other", family, bytes: bytes.slice() };
}
