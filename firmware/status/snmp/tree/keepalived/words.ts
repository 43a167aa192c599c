/** What several tables of KEEPALIVED-MIB have in common. Pure. */
import type { Forwarding, Script } from "../../../../config/model.ts";
import { addressOctets } from "../../inet-address.ts";
import { bytes, text, type Value } from "../../view.ts";

export const KEEPALIVED_OID = "1.3.6.1.4.1.9586.100.5";

/** forwarding of virtualServerEntry and realServerEntry. */
export const forwardings: Readonly<Record<Forwarding["kind"], number>> = { NAT: 1, DR: 2, TUN: 3 };

/** A cell that a row without such a thing does not have. */
export const whenSet = <T>(value: T | null | undefined, read: (value: T) => Value | null): Value | null =>
	value === null || value === undefined ? null : read(value);

export const scriptText = (script: Script | null) =>
	whenSet(script, ({ command }) => text(command.join(" ")));

export const octets = (address: string | null) => whenSet(address, addressOctets);

/** 0.0.0.0, where the MIB wants an address and there is none. */
export const noAddress = bytes(new Uint8Array(4));

/** InetScopeType (RFC 4001) of a scope of rtnetlink(7): universe, site, link, host. */
export function inetScope(scope: number): number {
	return { 200: 5, 253: 2, 254: 1 }[scope] ?? 14;
}
