/** What either side of an HTTP/2 connection may say of itself (RFC 9113 §6.5). Pure. */
import {
	DEFAULT_FRAME_BYTES,
	DEFAULT_TABLE_BYTES,
	DEFAULT_WINDOW_BYTES,
	ErrorCode,
	LARGEST_FRAME_BYTES,
	LARGEST_WINDOW_BYTES,
	read32,
	Setting,
	setting,
} from "./frame.ts";

/** What a client is held to. Sizes in bytes; the names of the parameters they come from are varnishd's. */
export interface LocalSettings {
	/** h2_header_table_size */
	readonly headerTableBytes: number;
	/** h2_max_concurrent_streams */
	readonly concurrentStreams: number;
	/** h2_initial_window_size */
	readonly windowBytes: number;
	/** h2_max_frame_size */
	readonly frameBytes: number;
	/** h2_max_header_list_size */
	readonly headerListBytes: number;
	/** h2_rx_window_increment */
	readonly windowIncrementBytes: number;
	/** h2_rx_window_low_water */
	readonly windowLowWaterBytes: number;
	/** What an HTTP/1 head may have: all of it, and its lines (http_req_size, http_max_hdr). */
	readonly headBytes: number;
	readonly headerLines: number;
	/** For clients that are tests: the order of what they send, and how short frames are, is theirs (debug h2_nocheck). */
	readonly nocheck: boolean;
}

/** varnishd's value for no limit. */
const UNLIMITED_LIST_BYTES = LARGEST_WINDOW_BYTES;

/** The payload of the SETTINGS frame that a connection begins with: what differs from the defaults. */
export function announce(local: LocalSettings): string {
	let text = "";
	const add = (name: number, value: number, usual: number) => {
		if (value !== usual) text += setting(name, value);
	};
	add(Setting.headerTableSize, local.headerTableBytes, DEFAULT_TABLE_BYTES);
	add(Setting.maxConcurrentStreams, local.concurrentStreams, Number.POSITIVE_INFINITY);
	add(Setting.initialWindowSize, local.windowBytes, DEFAULT_WINDOW_BYTES);
	add(Setting.maxFrameSize, local.frameBytes, DEFAULT_FRAME_BYTES);
	add(Setting.maxHeaderListSize, local.headerListBytes, UNLIMITED_LIST_BYTES);
	return text;
}

/** What the client has said; until then the defaults hold. */
export interface RemoteSettings {
	windowBytes: number;
	frameBytes: number;
	/** It has named a size for its table of header fields. */
	namedTable: boolean;
}

export const defaultRemote = (): RemoteSettings => ({
	windowBytes: DEFAULT_WINDOW_BYTES,
	frameBytes: DEFAULT_FRAME_BYTES,
	namedTable: false,
});

export const SETTING_BYTES = 6;

/** Of tests that ask for less than RFC 9113 allows. */
const SHORTEST_FRAME_BYTES = 16;

/**
 * Takes over the settings in `payload`, whose length is a multiple of SETTING_BYTES; returns the code of the
 * connection error, if one of them may not be. Those that are not known are ignored. `nocheck`: frames may be short.
 */
export function takeSettings(
	remote: RemoteSettings,
	payload: Uint8Array,
	nocheck = false,
): number | undefined {
	for (let at = 0; at < payload.length; at += SETTING_BYTES) {
		const name = (payload[at]! << 8) | payload[at + 1]!;
		const value = read32(payload, at + 2);
		switch (name) {
			case Setting.headerTableSize:
				remote.namedTable = true;
				break;
			case Setting.enablePush:
				if (value > 1) return ErrorCode.protocolError;
				break;
			case Setting.initialWindowSize:
				if (value > LARGEST_WINDOW_BYTES) return ErrorCode.flowControlError;
				remote.windowBytes = value;
				break;
			case Setting.maxFrameSize:
				if ((value < DEFAULT_FRAME_BYTES || value > LARGEST_FRAME_BYTES) && !nocheck)
					return ErrorCode.protocolError;
				remote.frameBytes = Math.max(value, SHORTEST_FRAME_BYTES);
				break;
		}
	}
	return undefined;
}

/** The field HTTP2-Settings (RFC 7540 §3.2.1): base64url of a payload; undefined when it is none that may be. */
export function readUpgradeSettings(text: string): Uint8Array | undefined {
	if (!/^[A-Za-z0-9_-]*=*$/.test(text)) return undefined;
	const bytes = Buffer.from(text, "base64url");
	if (bytes.length % SETTING_BYTES !== 0) return undefined;
	return takeSettings(defaultRemote(), bytes) === undefined ? bytes : undefined;
}
