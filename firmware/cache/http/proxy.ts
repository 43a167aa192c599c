/** The PROXY protocol, versions 1 and 2: who is behind the load balancer in front. Pure. */
import { formatAddress, parseAddress } from "../../wire/ip.ts";
import type { IpAddress, ProxyAttributes } from "../vcl/runtime.ts";

export interface ProxyEnd {
	readonly address: string;
	readonly port: number;
}

export type ProxyHeader =
	| { readonly kind: "local"; readonly version: 1 | 2; readonly end: number }
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
/** Longest version 2 body that is taken. */
const V2_BYTES = 4096;
/** SOCK_STREAM in the low half of version 2's family. */
const STREAM = 1;
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
	const end = text.indexOf("\r\n");
	if (end < 0)
		return bytes.length >= V1_BYTES || !"PROXY ".startsWith(text.slice(0, 6))
			? bad("PROXY line has no end")
			: { kind: "more" };
	const words = text.slice(0, end).split(" ");
	if (words[0] !== "PROXY") return bad("no PROXY header");
	if (words[1] === "UNKNOWN") return { kind: "local", version: 1, end: end + 2 };
	const [, family, source = "", destination = "", sourcePort = "", destinationPort = ""] = words;
	if (words.length !== 6 || (family !== "TCP4" && family !== "TCP6")) return bad("PROXY line is malformed");
	const ports = [sourcePort, destinationPort].map((port) =>
		/^(?:0|[1-9]\d{0,4})$/.test(port) ? Number(port) : -1,
	);
	if (ports.some((port) => port < 0 || port > 65535)) return bad("PROXY port is malformed");
	const [from, to] = [source, destination].map((text) => addressOf(text, family === "TCP4" ? 4 : 16));
	if (from === undefined || to === undefined) return bad("PROXY address is malformed");
	return {
		kind: "proxied",
		version: 1,
		source: { address: from, port: ports[0]! },
		destination: { address: to, port: ports[1]! },
		attributes: null,
		end: end + 2,
	};
}

/** In its shortest form, however it came; undefined when it is none of that length. */
function addressOf(text: string, length: number): string | undefined {
	const bytes = parseAddress(text);
	return bytes?.length === length ? formatAddress(bytes) : undefined;
}

function parseVersion2(bytes: Uint8Array): ProxyResult {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
	const length = view.getUint16(14);
	if (length > V2_BYTES) return bad("PROXY header is over its limit");
	const end = 16 + length;
	if (bytes.length < end) return { kind: "more" };
	const version = bytes[12]! >> 4;
	const command = bytes[12]! & 15;
	if (version !== 2 || command > 1) return bad("PROXY version or command is unknown");
	// Nobody comes here by datagrams: as good as an unknown family.
	const family = (bytes[13]! & 15) === STREAM ? bytes[13]! >> 4 : 0;
	if (command === 0) return { kind: "local", version: 2, end };
	const size = family === 1 ? 4 : family === 2 ? 16 : 0;
	if (size === 0) return { kind: "local", version: 2, end };
	if (length < size * 2 + 4) return bad("PROXY addresses are cut");
	const address = (at: number) => formatAddress(bytes.subarray(at, at + size));
	const ports = 16 + size * 2;
	const tlvs = readTlvs(bytes, ports + 4, end);
	const attributes = tlvs && readAttributes(tlvs);
	if (attributes === undefined) return bad("PROXY attributes are malformed");
	if (!tlvs!.every((tlv) => tlv.type !== CRC32C_TYPE || sumMatches(bytes.subarray(0, end), tlv.value)))
		return bad("PROXY checksum does not match");
	return {
		kind: "proxied",
		version: 2,
		source: { address: address(16), port: view.getUint16(ports) },
		destination: { address: address(16 + size), port: view.getUint16(ports + 2) },
		attributes,
		end,
	};
}

const CRC32C_TYPE = 0x03;
/** Castagnoli's polynomial, its bits reversed. */
const CRC32C_POLYNOMIAL = 0x82f63b78;

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

type Tlv = { readonly type: number; readonly value: Uint8Array };

function readTlvs(bytes: Uint8Array, start: number, end: number): Tlv[] | undefined {
	const list: Tlv[] = [];
	let at = start;
	while (at < end) {
		if (at + 3 > end) return undefined;
		const length = (bytes[at + 1]! << 8) | bytes[at + 2]!;
		if (at + 3 + length > end) return undefined;
		list.push({ type: bytes[at]!, value: bytes.subarray(at + 3, at + 3 + length) });
		at += 3 + length;
	}
	return list;
}

function readAttributes(list: readonly Tlv[]): ProxyAttributes | undefined {
	const text = (tlvs: readonly Tlv[], type: number) => {
		const found = tlvs.find((each) => each.type === type);
		return found === undefined ? null : Buffer.from(found.value).toString("latin1");
	};
	const ssl = list.find((each) => each.type === 0x20);
	let inner: ProxyAttributes["ssl"] = null;
	if (ssl !== undefined) {
		if (ssl.value.length < 5) return undefined;
		const nested = readTlvs(ssl.value, 5, ssl.value.length);
		if (nested === undefined) return undefined;
		inner = {
			client: ssl.value[0]!,
			verify: ((ssl.value[1]! << 24) | (ssl.value[2]! << 16) | (ssl.value[3]! << 8) | ssl.value[4]!) >>> 0,
			version: text(nested, 0x21),
			commonName: text(nested, 0x22),
			cipher: text(nested, 0x23),
			signatureAlgorithm: text(nested, 0x24),
			keyAlgorithm: text(nested, 0x25),
		};
	}
	return { alpn: text(list, 0x01), authority: text(list, 0x02), ssl: inner };
}

/**
 * The header that tells a backend who the client is. Without two addresses of one family it says only that
 * they are not known; a client on a Unix socket is 0.0.0.0 here, as VCL has it. PROXY protocol §2.1 and §2.2.
 */
export function formatProxyHeader(
	version: 1 | 2,
	source: IpAddress | undefined,
	destination: IpAddress | undefined,
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
	return Buffer.concat([
		signature,
		Uint8Array.of(0x21, size === 4 ? 0x11 : 0x21, 0, size * 2 + 4),
		source.bytes,
		destination.bytes,
		ports,
	]);
}
