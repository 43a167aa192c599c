/** `drover config commit`, `confirm`, `compare`, `rollback` …: revisions in the operator's words. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { howCalled } from "../../how-called.ts";
import { CONSOLE_LOG_PATH, openLog } from "../../status/log.ts";
import { AuthorityError, readAuthority } from "../../web-authority.ts";
import { applyCurrent, ownConnection, whereFrom } from "./apply.ts";
import { packArchive, unpackArchive } from "./archive.ts";
import { type Checked, checkFolder, planLines } from "./check.ts";
import { leftToConfirmMs, readClocks, startGuard } from "./deadline.ts";
import { diskTrouble } from "./disk-trouble.ts";
import { cuts } from "./own-path.ts";
import { fetchBackup, sendBackup } from "./place.ts";
import { type Files, origin, type PendingCommit, RevisionError, SCHEMA_VERSION } from "./revisions.ts";
import { configDirectory, Workspace } from "./workspace.ts";

const MINUTE_MS = 60_000;
const CONFIRM_MINUTES_LIMIT = 24 * 60;
const GUARD_INTERVAL_MS = 1_000;

type Action = (workspace: Workspace, words: readonly string[]) => Promise<number>;

export const revisionActions: Readonly<Record<string, Action>> = {
	edit,
	check,
	plan: planWorkingCopy,
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

/** How many words an action takes after its name; the others take none. A comment may have any number. */
const WORDS_LIMIT: Readonly<Record<string, number>> = {
	compare: 2,
	rescue: 1,
	backup: 3,
	restore: 3,
	commit: Number.POSITIVE_INFINITY,
	rollback: Number.POSITIVE_INFINITY,
};

const PRINT_JSON: readonly string[] = ["history", "check", "plan", "compare", "rescue"];

/** The first word that `name` cannot mean; null when there is none. */
function unknownWord(name: string, words: readonly string[]): string | null {
	const others = PRINT_JSON.includes(name) ? words.filter((word) => word !== "--json") : words;
	return others.find((word) => /^-(?!\d)/.test(word)) ?? others[WORDS_LIMIT[name] ?? 0] ?? null;
}

export async function revisionMain(name: string, words: readonly string[]): Promise<number> {
	// Whoever only asks makes no folder; this is also how a person finds out on a machine that is no box.
	if (["check", "plan"].includes(name) && !existsSync(configDirectory())) {
		console.error(
			`drover config ${name}: there is no configuration in ${configDirectory()}; name a file: drover config ${name} FILE`,
		);
		return 2;
	}
	const unknown = unknownWord(name, words);
	if (unknown !== null) {
		console.error(`drover config ${name}: what is "${unknown}"?\n${howCalled("config")}`);
		return 2;
	}
	try {
		return await revisionActions[name]!(new Workspace(), words);
	} catch (error) {
		const expected = error instanceof RevisionError || error instanceof AuthorityError;
		const words = expected ? error.message : diskTrouble(error);
		if (words === null) throw error;
		console.error(`drover config: ${words}`);
		// As diff(1): 1 is a difference.
		return name === "compare" ? 2 : 1;
	}
}

async function edit(workspace: Workspace): Promise<number> {
	console.log(`${workspace.openCandidate()}\nEdit the files there; then "drover config commit".`);
	return 0;
}

async function compare(workspace: Workspace, words: readonly string[]): Promise<number> {
	const [number, other] = words.filter((word) => word !== "--json");
	const base = number === undefined ? workspace.revisions.currentNumber() : readNumber(number);
	const target = other === undefined ? null : readNumber(other);
	const scratch = mkdtempSync(join(tmpdir(), "drover-compare-"));
	try {
		const folder = join(scratch, base === null ? "nothing" : `revision-${base}`);
		mkdirSync(folder);
		if (base !== null)
			for (const [name, bytes] of workspace.revisions.files(base)) writeFileSync(join(folder, name), bytes);
		const candidate = join(scratch, target === null ? "working-copy" : `revision-${target}`);
		// Of a revision and itself there is one folder.
		mkdirSync(candidate, { recursive: true });
		const files = target === null ? workspace.candidateFiles() : workspace.revisions.files(target);
		for (const [name, bytes] of files) writeFileSync(join(candidate, name), bytes);
		const { stdout, exitCode } = Bun.spawnSync(["diff", "-ruN", folder, candidate]);
		const text = stdout
			.toString()
			.replaceAll(`${scratch}/`, "")
			.replace(/^diff -ruN.*\n/gm, "")
			.replace(/^((?:---|\+\+\+) .*?)\t.*$/gm, "$1");
		if (words.includes("--json"))
			console.log(JSON.stringify({ from: base, to: target, differs: exitCode !== 0, diff: text }, null, 2));
		else console.log(exitCode === 0 ? "No difference." : text.trimEnd());
		return exitCode === 0 ? 0 : 1;
	} finally {
		rmSync(scratch, { recursive: true });
	}
}

