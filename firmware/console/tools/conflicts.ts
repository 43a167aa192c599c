/** One look for others that claim this box's addresses: ARP probes and neighbour solicitations, a few seconds. */
import { systemEnvironment } from "../../health/system-environment.ts";
import type { VipConflict } from "../../health/vip-claims.ts";
import { VipConflictWatch } from "../../health/vip-conflict.ts";

/** A first probe after one second, and a second look another one later. */
const LISTEN_MS = 5_000;

/** Throws an Error in the operator's words when listening is not possible. */
export async function scanConflicts(
	addresses: ReadonlySet<string>,
	realServers: ReadonlySet<string>,
): Promise<readonly VipConflict[]> {
	const environment = systemEnvironment();
	let trouble: string | null = null;
	const watch = new VipConflictWatch({
		wheel: environment.wheel,
		nowMs: environment.nowMs,
		report() {},
		unavailable(reason) {
			trouble = reason;
		},
	});
	watch.watch(addresses, realServers);
	await Bun.sleep(LISTEN_MS);
	const found = watch.conflicts();
	watch.close();
	// Its next look, ten seconds later, would keep this program waiting.
	environment.wheel.close();
	if (trouble !== null) throw new Error(`cannot listen: ${trouble}`);
	return found;
}
