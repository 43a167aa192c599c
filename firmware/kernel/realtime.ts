/**
 * The real-time thread: two reflexes that must not wait for JavaScript, and no policy.
 *
 *   const realTime = RealTime.open({ priority: 52 });     // SCHED_FIFO, strictly above this thread's
 *   setInterval(() => realTime.renewLease(1_000_000), 100);
 *
 *   const repeat = realTime.repeat((lapse) => …);          // "send this every N µs"
 *   repeat.set([{ fd, address, data: advert }], [{ fd, address, data: priorityZero }]);
 *   repeat.start(monotonicMicros(), 1_000_000);
 *
 *   const receiver = realTime.receiver({ fd: socket.fd, family: "inet", keyOffset: 1 });
 *   const watch = receiver.watch(vrid, {                   // "tell me when it went silent"
 *     onFrame(frame) { if (good(frame)) watch.accept(frame, masterDownMicros) },
 *     onExpired(expiry) { … },
 *   });
 *
 * **Lease.** One for the thread: an absolute CLOCK_MONOTONIC deadline that `renewLease` moves. It says "the code that
 * decides is alive". It starts expired. When it ends, every running repeat stops, sends its `final` datagrams once,
 * and reports a lapse; none of them starts again by itself, nor does a watch start one while the lease is over.
 * If the whole process dies, the thread dies with it and nothing more is sent.
 *
 * **Repeat.** From `firstAt` on, every `interval`, on an absolute schedule (no drift; after a stall the missed turns
 * are skipped, the phase is kept). The second turn comes up to 1/32 of the interval early, on a grid that all repeats of
 * this interval share; from then on the gaps are exact. Hundreds of repeats so need a few wake-ups and system calls. Each turn sends one round: all its datagrams, in order, each on its descriptor.
 * `set` gives one round for all turns, `setRounds` a list of rounds of which each turn takes the next and the last one
 * stays (for sequence numbers). Both are atomic between two turns and may be called while running. A turn is sent up
 * to 1/256 of its interval (at most 0.25 ms) early when others are being sent anyway.
 * A send that fails is counted and the others go on. The descriptors stay the caller's: `set` something else or `stop`
 * before closing them.
 *
 * **Receiver and watch.** A receiver is one raw IP socket (any number of interfaces' worth); its frames are dispatched
 * by the byte at `keyOffset` of the IP payload (VRRP: 1, the VRID; within AH: 25) to every watch on that key. A frame
 * for which no watch exists is counted, and delivered to `onUnknown` if given.
 * While a watch is **armed** (it has a deadline), a frame that equals the pinned one in source, destination,
 * TTL/hop limit and payload moves the deadline to kernel receive time + interval, and JavaScript is not woken, unless a
 * frame before it still waits to be judged: they are judged in their order then. Every other
 * frame is delivered with its kernel receive time and changes nothing: JavaScript judges, and `accept`s it (pin and
 * re-arm from the frame's receive time) or `rearm`s, or not. While a watch is not armed, every frame is delivered.
 * At most 64 frames per watch wait for JavaScript; more are dropped and counted.
 *
 * **Expiry.** When the deadline has passed, the thread first drains the socket (a frame that waits there still counts,
 * so a late thread causes no false failover), then disarms the watch and reports. If `startOnExpiry` named a repeat and
 * the lease is valid, and no delivered frame of this watch waits to be judged by JavaScript, that repeat starts at once
 * (first turn now): a pause of JavaScript does not delay the takeover advert. Events arrive in order: frames that came
 * before an expiry are delivered before it. An expiry that was overtaken by `accept`, `rearm` or `disarm` is not
 * reported, unless it started a repeat.
 *
 * **Two CPUs.** The thread stays on one CPU; where there is another, a second thread stands by there and does what is
 * overdue by 3 ms: no priority helps a thread whose whole CPU stands still, in a burst of interrupts or under a
 * hypervisor. `stoodIn` counts it.
 *
 * While frames come faster than one per 2 ms and all of them match, the thread reads them at most every millisecond:
 * their time stamps tell when they came. Deadlines, and what JavaScript asks for, are not put off by that.
 *
 * Measured (2 shared cores, two namespaces behind a bridge, kernel 6.18): 250 repeats of 100 ms cost 42–50 ms of CPU
 * per second (all of the kernel's forwarding included), 250 watches on the other side 30–35 ms, and wake JavaScript
 * never; gaps are 100.0 ms ± 0.1 (p99 0.3 ms on a busy machine).
 */
