/**
 * `static_routes` and `static_rules` while the service runs, `virtual_routes` and `virtual_rules` while their router
 * is master. What somebody else deletes is back at once, and the log says who it was; what the kernel drops with a
 * link is back with the link. keepalived gives mastership up for a moment instead, and takes it again. Those with
 * `no_track` are left alone until they are held anew.
 */
import type { RouteConfig, VrrpInstanceConfig } from "../config/model.ts";
import type { RecentProcesses } from "../kernel/process-events.ts";
import { parseRuleWords } from "../kernel/route-rule.ts";
import { parseRouteWords } from "../kernel/route-words.ts";
import {
	type ChangeResult,
	type Route,
	type RouteEvent,
	RouteMonitor,
	type Rule,
	sameRoute,
	sameRule,
} from "../kernel/rtnetlink.ts";
import { systemRouteNames } from "../kernel/system-route-names.ts";
import type { LogLine } from "./address-keeper.ts";
import { culprit } from "./culprit.ts";
import type { KernelView } from "./kernel-view.ts";
import { RepairPace } from "./repair-pace.ts";

interface Wanted extends Pick<VrrpInstanceConfig, "virtualRoutes" | "virtualRules"> {
	/** Where names of tables and the like are looked up. */
	readonly nameFolders: readonly string[];
}

/** As it is written, and as the kernel has it. */
interface Entry<T> {
	readonly config: RouteConfig;
	readonly kernel: T;
}

interface Held {
	readonly wanted: Wanted;
	readonly routes: readonly Entry<Route>[];
	readonly rules: readonly Entry<Rule>[];
}

/** Changes of interfaces come in bursts; a route needs the address that its gateway is reached by. */
const RESTORE_AFTER_MS = 50;

export class RouteKeeper {
	readonly #view: KernelView;
	readonly #processes: RecentProcesses | null;
	readonly #log: LogLine;
	/** By router. */
	readonly #held = new Map<string, Held>();
	readonly #pace = new RepairPace(() => this.restore());
	/** While something is held: where routing daemons work, every change of the table costs. */
	#monitor: RouteMonitor | null = null;
	#restoring: ReturnType<typeof setTimeout> | null = null;

	constructor(view: KernelView, processes: RecentProcesses | null, log: LogLine) {
		this.#view = view;
		this.#processes = processes;
		this.#log = log;
	}