async function commit(workspace: Workspace, words: readonly string[]): Promise<number> {
	const [confirmWithinMs, comment] = readConfirm(words, "commit confirm 5");
	// Read once: what was checked is what is committed, whoever edits the folder meanwhile.
	const files = workspace.candidateFiles();
	const madeFrom = workspace.revisions.currentNumber();
	const running = await checkCurrent(workspace);
	const checked = await checkFiles(workspace, files, running);
	for (const remark of checked.remarks) console.log(remark);
	if (checked.problems.length > 0) {
		for (const problem of checked.problems) console.error(problem);
		console.error("Not committed: the running configuration stays as it is.");
		return 1;
	}
	if (running !== null)
		console.log(
			planLines(running, checked).join("\n") || "No change for VRRP, the virtual servers and the box itself.",
		);
	if (!mayCut(running, checked, confirmWithinMs, "drover config commit confirm 5")) return 1;
	const info = workspace.revisions.commit({
		files,
		madeFrom,
		who: process.env["USER"] ?? "root",
		from: whereFrom(),
		why: comment,
		...readClocks(),
		confirmWithinMs,
	});
	return putIntoForce(workspace, `Revision ${info.number} is in force.`);
}

/** As they would stand in a revision: nothing else is there that they could include. */
async function checkFiles(workspace: Workspace, files: Files, running: Checked | null): Promise<Checked> {
	return inFolder(files, async (folder) => {
		const checked = await checkFolder(folder, running);
		const inPlace = (text: string) => text.replaceAll(folder, workspace.candidate);
		return {
			...checked,
			problems: checked.problems.map(inPlace),
			remarks: checked.remarks.map(inPlace),
			missing: checked.missing.map(inPlace),
		};
	});
}

async function checkCurrent(workspace: Workspace): Promise<Checked | null> {
	const folder = join(workspace.root, "current");
	return existsSync(folder) ? checkFolder(folder, null) : null;
}

/** Says what of the operator's own connection would be cut, and refuses it unless it comes back by itself. */
export function mayCut(
	before: Checked | null,
	after: Checked,
	confirmWithinMs: number | null,
	instead: string,
): boolean {
	const connection = ownConnection();
	if (connection === null || before === null) return true;
	const found = cuts(connection, before, after);
	if (found.length === 0) return true;
	console.log(`This may cut your own connection from ${connection.client} to ${connection.server}:`);
	for (const words of found) console.log(`  ${words}`);
	if (confirmWithinMs !== null) return true;
	console.error(`Nothing was changed: say "${instead}", so that it comes back by itself.`);
	return false;
}

/** The guard stands before anything is changed: what is changed may cut the operator off, and this process with him. */
async function putIntoForce(workspace: Workspace, words: string): Promise<number> {
	const pending = workspace.revisions.pending();
	const left = pending === null ? "" : inMinutes(leftToConfirmMs(pending, readClocks()));
	if (pending !== null) startGuard();
	const troubles = await applyCurrent(workspace.root);
	for (const trouble of troubles) console.error(trouble);
	console.log(words);
	if (pending !== null) console.log(`It is taken back ${left} unless you say "drover config confirm".`);
	return troubles.length === 0 ? 0 : 1;
}

async function check(workspace: Workspace, [json]: readonly string[]): Promise<number> {
	const running = await checkCurrent(workspace);
	const { problems, remarks } = await checkFiles(workspace, workspace.candidateFiles(), running);
	const acceptable = problems.length === 0;
	if (json !== undefined) console.log(JSON.stringify({ acceptable, problems, remarks }, null, 2));
	else {
		for (const finding of [...problems, ...remarks]) console.log(finding);
		console.log(acceptable ? "The working copy can be committed." : "The working copy cannot be committed.");
	}
	return acceptable ? 0 : 1;
}

