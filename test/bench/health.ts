/**
 * Drover's checks beside keepalived's, turn by turn in one namespace, against the same servers: CPU per check at
 * 5,000 checks/s, the time to the first verdict on all, to a dead server's departure, and memory at 20,000.
 * keepalived's checkers need no kernel IPVS for this (see test/lab/netns/health-ipvs-stand-in.c).
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KeepalivedCheckers } from "../lab/netns/health-peer.ts";
import { bunPath, eventually, type Namespace, Network } from "../lab/netns/network.ts";
import type { BenchResult } from "./result.ts";

const ROUNDS = Number(process.env["BENCH_ROUNDS"] ?? 3);
const SERVERS = 5_000;
const MANY_SERVERS = 20_000;
const FIRST_PORT = 20_000;
const PORTS = 50;
/** Compilers, caches and smoothing have settled after this. */
const WARM_UP_MS = 4_000;
const MEASURE_MS = 5_000;
const MEMORY_BAR_BYTES = 120e6;
/** The bar in seconds over what keepalived takes. */
const FIRST_VERDICT_BAR = 1.5 / 2.05;

type Kind = "TCP_CHECK" | "HTTP_GET";

function configText(kind: Kind, servers: number): string {
	const url = kind === "HTTP_GET" ? "url {\n path /\n status_code 200\n }\n" : "";
	const realServers = Array.from({ length: servers }, (_, index) => {
		const address = `127.${1 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;
		return ` real_server ${address} ${FIRST_PORT + (index % PORTS)} {\n ${kind} {\n ${url} connect_timeout 5\n retry 0\n }\n }`;
	});
	return `virtual_server 10.9.0.100 80 {\n delay_loop 1\n lb_algo rr\n lb_kind NAT\n protocol TCP\n alpha\n${realServers.join("\n")}\n}\n`;
}

/** User and system time of a process with all its threads, microseconds. */
function cpuMicros(pid: number): number {
	const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]!.split(" ");
	return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

function residentBytes(pid: number): number {
	return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] ?? 0) * 1024;
}

/** Connections that this namespace's processes have begun: how many checks were really made. */
function checksMade(namespace: Namespace): number {
	const lines = namespace
		.run("cat", "/proc/net/snmp")
		.split("\n")
		.filter((line) => line.startsWith("Tcp:"));
	const [names, values] = lines.map((line) => line.split(" ")) as [string[], string[]];
	return Number(values[names.indexOf("ActiveOpens")]);
}

interface Sample {
	readonly microsPerCheck: number;
	readonly checksPerSecond: number;
	readonly firstVerdictMs: number;
	readonly residentBytes: number;
}

/** Something that checks: started, and asked when it has judged all. */
interface Judge {
	readonly pid: number;
	/** From its start until every server was called alive. */
	readonly allMs: Promise<number>;
	stop(): Promise<void>;
}

async function drover(namespace: Namespace, folder: string, text: string, servers: number): Promise<Judge> {
	const file = join(folder, "drover.conf");
	writeFileSync(file, text);
	const started = Date.now();
	const child = namespace.spawn([bunPath, `${import.meta.dir}/health-load.ts`, file], {
		env: { ...process.env, DROVER_LOG: join(folder, "drover.log") },
		stderr: "inherit",
	});
	const reader = child.stdout.getReader();
	const allMs = (async () => {
		let text = "";
		for (;;) {
			const { value, done } = await reader.read();
			if (done) throw new Error(`the checks ended before ${servers} servers were judged`);
			text += new TextDecoder().decode(value);
			const match = /"event":"all","total":(\d+),"atMs":(\d+)/.exec(text);
			if (match !== null) return Number(match[2]) - started;
		}
	})();
	return {
		pid: child.pid,
		allMs,
		async stop() {
			child.kill("SIGKILL");
			await child.exited;
		},
	};
}

async function keepalived(namespace: Namespace, text: string, servers: number): Promise<Judge> {
	const started = Date.now();
	const peer = new KeepalivedCheckers(namespace, text);
	const allMs = (async () => {
		await eventually(`keepalived's verdicts on ${servers}`, () => peer.additions() >= servers, 60_000);
		return Date.now() - started;
	})();
	return { pid: await peer.checkerPid(), allMs, stop: () => peer.stop() };
}

