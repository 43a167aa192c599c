/**
 * The lane of a worker that is busy: connections whose requests are answered as earlier ones were (replay.ts,
 * patterns.ts) are received from and sent to in batches (kernel/stream-set.ts), which costs less per answer than the
 * runtime's sockets, and the less the more there is to do. Where there is little to do, the runtime's own sockets are
 * the cheaper ones: the lane opens when requests wait in numbers, and closes when they do not.
 *
 * A connection stays the runtime's socket, paused while it is here. Whatever is not such a request (its end, its
 * failure, more bytes than a request has, a request that nothing is known of) sends it back at once, with its bytes.
 */
import { pollerOf, StreamSet } from "../../kernel/stream-set.ts";
import { onHandlerFault } from "./handler-fault.ts";

/** What the lane needs to know of a connection. */
export interface LaneSession {
	/** In the lane, beginning at 1; 0 outside. */
	laneToken: number;
	/** Answers in a row that the lane could have given. */
	laneStreak: number;
	/** Where the kernel takes its bytes as they are; negative: nowhere. */
	readonly descriptor: number;
	/** The runtime's socket stops to read, and reads again. */
	readonly socket: { pause(): unknown; resume(): unknown; terminate(): void };
	/**
	 * What it will ask for in this batch. `before` came before it in the batch, and of both so many bytes at the end are the
	 * same: who knows what those are need not look again.
	 */
	foresee(bytes: Buffer, before: Buffer | undefined, commonEnd: number): void;
	/** What it asks for, likewise; the bytes hold until this returns. */
	onBatched(bytes: Buffer, before: Buffer | undefined, commonEnd: number): void;
	/** Sends by its own means. */
	sendRest(rest: Uint8Array): void;
}

/** What is told of a batch beside its requests. */
export interface BatchWatch {
	/** Requests have come: they are foreseen next. */
	begin(): void;
	/** All are foreseen: they are handed out next. */
	foreseen(): void;
}

/** A connection that asks now and then for something else would come and go. */
const STREAK = 8;
/** Answers between two looks at how many requests wait; no multiple of what comes together. */
const LOOK_EVERY = 127;
/** So many more answers before the event loop turns open the lane; fewer per batch, in the mean, close it. */
const OPEN_BATCH = 8;
const CLOSE_BATCH = 3;
/** Batches that the mean is about. */
const MEAN_OVER = 64;
/** The event loop's timers are late by so much at most; whatever else it waits for ends the wait. */
const WAIT_MS = 1;

export class HitLane {
	/** Made when the lane opens for the first time: most workers are never so busy. */
	#set: StreamSet | undefined;
	/** By token. */
	readonly #sessions: (LaneSession | undefined)[] = [undefined];
	readonly #descriptors: number[] = [-1];
	readonly #free: number[] = [];
	#isOpen = false;
	#answered = 0;
	#untilLook = LOOK_EVERY;
	#meanBatch = 0;
	#running = false;
	readonly #watch: BatchWatch;

	constructor(watch: BatchWatch) {
		this.#watch = watch;
	}

	/** A request of `session` was answered as an earlier one. */
	answered(session: LaneSession): void {
		this.#answered++;
		if (session.laneToken !== 0) return;
		if (this.#isOpen) {
			if (++session.laneStreak >= STREAK) this.#join(session);
		} else if (--this.#untilLook === 0) this.#look();
	}

	/** Opens if the event loop has much more to do before it turns. */
	#look(): void {
		const before = this.#answered;
		setImmediate(() => {
			this.#untilLook = LOOK_EVERY;
			if (this.#answered - before < OPEN_BATCH) return;
			this.#isOpen = true;
			this.#meanBatch = OPEN_BATCH;
		});
	}

	#join(session: LaneSession): void {
		session.laneStreak = 0;
		const { descriptor } = session;
		if (descriptor < 0) return;
		const token = this.#free.at(-1) ?? this.#sessions.length;
		try {
			this.#set ??= this.#open(descriptor);
			this.#set.add(descriptor, token);
		} catch (error) {
			this.#giveUp(error);
			return;
		}
		this.#free.pop();
		session.socket.pause();
		session.laneToken = token;
		this.#sessions[token] = session;
		this.#descriptors[token] = descriptor;
		if (this.#running) return;
		this.#running = true;
		setImmediate(this.#turn);
	}

	/** `descriptor`: one that the event loop waits for. Throws where the loop cannot be found: its news would be late. */
	#open(descriptor: number): StreamSet {
		const loop = pollerOf(descriptor);
		if (loop === undefined) throw new Error("the event loop's descriptor was not found in /proc/self/fdinfo");
		const set = new StreamSet((token, rest) => {
			const session = this.#sessions[token];
			if (session === undefined) return;
			this.leave(session);
			session.sendRest(rest);
		});
		set.interruptBy(loop);
		return set;
	}

	/** The runtime's sockets do as well, only dearer: no connection is the worse for it. */
	#giveUp(error: unknown): void {
		this.#isOpen = false;
		this.#untilLook = Number.POSITIVE_INFINITY;
		console.error(`Error: hits are not received in batches from here on: ${(error as Error).message}`);
	}

	/** The runtime's socket goes on; what the lane was to send has been sent. */
	leave(session: LaneSession): void {
		if (session.laneToken === 0) return;
		this.forget(session);
		session.socket.resume();
	}

	/** The connection ends. What the lane was to send has been sent. */
	forget(session: LaneSession): void {
		const token = session.laneToken;
		if (token === 0) return;
		session.laneToken = 0;
		session.laneStreak = 0;
		this.#set?.remove(this.#descriptors[token]!);
		this.#sessions[token] = undefined;
		this.#free.push(token);
	}

	/** Takes an answer of a session in the lane, to be sent with those of the batch; false: it did not. */
	put(session: LaneSession, bytes: Uint8Array, from: number, end: number): boolean {
		const token = session.laneToken;
		return this.#set!.put(this.#descriptors[token]!, token, bytes, from, end);
	}

	readonly #turn = (): void => {
		const set = this.#set!;
		const count = set.receive(WAIT_MS);
		this.#watch.begin();
		let before: Buffer | undefined;
		for (let index = 0; index < count; index++) {
			const session = this.#sessions[set.token(index)];
			const bytes = set.bytes(index);
			try {
				if (bytes !== undefined) session?.foresee(bytes, before, set.commonEnd(index));
			} catch (error) {
				// Nothing that one connection asks for may end the turn of all.
				onHandlerFault(session!.socket, error);
			}
			before = bytes;
		}
		this.#watch.foreseen();
		before = undefined;
		for (let index = 0; index < count; index++) {
			const session = this.#sessions[set.token(index)];
			const bytes = set.bytes(index);
			try {
				if (bytes !== undefined) session?.onBatched(bytes, before, set.commonEnd(index));
			} catch (error) {
				onHandlerFault(session!.socket, error);
			}
			before = bytes;
			if (session !== undefined && set.isOver(index)) this.leave(session);
		}
		set.flush();
		this.#meanBatch += (count - this.#meanBatch) / MEAN_OVER;
		if (this.#meanBatch >= CLOSE_BATCH) setImmediate(this.#turn);
		else this.#close();
	};

	#close(): void {
		this.#isOpen = false;
		this.#running = false;
		for (const session of this.#sessions) if (session !== undefined) this.leave(session);
	}
}
