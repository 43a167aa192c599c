/** Backends: what is known of them, and what the operator says of them. */
import type { Manager } from "../../manager/manager.ts";
import { type Commands, globMatches, json, ok, refuse, table } from "../command.ts";
import { Status } from "../protocol.ts";

function backendRows(manager: Manager, pattern: string): { vcl: string; backend: string; key: string }[] {
	const rows: { vcl: string; backend: string; key: string }[] = [];
	for (const vcl of manager.vcls.values())
		for (const backend of vcl.compiled.backends) {
			// `backend NAME none;` is nowhere: there is nothing to say of it.
			if (backend.endpoint.kind === "none") continue;
			const key = `${vcl.name}.${backend.name}`;
			const active = manager.labels.get(manager.active ?? "") ?? manager.active;
			if (
				pattern === ""
					? vcl.name === active
					: globMatches(pattern.includes(".") ? pattern : `${active}.${pattern}`, key)
			)
				rows.push({ vcl: vcl.name, backend: backend.name, key });
		}
	return rows;
}

export const backendCommands: Commands = {
	"backend.list": {
		syntax: "backend.list [-j] [-p] [<backend_pattern>]",
		about: "List backends.",
		minimum: 0,
		maximum: 2,
		json: true,
		child: true,
		run(context) {
			const { manager, words } = context;
			const details = words.includes("-p");
			const pattern = words.find((word) => word !== "-p") ?? "";
			const rows = [["Backend name", "Admin", "Probe", "Health", "Last change"]];
			const blocks: string[] = [];
			const payload: Record<string, unknown> = {};
			for (const { key } of backendRows(manager, pattern)) {
				const probe = manager.probes.get(key);
				const admin = manager.admin.get(key) ?? "auto";
				// What the operator says of it stands in the column before.
				const healthy = manager.isThoughtHealthy(key);
				const shownAdmin = admin === "auto" ? (probe === undefined ? "healthy" : "probe") : admin;
				const changed = manager.backendsSince.get(key) ?? manager.startedAt;
				rows.push([
					key,
					shownAdmin,
					probe === undefined ? "0/0" : `${probe.good}/${probe.window}`,
					healthy ? "healthy" : "sick",
					new Date(changed * 1000).toUTCString(),
				]);
				blocks.push(details && probe !== undefined ? probe.details() : "");
				payload[key] = {
					type: "backend",
					admin_health: shownAdmin,
					probe_message:
						probe === undefined
							? [0, 0, healthy ? "healthy" : "sick"]
							: [probe.good, probe.window, healthy ? "healthy" : "sick"],
					...(details ? { probe_details: probe?.figures() ?? {} } : {}),
					last_change: Number(changed.toFixed(3)),
				};
			}
			if (context.json) return json(context, 3, payload);
			const lines = table(rows).split("\n");
			return ok(
				lines
					.map((line, index) => (line === "" ? "" : `${line}\n${index > 0 ? (blocks[index - 1] ?? "") : ""}`))
					.join(""),
			);
		},
	},
	"backend.set_health": {
		syntax: "backend.set_health <backend_pattern> [auto|healthy|sick]",
		about: "Set health status of backend(s) matching <backend_pattern>.",
		minimum: 2,
		maximum: 2,
		child: true,
		run({ manager, words }) {
			const [pattern, word] = words as [string, string];
			const state = word.toLowerCase();
			if (state !== "auto" && state !== "healthy" && state !== "sick")
				return refuse(Status.parameter, `Invalid state ${word}`);
			const rows = backendRows(manager, pattern);
			if (rows.length === 0) return refuse(Status.parameter, "No Backends matches");
			for (const { key } of rows) {
				manager.admin.set(key, state);
				manager.backendsSince.set(key, Date.now() / 1000);
				manager.sendHealth(key);
			}
			return ok();
		},
	},
};
