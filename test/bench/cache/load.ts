/** Load by wrk (as fast as it goes) and by rate.c (at a constant rate, or as fast as it goes). */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Contestant } from "./contestants.ts";
import { cpuNanoseconds, median, output } from "./machine.ts";

/** Browser-like: twelve headers with Host. */
const browserHeaders: readonly (readonly [name: string, value: string])[] = [
	["User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"],
	["Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"],
	["Accept-Language", "en-US,en;q=0.5"],
	["Accept-Encoding", "gzip, deflate, br"],
	["DNT", "1"],
	["Upgrade-Insecure-Requests", "1"],
	["Sec-Fetch-Dest", "document"],
	["Sec-Fetch-Mode", "navigate"],
	["Sec-Fetch-Site", "none"],
	["Sec-Fetch-User", "?1"],
	["Priority", "u=0, i"],
];

const script = browserHeaders.map(([name, value]) => `wrk.headers["${name}"]="${value}"`).join("\n");
/** A new URL each time, in this run and in those before: wrk's own chance is the same in every run. */
const missScript = (first: number) => `${script}
local n = ${first}
request = function() n = n + 1 return wrk.format("GET", "/miss/" .. n) end
`;
/** More than one run asks for. */
const RUN_URLS = 10_000_000;

/** "large": a browser's request, the answer read 64 KB at a time; wrk reads 8 KB, and its core is full before theirs. */
export type Kind = "browser" | "large" | "miss";

export interface Measure {
	readonly perSecond: number;
	readonly cpuMicros: number;
	/** Answers that were no success, and connections that broke. */
	readonly errors: number;
}

/** Of one load. */
const CONNECTIONS = 32;

export const show = ({ perSecond, cpuMicros }: Measure) =>
	`${Math.round(perSecond)}/s, ${cpuMicros.toFixed(1)} µs CPU`;

export class Load {
	readonly #directory: string;
	readonly #scripts: Readonly<Record<Exclude<Kind, "large">, string>>;
	readonly #rateProgram: string;
	#missRuns = 0;

	/** `rateProgram` is rate.c, compiled. */
	constructor(directory: string, rateProgram: string) {
		this.#directory = directory;
		this.#rateProgram = rateProgram;
		this.#scripts = {
			browser: join(directory, "browser.lua"),
			miss: join(directory, "miss.lua"),
		};
		writeFileSync(this.#scripts.browser, script);
	}

	/** As many requests as 32 connections of one thread make. */
	async measure(target: Contestant, path: string, kind: Kind, seconds: number): Promise<Measure> {
		if (kind === "large") {
			const file = this.requestFile("large", path, "127.0.0.1");
			return flatOut(this.#rateProgram, target, seconds, file, 1);
		}
		if (kind === "miss") writeFileSync(this.#scripts.miss, missScript(RUN_URLS * ++this.#missRuns));
		const before = cpuNanoseconds(target.pids());
		const text = await output([
			"wrk",
			"-t1",
			`-c${CONNECTIONS}`,
			`-d${seconds}s`,
			"-s",
			this.#scripts[kind],
			`http://127.0.0.1:${target.port}${path}`,
		]);
		const used = cpuNanoseconds(target.pids()) - before;
		const requests = Number(/(\d+) requests in/.exec(text)?.[1] ?? 0);
		const refused = Number(/Non-2xx or 3xx responses: (\d+)/.exec(text)?.[1] ?? 0);
		const broken = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text);
		return {
			perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1] ?? 0),
			cpuMicros: used / 1e3 / requests,
			errors: refused + (broken?.slice(1).reduce((sum, count) => sum + Number(count), 0) ?? 0),
		};
	}

	/** Everybody in turn, `rounds` times over; the medians, by name. */
	async compare(
		targets: readonly Contestant[],
		path: string,
		kind: Kind,
		seconds: number,
		rounds: number,
	): Promise<ReadonlyMap<string, Measure>> {
		const found = new Map<string, Measure[]>(targets.map(({ name }) => [name, []]));
		for (let round = 0; round < rounds; round++)
			for (const each of targets) found.get(each.name)!.push(await this.measure(each, path, kind, seconds));
		return new Map(
			[...found].map(([name, all]) => [
				name,
				{
					perSecond: median(all.map((each) => each.perSecond)),
					cpuMicros: median(all.map((each) => each.cpuMicros)),
					errors: all.reduce((sum, { errors }) => sum + errors, 0),
				},
			]),
		);
	}

	/** The request of `path` as a file, for rate.c. */
	requestFile(name: string, path: string, host: string): string {
		const file = join(this.#directory, `${name}.request`);
		const lines = browserHeaders.map(([field, value]) => `${field}: ${value}`);
		writeFileSync(file, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${lines.join("\r\n")}\r\n\r\n`);
		return file;
	}
}

export interface Latencies {
	readonly sent: number;
	readonly lost: number;
	readonly p50: number;
	readonly p99: number;
	readonly max: number;
}

/** Latencies in microseconds at a constant rate, counted from when each request was due. */
export async function atRate(
	program: string,
	port: number,
	perSecond: number,
	seconds: number,
	requestFile: string,
	modulus = 1,
): Promise<Latencies> {
	const text = await output([
		program,
		String(port),
		String(Math.round(perSecond)),
		String(seconds),
		"64",
		requestFile,
		String(modulus),
	]);
	const [sent = 0, , lost = 0, p50 = 0, , p99 = 0, , max = 0] = text.trim().split(" ").map(Number);
	return { sent, lost, p50, p99, max };
}

/**
 * As many requests as 32 connections make that ask again as soon as they are answered. The requests are put together
 * in C: a script for each of them would take more of the load's core than the requests do of the server's.
 */
export async function flatOut(
	program: string,
	target: Contestant,
	seconds: number,
	requestFile: string,
	modulus: number,
): Promise<Measure> {
	const before = cpuNanoseconds(target.pids());
	const command = [program, target.port, 0, seconds, CONNECTIONS, requestFile, modulus].map(String);
	const [, answered = 0, lost = 0] = (await output(command)).trim().split(" ").map(Number);
	const used = cpuNanoseconds(target.pids()) - before;
	return { perSecond: answered / seconds, cpuMicros: used / 1e3 / answered, errors: lost };
}
