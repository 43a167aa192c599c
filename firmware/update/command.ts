/** `drover update`: the operator's words for slots and firmware, and the judge of a new one. */

import { cpSync, existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type CommandHelp, formatHelp } from "../console/command-help.ts";
import { howCalled } from "../how-called.ts";
import { openLog } from "../status/log.ts";
import { readAuthority } from "../web-authority.ts";
import {
	idleSlot,
	LoaderSlots,
	lookAtWorking,
	openSlot,
	type Running,
	readRunning,
	slotMarks,
	updateTarget,
} from "./box.ts";
import { alone, installUpdate } from "./installation.ts";
import { UpdateRecords } from "./records.ts";
import { slotWords } from "./slot-words.ts";
import { markGood, other, rollBack, type Slots, STARTS } from "./slots.ts";
import { openSource } from "./source.ts";
import { judgeTrial, missingNow, type Working } from "./trial.ts";

const WATCH_INTERVAL_MS = 2_000;
/** A good slot that hung has proved itself once more after this time. */
const PROVEN_AGAIN_MS = 10 * 60_000;
/** What was logged goes through a pipe to the program that writes it down. */
const LOG_WRITTEN_MS = 1_000;
/** Everyone who wants to know reads here why the box went back. */
const REVERTED_FILE = "/run/drover/reverted";
/** Where rootfs/usr/lib/drover/keep-log puts the logs of this boot, and the boot script those of the last. */
const KEPT_LOG_DIRECTORY = "/data/log/this";
const LAST_LOG_DIRECTORY = "/data/log/last";
export const FAILED_LOG_DIRECTORY = "/data/log/failed-update";

export const help: CommandHelp = {
	usage: [
		"update status [--json]",
		"update install FILE|URL|usb [ca FILE] [--allow-downgrade] [--reboot]",
		"update confirm|rollback",
		"update history [--json]",
	],
	about:
		"A new firmware is on trial until it does what the old one did: services, links, VRRP instances, real servers, configuration revision. Otherwise the box goes back by itself.",
	words: [
		["status", "what runs, why, and what the other slot holds"],
		["install", "verify, write the idle slot, read back, start it at the next restart"],
		["confirm", "the running firmware is good: keep it"],
		["rollback", "start the other slot at the next restart"],
		["history", "updates, newest first"],
		["ca FILE", "who signed the certificate of an https server that nobody well-known signed"],
		["--allow-downgrade", "take an older version too"],
		["--reboot", "restart at once"],
		["--json", "for programs"],
	],
	examples: [
		["update install usb", "the newest .fw file of the stick that is plugged in"],
		[
			"update install https://example.org/drover-1.2.0.fw --reboot",
			"from a server; goes on where it broke off",
		],
	],
};

/** What the command line asks for, beyond the name. */
interface Wish {
	readonly place: string | undefined;
	/** Behind the place. */
	readonly more: readonly string[] | undefined;
	readonly allowDowngrade: boolean;
	readonly reboot: boolean;
	readonly json: boolean;
}

interface Command {
	readonly run: (wish: Wish) => Promise<number>;
	/** Options and words that it knows. */
	readonly takes: readonly (keyof Wish)[];
}

const commands: Readonly<Record<string, Command>> = {
	status: { run: status, takes: ["json"] },
	install: { run: installCommand, takes: ["place", "more", "allowDowngrade", "reboot"] },
	confirm: { run: confirm, takes: [] },
	rollback: { run: rollback, takes: [] },
	history: { run: history, takes: ["json"] },
	watch: { run: watch, takes: [] },
};

export async function main(words: readonly string[]): Promise<number> {
	const { values, positionals } = parseArgs({
		args: [...words],
		options: {
			"allow-downgrade": { type: "boolean", default: false },
			reboot: { type: "boolean", default: false },
			json: { type: "boolean", default: false },
			help: { type: "boolean", short: "h", default: false },
		},
		allowPositionals: true,
	});
	const [name, place, ...more] = positionals;
	if (values.help || name === undefined || name === "help") {
		console.log(formatHelp(help));
		return name === undefined && !values.help ? 2 : 0;
	}
	const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
	if (command === undefined) {
		console.error(`drover update: there is no "${name}"\n\n${formatHelp(help)}`);
		return 2;
	}
	const wish: Wish = {
		place,
		more: more.length > 0 ? more : undefined,
		allowDowngrade: values["allow-downgrade"],
		reboot: values.reboot,
		json: values.json,
	};
	const given = (Object.keys(wish) as (keyof Wish)[]).filter(
		(key) => wish[key] !== undefined && wish[key] !== false,
	);
	if (given.some((key) => !command.takes.includes(key))) {
		console.error(`drover update ${name}: too many words\n${howCalled("update")}`);
		return 2;
	}
	try {
		return await command.run(wish);
	} catch (error) {
		console.error(`drover update: ${error instanceof Error ? error.message : error}`);
		return 1;
	}
}

