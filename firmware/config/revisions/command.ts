/** `drover config commit`, `confirm`, `compare`, `rollback` …: revisions in the operator's words. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { self } from "../../self.ts";
import { formatChange, planChanges } from "../plan.ts";
import { applyCurrent, cutsOwnPath, whereFrom } from "./apply.ts";
import { checkFolder } from "./check.ts";
import { type PendingCommit, RevisionError, SCHEMA_VERSION } from "./revisions.ts";
import { Workspace } from "./workspace.ts";

const MINUTE_MS = 60_000;
const CONFIRM_MINUTES_LIMIT = 24 * 60;

export const revisionHelp = `       drover config edit                     where the working copy is
       drover config compare [N]              the working copy against revision N (the current one)
       drover config commit [confirm MINUTES] [COMMENT]
                                              check, keep as a revision, put into force;
                                              taken back by itself unless confirmed in time
       drover config confirm                  keep the commit that waits
       drover config rollback N               revision N again
       drover config history                  revisions, newest first
       drover config rescue [N]               which revision the rescue entry starts with
       drover config discard                  forget the working copy
       drover config backup FILE              all files of the current revision, as one archive
       drover config restore FILE             into the working copy`;

type Action = (workspace: Workspace, words: readonly string[]) => Promise<number>;

export const revisionActions: Readonly<Record<string, Action>> = {
	edit,
	compare,
	commit,
	confirm,
	rollback,
	history,
	rescue,
	discard,
	backup,
	restore,
	guard,
	recover,
};

export async function revisionMain(name: string, words: readonly string[]): Promise<number> {
	try {
		return await revisionActions[name]!(new Workspace(), words);
	} catch (error) {
		if (!(error instanceof RevisionError)) throw error;
		console.error(`drover config: ${error.message}`);
		return 1;
	}
}

async function edit(workspace: Workspace): Promise<number> {
	console.log(`${workspace.openCandidate()}\nEdit the files there; then "drover config commit".`);
	return 0;
}

async function compare(workspace: Workspace, [number]: readonly string[]): Promise<number> {
	const base = number === undefined ? workspace.revisions.currentNumber() : readNumber(number);
	const scratch = mkdtempSync(join(tmpdir(), "drover-compare-"));
	try {
		const folder = join(scratch, base === null ? "nothing" : `revision-${base}`);
		mkdirSync(folder);
		if (base !== null)
			for (const [name, bytes] of workspace.revisions.files(base)) writeFileSync(join(folder, name), bytes);
		const candidate = join(scratch, "working-copy");
		mkdirSync(candidate);
		for (const [name, bytes] of workspace.candidateFiles()) writeFileSync(join(candidate, name), bytes);
		const { stdout, exitCode } = Bun.spawnSync(["diff", "-ruN", folder, candidate]);
		const text = stdout
			.toString()
			.replaceAll(`${scratch}/`, "")
			.replace(/^diff -ruN.*\n/gm, "")
			.replace(/^((?:---|\+\+\+) .*?)\t.*$/gm, "$1");
		console.log(exitCode === 0 ? "No difference." : text.trimEnd());
		return exitCode === 0 ? 0 : 1;
	} finally {
		rmSync(scratch, { recursive: true });
	}
}

async function commit(workspace: Workspace, words: readonly string[]): Promise<number> {
	const [confirmWithinMs, comment] = readConfirm(words);
	const folder = workspace.openCandidate();
	const { problems, remarks, config } = await checkFolder(folder);
	for (const remark of remarks) console.log(remark);
	const before = join(workspace.root, "current");
	if (problems.length === 0 && config !== null && existsSync(before)) {
		const { config: running } = await checkFolder(before);
		const changes = running === null ? [] : planChanges(running, config).map(formatChange);
		console.log(changes.length === 0 ? "No change for VRRP and the virtual servers." : changes.join("\n"));
	}
	if (problems.length > 0) {
		for (const problem of problems) console.error(problem);
		console.error("Not committed: the running configuration stays as it is.");
		return 1;
	}
	const cut = cutsOwnPath(join(folder, "appliance.toml"));
	if (cut !== null) console.log(`This takes ${cut} away, which your own connection uses.`);
	if (cut !== null && confirmWithinMs === null) {
		console.error('Not committed: say "drover config commit confirm 5", so that it comes back by itself.');
		return 1;
	}
	const info = workspace.revisions.commit({
		files: workspace.candidateFiles(),
		who: process.env["USER"] ?? "root",
		from: whereFrom(),
		why: comment,
		nowMs: Date.now(),
		confirmWithinMs,
	});
	const troubles = await applyCurrent(workspace.root);
	for (const trouble of troubles) console.error(trouble);
	const pending = workspace.revisions.pending();
	console.log(`Revision ${info.number} is in force.`);
	if (pending !== null) {
		startGuard();
		console.log(
			`It is taken back ${inMinutes(pending.deadlineMs - Date.now())} unless you say "drover config confirm".`,
		);
	}
	return troubles.length === 0 ? 0 : 1;
}

async function confirm(workspace: Workspace): Promise<number> {
	console.log(`Revision ${workspace.revisions.confirm()} stays.`);
	return 0;
}

async function rollback(workspace: Workspace, [number]: readonly string[]): Promise<number> {
	if (number === undefined) throw new RevisionError("say which revision: drover config history lists them");
	const info = workspace.revisions.rollback(readNumber(number), {
		who: process.env["USER"] ?? "root",
		why: "",
		nowMs: Date.now(),
		confirmWithinMs: null,
	});
	workspace.discardCandidate();
	const troubles = await applyCurrent(workspace.root);
	for (const trouble of troubles) console.error(trouble);
	console.log(`Revision ${info.number} is in force: what revision ${number} was.`);
	return troubles.length === 0 ? 0 : 1;
}

async function history(workspace: Workspace): Promise<number> {
	const current = workspace.revisions.currentNumber();
	const rescueNumber = workspace.revisions.rescueNumber();
	const pending = workspace.revisions.pending();
	const infos = workspace.revisions.history();
	if (infos.length === 0) console.log("No revision yet.");
	for (const { number, atMs, who, from, why, schemaVersion } of infos) {
		const marks = [
			...(number === current ? ["in force"] : []),
			...(number === rescueNumber ? ["rescue"] : []),
			...(number === pending?.revision ? [`back ${inMinutes(pending.deadlineMs - Date.now())}`] : []),
			...(schemaVersion > SCHEMA_VERSION ? ["of a newer firmware"] : []),
		];
		const when = new Date(atMs).toISOString().slice(0, 16).replace("T", " ");
		console.log(
			`${String(number).padStart(4)}  ${when}Z  ${who}, ${from}${why === "" ? "" : `: ${why}`}${marks.length > 0 ? `  [${marks.join(", ")}]` : ""}`,
		);
	}
	return 0;
}

async function rescue(workspace: Workspace, [number]: readonly string[]): Promise<number> {
	if (number !== undefined) workspace.revisions.setRescue(readNumber(number));
	const chosen = workspace.revisions.rescueNumber();
	console.log(
		chosen === null ? "No revision is chosen for rescue." : `Rescue starts with revision ${chosen}.`,
	);
	return 0;
}

async function discard(workspace: Workspace): Promise<number> {
	workspace.discardCandidate();
	console.log("The working copy is forgotten.");
	return 0;
}

async function backup(workspace: Workspace, [file]: readonly string[]): Promise<number> {
	if (file === undefined) throw new RevisionError("say where to: drover config backup /mnt/drover.tar");
	const current = workspace.revisions.currentNumber();
	if (current === null) throw new RevisionError("there is no configuration to keep yet");
	runTar(["-cf", file, "-C", join(workspace.root, "revisions", String(current)), "."]);
	console.log(`${file} holds revision ${current}.`);
	return 0;
}

async function restore(workspace: Workspace, [file]: readonly string[]): Promise<number> {
	if (file === undefined || !existsSync(file)) throw new RevisionError(`there is no ${file ?? "file"}`);
	const scratch = mkdtempSync(join(tmpdir(), "drover-restore-"));
	try {
		runTar(["-xf", file, "-C", scratch]);
		rmSync(join(scratch, "revision.json"), { force: true });
		workspace.discardCandidate();
		cpSync(scratch, workspace.candidate, { recursive: true });
	} finally {
		rmSync(scratch, { recursive: true });
	}
	console.log(
		'The working copy is what the archive held. "drover config compare" shows it, "drover config commit" puts it into force.',
	);
	return 0;
}

function runTar(words: readonly string[]): void {
	const { exitCode, stderr } = Bun.spawnSync(["tar", ...words]);
	if (exitCode !== 0) throw new RevisionError(`tar: ${stderr.toString().trim()}`);
}

/** At the box's start, before the services: half-done work goes, an unconfirmed commit is taken back. */
async function recover(workspace: Workspace): Promise<number> {
	const taken = workspace.revisions.recover();
	if (taken !== null) console.error(`drover: ${takenBack(taken)}, because the box restarted first`);
	return 0;
}

