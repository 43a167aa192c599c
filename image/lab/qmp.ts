/** QEMU's machine protocol: one JSON object a line over a Unix socket. */
import type { Socket } from "node:net";
import { connectWhenThere } from "./unix-socket.ts";

const OPEN_TIMEOUT_MS = 20_000;
const REPLY_TIMEOUT_MS = 20_000;

interface Reply {
	readonly return?: unknown;
	readonly error?: { readonly desc: string };
	readonly event?: string;
}

interface Waiting {
	readonly resolve: (value: unknown) => void;
	readonly reject: (error: Error) => void;
}

export class Qmp {
	readonly #socket: Socket;
	readonly #waiting: Waiting[] = [];
	#text = "";

	private constructor(socket: Socket) {
		this.#socket = socket;
		socket.setEncoding("utf8");
		socket.on("data", (chunk: string) => this.#read(chunk));
		socket.on("error", () => {});
		socket.on("close", () => {
			for (const { reject } of this.#waiting.splice(0)) reject(new Error("QEMU has ended"));
		});
	}

	/** Rejects when nobody listens at `path`. */
	static async open(path: string): Promise<Qmp> {
		const qmp = new Qmp(await connectWhenThere(path, OPEN_TIMEOUT_MS));
		await qmp.execute("qmp_capabilities");
		return qmp;
	}

	/** Resolves with the command's answer; replies come in the order of the commands. */
	execute(command: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
		return new Promise((resolve, reject) => {
			const timer = setTimeout(() => reject(new Error(`QEMU did not answer ${command}`)), REPLY_TIMEOUT_MS);
			this.#waiting.push({
				resolve: (value) => {
					clearTimeout(timer);
					resolve(value);
				},
				reject: (error) => {
					clearTimeout(timer);
					reject(error);
				},
			});
			this.#socket.write(`${JSON.stringify({ execute: command, arguments: args })}\n`);
		});
	}

	close(): void {
		this.#socket.destroy();
	}

	#read(chunk: string): void {
		const lines = (this.#text + chunk).split("\n");
		this.#text = lines.pop() ?? "";
		for (const line of lines) {
			if (line.trim() === "") continue;
			const reply = JSON.parse(line) as Reply;
			if (!("return" in reply) && reply.error === undefined) continue;
			const waiting = this.#waiting.shift();
			if (reply.error !== undefined) waiting?.reject(new Error(reply.error.desc));
			else waiting?.resolve(reply.return);
		}
	}
}
