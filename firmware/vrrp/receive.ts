/**
 * Is this packet an advertisement for this virtual router? The checks of RFC 3768 §7.1 and
 * RFC 9568 §7.1 with keepalived's extensions, in keepalived's order, each with its own reason. Pure.
 *
 * One deliberate difference to keepalived before 2.3.3: a differing address list is remarked upon,
 * not refused. Refusing it makes two masters, which is worse than the mistake it points at.
 */
import type { VrrpInstanceConfig } from "../config/model.ts";
import { compareAddresses, formatAddress, parseAddress } from "../wire/ip.ts";
import type { IpPacket } from "../wire/ip-packet.ts";
import {
	AH_HEADER_BYTES,
	decodeAuthenticationHeader,
	integrityCheckValue,
	PROTOCOL_AH,
} from "../wire/ipsec-ah.ts";
import {
	type Advertisement,
	authenticationData,
	type ChecksumScope,
	checksumIsRight,
	decodeAdvertisement,
	expectedLength,
	HEADER_LENGTH_BYTES,
	PROTOCOL_VRRP,
	simplePassword,
	VRRP_HOP_LIMIT,
} from "../wire/vrrp.ts";

export type RefusalKind =
	| "protocol"
	| "virtual-router"
	| "length"
	| "hop-limit"
	| "version"
	| "type"
	| "authentication-type"
	| "authentication-mismatch"
	| "authentication-failure"
	| "interval"
	| "checksum"
	| "destination"
	| "owner"
	| "unicast-source";

/** Something odd about an advertisement that is obeyed nevertheless. */
export interface Remark {
	readonly kind: "interval" | "addresses";
	readonly detail: string;
}

/** What earlier packets taught: kept per virtual router, thrown away with it. */
export interface ReceiveMemory {
	/** Highest AH sequence number by sender (RFC 2402 §3.4.3); at most SENDER_LIMIT senders. */
	readonly sequenceNumbers: Readonly<Record<string, number>>;
	/** keepalived up to 1.3.6 sums its unicast adverts with the multicast group. */
	readonly oldUnicastChecksum: boolean;
	/** `skip_check_adv_addr`: whose address list was checked last. */
	readonly addressesCheckedOf: string | null;
}

export const emptyMemory: ReceiveMemory = {
	sequenceNumbers: {},
	oldUnicastChecksum: false,
	addressesCheckedOf: null,
};

/** Senders whose sequence numbers are kept; a new one beyond that forgets them all. */
const SENDER_LIMIT = 64;

/** An advertisement that must not be obeyed. */
export interface Refused {
	readonly kind: "refused";
	readonly refusal: RefusalKind;
	/** In the operator's words, without the sender: "interval 2 s, ours is 1 s". */
	readonly detail: string;
	readonly source: string;
	/** What it claims to be, when that could be read. */
	readonly advertisement: Advertisement | null;
}

export type Verdict =
	| {
			readonly kind: "accepted";
			readonly advertisement: Advertisement;
			readonly source: string;
			readonly remarks: readonly Remark[];
			readonly memory: ReceiveMemory;
	  }
	| Refused;

