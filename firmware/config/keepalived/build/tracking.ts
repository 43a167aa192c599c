/** What instances track: scripts, files, processes, BFD sessions, and the references to them. */
import type {
	BfdConfig,
	TrackFileConfig,
	TrackProcessConfig,
	TrackReference,
	TrackScriptConfig,
} from "../../model.ts";
import { nearest } from "../diagnostics.ts";
import { parseWhole } from "../numbers.ts";
import type { DataLine, Statement } from "../statement.ts";
import { readAddress } from "./address.ts";
import { Settings } from "./block.ts";
import type { BuildContext } from "./context.ts";

/** Everything that can be tracked by name, with its own weight. */
export interface Trackers {
	readonly scripts: Map<string, TrackScriptConfig>;
	readonly files: Map<string, TrackFileConfig>;
	readonly processes: Map<string, TrackProcessConfig>;
	readonly bfd: Map<string, BfdConfig>;
	/** Statement index at which each was defined: keepalived knows only what stands above. */
	readonly order: Map<string, number>;
}

const isReverse = (statement: Statement | null) => statement?.words.includes("reverse") === true;

export function buildTrackers(context: BuildContext, root: readonly Statement[]): Trackers {
	const trackers: Trackers = {
		scripts: new Map(),
		files: new Map(),
		processes: new Map(),
		bfd: new Map(),
		order: new Map(),
	};
	const hasInstances = root.some(({ keyword }) => keyword.name === "vrrp_instance");
	root.forEach((statement, index) => {
		const name = statement.words[0]!;
		const define = <T>(map: Map<string, T>, kind: string, value: T | null) => {
			if (map.has(name)) {
				context.error(statement, "duplicate-name", `${kind} ${name} is defined twice`, "the second one");
				return;
			}
			trackers.order.set(`${kind} ${name}`, index);
			if (value !== null) map.set(name, value);
		};
		switch (statement.keyword.name) {
			case "vrrp_script": {
				const { insecureScript } = context;
				define(trackers.scripts, "vrrp_script", buildScript(context, statement));
				// keepalived looks at them, tracked or not, as soon as there is an instance, be it a faulty one.
				if (!hasInstances) context.insecureScript = insecureScript;
				break;
			}
			case "track_file":
			case "vrrp_track_file":
				define(trackers.files, "track_file", buildFile(context, statement));
				break;
			case "vrrp_track_process":
				define(trackers.processes, "vrrp_track_process", buildProcess(context, statement));
				break;
			case "bfd_instance":
				define(trackers.bfd, "bfd_instance", buildBfd(context, statement));
				break;
		}
	});
	return trackers;
}

function buildScript(context: BuildContext, statement: Statement): TrackScriptConfig | null {
	const settings = new Settings(statement.body!);
	const name = statement.words[0]!;
	const command = settings.last("script");
	if (command === null || command.words.length === 0) {
		context.error(statement, "incomplete", `vrrp_script ${name} has no script`, "the whole vrrp_script");
		return null;
	}
	const user = settings.last("user");
	const script = context.script(command, command.words, user?.words[0] ?? null, user?.words[1] ?? null);
	if (script === null) return null;
	const intervalMs = readPeriod(context, settings.last("interval"), name) ?? 1000;
	const timeoutMs = readPeriod(context, settings.last("timeout"), name);
	const weight = settings.last("weight");
	return {
		name,
		script,
		intervalMs,
		timeoutMs: timeoutMs ?? intervalMs,
		weight: weight?.number ?? 0,
		reverse: isReverse(weight),
		rise: settings.number("rise") ?? 1,
		fall: settings.number("fall") ?? 1,
		initFail: settings.has("init_fail"),
		location: context.locate(statement),
	};
}

/** `interval`, `timeout` of a vrrp_script, in milliseconds; 0 becomes 1 s, as in keepalived. */
function readPeriod(context: BuildContext, statement: Statement | null, script: string): number | null {
	if (statement === null) return null;
	if (statement.number > 0) return statement.number / 1000;
	context.warn(
		statement,
		"out-of-range",
		`vrrp_script ${script}: ${statement.keyword.name} must be more than 0; 1 s is used`,
	);
	return 1000;
}

