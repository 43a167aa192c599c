/** Static and virtual routes and rules: KEEPALIVED-MIB, vrrp 7, 8 and 11. Instance 0 has the static ones. Pure. */
import type { DroverConfig, RouteConfig } from "../../../../config/model.ts";
import {
	type NextHop,
	type Route,
	type RouteMetric,
	type RouteType,
	routeMetrics,
} from "../../../../kernel/route.ts";
import { type LookUpRouteName, routeNames } from "../../../../kernel/route-names.ts";
import { parseRuleWords, type Rule, type RuleAction } from "../../../../kernel/route-rule.ts";
import { parseRouteWords, type WordsResult } from "../../../../kernel/route-words.ts";
import type { Facts } from "../../../box/facts.ts";
import { addressOctets, addressType } from "../../inet-address.ts";
import { type Column, gauge, integer, type Part, table, text, truth, type Value } from "../../view.ts";
import { inetScope, octets, whenSet } from "./words.ts";

interface Row<T> {
	readonly index: readonly number[];
	readonly value: T;
	/** Whether the kernel is to have it now. */
	readonly set: boolean;
	readonly interfaceName: string | null;
}

/** RouteType of the MIB; a route by several ways is ecmp(2). */
const types: Readonly<Partial<Record<RouteType, number>>> = {
	unicast: 1,
	blackhole: 3,
	anycast: 4,
	multicast: 5,
	broadcast: 6,
	unreachable: 7,
	prohibit: 8,
	throw: 9,
	nat: 10,
};
const actions: Readonly<Partial<Record<RuleAction, number>>> = {
	table: 1,
	goto: 2,
	nop: 3,
	blackhole: 6,
	unreachable: 7,
	prohibit: 8,
};

/** rtnetlink(7) metrics that have a column each, and one for being locked. */
const metricColumns: readonly (readonly [metric: RouteMetric, column: number, lock: number | null])[] = [
	["mtu", 22, 23],
	["hoplimit", 24, null],
	["advmss", 25, 26],
	["rtt", 27, 28],
	["rttvar", 29, 30],
	["reordering", 31, 32],
	["window", 33, null],
	["cwnd", 34, 35],
	["ssthresh", 36, 37],
	["rto_min", 38, 39],
	["initcwnd", 40, null],
	["initrwnd", 41, null],
];
const isLocked = (route: Route, metric: RouteMetric) =>
	((route.metrics.lock ?? 0) & (1 << routeMetrics[metric])) !== 0;

/** Realms: the source's in the upper half. */
const realms = (value: number | null, source: boolean): Value | null => {
	const realm = value === null ? 0 : source ? value >>> 16 : value & 0xffff;
	return realm === 0 ? null : gauge(realm);
};
const onlyHop = ({ nextHops }: Route) => (nextHops.length === 1 ? nextHops[0]! : null);

const routeColumns: readonly Column<Row<Route>>[] = [
	[2, ({ value }) => integer(value.family === "inet" ? 1 : 2)],
	[
		3,
		({ value }) => addressOctets(value.destination?.address ?? (value.family === "inet" ? "0.0.0.0" : "::")),
	],
	[4, ({ value }) => gauge(value.destination?.length ?? 0)],
	[5, ({ value }) => octets(onlyHop(value)?.gateway ?? null)],
	[7, ({ value }) => octets(value.preferredSource)],
	[8, ({ value }) => gauge(value.metric ?? 0)],
	[9, ({ value }) => integer(inetScope(value.scope))],
	[10, ({ value }) => integer(value.nextHops.length > 1 ? 2 : (types[value.type] ?? 1))],
	[11, ({ value }) => whenSet(onlyHop(value)?.interfaceIndex, integer)],
	[12, ({ value, interfaceName }) => (onlyHop(value) === null ? null : whenSet(interfaceName, text))],
	[13, ({ value }) => gauge(value.table)],
	[14, ({ set }) => truth(set)],
	[15, ({ value }) => octets(value.source?.address ?? null)],
	[16, ({ value }) => whenSet(value.source, ({ length }) => gauge(length))],
	[17, ({ value }) => (value.tos === 0 ? null : gauge(value.tos))],
	[18, ({ value }) => integer(value.protocol + 1)],
	[19, ({ value }) => truth(((value.metrics.features ?? 0) & 1) !== 0)],
	[20, ({ value }) => truth((value.metrics.quickack ?? 0) !== 0)],
	[21, ({ value }) => whenSet(value.expiresSeconds, integer)],
	...metricColumns.flatMap(([metric, column, lock]): Column<Row<Route>>[] => [
		[column, ({ value }) => whenSet(value.metrics[metric], gauge)],
		...(lock === null
			? []
			: [
					[
						lock,
						({ value }: Row<Route>) => whenSet(value.metrics[metric], () => truth(isLocked(value, metric))),
					] as const,
				]),
	]),
	[42, ({ value }) => whenSet(value.congestionControl, text)],
	// low(1), medium(2), high(3); RFC 4191's own numbers are others.
	[43, ({ value }) => whenSet(value.preference, (preference) => integer({ 3: 1, 1: 3 }[preference] ?? 2))],
	[44, ({ value }) => realms(value.realm, false)],
	[45, ({ value }) => realms(value.realm, true)],
	[55, ({ value }) => whenSet(value.metrics.fastopen_no_cookie, (cookie) => truth(cookie !== 0))],
];

