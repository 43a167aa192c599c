/** Connections of the management protocol: accepted ones, the one that is called out for, and standard input. */
import { randomInt } from "node:crypto";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { Manager } from "../manager/manager.ts";
import { runCommand } from "./commands.ts";
import { authResponse, CommandReader, encodeReply, Status } from "./protocol.ts";

/** Management connections at once. */
const CONNECTION_LIMIT = 64;
/** Waits between attempts to call out (-M), seconds. */
const REVERSE_FIRST_SECONDS = 0.1;
const REVERSE_MOST_SECONDS = 10;

export interface CliOutput {
	write(text: string): void;
	end(): void;
}

/** One conversation, whatever carries it. */
export class CliConversation {
	readonly #manager: Manager;
	readonly #secret: Uint8Array | undefined;
	readonly #output: CliOutput;
	readonly #reader = new CommandReader();
	readonly #challenge: string;
	#authenticated: boolean;
	#queue: Promise<void> = Promise.resolve();
	#over = false;

	/** Without a secret everybody may do everything. */
	constructor(manager: Manager, secret: Uint8Array | undefined, output: CliOutput, greet = true) {
		this.#manager = manager;
		this.#secret = secret;
		this.#output = output;
		this.#authenticated = secret === undefined;
		this.#reader.authenticated = this.#authenticated;
		this.#challenge = Array.from({ length: 32 }, () => String.fromCharCode(97 + randomInt(26))).join("");
		if (!greet) return;
		if (this.#authenticated) this.#reply(Status.ok, manager.banner());
		else this.#reply(Status.auth, `${this.#challenge}\n\nAuthentication required.\n`);
	}

	#reply(status: number, body: string): void {
		this.#output.write(encodeReply(status, body, this.#manager.parameters.number("cli_limit")));
	}

	/** Bytes from the other side, one character each. Commands run one after another. */
	receive(text: string): void {
		// Commands are cut after the ones before have run: authentication changes what is read.
		this.#queue = this.#queue.then(async () => {
			for (const input of this.#reader.push(text)) {
				if (this.#over) return;
				switch (input.kind) {
					case "overflow":
						this.#close();
						return;
					case "syntax":
						this.#reply(Status.syntax, `Syntax Error: ${input.message}`);
						if (!this.#authenticated) this.#close();
						break;
					case "command":
						await this.#command(input.words);
						break;
				}
			}
		});
	}

	async #command(words: readonly string[]): Promise<void> {
		if (words[0] === "auth" && words.length === 2) {
			this.#authenticate(words[1]!);
			return;
		}
		const reply = await runCommand(this.#manager, words, this.#authenticated);
		if (this.#authenticated && isOfTheWorkers(words[0])) this.#manager.logCommand(words, reply);
		this.#reply(reply.status, reply.body);
		if (reply.close || (!this.#authenticated && reply.status !== Status.ok)) this.#close();
	}

	#authenticate(answer: string): void {
		if (this.#secret !== undefined && answer.toLowerCase() !== authResponse(this.#challenge, this.#secret)) {
			this.#reply(Status.close, "");
			this.#close();
			return;
		}
		this.#authenticated = true;
		this.#reader.authenticated = true;
		this.#reply(Status.ok, this.#manager.banner());
	}

	#close(): void {
		this.#over = true;
		this.#output.end();
	}
}

/** Commands that varnishd's manager hands on, and that are in the log for this reason. */
function isOfTheWorkers(name: string | undefined): boolean {
	return name !== undefined && /^(?:backend\.|ban$|ban\.list$|debug\.)/.test(name);
}

function attach(manager: Manager, secret: Uint8Array | undefined, socket: Socket): void {
	const conversation = new CliConversation(manager, secret, {
		write: (text) => socket.write(text, "latin1"),
		end: () => socket.end(),
	});
	socket.on("data", (bytes: Buffer) => conversation.receive(bytes.toString("latin1")));
	socket.on("error", () => socket.destroy());
}

/** Listens for management connections; resolves with the address and port. */
export function listenCli(
	manager: Manager,
	secret: Uint8Array | undefined,
	host: string,
	port: number,
): Promise<{ server: Server; address: string; port: number }> {
	const sockets = new Set<Socket>();
	const server = createServer((socket) => {
		if (sockets.size >= CONNECTION_LIMIT) {
			socket.destroy();
			return;
		}
		sockets.add(socket);
		socket.on("close", () => sockets.delete(socket));
		attach(manager, secret, socket);
	});
	return new Promise((resolve, reject) => {
		server.once("error", reject);
		server.listen(port, host, () => {
			const address = server.address();
			if (address === null || typeof address === "string") reject(new Error("no address"));
			else resolve({ server, address: address.address, port: address.port });
		});
	});
}

/** Calls out to a management station (-M) again and again. */
export function callOut(manager: Manager, secret: Uint8Array | undefined, host: string, port: number): void {
	let pause = REVERSE_FIRST_SECONDS;
	const dial = () => {
		const socket = connect(port, host);
		socket.on("connect", () => {
			pause = REVERSE_FIRST_SECONDS;
			attach(manager, secret, socket);
		});
		socket.on("error", () => {});
		socket.on("close", () => {
			setTimeout(dial, pause * 1000).unref();
			pause = Math.min(pause * 2, REVERSE_MOST_SECONDS);
		});
	};
	dial();
}
