/** What happened on the box, and the notifications (RFC 3416 §4.2.6) that tell of it. Pure. */
import type { VrrpInstanceConfig } from "../../../config/model.ts";
import { protocolName, realServerName, virtualServerName } from "../../../director/names.ts";
import type { Facts, InterfaceFacts } from "../../box/facts.ts";
import type { DirectorEvent } from "../../director.ts";
import { type ProtocolError, stateNumbers, type VrrpStateName, type VrrpTransition } from "../../vrrp.ts";
import { DROVER_OID } from "../tree/drover.ts";
import { KEEPALIVED_OID } from "../tree/keepalived/words.ts";
import { protocolErrors, VRRPV3_OID } from "../tree/vrrpv3.ts";
import { type Instance, integer, type Oid, parseOid, scalar, text, type Value, type View } from "../view.ts";

/** What the agent tells without being asked. */
export type BoxEvent =
	/** "warm": the agent alone was started anew. */
	| { readonly kind: "start"; readonly warm: boolean }
	| { readonly kind: "link"; readonly name: string; readonly up: boolean }
	| { readonly kind: "authentication-failure" }
	| { readonly kind: "vrrp"; readonly event: VrrpTransition }
	| { readonly kind: "protocol-error"; readonly instance: string; readonly error: ProtocolError }
	/** Stopped: the service ends, the state is INIT. */
	| {
			readonly kind: "sync-group";
			readonly name: string;
			readonly state: VrrpStateName;
			readonly stopped?: boolean;
	  }
	| { readonly kind: "director"; readonly event: DirectorEvent }
	| { readonly kind: "update"; readonly what: UpdateStep; readonly detail: string }
	| { readonly kind: "commit"; readonly what: CommitStep; readonly revision: number }
	| { readonly kind: "crash-loop"; readonly service: string };

export type UpdateStep = "installed" | "confirmed" | "reverted";
export type CommitStep = "waits" | "confirmed" | "taken-back" | "changed";

export interface Notification {
	/** The value of snmpTrapOID.0. */
	readonly oid: Oid;
	/** What follows sysUpTime.0 and snmpTrapOID.0. */
	readonly varbinds: readonly Instance[];
	/** sysUpTime when it happened, milliseconds. */
	readonly upMs: number;
}

/** SNMPv2-MIB and IF-MIB (RFC 3418 §2, RFC 2863 §6): snmpTraps. */
const SNMP_TRAPS = "1.3.6.1.6.3.1.1.5";
const IF_ENTRY = "1.3.6.1.2.1.2.2.1";
const VRRP = `${KEEPALIVED_OID}.2`;
const CHECK = `${KEEPALIVED_OID}.3`;
const ROUTER_ID = `${KEEPALIVED_OID}.1.2`;
/**
 * KEEPALIVED-MIB: vrrpTraps, checkTraps. keepalived 2.2.7 sends the same objects in the same order, but without the
 * row behind them: a manager that looks for its names finds both.
 */
const VRRP_TRAPS = `${VRRP}.10.0`;
const CHECK_TRAPS = `${CHECK}.5.0`;
const VRRPV3_NEW_MASTER = `${VRRPV3_OID}.0.1`;
const VRRPV3_PROTOCOL_ERROR = `${VRRPV3_OID}.0.2`;
const VRRPV3_STATISTICS_ENTRY = `${VRRPV3_OID}.1.2.5.1`;
const DROVER_TRAPS = `${DROVER_OID}.0`;

const updateTraps: Readonly<Record<UpdateStep, number>> = { installed: 1, confirmed: 2, reverted: 3 };
const commitTraps: Readonly<Record<CommitStep, number>> = {
	waits: 4,
	confirmed: 5,
	"taken-back": 6,
	changed: 7,
};
/** VrrpState of KEEPALIVED-MIB, in notifications alone. */
const SHUTDOWN = 5;
const DELETED = 6;
/** virtualServerQuorumStatus, in notifications alone. */
const QUORUM_SHUTDOWN = 3;
const CRASH_LOOP_TRAP = 8;
const DRIFT_TRAP = 9;

