/**
 * The election beside keepalived, in network namespaces: the same configuration, the same wire, rounds
 * in turn. What counts is read from the wire by kernel time stamps at a third box.
 *
 * DROVER_BENCH_MINUTES sets how long the run under load lasts (default half a minute).
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { skewTimeMicros } from "../../firmware/vrrp/timers.ts";
import { formatAddress } from "../../firmware/wire/ip.ts";
import { bunPath, eventually, type Namespace } from "../lab/netns/network.ts";
import { type Box, instanceText, Lab, type Running, watchAddresses } from "../lab/netns/vrrp-lab.ts";
import { longestPauseMs } from "./machine-pause.ts";
import { runParts } from "./parts.ts";
import type { BenchResult } from "./result.ts";

const VIP = "192.0.2.200";
const PROBER = `${import.meta.dir}/vrrp-prober.ts`;
const kinds = ["drover", "keepalived"] as const;
type Kind = (typeof kinds)[number];

interface Seen {
	readonly atMicros: number;
	readonly kind: "advert" | "reply" | "tcp-reply" | "announcement";
	readonly source: string;
	readonly mac: string;
	readonly virtualRouterId: number;
	readonly priority: number;
}

/** A packet capture in `namespace`; `stop` gives what was seen. */
function capture(namespace: Namespace, folder: string): { stop(): Promise<Seen[]>; ready: Promise<unknown> } {
	const file = join(folder, `capture-${performance.now()}.pcap`);
	const child = namespace.spawn([
		"chrt",
		"-f",
		"20",
		"tcpdump",
		"-i",
		"eth0",
		"-U",
		"--immediate-mode",
		"-B",
		"16384",
		"--time-stamp-precision=nano",
		"-w",
		file,
		"ip proto 112 or icmp[0] == 0 or arp or (tcp[tcpflags] & tcp-rst != 0)",
	]);
	return {
		ready: eventually("tcpdump listens", async () => Bun.file(file).size >= 24),
		async stop() {
			await Bun.sleep(100);
			child.kill("SIGTERM");
			await child.exited;
			return parseCapture(readFileSync(file));
		},
	};
}

function parseCapture(bytes: Uint8Array): Seen[] {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
	const seen: Seen[] = [];
	for (let offset = 24; offset + 16 <= bytes.length; ) {
		const atMicros = view.getUint32(offset, true) * 1e6 + view.getUint32(offset + 4, true) / 1e3;
		const length = view.getUint32(offset + 8, true);
		const frame = bytes.subarray(offset + 16, offset + 16 + length);
		offset += 16 + length;
		if (frame.length < 42) continue;
		const mac = Buffer.from(frame.subarray(6, 12)).toString("hex");
		const etherType = (frame[12]! << 8) | frame[13]!;
		if (etherType === 0x0806) {
			const source = formatAddress(frame.subarray(28, 32));
			seen.push({ atMicros, kind: "announcement", source, mac, virtualRouterId: 0, priority: 0 });
			continue;
		}
		const source = formatAddress(frame.subarray(26, 30));
		const start = 14 + (frame[14]! & 15) * 4;
		if (frame[23] === 112)
			seen.push({
				atMicros,
				kind: "advert",
				source,
				mac,
				virtualRouterId: frame[start + 1]!,
				priority: frame[start + 2]!,
			});
		else
			seen.push({
				atMicros,
				kind: frame[23] === 6 ? "tcp-reply" : "reply",
				source,
				mac,
				virtualRouterId: 0,
				priority: 0,
			});
	}
	return seen;
}

