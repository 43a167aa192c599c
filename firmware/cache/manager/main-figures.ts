/** The MAIN counters: what the workers counted, summed, and what follows from the store, the programs and the bans. Pure. */
import type { ParameterSet } from "../cli/parameters.ts";
import { mainCounters } from "../log/counters.ts";
import type { StoreFigures } from "../store/arena.ts";
import type { BanList } from "../store/bans.ts";
import type { WorkerReport } from "../worker/wire.ts";
import type { ShelvedVcl } from "./vcl-shelf.ts";

export interface MainSources {
	/** Of each worker, in the order of `mainCounters`. */
	readonly workerCounters: readonly ArrayLike<number>[];
	readonly store: StoreFigures | undefined;
	readonly reports: readonly WorkerReport[];
	readonly parameters: ParameterSet;
	readonly vcls: readonly ShelvedVcl[];
	readonly bans: BanList;
	readonly uptimeSeconds: number;
}

/** By the counter's name. */
export function mainFigures(sources: MainSources): Map<string, number> {
	const { workerCounters, store, reports, parameters, vcls, bans } = sources;
	const figures = new Map<string, number>();
	for (const [index, counter] of mainCounters.counters.entries()) {
		let sum = 0;
		for (const counters of workerCounters) sum += counters[index] ?? 0;
		figures.set(counter.name, sum);
	}
	const reported = (value: (each: WorkerReport) => number) =>
		reports.reduce((sum, each) => sum + value(each), 0);
	const threads = parameters.number("thread_pools") * parameters.number("thread_pool_min");
	const gauges: Readonly<Record<string, number>> = {
		uptime: sources.uptimeSeconds,
		pools: parameters.number("thread_pools"),
		threads,
		threads_created: threads,
		n_object: store?.objects ?? 0,
		n_objectcore: store?.objects ?? 0,
		n_objecthead: store?.objects ?? 0,
		n_expired: store?.expired ?? 0,
		n_lru_nuked: store?.nuked ?? 0,
		n_backend: vcls.reduce(
			(sum, vcl) => sum + vcl.compiled.backends.filter(({ endpoint }) => endpoint.kind !== "none").length,
			0,
		),
		n_vcl: vcls.length,
		n_vcl_avail: vcls.length,
		bans: bans.all.length,
		bans_completed: bans.all.filter((ban) => ban.completed).length,
		bans_obj: bans.all.filter((ban) => !ban.needsRequest && ban.tests.length > 0).length,
		bans_req: bans.all.filter((ban) => ban.needsRequest).length,
		bans_added: bans.added,
		bans_deleted: bans.deleted,
		bans_dups: bans.dups,
		bans_tested: reported((each) => each.bans.tested),
		bans_tests_tested: reported((each) => each.bans.testsTested),
		shm_records: reported((each) => each.logRecords),
		shm_writes: reported((each) => each.logFlushes),
		// Parts of transactions that are too long for one write are counted among the writes.
		shm_flushes: 0,
		shm_cycles: reported((each) => each.logCycles),
		vmods: new Set(vcls.flatMap((vcl) => vcl.compiled.vmods)).size,
	};
	for (const [name, value] of Object.entries(gauges)) figures.set(name, Math.max(0, value));
	return figures;
}
