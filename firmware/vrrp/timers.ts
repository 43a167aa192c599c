/** VRRP's derived times, in whole microseconds as keepalived computes them. Pure. */

/** RFC 3768 §6.1, RFC 9568 §6.1: how much longer a lower priority waits. */
export function skewTimeMicros(version: 2 | 3, priority: number, masterIntervalMicros: number): number {
	if (version === 2) return Math.floor(((256 - priority) * 1_000_000) / 256);
	const centiseconds = Math.floor(masterIntervalMicros / 10_000);
	return Math.floor(((256 - priority) * centiseconds * 625) / 16);
}

/** RFC 9568 §6.1: Active_Down_Interval; `downTimerAdverts` is 3 there. */
export function masterDownIntervalMicros(
	version: 2 | 3,
	priority: number,
	masterIntervalMicros: number,
	downTimerAdverts: number,
): number {
	return downTimerAdverts * masterIntervalMicros + skewTimeMicros(version, priority, masterIntervalMicros);
}

/** The wait of a configured MASTER (or a recovering owner) before it takes over from nobody. */
export function shortWaitMicros(version: 2 | 3, intervalMicros: number): number {
	return intervalMicros + skewTimeMicros(version, 255, intervalMicros);
}
