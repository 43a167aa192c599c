/** A change to the running configuration that a command makes: shown as a plan, then committed. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Document, parseDocument, print } from "../keepalived/document.ts";
import { applyCurrent, type Reloaded, whereFrom } from "./apply.ts";
import { type Checked, checkFolder, planLines } from "./check.ts";
import { readClocks, startGuard } from "./deadline.ts";
import { type Files, RevisionError, type RevisionInfo } from "./revisions.ts";
import { sameFiles, type Workspace } from "./workspace.ts";

export interface Proposal {
	readonly files: Files;
	/** The revision that they were made from. */
	readonly madeFrom: number | null;
	/** What keeps it from being committed, ready to print; empty when nothing does. */
	readonly problems: readonly string[];
	/** A line or two for each change. */
	readonly changes: readonly string[];
	readonly running: Checked | null;
	readonly proposed: Checked;
}

/** New texts for files of a revision, from those that it has ("" for none). */
export type FileEdits = Readonly<Record<string, (text: string) => string>>;

/** An edit of keepalived.conf's tree. */
export const editKeepalived = (edit: (document: Document) => Document): FileEdits => ({
	"keepalived.conf": (text) => print(edit(parseDocument(text))),
});

/**
 * The current revision with edited files, checked as the services would read it.
 * Rejects with a RevisionError while a working copy or a commit waits: nothing of it may be lost.
 */
export async function propose(workspace: Workspace, edits: FileEdits): Promise<Proposal> {
	const { revisions } = workspace;
	const { waiting, number, files, ownChanges } = revisions.look(() => {
		const current = revisions.currentNumber();
		return {
			waiting: revisions.pending(),
			number: current,
			files: new Map(current === null ? [] : revisions.files(current)),
			ownChanges: workspace.hasOwnChanges(),
		};
	});
	if (waiting !== null)
		throw new RevisionError(
			`${revisions.waitingText(waiting)}: "drover config confirm" keeps it, "drover config rollback ${waiting.previous}" takes it back`,
		);
	if (ownChanges)
		throw new RevisionError(
			'the working copy has changes of its own: "drover config commit" or "drover config discard" it first',
		);
	for (const [name, edit] of Object.entries(edits)) {
		const before = new TextDecoder().decode(files.get(name) ?? new Uint8Array());
		files.set(name, new TextEncoder().encode(edit(before)));
	}
	const scratch = mkdtempSync(join(tmpdir(), "drover-proposal-"));
	try {
		for (const [name, bytes] of files) writeFileSync(join(scratch, name), bytes);
		const current = join(workspace.root, "current");
		const running = existsSync(current) ? await checkFolder(current, null) : null;
		const proposed = await checkFolder(scratch, running);
		const problems = proposed.problems.map((text) => text.replaceAll(`${scratch}/`, ""));
		return { files, madeFrom: number, problems, changes: planLines(running, proposed), running, proposed };
	} finally {
		rmSync(scratch, { recursive: true });
	}
}

export interface Committed {
	readonly info: RevisionInfo;
	/** Words for each part that did not take it over. */
	readonly troubles: readonly string[];
}

/** Puts a proposal into force; `confirmWithinMs` null is final, else the guard waits before anything changes. */
export async function commitProposal(
	workspace: Workspace,
	proposal: Proposal,
	why: string,
	confirmWithinMs: number | null,
): Promise<Committed> {
	const { files, madeFrom } = proposal;
	const before = madeFrom === null ? new Map<string, Uint8Array>() : workspace.revisions.files(madeFrom);
	const services = concerned(proposal, before);
	const request = {
		files,
		madeFrom,
		who: process.env["USER"] ?? "root",
		from: whereFrom(),
		why,
		...readClocks(),
		confirmWithinMs,
	};
	// What stood in the working copy was the revision before: the next edit begins with this one.
	const info = workspace.revisions.commit(request, () => workspace.discardCandidate());
	if (workspace.revisions.pending() !== null) startGuard();
	return { info, troubles: await applyCurrent(workspace.root, services) };
}

/**
 * Of appliance.toml only the cache reads more than the box's name and network: a new time server is no reason for the
 * others to read thousands of virtual servers again.
 */
function concerned({ files, running, proposed }: Proposal, before: Files): readonly Reloaded[] | undefined {
	const others = (all: Files) => new Map([...all].filter(([name]) => name !== "appliance.toml"));
	const network = (checked: Checked | null) => {
		const { hostname, port, route } = checked?.settings ?? {};
		return JSON.stringify([hostname, port, route]);
	};
	const isSame = sameFiles(others(files), others(before)) && network(running) === network(proposed);
	return isSame ? ["cache"] : undefined;
}
