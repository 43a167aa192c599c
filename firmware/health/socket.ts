/**
 * The sockets that probes are made of: bound, marked and pointed at a check's target as the
 * configuration says, non-blocking, and with the kernel's own reason when something fails.
 */
import type { CheckTarget } from "../config/model.ts";
import {
	AF_INET,
	AF_INET6,
	IPPROTO_TCP,
	SO_BINDTODEVICE,
	SO_LINGER,
	SO_MARK,
	SO_REUSEADDR,
	SOCK_NONBLOCK,
	SOCK_STREAM,
	SOL_SOCKET,
} from "../kernel/constants.ts";
import { EADDRNOTAVAIL, EAGAIN, EINPROGRESS, ENOBUFS } from "../kernel/errno.ts";
import { native } from "../kernel/native.ts";
import { internetAddress } from "../kernel/sockaddr.ts";
import { ipv4Number } from "../wire/ip.ts";
import { reasonOf } from "./reason.ts";

/** A socket that is connected or connecting, or why there is none. */
export type Opened =
	| { readonly kind: "open"; readonly fd: number }
	/** This box could not ask: a bind, a descriptor, a port was not to be had. */
	| { readonly kind: "local"; readonly detail: string }
	/** The kernel said no at once: no route, refused on loopback. */
	| { readonly kind: "refused"; readonly detail: string };

const one = Uint8Array.of(1, 0, 0, 0);
const zero = new Uint8Array(4);
/** `struct linger { 1, 0 }`: close sends RST, and leaves no TIME_WAIT that would use up our ports. */
const lingerZero = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0);
/** <linux/tcp.h> */
const TCP_QUICKACK = 12;

/** IPv6 targets' sockaddr bytes: each asks for the same ones for ever. */
const targetAddresses = new WeakMap<CheckTarget, Uint8Array>();
/** `struct sockaddr_in` of whom is asked for; a few bytes kept for each of tens of thousands would be megabytes. */
const inetAddress = internetAddress("0.0.0.0", 0);

/** Valid until the next target is asked for. */
function addressOf(target: CheckTarget): Uint8Array {
	if (target.family === "inet") {
		const number = ipv4Number(target.address);
		if (number < 0) throw new RangeError(`no IP address: "${target.address}"`);
		inetAddress[2] = target.port >>> 8;
		inetAddress[3] = target.port;
		inetAddress[4] = number >>> 24;
		inetAddress[5] = number >>> 16;
		inetAddress[6] = number >>> 8;
		inetAddress[7] = number;
		return inetAddress;
	}
	let bytes = targetAddresses.get(target);
	if (bytes === undefined) {
		const scopeId = scopeOf(target, target.address);
		bytes = internetAddress(target.address, target.port, scopeId);
		// An interface that is made anew has another index.
		if (scopeId === 0) targetAddresses.set(target, bytes);
	}
	return bytes;
}

/** Makes a socket with bindto, bind_port, bind_if and fwmark applied; a number below 0 is -errno. */
function boundSocket(target: CheckTarget, kind: number, protocol: number): { fd: number; detail: string } {
	const fd = native.socket(target.family === "inet" ? AF_INET : AF_INET6, kind | SOCK_NONBLOCK, protocol);
	if (fd < 0) return { fd, detail: `socket: ${reasonOf(fd)}` };
	const give = (what: string, status: number) => {
		native.close(fd);
		return { fd: status, detail: `${what}: ${reasonOf(status)}` };
	};
	if (target.fwmark !== 0) {
		const mark = new Uint8Array(4);
		new DataView(mark.buffer).setUint32(0, target.fwmark, true);
		const status = native.setSocketOption(fd, SOL_SOCKET, SO_MARK, mark);
		if (status < 0) return give(`fwmark ${target.fwmark}`, status);
	}
	if (target.bindInterface !== null) {
		const status = native.setSocketOption(
			fd,
			SOL_SOCKET,
			SO_BINDTODEVICE,
			new TextEncoder().encode(`${target.bindInterface}\0`),
		);
		if (status < 0) return give(`bind_if ${target.bindInterface}`, status);
	}
	if (target.bindAddress !== null || target.bindPort !== null) {
		native.setSocketOption(fd, SOL_SOCKET, SO_REUSEADDR, one);
		const any = target.family === "inet" ? "0.0.0.0" : "::";
		const address = target.bindAddress ?? any;
		const status = native.bind(fd, internetAddress(address, target.bindPort ?? 0, scopeOf(target, address)));
		if (status < 0)
			return give(`bindto ${address}${target.bindPort === null ? "" : ` port ${target.bindPort}`}`, status);
	}
	return { fd, detail: "" };
}

