/** BFD control packets, RFC 5880 §4.1 and §6.8.6. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type BfdControl, bfdStates, decodeBfdControl, encodeBfdControl } from "../../firmware/wire/bfd.ts";

const word = fc.nat(0xffff_ffff);
const control: fc.Arbitrary<BfdControl> = fc.record({
	diagnostic: fc.nat(31),
	state: fc.constantFrom(...bfdStates),
	poll: fc.boolean(),
	final: fc.boolean(),
	demand: fc.boolean(),
	detectMultiplier: fc.integer({ min: 1, max: 255 }),
	myDiscriminator: fc.integer({ min: 1, max: 0xffff_ffff }),
	yourDiscriminator: fc.integer({ min: 1, max: 0xffff_ffff }),
	desiredMinTxMicros: word,
	requiredMinRxMicros: word,
});

test("RFC 5880 §4.1: what is written is read", () => {
	fc.assert(
		fc.property(control, (packet) => {
			const bytes = encodeBfdControl(packet);
			expect(bytes.length).toBe(24);
			expect(decodeBfdControl(bytes)).toEqual(packet);
		}),
	);
});

test("RFC 5880 §4.1: the fields lie where they belong", () => {
	const bytes = encodeBfdControl({
		diagnostic: 3,
		state: "Init",
		poll: true,
		final: false,
		demand: false,
		detectMultiplier: 5,
		myDiscriminator: 0x01020304,
		yourDiscriminator: 0x05060708,
		desiredMinTxMicros: 1_000_000,
		requiredMinRxMicros: 10_000,
	});
	expect(Buffer.from(bytes).toString("hex")).toBe("23a0051801020304050607080" + "00f42400000271000000000");
});

const good = () =>
	encodeBfdControl({
		diagnostic: 0,
		state: "Up",
		poll: false,
		final: false,
		demand: false,
		detectMultiplier: 3,
		myDiscriminator: 1,
		yourDiscriminator: 2,
		desiredMinTxMicros: 1,
		requiredMinRxMicros: 1,
	});
const changed = (at: number, ...values: number[]) => {
	const bytes = good();
	bytes.set(values, at);
	return bytes;
};

describe("RFC 5880 §6.8.6: discarded", () => {
	test.each<[string, Uint8Array, string]>([
		["too short", good().subarray(0, 23), "too short"],
		["another version", changed(0, 2 << 5), "version 2"],
		["a length below 24", changed(3, 23), "a length of 23"],
		["a length beyond the payload", changed(3, 25), "a length of 25 in 24 bytes"],
		["multiplier 0", changed(2, 0), "multiplier of 0"],
		["multipoint", changed(1, 0xc1), "multipoint"],
		["authentication", changed(1, 0xc4), "authentication"],
		["no discriminator", changed(4, 0, 0, 0, 0), "discriminator of 0"],
		["Up to nobody", changed(8, 0, 0, 0, 0), "state Up without our discriminator"],
	])("%s", (_title, bytes, words) => {
		expect(decodeBfdControl(bytes)).toContain(words);
	});
	test("Down to nobody is how a session begins", () => {
		expect(decodeBfdControl(changed(1, 0x40, 3, 24, 0, 0, 0, 1, 0, 0, 0, 0))).toMatchObject({
			state: "Down",
		});
	});
});

test("any bytes: a packet or a reason, never an exception", () => {
	fc.assert(
		fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
			const result = decodeBfdControl(bytes);
			if (typeof result !== "string") expect(result.detectMultiplier).toBeGreaterThan(0);
		}),
		{ numRuns: 2_000 },
	);
});
