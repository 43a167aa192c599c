/** Which services appliance.toml switches on. Pure. */
import type { ApplianceSettings } from "./settings.ts";

/** Name of each such service, and what it depends on; null: it is not wanted. */
export function wantedServices(settings: ApplianceSettings): Readonly<Record<string, unknown>> {
	const { hostname, port, snmp, metrics, syslog, ntp, ssh, user } = settings;
	return {
		snmp: snmp.enabled ? { snmp, port } : null,
		metrics: metrics.enabled ? { metrics, port } : null,
		syslog: syslog.receivers.length > 0 ? { syslog, hostname } : null,
		ntp: ntp.servers.length > 0 ? { ntp } : null,
		// Open sessions outlive a restart of the process that listens.
		sshd: ssh.enabled ? { ssh, user } : null,
	};
}
