/** What `global_defs` says of the VRRP process itself: name, processors, limits, file modes. Before its threads are started. */
import type { GlobalConfig } from "../config/model.ts";
import { SystemCallError } from "../kernel/errno.ts";
import { native } from "../kernel/native.ts";
import { setScriptUmask } from "../notify/start-script.ts";
import type { LogLine } from "./address-keeper.ts";

export function becomeProcess({ vrrpProcess: config, umask }: GlobalConfig, log: LogLine): void {
	if (umask !== null) process.umask(umask);
	setScriptUmask(umask);
	const told = (keyword: string, status: number) => {
		if (status < 0) log("warn", new SystemCallError(keyword, status).message);
	};
	if (config.name !== null) told("vrrp_process_name", native.setProcessName(config.name));
	if (config.processors.length > 0) told("vrrp_cpu_affinity", native.setProcessors(config.processors));
	if (config.realTimeLimitMicros !== null)
		told("vrrp_rlimit_rttime", native.setRealTimeLimit(config.realTimeLimitMicros));
}
