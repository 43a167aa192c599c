/**
 * What would change: the difference of two configurations in the operator's words, before anything is
 * touched. Pure.
 */
import type {
	AddressConfig,
	CheckConfig,
	DroverConfig,
	RealServerConfig,
	ServiceAddress,
	VirtualServerConfig,
	VrrpInstanceConfig,
} from "./model.ts";
import { isRecord, same } from "./same.ts";

export type ChangeKind = "add" | "remove" | "change";

/** Which part of the box it touches: the election, an interface's addresses, the kernel's IPVS table, probes, the rest. */
export type ChangeArea =
	| "global"
	| "vrrp"
	| "address"
	| "route"
	| "tracking"
	| "service"
	| "server"
	| "check";

export interface Change {
	readonly area: ChangeArea;
	readonly kind: ChangeKind;
	/** What it is about: `VI_1`, `TCP 10.0.0.1:80`. */
	readonly subject: string;
	/** What happens, in words. */
	readonly text: string;
	/** What users notice, or null. */
	readonly effect: string | null;
}

/** Changes that lead from `before` to `after`, in the order in which a reader looks for them. Empty: nothing to do. */
export function planChanges(before: DroverConfig, after: DroverConfig): readonly Change[] {
	return [
		...planGlobals(before, after),
		...planInstances(before, after),
		...planSyncGroups(before, after),
		...planTracking(before, after),
		...planAddresses(before, after),
		...planRoutes(before, after),
		...planServices(before, after),
	];
}

/** A change as one line, and its effect below it. */
export function formatChange(change: Change): string {
	const sign = { add: "+", remove: "-", change: "~" }[change.kind];
	const line = `${sign} ${change.area.padEnd(8)} ${change.subject}: ${change.text}`;
	return change.effect === null ? line : `${line}\n           ${change.effect}`;
}

// Fields, generically ------------------------------------------------------------------------

interface FieldChange {
	readonly field: string;
	readonly before: string;
	readonly after: string;
}

/** Names of fields as the file has them, where they differ from the model's. */
const names: Readonly<Record<string, string>> = {
	initialState: "state",
	advertIntervalMicros: "advert_int",
	virtualRouterId: "virtual_router_id",
	preemptDelayMs: "preempt_delay",
	downTimerAdverts: "down_timer_adverts",
	delayLoopMs: "delay_loop",
	delayBeforeRetryMs: "delay_before_retry",
	connectTimeoutMs: "connect_timeout",
	warmupMs: "warmup",
	scheduler: "lb_algo",
	forwarding: "lb_kind",
	persistenceTimeoutSeconds: "persistence_timeout",
	persistenceGranularity: "persistence_granularity",
	inhibitOnFailure: "inhibit_on_failure",
	upperThreshold: "uthreshold",
	lowerThreshold: "lthreshold",
	unicastPeers: "unicast_peer",
	sourceAddress: "source address",
};

const withAllFields = (server: RealServerConfig) => ({ ...server, ...server.limits, ...server.rules });

function label(key: string): string {
	return (
		names[key] ??
		key.replace(/(Ms|Micros|Seconds|Bytes)$/, "").replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
	);
}

/** Differences between two records, nested ones by path; `location` never counts. */
function fieldChanges(
	before: object,
	after: object,
	skip: readonly string[] = [],
	prefix = "",
): FieldChange[] {
	const changes: FieldChange[] = [];
	const left = before as Record<string, unknown>;
	const right = after as Record<string, unknown>;
	for (const key of new Set([...Object.keys(left), ...Object.keys(right)])) {
		if (key === "location" || skip.includes(key)) continue;
		const a = left[key];
		const b = right[key];
		if (same(a, b)) continue;
		if (isRecord(a) && isRecord(b) && (a["kind"] === undefined || a["kind"] === b["kind"]))
			changes.push(...fieldChanges(a, b, [], `${prefix}${label(key)} `));
		else changes.push({ field: prefix + label(key), before: show(key, a), after: show(key, b) });
	}
	return changes;
}

function show(key: string, value: unknown): string {
	if (value === null || value === undefined) return "none";
	if (key === "password" || key === "keys") return "(another one)";
	if (typeof value === "boolean") return value ? "on" : "off";
	if (typeof value === "number") {
		if (key.endsWith("Micros")) return `${value / 1_000_000} s`;
		if (key.endsWith("Ms")) return `${value / 1000} s`;
		if (key.endsWith("Seconds")) return `${value} s`;
		return String(value);
	}
	if (typeof value === "string") return value;
	if (Array.isArray(value))
		return value.length === 0 ? "none" : value.map((each) => show("", each)).join(", ");
	const record = value as Record<string, unknown>;
	for (const name of ["command", "name", "address", "kind", "type", "path"])
		if (record[name] !== undefined) {
			const found = record[name];
			return Array.isArray(found) ? found.join(" ") : show("", found);
		}
	return JSON.stringify(record, (inner, each) =>
		inner === "location" || inner === "password" || inner === "keyHex" ? undefined : each,
	);
}

