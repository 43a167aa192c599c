/** The management commands: what each takes, what it answers. The manager does the work. */
import { readFileSync } from "node:fs";
import { InitialisationError, type Manager } from "../manager/manager.ts";
import { findVclFile, type VclState } from "../manager/vcl-shelf.ts";
import { jsonReply, Status } from "./protocol.ts";

export interface Reply {
	readonly status: number;
	readonly body: string;
	/** The connection ends after this reply. */
	readonly close?: boolean;
}

interface Command {
	readonly syntax: string;
	readonly about: string;
	readonly minimum: number;
	readonly maximum: number;
	readonly json?: boolean;
	/** Answered by the worker in varnishd: only while it runs. */
	readonly child?: boolean;
	readonly debug?: boolean;
	run(context: Context): Reply | Promise<Reply>;
}

interface Context {
	readonly manager: Manager;
	/** Arguments without the command's name and without -j. */
	readonly words: readonly string[];
	readonly json: boolean;
	/** As typed, for the JSON envelope. */
	readonly typed: readonly string[];
}

const ok = (body = ""): Reply => ({ status: Status.ok, body });
const refuse = (status: number, body: string): Reply => ({ status, body });
const json = (context: Context, version: number, ...payload: unknown[]): Reply =>
	ok(jsonReply(version, context.typed, Date.now() / 1000, payload));
const message = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** Blanks after the first column, and after each of the others. */
const FIRST_GAP = 3;
const GAP = 4;

/** Rows with their columns aligned, as varnishd sets them. */
function table(rows: readonly (readonly string[])[]): string {
	const widths: number[] = [];
	for (const row of rows)
		row.forEach((cell, column) => {
			widths[column] = Math.max(widths[column] ?? 0, cell.length);
		});
	return rows
		.map(
			(row) =>
				row
					.map((cell, column) =>
						column === row.length - 1
							? cell
							: cell.padEnd(widths[column]! + (column === 0 ? FIRST_GAP : GAP)),
					)
					.join("") + "\n",
		)
		.join("");
}

/** fnmatch-like: "*" and "?" only. */
function globMatches(pattern: string, text: string): boolean {
	const expression = pattern
		.replace(/[.+^${}()|[\]\\]/g, "\\$&")
		.replaceAll("*", ".*")
		.replaceAll("?", ".");
	return new RegExp(`^${expression}$`, "s").test(text);
}

/** The busy count of vcl.list is set to the right. */
const BUSY_WIDTH = 6;

const vclName = /^[A-Za-z][\w-]*$/;

function checkName(name: string, what: string): Reply | undefined {
	if (!/^[A-Za-z]/.test(name))
		return refuse(Status.parameter, `Illegal character in ${what} name ('${name[0] ?? ""}')`);
	if (!vclName.test(name))
		return refuse(
			Status.parameter,
			`Illegal character in ${what} name ('${/[^\w-]/.exec(name)?.[0] ?? ""}')`,
		);
	return undefined;
}

const isState = (text: string): text is VclState => text === "auto" || text === "cold" || text === "warm";

async function load(
	{ manager }: Context,
	name: string,
	source: string,
	file: string,
	state: string,
): Promise<Reply> {
	const wrong = checkName(name, "VCL");
	if (wrong !== undefined) return wrong;
	if (!isState(state)) return refuse(Status.parameter, "State must be one of auto, cold or warm.");
	if (manager.vcls.has(name)) return refuse(Status.parameter, `Already a VCL named ${name}`);
	if (manager.labels.has(name)) return refuse(Status.parameter, `Already a VCL named ${name}`);
	try {
		const warnings = await manager.loadVcl({ name, source, file }, state);
		return ok(
			`${warnings === "" ? "" : `Message from VCC-compiler:\n${warnings}`}${manager.state === "running" ? "" : "VCL compiled.\n"}`,
		);
	} catch (error) {
		return refuse(error instanceof InitialisationError ? Status.cannot : Status.parameter, message(error));
	}
}

