/** When a `reload_time_file` asks for a reload: keepalived.conf(5), global_defs, "reload_time_file". Pure. */

export interface ReloadTime {
	/** Unix milliseconds. */
	readonly atMs: number;
	/** A time without a date: it comes again every day. */
	readonly daily: boolean;
}

const FORMAT = /^(?:(?:(\d{2}|\d{4})-(\d{2})-(\d{2}) )?(\d{2}):(\d{2}):(\d{2}))(Z?)$/;

/**
 * The first line is `HH:MM:SS`, `YY-MM-DD HH:MM:SS` or `YYYY-MM-DD HH:MM:SS`, nothing around it; a `Z` at its end makes
 * it UTC, else it is local time. A time alone means its next occurrence after `nowMs`. Null: another form, a day or
 * hour that does not exist, or a moment that has passed.
 */
export function reloadTime(text: string, nowMs: number): ReloadTime | null {
	const match = FORMAT.exec(text.split("\n", 1)[0]!);
	if (match === null) return null;
	const [hour, minute, second] = [Number(match[4]), Number(match[5]), Number(match[6])];
	if (hour > 23 || minute > 59 || second > 59) return null;
	const inUtc = match[7] === "Z";
	const moment = (year: number, month: number, day: number) =>
		inUtc
			? Date.UTC(year, month, day, hour, minute, second)
			: new Date(year, month, day, hour, minute, second).getTime();
	if (match[1] !== undefined) {
		const year = Number(match[1]) + (match[1].length === 2 ? 2000 : 0);
		const month = Number(match[2]);
		const day = Number(match[3]);
		if (month < 1 || month > 12 || day < 1 || day > new Date(Date.UTC(year, month, 0)).getUTCDate())
			return null;
		const atMs = moment(year, month - 1, day);
		return atMs > nowMs ? { atMs, daily: false } : null;
	}
	const now = new Date(nowMs);
	const [year, month, day] = inUtc
		? [now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate()]
		: [now.getFullYear(), now.getMonth(), now.getDate()];
	const today = moment(year, month, day);
	return { atMs: today > nowMs ? today : moment(year, month, day + 1), daily: true };
}
