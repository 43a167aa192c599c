/** `drover config set`: settings of appliance.toml by name: planned, committed, taken back unless confirmed. */
import { parseArgs } from "node:util";
import { editSettingsText, SettingsWordError } from "../appliance/settings-edit.ts";
import { TomlError } from "../appliance/toml.ts";
import { TomlEditError } from "../appliance/toml-edit.ts";
import { RevisionError } from "../config/revisions/revisions.ts";
import type { CommandHelp } from "./command-help.ts";
import { runCommand } from "./command-line.ts";
import { changeConfiguration, commitOptions, commitWords } from "./commit.ts";
import { UsageError } from "./usage-error.ts";

export const help: CommandHelp = {
	usage: ["config set [PATH=VALUE]... [--remove PATH]..."],
	about:
		"Changes appliance.toml and leaves everything else in it as it stands. Shows the plan, asks, and is taken back by itself unless confirmed.",
	words: [
		["PATH=VALUE", "a setting; a list's entries are separated by commas"],
		["PATH+=V, PATH-=V", "a list with one entry more or less"],
		["PATH=-", "the value is a line of standard input (secrets)"],
		["NAME[X]", "of a list of sections: by name, by number, + for a new one"],
		["--remove PATH", "takes a setting or a section out"],
		...commitWords,
	],
	examples: [
		["config set ntp.servers=192.0.2.123", "whom to ask the time"],
		["config set ssh.enabled=on ssh.sources+=10.80.0.0/24", "SSH, from one network"],
		["config set port[eth0].addresses+=192.0.2.10/24", "one more address"],
		["config set syslog.receivers[+].host=10.80.0.7", "one more receiver"],
		["config set --remove syslog.receivers[1]", "one less"],
	],
};

const INPUT_LIMIT_BYTES = 16_384;

export async function main(words: readonly string[]): Promise<number> {
	return runCommand("config set", help, words, async () => {
		const { values, positionals } = parseArgs({
			args: [...words],
			options: { remove: { type: "string", multiple: true }, ...commitOptions },
			allowPositionals: true,
		});
		const remove = values.remove ?? [];
		if (positionals.length + remove.length === 0)
			throw new UsageError("say what: PATH=VALUE, or --remove PATH");
		const set = positionals.some(readsInput) ? fillIn(positionals, await readInput()) : positionals;
		const named = [...positionals.map((word) => word.split(/[+-]?=/)[0]!), ...remove];
		const why = `config set ${[...new Set(named)].join(" ")}`;
		try {
			return await changeConfiguration(why, values, {
				"appliance.toml": (text) => editSettingsText(text, { set, remove }),
			});
		} catch (error) {
			if (error instanceof SettingsWordError) throw new UsageError(error.message);
			if (error instanceof TomlEditError) throw new RevisionError(error.message);
			if (error instanceof TomlError)
				throw new RevisionError(`appliance.toml, line ${error.place.line}: ${error.message}`);
			throw error;
		}
	});
}

const readsInput = (word: string) => /^[^=]+=-$/.test(word);

async function readInput(): Promise<readonly string[]> {
	const text = await Bun.stdin.text();
	if (text.length > INPUT_LIMIT_BYTES) throw new UsageError(`more than ${INPUT_LIMIT_BYTES} bytes of input`);
	return text.split("\n");
}

/** Lines of the input take the places of "-", in their order. */
function fillIn(words: readonly string[], lines: readonly string[]): string[] {
	let next = 0;
	return words.map((word) => (readsInput(word) ? `${word.slice(0, -1)}${lines[next++] ?? ""}` : word));
}
