/**
 * The terminal below the console: bytes in as editor events, lines out. Signals from the keyboard
 * arrive as bytes, so ^C never ends the console. Works on a pipe too, for scripts.
 */
import { fstatSync, readdirSync, readFileSync } from "node:fs";
import type { Dialogue, Reply, Step } from "./dialogue.ts";
import { type EditorEvent, LineEditor } from "./line-editor.ts";

/** Lines of one page; the rest waits for Enter. A terminal of 24 keeps the question in sight. */
export const PAGE_LINES = 22;
/** Events that may wait while a command runs; what is typed on top is lost. */
const WAITING_EVENTS_LIMIT = 64;
/** How often a lent terminal is looked at. */
const LOOK_MS = 1_000;
/** The kernel keeps a terminal's times in steps of 8 s (tty_update_time in drivers/tty/tty_io.c). */
const TERMINAL_TIME_STEP_MS = 8_000;
/** A program that does not end when it is told to, is ended after this. */
const END_LIMIT_MS = 3_000;

const COOKED = ["sane"];
// Output processing stays on: a line feed becomes CR LF in the driver.
const BYTEWISE = ["-icanon", "-echo", "-isig", "-icrnl", "-inlcr", "-ixon", "min", "1", "time", "0"];

/** The operator is not there any more: silent for too long, or the line is gone. */
export class SessionEnd extends Error {
	readonly why: "idle" | "gone";
	constructor(why: "idle" | "gone") {
		super(why === "idle" ? "nothing was typed for too long" : "the line is gone");
		this.why = why;
	}
}

export type TerminalEvent = EditorEvent | { readonly kind: "tick" };

export interface NextOptions {
	/** What is typed is not shown. */
	readonly secret?: boolean;
	/** A tick comes when nothing was typed for so long. It is no sign of anybody: the idle limit goes on. */
	readonly tickMs?: number | null;
}

export interface LendOptions {
	readonly environment?: Readonly<Record<string, string>>;
	/** With nothing typed for the idle limit the program is ended; false: it has a limit of its own. */
	readonly endsIdle: boolean;
}

/** How far an operator looked: to the end, until he had enough (q), or until he gave up what he was at (^C). */
export type Seen = "all" | "enough" | "interrupt";

type Waiting = EditorEvent | { readonly kind: "gone" };

