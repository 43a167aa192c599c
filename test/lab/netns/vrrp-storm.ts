/**
 * A storm of VRRP, run by hand: two or three boxes on a wire, a seeded configuration for each, and things that happen
 * to them: cables, interfaces, files and scripts that are tracked, stops, starts, kills, reloads and slips of the
 * operator's hand. The same story is told at once to two worlds of keepalived alone and to worlds with Drover in some
 * places. Where the two of keepalived agree, Drover should: in what the notify FIFO says, in what state each instance
 * is and in which box holds the address. What Drover takes it has to announce.
 *
 *   bun test/lab/netns/vrrp-storm.ts [SEED] [--rounds N] [--phases N] [--worlds dkd,kdk,ddd] [--keep FOLDER]
 *
 * Of two boxes the first two letters of a world count.
 * `--keep`: configurations and logs of the boxes of a round with differences go there.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { randomFrom } from "../../sim/random.ts";
import { type Cable, eventually, type Namespace, type Segment } from "./network.ts";
import { type Difference, runRounds } from "./storm-rounds.ts";
import { type Box, Lab, type Running } from "./vrrp-lab.ts";
import {
	type BoxName,
	type Happening,
	makePlan,
	type Plan,
	STRANGER_COUNT,
	STRANGER_EVERY_MS,
} from "./vrrp-storm-plan.ts";
import { Stranger } from "./vrrp-stranger.ts";

type Maker = "d" | "k";

/** One box of one pair. */
class Actor {
	readonly box: Box;
	readonly maker: Maker;
	readonly #number: number;
	readonly #lab: Lab;
	readonly #farSegment: Segment;
	#near: Cable;
	/** To what is tracked. */
	#far: Cable;
	#running: Running | null = null;
	#config: string;
	/** How far the FIFO's lines were read. */
	#read = 0;
	/** The last state of each instance and group, with its priority. */
	readonly said = new Map<string, string>();
	/** Virtual addresses at the last look. */
	held: ReadonlySet<string> = new Set();

	constructor(lab: Lab, name: BoxName, maker: Maker, config: string) {
		this.#number = name.charCodeAt(0) - "a".charCodeAt(0) + 1;
		this.box = lab.box(name, this.#number);
		this.#near = this.box.cable;
		this.maker = maker;
		this.#lab = lab;
		this.#farSegment = lab.network.segment(`far-${name}`);
		this.#far = this.#plugFar();
		this.#config = config.replaceAll("@FOLDER@", this.box.folder);
		this.write("tf", "0");
		this.script(0);
		const fifo = join(this.box.folder, "fifo");
		Bun.spawnSync(["mkfifo", fifo]);
		this.box.namespace.spawn(["sh", "-c", `exec cat <>${fifo} >${join(this.box.folder, "told")}`]);
	}

	#plugFar(): Cable {
		return this.#farSegment.plug(this.box.namespace, "eth1", `203.0.113.${this.#number}/24`);
	}

	connected(): Promise<true> {
		const isUp = (name: string) =>
			this.box.namespace.ipJson<{ operstate: string }>("link", "show", "dev", name)[0]?.operstate === "UP";
		return eventually("both links are up", () => isUp("eth0") && isUp("eth1"));
	}

	write(name: string, text: string, mode = 0o644): void {
		const path = join(this.box.folder, name);
		writeFileSync(`${path}.new`, text, { mode });
		renameSync(`${path}.new`, path);
	}

	script(status: number): void {
		this.write("ts", `#!/bin/sh\nexit ${status}\n`, 0o755);
	}

	start(): void {
		this.#running = this.maker === "d" ? this.box.drover(this.#config) : this.box.keepalived(this.#config);
	}

