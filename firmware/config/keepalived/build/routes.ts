/** virtual_routes, static_routes, virtual_rules, static_rules: lines as ip-route(8) and ip-rule(8) take them. */
import type { AddressFamily, RouteConfig, RuleConfig } from "../../model.ts";
import type { Finding } from "../diagnostics.ts";
import type { DataLine, Statement } from "../statement.ts";
import { readPrefix } from "./address.ts";
import type { BuildContext } from "./context.ts";

/** It does not start with an option of a route or a rule that lacks its value. */
const STOPS_KEEPALIVED: Partial<Finding> = { exitStatus: 2 };

type Value = "address" | "prefix" | "number" | "name" | "none" | "any";

const routeTypes = new Set([
	"unicast",
	"local",
	"broadcast",
	"anycast",
	"multicast",
	"throw",
	"unreachable",
	"prohibit",
	"blackhole",
	"nat",
]);

const nextHopOptions = new Set(["via", "dev", "weight"]);

/** Options of a route and what follows them. */
const routeOptions: ReadonlyMap<string, Value> = new Map<string, Value>([
	["src", "address"],
	["via", "address"],
	["gw", "address"],
	["as", "address"],
	["from", "prefix"],
	["tos", "name"],
	["dsfield", "name"],
	["table", "name"],
	["protocol", "name"],
	["scope", "name"],
	["metric", "number"],
	["priority", "number"],
	["preference", "number"],
	["dev", "name"],
	["oif", "name"],
	["onlink", "none"],
	["expires", "number"],
	["hoplimit", "number"],
	["window", "number"],
	["realms", "name"],
	["initcwnd", "number"],
	["initrwnd", "number"],
	["features", "name"],
	["quickack", "number"],
	["pref", "name"],
	["ttl-propagate", "name"],
	["fastopen_no_cookie", "number"],
	["vrf", "name"],
	["weight", "number"],
	["no_track", "none"],
	["track_group", "name"],
]);
/** Those that may say `lock` before their value. */
const lockable = new Set([
	"mtu",
	"advmss",
	"rtt",
	"rttvar",
	"reordering",
	"cwnd",
	"ssthresh",
	"rto_min",
	"congctl",
]);

const ruleOptions: ReadonlyMap<string, Value> = new Map<string, Value>([
	["from", "prefix"],
	["to", "prefix"],
	["table", "name"],
	["lookup", "name"],
	["preference", "number"],
	["order", "number"],
	["priority", "number"],
	["tos", "name"],
	["dsfield", "name"],
	["fwmark", "name"],
	["realms", "name"],
	["suppress_prefixlength", "number"],
	["sup_pl", "number"],
	["suppress_ifgroup", "name"],
	["sup_group", "name"],
	["dev", "name"],
	["iif", "name"],
	["oif", "name"],
	["tunnel-id", "number"],
	["uidrange", "name"],
	["l3mdev", "none"],
	["protocol", "name"],
	["ipproto", "name"],
	["sport", "name"],
	["dport", "name"],
	["goto", "number"],
	["no_track", "none"],
	["track_group", "name"],
]);
const ruleTypes = new Set(["nop", "blackhole", "unreachable", "prohibit"]);

export function readRoutes(
	context: BuildContext,
	blocks: readonly Statement[],
	owner: string,
): RouteConfig[] {
	return readLines(context, blocks, (line) => readRoute(context, line, owner));
}

export function readRules(context: BuildContext, blocks: readonly Statement[], owner: string): RuleConfig[] {
	return readLines(context, blocks, (line) => readRule(context, line, owner));
}

function readLines<T>(
	_context: BuildContext,
	blocks: readonly Statement[],
	read: (line: DataLine) => T | null,
): T[] {
	const found: T[] = [];
	for (const line of blocks.flatMap((block) => block.lines!)) {
		const one = read(line);
		if (one !== null) found.push(one);
	}
	return found;
}

