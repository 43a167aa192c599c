/**
 * What a storm of VRRP is made of, from a seed: a configuration for each of two or three boxes, and what happens to
 * them from phase to phase.
 */
import type { Random } from "../../sim/random.ts";
import type { StrangeAdvert } from "./vrrp-stranger.ts";

const BOXES = ["a", "b", "c"] as const;
export type BoxName = (typeof BOXES)[number];

export type Happening =
	| { readonly kind: "cable"; readonly box: BoxName; readonly device: Device; readonly plugged: boolean }
	| { readonly kind: "link"; readonly box: BoxName; readonly device: Device; readonly up: boolean }
	/** The interface is removed, or there again with the addresses that it had. */
	| { readonly kind: "interface"; readonly box: BoxName; readonly device: Device; readonly there: boolean }
	| { readonly kind: "file"; readonly box: BoxName; readonly text: string }
	| { readonly kind: "script"; readonly box: BoxName; readonly status: number }
	| { readonly kind: "stop"; readonly box: BoxName }
	| { readonly kind: "start"; readonly box: BoxName }
	| {
			readonly kind: "reload";
			readonly box: BoxName;
			readonly config: string;
			readonly change: string;
			/** One of Drover's two processes is killed so long after it was told. */
			readonly killedAfterMs: number | null;
			readonly older: boolean;
	  }
	/** The operator's slip of the hand: Drover is to refuse the file and to go on; keepalived is not asked. */
	| { readonly kind: "typo"; readonly box: BoxName; readonly config: string }
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
	readonly configs: ReadonlyMap<BoxName, string>;
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
	readonly intervalSeconds: number;
	/** That come and go with its mastership. */
	readonly routes: string[];
	readonly rules: string[];
	/** Not in the adverts: a keepalived before 2.3.3 drops those of other addresses than its own, and Drover does not. */
	readonly excluded: string[];
	priority: number;
	state: "MASTER" | "BACKUP" | null;
	nopreempt: boolean;
	preemptDelay: number | null;
	tracking: Tracking;
	readonly others: string[];
	/** It is in the file. */
	present: boolean;
}

/** How the adverts of all instances travel. */
interface Wire {
	readonly version: 2 | 3;
	readonly family: 4 | 6;
	readonly unicast: boolean;
	readonly virtualMac: boolean;
	readonly authentication: "PASS" | "AH" | null;
}

interface Group {
	readonly name: string;
	readonly members: readonly string[];
	readonly lines: string[];
	present: boolean;
}

interface BoxPlan {
	readonly instances: Instance[];
	readonly groups: readonly Group[];
	readonly globals: string[];
	readonly script: { readonly rise: number; readonly fall: number; weight: number | null };
	readonly file: { weight: number | null };
	/** Boxes that its unicast_peer leaves out. */
	readonly strangers: Set<BoxName>;
	/** Which instance has the address that moves. */
	mover: number | null;
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

const numberOf = (name: BoxName) => BOXES.indexOf(name) + 1;
/** Of the address that moves from one instance to another, below those that are an instance's own. */
const MOVING_HOST = 40;

function wireLines(
	{ version, family, unicast, virtualMac, authentication }: Wire,
	intervalSeconds: number,
	name: BoxName,
	peers: readonly BoxName[],
) {
	const prefix = family === 4 ? "192.0.2." : "2001:db8::";
	return [
		`version ${version}`,
		`advert_int ${intervalSeconds}`,
		...(unicast
			? [
					`unicast_src_ip ${prefix}${numberOf(name)}`,
					"unicast_peer {",
					...peers.map((peer) => `\t${prefix}${numberOf(peer)}`),
					"}",
				]
			: virtualMac
				? ["use_vmac"]
				: []),
		...(authentication === null
			? []
			: ["authentication {", `\tauth_type ${authentication}`, "\tauth_pass 1111", "}"]),
	];
}

function configText(box: BoxPlan, wire: Wire, name: BoxName, boxes: readonly BoxName[]): string {
	const others = boxes.filter((other) => other !== name);
	const known = others.filter((other) => !box.strangers.has(other));
	const peers = known.length > 0 ? known : others;
	const excluded = (instance: Instance) => [
		...instance.excluded,
		...(box.mover !== null && box.instances[box.mover] === instance ? [movingAddress(wire)] : []),
	];
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
		...box.groups
			.filter(({ present }) => present)
			.flatMap((group) => [
				`vrrp_sync_group ${group.name} {`,
				"\tgroup {",
				...indent(group.members, "\t\t"),
				"\t}",
				...indent(group.lines),
				"}",
			]),
		...box.instances
			.filter(({ present }) => present)
			.flatMap((instance) => [
				`vrrp_instance ${instance.name} {`,
				"\tinterface eth0",
				...(instance.state === null ? [] : [`\tstate ${instance.state}`]),
				...indent(wireLines(wire, instance.intervalSeconds, name, peers)),
				`\tvirtual_router_id ${instance.virtualRouterId}`,
				`\tpriority ${instance.priority}`,
				...(instance.nopreempt ? ["\tnopreempt"] : []),
				...(instance.preemptDelay === null ? [] : [`\tpreempt_delay ${instance.preemptDelay}`]),
				...indent(instance.others),
				...indent(trackingLines(instance.tracking)),
				"\tvirtual_ipaddress {",
				`\t\t${instance.address}`,
				"\t}",
				...(excluded(instance).length === 0
					? []
					: ["\tvirtual_ipaddress_excluded {", ...indent(excluded(instance), "\t\t"), "\t}"]),
				...indent(blockLines("virtual_routes", instance.routes)),
				...indent(blockLines("virtual_rules", instance.rules)),
				"}",
			]),
		"",
	].join("\n");
}

