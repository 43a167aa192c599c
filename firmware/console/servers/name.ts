/** How an operator calls virtual and real servers, and which of those that run is meant. Pure. */
import type { VirtualServerStatus } from "../../status/director.ts";
import { canonicalAddress } from "../../wire/ip.ts";

/** The operator named nothing that is there, or more than one thing; the message says what there is. */
export class NameError extends Error {}

export interface Endpoint {
	readonly address: string;
	readonly port: number;
}

/** Names that are listed when one is not understood. */
const LISTED_LIMIT = 12;

/** "10.0.0.1:80", "[fd00::1]:80"; null for anything else. */
export function parseEndpoint(text: string): Endpoint | null {
	const match = /^(?:\[([^\]]+)\]|([^:\s]+)):(\d{1,5})$/.exec(text.trim());
	if (match === null) return null;
	const address = canonicalAddress(match[1] ?? match[2]!);
	const port = Number(match[3]);
	return address === null || port > 65_535 ? null : { address, port };
}

export function endpointText({ address, port }: Endpoint): string {
	return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/**
 * What an operator may type for the virtual server with this status name ("[10.0.0.1]:tcp:80", "FWM 3",
 * "[shop]:0"): shortest first.
 */
export function namesOf(statusName: string): readonly string[] {
	const address = /^\[([^\]]+)\]:(tcp|udp|sctp):(\d+)$/.exec(statusName);
	if (address !== null) {
		const [, host = "", protocol = "", port = ""] = address;
		const endpoint = endpointText({ address: host, port: Number(port) });
		return [endpoint, `${endpoint}/${protocol}`, host, statusName];
	}
	const mark = /^FWM (\d+)/.exec(statusName)?.[1];
	if (mark !== undefined) return [`fwm${mark}`, `fwmark ${mark}`, `fwmark${mark}`, statusName];
	const group = /^\[([^\]]+)\]:0$/.exec(statusName)?.[1];
	return group === undefined ? [statusName] : [group, statusName];
}

/** What is shown and what comes back when it is typed. */
export function shortName(statusName: string): string {
	const [endpoint = statusName, withProtocol] = namesOf(statusName);
	return statusName.includes(":udp:") || statusName.includes(":sctp:") ? withProtocol! : endpoint;
}

/** The one virtual server that is meant. Throws a NameError. */
export function findVirtualServer(
	servers: readonly VirtualServerStatus[],
	typed: string,
): VirtualServerStatus {
	const wanted = typed.trim().toLowerCase();
	const canonical = canonicalAddress(wanted);
	const endpoint = parseEndpoint(wanted);
	const spellings = new Set([
		wanted,
		...(canonical === null ? [] : [canonical]),
		...(endpoint === null ? [] : [endpointText(endpoint)]),
	]);
	const found = servers.filter(({ name }) => namesOf(name).some((each) => spellings.has(each.toLowerCase())));
	if (found.length === 1) return found[0]!;
	const list = (found.length > 1 ? found : servers).map(({ name }) => shortName(name));
	if (found.length > 1) throw new NameError(`"${typed}" can be ${listed(list, "or")}: say which`);
	throw new NameError(
		servers.length === 0
			? "there is no virtual server"
			: `there is no virtual server "${typed}"; there are ${listed(list, "and")}`,
	);
}

export interface FoundRealServer {
	readonly virtualServer: VirtualServerStatus;
	/** Places in `virtualServer.realServers`. */
	readonly places: readonly number[];
}

/** Every virtual server that has this real server; an address alone is all its ports. Throws a NameError for none. */
export function findRealServer(
	servers: readonly VirtualServerStatus[],
	typed: string,
): readonly FoundRealServer[] {
	const endpoint = parseEndpoint(typed);
	const address = endpoint?.address ?? canonicalAddress(typed.trim());
	if (address === null) throw new NameError(`"${typed}" is neither an address nor ADDRESS:PORT`);
	const found = servers
		.map((virtualServer) => ({
			virtualServer,
			places: virtualServer.realServers.flatMap((real, place) =>
				real.address === address && (endpoint === null || real.port === endpoint.port) ? [place] : [],
			),
		}))
		.filter(({ places }) => places.length > 0);
	if (found.length > 0) return found;
	const all = servers.flatMap(({ realServers }) => realServers.map(endpointText));
	throw new NameError(
		all.length === 0
			? "there is no real server"
			: `there is no real server ${typed.trim()}; there are ${listed([...new Set(all)], "and")}`,
	);
}

function listed(names: readonly string[], word: string): string {
	const shown = names.slice(0, LISTED_LIMIT);
	const rest = names.length - shown.length;
	if (rest > 0) return `${shown.join(", ")} ${word} ${rest} more`;
	return shown.length < 2 ? shown.join("") : `${shown.slice(0, -1).join(", ")} ${word} ${shown.at(-1)}`;
}
