/**
 * What the machine itself holds up: on each processor a program of a higher real-time priority than anything
 * that is measured, which does nothing but sleep for a millisecond. How long it is kept from waking is how long
 * nobody could run there (a hypervisor that takes the processor away, the kernel with interrupts off).
 */
import { cpus } from "node:os";

const PRIORITY = 98;
const SLEEP_MS = 1;

const sleeper = (seconds: number) => `
	const cell = new Int32Array(new SharedArrayBuffer(4));
	const end = performance.now() + ${seconds * 1_000};
	let longestMs = 0;
	for (let now = performance.now(); now < end; ) {
		Atomics.wait(cell, 0, 0, ${SLEEP_MS});
		const next = performance.now();
		longestMs = Math.max(longestMs, next - now - ${SLEEP_MS});
		now = next;
	}
	console.log(longestMs);`;

/** Watches for `seconds` from now; the longest pause of any processor, in milliseconds. Needs root. */
export async function longestPauseMs(seconds: number): Promise<number> {
	const sleepers = cpus().map((_, cpu) => {
		const words = ["chrt", "-f", `${PRIORITY}`, "taskset", "-c", `${cpu}`];
		return Bun.spawn([...words, process.execPath, "-e", sleeper(seconds)], { stdout: "pipe" });
	});
	const longest = await Promise.all(sleepers.map(async ({ stdout }) => Number(await stdout.text())));
	if (longest.some((ms) => !(ms > 0))) throw new Error("a sleeper of real-time priority did not run");
	return Math.max(...longest);
}
