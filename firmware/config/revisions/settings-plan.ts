/** What another appliance.toml changes on the box, in the operator's words. Pure. */
import { networkPlan } from "../../appliance/network-plan.ts";
import type { ApplianceSettings } from "../../appliance/settings/schema.ts";
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
		if (had[name] === has[name]) continue;
		if (had[name] === null) changes.push(`+ the service ${name} starts`);
		else if (has[name] === null) changes.push(`- the service ${name} ends`);
		else changes.push(`~ the service ${name} starts anew`);
	}
	// What is told above in the box's own words is not told again.
	const { hostname: _h, dns: _d, search: _s, route: _r, port, ...rest } = after;
	const ports = (settings: ApplianceSettings) => settings.port.map(({ name, role }) => ({ name, role }));
	changes.push(
		...leafChanges("port", ports(before), ports(after)),
		...Object.entries(rest).flatMap(([name, value]) =>
			leafChanges(name, before[name as keyof typeof rest], value),
		),
	);
	return changes;
}

const SECRET = /(_password|_hash|communities|community)$/;

/** A line for each setting below `path` that differs. Elements of a list are compared by name, else by place. */
function leafChanges(path: string, before: unknown, after: unknown): string[] {
	if (Bun.deepEquals(before, after)) return [];
	const [had, has] = [sections(before), sections(after)];
	if (had !== null || has !== null) {
		const names = new Set([...Object.keys(had ?? {}), ...Object.keys(has ?? {})]);
		return [...names].flatMap((name) => leafChanges(`${path}${name}`, had?.[name], has?.[name]));
	}
	const show = (value: unknown) => (SECRET.test(path) && value !== undefined ? "(not shown)" : shown(value));
	if (before === undefined) return [`+ ${path}: ${show(after)}`];
	if (after === undefined) return [`- ${path}`];
	return [`~ ${path}: ${show(before)} → ${show(after)}`];
}

/** What lies in a section or a list of sections, by how it is written behind the path; null for a plain value. */
function sections(value: unknown): Readonly<Record<string, unknown>> | null {
	if (typeof value !== "object" || value === null) return null;
	if (!Array.isArray(value))
		return Object.fromEntries(Object.entries(value).map(([key, inner]) => [`.${key}`, inner]));
	if (!value.some((entry) => typeof entry === "object")) return null;
	return Object.fromEntries(value.map((entry, index) => [`[${entry.name ?? index + 1}]`, entry]));
}

function shown(value: unknown): string {
	if (Array.isArray(value)) return value.join(", ") || "none";
	return typeof value === "boolean" ? (value ? "on" : "off") : String(value) || "none";
}
