/** A service that was told to end ends, whatever it still waits for. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { bunPath } from "./lab/netns/network.ts";

/** Runs `text` with the ending at hand; resolves with its exit status, what it wrote, and how long it took. */
async function run(text: string) {
	const program = `
		const { Ending, endSoon, toldBySignals } = await import(${JSON.stringify(join(import.meta.dir, "../firmware/ending.ts"))});
		const log = { error: (text) => console.log(text) };
		setInterval(() => {}, 1_000_000);
		${text}`;
	const startedAtMs = performance.now();
	const child = Bun.spawn([bunPath, "-e", program], { stdout: "pipe" });
	const output = await new Response(child.stdout).text();
	return { status: await child.exited, output, tookMs: performance.now() - startedAtMs };
}

test("who is not done by then ends all the same, and says what he waited for", async () => {
	const { status, output, tookMs } = await run(`
		const ending = new Ending(log);
		ending.begin("SIGTERM", 300);
		ending.begin("SIGTERM", 1_000_000);
		console.log(await ending.asked);
		ending.waitsFor = "a kernel that does not answer";
		await new Promise(() => {});`);
	expect(output).toBe(
		"SIGTERM\nnot over 0.3 s after SIGTERM: a kernel that does not answer is not waited for any longer\n",
	);
	expect(status).toBe(0);
	expect(tookMs).toBeGreaterThan(300);
});

test("a signal is the word; who is done ends with its status, whatever is left on the loop", async () => {
	const { status, output } = await run(`
		const ending = toldBySignals(log);
		process.kill(process.pid, "SIGTERM");
		console.log(await ending.asked, ending.isAsked);
		process.exitCode = endSoon(3);`);
	expect(output).toBe("SIGTERM true\n");
	expect(status).toBe(3);
});