	/** Makes it so. All are added again at every call, as keepalived does at a reload, so that drift is repaired. */
	hold(key: string, wanted: Wanted): void {
		if (wanted.virtualRoutes.length + wanted.virtualRules.length === 0) {
			this.release(key);
			return;
		}
		const before = this.#held.get(key);
		const held = this.#parse(wanted, (text) => this.#log("error", text));
		this.#held.set(key, held);
		this.#monitor ??= RouteMonitor.open(
			["route", "rule"],
			(event) => this.#onEvent(event),
			() => this.restoreSoon(),
		);
		if (before !== undefined) this.#delete(before);
		this.#report(this.#view.netlink.addRoutes(kernelOf(held.routes), "replace"));
		this.#report(this.#view.netlink.addRules(kernelOf(held.rules)));
	}

	release(key: string): void {
		const held = this.#held.get(key);
		if (held === undefined) return;
		this.#held.delete(key);
		this.#delete(held);
		if (this.#held.size === 0) this.close();
	}

	/** An interface has changed, which may have cost routes, or may give those that could not be had. */
	restoreSoon(): void {
		if (this.#held.size === 0) return;
		this.#restoring ??= setTimeout(() => {
			this.#restoring = null;
			this.restore();
		}, RESTORE_AFTER_MS);
	}

	/** Puts back whatever is missing. What cannot be had now waits for the next change of an interface. */
	restore(): void {
		for (const [key, { wanted }] of this.#held) {
			const held = this.#parse(wanted, () => {});
			this.#held.set(key, held);
			for (const title of this.#add(tracked(held.routes), tracked(held.rules)))
				this.#log("info", `${title} was missing; it is back`);
		}
	}

	close(): void {
		this.#monitor?.close();
		this.#monitor = null;
		this.#pace.close();
		if (this.#restoring !== null) clearTimeout(this.#restoring);
		this.#restoring = null;
	}

	#onEvent(event: RouteEvent): void {
		const { portId } = event.origin;
		if (event.change !== "delete" || portId === this.#view.netlink.portId) return;
		for (const { routes, rules } of this.#held.values()) {
			const lostRoutes =
				event.kind === "route" ? tracked(routes).filter(({ kernel }) => sameRoute(kernel, event.route)) : [];
			const lostRules =
				event.kind === "rule" ? tracked(rules).filter(({ kernel }) => sameRule(kernel, event.rule)) : [];
			if (lostRoutes.length + lostRules.length === 0) continue;
			// The kernel takes them with their link or address, and would not have them back before that is.
			if (portId === 0) this.restoreSoon();
			else if (this.#pace.take())
				for (const title of this.#add(lostRoutes, lostRules))
					this.#log("warn", `${title} was deleted by ${culprit(portId, this.#processes)}; it is back`);
		}
	}

	/** What nobody holds any more: a reload may have given a route to another router, or to the box. */
	#delete({ routes, rules }: Pick<Held, "routes" | "rules">): void {
		const { netlink } = this.#view;
		const held = [...this.#held.values()];
		const heldRules = held.flatMap((one) => one.rules);
		const heldRoutes = held.flatMap((one) => one.routes);
		this.#report(netlink.deleteRules(kernelOf(withoutThose(rules, heldRules))));
		this.#report(netlink.deleteRoutes(kernelOf(withoutThose(routes, heldRoutes))));
	}

	/** Returns what was not there, in words. */
	#add(routes: readonly Entry<Route>[], rules: readonly Entry<Rule>[]): string[] {
		const { netlink } = this.#view;
		const added = (
			kind: "route" | "rule",
			entries: readonly Entry<Route | Rule>[],
			results: readonly ChangeResult[],
		) =>
			entries.flatMap(({ config }, index) =>
				results[index]!.kind === "done" ? [`${kind} ${config.words.join(" ")}`] : [],
			);
		return [
			...added("route", routes, netlink.addRoutes(kernelOf(routes), "exclusive")),
			...added("rule", rules, netlink.addRules(kernelOf(rules))),
		];
	}

	/** Anew each time: an interface that comes back has another number. */
	#parse(wanted: Wanted, onUnusable: (text: string) => void): Held {
		const context = {
			interfaceIndex: (name: string) => this.#view.link(name)?.index ?? null,
			names: systemRouteNames(wanted.nameFolders),
		};
		const parsed = <T>(
			items: readonly RouteConfig[],
			parse: (
				words: readonly string[],
				family: "inet" | "inet6",
			) => { kind: "ok"; value: T } | { kind: "error"; message: string },
		): Entry<T>[] =>
			items.flatMap((config) => {
				const result = parse(config.words, config.family);
				if (result.kind === "ok") return [{ config, kernel: result.value }];
				onUnusable(`${config.words.join(" ")}: ${result.message}`);
				return [];
			});
		return {
			wanted,
			routes: parsed(wanted.virtualRoutes, (words, family) => parseRouteWords(words, family, context)),
			rules: parsed(wanted.virtualRules, (words, family) => parseRuleWords(words, family, context)),
		};
	}

	#report(results: readonly ChangeResult[]): void {
		for (const result of results) if (result.kind === "refused") this.#log("error", result.error.message);
	}
}

function kernelOf<T>(entries: readonly Entry<T>[]): T[] {
	return entries.map(({ kernel }) => kernel);
}

function tracked<T>(entries: readonly Entry<T>[]): Entry<T>[] {
	return entries.filter(({ config }) => !config.noTrack);
}

function withoutThose<T>(entries: readonly Entry<T>[], others: readonly Entry<T>[]): Entry<T>[] {
	const kept = new Set(others.map(({ kernel }) => text(kernel)));
	return entries.filter(({ kernel }) => !kept.has(text(kernel)));
}

/** A rule's tunnel id is a bigint. */
function text(value: unknown): string {
	return JSON.stringify(value, (_, field) => (typeof field === "bigint" ? `${field}` : field));
}
