/** The parameters of one instance: values, checks and the texts that param.show prints. Pure. */
import { HIDDEN_BY_DEFAULT, Tag } from "../log/tags.ts";
import { type ParameterEntry, parameterTable } from "./parameter-table.ts";

export type ParameterValue = string | number | boolean;
export type SetResult =
	| { readonly ok: true; readonly note: string }
	| { readonly ok: false; readonly status: number; readonly message: string };

const byName = new Map(parameterTable.map((entry) => [entry.name, entry]));
/** The most that a count of varnishd's can be. */
const UNLIMITED = 0xffff_ffff;

const durationUnits: Readonly<Record<string, number>> = {
	"": 1,
	s: 1,
	ms: 0.001,
	m: 60,
	h: 3600,
	d: 86400,
	w: 604800,
	y: 31536000,
};
const byteUnits: Readonly<Record<string, number>> = {
	"": 1,
	b: 1,
	k: 1024,
	m: 1 << 20,
	g: 2 ** 30,
	t: 2 ** 40,
};

const bitNames: Readonly<Record<string, readonly string[]>> = {
	debug: [
		"req_state",
		"workspace",
		"waitinglist",
		"syncvsl",
		"hashedge",
		"vclrel",
		"lurker",
		"esi_chop",
		"flush_head",
		"vtc_mode",
		"witness",
		"vsm_keep",
		"slow_acceptor",
		"h2_nocheck",
		"vmod_so_keep",
		"processors",
		"protocol",
		"vcl_keep",
		"lck",
	],
	feature: [
		"http2",
		"short_panic",
		"no_coredump",
		"https_scheme",
		"http_date_postel",
		"esi_ignore_https",
		"esi_disable_xml_check",
		"esi_ignore_other_elements",
		"esi_remove_bom",
		"esi_include_onerror",
		"wait_silo",
		"validate_headers",
		"busy_stats_rate",
	],
	experimental: ["drop_pools"],
	vsl_mask: Object.keys(Tag),
};

function bytesFault(text: string): string {
	if (partOfByte.test(text)) return "Fractional BYTES not allowed";
	return /^\s*\d/.test(text) ? "Unknown BYTES unit of measurement ([KMGTP][B])" : "Invalid number";
}

/** Part of a byte: "1.5" without a unit. */
const partOfByte = /^\s*\d+\.\d+\s*b?\s*$/i;

/** A size such as "100m" or "1.5G" in bytes; undefined when it is none. */
export function parseBytes(text: string): number | undefined {
	const match = /^(\d+(?:\.\d+)?)\s*([bkmgt]?)b?$/i.exec(text.trim());
	if (match === null || partOfByte.test(text)) return undefined;
	return Math.floor(Number(match[1]) * byteUnits[match[2]!.toLowerCase()]!);
}

/** Digits with a point anywhere among them: .5 and 5., too. */
const real = String.raw`-?(?:\d+\.?\d*|\.\d+)`;
const realNumber = new RegExp(`^${real}$`);
const duration = new RegExp(`^(${real})\\s*(ms|s|m|h|d|w|y)?$`);

/** A duration such as "5m" or ".5" in seconds; undefined when it is none. */
export function parseDuration(text: string): number | undefined {
	const match = duration.exec(text.trim());
	return match === null ? undefined : Number(match[1]) * durationUnits[match[2] ?? ""]!;
}

/** Bytes with the shortest exact unit, as varnishd prints them. */
export function formatBytes(bytes: number): string {
	if (bytes === 0) return "0b";
	const units = ["b", "k", "M", "G", "T"];
	let value = bytes;
	let unit = 0;
	while (unit < 4 && value >= 1024 && Number.isInteger((value / 1024) * 100)) {
		value /= 1024;
		unit++;
	}
	if (
		unit < 3 &&
		value >= 256 &&
		unit > 0 &&
		Number.isInteger((value / 1024) * 100) &&
		value / 1024 >= 0.25
	) {
		value /= 1024;
		unit++;
	}
	return `${value < 1 || !Number.isInteger(value) ? value.toFixed(2) : value}${units[unit]}`;
}

type Parsed =
	| { readonly ok: true; readonly value: ParameterValue }
	| { readonly ok: false; readonly message: string };
const wrong = (message: string): Parsed => ({ ok: false, message });

/** How much of the least number of threads may be kept in reserve. */
const MOST_RESERVE_PERCENT = 95;
/** Memory pools keep no element for longer. */
const POOL_AGE_SECONDS = 1_000_000;

interface Bound {
	/** As it is written in the table; empty: none. */
	readonly text: string;
	/** What it follows; empty: it stands in the table. */
	readonly because: string;
}

