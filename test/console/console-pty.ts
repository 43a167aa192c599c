/** `drover console` on a real pseudo-terminal, as a person sits before it; the line may be slow. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { SlowLine } from "../../image/lab/slow-line.ts";

const SHOWN_LIMIT_MS = 20_000;
export const program = [process.execPath, join(import.meta.dir, "../../firmware/drover.ts")];

export interface ConsoleOptions {
	/** The line's speed, as the terminal has it and as it carries characters towards the person; else it is fast. */
	readonly baud?: number;
	readonly environment?: Readonly<Record<string, string>>;
	readonly command?: readonly string[];
	/** The terminal is its session's, as after a log-in: programs can ask on /dev/tty. */
	readonly ownsTerminal?: boolean;
}

export class ConsolePty {
	/** Sockets, password, revisions of this one box. */
	readonly directory: string;
	readonly #terminal: Bun.Terminal;
	readonly #process: Subprocess;
	readonly #line: SlowLine;
	#arrived = "";
	/** Where what was already waited for ends. */
	#seen = 0;

	constructor(directory: string, options: ConsoleOptions = {}) {
		this.directory = directory;
		this.#line = new SlowLine(options.baud ?? Number.POSITIVE_INFINITY);
		this.#terminal = new Bun.Terminal({
			cols: 80,
			rows: 24,
			data: (_terminal: unknown, bytes: Uint8Array) => this.#come(Buffer.from(bytes).toString("latin1")),
		});
		const session = options.ownsTerminal ? ["setsid", "--ctty"] : [];
		if (options.baud !== undefined) session.push("sh", "-c", `stty ${options.baud}; exec "$@"`, "sh");
		this.#process = Bun.spawn([...session, ...program, ...(options.command ?? ["console"])], {
			terminal: this.#terminal,
			env: { ...process.env, ...consoleEnvironment(directory), ...options.environment },
		});
	}

	#come(text: string): void {
		this.#arrived += text;
		this.#line.take(text.length);
	}

	type(text: string): void {
		this.#terminal.write(text);
	}

	/** Types a line and gives what was shown until `awaited`, which it ends with. */
	async answer(line: string, awaited: string | RegExp): Promise<string> {
		this.type(line.endsWith("\x03") || line.endsWith("\x0c") ? line : `${line}\r`);
		return this.shows(awaited);
	}

	/** What came since the last wait, up to and with `awaited`. Throws with the screen when it does not come. */
	async shows(awaited: string | RegExp, limitMs = SHOWN_LIMIT_MS): Promise<string> {
		const deadline = performance.now() + limitMs;
		for (;;) {
			const text = this.#arrived.slice(this.#seen);
			const found = typeof awaited === "string" ? text.indexOf(awaited) : text.search(awaited);
			if (found >= 0) {
				const length = typeof awaited === "string" ? awaited.length : awaited.exec(text)![0].length;
				this.#seen += found + length;
				await this.#line.carried();
				return text.slice(0, found + length);
			}
			if (performance.now() > deadline)
				throw new Error(`${awaited} was not shown; the screen:\n${this.#arrived.slice(-2_000)}`);
			await Bun.sleep(10);
		}
	}

	get pid(): number {
		return this.#process.pid;
	}

	get exited(): Promise<number> {
		return this.#process.exited;
	}

	/** The person hangs up. */
	async close(): Promise<void> {
		this.#terminal.close();
		this.#process.kill();
		await this.#process.exited;
	}
}

export function consoleEnvironment(directory: string): Record<string, string> {
	return {
		TERM: "dumb",
		LANG: "C",
		LC_ALL: "C",
		DROVER_RUN_DIR: join(directory, "run"),
		DROVER_CONFIG_DIR: join(directory, "config"),
		DROVER_SHADOW_FILE: join(directory, "access/shadow"),
		DROVER_LOG: join(directory, "log"),
		DROVER_TERMINAL: "/dev/pts/test",
	};
}

export async function withDirectory<T>(use: (directory: string) => Promise<T>): Promise<T> {
	const directory = mkdtempSync(join(tmpdir(), "drover-console-"));
	try {
		return await use(directory);
	} finally {
		rmSync(directory, { recursive: true, force: true });
	}
}
