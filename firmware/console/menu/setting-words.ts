/** Answers that become settings: read, and refused in the settings' own words. Pure. */
import type { z } from "zod";
import { UsageError } from "../usage-error.ts";

/** The text, once `schema` takes it. */
export const word =
	(schema: z.ZodType<string>) =>
	(text: string): string => {
		const read = schema.safeParse(text);
		if (!read.success) throw new UsageError(`"${text.slice(0, 40)}" ${read.error.issues[0]!.message}`);
		return text;
	};

/** Several, between blanks or commas, as `config set` takes them; "none" is an empty list. */
export const words =
	(schema: z.ZodType<string>) =>
	(text: string): string => {
		if (text === "none" || text === "-") return "";
		return text
			.split(/[\s,]+/)
			.filter((entry) => entry !== "")
			.map(word(schema))
			.join(",");
	};

export function onOff(text: string): string {
	if (/^(on|y|yes)$/i.test(text)) return "on";
	if (/^(off|n|no)$/i.test(text)) return "off";
	throw new UsageError("on or off");
}

/** `otherwise`: what else may be answered, for the refusal. */
export const wholeNumber =
	(least: number, most: number, otherwise = "") =>
	(text: string): string => {
		if (!/^\d{1,9}$/.test(text) || Number(text) < least || Number(text) > most)
			throw new UsageError(`a number from ${least} to ${most} ${otherwise}`.trimEnd());
		return text;
	};

export const oneOf =
	(...choices: readonly string[]) =>
	(text: string): string => {
		if (!choices.includes(text)) throw new UsageError(`it is ${choices.join(" or ")}`);
		return text;
	};

export const listText = (list: readonly string[]) => (list.length === 0 ? "none" : list.join(" "));
export const switchText = (on: boolean) => (on ? "on" : "off");