/** Judges `packet`, which carries `config`'s VRID and came in on its interface. */
export function receive(packet: IpPacket, config: VrrpInstanceConfig, memory: ReceiveMemory): Verdict {
	const source = formatAddress(packet.source);
	let claim: Advertisement | null = null;
	const refuse = (refusal: RefusalKind, detail: string): Verdict => ({
		kind: "refused",
		refusal,
		detail,
		source,
		advertisement: claim,
	});
	const unicast = config.unicastPeers.length > 0;

	// 1. An authentication header if and only if we are configured for one.
	const wantsHeader = config.authentication?.type === "AH";
	let message = packet.payload;
	if (packet.protocol === PROTOCOL_AH) message = message.subarray(AH_HEADER_BYTES);
	const decoded = decodeAdvertisement(message, packet.family);
	if (decoded.kind === "advertisement") claim = decoded.advertisement;
	if ((packet.protocol === PROTOCOL_AH) !== wantsHeader)
		return refuse(
			"authentication-mismatch",
			wantsHeader
				? "no IPsec authentication header, ours is AH"
				: "IPsec authentication header, ours has none",
		);
	if (packet.protocol !== PROTOCOL_AH && packet.protocol !== PROTOCOL_VRRP)
		return refuse("protocol", `IP protocol ${packet.protocol}`);

	// 2. Length.
	if (message.length < HEADER_LENGTH_BYTES)
		return refuse("length", `${message.length} bytes, a header has ${HEADER_LENGTH_BYTES}`);
	// 4 before 2's second half: the version says how long the message is.
	const version = message[0]! >> 4;
	if (version === 2 || version === 3) {
		const expected = expectedLength(message, packet.family);
		if (message.length !== expected)
			return refuse("length", `${message.length} bytes, ${message[3]} addresses need ${expected}`);
	}
	// 3. RFC 9568 §7.1: a multicast advertisement was never routed.
	if (!unicast && packet.hopLimit !== VRRP_HOP_LIMIT)
		return refuse("hop-limit", `TTL ${packet.hopLimit}, must be ${VRRP_HOP_LIMIT}`);
	// 4. Version.
	if (version !== config.version) return refuse("version", `version ${version}, ours is ${config.version}`);
	// 6. Authentication (version 2 over IPv4).
	let sequenceNumbers = memory.sequenceNumbers;
	if (config.version === 2 && packet.family === "inet") {
		const type = message[4]!;
		const ours = config.authentication === null ? 0 : config.authentication.type === "PASS" ? 1 : 2;
		if (type > 2) return refuse("authentication-type", `authentication type ${type}`);
		if (type !== ours)
			return refuse(
				"authentication-mismatch",
				`authentication ${authenticationName[type]}, ours is ${authenticationName[ours]}`,
			);
		if (config.authentication?.type === "PASS") {
			const password = simplePassword(config.authentication.password);
			if (compareAddresses(password, authenticationData(message)) !== 0)
				return refuse("authentication-failure", "another password");
		}
		if (config.authentication?.type === "AH") {
			const header = decodeAuthenticationHeader(packet.payload);
			if (header === null || header.nextHeader !== PROTOCOL_VRRP)
				return refuse("length", "a malformed IPsec authentication header");
			if (compareAddresses(header.securityParametersIndex, packet.source) !== 0)
				return refuse("authentication-failure", "a security parameters index that is not its address");
			const key = simplePassword(config.authentication.password);
			const whole = new Uint8Array(packet.header.length + packet.payload.length);
			whole.set(packet.header);
			whole.set(packet.payload, packet.header.length);
			if (
				packet.header.length !== 20 ||
				compareAddresses(integrityCheckValue(whole, key, unicast), header.integrityCheckValue) !== 0
			)
				return refuse("authentication-failure", "another key");
			const last = sequenceNumbers[source];
			if (last !== undefined && header.sequenceNumber <= last)
				return refuse("authentication-failure", `sequence number ${header.sequenceNumber} after ${last}`);
			sequenceNumbers = {
				...(Object.keys(sequenceNumbers).length < SENDER_LIMIT ? sequenceNumbers : {}),
				[source]: header.sequenceNumber,
			};
		}
	}
	const remarks: Remark[] = [];
	if (claim === null) return refuse("type", decoded.kind === "advertisement" ? "" : decoded.detail);
	// 7. RFC 3768 §7.1: version 2 does not learn intervals.
	if (claim.intervalMicros !== config.advertIntervalMicros) {
		const detail = `interval ${seconds(claim.intervalMicros)}, ours is ${seconds(config.advertIntervalMicros)}`;
		if (config.version === 2) return refuse("interval", detail);
		remarks.push({ kind: "interval", detail });
	}
	// 11. Checksum.
	let oldUnicastChecksum = memory.oldUnicastChecksum;
	if (!checksumIsRight(message, receiveScope(packet, config))) {
		const asOld =
			unicast &&
			config.version === 3 &&
			packet.family === "inet" &&
			config.oldUnicastChecksum !== "never" &&
			checksumIsRight(message, {
				kind: "pseudo-header",
				source: packet.source,
				destination: parseAddress(config.multicastDestination)!,
			});
		// A peer that follows RFC 9568 §5.2.8 and one that does not can live on one link.
		const asOther =
			config.version === 3 &&
			packet.family === "inet" &&
			checksumIsRight(message, otherScope(packet, config));
		if (!asOld && !asOther) return refuse("checksum", "a wrong checksum");
		if (asOld) oldUnicastChecksum = true;
	}
	// 12. Sent to the group, or to us.
	const toGroup = isMulticast(packet.destination);
	if (toGroup === unicast)
		return refuse("destination", unicast ? "multicast, ours is unicast" : "unicast, ours is multicast");
	// 13.
	if (config.ownerIgnoreAdverts && config.priority === 255)
		return refuse("owner", "we own the addresses and ignore adverts");
	// 14. Address list.
	let addressesCheckedOf = memory.addressesCheckedOf;
	if (!config.skipCheckAddresses || addressesCheckedOf !== source) {
		const detail = addressDifference(claim, config);
		if (detail !== null) remarks.push({ kind: "addresses", detail });
		else addressesCheckedOf = source;
	}
	// 15. Unicast senders.
	if (unicast && config.checkUnicastSource) {
		const peer = config.unicastPeers.find(({ address }) => address === source);
		if (peer === undefined) return refuse("unicast-source", "not one of our unicast peers");
		if (peer.minTtl !== null && packet.hopLimit < peer.minTtl)
			return refuse("hop-limit", `TTL ${packet.hopLimit}, at least ${peer.minTtl}`);
		if (peer.maxTtl !== null && packet.hopLimit > peer.maxTtl)
			return refuse("hop-limit", `TTL ${packet.hopLimit}, at most ${peer.maxTtl}`);
	}
	return {
		kind: "accepted",
		advertisement: claim,
		source,
		remarks,
		memory: { sequenceNumbers, oldUnicastChecksum, addressesCheckedOf },
	};
}

