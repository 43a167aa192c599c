/**
 * SNMP and metrics over files as people wrote them, mistakes included: what a file has twice must not cost all the rest.
 */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../firmware/config/keepalived/load.ts";
import type { DroverConfig } from "../../firmware/config/model.ts";
import { protocolName, virtualServerName } from "../../firmware/director/names.ts";
import type { Facts } from "../../firmware/status/box/facts.ts";
import type { DirectorStatus } from "../../firmware/status/director.ts";
import { boxMetrics } from "../../firmware/status/metrics/box-metrics.ts";
import { openMetricsText } from "../../firmware/status/metrics/openmetrics.ts";
import { boxView } from "../../firmware/status/snmp/tree/box.ts";
import type { Oid } from "../../firmware/status/snmp/view.ts";
import { compareOids } from "../../firmware/status/snmp/view.ts";
import { newEngine } from "../../firmware/vrrp/engine.ts";
import { instanceStatus } from "../../firmware/vrrp/status-report.ts";
import { zeroStats } from "../../firmware/wire/ipvs.ts";

const corpus = join(import.meta.dir, "../../../shared/corpus/keepalived");
const LIMIT_MS = 60_000;

/** What a box says that runs this. */
function factsOf(config: DroverConfig): Facts {
	const ports = new Set(["lo", "eth0"]);
	for (const { interface: name, trackInterfaces } of config.vrrpInstances)
		for (const port of [name, ...trackInterfaces.map((each) => each.name)])
			if (port !== null) ports.add(port);
	return {
		config,
		interfaces: [...ports].map((name, at) => ({
			index: at + 1,
			name,
			alias: "",
			type: 6,
			mtu: 1500,
			speedMbits: 1000,
			macAddress: new Uint8Array(6),
			adminUp: true,
			operUp: true,
			lastChangeMs: 0,
			statistics: {},
			addresses: [],
		})),
		vrrp: {
			startedAtMs: 0,
			configFile: "",
			instances: newEngine(config, 0).routers.map((router) =>
				instanceStatus(router, config.syncGroups, (atMicros) => atMicros / 1000),
			),
			syncGroups: config.syncGroups.map(({ name }) => ({ name, state: "INIT" as const })),
		},
		director: {
			virtualServers: config.virtualServers.map((server) => ({
				...{ name: virtualServerName(server), protocolName: protocolName(server) },
				...{ ...zeroStats, quorum: 1, quorumUp: true, onSorryServer: false, traffic: zeroStats },
				...{ totalRealServers: server.realServers.length, aliveRealServers: 0 },
				realServers: server.realServers.map(({ address, port }) => ({
					...{ address, port, alive: true, weight: 1, checks: [] },
					...{ activeConnections: 0, inactiveConnections: 0, connections: 0, traffic: zeroStats },
				})),
			})),
		} as unknown as DirectorStatus,
		cache: null,
		firmware: {
			...{ version: "1", slot: "A", slotReason: "none", onTrial: false, lastUpdate: "", reverted: false },
			...{ commitTimerSeconds: 0, watchdogArmed: false, configRevision: 1 },
		},
		host: {
			...{ hostName: "h", description: "d", hostUpMs: 1, dateMs: 1, processes: 1, loadAverages: [0, 0, 0] },
			...{ memoryKib: {}, processorLoads: [1], fileSystems: [] },
		},
		agent: {
			...{ engineId: new Uint8Array(5), engineBoots: 1, upMs: 1, contact: "", location: "" },
			notificationsLost: 0,
		},
	};
}

/** Walks as a manager does; throws where the order is not kept. Resolves to how many instances there are. */
function walk(config: DroverConfig): number {
	const view = boxView(factsOf(config));
	let count = 0;
	let at: Oid = [0];
	for (let found = view.next(at); found !== null; found = view.next(at)) {
		if (compareOids(found.oid, at) <= 0) throw new Error(`${found.oid.join(".")} behind ${at.join(".")}`);
		if (view.get(found.oid) === null)
			throw new Error(`${found.oid.join(".")} is met, but cannot be asked for`);
		at = found.oid;
		count++;
	}
	expect(count).toBe(view.size);
	return count;
}

const metrics = (config: DroverConfig) => openMetricsText(boxMetrics(factsOf(config)));

/** Throws with Prometheus's own words when one of the texts cannot be read. */
function parse(texts: readonly string[]): void {
	const program = `import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
for text in json.load(sys.stdin):
    seen = set()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            series = (sample.name, tuple(sorted(sample.labels.items())))
            assert series not in seen, series
            seen.add(series)`;
	const { stderr, exitCode } = Bun.spawnSync(["/usr/bin/python3", "-c", program], {
		stdin: Buffer.from(JSON.stringify(texts)),
	});
	expect([exitCode, stderr.toString()]).toEqual([0, ""]);
}

function read(file: string): DroverConfig {
	const loaded = loadConfig(file, { configId: hostname() });
	if (loaded.config === null) throw new Error(`${file} has no configuration`);
	return loaded.config;
}

test(
	"sixty files as people wrote them",
	() => {
		const configs = readdirSync(corpus)
			.filter((name) => name.endsWith(".conf"))
			.sort()
			.map((name) => read(join(corpus, name)));
		expect(configs.length).toBeGreaterThan(50);
		for (const config of configs) expect(walk(config)).toBeGreaterThan(50);
		parse(configs.map(metrics));
	},
	LIMIT_MS,
);

describe("what a file has twice", () => {
	const twice = `
vrrp_instance A {
	interface eth0
	virtual_router_id 1
	priority 100
	track_interface {
		eth1 weight 2
		eth1 weight 3
	}
	virtual_ipaddress {
		10.0.0.1/24
		10.0.0.1/24
		10.0.0.1/32 dev eth1
	}
}
vrrp_instance B {
	interface eth0
	virtual_router_id 1
	priority 100
	virtual_ipaddress {
		10.0.0.9/24
	}
}
vrrp_sync_group G {
	group {
		A
		A
		B
	}
}
virtual_server_group g {
	10.0.0.1 80
	10.0.0.1 80
}
${["10.0.0.1 80", "10.0.0.1 80", "group g", "group g", "fwmark 1", "fwmark 1"]
	.map(
		(name) => `virtual_server ${name} {
	lb_kind NAT
	protocol TCP
	real_server 10.0.0.2 80 {
	}
	real_server 10.0.0.2 80 {
	}
}`,
	)
	.join("\n")}`;
	test("has one row and one series", () => {
		const folder = mkdtempSync(join(tmpdir(), "drover-twice-"));
		writeFileSync(join(folder, "keepalived.conf"), twice);
		const config = read(join(folder, "keepalived.conf"));
		rmSync(folder, { recursive: true, force: true });
		expect(walk(config)).toBeGreaterThan(100);
		parse([metrics(config)]);
	});
});