/** Waits for the deadline of a commit that wants to be confirmed, and takes it back then. */
async function guard(workspace: Workspace): Promise<number> {
	for (;;) {
		const pending = workspace.revisions.pending();
		if (pending === null) return 0;
		const leftMs = pending.deadlineMs - Date.now();
		if (leftMs > 0) {
			await Bun.sleep(Math.min(leftMs, 1_000));
			continue;
		}
		const taken = workspace.revisions.expire(Date.now());
		if (taken === null) continue;
		for (const trouble of await applyCurrent(workspace.root)) console.error(trouble);
		console.error(`drover: ${takenBack(taken)}, because it was not confirmed in time`);
		return 0;
	}
}

/** Something watches the deadline of a commit that waits, whatever becomes of this process. */
export function startGuard(): void {
	if (existsSync("/run/sv/guard")) {
		Bun.spawnSync(["sv", "up", "/run/sv/guard"]);
		return;
	}
	Bun.spawn([...self(), "config", "guard"], {
		detached: true,
		stdio: ["ignore", "ignore", "ignore"],
	}).unref();
}

const takenBack = ({ revision, previous }: PendingCommit) =>
	`revision ${revision} was taken back to ${previous}`;

function inMinutes(ms: number): string {
	const minutes = Math.max(0, Math.round(ms / MINUTE_MS));
	return minutes < 1 ? "within a minute" : `in ${minutes} minute${minutes === 1 ? "" : "s"}`;
}

/** `[confirm MINUTES] [COMMENT…]` → the time in milliseconds or null, and the comment. */
function readConfirm(words: readonly string[]): [number | null, string] {
	if (words[0] !== "confirm") return [null, words.join(" ")];
	const minutes = Number(words[1]);
	if (!(minutes > 0 && minutes <= CONFIRM_MINUTES_LIMIT))
		throw new RevisionError(
			`"commit confirm" takes minutes, 1 to ${CONFIRM_MINUTES_LIMIT}: drover config commit confirm 5`,
		);
	return [minutes * MINUTE_MS, words.slice(2).join(" ")];
}

function readNumber(text: string): number {
	if (!/^\d{1,9}$/.test(text)) throw new RevisionError(`"${text}" is no revision's number`);
	return Number(text);
}