export class Terminal {
	/** Nothing typed for so long ends the session; null is never. */
	idleLimitMs: number | null = null;
	readonly #editor = new LineEditor();
	#waiting: Waiting[] = [];
	readonly #isTerminal = process.stdin.isTTY === true;
	/** Only a terminal that says so gets more than ASCII. */
	readonly #utf8 = /utf-?8/i.test(
		process.env["LC_ALL"] || process.env["LC_CTYPE"] || process.env["LANG"] || "",
	);
	#wake: (() => void) | null = null;
	#asking = false;
	#onInterrupt: (() => void) | null = null;
	/** Lines since the operator last answered: a page is what he has not seen yet. */
	#linesShown = 0;
	#typedAtMs = performance.now();
	/** Since the last question something was typed when the idle limit had passed. */
	#cameBackLate = false;

	/** Bits a second; null where there is none. */
	#lineBaud: number | null = null;

	constructor() {
		this.#stty(BYTEWISE);
		process.stdin.on("data", (chunk: Uint8Array) => this.#push(chunk));
		// A terminal that goes away ends the console; init starts a new one.
		process.stdin.on("end", () => this.#deliver({ kind: "gone" }));
		process.stdin.on("error", () => this.#deliver({ kind: "gone" }));
	}

	/** As it was when the terminal was last set, or looked at. */
	get lineBaud(): number | null {
		return this.#lineBaud;
	}

	/** Somebody may have changed the line's speed. */
	lookAtLine(): void {
		this.#stty([]);
	}

	write(text: string): void {
		process.stdout.write(this.#utf8 ? text : ascii(text));
	}

	/**
	 * The next line (or interrupt, redraw, end, tick), with `prompt` shown before it. What was typed ahead counts.
	 * Throws a SessionEnd.
	 */
	async next(prompt: string, { secret = false, tickMs = null }: NextOptions = {}): Promise<TerminalEvent> {
		this.#editor.hidden = secret;
		this.#asking = true;
		this.write(prompt + this.#editor.text);
		this.#linesShown = 0;
		this.#cameBackLate = false;
		const startedAt = performance.now();
		try {
			for (;;) {
				const event = this.#waiting.shift();
				if (event?.kind === "gone") throw new SessionEnd("gone");
				if (event !== undefined) return event;
				const left = (limitMs: number | null, sinceMs: number) =>
					limitMs === null ? Number.POSITIVE_INFINITY : sinceMs + limitMs - performance.now();
				const tickLeft = left(tickMs, startedAt);
				const idleLeft = left(this.idleLimitMs, tickMs === null ? startedAt : this.#typedAtMs);
				if (idleLeft <= 0) throw new SessionEnd("idle");
				if (tickLeft <= 0) {
					this.write("\n");
					return { kind: "tick" };
				}
				await this.#somethingOr(Math.min(tickLeft, idleLeft));
			}
		} finally {
			this.#editor.hidden = false;
			this.#asking = false;
		}
	}

	/** Holds a conversation to its end; `other` takes the steps that are not talk. Throws a SessionEnd. */
	async converse<Result, More extends { readonly kind: string } = never>(
		dialogue: Dialogue<Result, More>,
		other: (step: More) => Promise<void> = async () => {},
	): Promise<Result> {
		let reply: Reply = "";
		for (;;) {
			const { done, value } = dialogue.next(reply);
			if (done) return value;
			reply = "";
			if (value.kind === "say") await this.page((value as Extract<Step, { kind: "say" }>).lines);
			else if (value.kind === "ask") reply = await this.#answer(value as Extract<Step, { kind: "ask" }>);
			else await other(value as More);
		}
	}

	async #answer({ prompt, secret }: Extract<Step, { kind: "ask" }>): Promise<Reply> {
		for (;;) {
			const event = await this.next(prompt, { secret });
			if (event.kind === "line") return event.text;
			if (event.kind === "interrupt") return null;
		}
	}

	/** Shows `lines` page by page. */
	async page(lines: readonly string[]): Promise<Seen> {
		for (const [index, line] of lines.entries()) {
			const seen = await this.#room(lines.length - index);
			if (seen !== "all") return seen;
			this.write(`${line}\n`);
			this.#linesShown++;
		}
		return "all";
	}

	/** The same for lines that come one by one. */
	async pageStream(lines: AsyncIterable<string>): Promise<Seen> {
		for await (const line of lines) {
			const seen = await this.#room(null);
			if (seen !== "all") return seen;
			this.write(`${line}\n`);
			this.#linesShown++;
		}
		return "all";
	}

	/** Stops before the line that would push the page's first one off the screen. `left` null: nobody knows. */
	async #room(left: number | null): Promise<Seen> {
		if (this.#linesShown < PAGE_LINES || !this.#isTerminal) return "all";
		const count = left === null ? "more" : `${left} more ${left === 1 ? "line" : "lines"}`;
		const event = await this.next(`-- ${count}: Enter goes on, q stops -- `);
		if (event.kind === "interrupt") return "interrupt";
		return event.kind === "end" || (event.kind === "line" && /^q/i.test(event.text)) ? "enough" : "all";
	}

	/** Until the returned function is called, ^C calls `handler`; an event it is only where something is asked. */
	onInterrupt(handler: () => void): () => void {
		this.#onInterrupt = handler;
		return () => {
			this.#onInterrupt = null;
		};
	}

	/** What was typed ahead is forgotten; that the line is gone is not. */
	forget(): void {
		this.#waiting = this.#waiting.filter(({ kind }) => kind === "gone");
	}

	/** Waits for `work`, behind a question that was answered unseen: whoever types on meanwhile is not to read that on the screen. */
	async unseen<Result>(work: Promise<Result>): Promise<Result> {
		this.#editor.hidden = true;
		try {
			return await work;
		} finally {
			this.#editor.hidden = false;
		}
	}

	/** Waits, unseen; what is typed meanwhile is forgotten, half a line too. */
	async pause(ms: number): Promise<void> {
		await this.unseen(Bun.sleep(ms));
		this.#editor.giveUp();
		this.forget();
	}

	/** Gives the terminal to a program until it ends; its exit status. Throws a SessionEnd when it was left alone. */
	async lend(command: readonly string[], { environment = {}, endsIdle }: LendOptions): Promise<number> {
		this.#stty(COOKED);
		process.stdin.pause();
		// ^C is for the program: it must not end the console that waits for it.
		const stay = () => {};
		process.on("SIGINT", stay);
		const child = Bun.spawn([...command], {
			stdin: "inherit",
			stdout: "inherit",
			stderr: "inherit",
			env: { ...process.env, ...environment },
		});
		// The kernel says when something was read from the terminal, whoever read it. How long ago that is, no clock that is set may say.
		let readTimeMs = fstatSync(0).atimeMs;
		let readSeenAtMs = performance.now();
		const aloneMs = () => {
			const { atimeMs } = fstatSync(0);
			if (atimeMs !== readTimeMs) readSeenAtMs = performance.now();
			readTimeMs = atimeMs;
			return this.#isTerminal ? performance.now() - readSeenAtMs : 0;
		};
		const limitMs = this.idleLimitMs ?? Number.POSITIVE_INFINITY;
		const look = setInterval(() => {
			if (aloneMs() < limitMs + TERMINAL_TIME_STEP_MS || !endsIdle) return;
			clearInterval(look);
			// With all that it started: who asks for a password is a program of a program.
			endAll(child.pid, "SIGTERM");
			setTimeout(() => endAll(child.pid, "SIGKILL"), END_LIMIT_MS).unref();
		}, LOOK_MS);
		const status = await child.exited;
		clearInterval(look);
		process.off("SIGINT", stay);
		process.stdin.resume();
		this.#stty(BYTEWISE);
		// Nobody was there: nobody is here.
		if (aloneMs() >= limitMs) throw new SessionEnd("idle");
		return status;
	}

	/** Whether what is typed now comes from somebody who was away for the idle limit, while something ran that asked nothing. */
	get cameBackLate(): boolean {
		return this.#cameBackLate;
	}

	close(): void {
		process.stdin.pause();
		this.#stty(COOKED);
	}

	#stty(settings: readonly string[]): void {
		if (!this.#isTerminal) return;
		const { stdout } = Bun.spawnSync(["stty", ...settings, "speed"], {
			stdin: "inherit",
			stdout: "pipe",
			stderr: "ignore",
		});
		this.#lineBaud = Number(stdout.toString()) || null;
	}

	#push(chunk: Uint8Array): void {
		const now = performance.now();
		if (this.idleLimitMs !== null && now - this.#typedAtMs >= this.idleLimitMs) this.#cameBackLate = true;
		this.#typedAtMs = now;
		const { echo, events } = this.#editor.push(chunk);
		// What is hidden shows nothing, not even its length; that it was given up shows.
		const given = this.#editor.hidden && events.some(({ kind }) => kind === "interrupt") ? "^C" : "";
		const shown = given + echo;
		if (this.#isTerminal && shown !== "") this.write(shown.replaceAll("\r\n", "\n"));
		for (const event of events) this.#deliver(event);
	}

	#deliver(event: Waiting): void {
		if ((event.kind === "interrupt" || event.kind === "gone") && this.#onInterrupt !== null) {
			this.forget();
			this.#onInterrupt();
			// A page that waits for its answer is given up with the command that made it.
			if (event.kind === "interrupt" && !this.#asking) return;
		}
		// The end must arrive even when nobody listens to the rest any more.
		if (this.#waiting.length >= WAITING_EVENTS_LIMIT && event.kind !== "gone") return;
		// Whoever presses ^C does not want what he typed before it.
		if (event.kind === "interrupt") this.forget();
		this.#waiting.push(event);
		const wake = this.#wake;
		this.#wake = null;
		wake?.();
	}

	#somethingOr(limitMs: number): Promise<void> {
		return new Promise((resolve) => {
			const timer = Number.isFinite(limitMs) ? setTimeout(resolve, Math.max(0, limitMs)) : null;
			this.#wake = () => {
				if (timer !== null) clearTimeout(timer);
				resolve();
			};
		});
	}
}

/** Sends a signal to a process and to all that it started, and they. */
function endAll(pid: number, signal: NodeJS.Signals): void {
	try {
		const started = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
			readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").split(" ").filter(Boolean),
		);
		process.kill(pid, signal);
		for (const each of started) endAll(Number(each), signal);
	} catch {
		// It has ended meanwhile.
	}
}

/** Signs that texts of ours use, as a terminal without UTF-8 shows them. */
const spelled: Readonly<Record<string, string>> = {
	"…": "...",
	"→": "->",
	"–": "-",
	"—": "-",
	"−": "-",
	"×": "x",
	"·": "-",
};

function ascii(text: string): string {
	return text.replace(/[^\x00-\x7f]/gu, (sign) => spelled[sign] ?? "?");
}
