/** From nothing to the first answer: a start, and a start with a gigabyte that is there already. */
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BenchResult } from "../result.ts";
import { droverCommand, plainVcl, varnishCommand } from "./contestants.ts";
import { fill, openDirectly } from "./direct.ts";
import { answering, freePort, median, SERVER_CORE, spawn, stop } from "./machine.ts";
import type { Table } from "./serving.ts";

const BAR_MS = 1000;
const STORE_BYTES = 1 << 30;
/** Of 1 KB: about what the store holds. */
const OBJECTS = 700_000;

async function firstAnswer(command: readonly string[], url: string): Promise<number> {
	const since = performance.now();
	const child = spawn(command, SERVER_CORE);
	try {
		return await answering(url, since);
	} finally {
		await stop(child);
	}
}

/** `varnishd` to the first answered request. */
export async function startUp(table: Table): Promise<BenchResult[]> {
	const vcl = join(table.directory, "start.vcl");
	writeFileSync(vcl, plainVcl(table.originPort));
	const ours: number[] = [];
	const theirs: number[] = [];
	for (let round = 0; round < table.rounds; round++) {
		const [port, other] = [freePort(), freePort()];
		const own = join(table.directory, `start-${round}`);
		ours.push(await firstAnswer(droverCommand(own, port, vcl), `http://127.0.0.1:${port}/1k`));
		theirs.push(await firstAnswer(varnishCommand(`${own}-v`, other, vcl), `http://127.0.0.1:${other}/1k`));
	}
	return [
		{
			name: "start to first answered request",
			ours: `${median(ours).toFixed(0)} ms`,
			peer: `${BAR_MS} ms (bar; Varnish ${median(theirs).toFixed(0)} ms)`,
			ratio: median(ours) / BAR_MS,
			bar: 1,
		},
	];
}

/** A persistent store of 1 GB, full of small objects: stop, start, first hit. */
export async function restart(table: Table): Promise<BenchResult[]> {
	const vcl = join(table.directory, "restart.vcl");
	writeFileSync(vcl, plainVcl(table.originPort));
	const store = join(table.directory, "persistent.store");
	const port = freePort();
	const directory = join(table.directory, "restart");
	const command = droverCommand(directory, port, vcl, "-s", `persistent,${store},${STORE_BYTES}`);
	try {
		await firstAnswer(command, `http://127.0.0.1:${port}/1k`);
		if (!existsSync(store)) throw new Error(`the store ${store} was not made`);
		const arena = openDirectly(store, STORE_BYTES);
		fill(arena, OBJECTS, `127.0.0.1:${port}`, 1024);
		const { objects } = arena.figures();
		arena.layDown();
		const times: number[] = [];
		for (let round = 0; round < table.rounds; round++) {
			const since = performance.now();
			const child = spawn(command, SERVER_CORE);
			try {
				const url = `http://127.0.0.1:${port}/object/00${String(OBJECTS - 1 - round)}`;
				times.push(await answering(url, since));
				const response = await fetch(url);
				await response.arrayBuffer();
				if (response.headers.get("x-cache") !== "HIT") throw new Error("the restarted cache is empty");
			} finally {
				await stop(child);
			}
		}
		return [
			{
				name: `restart with a persistent store of 1 GB, ${objects} objects: first hit`,
				ours: `${median(times).toFixed(0)} ms`,
				peer: `${BAR_MS} ms (bar)`,
				ratio: median(times) / BAR_MS,
				bar: 1,
			},
		];
	} finally {
		rmSync(store, { force: true });
	}
}
