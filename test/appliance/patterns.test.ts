/** The patterns of the JSON schema refuse what the box refuses, and nothing else. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { patterns } from "../../firmware/appliance/settings/patterns.ts";
import {
	addressWithPrefix,
	address as addressWord,
	domain,
	host,
	listener,
	network,
	size,
} from "../../firmware/appliance/settings/words.ts";
import { settingsJsonSchema } from "../../firmware/appliance/settings.ts";
import { formatAddress } from "../../firmware/wire/ip.ts";

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const group = fc.stringMatching(/^[0-9a-fA-F]{0,5}$/);
const address = fc.oneof(
	fc.constantFrom(
		"",
		"::",
		"1.2.3",
		"::ffff:1.2.3.4",
		"1:2:3:4:5:6:1.2.3.4",
		"1:2:3:4:5:6:7::",
		"fe80::1%eth0",
		"01.2.3.4",
	),
	bytes(4).map(formatAddress),
	bytes(16).map(formatAddress),
	fc.array(fc.nat(260), { minLength: 3, maxLength: 5 }).map((parts) => parts.join(".")),
	fc
		.tuple(fc.array(group, { maxLength: 9 }), fc.array(group, { maxLength: 4 }))
		.map(([a, b]) => `${a.join(":")}::${b.join(":")}`),
	fc.array(group, { minLength: 6, maxLength: 9 }).map((groups) => groups.join(":")),
	fc.tuple(fc.array(group, { maxLength: 8 }), bytes(4)).map(([a, b]) => `${a.join(":")}:${formatAddress(b)}`),
);
const label = fc.stringMatching(/^[a-zA-Z0-9_-]{0,64}$/);
const number = fc
	.oneof(fc.nat(140), fc.nat(70_000))
	.chain((value) => fc.nat(2).map((zeros) => "0".repeat(zeros) + value));
const taken = { address: addressWord, addressWithPrefix, network, domain, host, listener, size };
const samples: Readonly<Record<keyof typeof patterns, fc.Arbitrary<string>>> = {
	address,
	addressWithPrefix: fc.tuple(address, number).map((parts) => parts.join("/")),
	network: fc.oneof(
		address,
		fc.tuple(address, number).map((parts) => parts.join("/")),
	),
	domain: fc.array(label, { maxLength: 6 }).map((labels) => labels.join(".")),
	host: fc.oneof(
		address,
		fc.array(label, { maxLength: 6 }).map((labels) => labels.join(".")),
	),
	listener: fc
		.tuple(
			fc.oneof(
				address,
				address.map((text) => `[${text}]`),
			),
			number,
		)
		.map((parts) => parts.join(":")),
	size: fc.tuple(number, fc.constantFrom("", "K", "m", "G", "t", "P", "MB")).map((parts) => parts.join("")),
};

test.each(Object.keys(samples) as (keyof typeof samples)[])("%s", (kind) => {
	const pattern = new RegExp(patterns[kind]);
	fc.assert(
		fc.property(samples[kind], (text) => pattern.test(text) === taken[kind].safeParse(text).success),
		{ numRuns: 3_000 },
	);
});

test("each has its definition in the schema", () => {
	const { $defs } = settingsJsonSchema() as { $defs: Record<string, { pattern: string }> };
	expect(Object.fromEntries(Object.entries($defs).map(([kind, { pattern }]) => [kind, pattern]))).toEqual(
		patterns,
	);
});
