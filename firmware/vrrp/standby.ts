/**
 * Two processes, one service: the active one serves, the standby one has everything loaded and waits
 * on a socket. When the active one dies, however it dies, the socket says so at once, and the standby
 * goes on from the state that it was told. They meet at `/run/drover/vrrp-standby.sock`.
 */
import { chmodSync, closeSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import type { Socket, UnixSocketListener } from "bun";
import { encodeFrame, FrameReader } from "../bus/frame.ts";
import { runDirectory, socketPath } from "../bus/socket-path.ts";
import type { DroverConfig } from "../config/model.ts";
import type { ServiceSignal } from "../signals.ts";
import type { Restarts } from "../status/patience.ts";
import type { Saved, SavedRouter } from "./adoption.ts";

const LINK = "vrrp-standby";

export type FromActive =
	/** What runs, and not the file: that may be another one by now, which was refused. */
	| {
			readonly kind: "welcome";
			readonly pid: number;
			readonly config: DroverConfig;
			readonly saved: Saved;
	  }
	| { readonly kind: "routers"; readonly routers: Readonly<Record<string, SavedRouter>> }
	| { readonly kind: "readings"; readonly readings: Saved["readings"] }
	| { readonly kind: "reloaded"; readonly config: DroverConfig }
	/** Somebody better suited stands by now. */
	| { readonly kind: "leave" }
	/** An orderly end: nobody shall take over. */
	| { readonly kind: "bye" };

export type FromStandby =
	| { readonly kind: "attach"; readonly pid: number; readonly foreground: boolean }
	| { readonly kind: "signal"; readonly signal: ServiceSignal };

interface Peer {
	readonly reader: FrameReader;
	attached: boolean;
	waiting: Uint8Array;
}

/** What a slow standby may have waiting before it is given up. */
const BACKLOG_LIMIT_BYTES = 16 * 1024 * 1024;

export class ActiveLink {
	readonly #listener: UnixSocketListener<Peer>;
	#standby: Socket<Peer> | null = null;
	#standbyPid: number | null = null;

	constructor(handlers: {
		welcome(): FromActive;
		onSignal(signal: ServiceSignal): void;
		onStandby(pid: number | null): void;
	}) {
		mkdirSync(runDirectory(), { recursive: true, mode: 0o755 });
		const path = socketPath(LINK);
		rmSync(path, { force: true });
		this.#listener = Bun.listen<Peer>({
			unix: path,
			socket: {
				open: (socket) => {
					socket.data = { reader: new FrameReader(), attached: false, waiting: new Uint8Array(0) };
				},
				data: (socket, chunk) => {
					try {
						for (const value of socket.data.reader.push(chunk)) {
							const message = value as FromStandby;
							if (message.kind === "signal") handlers.onSignal(message.signal);
							else {
								if (this.#standby !== null) this.#write(this.#standby, { kind: "leave" });
								this.#standby = socket;
								this.#standbyPid = message.pid;
								this.#write(socket, handlers.welcome());
								handlers.onStandby(message.pid);
							}
						}
					} catch {
						socket.terminate();
					}
				},
				drain: (socket) => this.#flush(socket),
				close: (socket) => {
					if (this.#standby !== socket) return;
					this.#standby = null;
					this.#standbyPid = null;
					handlers.onStandby(null);
				},
				error() {},
			},
		});
		chmodSync(path, 0o600);
	}

	/** Null while nobody would take over. */
	get standbyPid(): number | null {
		return this.#standbyPid;
	}

	get hasStandby(): boolean {
		return this.#standby !== null;
	}

	send(message: FromActive): void {
		if (this.#standby !== null) this.#write(this.#standby, message);
	}

	close(): void {
		this.send({ kind: "bye" });
		this.#listener.stop();
		rmSync(socketPath(LINK), { force: true });
	}

	#write(socket: Socket<Peer>, message: FromActive): void {
		const { data } = socket;
		const frame = encodeFrame(message);
		if (data.waiting.length + frame.length > BACKLOG_LIMIT_BYTES) {
			socket.terminate();
			return;
		}
		data.waiting = data.waiting.length === 0 ? frame : Buffer.concat([data.waiting, frame]);
		this.#flush(socket);
	}

	#flush(socket: Socket<Peer>): void {
		const { data } = socket;
		if (data.waiting.length === 0) return;
		const written = socket.write(data.waiting);
		if (written > 0) data.waiting = data.waiting.subarray(written);
	}
}

export interface StandbyLink {
	signal(signal: ServiceSignal): void;
	close(): void;
}

/** Attaches to the active process; null when there is none. */
export async function attach(
	foreground: boolean,
	handlers: { onMessage(message: FromActive): void; onGone(): void },
): Promise<StandbyLink | null> {
	const reader = new FrameReader();
	try {
		const socket = await Bun.connect({
			unix: socketPath(LINK),
			socket: {
				open(opened) {
					opened.write(encodeFrame({ kind: "attach", pid: process.pid, foreground } satisfies FromStandby));
				},
				data(opened, chunk) {
					try {
						for (const value of reader.push(chunk)) handlers.onMessage(value as FromActive);
					} catch {
						opened.terminate();
					}
				},
				close: () => handlers.onGone(),
				error() {},
			},
		});
		return {
			signal: (signal) => void socket.write(encodeFrame({ kind: "signal", signal } satisfies FromStandby)),
			close: () => socket.end(),
		};
	} catch {
		return null;
	}
}

/**
 * What the pair knows of its active process, in shared memory, so that it outlives any process: when it was last
 * seen alive (CLOCK_MONOTONIC µs), and how often one was killed because it hung.
 */
export class Heartbeat {
	readonly #words: Float64Array;

	constructor() {
		mkdirSync(runDirectory(), { recursive: true, mode: 0o755 });
		const path = `${runDirectory()}/vrrp.alive`;
		const fd = openSync(path, "a");
		try {
			if (readFileSync(path).length !== HEARTBEAT_BYTES) {
				const file = openSync(path, "w");
				writeSync(file, new Uint8Array(HEARTBEAT_BYTES));
				closeSync(file);
			}
		} finally {
			closeSync(fd);
		}
		this.#words = new Float64Array(Bun.mmap(path, { shared: true }).buffer, 0, HEARTBEAT_BYTES / 8);
	}

	beat(atMicros: number): void {
		this.#words[0] = atMicros;
	}

	/** 0: never. */
	get lastMicros(): number {
		return this.#words[0]!;
	}

	/** Active processes that were killed because they hung. */
	get kills(): Restarts {
		return { count: this.#words[1]!, lastAt: this.#words[2]! };
	}

	set kills({ count, lastAt }: Restarts) {
		this.#words[1] = count;
		this.#words[2] = lastAt;
	}
}

const HEARTBEAT_BYTES = 24;
