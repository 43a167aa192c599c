/** Programs: loaded, used, labelled, shown, discarded. */
import { readFileSync } from "node:fs";
import { InitialisationError, type Manager } from "../../manager/manager.ts";
import { findVclFile, mayName, unsafeName, type VclState } from "../../manager/vcl-shelf.ts";
import {
	type Commands,
	type Context,
	globMatches,
	json,
	message,
	ok,
	type Reply,
	refuse,
	table,
	UNBOUNDED,
} from "../command.ts";
import { Status } from "../protocol.ts";

/** The busy count of vcl.list is set to the right. */
const BUSY_WIDTH = 6;

const vclName = /^[A-Za-z][\w-]*$/;

function checkName(name: string): Reply | undefined {
	if (!/^[A-Za-z]/.test(name))
		return refuse(Status.parameter, `Illegal character in VCL name ('${name[0] ?? ""}')`);
	if (!vclName.test(name))
		return refuse(Status.parameter, `Illegal character in VCL name ('${/[^\w-]/.exec(name)?.[0] ?? ""}')`);
	return undefined;
}

const isState = (text: string): text is VclState => text === "auto" || text === "cold" || text === "warm";

const notCompiled = (why: string) =>
	`Message from VCC-compiler:\n${why}Running VCC-compiler failed, exited with 2\nVCL compilation failed\n`;

async function load(
	{ manager }: Context,
	name: string,
	source: string,
	file: string,
	state: string,
): Promise<Reply> {
	const wrong = checkName(name);
	if (wrong !== undefined) return wrong;
	if (manager.vcls.has(name) || manager.labels.has(name))
		return refuse(Status.parameter, `Already a VCL named ${name}`);
	const { max_vcl: most, max_vcl_handling: handling } = manager.parameters.values;
	const hint = "(See max_vcl and max_vcl_handling parameters)";
	if (handling === 2 && manager.vcls.size >= Number(most))
		return refuse(Status.cannot, `Too many (${manager.vcls.size}) VCLs already loaded\n${hint}`);
	if (!isState(state)) return refuse(Status.parameter, "State must be one of auto, cold or warm.");
	try {
		const warnings = await manager.loadVcl({ name, source, file }, state);
		const { size } = manager.vcls;
		const many =
			handling === 1 && size > Number(most)
				? `${size} VCLs loaded\nRemember to vcl.discard the old/unused VCLs.\n${hint}`
				: "";
		return ok(
			`${warnings === "" ? "" : `Message from VCC-compiler:\n${warnings}`}${manager.state === "running" ? "" : "VCL compiled.\n"}${many}`,
		);
	} catch (error) {
		return refuse(error instanceof InitialisationError ? Status.cannot : Status.parameter, message(error));
	}
}

const isColdText = (name: string) => `VCL '${name}' is cold - set to auto or warm first`;

/** The programs that say return (vcl(label)). */
const usersOf = (manager: Manager, label: string) =>
	[...manager.vcls.values()]
		.filter(({ compiled }) => compiled.labels.includes(label))
		.map(({ name }) => name);

/** The steps from `label` to the program `name`, when that leads to the label again. There is no loop among those set. */
function loopThrough(manager: Manager, label: string, name: string): string[] | undefined {
	for (const used of manager.vcls.get(name)?.compiled.labels ?? []) {
		const step = `Vcl ${name} uses Label ${used}`;
		if (used === label) return [step];
		const target = manager.labels.get(used);
		const rest = target === undefined ? undefined : loopThrough(manager, label, target);
		if (rest !== undefined) return [...rest, `Label ${used} points to vcl ${target}`, step];
	}
	return undefined;
}

