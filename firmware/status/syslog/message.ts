/** A service's log line as a syslog message (RFC 5424), and its framing (RFC 5426, RFC 6587 §3.4.1). Pure. */

/** RFC 5424 §6.2.1. */
export const FACILITIES: Readonly<Record<string, number>> = {
	kern: 0,
	daemon: 3,
	...Object.fromEntries(Array.from({ length: 8 }, (_, number) => [`local${number}`, 16 + number])),
};
const ERROR = 3;
const WARNING = 4;
const NOTICE = 5;
const INFORMATIONAL = 6;
const DEBUG = 7;
/** The log's words. */
export const SEVERITIES: Readonly<Record<string, number>> = {
	fatal: 2,
	error: ERROR,
	warn: WARNING,
	warning: WARNING,
	info: INFORMATIONAL,
	debug: DEBUG,
	trace: DEBUG,
};

/** RFC 5424 §6.1: receivers should take 2,048 octets; rsyslog and syslog-ng take 8 KiB. */
export const MESSAGE_LIMIT_BYTES = 8_192;
const FIELD_LIMIT = 16;
const VALUE_LIMIT_CHARACTERS = 512;
/** §7.2.2: under net-snmp's playground, as DROVER-MIB. */
const STRUCTURED_DATA_ID = "drover@8072.9999.9999.7068";
const BYTE_ORDER_MARK = "\ufeff";

export interface LogEntry {
	/** Null: the line said nothing of it. */
	readonly atMs: number | null;
	readonly severity: number;
	readonly facility: string | null;
	readonly service: string;
	readonly text: string;
	readonly fields: readonly (readonly [name: string, value: string])[];
}

/** What the log writes besides the text. */
const KNOWN_FIELDS = new Set(["level", "time", "name", "service", "msg", "pid", "hostname"]);

/** A line as the services write it: JSON, or what a program said before it had a log. */
export function parseLogLine(service: string, line: string): LogEntry {
	const plain: LogEntry = { atMs: null, severity: NOTICE, facility: null, service, text: line, fields: [] };
	if (!line.startsWith("{")) return plain;
	let value: unknown;
	try {
		value = JSON.parse(line);
	} catch {
		return plain;
	}
	if (typeof value !== "object" || value === null) return plain;
	const record = value as Record<string, unknown>;
	const atMs = Date.parse(String(record["time"]));
	return {
		atMs: Number.isNaN(atMs) ? null : atMs,
		severity: severityOf(String(record["level"])),
		facility: null,
		service: typeof record["service"] === "string" ? record["service"] : service,
		text: typeof record["msg"] === "string" ? record["msg"] : "",
		fields: Object.entries(record)
			.filter(([name]) => !KNOWN_FIELDS.has(name))
			.slice(0, FIELD_LIMIT)
			.map(([name, field]) => [name, typeof field === "string" ? field : JSON.stringify(field)] as const),
	};
}

/** A word that the log has no level for, which may be any word at all, is a notice. */
function severityOf(level: string): number {
	return Object.hasOwn(SEVERITIES, level) ? SEVERITIES[level]! : NOTICE;
}

/** A record of /dev/kmsg (Documentation/ABI/testing/dev-kmsg): "PRIORITY,SEQUENCE,MICROSECONDS,FLAGS;TEXT". */
export function parseKernelRecord(record: string): LogEntry | null {
	const match = /^(\d+),\d+,\d+[^;]*;([^\n]*)/.exec(record);
	if (match === null) return null;
	const priority = Number(match[1]);
	// What user space wrote there is in another log already.
	if (priority >> 3 !== 0) return null;
	return {
		atMs: null,
		severity: priority & 7,
		facility: "kern",
		service: "kernel",
		text: match[2]!,
		fields: [],
	};
}

export interface MessageOptions {
	readonly hostname: string;
	readonly facility: string;
	/** For entries without a time of their own. */
	readonly nowMs: number;
}

/** RFC 5424 §6: the whole message, without framing. */
export function formatMessage(entry: LogEntry, { hostname, facility, nowMs }: MessageOptions): Uint8Array {
	const priority = (FACILITIES[entry.facility ?? facility] ?? 3) * 8 + entry.severity;
	const time = new Date(entry.atMs ?? nowMs).toISOString();
	const header = [
		`<${priority}>1`,
		time,
		header255(hostname, 255),
		header255(entry.service === "kernel" ? "kernel" : `drover-${entry.service}`, 48),
		"-",
		"-",
		structuredData(entry.fields),
	].join(" ");
	// §6.4: UTF-8 is announced by a byte order mark; plain ASCII needs none.
	const text = entry.text.replace(/[\x00-\x1f\x7f]/g, " ");
	const mark = /^[\x20-\x7e]*$/.test(text) ? "" : BYTE_ORDER_MARK;
	return clip(new TextEncoder().encode(text === "" ? header : `${header} ${mark}${text}`));
}

/** §6.2: printable ASCII without blanks; nothing is "-". */
const header255 = (text: string, limit: number) => text.replace(/[^\x21-\x7e]/g, "_").slice(0, limit) || "-";

/** §6.3. */
function structuredData(fields: LogEntry["fields"]): string {
	const parameters = fields.flatMap(([name, value]) => {
		const key = name.replace(/[^\x21-\x7e]|[="\]]/g, "_").slice(0, 32);
		const text = value
			.slice(0, VALUE_LIMIT_CHARACTERS)
			.toWellFormed()
			.replace(/[\x00-\x1f\x7f]/g, " ");
		return key === "" ? [] : [`${key}="${text.replace(/["\\\]]/g, "\\$&")}"`];
	});
	return parameters.length === 0 ? "-" : `[${STRUCTURED_DATA_ID} ${parameters.join(" ")}]`;
}

/** Cut at the limit, not within a character. */
function clip(bytes: Uint8Array): Uint8Array {
	if (bytes.length <= MESSAGE_LIMIT_BYTES) return bytes;
	let end = MESSAGE_LIMIT_BYTES;
	while ((bytes[end]! & 0xc0) === 0x80) end--;
	return bytes.subarray(0, end);
}

/** RFC 6587 §3.4.1 and RFC 5425 §4.3: the length in octets, a blank, the message. */
export function frameMessage(message: Uint8Array): Uint8Array {
	const length = new TextEncoder().encode(`${message.length} `);
	const frame = new Uint8Array(length.length + message.length);
	frame.set(length);
	frame.set(message, length.length);
	return frame;
}
