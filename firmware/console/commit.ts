/** A change of the configuration from the command line: the plan is shown, the operator asked, the revision committed. */
import { createInterface } from "node:readline/promises";
import { mayCut } from "../config/revisions/command.ts";
import { commitProposal, type FileEdits, propose } from "../config/revisions/proposal.ts";
import { Workspace } from "../config/revisions/workspace.ts";
import { UsageError } from "./usage-error.ts";

const MINUTE_MS = 60_000;
export const CONFIRM_MINUTES = 5;
const CONFIRM_MINUTES_LIMIT = 24 * 60;

/** For parseArgs: how a change is put into force. */
export const commitOptions = {
	plan: { type: "boolean" },
	yes: { type: "boolean", short: "y" },
	confirm: { type: "string" },
	final: { type: "boolean" },
} as const;

/** Those options in a command's help. */
export const commitWords: readonly (readonly [string, string])[] = [
	["--plan", "only show what would change"],
	["--yes", "do not ask"],
	["--confirm MINUTES", `taken back after so long unless "drover config confirm" (${CONFIRM_MINUTES})`],
	["--final", "not taken back"],
];

export interface CommitChoice {
	readonly plan?: boolean | undefined;
	readonly yes?: boolean | undefined;
	readonly confirm?: string | undefined;
	readonly final?: boolean | undefined;
}

/** Exit status: 0 in force (or shown), 1 nothing done or to do, 5 the result would be refused. */
export async function changeConfiguration(
	why: string,
	choice: CommitChoice,
	edits: FileEdits,
): Promise<number> {
	const minutes = choice.final ? null : Number(choice.confirm ?? CONFIRM_MINUTES);
	if (minutes !== null && !(minutes > 0 && minutes <= CONFIRM_MINUTES_LIMIT))
		throw new UsageError(`--confirm takes minutes, 1 to ${CONFIRM_MINUTES_LIMIT}`);
	const workspace = new Workspace();
	const proposal = await propose(workspace, edits);
	if (proposal.problems.length > 0) {
		for (const problem of proposal.problems) console.error(problem);
		console.error("Not done: the running configuration stays as it is.");
		return 5;
	}
	if (proposal.changes.length === 0) {
		console.log("Nothing would change.");
		return 1;
	}
	console.log(proposal.changes.join("\n"));
	if (!mayCut(proposal.running, proposal.proposed, minutes, `${why} --confirm ${CONFIRM_MINUTES}`)) return 1;
	if (choice.plan) return 0;
	if (!choice.yes && !(await agreed())) {
		console.log("Nothing was changed.");
		return 1;
	}
	const within = minutes === null ? null : minutes * MINUTE_MS;
	const { info, troubles } = await commitProposal(workspace, proposal, why, within);
	for (const trouble of troubles) console.error(trouble);
	console.log(`Revision ${info.number} is in force.`);
	if (workspace.revisions.pending() !== null)
		console.log(`It is taken back in ${minutes} min unless you say "drover config confirm".`);
	return troubles.length === 0 ? 0 : 1;
}

/** Only a person at a terminal can agree; a script says --yes. */
async function agreed(): Promise<boolean> {
	if (!process.stdin.isTTY)
		throw new UsageError("nobody is here to agree: say --yes, or --plan to look only");
	const terminal = createInterface({ input: process.stdin, output: process.stdout });
	try {
		return /^y(es)?$/i.test((await terminal.question("Put this into force? [y/N] ")).trim());
	} finally {
		terminal.close();
	}
}
