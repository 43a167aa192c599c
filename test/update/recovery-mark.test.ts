/** Where password recovery is forbidden, every way in which the data can be lost, and every order of events before it. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { formatEnvironment, parseEnvironment } from "../../firmware/update/environment.ts";
import {
	isLockedForGood,
	nextRecoveryMark,
	type RecoveryFacts,
	recoveryIsAllowed,
	recoveryIsMarkedForbidden,
	withRecoveryMark,
} from "../../firmware/update/recovery-mark.ts";
import { factorySlots, readSlots, writeSlots } from "../../firmware/update/slots.ts";

const facts = (allowed: boolean | null, hasPassword: boolean): RecoveryFacts => ({ allowed, hasPassword });
const nothingLeft = facts(null, false);

test("a new box, and one that may be recovered, are set up whatever becomes of the data", () => {
	for (const before of [facts(null, false), facts(true, false), facts(true, true), facts(null, true)]) {
		const marked = nextRecoveryMark(before, false);
		expect(marked).toBe(false);
		expect(recoveryIsAllowed(nothingLeft, marked)).toBe(true);
		expect(isLockedForGood(nothingLeft, marked)).toBe(false);
	}
});

test("forbidden by a preset before there is a password: the first start asks for one, then it holds", () => {
	const preset = facts(false, false);
	const marked = nextRecoveryMark(preset, false);
	expect(isLockedForGood(preset, marked)).toBe(false);
	expect(nextRecoveryMark(facts(false, true), marked)).toBe(true);
});

test("forbidden with a password: it holds for every part of the data that may be lost", () => {
	const marked = nextRecoveryMark(facts(false, true), false);
	for (const left of [nothingLeft, facts(null, true), facts(false, false), facts(false, true)]) {
		expect(recoveryIsAllowed(left, marked)).toBe(false);
		expect(isLockedForGood(left, marked)).toBe(!left.hasPassword);
		// Starting with what is left takes nothing back.
		expect(nextRecoveryMark(left, marked)).toBe(true);
	}
});

test("allowed again by a commit: the mark goes", () => {
	expect(nextRecoveryMark(facts(true, true), true)).toBe(false);
	// A cut between the commit and the mark: what was committed counts.
	expect(recoveryIsAllowed(facts(true, true), true)).toBe(true);
	expect(isLockedForGood(facts(true, false), true)).toBe(false);
});

test("in the loader's memory, beside the slots and the speed, which stay as they are", () => {
	const before = new Map([...writeSlots(factorySlots("10.20.30")), ["console_speed", "115200"]]);
	fc.assert(
		fc.property(fc.array(fc.boolean(), { maxLength: 5 }), (changes) => {
			let environment: ReadonlyMap<string, string> = before;
			for (const forbidden of changes) {
				environment = parseEnvironment(formatEnvironment(withRecoveryMark(environment, forbidden)))!;
				expect(recoveryIsMarkedForbidden(environment)).toBe(forbidden);
				expect(readSlots(environment)).toEqual(factorySlots("10.20.30"));
				expect(environment.get("console_speed")).toBe("115200");
			}
			// An update and the loader write the slots alone.
			const rewritten = new Map([...environment, ...writeSlots(factorySlots("10.20.31"))]);
			expect(recoveryIsMarkedForbidden(rewritten)).toBe(changes.at(-1) ?? false);
		}),
	);
});
