/** HTTP dates (RFC 9110 §5.6.7): one form is written, three are read. Seconds since 1970. */

const months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const fixdate = /^(?:mon|tue|wed|thu|fri|sat|sun), (\d\d) ([a-z]{3}) (\d{4}) (\d\d):(\d\d):(\d\d) gmt$/i;
const rfc850 =
	/^(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday), (\d\d)-([a-z]{3})-(\d\d) (\d\d):(\d\d):(\d\d) gmt$/i;
const asctime = /^(?:mon|tue|wed|thu|fri|sat|sun) ([a-z]{3}) ([ \d]\d) (\d\d):(\d\d):(\d\d) (\d{4})$/i;

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

/** Seconds since 1970, or undefined when the text is no HTTP date. The same date comes again and again in a second. */
export function parseHttpDate(text: string): number | undefined {
	if (text !== readText) {
		readText = text;
		readSeconds = readHttpDate(text);
	}
	return readSeconds;
}

function readHttpDate(text: string): number | undefined {
	let match = fixdate.exec(text);
	if (match !== null) return seconds(match[3]!, match[2]!, match[1]!, match[4]!, match[5]!, match[6]!);
	match = rfc850.exec(text);
	if (match !== null) {
		const year = Number(match[3]);
		return seconds(
			String(year < 70 ? 2000 + year : 1900 + year),
			match[2]!,
			match[1]!,
			match[4]!,
			match[5]!,
			match[6]!,
		);
	}
	match = asctime.exec(text);
	if (match !== null) return seconds(match[6]!, match[1]!, match[2]!.trim(), match[3]!, match[4]!, match[5]!);
	return undefined;
}

function seconds(
	year: string,
	month: string,
	day: string,
	hour: string,
	minute: string,
	second: string,
): number | undefined {
	const index = months.indexOf(month.toLowerCase());
	const inRange =
		Number(hour) < 24 && Number(minute) < 60 && Number(second) < 61 && Number(day) >= 1 && Number(day) <= 31;
	if (index < 0 || !inRange) return undefined;
	return Date.UTC(Number(year), index, Number(day), Number(hour), Number(minute), Number(second)) / 1000;
}
