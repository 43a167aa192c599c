/** The whole of `appliance.toml`, section by section. Pure. */
import { z } from "zod";
import { snmpSchema } from "../../status/snmp/settings.ts";
import { consoleSchema, sshSchema, userSchema } from "./access.ts";
import { portSchema, routeSchema } from "./network.ts";
import { cacheSchema, metricsSchema, ntpSchema, syslogSchema } from "./services.ts";
import { address, domain, hostLabel } from "./words.ts";

export const applianceSchema = z.strictObject({
	hostname: hostLabel.default("drover"),
	dns: z.array(address).max(3).default([]).describe("name servers"),
	search: z.array(domain).max(6).default([]).describe("domains that short names are looked for in"),
	port: z.array(portSchema).max(64).default([]),
	route: z.array(routeSchema).max(1024).default([]),
	ntp: ntpSchema.prefault({}),
	syslog: syslogSchema.prefault({}),
	snmp: snmpSchema.prefault({}),
	metrics: metricsSchema.prefault({}),
	user: z.array(userSchema).max(16).default([]),
	ssh: sshSchema.prefault({}),
	console: consoleSchema.prefault({}),
	cache: cacheSchema.prefault({}),
});

export type ApplianceSettings = z.output<typeof applianceSchema>;
