/** Backends and directors: what is known of them, and what the operator says of them. */
import type { Manager } from "../../manager/manager.ts";
import type { DirectorReport } from "../../vcl/runtime.ts";
import { type Commands, globMatches, json, ok, refuse, table } from "../command.ts";
import { Status } from "../protocol.ts";

/** One of them, as its row shows it. */
interface Listed {
	readonly key: string;
	readonly type: string;
	/** Whether it is judged at all, when the operator does not say. */
	readonly isJudged: boolean;
	readonly probe: readonly [good: number, of: number];
	readonly healthy: boolean;
	/** Seconds since 1970. */
	readonly changedAt: number;
	/** What `-p` shows below it: lines, and rows of the same table. */
	readonly below: readonly (string | readonly string[])[];
	/** The same for programs; null: nothing is said. */
	readonly figures: Readonly<Record<string, unknown>> | null;
}

function listedBackend(manager: Manager, key: string): Listed {
	const probe = manager.probes.get(key);
	return {
		key,
		type: "backend",
		isJudged: probe !== undefined,
		probe: probe === undefined ? [0, 0] : [probe.good, probe.window],
		// What the operator says of it stands in the column before.
		healthy: manager.isThoughtHealthy(key),
		changedAt: manager.backendsSince.get(key) ?? manager.startedAt,
		below: probe === undefined ? [] : probe.details(),
		figures: probe?.figures() ?? {},
	};
}

function listedDirector(manager: Manager, key: string, report: DirectorReport): Listed {
	return {
		key,
		type: report.type,
		isJudged: report.members !== null,
		probe: report.members ?? [0, 0],
		healthy: report.healthy,
		changedAt: Math.max(report.changedAt, manager.startedAt),
		below: report.table.length === 0 ? [] : ["", ...report.table.map((row) => ["", ...row]), ""],
		figures: report.members === null ? null : report.figures,
	};
}

/** Those that `pattern` means; without one, those of the active VCL. */
async function listed(manager: Manager, pattern: string): Promise<readonly Listed[]> {
	const active = manager.labels.get(manager.active ?? "") ?? manager.active;
	const isMeant = (vcl: string, key: string) =>
		pattern === ""
			? vcl === active
			: globMatches(pattern.includes(".") ? pattern : `${active}.${pattern}`, key);
	const directors = await manager.directors();
	return [...manager.vcls.values()].flatMap((vcl) => {
		// `backend NAME none;` is nowhere: there is nothing to say of it.
		const backends = vcl.compiled.backends.filter(({ endpoint }) => endpoint.kind !== "none");
		return [
			...backends
				.map(({ name }) => `${vcl.name}.${name}`)
				.filter((key) => isMeant(vcl.name, key))
				.map((key) => listedBackend(manager, key)),
			...[...directors]
				.filter(([key]) => key.startsWith(`${vcl.name}.`) && isMeant(vcl.name, key))
				.map(([key, report]) => listedDirector(manager, key, report)),
		];
	});
}

export const backendCommands: Commands = {
	"backend.list": {
		syntax: "backend.list [-j] [-p] [<backend_pattern>]",
		about: "List backends.",
		minimum: 0,
		maximum: 2,
		json: true,
		child: true,
		async run(context) {
			const { manager, typed } = context;
			const flagged = typed.slice(1).findIndex((word) => !word.startsWith("-"));
			const words = flagged < 0 ? [] : typed.slice(1 + flagged);
			const flags = typed.slice(1, typed.length - words.length).flatMap((word) => [...word.slice(1)]);
			const strange = flags.find((flag) => flag !== "j" && flag !== "p");
			if (strange !== undefined) return refuse(Status.parameter, `Invalid flag ${strange}`);
			if (words.length > 1) return refuse(Status.parameter, "Too many arguments");
			// Twice is not at all, as varnishd has it.
			const details = flags.filter((flag) => flag === "p").length % 2 === 1;
			const all = await listed(manager, words[0] ?? "");
			const adminOf = ({ key, isJudged }: Listed) => {
				const admin = manager.admin.get(key) ?? "auto";
				return admin !== "auto" ? admin : isJudged ? "probe" : "healthy";
			};
			const healthOf = ({ healthy }: Listed) => (healthy ? "healthy" : "sick");
			if (flags.includes("j"))
				return json(
					context,
					3,
					Object.fromEntries(
						all.map((each) => [
							each.key,
							{
								type: each.type,
								admin_health: adminOf(each),
								probe_message: [...each.probe, healthOf(each)],
								...(details && each.figures !== null ? { probe_details: each.figures } : {}),
								last_change: Number(each.changedAt.toFixed(3)),
							},
						]),
					),
				);
			return ok(
				table([
					["Backend name", "Admin", "Probe", "Health", "Last change"],
					...all.flatMap((each) => [
						[
							each.key,
							adminOf(each),
							each.probe.join("/"),
							healthOf(each),
							new Date(each.changedAt * 1000).toUTCString(),
						],
						...(details ? each.below : []),
					]),
				]),
			);
		},
	},
	"backend.set_health": {
		syntax: "backend.set_health <backend_pattern> [auto|healthy|sick]",
		about: "Set health status of backend(s) matching <backend_pattern>.",
		minimum: 2,
		maximum: 2,
		child: true,
		async run({ manager, words }) {
			const [pattern, word] = words as [string, string];
			const state = word.toLowerCase();
			if (state !== "auto" && state !== "healthy" && state !== "sick")
				return refuse(Status.parameter, `Invalid state ${word}`);
			const rows = await listed(manager, pattern);
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
