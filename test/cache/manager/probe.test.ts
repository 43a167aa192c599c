/** A probe that asks what another one asks already. */
import { expect, test } from "bun:test";
import { Probe } from "../../../firmware/cache/manager/probe.ts";
import { backendDefinition } from "../../../firmware/cache/vcl/parse-backend.ts";
import type { BackendDefinition, ProbeDefinition } from "../../../firmware/cache/vcl/runtime.ts";

const definition = (port: number, change: Partial<ProbeDefinition> = {}): BackendDefinition =>
	backendDefinition(
		"own",
		{ kind: "tcp", host: "127.0.0.1", port: String(port), addresses: ["127.0.0.1"] },
		"own",
		{
			probe: {
				...{ name: null, url: "/", request: null, expectedStatus: 200, timeoutSeconds: 30 },
				...{ intervalSeconds: 3600, window: 4, threshold: 3, initial: 2, ...change },
			},
		},
	);

test("it knows at once what the other one knows, and waits for the other one's first answer", async () => {
	const answer = Promise.withResolvers<void>();
	let asked = 0;
	const origin = Bun.serve({
		port: 0,
		hostname: "127.0.0.1",
		async fetch() {
			if (asked++ > 0) await new Promise(() => {});
			await answer.promise;
			return new Response();
		},
	});
	const backend = definition(origin.port!);
	const first = new Probe("boot", backend, 1, null, () => {});
	while (asked < 1) await Bun.sleep(5);
	const before = new Probe("reload_1", backend, 2, first, () => {});
	let isHeard = false;
	void before.heard.then(() => {
		isHeard = true;
	});
	while (asked < 2) await Bun.sleep(5);
	expect({ isHeard, healthy: before.healthy }).toEqual({ isHeard: false, healthy: false });
	answer.resolve();
	await first.heard;
	await before.heard;
	// Nobody answers this one.
	const after = new Probe("reload_2", backend, 3, first, () => {});
	expect(after).toMatchObject({ healthy: true, changedAt: first.changedAt, good: first.good });
	await after.heard;
	expect(first.asksFor(definition(origin.port!, { name: "named" }))).toBe(true);
	expect(first.asksFor(definition(origin.port!, { expectedStatus: 204 }))).toBe(false);
	expect(first.asksFor(definition(origin.port! + 1))).toBe(false);
	for (const probe of [first, before, after]) probe.stop();
	await origin.stop(true);
});
