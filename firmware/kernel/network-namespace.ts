/**
 * Work inside another network namespace. Only the calling thread moves, and only while the (synchronous) work
 * runs; sockets that it opens stay in the namespace that they were opened in.
 */
import { closeSync, openSync } from "node:fs";
import { SystemCallError } from "./errno.ts";
import { native } from "./native.ts";

/** Moves the calling thread for good; threads and sockets that are there already stay. Throws a SystemCallError. */
export function enterNetworkNamespace(path: string): void {
	const status = native.setNetworkNamespace(path);
	if (status < 0) throw new SystemCallError(`entering network namespace ${path}`, status);
}

/** `path` is such as `/run/netns/NAME`. Throws a SystemCallError when it cannot be entered. */
export function inNetworkNamespace<T>(path: string, work: () => T): T {
	const home = openSync("/proc/thread-self/ns/net", "r");
	try {
		enterNetworkNamespace(path);
		try {
			return work();
		} finally {
			enterNetworkNamespace(`/proc/thread-self/fd/${home}`);
		}
	} finally {
		closeSync(home);
	}
}
