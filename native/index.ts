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
	/**
	 * socket, SO_LINGER 0, SO_MARK, SO_BINDTODEVICE, SO_REUSEADDR and bind, and connect of a non-blocking stream
	 * socket in one call. Returns the descriptor (connected, or connecting: wait for EPOLLOUT, then read SO_ERROR) or
	 * the -errno of what failed, with nothing left open. `bindAddress` null, mark 0 and `device` null leave theirs out.
	 * `silent` holds the handshake's last ACK back (TCP_QUICKACK off): closed as soon as it is writable, the server's
	 * program never hears of it.
	 */
	connectStart(
		address: Uint8Array,
		bindAddress: Uint8Array | null,
		mark: number,
		device: string | null,
		silent: boolean,
	): number;
	/** sendto(2) with MSG_NOSIGNAL; no address sends to the connected peer. */
	sendTo(fd: number, data: Uint8Array, address?: Uint8Array | null, flags?: number | null): number;
	/** recvfrom(2) into `into`; returns the length or -errno (-EAGAIN when nothing waits and MSG_DONTWAIT was given). */
	receiveFrom(fd: number, into: Uint8Array, flags?: number | null, addressInto?: Uint8Array | null): number;
	/** sendmsg(2) with MSG_NOSIGNAL and ready-made control messages (cmsg(3)). */
	sendMessage(
		fd: number,
		data: Uint8Array,
		address: Uint8Array | null,
		control: Uint8Array | null,
		flags: number,
	): number;
	/**
	 * recvmsg(2). Returns the length or -errno; `lengths` (three numbers) receives the sender address's length,
	 * the control messages' length, and msg_flags.
	 */
	receiveMessage(
		fd: number,
		into: Uint8Array,
		addressInto: Uint8Array,
		controlInto: Uint8Array,
		lengths: Int32Array,
		flags: number,
	): number;
	/** read(2) into `into`; returns the length, 0 at the end, or -errno. */
	read(fd: number, into: Uint8Array): number;
	setSocketOption(fd: number, level: number, name: number, value: Uint8Array): number;
	/** getsockopt(2) of an integer option, such as SO_ERROR. */
	getSocketOption(fd: number, level: number, name: number): number;
	/** getsockopt(2) of any option into `into`; returns the length or -errno. */
	getSocketOptionBytes(fd: number, level: number, name: number, into: Uint8Array): number;
	/** SO_ATTACH_FILTER: classic BPF, `struct sock_filter` bytes (8 each). */
	attachFilter(fd: number, program: Uint8Array): number;
	/** ioctl(2) whose argument is a pointer to `argument`, which the kernel may read and write. */
	ioctl(fd: number, request: number, argument: Uint8Array): number;
	/** ioctl(2) of an interface whose `struct ifreq` points to `data`, which the kernel may read and write (ethtool). */
	interfaceIoctl(fd: number, request: number, name: string, data: Uint8Array): number;
	/** getsockname(2) as `struct sockaddr` bytes; empty on failure. */
	getSocketName(fd: number): Uint8Array;
	/** if_nametoindex(3); 0 when there is no such interface. */
	interfaceIndex(name: string): number;
	/** inotify_init1(2), non-blocking. */
	inotifyInit(): number;
	/** inotify_add_watch(2); returns the watch descriptor or -errno. */
	inotifyAddWatch(fd: number, path: string, mask: number): number;
	/** setns(2) of the calling thread into the network namespace at `path`. */
	setNetworkNamespace(path: string): number;
	/** sched_setscheduler(2) of the calling thread with SCHED_RESET_ON_FORK: 0 other, 1 FIFO, 2 RR. */
	setScheduler(policy: number, priority: number): number;
	/** sched_setaffinity(2) of the calling thread and of those that it starts afterwards. */
	setProcessors(processors: readonly number[]): number;
	/** setrlimit(2) RLIMIT_RTTIME: a real-time thread that computes longer without waiting is ended with SIGXCPU. */
	setRealTimeLimit(micros: number): number;
	/** mlockall(2) with MCL_ONFAULT, or munlockall(2). */
	lockMemory(locked: boolean): number;
	/** madvise(2) MADV_DONTNEED of the program's code: what only starting needed is given back. Before `lockMemory`. */
	releaseCode(): number;
	/** sigaction(2): the signal counts in a non-blocking eventfd(2) and ends nothing. Its descriptor, or -errno. */
	catchSignal(number: number): number;
	/** kill(2) of one process; Bun knows no number above 31. */
	sendSignal(pid: number, number: number): number;
	/** flock(2) LOCK_EX without waiting: -EAGAIN while another open file has it. It ends with the open file. */
	lockFile(fd: number): number;
	/** prctl(2) with one numeric argument, such as PR_SET_PDEATHSIG. */
	processControl(option: number, argument: number): number;
	/** prctl(2) PR_SET_NAME of the calling thread: at most 15 bytes. */
	setProcessName(name: string): number;
	/** pidfd_open(2): readable when the process has ended. */
	processDescriptor(pid: number): number;
	/** waitpid(2) with WNOHANG of one process: its wait status, -EAGAIN while it runs, or -errno. */
	waitProcess(pid: number): number;
	/** CLOCK_MONOTONIC, microseconds. */
	monotonicMicros(): number;
	/** CLOCK_REALTIME, microseconds since 1970. */
	realtimeMicros(): number;
	Poller: new (onReady: () => void) => Poller;
	StreamSet: new () => StreamSet;
	RealTime: new (priority: number) => RealTimeThread;
}

