/**
 * One TCP connection of a probe: connect, send, read, each step within `connect_timeout`.
 * The connection tells its owner what happens until it is closed, which the owner does.
 */
import type { CheckTarget } from "../config/model.ts";
import { MSG_DONTWAIT, SO_ERROR, SOL_SOCKET } from "../kernel/constants.ts";
import { EAGAIN, ETIMEDOUT } from "../kernel/errno.ts";
import { native } from "../kernel/native.ts";
import { hasFailed, type Watch, watchReadable, watchWritable } from "../kernel/watch.ts";
import type { ProbeEnvironment } from "./checker.ts";
import { reasonOf, timeoutReason } from "./reason.ts";
import { connectProgress, EALREADY, openStream, releaseStream } from "./socket.ts";
import { WheelTimer } from "./wheel.ts";

/**
 * A server that sends a byte now and then never misses a read's deadline: the whole probe
 * ends after this many times `connect_timeout`, or this long, whichever is more.
 */
export const WHOLE_PROBE_TIMEOUTS = 10;
export const WHOLE_PROBE_LEAST_MS = 60_000;

export interface StreamOwner {
	/** What a client that speaks first says: sent as soon as the connection stands. Null: it listens. */
	readonly opening: Uint8Array | null;
	/** The connection stands, and `opening` is on its way. */
	connected?(): void;
	/** Valid until the call returns. */
	received(bytes: Uint8Array): void;
	/** The server has closed its side. */
	ended(): void;
	failed(detail: string): void;
	/** The connection could not be tried for a reason of our own. */
	postponed(detail: string): void;
}

/** What HTTP and SMTP speak over: TCP, or TLS over it. */
export interface Stream {
	write(bytes: Uint8Array): void;
	close(): void;
}

/** All probes read into this, one after the other. */
const readBuffer = new Uint8Array(64 * 1024);
/** Its beginning, as long as the last read: servers' answers are mostly as long as the ones before. */
let lastRead = readBuffer;

function readBytes(length: number): Uint8Array {
	if (lastRead.length !== length) lastRead = readBuffer.subarray(0, length);
	return lastRead;
}
/** Reads per wake-up: a fast sender must not keep the other probes waiting. */
const READS_AT_ONCE = 16;

/** What a stream's timer is for. */
type Phase =
	/** On the next tick, look whether the connection stands. */
	| "connect-look"
	/** On the next tick, look whether the answer is there. */
	| "read-look"
	/** The descriptor is watched; the timer is the deadline. */
	| "watching"
	| "closed";

/**
 * Most servers answer within a tick: looking then, together with all others of the tick, costs a fraction
 * of being woken for each. Only what takes longer is watched.
 */
export class TcpStream extends WheelTimer implements Stream {
	readonly #target: CheckTarget;
	readonly #owner: StreamOwner;
	readonly #environment: ProbeEnvironment;
	#phase: Phase = "connect-look";
	#fd = -1;
	#established = false;
	/** The step at hand must be over by then. */
	#stepBy: number;
	readonly #endBy: number;
	#watch: Watch | null = null;
	#unsent: Uint8Array | null = null;

