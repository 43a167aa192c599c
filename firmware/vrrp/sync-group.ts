/**
 * Sync groups: their members are masters together or not at all, and out together. Pure.
 * keepalived's rules: one faulty member makes all faulty; one that loses mastership takes the others
 * along; mastership is taken only when every member wants it.
 */
import type { VrrpStateName } from "../status/vrrp.ts";
import type { Fault, Router } from "./router.ts";

/** May `member` take mastership now? Every other member must be MASTER or want to be. */
export function mayBecomeMaster(member: Router, members: readonly Router[]): boolean {
	return members.every(
		(other) => other.config.name === member.config.name || other.state === "MASTER" || other.wantsMaster,
	);
}

/** What the other members make of one that is out of the election; null when none is. */
export function groupFaultOf(member: Router, members: readonly Router[]): Fault | null {
	const faulty = members.filter(
		({ config, faults }) => config.name !== member.config.name && faults.length > 0,
	);
	const worst = faulty.find(({ faults }) => faults.some(({ pending }) => !pending)) ?? faulty[0];
	if (worst === undefined) return null;
	const cause = worst.faults.find(({ pending }) => !pending) ?? worst.faults[0]!;
	return {
		key: "sync-group",
		detail: `${worst.config.name} of the sync group: ${cause.detail}`,
		pending: worst.faults.every(({ pending }) => pending),
	};
}

/** The group's own state, for notifications. */
export function groupState(members: readonly Router[]): VrrpStateName {
	if (members.some(({ state }) => state === "FAULT")) return "FAULT";
	if (members.length > 0 && members.every(({ state }) => state === "MASTER")) return "MASTER";
	if (members.some(({ state }) => state === "INIT")) return "INIT";
	return "BACKUP";
}
