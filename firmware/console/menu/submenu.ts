/** A numbered menu: its text, and what a typed line means. Pure. */
import { statusScreen } from "../status-screen.ts";
import { cut, printable } from "../wrap.ts";
import { changeByCommand } from "./change.ts";
import { ask, type Dialogue, facts, run, runAsking, say } from "./dialogue.ts";
import { password } from "./password.ts";
import { powerMenu } from "./power.ts";
import { shell } from "./shell.ts";

export const ITEMS_LIMIT = 12;

export interface Item {
	readonly label: string;
	/** The command that does the same, without "drover". */
	readonly command: string;
	readonly dialogue: () => Dialogue;
}

const LABEL_COLUMNS = 34;
const help = [
	"A number opens an item. On the right is the command that does the same: it can",
	'be typed here, with --help for more. "help" at the first menu lists them all.',
];

export function menuLines(title: string, items: readonly Item[]): string[] {
	return [
		title,
		...items.map(({ label, command }, index) =>
			`${String(index + 1).padStart(2)} ${label.padEnd(LABEL_COLUMNS)}${command}`.trimEnd(),
		),
		" 0 Back",
	];
}

/** Shows the menu and does what is chosen until the operator goes back. An empty line shows it again. */
export function* submenu(name: string, title: string, items: readonly Item[]): Dialogue {
	yield* say(["", ...menuLines(title, items)]);
	for (;;) {
		const line = yield* ask(`${name}> `);
		if (line === "0" || /^(q|quit|back|exit)$/i.test(line)) return;
		if (line === "" || line === "?" || line === "help") {
			yield* say([...menuLines(title, items), ...(line === "" ? [] : help)]);
			continue;
		}
		const item = items[Number(line) - 1];
		if (/^\d+$/.test(line)) {
			if (item === undefined) yield* say([notThere(line, items.length)]);
			else yield* item.dialogue();
		} else yield* runLine(line);
	}
}

export function notThere(line: string, count: number): string {
	return `There is no ${cut(line, 20)} here: 1 to ${count}, 0 goes back.`;
}

/** Commands that are the console itself, or that would never end on it. */
const notHere = new Set([
	...["console", "bfd", "vrrp", "director", "keepalived", "varnishd", "monitor"],
	...["snmp", "metrics", "syslog"],
]);

/** Any command, typed at a prompt, with or without "drover" before it. */
export function* runLine(line: string): Dialogue {
	const words = splitWords(line);
	if (words === null) return yield* say(["A quotation mark is not closed."]);
	if (words[0] === "drover") words.shift();
	const [name = "", action = ""] = words;
	if (name === "") return;
	const sign = shellSign(line);
	// A ban compares with ">".
	if (sign !== null && !(name === "cache" && action === "ban"))
		return yield* say([
			`"${sign}" is for a shell ("shell" opens one; there the command begins with`,
			'"drover"). A word that begins with it goes between quotation marks.',
		]);
	if (["reboot", "poweroff"].includes(name) && words.length > 1)
		return yield* say([`"${name}" takes no words: it asks.`]);
	// What is asked for most is shown at once, without a program to start.
	if (name === "status" && (words.length === 1 || (words.length === 2 && action === "all")))
		return yield* say(statusScreen(yield* facts(), { all: action === "all" }));
	// These want the terminal themselves.
	if (words.length === 1)
		switch (name) {
			case "shell":
				return yield* shell();
			case "reboot":
			case "poweroff":
				return yield* powerMenu(name);
			case "password":
				return yield* password();
		}
	if (notHere.has(name) && words.length === 1)
		return yield* say([`"${printable(name)}" runs as a service; "${name} --help" says more.`]);
	const asks =
		((name === "vs" || name === "rs") && ["add", "change", "remove"].includes(action)) ||
		(name === "config" && action === "set");
	if (asks && !["--yes", "-y", "--plan", "--help", "-h"].some((option) => words.includes(option)))
		return yield* changeByCommand(words);
	yield* runCommand(words);
}

/** What a shell would read as its own, outside quotation marks: a file to write or read, another program. Null: none. */
function shellSign(line: string): string | null {
	const outside = line.replace(/"[^"]*"|'[^']*'/g, "_");
	return /(?:^|\s)(\d?>{1,2}|[<|])/.exec(outside)?.[1] ?? null;
}

/** A command's exit status. scp asks for a password, and whether a host is the right one, on the terminal itself. */
export function runCommand(words: readonly string[]): Dialogue<number> {
	const [name, action = "", place = ""] = words;
	const byScp = name === "config" && ["backup", "restore"].includes(action) && place.startsWith("scp://");
	return byScp ? runAsking(words) : run(words);
}

/** Words between blanks; "…" and '…' keep blanks. Null when a quotation mark is not closed. */
export function splitWords(line: string): string[] | null {
	const words: string[] = [];
	const form = /\s*(?:"([^"]*)"|'([^']*)'|([^\s"']+))/y;
	let at = 0;
	let joined = false;
	while (at < line.length) {
		form.lastIndex = at;
		const match = form.exec(line);
		if (match === null) return line.slice(at).trim() === "" ? words : null;
		const blank = /^\s/.test(match[0]) || at === 0;
		const word = match[1] ?? match[2] ?? match[3]!;
		joined = !blank && words.length > 0;
		if (joined) words[words.length - 1] += word;
		else words.push(word);
		at = form.lastIndex;
	}
	return words;
}
