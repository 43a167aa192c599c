/** Item 5: the HTTP cache. Pure. */
import { UsageError } from "../usage-error.ts";
import { agree, askFor, type Dialogue, facts, run, say } from "./dialogue.ts";
import { submenu } from "./submenu.ts";

export function* cacheMenu(): Dialogue {
	if ((yield* facts()).cache === null)
		yield* say(['No cache is set up: section [cache] of appliance.toml ("10 Access" edits it).']);
	yield* submenu("cache", "Cache", [
		{ label: "State and hit rate", command: "cache status", dialogue: () => show("status") },
		{ label: "Top URLs", command: "cache top", dialogue: () => show("top") },
		{
			label: "Why is a URL a hit or a miss?",
			command: "cache why URL",
			*dialogue() {
				const target = yield* askFor("URL", url);
				if (target !== null) yield* run(["cache", "why", target]);
			},
		},
		{
			label: "Purge one URL",
			command: "cache purge URL",
			*dialogue() {
				const target = yield* askFor("URL", url);
				if (target !== null) yield* run(["cache", "purge", target]);
			},
		},
		{
			label: "Ban by an expression",
			command: "cache ban EXPRESSION",
			*dialogue() {
				const expression = yield* askFor("Expression, such as req.url ~ ^/news/", (text) => text);
				if (expression === null) return;
				if (yield* agree("Everything that it matches is fetched anew. Do it?"))
					yield* run(["cache", "ban", expression]);
			},
		},
	]);
}

function* show(word: string): Dialogue {
	yield* run(["cache", word]);
}

function url(text: string): string {
	if (/\s/.test(text) || text.startsWith("-"))
		throw new UsageError(`"${text.slice(0, 30)}" is no URL, such as www.example.org/news`);
	return text;
}
