/** `drover ha`: VRRP instances and their peers, a forced failover, and why one is master or backup. */
import { parseArgs } from "node:util";
import { call } from "../bus/client.ts";
import type { TimelineEntry } from "../status/timeline.ts";
import type { VrrpStatus } from "../status/vrrp.ts";
import type { CommandHelp } from "./command-help.ts";
import { print, runCommand } from "./command-line.ts";
import { whyInstance } from "./explain-screen.ts";
import { haScreen } from "./ha-screen.ts";
import { NameError } from "./servers/name.ts";
import { whole } from "./servers/words.ts";
import { UsageError } from "./usage-error.ts";

export const help: CommandHelp = {
	usage: [
		"ha [--json]",
		"ha why [INSTANCE] [--count N] [--json]",
		"ha failover [INSTANCE]",
		"ha take-over [INSTANCE]",
	],
	about: "VRRP instances: what they are, since when, and why. Without INSTANCE all of them are meant.",
	words: [
		["why", "what was seen when, from whom, and which rule made the decision"],
		["failover", "gives mastership up at once; does not take it back until told to take over"],
		["take-over", "becomes master, or undoes a failover"],
		["--count N", "why: how many entries of the story (40)"],
		["--json", "for programs"],
	],
	examples: [
		["ha why VI_1", "why VI_1 is master or backup"],
		["ha failover", "everything to the peer, before work on this box"],
	],
};

const WHY_COUNT = 40;
const WHY_COUNT_LIMIT = 1_000;
const SETTLED_WITHIN_MS = 5_000;
const LOOK_EVERY_MS = 200;

export async function main(words: readonly string[]): Promise<number> {
	return runCommand("ha", help, words, async () => {
		const { values, positionals } = parseArgs({
			args: [...words],
			options: { json: { type: "boolean" }, count: { type: "string" } },
			allowPositionals: true,
		});
		const [action = "list", name, ...rest] = positionals;
		if (rest.length > 0) throw new UsageError(`what is "${rest[0]}"?`);
		const json = values.json ?? false;
		const status = await call<VrrpStatus>("vrrp", "status");
		const chosen = status.instances.filter((instance) => name === undefined || instance.name === name);
		if (chosen.length === 0 && name !== undefined)
			throw new NameError(
				`there is no instance "${name}"; there ${status.instances.length === 1 ? "is" : "are"} ${status.instances.map((each) => each.name).join(", ") || "none"}`,
			);
		switch (action) {
			case "list":
				print(json, status, () => haScreen({ ...status, instances: chosen }, Date.now()));
				return 0;
			case "why": {
				const count = whole(values.count ?? String(WHY_COUNT), 1, WHY_COUNT_LIMIT, "--count");
				const stories = await Promise.all(
					chosen.map(async (instance) => ({
						instance,
						timeline: await call<readonly TimelineEntry[]>("vrrp", "timeline", {
							instance: instance.name,
							count,
						}),
					})),
				);
				print(json, stories, () =>
					stories.length === 0
						? ["No VRRP instance is configured."]
						: stories.flatMap(({ instance, timeline }) => [
								...whyInstance(instance, timeline, Date.now()),
								"",
							]),
				);
				return 0;
			}
			case "failover":
			case "take-over":
				return command(
					action,
					chosen.map((each) => each.name),
				);
			default:
				throw new UsageError(`there is no "${action}": why, failover, take-over`);
		}
	});
}

/** Says it, and waits until the box is what it was told to be. */
async function command(action: "failover" | "take-over", names: readonly string[]): Promise<number> {
	if (names.length === 0) throw new NameError("no VRRP instance is configured");
	await call("vrrp", action === "failover" ? "resign" : "take-over", { instances: names });
	const deadline = performance.now() + SETTLED_WITHIN_MS;
	const arrived = (state: string) => (action === "failover" ? state !== "MASTER" : state === "MASTER");
	for (;;) {
		const { instances } = await call<VrrpStatus>("vrrp", "status");
		const states = instances.filter(({ name }) => names.includes(name));
		const done = states.every(({ state }) => arrived(state));
		if (done || performance.now() > deadline) {
			for (const { name, state } of states) console.log(`${name} is ${state} now.`);
			if (action === "failover" && done)
				console.log('It stays so until "drover ha take-over", or until the peer is gone.');
			return done ? 0 : 1;
		}
		await Bun.sleep(LOOK_EVERY_MS);
	}
}
