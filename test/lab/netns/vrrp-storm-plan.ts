/**
 * What a storm of VRRP is made of, from a seed: a configuration for each of two boxes, and what happens to them from
 * phase to phase.
 */
import type { Random } from "../../sim/random.ts";
import type { StrangeAdvert } from "./vrrp-stranger.ts";

export const BOXES = ["a", "b"] as const;
export type BoxName = (typeof BOXES)[number];

export type Happening =
	| { readonly kind: "cable"; readonly box: BoxName; readonly device: Device; readonly plugged: boolean }
	| { readonly kind: "link"; readonly box: BoxName; readonly device: Device; readonly up: boolean }
	| { readonly kind: "file"; readonly box: BoxName; readonly text: string }
	| { readonly kind: "script"; readonly box: BoxName; readonly status: number }
	| { readonly kind: "stop"; readonly box: BoxName }
	| { readonly kind: "start"; readonly box: BoxName }
	| { readonly kind: "reload"; readonly box: BoxName; readonly config: string; readonly change: string }
	/** One of Drover's two processes is killed, the older or the younger, of which nobody may take notice. */
	| { readonly kind: "crash"; readonly box: BoxName; readonly older: boolean }
	/** A third one sends adverts for two seconds. */
	| {
			readonly kind: "stranger";
			readonly advert: StrangeAdvert;
			readonly destinations: readonly string[];
	  };

export const STRANGER_COUNT = 12;
export const STRANGER_EVERY_MS = 150;

type Device = "eth0" | "eth1";

export interface Plan {
	/** At the start, with @FOLDER@ for a folder of the box's own. */
	readonly configs: Readonly<Record<BoxName, string>>;
	readonly instances: readonly string[];
	readonly groups: readonly string[];
	readonly phases: readonly (readonly Happening[])[];
	readonly phaseMs: number;
}

interface Tracking {
	interfaceWeight: number | null;
	fileWeight: number | null;
	scriptWeight: number | null;
	reverse: boolean;
}

interface Instance {
	readonly name: string;
	readonly virtualRouterId: number;
	readonly address: string;
	/** Not in the adverts: a keepalived before 2.3.3 drops those of other addresses than its own, and Drover does not. */
	readonly excluded: string[];
	priority: number;
	state: "MASTER" | "BACKUP" | null;
	nopreempt: boolean;
	preemptDelay: number | null;
	tracking: Tracking;
	readonly others: string[];
}

/** How the adverts of all instances travel. */
interface Wire {
	readonly version: 2 | 3;
	readonly intervalSeconds: number;
	readonly family: 4 | 6;
	readonly unicast: boolean;
	readonly virtualMac: boolean;
	readonly password: boolean;
}

interface BoxPlan {
	readonly instances: Instance[];
	group: { readonly members: readonly string[]; readonly lines: string[] } | null;
	readonly globals: string[];
	readonly script: { readonly rise: number; readonly fall: number; weight: number | null };
	readonly file: { weight: number | null };
}

const weights = [1, 5, 20, 60, -5, -20, -60, 120, -120, 253, -253];

function tracking(random: Random, reloads: boolean): Tracking {
	const weight = (chance: number) =>
		random.chance(chance) ? (random.chance(0.4) ? 0 : random.pick(weights)) : null;
	return {
		interfaceWeight: weight(0.4),
		fileWeight: weight(0.4),
		scriptWeight: weight(0.4),
		// keepalived forgets `reverse` when it reloads.
		reverse: !reloads && random.chance(0.3),
	};
}

function trackingLines({ interfaceWeight, fileWeight, scriptWeight, reverse }: Tracking): string[] {
	const lines: string[] = [];
	const block = (name: string, item: string, weight: number | null) => {
		if (weight === null) return;
		const word = weight === 0 ? "" : ` weight ${weight}${reverse ? " reverse" : ""}`;
		lines.push(`${name} {`, `\t${item}${word}`, "}");
	};
	block("track_interface", "eth1", interfaceWeight);
	block("track_file", "tf", fileWeight);
	block("track_script", "ts", scriptWeight);
	return lines;
}

const indent = (lines: readonly string[], by = "\t") => lines.map((line) => `${by}${line}`);

function wireLines({ version, intervalSeconds, family, unicast, virtualMac, password }: Wire, name: BoxName) {
	const [own, other] = name === "a" ? [1, 2] : [2, 1];
	const prefix = family === 4 ? "192.0.2." : "2001:db8::";
	return [
		`version ${version}`,
		`advert_int ${intervalSeconds}`,
		...(unicast
			? [`unicast_src_ip ${prefix}${own}`, "unicast_peer {", `\t${prefix}${other}`, "}"]
			: virtualMac
				? ["use_vmac"]
				: []),
		...(password ? ["authentication {", "\tauth_type PASS", "\tauth_pass 1111", "}"] : []),
	];
}

