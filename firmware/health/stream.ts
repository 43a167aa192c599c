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
import { openStream } from "./socket.ts";
import type { WheelTimer } from "./wheel.ts";

/**
 * A server that sends a byte now and then never misses a read's deadline: the whole probe
 * ends after this many times `connect_timeout`, or this long, whichever is more.
 */
export const WHOLE_PROBE_TIMEOUTS = 10;
export const WHOLE_PROBE_LEAST_MS = 60_000;

export interface StreamOwner {
	connected(): void;
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
/** Reads per wake-up: a fast sender must not keep the other probes waiting. */
const READS_AT_ONCE = 16;

export class TcpStream implements Stream {
	readonly #target: CheckTarget;
	readonly #owner: StreamOwner;
	readonly #environment: ProbeEnvironment;
	readonly #deadline: WheelTimer;
	#endBy = Number.POSITIVE_INFINITY;
	#fd = -1;
	#watch: Watch | null = null;
	#unsent: Uint8Array | null = null;

	/** `silent` as in `openStream`: for protocols in which the client speaks first. */
	constructor(target: CheckTarget, silent: boolean, environment: ProbeEnvironment, owner: StreamOwner) {
		this.#target = target;
		this.#owner = owner;
		this.#environment = environment;
		this.#deadline = environment.wheel.timer(() => this.#timedOut());
		const opened = openStream(target, silent);
		if (opened.kind !== "open") {
			// Not before the constructor has returned.
			queueMicrotask(() => {
				if (this.#fd === CLOSED) return;
				this.close();
				if (opened.kind === "local") owner.postponed(opened.detail);
				else owner.failed(opened.detail);
			});
			return;
		}
		this.#fd = opened.fd;
		const now = environment.nowMs();
		this.#endBy = now + Math.max(WHOLE_PROBE_LEAST_MS, WHOLE_PROBE_TIMEOUTS * target.connectTimeoutMs);
		environment.wheel.set(this.#deadline, now + target.connectTimeoutMs);
		this.#watch = watchWritable(opened.fd, (events) => this.#connectEnded(events));
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
		this.#watch?.close();
		this.#watch = watchWritable(this.#fd, () => this.#writeRest());
	}

	close(): void {
		this.#environment.wheel.cancel(this.#deadline);
		this.#watch?.close();
		this.#watch = null;
		if (this.#fd >= 0) native.close(this.#fd);
		this.#fd = CLOSED;
	}

	#connectEnded(events: number): void {
		this.#watch = null;
		if (hasFailed(events)) {
			const status = native.getSocketOption(this.#fd, SOL_SOCKET, SO_ERROR);
			if (status !== 0) {
				this.#fail(status === ETIMEDOUT ? timeoutReason(this.#target.connectTimeoutMs) : reasonOf(status));
				return;
			}
		}
		this.#rearm();
		this.#owner.connected();
		if (this.#fd >= 0 && this.#watch === null) this.#read();
	}

	#writeRest(): void {
		this.#watch = null;
		const rest = this.#unsent!;
		this.#unsent = null;
		this.write(rest);
		if (this.#fd >= 0 && this.#unsent === null) this.#read();
	}

	#read(): void {
		this.#watch = watchReadable(this.#fd, () => this.#readable());
	}

	#readable(): void {
		for (let reads = 0; reads < READS_AT_ONCE && this.#fd >= 0; reads++) {
			const length = native.receiveFrom(this.#fd, readBuffer, MSG_DONTWAIT);
			if (length === -EAGAIN) return;
			if (length < 0) {
				this.#fail(reasonOf(length));
				return;
			}
			if (length === 0) {
				this.#environment.wheel.cancel(this.#deadline);
				this.#watch?.close();
				this.#watch = null;
				this.#owner.ended();
				return;
			}
			this.#rearm();
			this.#owner.received(readBuffer.subarray(0, length));
			// A short read has emptied the buffer: the next readiness tells of more, or of the end.
			if (length < readBuffer.length) return;
		}
	}

	#rearm(): void {
		const at = this.#environment.nowMs() + this.#target.connectTimeoutMs;
		this.#environment.wheel.set(this.#deadline, Math.min(at, this.#endBy));
	}

	#timedOut(): void {
		const whole = this.#environment.nowMs() >= this.#endBy;
		this.#fail(whole ? "the answer does not end" : timeoutReason(this.#target.connectTimeoutMs));
	}

	#fail(detail: string): void {
		this.close();
		this.#owner.failed(detail);
	}
}

const CLOSED = -2;
