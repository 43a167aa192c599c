/** `virtual_routes` and `virtual_rules`: in the kernel while their router is master. */
import type { VrrpInstanceConfig } from "../config/model.ts";
import { systemRouteNames } from "../kernel/route-names.ts";
import { parseRuleWords } from "../kernel/route-rule.ts";
import { parseRouteWords } from "../kernel/route-words.ts";
import type { ChangeResult, Route, Rule } from "../kernel/rtnetlink.ts";
import type { LogLine } from "./address-keeper.ts";
import type { KernelView } from "./kernel-view.ts";

interface Held {
	readonly routes: readonly Route[];
	readonly rules: readonly Rule[];
}

export class RouteKeeper {
	readonly #view: KernelView;
	readonly #log: LogLine;
	readonly #held = new Map<string, Held>();

	constructor(view: KernelView, log: LogLine) {
		this.#view = view;
		this.#log = log;
	}

	/** keepalived adds all of them again at every reload, so that drift is repaired. */
	hold(key: string, instance: Pick<VrrpInstanceConfig, "virtualRoutes" | "virtualRules">): void {
		if (instance.virtualRoutes.length + instance.virtualRules.length === 0) {
			this.release(key);
			return;
		}
		const context = {
			interfaceIndex: (name: string) => this.#view.link(name)?.index ?? null,
			names: systemRouteNames(),
		};
		const parsed = <T>(
			items: VrrpInstanceConfig["virtualRoutes"],
			parse: (
				words: readonly string[],
				family: "inet" | "inet6",
			) => { kind: "ok"; value: T } | { kind: "error"; message: string },
		): T[] =>
			items.flatMap(({ words, family }) => {
				const result = parse(words, family);
				if (result.kind === "ok") return [result.value];
				this.#log("error", `${words.join(" ")}: ${result.message}`);
				return [];
			});
		const wanted: Held = {
			routes: parsed(instance.virtualRoutes, (words, family) => parseRouteWords(words, family, context)),
			rules: parsed(instance.virtualRules, (words, family) => parseRuleWords(words, family, context)),
		};
		const before = this.#held.get(key);
		if (before !== undefined && JSON.stringify(before) !== JSON.stringify(wanted)) this.release(key);
		this.#held.set(key, wanted);
		this.#report(this.#view.netlink.addRoutes(wanted.routes, "replace"));
		this.#report(this.#view.netlink.addRules(wanted.rules));
	}

	release(key: string): void {
		const held = this.#held.get(key);
		if (held === undefined) return;
		this.#held.delete(key);
		this.#report(this.#view.netlink.deleteRules(held.rules));
		this.#report(this.#view.netlink.deleteRoutes(held.routes));
	}

	#report(results: readonly ChangeResult[]): void {
		for (const result of results) if (result.kind === "refused") this.#log("error", result.error.message);
	}
}