/** Commands that the manager answers by itself. */
const inManager: ReadonlySet<string> = new Set(["help", "ping"]);

/** More words than a line of the protocol holds; shown as -1. */
const UNBOUNDED = 1000;

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

function setResult(
	result: { ok: true; note: string } | { ok: false; status: number; message: string },
	manager: Manager,
): Reply {
	if (!result.ok) return refuse(result.status, result.message);
	manager.announceParameters();
	return ok(result.note);
}

const commands: Readonly<Record<string, Command>> = {
	auth: {
		syntax: "auth <response>",
		about: "Authenticate.",
		minimum: 1,
		maximum: 1,
		// Whoever gets here is authenticated already: the conversation answers the challenge itself.
		run: ({ manager }) => ok(manager.banner()),
	},
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
				const healthy = manager.isHealthy(key);
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
			const [pattern, state] = words as [string, string];
			if (state !== "auto" && state !== "healthy" && state !== "sick")
				return refuse(Status.parameter, `Invalid state ${state}`);
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
						spec: ban.text,
					})),
				);
			const lines = bans.map(
				(ban, index) =>
					`${ban.addedAt.toFixed(6).padStart(10)} ${String(references[index]).padStart(5)} ${ban.completed ? "C" : "-"}  ${ban.text}\n`,
			);
			return ok(`Present bans:\n${lines.join("")}`);
		},
	},
	banner: {
		syntax: "banner",
		about: "Print welcome banner.",
		minimum: 0,
		maximum: 0,
		run: ({ manager }) => ok(manager.banner()),
	},
	help: {
		syntax: "help [-j|<command>]",
		about: "Show command/protocol help.",
		minimum: 0,
		maximum: 1,
		json: true,
		run(context) {
			const [word] = context.words;
			if (context.json)
				return json(
					context,
					2,
					...inOrder().map(([name, command]) => ({
						request: name,
						syntax: command.syntax,
						help: command.about,
						minarg: command.minimum,
						maxarg: command.maximum >= UNBOUNDED ? -1 : command.maximum,
						flags: command.debug ? "d" : inManager.has(name) ? "i" : "",
						json: command.json === true,
					})),
				);
			if (word !== undefined && word !== "-a" && word !== "-d") {
				const command = Object.hasOwn(commands, word) ? commands[word] : undefined;
				return command === undefined
					? refuse(Status.unknown, "Unknown request.\nType 'help' for more info.\n")
					: ok(`${command.syntax}\n${command.about}\n`);
			}
			const shown = inOrder().filter(
				([, command]) => word === "-a" || (word === "-d") === (command.debug === true),
			);
			return ok(shown.map(([, command]) => `${command.syntax}\n`).join(""));
		},
	},
	"panic.clear": {
		syntax: "panic.clear [-z]",
		about: "Clear the last panic, if any, -z will clear related varnishstat counter(s)",
		minimum: 0,
		maximum: 1,
		run({ manager }) {
			if (manager.panic === undefined) return refuse(Status.cannot, "No panic to clear");
			manager.panic = undefined;
			return ok();
		},
	},
	"panic.show": {
		syntax: "panic.show [-j]",
		about: "Return the last panic, if any.",
		minimum: 0,
		maximum: 0,
		json: true,
		run(context) {
			const { panic } = context.manager;
			if (panic === undefined)
				return refuse(Status.cannot, "Child has not panicked or panic has been cleared");
			return context.json ? json(context, 2, panic) : ok(panic);
		},
	},
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
			const long = words.includes("-l");
			const name = words.find((word) => word !== "-l");
			const { parameters } = manager;
			if (name !== undefined && name !== "changed" && !parameters.has(name))
				return refuse(Status.parameter, `Unknown parameter "${name}".`);
			if (context.json) return json(context, 2, ...parameters.json(name));
			if (name !== undefined && name !== "changed") return ok(parameters.describe(name)!);
			if (long)
				return ok(
					Object.keys(parameters.values)
						.map((each) => parameters.describe(each)!)
						.join("\n"),
				);
			return ok(parameters.list(name === "changed"));
		},
	},
	pid: {
		syntax: "pid [-j]",
		about: "Show the pid of the master process, and the worker if it's running.",
		minimum: 0,
		maximum: 0,
		json: true,
		run(context) {
			const [worker] = context.manager.workerPids;
			if (context.json)
				return json(context, 2, { master: process.pid, ...(worker === undefined ? {} : { worker }) });
			return ok(
				`Master: ${String(process.pid).padStart(10)}\n${worker === undefined ? "" : `Worker: ${String(worker).padStart(10)}\n`}`,
			);
		},
	},
	ping: {
		syntax: "ping [-j] [<timestamp>]",
		about: "Keep connection alive.",
		minimum: 0,
		maximum: 1,
		json: true,
		run: (context) =>
			context.json ? json(context, 2, "PONG") : ok(`PONG ${Math.floor(Date.now() / 1000)} 1.0`),
	},
	quit: {
		syntax: "quit",
		about: "Close connection.",
		minimum: 0,
		maximum: 0,
		run: () => ({ status: Status.close, body: "Closing CLI connection", close: true }),
	},
	start: {
		syntax: "start",
		about: "Start the Varnish cache process.",
		minimum: 0,
		maximum: 0,
		async run({ manager }) {
			if (manager.state !== "stopped") return refuse(Status.cannot, `Child in state ${manager.state}`);
			if (manager.vcls.size === 0) return refuse(Status.cannot, "No VCL loaded\n");
			if (manager.active === undefined) return refuse(Status.cannot, "No active VCL\n");
			try {
				await manager.start();
				return ok();
			} catch (error) {
				return refuse(Status.cannot, message(error));
			}
		},
	},
	status: {
		syntax: "status [-j]",
		about: "Check status of Varnish cache process.",
		minimum: 0,
		maximum: 0,
		json: true,
		run: (context) =>
			context.json ? json(context, 2, context.manager.state) : ok(`Child in state ${context.manager.state}`),
	},
	stop: {
		syntax: "stop",
		about: "Stop the Varnish cache process.",
		minimum: 0,
		maximum: 0,
		async run({ manager }) {
			if (manager.state !== "running") return refuse(Status.cannot, `Child in state ${manager.state}`);
			await manager.stop();
			return ok();
		},
	},
	"storage.list": {
		syntax: "storage.list [-j]",
		about: "List storage devices.",
		minimum: 0,
		maximum: 0,
		json: true,
		child: true,
		run(context) {
			const list = [
				...context.manager.options.storages.map(({ name, kind }) => ({ name, kind })),
				{ name: "Transient", kind: "malloc" },
			];
			if (context.json) return json(context, 2, ...list.map(({ name, kind }) => ({ name, storage: kind })));
			return ok(
				`Storage devices:\n${list.map(({ name, kind }) => `\tstorage.${name} = ${kind}\n`).join("")}`,
			);
		},
	},
	"vcl.deps": {
		syntax: "vcl.deps [-j]",
		about: "List all loaded configuration and their dependencies.",
		minimum: 0,
		maximum: 0,
		json: true,
		run(context) {
			const { manager } = context;
			const entries = [
				...[...manager.vcls.values()].map((vcl) => ({ name: vcl.name, deps: [...vcl.compiled.labels] })),
				...[...manager.labels].map(([label, name]) => ({ name: label, deps: [name] })),
			];
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
					if (name === manager.active) {
						if (pattern === name) return refuse(Status.cannot, `Cannot discard active VCL program ${name}\n`);
						continue;
					}
					names.add(name);
				}
			}
			for (const name of names) {
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
			const wrong = checkName(label, "label");
			if (wrong !== undefined) return wrong;
			if (manager.vcls.has(label)) return refuse(Status.parameter, `${label} is not a label\n`);
			if (manager.labels.has(name)) return refuse(Status.cannot, "VCL labels cannot point to labels\n");
			const vcl = manager.vcls.get(name);
			if (vcl === undefined) return refuse(Status.parameter, `No VCL named ${name} known\n`);
			if (vcl.state === "cold") return refuse(Status.cannot, "Cannot label a cold VCL\n");
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
			const busy = (name: string) =>
				manager.reports.reduce((sum, report) => sum + (report.busy[name] ?? 0), 0);
			const temperature = (cold: boolean) => (cold ? "cold" : running ? "warm" : "init");
			const rows: string[][] = [];
			const payload: unknown[] = [];
			for (const vcl of manager.vcls.values()) {
				const labels = [...manager.labels.values()].filter((target) => target === vcl.name).length;
				const status = manager.active === vcl.name ? "active" : "available";
				const row = [
					status,
					vcl.state,
					temperature(vcl.state === "cold"),
					(running ? String(busy(vcl.name)) : "-").padStart(BUSY_WIDTH),
					vcl.name,
				];
				if (labels > 0) row.push("<-", `(${labels} label${labels > 1 ? "s" : ""})`);
				rows.push(row);
				payload.push({
					status,
					state: vcl.state,
					temperature: temperature(vcl.state === "cold"),
					busy: busy(vcl.name),
					name: vcl.name,
					...(labels > 0 ? { labels } : {}),
				});
			}
			for (const [label, target] of manager.labels) {
				const status = manager.active === label ? "active" : "available";
				rows.push([
					status,
					"label",
					temperature(false),
					(running ? "0" : "-").padStart(BUSY_WIDTH),
					label,
					"->",
					target,
				]);
				payload.push({
					status,
					state: "label",
					temperature: temperature(false),
					busy: 0,
					name: label,
					label: { name: target },
				});
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
			const found = findVclFile(file, String(context.manager.parameters.values["vcl_path"]));
			if (found === undefined)
				return refuse(
					Status.parameter,
					`Message from VCC-compiler:\nCannot read file '${file}' (No such file or directory)\nRunning VCC-compiler failed, exited with 2\nVCL compilation failed\n`,
				);
			return load(context, name, readFileSync(found, "latin1"), found, state ?? "auto");
		},
	},
	"vcl.show": {
		syntax: "vcl.show [-v] [<configname>]",
		about: "Display the source code for the specified configuration.",
		minimum: 0,
		maximum: 2,
		run({ manager, words }) {
			const verbose = words.includes("-v");
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
			if (!isState(state)) return refuse(Status.parameter, "State must be one of auto, cold or warm.");
			if (manager.labels.has(name)) return refuse(Status.parameter, "Labels are always warm\n");
			const vcl = manager.vcls.get(name);
			if (vcl === undefined) return refuse(Status.parameter, `No VCL named ${name} known\n`);
			if (state === "cold" && manager.active === name)
				return refuse(Status.cannot, "Cannot set the active VCL cold.\n");
			if (state === "cold" && [...manager.labels.values()].includes(name))
				return refuse(Status.cannot, "A labeled VCL cannot be set cold\n");
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
			const vcl = manager.vcls.get(manager.labels.get(name) ?? name);
			if (vcl === undefined) return refuse(Status.parameter, `No VCL named ${name} known\n`);
			if (vcl.state === "cold") return refuse(Status.cannot, "Cannot set the active VCL cold.\n");
			try {
				await manager.useVcl(name);
				return ok(`VCL '${name}' now active`);
			} catch (error) {
				return refuse(Status.cannot, message(error));
			}
		},
	},
	"debug.panic.worker": {
		syntax: "debug.panic.worker",
		about: "Panic the worker process.",
		minimum: 0,
		maximum: 0,
		child: true,
		debug: true,
		async run({ manager }) {
			await manager.killWorker();
			return ok();
		},
	},
	"debug.panic.master": {
		syntax: "debug.panic.master",
		about: "Panic the master process.",
		minimum: 0,
		maximum: 0,
		debug: true,
		run: () => process.abort(),
	},
	"debug.reqpool.fail": {
		syntax: "debug.reqpool.fail",
		about: "Schedule req-pool failures; there is no such pool here.",
		minimum: 1,
		maximum: 1,
		child: true,
		debug: true,
		run: () => ok(),
	},
	"debug.listen_address": {
		syntax: "debug.listen_address",
		about: "Report the actual listen address.",
		minimum: 0,
		maximum: 0,
		child: true,
		debug: true,
		run: ({ manager }) =>
			ok(manager.addresses.map(({ name, address, port }) => `${name} ${address} ${port}\n`).join("")),
	},
	"debug.xid": {
		syntax: "debug.xid [<xid> [<cachesize>]]",
		about: "Examine or set XID.",
		minimum: 0,
		maximum: 2,
		child: true,
		debug: true,
		run({ manager, words }) {
			const transactions = manager.control!.transactions;
			if (words[0] !== undefined) Atomics.store(transactions, 0, Number(words[0]) & 0x3fffffff);
			return ok(`XID is ${Atomics.load(transactions, 0)} chunk ${words[1] ?? 1}`);
		},
	},
	"debug.srandom": {
		syntax: "debug.srandom",
		about: "Seed the random(3) function.",
		minimum: 0,
		maximum: 1,
		child: true,
		debug: true,
		run: () => ok(),
	},
	"debug.vmod": {
		syntax: "debug.vmod",
		about: "Show loaded vmods.",
		minimum: 0,
		maximum: 0,
		child: true,
		debug: true,
		run: ({ manager }) =>
			ok(
				[...new Set([...manager.vcls.values()].flatMap((vcl) => vcl.compiled.vmods))]
					.map((name) => `    1 ${name} (built in)\n`)
					.join(""),
			),
	},
	"debug.fragfetch": {
		syntax: "debug.fragfetch",
		about: "Enable fetch fragmentation.",
		minimum: 1,
		maximum: 1,
		child: true,
		debug: true,
		run: () => ok(),
	},
	"debug.shutdown.delay": {
		syntax: "debug.shutdown.delay",
		about: "Add a delay to the child process shutdown.",
		minimum: 1,
		maximum: 1,
		child: true,
		debug: true,
		run: () => ok(),
	},
};