const median = (values: readonly number[]): number => quantile(values, 0.5);
function quantile(values: readonly number[], part: number): number {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

function start(box: Box, kind: Kind, text: string, ...flags: string[]): Running {
	return kind === "drover" ? box.drover(text, ...flags) : box.keepalived(text);
}

const isMaster = (running: Running) =>
	[...running.log().matchAll(/Entering (\w+) STATE/g)].at(-1)?.[1] === "MASTER";

/** Waits until it is, or is not, master. */
async function settle(running: Running, master: boolean): Promise<void> {
	try {
		await eventually(master ? "it is master" : "it is no master", () => isMaster(running) === master, 30_000);
	} catch (error) {
		throw new Error(
			`${error instanceof Error ? error.message : error}; its log ends with\n${running.log().slice(-700)}`,
		);
	}
}

/** It is up and waits. */
async function started(running: Running): Promise<void> {
	try {
		await eventually("it is BACKUP", () => running.log().includes("Entering BACKUP"), 30_000);
	} catch (error) {
		throw new Error(
			`${error instanceof Error ? error.message : error}; its log ends with\n${running.log().slice(-500)}`,
		);
	}
}

interface Takeover {
	readonly ratio: number;
	/** Until both ping and TCP were answered. */
	readonly answerMs: number;
}

/** The master's cable is pulled, `rounds` times. */
export async function takeovers(kind: Kind, interval: number, rounds: number): Promise<Takeover[]> {
	using lab = new Lab("bench");
	const master = lab.box("master", 1);
	const backup = lab.box("backup", 2);
	const client = lab.box("client", 3);
	const text = (priority: number) =>
		`global_defs {\nvrrp_rt_priority 50\n}\n${instanceText({ priority, version: 3, interval })}`;
	const high = master.keepalived(text(110));
	await settle(high, true);
	const low = start(backup, kind, text(100));
	await started(low);
	await Bun.sleep(2_000);
	const results: Takeover[] = [];
	const expectedMicros = 3 * interval * 1e6 + skewTimeMicros(3, 100, interval * 1e6);
	for (let round = 0; round < rounds; round++) {
		const seen = capture(client.namespace, client.folder);
		await seen.ready;
		const prober = client.namespace.spawn([bunPath, PROBER, "192.0.2.3", VIP]);
		await Bun.sleep(Math.max(500, interval * 1000) + Math.random() * interval * 1000);
		master.cable.unplug();
		await settle(low, true);
		await Bun.sleep(150);
		prober.kill("SIGKILL");
		const packets = await seen.stop();
		master.cable.plugIn();
		const first = packets.find(({ kind: what, source }) => what === "advert" && source === "192.0.2.2");
		const last = packets.findLast(
			({ kind: what, source, atMicros }) =>
				what === "advert" && source === "192.0.2.1" && (first === undefined || atMicros < first.atMicros),
		);
		// On a busy box a keepalived master at 10 ms may pause by itself: that is no pulled cable.
		const resumed = packets.some(
			({ kind: what, source, atMicros }) =>
				what === "advert" && source === "192.0.2.1" && atMicros > (first?.atMicros ?? 0),
		);
		if (first !== undefined && last !== undefined && !resumed) {
			const answers = (["reply", "tcp-reply"] as const).map((wanted) => {
				const reply = packets.find(
					({ kind: what, source, mac, atMicros }) =>
						what === wanted && source === VIP && mac === first.mac && atMicros >= first.atMicros,
				);
				return reply === undefined ? Number.NaN : (reply.atMicros - first.atMicros) / 1e3;
			});
			results.push({
				ratio: (first.atMicros - last.atMicros) / expectedMicros,
				answerMs: Math.max(...answers),
			});
		}
		await settle(high, true);
		await settle(low, false);
		await Bun.sleep(Math.max(300, interval * 1000));
	}
	return results;
}

/** The master is stopped in order: from its farewell to the backup's first advert, beyond the skew, in ms. */
export async function cleanStops(kind: Kind, rounds: number): Promise<number[]> {
	using lab = new Lab("bench");
	const master = lab.box("master", 1);
	const backup = lab.box("backup", 2);
	const client = lab.box("client", 3);
	const text = (priority: number) => instanceText({ priority, version: 3, interval: 0.5 });
	const low = start(backup, kind, text(100), "--no-standby");
	await settle(low, true);
	const beyondMs: number[] = [];
	for (let round = 0; round < rounds; round++) {
		const high = start(master, kind, text(110), "--no-standby");
		await settle(low, false);
		await Bun.sleep(600);
		const seen = capture(client.namespace, client.folder);
		await seen.ready;
		await high.stop();
		await settle(low, true);
		const packets = await seen.stop();
		const farewell = packets.find(({ priority, kind: what }) => what === "advert" && priority === 0);
		const first = packets.find(({ kind: what, source }) => what === "advert" && source === "192.0.2.2");
		if (farewell !== undefined && first !== undefined)
			beyondMs.push((first.atMicros - farewell.atMicros - skewTimeMicros(3, 100, 500_000)) / 1e3);
	}
	return beyondMs;
}

interface Killed {
	/** From the signal to the next advert of anybody. */
	readonly backMs: number;
	readonly failedOver: boolean;
	/** Longest time without an answer. */
	readonly silenceMs: number;
}

/** kill -9 of the process that serves; keepalived has two. */
export async function kill(kind: Kind): Promise<Killed> {
	using lab = new Lab("bench");
	const master = lab.box("master", 1);
	const backup = lab.box("backup", 2);
	const client = lab.box("client", 3);
	const high = start(master, kind, instanceText({ priority: 110 }));
	await settle(high, true);
	const low = backup.keepalived(instanceText({ priority: 100 }));
	await started(low);
	await Bun.sleep(4_000);
	const seen = capture(client.namespace, client.folder);
	await seen.ready;
	const ping = client.namespace.spawn(["chrt", "-f", "20", "ping", "-i", "0.01", "-n", VIP]);
	await Bun.sleep(500);
	const atMicros = Date.now() * 1e3;
	const victims =
		kind === "drover"
			? [high.process.pid!]
			: Bun.spawnSync(["ip", "netns", "pids", master.namespace.name])
					.stdout.toString()
					.split(/\s+/)
					.filter(Boolean)
					.map(Number);
	for (const pid of victims) process.kill(pid, "SIGKILL");
	await Bun.sleep(4_500);
	ping.kill("SIGKILL");
	const packets = await seen.stop();
	const next = packets.find((packet) => packet.kind === "advert" && packet.atMicros > atMicros);
	const replies = packets.filter((packet) => packet.kind === "reply").map((packet) => packet.atMicros);
	let silence = 0;
	for (let index = 1; index < replies.length; index++)
		silence = Math.max(silence, replies[index]! - replies[index - 1]!);
	return {
		backMs: next === undefined ? Number.NaN : (next.atMicros - atMicros) / 1e3,
		failedOver: isMaster(low),
		silenceMs: silence / 1e3,
	};
}

/** Somebody deletes the address, `rounds` times: how long it is missing, by the kernel's own messages, in ms. */
export async function deletions(address: string, rounds: number): Promise<number[]> {
	using lab = new Lab("bench");
	const box = lab.box("master", 1);
	const running = box.drover(
		instanceText({ priority: 110, more: `virtual_ipaddress_excluded {\n${address}\n}` }),
	);
	await settle(running, true);
	const bare = address.split("/")[0]!;
	await box.holds(bare);
	await Bun.sleep(1_000);
	const gaps = await watchAddresses(box.namespace);
	for (let round = 0; round < rounds; round++) {
		box.namespace.ip("address", "del", address, "dev", "eth0");
		await box.holds(bare);
		// More than a few a second are taken for a fight.
		await Bun.sleep(200);
	}
	return [...((await gaps.stop()).get(bare) ?? [])];
}

interface Crowd {
	readonly cpuMsPerSecond: number;
	readonly jitterMs: number;
	readonly memoryMb: number;
	readonly perSecond: number;
}

const CROWD = 250;

/** 250 instances, ten adverts a second each. */
export async function crowd(kind: Kind, seconds: number): Promise<Crowd> {
	using lab = new Lab("bench");
	const master = lab.box("master", 1);
	const client = lab.box("client", 3);
	const text = Array.from({ length: CROWD }, (_, index) =>
		instanceText({
			name: `VI_${index + 1}`,
			virtualRouterId: index + 1,
			priority: 110,
			version: 3,
			interval: 0.1,
			addresses: [`198.51.${100 + (index >> 7)}.${(index & 127) + 1}/32`],
		}),
	).join("\n");
	const running = start(
		master,
		kind,
		`global_defs {\nvrrp_rt_priority 50\nvrrp_rlimit_rttime 1000000\n}\n${text}`,
	);
	await eventually("all are masters", () => running.log().split("Entering MASTER").length > CROWD, 60_000);
	await Bun.sleep(7_000); // the second announcements are over, the standby is there
	const pids = Bun.spawnSync(["ip", "netns", "pids", master.namespace.name])
		.stdout.toString()
		.split(/\s+/)
		.filter(Boolean)
		.map(Number);
	const seen = capture(client.namespace, client.folder);
	await seen.ready;
	const before = cpuMs(pids);
	const startedAt = performance.now();
	await Bun.sleep(seconds * 1000);
	const elapsed = (performance.now() - startedAt) / 1000;
	const used = cpuMs(pids) - before;
	const packets = await seen.stop();
	const memoryMb = memory(pids);
	const adverts = packets.filter(({ kind: what }) => what === "advert");
	const spanSeconds = ((adverts.at(-1)?.atMicros ?? 0) - (adverts[0]?.atMicros ?? 0)) / 1e6;
	const lastAt = new Map<number, number>();
	const jitter: number[] = [];
	for (const { virtualRouterId, atMicros } of adverts) {
		const last = lastAt.get(virtualRouterId);
		if (last !== undefined) jitter.push(Math.abs(atMicros - last - 100_000) / 1e3);
		lastAt.set(virtualRouterId, atMicros);
	}
	return {
		cpuMsPerSecond: used / elapsed,
		jitterMs: quantile(jitter, 0.99),
		memoryMb,
		perSecond: adverts.length / spanSeconds,
	};
}

/** User and system time, from the scheduler's own nanoseconds. */
function cpuMs(pids: readonly number[]): number {
	let nanos = 0;
	for (const pid of pids)
		try {
			for (const task of Bun.spawnSync(["ls", `/proc/${pid}/task`])
				.stdout.toString()
				.split(/\s+/)
				.filter(Boolean))
				nanos += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0]);
		} catch {
			// A thread ended.
		}
	return nanos / 1e6;
}

