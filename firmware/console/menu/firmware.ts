/** Item 9: firmware and slots. Pure. */
import { UsageError } from "../usage-error.ts";
import { authorityOf } from "./configuration.ts";
import { agree, ask, askFor, type Dialogue, facts, hostNameTyped, run, say } from "./dialogue.ts";
import { submenu } from "./submenu.ts";

export function firmwareMenu(): Dialogue {
	return submenu("firmware", "Firmware", [
		{ label: "Slots and versions", command: "update status", dialogue: () => once("status") },
		{ label: "History", command: "update history", dialogue: () => once("history") },
		{ label: "Install an update", command: "update install FILE|URL|usb", dialogue: install },
		{ label: "Keep the firmware on trial", command: "update confirm", dialogue: confirm },
		{ label: "Start the other slot", command: "update rollback", dialogue: rollback },
		{ label: "Install on the box's own disk", command: "install DISK", dialogue: installOnDisk },
		{ label: "Factory reset", command: "factory-reset", dialogue: factoryReset },
	]);
}

function* once(word: string): Dialogue {
	yield* run(["update", word]);
}

function* install(): Dialogue {
	const { slot } = yield* facts();
	const place = yield* askFor(
		'A file, a URL, or "usb"',
		(text) => {
			if (text.startsWith("-") || /\s/.test(text))
				throw new UsageError(`"${text.slice(0, 30)}" is neither a file nor a URL`);
			return text;
		},
		"usb",
	);
	if (place === null) return;
	const authority = yield* authorityOf(place);
	const sure = yield* hostNameTyped([
		`What is in the slot that does not run (${slot} runs) is lost. The new firmware starts, on trial, at the next restart.`,
	]);
	if (sure) yield* run(["update", "install", place, ...authority]);
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

/** From a stick that the box was started from. The disk's own name is asked for, not the box's. */
function* installOnDisk(): Dialogue {
	if ((yield* run(["install"])) !== 0) return;
	const disk = yield* askFor("Onto which disk, such as /dev/sda", (text) => {
		if (!/^\/dev\/[a-z0-9]{2,20}$/.test(text)) throw new UsageError("a disk's name, such as /dev/sda");
		return text;
	});
	if (disk === null) return;
	const typed = yield* ask(`Everything on ${disk} will be lost. Type its name again to go on: `);
	if (typed !== disk) return yield* say([`That is not "${disk}". Nothing was done.`]);
	yield* run(["install", disk, "--name", disk]);
}

function* factoryReset(): Dialogue {
	const { hostname } = yield* facts();
	const sure = yield* hostNameTyped([
		"The box restarts, and all its data is erased: configuration and its history, password, keys, logs.",
		"The firmware stays. Then it asks what a new box asks.",
	]);
	if (sure) yield* run(["factory-reset", "--name", hostname, "--reboot"]);
}