export const vclCommands: Commands = {
	"vcl.deps": {
		syntax: "vcl.deps [-j]",
		about: "List all loaded configuration and their dependencies.",
		minimum: 0,
		maximum: 0,
		json: true,
		run(context) {
			const { manager } = context;
			const entries = [...manager.vclNames].map((name) => {
				const target = manager.labels.get(name);
				return { name, deps: target === undefined ? [...manager.vcls.get(name)!.compiled.labels] : [target] };
			});
			if (context.json) return json(context, 1, ...entries);
			return ok(
				table(
					entries.flatMap(({ name, deps }) =>
						deps.length === 0 ? [[name]] : deps.map((each) => [name, each]),
					),
				),
			);
		},
	},
	"vcl.discard": {
		syntax: "vcl.discard <name_pattern>...",
		about: "Unload the named configurations (when possible).",
		minimum: 1,
		maximum: UNBOUNDED,
		async run({ manager, words }) {
			const names = new Set<string>();
			for (const pattern of words) {
				const found = [...manager.vcls.keys(), ...manager.labels.keys()].filter((name) =>
					globMatches(pattern, name),
				);
				if (found.length === 0) return refuse(Status.parameter, `No VCL name matches ${pattern}\n`);
				for (const name of found) {
					if (name === manager.active)
						return refuse(Status.cannot, `Cannot discard active VCL program ${name}\n`);
					names.add(name);
				}
			}
			for (const name of names) {
				const users = usersOf(manager, name).filter((user) => !names.has(user));
				if (manager.labels.has(name) && users.length > 0)
					return refuse(
						Status.cannot,
						`Cannot discard VCL label ${name}, other VCLs depend on it:\n${users.map((user) => `\t${user}\n`).join("")}`,
					);
				const label = [...manager.labels].find(([each, target]) => target === name && !names.has(each));
				if (label !== undefined)
					return refuse(Status.cannot, `Cannot discard labeled VCL program ${name}:\n\t${label[0]}\n`);
			}
			for (const name of [...names].sort(
				(a, b) => Number(manager.labels.has(b)) - Number(manager.labels.has(a)),
			))
				await manager.discardVcl(name);
			return ok();
		},
	},
	"vcl.inline": {
		syntax: "vcl.inline <configname> <quoted_VCLstring> [auto|cold|warm]",
		about: "Compile and load the VCL data under the name provided.",
		minimum: 2,
		maximum: 3,
		run: (context) =>
			load(context, context.words[0]!, context.words[1]!, "<vcl.inline>", context.words[2] ?? "auto"),
	},
	"vcl.label": {
		syntax: "vcl.label <label> <configname>",
		about: "Apply label to configuration.",
		minimum: 2,
		maximum: 2,
		async run({ manager, words }) {
			const [label, name] = words as [string, string];
			const wrongLabel = checkName(label);
			if (wrongLabel !== undefined) return wrongLabel;
			if (manager.vcls.has(label)) return refuse(Status.parameter, `${label} is not a label\n`);
			const wrong = checkName(name);
			if (wrong !== undefined) return wrong;
			if (manager.labels.has(name)) return refuse(Status.cannot, "VCL labels cannot point to labels\n");
			const vcl = manager.vcls.get(name);
			if (vcl === undefined) return refuse(Status.parameter, `No VCL named ${name} known\n`);
			const loop = loopThrough(manager, label, name);
			if (loop !== undefined)
				return refuse(
					Status.parameter,
					`${loop.join("\n")}\nPointing label ${label} at ${name} would create a loop`,
				);
			if (vcl.state === "cold") return refuse(Status.cannot, isColdText(name));
			await manager.labelVcl(label, name);
			return ok();
		},
	},
	"vcl.list": {
		syntax: "vcl.list [-j]",
		about: "List all loaded configuration.",
		minimum: 0,
		maximum: 0,
		json: true,
		run(context) {
			const { manager } = context;
			const running = manager.state === "running";
			const rows: string[][] = [];
			const payload: unknown[] = [];
			for (const name of manager.vclNames) {
				const vcl = manager.vcls.get(name);
				const target = manager.labels.get(name);
				const isCold = vcl !== undefined && manager.isCold(vcl);
				const status = manager.active === name ? "active" : "available";
				const state = vcl === undefined ? "label" : vcl.state;
				const temperature = isCold ? "cold" : running ? "warm" : "init";
				const busy = vcl === undefined ? 0 : manager.busy(name);
				const shownBusy = (running ? String(busy) : "-").padStart(BUSY_WIDTH);
				const fields = { status, state, temperature, busy, name };
				const row = [status, state, temperature, shownBusy, name];
				if (target !== undefined) {
					const refs = usersOf(manager, name).length;
					const used = refs === 0 ? "" : ` (${refs} return(vcl)${refs > 1 ? "'s" : ""})`;
					rows.push([...row, "->", `${target}${used}`]);
					payload.push({ ...fields, label: { name: target, ...(refs > 0 ? { refs } : {}) } });
					continue;
				}
				const labels = [...manager.labels.values()].filter((each) => each === name).length;
				rows.push(labels === 0 ? row : [...row, "<-", `(${labels} label${labels > 1 ? "s" : ""})`]);
				payload.push({ ...fields, ...(labels > 0 ? { labels } : {}) });
			}
			return context.json ? json(context, 2, ...payload) : ok(table(rows));
		},
	},
	"vcl.load": {
		syntax: "vcl.load <configname> <filename> [auto|cold|warm]",
		about: "Compile and load the VCL file under the name provided.",
		minimum: 2,
		maximum: 3,
		run(context) {
			const [name, file, state] = context.words as [string, string, string | undefined];
			const { parameters } = context.manager;
			if (!mayName(file, parameters)) return refuse(Status.parameter, notCompiled(unsafeName(file)));
			const found = findVclFile(file, String(parameters.values["vcl_path"]));
			if (found === undefined)
				return refuse(
					Status.parameter,
					notCompiled(`Cannot read file '${file}' (No such file or directory)\n`),
				);
			return load(context, name, readFileSync(found, "latin1"), found, state ?? "auto");
		},
	},
	"vcl.show": {
		syntax: "vcl.show [-v] [<configname>]",
		about: "Display the source code for the specified configuration.",
		minimum: 0,
		maximum: 2,
		child: true,
		run({ manager, words }) {
			const verbose = words.includes("-v");
			if (words.length === 2 && words[0] !== "-v")
				return refuse(Status.parameter, `Too many parameters: '${words[1]}'`);
			const name = words.find((word) => word !== "-v") ?? manager.active ?? "";
			const vcl = manager.vcls.get(manager.labels.get(name) ?? name);
			if (vcl === undefined) return refuse(Status.parameter, `No VCL named '${name}'`);
			if (!verbose) return ok(vcl.text.source);
			return ok(
				vcl.compiled.sources
					.map(({ name: file, text }, index) => `// VCL.SHOW ${index} ${text.length} ${file}\n${text}\n`)
					.join(""),
			);
		},
	},
	"vcl.state": {
		syntax: "vcl.state <configname> [auto|cold|warm]",
		about: "Force the state of the named configuration.",
		minimum: 2,
		maximum: 2,
		run({ manager, words }) {
			const [name, state] = words as [string, string];
			const wrong = checkName(name);
			if (wrong !== undefined) return wrong;
			if (manager.labels.has(name)) return refuse(Status.parameter, "Labels are always warm\n");
			const vcl = manager.vcls.get(name);
			if (vcl === undefined) return refuse(Status.parameter, `No VCL named ${name} known\n`);
			if (!isState(state)) return refuse(Status.parameter, "State must be one of auto, cold or warm.");
			if (state === "cold" && [...manager.labels.values()].includes(name))
				return refuse(Status.cannot, "A labeled VCL cannot be set cold\n");
			if (state === "cold" && manager.active === name)
				return refuse(Status.cannot, "Cannot set the active VCL cold.\n");
			manager.setVclState(vcl, state);
			return ok();
		},
	},
	"vcl.symtab": {
		syntax: "vcl.symtab",
		about: "Dump the VCL symbol-tables.",
		minimum: 0,
		maximum: 0,
		debug: true,
		run: () => ok(),
	},
	"vcl.use": {
		syntax: "vcl.use <configname|label>",
		about: "Switch to the named configuration immediately.",
		minimum: 1,
		maximum: 1,
		async run({ manager, words }) {
			const name = words[0]!;
			const wrong = checkName(name);
			if (wrong !== undefined) return wrong;
			if (name === manager.active) return ok();
			const vcl = manager.vcls.get(manager.labels.get(name) ?? name);
			if (vcl === undefined) return refuse(Status.parameter, `No VCL named ${name} known\n`);
			if (vcl.state === "cold") return refuse(Status.cannot, isColdText(vcl.name));
			try {
				await manager.useVcl(name);
				return ok(`VCL '${name}' now active`);
			} catch (error) {
				return refuse(Status.cannot, message(error));
			}
		},
	},
};