	async happen(happening: Exclude<Happening, { kind: "stranger" }>): Promise<void> {
		switch (happening.kind) {
			case "cable": {
				const cable = happening.device === "eth0" ? this.#near : this.#far;
				if (happening.plugged) cable.plugIn();
				else cable.unplug();
				break;
			}
			case "link":
				this.box.namespace.ip("link", "set", happening.device, happening.up ? "up" : "down");
				break;
			case "interface":
				if (!happening.there) this.box.namespace.ip("link", "del", happening.device);
				else if (happening.device === "eth0") this.#near = this.#lab.plug(this.box.namespace, this.#number);
				else this.#far = this.#plugFar();
				break;
			case "file":
				// In place: a new inode is another story.
				writeFileSync(join(this.box.folder, "tf"), happening.text);
				break;
			case "script":
				this.script(happening.status);
				break;
			case "stop":
				await this.stop();
				break;
			case "crash":
				this.#crash(happening.older);
				break;
			case "start":
				this.start();
				break;
			case "reload":
				this.#config = happening.config.replaceAll("@FOLDER@", this.box.folder);
				this.#reload(this.#config);
				if (happening.killedAfterMs !== null) {
					await Bun.sleep(happening.killedAfterMs);
					this.#crash(happening.older);
				}
				break;
			case "typo":
				if (this.maker === "d") this.#reload(happening.config.replaceAll("@FOLDER@", this.box.folder));
				break;
		}
	}

	#reload(config: string): void {
		writeFileSync(join(this.box.folder, this.maker === "d" ? "keepalived.conf" : "real.conf"), config);
		this.#signal("SIGHUP");
	}

	/** Drover's only: of keepalived there is nothing that could go on. */
	#crash(older: boolean): void {
		const pids = this.maker === "d" ? this.box.droverPids().sort((a, b) => a - b) : [];
		if (pids.length === 2) process.kill(pids[older ? 0 : 1]!, "SIGKILL");
	}

	/** What the FIFO has said since the last call. */
	told(): string[] {
		const path = join(this.box.folder, "told");
		const lines = existsSync(path)
			? readFileSync(path, "utf8").replaceAll("\0", "").split("\n").slice(0, -1)
			: [];
		const since = lines.slice(this.#read);
		this.#read = lines.length;
		return since;
	}

	/** Virtual ones, wherever they are. */
	addresses(): string[] {
		interface Link {
			readonly ifname: string;
			readonly addr_info?: readonly { readonly local: string }[];
		}
		return this.box.namespace
			.ipJson<Link>("address", "show")
			.flatMap(({ ifname, addr_info }) => (addr_info ?? []).map(({ local }) => `${local} on ${ifname}`))
			.filter((text) => VIRTUAL.test(text))
			.sort();
	}

	/** What comes and goes with mastership beside them. */
	ways(): string[] {
		return ["-4", "-6"]
			.flatMap((family) =>
				["route", "rule"].flatMap((kind) =>
					this.box.namespace
						.run("ip", family, kind, "show")
						.split("\n")
						.map((line) => /(?:^|from )((?:10\.77\.|2001:db8:77:)\S+)/.exec(line)?.[1])
						.filter((of) => of !== undefined)
						.map((of) => `${kind} ${of}`),
				),
			)
			.sort();
	}

	log(): string {
		return (
			this.#running?.log() ??
			readFileSync(join(this.box.folder, this.maker === "d" ? "drover.log" : "keepalived.log"), "utf8")
		);
	}

	/** To all that run, since the first of Drover's processes may be another one by now. */
	#signal(signal: "SIGHUP" | "SIGTERM"): void {
		if (this.maker === "k") this.#running?.process.kill(signal);
		else for (const pid of this.box.droverPids()) process.kill(pid, signal);
	}

	async stop(): Promise<void> {
		this.#signal("SIGTERM");
		await this.#running?.process.exited;
		this.#running = null;
		await eventually("nobody runs", () => this.maker === "k" || this.box.droverPids().length === 0);
	}
}

interface World {
	readonly name: string;
	readonly lab: Lab;
	readonly actors: ReadonlyMap<BoxName, Actor>;
	readonly stranger: Stranger;
	/** Virtual addresses that were announced since the last call. */
	announced(): ReadonlySet<string>;
}

/** Addresses that an instance takes. */
const VIRTUAL = /^(192\.0\.2\.2\d\d|198\.\S+|fe80::2\d\d|2001:db8:1:\S+)( |$)/;

