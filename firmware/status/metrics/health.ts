/** Does the box do its job? For `/healthz`. Pure. */
import type { BoxFacts } from "../box/facts.ts";

/** What is wrong, a line each; empty when nothing is. */
export function illnesses({ vrrp, director }: Pick<BoxFacts, "vrrp" | "director">): string[] {
	if (vrrp === null && director === null) return ["neither VRRP nor the director answers"];
	const found: string[] = [];
	if (vrrp === null) found.push("VRRP does not answer");
	for (const { name, state, reason, conflict } of vrrp?.instances ?? []) {
		if (state === "FAULT") found.push(`${name} is in FAULT: ${reason}`);
		if (conflict !== null) found.push(`${name}: a second master: ${conflict}`);
	}
	if (director === null) found.push("the director does not answer");
	else {
		if (director.ipvsError !== null) found.push(`the kernel's IPVS does not answer: ${director.ipvsError}`);
		for (const server of director.virtualServers)
			if (!server.quorumUp && !server.onSorryServer)
				found.push(`${server.name} is below its quorum of ${server.quorum}`);
	}
	return found;
}
