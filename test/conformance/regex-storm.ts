/**
 * A storm of regular expressions, run by hand, beside PCRE2 itself: whether each compiles and what is said of it, what it
 * finds, and what its groups hold, from the beginning and as regsuball() goes on. Prints where they differ.
 *
 *   bun test/conformance/regex-storm.ts [SEED] [PATTERNS]
 */
import { patternFrom, trialsFrom } from "../cache/vcl/pattern-writer.ts";
import { judge } from "../cache/vcl/pcre2-judge.ts";
import { randomFrom } from "../sim/random.ts";

/** Shortest examples of a kind that are printed. */
const SHOWN_LIMIT = 4;

const [seed = 1, patterns = 20_000] = process.argv.slice(2).map(Number);
const kinds = new Map<string, string[]>();
const outcomes = new Map<string, number>();
for (let number = 0; number < patterns; number++) {
	const random = randomFrom(seed * 1_000_003 + number);
	const { outcome, differences } = judge(patternFrom(random), trialsFrom(random));
	outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
	for (const { kind, shown } of differences) kinds.set(kind, [...(kinds.get(kind) ?? []), shown]);
}
console.log([...outcomes].map(([outcome, count]) => `${count} ${outcome}`).join(", "));
console.log(`${kinds.size} kinds of differences`);
for (const [kind, shown] of kinds) {
	console.log(`${String(shown.length).padStart(6)} x ${kind}`);
	shown.sort((a, b) => a.length - b.length);
	for (const each of shown.slice(0, SHOWN_LIMIT)) console.log(`         ${each}`);
}
process.exit(kinds.size === 0 ? 0 : 1);