async function sample(namespace: Namespace, judge: Judge): Promise<Sample> {
	try {
		const firstVerdictMs = await judge.allMs;
		await Bun.sleep(WARM_UP_MS);
		const [checks, cpu, at] = [checksMade(namespace), cpuMicros(judge.pid), performance.now()];
		await Bun.sleep(MEASURE_MS);
		const made = checksMade(namespace) - checks;
		return {
			microsPerCheck: (cpuMicros(judge.pid) - cpu) / made,
			checksPerSecond: (made * 1000) / (performance.now() - at),
			firstVerdictMs,
			residentBytes: residentBytes(judge.pid),
		};
	} finally {
		await judge.stop();
	}
}

export async function bench(): Promise<readonly BenchResult[]> {
	const folder = mkdtempSync(join(tmpdir(), "drover-bench-health-"));
	using network = Network.create("bench");
	try {
		const namespace = network.namespace("checks");
		const target = namespace.spawn([
			bunPath,
			`${import.meta.dir}/health-target.ts`,
			String(FIRST_PORT),
			String(PORTS),
		]);
		await target.stdout.getReader().read();
		const results: BenchResult[] = [];
		const first: { ours: number[]; peer: number[] } = { ours: [], peer: [] };
		for (const kind of ["TCP_CHECK", "HTTP_GET"] as const) {
			const text = configText(kind, SERVERS);
			const ours: Sample[] = [];
			const peer: Sample[] = [];
			for (let round = 0; round < ROUNDS; round++) {
				peer.push(await sample(namespace, await keepalived(namespace, text, SERVERS)));
				ours.push(await sample(namespace, await drover(namespace, folder, text, SERVERS)));
				first.ours.push(ours.at(-1)!.firstVerdictMs);
				first.peer.push(peer.at(-1)!.firstVerdictMs);
			}
			const of = (samples: readonly Sample[], key: keyof Sample) => median(samples.map((each) => each[key]));
			const figure = (samples: readonly Sample[]) =>
				`${of(samples, "microsPerCheck").toFixed(1)} µs (${of(samples, "checksPerSecond").toFixed(0)}/s)`;
			results.push({
				name: `${kind} with 5,000 servers every second: CPU per check`,
				ours: figure(ours),
				peer: figure(peer),
				ratio: of(ours, "microsPerCheck") / of(peer, "microsPerCheck"),
				bar: 0.8,
			});
		}
		results.push({
			name: "first verdict on all of 5,000 real servers, from the start of the process",
			ours: `${(median(first.ours) / 1000).toFixed(2)} s`,
			peer: `${(median(first.peer) / 1000).toFixed(2)} s`,
			ratio: median(first.ours) / median(first.peer),
			bar: FIRST_VERDICT_BAR,
		});
		const text = configText("TCP_CHECK", MANY_SERVERS).replace("delay_loop 1", "delay_loop 6");
		const theirs = await sample(namespace, await keepalived(namespace, text, MANY_SERVERS));
		const mine = await sample(namespace, await drover(namespace, folder, text, MANY_SERVERS));
		results.push({
			name: "memory of the checks with 20,000 real servers, to 120 MB",
			ours: `${(mine.residentBytes / 1e6).toFixed(0)} MB`,
			peer: `${(theirs.residentBytes / 1e6).toFixed(0)} MB`,
			ratio: mine.residentBytes / MEMORY_BAR_BYTES,
			bar: 1,
		});
		return results;
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}

function median(values: readonly number[]): number {
	const sorted = values.toSorted((a, b) => a - b);
	return sorted[sorted.length >> 1]!;
}
