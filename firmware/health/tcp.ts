/** TCP_CHECK: the port accepts a connection. */
import { SO_ERROR, SOL_SOCKET } from "../kernel/constants.ts";
import { ETIMEDOUT } from "../kernel/errno.ts";
import { native } from "../kernel/native.ts";
import { hasFailed, watchWritable } from "../kernel/watch.ts";
import { type Checker, failed, type Outcome, passed, postponed } from "./checker.ts";
import { reasonOf, timeoutReason } from "./reason.ts";
import { openStream } from "./socket.ts";

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
	const finish = (outcome: Outcome) => {
		environment.wheel.cancel(deadline);
		native.close(fd);
		done(outcome);
	};
	const watch = watchWritable(fd, (events) => {
		const status = hasFailed(events) ? native.getSocketOption(fd, SOL_SOCKET, SO_ERROR) : 0;
		if (status === 0) finish(connected);
		else finish(failed(status === ETIMEDOUT ? timeoutReason(target.connectTimeoutMs) : reasonOf(status)));
	});
	const deadline = environment.wheel.timer(() => {
		watch.close();
		finish(failed(timeoutReason(target.connectTimeoutMs)));
	});
	environment.wheel.set(deadline, environment.nowMs() + target.connectTimeoutMs);
	return () => {
		environment.wheel.cancel(deadline);
		watch.close();
		native.close(fd);
	};
};
