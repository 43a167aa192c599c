/** Item 6: revisions of the configuration. Pure. */
import { UsageError } from "../usage-error.ts";
import { runCommit } from "./change.ts";
import { agree, ask, askFor, type Dialogue, facts, hostNameTyped, run, say } from "./dialogue.ts";
import { runCommand, submenu } from "./submenu.ts";

const CONFIRM_MINUTES = "5";
/** What "config compare" ends with when there is a difference; above it is trouble. */
const COMPARED = 1;

export function configurationMenu(): Dialogue {
	return submenu("config", "Configuration", [
		{ label: "History", command: "config history", dialogue: () => once("history") },
		{ label: "Edit a file of the working copy", command: "config edit", dialogue: editAny },
		{ label: "Compare the working copy", command: "config compare [N]", dialogue: compare },
		{ label: "Commit the working copy", command: "config commit confirm 5", dialogue: commit },
		{ label: "Confirm the commit that waits", command: "config confirm", dialogue: () => once("confirm") },
		{ label: "Forget the working copy", command: "config discard", dialogue: discard },
		{ label: "Roll back to a revision", command: "config rollback N confirm 5", dialogue: rollback },
		{ label: "Choose the rescue revision", command: "config rescue N", dialogue: rescue },
		{ label: "Back up", command: "config backup FILE", dialogue: backup },
		{ label: "Restore", command: "config restore FILE", dialogue: restore },
	]);
}

function* once(...words: readonly string[]): Dialogue {
	yield* run(["config", ...words]);
}

const revisionNumber = (text: string): string => {
	if (!/^\d{1,9}$/.test(text)) throw new UsageError(`"${text.slice(0, 20)}" is no revision's number`);
	return text;
};

function* compare(): Dialogue {
	const { revision } = yield* facts();
	// A box that never had a revision compares with nothing.
	if (revision.current === null) return yield* once("compare");
	const number = yield* askFor("With which revision", revisionNumber, String(revision.current));
	if (number !== null) yield* once("compare", number);
}

/** Compares, asks, commits for some minutes, and asks again. */
export function* commit(): Dialogue {
	if ((yield* run(["config", "compare"])) !== COMPARED) return;
	const minutes = yield* askFor(
		"Taken back unless confirmed within how many minutes",
		minutesText,
		CONFIRM_MINUTES,
	);
	if (minutes === null) return;
	const why = yield* ask("Why, for the history (Enter for nothing): ");
	if (!(yield* agree("Put this into force?")))
		return yield* say(["Nothing was changed; the working copy stays."]);
	yield* runCommit(["config", "commit", "confirm", minutes, ...(why === "" ? [] : [why])]);
}

function minutesText(text: string): string {
	const minutes = Number(text);
	if (!/^\d{1,4}$/.test(text) || minutes < 1 || minutes > 1_440) throw new UsageError("1 to 1440 minutes");
	return text;
}

function* discard(): Dialogue {
	if (yield* agree("All changes since the last commit are lost. Forget them?")) yield* once("discard");
}

function* rollback(): Dialogue {
	yield* once("history");
	const number = yield* askFor("Back to which revision", revisionNumber);
	if (number === null) return;
	// What runs against what is to run; the working copy has no part in it.
	const { revision } = yield* facts();
	const running = revision.current === null ? [] : [String(revision.current)];
	if ((yield* run(["config", "compare", ...running, number])) > COMPARED) return;
	if (yield* agree(`Put revision ${number} into force, for ${CONFIRM_MINUTES} minutes unless confirmed?`))
		yield* runCommit(["config", "rollback", number, "confirm", CONFIRM_MINUTES]);
}

function* rescue(): Dialogue {
	yield* once("rescue");
	const number = yield* askFor("Which revision shall it be", revisionNumber);
	if (number !== null) yield* once("rescue", number);
}

function* backup(): Dialogue {
	const file = yield* askFor('Where to: a path, a URL, or "usb"', placeText, "usb");
	if (file !== null) yield* runCommand(["config", "backup", file, ...(yield* authorityOf(file))]);
}

/** Words behind the place for who signed the certificate of an https server, when it is nobody well-known. */
export function* authorityOf(place: string): Dialogue<readonly string[]> {
	if (!place.startsWith("https://")) return [];
	const prompt = "File with the certificate of its server's authority (Enter: the well-known ones)";
	const file = yield* askFor(prompt, placeText);
	return file === null ? [] : ["ca", file];
}

function* restore(): Dialogue {
	const file = yield* askFor('Where from: a path, a URL, or "usb"', placeText, "usb");
	if (file === null) return;
	const authority = yield* authorityOf(file);
	if (
		!(yield* hostNameTyped([
			"What the working copy holds is lost; the running configuration stays until a commit.",
		]))
	)
		return;
	if ((yield* runCommand(["config", "restore", file, ...authority])) === 0) yield* commit();
}

function placeText(text: string): string {
	if (text.startsWith("-") || /\s/.test(text)) throw new UsageError(`"${text.slice(0, 30)}" is no place`);
	return text;
}

function* editAny(): Dialogue {
	const file = yield* askFor("Which file", fileName, "keepalived.conf");
	if (file !== null) yield* edit(file);
}

/** The box's own settings. */
export function* editSettings(): Dialogue {
	yield* edit("appliance.toml");
}

function* edit(file: string): Dialogue {
	// Makes the working copy when there is none, and says where it is.
	if ((yield* run(["config", "edit"])) !== 0) return;
	yield* say([`The editor is vi: i types, Escape ends that, :wq keeps the file, :q! does not.`]);
	if (!(yield* agree(`Open ${file}?`))) return;
	yield { kind: "lend", program: { editFile: file } };
	yield* commit();
}

function fileName(text: string): string {
	if (!/^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/.test(text))
		throw new UsageError("a file of the configuration, such as keepalived.conf or default.vcl");
	return text;
}