const blockLines = (name: string, lines: readonly string[]) =>
	lines.length === 0 ? [] : [`${name} {`, ...indent(lines), "}"];

/** A destination and a table of each instance's own; of the family of its adverts. */
const routeOf = ({ family }: Wire, index: number) =>
	family === 4
		? `10.77.${index}.0/24 via 192.0.2.254 dev eth0`
		: `2001:db8:77:${index}::/64 via 2001:db8::99 dev eth0`;
const ruleOf = ({ family }: Wire, index: number) =>
	`from ${family === 4 ? `10.77.${index}.0/24` : `2001:db8:77:${index}::/64`} lookup ${100 + index}`;

const movingAddress = ({ family }: Wire) =>
	family === 4 ? `198.51.100.${MOVING_HOST}/32` : `2001:db8:1::${MOVING_HOST}/128`;

function makeBox(
	random: Random,
	count: number,
	groups: readonly (readonly string[])[],
	intervals: readonly number[],
	reloads: boolean,
	wire: Wire,
	mayOwn: boolean,
): BoxPlan {
	const { family } = wire;
	const instances = Array.from({ length: count }, (_, index): Instance => {
		// Beside a second owner keepalived lowers itself for good.
		const owns = mayOwn && random.chance(0.1);
		const priority = owns ? 255 : random.pick([1, 50, 90, 100, 100, 101, 110, 150, 200, 254]);
		return {
			name: `VI_${index + 1}`,
			virtualRouterId: 51 + index,
			address: family === 4 ? `192.0.2.${201 + index}/24` : `fe80::${201 + index}/64`,
			intervalSeconds: intervals[index]!,
			excluded: [],
			routes: random.chance(0.25) ? [routeOf(wire, index)] : [],
			rules: random.chance(0.25) ? [ruleOf(wire, index)] : [],
			priority,
			state: random.pick(["MASTER", "BACKUP", "BACKUP", null]),
			nopreempt: random.chance(0.25),
			preemptDelay: random.chance(0.2) ? random.pick([1, 2]) : null,
			tracking: tracking(random, reloads),
			others: [
				...(random.chance(0.15) ? ["dont_track_primary"] : []),
				// The second burst of gratuitous ARP comes within the phase.
				"garp_master_delay 1",
				...(random.chance(0.1) ? ["accept"] : []),
				...(random.chance(0.1) ? ["higher_prio_send_advert true"] : []),
				...(random.chance(0.1) ? ["lower_prio_no_advert true"] : []),
			],
			present: true,
		};
	});
	const makeGroup = (members: readonly string[], index: number): Group => {
		const lines: string[] = [];
		if (random.chance(0.2)) lines.push("sync_group_tracking_weight");
		const ofGroup = tracking(random, reloads);
		const ofMembers = instances.map((instance) => instance.tracking);
		// A script that group and instance track, both without a weight, keeps keepalived in INIT for ever.
		if (ofMembers.some(({ scriptWeight }) => scriptWeight !== null)) ofGroup.scriptWeight = null;
		// Whether a fault or a priority comes first is the order of keepalived's lists.
		if (ofMembers.some(({ interfaceWeight }) => interfaceWeight === 0)) ofGroup.interfaceWeight = null;
		if (random.chance(0.4)) lines.push(...trackingLines(ofGroup));
		return { name: `G${index + 1}`, members, lines, present: true };
	};
	return {
		instances,
		groups: groups.map(makeGroup),
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
		strangers: new Set(),
		mover: random.chance(0.4) ? random.integer(0, count - 1) : null,
	};
}

