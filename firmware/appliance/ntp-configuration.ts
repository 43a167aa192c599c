/** ntpd.conf(5) of OpenNTPD. Pure. */
import { parseAddress } from "../wire/ip.ts";

/** A name may stand for several servers; all of them are asked. */
export function ntpConfiguration(servers: readonly string[]): string {
	return servers
		.map((server) => `${parseAddress(server) === null ? "servers" : "server"} ${server}\n`)
		.join("");
}