/** What this event is about is not there any more: only a look before it can show that. */
export function isOfTheGone(event: BoxEvent): boolean {
	if (event.kind === "director") return event.event.stopped === true;
	return event.kind === "vrrp" && event.event.deleted === true;
}

/** `facts` and `view` are of one look, taken after the event, or before it when it is `isOfTheGone`. */
export function notificationsOf(event: BoxEvent, facts: Facts, view: View): Notification[] {
	const make = (oid: string, varbinds: readonly (Instance | null)[]): Notification => ({
		oid: parseOid(oid),
		varbinds: varbinds.filter((varbind) => varbind !== null),
		upMs: facts.agent.upMs,
	});
	const found = (oid: string, ...index: number[]) => view.get([...parseOid(oid), ...index]);
	switch (event.kind) {
		case "start":
			return [make(`${SNMP_TRAPS}.${event.warm ? 2 : 1}`, [])];
		case "authentication-failure":
			return [make(`${SNMP_TRAPS}.5`, [])];
		case "link": {
			const port = facts.interfaces.find(({ name }) => name === event.name);
			return port === undefined
				? []
				: [make(`${SNMP_TRAPS}.${event.up ? 4 : 3}`, link(port, event.up, found))];
		}
		case "vrrp":
			return vrrp(event.event, facts, found, make);
		case "protocol-error": {
			// RFC 6527 §7: what it was, in the row of who met it.
			const instance = facts.config?.vrrpInstances.find(({ name }) => name === event.instance);
			const index = instance === undefined ? null : vrrpv3Index(instance, facts);
			if (index === null) return [];
			const what = cell(VRRPV3_STATISTICS_ENTRY, 6, index, integer(protocolErrors[event.error]));
			return [make(VRRPV3_PROTOCOL_ERROR, [what])];
		}
		case "sync-group": {
			const row = rowOf(facts.config?.syncGroups, ({ name }) => name === event.name);
			if (row === null) return [];
			const state = cell(`${VRRP}.1.1`, 3, [row], stateValue(event.state, event.stopped));
			return [make(`${VRRP_TRAPS}.1`, [found(`${VRRP}.1.1.2`, row), state, found(ROUTER_ID, 0)])];
		}
		case "director":
			return director(event.event, facts, found, make);
		case "update":
			return [
				make(`${DROVER_TRAPS}.${updateTraps[event.what]}`, [
					found(`${DROVER_OID}.1.2`, 0),
					scalar(`${DROVER_OID}.1.4`, text(event.detail)),
				]),
			];
		case "commit":
			return [
				make(`${DROVER_TRAPS}.${commitTraps[event.what]}`, [
					scalar(`${DROVER_OID}.1.6`, integer(event.revision)),
					found(`${DROVER_OID}.1.7`, 0),
				]),
			];
		case "crash-loop":
			return [make(`${DROVER_TRAPS}.${CRASH_LOOP_TRAP}`, [reason(event.service)])];
	}
}

const stateValue = (state: VrrpStateName, stopped = false) =>
	integer(stopped ? SHUTDOWN : stateNumbers[state]);

type Found = (oid: string, ...index: number[]) => Instance | null;
type Make = (oid: string, varbinds: readonly (Instance | null)[]) => Notification;

const cell = (entry: string, column: number, index: Oid, value: Value): Instance => ({
	oid: [...parseOid(entry), column, ...index],
	value,
});
/** droverReason: accessible for notifications alone. */
const reason = (words: string) => scalar(`${DROVER_OID}.1.100`, text(words));

/** A table's row, counted from one; null when there is none. */
function rowOf<T>(rows: readonly T[] | undefined, wanted: (row: T) => boolean): number | null {
	const index = rows?.findIndex(wanted) ?? -1;
	return index < 0 ? null : index + 1;
}