/** Changes the box's plan in place; what was changed, for the report. */
function changeConfig(random: Random, box: BoxPlan, wire: Wire, others: readonly BoxName[]): string {
	const instance = random.pick(box.instances);
	const grouped = box.groups.some(({ members }) => members.includes(instance.name));
	switch (random.integer(0, 14)) {
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
		case 7:
			instance.preemptDelay = random.pick([null, 1, 2]);
			return `${instance.name} preempt_delay ${instance.preemptDelay}`;
		case 8:
			// One at least has to stay, and both of a group.
			if (grouped || (instance.present && box.instances.filter(({ present }) => present).length === 1))
				return "nothing";
			instance.present = !instance.present;
			return `${instance.name} is ${instance.present ? "there again" : "gone"}`;
		case 9: {
			const from = box.mover;
			box.mover = random.chance(0.2) ? null : random.integer(0, box.instances.length - 1);
			return `${movingAddress(wire)} goes from instance ${from} to ${box.mover}`;
		}
		case 10: {
			if (box.groups.length === 0) return "nothing";
			const group = random.pick(box.groups);
			group.present = !group.present;
			return `${group.name} is ${group.present ? "there again" : "gone"}`;
		}
		case 11: {
			const other = random.pick(others);
			if (!box.strangers.delete(other)) box.strangers.add(other);
			return `left out as a peer: ${[...box.strangers].join(", ") || "nobody"}`;
		}
		case 12:
			return comesAndGoes(instance, instance.routes, routeOf(wire, box.instances.indexOf(instance)));
		case 13:
			return comesAndGoes(instance, instance.rules, ruleOf(wire, box.instances.indexOf(instance)));
		default:
			return "nothing";
	}
}

function comesAndGoes({ name }: Instance, lines: string[], line: string): string {
	if (lines.length === 0) lines.push(line);
	else lines.length = 0;
	return `${name} ${lines.length > 0 ? "also has" : "no longer has"} ${line}`;
}

/** The same file with a slip of the hand that costs something. */
function withTypo(random: Random, config: string): string {
	const slips: readonly (readonly [string | RegExp, string])[] = [
		["virtual_router_id", "virtual_router_ide"],
		["virtual_ipaddress {", "virtual_ipadress {"],
		[/priority \d+/, "priority 300"],
		["interface eth0", "interface eth7"],
		["vrrp_instance VI_1 {", "vrrp_instance VI_1"],
		[/\}\n$/, ""],
		[/192\.0\.2\.2\d\d|fe80::2\d\d/, "192.0.2.2x"],
	];
	return config.replace(...random.pick(slips));
}

/** Mostly right, and now and then wrong in one or two ways. */
function strangeAdvert(random: Random, wire: Wire, instances: readonly Instance[]): Happening {
	const { family, version, unicast } = wire;
	const password = wire.authentication === "PASS";
	const { address, virtualRouterId, intervalSeconds } = random.pick(instances);
	const hasPassword = random.chance(0.1) ? !password : password;
	const advert: StrangeAdvert = {
		family: family === 4 ? "inet" : "inet6",
		version: random.chance(0.1) ? (version === 2 ? 3 : 2) : version,
		virtualRouterId: random.chance(0.1) ? 77 : virtualRouterId,
		priority: random.pick([0, 1, 50, 100, 101, 150, 254, 255]),
		intervalMicros: intervalSeconds * 1_000_000 * (random.chance(0.15) ? 2 : 1),
		addresses: [address.split("/")[0]!],
		hopLimit: random.chance(0.1) ? 254 : 255,
		checksumIsRight: !random.chance(0.1),
		password: !hasPassword ? null : random.chance(0.15) ? "2222" : "1111",
	};
	const destinations = unicast
		? [1, 2, 3].map((number) => (family === 4 ? `192.0.2.${number}` : `2001:db8::${number}`))
		: [family === 4 ? "224.0.0.18" : "ff02::12"];
	return { kind: "stranger", advert, destinations };
}

