/** From statements to the model: the order in which the parts need one another. */
import type { DroverConfig, VirtualServerConfig, VrrpInstanceConfig } from "../model.ts";
import { readAddressLines } from "./build/address-lines.ts";
import { Settings } from "./build/block.ts";
import { BuildContext, type Machine } from "./build/context.ts";
import { crossCheck } from "./build/cross-checks.ts";
import { buildGlobals, buildTlsClient, defaultNotes } from "./build/globals.ts";
import { buildGarpGaps, buildInterfaceDelays, buildLinkbeats } from "./build/interfaces.ts";
import { readRoutes, readRules } from "./build/routes.ts";
import { buildServerGroups } from "./build/server-group.ts";
import { buildSyncGroups } from "./build/sync-group.ts";
import { settleGroupWeights, settleTrackedWeights } from "./build/tracked-weights.ts";
import { buildTrackers } from "./build/tracking.ts";
import { buildVirtualServer, LastServer } from "./build/virtual-server.ts";
import { buildInstance } from "./build/vrrp-instance.ts";
import type { Findings } from "./diagnostics.ts";
import type { ServerMemory } from "./server-memory.ts";
import { fileOf, lineOf, type Source } from "./source.ts";
import type { Statement } from "./statement.ts";

/** Null when `memory` has recalled virtual servers that were built under other global settings. */
export function buildConfig(
	statements: readonly Statement[],
	findings: Findings,
	machine: Machine,
	sources: readonly Source[],
	memory: ServerMemory | null,
): DroverConfig | null {
	const context = new BuildContext(findings, machine, sources, defaultNotes());
	// Of virtual servers there may be thousands, and nobody else is interested in them.
	const virtual: Statement[] = [];
	const root: Statement[] = [];
	for (const statement of statements)
		if (statement.keyword.name === "virtual_server") virtual.push(statement);
		else root.push(statement);
	const all = (name: string) => root.filter((statement) => statement.keyword.name === name);
	const global = buildGlobals(context, all("global_defs"), root);
	if (memory?.holdsIn(JSON.stringify([context.globals, [...(machine.interfaces ?? [])]])) === false)
		return null;
	const trackers = buildTrackers(context, root);
	const gaps = buildGarpGaps(context, all("garp_group"), {
		garpMicros: global.garpIntervalMicros,
		gnaMicros: global.gnaIntervalMicros,
	});

	// Before those of instances: which is first decides on preferences, and hardly anybody writes them behind.
	const staticRules = readRules(context, all("static_rules"), "static_rules");
	const instances: VrrpInstanceConfig[] = [];
	const names = new Set<string>();
	root.forEach((statement, index) => {
		if (statement.keyword.name !== "vrrp_instance") return;
		const name = statement.words[0]!;
		if (names.has(name)) {
			context.error(statement, "duplicate-name", `vrrp_instance ${name} is defined twice`, "the second one");
			return;
		}
		names.add(name);
		const instance = buildInstance(context, statement, index, trackers, gaps);
		if (instance !== null) instances.push(instance);
	});
	const syncGroups = buildSyncGroups(context, root, trackers, instances).map((group) =>
		settleGroupWeights(context, group, instances),
	);
	const groupOf = new Map(syncGroups.flatMap((group) => group.members.map((name) => [name, group] as const)));
	const vrrpInstances = instances.map((instance) =>
		settleTrackedWeights(context, instance, groupOf.get(instance.name) ?? null),
	);

	const groups = buildServerGroups(context, root);
	const virtualServers: VirtualServerConfig[] = [];
	const last = new LastServer();
	for (const statement of virtual) {
		const recalled = memory?.recalled(statement, sources[fileOf(statement.at)]!.name, lineOf(statement.at));
		if (recalled != null) {
			virtualServers.push(recalled);
			continue;
		}
		const { mentions } = findings;
		const server = buildVirtualServer(context, statement, groups, trackers, last);
		if (server === null) continue;
		virtualServers.push(server);
		if (findings.mentions === mentions) memory?.built(statement, server);
	}

	const config: DroverConfig = {
		global,
		tlsClient: buildTlsClient(all("SSL")),
		staticAddresses: readAddressLines(context, all("static_ipaddress"), {
			owner: "static_ipaddress",
			isStatic: true,
			defaultInterface: context.globals.defaultInterface,
		}),
		staticRoutes: readRoutes(context, all("static_routes"), "static_routes"),
		staticRules,
		trackGroups: all("track_group").map((statement) => ({
			name: statement.words[0]!,
			instances: new Settings(statement.body!)
				.all("group")
				.flatMap((inner) => inner.lines!.flatMap((line) => line.words)),
		})),
		linkbeats: buildLinkbeats(context, root),
		interfaceDelays: buildInterfaceDelays(context, all("interface_up_down_delays")),
		trackScripts: [...trackers.scripts.values()],
		trackFiles: [...trackers.files.values()],
		trackProcesses: [...trackers.processes.values()],
		bfdInstances: [...trackers.bfd.values()],
		vrrpInstances,
		syncGroups,
		serverGroups: [...groups.values()].map(({ name, members }) => ({ name, members })),
		virtualServers,
		namedInterfaces: [...context.namedInterfaces],
	};
	crossCheck(context, config);
	if (context.insecureScript !== null)
		context.findings.report(context.insecureScript, {
			severity: "warning",
			code: "script-security",
			message: "scripts run, and enable_script_security is not set",
			suggestion: 'write "enable_script_security" and "script_user NAME" into global_defs',
			exitStatus: context.interfaceMissing ? 0 : 6,
		});
	return config;
}