/** Proportional set size: what the processes really cost, shared pages counted once. */
function memory(pids: readonly number[]): number {
	let kilobytes = 0;
	for (const pid of pids)
		try {
			kilobytes += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1] ?? 0);
		} catch {
			// It ended.
		}
	return kilobytes / 1024;
}

interface Loaded {
	readonly failovers: number;
	readonly longestGapMs: number;
}

/** 10 ms adverts of each kind, side by side, beside four busy loops that all of them share. */
async function underLoad(
	seconds: number,
): Promise<Readonly<Record<Kind, Loaded>> & { readonly pauseMs: number }> {
	const text = (priority: number) =>
		`global_defs {\nvrrp_rt_priority 50\n}\n${instanceText({ priority, version: 3, interval: 0.01 })}`;
	const pair = async (kind: Kind, lab: Lab) => {
		const [master, backup, client] = [lab.box("master", 1), lab.box("backup", 2), lab.box("client", 3)];
		const high = start(master, kind, text(110), "--no-standby");
		await settle(high, true);
		const low = start(backup, kind, text(100), "--no-standby");
		await started(low);
		await Bun.sleep(2_000);
		const takeovers = () => low.log().split("Entering MASTER").length;
		const before = takeovers();
		const seen = capture(client.namespace, client.folder);
		await seen.ready;
		let last = Date.now() * 1e3;
		return async (): Promise<Loaded> => {
			// Adverts that ended leave a gap, too.
			const until = Date.now() * 1e3;
			let gap = 0;
			for (const { kind: what, source, atMicros } of await seen.stop()) {
				if (what !== "advert" || source !== "192.0.2.1") continue;
				gap = Math.max(gap, atMicros - last);
				last = atMicros;
			}
			gap = Math.max(gap, until - last);
			return { failovers: takeovers() - before, longestGapMs: gap / 1e3 };
		};
	};
	using ourLab = new Lab("bench-drover");
	using theirLab = new Lab("bench-keepalived");
	const ours = await pair("drover", ourLab);
	const theirs = await pair("keepalived", theirLab);
	const loops: Bun.Subprocess[] = [];
	let pauseMs: number;
	try {
		// In the daemons' own session: elsewhere the scheduler would fence them off.
		for (let loop = 0; loop < 4; loop++) loops.push(Bun.spawn(["/bin/sh", "-c", "while :; do :; done"]));
		pauseMs = await longestPauseMs(seconds);
	} finally {
		for (const loop of loops) loop.kill("SIGKILL");
	}
	return { drover: await ours(), keepalived: await theirs(), pauseMs };
}

