/** The help of a command: what it does, its words, examples. Pure. */
export interface CommandHelp {
	/** Each way to call it, without "drover". */
	readonly usage: readonly string[];
	readonly about: string;
	/** Options or words, and what they mean. */
	readonly words?: readonly (readonly [string, string])[];
	/** Examples, and what they do. */
	readonly examples: readonly (readonly [string, string])[];
}

export function formatHelp({ usage, about, words = [], examples }: CommandHelp): string {
	const width = Math.max(0, ...words.map(([word]) => word.length));
	return [
		...usage.map((line, index) => `${index === 0 ? "usage: " : "       "}drover ${line}`),
		"",
		about,
		...(words.length > 0 ? ["", ...words.map(([word, what]) => `  ${word.padEnd(width)}  ${what}`)] : []),
		"",
		examples.length > 1 ? "examples:" : "example:",
		...examples.flatMap(([line, what]) => [`  drover ${line}`, `      ${what}`]),
	].join("\n");
}
