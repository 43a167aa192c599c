/**
 * The members of a shard director. What a program changes is gathered, and takes effect all at once: when it calls
 * reconfigure, or when the task is over. Members keep the replicas that they came in with. Pure.
 */
import type { Director } from "../runtime.ts";

export interface ShardMember {
	readonly backend: Director;
	/** What its points on the circle are made of. */
	readonly ident: string;
	/** Null: the director's own. */
	readonly rampupSeconds: number | null;
	/** How many points it has. */
	readonly replicas: number;
}

export type ShardChange =
	| {
			readonly kind: "add";
			readonly backend: Director;
			/** Null: the backend's name. */
			readonly ident: string | null;
			readonly rampupSeconds: number | null;
			/** At least 1; that many times the replicas. */
			readonly weight: number;
	  }
	| {
			readonly kind: "remove";
			/** Null: whichever has the ident; with an ident it does not count. */
			readonly backend: Director | null;
			readonly ident: string | null;
	  }
	| { readonly kind: "clear" };

/** `replicas`: of a new member of weight 1. `notice` is told of members that were there already. */
export function withChanges(
	members: readonly ShardMember[],
	changes: readonly ShardChange[],
	replicas: number,
	notice: (text: string) => void,
): readonly ShardMember[] {
	let list = members;
	for (const change of changes)
		switch (change.kind) {
			case "clear":
				list = [];
				break;
			case "remove":
				list = list.filter(({ backend, ident }) =>
					change.ident === null ? backend !== change.backend : ident !== change.ident,
				);
				break;
			case "add": {
				const { backend, rampupSeconds, weight } = change;
				const ident = change.ident ?? backend.name;
				const there = list.find((each) => each.ident === ident);
				if (there === undefined)
					list = [...list, { backend, ident, rampupSeconds, replicas: Math.trunc(replicas * weight) }];
				else {
					const own = there.ident === there.backend.name ? "" : `/${there.ident}`;
					notice(`backend ${there.backend.name}${own} already exists - skipping`);
				}
				break;
			}
			default:
				return change satisfies never;
		}
	return list;
}