const authenticationName = ["none", "PASS", "AH"] as const;

function receiveScope(packet: IpPacket, config: VrrpInstanceConfig): ChecksumScope {
	if (packet.family === "inet" && (config.version === 2 || config.checksumWithoutPseudoHeader))
		return { kind: "message" };
	return { kind: "pseudo-header", source: packet.source, destination: packet.destination };
}

/** RFC 5798 and RFC 9568 differ for version 3 over IPv4: whichever we did not try first. */
function otherScope(packet: IpPacket, config: VrrpInstanceConfig): ChecksumScope {
	return config.checksumWithoutPseudoHeader
		? { kind: "pseudo-header", source: packet.source, destination: packet.destination }
		: { kind: "message" };
}

function isMulticast(address: Uint8Array): boolean {
	return address.length === 4 ? address[0]! >> 4 === 0xe : address[0] === 0xff;
}

function addressDifference(claim: Advertisement, config: VrrpInstanceConfig): string | null {
	const ours = new Set(config.virtualAddresses.map(({ address }) => address));
	const theirs = new Set(claim.addresses);
	const missing = [...ours].filter((address) => !theirs.has(address));
	const foreign = [...theirs].filter((address) => !ours.has(address));
	if (missing.length === 0 && foreign.length === 0) return null;
	const parts: string[] = [];
	if (missing.length > 0) parts.push(`lacks ${missing.join(", ")}`);
	if (foreign.length > 0) parts.push(`has ${foreign.join(", ")} that we have not`);
	return `an address list that ${parts.join(" and ")}`;
}

/** "1 s", "0.25 s": an interval for messages. */
export function seconds(micros: number): string {
	return `${Number((micros / 1_000_000).toFixed(micros < 10_000_000 ? 3 : 1))} s`;
}
