/** Who comes in over the network: SSH and the keys of users. Pure. */
import { publicKey, userName } from "../../appliance/settings/access.ts";
import { network } from "../../appliance/settings/words.ts";
import { changeByCommand } from "./change.ts";
import { changeSettings, removeSection } from "./change-settings.ts";
import { askFor, type Dialogue, settings } from "./dialogue.ts";
import { listText, onOff, switchText, wholeNumber, word, words } from "./setting-words.ts";
import { submenu } from "./submenu.ts";

export function sshMenu(): Dialogue {
	return submenu("ssh", "SSH", [
		{ label: "On or off, passwords, from where", command: "config set ssh.enabled=on", dialogue: change },
		{ label: "Add a user's key", command: "config set user[NAME].keys+=KEY", dialogue: addKey },
		{
			label: "Remove a user",
			command: "config set --remove user[NAME]",
			*dialogue() {
				const found = yield* settings();
				if (found !== null)
					yield* removeSection(
						"user",
						"user",
						found.user.map(
							({ name, keys }) => `${name}, ${keys.length === 1 ? "1 key" : `${keys.length} keys`}`,
						),
					);
			},
		},
	]);
}

function* change(): Dialogue {
	const found = yield* settings();
	if (found === null) return;
	const { ssh } = found;
	yield* changeSettings([
		{ prompt: "SSH: on or off", path: "ssh.enabled", now: switchText(ssh.enabled), read: onOff },
		{ prompt: "Log-in by password", path: "ssh.passwords", now: switchText(ssh.passwords), read: onOff },
		{ prompt: "Port", path: "ssh.port", now: String(ssh.port), read: wholeNumber(1, 65_535) },
		{
			prompt: "From which networks (none: from everywhere)",
			path: "ssh.sources",
			now: listText(ssh.sources),
			read: words(network),
		},
	]);
}

function* addKey(): Dialogue {
	const name = yield* askFor("Whose key", word(userName), "root");
	if (name === null) return;
	const key = yield* askFor('The public key, one line, "ssh-ed25519 AAAA..."', word(publicKey));
	if (key !== null) yield* changeByCommand(["config", "set", `user[${name}].keys+=${key}`]);
}