const told = ({ text, because }: Bound) => (because === "" ? text : `${text} (${because})`);

/** Three numbers of a memory pool: elements at least and at most, and seconds. */
function parsePool(text: string): Parsed {
	const fields = text.split(",").map((field) => field.trim());
	if (fields.length !== 3) return wrong("Three fields required: min_pool, max_pool and max_age");
	for (const count of fields.slice(0, 2)) if (!/^\d+$/.test(count)) return wrong(`Not a number (${count})`);
	const [least, most, age] = fields as [string, string, string];
	if (!realNumber.test(age)) return wrong(`Invalid number (${age})`);
	if (Number(age) < 0) return wrong("Must be greater or equal to 0");
	if (Number(age) > POOL_AGE_SECONDS) return wrong(`Must be less than or equal to ${POOL_AGE_SECONDS}`);
	if (Number(least) > Number(most)) return wrong("min_pool cannot be larger than max_pool");
	return { ok: true, value: fields.join(",") };
}

export class ParameterSet {
	readonly #values = new Map<string, ParameterValue>();
	readonly #defaults = new Map<string, ParameterValue>();
	readonly #readOnly = new Set<string>();

	constructor() {
		for (const entry of parameterTable) {
			const parsed = this.#parse(entry, entry.defaultText);
			this.#values.set(entry.name, parsed.ok ? parsed.value : entry.defaultText);
			this.#defaults.set(entry.name, this.#values.get(entry.name)!);
		}
	}

	get values(): Readonly<Record<string, ParameterValue>> {
		return Object.fromEntries(this.#values);
	}

	number(name: string): number {
		return Number(this.#values.get(name));
	}

	protect(name: string): boolean {
		if (!byName.has(name)) return false;
		this.#readOnly.add(name);
		return true;
	}

	has(name: string): boolean {
		return byName.has(name);
	}

	/** True when a bit parameter has that bit set. */
	bit(name: string, bit: string): boolean {
		return String(this.#values.get(name)).split(",").includes(`+${bit}`);
	}

	/** Tags that vsl_mask hides now. */
	hiddenTags(): string[] {
		return String(this.#values.get("vsl_mask") ?? "")
			.split(",")
			.filter((word) => word.startsWith("-"))
			.map((word) => word.slice(1));
	}

	#parse(entry: ParameterEntry, text: string): Parsed {
		switch (entry.kind) {
			case "bool":
				if (/^(on|yes|true|enable)$/i.test(text)) return { ok: true, value: true };
				if (/^(off|no|false|disable)$/i.test(text)) return { ok: true, value: false };
				return wrong('use "on" or "off"');
			case "duration":
				return this.#bounded(
					entry,
					parseDuration(text),
					(bound) => parseDuration(bound)!,
					`Invalid number (${text})`,
				);
			case "bytes":
				return this.#bounded(
					entry,
					parseBytes(text),
					(bound) => parseBytes(bound)!,
					`Could not convert to bytes.\n${bytesFault(text)}\n  Try something like '80k' or '120M'`,
				);
			case "integer":
			case "real": {
				const number =
					entry.kind === "integer" && /^unlimited$/i.test(text)
						? UNLIMITED
						: (entry.kind === "integer" ? /^-?\d+$/ : realNumber).test(text.trim())
							? Number(text)
							: undefined;
				return this.#bounded(
					entry,
					number,
					Number,
					`${entry.kind === "integer" ? "Not a number" : "Invalid number"} (${text})`,
				);
			}
			case "bits":
				return this.#bits(entry, text);
			case "pool":
				return parsePool(text);
			case "string":
				return { ok: true, value: text };
		}
	}

