/**
 * Routes in the words of ip-route(8), as `virtual_routes` and `static_routes` hold them. Pure.
 *
 *   [TYPE] [to] PREFIX [via ADDRESS] [dev NAME] [src ADDRESS] [table T] [metric N] … [nexthop …]…
 */
import { canonicalAddress, parseAddress } from "../wire/ip.ts";
import {
	type NextHop,
	type Prefix,
	type Route,
	type RouteMetric,
	type RouteType,
	RT_TABLE_LOCAL,
	RT_TABLE_MAIN,
	RTPROT_KEEPALIVED,
	routeMetrics,
	routeTypes,
} from "./route.ts";
import { RT_SCOPE_HOST, RT_SCOPE_LINK, RT_SCOPE_UNIVERSE } from "./route-address.ts";
import type { LookUpRouteName } from "./route-names.ts";

export type WordsResult<T> =
	| { readonly kind: "ok"; readonly value: T }
	/** `message` says which word is wrong and what was expected. */
	| { readonly kind: "error"; readonly message: string };

export interface WordsContext {
	/** Index of an interface, or null when there is none of that name. */
	interfaceIndex(name: string): number | null;
	readonly names: LookUpRouteName;
}

/** Takes words one after the other; a failed expectation throws, and `parse` turns it into a result. */
export class WordReader {
	readonly #words: readonly string[];
	#position = 0;

	constructor(words: readonly string[]) {
		this.#words = words;
	}

	get done(): boolean {
		return this.#position >= this.#words.length;
	}

	peek(): string | null {
		return this.#words[this.#position] ?? null;
	}

	next(expected: string): string {
		const word = this.#words[this.#position];
		if (word === undefined)
			throw new WordsError(`${expected} is missing at the end of "${this.#words.join(" ")}"`);
		this.#position++;
		return word;
	}

	/** Takes the next word if it is `word`. */
	take(word: string): boolean {
		if (this.peek() !== word) return false;
		this.#position++;
		return true;
	}

	number(what: string, low: number, high: number): number {
		const word = this.next(what);
		const value = /^(0x[0-9a-fA-F]+|\d+)$/.test(word) ? Number(word) : Number.NaN;
		if (!(value >= low && value <= high))
			throw new WordsError(`${what}: "${word}" is no number from ${low} to ${high}`);
		return value;
	}

	address(what: string): string {
		const word = this.next(what);
		const address = canonicalAddress(word);
		if (address === null) throw new WordsError(`${what}: "${word}" is no IP address`);
		return address;
	}

	/** `default` (or `any`, `all`) is null. */
	prefix(what: string, family: "inet" | "inet6"): Prefix | null {
		const word = this.next(what);
		if (word === "default" || word === "any" || word === "all") return null;
		const [text, length, more] = word.split("/");
		const width = family === "inet" ? 32 : 128;
		// iproute2 takes "10" and "10.1" for IPv4 networks.
		const padded =
			family === "inet" && /^\d+(\.\d+){0,2}$/.test(text!)
				? `${text}${".0".repeat(4 - text!.split(".").length)}`
				: text!;
		const bytes = parseAddress(padded);
		if (bytes === null || bytes.length * 8 !== width || more !== undefined)
			throw new WordsError(`${what}: "${word}" is no ${family === "inet" ? "IPv4" : "IPv6"} prefix`);
		const bits = length === undefined ? width : /^\d{1,3}$/.test(length) ? Number(length) : Number.NaN;
		if (!(bits <= width)) throw new WordsError(`${what}: "${word}" has no prefix length from 0 to ${width}`);
		return { address: canonicalAddress(padded)!, length: bits };
	}

	named(context: WordsContext, kind: Parameters<LookUpRouteName>[0], what: string): number {
		const word = this.next(what);
		const value = context.names(kind, word);
		if (value === null) throw new WordsError(`${what}: "${word}" is neither a number nor a known name`);
		return value;
	}

	interface(context: WordsContext): number {
		const name = this.next("an interface");
		const index = context.interfaceIndex(name);
		if (index === null) throw new WordsError(`there is no interface "${name}"`);
		return index;
	}
}

export class WordsError extends Error {}