function configText(box: BoxPlan, wire: Wire, name: BoxName): string {
	const weightLine = (weight: number | null) => (weight === null ? [] : [`\tweight ${weight}`]);
	return [
		"global_defs {",
		"\tscript_user root",
		"\tvrrp_notify_fifo @FOLDER@/fifo",
		...indent(box.globals),
		"}",
		"vrrp_script ts {",
		'\tscript "@FOLDER@/ts"',
		"\tinterval 1",
		"\ttimeout 2",
		`\trise ${box.script.rise}`,
		`\tfall ${box.script.fall}`,
		...weightLine(box.script.weight),
		"}",
		"vrrp_track_file tf {",
		'\tfile "@FOLDER@/tf"',
		...weightLine(box.file.weight),
		"}",
		...(box.group === null
			? []
			: [
					"vrrp_sync_group G1 {",
					"\tgroup {",
					...indent(box.group.members, "\t\t"),
					"\t}",
					...indent(box.group.lines),
					"}",
				]),
		...box.instances.flatMap((instance) => [
			`vrrp_instance ${instance.name} {`,
			"\tinterface eth0",
			...(instance.state === null ? [] : [`\tstate ${instance.state}`]),
			...indent(wireLines(wire, name)),
			`\tvirtual_router_id ${instance.virtualRouterId}`,
			`\tpriority ${instance.priority}`,
			...(instance.nopreempt ? ["\tnopreempt"] : []),
			...(instance.preemptDelay === null ? [] : [`\tpreempt_delay ${instance.preemptDelay}`]),
			...indent(instance.others),
			...indent(trackingLines(instance.tracking)),
			"\tvirtual_ipaddress {",
			`\t\t${instance.address}`,
			"\t}",
			...(instance.excluded.length === 0
				? []
				: ["\tvirtual_ipaddress_excluded {", ...indent(instance.excluded, "\t\t"), "\t}"]),
			"}",
		]),
		"",
	].join("\n");
}

function makeBox(
	random: Random,
	count: number,
	grouped: boolean,
	reloads: boolean,
	{ family }: Wire,
): BoxPlan {
	const instances = Array.from({ length: count }, (_, index): Instance => {
		const priority = random.chance(0.1) ? 255 : random.pick([1, 50, 90, 100, 100, 101, 110, 150, 200, 254]);
		return {
			name: `VI_${index + 1}`,
			virtualRouterId: 51 + index,
			address: family === 4 ? `192.0.2.${201 + index}/24` : `fe80::${201 + index}/64`,
			excluded: [],
			priority,
			state: random.pick(["MASTER", "BACKUP", "BACKUP", null]),
			nopreempt: random.chance(0.25),
			preemptDelay: random.chance(0.2) ? random.pick([1, 2]) : null,
			tracking: tracking(random, reloads),
			others: [
				...(random.chance(0.15) ? ["dont_track_primary"] : []),
				...(random.chance(0.1) ? ["garp_master_delay 1"] : []),
				...(random.chance(0.1) ? ["accept"] : []),
				...(random.chance(0.1) ? ["higher_prio_send_advert true"] : []),
				...(random.chance(0.1) ? ["lower_prio_no_advert true"] : []),
			],
		};
	});
	const groupLines: string[] = [];
	if (random.chance(0.2)) groupLines.push("sync_group_tracking_weight");
	const ofGroup = tracking(random, reloads);
	// A script that group and instance track, both without a weight, keeps keepalived in INIT for ever.
	if (instances.some(({ tracking: { scriptWeight } }) => scriptWeight !== null)) ofGroup.scriptWeight = null;
	if (random.chance(0.4)) groupLines.push(...trackingLines(ofGroup));
	return {
		instances,
		group: grouped ? { members: ["VI_1", "VI_2"], lines: groupLines } : null,
		globals: [
			"vrrp_notify_priority_changes",
			...(random.chance(0.1) ? ["vrrp_startup_delay 1"] : []),
			...(random.chance(0.1) ? ["vrrp_min_garp"] : []),
		],
		script: {
			rise: random.pick([1, 1, 2]),
			fall: random.pick([1, 1, 2]),
			weight: random.chance(0.3) ? random.pick(weights) : null,
		},
		file: { weight: random.chance(0.4) ? random.pick([0, 1, 2, -1, 10, -10]) : null },
	};
}

/** Changes the box's plan in place; what was changed, for the report. */
function changeConfig(random: Random, box: BoxPlan): string {
	const instance = random.pick(box.instances);
	switch (random.integer(0, 7)) {
		case 0:
			instance.priority = random.pick([1, 50, 100, 120, 200, 254]);
			return `${instance.name} priority ${instance.priority}`;
		case 1:
			instance.nopreempt = !instance.nopreempt;
			return `${instance.name} nopreempt ${instance.nopreempt}`;
		case 2:
			instance.tracking = tracking(random, true);
			return `${instance.name} tracking ${JSON.stringify(instance.tracking)}`;
		case 3: {
			const more = instance.address.includes(":")
				? `2001:db8:1::${instance.virtualRouterId}/128`
				: `198.51.100.${instance.virtualRouterId}/32`;
			const at = instance.excluded.indexOf(more);
			if (at < 0) instance.excluded.push(more);
			else instance.excluded.splice(at, 1);
			return `${instance.name} ${at < 0 ? "also has" : "no longer has"} ${more}`;
		}
		case 4:
			box.script.weight = random.chance(0.5) ? random.pick(weights) : null;
			return `weight of the script ${box.script.weight}`;
		case 5:
			box.file.weight = random.pick([0, 1, 2, -1, 10, -10]);
			return `weight of the file ${box.file.weight}`;
		case 6:
			instance.state = random.pick(["MASTER", "BACKUP", null]);
			return `${instance.name} state ${instance.state}`;
		default:
			return "nothing";
	}
}

