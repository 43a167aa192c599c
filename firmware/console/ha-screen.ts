/** High availability as a list: instances, who is master, who else takes part. Pure. */
import type { VrrpInstanceStatus, VrrpStatus } from "../status/vrrp.ts";
import { duration } from "./quantity.ts";
import { cut, printable, wrap } from "./wrap.ts";

export function haScreen(status: VrrpStatus, nowMs: number): string[] {
	if (status.instances.length === 0) return ["No VRRP instance is configured."];
	return [
		...status.instances.flatMap((instance, index) => instanceLines(instance, index + 1, nowMs)),
		...status.syncGroups.map(({ name, state }) => `    sync group ${cut(name, 40)}: ${state}`),
	];
}

function instanceLines(instance: VrrpInstanceStatus, number: number, nowMs: number): string[] {
	const head = `${String(number).padStart(3)} ${cut(instance.name, 20).padEnd(12)} ${instance.state.padEnd(7)} `;
	const indent = " ".repeat(6);
	const since = duration((nowMs - instance.sinceMs) / 1000);
	const priority =
		instance.effectivePriority === instance.basePriority
			? `priority ${instance.basePriority}`
			: `priority ${instance.effectivePriority} (of ${instance.basePriority})`;
	const interval = `adverts every ${instance.advertIntervalMs / 1000} s`;
	return [
		...wrap(
			`for ${since}, ${priority}, VRID ${instance.virtualRouterId} on ${instance.interface}, VRRPv${instance.version}, ${interval}`,
			head,
			indent,
		),
		...(instance.reason === "" ? [] : wrap(instance.reason, indent)),
		...wrap(instance.virtualAddresses.join(" "), `${indent}addresses: `, indent),
		...wrap(peerWords(instance), `${indent}peers: `, indent),
		...(instance.resigned ? wrap('told to give up until "take-over"', indent) : []),
		...(instance.conflict === null ? [] : wrap(`! second master: ${instance.conflict}`, indent)),
	];
}

/** Backups are silent: of the others only a master is ever heard. */
function peerWords(instance: VrrpInstanceStatus): string {
	const configured = instance.unicastPeers ?? [];
	const way = configured.length > 0 ? configured.join(" ") : "whoever listens to the group";
	if (instance.state === "MASTER") return `${way} (backups are silent)`;
	if (instance.masterAddress === null) return `${way}; no master is heard`;
	const priority = instance.masterPriority === null ? "" : `, priority ${instance.masterPriority}`;
	return `${way}; master ${printable(instance.masterAddress)}${priority}`;
}