function readRoute(context: BuildContext, line: DataLine, owner: string): RouteConfig | null {
	const words: string[] = [];
	const bad = (why: string, more: Partial<Finding> = {}): null => {
		context.error(line, "bad-route", `${owner}: route "${line.words.join(" ")}": ${why}`, "the route", more);
		return null;
	};
	let family: AddressFamily | null = null;
	let networkInterface: string | null = null;
	let noTrack = false;
	let trackGroup: string | null = null;
	let destination: string | null = null;
	let type: string | null = null;
	const given = line.words;
	for (let index = 0; index < given.length; index++) {
		const word = given[index]!;
		if (index === 0 && (word === "inet" || word === "inet6")) {
			family = word;
			continue;
		}
		if (word === "to") continue;
		if (destination === null && type === null && routeTypes.has(word)) {
			type = word;
			words.push(word);
			continue;
		}
		if (word === "nexthop" || word === "encap" || word === "or") {
			// The rest belongs to the next hops; ip-route(8) reads it as it stands.
			const last = given.at(-1)!;
			if (nextHopOptions.has(last)) return bad(`${last} needs a value`, STOPS_KEEPALIVED);
			if (word === "or") return bad('"or" is not supported; write "nexthop via … nexthop via …"');
			words.push(...given.slice(index));
			const dev = given.indexOf("dev", index);
			if (dev >= 0 && networkInterface === null) networkInterface = given[dev + 1] ?? null;
			break;
		}
		if (lockable.has(word)) {
			const lock = given[index + 1] === "lock";
			const value = given[index + (lock ? 2 : 1)];
			if (value === undefined) return bad(`${word} needs a value`, STOPS_KEEPALIVED);
			words.push(word, ...(lock ? ["lock"] : []), value);
			index += lock ? 2 : 1;
			continue;
		}
		const kind = routeOptions.get(word);
		if (kind === undefined) {
			if (destination !== null) return bad(`"${word}" is no option of a route`);
			if (word !== "default" && word !== "any" && word !== "all" && word !== "default6") {
				const prefix = readPrefix(word);
				if (prefix === null || Number.isNaN(prefix.prefixLength)) return bad(`"${word}" is no destination`);
				family ??= prefix.family;
			} else if (word === "default6") family = "inet6";
			destination = word === "default6" || word === "any" || word === "all" ? "default" : word;
			words.push(destination);
			continue;
		}
		if (kind === "none") {
			if (word === "no_track") noTrack = true;
			else words.push(word);
			continue;
		}
		let value = given[++index];
		if ((word === "via" || word === "gw") && (value === "inet" || value === "inet6")) {
			words.push("via", value);
			value = given[++index];
			if (value === undefined || readPrefix(value) === null) return bad(`${word} needs an address`);
			words.push(value);
			continue;
		}
		if (value === undefined) return bad(`${word} needs a value`, STOPS_KEEPALIVED);
		if (kind === "address" || kind === "prefix") {
			const address = readPrefix(value);
			if (address === null || Number.isNaN(address.prefixLength)) return bad(`"${value}" is no address`);
			family ??= address.family;
		} else if (kind === "number" && !/^\d+$/.test(value))
			return bad(`${word} needs a number, not "${value}"`);
		if (word === "dev" || word === "oif") {
			networkInterface = value;
			context.checkInterface(value, line, `${owner}: route`);
			words.push("dev", value);
		} else if (word === "track_group") trackGroup = value;
		else words.push(word === "gw" ? "via" : word, value);
	}
	if (destination === null) return bad("it has no destination");
	return {
		family: family ?? "inet",
		words,
		interface: networkInterface,
		noTrack,
		trackGroup,
		location: context.locate(line),
	};
}

function readRule(context: BuildContext, line: DataLine, owner: string): RuleConfig | null {
	const words: string[] = [];
	const bad = (why: string, more: Partial<Finding> = {}): null => {
		context.error(line, "bad-rule", `${owner}: rule "${line.words.join(" ")}": ${why}`, "the rule", more);
		return null;
	};
	let family: AddressFamily | null = null;
	let networkInterface: string | null = null;
	let noTrack = false;
	let trackGroup: string | null = null;
	let action = false;
	let assigned = true;
	const given = line.words;
	for (let index = 0; index < given.length; index++) {
		const word = given[index]!;
		if (index === 0 && (word === "inet" || word === "inet6")) {
			family = word;
			continue;
		}
		if (word === "not") {
			words.push(word);
			continue;
		}
		if (word === "type" && given[index + 1] !== undefined) continue;
		if (ruleTypes.has(word)) {
			action = true;
			words.push(word);
			continue;
		}
		const kind = ruleOptions.get(word);
		if (kind === undefined) return bad(`"${word}" is no option of a rule`);
		if (kind === "none") {
			if (word === "no_track") noTrack = true;
			else {
				words.push(word);
				if (word === "l3mdev") action = true;
			}
			continue;
		}
		const value = given[++index];
		if (value === undefined) return bad(`${word} needs a value`, STOPS_KEEPALIVED);
		if (kind === "prefix" && value !== "all" && value !== "any" && value !== "default") {
			const prefix = readPrefix(value);
			if (prefix === null || Number.isNaN(prefix.prefixLength)) return bad(`"${value}" is no address`);
			family ??= prefix.family;
		} else if (kind === "number" && !/^\d+$/.test(value))
			return bad(`${word} needs a number, not "${value}"`);
		if (word === "track_group") {
			trackGroup = value;
			continue;
		}
		if (word === "dev" || word === "iif" || word === "oif") {
			networkInterface ??= value;
			context.checkInterface(value, line, `${owner}: rule`);
			words.push(word === "dev" ? "iif" : word, value);
			continue;
		}
		if (word === "table" || word === "lookup" || word === "goto") action = true;
		if (word === "preference" || word === "order" || word === "priority") assigned = false;
		words.push(
			word === "order" || word === "preference" ? "priority" : word === "lookup" ? "table" : word,
			value,
		);
	}
	if (!action) return bad("it has no action: table, goto, blackhole, unreachable, prohibit or nop");
	family ??= "inet";
	if (assigned) {
		const preference = context.nextRulePreference[family]--;
		context.warn(
			line,
			"rule-preference",
			`${owner}: the rule has no preference; ${preference} is used, which is hardly what you want`,
		);
		words.push("priority", String(preference));
	}
	return {
		family,
		words,
		interface: networkInterface,
		noTrack,
		trackGroup,
		location: context.locate(line),
	};
}