/** Runs a parser over words and turns its WordsError into a result. */
export function parseWords<T>(words: readonly string[], parser: (reader: WordReader) => T): WordsResult<T> {
	try {
		const reader = new WordReader(words);
		const value = parser(reader);
		if (!reader.done) return { kind: "error", message: `"${reader.peek()}" is not understood here` };
		return { kind: "ok", value };
	} catch (error) {
		if (error instanceof WordsError) return { kind: "error", message: error.message };
		throw error;
	}
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export function parseRouteWords(
	words: readonly string[],
	family: "inet" | "inet6",
	context: WordsContext,
): WordsResult<Route> {
	return parseWords(words, (reader) => readRoute(reader, family, context));
}

function readRoute(reader: WordReader, family: "inet" | "inet6", context: WordsContext): Route {
	const first = reader.peek();
	const type: RouteType | null = first !== null && isRouteType(first) ? first : null;
	if (type !== null) reader.next("a type");
	const route: Mutable<Route> & { nextHops: NextHop[] } = {
		family,
		type: type ?? "unicast",
		destination: null,
		source: null,
		tos: 0,
		table: -1,
		protocol: RTPROT_KEEPALIVED,
		scope: -1,
		preferredSource: null,
		nextHops: [],
		metric: null,
		metrics: {},
		congestionControl: null,
		realm: null,
		preference: null,
		expiresSeconds: null,
		ttlPropagate: null,
	};
	const hop: Mutable<NextHop> = {
		gateway: null,
		interfaceIndex: null,
		weight: 1,
		onLink: false,
		realm: null,
	};
	const alternatives: string[] = [];
	let destinationGiven = false;
	while (!reader.done) {
		const word = reader.next("a word");
		switch (word) {
			case "to":
				route.destination = reader.prefix("to", family);
				destinationGiven = true;
				break;
			case "from":
				route.source = reader.prefix("from", family);
				break;
			case "src":
				route.preferredSource = reader.address("src");
				break;
			case "via":
			case "gw":
				hop.gateway = readGateway(reader);
				break;
			case "or":
				alternatives.push(readGateway(reader));
				break;
			case "dev":
			case "oif":
				hop.interfaceIndex = reader.interface(context);
				break;
			case "onlink":
				hop.onLink = true;
				break;
			case "table":
				route.table = reader.named(context, "table", "table");
				break;
			case "proto":
			case "protocol":
				route.protocol = reader.named(context, "protocol", "protocol");
				break;
			case "scope":
				route.scope = reader.named(context, "scope", "scope");
				break;
			case "tos":
			case "dsfield":
				route.tos = reader.named(context, "trafficClass", "tos");
				break;
			case "metric":
			case "priority":
			case "preference":
				route.metric = reader.number(word, 0, 0xffff_ffff);
				break;
			case "realm":
			case "realms":
				route.realm = readRealms(reader, context);
				break;
			case "pref":
				route.preference = readPreference(reader);
				break;
			case "expires":
				route.expiresSeconds = reader.number("expires", 0, 0xffff_ffff);
				break;
			case "ttl-propagate":
				route.ttlPropagate = readSwitch(reader, "ttl-propagate", "enabled", "disabled");
				break;
			case "congctl": {
				if (reader.take("lock")) lockMetric(route, 16);
				route.congestionControl = reader.next("congctl");
				break;
			}
			case "nexthop":
				route.nextHops.push(readNextHop(reader, context));
				break;
			default:
				if (!readMetric(reader, word, route)) {
					// Whatever is no keyword is the destination, once.
					if (destinationGiven) throw new WordsError(`"${word}" is not understood here`);
					route.destination = new WordReader([word]).prefix("the destination", family);
					destinationGiven = true;
				}
		}
	}
	if (!destinationGiven) throw new WordsError("a route needs a destination");
	for (const gateway of alternatives) route.nextHops.push({ ...hop, gateway });
	if (hop.gateway !== null || hop.interfaceIndex !== null) {
		if (route.nextHops.length > alternatives.length)
			throw new WordsError("via and dev beside nexthop: put them into the nexthops");
		route.nextHops.unshift({ ...hop });
	}
	if (route.table < 0) route.table = isLocalType(route.type) ? RT_TABLE_LOCAL : RT_TABLE_MAIN;
	if (route.scope < 0) route.scope = defaultScope(route);
	return route;
}

function isRouteType(word: string): word is RouteType {
	return word !== "unspec" && (routeTypes as readonly string[]).includes(word);
}

function isLocalType(type: RouteType): boolean {
	return type === "local" || type === "broadcast" || type === "nat" || type === "anycast";
}

/**
 * As keepalived has it: global, also without a gateway, where ip(8) says link. Types that the kernel takes with one scope
 * alone have that one.
 */
function defaultScope(route: Route): number {
	if (route.family === "inet6") return RT_SCOPE_UNIVERSE;
	switch (route.type) {
		case "local":
		case "nat":
			return RT_SCOPE_HOST;
		case "broadcast":
		case "anycast":
			return RT_SCOPE_LINK;
		default:
			return RT_SCOPE_UNIVERSE;
	}
}

function readGateway(reader: WordReader): string {
	// `via inet6 ADDRESS`: the address tells its family anyway.
	if (reader.peek() === "inet" || reader.peek() === "inet6") reader.next("a family");
	return reader.address("via");
}

function readNextHop(reader: WordReader, context: WordsContext): NextHop {
	const hop: Mutable<NextHop> = {
		gateway: null,
		interfaceIndex: null,
		weight: 1,
		onLink: false,
		realm: null,
	};
	for (;;) {
		if (reader.take("via")) hop.gateway = readGateway(reader);
		else if (reader.take("dev")) hop.interfaceIndex = reader.interface(context);
		else if (reader.take("weight")) hop.weight = reader.number("weight", 1, 256);
		else if (reader.take("onlink")) hop.onLink = true;
		else if (reader.take("realms") || reader.take("realm")) hop.realm = readRealms(reader, context);
		else break;
	}
	if (hop.gateway === null && hop.interfaceIndex === null) throw new WordsError("a nexthop needs via or dev");
	return hop;
}

/** `[SOURCE/]DESTINATION`. */
function readRealms(reader: WordReader, context: WordsContext): number {
	const word = reader.next("realms");
	const parts = word.split("/").map((part) => context.names("realm", part));
	if (parts.length > 2 || parts.some((part) => part === null))
		throw new WordsError(`realms: "${word}" is not known`);
	return parts.length === 2 ? parts[0]! * 0x10000 + parts[1]! : parts[0]!;
}

function readPreference(reader: WordReader): number {
	const word = reader.next("pref");
	const value = { low: 3, medium: 0, high: 1 }[word];
	if (value === undefined) throw new WordsError(`pref: "${word}" is not low, medium or high`);
	return value;
}

function readSwitch(reader: WordReader, what: string, yes: string, no: string): boolean {
	const word = reader.next(what);
	if (word !== yes && word !== no) throw new WordsError(`${what}: "${word}" is neither ${yes} nor ${no}`);
	return word === yes;
}

function lockMetric(route: Mutable<Route>, number: number): void {
	route.metrics = { ...route.metrics, lock: (route.metrics.lock ?? 0) | (1 << number) };
}

/** `rtt` is kept in eighths of a millisecond, `rttvar` in quarters (iproute2's iproute.c). */
const timeScale: Readonly<Record<string, number>> = { rtt: 8, rttvar: 4, rto_min: 1 };

function readMetric(reader: WordReader, word: string, route: Mutable<Route>): boolean {
	if (word === "lock" || !Object.hasOwn(routeMetrics, word)) return false;
	const name = word as RouteMetric;
	if (reader.take("lock")) lockMetric(route, routeMetrics[name]);
	route.metrics = { ...route.metrics, [name]: readMetricValue(reader, name) };
	return true;
}

function readMetricValue(reader: WordReader, name: RouteMetric): number {
	if (name === "features") {
		let bits = 0;
		while (reader.peek() === "ecn" || reader.peek() === "tcp_usec_ts")
			bits |= reader.next("features") === "ecn" ? 1 : 16;
		if (bits === 0) throw new WordsError("features: ecn is the only one known");
		return bits;
	}
	if (name === "quickack" || name === "fastopen_no_cookie") return reader.number(name, 0, 1);
	if (name === "hoplimit") return reader.number(name, 0, 255);
	const scale = timeScale[name];
	if (scale === undefined) return reader.number(name, 0, 0xffff_ffff);
	const word = reader.next(name);
	const match = /^(\d+(?:\.\d+)?)(s|sec|secs|ms|msec|msecs)?$/.exec(word);
	if (!match) throw new WordsError(`${name}: "${word}" is no time`);
	// A bare number is milliseconds.
	return Math.round(Number(match[1]) * (match[2]?.startsWith("s") ? 1000 : 1) * scale);
}