async function status({ json }: Wish): Promise<number> {
	const running = readRunning();
	const slots = new LoaderSlots().read();
	const trial = new UpdateRecords().trial();
	if (json) {
		const missing =
			trial === null || trial.slot !== running.slot ? null : missingNow(trial.before, await lookAtWorking());
		console.log(JSON.stringify({ running, slots, trial: missing && { missing } }, null, 2));
		return 0;
	}
	for (const slot of ["A", "B"] as const) console.log(slotWords(slots, slot, running));
	if (trial !== null && trial.slot === running.slot) {
		const missing = missingNow(trial.before, await lookAtWorking());
		console.log(missing.length === 0 ? "the trial goes well" : `the trial waits: ${missing.join("; ")}`);
	}
	return 0;
}

async function installCommand(wish: Wish): Promise<number> {
	const { place, more } = wish;
	if (place === undefined) throw new Error('say which file or URL, or "usb"');
	const authority = readAuthority(place, more ?? []);
	if (place === "usb") return installFromStick(wish);
	const running = readRunning();
	const loader = new LoaderSlots();
	const records = new UpdateRecords();
	if (loader.read()[running.slot].state === "trial")
		throw new Error('the running firmware is on trial itself; "drover update confirm" it first, or wait');
	const idle = idleSlot(running);
	const { partitions, partitionBytes } = openSlot(idle);
	try {
		await alone(async () => {
			const source = await openSource(place, authority);
			try {
				await installUpdate({
					read: source.read,
					target: updateTarget(running, partitionBytes, wish.allowDowngrade),
					slot: idle,
					partitions,
					marks: slotMarks(loader, idle),
					records,
					async lookAtWorking() {
						rmSync(FAILED_LOG_DIRECTORY, { recursive: true, force: true });
						return lookAtWorking();
					},
					say: console.log,
				});
			} finally {
				await source.close();
			}
		});
	} finally {
		partitions.boot.close();
		partitions.root.close();
	}
	if (wish.reboot) Bun.spawnSync(["reboot"]);
	return 0;
}

/** The newest bundle on the USB stick that is in. */
async function installFromStick(wish: Wish): Promise<number> {
	const { withStick } = await import("../appliance/usb-stick.ts");
	const status = await withStick("read", async (folder) => {
		// Some systems put a file of their own, "._NAME", beside each one.
		const bundles = readdirSync(folder).filter((name) => /^[^.].*\.fw$/i.test(name));
		const newest = bundles.sort(byVersion).at(-1);
		if (newest === undefined) return null;
		console.log(`Taking ${newest} from the USB stick.`);
		return installCommand({ ...wish, place: join(folder, newest) });
	});
	if (status === null) throw new Error("there is no firmware (drover-....fw) on the USB stick");
	return status;
}

/** Names such as drover-1.10.0.fw, by the number in them. */
function byVersion(a: string, b: string): number {
	return a.localeCompare(b, "en", { numeric: true });
}

/** `slots`: with what the loader is to do from now on. */
function keep(running: Running, slots: Slots, records: UpdateRecords, why: string): void {
	new LoaderSlots().write(markGood(slots, running.slot));
	records.setTrial(null);
	records.note("good", `${running.version} in slot ${running.slot}: ${why}`);
}

async function confirm(): Promise<number> {
	const running = readRunning();
	const slots = new LoaderSlots().read();
	const idle = other(running.slot);
	if (slots[running.slot].state !== "trial") {
		const waits = slots[idle].state === "trial" ? `; slot ${idle} will be, once it is started` : "";
		throw new Error(`slot ${running.slot} is not on trial${waits}`);
	}
	// Should another one have been chosen for the next start: this one is to stay.
	keep(running, { ...slots, preferred: running.slot }, new UpdateRecords(), "confirmed by the operator");
	console.log(`Slot ${running.slot} is good and stays.`);
	return 0;
}

