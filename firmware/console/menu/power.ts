/** Item 12: restart or power off. Asked by name: on other boxes these two have each other's number. Pure. */

import { UsageError } from "../usage-error.ts";
import { act, askFor, type Dialogue, facts, hostNameTyped, say } from "./dialogue.ts";

export function* powerMenu(given?: "reboot" | "poweroff"): Dialogue {
	const how =
		given ??
		(yield* askFor('"reboot" or "poweroff" (0 goes back)', (text): "reboot" | "poweroff" => {
			if (text === "reboot" || text === "poweroff") return text;
			throw new UsageError('type "reboot" or "poweroff"');
		}));
	if (how === null) return;
	const { vrrp } = yield* facts();
	const masters =
		vrrp.kind === "running" ? vrrp.status.instances.filter(({ state }) => state === "MASTER") : [];
	const sure = yield* hostNameTyped([
		how === "reboot" ? "This box restarts." : "This box switches off, and somebody must switch it on again.",
		masters.length > 0
			? `${masters.map(({ name }) => name).join(", ")}: the addresses go to the peer; connections through NAT end.`
			: "It is master of nothing now.",
	]);
	if (!sure) return;
	yield* say(["Stopping the services."]);
	yield* act({ kind: "end-machine", how });
}
