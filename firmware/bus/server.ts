/**
 * A service's own socket: it answers calls and feeds subscribers. There is no broker.
 *
 * A call is `{ id, method, input }`; the answer `{ id, output }` or `{ id, error }`.
 * The method "subscribe" turns the connection into a stream of `{ event }`; "ping" is answered by every service, at no
 * cost, so that it can be seen to live.
 */
import { chmodSync, mkdirSync, rmSync } from "node:fs";
import type { Socket, UnixSocketListener } from "bun";
import type { z } from "zod";
import { encodeFrame, FrameReader } from "./frame.ts";
import { runDirectory, socketPath } from "./socket-path.ts";

/** Bytes that may wait for a slow reader before it is cut off. */
export const BACKLOG_LIMIT_BYTES = 8 * 1024 * 1024;
export const CONNECTION_LIMIT = 256;

export interface Method<Input> {
	readonly input: z.ZodType<Input>;
	handle(input: Input): unknown | Promise<unknown>;
}

/** Ties a handler to its schema: `method(z.object({…}), (input) => …)`. */
export function method<Input>(
	input: z.ZodType<Input>,
	handle: (input: Input) => unknown | Promise<unknown>,
): Method<never> {
	return { input, handle } as unknown as Method<never>;
}

export type Methods = Readonly<Record<string, Method<never>>>;

interface Call {
	readonly id: number;
	readonly method: string;
	readonly input?: unknown;
}

const wordsOf = ({ issues }: z.ZodError) =>
	issues
		.map(({ path, message }) => `${path.map((part) => `${String(part)}: `).join("")}${message}`)
		.join("; ");

function isCall(value: unknown): value is Call {
	if (typeof value !== "object" || value === null) return false;
	const { id, method } = value as Partial<Call>;
	return typeof id === "number" && typeof method === "string";
}

interface Connection {
	readonly reader: FrameReader;
	waiting: Uint8Array[];
	waitingBytes: number;
	subscribed: boolean;
}

export interface BusServer {
	/** Sends `event` to every subscriber; one that does not read is cut off at BACKLOG_LIMIT_BYTES. */
	publish(event: unknown): void;
	close(): void;
}

/**
 * Opens `/run/drover/NAME.sock` (mode 0600) and answers with `methods`. A stale socket is replaced. Methods that are
 * loaded by the first call cost a starting service nothing: with the schemas of their inputs they are a large part of
 * its code.
 */
export function serve(name: string, methods: Methods | (() => Promise<Methods>)): BusServer {
	mkdirSync(runDirectory(), { recursive: true, mode: 0o755 });
	const path = socketPath(name);
	rmSync(path, { force: true });
	const connections = new Set<Socket<Connection>>();

	const send = (socket: Socket<Connection>, value: unknown) => {
		const { data } = socket;
		const frame = encodeFrame(value);
		if (data.waitingBytes + frame.length > BACKLOG_LIMIT_BYTES && data.waitingBytes > 0) {
			socket.terminate();
			return;
		}
		data.waiting.push(frame);
		data.waitingBytes += frame.length;
		flush(socket);
	};

	const answer = async (socket: Socket<Connection>, call: unknown) => {
		if (!isCall(call)) {
			socket.terminate();
			return;
		}
		const { id, input } = call;
		if (call.method === "subscribe") {
			socket.data.subscribed = true;
			send(socket, { id, output: null });
			return;
		}
		if (call.method === "ping") {
			send(socket, { id, output: null });
			return;
		}
		try {
			const all = typeof methods === "function" ? await methods() : methods;
			const found = Object.hasOwn(all, call.method) ? all[call.method] : undefined;
			if (found === undefined) throw new Error(`${name} has no method "${call.method}"`);
			const checked = found.input.safeParse(input ?? {});
			if (!checked.success) throw new Error(wordsOf(checked.error));
			send(socket, { id, output: (await found.handle(checked.data)) ?? null });
		} catch (error) {
			send(socket, { id, error: error instanceof Error ? error.message : String(error) });
		}
	};

	const listener: UnixSocketListener<Connection> = Bun.listen<Connection>({
		unix: path,
		socket: {
			open(socket) {
				socket.data = { reader: new FrameReader(), waiting: [], waitingBytes: 0, subscribed: false };
				connections.add(socket);
				if (connections.size > CONNECTION_LIMIT) socket.terminate();
			},
			data(socket, chunk) {
				try {
					for (const value of socket.data.reader.push(chunk)) void answer(socket, value);
				} catch {
					socket.terminate();
				}
			},
			drain: flush,
			close(socket) {
				connections.delete(socket);
			},
			error() {},
		},
	});
	chmodSync(path, 0o600);
	return {
		publish(event) {
			for (const socket of connections) if (socket.data.subscribed) send(socket, { event });
		},
		close() {
			listener.stop(true);
			rmSync(path, { force: true });
		},
	};
}

function flush(socket: Socket<Connection>): void {
	const { data } = socket;
	while (data.waiting.length > 0) {
		const next = data.waiting[0]!;
		const written = socket.write(next);
		if (written < 0) return;
		data.waitingBytes -= written;
		if (written < next.length) {
			data.waiting[0] = next.subarray(written);
			return;
		}
		data.waiting.shift();
	}
}
