/** Parameters. */
import type { Manager } from "../../manager/manager.ts";
import { type Commands, json, ok, type Reply, refuse } from "../command.ts";
import { Status } from "../protocol.ts";

function setResult(
	result: { ok: true; note: string } | { ok: false; status: number; message: string },
	manager: Manager,
): Reply {
	if (!result.ok) return refuse(result.status, result.message);
	manager.announceParameters();
	return ok(result.note);
}

export const paramCommands: Commands = {
	"param.reset": {
		syntax: "param.reset <param>",
		about: "Reset parameter to default value.",
		minimum: 1,
		maximum: 1,
		run: ({ manager, words }) => setResult(manager.parameters.reset(words[0]!), manager),
	},
	"param.set": {
		syntax: "param.set [-j] <param> <value>",
		about: "Set parameter value.",
		minimum: 2,
		maximum: 2,
		json: true,
		run(context) {
			const { manager, words } = context;
			const reply = setResult(manager.parameters.set(words[0]!, words[1]!, true), manager);
			return context.json && reply.status === Status.ok
				? json(context, 2, ...manager.parameters.json(words[0]!))
				: reply;
		},
	},
	"param.show": {
		syntax: "param.show [-l|-j] [<param>|changed]",
		about: "Show parameters and their values.",
		minimum: 0,
		maximum: 2,
		json: true,
		run(context) {
			const { manager, words } = context;
			const long = words[0] === "-l";
			if (long && context.json) return refuse(Status.parameter, "-l not permitted with param.show -j");
			const [name, ...more] = long ? words.slice(1) : words;
			if (more.length > 0) return refuse(Status.tooMany, "Too many parameters");
			const { parameters } = manager;
			if (name !== undefined && name !== "changed" && !parameters.has(name))
				return refuse(Status.parameter, `Unknown parameter "${name}".`);
			if (context.json) return json(context, 2, ...parameters.json(name));
			if (name !== undefined && name !== "changed") return ok(parameters.describe(name)!);
			if (long)
				return ok(
					Object.keys(parameters.values)
						.filter((each) => name === undefined || !parameters.isDefault(each))
						.map((each) => parameters.describe(each)!)
						.join("\n"),
				);
			return ok(parameters.list(name === "changed"));
		},
	},
};