async function planWorkingCopy(workspace: Workspace, [json]: readonly string[]): Promise<number> {
	const running = await checkCurrent(workspace);
	const checked = await checkFiles(workspace, workspace.candidateFiles(), running);
	const { problems } = checked;
	const acceptable = problems.length === 0;
	if (!acceptable && json === undefined) {
		for (const problem of problems) console.error(problem);
		return 5;
	}
	const changes = planLines(running, checked);
	if (json !== undefined) {
		console.log(JSON.stringify({ changes, acceptable, problems, remarks: checked.missing }, null, 2));
		if (!acceptable) return 5;
		return changes.length === 0 ? 0 : 1;
	}
	for (const finding of checked.missing) console.log(finding);
	console.log(changes.length === 0 ? "nothing would change" : changes.join("\n"));
	return changes.length === 0 ? 0 : 1;
}

async function confirm(workspace: Workspace): Promise<number> {
	console.log(`Revision ${workspace.revisions.confirm()} stays.`);
	return 0;
}

async function rollback(workspace: Workspace, [word, ...words]: readonly string[]): Promise<number> {
	if (word === undefined)
		throw new RevisionError('say which revision, or "rescue": drover config history lists them');
	const number = word === "rescue" ? workspace.revisions.rescueNumber() : readNumber(word);
	if (number === null)
		throw new RevisionError('no revision is chosen for rescue: "drover config rescue N" does');
	const instead = `rollback ${word} confirm 5`;
	const [confirmWithinMs, comment] = readConfirm(words, instead);
	const keepsWorkingCopy = workspace.hasOwnChanges();
	const running = await checkCurrent(workspace);
	const target = await inFolder(workspace.revisions.files(number), (folder) => checkFolder(folder, running));
	if (!mayCut(running, target, confirmWithinMs, `drover config ${instead}`)) return 1;
	const info = workspace.revisions.rollback(number, {
		who: process.env["USER"] ?? "root",
		from: whereFrom(),
		why: comment,
		...readClocks(),
		confirmWithinMs,
	});
	// What is being edited is not the rollback's to forget; a mere copy of what ran would put that into force again.
	if (!keepsWorkingCopy) workspace.discardCandidate();
	const kept = keepsWorkingCopy
		? '\nThe working copy keeps its own changes: "drover config compare" shows them.'
		: "";
	return putIntoForce(workspace, `Revision ${info.number} is in force: what revision ${number} was.${kept}`);
}

/** Runs `use` over a folder with these files, for as long as it takes. */
async function inFolder<T>(files: Files, use: (folder: string) => Promise<T>): Promise<T> {
	const folder = mkdtempSync(join(tmpdir(), "drover-revision-"));
	try {
		for (const [name, bytes] of files) writeFileSync(join(folder, name), bytes, { mode: 0o600 });
		return await use(folder);
	} finally {
		rmSync(folder, { recursive: true });
	}
}

async function history(workspace: Workspace, [json]: readonly string[]): Promise<number> {
	const current = workspace.revisions.currentNumber();
	const rescueNumber = workspace.revisions.rescueNumber();
	const pending = workspace.revisions.pending();
	const infos = workspace.revisions.history();
	/** It was never built on: its time to be confirmed ran out, or somebody rolled back before. */
	const isTakenBack = (number: number) => {
		const next = infos.find((info) => info.number === number + 1);
		return number !== current && (next === undefined ? number === infos[0]!.number : next.parent !== number);
	};
	if (json !== undefined) {
		const waiting = pending && { revision: pending.revision, leftMs: leftToConfirmMs(pending, readClocks()) };
		console.log(JSON.stringify({ current, rescue: rescueNumber, waiting, revisions: infos }, null, 2));
		return 0;
	}
	if (infos.length === 0) console.log("No revision yet.");
	for (const info of infos) {
		const { number, atMs, schemaVersion } = info;
		const marks = [
			...(number === current ? ["in force"] : []),
			...(isTakenBack(number) ? ["taken back"] : []),
			...(number === rescueNumber ? ["rescue"] : []),
			...(number === pending?.revision ? [`back ${inMinutes(leftToConfirmMs(pending, readClocks()))}`] : []),
			...(schemaVersion > SCHEMA_VERSION ? ["of a newer firmware"] : []),
		];
		const when = new Date(atMs).toISOString().slice(0, 16).replace("T", " ");
		console.log(
			`${String(number).padStart(4)}  ${when}Z  ${origin(info)}${marks.length > 0 ? `  [${marks.join(", ")}]` : ""}`,
		);
	}
	return 0;
}

async function rescue(workspace: Workspace, words: readonly string[]): Promise<number> {
	const [number] = words.filter((word) => word !== "--json");
	if (number !== undefined) workspace.revisions.setRescue(readNumber(number));
	const chosen = workspace.revisions.rescueNumber();
	if (words.includes("--json")) console.log(JSON.stringify({ rescue: chosen }, null, 2));
	else
		console.log(
			chosen === null
				? "No revision is chosen for rescue."
				: `"drover config rollback rescue" goes back to revision ${chosen}.`,
		);
	return 0;
}

