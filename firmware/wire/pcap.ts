/** Capture files as tcpdump and Wireshark read them: pcap-savefile(5), version 2.4, microseconds, Ethernet. */

const MAGIC_MICROSECONDS = 0xa1b2c3d4;
const LINKTYPE_ETHERNET = 1;
/** Longest part of a frame that is kept. */
export const SNAP_BYTES = 65_535;

export function pcapHeader(): Uint8Array {
	const view = new DataView(new ArrayBuffer(24));
	view.setUint32(0, MAGIC_MICROSECONDS, true);
	view.setUint16(4, 2, true);
	view.setUint16(6, 4, true);
	view.setUint32(16, SNAP_BYTES, true);
	view.setUint32(20, LINKTYPE_ETHERNET, true);
	return new Uint8Array(view.buffer);
}

/** One frame, seen at `atMicros` (Unix). */
export function pcapRecord(frame: Uint8Array, atMicros: number): Uint8Array {
	const kept = frame.subarray(0, SNAP_BYTES);
	const bytes = new Uint8Array(16 + kept.length);
	const view = new DataView(bytes.buffer);
	view.setUint32(0, Math.floor(atMicros / 1_000_000), true);
	view.setUint32(4, Math.floor(atMicros % 1_000_000), true);
	view.setUint32(8, kept.length, true);
	view.setUint32(12, frame.length, true);
	bytes.set(kept, 16);
	return bytes;
}