/** What was seen of one box in one phase. */
interface Seen {
	/** By name of an instance or a group: its lines, in order. */
	readonly lines: Readonly<Record<string, readonly string[]>>;
	readonly addresses: readonly string[];
	/** Routes and rules. */
	readonly ways: readonly string[];
	/** Those that came since the last look. */
	readonly fresh: readonly string[];
}

function makeWorld(plan: Plan, name: string): World {
	const lab = new Lab(`storm-${name}`);
	const makers = [...name] as Maker[];
	const actors = [...plan.configs].map(
		([box, config], index) => [box, new Actor(lab, box, makers[index]!, config)] as const,
	);
	const { namespace } = lab.box("stranger", 9);
	return {
		name: name.slice(0, actors.length),
		lab,
		actors: new Map(actors),
		stranger: new Stranger(namespace, 9),
		announced: watchAnnouncements(namespace),
	};
}

/** Gratuitous ARP (RFC 5227) and unsolicited neighbour advertisements (RFC 4861). */
function watchAnnouncements(namespace: Namespace): () => ReadonlySet<string> {
	const child = namespace.spawn([
		...["tcpdump", "-i", "eth0", "-U", "-l", "-nn"],
		"arp or (icmp6 and ip6[40] == 136)",
	]);
	let seen = new Set<string>();
	void (async () => {
		const decoder = new TextDecoder();
		for await (const chunk of child.stdout)
			for (const [, target, sender, neighbour] of decoder
				.decode(chunk)
				.matchAll(/who-has (\S+)(?: \(\S+\))? tell ([^,]+),|tgt is ([^,\s]+)/g)) {
				if (neighbour === undefined && target !== sender) continue;
				const address = neighbour ?? target!;
				if (VIRTUAL.test(address)) seen.add(address);
			}
	})();
	return () => {
		const since = seen;
		seen = new Set();
		return since;
	};
}

function look(plan: Plan, actor: Actor): Seen {
	const lines: Record<string, string[]> = {};
	for (const name of [...plan.instances, ...plan.groups]) lines[name] = [];
	for (const line of actor.told()) {
		const match = /^(INSTANCE|GROUP) "([^"]*)" (.*)$/.exec(line);
		if (match === null) continue;
		const said = lines[match[2]!];
		// keepalived may say a state again.
		if (said !== undefined && match[3] !== actor.said.get(match[2]!) && match[3] !== said.at(-1))
			said.push(match[3]!);
		if (!/PRI(ORITY)? /.test(match[3]!)) actor.said.set(match[2]!, match[3]!);
	}
	const addresses = actor.addresses();
	const names = addresses.map((text) => text.split(" ")[0]!);
	const fresh = names.filter((name) => !actor.held.has(name));
	actor.held = new Set(names);
	return { lines, addresses, ways: actor.ways(), fresh };
}

const sayHappening = (happening: Happening): string => {
	if (happening.kind === "stranger") return `a stranger sends ${JSON.stringify(happening.advert)}`;
	const { kind, box, ...rest } = happening;
	const words = Object.entries(rest)
		.filter(([name]) => name !== "config")
		.map(([name, value]) => `${name} ${JSON.stringify(value)}`);
	return `${box}: ${kind} ${words.join(", ")}`;
};

