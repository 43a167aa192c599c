/**
 * How a service's process runs: keepalived.conf(5) checker_process_name, checker_priority, checker_rt_priority,
 * checker_no_swap, checker_cpu_affinity, checker_rlimit_rttime, and the same that begin with bfd.
 */
import { setPriority } from "node:os";
import type { ProcessSettings } from "./config/model.ts";
import { SCHED_OTHER, SCHED_RR } from "./kernel/constants.ts";
import { errnoName } from "./kernel/errno.ts";
import { native } from "./kernel/native.ts";
import { URGENT_NICENESS } from "./kernel/urgent.ts";
import { setPollerScheduler } from "./kernel/watch.ts";

/**
 * Applies what differs from the settings before. What the system refuses is logged, and nothing else comes of it.
 * Real time is for the thread that waits for answers and wakes the rest: the one that judges them computes for
 * milliseconds at times, and under SCHED_RR the kernel could not handle packets on its processor meanwhile.
 */
export function applyProcessSettings(
	service: "checker" | "bfd",
	wanted: ProcessSettings,
	before: ProcessSettings | null,
	warn: (text: string) => void,
): void {
	const attempt = (what: string, work: () => number | undefined) => {
		try {
			const status = work() ?? 0;
			if (status < 0) warn(`${what}: ${errnoName(-status)}`);
		} catch (error) {
			warn(`${what}: ${error instanceof Error ? error.message : error}`);
		}
	};
	const { processName, rtPriority, noSwap, processors, realTimeLimitMicros } = wanted;
	if (processName !== null && processName !== before?.processName)
		attempt(`${service}_process_name`, () => native.setProcessName(processName));
	const nice = (of: ProcessSettings | null) =>
		of?.niceness ?? (of?.rtPriority == null ? null : URGENT_NICENESS);
	if (nice(wanted) !== nice(before))
		attempt(`${service}_priority`, () => void setPriority(0, nice(wanted) ?? 0));
	if (rtPriority !== (before?.rtPriority ?? null))
		attempt(`${service}_rt_priority`, () =>
			rtPriority === null ? setPollerScheduler(SCHED_OTHER, 0) : setPollerScheduler(SCHED_RR, rtPriority),
		);
	if (processors.length > 0 && !Bun.deepEquals(processors, before?.processors))
		attempt(`${service}_cpu_affinity`, () => native.setProcessors(processors));
	if (realTimeLimitMicros !== null && realTimeLimitMicros !== before?.realTimeLimitMicros)
		attempt(`${service}_rlimit_rttime`, () => native.setRealTimeLimit(realTimeLimitMicros));
	if (noSwap && before?.noSwap !== true) attempt(`${service}_no_swap`, () => native.lockMemory(true));
}
