/**
 * Drover's checks beside keepalived's, turn by turn in one namespace, against the same servers: CPU per check at
 * 5,000 checks/s, the time to the first verdict on all, to a dead server's departure, and memory at 20,000.
 * keepalived's checkers need no kernel IPVS for this (see test/lab/netns/health-ipvs-stand-in.c).
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../firmware/config/keepalived/load.ts";
import { Agent } from "../lab/netns/health-client.ts";
import { KeepalivedCheckers } from "../lab/netns/health-peer.ts";
import { inside } from "../lab/netns/inside.ts";
import { bunPath, eventually, type Namespace, Network } from "../lab/netns/network.ts";
import { runParts } from "./parts.ts";
import type { BenchResult } from "./result.ts";

const ROUNDS = Number(process.env["BENCH_ROUNDS"] ?? 3);
const SERVERS = 5_000;
const MANY_SERVERS = 20_000;
const FIRST_PORT = 20_000;
const PORTS = 50;
/** Compilers, caches and smoothing have settled after this. */
const WARM_UP_MS = 8_000;
const MEASURE_MS = 5_000;
/** A busy machine takes long; a machine that takes longer measures nothing. */
const VERDICTS_LIMIT_MS = 240_000;
const MEMORY_BAR_BYTES = 120e6;
const FIRST_VERDICT_BAR_MS = 1_500;
/** One period of the check. */
const DEPARTURE_BAR_MS = 1_000;
/** For what can be heard of: a host that resets, a link that drops. */
const HEARD_BAR_MS = 50;

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
		await eventually(
			`keepalived's verdicts on ${servers}`,
			() => peer.additions() >= servers,
			VERDICTS_LIMIT_MS,
		);
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

export const bench = (part?: string): Promise<readonly BenchResult[]> =>
	runParts({ checks: checkRows, departures: departureRows, memory: memoryRows }, part);

/** A namespace with a server on many addresses and ports, and a folder for configurations. */
async function withServers<T>(work: (namespace: Namespace, folder: string) => Promise<T>): Promise<T> {
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
		return await work(namespace, folder);
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}

const checkRows = () =>
	withServers(async (namespace, folder) => {
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
			name: "first verdict on all of 5,000 real servers, from the start of the process, to 1.5 s",
			ours: `${(median(first.ours) / 1000).toFixed(2)} s`,
			peer: `${(median(first.peer) / 1000).toFixed(2)} s`,
			ratio: median(first.ours) / FIRST_VERDICT_BAR_MS,
			bar: 1,
		});
		return results;
	});

const memoryRows = () =>
	withServers(async (namespace, folder) => {
		const text = configText("TCP_CHECK", MANY_SERVERS).replace("delay_loop 1", "delay_loop 6");
		const theirs = await sample(namespace, await keepalived(namespace, text, MANY_SERVERS));
		const mine = await sample(namespace, await drover(namespace, folder, text, MANY_SERVERS));
		return [
			{
				name: "memory of the checks with 20,000 real servers, to 120 MB",
				ours: `${(mine.residentBytes / 1e6).toFixed(0)} MB`,
				peer: `${(theirs.residentBytes / 1e6).toFixed(0)} MB`,
				ratio: mine.residentBytes / MEMORY_BAR_BYTES,
				bar: 1,
			},
		];
	});

