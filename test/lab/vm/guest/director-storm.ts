/**
 * Rounds of the storm of reloads, inside the guest: keepalived and the director in a namespace each with an IPVS
 * table of its own, told the same story.
 *
 *   bun test/lab/vm/guest/director-storm.ts SEED ROUNDS PHASES
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomFrom } from "../../../sim/random.ts";
import { DroverCheckers, KeepalivedCheckers } from "../../netns/health-peer.ts";
import { bunPath, eventually, type Namespace, Network } from "../../netns/network.ts";
import { type Difference, runRounds } from "../../netns/storm-rounds.ts";
import { CHECKED_ADDRESS, CHECKED_PORTS, makePlan, type Phase } from "../director-storm-plan.ts";
import { savedLines } from "./box.ts";

/** Until checks, retries and reloads that a phase began have come to their end. */
const SETTLED_MS = 4_500;
/** Who is slower than the other gets so much more. */
const PATIENCE_MS = 6_000;

/** Of each judge, from the phase in which the tables came to differ. */
const LOG_LINES = 40;

interface Judge {
	readonly name: string;
	readonly namespace: Namespace;
	readonly checkers: DroverCheckers | KeepalivedCheckers;
}

async function storm(seed: number, phases: number): Promise<Difference[]> {
	const plan = makePlan(randomFrom(seed), phases);
	const folder = mkdtempSync(join(tmpdir(), "drover-storm-"));
	chmodSync(folder, 0o755);
	using network = Network.create("storm");
	try {
		const lan = network.segment("lan");
		const [ours, theirs, server] = ["ours", "theirs", "server"].map((name) => network.namespace(name)) as [
			Namespace,
			Namespace,
			Namespace,
		];
		lan.plug(ours, "eth0", "10.8.0.1/16");
		lan.plug(theirs, "eth0", "10.8.0.3/16");
		lan.plug(server, "eth0", `${CHECKED_ADDRESS}/16`);
		const checked = server.spawn([bunPath, join(import.meta.dir, "../../netns/health-liars.ts"), folder], {
			stdin: "pipe",
			stderr: "inherit",
		});
		const said = checked.stdout.getReader();
		let answering: readonly number[] | null = null;
		/** Only ports that change: the others go on without a gap. */
		const open = async (ports: readonly number[]) => {
			const listens = { kind: "stream", tls: "none", delimiter: "\n", parts: [[[]]] };
			const changed = CHECKED_PORTS.filter(
				(port) => answering === null || answering.includes(port) !== ports.includes(port),
			);
			answering = ports;
			const roles = changed.map((port) => [port, ports.includes(port) ? listens : { kind: "closed" }]);
			const input = checked.stdin as unknown as Bun.FileSink;
			input.write(`${JSON.stringify({ ports: Object.fromEntries(roles) })}\n`);
			input.flush();
			await said.read();
		};
		let present: readonly string[] = [];
		const setAddresses = (wanted: readonly string[]) => {
			for (const namespace of [ours, theirs]) {
				for (const address of present)
					if (!wanted.includes(address)) namespace.ip("address", "del", `${address}/32`, "dev", "eth0");
				for (const address of wanted)
					if (!present.includes(address)) namespace.ip("address", "add", `${address}/32`, "dev", "eth0");
			}
			present = wanted;
		};
		const first = plan[0]!;
		await open(first.open);
		setAddresses(first.addresses);
		const peer = new KeepalivedCheckers(theirs, first.config!);
		const run = join(folder, "drover");
		mkdirSync(run);
		const director = new DroverCheckers(ours, run, first.config!, "path_check off");
		const judges: readonly [Judge, Judge] = [
			{ name: "drover", namespace: ours, checkers: director },
			{ name: "keepalived", namespace: theirs, checkers: peer },
		];
		await eventually("both judges are there", () =>
			judges.every(({ checkers }) => /Startup complete|"msg"/.test(checkers.log())),
		);
		const differences: Difference[] = [];
		for (const [index, phase] of plan.entries()) {
			const from = judges.map(({ checkers }) => checkers.fifo.lines.length) as [number, number];
			const logFrom = judges.map(({ checkers }) => checkers.log().length);
			if (index > 0) {
				await open(phase.open);
				setAddresses(phase.addresses);
				if (phase.config !== null) for (const { checkers } of judges) checkers.reload(phase.config);
			}
			await Bun.sleep(SETTLED_MS);
			const found = () => compare(plan, index, judges, index === 0 ? [0, 0] : from);
			for (let waitedMs = 0; waitedMs < PATIENCE_MS && found().length > 0; waitedMs += 500)
				await Bun.sleep(500);
			differences.push(...found());
			// What comes after a different table differs, too.
			if (differences.some(({ what }) => what.startsWith("the table"))) {
				differences.push(
					...judges.map(({ name, checkers }, judge) => ({
						what: `log of ${name}`,
						where: checkers.log().slice(logFrom[judge]).split("\n").slice(0, LOG_LINES).join("\n"),
					})),
				);
				break;
			}
		}
		await director.stop();
		await peer.stop();
		return differences;
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}

const only = (these: readonly string[], those: readonly string[]) =>
	these.filter((line) => !those.includes(line));

function compare(
	plan: readonly Phase[],
	index: number,
	judges: readonly [Judge, Judge],
	from: readonly [number, number],
): Difference[] {
	const phase = plan[index]!;
	const lines = ({ namespace }: Judge) => savedLines(namespace.run("ipvsadm", "-Sn")).sort();
	const isOfDead = (line: string) => phase.dead.has(/ -r \[?([0-9a-f.:]+?)\]?:\d+ /.exec(line)?.[1] ?? "");
	const [mine, their] = judges.map(lines) as [string[], string[]];
	// keepalived 2.2.7 puts dead servers into the table when their forwarding or their options change.
	const tables = [
		only(mine, their).filter((line) => !(isOfDead(line) && / -w 0( |$)/.test(line))),
		only(their, mine).filter((line) => !isOfDead(line)),
	] as const;
	/** Each name's changes; that a new check of a server which is up has passed is none, though keepalived says so. */
	const told = (judge: 0 | 1) => {
		const states = new Map<string, boolean>();
		const changes = new Map<string, string[]>();
		for (const [place, { name, up }] of judges[judge].checkers.fifo.lines.entries()) {
			const isNews = states.get(name) !== up;
			states.set(name, up);
			if (place < from[judge] || !isNews) continue;
			changes.set(name, [...(changes.get(name) ?? []), up ? "UP" : "DOWN"]);
		}
		return [...changes].map(([name, each]) => `${name} ${each.join(" ")}`).sort();
	};
	const before = plan.slice(0, index).findLast(({ config }) => config !== null)?.config ?? "";
	const config = phase.config ?? before;
	const differences: Difference[] = [];
	const note = (what: string, [ours, theirs]: readonly [readonly string[], readonly string[]]) => {
		if (ours.length + theirs.length === 0) return;
		const list = (lines: readonly string[]) => lines.map((line) => `\n        ${line}`).join("");
		differences.push({
			what: `${what} (${phase.what})`,
			where: `phase ${index} (${phase.what})\n      drover alone:${list(ours)}\n      keepalived alone:${list(theirs)}`,
		});
	};
	note("the table", tables);
	const words = [told(0), told(1)] as const;
	note("what the FIFO says", [only(words[0], words[1]), only(words[1], words[0])]);
	if (differences.length > 0)
		differences[0] = {
			what: differences[0]!.what,
			where: `${differences[0]!.where}\n      open ${phase.open.map((port) => port - 20_000).join(" ")}, addresses ${phase.addresses.join(" ")}\n${index > 0 && phase.config !== null ? `---- before\n${before}` : ""}---- now\n${config}`,
		};
	return differences;
}

const [seed, rounds, phases] = process.argv.slice(2);
process.exit((await runRounds(seed, Number(rounds), (one) => storm(one, Number(phases)))) ? 0 : 1);
