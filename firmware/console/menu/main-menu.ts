/** The first screen: twelve items in three columns, under the banner. Pure. */
import type { ConsoleFacts } from "../facts.ts";
import { WIDTH_COLUMNS } from "../wrap.ts";
import { accessMenu } from "./access.ts";
import { banner, charactersOf } from "./banner.ts";
import { cacheMenu } from "./cache.ts";
import { configurationMenu } from "./configuration.ts";
import { act, ask, type Dialogue, facts, type SessionFacts, say } from "./dialogue.ts";
import { firmwareMenu } from "./firmware.ts";
import { highAvailabilityMenu } from "./high-availability.ts";
import { logMenu } from "./log.ts";
import { networkMenu } from "./network.ts";
import { powerMenu } from "./power.ts";
import { shell } from "./shell.ts";
import { status } from "./status.ts";
import { runLine } from "./submenu.ts";
import { toolMenu } from "./tools.ts";
import { virtualServerMenu } from "./virtual-servers.ts";

interface MainItem {
	readonly label: string;
	/** The word that does the same. */
	readonly word: string;
	readonly dialogue: () => Dialogue;
}

const items: readonly MainItem[] = [
	{ label: "Status", word: "status", dialogue: status },
	{ label: "Network", word: "network", dialogue: networkMenu },
	{ label: "Virtual servers", word: "servers", dialogue: virtualServerMenu },
	{ label: "High availability", word: "ha", dialogue: highAvailabilityMenu },
	{ label: "Cache", word: "cache", dialogue: cacheMenu },
	{ label: "Configuration", word: "config", dialogue: configurationMenu },
	{ label: "Logs and events", word: "log", dialogue: logMenu },
	{ label: "Tools", word: "tools", dialogue: toolMenu },
	{ label: "Firmware", word: "update", dialogue: firmwareMenu },
	{ label: "Access", word: "access", dialogue: accessMenu },
	{ label: "Shell", word: "shell", dialogue: shell },
	{ label: "Restart or power off", word: "reboot", dialogue: powerMenu },
];

/** Words that open the item itself; the others are commands that say something by themselves. */
const openedByWord = new Set(["servers", "config", "tools"]);

const ROWS = 4;
/** Of the first two columns. */
const COLUMN_WIDTHS = [22, 20] as const;

/** The first screen is drawn within this, so that the whole redraw, with what the program needs, is within 0.8 s. */
const DRAWN_WITHIN_SECONDS = 0.64;
/** A start bit, eight of data, a stop bit. */
const BITS_PER_CHARACTER = 10;

export function mainMenu(password: "set" | "none"): string[] {
	const cell = (row: number, column: number) =>
		`${String(row + column * ROWS + 1).padStart(2)} ${items[row + column * ROWS]!.label}`;
	const rows = Array.from({ length: ROWS }, (_, row) =>
		[...COLUMN_WIDTHS.map((width, column) => cell(row, column).padEnd(width)), cell(row, 2)].join(""),
	);
	return [...rows, password === "set" ? " 0 Log out   ? Help" : " ? Help"].map((line) =>
		line.slice(0, WIDTH_COLUMNS),
	);
}

export const help: readonly string[] = [
	"A number opens an item, Enter shows the banner again, 0 goes back.",
	"^C gives up what is asked and comes back here, ^L draws the screen again.",
	"Every item is a command too, which can be typed here, with --help for more:",
	"",
	"  status [all]          ports, high availability, virtual and real servers",
	"  network               host name, ports, addresses, routes",
	"  vs, rs                virtual and real servers: list, add, change, drain ...",
	"  ha [why|failover]     VRRP instances, and why one is master or backup",
	"  cache                 hits, top URLs, purge, ban, why",
	"  config                compare, commit, confirm, rollback, history, backup",
	"  log [COUNT] [SERVICE] newest lines of the services' logs",
	"  tools                 ping, traceroute, conflicts, verify, capture",
	"  update                firmware: status, install, confirm, rollback",
	"  password              sets the password of this console and of SSH",
	"  shell                 a root shell (logged)",
	"  reboot, poweroff",
];

/** Banner and menu, no longer than a slow line carries in time. */
function firstScreen(now: SessionFacts): string[] {
	const below = ["", ...mainMenu(now.password)];
	const carried = ((now.lineBaud ?? Number.POSITIVE_INFINITY) / BITS_PER_CHARACTER) * DRAWN_WITHIN_SECONDS;
	return [...banner(now, carried - charactersOf([...below, promptOf(now)])), ...below];
}

const promptOf = ({ hostname }: ConsoleFacts) => `\n${hostname}> `;

/** The whole session, until somebody logs out. After ^C it begins again, without the banner. */
export function* session(again: boolean): Dialogue {
	const first = yield* facts();
	yield* say(again ? ["", ...mainMenu(first.password)] : firstScreen(first));
	for (;;) {
		const now = yield* facts();
		const { password } = now;
		const line = yield* ask(promptOf(now));
		if (line === "0" || line === "logout") {
			if (password === "none") {
				yield* say(['No password is set, so there is nothing to log out of. "10" sets one.']);
				continue;
			}
			yield* act({ kind: "log-out" });
			return;
		}
		if (line === "") {
			yield* say(firstScreen(yield* facts()));
			continue;
		}
		if (line === "help" || line === "?") {
			yield* say(help);
			continue;
		}
		const item = items[Number(line) - 1] ?? items.find(({ word }) => word === line && openedByWord.has(word));
		if (item !== undefined) {
			yield* item.dialogue();
			yield* say(["", ...mainMenu(password)]);
		} else if (/^\d+$/.test(line))
			yield* say([`There is no ${line.slice(0, 20)} here: 1 to ${items.length}.`]);
		else yield* runLine(line);
	}
}