function describe(changes: readonly FieldChange[]): string {
	return changes.map(({ field, before, after }) => `${field} ${before} → ${after}`).join(", ");
}

/** Pairs two lists by key; a key that stands twice is paired in order. */
function pair<T>(
	before: readonly T[],
	after: readonly T[],
	keyOf: (item: T) => string,
): [T | null, T | null][] {
	const left = new Map<string, T>();
	for (const item of before) left.set(unique(left, keyOf(item)), item);
	const right = new Map<string, T>();
	for (const item of after) right.set(unique(right, keyOf(item)), item);
	const pairs: [T | null, T | null][] = [];
	for (const [key, item] of left) pairs.push([item, right.get(key) ?? null]);
	for (const [key, item] of right) if (!left.has(key)) pairs.push([null, item]);
	return pairs;
}

function unique(map: ReadonlyMap<string, unknown>, key: string): string {
	let name = key;
	for (let count = 2; map.has(name); count++) name = `${key} #${count}`;
	return name;
}

// Parts --------------------------------------------------------------------------------------

function planGlobals(before: DroverConfig, after: DroverConfig): Change[] {
	const changes: Change[] = fieldChanges(before.global, after.global).map((change) => ({
		area: "global",
		kind: "change",
		subject: "global_defs",
		text: describe([change]),
		effect: null,
	}));
	if (!same(before.tlsClient, after.tlsClient))
		changes.push({
			area: "global",
			kind: "change",
			subject: "SSL",
			text: "another client certificate",
			effect: null,
		});
	return changes;
}

/** The virtual router that an instance is: what its name is does not matter to its peers. */
function routerKey(instance: VrrpInstanceConfig): string {
	return `${instance.interface} ${instance.family} ${instance.virtualRouterId}`;
}

function instanceText(instance: VrrpInstanceConfig): string {
	return `VRID ${instance.virtualRouterId} on ${instance.interface ?? "unicast"}, priority ${instance.priority}`;
}

function planInstances(before: DroverConfig, after: DroverConfig): Change[] {
	const changes: Change[] = [];
	for (const [old, now] of pair(before.vrrpInstances, after.vrrpInstances, routerKey)) {
		if (old === null)
			changes.push({
				area: "vrrp",
				kind: "add",
				subject: now!.name,
				text: `joins: ${instanceText(now!)}`,
				effect: null,
			});
		else if (now === null)
			changes.push({
				area: "vrrp",
				kind: "remove",
				subject: old.name,
				text: `leaves: ${instanceText(old)}`,
				effect: "if it is master here, its addresses move to a peer",
			});
		else {
			const fields = fieldChanges(old, now, [
				"virtualAddresses",
				"excludedAddresses",
				"virtualRoutes",
				"virtualRules",
			]);
			if (fields.length > 0)
				changes.push({
					area: "vrrp",
					kind: "change",
					subject: now.name,
					text: describe(fields),
					effect: instanceEffect(old, now),
				});
		}
	}
	return changes;
}

function instanceEffect(old: VrrpInstanceConfig, now: VrrpInstanceConfig): string | null {
	if (old.version !== now.version)
		return "its peers must change with it: the two versions do not understand each other";
	if (!same(old.authentication, now.authentication))
		return "its peers must change with it: until then there are two masters";
	if (old.version === 2 && old.advertIntervalMicros !== now.advertIntervalMicros)
		return "its peers must change with it: VRRPv2 drops adverts of another interval";
	if (now.priority > old.priority && now.preempt) return "it takes over if its peers' priorities are lower";
	if (now.priority < old.priority) return "a peer with a higher priority takes over";
	return null;
}

function planSyncGroups(before: DroverConfig, after: DroverConfig): Change[] {
	const changes: Change[] = [];
	for (const [old, now] of pair(before.syncGroups, after.syncGroups, (group) => group.name)) {
		const subject = `sync group ${(old ?? now)!.name}`;
		if (old === null)
			changes.push({
				area: "vrrp",
				kind: "add",
				subject,
				text: `couples ${now!.members.join(", ")}`,
				effect: null,
			});
		else if (now === null)
			changes.push({
				area: "vrrp",
				kind: "remove",
				subject,
				text: `frees ${old.members.join(", ")}`,
				effect: null,
			});
		else if (!same(old, now))
			changes.push({
				area: "vrrp",
				kind: "change",
				subject,
				text: describe(fieldChanges(old, now)),
				effect: null,
			});
	}
	return changes;
}

