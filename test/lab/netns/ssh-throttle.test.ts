/** Guessing passwords over SSH: after some connections in a row an address waits; others, and who waited, do not. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { throttleText } from "../../../firmware/appliance/ssh-throttle.ts";
import { type Namespace, Network } from "./network.ts";

const PORT = 2222;
const ssh = { enabled: true, passwords: true, port: PORT, sources: [] };

let network: Network;
let box: Namespace;
let client: Namespace;

beforeAll(() => {
	network = Network.create("ssh");
	box = network.namespace("box");
	client = network.namespace("client");
	const lan = network.segment("lan");
	lan.plug(box, "eth0", "10.0.0.1/24", "fd00::1/64", "fd00:0:0:1::1/64");
	lan.plug(client, "eth0", "10.0.0.2/24", "10.0.0.3/24", "fd00::2/64", "fd00::3/64", "fd00:0:0:1::2/64");
	box.spawn(["socat", `TCP6-LISTEN:${PORT},fork,reuseaddr`, "EXEC:cat"]);
});
afterAll(() => network.dispose());

const apply = (text: string) => {
	const done = Bun.spawnSync(["ip", "netns", "exec", box.name, "nft", "-f", "-"], {
		stdin: Buffer.from(text),
	});
	expect(done.stderr.toString()).toBe("");
};
const connects = (from: string, to: string) => {
	const words = ["socat", "-T1", `TCP:${to}:${PORT},bind=${from},connect-timeout=2`, "STDIO"];
	return (
		Bun.spawnSync(["ip", "netns", "exec", client.name, ...words], { stdin: Buffer.from("x") }).exitCode === 0
	);
};
const taken = (from: string, to: string, count: number) =>
	Array.from({ length: count }, () => connects(from, to)).filter(Boolean).length;

describe.each([
	["IPv4", "10.0.0.1", "10.0.0.2", "10.0.0.3"],
	["IPv6", "[fd00::1]", "[fd00::2]", "[fd00:0:0:1::2]"],
])("%s", (_, to, guesser, other) => {
	test("three are free, then one in three seconds; another address is not slowed down", async () => {
		apply(throttleText(ssh, { free: 3, refill: "20/minute" }));
		expect(taken(guesser, to, 8)).toBe(3);
		expect(taken(other, to, 3)).toBe(3);
		await Bun.sleep(3_500);
		expect(taken(guesser, to, 3)).toBe(1);
	});
});

test("one host's many IPv6 addresses are one", () => {
	apply(throttleText(ssh, { free: 3, refill: "1/hour" }));
	expect(taken("[fd00::2]", "[fd00::1]", 3)).toBe(3);
	expect(taken("[fd00::3]", "[fd00::1]", 3)).toBe(0);
});

test("with keys only, and when SSH is off, nobody is counted", () => {
	for (const off of [
		{ ...ssh, passwords: false },
		{ ...ssh, enabled: false },
	]) {
		apply(throttleText(ssh, { free: 1, refill: "1/hour" }));
		expect(taken("10.0.0.2", "10.0.0.1", 3)).toBe(1);
		apply(throttleText(off));
		expect(taken("10.0.0.2", "10.0.0.1", 3)).toBe(3);
	}
});
