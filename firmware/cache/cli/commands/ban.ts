/** Bans. */
import { listedBan } from "../../store/bans.ts";
import { type Commands, json, ok, refuse, UNBOUNDED } from "../command.ts";
import { Status } from "../protocol.ts";

export const banCommands: Commands = {
	ban: {
		syntax: "ban <field> <operator> <arg> [&& <field> <oper> <arg> ...]",
		about: "Mark obsolete all objects where all the conditions match.",
		minimum: 3,
		maximum: UNBOUNDED,
		child: true,
		async run({ manager, words }) {
			const wrong = await manager.ban(words);
			return wrong === undefined ? ok() : refuse(Status.parameter, wrong);
		},
	},
	"ban.list": {
		syntax: "ban.list [-j]",
		about: "List the active bans.",
		minimum: 0,
		maximum: 0,
		json: true,
		child: true,
		run(context) {
			const bans = [...context.manager.bans.all].reverse();
			const references = context.manager.banReferences().reverse();
			if (context.json)
				return json(
					context,
					2,
					...bans.map((ban, index) => ({
						time: Number(ban.addedAt.toFixed(6)),
						refs: references[index],
						completed: ban.completed,
						spec: listedBan(ban),
					})),
				);
			const lines = bans.map(
				(ban, index) =>
					`${ban.addedAt.toFixed(6).padStart(10)} ${String(references[index]).padStart(5)} ${ban.completed ? "C" : "-"}  ${listedBan(ban)}\n`,
			);
			return ok(`Present bans:\n${lines.join("")}`);
		},
	},
};
