/** Who may ask over SNMP, and whom it tells. Pure. */
import { address, line, network } from "../../appliance/settings/words.ts";
import { community, snmpPassword, snmpUserName } from "../../status/snmp/settings.ts";
import { changeByCommand } from "./change.ts";
import { changeSettings, removeSection } from "./change-settings.ts";
import { askFor, askSecret, choose, type Dialogue, say, settings } from "./dialogue.ts";
import { listText, oneOf, onOff, switchText, word, words } from "./setting-words.ts";
import { submenu } from "./submenu.ts";

export function snmpMenu(): Dialogue {
	return submenu("snmp", "SNMP", [
		{ label: "On or off, from where", command: "config set snmp.enabled=on", dialogue: change },
		{ label: "Communities (v2c)", command: "config set snmp.communities=...", dialogue: communities },
		{ label: "Add a user (v3)", command: "config set snmp.users[NAME]...", dialogue: addUser },
		{
			label: "Remove a user",
			command: "config set --remove snmp.users[NAME]",
			*dialogue() {
				const found = yield* settings();
				if (found !== null)
					yield* removeSection(
						"user",
						"snmp.users",
						found.snmp.users.map(({ name }) => name),
					);
			},
		},
		{ label: "Add a receiver of traps", command: "config set snmp.receivers[+]...", dialogue: addReceiver },
		{
			label: "Remove a receiver",
			command: "config set --remove snmp.receivers[N]",
			*dialogue() {
				const found = yield* settings();
				if (found !== null)
					yield* removeSection(
						"receiver",
						"snmp.receivers",
						found.snmp.receivers.map(
							(receiver) => `${receiver.address}, ${receiver.version} ${receiver.kind}s`,
						),
					);
			},
		},
	]);
}

function* change(): Dialogue {
	const found = yield* settings();
	if (found === null) return;
	const { snmp } = found;
	yield* changeSettings([
		{ prompt: "SNMP: on or off", path: "snmp.enabled", now: switchText(snmp.enabled), read: onOff },
		{
			prompt: "Which networks may ask (none: nobody)",
			path: "snmp.sources",
			now: listText(snmp.sources),
			read: words(network),
		},
		{ prompt: "Location", path: "snmp.location", now: snmp.location || "none", read: freeText },
		{ prompt: "Contact", path: "snmp.contact", now: snmp.contact || "none", read: freeText },
	]);
}

const freeText = (text: string) => (text === "none" ? "" : word(line)(text));

/** A community is a secret: it is typed unseen, and what is set is not shown. */
function* communities(): Dialogue {
	const found = yield* settings();
	if (found === null) return;
	const count = found.snmp.communities.length;
	yield* say([
		`${count === 0 ? "No community is" : count === 1 ? "1 community is" : `${count} communities are`} set.`,
	]);
	const typed = yield* askSecret('The new ones, all of them ("none": no v2c; Enter: back): ');
	if (typed === "" || typed === "0") return;
	const entries = typed === "none" ? [] : typed.split(/[\s,]+/);
	const odd = entries.find((entry) => !community.safeParse(entry).success);
	if (odd !== undefined) return yield* say(["A community has 1 to 64 characters. Nothing was changed."]);
	yield* changeByCommand(["config", "set", "snmp.communities=-"], [entries.join(",")]);
}

function* addUser(): Dialogue {
	const name = yield* askFor("Name", word(snmpUserName));
	if (name === null) return;
	const auth = yield* askFor("Authentication: sha256, sha", oneOf("sha256", "sha"), "sha256");
	if (auth === null) return;
	const authPassword = yield* twice("Authentication password");
	if (authPassword === null) return;
	const privacy = yield* askFor("Encryption: aes, aes256", oneOf("aes", "aes256"), "aes");
	if (privacy === null) return;
	const privacyPassword = yield* twice("Encryption password");
	if (privacyPassword === null) return;
	const user = `snmp.users[${name}]`;
	yield* changeByCommand(
		[
			...["config", "set", `${user}.auth=${auth}`, `${user}.auth_password=-`],
			...[`${user}.privacy=${privacy}`, `${user}.privacy_password=-`],
		],
		[authPassword, privacyPassword],
	);
}

/** RFC 3414 §11.2 wants eight characters. */
function* twice(what: string): Dialogue<string | null> {
	for (;;) {
		const typed = yield* askSecret(`${what} (Enter: back): `);
		if (typed === "" || typed === "0") return null;
		if (!snmpPassword.safeParse(typed).success) {
			yield* say(["8 to 255 characters."]);
			continue;
		}
		if ((yield* askSecret("Once more: ")) === typed) return typed;
		yield* say(["That was not the same."]);
	}
}

function* addReceiver(): Dialogue {
	const found = yield* settings();
	if (found === null) return;
	const place = yield* askFor("Address of the receiver", word(address));
	if (place === null) return;
	const kind = yield* askFor("inform (acknowledged) or trap", oneOf("inform", "trap"), "inform");
	if (kind === null) return;
	const version = yield* askFor("v2c or v3", oneOf("v2c", "v3"), "v2c");
	if (version === null) return;
	const receiver = "snmp.receivers[+]";
	const common = [
		`${receiver}.version=${version}`,
		`${receiver}.address=${place}`,
		`${receiver}.kind=${kind}`,
	];
	if (version === "v2c") {
		const secret = yield* askSecret("Community (Enter: back): ");
		if (secret === "" || secret === "0") return;
		return yield* changeByCommand(["config", "set", ...common, `${receiver}.community=-`], [secret]);
	}
	const { users } = found.snmp;
	if (users.length === 0) return yield* say(["v3 needs a user: add one first."]);
	yield* say(users.map(({ name }, index) => `${String(index + 1).padStart(2)} ${name}`));
	const user = yield* choose("Which user", users);
	if (user !== null) yield* changeByCommand(["config", "set", ...common, `${receiver}.user=${user.name}`]);
}
