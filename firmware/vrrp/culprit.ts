/** Who changed a kernel table that is ours to keep, for the log. */
import { processArguments, type RecentProcesses } from "../kernel/process-events.ts";

/** `portId`: the netlink socket that asked. It is its process's id unless that process has several sockets. */
export function culprit(portId: number, processes: RecentProcesses | null): string {
	if (portId === 0) return "the kernel itself";
	const name = processArguments(portId)?.join(" ") || processes?.name(portId);
	return name ? `process ${portId} (${name.slice(0, 120)})` : `process ${portId}, which has ended`;
}
