/**
 * What SIGRTMIN+2 writes to keepalived.json: the fields of keepalived 2.2.7, in its order and units (observed), which
 * exporters read. Version 2 of the layout is 2.2.8's. Unlike there a password is masked, and routes and rules are the
 * words of the file. Pure.
 */
import type { AddressConfig, Script, TrackProcessConfig, VrrpInstanceConfig } from "../config/model.ts";
import { named } from "../named.ts";
import { stateNumbers } from "../status/vrrp.ts";
import type { Engine } from "./engine.ts";
import type { Counters, Router } from "./router.ts";

/** `wallMs` turns the engine's microseconds into Unix milliseconds. Null without instances: keepalived writes nothing then. */
export function jsonText(engine: Engine, wallMs: (atMicros: number) => number): string | null {
	if (engine.routers.length === 0) return null;
	const { config } = engine;
	const commands = new Map(config.trackScripts.map(({ name, script }) => [name, script]));
	const processes = new Map(config.trackProcesses.map(({ name, process }) => [name, process[0] ?? ""]));
	const vrrp = engine.routers.map((router) => ({
		data: {
			...dataOf(router, wallMs),
			...listed("track_ifp", trackedInterfaces(router.config)),
			...listed("track_script", namesOf(router.config.trackScripts, commands, commandText)),
			...listed(
				"track_process",
				namesOf(router.config.trackProcesses, processes, (name) => name),
			),
			...authenticationOf(router.config),
		},
		stats: statsOf(router.counters),
	}));
	if (config.global.naming.jsonVersion === 1) return `${JSON.stringify(vrrp)}\n`;
	const track_process = config.trackProcesses.map((process) =>
		processOf(process, named(engine.readings.processes, process.name)?.enough.value ?? false),
	);
	return `${JSON.stringify({ vrrp, ...listed("track_process", track_process) })}\n`;
}

const authenticationNumbers = { PASS: 1, AH: 2 } as const;
const MASK = "********";

function dataOf(router: Router, wallMs: (atMicros: number) => number) {
	const { config, state } = router;
	const { garp, notify, vmac } = config;
	const isMaster = state === "MASTER";
	const name = interfaceOf(config);
	return {
		iname: config.name,
		dont_track_primary: bit(!config.trackPrimary),
		skip_check_adv_addr: bit(config.skipCheckAddresses),
		strict_mode: bit(config.strict),
		vmac_ifname: vmac === null ? "" : (name ?? ""),
		...(name === null ? {} : { ifp_ifname: name }),
		master_priority: isMaster ? 0 : (router.master?.priority ?? 0),
		last_transition: wallMs(router.sinceMicros) / 1000,
		garp_delay: garp.delayMs / 1000,
		garp_refresh: Math.floor(garp.refreshMs / 1000),
		garp_rep: garp.repeat,
		garp_refresh_rep: garp.refreshRepeat,
		garp_lower_prio_delay: Math.floor(garp.lowerPriorityDelayMs / 1000),
		garp_lower_prio_rep: garp.lowerPriorityRepeat,
		lower_prio_no_advert: bit(config.lowerPriorityNoAdvert),
		higher_prio_send_advert: bit(config.higherPrioritySendAdvert),
		vrid: config.virtualRouterId,
		base_priority: config.priority,
		effective_priority: router.priority,
		vipset: isMaster && config.virtualAddresses.length > 0,
		promote_secondaries: config.promoteSecondaries,
		adver_int: config.advertIntervalMicros / 1e6,
		master_adver_int: router.masterIntervalMicros / 1e6,
		accept: bit(config.accept),
		nopreempt: !config.preempt,
		preempt_delay: Math.floor(config.preemptDelayMs / 1000),
		state: stateNumbers[state],
		wantstate: stateNumbers[router.wantsMaster ? "MASTER" : state],
		version: config.version,
		smtp_alert: config.smtpAlert,
		notify_deleted: notify.saysDeleted,
		...script("script_backup", notify.backup),
		...script("script_master", notify.master),
		...script("script_fault", notify.fault),
		...script("script_stop", notify.stop),
		...script("script_deleted", notify.deleted),
		...script("script", notify.generic),
		...script("script_master_rx_lower_pri", notify.masterRxLowerPriority),
		...listed("vips", addressTexts(config.virtualAddresses, name, isMaster)),
		...listed("evips", addressTexts(config.excludedAddresses, name, isMaster)),
		...listed("vroutes", wordsOf(config.virtualRoutes)),
		...listed("vrules", wordsOf(config.virtualRules)),
	};
}

