/** Would a commit cut the connection that it is made over? Pure. */
import type { ApplianceSettings } from "../../appliance/settings/schema.ts";
import { canonicalAddress } from "../../wire/ip.ts";
import { inNetwork } from "../../wire/ip-network.ts";
import type { DroverConfig } from "../model.ts";

export interface Connection {
	/** The operator's own address. */
	readonly client: string;
	/** The address of the box that they came to. */
	readonly server: string;
	readonly serverPort: number;
	/** As whom they logged in. */
	readonly user: string;
}

/** A revision as far as it matters for a connection; what it does not have is null. */
export interface Reachable {
	readonly settings: ApplianceSettings | null;
	readonly config: DroverConfig | null;
}

/** sshd(8): SSH_CONNECTION is "CLIENT PORT SERVER PORT". */
export function parseConnection(text: string, user: string): Connection | null {
	const [client, , server, port, ...rest] = text.split(" ");
	if (client === undefined || server === undefined || !/^\d{1,5}$/.test(port ?? "") || rest.length > 0)
		return null;
	const plain = (address: string) =>
		canonicalAddress(address.replace(/^::ffff:(?=\d+\.)/, "").replace(/%.*$/, ""));
	const [from, to] = [plain(client), plain(server)];
	return from === null || to === null ? null : { client: from, server: to, serverPort: Number(port), user };
}

/** In words, what `after` takes away from under the connection; empty when it stays. */
export function cuts(connection: Connection, before: Reachable, after: Reachable): string[] {
	return [
		...address(connection, before, after),
		...wayBack(connection, before, after),
		...ssh(connection, before, after),
	];
}

/** Where the box has this address: a port's name, or the VRRP instance that holds it. */
function holder({ settings, config }: Reachable, wanted: string): string | null {
	for (const { name, addresses } of settings?.port ?? [])
		if (addresses.some((prefix) => canonicalAddress(prefix.split("/")[0]!) === wanted)) return name;
	for (const { name, virtualAddresses, excludedAddresses } of config?.vrrpInstances ?? [])
		if ([...virtualAddresses, ...excludedAddresses].some((each) => canonicalAddress(each.address) === wanted))
			return `VRRP instance ${name}`;
	return null;
}

function address({ server }: Connection, before: Reachable, after: Reachable): string[] {
	const [was, is] = [holder(before, server), holder(after, server)];
	// An address that no revision gives the box, such as a link-local one, is not taken away by one.
	if (was === null || was === is) return [];
	return [is === null ? `${server} goes from ${was}` : `${server} moves from ${was} to ${is}`];
}

function hasWay({ settings }: Reachable, client: string): boolean {
	const sameFamily = (other: string) => other.includes(":") === client.includes(":");
	const { port = [], route = [] } = settings ?? {};
	return (
		port.some(
			({ addresses, gateways }) =>
				addresses.some((prefix) => inNetwork(client, prefix)) || gateways.some(sameFamily),
		) || route.some(({ to }) => inNetwork(client, to))
	);
}

function wayBack({ client }: Connection, before: Reachable, after: Reachable): string[] {
	return hasWay(before, client) && !hasWay(after, client) ? [`there is no route to ${client} any more`] : [];
}

function ssh({ client, serverPort, user }: Connection, before: Reachable, after: Reachable): string[] {
	const [was, is] = [before.settings?.ssh, after.settings?.ssh];
	// Whoever came by a server that these settings do not rule keeps it.
	if (was === undefined || !was.enabled || was.port !== serverPort) return [];
	if (is === undefined || !is.enabled) return ["SSH is switched off"];
	const found: string[] = [];
	if (is.port !== was.port) found.push(`SSH moves to port ${is.port}`);
	if (is.sources.length > 0 && !is.sources.some((network) => inNetwork(client, network)))
		found.push(`${client} is not among those who may connect by SSH`);
	const knows = ({ settings }: Reachable) => settings?.user.some(({ name }) => name === user) === true;
	if (knows(before) && !knows(after)) found.push(`the user ${user} is no more`);
	return found;
}
