/** vmod blob: binary data and its text encodings. A BLOB is a byte string. Reference §8.2. */
import { VclFailure } from "../runtime.ts";
import { vmod } from "./vmod.ts";

type Encoding = "IDENTITY" | "BASE64" | "BASE64URL" | "BASE64URLNOPAD" | "BASE64CF" | "HEX" | "URL";
type Case = "LOWER" | "UPPER" | "DEFAULT";

const standard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** The last two digits and the padding character of each base 64; null: no padding. */
const alphabets: {
	readonly [Name in Encoding]?: { readonly last: string; readonly padding: string | null };
} = {
	BASE64: { last: "+/", padding: "=" },
	BASE64URL: { last: "-_", padding: "=" },
	BASE64URLNOPAD: { last: "-_", padding: null },
	BASE64CF: { last: "-~", padding: "_" },
};

function encodeBase64(bytes: string, last: string, padding: string | null): string {
	const text = btoa(bytes).replaceAll("+", last[0]!).replaceAll("/", last[1]!);
	if (padding === null) return text.replace(/=+$/, "");
	return padding === "=" ? text : text.replaceAll("=", padding);
}

function decodeBase64(text: string, last: string, padding: string | null, fail: () => never): string {
	let bytes = "";
	/** Of the group of four at hand: its bits, its characters, and those of all that are padding, which may be missing. */
	let bits = 0;
	let count = 0;
	let padded = 0;
	const finish = () => {
		if (count > 4 || count - padded <= 1) fail();
		for (let byte = 1; byte < count - padded; byte++)
			bytes += String.fromCharCode((bits >> (24 - 8 * byte)) & 0xff);
	};
	for (const character of text) {
		const digit =
			character === last[0] ? 62 : character === last[1] ? 63 : standard.slice(0, 62).indexOf(character);
		if (digit < 0 && character !== padding) fail();
		bits = (bits << 6) | Math.max(0, digit);
		count++;
		if (digit < 0) padded++;
		else if (count === 4) {
			finish();
			count = 0;
		}
	}
	bits <<= 6 * (4 - count);
	if (count > 0) finish();
	return bytes;
}

function hex(code: number, wanted: Case): string {
	const text = code.toString(16).padStart(2, "0");
	return wanted === "UPPER" ? text.toUpperCase() : text;
}

export function encode(encoding: Encoding, wanted: Case, bytes: string): string {
	if (wanted !== "DEFAULT" && encoding !== "HEX" && encoding !== "URL")
		throw new VclFailure(`vmod blob error: case ${wanted} is illegal with encoding ${encoding}`);
	switch (encoding) {
		case "IDENTITY":
			// A string ends at a NUL.
			return bytes.split("\0", 1)[0]!;
		case "HEX":
			return Array.from(bytes, (byte) => hex(byte.charCodeAt(0), wanted)).join("");
		case "URL":
			return bytes.replace(/[^A-Za-z0-9._~-]/g, (byte) => `%${hex(byte.charCodeAt(0), wanted)}`);
		default: {
			const { last, padding } = alphabets[encoding]!;
			return encodeBase64(bytes, last, padding);
		}
	}
}

/** A text as its parts stand in the program; null: a field that is not there. */
type Parts = readonly (string | null)[];

/**
 * `length` > 0: only that many characters of the text; `what` cannot be done when they mean nothing. A failure names the
 * first part.
 */
