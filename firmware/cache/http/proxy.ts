/** The PROXY protocol, versions 1 and 2: who is behind the load balancer in front. Pure. */
import { formatAddress, parseAddress } from "../../wire/ip.ts";
import type { IpAddress, ProxyAttributes } from "../vcl/runtime.ts";

export interface ProxyEnd {
	readonly address: string;
	readonly port: number;
}

export type ProxyHeader =
	| {
			readonly kind: "local";
			readonly version: 1 | 2;
			readonly end: number;
			/** Why addresses that were given do not count; null: none were given. */
			readonly ignored: string | null;
	  }
	| {
			readonly kind: "proxied";
			readonly version: 1 | 2;
			readonly source: ProxyEnd;
			readonly destination: ProxyEnd;
			readonly attributes: ProxyAttributes | null;
			readonly end: number;
	  };

export type ProxyResult =
	| ProxyHeader
	| { readonly kind: "more" }
	| { readonly kind: "bad"; readonly reason: string };

/** Longest version 1 line, its CRLF included. */
const V1_BYTES = 107;
/** Castagnoli's polynomial, its bits reversed. */
const CRC32C_POLYNOMIAL = 0x82f63b78;
/** Longest version 2 body that is taken. */
const V2_BYTES = 4096;
/** Version 2's family and protocol: IPv4 or IPv6, and a stream. Nobody comes here by datagrams. */
const TCP4 = 0x11;
const TCP6 = 0x21;
const signature = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]);

const bad = (reason: string): ProxyResult => ({ kind: "bad", reason });

export function parseProxyHeader(bytes: Uint8Array): ProxyResult {
	const known = Math.min(bytes.length, signature.length);
	if (known === 0) return { kind: "more" };
	if (bytes[0] === 0x50) return parseVersion1(bytes);
	for (let index = 0; index < known; index++)
		if (bytes[index] !== signature[index]) return bad("no PROXY header");
	if (bytes.length < 16) return { kind: "more" };
	return parseVersion2(bytes);
}

function parseVersion1(bytes: Uint8Array): ProxyResult {
	const text = Buffer.from(bytes.subarray(0, V1_BYTES)).toString("latin1");
	if (!"PROXY ".startsWith(text.slice(0, 6))) return bad("no PROXY header");
	const newline = text.indexOf("\n");
	const line = newline < 0 ? text : text.slice(0, newline);
	const [, family, ...words] = line.replace(/\r$/, "").split(" ");
	if (family !== "UNKNOWN" && words.length > 4) return bad("PROXY1: Too many fields");
	if (newline < 0)
		return bytes.length >= V1_BYTES ? bad("PROXY1: No end within 107 bytes") : { kind: "more" };
	if (text[newline - 1] !== "\r") return bad("PROXY1: No CR before LF");
	const end = newline + 1;
	if (family === "UNKNOWN") return { kind: "local", version: 1, end, ignored: null };
	if (words.length < 4) return bad("PROXY1: Too few fields");
	if (family !== "TCP4" && family !== "TCP6") return bad("PROXY1: Wrong TCP[46] field");
	const [source, destination, sourcePort, destinationPort] = words as [string, string, string, string];
	const [from, to] = [source, destination].map((text) => addressOf(text, family === "TCP4" ? 4 : 16));
	if (from === undefined || !isPort(sourcePort)) return bad("PROXY1: Cannot resolve source address");
	if (to === undefined || !isPort(destinationPort)) return bad("PROXY1: Cannot resolve destination address");
	return {
		kind: "proxied",
		version: 1,
		source: { address: from, port: Number(sourcePort) },
		destination: { address: to, port: Number(destinationPort) },
		attributes: null,
		end,
	};
}