export const bench = (part?: string): Promise<readonly BenchResult[]> =>
	runParts(
		{
			takeover: takeoverRows,
			stop: stopRows,
			kill: killRows,
			addresses: addressRows,
			crowd: crowdRows,
			load: loadRows,
		},
		part,
	);

async function takeoverRows(): Promise<readonly BenchResult[]> {
	const results: BenchResult[] = [];
	const answers: Record<Kind, number[]> = { drover: [], keepalived: [] };
	const plans = [
		{ interval: 1, rounds: 2, bar: 1.001 },
		{ interval: 0.1, rounds: 4, bar: 1.002 },
		{ interval: 0.01, rounds: 4, bar: 1.03 },
	];
	for (const { interval, rounds, bar } of plans) {
		const ratios: Record<Kind, number[]> = { drover: [], keepalived: [] };
		for (let turn = 0; turn < 2; turn++)
			for (const kind of kinds)
				for (const { ratio, answerMs } of await takeovers(kind, interval, rounds)) {
					ratios[kind].push(ratio);
					if (Number.isFinite(answerMs)) answers[kind].push(answerMs);
				}
		const ratio = median(ratios.drover);
		results.push({
			name: `master lost, advert_int ${interval * 1000} ms: against 3 × advert_int + skew`,
			ours: ratio.toFixed(4),
			peer: median(ratios.keepalived).toFixed(4),
			ratio,
			bar,
		});
	}
	for (const [what, pick, bar] of [
		["median", median, 2],
		["worst", (values: readonly number[]) => Math.max(...values), 10],
	] as const)
		results.push({
			name: `from that advert to the VIP's first answer, ${what} (ratio: ms)`,
			ours: `${pick(answers.drover).toFixed(2)} ms`,
			peer: `${pick(answers.keepalived).toFixed(2)} ms`,
			ratio: pick(answers.drover),
			bar,
		});
	return results;
}