async function rollback(): Promise<number> {
	const running = readRunning();
	const loader = new LoaderSlots();
	const slots = rollBack(loader.read(), running.slot);
	if (slots === null) throw new Error(`slot ${other(running.slot)} holds nothing that has ever been good`);
	loader.write(slots);
	const records = new UpdateRecords();
	records.setTrial(null);
	records.note("rollback", `by the operator, to slot ${slots.preferred}`);
	console.log(`Slot ${slots.preferred} (${slots[slots.preferred].version}) starts at the next restart.`);
	return 0;
}

async function history({ json }: Wish): Promise<number> {
	const entries = new UpdateRecords().history();
	if (json) {
		console.log(JSON.stringify(entries, null, 2));
		return 0;
	}
	if (entries.length === 0) console.log("No update yet.");
	for (const { atMs, what, detail } of entries)
		console.log(`${new Date(atMs).toISOString().slice(0, 19)}Z  ${what}: ${detail}`);
	return 0;
}

/** The logs of a firmware that failed its trial outlive it, until the next one fails. */
function keepFailedLog(): void {
	Bun.spawnSync(["/usr/lib/drover/keep-log"]);
	rmSync(FAILED_LOG_DIRECTORY, { recursive: true, force: true });
	if (existsSync(KEPT_LOG_DIRECTORY)) cpSync(KEPT_LOG_DIRECTORY, FAILED_LOG_DIRECTORY, { recursive: true });
}

/** The judge: a service that runs while the started slot is on trial, and says so when the box went back. */
async function watch(): Promise<number> {
	const log = openLog("update");
	const running = readRunning();
	const records = new UpdateRecords();
	const loader = new LoaderSlots();
	const trial = records.trial();
	const state = loader.read()[running.slot].state;
	if (trial !== null && trial.slot !== running.slot && loader.read()[trial.slot].left === 0) {
		// One that never came so far as to judge itself left what the monitor kept of it.
		if (!existsSync(FAILED_LOG_DIRECTORY) && existsSync(LAST_LOG_DIRECTORY))
			cpSync(LAST_LOG_DIRECTORY, FAILED_LOG_DIRECTORY, { recursive: true });
		const words = `${trial.version} did not prove itself; the box went back to ${running.version} in slot ${running.slot}; its log: drover log failed`;
		writeFileSync(REVERTED_FILE, `${words}\n`);
		records.note("reverted", words);
		records.setTrial(null);
		log.error(words);
		return 0;
	}
	if (state !== "trial") {
		if (state === "good" && loader.read()[running.slot].left < STARTS) {
			await Bun.sleep(PROVEN_AGAIN_MS);
			loader.write(markGood(loader.read(), running.slot));
			log.info({ slot: running.slot }, "no hang for a while: the slot has all its starts again");
		}
		return 0;
	}
	rmSync(REVERTED_FILE, { force: true });
	const before: Working = trial?.before ?? {
		services: ["vrrp", "director"],
		links: [],
		realServers: [],
		instances: [],
		revision: null,
	};
	const startedAt = performance.now();
	let steadySinceMs: number | null = null;
	for (;;) {
		const now = await lookAtWorking();
		const elapsedMs = performance.now() - startedAt;
		const well = missingNow(before, trial === null ? { ...now, revision: null } : now).length === 0;
		if (!well) steadySinceMs = null;
		else if (steadySinceMs === null) steadySinceMs = elapsedMs;
		const verdict = judgeTrial(
			before,
			trial === null ? { ...now, revision: null } : now,
			elapsedMs,
			steadySinceMs,
		);
		switch (verdict.kind) {
			case "good":
				keep(running, loader.read(), records, "does what the one before it did");
				log.info({ version: running.version, slot: running.slot }, "the new firmware is good");
				return 0;
			case "revert": {
				const reasons = verdict.reasons.join("; ");
				records.note("judged bad", `${running.version} in slot ${running.slot}: ${reasons}`);
				log.error({ reasons: verdict.reasons }, "the new firmware is not as good as the old one: going back");
				const slots = loader.read();
				loader.write({
					...slots,
					preferred: other(running.slot),
					[running.slot]: { ...slots[running.slot], left: 0 },
				});
				// The reasons are to be in it.
				await Bun.sleep(LOG_WRITTEN_MS);
				keepFailedLog();
				Bun.spawnSync(["sync"]);
				Bun.spawnSync(["reboot"]);
				return 0;
			}
			case "wait":
				await Bun.sleep(WATCH_INTERVAL_MS);
		}
	}
}