export function makePlan(random: Random, phaseCount: number): Plan {
	const version = random.chance(0.8) ? 3 : 2;
	const unicast = random.chance(0.2);
	const wire: Wire = {
		version,
		family: version === 3 && random.chance(0.3) ? 6 : 4,
		unicast,
		virtualMac: !unicast && random.chance(0.2),
		authentication: version === 2 ? random.pick(["PASS", "AH", null]) : null,
	};
	const names = random.chance(0.5) ? BOXES : BOXES.slice(0, 2);
	const count = random.integer(1, 4);
	const groups = [
		["VI_1", "VI_2"],
		["VI_3", "VI_4"],
	].filter((_, index) => count >= 2 * index + 2 && random.chance(0.6));
	const intervals = Array.from({ length: count }, () => (version === 3 ? random.pick([0.1, 0.2, 0.3]) : 1));
	const reloads = random.chance(0.7);
	const boxes = new Map(
		names.map((name) => [name, makeBox(random, count, groups, intervals, reloads, wire, name === "a")]),
	);
	const text = (name: BoxName) => configText(boxes.get(name)!, wire, name, names);
	const configs = new Map(names.map((name) => [name, text(name)]));
	const down = new Map(
		names.map((name) => [
			name,
			{ eth1: false, cable0: false, cable1: false, gone0: false, gone1: false, stopped: false, status: 0 },
		]),
	);
	const happen = (): Happening => {
		const box = random.pick(names);
		const at = down.get(box)!;
		if (at.stopped) {
			at.stopped = false;
			return { kind: "start", box };
		}
		if (at.gone0 || (at.gone1 && random.chance(0.7))) {
			const device = at.gone0 ? "eth0" : "eth1";
			if (at.gone0) at.gone0 = at.cable0 = false;
			else at.gone1 = at.cable1 = at.eth1 = false;
			return { kind: "interface", box, device, there: true };
		}
		if (random.chance(0.15)) return { kind: "crash", box, older: random.chance(0.5) };
		if (random.chance(0.1)) return strangeAdvert(random, wire, boxes.get("a")!.instances);
		switch (random.integer(0, reloads ? 14 : 9)) {
			case 0:
				at.cable0 = !at.cable0;
				return { kind: "cable", box, device: "eth0", plugged: !at.cable0 };
			case 1:
				if (at.gone1) break;
				at.cable1 = !at.cable1;
				return { kind: "cable", box, device: "eth1", plugged: !at.cable1 };
			case 2:
				if (at.gone1) break;
				at.eth1 = !at.eth1;
				return { kind: "link", box, device: "eth1", up: !at.eth1 };
			case 3:
				if (at.gone1) break;
				at.gone1 = true;
				return { kind: "interface", box, device: "eth1", there: false };
			case 4:
				// keepalived keeps the sockets of an interface that is no more (IPv6: its number), or does not see it come.
				if (
					wire.unicast ||
					wire.family === 6 ||
					boxes.get(box)!.instances.some(({ others }) => others.includes("dont_track_primary"))
				)
					break;
				at.gone0 = true;
				return { kind: "interface", box, device: "eth0", there: false };
			case 5:
			case 6:
				break;
			case 7:
			case 8:
				at.status = at.status === 0 ? 1 : 0;
				return { kind: "script", box, status: at.status };
			case 9:
				at.stopped = true;
				return { kind: "stop", box };
			case 10:
				return { kind: "typo", box, config: withTypo(random, text(box)) };
			default: {
				const change = changeConfig(
					random,
					boxes.get(box)!,
					wire,
					names.filter((other) => other !== box),
				);
				const killedAfterMs = random.chance(0.25) ? random.integer(0, 150) : null;
				return {
					kind: "reload",
					box,
					config: text(box),
					change,
					killedAfterMs,
					older: random.chance(0.5),
				};
			}
		}
		return {
			kind: "file",
			box,
			text: random.pick(["0", "1", "-1", "5", "-5", "40", "-40", "-200", "200", "300", "0x10", ""]),
		};
	};
	const phases = Array.from({ length: phaseCount }, (_, index) =>
		index === 0 ? [] : Array.from({ length: random.chance(0.2) ? 2 : 1 }, happen),
	);
	return {
		configs,
		instances: boxes.get("a")!.instances.map(({ name }) => name),
		groups: boxes.get("a")!.groups.map(({ name }) => name),
		phases,
		phaseMs: version === 3 ? 5_000 : 9_000,
	};
}