	/** `silent` as in `openStream`: for protocols in which the client speaks first. */
	constructor(target: CheckTarget, silent: boolean, environment: ProbeEnvironment, owner: StreamOwner) {
		super();
		this.#target = target;
		this.#owner = owner;
		this.#environment = environment;
		const now = environment.nowMs();
		this.#stepBy = now + target.connectTimeoutMs;
		this.#endBy = now + Math.max(WHOLE_PROBE_LEAST_MS, WHOLE_PROBE_TIMEOUTS * target.connectTimeoutMs);
		const opened = openStream(target, silent);
		if (opened.kind === "open") {
			this.#fd = opened.fd;
			environment.wheel.set(this, 0);
			return;
		}
		// Not before the constructor has returned.
		queueMicrotask(() => {
			if (this.#phase === "closed") return;
			this.close();
			if (opened.kind === "local") owner.postponed(opened.detail);
			else owner.failed(opened.detail);
		});
	}

	write(bytes: Uint8Array): void {
		if (this.#fd < 0) return;
		if (this.#unsent !== null) {
			this.#unsent = Buffer.concat([this.#unsent, bytes]);
			return;
		}
		const sent = native.sendTo(this.#fd, bytes);
		if (sent === bytes.length) return;
		if (sent < 0 && sent !== -EAGAIN) {
			this.#fail(reasonOf(sent));
			return;
		}
		this.#unsent = bytes.slice(Math.max(0, sent));
		this.#watchFor("write");
	}

	close(): void {
		this.#environment.wheel.cancel(this);
		this.#watch?.close();
		this.#watch = null;
		if (this.#fd >= 0) releaseStream(this.#fd, this.#target, this.#established);
		this.#fd = -1;
		this.#phase = "closed";
	}

	override fire(): void {
		switch (this.#phase) {
			case "connect-look":
				this.#lookForConnection();
				return;
			case "read-look":
				if (this.#readable()) this.#watchFor("read");
				return;
			case "watching": {
				const whole = this.#environment.nowMs() >= this.#endBy;
				this.#fail(whole ? "the answer does not end" : timeoutReason(this.#target.connectTimeoutMs));
				return;
			}
			case "closed":
				return;
		}
	}

	/** Who speaks first asks by speaking: the kernel says with it how the connect has come along. */
	#lookForConnection(): void {
		const { opening } = this.#owner;
		if (opening === null) {
			const status = connectProgress(this.#fd, this.#target);
			if (status === -EALREADY) this.#watchFor("connect");
			else this.#connectEnded(status);
			return;
		}
		const sent = native.sendTo(this.#fd, opening);
		// Of a connection that stands, an empty buffer takes something.
		if (sent === -EAGAIN) this.#watchFor("connect");
		else if (sent < 0) this.#connectEnded(sent);
		else this.#connected(sent < opening.length ? opening.slice(sent) : null);
	}

	#watchFor(what: "connect" | "write" | "read"): void {
		this.#phase = "watching";
		this.#watch?.close();
		switch (what) {
			case "connect":
				this.#watch = watchWritable(this.#fd, (events) => {
					this.#watch = null;
					this.#connectEnded(hasFailed(events) ? -native.getSocketOption(this.#fd, SOL_SOCKET, SO_ERROR) : 0);
				});
				break;
			case "write":
				this.#watch = watchWritable(this.#fd, () => {
					this.#watch = null;
					const rest = this.#unsent!;
					this.#unsent = null;
					this.write(rest);
					if (this.#fd >= 0 && this.#unsent === null) this.#watchFor("read");
				});
				break;
			case "read":
				this.#watch = watchReadable(this.#fd, () => this.#readable());
				break;
		}
		this.#environment.wheel.set(this, Math.min(this.#stepBy, this.#endBy));
	}

	#connectEnded(status: number): void {
		if (status !== 0) {
			this.#fail(-status === ETIMEDOUT ? timeoutReason(this.#target.connectTimeoutMs) : reasonOf(status));
			return;
		}
		this.#connected(this.#owner.opening);
	}

	#connected(unsent: Uint8Array | null): void {
		this.#established = true;
		this.#stepBy = this.#environment.nowMs() + this.#target.connectTimeoutMs;
		this.#phase = "read-look";
		if (unsent !== null) this.write(unsent);
		if (this.#fd >= 0) this.#owner.connected?.();
		if (this.#phase === "read-look") this.#environment.wheel.set(this, 0);
	}

	/** Reads what is there; false when the stream has come to its end. */
	#readable(): boolean {
		for (let reads = 0; reads < READS_AT_ONCE && this.#fd >= 0; reads++) {
			const length = native.receiveFrom(this.#fd, readBuffer, MSG_DONTWAIT);
			if (length === -EAGAIN) return true;
			if (length < 0) {
				this.#fail(reasonOf(length));
				return false;
			}
			if (length === 0) {
				this.#environment.wheel.cancel(this);
				this.#watch?.close();
				this.#watch = null;
				this.#owner.ended();
				return false;
			}
			this.#stepBy = this.#environment.nowMs() + this.#target.connectTimeoutMs;
			if (this.#phase === "watching") this.#environment.wheel.set(this, Math.min(this.#stepBy, this.#endBy));
			this.#owner.received(readBytes(length));
			// A short read has emptied the buffer: the next readiness tells of more, or of the end.
			if (length < readBuffer.length) break;
		}
		return this.#fd >= 0;
	}

	#fail(detail: string): void {
		this.close();
		this.#owner.failed(detail);
	}
}
