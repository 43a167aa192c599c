/** The settings by their names, as `drover config set` takes them: `ssh.enabled`, `port[eth0].addresses`. Pure. */

import { z } from "zod";
import { type TomlPath, valueAt } from "../toml.ts";
import { fieldsAt, keysAt } from "./findings.ts";
import { applianceSchema } from "./schema.ts";

/** All that can be set in a file that says `value`: each of its sections that have names or numbers, and a new one, `[+]`. */
export function settingPaths(value: unknown): readonly string[] {
	const walk = (path: TomlPath, text: string): readonly string[] => {
		const keys = keysAt(applianceSchema, path);
		if (keys.length > 0)
			return keys.flatMap((key) => walk([...path, key], text === "" ? key : `${text}.${key}`));
		if (!fieldsAt(applianceSchema, [...path, 0]).some((type) => type instanceof z.ZodObject)) return [text];
		const list = valueAt(value, path);
		const sections: readonly { readonly name?: unknown }[] = Array.isArray(list) ? list : [];
		return [
			...sections.flatMap(({ name }, index) =>
				walk([...path, index], `${text}[${typeof name === "string" ? name : index + 1}]`),
			),
			...walk([...path, sections.length], `${text}[+]`),
		];
	};
	return walk([], "");
}
