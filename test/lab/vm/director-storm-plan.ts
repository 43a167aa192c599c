/**
 * What a storm of reloads is made of, from a seed: virtual servers as keepalived.conf has them, what becomes of them
 * from reload to reload, which of the checked ports answer, and which virtual addresses are on the box.
 */
import type { Random } from "../../sim/random.ts";

/** Where all checks go; the servers themselves are nowhere. */
export const CHECKED_ADDRESS = "10.8.0.2";

interface RealServer {
	readonly address: string;
	readonly port: number;
	/** Lines of its block, but for the checks. */
	readonly options: readonly string[];
	/** Ports at the checked address, all of which must answer. */
	readonly checks: readonly { readonly port: number; readonly options: readonly string[] }[];
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
	readonly virtualServers: readonly VirtualServer[];
}

export interface Phase {
	readonly what: string;
	/** A new one is loaded. */
	readonly config: string | null;
	/** Checked ports that answer from now on. */
	readonly open: readonly number[];
	/** Of 10.9.0.1 to 10.9.0.6: which are on both boxes. */
	readonly addresses: readonly string[];
	/** Addresses of real servers that are dead in one virtual server at least. */
	readonly dead: ReadonlySet<string>;
}

export const CHECKED_PORTS = Array.from({ length: 12 }, (_, index) => 20_001 + index);
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
			pool: ["10.9.1.1 80", "10.9.1.2 80", "10.9.1.3-6 80", "10.9.1.7 80", "10.9.1.9-10 80"],
		},
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
			// keepalived 2.2.7 leaves services of members that are gone.
			groups: model.groups,
			virtualServers,
		};
	}

	#heads(): (readonly [string, boolean])[] {
		return [
			...VIRTUAL_ADDRESSES.map((address) => [`${address} 80`, false] as const),
			["2001:db8::1 80", true],
			["2001:db8::2 80", true],
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
		const hosts = REAL_HOSTS.filter(() => this.#random.chance(0.5));
		const options = this.#options(name, isIpv6);
		return { name, isIpv6, options, servers: hosts.map((host) => this.#server(host, isIpv6)) };
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
				// Without a timeout keepalived 2.2.7 loses it.
				...maybe(0.4, `persistence_granularity ${isIpv6 ? "64" : "255.255.255.0"}`),
			),
			...(isMarked ? [] : ["protocol TCP"]),
			...(name.startsWith("fwmark") && isIpv6 ? ["ip_family inet6"] : []),
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

	#server(host: number, isIpv6: boolean): RealServer {
		const random = this.#random;
		const maybe = (probability: number, ...lines: string[]) => (random.chance(probability) ? lines : []);
		const checks = Array.from({ length: random.pick([0, 1, 1, 1, 2]) }, () => ({
			port: random.pick(CHECKED_PORTS),
			options: this.#checkOptions(),
		}));
		return {
			address: isIpv6 ? `2001:db8:7::${host}` : `192.168.7.${host}`,
			port: 80,
			options: [
				...maybe(0.8, `weight ${random.pick([0, 1, 1, 2, 3, 100])}`),
				...maybe(0.2, "inhibit_on_failure"),
				...maybe(0.1, "alpha"),
				...maybe(0.15, `lvs_method ${random.pick(["NAT", "DR", "TUN"])}`),
				...maybe(
					0.2,
					`uthreshold ${random.integer(10, 20)}`,
					...maybe(0.5, `lthreshold ${random.integer(1, 9)}`),
				),
			],
			checks,
		};
	}

	#checkOptions(): readonly string[] {
		const random = this.#random;
		return [
			"connect_timeout 0.5",
			`retry ${random.integer(0, 1)}`,
			`delay_before_retry ${fraction(0.2 + random.next() * 0.2)}`,
			`delay_loop ${random.pick([0.5, 0.6, 0.7])}`,
			"warmup 0.1",
		];
	}

	/** keepalived 2.2.7 does not take over a changed sorry server, and forgets verdicts when ha_suspend comes. */
	#changedOptions({ name, isIpv6, options }: VirtualServer): readonly string[] {
		const lasts = (line: string) => /^(sorry_server|ha_suspend)/.test(line);
		return [
			...this.#options(name, isIpv6).filter((line) => !lasts(line)),
			...options.filter((line) => lasts(line)),
		];
	}

	#changedServer(old: VirtualServer): VirtualServer {
		const random = this.#random;
		const options = random.chance(0.4) ? this.#changedOptions(old) : old.options;
		// keepalived 2.2.7 leaves those that it inhibits.
		const stays = (server: RealServer) => [...old.options, ...server.options].includes("inhibit_on_failure");
		const servers = old.servers.flatMap((server) => {
			if (random.chance(0.6)) return [server];
			if (random.chance(0.25) && !stays(server)) return [];
			const fresh = this.#server(1, old.isIpv6);
			return random.chance(0.5)
				? [{ ...server, options: fresh.options }]
				: [{ ...server, checks: fresh.checks }];
		});
		const taken = new Set(servers.map(({ address }) => address));
		const fresh = this.#server(random.pick(REAL_HOSTS), old.isIpv6);
		if (!taken.has(fresh.address) && random.chance(0.5)) servers.push(fresh);
		return { ...old, options, servers: random.chance(0.15) ? [...servers].reverse() : servers };
	}
}

