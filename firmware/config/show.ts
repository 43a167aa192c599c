/** A configuration on one screen: what Drover would run. Pure. */
import type {
	AddressConfig,
	CheckConfig,
	DroverConfig,
	SyncGroupConfig,
	VirtualServerConfig,
	VrrpInstanceConfig,
} from "./model.ts";
import { syncGroupOf, TRACKED_LISTS, trackedBy } from "./tracked.ts";

/** Text of several lines, without a line end. */
export function showConfig(config: DroverConfig): string {
	const lines: string[] = [`router ${config.global.routerId}`];
	if (config.global.mail.recipients.length > 0)
		lines.push(
			`mail to ${config.global.mail.recipients.join(", ")}${config.global.mail.server === null ? " (no smtp_server)" : ""}`,
		);
	for (const address of config.staticAddresses)
		lines.push(`static ${address.address}/${address.prefixLength} on ${address.interface}`);
	for (const instance of config.vrrpInstances)
		lines.push("", ...showInstance(instance, syncGroupOf(config.syncGroups, instance.name)));
	for (const group of config.syncGroups)
		lines.push("", `sync group ${group.name}: ${group.members.join(", ")}`);
	for (const server of config.virtualServers) lines.push("", ...showServer(server));
	return lines.join("\n");
}

function showInstance(instance: VrrpInstanceConfig, group: SyncGroupConfig | null): string[] {
	const interval = instance.advertIntervalMicros / 1_000_000;
	const lines = [
		`${instance.name}: VRRPv${instance.version} ${instance.virtualRouterId} on ${instance.interface ?? "no interface"}, priority ${instance.priority}, state ${instance.initialState}, advert every ${interval} s${instance.preempt ? "" : ", nopreempt"}`,
	];
	if (instance.unicastPeers.length > 0)
		lines.push(`  peers ${instance.unicastPeers.map((peer) => peer.address).join(", ")}`);
	const address = (one: AddressConfig) =>
		`${one.address}/${one.prefixLength}${one.interface === null ? "" : ` on ${one.interface}`}`;
	for (const one of instance.virtualAddresses) lines.push(`  address ${address(one)}`);
	for (const one of instance.excludedAddresses) lines.push(`  address ${address(one)} (not advertised)`);
	for (const one of TRACKED_LISTS.flatMap((list) => trackedBy(instance, group, list)))
		lines.push(
			`  tracks ${one.name}${one.weight === 0 ? "" : ` weight ${one.weight}`}${one.reverse ? " reverse" : ""}`,
		);
	return lines;
}

function showServer(server: VirtualServerConfig): string[] {
	const { name } = server;
	const title =
		name.kind === "address"
			? `${server.protocol} ${endpoint(name.address, name.port)}`
			: name.kind === "fwmark"
				? `fwmark ${name.fwmark}`
				: `group ${name.group} (${server.services.length} services)`;
	const persistence =
		server.persistenceTimeoutSeconds === null ? "" : `, persistent ${server.persistenceTimeoutSeconds} s`;
	const lines = [`${title}: ${server.scheduler}, ${server.forwarding.kind}${persistence}`];
	for (const one of server.realServers)
		lines.push(
			`  ${endpoint(one.address, one.port)} weight ${one.weight}, ${one.checks.length === 0 ? "never checked" : one.checks.map(showCheck).join(", ")}`,
		);
	if (server.sorryServer !== null)
		lines.push(`  sorry server ${endpoint(server.sorryServer.address, server.sorryServer.port)}`);
	return lines;
}

function showCheck(check: CheckConfig): string {
	return `${check.kind} every ${check.timing.delayLoopMs / 1000} s`;
}

function endpoint(address: string, port: number): string {
	return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
