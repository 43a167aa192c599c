/** Numbers as an operator reads them at a glance. Pure. */

/** "0 B/s", "1.2 kB/s", "34 MB/s": decimal units, at most three digits. */
export function byteRate(bytesPerSecond: number): string {
	return `${scaled(bytesPerSecond)}B/s`;
}

/** "0 B", "1.2 kB", "34 MB". */
export function amount(bytes: number): string {
	return `${scaled(bytes)}B`;
}

/** "0/s", "9.5/s", "1.2 k/s". */
export function rate(perSecond: number): string {
	return `${scaled(perSecond).trimEnd()}/s`;
}

function scaled(value: number): string {
	const units = ["", "k", "M", "G", "T"];
	let unit = 0;
	let rest = Math.max(0, value);
	while (rest >= 999.5 && unit < units.length - 1) {
		rest /= 1000;
		unit++;
	}
	const digits = rest < 9.95 && (unit > 0 || !Number.isInteger(rest)) ? rest.toFixed(1) : rest.toFixed(0);
	return `${digits} ${units[unit]}`;
}

/** "42 s", "3 min 07 s", "5 h 02 min", "12 d 4 h". */
export function duration(seconds: number): string {
	const whole = Math.max(0, Math.floor(seconds));
	const two = (value: number) => String(value).padStart(2, "0");
	if (whole < 60) return `${whole} s`;
	if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
	if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
	return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

/** Wall clock, UTC, as "12:03:44". */
export function clock(unixMs: number): string {
	return new Date(unixMs).toISOString().slice(11, 19);
}
