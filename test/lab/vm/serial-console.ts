/** A person at a serial console: types at QEMU's real serial port and reads until the prompt. */
import { connect, type Socket } from "node:net";

const PROMPT_LIMIT_MS = 40_000;
/** Narrower than a terminal of 80 columns. */
const WIDTH_COLUMNS = 79;

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

	/** `prompt` is what ends every answer. */
	static async open(path: string, prompt: string): Promise<SerialConsole> {
		const socket = await new Promise<Socket>((resolve, reject) => {
			const opened = connect(path, () => resolve(opened));
			opened.on("error", reject);
		});
		const console = new SerialConsole(socket, prompt);
		// Whatever was half typed before is given up.
		console.#socket.write("\x03");
		await console.#read(prompt);
		return console;
	}

	/**
	 * Types a line and returns all that came until the next prompt, page after page.
	 * Throws when a line is wider than 79 columns or holds a control character.
	 */
	async type(line: string): Promise<string> {
		this.#text = "";
		// ^C ends a line by itself.
		this.#socket.write(line.endsWith("\x03") ? line : `${line}\r`);
		let answer = "";
		for (;;) {
			const part = await this.#read(this.#prompt, "-- ");
			answer += part;
			if (!part.endsWith("-- ")) break;
			this.#text = "";
			this.#socket.write("\r");
		}
		for (const shown of answer.replaceAll("\b \b", "").split(/\r?\n/)) {
			const over = shown.startsWith("--") ? "" : shown.replaceAll("\r", "");
			if (over.length > WIDTH_COLUMNS) throw new Error(`wider than ${WIDTH_COLUMNS} columns: ${over}`);
			if (/[\x00-\x08\x0b-\x1f\x7f]/.test(over))
				throw new Error(`a control character in ${JSON.stringify(over)}`);
		}
		return answer;
	}

	/** Opens the shell, runs one line in it, and comes back. */
	async shell(line: string): Promise<string> {
		this.#text = "";
		this.#socket.write("shell\r");
		await this.#read("# ");
		this.#text = "";
		this.#socket.write(`${line}\r`);
		const output = await this.#read("# ");
		this.#text = "";
		this.#socket.write("exit\r");
		await this.#read(this.#prompt);
		return output;
	}

	close(): void {
		this.#socket.destroy();
	}

	/** What has come, as soon as it ends with one of `ends`. */
	async #read(...ends: readonly string[]): Promise<string> {
		const started = Date.now();
		while (!ends.some((end) => this.#text.endsWith(end))) {
			if (Date.now() - started > PROMPT_LIMIT_MS)
				throw new Error(`no ${JSON.stringify(ends[0])} on the console, only: ${this.#text.slice(-500)}`);
			await Bun.sleep(20);
		}
		return this.#text;
	}
}
