/** SNMPv2-MIB system group (RFC 3418) and the engine of SNMP-FRAMEWORK-MIB (RFC 3411). */
import type { Facts } from "../../box/facts.ts";
import { bytes, gauge, integer, objectId, type Part, parseOid, scalar, text, ticks } from "../view.ts";
import { DROVER_OID } from "./drover.ts";

const SYSTEM = "1.3.6.1.2.1.1";
const ENGINE = "1.3.6.1.6.3.10.2.1";
/** RFC 3418: internet(3) and end-to-end(4) layers: 2^(3-1) + 2^(4-1). */
const SERVICES = 12;
/** The largest message the agent takes. */
const MAX_MESSAGE_BYTES = 65_507;

export function systemTree({ host, agent }: Facts): Part[] {
	return [
		scalar(`${SYSTEM}.1`, text(host.description)),
		scalar(`${SYSTEM}.2`, objectId(parseOid(DROVER_OID))),
		scalar(`${SYSTEM}.3`, ticks(agent.upMs)),
		scalar(`${SYSTEM}.4`, text(agent.contact)),
		scalar(`${SYSTEM}.5`, text(host.hostName)),
		scalar(`${SYSTEM}.6`, text(agent.location)),
		scalar(`${SYSTEM}.7`, integer(SERVICES)),
		scalar(`${ENGINE}.1`, bytes(agent.engineId)),
		scalar(`${ENGINE}.2`, integer(agent.engineBoots)),
		scalar(`${ENGINE}.3`, integer(agent.upMs / 1000)),
		scalar(`${ENGINE}.4`, gauge(MAX_MESSAGE_BYTES)),
	];
}
