/** How virtual and real servers are called in messages, FIFO lines and mails: keepalived's words. Pure. */
import type { RealServerConfig, VirtualServerConfig } from "../config/model.ts";

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

/** "tcp" …; firewall marks have none. */
export function protocolName({
	protocol,
	services,
}: Pick<VirtualServerConfig, "protocol" | "services">): string {
	const isMarked = services.length > 0 && services.every(({ kind }) => kind === "fwmark");
	return isMarked ? "none" : protocol.toLowerCase();
}

/** "[192.168.80.102]:tcp:80"; `protocol`: as `protocolName` has it. */
export function realServerName(
	{ address, port }: Pick<RealServerConfig, "address" | "port">,
	protocol: string,
): string {
	return `[${address}]:${protocol}:${port}`;
}