export function decode(encoding: Encoding, length: number, parts: Parts, what = "decode"): string {
	const encoded = parts.join("");
	const text = length > 0 ? encoded.slice(0, length) : encoded;
	const fail = (): never => {
		throw new VclFailure(
			`vmod blob error: cannot ${what}, illegal encoding beginning with "${parts[0] ?? "(null)"}"`,
		);
	};
	switch (encoding) {
		case "IDENTITY":
			return text;
		case "HEX": {
			// Also of what is left out by a length.
			if (!/^[0-9A-Fa-f]*$/.test(encoded)) fail();
			// An odd number of digits has an implied leading zero.
			const digits = text.length % 2 === 1 ? `0${text}` : text;
			let bytes = "";
			for (let at = 0; at < digits.length; at += 2)
				bytes += String.fromCharCode(Number.parseInt(digits.slice(at, at + 2), 16));
			return bytes;
		}
		case "URL":
			if (/%(?![0-9A-Fa-f]{2})/.test(text)) fail();
			return text.replace(/%([0-9A-Fa-f]{2})/g, (_whole, digits: string) =>
				String.fromCharCode(Number.parseInt(digits, 16)),
			);
		default: {
			const { last, padding } = alphabets[encoding]!;
			return decodeBase64(text, last, padding, fail);
		}
	}
}

/** One encoding of a text into another; what is whole and stays in its encoding stays as it is. */
function transcode(from: Encoding, to: Encoding, wanted: Case, length: number, parts: Parts): string {
	const bytes = decode(from, length, parts);
	const text = encode(to, wanted, bytes);
	return length <= 0 && from === to && from !== "HEX" && from !== "URL" ? parts.join("") : text;
}

const encodings = "{IDENTITY, BASE64, BASE64URL, BASE64URLNOPAD, BASE64CF, HEX, URL}";
const cases = "{LOWER, UPPER, DEFAULT}";

export const blob = vmod(
	"blob",
	[
		[
			"decode",
			`ENUM ${encodings} decoding=IDENTITY, INT length=0, STRANDS* encoded`,
			"BLOB",
			(_context, _host, decoding: Encoding, length: number, encoded: Parts) =>
				decode(decoding, length, encoded),
		],
		[
			"encode",
			`ENUM ${encodings} encoding=IDENTITY, ENUM ${cases} case=DEFAULT, BLOB blob`,
			"STRING",
			(_context, _host, encoding: Encoding, wanted: Case, bytes: string | null) =>
				bytes === null ? null : encode(encoding, wanted, bytes),
		],
		[
			"transcode",
			`ENUM ${encodings} decoding=IDENTITY, ENUM ${encodings} encoding=IDENTITY, ENUM ${cases} case=DEFAULT, INT length=0, STRANDS* encoded`,
			"STRING",
			(_context, _host, from: Encoding, to: Encoding, wanted: Case, length: number, encoded: Parts) =>
				transcode(from, to, wanted, length, encoded),
		],
		[
			"same",
			"BLOB, BLOB",
			"BOOL",
			(_context, _host, left: string | null, right: string | null) => left === right,
		],
		[
			"equal",
			"BLOB, BLOB",
			"BOOL",
			(_context, _host, left: string | null, right: string | null) => (left ?? "") === (right ?? ""),
		],
		["length", "BLOB", "INT", (_context, _host, bytes: string | null) => (bytes ?? "").length],
		[
			"sub",
			"BLOB, BYTES length, BYTES offset = 0",
			"BLOB",
			(_context, _host, bytes: string | null, length: number, offset: number) => {
				if (bytes === null || bytes === "")
					throw new VclFailure("vmod blob error: blob is empty in blob.sub()");
				if (offset + length > bytes.length)
					throw new VclFailure(
						`vmod blob error: size ${length} from offset ${offset} requires more bytes than blob length ${bytes.length} in blob.sub()`,
					);
				return bytes.slice(offset, offset + length);
			},
		],
	],
	[
		{
			name: "blob",
			signature: `ENUM ${encodings} decoding=IDENTITY, STRANDS* encoded`,
			make: (_host, name, decoding: Encoding, encoded: Parts) => ({
				bytes: decode(decoding, 0, encoded, `create blob ${name}`),
			}),
			methods: [
				["get", "", "BLOB", (self) => self.bytes],
				[
					"encode",
					`ENUM ${encodings} encoding=IDENTITY, ENUM ${cases} case=DEFAULT`,
					"STRING",
					(self, _context, encoding: Encoding, wanted: Case) => encode(encoding, wanted, self.bytes),
				],
			],
		},
	],
);
