/** TCP_CHECK: the port accepts a connection. */
import type { CheckTarget } from "../config/model.ts";
import { SO_ERROR, SOL_SOCKET } from "../kernel/constants.ts";
import { ECONNRESET, ETIMEDOUT } from "../kernel/errno.ts";
import { native } from "../kernel/native.ts";
import { hasFailed, type Watch, watchWritable } from "../kernel/watch.ts";
import { type CheckOf, failed, type Outcome, type ProbeEnvironment, passed, postponed } from "./checker.ts";
import { reasonOf, timeoutReason } from "./reason.ts";
import { connectProgress, EALREADY, type Opened, openStream, releaseStream } from "./socket.ts";
import { WheelTimer } from "./wheel.ts";

const accepted = passed("connected") as Extract<Outcome, { kind: "passed" }>;

/**
 * The SYN-ACK is the answer; the connection is then reset before its last ACK was sent. The server's
 * program does not notice (no empty connection in its log, no slot taken), and no TIME_WAIT is left here.
 * With `keeps` it is established in full and handed over with the outcome.
 */
export function checkTcp(
	{ target }: CheckOf<"TCP_CHECK">,
	environment: ProbeEnvironment,
	done: (outcome: Outcome) => void,
	keeps: boolean,
): () => void {
	const opened = openStream(target, !keeps);
	if (opened.kind !== "open") return refused(opened, done);
	const probe = new TcpProbe(opened.fd, target, environment, done, keeps);
	return () => probe.cancel();
}

function refused(opened: Exclude<Opened, { kind: "open" }>, done: (outcome: Outcome) => void): () => void {
	let cancelled = false;
	queueMicrotask(() => {
		if (!cancelled) done(opened.kind === "local" ? postponed(opened.detail) : failed(opened.detail));
	});
	return () => {
		cancelled = true;
	};
}

/** A connect on its way; its own timer: for the look on the next tick, then for the deadline. */
class TcpProbe extends WheelTimer {
	readonly #fd: number;
	readonly #target: CheckTarget;
	readonly #environment: ProbeEnvironment;
	readonly #done: (outcome: Outcome) => void;
	readonly #startedMs: number;
	readonly #keeps: boolean;
	#watch: Watch | null = null;

	constructor(
		fd: number,
		target: CheckTarget,
		environment: ProbeEnvironment,
		done: (outcome: Outcome) => void,
		keeps: boolean,
	) {
		super();
		this.#keeps = keeps;
		this.#fd = fd;
		this.#target = target;
		this.#environment = environment;
		this.#done = done;
		this.#startedMs = environment.nowMs();
		environment.wheel.set(this, 0);
	}

	/**
	 * Most servers have answered by the next tick: looking then, together with all others of this tick,
	 * costs a fraction of being woken for each. The rest is watched.
	 */
	override fire(): void {
		if (this.#watch !== null) {
			this.#watch.close();
			this.#finish(failed(timeoutReason(this.#target.connectTimeoutMs)));
			return;
		}
		const status = connectProgress(this.#fd, this.#target);
		if (status !== -EALREADY) {
			this.#ended(status);
			return;
		}
		this.#watch = watchWritable(this.#fd, (events) =>
			this.#ended(hasFailed(events) ? -native.getSocketOption(this.#fd, SOL_SOCKET, SO_ERROR) : 0),
		);
		this.#environment.wheel.set(this, this.#startedMs + this.#target.connectTimeoutMs);
	}

	cancel(): void {
		this.#environment.wheel.cancel(this);
		this.#watch?.close();
		native.close(this.#fd);
	}

	#ended(status: number): void {
		if (status === 0 && this.#keeps) {
			this.#environment.wheel.cancel(this);
			this.#done({ ...accepted, connection: this.#fd });
		}
		// A connection that was reset was accepted before; one that is not accepted is refused.
		else if (status === 0 || -status === ECONNRESET) this.#finish(accepted, status === 0);
		else
			this.#finish(
				failed(-status === ETIMEDOUT ? timeoutReason(this.#target.connectTimeoutMs) : reasonOf(status)),
			);
	}

	#finish(outcome: Outcome, stands = false): void {
		this.#environment.wheel.cancel(this);
		releaseStream(this.#fd, this.#target, stands);
		this.#done(outcome);
	}
}
