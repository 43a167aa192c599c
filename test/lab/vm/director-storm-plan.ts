/**
 * What a storm of reloads is made of, from a seed: virtual servers as keepalived.conf has them, what becomes of them
 * from reload to reload, which of the checked ports answer, what files say and scripts return, and which virtual
 * addresses are on the box.
 */
import type { Random } from "../../sim/random.ts";

/** Where all checks go; the servers themselves are nowhere. */
export const CHECKED_ADDRESS = "10.8.0.2";

interface RealServer {
	readonly address: string;
	readonly port: number;
	/** Lines of its block, but for the checks. */
	readonly options: readonly string[];
	readonly checks: readonly Check[];
}

interface Check {
	readonly kind: "TCP_CHECK" | "SMTP_CHECK" | "UDP_CHECK" | "DNS_CHECK" | "MISC_CHECK" | "FILE_CHECK";
	/** A port at the checked address, or a script or file by its number; it has to be well. */
	readonly of: number;
	readonly options: readonly string[];
}

interface VirtualServer {
	/** As in the head of its block, and by which it is known from reload to reload. */
	readonly name: string;
	readonly isIpv6: boolean;
	readonly options: readonly string[];
	readonly servers: readonly RealServer[];
}

interface Group {
	readonly name: string;
	readonly isIpv6: boolean;
	readonly members: readonly string[];
}

interface PlannedGroup {
	readonly name: string;
	readonly isIpv6: boolean;
	/** Of which some are its members at a time. */
	readonly pool: readonly string[];
}

interface Model {
	readonly groups: readonly Group[];
	/** By number of a file: its own weight. */
	readonly fileWeights: readonly number[];
	readonly virtualServers: readonly VirtualServer[];
}

export interface Phase {
	readonly what: string;
	/** A new one is loaded. */
	readonly config: string | null;
	/** The operator's slip of the hand: Drover is to refuse it and to go on; keepalived is not asked. */
	readonly slip: string | null;
	/** Drover is killed so long after it was told of a new one, or of the slip, and started again. */
	readonly killedAfterMs: number | null;
	/** Checked ports that answer from now on. */
	readonly open: readonly number[];
	/** What the files of FILE_CHECK say, and what scripts return. */
	readonly numbers: readonly number[];
	readonly statuses: readonly number[];
	/** Of 10.9.0.1 to 10.9.0.6: which are on both boxes. */
	readonly addresses: readonly string[];
}

const ports = (first: number, length: number) => Array.from({ length }, (_, index) => first + index);
/** What answers on the checked address, if it does, by the kind of check that asks there. */
export const CHECKED_PORTS = {
	TCP_CHECK: ports(20_001, 8),
	UDP_CHECK: ports(20_101, 3),
	DNS_CHECK: ports(20_201, 2),
	SMTP_CHECK: ports(20_301, 2),
} as const;
const ALL_PORTS = Object.values(CHECKED_PORTS).flat();
const FILES = 3;
const SCRIPTS = 3;
const VIRTUAL_ADDRESSES = [1, 2, 3, 4, 5, 6].map((host) => `10.9.0.${host}`);
const REAL_HOSTS = [1, 2, 3, 4, 5, 6];

const fraction = (value: number) => String(Math.round(value * 100) / 100);

