/**
 * BFD control packets on the wire (RFC 5880 §4.1). Pure: bytes in, records out. Authentication is not spoken: a packet
 * that has some is refused, as RFC 5880 §6.8.6 asks of a session without.
 */

/** RFC 5881 §4: the port of a session over one hop. */
export const BFD_PORT = 3784;
/** RFC 5883 §5: the port of a session over several. */
export const BFD_MULTIHOP_PORT = 4784;
/** RFC 5881 §4: where the source ports of control packets lie. */
export const BFD_SOURCE_PORT_FIRST = 49_152;
export const BFD_SOURCE_PORT_LAST = 65_535;
export const BFD_CONTROL_BYTES = 24;
/** The length field has eight bits. */
export const BFD_CONTROL_LIMIT_BYTES = 255;

/** RFC 5880 §4.1, in the order of their numbers. */
export const bfdStates = ["AdminDown", "Down", "Init", "Up"] as const;
export type BfdState = (typeof bfdStates)[number];

/** RFC 5880 §4.1: why the sender's session last went down. */
export const BfdDiagnostic = {
	none: 0,
	controlDetectionTimeExpired: 1,
	neighborSignaledSessionDown: 3,
	administrativelyDown: 7,
} as const;

const diagnosticTexts = [
	"no diagnostic",
	"control detection time expired",
	"echo function failed",
	"neighbor signaled session down",
	"forwarding plane reset",
	"path down",
	"concatenated path down",
	"administratively down",
	"reverse concatenated path down",
];

/** A diagnostic code in RFC 5880's words. */
export function bfdDiagnosticText(code: number): string {
	return diagnosticTexts[code] ?? `diagnostic ${code}`;
}

/** One control packet. Times are in µs, discriminators unsigned 32 bits. */
export interface BfdControl {
	readonly diagnostic: number;
	readonly state: BfdState;
	readonly poll: boolean;
	readonly final: boolean;
	readonly demand: boolean;
	readonly detectMultiplier: number;
	readonly myDiscriminator: number;
	/** 0 while the sender has not heard from us. */
	readonly yourDiscriminator: number;
	readonly desiredMinTxMicros: number;
	/** 0: the sender wants no periodic packets. */
	readonly requiredMinRxMicros: number;
}

const VERSION = 1;
const POLL = 0x20;
const FINAL = 0x10;
const AUTHENTICATION = 0x04;
const DEMAND = 0x02;
const MULTIPOINT = 0x01;

export function encodeBfdControl(control: BfdControl): Uint8Array {
	const bytes = new Uint8Array(BFD_CONTROL_BYTES);
	const view = new DataView(bytes.buffer);
	bytes[0] = (VERSION << 5) | control.diagnostic;
	bytes[1] =
		(bfdStates.indexOf(control.state) << 6) |
		(control.poll ? POLL : 0) |
		(control.final ? FINAL : 0) |
		(control.demand ? DEMAND : 0);
	bytes[2] = control.detectMultiplier;
	bytes[3] = BFD_CONTROL_BYTES;
	view.setUint32(4, control.myDiscriminator);
	view.setUint32(8, control.yourDiscriminator);
	view.setUint32(12, control.desiredMinTxMicros);
	view.setUint32(16, control.requiredMinRxMicros);
	return bytes;
}

/** The packet, or the rule of RFC 5880 §6.8.6 by which it is discarded, in words. */
export function decodeBfdControl(bytes: Uint8Array): BfdControl | string {
	if (bytes.length < BFD_CONTROL_BYTES) return `${bytes.length} bytes are too short`;
	const [first, flags, detectMultiplier, length] = bytes as unknown as [number, number, number, number];
	if (first >> 5 !== VERSION) return `version ${first >> 5}`;
	if (length < BFD_CONTROL_BYTES) return `a length of ${length}`;
	if (length > bytes.length) return `a length of ${length} in ${bytes.length} bytes`;
	if (detectMultiplier === 0) return "a detection multiplier of 0";
	if ((flags & MULTIPOINT) !== 0) return "the multipoint bit";
	if ((flags & AUTHENTICATION) !== 0) return "authentication, which this session has not";
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
	const myDiscriminator = view.getUint32(4);
	if (myDiscriminator === 0) return "a discriminator of 0";
	const yourDiscriminator = view.getUint32(8);
	const state = bfdStates[flags >> 6]!;
	if (yourDiscriminator === 0 && state !== "Down" && state !== "AdminDown")
		return `state ${state} without our discriminator`;
	return {
		diagnostic: first & 0x1f,
		state,
		poll: (flags & POLL) !== 0,
		final: (flags & FINAL) !== 0,
		demand: (flags & DEMAND) !== 0,
		detectMultiplier,
		myDiscriminator,
		yourDiscriminator,
		desiredMinTxMicros: view.getUint32(12),
		requiredMinRxMicros: view.getUint32(16),
	};
}
