/**
 * After a crash a real server stands as it stood in the kernel's table until its checks have spoken: neither is
 * a dead one tried on clients, nor does `alpha` empty a table that serves. Pure but for what it remembers.
 */
import type { VirtualServerConfig } from "../config/model.ts";
import { destinationKeyText, type IpvsTable, serviceKeyText } from "../wire/ipvs.ts";
import { destinationKeyOf, serviceKeyOf } from "./desired.ts";
import { initialVerdict, type VerdictOf } from "./pool.ts";

export class Adoption {
	/** Places in the configuration of members that stand as the kernel had them, by `virtualServerKey`. */
	readonly #members = new Map<string, Set<number>>();

	/** Nobody is waited for any more. */
	get isOver(): boolean {
		return this.#members.size === 0;
	}

	has(key: string, member: number): boolean {
		return this.#members.get(key)?.has(member) === true;
	}

	/** Those that are still waited for; `hasSpoken` may be called on the way. */
	members(): { readonly key: string; readonly member: number }[] {
		return [...this.#members].flatMap(([key, members]) => [...members].map((member) => ({ key, member })));
	}

	hasSpoken(key: string, member: number): void {
		const members = this.#members.get(key);
		if (members?.delete(member) === true && members.size === 0) this.#members.delete(key);
	}

	forget(key: string): void {
		this.#members.delete(key);
	}

	/** The verdicts that a virtual server opens with, given the table that an earlier run left. */
	verdictsAtStart(key: string, config: VirtualServerConfig, left: IpvsTable): VerdictOf {
		const verdictOf = (member: number) => initialVerdict(config.realServers[member]!);
		if (left.size === 0) return verdictOf;
		const serving = new Set<number>();
		let found = false;
		for (const address of config.services) {
			const entry = left.get(serviceKeyText(serviceKeyOf(config, address)));
			if (entry === undefined) continue;
			found = true;
			const live = new Set(
				entry.destinations.filter(({ weight }) => weight > 0).map((row) => destinationKeyText(row)),
			);
			config.realServers.forEach((server, member) => {
				if (live.has(destinationKeyOf(server, address))) serving.add(member);
			});
		}
		if (!found) return verdictOf;
		return (member: number) => {
			const verdict = verdictOf(member);
			const server = config.realServers[member]!;
			if (server.checks.length === 0 || server.weight === 0) return verdict;
			const alive = serving.has(member);
			if (alive !== verdict.alive) {
				const members = this.#members.get(key) ?? new Set();
				this.#members.set(key, members.add(member));
			}
			return { alive, weight: verdict.weight };
		};
	}
}