class Maker {
	readonly #random: Random;
	/** Groups keep their family and never share a member, which the kernel's table would not bear. */
	readonly #groups: readonly PlannedGroup[] = [
		{
			name: "GROUP_4",
			isIpv6: false,
			pool: ["10.9.1.1 80", "10.9.1.2 80", "10.9.1.3-6 80", "10.9.1.7 80", "10.9.1.9-10 8080"],
		},
		{
			name: "GROUP_MARKED",
			isIpv6: false,
			pool: ["10.9.3.1 80", "fwmark 11", "10.9.3.2-4 80", "fwmark 12", "10.9.3.9 81"],
		},
		{ name: "GROUP_MARKS", isIpv6: false, pool: ["fwmark 21", "fwmark 22", "fwmark 23"] },
		{ name: "GROUP_6", isIpv6: true, pool: ["2001:db8:9::1 80", "2001:db8:9::2-5 80", "2001:db8:9::9 80"] },
	];

	constructor(random: Random) {
		this.#random = random;
	}

	model(): Model {
		const random = this.#random;
		const heads = this.#heads().filter(() => random.chance(0.5));
		return {
			groups: this.#groups.map((group) => this.#group(group)),
			fileWeights: Array.from({ length: FILES }, () => this.#weight()),
			virtualServers: heads.map(([name, isIpv6]) => this.#virtualServer(name, isIpv6)),
		};
	}

	/** The same with some changes, none of them big. */
	changed(model: Model): Model {
		const random = this.#random;
		let virtualServers = model.virtualServers.flatMap((one) => {
			if (random.chance(0.5)) return [one];
			if (random.chance(0.15)) return [];
			return [this.#changedServer(one)];
		});
		const taken = new Set(virtualServers.map(({ name }) => name));
		const free = this.#heads().filter(([name]) => !taken.has(name));
		if (free.length > 0 && random.chance(0.5)) {
			const [name, isIpv6] = random.pick(free);
			virtualServers = [...virtualServers, this.#virtualServer(name, isIpv6)];
		}
		if (random.chance(0.2)) virtualServers = [...virtualServers].reverse();
		return {
			groups: model.groups.map((group, index) =>
				random.chance(0.2) ? this.#group(this.#groups[index]!) : group,
			),
			fileWeights: model.fileWeights.map((weight) => (random.chance(0.2) ? this.#weight() : weight)),
			virtualServers,
		};
	}

	/** Of a FILE_CHECK or its file; 0: whatever is not 0 is a failure. */
	#weight(): number {
		return this.#random.pick([0, 0, 1, 2, -1]);
	}

	#heads(): (readonly [string, boolean])[] {
		return [
			...VIRTUAL_ADDRESSES.map((address) => [`${address} 80`, false] as const),
			["10.9.0.1 53", false],
			["10.9.0.7 53", false],
			["2001:db8::1 80", true],
			["2001:db8::2 80", true],
			["2001:db8::1 53", true],
			["fwmark 1", false],
			["fwmark 2", true],
			...this.#groups.map(({ name, isIpv6 }) => [`group ${name}`, isIpv6] as const),
		];
	}

	#group({ name, isIpv6, pool }: PlannedGroup): Group {
		const members = pool.filter(() => this.#random.chance(0.6));
		return { name, isIpv6, members: members.length === 0 ? [pool[0]!] : members };
	}

	#virtualServer(name: string, isIpv6: boolean): VirtualServer {
		const some = REAL_HOSTS.filter(() => this.#random.chance(0.5));
		// Drover refuses one without real servers.
		const hosts = some.length > 0 ? some : [this.#random.pick(REAL_HOSTS)];
		const options = this.#options(name, isIpv6);
		return { name, isIpv6, options, servers: hosts.map((host) => this.#server(host, isIpv6, name)) };
	}

	/** Only what both take: what one of them refuses is the business of another storm. */
	#options(name: string, isIpv6: boolean): readonly string[] {
		const random = this.#random;
		const maybe = (probability: number, ...lines: string[]) => (random.chance(probability) ? lines : []);
		const isMarked = name.startsWith("fwmark");
		const scheduler = random.pick([
			"rr",
			"wrr",
			"lc",
			"wlc",
			"sh",
			"mh",
			"sed",
			"nq",
			"dh",
			"fo",
			"ovf",
			"lblc",
		]);
		const flags =
			scheduler === "sh" || scheduler === "mh" ? [`${scheduler}-port`, `${scheduler}-fallback`] : [];
		return [
			"delay_loop 0.6",
			`lb_algo ${scheduler}`,
			...flags.filter(() => random.chance(0.4)),
			`lb_kind ${random.pick(["NAT", "DR", "TUN"])}`,
			...maybe(
				0.3,
				`persistence_timeout ${random.pick([10, 300, 3600])}`,
				// Without a timeout, and for a group of IPv6 or of marks alone, keepalived 2.2.7 loses it.
				...maybe(
					/^group GROUP_(MARKS|6)$/.test(name) ? 0 : 0.4,
					`persistence_granularity ${isIpv6 ? "64" : "255.255.255.0"}`,
				),
			),
			...(isMarked ? [] : [`protocol ${name.endsWith(" 53") ? "UDP" : "TCP"}`]),
			...(name.endsWith(" 53") ? maybe(0.3, "ops") : []),
			...(isMarked ? [`ip_family ${isIpv6 ? "inet6" : "inet"}`] : []),
			...maybe(0.4, "alpha"),
			...maybe(0.3, "omega"),
			...maybe(0.4, `quorum ${random.integer(1, 4)}`),
			...maybe(0.25, `hysteresis ${random.integer(0, 2)}`),
			...maybe(0.25, "inhibit_on_failure"),
			...maybe(0.15, `weight ${random.integer(1, 5)}`),
			...(/^[0-9]+\./.test(name) ? maybe(0.25, "ha_suspend") : []),
			...maybe(
				0.4,
				`sorry_server ${isIpv6 ? "2001:db8:7::99" : "192.168.7.99"} 80`,
				...maybe(0.4, "sorry_server_inhibit"),
				`sorry_server_lvs_method ${random.pick(["NAT", "DR"])}`,
			),
		];
	}

	#server(host: number, isIpv6: boolean, name: string): RealServer {
		const random = this.#random;
		const maybe = (probability: number, ...lines: string[]) => (random.chance(probability) ? lines : []);
		const checks = Array.from({ length: random.pick([0, 1, 1, 1, 2]) }, () => this.#check());
		// Another family than the service's goes through a tunnel alone.
		const isMixed = random.chance(0.1);
		return {
			address: isIpv6 !== isMixed ? `2001:db8:7::${host}` : `192.168.7.${host}`,
			port: name.endsWith(" 53") ? 53 : 80,
			options: [
				...maybe(0.8, `weight ${random.pick([0, 1, 1, 2, 3, 100])}`),
				...maybe(0.2, "inhibit_on_failure"),
				...maybe(0.1, "alpha"),
				...(isMixed ? ["lvs_method TUN"] : maybe(0.15, `lvs_method ${random.pick(["NAT", "DR", "TUN"])}`)),
				...maybe(
					0.2,
					`uthreshold ${random.integer(10, 20)}`,
					...maybe(0.5, `lthreshold ${random.integer(1, 9)}`),
				),
			],
			checks,
		};
	}

	#check(): Check {
		const random = this.#random;
		const kind = random.pick([
			"TCP_CHECK",
			"TCP_CHECK",
			"TCP_CHECK",
			"UDP_CHECK",
			"DNS_CHECK",
			"SMTP_CHECK",
			"MISC_CHECK",
			"FILE_CHECK",
		] as const);
		const timing = [
			`retry ${random.integer(0, 1)}`,
			`delay_before_retry ${fraction(0.2 + random.next() * 0.2)}`,
			`delay_loop ${random.pick([0.5, 0.6, 0.7])}`,
			"warmup 0.1",
		];
		switch (kind) {
			case "FILE_CHECK":
				return {
					kind,
					of: random.integer(0, FILES - 1),
					options: random.chance(0.5) ? [`weight ${this.#weight()}`] : [],
				};
			case "MISC_CHECK":
				return {
					kind,
					of: random.integer(0, SCRIPTS - 1),
					options: [...timing, "misc_timeout 2", ...(random.chance(0.6) ? ["misc_dynamic"] : [])],
				};
			default:
				return {
					kind,
					of: random.pick(CHECKED_PORTS[kind]),
					options: [
						...timing,
						"connect_timeout 1",
						...(kind === "DNS_CHECK" ? ["type A", "name example.org"] : []),
					],
				};
		}
	}

	/** keepalived 2.2.7 forgets verdicts when ha_suspend comes. */
	#changedOptions({ name, isIpv6, options }: VirtualServer): readonly string[] {
		const lasts = (line: string) => line === "ha_suspend";
		return [
			...this.#options(name, isIpv6).filter((line) => !lasts(line)),
			...options.filter((line) => lasts(line)),
		];
	}

	#changedServer(old: VirtualServer): VirtualServer {
		const random = this.#random;
		const options = random.chance(0.4) ? this.#changedOptions(old) : old.options;
		const servers = old.servers.flatMap((server) => {
			if (random.chance(0.6)) return [server];
			if (random.chance(0.25)) return [];
			const fresh = this.#server(1, old.isIpv6, old.name);
			const isSameFamily = fresh.address.includes(":") === server.address.includes(":");
			return random.chance(0.5) && isSameFamily
				? [{ ...server, options: fresh.options }]
				: [{ ...server, checks: fresh.checks }];
		});
		const taken = new Set(servers.map(({ address }) => address));
		const fresh = this.#server(random.pick(REAL_HOSTS), old.isIpv6, old.name);
		if (!taken.has(fresh.address) && (servers.length === 0 || random.chance(0.5))) servers.push(fresh);
		return { ...old, options, servers: random.chance(0.15) ? [...servers].reverse() : servers };
	}
}

function checkLines({ kind, of, options }: Check): string[] {
	const where = () => {
		switch (kind) {
			case "FILE_CHECK":
				return [`track_file number_${of}`];
			case "MISC_CHECK":
				return [`misc_path "/bin/sh @FOLDER@/script-${of}"`];
			default:
				return [`connect_ip ${CHECKED_ADDRESS}`, `connect_port ${of}`];
		}
	};
	return [`${kind} {`, ...[...where(), ...options].map((line) => `\t${line}`), "}"];
}

/** With @FOLDER@ for where files and scripts are. */
function text({ groups, fileWeights, virtualServers }: Model): string {
	const lines: string[] = [];
	for (const [number, weight] of fileWeights.entries())
		lines.push(
			`track_file number_${number} {`,
			`\tfile @FOLDER@/number-${number}`,
			`\tweight ${weight}`,
			"}",
		);
	for (const { name, members } of groups) {
		if (!virtualServers.some((one) => one.name === `group ${name}`)) continue;
		lines.push(`virtual_server_group ${name} {`, ...members.map((member) => `\t${member}`), "}");
	}
	for (const { name, options, servers } of virtualServers) {
		lines.push(`virtual_server ${name} {`, ...options.map((option) => `\t${option}`));
		for (const { address, port, options: own, checks } of servers) {
			lines.push(`\treal_server ${address} ${port} {`, ...own.map((option) => `\t\t${option}`));
			for (const check of checks) lines.push(...checkLines(check).map((line) => `\t\t${line}`));
			lines.push("\t}");
		}
		lines.push("}");
	}
	return `${lines.join("\n")}\n`;
}

/** Something in the file that is lost, or cannot be. */
function withSlip(random: Random, config: string): string {
	const slips: readonly (readonly [RegExp, string])[] = [
		[/lb_algo \w+/, "lb_algo nearest"],
		[/protocol \w+/, "protocol TPC"],
		[/real_server \S+ \d+/, "real_server 192.168.7.400 80"],
		[/\}\n$/, ""],
		[/\tTCP_CHECK/, "\tTPC_CHECK"],
		[/virtual_server (\S+) (\S+) \{/, "virtual_server $1 $2"],
		[/track_file number_0/, "track_file number_9"],
	];
	return config.replace(...random.pick(slips));
}

/** The first phase has the configuration that both start with. */
export function makePlan(random: Random, phases: number): readonly Phase[] {
	const maker = new Maker(random);
	let model = maker.model();
	const some = <Item>(items: readonly Item[], probability: number) =>
		items.filter(() => random.chance(probability));
	let open: readonly number[] = some(ALL_PORTS, 0.7);
	let addresses: readonly string[] = some(VIRTUAL_ADDRESSES, 0.7);
	const anyNumbers = () => Array.from({ length: FILES }, () => random.pick([0, 0, 1, 3, -2]));
	const anyStatuses = () => Array.from({ length: SCRIPTS }, () => random.pick([0, 0, 1, 3, 7, 2]));
	let numbers = anyNumbers();
	let statuses = anyStatuses();
	const facts = () => ({ open, addresses, numbers, statuses });
	const plan: Phase[] = [{ what: "start", config: text(model), slip: null, killedAfterMs: null, ...facts() }];
	while (plan.length < phases) {
		const kinds = random.pick([
			["reload"],
			["reload"],
			["ports"],
			["addresses"],
			["files"],
			["reload", "ports"],
			["reload", "files"],
			["reload", "kill"],
			["slip", "ports"],
			["slip", "kill"],
		] as const);
		let config: string | null = null;
		let slip: string | null = null;
		let killedAfterMs: number | null = null;
		for (const kind of kinds)
			switch (kind) {
				case "reload":
					model = maker.changed(model);
					config = text(model);
					break;
				case "slip":
					slip = withSlip(random, text(model));
					break;
				case "kill":
					killedAfterMs = random.integer(0, 400);
					break;
				case "ports":
					open = random.chance(0.2) ? [] : random.chance(0.2) ? ALL_PORTS : some(ALL_PORTS, 0.6);
					break;
				case "files":
					numbers = anyNumbers();
					statuses = anyStatuses();
					break;
				case "addresses":
					addresses = some(VIRTUAL_ADDRESSES, 0.6);
					break;
			}
		plan.push({ what: kinds.join(" and "), config, slip, killedAfterMs, ...facts() });
	}
	return plan;
}
