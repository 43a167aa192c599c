/**
 * Readiness of descriptors: one epoll thread per process, for as many thousand descriptors as the process may open.
 * Waiting costs nothing: the thread sleeps until something is ready, and reports in batches. When batches come closer
 * together than 2 ms, it pauses for half a millisecond after each, so that thousands of connects per second cost a few
 * wake-ups (5,000 TCP checks per second: 38 µs of CPU each instead of 55); a poller with real-time priority never pauses.
 *
 * A watch is level-triggered and re-arms itself after its callback has returned, until it is closed; a one-shot
 * watch closes itself before its callback. A callback is never called after `close`, even if the descriptor's number
 * was used again in between. Close the watch before the descriptor.
 */
import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP, SCHED_OTHER } from "./constants.ts";
import { EEXIST, SystemCallError } from "./errno.ts";
import { native, type Poller } from "./native.ts";

/** `events` holds the EPOLL* bits; EPOLLERR and EPOLLHUP come unasked. */
export type OnReady = (events: number) => void;

export interface Watch {
	close(): void;
	/** Closes it, and watches `fd` for the same: no record more for who does that all the time. Throws a SystemCallError. */
	move(fd: number): void;
}

class DescriptorWatch implements Watch {
	fd = -1;
	/** Another one for each descriptor: news of an earlier one finds nobody. */
	token = 0;
	readonly interest: number;
	readonly once: boolean;
	readonly onReady: OnReady;
	open = false;

	constructor(interest: number, once: boolean, onReady: OnReady) {
		this.interest = interest;
		this.once = once;
		this.onReady = onReady;
	}

	move(fd: number): void {
		this.close();
		do nextToken = (nextToken + 1) >>> 0;
		while (nextToken === 0 || watches.has(nextToken));
		this.fd = fd;
		this.token = nextToken;
		let status = thePoller().add(fd, this.interest, this.token);
		if (status === -EEXIST && !watchedDescriptors.has(fd))
			status = thePoller().modify(fd, this.interest, this.token);
		if (status < 0) throw new SystemCallError(`epoll_ctl of descriptor ${fd}`, status);
		this.open = true;
		watches.set(this.token, this);
		watchedDescriptors.add(fd);
		holdLoop();
	}

	close(): void {
		if (!this.open) return;
		this.expire();
		poller?.remove(this.fd);
	}

	/**
	 * Over, but epoll still knows the (disarmed) descriptor: closing it makes the kernel forget it, and a new watch
	 * of it takes the registration over. That saves a system call per connect.
	 */
	expire(): void {
		this.open = false;
		watches.delete(this.token);
		watchedDescriptors.delete(this.fd);
		releaseLoop();
	}
}

const watches = new Map<number, DescriptorWatch>();
const watchedDescriptors = new Set<number>();
let poller: Poller | null = null;
let nextToken = 1;
let scheduler: { readonly policy: number; readonly priority: number } | null = null;

/**
 * The poller's callback does not keep the event loop alive (a service that closed everything must be able to end),
 * so a timer that practically never fires does while there are watches.
 */
let keepAlive: ReturnType<typeof setInterval> | null = null;
const KEEP_ALIVE_INTERVAL_MS = 2 ** 31 - 1;

function holdLoop(): void {
	keepAlive ??= setInterval(() => {}, KEEP_ALIVE_INTERVAL_MS);
}

function releaseLoop(): void {
	if (watches.size > 0 || keepAlive === null) return;
	clearInterval(keepAlive);
	keepAlive = null;
}

const BUSY_PAUSE_MICROS = 500;

function thePoller(): Poller {
	if (poller === null) {
		poller = new native.Poller(dispatch);
		poller.setPause(BUSY_PAUSE_MICROS);
		if (scheduler !== null) setPollerScheduler(scheduler.policy, scheduler.priority);
	}
	return poller;
}

/** `[token, events]` pairs of one batch. */
const ready = new Uint32Array(1024);

function dispatch(): void {
	let count: number;
	do {
		count = poller?.take(ready) ?? 0;
		for (let index = 0; index < count; index += 2) {
			const watch = watches.get(ready[index]!);
			if (watch === undefined) continue;
			if (watch.once) watch.expire();
			try {
				watch.onReady(ready[index + 1]!);
			} catch (error) {
				// One watch's error must not cost the others of this batch their event.
				reportError(error);
			}
			if (watch.open) poller?.modify(watch.fd, watch.interest, watch.token);
		}
	} while (count === ready.length);
}

/** Rethrows where the process's own handlers (or its end) take over, without cutting the caller's work short. */
export function reportError(error: unknown): void {
	queueMicrotask(() => {
		throw error;
	});
}

function watchDescriptor(fd: number, interest: number, once: boolean, onReady: OnReady): Watch {
	const watch = new DescriptorWatch(interest, once, onReady);
	watch.move(fd);
	return watch;
}

/** Calls back whenever something can be read (or the descriptor has failed). Throws a SystemCallError. */
export function watchReadable(fd: number, onReady: OnReady): Watch {
	return watchDescriptor(fd, EPOLLIN | EPOLLPRI, false, onReady);
}

/** Calls back once, when something can be read. */
export function watchReadableOnce(fd: number, onReady: OnReady): Watch {
	return watchDescriptor(fd, EPOLLIN | EPOLLPRI, true, onReady);
}

/** Calls back once, when a write would not block: a connect has ended (read SO_ERROR), a buffer has room. */
export function watchWritable(fd: number, onReady: OnReady): Watch {
	return watchDescriptor(fd, EPOLLOUT, true, onReady);
}

/** Calls back once, when the other side has ended the stream (or it has failed); what can be read does not matter. */
export function watchHangUp(fd: number, onReady: OnReady): Watch {
	return watchDescriptor(fd, EPOLLRDHUP, true, onReady);
}

/** Whether these events say that the descriptor failed or was hung up. */
export function hasFailed(events: number): boolean {
	return (events & (EPOLLERR | EPOLLHUP)) !== 0;
}

/**
 * Real-time priority of the epoll thread (sched_setscheduler(2)), now and when it is started later.
 * A JavaScript thread under SCHED_FIFO wants its poller at least as high. Returns 0 or -errno.
 */
export function setPollerScheduler(policy: number, priority: number): number {
	scheduler = { policy, priority };
	poller?.setPause(policy === SCHED_OTHER ? BUSY_PAUSE_MICROS : 0);
	return poller?.setScheduler(policy, priority) ?? 0;
}
