/** How virtual and real servers are called in messages, FIFO lines and mails: keepalived's words. Pure. */
import type { Protocol, RealServerConfig, VirtualServerConfig } from "../config/model.ts";

/** "[192.168.80.200]:tcp:80", "FWM 3" or "[group]:0". */
export function virtualServerName({
	name,
	protocol,
}: Pick<VirtualServerConfig, "name" | "protocol">): string {
	switch (name.kind) {
		case "address":
			return `[${name.address}]:${protocol.toLowerCase()}:${name.port}`;
		case "fwmark":
			return `FWM ${name.fwmark}`;
		case "group":
			return `[${name.group}]:0`;
	}
}

/** "[192.168.80.102]:tcp:80". */
export function realServerName(
	{ address, port }: Pick<RealServerConfig, "address" | "port">,
	protocol: Protocol,
): string {
	return `[${address}]:${protocol.toLowerCase()}:${port}`;
}
