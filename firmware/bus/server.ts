/**
 * A service's own socket: it answers calls and feeds subscribers. There is no broker.
 *
 * A call is `{ id, method, input }`; the answer `{ id, output }` or `{ id, error }`.
 * The method "subscribe" turns the connection into a stream of `{ event }`; "ping" is answered by every service, at no
 * cost, so that it can be seen to live.
 */
import { chmodSync, mkdirSync, rmSync } from "node:fs";
import type { Socket, UnixSocketListener } from "bun";
import { z } from "zod";
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

const callSchema = z.object({ id: z.number(), method: z.string(), input: z.unknown() });

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

/** Opens `/run/drover/NAME.sock` (mode 0600) and answers with `methods`. A stale socket is replaced. */
export function serve(name: string, methods: Readonly<Record<string, Method<never>>>): BusServer {
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

	const answer = async (socket: Socket<Connection>, value: unknown) => {
		const call = callSchema.safeParse(value);
		if (!call.success) {
			socket.terminate();
			return;
		}
		const { id, input } = call.data;
		if (call.data.method === "subscribe") {
			socket.data.subscribed = true;
			send(socket, { id, output: null });
			return;
		}
		if (call.data.method === "ping") {
			send(socket, { id, output: null });
			return;
		}
		const found = Object.hasOwn(methods, call.data.method) ? methods[call.data.method] : undefined;
		try {
			if (found === undefined) throw new Error(`${name} has no method "${call.data.method}"`);
			const checked = found.input.safeParse(input ?? {});
			if (!checked.success) throw new Error(z.prettifyError(checked.error));
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
