/**
 * Commands inside a virtual machine, over a virtio port of their own: independent of the
 * network and of the console. The guest's half is `agent-service.sh` in the lab's overlay.
 * A command goes as `ID BASE64`, its answer comes as `ID STATUS BASE64`.
 */
import type { Socket } from "node:net";
import { connectWhenThere } from "./unix-socket.ts";

const OPEN_TIMEOUT_MS = 20_000;
const DEFAULT_TIMEOUT_MS = 30_000;

export interface CommandResult {
	readonly status: number;
	/** Standard output and standard error. */
	readonly output: string;
}

export class GuestAgent {
	readonly #socket: Socket;
	readonly #waiting = new Map<number, (result: CommandResult) => void>();
	#text = "";
	#nextId = 1;
	#readyWaiters: (() => void)[] = [];
	#isReady = false;

	private constructor(socket: Socket) {
		this.#socket = socket;
		socket.setEncoding("latin1");
		socket.on("data", (chunk: string) => this.#read(chunk));
		socket.on("error", () => {});
	}

	static async open(path: string): Promise<GuestAgent> {
		return new GuestAgent(await connectWhenThere(path, OPEN_TIMEOUT_MS));
	}

	/** Resolves once the guest's half is there. */
	async ready(timeoutMs: number): Promise<void> {
		if (this.#isReady) return;
		await withTimeout(
			new Promise<void>((resolve) => {
				this.#readyWaiters.push(resolve);
			}),
			timeoutMs,
			"the guest did not come up",
		);
	}

	/** The machine restarts: its agent will report anew. */
	expectRestart(): void {
		this.#isReady = false;
	}

	/** Runs a shell command in the guest; rejects when no answer comes in time. */
	execute(command: string, timeoutMs = DEFAULT_TIMEOUT_MS): Promise<CommandResult> {
		const id = this.#nextId++;
		const answer = new Promise<CommandResult>((resolve) => {
			this.#waiting.set(id, resolve);
		});
		this.#socket.write(`${id} ${Buffer.from(command).toString("base64")}\n`);
		return withTimeout(answer, timeoutMs, `the guest did not answer: ${command}`);
	}

	/** As `execute`; throws with the output when the status is not 0. */
	async run(command: string, timeoutMs = DEFAULT_TIMEOUT_MS): Promise<string> {
		const { status, output } = await this.execute(command, timeoutMs);
		if (status !== 0) throw new Error(`in the guest, "${command}" ended with ${status}: ${output.trim()}`);
		return output;
	}

	close(): void {
		this.#socket.destroy();
	}

	#read(chunk: string): void {
		const lines = (this.#text + chunk).split("\n");
		this.#text = lines.pop() ?? "";
		for (const line of lines) {
			if (line === "ready") {
				this.#isReady = true;
				for (const wake of this.#readyWaiters.splice(0)) wake();
				continue;
			}
			const [id = "", status = "", output = ""] = line.split(" ");
			this.#waiting.get(Number(id))?.({
				status: Number(status),
				output: Buffer.from(output, "base64").toString(),
			});
			this.#waiting.delete(Number(id));
		}
	}
}

/** Rejects with `message` when `promise` has not settled in time. */
export async function withTimeout<T>(promise: Promise<T>, timeoutMs: number, message: string): Promise<T> {
	let timer: ReturnType<typeof setTimeout> | undefined;
	const late = new Promise<never>((_, reject) => {
		timer = setTimeout(() => reject(new Error(`${message} (${timeoutMs / 1000} s)`)), timeoutMs);
	});
	try {
		return await Promise.race([promise, late]);
	} finally {
		clearTimeout(timer);
	}
}