import { formatAddress } from "../wire/ip.ts";
import { AF_INET, AF_INET6 } from "./constants.ts";
import { SystemCallError } from "./errno.ts";
import { native } from "./native.ts";
import { type Watch as DescriptorWatch, reportError, watchReadable } from "./watch.ts";

/** CLOCK_MONOTONIC in microseconds: the clock of everything here. */
export const monotonicMicros: () => number = native.monotonicMicros;

export interface Datagram {
	readonly fd: number;
	/** `struct sockaddr` bytes; empty sends to the connected peer. */
	readonly address: Uint8Array;
	readonly data: Uint8Array;
}

export interface Frame {
	/** Kernel receive time, CLOCK_MONOTONIC µs. */
	readonly atMicros: number;
	/** 4 or 16 bytes. */
	readonly source: Uint8Array;
	readonly destination: Uint8Array;
	/** TTL or hop limit. */
	readonly hopLimit: number;
	/** The interface it came in on. */
	readonly interfaceIndex: number;
	/** IPv4: the IP header as received; IPv6: empty. */
	readonly header: Uint8Array;
	/** What follows the IP header. */
	readonly payload: Uint8Array;
	/** The shim's own record of it, for `accept`. */
	readonly record: Uint8Array;
}

export interface Expiry {
	/** The deadline that passed. */
	readonly atMicros: number;
	/** The repeat of `startOnExpiry` is running. */
	readonly startedRepeat: boolean;
}

export interface RepeatStatistics {
	readonly running: boolean;
	/** Datagrams sent. */
	readonly sent: number;
	readonly errors: number;
	/** errno of the last failed send; 0 is none. */
	readonly lastErrno: number;
	/** 0: never. */
	readonly lastSentAtMicros: number;
	/** Longest time between two turns of one run. */
	readonly longestGapMicros: number;
	readonly worstLatenessMicros: number;
	/** Rounds of `setRounds` not yet sent, the one that stays included. */
	readonly roundsLeft: number;
	/** When the next turn is due; 0 when not running. */
	readonly nextAtMicros: number;
}

export interface WatchStatistics {
	/** 0: not armed. */
	readonly deadlineMicros: number;
	readonly frames: number;
	/** Frames that equalled the pinned one. */
	readonly matched: number;
	readonly delivered: number;
	/** Frames lost because 64 waited for JavaScript. */
	readonly dropped: number;
	/** Kernel receive time of the last frame; 0: none yet. */
	readonly lastFrameAtMicros: number;
	/** Of the last frame that equals the pinned one, in time or after the deadline; 0: never. */
	readonly lastMatchedAtMicros: number;
}

export interface ReceiverStatistics {
	readonly frames: number;
	/** Too short to hold a key. */
	readonly malformed: number;
	readonly unknown: number;
	readonly errors: number;
	/** errno of the last failed receive, such as ENETDOWN; the receiver goes on. */
	readonly lastErrno: number;
}

function must(what: string, status: number): number {
	if (status < 0) throw new SystemCallError(what, status);
	return status;
}

const EVENT_FRAME = 1;
const EVENT_EXPIRED = 2;
const EVENT_LAPSED = 3;
const RECORD_HEADER_BYTES = 64;

/** Event records on their way from the thread; larger than the largest one. */
const records = new Uint8Array(65_536);

type Thread = InstanceType<typeof native.RealTime>;

