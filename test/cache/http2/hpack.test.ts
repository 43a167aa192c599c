/** HPACK: the examples of RFC 7541 appendix C, its errors, and decode after encode is identity. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
	encodeField,
	encodeStatus,
	type HeaderListLimits,
	HpackDecoder,
} from "../../../firmware/cache/http2/hpack.ts";
import { decodeHuffman, longestDecoded } from "../../../firmware/cache/http2/huffman.ts";

const limits: HeaderListLimits = { listBytes: 65536, fields: 100 };
const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");

function read(decoder: HpackDecoder, block: string | Uint8Array, allowed = limits): string[] {
	const list = decoder.decode(typeof block === "string" ? hex(block) : block, allowed);
	if (list.kind === "bad") throw new Error(list.reason);
	return list.fields.map(([name, value]) => `${name}: ${value}`);
}

describe("RFC 7541 appendix C", () => {
	const first = [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"];
	const second = [...first, "cache-control: no-cache"];
	const third = [
		":method: GET",
		":scheme: https",
		":path: /index.html",
		":authority: www.example.com",
		"custom-key: custom-value",
	];

	test("C.2 single representations", () => {
		expect(read(new HpackDecoder(4096), "400a637573746f6d2d6b65790d637573746f6d2d686561646572")).toEqual([
			"custom-key: custom-header",
		]);
		expect(read(new HpackDecoder(4096), "040c2f73616d706c652f70617468")).toEqual([":path: /sample/path"]);
		expect(read(new HpackDecoder(4096), "100870617373776f726406736563726574")).toEqual(["password: secret"]);
		expect(read(new HpackDecoder(4096), "82")).toEqual([":method: GET"]);
	});

	test("C.3 requests without Huffman coding", () => {
		const decoder = new HpackDecoder(4096);
		expect(read(decoder, "828684410f7777772e6578616d706c652e636f6d")).toEqual(first);
		expect(read(decoder, "828684be58086e6f2d6361636865")).toEqual(second);
		expect(read(decoder, "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565")).toEqual(third);
	});

	test("C.4 requests with Huffman coding", () => {
		const decoder = new HpackDecoder(4096);
		expect(read(decoder, "828684418cf1e3c2e5f23a6ba0ab90f4ff")).toEqual(first);
		expect(read(decoder, "828684be5886a8eb10649cbf")).toEqual(second);
		expect(read(decoder, "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf")).toEqual(third);
	});

	test("C.6 responses with a table of 256 bytes, from which entries fall", () => {
		const decoder = new HpackDecoder(256);
		const common = (status: number, date: number) => [
			`:status: ${status}`,
			"cache-control: private",
			`date: Mon, 21 Oct 2013 20:13:2${date} GMT`,
			"location: https://www.example.com",
		];
		expect(
			read(
				decoder,
				"488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
			),
		).toEqual(common(302, 1));
		expect(read(decoder, "4883640effc1c0bf")).toEqual(common(307, 1));
		expect(
			read(
				decoder,
				"88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
			),
		).toEqual([
			...common(200, 2),
			"content-encoding: gzip",
			"set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
		]);
	});
});

describe("what is refused", () => {
	test.each([
		["§2.3.3 index 0", "80"],
		["§2.3.3 an index behind the tables", "be"],
		["§2.3.3 a name behind the tables", "7e0161"],
		["§5.1 an integer without an end", "ffffffffffff7f"],
		["§5.1 an integer that is cut off", "ff"],
		["§5.2 a string longer than its block", "4003616263"],
		["§5.2 the end of the string within a string", "408161 84ffffffff"],
		["§5.2 padding of eight bits", "408161 82 1fff"],
		["§5.2 padding that is not all ones", "400161 81 18"],
		["§6.3 a table larger than SETTINGS_HEADER_TABLE_SIZE", "3fe21f"],
		["§4.2 a change of the table's size behind a field", "8220"],
	])("%s", (_title, block) => {
		expect(new HpackDecoder(4096).decode(hex(block), limits).kind).toBe("bad");
	});

	test("§4.2 a table of no size keeps nothing", () => {
		const decoder = new HpackDecoder(4096);
		read(decoder, "4001610162");
		expect(read(decoder, "be")).toEqual(["a: b"]);
		expect(read(decoder, "20 4001610162")).toEqual(["a: b"]);
		expect(decoder.decode(hex("be"), limits).kind).toBe("bad");
	});

	test("§4.4 an entry larger than the table empties it", () => {
		const decoder = new HpackDecoder(64);
		read(decoder, "4001610162");
		read(decoder, Buffer.concat([hex("40016140"), Buffer.alloc(64, 0x78)]));
		expect(decoder.decode(hex("be"), limits).kind).toBe("bad");
	});

	test("RFC 9113 §10.5.1 a list over its limits is read to its end, and the table stays in step", () => {
		const decoder = new HpackDecoder(4096);
		const list = decoder.decode(hex("4001610162 be be 4001630164"), { listBytes: 100, fields: 100 });
		expect(list).toEqual({
			kind: "fields",
			fields: [
				["a", "b"],
				["a", "b"],
			],
			over: true,
		});
		expect(read(decoder, "be bf")).toEqual(["c: d", "a: b"]);
		const few = new HpackDecoder(4096).decode(hex("828682"), { listBytes: 1000, fields: 2 });
		expect(few.kind === "fields" && few.over && few.fields.length).toBe(2);
	});
});

test("a long-lived table keeps what fits and nothing else", () => {
	const decoder = new HpackDecoder(4096);
	for (let count = 0; count < 10_000; count++) {
		const name = `n${count % 1000}`;
		const block = Buffer.from(`\x40${String.fromCharCode(name.length)}${name}\x01v`, "latin1");
		expect(read(decoder, Buffer.concat([block, hex("be")]))).toEqual([`${name}: v`, `${name}: v`]);
	}
	// 4096 / (32 + 4 + 1) entries and not one more: index 62 is the newest.
	expect(read(decoder, Buffer.from([0x80 | (61 + 110)]))).toHaveLength(1);
	expect(decoder.decode(Buffer.from([0xff, 61 + 111 - 127]), limits).kind).toBe("bad");
});

test("what is encoded is decoded to the same", () => {
	const text = fc.string({
		unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
		maxLength: 300,
	});
	const name = fc.oneof(fc.constantFrom("age", "set-cookie", "x-varnish", ":status", "via"), text);
	fc.assert(
		fc.property(
			fc.array(fc.tuple(name, text), { maxLength: 20 }),
			fc.integer({ min: 100, max: 999 }),
			(fields, status) => {
				const block =
					encodeStatus(String(status)) + fields.map(([each, value]) => encodeField(each, value)).join("");
				const list = new HpackDecoder(0).decode(Buffer.from(block, "latin1"), limits);
				expect(list).toEqual({
					kind: "fields",
					fields: [[":status", String(status)], ...fields],
					over: false,
				});
			},
		),
	);
});

test("appendix B: codes of several lengths", () => {
	const codes: readonly (readonly [symbol: number, code: number, bits: number])[] = [
		[0x30, 0x0, 5],
		[0x58, 0xfc, 8],
		[0x7e, 0x1ffd, 13],
		[0x09, 0xffffea, 24],
		[0xff, 0x3ffffee, 26],
		[0x0a, 0x3ffffffc, 30],
		[0x16, 0x3ffffffe, 30],
	];
	const bits = codes.map(([, code, length]) => code.toString(2).padStart(length, "0")).join("");
	const padded = bits.padEnd(Math.ceil(bits.length / 8) * 8, "1");
	const bytes = Uint8Array.from(padded.match(/.{8}/g)!.map((each) => Number.parseInt(each, 2)));
	const out = new Uint8Array(longestDecoded(bytes.length));
	expect(decodeHuffman(bytes, 0, bytes.length, out)).toBe(codes.length);
	expect([...out.subarray(0, codes.length)]).toEqual(codes.map(([symbol]) => symbol));
});
