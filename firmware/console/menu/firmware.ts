/** Item 9: firmware and slots. Pure. */
import { UsageError } from "../usage-error.ts";
import { agree, askFor, type Dialogue, facts, hostNameTyped, run } from "./dialogue.ts";
import { submenu } from "./submenu.ts";

export function firmwareMenu(): Dialogue {
	return submenu("firmware", "Firmware", [
		{ label: "Slots and versions", command: "update status", dialogue: () => once("status") },
		{ label: "History", command: "update history", dialogue: () => once("history") },
		{ label: "Install an update", command: "update install FILE|URL", dialogue: install },
		{ label: "Keep the firmware on trial", command: "update confirm", dialogue: confirm },
		{ label: "Start the other slot", command: "update rollback", dialogue: rollback },
	]);
}

function* once(word: string): Dialogue {
	yield* run(["update", word]);
}

function* install(): Dialogue {
	const { slot } = yield* facts();
	const place = yield* askFor("File or URL, such as /run/drover/usb/drover-1.2.0.fw", (text) => {
		if (text.startsWith("-") || /\s/.test(text))
			throw new UsageError(`"${text.slice(0, 30)}" is neither a file nor a URL`);
		return text;
	});
	if (place === null) return;
	const sure = yield* hostNameTyped([
		`The slot that is not running (it is not ${slot}) is written over. It starts, on trial, at the next restart.`,
	]);
	if (sure) yield* run(["update", "install", place]);
}

function* confirm(): Dialogue {
	if (yield* agree("The box will not go back by itself any more. Keep this firmware?"))
		yield* once("confirm");
}

function* rollback(): Dialogue {
	if (
		yield* hostNameTyped(["The other slot's firmware starts at the next restart, and at every one after it."])
	)
		yield* once("rollback");
}