export class RealTime {
	/** 0, or why the thread runs without SCHED_FIFO (-EPERM …); the caller decides whether that is worth a warning. */
	readonly schedulerStatus: number;
	readonly #thread: Thread;
	readonly #repeats = new Map<number, (lapse: { readonly atMicros: number }) => void>();
	readonly #watches = new Map<number, WatchHandlers & { generation(): number }>();
	readonly #unknown = new Map<number, (frame: Frame) => void>();
	readonly #descriptorWatch: DescriptorWatch;

	private constructor(thread: Thread) {
		this.#thread = thread;
		this.schedulerStatus = thread.schedulerStatus;
		this.#descriptorWatch = watchReadable(thread.eventFd, () => this.#dispatch());
	}

	/** `priority` is SCHED_FIFO 1–99, strictly above the JavaScript thread's; null leaves the thread SCHED_OTHER. */
	static open(options: { readonly priority: number | null }): RealTime {
		return new RealTime(new native.RealTime(options.priority ?? 0));
	}

	/** How often the second thread did what the first one was late with: the box has a CPU that stands still at times. */
	get stoodIn(): number {
		return this.#thread.stoodIn;
	}

	/** From now, for `durationMicros`. Costs no system call. */
	renewLease(durationMicros: number): void {
		this.#thread.renewLease(native.monotonicMicros() + durationMicros);
	}

	repeat(onLapse: (lapse: { readonly atMicros: number }) => void): Repeat {
		const id = must("real-time repeat", this.#thread.repeatCreate());
		this.#repeats.set(id, onLapse);
		return new Repeat(this.#thread, id, () => this.#repeats.delete(id));
	}

	/**
	 * `fd`: a raw IP socket as `openRawSocket` makes it (non-blocking, packet information, hop limit and receive time
	 * stamps on); it stays the caller's, `close` the receiver first. Throws a SystemCallError.
	 */
	receiver(options: {
		readonly fd: number;
		readonly family: "inet" | "inet6";
		readonly keyOffset: number;
		readonly onUnknown?: (frame: Frame) => void;
	}): Receiver {
		const id = must(
			"real-time receiver",
			this.#thread.receiverCreate(
				options.fd,
				options.family === "inet" ? AF_INET : AF_INET6,
				options.keyOffset,
				options.onUnknown !== undefined,
			),
		);
		if (options.onUnknown) this.#unknown.set(id, options.onUnknown);
		return new Receiver(this.#thread, id, this.#watches, () => this.#unknown.delete(id));
	}

	/** Stops the thread at once; nothing final is sent. */
	close(): void {
		this.#descriptorWatch.close();
		this.#thread.close();
	}

	#dispatch(): void {
		for (;;) {
			const length = this.#thread.take(records);
			if (length === 0) return;
			try {
				this.#tell(length);
			} finally {
				this.#thread.settle();
			}
		}
	}

	/** Hands on the first `length` bytes of `records`. */
	#tell(length: number): void {
		const view = new DataView(records.buffer);
		for (let offset = 0, size = 0; offset < length; offset += size) {
			size = view.getUint32(offset, true);
			try {
				this.#tellOne(records.slice(offset, offset + size));
			} catch (error) {
				// One instance's error must not cost the others their events.
				reportError(error);
			}
		}
	}

	#tellOne(record: Uint8Array): void {
		const view = new DataView(record.buffer);
		const id = view.getUint32(8, true);
		const word = view.getUint32(12, true);
		const atMicros = view.getFloat64(16, true);
		switch (record[4]) {
			case EVENT_FRAME: {
				const onFrame = id === 0 ? this.#unknown.get(word) : this.#watches.get(id)?.onFrame;
				onFrame?.(decodeFrame(record));
				break;
			}
			case EVENT_EXPIRED: {
				const watch = this.#watches.get(id);
				const startedRepeat = record[5] === 1;
				if (watch !== undefined && (startedRepeat || watch.generation() === word))
					watch.onExpired({ atMicros, startedRepeat });
				break;
			}
			case EVENT_LAPSED:
				this.#repeats.get(id)?.({ atMicros });
				break;
		}
	}
}

