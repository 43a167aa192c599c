/** What a reading leaves behind is given back: in time for what comes next, and when things are quiet. */
import { expect, test } from "bun:test";
import { readFileSync, readlinkSync } from "node:fs";
import { ServerMemory } from "../../firmware/config/keepalived/server-memory.ts";
import { leaveMemory, makeRoom, tidyMemory } from "../../firmware/director/tidy-memory.ts";
import { check, configuration, realServer, target, virtualServer } from "../health/fixtures.ts";

function configOf(checks: number) {
	const servers = Array.from({ length: checks }, (_, index) =>
		realServer("192.0.2.1", 1 + index, [check("TCP_CHECK", { target: target(9) })]),
	);
	return configuration([virtualServer("10.0.0.1", 80, servers)]);
}

/** Something that nobody holds. */
async function garbage(): Promise<WeakRef<object>> {
	const ref = new WeakRef({});
	// What was made in a turn of the event loop lives until its end.
	await Bun.sleep(1);
	return ref;
}

test("room is made for the checks of many real servers", async () => {
	const ref = await garbage();
	makeRoom(new ServerMemory(), configOf(2_000));
	expect(ref.deref()).toBeUndefined();
});

/** Bytes of this program's own code that are in memory (proc(5), smaps). */
function codeBytes(): number {
	const program = readlinkSync("/proc/self/exe");
	let isCode = false;
	let kilobytes = 0;
	for (const line of readFileSync("/proc/self/smaps", "latin1").split("\n")) {
		if (/^[0-9a-f]+-/.test(line)) isCode = line.includes(" r-xp ") && line.endsWith(program);
		else if (isCode) kilobytes += Number(/^Rss:\s+(\d+)/.exec(line)?.[1] ?? 0);
	}
	return kilobytes * 1024;
}

test("code that only a start needs is given back when no other reading has begun for a while", async () => {
	const before = codeBytes();
	tidyMemory(null);
	await Bun.sleep(3_500);
	expect(codeBytes()).toBeGreaterThan(before * 0.9);
	await Bun.sleep(7_000);
	expect(codeBytes()).toBeLessThan(before * 0.6);
	leaveMemory();
});