function buildFile(context: BuildContext, statement: Statement): TrackFileConfig | null {
	const settings = new Settings(statement.body!);
	const name = statement.words[0]!;
	// keepalived keeps the first one.
	const path = settings.first("file")?.words[0] ?? null;
	if (path === null) {
		context.error(statement, "incomplete", `track_file ${name} has no file`, "the whole track_file");
		return null;
	}
	const weight = settings.last("weight");
	const init = settings.last("init_file");
	let initFile: TrackFileConfig["initFile"] = null;
	if (init !== null) {
		let value = 0;
		for (const word of init.words) {
			if (word === "overwrite") continue;
			const number = parseWhole(word);
			if (Number.isNaN(number))
				context.error(
					init,
					"bad-argument",
					`init_file: "${word}" is neither a number nor overwrite`,
					"that word",
				);
			else value = number;
		}
		initFile = { value, overwrite: init.words.includes("overwrite") };
	}
	return {
		name,
		path,
		weight: weight?.number ?? 1,
		reverse: isReverse(weight),
		initFile,
		location: context.locate(statement),
	};
}

function buildProcess(context: BuildContext, statement: Statement): TrackProcessConfig | null {
	const settings = new Settings(statement.body!);
	const name = statement.words[0]!;
	// keepalived keeps the first one.
	const process = settings.first("process");
	if (process === null) {
		context.error(statement, "incomplete", `vrrp_track_process ${name} has no process`, "the whole block");
		return null;
	}
	const match = settings.last("param_match");
	const kind = match?.words[0] ?? null;
	if (kind !== null && kind !== "initial" && kind !== "partial")
		context.error(
			match!,
			"bad-argument",
			`param_match: "${kind}" is neither initial nor partial`,
			"param_match; it is exact",
		);
	const weight = settings.last("weight");
	return {
		name,
		process: process.words,
		match: kind === "initial" || kind === "partial" ? kind : "exact",
		fullCommand: settings.has("full_command"),
		weight: weight?.number ?? 0,
		reverse: isReverse(weight),
		...readProcessQuorum(context, settings, name),
		terminateDelayMs: (settings.last("terminate_delay", "delay")?.number ?? 0) / 1000,
		forkDelayMs: (settings.last("fork_delay", "delay")?.number ?? 0) / 1000,
		location: context.locate(statement),
	};
}

/**
 * In the order of the file, as keepalived reads it: what contradicts what stands above is passed over, and a maximum of
 * 0 alone means that the process must not run.
 */
function readProcessQuorum(
	context: BuildContext,
	settings: Settings,
	name: string,
): Pick<TrackProcessConfig, "quorum" | "quorumMax"> {
	let quorum = 1;
	let quorumMax: number | null = null;
	for (const statement of settings.all("quorum", "quorum_max")) {
		const isMax = statement.keyword.name === "quorum_max";
		const { number } = statement;
		if (isMax && number === 0 && quorum <= 1) quorum = 0;
		else if (isMax && number > 0 && quorum === 0) quorum = 1;
		const [least, most] = isMax ? [quorum, number] : [number, quorumMax ?? number];
		if (least > most)
			context.error(
				statement,
				"quorum",
				`vrrp_track_process ${name}: quorum_max ${most} is less than quorum ${least}`,
				isMax ? "quorum_max" : "quorum",
			);
		else if (isMax) quorumMax = number;
		else quorum = number;
	}
	return { quorum, quorumMax };
}

function buildBfd(context: BuildContext, statement: Statement): BfdConfig | null {
	const settings = new Settings(statement.body!);
	const name = statement.words[0]!;
	if (name.length > 31)
		context.error(statement, "bad-argument", `bfd_instance ${name}: the name is longer than 31 characters`);
	const neighbour = settings.word("neighbor_ip") ?? settings.word("neighbour_ip");
	if (neighbour === null) {
		context.error(statement, "incomplete", `bfd_instance ${name} has no neighbor_ip`, "the whole session");
		return null;
	}
	const neighbor = readAddress(neighbour)!;
	const sourceText = settings.word("source_ip");
	const source = sourceText === null ? null : readAddress(sourceText)!;
	if (source !== null && source.family !== neighbor.family) {
		context.error(
			settings.last("source_ip")!,
			"family",
			`bfd_instance ${name}: source_ip and neighbor_ip are of different families`,
			"the whole session",
		);
		return null;
	}
	const weight = settings.last("weight");
	const vrrp = settings.has("vrrp");
	const checker = settings.has("checker");
	return {
		name,
		neighbor: neighbor.address,
		source: source?.address ?? null,
		minRxMicros: settings.number("min_rx") ?? 10_000,
		minTxMicros: settings.number("min_tx") ?? 10_000,
		idleTxMicros: settings.number("idle_tx") ?? 1_000_000,
		multiplier: settings.number("multiplier") ?? 5,
		passive: settings.has("passive"),
		ttl: settings.number("ttl") ?? settings.number("hoplimit") ?? (neighbor.family === "inet" ? 255 : 64),
		maxHops: settings.number("max_hops") ?? 0,
		multihop: settings.boolean("multihop") ?? false,
		weight: weight?.number ?? 0,
		reverse: isReverse(weight),
		forVrrp: vrrp || !checker,
		forChecker: checker || !vrrp,
		location: context.locate(statement),
	};
}

