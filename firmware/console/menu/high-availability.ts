/** Item 4: VRRP instances, why they are what they are, and a forced failover. Pure. */
import type { VrrpInstanceStatus } from "../../status/vrrp.ts";
import { haScreen } from "../ha-screen.ts";
import { choose, type Dialogue, facts, hostNameTyped, run, say } from "./dialogue.ts";
import { submenu } from "./submenu.ts";

export function highAvailabilityMenu(): Dialogue {
	return submenu("ha", "High availability", [
		{
			label: "Instances and peers",
			command: "ha",
			*dialogue() {
				const { vrrp, nowMs } = yield* facts();
				yield* say(vrrp.kind === "running" ? haScreen(vrrp.status, nowMs) : [silent(vrrp.reason)]);
			},
		},
		{
			label: "Why master, why backup?",
			command: "ha why INSTANCE",
			*dialogue() {
				const instance = yield* pick();
				if (instance !== null) yield* run(["ha", "why", instance.name]);
			},
		},
		{ label: "Force a failover", command: "ha failover", dialogue: failover },
		{
			label: "Take over, or end a failover",
			command: "ha take-over",
			*dialogue() {
				yield* run(["ha", "take-over"]);
			},
		},
	]);
}

const silent = (reason: string) => `High availability does not run: ${reason}`;

function* pick(): Dialogue<VrrpInstanceStatus | null> {
	const { vrrp, nowMs } = yield* facts();
	if (vrrp.kind === "silent") {
		yield* say([silent(vrrp.reason)]);
		return null;
	}
	yield* say(haScreen(vrrp.status, nowMs));
	return yield* choose("Which instance", vrrp.status.instances);
}

function* failover(): Dialogue {
	const { vrrp } = yield* facts();
	if (vrrp.kind === "silent") return yield* say([silent(vrrp.reason)]);
	const masters = vrrp.status.instances.filter(({ state }) => state === "MASTER");
	if (masters.length === 0)
		return yield* say(["This box is master of nothing: there is nothing to give up."]);
	const names = masters.map(({ name }) => name).join(", ");
	const sure = yield* hostNameTyped([
		`${names}: the addresses go to the peer, and stay there until told otherwise.`,
		"If no peer listens, nobody has them for some seconds.",
	]);
	if (sure) yield* run(["ha", "failover"]);
}