async function stopRows(): Promise<readonly BenchResult[]> {
	const stops: Record<Kind, number> = { drover: 0, keepalived: 0 };
	for (const kind of kinds) stops[kind] = median(await cleanStops(kind, 5));
	return [
		{
			name: "clean stop: from the farewell to the next advert, beyond the skew (ratio: ms)",
			ours: `skew + ${stops.drover.toFixed(2)} ms`,
			peer: `skew + ${stops.keepalived.toFixed(2)} ms`,
			ratio: stops.drover,
			bar: 1,
		},
	];
}

async function killRows(): Promise<readonly BenchResult[]> {
	const killed = { drover: await kill("drover"), keepalived: await kill("keepalived") };
	const words = ({ backMs, failedOver, silenceMs }: Killed) =>
		`${failedOver ? "FAILOVER" : "still master"}, back in ${backMs.toFixed(0)} ms, ${silenceMs.toFixed(0)} ms silence`;
	return [
		{
			name: "kill -9, advert_int 1 s (ratio: time back against 100 ms; a failover counts 100)",
			ours: words(killed.drover),
			peer: words(killed.keepalived),
			ratio: killed.drover.failedOver ? 100 : killed.drover.backMs / 100,
			bar: 1,
		},
	];
}

async function addressRows(): Promise<readonly BenchResult[]> {
	const missing = [...(await deletions("192.0.2.210/24", 10)), ...(await deletions("2001:db8::210/64", 10))];
	return [
		{
			name: "an address that somebody deletes is back, IPv4 and IPv6, worst of 20 (ratio: against 100 ms)",
			ours: `${Math.max(...missing).toFixed(1)} ms`,
			peer: "not put back: it resigns",
			ratio: Math.max(...missing) / 100,
			bar: 1,
		},
	];
}

