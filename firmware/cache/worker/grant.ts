/**
 * What programs wait for: a request's body, a purge of many objects, and in tests vtc.sleep() and vtc.barrier_sync(). Other requests of the worker
 * are served meanwhile.
 */
import { self } from "../../self.ts";
import { type Granted, VclFailure, type WaitRequest } from "../vcl/runtime.ts";
import { BARRIER_LIMIT_SECONDS, untilClosed } from "./barrier.ts";

const timedOut = (address: string) => new VclFailure(`Barrier synchronization timed out: ${address}`);
const notThere = (address: string) => new VclFailure(`Barrier connection failed: ${address}`);

/** Calls `done` when the wait is over, with what went wrong if anything, and what the program gets. */
export function grant(
	request: WaitRequest,
	done: (failure: VclFailure | undefined, granted?: Granted) => void,
): void {
	if (request.kind === "request-body") {
		request.gather((fits) => done(undefined, fits));
		return;
	}
	if (request.kind === "tag-purge") {
		request.begin((objects) => done(undefined, objects));
		return;
	}
	if (request.kind === "sleep") {
		setTimeout(() => done(undefined), request.durationSeconds * 1000);
		return;
	}
	const { address, timeoutSeconds } = request;
	const barrier = untilClosed(address);
	let late = false;
	const timer = setTimeout(
		() => {
			late = true;
			barrier.giveUp();
		},
		(timeoutSeconds > 0 ? timeoutSeconds : BARRIER_LIMIT_SECONDS) * 1000,
	);
	void barrier.ended.then((open) => {
		clearTimeout(timer);
		done(late ? timedOut(address) : open ? undefined : notThere(address));
	});
}

/** The same for a place that cannot be left: the whole worker stands still. */
export function grantAtOnce(request: WaitRequest): {
	readonly failure?: VclFailure | undefined;
	readonly granted?: Granted;
} {
	if (request.kind === "request-body") return { failure: new VclFailure("No request body here") };
	if (request.kind === "tag-purge") return { granted: request.atOnce() };
	if (request.kind === "sleep") {
		Bun.sleepSync(request.durationSeconds * 1000);
		return {};
	}
	const { address, timeoutSeconds } = request;
	const { success, exitedDueToTimeout } = Bun.spawnSync([...self(), "cache", "barrier", address], {
		stdio: ["ignore", "ignore", "ignore"],
		timeout: (timeoutSeconds > 0 ? timeoutSeconds : BARRIER_LIMIT_SECONDS) * 1000,
	});
	if (exitedDueToTimeout) return { failure: timedOut(address) };
	return success ? {} : { failure: notThere(address) };
}
