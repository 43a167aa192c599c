/** What every row of the cache bench needs of the machine: pinned processes, free ports, CPU time, compiled helpers. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** The core that the measured servers share, and the one for load and origin. */
export const SERVER_CORE = "1";
export const CLIENT_CORE = "0";

export const root = join(import.meta.dir, "../../..");

export function spawn(
	command: readonly string[],
	core: string,
): Bun.Subprocess<"ignore", "ignore", "ignore"> {
	return Bun.spawn(["taskset", "-c", core, ...command], {
		stdin: "ignore",
		stdout: "ignore",
		stderr: "ignore",
	});
}

export async function stop(child: Bun.Subprocess): Promise<void> {
	child.kill("SIGTERM");
	const timer = setTimeout(() => child.kill("SIGKILL"), 3000);
	await child.exited;
	clearTimeout(timer);
}

/** The standard output of a command on the client's core. */
export async function output(command: readonly string[]): Promise<string> {
	const child = Bun.spawn(["taskset", "-c", CLIENT_CORE, ...command], { stdout: "pipe", stderr: "ignore" });
	const text = await new Response(child.stdout).text();
	await child.exited;
	return text;
}

export function freePort(): number {
	const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
	const { port } = listener;
	listener.stop(true);
	return port;
}

/** Compiles a C file beside this one into `directory`; returns the program's path. */
export function compile(name: string, directory: string): string {
	const program = join(directory, name);
	const { exitCode, stderr } = Bun.spawnSync([
		"gcc",
		"-O2",
		"-o",
		program,
		join(import.meta.dir, `${name}.c`),
	]);
	if (exitCode !== 0) throw new Error(`gcc cannot compile ${name}.c: ${stderr}`);
	return program;
}

/** Every process below `pid`. */
export function descendants(pid: number): number[] {
	try {
		const own = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean);
		return own.map(Number).flatMap((child) => [child, ...descendants(child)]);
	} catch {
		return [];
	}
}

/** Nanoseconds of CPU that the processes' threads have used (schedstat: exact, not in clock ticks). */
export function cpuNanoseconds(pids: readonly number[]): number {
	let sum = 0;
	for (const pid of pids)
		try {
			for (const thread of readdirSync(`/proc/${pid}/task`))
				sum += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]);
		} catch {
			// It has ended.
		}
	return sum;
}

/** Bytes that a process has to itself or shares in part (proportional set size), and those that are its own. */
export function memoryOf(pid: number): { readonly proportional: number; readonly own: number } {
	const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
	const field = (name: string) =>
		Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? 0) * 1024;
	return { proportional: field("Pss"), own: field("Private_Dirty") + field("Private_Clean") };
}

export const median = (values: readonly number[]): number =>
	[...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

/** Waits until `url` answers with 200; returns the milliseconds it took since `since`. */
export async function answering(url: string, since = performance.now(), limitMs = 15_000): Promise<number> {
	for (;;) {
		try {
			const response = await fetch(url);
			await response.arrayBuffer();
			if (response.status === 200) return performance.now() - since;
		} catch {
			// Not yet.
		}
		if (performance.now() - since > limitMs) throw new Error(`${url} does not answer`);
		await Bun.sleep(2);
	}
}
