/** IP addresses of connections, as VCL sees them. */
import { parseAddress } from "../../wire/ip.ts";
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

/** Zeros for what is no address. A link's name behind one is none of its bytes. */
const addressBytes = (text: string) => parseAddress(text.replace(/%.*$/, "")) ?? new Uint8Array(4);
