/** What ping and traceroute say, as JSON; the texts are those of busybox on the box and of Debian's ping. */
import { expect, test } from "bun:test";
import { pingFacts, traceFacts } from "../../firmware/console/tools/reach.ts";

const busybox = (...words: readonly string[]) => {
	const { stdout } = Bun.spawnSync(["busybox", ...words], { stdin: "ignore" });
	return stdout.toString();
};

test("busybox's own, of this machine", () => {
	const facts = pingFacts(busybox("ping", "-c", "2", "-W", "2", "127.0.0.1"))!;
	expect(facts).toMatchObject({ sent: 2, received: 2 });
	const { least, average, most } = facts.roundTripMs!;
	expect(least > 0 && least <= average && average <= most).toBe(true);
	const hops = traceFacts(busybox("traceroute", "-w", "2", "-q", "1", "-m", "5", "127.0.0.1"));
	expect(hops).toEqual([{ hop: 1, address: "127.0.0.1", roundTripMs: expect.any(Number) }]);
});

test.each([
	[
		"nothing came back",
		"PING 192.0.2.9 (192.0.2.9): 56 data bytes\n\n--- 192.0.2.9 ping statistics ---\n3 packets transmitted, 0 packets received, 100% packet loss\n",
		{ sent: 3, received: 0, roundTripMs: null },
	],
	[
		"Debian's",
		"--- ::1 ping statistics ---\n2 packets transmitted, 1 received, 50% packet loss, time 1001ms\nrtt min/avg/max/mdev = 0.042/0.048/0.055/0.006 ms\n",
		{ sent: 2, received: 1, roundTripMs: { least: 0.042, average: 0.048, most: 0.055 } },
	],
	["no such name", "", null],
])("ping: %s", (_title, text, expected) => {
	expect(pingFacts(text)).toEqual(expected);
});

test("traceroute: a hop that says nothing, one in no time, and IPv6", () => {
	const text =
		"traceroute to 2001:db8::9 (2001:db8::9), 20 hops max, 72 byte packets\n 1  *\n 2  gate (2001:db8::1)  0.512 ms\n 3  near (192.0.2.1)  0.000 ms\n10  2001:db8::9 (2001:db8::9)  12.1 ms !N\n";
	expect(traceFacts(text)).toEqual([
		{ hop: 1, address: null, roundTripMs: null },
		{ hop: 2, address: "2001:db8::1", roundTripMs: 0.512 },
		{ hop: 3, address: "192.0.2.1", roundTripMs: 0 },
		{ hop: 10, address: "2001:db8::9", roundTripMs: 12.1 },
	]);
});
