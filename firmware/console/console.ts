/**
 * `drover console`: the menu on a serial line or any other terminal, and as the login shell over SSH.
 * Line-oriented; nothing is refreshed by itself. What is said and asked is decided by the dialogues in
 * `menu/`; here is only how it is carried out.
 */
import { existsSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { setUpFirst } from "../appliance/set-up.ts";
import { Workspace } from "../config/revisions/workspace.ts";
import { self } from "../self.ts";
import { CONSOLE_LOG_PATH, openLog } from "../status/log.ts";
import { collectFacts } from "./collect-facts.ts";
import { type CommandHelp, formatHelp } from "./command-help.ts";
import { Door } from "./door.ts";
import { idleLimitMs, readBoxSettings } from "./idle-limit.ts";
import type { Act, Dialogue, Lent, Reply, Step } from "./menu/dialogue.ts";
import { session } from "./menu/main-menu.ts";
import { login } from "./menu/password.ts";
import { logShell, shellCommand, shellEnvironment, shellGreeting } from "./shell.ts";
import { SessionEnd, Terminal } from "./terminal.ts";
import { toldCommand } from "./told-command.ts";
import { fold, printable } from "./wrap.ts";

/** A command that does not end upon ^C within this is killed. */
const INTERRUPT_LIMIT_MS = 3_000;
/** Behind what went wrong, before the dialogue begins again. */
const FAILURE_PAUSE_MS = 1_000;
/** A line of a command's output is cut here. */
const LINE_LIMIT_CHARACTERS = 4_096;

export const help: CommandHelp = {
	usage: ["console", "console speed [BAUD] [--json]"],
	about: "The menu on this terminal, as on the serial line and over SSH.",
	words: [["speed", "of the serial line, for loader, kernel and menu: 9600 to 115200"]],
	examples: [
		["console", "the menu, here"],
		["console speed 9600", "for a slow terminal or modem, from now on"],
	],
};

export async function main(words: readonly string[]): Promise<number> {
	if (words[0] === "speed") {
		const { consoleSpeed } = await import("./console-speed.ts");
		return consoleSpeed(words.slice(1));
	}
	if (words.length > 0) {
		console.log(formatHelp(help));
		return words.includes("--help") ? 0 : 2;
	}
	keepLogOffTheScreen();
	return new Console().run();
}

/** Where init starts the console it says where the log goes; over SSH nobody does. */
function keepLogOffTheScreen(): void {
	if (process.env["DROVER_LOG"] !== undefined || process.stderr.isTTY !== true) return;
	const onBox = existsSync("/etc/drover-release");
	if (onBox) mkdirSync(dirname(CONSOLE_LOG_PATH), { recursive: true });
	process.env["DROVER_LOG"] = onBox ? CONSOLE_LOG_PATH : "/dev/null";
}

/** Over SSH the end of a session is the end of the connection. */
const overNetwork = () => process.env["SSH_CONNECTION"] !== undefined;

class Console {
	readonly #terminal = new Terminal();
	readonly #log = openLog("console");
	readonly #door = new Door(overNetwork() ? "network" : "console");
	/** The last screen, for ^L. */
	#screen: readonly string[] = [];

	async run(): Promise<number> {
		try {
			for (;;) {
				try {
					if (!overNetwork()) {
						this.#terminal.idleLimitMs = null;
						await setUpFirst(this.#terminal);
					}
					// sshd has asked for the password or the key already.
					if (this.#door.hasPassword && !overNetwork()) {
						this.#terminal.idleLimitMs = null;
						await this.#carryOut(login);
						this.#note("logged in");
					}
					this.#terminal.idleLimitMs = idleLimitMs();
					await this.#carryOut(session);
				} catch (error) {
					if (!(error instanceof SessionEnd)) throw error;
					if (error.why === "gone") return 0;
					if (!this.#door.hasPassword && !overNetwork()) continue;
					this.#note("logged out: nothing was typed for too long");
					this.#terminal.write("\nLogged out: nothing was typed for too long.\n");
				}
				if (overNetwork()) return 0;
			}
		} finally {
			this.#terminal.close();
		}
	}

	/** Runs a dialogue to its end. ^C begins it again. */
	async #carryOut(begin: (again: boolean) => Dialogue): Promise<void> {
		for (let again = false; ; again = true) {
			const dialogue = begin(again);
			let reply: Reply = { kind: "done" };
			let interrupted = false;
			while (!interrupted) {
				try {
					const step = dialogue.next(reply);
					if (step.done) return;
					const next = await this.#perform(step.value);
					if (next === "log-out") return;
					if (next === "interrupt") interrupted = true;
					else reply = next;
				} catch (error) {
					if (error instanceof SessionEnd) throw error;
					// The console outlives whatever one dialogue meets.
					this.#failed(error);
					interrupted = true;
					// What fails at once, each time, is not to fill the line and the log.
					await Bun.sleep(FAILURE_PAUSE_MS);
				}
			}
			dialogue.return();
		}
	}

	async #perform(step: Step): Promise<Reply | "interrupt" | "log-out"> {
		switch (step.kind) {
			case "say":
				this.#screen = step.lines;
				return (await this.#terminal.page(step.lines)) === "interrupt" ? "interrupt" : { kind: "done" };
			case "ask":
				return this.#ask(step);
			case "facts":
				return { kind: "facts", facts: { ...(await collectFacts()), lineBaud: this.#terminal.lineBaud } };
			case "run":
				return this.#run(step.words, step.input);
			case "settings":
				return { kind: "settings", settings: readBoxSettings() };
			case "lend":
				return { kind: "status", status: await this.#lend(step.program) };
			case "pause":
				await this.#terminal.pause(this.#door.shutForMs());
				return { kind: "done" };
			case "act":
				if (step.act.kind === "log-out") return "log-out";
				return { kind: "acted", trouble: await this.#act(step.act) };
		}
	}

	async #ask(step: Extract<Step, { kind: "ask" }>): Promise<Reply | "interrupt" | "log-out"> {
		const tickMs = step.tickSeconds === null ? null : step.tickSeconds * 1_000;
		for (;;) {
			const event = await this.#terminal.next(step.prompt, { secret: step.secret, tickMs });
			switch (event.kind) {
				case "line":
				case "tick":
					return event;
				case "interrupt":
					return "interrupt";
				case "end":
					// ^D at a prompt leaves it, as it leaves a shell; the serial line itself is never left.
					return overNetwork() ? "log-out" : "interrupt";
				case "redraw":
					if ((await this.#terminal.page(this.#screen)) === "interrupt") return "interrupt";
			}
		}
	}

	/** `drover WORDS…` with its output on the terminal; ^C ends it. */
	async #run(words: readonly string[], input: readonly string[]): Promise<Reply | "interrupt"> {
		this.#note(`ran: ${toldCommand(words)}`);
		const child = Bun.spawn(["/bin/sh", "-c", 'exec "$@" 2>&1', "sh", ...self(), ...words], {
			stdin: input.length === 0 ? "ignore" : new Blob([input.join("\n")]),
			stdout: "pipe",
			stderr: "ignore",
			// A group of its own: ^C ends what the command started too.
			detached: true,
		});
		const end = (signal: NodeJS.Signals) => {
			try {
				process.kill(-child.pid, signal);
			} catch {
				// It has ended meanwhile.
			}
		};
		let interrupted = false;
		const stop = this.#terminal.onInterrupt(() => {
			interrupted = true;
			end("SIGINT");
			setTimeout(() => end("SIGKILL"), INTERRUPT_LIMIT_MS).unref();
		});
		try {
			const seen = await this.#terminal.pageStream(lines(child.stdout, forPrograms(words)));
			if (seen !== "all") end("SIGTERM");
			const status = await child.exited;
			if (words[0] === "console") this.#terminal.lookAtLine();
			if (!interrupted) return { kind: "status", status };
			// Whoever comes by and ends what somebody else left running is not let in by that.
			if (this.#terminal.cameBackLate) throw new SessionEnd("idle");
			return "interrupt";
		} finally {
			stop();
			// Nobody is there any more to see what it says.
			if (child.exitCode === null) end("SIGTERM");
		}
	}

	async #lend(program: Lent): Promise<number> {
		if (program === "shell") {
			logShell("opened");
			this.#terminal.write(`${shellGreeting()}\n`);
			// What runs in it may run for long: it ends at its own prompt.
			const environment = shellEnvironment(this.#terminal.idleLimitMs);
			try {
				return await this.#terminal.lend(shellCommand, { environment, endsIdle: false });
			} finally {
				logShell("closed");
			}
		}
		if ("command" in program) {
			this.#note(`ran: ${toldCommand(program.command)}`);
			return this.#terminal.lend([...self(), ...program.command], { endsIdle: true });
		}
		const path = join(new Workspace().openCandidate(), program.editFile);
		this.#note(`edited ${path}`);
		return this.#terminal.lend(["vi", path], { endsIdle: true });
	}

	async #act(act: Exclude<Act, { kind: "log-out" }>): Promise<string | null> {
		switch (act.kind) {
			case "check-password":
				return this.#terminal.unseen(this.#door.check(act.password, this.#log));
			case "set-password":
				return this.#door.setPassword(act.password, this.#log);
			case "end-machine": {
				this.#note(act.how);
				Bun.spawnSync([`/sbin/${act.how}`], { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
				return null;
			}
		}
	}

	#failed(error: unknown): void {
		const text = error instanceof Error ? error.message : String(error);
		this.#log.error({ stack: error instanceof Error ? error.stack : undefined }, text);
		this.#terminal.write(`That did not work: ${text}\n`);
	}

	/** Who did what from where is in the log. */
	#note(what: string): void {
		const from = process.env["SSH_CONNECTION"]?.split(" ")[0] ?? process.env["DROVER_TERMINAL"] ?? "unknown";
		this.#log.info({ from }, what);
	}
}

/** Whether what a command prints is for programs: JSON, a script, rules of ipvsadm. A line broken in two is another text. */
function forPrograms(words: readonly string[]): boolean {
	const [name = "", action = ""] = words;
	if (words.includes("--json") || name === "completion") return true;
	if (name === "config") return action === "schema";
	if (name === "ipvs") return words.some((word) => /^(--save$|-\w*S)/.test(word));
	return name === "realserver" && /^(dr|tun)$/i.test(action);
}

/** A command's output line by line, as it comes; `whole`: none is broken where the terminal's width ends. */
async function* lines(stream: ReadableStream<Uint8Array>, whole: boolean): AsyncGenerator<string> {
	const decoder = new TextDecoder();
	let rest = "";
	const tidy = (text: string) => text.slice(0, LINE_LIMIT_CHARACTERS).replaceAll("\t", "    ").trimEnd();
	const shown = (text: string) => (whole ? [printable(text)] : fold(text));
	for await (const chunk of stream) {
		const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
		rest = parts.pop()!.slice(0, LINE_LIMIT_CHARACTERS);
		for (const part of parts) yield* shown(tidy(part));
	}
	if (rest !== "") yield* shown(tidy(rest));
}