function statsOf(counters: Counters) {
	return {
		advert_rcvd: counters.advertisementsReceived,
		advert_sent: counters.advertisementsSent,
		become_master: counters.becameMaster,
		release_master: counters.releasedMaster,
		packet_len_err: counters.packetLengthErrors,
		advert_interval_err: counters.advertisementIntervalErrors,
		ip_ttl_err: counters.ttlErrors,
		invalid_type_rcvd: counters.invalidTypeReceived,
		addr_list_err: counters.addressListErrors,
		invalid_authtype: counters.invalidAuthenticationType,
		authtype_mismatch: counters.authenticationTypeMismatch,
		auth_failure: counters.authenticationFailure,
		pri_zero_rcvd: counters.priorityZeroReceived,
		pri_zero_sent: counters.priorityZeroSent,
	};
}

function processOf(process: TrackProcessConfig, haveQuorum: boolean) {
	const [name = "", ...parameters] = process.process;
	return {
		process: name,
		...(parameters.length === 0 ? {} : { parameters: parameters.join(" ") }),
		param_match: parameters.length === 0 ? "none" : process.match,
		min_processes: process.quorum,
		...(process.quorumMax === null ? {} : { max_processes: process.quorumMax }),
		have_quorum: haveQuorum,
		weight: process.reverse ? -process.weight : process.weight,
		terminate_delay: process.terminateDelayMs / 1000,
		fork_delay: process.forkDelayMs / 1000,
		// Whoever names parameters compares the whole command line.
		full_command: process.fullCommand || parameters.length > 0,
	};
}

const bit = (value: boolean) => (value ? 1 : 0);

/** A list that is empty is left out. */
const listed = <T>(name: string, values: readonly T[]): Record<string, readonly T[]> =>
	values.length === 0 ? {} : { [name]: values };

const script = (name: string, value: Script | null): Record<string, string> =>
	value === null ? {} : { [name]: commandText(value) };

const commandText = ({ command }: Script) => command.map((word) => `'${word}'`).join(" ");

const wordsOf = (items: VrrpInstanceConfig["virtualRoutes"]) => items.map(({ words }) => words.join(" "));

/** The interface that adverts leave by. */
function interfaceOf({ vmac, interface: name, virtualRouterId }: VrrpInstanceConfig): string | null {
	return vmac === null ? name : (vmac.name ?? `vrrp.${virtualRouterId}`);
}

/** The own one is tracked in any case, and not named. */
const trackedInterfaces = (config: VrrpInstanceConfig) =>
	config.trackInterfaces.map(({ name }) => name).filter((name) => name !== config.interface);

function namesOf<T>(
	references: VrrpInstanceConfig["trackScripts"],
	known: ReadonlyMap<string, T>,
	textOf: (value: T) => string,
): string[] {
	return references.flatMap(({ name }) => {
		const value = known.get(name);
		return value === undefined ? [] : [textOf(value)];
	});
}

function authenticationOf({ authentication }: VrrpInstanceConfig) {
	return authentication === null
		? { auth_type: 0 }
		: { auth_type: authenticationNumbers[authentication.type], auth_data: MASK };
}

const scopeNames: ReadonlyMap<number, string> = new Map([
	[0, "global"],
	[200, "site"],
	[253, "link"],
	[254, "host"],
	[255, "nowhere"],
]);

/** In the words of ip-address(8): "10.0.0.1/24 brd 10.0.0.255 dev eth0 scope global set". */
function addressTexts(addresses: readonly AddressConfig[], own: string | null, isSet: boolean): string[] {
	return addresses.map((address) => {
		const { prefixLength, scope, preferredLifetimeSeconds: preferred } = address;
		const isWhole = prefixLength === (address.family === "inet" ? 32 : 128);
		const words = [
			`${address.address}${isWhole ? "" : `/${prefixLength}`}`,
			...(address.broadcast === null ? [] : ["brd", address.broadcast]),
			"dev",
			address.interface ?? own ?? "(none)",
			"scope",
			scopeNames.get(scope ?? 0) ?? String(scope),
			...(address.label === null ? [] : ["label", address.label]),
			...(address.home ? ["home"] : []),
			...(address.duplicateAddressDetection ? ["-nodad"] : []),
			...(address.manageTemporaryAddresses ? ["mngtmpaddr"] : []),
			...(address.noPrefixRoute ? ["noprefixroute"] : []),
			...(address.autojoin ? ["autojoin"] : []),
		];
		if (address.family === "inet6")
			words.push(...(preferred === 0 ? ["deprecated"] : ["preferred_lft", String(preferred ?? "forever")]));
		if (isSet) words.push("set");
		return words.join(" ");
	});
}
