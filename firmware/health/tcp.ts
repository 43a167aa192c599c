/** TCP_CHECK: the port accepts a connection. */
import { SO_ERROR, SOL_SOCKET } from "../kernel/constants.ts";
import { ETIMEDOUT } from "../kernel/errno.ts";
import { native } from "../kernel/native.ts";
import { hasFailed, type Watch, watchWritable } from "../kernel/watch.ts";
import { type Checker, failed, type Outcome, passed, postponed } from "./checker.ts";
import { reasonOf, timeoutReason } from "./reason.ts";
import { connectProgress, EALREADY, openStream, releaseStream } from "./socket.ts";

const connected = passed("connected");

/**
 * The SYN-ACK is the answer; the connection is then reset before its last ACK was sent. The server's
 * program does not notice (no empty connection in its log, no slot taken), and no TIME_WAIT is left here.
 */
export const checkTcp: Checker<"TCP_CHECK"> = (check, _url, environment, done) => {
	const { target } = check;
	const opened = openStream(target, true);
	if (opened.kind !== "open") {
		let cancelled = false;
		queueMicrotask(() => {
			if (!cancelled) done(opened.kind === "local" ? postponed(opened.detail) : failed(opened.detail));
		});
		return () => {
			cancelled = true;
		};
	}
	const { fd } = opened;
	const startedMs = environment.nowMs();
	let watch: Watch | null = null;
	const finish = (outcome: Outcome) => {
		environment.wheel.cancel(timer);
		releaseStream(fd, target, outcome === connected);
		done(outcome);
	};
	const ended = (status: number) => {
		if (status === 0) finish(connected);
		else finish(failed(-status === ETIMEDOUT ? timeoutReason(target.connectTimeoutMs) : reasonOf(status)));
	};
	// Most servers have answered by the next tick: looking then, together with all others of this tick,
	// costs a fraction of being woken for each.
	const timer = environment.wheel.timer(() => {
		if (watch !== null) {
			watch.close();
			finish(failed(timeoutReason(target.connectTimeoutMs)));
			return;
		}
		const status = connectProgress(fd, target);
		if (status !== -EALREADY) {
			ended(status);
			return;
		}
		watch = watchWritable(fd, (events) =>
			ended(hasFailed(events) ? -native.getSocketOption(fd, SOL_SOCKET, SO_ERROR) : 0),
		);
		environment.wheel.set(timer, startedMs + target.connectTimeoutMs);
	});
	environment.wheel.set(timer, 0);
	return () => {
		environment.wheel.cancel(timer);
		watch?.close();
		native.close(fd);
	};
};
