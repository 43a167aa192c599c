/**
 * DROVER-MIB (mib/DROVER-MIB.txt): what no other MIB has: slots, updates, revisions,
 * watchdog, cache. The branch is under net-snmp's playground for local experiments until the project
 * has an enterprise number of its own.
 */
import type { Facts } from "../../box/facts.ts";
import { counter32, counter64, gauge, integer, type Part, scalar, text, truth } from "../view.ts";

export const DROVER_OID = "1.3.6.1.4.1.8072.9999.9999.7068";

export function droverTree({ firmware, agent, vrrp, director, cache }: Facts): Part[] {
	return [
		scalar(`${DROVER_OID}.1.1`, text(firmware.version)),
		scalar(`${DROVER_OID}.1.2`, text(firmware.slot)),
		scalar(`${DROVER_OID}.1.3`, text(firmware.slotReason)),
		scalar(`${DROVER_OID}.1.4`, text(firmware.lastUpdate)),
		scalar(`${DROVER_OID}.1.5`, truth(firmware.reverted)),
		scalar(`${DROVER_OID}.1.6`, integer(firmware.configRevision)),
		scalar(`${DROVER_OID}.1.7`, gauge(firmware.commitTimerSeconds)),
		scalar(`${DROVER_OID}.1.8`, truth(firmware.watchdogArmed)),
		scalar(`${DROVER_OID}.1.9`, truth(vrrp !== null)),
		scalar(`${DROVER_OID}.1.10`, truth(director !== null)),
		scalar(`${DROVER_OID}.1.11`, truth(firmware.onTrial)),
		scalar(`${DROVER_OID}.1.12`, counter32(agent.notificationsLost)),
		scalar(`${DROVER_OID}.1.13`, truth(cache !== null)),
		scalar(`${DROVER_OID}.1.14`, counter64(cache?.requests ?? 0)),
		scalar(`${DROVER_OID}.1.15`, counter64(cache?.hits ?? 0)),
		scalar(`${DROVER_OID}.1.16`, counter64(cache?.misses ?? 0)),
		scalar(`${DROVER_OID}.1.17`, gauge((cache?.recentHitRatio ?? 0) * 10_000)),
	];
}
