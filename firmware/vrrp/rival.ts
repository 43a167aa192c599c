/**
 * Who claims our addresses by ARP may send adverts that the election never gets: of another IP protocol (AH beside PASS), or
 * of another virtual router. Why he is a second master stands in those. Pure.
 */
import type { VrrpInstanceConfig } from "../config/model.ts";
import { formatAddress } from "../wire/ip.ts";
import type { IpPacket } from "../wire/ip-packet.ts";
import { AH_HEADER_BYTES, decodeAuthenticationHeader, PROTOCOL_AH } from "../wire/ipsec-ah.ts";
import { decodeAdvertisement, PROTOCOL_VRRP } from "../wire/vrrp.ts";
import { emptyMemory, type Refused, receive } from "./receive.ts";

/** Why `packet`, an advert that is not the election's, is one for `config`'s addresses all the same; null when it is not. */
export function rivalOf(packet: IpPacket, config: VrrpInstanceConfig): Refused | null {
	if (packet.family !== config.family) return null;
	const isSealed = packet.protocol === PROTOCOL_AH;
	// Anything may come with an authentication header.
	if (isSealed && decodeAuthenticationHeader(packet.payload)?.nextHeader !== PROTOCOL_VRRP) return null;
	const message = isSealed ? packet.payload.subarray(AH_HEADER_BYTES) : packet.payload;
	const decoded = decodeAdvertisement(message, packet.family);
	if (decoded.kind !== "advertisement") return null;
	const { advertisement } = decoded;
	const { virtualRouterId: theirs } = advertisement;
	if (theirs !== config.virtualRouterId) {
		if (!config.virtualAddresses.some(({ address }) => advertisement.addresses.includes(address)))
			return null;
		const detail = `virtual router ${theirs}, ours is ${config.virtualRouterId}`;
		const source = formatAddress(packet.source);
		return { kind: "refused", refusal: "virtual-router", detail, source, advertisement };
	}
	// The election judges these itself.
	if (isSealed === (config.authentication?.type === "AH")) return null;
	const verdict = receive(packet, config, emptyMemory);
	return verdict.kind === "refused" ? verdict : null;
}
