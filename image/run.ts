/**
 * `make run`: builds what is missing, boots the lab, and lets a person break it and watch.
 *
 *   bun image/run.ts                the screen, with keys
 *   bun image/run.ts --once         the whole story once, as plain lines (no terminal needed)
 *   bun image/run.ts --console a    the serial console of director a (of the running lab, else of a new one)
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { clock } from "../firmware/console/quantity.ts";
import { type BootFiles, build } from "./build.ts";
import { attachConsole } from "./lab/attach.ts";
import { type DirectorName, Lab } from "./lab/lab.ts";
import { labScreen } from "./lab/lab-screen.ts";
import { missingHere } from "./lab/requirements.ts";
import { Session } from "./lab/session.ts";
import { snapshot } from "./lab/snapshot.ts";
import { tellStory } from "./lab/story.ts";
import { outDirectory } from "./make-file.ts";

const REDRAW_MS = 250;
/** Says where the running lab is, to a second `--console` from elsewhere. */
const runningFile = join(outDirectory, "lab.json");

const usage = `usage: make run [ARGS="…"]

  --once          tell the whole story once, as plain lines, and end
  --console a|b   the serial console of a director

Without arguments: the lab's screen. Its keys are shown at the bottom.`;

async function main(words: readonly string[]): Promise<number> {
	const once = words.includes("--once") || words.includes("--script");
	const at = words.indexOf("--console");
	const director = at < 0 ? null : words[at + 1];
	if (words.includes("--help") || (at >= 0 && director !== "a" && director !== "b")) {
		console.log(usage);
		return words.includes("--help") ? 0 : 2;
	}
	if (director !== null && existsSync(runningFile)) {
		const { pid, directory } = JSON.parse(readFileSync(runningFile, "utf8"));
		if (existsSync(`/proc/${pid}`)) {
			await attachConsole(join(directory, `${director}-console.sock`));
			return 0;
		}
	}
	const missing = missingHere();
	if (missing.length > 0) {
		console.error(missing.map((text) => `The lab cannot run: ${text}`).join("\n"));
		return 1;
	}
	if (!once && director === null && !process.stdout.isTTY) {
		console.error("This is no terminal: use --once for the story as plain lines.");
		return 2;
	}
	console.log("Building the image");
	const boot = await build({ release: false, onProgress: (line) => console.log(line) });
	console.log(
		`Starting the lab with Drover ${boot.version}: two directors boot without hardware help, some seconds`,
	);
	return withLab(boot, (lab) => {
		if (once) return runOnce(lab);
		if (director !== null) return runConsole(lab, director as DirectorName);
		return runScreen(lab, boot.version);
	});
}

/** Runs `body` with a lab and removes it however that ends: by itself, by error, by ^C or kill. */
async function withLab(boot: BootFiles, body: (lab: Lab) => Promise<number>): Promise<number> {
	const interrupted = new Promise<number>((resolve) => {
		for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => resolve(130));
	});
	const lab = await Lab.start({ boot });
	mkdirSync(outDirectory, { recursive: true });
	writeFileSync(runningFile, JSON.stringify({ pid: process.pid, directory: lab.directory }));
	try {
		return await Promise.race([body(lab), interrupted]);
	} finally {
		rmSync(runningFile, { force: true });
		await lab.stop();
	}
}

async function runOnce(lab: Lab): Promise<number> {
	const session = new Session(lab, ({ atMs, text }) => console.log(`${clock(atMs)}  ${text}`));
	try {
		await lab.ready();
		session.note("both directors are up");
		await tellStory(session);
		console.log(`${session.traffic.answered} requests answered, ${session.traffic.failed} not`);
		return 0;
	} catch (error) {
		console.error(error instanceof Error ? error.message : String(error));
		return 1;
	} finally {
		session.stop();
	}
}

async function runConsole(lab: Lab, name: DirectorName): Promise<number> {
	await lab.directors[name].ready();
	await attachConsole(lab.directors[name].consolePath);
	return 0;
}

async function runScreen(lab: Lab, version: string): Promise<number> {
	const session = new Session(lab);
	session.note("the directors boot");
	void lab.ready().then(
		() => session.note("both directors are up"),
		(error: Error) => session.note(error.message.split("\n")[0]!),
	);
	const draw = () => {
		const rows = process.stdout.rows ?? 24;
		const lines = labScreen(snapshot(session, version), rows);
		process.stdout.write(`\x1b[H${lines.map((line) => `${line}\x1b[K`).join("\r\n")}\x1b[J`);
	};
	process.stdout.write("\x1b[?1049h\x1b[?25l");
	process.stdin.setRawMode(true);
	const timer = setInterval(draw, REDRAW_MS);
	try {
		await new Promise<void>((resolve) => {
			process.stdin.on("data", (chunk: Uint8Array) => {
				for (const key of chunk.toString()) if (!press(session, key)) resolve();
			});
		});
		return 0;
	} finally {
		clearInterval(timer);
		process.stdin.setRawMode(false);
		process.stdin.pause();
		process.stdout.write("\x1b[?25h\x1b[?1049l");
		session.stop();
		console.log("Stopping the lab");
	}
}

/** Does what a key asks for; false ends the lab. */
function press(session: Session, key: string): boolean {
	const fail = (error: Error) => session.note(error.message);
	const toggle = (wanted: "off" | "frozen" | "cable pulled") => {
		const struck = (["a", "b"] as const).find((name) => session.conditions[name] === wanted);
		const name = struck ?? session.watch.master();
		if (name === null) session.note("there is no master");
		else session.setCondition(name, struck === undefined ? wanted : "running").catch(fail);
	};
	switch (key) {
		case "1":
			session.toggleWeb("web1").catch(fail);
			return true;
		case "2":
			session.toggleWeb("web2").catch(fail);
			return true;
		case "m":
			toggle("off");
			return true;
		case "f":
			toggle("frozen");
			return true;
		case "c":
			toggle("cable pulled");
			return true;
		case "q":
		case "\x03":
			return false;
		default:
			return true;
	}
}

process.exit(await main(process.argv.slice(2)));