/** Record layout: see `native/src/realtime.rs`, `struct Record`. */
function decodeFrame(record: Uint8Array): Frame {
	const view = new DataView(record.buffer, record.byteOffset, record.length);
	const addressBytes = record[6]!;
	const headerBytes = record[7]!;
	const dataBytes = view.getUint16(24, true);
	const data = record.subarray(RECORD_HEADER_BYTES, RECORD_HEADER_BYTES + dataBytes);
	return {
		atMicros: view.getFloat64(16, true),
		hopLimit: view.getUint16(26, true),
		interfaceIndex: view.getUint32(28, true),
		source: record.subarray(32, 32 + addressBytes),
		destination: record.subarray(48, 48 + addressBytes),
		header: data.subarray(0, headerBytes),
		payload: data.subarray(headerBytes),
		record,
	};
}

export class Repeat {
	readonly #thread: Thread;
	/** For `Watch.startOnExpiry`. */
	readonly id: number;
	readonly #forget: () => void;

	constructor(thread: Thread, id: number, forget: () => void) {
		this.#thread = thread;
		this.id = id;
		this.#forget = forget;
	}

	/** One round for every turn, and what to send once when the lease ends or `stop(true)` is called. */
	set(round: readonly Datagram[], final: readonly Datagram[] = []): void {
		must("repeat", this.#thread.repeatSet(this.id, [round], final));
	}

	/** Each turn sends the next round; the last one stays. At most 1,024 rounds. */
	setRounds(rounds: readonly (readonly Datagram[])[], final: readonly Datagram[] = []): void {
		must("repeat", this.#thread.repeatSet(this.id, rounds, final));
	}

	/**
	 * What follows the first turn of a run that a watch starts: sent once, in order, by a thread of its own with the same
	 * priority, so that what has to wait for a lock of the kernel holds up no repeat. Not told whether it worked.
	 */
	setOpening(datagrams: readonly Datagram[]): void {
		must("repeat opening", this.#thread.repeatSetOpening(this.id, datagrams));
	}

	/**
	 * Starts, or moves the schedule of a running repeat. A `firstAtMicros` in the past means now.
	 * Throws when the lease is over (EPERM) or the interval is not from 1 ms to a day (EINVAL).
	 */
	start(firstAtMicros: number, intervalMicros: number): void {
		must("repeat start", this.#thread.repeatStart(this.id, firstAtMicros, intervalMicros));
	}

	/** Stops; `sendFinal` sends the final datagrams first. Stopping what does not run sends them as well. */
	stop(sendFinal = false): void {
		must("repeat stop", this.#thread.repeatStop(this.id, sendFinal));
	}

	/** `reset` sets the longest gap and the worst lateness back to 0 after reading. */
	statistics(reset = false): RepeatStatistics {
		const values = this.#thread.repeatStatistics(this.id, reset);
		return {
			running: values[0] === 1,
			sent: values[1]!,
			errors: values[2]!,
			lastErrno: values[3]!,
			lastSentAtMicros: values[4]!,
			longestGapMicros: values[5]!,
			worstLatenessMicros: values[6]!,
			roundsLeft: values[7]!,
			nextAtMicros: values[8]!,
		};
	}

	/** Stops without a final datagram and forgets it. */
	close(): void {
		this.#thread.repeatDelete(this.id);
		this.#forget();
	}
}

export interface WatchHandlers {
	/** A frame for JavaScript to judge. Its bytes are its own. */
	onFrame(frame: Frame): void;
	onExpired(expiry: Expiry): void;
}

export class Receiver {
	readonly #thread: Thread;
	readonly #id: number;
	readonly #watches: Map<number, WatchHandlers & { generation(): number }>;
	readonly #forget: () => void;

	constructor(
		thread: Thread,
		id: number,
		watches: Map<number, WatchHandlers & { generation(): number }>,
		forget: () => void,
	) {
		this.#thread = thread;
		this.#id = id;
		this.#watches = watches;
		this.#forget = forget;
	}

	/**
	 * Several watches may share one key; each then sees every frame. `interfaceIndex` narrows it to the frames that
	 * came in on that interface; 0 is any.
	 */
	watch(key: number, handlers: WatchHandlers, interfaceIndex = 0): Watch {
		const id = must("real-time watch", this.#thread.watchCreate(this.#id, key, interfaceIndex));
		const watch = new Watch(this.#thread, id, () => this.#watches.delete(id));
		this.#watches.set(id, {
			onFrame: (frame) => handlers.onFrame(frame),
			onExpired: (expiry) => handlers.onExpired(expiry),
			generation: () => watch.generation,
		});
		return watch;
	}

	statistics(): ReceiverStatistics {
		const values = this.#thread.receiverStatistics(this.#id);
		return {
			frames: values[0]!,
			malformed: values[1]!,
			unknown: values[2]!,
			errors: values[3]!,
			lastErrno: values[4]!,
		};
	}

	/** Forgets it and its watches. The socket stays open. */
	close(): void {
		this.#thread.receiverDelete(this.#id);
		this.#forget();
	}
}

export class Watch {
	readonly #thread: Thread;
	readonly #id: number;
	readonly #forget: () => void;
	/** Counts what the caller changed, so that an overtaken expiry is recognised. */
	generation = 0;

	constructor(thread: Thread, id: number, forget: () => void) {
		this.#thread = thread;
		this.#id = id;
		this.#forget = forget;
	}

	/** Pins `frame` and sets the deadline to its receive time + `intervalMicros`: for a frame that came just now. */
	accept(frame: Frame, intervalMicros: number): void {
		this.pin(frame, intervalMicros);
		this.rearm(frame.atMicros + intervalMicros);
	}

	/** From now on one like `frame` moves the deadline to its receive time + `intervalMicros`; the deadline stays. */
	pin(frame: Frame, intervalMicros: number): void {
		must("watch pin", this.#thread.watchPin(this.#id, frame.record, intervalMicros));
	}

	/** Sets the deadline; the pinned frame and its interval stay. */
	rearm(deadlineMicros: number): void {
		this.generation = (this.generation + 1) >>> 0;
		must("watch rearm", this.#thread.watchRearm(this.#id, deadlineMicros, this.generation));
	}

	/** From now on every frame is delivered; the deadline stays. */
	unpin(): void {
		must("watch unpin", this.#thread.watchPin(this.#id, new Uint8Array(0), 0));
	}

	/** No deadline: every frame is delivered, nothing expires. Forgets the pinned frame. */
	disarm(): void {
		this.unpin();
		this.rearm(0);
	}

	/** On expiry the thread starts `repeat` at once, with this interval; null: it only reports. */
	startOnExpiry(repeat: Repeat | null, intervalMicros = 0): void {
		must("watch startOnExpiry", this.#thread.watchStartOnExpiry(this.#id, repeat?.id ?? 0, intervalMicros));
	}

	statistics(): WatchStatistics {
		const values = this.#thread.watchStatistics(this.#id);
		return {
			deadlineMicros: values[0]!,
			frames: values[1]!,
			matched: values[2]!,
			delivered: values[3]!,
			dropped: values[4]!,
			lastFrameAtMicros: values[5]!,
			lastMatchedAtMicros: values[6]!,
		};
	}

	close(): void {
		this.#thread.watchDelete(this.#id);
		this.#forget();
	}
}

/** "10.0.0.1 → 224.0.0.18, TTL 255": for logs. */
export function describeFrame(frame: Frame): string {
	return `${formatAddress(frame.source)} → ${formatAddress(frame.destination)}, TTL ${frame.hopLimit}`;
}