function text({ groups, virtualServers }: Model): string {
	const lines: string[] = [];
	for (const { name, members } of groups) {
		if (!virtualServers.some((one) => one.name === `group ${name}`)) continue;
		lines.push(`virtual_server_group ${name} {`, ...members.map((member) => `\t${member}`), "}");
	}
	for (const { name, options, servers } of virtualServers) {
		lines.push(`virtual_server ${name} {`, ...options.map((option) => `\t${option}`));
		for (const { address, port, options: own, checks } of servers) {
			lines.push(`\treal_server ${address} ${port} {`, ...own.map((option) => `\t\t${option}`));
			for (const check of checks)
				lines.push(
					"\t\tTCP_CHECK {",
					...[`connect_ip ${CHECKED_ADDRESS}`, `connect_port ${check.port}`, ...check.options].map(
						(line) => `\t\t\t${line}`,
					),
					"\t\t}",
				);
			lines.push("\t}");
		}
		lines.push("}");
	}
	return `${lines.join("\n")}\n`;
}

/** The first phase has the configuration that both start with. */
export function makePlan(random: Random, phases: number): readonly Phase[] {
	const maker = new Maker(random);
	let model = maker.model();
	const some = <Item>(items: readonly Item[], probability: number) =>
		items.filter(() => random.chance(probability));
	let open: readonly number[] = some(CHECKED_PORTS, 0.7);
	let addresses: readonly string[] = some(VIRTUAL_ADDRESSES, 0.7);
	const dead = () =>
		new Set(
			model.virtualServers
				.flatMap(({ servers }) => servers)
				.filter(({ checks }) => checks.some(({ port }) => !open.includes(port)))
				.map(({ address }) => address),
		);
	const plan: Phase[] = [{ what: "start", config: text(model), open, addresses, dead: dead() }];
	while (plan.length < phases) {
		const kinds = random.pick([
			["reload"],
			["reload"],
			["ports"],
			["addresses"],
			["reload", "ports"],
		] as const);
		let config: string | null = null;
		for (const kind of kinds)
			switch (kind) {
				case "reload":
					model = maker.changed(model);
					config = text(model);
					break;
				case "ports":
					open = random.chance(0.2) ? [] : random.chance(0.2) ? CHECKED_PORTS : some(CHECKED_PORTS, 0.6);
					break;
				case "addresses":
					addresses = some(VIRTUAL_ADDRESSES, 0.6);
					break;
			}
		plan.push({ what: kinds.join(" and "), config, open, addresses, dead: dead() });
	}
	return plan;
}
