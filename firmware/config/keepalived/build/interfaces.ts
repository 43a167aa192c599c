/** Settings per interface: pacing of announcements (garp_group) and debouncing (interface_up_down_delays). */
import type { DroverConfig, LinkbeatConfig } from "../../model.ts";
import { parseSeconds } from "../numbers.ts";
import type { Statement } from "../statement.ts";
import { Settings } from "./block.ts";
import type { BuildContext } from "./context.ts";

interface Gap {
	readonly garpMicros: number;
	readonly gnaMicros: number;
}

export class GarpGaps {
	readonly #general: Gap;
	readonly #byInterface = new Map<string, Gap>();

	constructor(general: Gap) {
		this.#general = general;
	}

	set(name: string, gap: Gap): boolean {
		if (this.#byInterface.has(name)) return false;
		this.#byInterface.set(name, gap);
		return true;
	}

	of(name: string | null): Gap {
		return (name === null ? undefined : this.#byInterface.get(name)) ?? this.#general;
	}
}

export function buildGarpGaps(context: BuildContext, groups: readonly Statement[], general: Gap): GarpGaps {
	const gaps = new GarpGaps(general);
	for (const group of groups) {
		const settings = new Settings(group.body!);
		const gap = {
			garpMicros: settings.number("garp_interval") ?? general.garpMicros,
			gnaMicros: settings.number("gna_interval") ?? general.gnaMicros,
		};
		const names = [
			...settings.all("interface").map((statement) => statement.words[0]!),
			...settings.all("interfaces").flatMap((statement) => statement.lines!.flatMap((line) => line.words)),
		];
		if (names.length === 0)
			context.error(group, "incomplete", "garp_group names no interface", "the whole garp_group");
		if (settings.number("garp_interval") === null && settings.number("gna_interval") === null)
			context.error(
				group,
				"incomplete",
				"garp_group has neither garp_interval nor gna_interval",
				"the whole garp_group",
			);
		for (const name of names) {
			context.checkInterface(name, group, "garp_group");
			if (!gaps.set(name, gap))
				context.error(
					group,
					"duplicate-name",
					`garp_group: ${name} is in another garp_group`,
					`${name} in this one`,
				);
		}
	}
	return gaps;
}

export function buildInterfaceDelays(
	context: BuildContext,
	blocks: readonly Statement[],
): DroverConfig["interfaceDelays"] {
	const delays: { interface: string; downMs: number; upMs: number }[] = [];
	for (const line of blocks.flatMap((block) => block.lines!)) {
		const [name, downText, upText] = line.words;
		const down = parseSeconds(downText ?? "");
		const up = upText === undefined ? down : parseSeconds(upText);
		const good = (micros: number) => micros >= 0 && micros <= 255_000_000;
		if (!good(down) || !good(up)) {
			context.error(
				line,
				"bad-argument",
				`interface_up_down_delays: "${line.words.join(" ")}" is not IF DOWN [UP] with seconds from 0 to 255`,
				"the line",
			);
			continue;
		}
		context.checkInterface(name!, line, "interface_up_down_delays");
		delays.push({ interface: name!, downMs: down / 1000, upMs: up / 1000 });
	}
	return delays;
}

const METHODS = { MII: "mii", ETHTOOL: "ethtool", IOCTL: "ioctl" } as const;

/** `linkbeat_interfaces`, and `linkbeat_use_polling` for all instances' interfaces or one's own. */
export function buildLinkbeats(context: BuildContext, root: readonly Statement[]): LinkbeatConfig[] {
	const beats = new Map<string, LinkbeatConfig>();
	const all = root.some(({ keyword }) => keyword.name === "linkbeat_use_polling");
	for (const statement of root) {
		if (statement.keyword.name === "vrrp_instance") {
			const settings = new Settings(statement.body!);
			const name = settings.word("interface");
			if (name !== null && (all || settings.has("linkbeat_use_polling")))
				beats.set(name, { interface: name, method: "mii" });
		}
	}
	for (const statement of root) {
		if (statement.keyword.name !== "linkbeat_interfaces") continue;
		for (const line of statement.lines!) {
			const [name, word = "MII"] = line.words;
			if (!(word in METHODS)) {
				context.error(
					line,
					"bad-argument",
					`linkbeat_interfaces: "${word}" is not MII, ETHTOOL or IOCTL`,
					`"${word}"`,
				);
				continue;
			}
			context.checkInterface(name!, line, "linkbeat_interfaces");
			beats.set(name!, { interface: name!, method: METHODS[word as keyof typeof METHODS] });
		}
	}
	return [...beats.values()];
}