/** A server that stops: from the closing of its port to the verdict, delay_loop 1 s, no retry; and a pulled cable. */
async function departureRows(): Promise<readonly BenchResult[]> {
	using network = Network.create("bench");
	const [box, far] = [network.namespace("box"), network.namespace("far")];
	const lan = network.segment("lan");
	const cable = lan.plug(box, "eth1", "10.5.0.1/24");
	lan.plug(far, "eth0", "10.5.0.2/24");
	const ports = Array.from({ length: 12 }, (_, index) => 7_000 + index);
	const doomedPorts = Array.from({ length: 6 }, (_, index) => 7_100 + index);
	const realServers = [...ports, ...doomedPorts].map(
		(port) => ` real_server 10.5.0.2 ${port} {\n TCP_CHECK {\n connect_timeout 5\n retry 0\n }\n }`,
	);
	const text = `virtual_server 10.5.0.100 80 {\n delay_loop 1\n lb_algo rr\n lb_kind NAT\n protocol TCP\n alpha\n${realServers.join("\n")}\n}\n`;
	const peer = new KeepalivedCheckers(box, text);
	const file = join(peer.folder, "drover.conf");
	writeFileSync(file, text);
	const agent = new Agent(box);
	const listeners = inside(far, () =>
		ports.map((port) => Bun.listen({ hostname: "10.5.0.2", port, socket: { data() {} } })),
	);
	const listen = (port: number) =>
		`Bun.listen({ hostname: "10.5.0.2", port: ${port}, socket: { data() {} } }); console.log("listens")`;
	const doomed = await Promise.all(
		doomedPorts.map(async (port) => {
			const child = far.spawn([bunPath, "-e", listen(port)]);
			await (child.stdout as ReadableStream).getReader().read();
			return { port, child };
		}),
	);
	agent.applyConfig(loadConfig(file).config);
	const ours: number[] = [];
	const theirs: number[] = [];
	const downAt = (port: number) =>
		agent.changes.find(
			({ kind, up, realServer }) => kind === "alive" && !up && realServer.endsWith(`:${port}`),
		)?.atMs;
	await eventually(
		"all up",
		() =>
			[...ports, ...doomedPorts].every(
				(port) => peer.verdict("10.5.0.2", port) && agent.status(`10.5.0.2]:${port}`)?.alive,
			),
		30_000,
	);
	for (const [index, port] of ports.slice(0, -1).entries()) {
		// At another moment of the period each time.
		await Bun.sleep(index * 83);
		listeners[index]!.stop(true);
		const at = Date.now();
		await eventually("both saw it", () => {
			if (theirs.length === index && peer.verdict("10.5.0.2", port) === false) theirs.push(Date.now() - at);
			return theirs.length > index && downAt(port) !== undefined;
		});
		ours.push(downAt(port)! - at);
	}
	const killedOurs: number[] = [];
	const killedTheirs: number[] = [];
	for (const [index, { port, child }] of doomed.entries()) {
		await Bun.sleep(index * 130);
		child.kill("SIGKILL");
		const at = Date.now();
		await eventually("both saw the kill", () => {
			if (killedTheirs.length === index && peer.verdict("10.5.0.2", port) === false)
				killedTheirs.push(Date.now() - at);
			return killedTheirs.length > index && downAt(port) !== undefined;
		});
		killedOurs.push(downAt(port)! - at);
	}
	const last = ports.at(-1)!;
	const pulledAt = Date.now();
	cable.unplug();
	const [linkOurs, linkPeer] = await Promise.all([
		eventually("the cable", () => downAt(last)).then((at) => at - pulledAt),
		eventually("the peer's cable", () => peer.verdict("10.5.0.2", last) === false, 20_000).then(
			() => Date.now() - pulledAt,
		),
	]);
	await peer.stop();
	const worst = (values: readonly number[]) => Math.max(...values);
	const figure = (values: readonly number[]) => `${median(values)} ms, worst ${worst(values)} ms`;
	return [
		{
			name: "a server that stops leaves, worst, delay_loop 1 s, no retry, to 1 s",
			ours: figure(ours),
			peer: figure(theirs),
			ratio: worst(ours) / DEPARTURE_BAR_MS,
			bar: 1,
		},
		{
			name: "a server's process is killed: it leaves, worst, to 50 ms",
			ours: figure(killedOurs),
			peer: figure(killedTheirs),
			ratio: worst(killedOurs) / HEARD_BAR_MS,
			bar: 1,
		},
		{
			name: "the director's cable is pulled: its servers leave (to 50 ms)",
			ours: `${linkOurs} ms`,
			peer: `${linkPeer} ms`,
			ratio: linkOurs / HEARD_BAR_MS,
			bar: 1,
		},
	];
}

function median(values: readonly number[]): number {
	const sorted = values.toSorted((a, b) => a - b);
	return sorted[sorted.length >> 1]!;
}
