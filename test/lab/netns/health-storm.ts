/**
 * A storm of health checks, run by hand: seeded configurations, lying servers that change their minds from phase to
 * phase, and two judges, keepalived and the director, which should come to the same verdicts. Prints where they differ.
 *
 *   bun test/lab/netns/health-storm.ts [SEED] [--rounds N] [--servers N] [--phases N] [--only KIND,KIND]
 *
 * Where the kernel has IPVS (inside test/lab/vm's guest) their tables are compared, too.
 */
import {
	chmodSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	renameSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { randomFrom } from "../../sim/random.ts";
import { DroverCheckers, type FifoReader, hasIpvs, KeepalivedCheckers } from "./health-peer.ts";
import { isInAtStart, whyOtherwise } from "./health-storm-known.ts";
import {
	makePlan,
	PHASE_MS,
	type Phase,
	type Plan,
	type PlannedServer,
	SERVER_ADDRESS,
} from "./health-storm-plan.ts";
import { bunPath, eventually, type Namespace, Network } from "./network.ts";
import { type Difference, runRounds } from "./storm-rounds.ts";

/** Before a phase's end: who is still changing then is no matter of a slow start. */
const SETTLED_MS = 2_500;
/** Beyond what the rules of a check allow, on a machine that others use, too. */
const LATE_MS = 500;
/** Until a script that does not listen to SIGTERM is gone. */
const HANGING_MS = 3_000;

interface Judge {
	readonly name: string;
	readonly fifo: FifoReader;
	readonly namespace: Namespace;
	log(): string;
	notes(): string[];
}

const note = '#!/bin/sh\nfolder=$1\nshift\necho "$*" >>"$folder/notes"\n';

/** One that is good, and one that ended before it began. */
function certificates(folder: string): void {
	const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=liar"];
	for (const [name, days] of [
		["good", "2"],
		["expired", "-1"],
	] as const) {
		const file = (suffix: string) => join(folder, `${name}.${suffix}`);
		must(["openssl", "req", ...key, "-keyout", file("key"), "-out", file("csr")]);
		must([
			...["openssl", "x509", "-req", "-in", file("csr"), "-signkey", file("key")],
			...["-days", days, "-out", file("pem")],
		]);
	}
}

function must(command: readonly string[]): void {
	const made = Bun.spawnSync([...command]);
	if (made.exitCode !== 0) throw new Error(made.stderr.toString());
}

function setFiles(folder: string, phase: Phase): void {
	for (const [name, text] of Object.entries(phase.files)) {
		writeFileSync(join(folder, `${name}.new`), text);
		renameSync(join(folder, `${name}.new`), join(folder, name));
	}
}

function drop(server: Namespace, phase: Phase): void {
	const ports = phase.dropped.filter((port) => port > 0);
	const hosts = phase.dropped
		.filter((port) => port < 0)
		.map((host) => `10.8.${4 + (-host >> 8)}.${-host & 255}`);
	const lines = ["flush set inet t ports", "flush set inet t hosts"];
	if (ports.length > 0) lines.push(`add element inet t ports { ${ports.join(", ")} }`);
	if (hosts.length > 0) lines.push(`add element inet t hosts { ${hosts.join(", ")} }`);
	server.run("nft", lines.join("; "));
}

/** One configuration through all its phases. */
export async function storm(
	seed: number,
	servers: number,
	phases: number,
	only: string | null,
): Promise<Difference[]> {
	const plan = makePlan(randomFrom(seed), servers, phases, only);
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
		lan.plug(server, "eth0", `${SERVER_ADDRESS}/16`);
		server.ip("route", "add", "local", "10.8.4.0/22", "dev", "lo");
		server.sysctl("net.ipv4.icmp_ratelimit", 0);
		server.sysctl("net.ipv4.icmp_msgs_per_sec", 100_000);
		server.run(
			"nft",
			`add table inet t; add set inet t ports { type inet_service; }; add set inet t hosts { type ipv4_addr; };
			add chain inet t i { type filter hook input priority 0; }; add rule inet t i tcp dport @ports drop;
			add rule inet t i udp dport @ports drop; add rule inet t i ip daddr @hosts drop`,
		);
		certificates(folder);
		writeFileSync(join(folder, "note"), note, { mode: 0o755 });
		const liars = server.spawn([bunPath, `${import.meta.dir}/health-liars.ts`, folder], {
			stdin: "pipe",
			stderr: "inherit",
		});
		const said = liars.stdout.getReader();
		const enter = async (phase: Phase) => {
			setFiles(folder, phase);
			drop(server, phase);
			(liars.stdin as unknown as Bun.FileSink).write(`${JSON.stringify({ ports: phase.ports })}\n`);
			(liars.stdin as unknown as Bun.FileSink).flush();
			await said.read();
			return Date.now();
		};
		let startedMs = await enter(plan.phases[0]!);
		const textFor = (name: string) => {
			mkdirSync(join(folder, name));
			return plan.config.replaceAll("@FOLDER@", join(folder, name)).replaceAll("@SHARED@", folder);
		};
		const read = (name: string) =>
			existsSync(join(folder, name)) ? readFileSync(join(folder, name), "utf8") : "";
		const notesOf = (name: string) => () => read(`${name}/notes`).split("\n").slice(0, -1);
		const peer = new KeepalivedCheckers(theirs, textFor("keepalived"));
		const director = new DroverCheckers(ours, join(folder, "drover"), textFor("drover"));
		const judges: readonly Judge[] = [
			{
				name: "drover",
				fifo: director.fifo,
				namespace: ours,
				log: () => director.log(),
				notes: notesOf("drover"),
			},
			{
				name: "keepalived",
				fifo: peer.fifo,
				namespace: theirs,
				log: () => peer.log(),
				notes: notesOf("keepalived"),
			},
		];
		await eventually("both judges are there", () =>
			judges.every((judge) => /Startup complete|"msg"/.test(judge.log())),
		);
		startedMs = Date.now();
		const differences: Difference[] = [];
		for (const [index, phase] of plan.phases.entries()) {
			if (index > 0) startedMs = await enter(phase);
			await Bun.sleep(startedMs + PHASE_MS - Date.now());
			differences.push(...compare(plan, index, startedMs, judges as [Judge, Judge]));
			if (hasIpvs()) differences.push(...compareTables(plan, index, judges as [Judge, Judge]));
		}
		differences.push(...compareNotes(judges));
		await director.stop();
		await peer.stop();
		return differences;
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}

const virtualServerOf = ({ virtualServer }: PlannedServer) =>
	`[10.9.${virtualServer >> 8}.${virtualServer & 255}]:tcp:80`;

/** By when a check's own rules let a failure be a verdict. */
function slowestMs({ checks }: PlannedServer): number {
	const seconds = (text: string, name: string) =>
		Number(new RegExp(`${name} ([0-9.]+)`).exec(text)?.[1] ?? 1);
	return Math.max(
		...checks.map(({ text }) => {
			const retry = seconds(text, "retry");
			const urls = text.split("url {").length - 1 || 1;
			const patience = (retry + 1) * seconds(text, "_timeout") + retry * seconds(text, "delay_before_retry");
			return 1000 * (urls * seconds(text, "delay_loop") + patience);
		}),
	);
}

/** What a judge said of a name: its state at a moment, and its changes after it. */
function history(judge: Judge, name: string, initially: boolean, fromMs: number, toMs: number) {
	let at = initially;
	const changes: { readonly afterMs: number; readonly up: boolean }[] = [];
	for (const line of judge.fifo.lines) {
		if (line.name !== name || line.atMs > toMs) continue;
		if (line.atMs < fromMs) at = line.up;
		else changes.push({ afterMs: line.atMs - fromMs, up: line.up });
	}
	return { at, changes, end: changes.at(-1)?.up ?? at };
}

const words = ({ at, changes }: ReturnType<typeof history>) =>
	[at ? "up" : "down", ...changes.map(({ afterMs, up }) => `${up ? "up" : "down"} after ${afterMs} ms`)].join(
		", ",
	);

function compare(
	plan: Plan,
	phase: number,
	fromMs: number,
	[ours, theirs]: readonly [Judge, Judge],
): Difference[] {
	const found: Difference[] = [];
	const toMs = fromMs + PHASE_MS;
	for (const server of plan.servers) {
		const name = `RS [${SERVER_ADDRESS}]:tcp:${server.port} ${virtualServerOf(server)}`;
		const mine = history(ours, name, !server.alpha, fromMs, toMs);
		const their = history(theirs, name, isInAtStart(server), fromMs, toMs);
		const where = () =>
			`phase ${phase}, server ${server.port}${server.alpha ? ", alpha" : ""}\n    drover ${words(mine)}; keepalived ${words(their)}\n${server.checks
				.map(
					(check) =>
						`    ${check.behaviours.slice(0, phase + 1).join(" → ")}\n      ${check.text.replaceAll("\n", "; ")}`,
				)
				.join("\n")}`;
		const late = (one: ReturnType<typeof history>) =>
			one.changes.some(({ afterMs }) => afterMs > PHASE_MS - SETTLED_MS);
		const flaps = [mine, their].map((one) => one.changes.length > 1 || late(one)) as [boolean, boolean];
		if (flaps[0] && flaps[1]) continue;
		const otherwise = (up: boolean) => server.checks.some((check) => whyOtherwise(check, phase, up) !== null);
		if (flaps[1] && !flaps[0] && otherwise(mine.end)) continue;
		// What a script or a server that hangs began in the phase before goes on for a while.
		const lateMs = server.checks.some(({ behaviours }) => /hang|leaves/.test(behaviours[phase - 1] ?? ""))
			? LATE_MS + HANGING_MS
			: LATE_MS;
		if (mine.end !== their.end && otherwise(mine.end)) continue;
		if (mine.end !== their.end)
			found.push({
				what: `${server.checks.map(({ kind, behaviours }) => `${kind} ${behaviours[phase]}`).join(" + ")}: drover ${mine.end ? "up" : "down"}, keepalived ${their.end ? "up" : "down"}`,
				where: where(),
			});
		else if (mine.changes.length > 2 !== their.changes.length > 2)
			found.push({ what: "one of them goes up and down", where: where() });
		else if (
			mine.changes.length === 1 &&
			their.changes.length === 1 &&
			mine.changes[0]!.afterMs > Math.max(their.changes[0]!.afterMs, slowestMs(server)) + lateMs
		)
			found.push({ what: "drover is late", where: where() });
	}
	for (let virtualServer = 0; virtualServer < plan.virtualServers; virtualServer++) {
		const members = plan.servers.filter((server) => server.virtualServer === virtualServer);
		const name = `VS ${virtualServerOf(members[0]!)}`;
		const [mine, their] = [ours, theirs].map((judge) => history(judge, name, false, 0, toMs).end);
		const same = members.every((server) => {
			const rs = `RS [${SERVER_ADDRESS}]:tcp:${server.port} ${virtualServerOf(server)}`;
			return (
				history(ours, rs, !server.alpha, 0, toMs).end ===
				history(theirs, rs, isInAtStart(server), 0, toMs).end
			);
		});
		if (same && mine !== their)
			found.push({
				what: `the quorum: drover ${mine ? "up" : "down"}, keepalived ${their ? "up" : "down"}`,
				where: `phase ${phase}, ${name}\n    drover ${words(history(ours, name, false, fromMs, toMs))}; keepalived ${words(history(theirs, name, false, fromMs, toMs))}\n${plan.config
					.split("\nvirtual_server ")
					.find((block) => block.startsWith(`10.9.${virtualServer >> 8}.${virtualServer & 255} `))
					?.replaceAll("\n", "; ")}`,
			});
	}
	return found;
}

function compareTables(plan: Plan, phase: number, [ours, theirs]: readonly [Judge, Judge]): Difference[] {
	const table = (judge: Judge) =>
		judge.namespace
			.run("ipvsadm", "-Sn")
			.split("\n")
			.filter((line) => line !== "")
			.sort();
	const [mine, their] = [table(ours), table(theirs)];
	const only = (a: string[], b: string[]) => a.filter((line) => !b.includes(line));
	const [more, less] = [only(mine, their), only(their, mine)];
	if (more.length + less.length === 0) return [];
	return [
		{
			what: "the tables",
			where: `phase ${phase} of ${plan.virtualServers} virtual servers\n    drover alone:\n      ${more.join("\n      ")}\n    keepalived alone:\n      ${less.join("\n      ")}`,
		},
	];
}

/** Scripts are told what the FIFO is told. */
function compareNotes(judges: readonly Judge[]): Difference[] {
	return judges.flatMap((judge) => {
		const told = new Map<string, number>();
		const count = (name: string, by: number) => told.set(name, (told.get(name) ?? 0) + by);
		for (const { name, up } of judge.fifo.lines) {
			const rs = /^RS \[[^\]]*\]:tcp:(\d+)/.exec(name)?.[1];
			const vs = /^VS \[10\.9\.(\d+)\.(\d+)\]/.exec(name);
			const short = rs === undefined ? `VS-${Number(vs![1]) * 256 + Number(vs![2])}` : `RS-${rs}`;
			count(`${short} ${up ? "UP" : "DOWN"}`, 1);
		}
		for (const line of judge.notes()) count(line, -1);
		return [...told]
			.filter(([, left]) => left !== 0)
			.map(([name, left]) => ({
				what: `${judge.name}: scripts and FIFO differ`,
				where: `${name}: ${left} more in the FIFO`,
			}));
	});
}

if (import.meta.main) {
	const { values, positionals } = parseArgs({
		options: {
			rounds: { type: "string", default: "1" },
			servers: { type: "string", default: "60" },
			phases: { type: "string", default: "4" },
			only: { type: "string" },
		},
		allowPositionals: true,
	});
	const same = await runRounds(positionals[0], Number(values.rounds), (seed) =>
		storm(seed, Number(values.servers), Number(values.phases), values.only ?? null),
	);
	process.exit(same ? 0 : 1);
}
