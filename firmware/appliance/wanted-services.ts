/** Which services appliance.toml switches on. Pure. */
import type { ApplianceSettings } from "./settings/schema.ts";

/** Name of each such service, and its mark: what it depends on, as text; null: it is not wanted. */
export function wantedServices(settings: ApplianceSettings): Readonly<Record<string, string | null>> {
	const { hostname, port, snmp, metrics, syslog, ntp, ssh, user } = settings;
	const mark = (isWanted: boolean, dependsOn: unknown) => (isWanted ? JSON.stringify(dependsOn) : null);
	return {
		snmp: mark(snmp.enabled, { snmp, port }),
		metrics: mark(metrics.enabled, { metrics, port }),
		syslog: mark(syslog.receivers.length > 0, { syslog, hostname }),
		ntp: mark(ntp.servers.length > 0, { ntp }),
		// Open sessions outlive a restart of the process that listens.
		sshd: mark(ssh.enabled, { ssh, user }),
	};
}
