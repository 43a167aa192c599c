/**
 * The shim's typed face. Every function that can fail returns its result or `-errno`
 * (errno(3), see `firmware/kernel/errno.ts`); addresses are `struct sockaddr` bytes
 * (see `firmware/kernel/sockaddr.ts`). The shim knows no policy.
 */
export interface Native {
	/** socket(2), close-on-exec. */
	socket(domain: number, kind: number, protocol: number): number;
	close(fd: number): number;
	bind(fd: number, address: Uint8Array): number;
	/** connect(2); a non-blocking socket returns -EINPROGRESS. */
	connect(fd: number, address: Uint8Array): number;
	/** sendto(2) with MSG_NOSIGNAL; no address sends to the connected peer. */
	sendTo(fd: number, data: Uint8Array, address?: Uint8Array | null, flags?: number | null): number;
	/** recvfrom(2) into `into`; returns the length or -errno (-EAGAIN when nothing waits and MSG_DONTWAIT was given). */
	receiveFrom(fd: number, into: Uint8Array, flags?: number | null, addressInto?: Uint8Array | null): number;
	setSocketOption(fd: number, level: number, name: number, value: Uint8Array): number;
	/** getsockopt(2) of an integer option, such as SO_ERROR. */
	getSocketOption(fd: number, level: number, name: number): number;
	/** getsockname(2) as `struct sockaddr` bytes; empty on failure. */
	getSocketName(fd: number): Uint8Array;
	/** if_nametoindex(3); 0 when there is no such interface. */
	interfaceIndex(name: string): number;
	/** setns(2) of the calling thread into the network namespace at `path`. */
	setNetworkNamespace(path: string): number;
	/** sched_setscheduler(2) of the calling thread with SCHED_RESET_ON_FORK: 0 other, 1 FIFO, 2 RR. */
	setScheduler(policy: number, priority: number): number;
	/** mlockall(2) with MCL_ONFAULT. */
	lockMemory(): number;
	/** CLOCK_MONOTONIC, microseconds. */
	monotonicMicros(): number;
	/** CLOCK_REALTIME, microseconds since 1970. */
	realtimeMicros(): number;
	Poller: new (onReady: (ready: Int32Array) => void) => Poller;
}

/** epoll(7) on a thread of its own; every registration is one-shot and re-armed with `modify`. */
export interface Poller {
	/** EPOLL_CTL_ADD; the callback then receives `[fd, events, fd, events, …]` in batches. */
	add(fd: number, events: number): number;
	modify(fd: number, events: number): number;
	remove(fd: number): number;
	close(): void;
}

export const native: Native = require("./drover.node");
