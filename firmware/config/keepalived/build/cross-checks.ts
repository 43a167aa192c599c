/** What no single block can see: two instances with one VRID, an address listed twice, names that nobody defines. */
import type { DroverConfig } from "../../model.ts";
import type { BuildContext } from "./context.ts";
import { placeOf } from "./vrrp-instance.ts";

export function crossCheck(context: BuildContext, config: DroverConfig): void {
	checkVirtualRouterIds(context, config);
	checkAddresses(context, config);
	checkServices(context, config);
	checkNames(context, config);
}

/** RFC 5798 §5.2.3: a VRID belongs to one virtual router per interface and address family. */
function checkVirtualRouterIds(context: BuildContext, config: DroverConfig): void {
	const seen = new Map<string, string>();
	for (const instance of config.vrrpInstances) {
		if (instance.interface === null) continue;
		const key = `${instance.interface} ${instance.family} ${instance.virtualRouterId} ${instance.vrf ?? ""}`;
		const other = seen.get(key);
		if (other === undefined) {
			seen.set(key, instance.name);
			continue;
		}
		const family = instance.family === "inet" ? "IPv4" : "IPv6";
		context.error(
			placeOf(context, instance.location, "vrrp_instance".length),
			"duplicate-vrid",
			`${instance.name} and ${other} both use VRID ${instance.virtualRouterId} with ${family} on ${instance.interface}`,
			"both: neither can tell its own adverts from the other's",
		);
	}
}

function checkAddresses(context: BuildContext, config: DroverConfig): void {
	const seen = new Map<string, string>();
	for (const instance of config.vrrpInstances)
		for (const address of [...instance.virtualAddresses, ...instance.excludedAddresses]) {
			const other = seen.get(address.address);
			if (other === undefined) {
				seen.set(address.address, instance.name);
				continue;
			}
			const place = placeOf(context, address.location, address.address.length);
			if (other === instance.name)
				context.error(
					place,
					"duplicate-address",
					`${instance.name}: ${address.address} is listed twice`,
					"nothing here; but adverts carry it twice, and a peer that lists it once may drop them",
				);
			else
				context.error(
					place,
					"duplicate-address",
					`${address.address} is listed in ${other} and in ${instance.name}`,
					"the address, as soon as either of them leaves MASTER",
				);
		}
}

function checkServices(context: BuildContext, config: DroverConfig): void {
	const seen = new Set<string>();
	for (const server of config.virtualServers)
		for (const service of server.services) {
			const key =
				service.kind === "fwmark"
					? `fwmark ${service.fwmark} ${service.family}`
					: `${server.protocol} ${service.address} ${service.port}`;
			if (!seen.has(key)) {
				seen.add(key);
				continue;
			}
			context.error(
				placeOf(context, server.location, "virtual_server".length),
				"duplicate-service",
				`virtual server ${key} is defined twice`,
				"one of the two: IPVS has one service for both",
			);
			break;
		}
}

function checkNames(context: BuildContext, config: DroverConfig): void {
	const instances = new Set(config.vrrpInstances.map((instance) => instance.name));
	const groups = new Set(config.trackGroups.map((group) => group.name));
	const daemon = config.global.lvsSyncDaemon;
	if (daemon?.instance != null && !instances.has(daemon.instance))
		context.error(
			{ file: 0, line: 1, column: 1, length: 1 },
			"unknown-name",
			`lvs_sync_daemon: there is no vrrp_instance ${daemon.instance}`,
			"connection synchronisation",
		);
	for (const item of [...config.staticAddresses, ...config.staticRoutes, ...config.staticRules])
		if (item.trackGroup !== null && !groups.has(item.trackGroup))
			context.error(
				placeOf(context, item.location, 1),
				"unknown-name",
				`there is no track_group ${item.trackGroup}`,
				"what it would track",
			);
}
