/**
 * Runs part of the test's own process inside a namespace: sockets opened there stay there.
 * Only the calling thread moves, and only while `work` runs; `work` must be synchronous.
 */
import { openSync } from "node:fs";
import { SystemCallError } from "../../../firmware/kernel/errno.ts";
import { native } from "../../../firmware/kernel/native.ts";
import type { Namespace } from "./network.ts";

const home = openSync("/proc/thread-self/ns/net", "r");

function enter(path: string): void {
	const status = native.setNetworkNamespace(path);
	if (status < 0) throw new SystemCallError(`setns ${path}`, status);
}

export function inside<T>(namespace: Namespace, work: () => T): T {
	enter(namespace.path);
	try {
		return work();
	} finally {
		enter(`/proc/self/fd/${home}`);
	}
}