type HopRow = Row<NextHop>;
const hopColumns: readonly Column<HopRow>[] = [
	[2, ({ value }) => whenSet(value.gateway, addressType)],
	[3, ({ value }) => octets(value.gateway)],
	[4, ({ value }) => whenSet(value.interfaceIndex, integer)],
	[5, ({ interfaceName }) => whenSet(interfaceName, text)],
	[6, ({ value }) => gauge(value.weight)],
	[7, ({ value }) => truth(value.onLink)],
	[8, ({ value }) => realms(value.realm, false)],
	[9, ({ value }) => realms(value.realm, true)],
];

const WHOLE_MARK = 0xffff_ffff;
const tableOf = ({ value }: Row<Rule>) => (value.action === "table" ? gauge(value.table) : null);

const ruleColumns: readonly Column<Row<Rule>>[] = [
	[6, tableOf],
	[7, ({ set }) => truth(set)],
	[8, ({ value }) => truth(value.not)],
	[9, ({ value }) => whenSet(value.to, ({ address }) => addressType(address))],
	[10, ({ value }) => octets(value.to?.address ?? null)],
	[11, ({ value }) => whenSet(value.to, ({ length }) => gauge(length))],
	[12, ({ value }) => whenSet(value.from, ({ address }) => addressType(address))],
	[13, ({ value }) => octets(value.from?.address ?? null)],
	[14, ({ value }) => whenSet(value.from, ({ length }) => gauge(length))],
	[15, ({ value }) => gauge(value.tos)],
	[16, ({ value }) => whenSet(value.mark, (mark) => gauge(mark.value))],
	[17, ({ value }) => whenSet(value.mark, ({ mask }) => (mask === WHOLE_MARK ? null : gauge(mask)))],
	[18, ({ value }) => realms(value.realms, false)],
	[19, ({ value }) => realms(value.realms, true)],
	[20, ({ value }) => whenSet(value.inputInterface, text)],
	[21, ({ value }) => whenSet(value.outputInterface, text)],
	[22, ({ value }) => whenSet(value.gotoPriority, gauge)],
	[23, ({ value }) => integer(actions[value.action] ?? 1)],
	[24, tableOf],
	[25, ({ value }) => whenSet(value.priority, gauge)],
	[26, ({ value }) => whenSet(value.suppressPrefixLength, gauge)],
	[27, ({ value }) => whenSet(value.suppressInterfaceGroup, (group) => text(String(group)))],
	[28, ({ value }) => whenSet(value.tunnelId, (id) => gauge(Number(id >> 32n)))],
	[29, ({ value }) => whenSet(value.tunnelId, (id) => gauge(Number(id & 0xffffffffn)))],
	[30, ({ value }) => whenSet(value.userRange, ([start]) => gauge(start))],
	[31, ({ value }) => whenSet(value.userRange, ([, end]) => gauge(end))],
	[32, ({ value }) => (value.l3mdev ? truth(true) : null)],
	[34, ({ value }) => whenSet(value.ipProtocol, gauge)],
	[35, ({ value }) => whenSet(value.sourcePorts, ([start]) => gauge(start))],
	[36, ({ value }) => whenSet(value.sourcePorts, ([, end]) => gauge(end))],
	[37, ({ value }) => whenSet(value.destinationPorts, ([start]) => gauge(start))],
	[38, ({ value }) => whenSet(value.destinationPorts, ([, end]) => gauge(end))],
];

/** The built-in names of tables and scopes; a file of the box's own may name more, which have no row then. */
const names: LookUpRouteName = routeNames(() => new Map());

export function routeTree(vrrp: string, config: DroverConfig, facts: Facts): Part[] {
	const indexOf = new Map(facts.interfaces.map(({ name, index }) => [name, index]));
	const nameOf = new Map(facts.interfaces.map(({ name, index }) => [index, name]));
	const context = { interfaceIndex: (name: string) => indexOf.get(name) ?? null, names };
	const isMaster = new Map(facts.vrrp?.instances.map(({ name, state }) => [name, state === "MASTER"]));
	const rows = <T>(
		kind: "virtualRoutes" | "virtualRules",
		statics: readonly RouteConfig[],
		parse: (words: readonly string[], family: "inet" | "inet6") => WordsResult<T>,
	): Row<T>[] =>
		[
			{ items: statics, set: facts.vrrp !== null },
			...config.vrrpInstances.map((instance) => ({
				items: instance[kind],
				set: isMaster.get(instance.name) ?? false,
			})),
		].flatMap(({ items, set }, owner) =>
			items.flatMap((item, position): Row<T>[] => {
				const parsed = parse(item.words, item.family);
				if (parsed.kind !== "ok") return [];
				return [{ index: [owner, position + 1], value: parsed.value, set, interfaceName: item.interface }];
			}),
		);
	const routes = rows("virtualRoutes", config.staticRoutes, (words, family) =>
		parseRouteWords(words, family, context),
	);
	const rules = rows("virtualRules", config.staticRules, (words, family) =>
		parseRuleWords(words, family, context),
	);
	const hops = routes
		.filter(({ value }) => value.nextHops.length > 1)
		.flatMap(({ index, value, set }) =>
			value.nextHops.map(
				(hop, position): HopRow => ({
					index: [...index, position + 1],
					value: hop,
					set,
					interfaceName: nameOf.get(hop.interfaceIndex ?? 0) ?? null,
				}),
			),
		);
	return [
		...table(`${vrrp}.7.1`, routes, ({ index }) => index, routeColumns),
		...table(`${vrrp}.8.1`, rules, ({ index }) => index, ruleColumns),
		...table(`${vrrp}.11.1`, hops, ({ index }) => index, hopColumns),
	];
}