async function crowdRows(): Promise<readonly BenchResult[]> {
	const ours: Crowd[] = [];
	const theirs: Crowd[] = [];
	for (let turn = 0; turn < 2; turn++) {
		ours.push(await crowd("drover", 6));
		theirs.push(await crowd("keepalived", 6));
	}
	const of = (runs: readonly Crowd[], pick: (run: Crowd) => number) => median(runs.map(pick));
	const cpu = [of(ours, (run) => run.cpuMsPerSecond), of(theirs, (run) => run.cpuMsPerSecond)] as const;
	const jitter = [of(ours, (run) => run.jitterMs), of(theirs, (run) => run.jitterMs)] as const;
	const memories = [of(ours, (run) => run.memoryMb), of(theirs, (run) => run.memoryMb)] as const;
	const rate = of(ours, (run) => run.perSecond);
	return [
		{
			name: `${CROWD} instances × 10 adverts/s (${rate.toFixed(0)} seen): CPU`,
			ours: `${cpu[0].toFixed(1)} ms/s`,
			peer: `${cpu[1].toFixed(1)} ms/s`,
			ratio: cpu[0] / cpu[1],
			bar: 0.8,
		},
		{
			name: `${CROWD} instances × 10 adverts/s: p99 jitter`,
			ours: `${jitter[0].toFixed(3)} ms`,
			peer: `${jitter[1].toFixed(3)} ms`,
			ratio: jitter[0] / jitter[1],
			bar: 1,
		},
		{
			name: `${CROWD} instances: memory of all processes (ratio: against 60 MB)`,
			ours: `${memories[0].toFixed(1)} MB`,
			peer: `${memories[1].toFixed(1)} MB`,
			ratio: memories[0] / 60,
			bar: 1,
		},
	];
}

async function loadRows(): Promise<readonly BenchResult[]> {
	const seconds = Number(process.env["DROVER_BENCH_MINUTES"] ?? 0.5) * 60;
	const loaded = await underLoad(seconds);
	const loadWords = ({ failovers, longestGapMs }: Loaded) =>
		`${failovers} failovers, gap ≤ ${longestGapMs.toFixed(1)} ms`;
	return [
		{
			name: `10 ms adverts beside 4 busy loops, ${seconds} s, in which the machine stood still for up to ${loaded.pauseMs.toFixed(1)} ms (ratio: longest gap against 15 ms)`,
			ours: loadWords(loaded.drover),
			peer: loadWords(loaded.keepalived),
			ratio: loaded.drover.failovers > 0 ? 100 : loaded.drover.longestGapMs / 15,
			bar: 1,
		},
	];
}
