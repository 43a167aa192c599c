/** The help of a command: what it does, its words, examples. Pure. */
import { wrap } from "./wrap.ts";

export interface CommandHelp {
	/** Each way to call it, without "drover". */
	readonly usage: readonly string[];
	readonly about: string;
	/** Options or words, and what they mean. */
	readonly words?: readonly (readonly [string, string])[];
	/** Examples, and what they do. */
	readonly examples: readonly (readonly [string, string])[];
}

/** At most as wide as a terminal's line. */
export function formatHelp({ usage, about, words = [], examples }: CommandHelp): string {
	const width = Math.max(0, ...words.map(([word]) => word.length));
	const indent = " ".repeat(width + 4);
	return [
		...usage.flatMap((line, index) =>
			wrap(`drover ${line}`, index === 0 ? "usage: " : "       ", " ".repeat(11)),
		),
		"",
		...wrap(about, ""),
		...(words.length > 0 ? [""] : []),
		...words.flatMap(([word, what]) => wrap(what, `  ${word.padEnd(width)}  `, indent)),
		"",
		examples.length > 1 ? "examples:" : "example:",
		...examples.flatMap(([line, what]) => [
			...wrap(`drover ${line}`, "  ", "      "),
			...wrap(what, "      "),
		]),
	].join("\n");
}
