/** IP addresses of connections, as VCL sees them. */
import type { IpAddress } from "../vcl/runtime.ts";

/** VCL's IP of an address; the bytes are worked out when somebody asks. */
export class Address implements IpAddress {
	readonly text: string;
	readonly port: number;
	#bytes: Uint8Array | undefined;

	constructor(text: string, port: number) {
		this.text = text.startsWith("::ffff:") && text.includes(".") ? text.slice(7) : text;
		this.port = port;
	}
	get bytes(): Uint8Array {
		this.#bytes ??= addressBytes(this.text);
		return this.#bytes;
	}
}

function addressBytes(text: string): Uint8Array {
	if (!text.includes(":")) {
		const parts = text.split(".").map(Number);
		return Uint8Array.from(parts.length === 4 ? parts : [0, 0, 0, 0]);
	}
	const bytes = new Uint8Array(16);
	const [front = "", back] = text.replace(/%.*$/, "").split("::");
	const groups = (part: string) =>
		part === "" ? [] : part.split(":").map((word) => Number.parseInt(word, 16));
	const left = groups(front);
	const right = back === undefined ? [] : groups(back);
	left.forEach((group, index) => {
		bytes[index * 2] = group >> 8;
		bytes[index * 2 + 1] = group & 255;
	});
	right.forEach((group, index) => {
		const at = (8 - right.length + index) * 2;
		bytes[at] = group >> 8;
		bytes[at + 1] = group & 255;
	});
	return bytes;
}
