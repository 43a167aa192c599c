/** What many objects and many connections cost, and what they do to those that are being served. */
import { rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BenchResult } from "../result.ts";
import { type Contestant, droverCommand, plainVcl, varnishCommand } from "./contestants.ts";
import { fill, openDirectly, renew } from "./direct.ts";
import { atRate, flatOut } from "./load.ts";
import {
	answering,
	CLIENT_CORE,
	descendants,
	freePort,
	memoryOf,
	SERVER_CORE,
	spawn,
	stop,
} from "./machine.ts";
import type { Table } from "./serving.ts";

const MILLION = 1_000_000;
const STORE_BYTES = 1792 << 20;
const REPLACEMENTS_PER_SECOND = 20_000;
const BODY_BYTES = 1024;
/** So many use all of the store's room once: what is measured is a store that has lived, not one that was just filled. */
const REPLACEMENTS_BEFORE = 500_000;
/** Every request of this row runs through all of the code: its compiler needs as long as that of misses. */
const WARM_UP_SECONDS = 10;

/** One million objects of 1 KB, a fiftieth of them replaced every second by another process, while they are served. */
export async function million(table: Table): Promise<BenchResult[]> {
	const directory = join(table.directory, "million");
	const vcl = `${directory}.vcl`;
	writeFileSync(vcl, plainVcl(table.originPort));
	const port = freePort();
	// In memory, as malloc storage is; by name, so that it can be filled from outside.
	const store = `/dev/shm/drover-bench-${process.pid}.store`;
	const child = spawn(droverCommand(directory, port, vcl, "-s", `file,${store},${STORE_BYTES}`), SERVER_CORE);
	const target: Contestant = {
		name: "drover",
		port,
		pids: () => [child.pid, ...descendants(child.pid)],
		stop: () => stop(child),
	};
	try {
		await answering(`http://127.0.0.1:${port}/1k`);
		const arena = openDirectly(store, STORE_BYTES);
		fill(arena, MILLION, "bench", BODY_BYTES);
		const { objects } = arena.figures();
		// Index and book-keeping count too.
		const perObject = (statSync(store).blocks * 512) / objects;
		renew(arena, REPLACEMENTS_BEFORE, MILLION);
		const file = table.load.requestFile("million", "/object/########", "bench");
		const load = (seconds: number) => flatOut(table.rateProgram, target, seconds, file, MILLION);
		await load(WARM_UP_SECONDS);
		const seconds = Math.max(5, table.seconds * table.rounds);
		const churnSeconds = seconds * 3 + 2;
		// What the machine leaves of its two cores: load and replacements share one.
		const floor = await table.get("floor");
		const churn = Bun.spawn(
			[
				"taskset",
				"-c",
				CLIENT_CORE,
				process.execPath,
				join(import.meta.dir, "direct.ts"),
				store,
				...[STORE_BYTES, REPLACEMENTS_PER_SECOND, churnSeconds, MILLION].map(String),
			],
			{ stdout: "pipe" },
		);
		await Bun.sleep(500);
		const { perSecond, cpuMicros, errors } = await load(seconds);
		const least = await flatOut(table.rateProgram, floor, seconds, file, MILLION);
		const { max, lost } = await atRate(table.rateProgram, port, perSecond * 0.5, seconds, file, MILLION);
		const replaced = Number(await new Response(churn.stdout).text()) / churnSeconds;
		if (lost + errors > 0) throw new Error(`${lost + errors} requests were not answered`);
		const { nuked } = arena.figures();
		if (nuked > 0) throw new Error(`${nuked} objects were dropped from a store in which all have room`);
		const what = `1,000,000 objects of 1 KB, ${Math.round(replaced)} replaced/s`;
		return [
			{
				name: `${what}: memory per object beyond its body`,
				ours: `${Math.round(perObject - BODY_BYTES)} B`,
				peer: "1280 B (bar)",
				ratio: (perObject - BODY_BYTES) / 1280,
				bar: 1,
			},
			{
				name: `${what}: longest answer at half load`,
				ours: `${(max / 1000).toFixed(1)} ms`,
				peer: "20 ms (bar)",
				ratio: max / 20_000,
				bar: 1,
			},
			{
				name: `${what}: hits/s`,
				ours: `${Math.round(perSecond)}/s, ${cpuMicros.toFixed(1)} µs CPU`,
				peer: `90000/s (bar; C server that parses nothing ${Math.round(least.perSecond)}/s)`,
				ratio: 90_000 / perSecond,
				bar: 1,
			},
		];
	} finally {
		await target.stop();
		rmSync(store, { force: true });
	}
}

const CONNECTIONS = 10_000;

/** Memory that idle keep-alive connections take, each after one answered request. */
export async function idle(table: Table): Promise<BenchResult[]> {
	const vcl = join(table.directory, "idle.vcl");
	writeFileSync(vcl, plainVcl(table.originPort));
	const cost = async (command: readonly string[], port: number): Promise<number> => {
		const child = spawn(command, SERVER_CORE);
		const sockets: { end(): void }[] = [];
		try {
			await answering(`http://127.0.0.1:${port}/1k`);
			let answered = 0;
			const open = async (count: number) => {
				const goal = answered + count;
				for (let index = 0; index < count; index++)
					sockets.push(
						await Bun.connect({
							hostname: "127.0.0.1",
							port,
							socket: {
								open: (socket) => void socket.write("GET /1k HTTP/1.1\r\nHost: bench\r\n\r\n"),
								data: (_socket, bytes) => {
									if (bytes.includes("HTTP/1.1 200")) answered++;
								},
							},
						}),
					);
				for (let wait = 0; answered < goal && wait < 500; wait++) await Bun.sleep(20);
				if (answered < goal) throw new Error(`${goal - answered} of ${goal} connections got no answer`);
			};
			// Buffers and compiled code that the first few hundred need belong to nobody.
			await open(500);
			await Bun.sleep(1500);
			const memory = () => descendants(child.pid).reduce((sum, pid) => sum + memoryOf(pid).own, 0);
			const before = memory();
			await open(CONNECTIONS);
			await Bun.sleep(1500);
			return (memory() - before) / CONNECTIONS;
		} finally {
			for (const socket of sockets) socket.end();
			await stop(child);
		}
	};
	const [ours, theirs] = [freePort(), freePort()];
	const drover = await cost(droverCommand(join(table.directory, "idle-drover"), ours, vcl), ours);
	const varnish = await cost(varnishCommand(join(table.directory, "idle-varnish"), theirs, vcl), theirs);
	return [
		{
			name: "10,000 idle keep-alive connections: memory of each",
			ours: `${(drover / 1024).toFixed(2)} KB`,
			peer: `4 KB (bar; Varnish ${(varnish / 1024).toFixed(2)} KB)`,
			ratio: drover / 4096,
			bar: 1,
		},
	];
}