export async function storm(
	seed: number,
	phases: number,
	pairs: readonly string[],
	keepIn: string | undefined,
): Promise<Difference[]> {
	const plan = makePlan(randomFrom(seed), phases);
	const names = [...plan.configs.keys()];
	const worlds = ["kkk", "kkk", ...pairs].map((name) => makeWorld(plan, name));
	const found: Difference[] = [];
	try {
		for (const { actors } of worlds) for (const actor of actors.values()) await actor.connected();
		for (const name of names) {
			for (const { actors } of worlds) actors.get(name)!.start();
			await Bun.sleep(plan.phaseMs);
		}
		// The state of an instance or group as the last line said, in each world.
		const states = worlds.map(() => new Map<string, string>());
		for (const [phase, happenings] of plan.phases.entries()) {
			for (const happening of happenings)
				await Promise.all(
					worlds.map(({ actors, stranger }) =>
						happening.kind === "stranger"
							? stranger.send(happening.advert, happening.destinations, STRANGER_COUNT, STRANGER_EVERY_MS)
							: actors.get(happening.box)!.happen(happening),
					),
				);
			await Bun.sleep(plan.phaseMs);
			const announced = worlds.map((world) => world.announced());
			const what = happenings.map(sayHappening).join("; ") || "the start";
			for (const box of names) {
				const seen = worlds.map(({ actors }) => look(plan, actors.get(box)!));
				for (const [index, { lines }] of seen.entries())
					for (const [name, said] of Object.entries(lines)) {
						const last = said.findLast((line) => !/PRI(ORITY)? /.test(line)) ?? null;
						if (last !== null) states[index]!.set(`${box} ${name}`, last.split(" ")[0]!);
					}
				const where = `phase ${phase}, box ${box}: ${what}`;
				const compare = (kind: string, of: (index: number) => string) => {
					if (of(0) !== of(1)) return;
					for (const [index, { name }] of worlds.entries())
						if (index > 1 && of(index) !== of(0))
							found.push({
								what: `${kind} (${worlds[index]!.actors.get(box)!.maker === "d" ? "Drover's box" : "the box beside Drover"})`,
								where: `${name}, ${where}\n      keepalived: ${of(0)}\n      here:       ${of(index)}`,
							});
				};
				compare("addresses", (index) => seen[index]!.addresses.join(" "));
				compare("routes and rules", (index) => seen[index]!.ways.join(", "));
				// keepalived announces more than what is new, and not always the same.
				for (const [index, { name, actors }] of worlds.entries()) {
					const isDrover = actors.get(box)!.maker === "d";
					const unsaid = seen[index]!.fresh.filter(
						(address) =>
							announced.slice(0, 2).every((set) => set.has(address)) && !announced[index]!.has(address),
					);
					if (phase > 0 && isDrover && unsaid.length > 0)
						found.push({ what: "not announced", where: `${name}, ${where}: ${unsaid.join(" ")}` });
				}
				// Who starts first, and in what order results come in, is chance; and keepalived is silent about priorities
				// that come with a reload.
				const starts = phase === 0 || happenings.some(({ kind }) => kind === "start");
				const reloads = happenings.some(({ kind }) => kind === "reload");
				for (const name of [...plan.instances, ...plan.groups]) {
					const linesOf = (index: number) => seen[index]!.lines[name]!;
					const before = found.length;
					compare("state", (index) => `${name} ${states[index]!.get(`${box} ${name}`) ?? "nothing"}`);
					if (found.length > before) continue;
					if (!starts && !reloads) compare("lines", (index) => `${name} ${linesOf(index).join(", ")}`);
					else if (!reloads && worlds.every((_, index) => linesOf(index).length > 0))
						compare("priority", (index) => `${name} ${linesOf(index).at(-1)!.split(" ").at(-1)}`);
				}
			}
		}
		if (found.length > 0 && keepIn !== undefined)
			for (const { name, actors } of worlds.slice(1))
				for (const [box, actor] of actors)
					writeFileSync(
						join(keepIn, `${seed}-${name}-${box}.log`),
						`${plan.configs.get(box)}\n${actor.log()}`,
					);
		return found;
	} finally {
		for (const { actors, lab } of worlds) {
			await Promise.all([...actors.values()].map((actor) => actor.stop()));
			lab[Symbol.dispose]();
		}
	}
}

if (import.meta.main) {
	const { values, positionals } = parseArgs({
		options: {
			rounds: { type: "string", default: "1" },
			phases: { type: "string", default: "8" },
			worlds: { type: "string", default: "dkd,kdk" },
			keep: { type: "string" },
		},
		allowPositionals: true,
	});
	const same = await runRounds(positionals[0], Number(values.rounds), (seed) =>
		storm(seed, Number(values.phases), values.worlds.split(","), values.keep),
	);
	process.exit(same ? 0 : 1);
}
