/**
 * A name in keepalived.conf may be a word that every JavaScript object has. What comes of it is what comes of any other
 * name: in the model, the plan, the engine's story, its texts, its status, what SNMP says, and what the next process takes over.
 */
import { expect, test } from "bun:test";
import { encodeFrame, FrameReader } from "../../firmware/bus/frame.ts";
import type { DroverConfig } from "../../firmware/config/model.ts";
import { formatChange, planChanges } from "../../firmware/config/plan.ts";
import { trackingTree } from "../../firmware/status/snmp/tree/keepalived/tracking.ts";
import { type Instance, View } from "../../firmware/status/snmp/view.ts";
import type { TrackedStatus } from "../../firmware/status/vrrp.ts";
import { adopt, type Saved, save } from "../../firmware/vrrp/adoption.ts";
import { dataText, statsText } from "../../firmware/vrrp/dump.ts";
import { type EngineEvent, newEngine, step } from "../../firmware/vrrp/engine.ts";
import { explain } from "../../firmware/vrrp/explain.ts";
import { jsonText } from "../../firmware/vrrp/json-dump.ts";
import { instanceStatus, trackedStatus } from "../../firmware/vrrp/status-report.ts";
import { loadText } from "../config/load-text.ts";

const SECOND = 1_000_000;
const wallMs = (atMicros: number) => atMicros / 1000;

const configText = (name: string, priority: number) => `
global_defs {
	json_version 2
}
vrrp_script ${name} {
	script "/bin/true"
	rise 1
	fall 1
}
vrrp_track_file ${name} {
	file /tmp/weight
}
vrrp_track_process ${name} {
	process httpd
	quorum 1
}
bfd_instance ${name} {
	neighbor_ip 192.0.2.9
	source_ip 192.0.2.1
}
vrrp_sync_group ${name} {
	group {
		${name}
	}
}
vrrp_instance ${name} {
	interface eth0
	virtual_router_id 51
	priority ${priority}
	track_interface {
		${name} weight 3
	}
	track_script {
		${name} weight 5
	}
	track_file {
		${name} weight 1
	}
	track_process {
		${name} weight 7
	}
	track_bfd {
		${name} weight 11
	}
	virtual_ipaddress {
		192.0.2.100
	}
}
virtual_server_group ${name} {
	192.0.2.100 80
}
virtual_server group ${name} {
	protocol TCP
	real_server 192.0.2.2 80 {
		TCP_CHECK {
		}
	}
}
`;

/** Over a socket between two services, and back. */
const overBus = (value: unknown) => new FrameReader().push(encodeFrame(value))[0];

/** Every cell that the agent has of what is tracked. */
function overSnmp(config: DroverConfig, tracked: TrackedStatus): Instance[] {
	const view = new View(trackingTree("1.3", config, { vrrp: { tracked }, interfaces: [] } as never));
	const cells: Instance[] = [];
	for (let at = view.next([1]); at !== null; at = view.next(at.oid)) cells.push(at);
	return cells;
}

const events = (name: string): EngineEvent[] => [
	{ kind: "start" },
	{ kind: "interface", reading: { name: "eth0", index: 2, up: true, addresses: ["192.0.2.1"] } },
	{ kind: "bfd", name, up: true },
	{ kind: "file", name, value: 20 },
	{ kind: "process", name, count: 1 },
	{ kind: "script", name, success: true },
	{ kind: "interface", reading: { name, index: 3, up: true, addresses: [] } },
	{ kind: "script", name, success: false },
	{ kind: "process", name, count: 0 },
	{ kind: "file", name, value: -20 },
	{ kind: "bfd", name, up: false },
	{ kind: "interface-gone", name },
];

/** All that is told of a life with that name, as one text. */
function story(name: string): string {
	const load = (priority: number): DroverConfig => {
		const { config, diagnostics } = loadText(configText(name, priority), {
			interfaces: new Set(["lo", "eth0", name]),
		});
		expect(diagnostics.filter(({ severity }) => severity === "error")).toEqual([]);
		return config;
	};
	const config = load(100);
	const told: unknown[] = [config, planChanges(config, load(120)).map(formatChange)];
	let engine = newEngine(config, 0);
	let at = 0;
	for (const event of events(name)) {
		at += SECOND;
		const before = engine;
		const result = step(engine, event, at);
		({ engine } = result);
		told.push(event.kind, result.actions, explain(before, event, result));
		told.push(jsonText(engine, wallMs), statsText(engine), dataText(engine, wallMs));
		const tracked = overBus(trackedStatus(engine.readings)) as TrackedStatus;
		told.push(tracked, overSnmp(config, tracked));
		told.push(engine.routers.map((router) => overBus(instanceStatus(router, config.syncGroups, wallMs))));
		const saved = overBus(save(engine)) as Saved;
		expect(saved).toEqual(save(engine));
		told.push(adopt(config, saved, at, at + 1000, (fresh) => fresh));
	}
	return JSON.stringify(told, undefined, " ").replaceAll(/drover-config-\w+/g, "");
}

test.each(["__proto__", "constructor", "toString", "hasOwnProperty"])("%s", (name) => {
	// Of the same length: the model tells columns.
	const plain = "q".repeat(name.length);
	expect(story(name).replaceAll(name, "NAME")).toBe(story(plain).replaceAll(plain, "NAME"));
});
