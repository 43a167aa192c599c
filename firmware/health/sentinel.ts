/**
 * The connection of a TCP_CHECK that passed stays open until the next check's stands. When it ends before that, something
 * has happened to the server's program or host, and the server is asked again at once instead of at the next turn.
 *
 * That alone decides nothing: the answer to the question does, under the check's own rules for retries. A server that
 * ends idle connections by habit answers well; such a check goes without for a while.
 *
 * Only checks of a short period hold one, so that it ends before servers take it for idle.
 */
import type { CheckConfig, CheckTarget } from "../config/model.ts";
import { IP_RECVERR, IPPROTO_IP, IPPROTO_IPV6, IPV6_RECVERR } from "../kernel/constants.ts";
import { native } from "../kernel/native.ts";
import { type Watch, watchHangUp } from "../kernel/watch.ts";
import { releaseStream } from "./socket.ts";

/** Connections held at a time: descriptors beside those of probes in flight. */
export const HELD_CONNECTIONS_LIMIT = 8_192;
/** A longer `delay_loop` would run into the idle time-outs of servers. */
export const HELD_PERIOD_LIMIT_MS = 10_000;
/** So long a check goes without, after a server that ended the connection and answered well. */
export const HABIT_REST_MS = 60_000;

const one = Uint8Array.of(1, 0, 0, 0);

/** A connection that is held; its end is told once. */
export class Sentinel {
	#fd: number;
	readonly #target: CheckTarget;
	readonly #watch: Watch;

	private constructor(fd: number, target: CheckTarget, ended: () => void) {
		this.#fd = fd;
		this.#target = target;
		this.#watch = watchHangUp(fd, ended);
	}

	/** Takes an established connection over; it is closed when too many are held. */
	static hold(fd: number, target: CheckTarget, ended: () => void): Sentinel | null {
		if (held >= HELD_CONNECTIONS_LIMIT) {
			releaseStream(fd, target, true);
			return null;
		}
		hearErrors(fd, target);
		const sentinel = new Sentinel(fd, target, ended);
		held++;
		return sentinel;
	}

	/** Lets the next check's connection take its place: a thousand a second would leave as many records behind. */
	replace(fd: number): void {
		hearErrors(fd, this.#target);
		const before = this.#fd;
		this.#fd = fd;
		this.#watch.move(fd);
		releaseStream(before, this.#target, true);
	}

	/** Ends it, with RST. */
	release(): void {
		held--;
		this.#watch.close();
		releaseStream(this.#fd, this.#target, true);
	}
}

let held = 0;

/** ICMP errors end it too, rather than being kept for a write that never comes (ip(7), tcp(7)). */
function hearErrors(fd: number, { family }: CheckTarget): void {
	if (family === "inet") native.setSocketOption(fd, IPPROTO_IP, IP_RECVERR, one);
	else native.setSocketOption(fd, IPPROTO_IPV6, IPV6_RECVERR, one);
}

/** Whether a check of this kind and period holds a connection at all. */
export function mayHold(config: CheckConfig): boolean {
	return config.kind === "TCP_CHECK" && config.timing.delayLoopMs <= HELD_PERIOD_LIMIT_MS;
}
