/** Node's and Bun's byte-string methods of Buffer, which the type definitions leave out. One character per byte. */
export interface ByteBuffer extends Buffer<ArrayBufferLike> {
	latin1Slice(start?: number, end?: number): string;
	latin1Write(text: string, offset: number): number;
}

/** The same bytes, seen as a ByteBuffer. */
export function byteBuffer(bytes: Uint8Array): ByteBuffer {
	return Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length) as unknown as ByteBuffer;
}

export const allocateBytes = (length: number) => Buffer.allocUnsafeSlow(length) as unknown as ByteBuffer;

/** Bytes of their own. (Uint8Array.from walks its argument one by one: 30 ns a byte; Buffer.slice copies nothing.) */
export const copyOf = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => new Uint8Array(bytes);