/** RFC 2863 §6: ifIndex, ifAdminStatus, ifOperStatus; and the name, since an index tells nobody anything. */
function link({ index }: InterfaceFacts, up: boolean, found: Found): (Instance | null)[] {
	return [
		found(`${IF_ENTRY}.1`, index),
		found(`${IF_ENTRY}.7`, index),
		cell(IF_ENTRY, 8, [index], integer(up ? 1 : 2)),
		found(`${IF_ENTRY}.2`, index),
	];
}

/** Interface, VRID and family (RFC 6527 §7: the index of VRRPV3-MIB's tables); null without that interface. */
function vrrpv3Index(
	{ interface: name, virtualRouterId, family }: VrrpInstanceConfig,
	{ interfaces }: Facts,
): Oid | null {
	const port = interfaces.find((each) => each.name === name);
	return port === undefined ? null : [port.index, virtualRouterId, family === "inet" ? 1 : 2];
}

function vrrp(
	{ instance, to, stopped, deleted }: VrrpTransition,
	facts: Facts,
	found: Found,
	make: Make,
): Notification[] {
	const { config } = facts;
	const row = rowOf(config?.vrrpInstances, ({ name }) => name === instance);
	if (row === null) return [];
	const entry = `${VRRP}.3.1`;
	const changed = make(`${VRRP_TRAPS}.2`, [
		found(`${entry}.2`, row),
		cell(entry, 4, [row], deleted === true && to === "INIT" ? integer(DELETED) : stateValue(to, stopped)),
		found(`${entry}.5`, row),
		found(ROUTER_ID, 0),
	]);
	if (to !== "MASTER") return [changed];
	const index = vrrpv3Index(config!.vrrpInstances[row - 1]!, facts);
	if (index === null) return [changed];
	// RFC 6527 §7: the master's address, and why it is the new one.
	const newMaster = [
		found(`${VRRPV3_OID}.1.1.1.1.3`, ...index),
		found(`${VRRPV3_STATISTICS_ENTRY}.2`, ...index),
	];
	return [changed, make(VRRPV3_NEW_MASTER, newMaster)];
}

function director(event: DirectorEvent, { config }: Facts, found: Found, make: Make): Notification[] {
	if (event.kind === "drift")
		return [make(`${DROVER_TRAPS}.${DRIFT_TRAP}`, [reason(`${event.virtualServer}: ${event.reason}`)])];
	const row = rowOf(config?.virtualServers, (server) => virtualServerName(server) === event.virtualServer);
	if (row === null) return [];
	const server = config!.virtualServers[row - 1]!;
	const virtual = (column: number) => found(`${CHECK}.3.1.${column}`, row);
	// The MIB: group name, firewall mark, or address, as the type says.
	const which = { group: [3], fwmark: [4], address: [5, 6, 7] }[server.name.kind].map(virtual);
	const state = integer(event.up ? 1 : 2);
	if (event.kind === "quorum")
		return [
			make(`${CHECK_TRAPS}.2`, [
				virtual(2),
				virtual(8),
				cell(`${CHECK}.3.1`, 23, [row], event.stopped === true ? integer(QUORUM_SHUTDOWN) : state),
				virtual(22),
				virtual(21),
				virtual(20),
				found(ROUTER_ID, 0),
				...which,
			]),
		];
	const member = rowOf(
		server.realServers,
		(each) => realServerName(each, protocolName(server)) === event.realServer,
	);
	if (member === null) return [];
	const real = (column: number) => found(`${CHECK}.4.1.${column}`, row, member);
	return [
		make(`${CHECK_TRAPS}.1`, [
			real(3),
			real(4),
			real(5),
			cell(`${CHECK}.4.1`, 6, [row, member], state),
			virtual(2),
			virtual(8),
			virtual(21),
			virtual(20),
			found(ROUTER_ID, 0),
			...which,
		]),
	];
}
