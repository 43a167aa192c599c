/**
 * The terminal below the console: bytes in as editor events, lines out. Signals from the keyboard
 * arrive as bytes, so ^C never ends the console. Works on a pipe too, for scripts.
 */
import { fstatSync } from "node:fs";
import type { Dialogue, Reply, Step } from "./dialogue.ts";
import { type EditorEvent, LineEditor } from "./line-editor.ts";

/** Lines of one page; the rest waits for Enter. A terminal of 24 keeps the question in sight. */
export const PAGE_LINES = 22;
/** Events that may wait while a command runs; what is typed on top is lost. */
const WAITING_EVENTS_LIMIT = 64;

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
	/** A tick comes when nothing was typed for so long. */
	readonly tickMs?: number | null;
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

	constructor() {
		this.#stty(BYTEWISE);
		process.stdin.on("data", (chunk: Uint8Array) => this.#push(chunk));
		// A terminal that goes away ends the console; init starts a new one.
		process.stdin.on("end", () => this.#deliver({ kind: "gone" }));
		process.stdin.on("error", () => this.#deliver({ kind: "gone" }));
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
		const startedAt = performance.now();
		try {
			for (;;) {
				const event = this.#waiting.shift();
				if (event?.kind === "gone") throw new SessionEnd("gone");
				if (event !== undefined) return event;
				const left = (limitMs: number | null) =>
					limitMs === null ? Number.POSITIVE_INFINITY : startedAt + limitMs - performance.now();
				const [tickLeft, idleLeft] = [left(tickMs), left(this.idleLimitMs)];
				if (tickLeft <= 0) {
					this.write("\n");
					return { kind: "tick" };
				}
				if (idleLeft <= 0) throw new SessionEnd("idle");
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

	/** Waits; what is typed meanwhile is forgotten. */
	async pause(ms: number): Promise<void> {
		await Bun.sleep(ms);
		this.forget();
	}

	/** Gives the terminal to a program until it ends; returns its exit status. */
	lend(command: readonly string[], environment: Readonly<Record<string, string>> = {}): number {
		this.#stty(COOKED);
		process.stdin.pause();
		// ^C is for the program: it must not end the console that waits for it.
		const stay = () => {};
		process.on("SIGINT", stay);
		// Synchronous on purpose: nothing here may read the terminal while the program does.
		const result = Bun.spawnSync([...command], {
			stdin: "inherit",
			stdout: "inherit",
			stderr: "inherit",
			env: { ...process.env, ...environment },
		});
		process.off("SIGINT", stay);
		process.stdin.resume();
		this.#stty(BYTEWISE);
		return result.exitCode;
	}

	/** Whether nothing was typed for the idle limit, whoever would have read it: the kernel keeps that in a terminal's time. */
	isIdle(): boolean {
		if (this.idleLimitMs === null || !this.#isTerminal) return false;
		return Date.now() - fstatSync(0).atimeMs >= this.idleLimitMs;
	}

	close(): void {
		process.stdin.pause();
		this.#stty(COOKED);
	}

	#stty(settings: readonly string[]): void {
		if (this.#isTerminal)
			Bun.spawnSync(["stty", ...settings], { stdin: "inherit", stdout: "ignore", stderr: "ignore" });
	}

	#push(chunk: Uint8Array): void {
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
