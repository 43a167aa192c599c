/** One datagram out, and the target's answer or the network's refusal: what UDP, DNS and PING checks share. */
import type { CheckTarget } from "../config/model.ts";
import { MSG_DONTWAIT } from "../kernel/constants.ts";
import { EAGAIN } from "../kernel/errno.ts";
import { native } from "../kernel/native.ts";
import { type Watch, watchReadable } from "../kernel/watch.ts";
import { failed, type Outcome, type ProbeEnvironment, postponed } from "./checker.ts";
import { reasonOf } from "./reason.ts";
import { type Opened, openDatagram } from "./socket.ts";

export interface Exchange {
	readonly target: CheckTarget;
	/** SOCK_DGRAM or SOCK_RAW, and its protocol. */
	readonly socketKind: number;
	readonly protocol: number;
	readonly port: number;
	readonly request: Uint8Array;
	/** Judges a datagram from the target; null waits for another one. Valid until it returns. */
	answered(bytes: Uint8Array): Outcome | null;
	/** Nothing came within connect_timeout. */
	silent(): Outcome;
}

const readBuffer = new Uint8Array(64 * 1024);
/** A target that floods must not keep the other probes waiting. */
const READS_AT_ONCE = 16;

export function exchange(
	{ target, ...how }: Exchange,
	environment: ProbeEnvironment,
	done: (outcome: Outcome) => void,
): () => void {
	let fd = -1;
	let watch: Watch | null = null;
	let ended = false;
	const stop = () => {
		ended = true;
		environment.wheel.cancel(deadline);
		watch?.close();
		if (fd >= 0) native.close(fd);
		fd = -1;
	};
	const finish = (outcome: Outcome) => {
		stop();
		done(outcome);
	};
	const later = (outcome: Outcome) =>
		queueMicrotask(() => {
			if (!ended) finish(outcome);
		});
	const deadline = environment.wheel.timer(() => finish(how.silent()));
	const opened: Opened = openDatagram(target, how.socketKind, how.protocol, how.port);
	if (opened.kind !== "open") {
		later(opened.kind === "local" ? postponed(opened.detail) : failed(opened.detail));
		return stop;
	}
	fd = opened.fd;
	const sent = native.sendTo(fd, how.request);
	if (sent < 0) {
		later(failed(reasonOf(sent)));
		return stop;
	}
	environment.wheel.set(deadline, environment.nowMs() + target.connectTimeoutMs);
	watch = watchReadable(fd, () => {
		for (let reads = 0; reads < READS_AT_ONCE && fd >= 0; reads++) {
			const length = native.receiveFrom(fd, readBuffer, MSG_DONTWAIT);
			if (length === -EAGAIN) return;
			const outcome = length < 0 ? failed(reasonOf(length)) : how.answered(readBuffer.subarray(0, length));
			if (outcome !== null) {
				finish(outcome);
				return;
			}
		}
	});
	return stop;
}