function planTracking(before: DroverConfig, after: DroverConfig): Change[] {
	const changes: Change[] = [];
	const kinds = [
		["vrrp_script", before.trackScripts, after.trackScripts],
		["track_file", before.trackFiles, after.trackFiles],
		["vrrp_track_process", before.trackProcesses, after.trackProcesses],
		["bfd_instance", before.bfdInstances, after.bfdInstances],
	] as const;
	for (const [keyword, olds, nows] of kinds)
		for (const [old, now] of pair<{ readonly name: string }>(olds, nows, (item) => item.name)) {
			const subject = `${keyword} ${(old ?? now)!.name}`;
			if (old === null)
				changes.push({ area: "tracking", kind: "add", subject, text: "starts", effect: null });
			else if (now === null)
				changes.push({ area: "tracking", kind: "remove", subject, text: "stops", effect: null });
			else if (!same(old, now))
				changes.push({
					area: "tracking",
					kind: "change",
					subject,
					text: describe(fieldChanges(old, now)),
					effect: null,
				});
		}
	const lists = [
		["track_group", before.trackGroups, after.trackGroups, "other groups, or other instances in them"],
		["linkbeat_interfaces", before.linkbeats, after.linkbeats, "other interfaces, or asked in another way"],
		["interface_up_down_delays", before.interfaceDelays, after.interfaceDelays, "other delays"],
	] as const;
	for (const [subject, old, now, text] of lists)
		if (!same(old, now)) changes.push({ area: "tracking", kind: "change", subject, text, effect: null });
	return changes;
}

interface PlacedAddress {
	readonly owner: string;
	readonly interface: string;
	readonly address: AddressConfig;
}

function placedAddresses(config: DroverConfig): PlacedAddress[] {
	const placed: PlacedAddress[] = config.staticAddresses.map((address) => ({
		owner: "always",
		interface: address.interface ?? "",
		address,
	}));
	for (const instance of config.vrrpInstances)
		for (const address of [...instance.virtualAddresses, ...instance.excludedAddresses])
			placed.push({
				owner: `while ${instance.name} is master`,
				interface: address.interface ?? instance.interface ?? "",
				address,
			});
	return placed;
}

function planAddresses(before: DroverConfig, after: DroverConfig): Change[] {
	const changes: Change[] = [];
	const key = (placed: PlacedAddress) => `${placed.interface} ${placed.address.address}`;
	for (const [old, now] of pair(placedAddresses(before), placedAddresses(after), key)) {
		const { address, interface: networkInterface, owner } = (now ?? old)!;
		const subject = `${address.address}/${address.prefixLength}`;
		if (old === null)
			changes.push({
				area: "address",
				kind: "add",
				subject,
				text: `on ${networkInterface}, ${owner}`,
				effect: null,
			});
		else if (now === null)
			changes.push({
				area: "address",
				kind: "remove",
				subject,
				text: `from ${networkInterface}`,
				effect: "connections to it end",
			});
		else {
			const fields = fieldChanges(old.address, now.address);
			if (old.owner !== now.owner) fields.push({ field: "present", before: old.owner, after: now.owner });
			if (fields.length > 0)
				changes.push({ area: "address", kind: "change", subject, text: describe(fields), effect: null });
		}
	}
	return changes;
}

function planRoutes(before: DroverConfig, after: DroverConfig): Change[] {
	const all = (config: DroverConfig) => [
		...config.staticRoutes.map((route) => ({ what: "route", owner: "always", route })),
		...config.staticRules.map((route) => ({ what: "rule", owner: "always", route })),
		...config.vrrpInstances.flatMap((instance) => [
			...instance.virtualRoutes.map((route) => ({
				what: "route",
				owner: `while ${instance.name} is master`,
				route,
			})),
			...instance.virtualRules.map((route) => ({
				what: "rule",
				owner: `while ${instance.name} is master`,
				route,
			})),
		]),
	];
	const changes: Change[] = [];
	const key = (item: ReturnType<typeof all>[number]) =>
		`${item.what} ${item.owner} ${item.route.family} ${item.route.words.join(" ")} ${item.route.interface ?? ""}`;
	for (const [old, now] of pair(all(before), all(after), key)) {
		const fields = old === null || now === null ? [] : fieldChanges(old.route, now.route);
		if (old !== null && now !== null && fields.length === 0) continue;
		const item = (old ?? now)!;
		const dev = item.route.interface === null ? "" : ` dev ${item.route.interface}`;
		const text = `${item.route.words.join(" ")}${dev} (${item.owner})`;
		changes.push({
			area: "route",
			kind: old === null ? "add" : now === null ? "remove" : "change",
			subject: item.what,
			text: fields.length === 0 ? text : `${text}: ${describe(fields)}`,
			effect: null,
		});
	}
	return changes;
}