/** By name, as help lists them. */
const inOrder = () => Object.entries(commands).sort(([one], [other]) => (one < other ? -1 : 1));

/** Commands that a client may give before it has authenticated. */
const open = new Set(["help", "ping", "auth", "quit"]);

/** Runs one command line. `words` are as read; the caller frames the reply. */
export async function runCommand(
	manager: Manager,
	words: readonly string[],
	authenticated: boolean,
): Promise<Reply> {
	const [name, ...rest] = words;
	if (name === undefined) return refuse(Status.syntax, "Empty CLI command.");
	if (/^[A-Z]/.test(name))
		return refuse(
			Status.unknown,
			"Unknown request.\nType 'help' for more info.\nall commands are in lower-case.\n",
		);
	const command = Object.hasOwn(commands, name) ? commands[name]! : undefined;
	const unknown = "Unknown request.\nType 'help' for more info.\n";
	if (!authenticated && !open.has(name)) return refuse(Status.unknown, unknown);
	if (command === undefined)
		return refuse(
			Status.unknown,
			manager.state === "running"
				? unknown
				: "Unknown request in manager process (child not running).\nType 'help' for more info.\n",
		);
	if (command.child && manager.state !== "running")
		return refuse(
			Status.unknown,
			"Unknown request in manager process (child not running).\nType 'help' for more info.\n",
		);
	const wantsJson = rest[0] === "-j";
	if (wantsJson && command.json !== true) return refuse(Status.unimplemented, "JSON unimplemented\n");
	const args = wantsJson ? rest.slice(1) : rest;
	if (args.length < command.minimum) return refuse(Status.tooFew, "Too few parameters\n");
	if (args.length > command.maximum) return refuse(Status.tooMany, "Too many parameters\n");
	try {
		return await command.run({ manager, words: args, json: wantsJson, typed: words });
	} catch (error) {
		return refuse(Status.cannot, message(error));
	}
}

export const commandNames = () => Object.keys(commands);