/** epoll(7) on a thread of its own; every registration is one-shot and re-armed with `modify`. */
export interface Poller {
	/** Fetches `[token, events, token, events, …]`; returns how many numbers. A full array: there may be more. */
	take(into: Uint32Array): number;
	/** EPOLL_CTL_ADD. */
	add(fd: number, events: number, token: number): number;
	modify(fd: number, events: number, token: number): number;
	remove(fd: number): number;
	/** sched_setscheduler(2) of the poller's thread. */
	setScheduler(policy: number, priority: number): number;
	/** While batches come closer together than 2 ms, the thread waits this long after each; 0 (at first) is not at all. */
	setPause(micros: number): void;
	/** Ends the thread at once. */
	close(): void;
}

/** Connected stream sockets, received from and sent to in batches; epoll(7) is edge-triggered. */
export interface StreamSet {
	/** Readiness of `fd` ends the wait of `receive`. */
	interruptBy(fd: number): number;
	/** EPOLL_CTL_ADD; what waits already is news. */
	add(fd: number, token: number): number;
	remove(fd: number): number;
	/**
	 * recv(2), once, of every socket with news; when there is none, it is waited for up to `waitMs`. The bytes of the
	 * n-th begin at `n * stride`, `slot` at most; `[token, length or -errno]` each go to `results`. Returns how many
	 * sockets, or -errno.
	 */
	receive(into: Uint8Array, slot: number, stride: number, results: Int32Array, waitMs: number): number;
	/**
	 * send(2) of `count` parts of `from`, each `[fd, offset, length, sent or -errno]`. Returns how many were not taken
	 * whole.
	 */
	send(from: Uint8Array, parts: Int32Array, count: number): number;
}

/** One datagram of a repeat. An empty address sends to the connected peer. */
export interface NativeDatagram {
	readonly fd: number;
	readonly address: Uint8Array;
	readonly data: Uint8Array;
}

/**
 * The real-time thread's native face; `firmware/kernel/realtime.ts` states the semantics.
 * Times are CLOCK_MONOTONIC microseconds. Functions return 0 (or an id > 0), or -errno.
 */
export interface RealTimeThread {
	/** The thread's own descriptor: readable when `take` has something. */
	readonly eventFd: number;
	/** 0, or the -errno with which SCHED_FIFO was refused (the thread then runs as SCHED_OTHER). */
	readonly schedulerStatus: number;
	/** How often the thread that stands by did what was overdue. */
	readonly stoodIn: number;
	/** Fetches whole event records; returns their bytes. Call it until it returns 0. */
	take(into: Uint8Array): number;
	/** All events up to the last `take` have been judged. */
	settle(): void;
	renewLease(untilMicros: number): void;
	repeatCreate(): number;
	repeatSet(
		id: number,
		rounds: readonly (readonly NativeDatagram[])[],
		final: readonly NativeDatagram[],
	): number;
	/** Sent once, in order, by a thread of its own, after the first turn of a run that a watch starts; empty is nothing. */
	repeatSetOpening(id: number, opening: readonly NativeDatagram[]): number;
	repeatStart(id: number, firstAtMicros: number, intervalMicros: number): number;
	repeatStop(id: number, sendFinal: boolean): number;
	repeatDelete(id: number): number;
	/** [running, sent, errors, last errno, last sent at, longest gap, worst lateness, rounds left, next at]; empty: no such id. */
	repeatStatistics(id: number, reset: boolean): Float64Array;
	receiverCreate(fd: number, family: number, keyOffset: number, deliverUnknown: boolean): number;
	receiverDelete(id: number): number;
	/** [frames, malformed, unknown key, errors, last errno]. */
	receiverStatistics(id: number): Float64Array;
	/** Interface 0: frames of any. */
	watchCreate(receiver: number, key: number, interfaceIndex: number): number;
	/** `frame` is a frame record as `take` gave it. */
	watchPin(id: number, frame: Uint8Array, intervalMicros: number): number;
	/** A deadline of 0 disarms. `generation` comes back in the expiry. */
	watchRearm(id: number, deadlineMicros: number, generation: number): number;
	/** Repeat 0: none. */
	watchStartOnExpiry(id: number, repeat: number, intervalMicros: number): number;
	watchDelete(id: number): number;
	/** [deadline or 0, frames, matched, delivered, dropped, last frame at]. */
	watchStatistics(id: number): Float64Array;
	close(): void;
}

export const native: Native = require("./drover.node");