/** A link-local address means nothing without its interface (RFC 4007 §6). */
function scopeOf(target: CheckTarget, address: string): number {
	if (target.bindInterface === null || !/^fe[89ab]/i.test(address)) return 0;
	return native.interfaceIndex(target.bindInterface);
}

/**
 * A TCP socket on its way to the target; give it back with `releaseStream`.
 * `silent`: the handshake's last ACK is held back, so that a connection that is ended as soon as it is
 * established goes as SYN, SYN-ACK, RST: the server's program never hears of it, and logs nothing.
 */
export function openStream(target: CheckTarget, silent: boolean): Opened {
	const pooled = isPlain(target) ? pools[target.family].pop() : undefined;
	let fd = pooled ?? -1;
	if (pooled === undefined) {
		const made = boundSocket(target, SOCK_STREAM, 0);
		if (made.fd < 0) return { kind: "local", detail: made.detail };
		fd = made.fd;
		native.setSocketOption(fd, SOL_SOCKET, SO_LINGER, lingerZero);
	}
	if (silent) native.setSocketOption(fd, IPPROTO_TCP, TCP_QUICKACK, zero);
	return connected(fd, addressOf(target));
}

/**
 * Ends a stream with RST, which leaves no TIME_WAIT that would use up our ports. A socket that was connected
 * and is nobody's special one is taken apart (connect(2) to AF_UNSPEC) and used again: making a socket costs as
 * much as a handshake.
 */
export function releaseStream(fd: number, target: CheckTarget, wasConnected: boolean): void {
	const pool = pools[target.family];
	if (wasConnected && isPlain(target) && pool.length < POOL_LIMIT && native.connect(fd, nowhere) === 0)
		pool.push(fd);
	else native.close(fd);
}

/** Idle sockets kept per family. */
const POOL_LIMIT = 256;
const pools = { inet: [] as number[], inet6: [] as number[] };
/** `struct sockaddr` of AF_UNSPEC. */
const nowhere = new Uint8Array(16);

function isPlain(target: CheckTarget): boolean {
	return (
		target.bindAddress === null &&
		target.bindPort === null &&
		target.bindInterface === null &&
		target.fwmark === 0
	);
}

/** A datagram or raw socket that hears only the target, and ICMP errors as errno. `port` 0 for ICMP. */
export function openDatagram(target: CheckTarget, kind: number, protocol: number, port: number): Opened {
	const { fd, detail } = boundSocket(target, kind, protocol);
	if (fd < 0) return { kind: "local", detail };
	const address =
		port === target.port
			? addressOf(target)
			: internetAddress(target.address, port, scopeOf(target, target.address));
	return connected(fd, address);
}

/**
 * How a connect that is on its way has come along, asked with a second connect(2):
 * 0 established, -EALREADY still waiting, else the -errno with which it failed.
 */
export function connectProgress(fd: number, target: CheckTarget): number {
	const status = native.connect(fd, addressOf(target));
	return status === -EISCONN ? 0 : status;
}

export const EALREADY = 114;
const EISCONN = 106;

function connected(fd: number, address: Uint8Array): Opened {
	const status = native.connect(fd, address);
	if (status >= 0 || status === -EINPROGRESS) return { kind: "open", fd };
	native.close(fd);
	// No port left, or no memory: that says nothing about the server.
	const ours = status === -EADDRNOTAVAIL || status === -EAGAIN || status === -ENOBUFS;
	return { kind: ours ? "local" : "refused", detail: reasonOf(status) };
}
