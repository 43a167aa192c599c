/** Connecting to a backend: the kernel's own reason, and attempts that can be given up (connect(2)). */
import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { type Dialled, type DialTarget, dial, errnoText } from "../../../firmware/cache/worker/dial.ts";
import { native } from "../../../firmware/kernel/native.ts";
import { drover, freePort, startCache } from "../../conformance/caches.ts";
import { exchange } from "../http/raw-client.ts";

const dialled = (target: DialTarget) => new Promise<Dialled>((resolve) => dial(target, resolve));
const openDescriptors = () => readdirSync("/proc/self/fd").length;

describe("dial", () => {
	const cases: readonly (readonly [title: string, target: DialTarget, text: string])[] = [
		["nobody listens", { kind: "tcp", address: "127.0.0.1", port: 1 }, "errno 111 (Connection refused)"],
		["nobody listens, IPv6", { kind: "tcp", address: "::1", port: 1 }, "errno 111 (Connection refused)"],
		[
			"an address that connects to nobody",
			{ kind: "tcp", address: "127.255.255.255", port: 80 },
			"errno 101 (Network is unreachable)",
		],
		["no such socket", { kind: "unix", path: "/nowhere/at/all" }, "errno 2 (No such file or directory)"],
	];
	for (const [title, target, text] of cases)
		test(title, async () => {
			const result = await dialled(target);
			expect(result.kind === "failed" ? errnoText(result.errno) : result.kind).toBe(text);
		});

	test("a listener; and nothing stays open of what failed or was given up", async () => {
		using server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
		const target: DialTarget = { kind: "tcp", address: "127.0.0.1", port: server.port };
		const first = await dialled(target);
		expect(first.kind).toBe("open");
		if (first.kind === "open") native.close(first.fd);
		// 192.0.2.0/24 (RFC 5737) is nobody's: the attempt is under way until it is given up.
		const giveUp = () =>
			dial({ kind: "tcp", address: "192.0.2.1", port: 9 }, (result) => {
				if (result.kind === "open") native.close(result.fd);
			})();
		// The first one starts what watches descriptors.
		giveUp();
		const before = openDescriptors();
		for (let count = 0; count < 50; count++) {
			await dialled({ kind: "tcp", address: "127.0.0.1", port: 1 });
			giveUp();
		}
		expect(openDescriptors()).toBe(before);
	});
});

test("the fetch's log has the kernel's reason", async () => {
	const cache = await startCache(drover, await freePort());
	try {
		const { text } = await exchange(cache.port, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
		expect(text).toStartWith("HTTP/1.1 503 ");
		expect(await cache.log()).toContain("backend default: fail errno 111 (Connection refused)");
	} finally {
		await cache.stop();
	}
}, 60_000);
