/** HTTP/2 frames (RFC 9113 §4 and §6): their heads as bytes, and the numbers in them. Pure. */

export const FRAME_HEAD_BYTES = 9;

/** What a client with prior knowledge begins with (RFC 9113 §3.4). */
export const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

export const Frame = {
	data: 0,
	headers: 1,
	priority: 2,
	rstStream: 3,
	settings: 4,
	pushPromise: 5,
	ping: 6,
	goAway: 7,
	windowUpdate: 8,
	continuation: 9,
} as const;

/** END_STREAM and ACK are the same bit of different frames. */
export const Flag = { ack: 1, endStream: 1, endHeaders: 4, padded: 8, priority: 0x20 } as const;

/** RFC 9113 §7. */
export const ErrorCode = {
	noError: 0,
	protocolError: 1,
	internalError: 2,
	flowControlError: 3,
	settingsTimeout: 4,
	streamClosed: 5,
	frameSizeError: 6,
	refusedStream: 7,
	cancel: 8,
	compressionError: 9,
	connectError: 10,
	enhanceYourCalm: 11,
	inadequateSecurity: 12,
	http11Required: 13,
} as const;

const codeNames = (
	"NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED FRAME_SIZE_ERROR " +
	"REFUSED_STREAM CANCEL COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM INADEQUATE_SECURITY HTTP_1_1_REQUIRED"
).split(" ");

/** As the log says it. */
export const errorName = (code: number): string => codeNames[code] ?? "UNKNOWN_ERROR";

/** RFC 9113 §6.5.2. */
export const Setting = {
	headerTableSize: 1,
	enablePush: 2,
	maxConcurrentStreams: 3,
	initialWindowSize: 4,
	maxFrameSize: 5,
	maxHeaderListSize: 6,
} as const;

/** Sizes that hold until a peer says otherwise, and their limits. */
export const DEFAULT_WINDOW_BYTES = 65_535;
export const DEFAULT_FRAME_BYTES = 16_384;
export const DEFAULT_TABLE_BYTES = 4096;
export const LARGEST_WINDOW_BYTES = 2 ** 31 - 1;
export const LARGEST_FRAME_BYTES = 2 ** 24 - 1;

export interface FrameHead {
	/** Bytes behind the head. */
	readonly length: number;
	readonly type: number;
	readonly flags: number;
	readonly stream: number;
}

export const read32 = (bytes: Uint8Array, at: number): number =>
	((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;

/** The head at `at`, where there are FRAME_HEAD_BYTES. The reserved bit of the stream is ignored (RFC 9113 §4.1). */
export const readFrameHead = (bytes: Uint8Array, at: number): FrameHead => ({
	length: (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!,
	type: bytes[at + 3]!,
	flags: bytes[at + 4]!,
	stream: read32(bytes, at + 5) & 0x7fffffff,
});

const { fromCharCode } = String;

/** 32 bits in network order, one character per byte, as all that is sent here. */
export const text32 = (value: number): string =>
	fromCharCode((value >>> 24) & 0xff, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);

/** The head of a frame that has `length` bytes behind it. */
export const frameHead = (type: number, flags: number, stream: number, length: number): string =>
	fromCharCode((length >>> 16) & 0xff, (length >>> 8) & 0xff, length & 0xff, type, flags) + text32(stream);

/** A whole frame; `payload` has one character per byte. */
export const frame = (type: number, flags: number, stream: number, payload: string): string =>
	frameHead(type, flags, stream, payload.length) + payload;

/** One parameter of a SETTINGS frame. */
export const setting = (name: number, value: number): string =>
	fromCharCode(name >> 8, name & 0xff) + text32(value);
