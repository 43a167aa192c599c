/** A management connection (varnish-cli(7)) to a daemon that asks for no secret, and such a daemon. */
import { writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { freePort, type RunningCache, startCache } from "./caches.ts";

export interface CliReply {
	readonly status: number;
	readonly text: string;
}

const HEAD_BYTES = 13;

export class CliClient {
	readonly #socket: Socket;
	#rest = Buffer.alloc(0);
	#waiting: ((reply: CliReply) => void)[] = [];

	private constructor(socket: Socket) {
		this.#socket = socket;
		socket.on("data", (bytes: Buffer) => {
			this.#rest = Buffer.concat([this.#rest, bytes]);
			for (;;) {
				const [status = 0, length = 0] = this.#rest
					.subarray(0, HEAD_BYTES)
					.toString("latin1")
					.split(/ +/)
					.map(Number);
				const end = HEAD_BYTES + length + 1;
				if (this.#rest.length < HEAD_BYTES || this.#rest.length < end) return;
				const text = this.#rest.subarray(HEAD_BYTES, end - 1).toString("latin1");
				this.#rest = this.#rest.subarray(end);
				this.#waiting.shift()?.({ status, text });
			}
		});
		for (const event of ["close", "error"])
			socket.on(event, () => {
				for (const tell of this.#waiting.splice(0)) tell({ status: 0, text: "the connection ended" });
			});
	}

	static async open(port: number): Promise<CliClient> {
		const client = new CliClient(connect(port, "127.0.0.1"));
		// The banner.
		await client.#reply();
		return client;
	}

	#reply(): Promise<CliReply> {
		return new Promise((resolve) => this.#waiting.push(resolve));
	}

	ask(command: string): Promise<CliReply> {
		if (this.#socket.destroyed) return Promise.resolve({ status: 0, text: "the connection ended" });
		this.#socket.write(Buffer.from(`${command}\n`, "latin1"));
		return this.#reply();
	}

	close(): void {
		this.#socket.destroy();
	}
}

/** Starts `daemon` with a program "boot" that has no backend, its file in `directory`. */
export async function startManaged(
	daemon: readonly string[],
	directory: string,
	more: readonly string[],
): Promise<{ readonly cache: RunningCache; readonly cli: CliClient }> {
	const cliPort = await freePort();
	const file = join(directory, "boot.vcl");
	writeFileSync(file, "vcl 4.1; backend default none;");
	const management = ["-T", `127.0.0.1:${cliPort}`, "-S", "none"];
	const cache = await startCache(daemon, 0, ["-f", file, ...management, ...more]);
	return { cache, cli: await CliClient.open(cliPort) };
}
