/** Which session a packet belongs to (RFC 5880 §6.3), and whether it came from near enough (RFC 5881 §5). Pure. */
import type { BfdConfig } from "../config/model.ts";
import type { BfdControl } from "../wire/bfd.ts";
import type { BfdSession } from "./session.ts";

export interface Arrival {
	readonly source: string;
	/** TTL or hop limit on arrival; -1 when unknown. */
	readonly hopLimit: number;
	/** It came to the port for sessions over several hops. */
	readonly multihop: boolean;
}

/** What holds the session, or why there is none, in words. `sessions` are found by our discriminator. */
export function sessionFor<Holder extends { readonly session: BfdSession }>(
	sessions: ReadonlyMap<number, Holder>,
	control: BfdControl,
	arrival: Arrival,
): Holder | string {
	const found =
		control.yourDiscriminator === 0
			? [...sessions.values()].find(
					({ session: { config } }) =>
						config.neighbor === arrival.source && config.multihop === arrival.multihop,
				)
			: sessions.get(control.yourDiscriminator);
	if (found === undefined) return `no session with ${arrival.source}`;
	const { config } = found.session;
	// Somebody else who learnt the discriminator.
	if (config.neighbor !== arrival.source)
		return `${arrival.source} uses the discriminator of ${config.name}, whose neighbor is ${config.neighbor}`;
	const least = leastHopLimit(config);
	if (arrival.hopLimit < least)
		return `${arrival.source}: TTL ${arrival.hopLimit}, and ${config.name} wants ${least} or more (ttl, max_hops)`;
	return found;
}

/** keepalived.conf(5): `max_hops` may be lost of what both sides send; -1 and 255 ask nothing. */
function leastHopLimit({ ttl, maxHops }: BfdConfig): number {
	return maxHops < 0 ? -1 : Math.max(0, ttl - maxHops);
}
