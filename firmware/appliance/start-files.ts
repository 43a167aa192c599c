/** The files in /run/drover that appliance.toml makes, for a running box and for its next start. Pure. */
import { networkPlan } from "./network-plan.ts";
import { ntpConfiguration } from "./ntp-configuration.ts";
import type { ApplianceSettings } from "./settings/schema.ts";
import { wantedServices } from "./wanted-services.ts";

/** The lines that `ip -batch` reads. */
export const BATCH_FILE = "network.batch";
/** What a later commit takes away again. */
export const APPLIED_FILE = "network.json";
export const HOST_NAME_FILE = "hostname";
export const NTP_FILE = "ntpd.conf";
export const RESOLVER_FILE = "resolv.conf";

/** Paths from /run/drover, and texts. */
export function startFiles(settings: ApplianceSettings): ReadonlyMap<string, string> {
	const marks = Object.entries(wantedServices(settings)).flatMap(([name, text]) =>
		text === null ? [] : [[`wanted/${name}`, text] as const],
	);
	return new Map([
		[HOST_NAME_FILE, `${settings.hostname}\n`],
		[RESOLVER_FILE, resolverLines(settings)],
		[
			BATCH_FILE,
			networkPlan(settings)
				.map((line) => `${line}\n`)
				.join(""),
		],
		[APPLIED_FILE, JSON.stringify({ port: settings.port, route: settings.route })],
		...(settings.ntp.servers.length > 0 ? [[NTP_FILE, ntpConfiguration(settings.ntp.servers)] as const] : []),
		...marks,
	]);
}

/** resolv.conf(5). */
function resolverLines({ dns, search }: ApplianceSettings): string {
	return [
		...(search.length > 0 ? [`search ${search.join(" ")}\n`] : []),
		...dns.map((server) => `nameserver ${server}\n`),
	].join("");
}