function serviceText(server: VirtualServerConfig, service: ServiceAddress): string {
	if (service.kind === "fwmark")
		return `fwmark ${service.fwmark}${service.family === "inet6" ? " IPv6" : ""}`;
	return `${server.protocol} ${endpoint(service.address, service.port)}`;
}

function endpoint(address: string, port: number): string {
	return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

interface Service {
	readonly text: string;
	readonly server: VirtualServerConfig;
}

function services(config: DroverConfig): Service[] {
	return config.virtualServers.flatMap((server) =>
		server.services.map((service) => ({ text: serviceText(server, service), server })),
	);
}

const kernelFields = [
	"scheduler",
	"schedulerFlags",
	"onePacket",
	"persistenceTimeoutSeconds",
	"persistenceEngine",
	"persistenceGranularity",
];

/** What a virtual server is matched by, as far as its addresses do not say it. */
function nameText({ name }: VirtualServerConfig): string {
	return name.kind === "group" ? `in group ${name.group}` : "in no group";
}

function planServices(before: DroverConfig, after: DroverConfig): Change[] {
	const changes: Change[] = [];
	const renamed = new Set<string>();
	for (const [old, now] of pair(services(before), services(after), (service) => service.text)) {
		const subject = (now ?? old)!.text;
		if (old === null)
			changes.push({
				area: "service",
				kind: "add",
				subject,
				text: `${now!.server.scheduler}, ${now!.server.realServers.length} real servers`,
				effect: null,
			});
		else if (now === null)
			changes.push({
				area: "service",
				kind: "remove",
				subject,
				text: `with its ${old.server.realServers.length} real servers`,
				effect: "its connections are cut",
			});
		else {
			const names = `${nameText(old.server)} → ${nameText(now.server)}`;
			if (nameText(old.server) !== nameText(now.server) && !renamed.has(names)) {
				renamed.add(names);
				changes.push({
					area: "service",
					kind: "change",
					subject,
					text: names,
					effect: "its checks begin anew, and scripts and FIFOs hear that the old one went",
				});
			}
			const fields = fieldChanges(old.server, now.server, ["realServers", "services", "name"]);
			if (fields.length > 0) {
				const inKernel = kernelFields.some(
					(name) =>
						!same(
							(old.server as unknown as Record<string, unknown>)[name],
							(now.server as unknown as Record<string, unknown>)[name],
						),
				);
				changes.push({
					area: inKernel ? "service" : "check",
					kind: "change",
					subject,
					text: describe(fields),
					effect: null,
				});
			}
			changes.push(...planServers(subject, old.server, now.server));
		}
	}
	return changes;
}

function planServers(service: string, before: VirtualServerConfig, after: VirtualServerConfig): Change[] {
	const changes: Change[] = [];
	const key = (server: RealServerConfig) => endpoint(server.address, server.port);
	for (const [old, now] of pair(before.realServers, after.realServers, key)) {
		const subject = `${service} → ${key((now ?? old)!)}`;
		if (old === null)
			changes.push({
				area: "server",
				kind: "add",
				subject,
				text: `weight ${now!.weight}, ${now!.forwarding.kind}, ${checksText(now!.checks)}`,
				effect: null,
			});
		else if (now === null)
			changes.push({
				area: "server",
				kind: "remove",
				subject,
				text: `weight ${old.weight}, ${old.forwarding.kind}`,
				effect: "its connections are cut; weight 0 would drain it first",
			});
		else {
			const fields = fieldChanges(withAllFields(old), withAllFields(now), ["checks", "rules", "limits"]);
			if (fields.length > 0)
				changes.push({
					area: "server",
					kind: "change",
					subject,
					text: describe(fields),
					effect:
						now.weight === 0 && old.weight > 0 ? "it gets no new connections; the old ones go on" : null,
				});
			if (!same(old.checks, now.checks))
				changes.push({
					area: "check",
					kind: "change",
					subject,
					text: checksChange(old.checks, now.checks),
					effect: null,
				});
		}
	}
	return changes;
}

function checksText(checks: readonly CheckConfig[]): string {
	return checks.length === 0 ? "never checked" : checks.map((check) => check.kind).join(", ");
}

function checksChange(before: readonly CheckConfig[], after: readonly CheckConfig[]): string {
	if (before.length !== after.length || before.some((check, index) => check.kind !== after[index]!.kind))
		return `${checksText(before)} → ${checksText(after)}`;
	return before
		.flatMap((check, index) => {
			const fields = fieldChanges(check, after[index]!);
			return fields.length === 0 ? [] : [`${check.kind}: ${describe(fields)}`];
		})
		.join("; ");
}
