/** What the readings mean for one router: its priority, its source address, and why it may not take part. Pure. */
import type { DroverConfig, SyncGroupConfig, VrrpInstanceConfig } from "../config/model.ts";
import { trackedBy } from "../config/tracked.ts";
import { named } from "../named.ts";
import { parseIpv6 } from "../wire/ip.ts";
import { instanceKey } from "./instance-key.ts";
import type { Readings } from "./readings.ts";
import type { Fault, Router } from "./router.ts";
import { type Effect, effectivePriority, effectOf, fileEffect } from "./tracking.ts";

export interface Conditions {
	readonly priority: number;
	readonly sourceAddress: string | null;
	readonly faults: readonly Fault[];
}

export function conditionsOf(
	router: Router,
	group: SyncGroupConfig | null,
	config: DroverConfig,
	readings: Readings,
	startingUp: boolean,
): Conditions {
	const instance = router.config;
	const faults: Fault[] = [];
	let deltas = 0;
	const fault = (key: string, detail: string, pending = false) => faults.push({ key, detail, pending });
	const take = (key: string, what: string, effect: Effect) => {
		if (effect.kind === "weight") deltas += effect.delta;
		else if (effect.kind === "fault") fault(key, what);
		else fault(key, `${what.replace(/ (is|has) .*$/, "")} has no result yet`, true);
	};
	const problem = readings.virtualInterfaces[instanceKey(instance)];
	if (problem !== undefined) fault("virtual-interface", problem);
	if (startingUp) fault("startup-delay", "startup delay", true);
	const isUp = (name: string): boolean | null => named(readings.interfaces, name)?.link.value ?? null;
	if (instance.interface !== null && instance.trackPrimary && isUp(instance.interface) !== true)
		fault(`interface ${instance.interface}`, linkDetail(instance.interface, readings));
	const needed = neededInterfaces(instance);
	for (const name of needed)
		if (isUp(name) !== true && !faults.some(({ key }) => key === `interface ${name}`))
			fault(`interface ${name}`, linkDetail(name, readings));
	// What it cannot do without has no weight, as with keepalived.
	for (const { name, weight, reverse } of trackedBy(instance, group, "trackInterfaces"))
		if (name !== instance.interface && !needed.has(name))
			take(
				`track ${name}`,
				`interface ${name} is ${reverse ? "up" : "down"}`,
				effectOf(isUp(name) ?? false, weight, reverse),
			);
	for (const { name, weight, reverse } of trackedBy(instance, group, "trackScripts"))
		take(
			`script ${name}`,
			`script ${name} has failed`,
			effectOf(named(readings.scripts, name)?.up ?? null, weight, reverse),
		);
	for (const { name, weight, reverse } of trackedBy(instance, group, "trackProcesses"))
		take(
			`process ${name}`,
			`process ${name} has no quorum`,
			effectOf(named(readings.processes, name)?.enough.value ?? null, weight, reverse),
		);
	for (const { name, weight, reverse } of trackedBy(instance, group, "trackFiles")) {
		const value = named(readings.files, name) ?? 0;
		take(`file ${name}`, `file ${name} is ${value}`, fileEffect(value, weight, reverse));
	}
	for (const { name, weight, reverse } of trackedBy(instance, group, "trackBfd"))
		take(
			`bfd ${name}`,
			`BFD session ${name} is down`,
			effectOf(named(readings.bfd, name) ?? false, weight, reverse),
		);
	for (const { trackGroup, interface: name, what } of trackedStatics(config))
		if (
			name !== null &&
			isUp(name) !== true &&
			config.trackGroups.some((one) => one.name === trackGroup && one.instances.includes(instance.name))
		)
			fault(`static ${what}`, `${what} cannot be there: ${linkDetail(name, readings)}`);
	const sourceAddress = sourceAddressOf(instance, config, readings);
	if (sourceAddress === null)
		fault("source", `${instance.interface ?? "no interface"} has no ${instance.family} address to send from`);
	else if (
		instance.trackSourceAddress &&
		instance.sourceAddress !== null &&
		!Object.values(readings.interfaces).some(({ addresses }) => addresses.includes(instance.sourceAddress!))
	)
		fault("source", `our address ${instance.sourceAddress} is gone`);
	if (instance.unicastFaultNoPeer && instance.unicastPeers.length === 0) fault("peers", "no unicast peer");
	return { priority: effectivePriority(instance.priority, deltas), sourceAddress, faults };
}

/**
 * Interfaces that it cannot do without: those of its addresses elsewhere, and of its routes, its own one included
 * (with dont_track_primary as well, as with keepalived).
 */
function neededInterfaces(instance: VrrpInstanceConfig): ReadonlySet<string> {
	const needed = new Set<string>();
	for (const { interface: name, noTrack } of [...instance.virtualAddresses, ...instance.excludedAddresses])
		if (name !== null && !noTrack && name !== instance.interface) needed.add(name);
	for (const { interface: name, noTrack } of instance.virtualRoutes)
		if (name !== null && !noTrack) needed.add(name);
	return needed;
}

function linkDetail(name: string, readings: Readings): string {
	return named(readings.interfaces, name) === undefined
		? `there is no interface ${name}`
		: `interface ${name} is down`;
}

/** The configured address, else the interface's first that is none of ours to move (IPv6: link-local). */
function sourceAddressOf(
	instance: VrrpInstanceConfig,
	config: DroverConfig,
	readings: Readings,
): string | null {
	if (instance.sourceAddress !== null) return instance.sourceAddress;
	const addresses = named(readings.interfaces, instance.interface ?? "")?.addresses ?? [];
	const own = addresses.filter((address) => address.includes(":") === (instance.family === "inet6"));
	const movable = movableAddresses(config);
	const fixed = own.filter((address) => !movable.has(address));
	if (instance.family === "inet") return fixed[0] ?? null;
	return fixed.find((address) => isLinkLocal(address)) ?? null;
}

/** `track_group`: what belongs to the box, and keeps the group's instances out while its interface is down. */
function trackedStatics(config: DroverConfig) {
	if (config.trackGroups.length === 0) return [];
	return [
		...config.staticAddresses.map((one) => ({ ...one, what: `static address ${one.address}` })),
		...config.staticRoutes.map((one) => ({ ...one, what: `static route ${one.words[0] ?? ""}` })),
		...config.staticRules.map((one) => ({ ...one, what: `static rule ${one.words.join(" ")}` })),
	].filter(({ trackGroup }) => trackGroup !== null);
}

const movableByConfig = new WeakMap<DroverConfig, ReadonlySet<string>>();

/** All addresses that come and go with mastership. */
function movableAddresses(config: DroverConfig): ReadonlySet<string> {
	const known = movableByConfig.get(config);
	if (known !== undefined) return known;
	const movable = new Set(
		config.vrrpInstances.flatMap(({ virtualAddresses, excludedAddresses }) =>
			[...virtualAddresses, ...excludedAddresses].map(({ address }) => address),
		),
	);
	movableByConfig.set(config, movable);
	return movable;
}

function isLinkLocal(address: string): boolean {
	const bytes = parseIpv6(address);
	return bytes !== null && bytes[0] === 0xfe && (bytes[1]! & 0xc0) === 0x80;
}
