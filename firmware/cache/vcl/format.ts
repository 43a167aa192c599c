/** Text forms of VCL's values, byte for byte as Varnish prints them. Reference §3. */
import { parseHttpDate, secondsOf } from "../http/date.ts";
import { type Stevedore, VclFailure } from "./runtime.ts";

/** Twelve digits before the point, three behind it. */
export const REAL_LIMIT = 999_999_999_999.999;

/** `%.3f`: three decimals; exact ties go to the even digit, as C's printf does and toFixed does not. */
export function formatReal(value: number): string {
	if (Object.is(value, -0)) return "-0.000";
	// Not a number is beyond it, too.
	if (!(Math.abs(value) <= REAL_LIMIT)) {
		const shown = Number.isNaN(value) ? "-nan" : value.toExponential(6);
		throw new VclFailure(`REAL overflow converting to string (${shown})`);
	}
	const text = value.toFixed(3);
	// Halfway between two thousandths, exactly: only odd sixteenths are both that and a binary number.
	if (Math.abs(value * 16) % 2 !== 1) return text;
	const lower = Math.floor(Math.abs(value) * 1000);
	const even = (lower % 2 === 0 ? lower : lower + 1) / 1000;
	return (value < 0 ? -even : even).toFixed(3);
}

/** Fifteen digits (RFC 8941). */
export const INTEGER_LIMIT = 999_999_999_999_999;

/** INT and BYTES: what is not whole is dropped. */
export function formatInteger(value: number): string {
	const whole = Math.trunc(value);
	if (!(Math.abs(whole) <= INTEGER_LIMIT)) {
		const shown = Number.isFinite(whole) ? BigInt.asUintN(64, BigInt(whole)).toString(16).toUpperCase() : "?";
		throw new VclFailure(`INT overflow converting to string (${shown})`);
	}
	return whole.toFixed(0);
}

/** The calendar comes again after 400 years, days of the week and all. */
const CALENDAR_YEARS = 400;
const CALENDAR_SECONDS = 146_097 * 86_400;
/** Of a Date, to either side of 1970. */
const DATE_LIMIT_SECONDS = 8.64e12;

/** RFC 1123 date in GMT; a part of a second is cut off. */
export function formatTime(seconds: number): string {
	const whole = Math.trunc(seconds);
	if (Math.abs(whole) <= DATE_LIMIT_SECONDS) return new Date(whole * 1000).toUTCString();
	const rounds = Math.floor(whole / CALENDAR_SECONDS);
	return new Date((whole - rounds * CALENDAR_SECONDS) * 1000)
		.toUTCString()
		.replace(/\d{4}/, (year) => String(Number(year) + rounds * CALENDAR_YEARS));
}

/**
 * A date as HTTP writes it (RFC 9110 §5.6.7: the three formats, letters in their case), ISO 8601 `YYYY-MM-DDTHH:MM:SS`,
 * or a plain number of seconds. Seconds since 1970, or null.
 */
export function parseTime(text: string): number | null {
	const trimmed = text.trim();
	if (/^(?:\d{1,15}(?:\.\d*)?|\.\d+)$/.test(trimmed)) return Number(trimmed);
	const iso = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)$/.exec(trimmed);
	if (iso !== null) {
		const [, year, month, day, ...time] = iso;
		return secondsOf(Number(year), Number(month), Number(day), time) ?? null;
	}
	return parseHttpDate(trimmed) ?? null;
}

/** "10s", "1.5 m", "-3d": seconds, or null. The unit is mandatory. */
export function parseDuration(text: string): number | null {
	const match = /^\s*(-?(?:\d{1,15}(?:\.\d*)?|\.\d+))\s*(ms|s|m|h|d|w|y)\s*$/.exec(text);
	if (match === null) return null;
	const units: Readonly<Record<string, number>> = {
		ms: 0.001,
		s: 1,
		m: 60,
		h: 3600,
		d: 86400,
		w: 604800,
		y: 31536000,
	};
	return Number(match[1]) * units[match[2]!]!;
}

/** "10", "1.5KB", "3 M": bytes, or null. Letters in any case. */
export function parseBytes(text: string): number | null {
	const match = /^\s*(-?0+|\d{1,15}(?:\.\d{1,3})?)\s*([kmgtp]?)b?\s*$/i.exec(text);
	// Parts of a byte do not exist, only parts of thousands.
	if (match === null || (match[2] === "" && match[1]!.includes("."))) return null;
	const exponent = " kmgtp".indexOf(match[2]!.toLowerCase());
	return Math.trunc(Number(match[1]) * (match[2] === "" ? 1 : 1024 ** exponent));
}

/** A stevedore as text: "storage.s0"; null when there is none. */
export const storageName = (stevedore: Stevedore | null): string | null =>
	stevedore === null ? null : `storage.${stevedore.name}`;
