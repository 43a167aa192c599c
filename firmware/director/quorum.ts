/**
 * Has a virtual server enough live weight? Pure. keepalived.conf(5) `quorum`, `hysteresis`:
 * gained at quorum + hysteresis, lost below quorum − hysteresis, and always without any weight.
 */
export interface QuorumLimits {
	/** Sum of weights, at least 1. */
	readonly quorum: number;
	/** Less than `quorum`. */
	readonly hysteresis: number;
}

/** Whether the quorum holds, given whether it held before and the sum of weights of live real servers. */
export function quorumHolds(
	held: boolean,
	liveWeight: number,
	{ quorum, hysteresis }: QuorumLimits,
): boolean {
	if (liveWeight <= 0) return false;
	return held ? liveWeight >= quorum - hysteresis : liveWeight >= quorum + hysteresis;
}

/** The change in words, as keepalived logs it. */
export function quorumReason(
	holds: boolean,
	liveWeight: number,
	{ quorum, hysteresis }: QuorumLimits,
): string {
	return holds
		? `gained quorum ${quorum}+${hysteresis}=${quorum + hysteresis} <= ${liveWeight}`
		: `lost quorum ${quorum}-${hysteresis}=${quorum - hysteresis} > ${liveWeight}`;
}

export function quorumDownAtStart(liveWeight: number, { quorum, hysteresis }: QuorumLimits): string {
	return `starting with quorum down ${quorum}-${hysteresis}=${quorum - hysteresis} > ${liveWeight}`;
}

/**
 * What a letter says of it, as keepalived writes it (check/ipwrapper.c): with a plus and "<=" whichever way it went, and of what
 * a reading of the configuration finds that one starts with it.
 */
export function quorumLetter(
	holds: boolean,
	held: boolean,
	atReading: boolean,
	liveWeight: number,
	{ quorum, hysteresis }: QuorumLimits,
): string {
	const threshold = held ? quorum - hysteresis : quorum + hysteresis;
	const what = atReading
		? `Starting with quorum ${holds ? "up" : "down"}`
		: `${holds ? "Gained" : "Lost"} quorum`;
	return `${what} ${quorum}+${hysteresis}=${threshold} <= ${liveWeight}`;
}

/** That of an earlier run goes on. */
export function quorumKept(liveWeight: number, { quorum, hysteresis }: QuorumLimits): string {
	return `keeping quorum ${quorum}-${hysteresis}=${quorum - hysteresis} <= ${liveWeight}`;
}
