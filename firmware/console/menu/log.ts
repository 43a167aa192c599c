/** Item 7: what the services wrote, and what happened. Pure. */
import { UsageError } from "../usage-error.ts";
import { askFor, type Dialogue, run } from "./dialogue.ts";
import { submenu } from "./submenu.ts";

export function logMenu(): Dialogue {
	return submenu("log", "Logs and events", [
		{
			label: "Events: elections and servers",
			command: "log events",
			*dialogue() {
				const count = yield* askFor("How many", countText, "20");
				if (count !== null) yield* run(["log", "events", count]);
			},
		},
		{
			label: "Newest lines of all services",
			command: "log COUNT",
			*dialogue() {
				const count = yield* askFor("How many", countText, "20");
				if (count !== null) yield* run(["log", count]);
			},
		},
		{
			label: "Newest lines of one service",
			command: "log COUNT SERVICE",
			*dialogue() {
				const service = yield* askFor(
					"Service: vrrp, director, cache, update, console, shell ...",
					serviceText,
				);
				if (service !== null) yield* run(["log", "40", service]);
			},
		},
		{
			label: "The boot before this one",
			command: "log last COUNT",
			*dialogue() {
				yield* run(["log", "last", "40"]);
			},
		},
		{
			label: "Warnings and errors only",
			command: "log COUNT warn",
			*dialogue() {
				yield* run(["log", "40", "warn"]);
			},
		},
	]);
}

function countText(text: string): string {
	if (!/^\d{1,5}$/.test(text) || Number(text) < 1) throw new UsageError("a number from 1 to 10000");
	return text;
}

function serviceText(text: string): string {
	if (!/^[a-z][a-z0-9-]*$/.test(text)) throw new UsageError("a service's name, such as vrrp");
	return text;
}