async function discard(workspace: Workspace): Promise<number> {
	workspace.discardCandidate();
	console.log("The working copy is forgotten.");
	return 0;
}

async function backup(workspace: Workspace, [place, ...more]: readonly string[]): Promise<number> {
	if (place === undefined)
		throw new RevisionError("say where to: a file, usb, https://HOST/PATH or scp://USER@HOST/PATH");
	const authority = readAuthority(place, more);
	const current = workspace.revisions.currentNumber();
	if (current === null) throw new RevisionError("there is no configuration to keep yet");
	const archive = join(mkdtempSync(join(tmpdir(), "drover-backup-")), "backup.tar");
	try {
		packArchive(workspace.revisions.files(current), workspace.revisions.info(current)!, archive);
		const day = new Date().toISOString().slice(0, 10);
		const there = await sendBackup(archive, place, `drover-${hostname()}-${day}-r${current}.tar`, authority);
		console.log(`${there} holds revision ${current}.`);
	} finally {
		rmSync(dirname(archive), { recursive: true });
	}
	return 0;
}

async function restore(workspace: Workspace, [place, ...more]: readonly string[]): Promise<number> {
	if (place === undefined)
		throw new RevisionError("say where from: a file, usb, https://HOST/PATH or scp://USER@HOST/PATH");
	const archive = join(mkdtempSync(join(tmpdir(), "drover-restore-")), "backup.tar");
	try {
		await fetchBackup(place, archive, readAuthority(place, more));
		workspace.replaceCandidate(unpackArchive(archive));
	} finally {
		rmSync(dirname(archive), { recursive: true });
	}
	console.log(
		'The working copy is what the archive held. "drover config compare" shows it, "drover config commit" puts it into force.',
	);
	return 0;
}

/** At the box's start, before the services: half-done work goes, an unconfirmed commit is taken back. */
async function recover(workspace: Workspace): Promise<number> {
	const taken = workspace.revisions.recover();
	if (taken !== null) tellTakenBack(taken, "because the box restarted first");
	return 0;
}

/** Waits for the deadline of a commit that wants to be confirmed, and takes it back then. */
async function guard(workspace: Workspace): Promise<number> {
	for (;;) {
		const pending = workspace.revisions.pending();
		if (pending === null) return 0;
		const leftMs = leftToConfirmMs(pending, readClocks());
		if (leftMs > 0) {
			await Bun.sleep(Math.min(leftMs, GUARD_INTERVAL_MS));
			continue;
		}
		const taken = workspace.revisions.expire(Number.POSITIVE_INFINITY);
		if (taken === null) continue;
		for (const trouble of await applyCurrent(workspace.root)) console.error(trouble);
		tellTakenBack(taken, "because it was not confirmed in time");
		return 0;
	}
}

/** At the console, and in its log for whoever was cut off. */
function tellTakenBack({ revision, previous }: PendingCommit, why: string): void {
	const words = `revision ${revision} was taken back to ${previous}, ${why}`;
	console.error(`drover: ${words}`);
	if (!existsSync("/etc/drover-release")) return;
	mkdirSync(dirname(CONSOLE_LOG_PATH), { recursive: true });
	process.env["DROVER_LOG"] = CONSOLE_LOG_PATH;
	openLog("config").warn(words);
}

function inMinutes(ms: number): string {
	const minutes = Math.max(0, Math.round(ms / MINUTE_MS));
	return minutes < 1 ? "within a minute" : `in ${minutes} minute${minutes === 1 ? "" : "s"}`;
}

/** `[confirm MINUTES] [COMMENT…]` → the time in milliseconds or null, and the comment. */
function readConfirm(words: readonly string[], example: string): [number | null, string] {
	if (words[0] !== "confirm") return [null, words.join(" ")];
	const minutes = Number(words[1]);
	if (!(minutes > 0 && minutes <= CONFIRM_MINUTES_LIMIT))
		throw new RevisionError(
			`"confirm" takes minutes, 1 to ${CONFIRM_MINUTES_LIMIT}: drover config ${example}`,
		);
	return [minutes * MINUTE_MS, words.slice(2).join(" ")];
}

function readNumber(text: string): number {
	if (!/^\d{1,9}$/.test(text)) throw new RevisionError(`"${text}" is no revision's number`);
	return Number(text);
}