export interface References {
	readonly trackInterfaces: readonly TrackReference[];
	readonly trackScripts: readonly TrackReference[];
	readonly trackFiles: readonly TrackReference[];
	readonly trackProcesses: readonly TrackReference[];
	readonly trackBfd: readonly TrackReference[];
}

/** The track_… blocks of one instance or group. `index` is the position of its statement at the outermost level. */
export function buildReferences(
	context: BuildContext,
	settings: Settings,
	trackers: Trackers,
	owner: { readonly title: string; readonly index: number; readonly interface: string | null },
): References {
	const references = <T extends { weight: number; reverse: boolean }>(
		keyword: string,
		kind: string,
		known: ReadonlyMap<string, T>,
		bound: number,
	): TrackReference[] => {
		const found: TrackReference[] = [];
		for (const line of settings.all(keyword).flatMap((statement) => statement.lines!)) {
			const name = line.words[0]!;
			const object = known.get(name);
			if (object === undefined) {
				if (!trackers.order.has(`${kind} ${name}`)) {
					const similar = nearest(name, known.keys());
					context.error(
						line,
						"unknown-name",
						`${owner.title}: there is no ${kind} ${name}`,
						`${keyword} ${name}`,
						{
							...(similar === null ? {} : { suggestion: `did you mean "${similar}"?` }),
						},
					);
				} else
					context.error(
						line,
						"unknown-name",
						`${owner.title}: ${kind} ${name} was dropped`,
						`${keyword} ${name}`,
					);
				continue;
			}
			if (trackers.order.get(`${kind} ${name}`)! > owner.index)
				context.warn(
					line,
					"defined-later",
					`${owner.title}: ${kind} ${name} is defined further down; keepalived would not track it, Drover does`,
				);
			if (found.some((reference) => reference.name === name)) {
				context.warn(
					line,
					"repeated",
					`${owner.title}: ${kind} ${name} is tracked twice; the first one holds`,
				);
				continue;
			}
			const { weight, reverse } = readWeight(context, line, owner.title, bound);
			found.push({
				name,
				weight: weight ?? object.weight,
				reverse: reverse ?? object.reverse,
				location: context.locate(line),
			});
		}
		return found;
	};
	const interfaces: TrackReference[] = [];
	for (const line of settings.all("track_interface").flatMap((statement) => statement.lines!)) {
		const name = line.words[0]!;
		const { weight, reverse } = readWeight(context, line, owner.title, 254);
		if (name === owner.interface) {
			context.warn(
				line,
				"own-interface",
				`${owner.title}: ${name} is its own interface, which is tracked anyway; this line is not used`,
			);
			continue;
		}
		context.checkInterface(name, line, `${owner.title}: track_interface`);
		if (interfaces.some((reference) => reference.name === name)) {
			context.warn(
				line,
				"repeated",
				`${owner.title}: interface ${name} is tracked twice; the first one holds`,
			);
			continue;
		}
		interfaces.push({
			name,
			weight: Math.max(-253, Math.min(253, weight ?? 0)),
			reverse: reverse ?? false,
			location: context.locate(line),
		});
	}
	return {
		trackInterfaces: interfaces,
		trackScripts: references("track_script", "vrrp_script", trackers.scripts, 253),
		trackFiles: references("track_file", "track_file", trackers.files, 254),
		trackProcesses: references("track_process", "vrrp_track_process", trackers.processes, 254),
		trackBfd: references("track_bfd", "bfd_instance", trackers.bfd, 253),
	};
}

/** `NAME [weight N [reverse|noreverse]]`; null for what is not said, where the tracked object's own holds. */
function readWeight(
	context: BuildContext,
	line: DataLine,
	title: string,
	bound: number,
): { weight: number | null; reverse: boolean | null } {
	const { words } = line;
	let weight: number | null = null;
	let reverse: boolean | null = null;
	for (let index = 1; index < words.length; index++) {
		const word = words[index]!;
		if (word === "weight") {
			const text = words[++index] ?? "";
			const value = parseWhole(text);
			if (value >= -bound && value <= bound) weight = value;
			else
				context.error(
					line,
					"out-of-range",
					`${title}: weight "${text}" of ${words[0]} is not a number from ${-bound} to ${bound}`,
					"the weight",
				);
		} else if (word === "reverse" || word === "noreverse") reverse = word === "reverse";
		else
			context.error(
				line,
				"bad-option",
				`${title}: "${word}" after ${words[0]} is no option of a tracked object`,
				`"${word}"`,
			);
	}
	return { weight, reverse };
}
