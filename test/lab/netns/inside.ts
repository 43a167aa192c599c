/** Runs synchronous work of the test's own process inside a namespace: sockets opened there stay there. */
import { inNetworkNamespace } from "../../../firmware/kernel/network-namespace.ts";
import type { Namespace } from "./network.ts";

export function inside<T>(namespace: Namespace, work: () => T): T {
	return inNetworkNamespace(namespace.path, work);
}
