/** What another appliance.toml changes on the box, in the operator's words. Pure. */
import { networkPlan } from "../../appliance/network-plan.ts";
import type { ApplianceSettings } from "../../appliance/settings.ts";
import { wantedServices } from "../../appliance/wanted-services.ts";

export function settingsChanges(before: ApplianceSettings, after: ApplianceSettings): string[] {
	const changes: string[] = [];
	if (before.hostname !== after.hostname)
		changes.push(`~ the host name: ${before.hostname} → ${after.hostname}`);
	const lines = (settings: ApplianceSettings) =>
		networkPlan(settings).map((line) => line.replace(" replace", ""));
	const [old, now] = [lines(before), lines(after)];
	changes.push(
		...old.filter((line) => !now.includes(line)).map((line) => `- ${line}`),
		...now.filter((line) => !old.includes(line)).map((line) => `+ ${line}`),
	);
	if (JSON.stringify([before.dns, before.search]) !== JSON.stringify([after.dns, after.search]))
		changes.push(`~ name servers: ${after.dns.join(", ") || "none"}`);
	const [had, has] = [wantedServices(before), wantedServices(after)];
	for (const name of Object.keys(has)) {
		if (JSON.stringify(had[name]) === JSON.stringify(has[name])) continue;
		if (had[name] === null) changes.push(`+ the service ${name} starts`);
		else if (has[name] === null) changes.push(`- the service ${name} ends`);
		else changes.push(`~ the service ${name} starts anew`);
	}
	const rest = ({ user, ssh, console, cache }: ApplianceSettings) => ({ user, ssh, console, cache });
	for (const [name, value] of Object.entries(rest(after)))
		if (JSON.stringify(value) !== JSON.stringify(rest(before)[name as keyof ReturnType<typeof rest>]))
			changes.push(`~ the settings of ${name}`);
	return changes;
}
