/** `/metrics` of the cache as its users start it, with Prometheus's own parsers as the judges. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mainCounters } from "../../../firmware/cache/log/counters.ts";
import { eventually } from "../../lab/netns/network.ts";

const folder = mkdtempSync(join(tmpdir(), "drover-cache-metrics-"));
/** A number that is free now. */
const probe = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
const port = probe.port;
await probe.stop(true);
const cache = Bun.spawn(
	[
		...[process.execPath, join(import.meta.dir, "../../../firmware/drover.ts"), "varnishd", "-F"],
		...[
			"-n",
			join(folder, "n"),
			"-S",
			"none",
			"-a",
			"127.0.0.1:0",
			"-b",
			"127.0.0.1:9",
			`--metrics=127.0.0.1:${port}`,
		],
	],
	{ stdout: "ignore", stderr: "ignore" },
);
afterAll(async () => {
	cache.kill("SIGTERM");
	await cache.exited;
	rmSync(folder, { recursive: true, force: true });
});

const url = `http://127.0.0.1:${port}/metrics`;

/** Samples by name; throws with the parser's words. */
function parse(text: string, format: "openmetrics." | ""): Map<string, number> {
	const program = `import json, sys
from prometheus_client.${format}parser import text_string_to_metric_families
print(json.dumps([[s.name + json.dumps(s.labels), s.value]
    for family in text_string_to_metric_families(sys.stdin.read()) for s in family.samples]))`;
	const { stdout, stderr, exitCode } = Bun.spawnSync(["/usr/bin/python3", "-c", program], {
		stdin: Buffer.from(text),
	});
	if (exitCode !== 0) throw new Error(stderr.toString());
	const samples = JSON.parse(stdout.toString()) as [string, number][];
	expect(new Set(samples.map(([name]) => name)).size).toBe(samples.length);
	return new Map(samples);
}

test("every counter, in the format that a scraper takes", async () => {
	const answer = await eventually("an answer", () => fetch(url).catch(() => null));
	expect(answer.headers.get("content-type")).toStartWith("application/openmetrics-text; version=1.0.0");
	const open = parse(await answer.text(), "openmetrics.");
	const plain = await fetch(url, { headers: { accept: "text/plain;version=0.0.4;q=0.3" } });
	expect(plain.headers.get("content-type")).toStartWith("text/plain; version=0.0.4");
	const old = parse(await plain.text(), "");
	expect([...old.keys()]).toEqual([...open.keys()]);
	expect(open.size).toBe(mainCounters.counters.length + 1);
	expect(open.get('varnish_backend_up{"vcl": "boot", "backend": "default"}')).toBe(1);
	expect(open.get("varnish_main_uptime_total{}")).toBeGreaterThanOrEqual(0);
});

test("what else is asked is refused", async () => {
	expect((await fetch(url, { method: "POST" })).status).toBe(405);
	expect((await fetch(new URL("/", url))).status).toBe(404);
});
