/** virtual_ipaddress, virtual_ipaddress_excluded, static_ipaddress: one address a line. keepalived.conf(5). */

import type { AddressConfig } from "../../model.ts";
import type { DataLine, Statement } from "../statement.ts";
import { readAddress, readPrefix } from "./address.ts";
import type { BuildContext } from "./context.ts";
import { rtScopes } from "./route-names.ts";

export interface AddressUse {
	/** For messages: `VI_1`. */
	readonly owner: string;
	readonly isStatic: boolean;
	/** Interface when the line names none; null leaves it to the instance. */
	readonly defaultInterface: string | null;
}

const flags = new Set(["home", "-nodad", "mngtmpaddr", "noprefixroute", "autojoin", "no_track", "use_vmac"]);

/** RFC 3021: with 31 bits there is no room for one. */
const LONGEST_BROADCAST_PREFIX = 30;

export function readAddressLines(
	context: BuildContext,
	statements: readonly Statement[],
	use: AddressUse,
): AddressConfig[] {
	const addresses: AddressConfig[] = [];
	for (const statement of statements)
		for (const line of statement.lines!) {
			const address = readAddressLine(context, line, use);
			if (address !== null) addresses.push(address);
		}
	return addresses;
}

function readAddressLine(context: BuildContext, line: DataLine, use: AddressUse): AddressConfig | null {
	const { words } = line;

	const text = words[0]!;
	const prefix = readPrefix(text);
	if (prefix === null) {
		context.error(line, "bad-address", `${use.owner}: "${text}" is no IP address`, "the address");
		return null;
	}
	const full = prefix.family === "inet" ? 32 : 128;
	let prefixLength = prefix.prefixLength ?? full;
	if (Number.isNaN(prefixLength)) {
		prefixLength = full;
		context.warn(line, "bad-prefix", `${use.owner}: "${text}" has no good prefix length; /${full} is used`);
	}
	let peer: string | null = null;
	let broadcast: string | null = null;
	let networkInterface: string | null = null;
	let scope: number | null = null;
	let label: string | null = null;
	let preferred: number | null = null;
	let trackGroup: string | null = null;
	const set = new Set<string>();
	const bad = (what: string, more: { readonly suggestion?: string } = {}) =>
		context.error(
			line,
			"bad-option",
			`${use.owner}: ${text}: ${what}`,
			"the option; the address is kept",
			more,
		);
	for (let index = 1; index < words.length; index++) {
		const word = words[index]!;
		if (flags.has(word)) {
			if (word === "use_vmac" && use.isStatic) bad("use_vmac is for virtual addresses only");
			set.add(word);
			continue;
		}
		const value = words[index + 1];
		const needs = ["peer", "brd", "broadcast", "dev", "scope", "label", "preferred_lft", "track_group"];
		if (!needs.includes(word)) {
			const isLength = index === 1 && /^\d+$/.test(word) && Number(word) <= full && !text.includes("/");
			bad(`"${word}" is no option of an address`, isLength ? { suggestion: `write "${text}/${word}"` } : {});
			continue;
		}
		if (value === undefined) {
			bad(`${word} needs a value`);
			break;
		}
		index++;
		switch (word) {
			case "peer": {
				const other = readPrefix(value);
				if (other === null || other.family !== prefix.family) bad(`"${value}" is no peer address`);
				else {
					peer = other.address;
					if (other.prefixLength !== null && !Number.isNaN(other.prefixLength))
						prefixLength = other.prefixLength;
				}
				break;
			}
			case "brd":
			case "broadcast":
				if (prefix.family === "inet6") bad("IPv6 has no broadcast");
				else if (value === "+" || value === "-" || readAddress(value)?.family === "inet") broadcast = value;
				else bad(`"${value}" is no broadcast address`);
				break;
			case "dev":
				networkInterface = value;
				context.checkInterface(value, line, `${use.owner}: address ${text}`);
				break;
			case "scope": {
				const number = rtScopes.get(value) ?? (/^\d{1,3}$/.test(value) ? Number(value) : Number.NaN);
				if (prefix.family === "inet6") bad("IPv6 addresses have no scope");
				else if (number <= 255) scope = number;
				else bad(`"${value}" is no scope`);
				break;
			}
			case "label":
				if (prefix.family === "inet6") bad("IPv6 addresses have no label");
				else if (value.length > 15) bad(`label "${value}" is longer than 15 characters`);
				else label = value;
				break;
			case "preferred_lft":
				if (value === "forever") preferred = null;
				else if (/^\d{1,10}$/.test(value)) preferred = Number(value);
				else bad(`"${value}" is no lifetime`);
				break;
			case "track_group":
				if (!use.isStatic) bad("track_group is for static addresses only");
				else trackGroup = value;
				break;
		}
	}
	if ((broadcast === "+" || broadcast === "-") && prefixLength > LONGEST_BROADCAST_PREFIX) {
		broadcast = null;
		context.warn(
			line,
			"broadcast",
			`${use.owner}: ${text}: a network with prefix length ${prefixLength} has no broadcast address`,
		);
	}
	if (prefix.family === "inet" && preferred !== null) {
		preferred = null;
		context.hint(line, "no-effect", `${use.owner}: ${text}: preferred_lft is for IPv6`);
	}
	// An IPv6 /128 is never chosen as a source address unless a lifetime is written (keepalived.conf(5)).
	if (prefix.family === "inet6" && prefixLength === 128 && !words.includes("preferred_lft")) preferred = 0;
	return {
		address: prefix.address,
		family: prefix.family,
		prefixLength,
		peer,
		broadcast,
		interface: networkInterface ?? use.defaultInterface,
		scope,
		label,
		home: set.has("home"),
		duplicateAddressDetection: set.has("-nodad"),
		manageTemporaryAddresses: set.has("mngtmpaddr"),
		noPrefixRoute: set.has("noprefixroute"),
		autojoin: set.has("autojoin"),
		preferredLifetimeSeconds: preferred,
		noTrack: set.has("no_track"),
		useVmac: set.has("use_vmac"),
		trackGroup,
		location: context.locate(line),
	};
}
