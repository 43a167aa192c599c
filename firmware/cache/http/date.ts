/** HTTP dates (RFC 9110 §5.6.7): one form is written, three are read, letters in their case. Seconds since 1970. */

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const fixdate = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d\d?) ([A-Za-z]{3}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT$/;
const rfc850 =
	/^(Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday), (\d\d)-([A-Za-z]{3})-(\d\d) (\d\d):(\d\d):(\d\d) GMT$/;
const asctime = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([A-Za-z]{3}) ([ \d]\d) (\d\d):(\d\d):(\d\d) (\d{4})$/;

/** Dates before it are taken for slips, as varnishd takes them. */
const firstYear = 1899;

let lastSecond = -1;
let lastText = "";

/** IMF-fixdate, such as "Sun, 06 Nov 1994 08:49:37 GMT". */
export function formatHttpDate(seconds: number): string {
	const whole = Math.floor(seconds);
	if (whole !== lastSecond) {
		lastSecond = whole;
		lastText = new Date(whole * 1000).toUTCString();
	}
	return lastText;
}

let readText = "";
let readSeconds: number | undefined;
let relaxed = false;

/** The feature http_date_postel: a day of one digit is read, too ("Fri, 2 Mar 2018 …"). */
export function relaxDates(on: boolean): void {
	relaxed = on;
	readText = "";
	readSeconds = undefined;
}

/** Seconds since 1970, or undefined when the text is no HTTP date. The same date comes again and again in a second. */
export function parseHttpDate(text: string): number | undefined {
	if (text !== readText) {
		readText = text;
		readSeconds = readHttpDate(text);
	}
	return readSeconds;
}

function readHttpDate(text: string): number | undefined {
	const imf = fixdate.exec(text);
	if (imf !== null) {
		const [, weekday, day, month, year, ...time] = imf;
		if (day!.length === 1 && !relaxed) return undefined;
		return secondsOf(Number(year), monthNumber(month!), Number(day), time, weekday!);
	}
	const old = rfc850.exec(text);
	if (old !== null) {
		const [, weekday, day, month, digits, ...time] = old;
		const year = Number(digits);
		return secondsOf(year < 70 ? 2000 + year : 1900 + year, monthNumber(month!), Number(day), time, weekday!);
	}
	const c = asctime.exec(text);
	if (c !== null) {
		const [, weekday, month, day, hour, minute, second, year] = c;
		return secondsOf(Number(year), monthNumber(month!), Number(day), [hour!, minute!, second!], weekday!);
	}
	return undefined;
}

/** From 1; 0: there is no such month. */
function monthNumber(name: string): number {
	return months.indexOf(name) + 1;
}

/**
 * Seconds since 1970, or undefined when there is no such day or moment, or it is not on that weekday (none given: any).
 * A leap second is the one before it. Month and day count from 1; `time` is hours, minutes, seconds.
 */
export function secondsOf(
	year: number,
	month: number,
	day: number,
	time: readonly string[],
	weekday?: string,
): number | undefined {
	const [hour, minute, second] = time.map(Number) as [number, number, number];
	if (year < firstYear || hour > 23 || minute > 59 || second > 60) return undefined;
	const midnight = new Date(Date.UTC(year, month - 1, day));
	if (midnight.getUTCFullYear() !== year || midnight.getUTCMonth() !== month - 1) return undefined;
	if (weekday !== undefined && weekdays[midnight.getUTCDay()] !== weekday.slice(0, 3)) return undefined;
	return midnight.getTime() / 1000 + (hour * 60 + minute) * 60 + Math.min(second, 59);
}
