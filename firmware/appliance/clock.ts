/** What OpenNTPD says of the clock: ntpctl(8). */

export interface ClockStatus {
	readonly synchronized: boolean;
	/** Null while it is not synchronized. */
	readonly stratum: number | null;
	readonly validPeers: number;
	readonly peers: number;
	/** How far the clock is off, as long as that is more than it says for a synchronized one. */
	readonly offsetMs: number | null;
}

/** Reads `ntpctl -s status`; null when it says something else. Pure. */
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

/** Null where no NTP client runs. */
export function readClock(): ClockStatus | null {
	try {
		const { exitCode, stdout } = Bun.spawnSync(["ntpctl", "-s", "status"], { timeout: 2_000 });
		return exitCode === 0 ? parseClockStatus(stdout.toString()) : null;
	} catch {
		// The program is not there.
		return null;
	}
}

export function clockText(clock: ClockStatus): string {
	const peers = `${clock.validPeers} of ${clock.peers} servers answer`;
	const offset = clock.offsetMs === null ? "" : `, ${clock.offsetMs} ms off`;
	return clock.synchronized
		? `synchronized, stratum ${clock.stratum}, ${peers}`
		: `not synchronized${offset}, ${peers}`;
}
