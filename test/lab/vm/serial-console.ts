/** A person at a serial console: types at QEMU's real serial port and reads what it shows. */
import type { Socket } from "node:net";
import { connectWhenThere } from "../../../image/lab/unix-socket.ts";

const SHOWN_LIMIT_MS = 60_000;
/** Narrower than a terminal of 80 columns. */
const WIDTH_COLUMNS = 79;
const MORE = /-- (?:more|\d+ more lines?): Enter goes on, q stops -- $/;

export class SerialConsole {
	readonly #socket: Socket;
	readonly #prompt: string;
	#text = "";

	private constructor(socket: Socket, prompt: string) {
		this.#socket = socket;
		this.#prompt = prompt;
		socket.setEncoding("latin1");
		socket.on("data", (chunk: string) => {
			this.#text += chunk;
		});
	}

	/** `prompt` is the menu's. */
	static async open(path: string, prompt: string): Promise<SerialConsole> {
		const console = new SerialConsole(await connectWhenThere(path, SHOWN_LIMIT_MS), prompt);
		// Whatever was half typed before is given up.
		console.#socket.write("\x03");
		await console.#ends(prompt);
		return console;
	}

	/**
	 * Types a line and returns all that came until `awaited` ends it, page after page.
	 * Throws when a line is wider than 79 columns or holds a control character.
	 */
	async answer(line: string, awaited = this.#prompt): Promise<string> {
		this.#text = "";
		// ^C and ^L are no lines.
		this.#socket.write(/[\x03\x0c]$/.test(line) ? line : `${line}\r`);
		let answer = "";
		for (;;) {
			const part = await this.#ends(awaited, MORE);
			answer += part;
			if (part.endsWith(awaited)) break;
			this.#text = "";
			this.#socket.write("\r");
		}
		// What was typed is as long as it is.
		expectPlain(answer.replace(line, ""));
		return answer;
	}

	/** Several lines, each at the prompt that is named with it; what the last one brought. */
	async answers(...steps: readonly (readonly [line: string, awaited: string])[]): Promise<string> {
		let text = "";
		for (const [line, awaited] of steps) text = await this.answer(line, awaited);
		return text;
	}

	/** Opens the shell, runs one line in it, and comes back. */
	async shell(line: string): Promise<string> {
		await this.answer("shell", "# ");
		const output = await this.answer(line, "# ");
		await this.answer("exit");
		return output;
	}

	close(): void {
		this.#socket.destroy();
	}

	/** What has come, as soon as it ends with one of `ends`. */
	async #ends(...ends: readonly (string | RegExp)[]): Promise<string> {
		const started = Date.now();
		const ended = () =>
			ends.some((end) => (typeof end === "string" ? this.#text.endsWith(end) : end.test(this.#text)));
		while (!ended()) {
			if (Date.now() - started > SHOWN_LIMIT_MS)
				throw new Error(
					`no ${JSON.stringify(String(ends[0]))} on the console, only: ${this.#text.slice(-700)}`,
				);
			await Bun.sleep(20);
		}
		return this.#text;
	}
}

function expectPlain(answer: string): void {
	for (const shown of answer.replaceAll("\b \b", "").split(/\r?\n/)) {
		const over = MORE.test(shown) || shown.startsWith("-- ") ? "" : shown.replaceAll("\r", "");
		if (over.length > WIDTH_COLUMNS) throw new Error(`wider than ${WIDTH_COLUMNS} columns: ${over}`);
		if (/[\x00-\x08\x0b-\x1f\x7f]/.test(over))
			throw new Error(`a control character in ${JSON.stringify(over)}`);
	}
}
