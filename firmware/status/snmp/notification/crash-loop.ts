/** Does a service die as often as it is started? Pure. */

/** So many starts … */
export const STARTS_LIMIT = 5;
/** … within this time are a loop. */
export const WINDOW_MS = 60_000;

/** Per service: when it was seen to run as another process, and whether the loop was told. */
export type CrashHistory = ReadonlyMap<
	string,
	{ readonly pid: string | null; readonly startsMs: readonly number[]; readonly told: boolean }
>;

/**
 * `pids`: the process of each service that its supervisor knows; null while it is down.
 * A loop is told once; again only after the service has run through a whole window.
 */
export function crashLoops(
	before: CrashHistory,
	pids: Readonly<Record<string, string | null>>,
	nowMs: number,
): { readonly history: CrashHistory; readonly loops: readonly string[] } {
	const history = new Map<string, NonNullable<ReturnType<CrashHistory["get"]>>>();
	const loops: string[] = [];
	for (const [name, pid] of Object.entries(pids)) {
		const known = before.get(name);
		const started = known !== undefined && pid !== null && pid !== known.pid;
		const startsMs = [...(known?.startsMs ?? []), ...(started ? [nowMs] : [])].filter(
			(atMs) => nowMs - atMs < WINDOW_MS,
		);
		const isLoop = startsMs.length >= STARTS_LIMIT;
		if (isLoop && known?.told !== true) loops.push(name);
		history.set(name, {
			pid: pid ?? known?.pid ?? null,
			startsMs,
			told: isLoop || (known?.told === true && startsMs.length > 0),
		});
	}
	return { history, loops };
}
