/** What OpenNTPD says of the clock: ntpctl(8). Pure. */

export interface ClockStatus {
	readonly synchronized: boolean;
	/** Null while it is not synchronized. */
	readonly stratum: number | null;
	readonly validPeers: number;
	readonly peers: number;
	/** How far the clock is off, as long as that is more than it says for a synchronized one. */
	readonly offsetMs: number | null;
}

/** Reads `ntpctl -s status`; null when it says something else. */
export function parseClockStatus(text: string): ClockStatus | null {
	const peers = /\b(\d+)\/(\d+) peers valid/.exec(text);
	if (peers === null) return null;
	const stratum = /clock synced, stratum (\d+)/.exec(text);
	const offset = /clock offset is (-?[\d.]+)ms/.exec(text);
	return {
		synchronized: stratum !== null,
		stratum: stratum === null ? null : Number(stratum[1]),
		validPeers: Number(peers[1]),
		peers: Number(peers[2]),
		offsetMs: offset === null ? null : Number(offset[1]),
	};
}

export function clockText(clock: ClockStatus): string {
	const peers = `${clock.validPeers} of ${clock.peers} servers answer`;
	const offset = clock.offsetMs === null ? "" : `, ${clock.offsetMs} ms off`;
	return clock.synchronized
		? `synchronized, stratum ${clock.stratum}, ${peers}`
		: `not synchronized${offset}, ${peers}`;
}
