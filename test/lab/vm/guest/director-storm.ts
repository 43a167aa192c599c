/**
 * Rounds of the storm of reloads, inside the guest: keepalived twice and the director, in a namespace each with an
 * IPVS table of its own, are told the same story. The table has to be that of the keepalived that starts anew with
 * each configuration, since 2.2.7 forgets much at a reload: sorry servers, members of groups that went, servers that
 * it inhibits. The FIFO has to say what that of the other one says, as long as its table is right.
 *
 *   bun test/lab/vm/guest/director-storm.ts SEED ROUNDS PHASES
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomFrom } from "../../../sim/random.ts";
import type { Role } from "../../netns/health-liars.ts";
import { DroverCheckers, KeepalivedCheckers } from "../../netns/health-peer.ts";
import { bunPath, eventually, type Namespace, Network } from "../../netns/network.ts";
import { type Difference, runRounds } from "../../netns/storm-rounds.ts";
import { CHECKED_ADDRESS, CHECKED_PORTS, makePlan, type Phase } from "../director-storm-plan.ts";
import { savedLines } from "./box.ts";

/** Until checks, retries and reloads that a phase began have come to their end. */
const SETTLED_MS = 4_500;
const START_LIMIT_MS = 120_000;
/** Who is slower than the other gets so much more. */
const PATIENCE_MS = 6_000;

/** Of each judge, from a phase in which they differ. */
const LOG_LINES = 40;
const LOG_BYTES = 2_000;

interface Judge {
	readonly name: string;
	readonly namespace: Namespace;
	readonly checkers: DroverCheckers | KeepalivedCheckers;
}

interface Judges {
	readonly drover: Judge & { readonly checkers: DroverCheckers };
	/** It is told of new configurations. */
	readonly reloaded: Judge;
	/** It is started with each of them. */
	readonly fresh: Judge;
}

