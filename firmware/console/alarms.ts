/** What needs a person's attention, most urgent first. Pure. */
import type { ConsoleFacts } from "./facts.ts";

export function alarms(facts: ConsoleFacts): string[] {
	const found: string[] = [];
	if (facts.vrrp.kind === "silent") found.push(`High availability does not run: ${facts.vrrp.reason}`);
	else
		for (const instance of facts.vrrp.status.instances) {
			if (instance.state === "FAULT") found.push(`${instance.name} is in FAULT: ${instance.reason}`);
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
				if (real.path !== null && !real.path.ok)
					found.push(`${server.name}: ${real.address} ${real.path.detail}`);
		}
	}
	for (const port of facts.ports) if (port.enabled && !port.carrier) found.push(`${port.name} has no link`);
	return found;
}
