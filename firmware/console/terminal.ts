/**
 * The terminal below the console: bytes in as editor events, lines out. Signals from the keyboard
 * arrive as bytes, so ^C never ends the console. Works on a pipe too, for scripts.
 */
import { type EditorEvent, LineEditor } from "./line-editor.ts";

/** Lines of one page; the rest waits for Enter. A terminal of 24 keeps the question in sight. */
export const PAGE_LINES = 22;
/** Events that may wait while a command runs; what is typed on top is lost. */
const WAITING_EVENTS_LIMIT = 64;

const COOKED = ["sane"];
// Output processing stays on: a line feed becomes CR LF in the driver.
const BYTEWISE = ["-icanon", "-echo", "-isig", "-icrnl", "-inlcr", "-ixon", "min", "1", "time", "0"];

export class Terminal {
	readonly #editor = new LineEditor();
	readonly #waiting: EditorEvent[] = [];
	readonly #isTerminal = process.stdin.isTTY === true;
	#wake: (() => void) | null = null;

	constructor() {
		this.#stty(BYTEWISE);
		process.stdin.on("data", (chunk: Uint8Array) => this.#push(chunk));
		// A terminal that goes away ends the console; init starts a new one.
		process.stdin.on("end", () => this.#deliver({ kind: "end" }));
		process.stdin.on("error", () => this.#deliver({ kind: "end" }));
	}

	write(text: string): void {
		process.stdout.write(text);
	}

	/** The next line (or interrupt, redraw, end), with `prompt` shown before it. */
	async next(prompt: string): Promise<EditorEvent> {
		this.write(prompt + this.#editor.text);
		while (this.#waiting.length === 0)
			await new Promise<void>((resolve) => {
				this.#wake = resolve;
			});
		return this.#waiting.shift()!;
	}

	/** Shows `lines` page by page; q or ^C stops. */
	async page(lines: readonly string[]): Promise<void> {
		for (let start = 0; start < lines.length; start += PAGE_LINES) {
			this.write(`${lines.slice(start, start + PAGE_LINES).join("\n")}\n`);
			const left = lines.length - start - PAGE_LINES;
			if (left <= 0 || !this.#isTerminal) continue;
			const event = await this.next(`-- ${left} more lines: Enter goes on, q stops -- `);
			if (event.kind === "interrupt" || event.kind === "end") return;
			if (event.kind === "line" && /^q/i.test(event.text)) return;
		}
	}

	/** Asks a question that only "y" or "yes" answers with true. */
	async confirm(question: string): Promise<boolean> {
		const event = await this.next(`${question} [y/N] `);
		return event.kind === "line" && /^y(es)?$/i.test(event.text);
	}

	/** Gives the terminal to a program until it ends; returns its exit status. */
	lend(command: readonly string[]): number {
		this.#stty(COOKED);
		process.stdin.pause();
		// Synchronous on purpose: nothing here may read the terminal while the program does.
		const result = Bun.spawnSync([...command], { stdin: "inherit", stdout: "inherit", stderr: "inherit" });
		process.stdin.resume();
		this.#stty(BYTEWISE);
		return result.exitCode;
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
		if (this.#isTerminal && echo !== "") this.write(echo.replaceAll("\r\n", "\n"));
		for (const event of events) this.#deliver(event);
	}

	#deliver(event: EditorEvent): void {
		// The end must arrive even when nobody listens to the rest any more.
		if (this.#waiting.length >= WAITING_EVENTS_LIMIT && event.kind !== "end") return;
		this.#waiting.push(event);
		const wake = this.#wake;
		this.#wake = null;
		wake?.();
	}
}
