/**
 * What programs wait for: a request's body, and in tests vtc.sleep(), and vtc.barrier_sync(), which ends when
 * varnishtest closes the connection to a barrier. Other requests of the worker are served meanwhile.
 */
import { connect } from "node:net";
import { self } from "../../self.ts";
import { VclFailure, type WaitRequest } from "../vcl/runtime.ts";

/** Seconds that a barrier without a time out of its own may take. */
const LIMIT_SECONDS = 30;

const timedOut = (address: string) => new VclFailure(`Barrier synchronization timed out: ${address}`);
const notThere = (address: string) => new VclFailure(`Barrier connection failed: ${address}`);

/** The connection to a barrier, until the other side closes it: false when it could not be had. */
function untilClosed(address: string): { readonly ended: Promise<boolean>; giveUp(): void } {
	const [, host = "", port = ""] = /^\[?([^\]\s]*?)\]?[:\s]+(\d+)$/.exec(address) ?? [];
	const socket = connect({ host, port: Number(port) });
	const ended = new Promise<boolean>((resolve) => {
		socket.on("end", () => socket.end());
		socket.on("close", (failed) => resolve(!failed));
		socket.on("error", () => {});
		socket.resume();
	});
	return { ended, giveUp: () => socket.destroy() };
}

/** Calls `done` when the wait is over, with what went wrong if anything, and what the program gets. */
export function grant(
	request: WaitRequest,
	done: (failure: VclFailure | undefined, granted?: boolean) => void,
): void {
	if (request.kind === "request-body") {
		request.gather((fits) => done(undefined, fits));
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
		(timeoutSeconds > 0 ? timeoutSeconds : LIMIT_SECONDS) * 1000,
	);
	void barrier.ended.then((open) => {
		clearTimeout(timer);
		done(late ? timedOut(address) : open ? undefined : notThere(address));
	});
}

/** The same for a place that cannot be left: the whole worker stands still. */
export function grantAtOnce(request: WaitRequest): VclFailure | undefined {
	if (request.kind === "request-body") return new VclFailure("No request body here");
	if (request.kind === "sleep") {
		Bun.sleepSync(request.durationSeconds * 1000);
		return undefined;
	}
	const { address, timeoutSeconds } = request;
	const { success, exitedDueToTimeout } = Bun.spawnSync([...self(), "cache", "barrier", address], {
		stdio: ["ignore", "ignore", "ignore"],
		timeout: (timeoutSeconds > 0 ? timeoutSeconds : LIMIT_SECONDS) * 1000,
	});
	if (exitedDueToTimeout) return timedOut(address);
	return success ? undefined : notThere(address);
}

/** `drover cache barrier ADDRESS:PORT`: 0 when the other side has closed. */
export const waitAtBarrier = async (address: string): Promise<number> =>
	(await untilClosed(address).ended) ? 0 : 1;