const isPort = (text: string) => /^(?:0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65535;

/** In its shortest form, however it came; undefined when it is none of that length. */
function addressOf(text: string, length: number): string | undefined {
	const bytes = parseAddress(text);
	return bytes?.length === length ? formatAddress(bytes) : undefined;
}

function parseVersion2(bytes: Uint8Array): ProxyResult {
	// What is no header has no length that could be waited for.
	const version = bytes[12]! >> 4;
	const command = bytes[12]! & 15;
	if (version !== 2) return bad(`PROXY2: bad version (${version})`);
	if (command > 1) return bad(`PROXY2: bad command (${command})`);
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
	const length = view.getUint16(14);
	if (length > V2_BYTES) return bad("PROXY2: Over 4096 bytes");
	const end = 16 + length;
	if (bytes.length < end) return { kind: "more" };
	const local = (ignored: string | null): ProxyResult => ({ kind: "local", version: 2, end, ignored });
	if (command === 0) return local(null);
	const family = bytes[13]!;
	if (family === 0) return local("PROXY2: Ignoring UNSPEC|UNSPEC addresses");
	if (family !== TCP4 && family !== TCP6)
		return local(`PROXY2: Ignoring unsupported protocol (0x${family.toString(16).padStart(2, "0")})`);
	const size = family === TCP4 ? 4 : 16;
	if (length < size * 2 + 4)
		return local(`PROXY2: Ignoring short ${size === 4 ? "IPv4" : "IPv6"} addresses (${length})`);
	const address = (at: number) => formatAddress(bytes.subarray(at, at + size));
	const ports = 16 + size * 2;
	const attributes = readAttributes(bytes.subarray(0, end), ports + 4);
	if (typeof attributes === "string") return bad(`PROXY2: ${attributes}`);
	return {
		kind: "proxied",
		version: 2,
		source: { address: address(16), port: view.getUint16(ports) },
		destination: { address: address(16 + size), port: view.getUint16(ports + 2) },
		attributes,
		end,
	};
}

type Tlv = { readonly type: number; readonly value: Uint8Array };

/** Types of what may follow the addresses (§2.2.7), and what the bytes of the encrypted connection's hold. */
const Type = {
	alpn: 0x01,
	authority: 0x02,
	crc32c: 0x03,
	ssl: 0x20,
	sslVersion: 0x21,
	sslCommonName: 0x22,
	sslCipher: 0x23,
	sslSignature: 0x24,
	sslKey: 0x25,
} as const;

/** A text instead of a list: what is wrong. */
function readTlvs(bytes: Uint8Array, start: number): Tlv[] | string {
	const list: Tlv[] = [];
	for (let at = start; at < bytes.length; ) {
		if (at + 3 > bytes.length) return "TLV Dribble bytes";
		const length = (bytes[at + 1]! << 8) | bytes[at + 2]!;
		if (at + 3 + length > bytes.length) return "TLV Length Error";
		list.push({ type: bytes[at]!, value: bytes.subarray(at + 3, at + 3 + length) });
		at += 3 + length;
	}
	return list;
}

/** What stands behind the addresses of a whole header; a text: what is wrong with it. */
function readAttributes(header: Uint8Array, start: number): ProxyAttributes | string {
	const list = readTlvs(header, start);
	if (typeof list === "string") return list;
	const text = (tlvs: readonly Tlv[], type: number) => {
		const found = tlvs.find((each) => each.type === type);
		return found === undefined ? null : Buffer.from(found.value).toString("latin1");
	};
	const sum = list.find((each) => each.type === Type.crc32c);
	if (sum !== undefined && !sumMatches(header, sum.value)) return "CRC error";
	const ssl = list.find((each) => each.type === Type.ssl);
	let inner: ProxyAttributes["ssl"] = null;
	if (ssl !== undefined) {
		if (ssl.value.length < 5) return "TLV Length Error";
		const nested = readTlvs(ssl.value, 5);
		if (typeof nested === "string") return nested;
		const view = new DataView(ssl.value.buffer, ssl.value.byteOffset);
		inner = {
			client: ssl.value[0]!,
			verify: view.getUint32(1),
			version: text(nested, Type.sslVersion),
			commonName: text(nested, Type.sslCommonName),
			cipher: text(nested, Type.sslCipher),
			signatureAlgorithm: text(nested, Type.sslSignature),
			keyAlgorithm: text(nested, Type.sslKey),
		};
	}
	return { alpn: text(list, Type.alpn), authority: text(list, Type.authority), ssl: inner };
}

/** The sum is over the whole header, its own four bytes taken as 0 (§2.2.4). `sum` is a part of `header`. */
function sumMatches(header: Uint8Array, sum: Uint8Array): boolean {
	if (sum.length !== 4) return false;
	const at = sum.byteOffset - header.byteOffset;
	let crc = 0xffffffff;
	for (let index = 0; index < header.length; index++) {
		crc ^= index >= at && index < at + 4 ? 0 : header[index]!;
		for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ ((crc & 1) === 0 ? 0 : CRC32C_POLYNOMIAL);
	}
	return (crc ^ 0xffffffff) >>> 0 === new DataView(sum.buffer, sum.byteOffset, 4).getUint32(0);
}

/**
 * The header that tells a backend who the client is. Without two addresses of one family it says only that
 * they are not known; a client on a Unix socket is 0.0.0.0 here, as VCL has it. PROXY protocol §2.1 and §2.2.
 * Version 2 may name the authority that is asked for.
 */
export function formatProxyHeader(
	version: 1 | 2,
	source: IpAddress | undefined,
	destination: IpAddress | undefined,
	authority = "",
): Uint8Array {
	const known =
		source !== undefined && destination !== undefined && source.bytes.length === destination.bytes.length;
	if (version === 1) {
		const family = source?.bytes.length === 4 ? "TCP4" : "TCP6";
		const words = known
			? `${family} ${source.text} ${destination.text} ${source.port} ${destination.port}`
			: "UNKNOWN";
		return Buffer.from(`PROXY ${words}\r\n`, "latin1");
	}
	if (!known) return Buffer.concat([signature, Uint8Array.of(0x20, 0, 0, 0)]);
	const ports = Buffer.alloc(4);
	ports.writeUInt16BE(source.port, 0);
	ports.writeUInt16BE(destination.port, 2);
	const size = source.bytes.length;
	const name = Buffer.from(authority, "latin1");
	const tlv = name.length === 0 ? name : Buffer.concat([Uint8Array.of(Type.authority, 0, 0), name]);
	if (tlv.length > 0) tlv.writeUInt16BE(name.length, 1);
	const start = Buffer.from([0x21, size === 4 ? TCP4 : TCP6, 0, 0]);
	start.writeUInt16BE(size * 2 + 4 + tlv.length, 2);
	return Buffer.concat([signature, start, source.bytes, destination.bytes, ports, tlv]);
}
