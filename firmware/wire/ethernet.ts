/** Ethernet II frames (RFC 894, IEEE 802.1Q). Pure. */

export const ETHERNET_HEADER_BYTES = 14;
const ETHERTYPE_VLAN = 0x8100;
const ETHERTYPE_SERVICE_VLAN = 0x88a8;
const VLAN_TAG_BYTES = 4;
/** Stacked tags beyond this are nobody's network. */
const VLAN_TAG_LIMIT = 2;

export const broadcastMac: Uint8Array = new Uint8Array(6).fill(0xff);

export interface EthernetFrame {
	readonly destination: Uint8Array;
	readonly source: Uint8Array;
	/** Of what is inside, behind any VLAN tags. */
	readonly etherType: number;
	/** VLAN ids, outermost first. */
	readonly vlans: readonly number[];
	/** Padding to 60 bytes included: what is inside knows its own length. */
	readonly payload: Uint8Array;
}

export function encodeEthernet(
	destination: Uint8Array,
	source: Uint8Array,
	etherType: number,
	payload: Uint8Array,
): Uint8Array {
	const frame = new Uint8Array(ETHERNET_HEADER_BYTES + payload.length);
	frame.set(destination, 0);
	frame.set(source, 6);
	frame[12] = etherType >> 8;
	frame[13] = etherType & 0xff;
	frame.set(payload, ETHERNET_HEADER_BYTES);
	return frame;
}

/** Null when the bytes are too few, or it is IEEE 802.3 with a length instead of a type. */
export function decodeEthernet(bytes: Uint8Array): EthernetFrame | null {
	if (bytes.length < ETHERNET_HEADER_BYTES) return null;
	const vlans: number[] = [];
	let at = 12;
	let etherType = (bytes[at]! << 8) | bytes[at + 1]!;
	while (etherType === ETHERTYPE_VLAN || etherType === ETHERTYPE_SERVICE_VLAN) {
		if (vlans.length === VLAN_TAG_LIMIT || bytes.length < at + 2 + VLAN_TAG_BYTES) return null;
		vlans.push(((bytes[at + 2]! << 8) | bytes[at + 3]!) & 0xfff);
		at += VLAN_TAG_BYTES;
		etherType = (bytes[at]! << 8) | bytes[at + 1]!;
	}
	if (etherType < 0x600) return null;
	return {
		destination: bytes.subarray(0, 6),
		source: bytes.subarray(6, 12),
		etherType,
		vlans,
		payload: bytes.subarray(at + 2),
	};
}
