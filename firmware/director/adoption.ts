/**
 * After a crash a real server stands as it stood in the kernel's table, with the weight that checks gave it, until they
 * have spoken: neither is a dead one tried on clients, nor does `alpha` empty a table that serves. Pure but for what it
 * remembers.
 */
import type { RealServerConfig, VirtualServerConfig } from "../config/model.ts";
import { destinationKeyText, type IpvsTable, serviceKeyText } from "../wire/ipvs.ts";
import { destinationKeyOf, serviceKeyOf } from "./desired.ts";
import type { VerdictOf } from "./pool.ts";

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

	/**
	 * What a virtual server opens with, given the table that an earlier run left, where without one it opens with
	 * `atFirst`; null: the table says nothing of it.
	 */
	stateAtStart(
		key: string,
		config: VirtualServerConfig,
		left: IpvsTable,
		atFirst: VerdictOf,
	): StateAtStart | null {
		const weights = weightsIn(left, config);
		if (weights === null) return null;
		return {
			verdictOf: (member, server) => {
				const initial = atFirst(member, server);
				const weight = weights[member] ?? null;
				// Of one that is to stay with weight 0 when it fails, such a row does not say whether it has failed.
				const isOpen = weight === 0 && server.weight === 0 && server.rules.inhibitOnFailure;
				if (server.checks.length === 0 || isOpen) return initial;
				const alive = weight !== null && (weight > 0 || !server.rules.inhibitOnFailure);
				const verdict = { alive, weight: alive && isWeighed(server) ? weight! : initial.weight };
				if (verdict.alive !== initial.alive || verdict.weight !== initial.weight) {
					const members = this.#members.get(key) ?? new Set();
					this.#members.set(key, members.add(member));
				}
				return verdict;
			},
			// Without a sorry server one without its quorum serves, too.
			quorumHeld: config.sorryServer !== null && weights.some((weight) => weight !== null && weight > 0),
		};
	}
}

export interface StateAtStart {
	readonly verdictOf: VerdictOf;
	/** It had its quorum, which `hysteresis` may let it keep. */
	readonly quorumHeld: boolean;
}

/** Whether checks have a say in its weight. */
const isWeighed = ({ checks }: RealServerConfig) =>
	checks.some((check) => check.kind === "FILE_CHECK" || (check.kind === "MISC_CHECK" && check.dynamicWeight));

/** By place in the configuration, the weights of a virtual server's rows; null when it has no service in the table. */
function weightsIn(table: IpvsTable, config: VirtualServerConfig): readonly (number | null)[] | null {
	let weights: (number | null)[] | null = null;
	for (const address of config.services) {
		const entry = table.get(serviceKeyText(serviceKeyOf(config, address)));
		if (entry === undefined) continue;
		const rows = new Map(entry.destinations.map((row) => [destinationKeyText(row), row.weight]));
		const before: readonly (number | null)[] = weights ?? [];
		weights = config.realServers.map((server, member) => {
			const weight = rows.get(destinationKeyOf(server, address)) ?? null;
			const other = before[member] ?? null;
			return weight === null || other === null ? (weight ?? other) : Math.max(weight, other);
		});
	}
	return weights;
}