async function storm(seed: number, phases: number): Promise<Difference[]> {
	const folder = mkdtempSync(join(tmpdir(), "drover-storm-"));
	chmodSync(folder, 0o755);
	const plan = makePlan(randomFrom(seed), phases).map((phase) => ({
		...phase,
		config: phase.config?.replaceAll("@FOLDER@", folder) ?? null,
		slip: phase.slip?.replaceAll("@FOLDER@", folder) ?? null,
	}));
	using network = Network.create("storm");
	try {
		const lan = network.segment("lan");
		const place = (name: string, address: string) => {
			const namespace = network.namespace(name);
			lan.plug(namespace, "eth0", address);
			return namespace;
		};
		const server = place("server", `${CHECKED_ADDRESS}/16`);
		// Each closed UDP port is to be known as closed.
		for (const limit of ["icmp_ratelimit", "icmp_ratemask"]) server.sysctl(`net.ipv4.${limit}`, 0);
		const [ours, theirs, anew] = [
			place("ours", "10.8.0.1/16"),
			place("theirs", "10.8.0.3/16"),
			place("anew", "10.8.0.4/16"),
		];
		const world = new World(server, folder, [ours, theirs, anew]);
		const first = plan[0]!;
		await world.become(first);
		const run = join(folder, "drover");
		mkdirSync(run);
		const judges: Judges = {
			drover: {
				name: "drover",
				namespace: ours,
				checkers: new DroverCheckers(ours, run, first.config!, "path_check off"),
			},
			reloaded: {
				name: "keepalived",
				namespace: theirs,
				checkers: new KeepalivedCheckers(theirs, first.config!),
			},
			fresh: {
				name: "a new keepalived",
				namespace: anew,
				checkers: new KeepalivedCheckers(anew, first.config!),
			},
		};
		const all = () => Object.values(judges) as Judge[];
		const allCheck = () =>
			eventually(
				"all judges check",
				async () =>
					[judges.reloaded, judges.fresh].every(({ checkers }) =>
						checkers.log().includes("Startup complete"),
					) && (await judges.drover.checkers.isChecking().catch(() => false)),
				START_LIMIT_MS,
			).catch((error: Error) => {
				const logs = all().map(({ name, checkers }) => `log of ${name}\n${checkers.log().slice(-LOG_BYTES)}`);
				throw new Error([error.message, ...logs].join("\n"));
			});
		await allCheck();
		const differences: Difference[] = [];
		for (const [index, phase] of plan.entries()) {
			const from = index === 0 ? null : all().map(({ checkers }) => checkers.fifo.lines.length);
			const logFrom = all().map(({ checkers }) => checkers.log().length);
			if (index > 0) {
				await world.become(phase);
				const killed = async () => {
					if (phase.killedAfterMs === null) return;
					await Bun.sleep(phase.killedAfterMs);
					await judges.drover.checkers.crash();
				};
				if (phase.slip !== null) {
					judges.drover.checkers.reload(phase.slip);
					await killed();
				}
				if (phase.config !== null) {
					const stopped = judges.fresh.checkers.stop();
					for (const { checkers } of [judges.drover, judges.reloaded]) checkers.reload(phase.config);
					await killed();
					await stopped;
					anew.run("ipvsadm", "-C");
					Object.assign(judges.fresh, { checkers: new KeepalivedCheckers(anew, phase.config) });
					logFrom[2] = 0;
				}
			}
			await allCheck();
			await Bun.sleep(SETTLED_MS);
			// A busy machine's time limits make servers flap, in one world or the other.
			const isLate = () =>
				all().some(({ checkers }, judge) =>
					/time(r expired|d? ?out)/i.test(checkers.log().slice(logFrom[judge])),
				);
			const found = () =>
				compare(plan, index, judges, from === null ? [0, 0] : [from[0]!, from[1]!], isLate());
			for (let waitedMs = 0; waitedMs < PATIENCE_MS && found().length > 0; waitedMs += 500)
				await Bun.sleep(500);
			const here = found();
			differences.push(...here);
			if (here.length > 0)
				differences.push(
					...all().map(({ name, checkers }, judge) => ({
						what: `log of ${name}`,
						where: checkers.log().slice(logFrom[judge]).split("\n").slice(0, LOG_LINES).join("\n    "),
					})),
				);
			// What comes after a different table differs, too.
			if (differences.some(({ what }) => what.startsWith("the table"))) break;
		}
		for (const { checkers } of all()) await checkers.stop();
		return differences;
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}

/** What the judges look at. */
class World {
	readonly #folder: string;
	readonly #boxes: readonly Namespace[];
	readonly #input: Bun.FileSink;
	readonly #said: ReadableStreamDefaultReader<Uint8Array>;
	#answering: readonly number[] | null = null;
	#present: readonly string[] = [];

	constructor(server: Namespace, folder: string, boxes: readonly Namespace[]) {
		this.#folder = folder;
		this.#boxes = boxes;
		const liars = join(import.meta.dir, "../../netns/health-liars.ts");
		const child = server.spawn([bunPath, liars, folder], { stdin: "pipe", stderr: "inherit" });
		this.#input = child.stdin as unknown as Bun.FileSink;
		this.#said = child.stdout.getReader() as ReadableStreamDefaultReader<Uint8Array>;
	}

	async become({ open, addresses, numbers, statuses }: Phase): Promise<void> {
		const put = (name: string, text: string) => writeFileSync(join(this.#folder, name), text);
		for (const [index, number] of numbers.entries()) put(`number-${index}`, `${number}\n`);
		for (const [index, status] of statuses.entries()) put(`script-${index}`, `exit ${status}\n`);
		await this.#listen(open);
		for (const box of this.#boxes) {
			for (const address of this.#present)
				if (!addresses.includes(address)) box.ip("address", "del", `${address}/32`, "dev", "eth0");
			for (const address of addresses)
				if (!this.#present.includes(address)) box.ip("address", "add", `${address}/32`, "dev", "eth0");
		}
		this.#present = addresses;
	}

	/** Only ports that change: the others go on without a gap. */
	async #listen(open: readonly number[]): Promise<void> {
		const before = this.#answering;
		this.#answering = open;
		const roles: Record<number, Role> = {};
		for (const [kind, ports] of Object.entries(CHECKED_PORTS))
			for (const port of ports) {
				const answers = open.includes(port);
				if (before === null || before.includes(port) !== answers)
					roles[port] = answers ? roleOf[kind as keyof typeof CHECKED_PORTS] : { kind: "closed" };
			}
		this.#input.write(`${JSON.stringify({ ports: roles })}\n`);
		this.#input.flush();
		await this.#said.read();
	}
}

const roleOf: Readonly<Record<keyof typeof CHECKED_PORTS, Role>> = {
	TCP_CHECK: { kind: "stream", tls: "none", delimiter: "\n", parts: [[[]]] },
	UDP_CHECK: { kind: "datagram", replies: [Buffer.from("well").toString("base64")] },
	// RFC 1035 §4.1.1: an answer, recursion desired and available, no error.
	DNS_CHECK: { kind: "datagram", replies: [{ dns: 0x8180 }] },
	// RFC 5321 §4.2: a greeting, and well to HELO and QUIT.
	SMTP_CHECK: {
		kind: "stream",
		tls: "none",
		delimiter: "\r\n",
		parts: [
			["220 mail ESMTP\r\n", "250 mail\r\n", "221 bye\r\n"].map((line) => [
				["write", Buffer.from(line).toString("base64")],
			]),
		],
	},
};

const only = (these: readonly string[], those: readonly string[]) =>
	these.filter((line) => !those.includes(line));

function compare(
	plan: readonly Phase[],
	index: number,
	{ drover, reloaded, fresh }: Judges,
	from: readonly [number, number],
	isLate: boolean,
): Difference[] {
	const phase = plan[index]!;
	const configs = plan.slice(0, index + 1).flatMap(({ config }) => (config === null ? [] : [config]));
	const config = configs.at(-1)!;
	const lines = ({ namespace }: Judge) => savedLines(namespace.run("ipvsadm", "-Sn")).sort();
	const [mine, its, right] = [lines(drover), lines(reloaded), lines(fresh)];
	/** Each name's changes; that a new check of a server which is up has passed is none, though keepalived says so. */
	const told = ({ checkers }: Judge, first: number) => {
		const states = new Map<string, boolean>();
		const changes = new Map<string, string[]>();
		for (const [place, { name, up }] of checkers.fifo.lines.entries()) {
			const isNews = states.get(name) !== up;
			states.set(name, up);
			if (place < first || !isNews) continue;
			changes.set(name, [...(changes.get(name) ?? []), up ? "UP" : "DOWN"]);
		}
		return [...changes]
			.filter(([, each]) => !isLate || each.length % 2 === 1)
			.map(([name, each]) => `${name} ${(isLate ? each.slice(-1) : each).join(" ")}`)
			.sort();
	};
	const differences: Difference[] = [];
	const note = (what: string, ours: readonly string[], theirs: readonly string[]) => {
		if (ours.length + theirs.length === 0) return;
		const list = (lines: readonly string[]) => lines.map((line) => `\n        ${line}`).join("");
		const text = [...ours, ...theirs].join("\n");
		differences.push({
			what: `${what} (${phase.what})`,
			where: [
				`phase ${index} (${phase.what})`,
				`drover alone:${list(ours)}`,
				`keepalived alone:${list(theirs)}`,
				`open ${phase.open.join(" ")}, addresses ${phase.addresses.join(" ")}`,
				`numbers ${phase.numbers.join(" ")}, statuses ${phase.statuses.join(" ")}`,
				...(phase.config === null ? [] : ["---- before", ...concerned(configs.at(-2) ?? "", text)]),
				"---- now",
				...concerned(config, text),
			].join("\n      "),
		});
	};
	// Where they remember what was, it is that of the other; what rests while its address is elsewhere is of any time.
	const isOfOne = (option: RegExp) => (line: string) =>
		blocks(config).some((block) => option.test(block) && isOf(block, line));
	const remembers = isOfOne(/\n\thysteresis [1-9]/);
	// Where no server has a weight, 2.2.7's quorum becomes 0 and its hysteresis 2^32 - 1: what a file adds is lost on it.
	const isWeightless = isOfOne(/^(?!.*\n\treal_server [^\n]*\n(?!\t\tweight 0\n))/s);
	const rests = (line: string) =>
		isOfOne(/\n\tha_suspend/)(line) && !phase.addresses.some((address) => line.includes(` ${address}:`));
	const matters = (line: string) => !rests(line) && !isWeightless(line);
	note(
		"the table",
		mine.filter((line) => matters(line) && !right.includes(line) && !(remembers(line) && its.includes(line))),
		right.filter(
			(line) => matters(line) && !mine.includes(line) && !(remembers(line) && !its.includes(line)),
		),
	);
	if (phase.killedAfterMs === null && its.join() === right.join()) {
		const [ours, theirs] = [told(drover, from[0]), told(reloaded, from[1])];
		// keepalived knows what a file says from the beginning, and says nothing of it.
		const isOfFile = (line: string) =>
			/^RS \S+ \S+ (UP|DOWN)$/.test(line) &&
			blocks(config).some((block) => isOf(block, line) && readsFile(block, line));
		note(
			"what the FIFO says",
			only(ours, theirs).filter((line) => !isOfFile(line) && !isWeightless(line)),
			only(theirs, ours).filter((line) => !isWeightless(line)),
		);
	}
	return differences;
}

const blocks = (config: string) => config.split(/^(?=\S.*\{$)/m);

/** Whether a line of a table or a FIFO may be about this virtual server. */
function isOf(block: string, line: string): boolean {
	const [, kind, name] = /^virtual_server (\S+) (\S+)/.exec(block) ?? [];
	if (kind === undefined) return false;
	if (kind === "fwmark") return line.includes(`-f ${name} `) || line.includes(`FWM ${name}`);
	if (kind === "group") return /-f \d\d|10\.9\.[13]\.|2001:db8:9:|GROUP/.test(line);
	return (
		line.includes(`${kind}:${name}`) || line.includes(`[${kind}]:${name}`) || line.includes(`[${kind}]:`)
	);
}

/** Whether a line of a FIFO is about a real server that a file decides on. */
function readsFile(block: string, line: string): boolean {
	const [, address] = /^RS \[(\S+)\]:/.exec(line)!;
	return block
		.split("\treal_server ")
		.some((one) => one.startsWith(`${address} `) && one.includes("FILE_CHECK"));
}

/** What the lines are about, of a file. */
const concerned = (config: string, lines: string) =>
	blocks(config)
		.filter((block) => block.startsWith("track") || lines.split("\n").some((line) => isOf(block, line)))
		.flatMap((block) => block.trimEnd().split("\n"));

const [seed, rounds, phases] = process.argv.slice(2);
process.exit((await runRounds(seed, Number(rounds), (one) => storm(one, Number(phases)))) ? 0 : 1);