	#bounded(
		entry: ParameterEntry,
		value: number | undefined,
		read: (bound: string) => number,
		complaint: string,
	): Parsed {
		if (value === undefined || Number.isNaN(value)) return wrong(complaint);
		const fractional = entry.kind === "duration" || entry.kind === "real";
		const { minimum, maximum } = this.#bounds(entry);
		// Counts are never negative, also where no least one is shown.
		if (value < 0 && entry.kind === "integer" && minimum.text === "") return wrong(complaint);
		if (minimum.text !== "" && value < read(minimum.text))
			return wrong(`Must be ${fractional ? "greater or equal to" : "at least"} ${told(minimum)}`);
		if (maximum.text !== "" && value > read(maximum.text))
			return wrong(`Must be ${fractional ? "less than or equal to" : "no more than"} ${told(maximum)}`);
		return { ok: true, value };
	}

	/** The least and the most that it may be now. Those of thread pools follow one another. */
	#bounds({ name, minimum, maximum }: ParameterEntry): { readonly minimum: Bound; readonly maximum: Bound } {
		const least = { text: minimum, because: "" };
		const most = { text: maximum, because: "" };
		switch (name) {
			case "thread_pool_max":
				return { minimum: this.#boundBy("thread_pool_min"), maximum: most };
			case "thread_pool_min":
				return { minimum: least, maximum: this.#boundBy("thread_pool_max") };
			case "thread_pool_reserve": {
				const reserve = Math.floor((this.number("thread_pool_min") * MOST_RESERVE_PERCENT) / 100);
				return {
					minimum: least,
					maximum: { text: String(reserve), because: `${MOST_RESERVE_PERCENT}% of thread_pool_min` },
				};
			}
			default:
				return { minimum: least, maximum: most };
		}
	}

	#boundBy(name: string): Bound {
		return { text: String(this.number(name)), because: name };
	}

	#bits(entry: ParameterEntry, text: string): Parsed {
		const known = bitNames[entry.name]!;
		const mask = entry.name === "vsl_mask";
		let set = new Set(
			String(this.#values.get(entry.name) ?? "")
				.split(",")
				.filter((word) => /^[+-]/.test(word))
				.map((word) => word.slice(1)),
		);
		const initial = mask
			? new Set<string>(HIDDEN_BY_DEFAULT)
			: new Set(entry.name === "feature" ? ["validate_headers"] : []);
		for (const word of text.split(",").map((part) => part.trim())) {
			if (word === "default") set = new Set(initial);
			else if (word === "none" && !mask) set = new Set();
			else if (word === "all" && !mask) set = new Set(known);
			else if (!/^[+-]/.test(word)) return wrong(`Missing '+' or '-' (${word})`);
			else {
				const name = known.find((each) => each.toLowerCase() === word.slice(1).toLowerCase());
				if (name === undefined)
					return wrong(mask ? `Unknown VSL tag (${word})` : `Unknown ${entry.name} bit (${word})`);
				// vsl_mask lists what is hidden: "+Debug" shows it.
				if ((word[0] === "+") !== mask) set.add(name);
				else set.delete(name);
			}
		}
		const sign = mask ? "-" : "+";
		const listed = known.filter((name) => set.has(name)).map((name) => sign + name);
		return { ok: true, value: listed.length === 0 ? (mask ? "default" : "none") : listed.join(",") };
	}

	/** Sets a parameter from text, as param.set and -p do. `fromCli` heeds -r. */
	set(name: string, text: string, fromCli: boolean): SetResult {
		const entry = byName.get(name);
		if (entry === undefined) return { ok: false, status: 106, message: `Unknown parameter "${name}".` };
		if (fromCli && this.#readOnly.has(name))
			return { ok: false, status: 107, message: `parameter "${name}" is protected.` };
		if (entry.name === "accept_filter")
			return { ok: false, status: 300, message: `parameter "${name}" is not available on this platform.` };
		const parsed =
			text === "default" && entry.kind !== "bits"
				? this.#parse(entry, entry.defaultText)
				: this.#parse(entry, text);
		if (!parsed.ok)
			return {
				ok: false,
				status: 106,
				message: `${parsed.message}\n\n(attempting to set param '${name}' to '${text}')`,
			};
		this.#values.set(name, parsed.value);
		if (entry.flags.includes("restart"))
			return { ok: true, note: "\nChange will take effect when child is restarted" };
		if (entry.flags.includes("reload"))
			return { ok: true, note: "\nChange will take effect when VCL script is reloaded" };
		return { ok: true, note: "" };
	}

	reset(name: string): SetResult {
		const entry = byName.get(name);
		return this.set(name, entry?.defaultText ?? "", true);
	}

	isDefault(name: string): boolean {
		return this.#values.get(name) === this.#defaults.get(name);
	}

	text(name: string): string {
		return formatValue(byName.get(name)!, this.#values.get(name)!);
	}

	/** Lines of param.show without an argument, or of the changed ones. */
	list(changedOnly: boolean): string {
		let text = "";
		for (const entry of parameterTable) {
			const value = this.#values.get(entry.name)!;
			const isDefault = this.isDefault(entry.name);
			if (changedOnly && isDefault) continue;
			const unit =
				entry.unit === "" || entry.kind === "bool"
					? entry.kind === "bool"
						? " [bool]"
						: ""
					: ` [${entry.unit}]`;
			text += `${entry.name.padEnd(30)}${formatValue(entry, value)}${unit}${isDefault ? " (default)" : ""}\n`;
		}
		return text;
	}

	/** The long form of one parameter; undefined when there is none of that name. */
	describe(name: string): string | undefined {
		const entry = byName.get(name);
		if (entry === undefined) return undefined;
		const value = this.#values.get(name)!;
		const initial = this.#defaults.get(name)!;
		const unit = entry.unit === "" ? "" : ` [${entry.unit}]`;
		const pad = "        ";
		let text = `${name}\n${pad}Value is: ${formatValue(entry, value)}${unit}${value === initial ? " (default)" : ""}\n`;
		if (value !== initial) text += `${pad}Default is: ${formatValue(entry, initial)}\n`;
		const { minimum, maximum } = this.#bounds(entry);
		if (minimum.text !== "") text += `${pad}Minimum is: ${minimum.text}\n`;
		if (maximum.text !== "") text += `${pad}Maximum is: ${maximum.text}\n`;
		text += `\n${wrap(entry.about, 64, pad)}\n`;
		for (const note of notes(entry)) text += `${wrap(`NB: ${note}`, 64, pad)}\n`;
		return text;
	}

	json(name?: string): unknown[] {
		return parameterTable
			.filter(
				(entry) =>
					name === undefined || entry.name === name || (name === "changed" && !this.isDefault(entry.name)),
			)
			.map((entry) =>
				entry.effect === "absent" ? { name: entry.name, implemented: false } : this.#jsonOf(entry),
			);
	}

	#jsonOf(entry: ParameterEntry): unknown {
		const { minimum, maximum } = this.#bounds(entry);
		return {
			name: entry.name,
			implemented: true,
			value: jsonValue(entry, this.#values.get(entry.name)!),
			...(entry.unit === "" ? {} : { units: entry.unit }),
			// As it is written in the table: 0.75k, not 768b.
			default:
				entry.kind === "bytes" ? entry.defaultText : formatValue(entry, this.#defaults.get(entry.name)!),
			...(minimum.text === "" ? {} : { minimum: minimum.text }),
			...(maximum.text === "" ? {} : { maximum: maximum.text }),
			description: entry.about,
			flags: entry.flags.map((flag) => flagNames[flag] ?? flag),
		};
	}
}

function notes(entry: ParameterEntry): string[] {
	const list: string[] = [];
	if (entry.effect === "kept")
		list.push("This parameter is accepted and has no effect in this implementation.");
	if (entry.effect === "similar")
		list.push("This parameter acts on the nearest equivalent in this implementation.");
	if (entry.flags.includes("delayed"))
		list.push("This parameter may take quite some time to take (full) effect.");
	if (entry.flags.includes("restart"))
		list.push("This parameter will not take any effect until the child process has been restarted.");
	if (entry.flags.includes("reload"))
		list.push("This parameter will not take any effect until the VCL programs have been reloaded.");
	if (entry.flags.includes("experimental"))
		list.push("We do not know yet if it is a good idea to change this parameter.");
	if (entry.flags.includes("wizard")) list.push("Do not change unless a developer tells you to do so.");
	return list;
}

function wrap(text: string, width: number, pad: string): string {
	const lines: string[] = [];
	let line = "";
	for (const word of text.split(/\s+/)) {
		if (line !== "" && line.length + 1 + word.length > width) {
			lines.push(pad + line);
			line = word;
		} else line = line === "" ? word : `${line} ${word}`;
	}
	lines.push(pad + line);
	return lines.join("\n") + "\n";
}

function formatValue(entry: ParameterEntry, value: ParameterValue): string {
	switch (entry.kind) {
		case "bool":
			return value === true ? "on" : "off";
		case "duration":
			return Number(value).toFixed(3);
		case "bytes":
			return formatBytes(Number(value));
		default:
			return value === UNLIMITED ? "unlimited" : String(value);
	}
}

/** The long names that JSON has for flags. */
const flagNames: Readonly<Record<string, string>> = {
	build: "build_options",
	delayed: "delayed_effect",
	reload: "must_reload",
	restart: "must_restart",
};

function poolValue(text: string): { min_pool: number; max_pool: number; max_age: number } {
	const [minimum = 0, maximum = 0, age = 0] = text.split(",").map(Number);
	return { min_pool: minimum, max_pool: maximum, max_age: age };
}

function jsonValue(entry: ParameterEntry, value: ParameterValue): unknown {
	switch (entry.kind) {
		case "bool":
		case "integer":
		case "duration":
		case "real":
		case "bytes":
			return value;
		case "pool":
			return poolValue(String(value));
		case "bits":
		case "string":
			return String(value);
		default:
			return entry.kind satisfies never;
	}
}