/** Mostly right, and now and then wrong in one or two ways. */
function strangeAdvert(random: Random, wire: Wire, instances: readonly Instance[]): Happening {
	const { family, version, password, unicast } = wire;
	const { address, virtualRouterId } = random.pick(instances);
	const hasPassword = random.chance(0.1) ? !password : password;
	const advert: StrangeAdvert = {
		family: family === 4 ? "inet" : "inet6",
		version: random.chance(0.1) && family === 4 ? (version === 2 ? 3 : 2) : version,
		virtualRouterId: random.chance(0.1) ? 77 : virtualRouterId,
		priority: random.pick([0, 1, 50, 100, 101, 150, 254, 255]),
		intervalMicros: wire.intervalSeconds * 1_000_000 * (random.chance(0.15) ? 2 : 1),
		addresses: [address.split("/")[0]!],
		hopLimit: random.chance(0.1) ? 254 : 255,
		checksumIsRight: !random.chance(0.1),
		password: !hasPassword ? null : random.chance(0.15) ? "2222" : "1111",
	};
	const destinations = unicast
		? [1, 2].map((number) => (family === 4 ? `192.0.2.${number}` : `2001:db8::${number}`))
		: [family === 4 ? "224.0.0.18" : "ff02::12"];
	return { kind: "stranger", advert, destinations };
}

export function makePlan(random: Random, phaseCount: number): Plan {
	const version = random.chance(0.8) ? 3 : 2;
	const unicast = random.chance(0.2);
	const wire: Wire = {
		version,
		intervalSeconds: version === 3 ? random.pick([0.1, 0.2, 0.3]) : 1,
		family: version === 3 && random.chance(0.3) ? 6 : 4,
		unicast,
		virtualMac: !unicast && random.chance(0.2),
		password: version === 2 && random.chance(0.5),
	};
	const count = random.integer(1, 3);
	const grouped = count > 1 && random.chance(0.5);
	const reloads = random.chance(0.5);
	const boxes = {
		a: makeBox(random, count, grouped, reloads, wire),
		b: makeBox(random, count, grouped, reloads, wire),
	};
	const text = (name: BoxName) => configText(boxes[name], wire, name);
	const configs = { a: text("a"), b: text("b") };
	const down = {
		a: { eth0: false, eth1: false, cable0: false, cable1: false, stopped: false },
		b: { eth0: false, eth1: false, cable0: false, cable1: false, stopped: false },
	};
	const status = { a: 0, b: 0 };
	const happen = (): Happening => {
		const box = random.pick(BOXES);
		const at = down[box];
		if (at.stopped) {
			at.stopped = false;
			return { kind: "start", box };
		}
		if (random.chance(0.15)) return { kind: "crash", box, older: random.chance(0.5) };
		if (random.chance(0.15)) return strangeAdvert(random, wire, boxes.a.instances);
		switch (random.integer(0, reloads ? 10 : 8)) {
			case 0:
				at.cable0 = !at.cable0;
				return { kind: "cable", box, device: "eth0", plugged: !at.cable0 };
			case 1:
			case 2:
				at.cable1 = !at.cable1;
				return { kind: "cable", box, device: "eth1", plugged: !at.cable1 };
			case 3:
				at.eth1 = !at.eth1;
				return { kind: "link", box, device: "eth1", up: !at.eth1 };
			case 4:
			case 5:
				return {
					kind: "file",
					box,
					text: random.pick(["0", "1", "-1", "5", "-5", "40", "-40", "-200", "200", "300", "0x10", ""]),
				};
			case 6:
			case 7:
				status[box] = status[box] === 0 ? 1 : 0;
				return { kind: "script", box, status: status[box] };
			case 8:
				at.stopped = true;
				return { kind: "stop", box };
			default: {
				const change = changeConfig(random, boxes[box]);
				return { kind: "reload", box, config: text(box), change };
			}
		}
	};
	const phases = Array.from({ length: phaseCount }, (_, index) =>
		index === 0 ? [] : Array.from({ length: random.chance(0.2) ? 2 : 1 }, happen),
	);
	return {
		configs,
		instances: boxes.a.instances.map(({ name }) => name),
		groups: grouped ? ["G1"] : [],
		phases,
		phaseMs: version === 3 ? 5_000 : 9_000,
	};
}
