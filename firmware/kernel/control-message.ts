/** Control messages (cmsg(3), 64-bit layout): length 8, level 4, type 4, data, padded to 8. Pure. */

const HEADER_BYTES = 16;

/** Calls `each` with every well-formed message; stops at the first that is not. */
export function eachControlMessage(
	bytes: Uint8Array,
	each: (level: number, kind: number, data: DataView) => void,
): void {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
	for (let offset = 0; offset + HEADER_BYTES <= bytes.length; ) {
		const length = view.getUint32(offset, true);
		if (length < HEADER_BYTES || view.getUint32(offset + 4, true) !== 0 || offset + length > bytes.length)
			return;
		each(
			view.getInt32(offset + 8, true),
			view.getInt32(offset + 12, true),
			new DataView(bytes.buffer, bytes.byteOffset + offset + HEADER_BYTES, length - HEADER_BYTES),
		);
		offset += (length + 7) & ~7;
	}
}

/** One message, for sendmsg(2). */
export function controlMessage(level: number, kind: number, data: Uint8Array): Uint8Array {
	const bytes = new Uint8Array((HEADER_BYTES + data.length + 7) & ~7);
	const view = new DataView(bytes.buffer);
	view.setUint32(0, HEADER_BYTES + data.length, true);
	view.setInt32(8, level, true);
	view.setInt32(12, kind, true);
	bytes.set(data, HEADER_BYTES);
	return bytes;
}
