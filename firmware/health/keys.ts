/** Names that stay the same over a reload: what a virtual and a real server are matched by. Pure. */
import type { CheckConfig, RealServerConfig, VirtualServerConfig } from "../config/model.ts";

/** Group, fwmark and family, or family, protocol, address and port: keepalived's own match. */
export function virtualServerKey(
	server: Pick<VirtualServerConfig, "name" | "protocol" | "services">,
): string {
	const { name } = server;
	switch (name.kind) {
		case "group":
			return `group ${name.group} ${server.protocol}`;
		case "fwmark":
			return `fwmark ${name.fwmark} ${server.services[0]?.family ?? "inet"}`;
		case "address":
			return `${server.protocol} [${name.address}]:${name.port}`;
	}
}

/** Address and port: unique within one virtual server. */
export function realServerKey(server: Pick<RealServerConfig, "address" | "port">): string {
	return `[${server.address}]:${server.port}`;
}

/**
 * What makes two checks one: kind, target, options and timing, wherever they were written.
 * Equal keys are probed once, and keep their state over a reload.
 */
export function checkKey(check: CheckConfig): string {
	return JSON.stringify(check, (name, value) => (name === "location" ? undefined : value));
}

/** What a check asks, in whatever rhythm. */
export function questionKey(check: CheckConfig): string {
	return JSON.stringify(check, (name, value) =>
		name === "location" || name === "timing" ? undefined : value,
	);
}
