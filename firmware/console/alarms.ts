/** What needs a person's attention, most urgent first. Pure. */
import type { ConsoleFacts } from "./facts.ts";
import { amount, duration } from "./quantity.ts";
import { endpointText } from "./servers/name.ts";

/** With less than this a commit, a log or a backup may not fit. */
const LEAST_DATA_BYTES = 4_000_000;

/** What somebody took out by hand stays out: it is not to be forgotten. */
function overrides({ director }: ConsoleFacts): string[] {
	const servers = director.kind === "running" ? director.status.virtualServers : [];
	const out = servers.flatMap(({ realServers }) => realServers.filter(({ override }) => override));
	const [only] = out;
	if (only === undefined) return [];
	const text =
		out.length > 1
			? `${out.length} real servers are drained or in maintenance`
			: `${endpointText(only)} is ${only.override === "maintenance" ? "in maintenance" : "drained"}`;
	return [`${text} (3 Virtual servers)`];
}

export function alarms(facts: ConsoleFacts): string[] {
	const found: string[] = [];
	if (facts.slotState === "trial")
		found.push("The firmware is on trial: it goes back by itself unless it does what the old one did");
	if (facts.reverted !== null) found.push(facts.reverted);
	if (facts.data?.kind === "memory")
		found.push(
			"The data partition does not mount: what is set here is gone at the next restart; a factory reset makes an empty one (9 Firmware)",
		);
	else if (facts.data !== null && facts.data.freeBytes < LEAST_DATA_BYTES)
		found.push(
			`The data partition is full (${amount(facts.data.freeBytes)} left): delete what lies below /data (11 Shell)`,
		);
	const { pending } = facts.revision;
	if (pending !== null) {
		const left = duration(Math.max(0, pending.deadlineMs - facts.nowMs) / 1000);
		found.push(`Revision ${pending.revision} is taken back in ${left} unless confirmed (6 Configuration)`);
	}
	for (const { service, text } of facts.crashing) found.push(`Service ${service} keeps ending: ${text}`);
	if (facts.vrrp.kind === "silent") found.push(`High availability does not run: ${facts.vrrp.reason}`);
	else
		for (const instance of facts.vrrp.status.instances) {
			if (instance.state === "FAULT") found.push(`${instance.name} is in FAULT: ${instance.reason}`);
			if (instance.resigned) found.push(`${instance.name} was told to give up (4 High availability)`);
			if (instance.conflict !== null) found.push(`${instance.name}: second master: ${instance.conflict}`);
		}
	if (facts.director.kind === "silent") found.push(`Balancing does not run: ${facts.director.reason}`);
	else {
		const { ipvsError, reload, virtualServers } = facts.director.status;
		if (reload?.ok === false) found.push(`The new configuration was refused: ${reload.message}`);
		if (ipvsError !== null) found.push(`The kernel's IPVS does not answer: ${ipvsError}`);
		for (const server of virtualServers) {
			if (server.onSorryServer) found.push(`${server.name} is on its sorry server`);
			else if (server.totalRealServers > 0 && server.aliveRealServers === 0)
				found.push(`${server.name} has no live real server`);
			else if (!server.quorumUp) found.push(`${server.name} is below its quorum of ${server.quorum}`);
			for (const real of server.realServers)
				if (real.path !== null && !real.path.ok) {
					const { detail } = real.path;
					// It is its own next hop where no router is between.
					const subject = detail.startsWith(`${real.address} `) ? "" : `${real.address} `;
					found.push(`${server.name}: ${subject}${detail}`);
				}
		}
	}
	found.push(...overrides(facts));
	if (facts.cache?.kind === "silent") found.push(`The cache does not answer: ${facts.cache.reason}`);
	if (facts.password === "none") found.push("No password is set: whoever is at this line is in (10 Access)");
	for (const port of facts.ports) if (port.enabled && !port.carrier) found.push(`${port.name} has no link`);
	return found;
}
