/** Calls to another service's socket. */
import type { Socket } from "bun";
import { encodeFrame, FrameReader } from "./frame.ts";
import { socketPath } from "./socket-path.ts";

const DEFAULT_TIMEOUT_MS = 5_000;

/** The service is not there, did not answer in time, or refused; the message is for the operator. */
export class BusError extends Error {
	readonly service: string;
	constructor(service: string, message: string) {
		super(message);
		this.service = service;
	}
}

interface Answer {
	readonly id?: number;
	readonly output?: unknown;
	readonly error?: string;
	readonly event?: unknown;
}

/** One call, one connection. Resolves with the method's output; rejects with a BusError. */
export function call<Output = unknown>(
	service: string,
	method: string,
	input: unknown = {},
	timeoutMs = DEFAULT_TIMEOUT_MS,
): Promise<Output> {
	return new Promise((resolve, reject) => {
		let ended = false;
		let socket: Socket<undefined> | null = null;
		const finish = (settle: () => void) => {
			if (ended) return;
			ended = true;
			clearTimeout(timer);
			socket?.end();
			settle();
		};
		const fail = (message: string) => finish(() => reject(new BusError(service, message)));
		const timer = setTimeout(() => fail(`${service} did not answer within ${timeoutMs} ms`), timeoutMs);
		connect(service, {
			onOpen(opened) {
				socket = opened;
				writeAll(opened, encodeFrame({ id: 1, method, input }));
			},
			onValue(answer) {
				if (answer.error !== undefined) fail(answer.error);
				else finish(() => resolve(answer.output as Output));
			},
			onClose: fail,
		});
	});
}

/**
 * Streams a service's events to `onEvent` until the returned function is called.
 * When the service goes away, `onClose` says why, once. From `onBegin` on no event is missed.
 */
export function subscribe(
	service: string,
	onEvent: (event: unknown) => void,
	onClose: (reason: string) => void = () => {},
	onBegin: () => void = () => {},
): () => void {
	let socket: Socket<undefined> | null = null;
	let ended = false;
	connect(service, {
		onOpen(opened) {
			socket = opened;
			if (ended) opened.end();
			else writeAll(opened, encodeFrame({ id: 1, method: "subscribe", input: {} }));
		},
		onValue(answer) {
			if (ended) return;
			if (answer.event !== undefined) onEvent(answer.event);
			else if (answer.error === undefined) onBegin();
		},
		onClose(reason) {
			if (!ended) {
				ended = true;
				onClose(reason);
			}
		},
	});
	return () => {
		ended = true;
		socket?.end();
	};
}

function connect(
	service: string,
	handlers: {
		onOpen(socket: Socket<undefined>): void;
		onValue(answer: Answer): void;
		onClose(reason: string): void;
	},
): void {
	const reader = new FrameReader();
	Bun.connect({
		unix: socketPath(service),
		socket: {
			open: handlers.onOpen,
			data(socket, chunk) {
				try {
					for (const value of reader.push(chunk)) handlers.onValue(value as Answer);
				} catch (error) {
					socket.terminate();
					handlers.onClose(error instanceof Error ? error.message : String(error));
				}
			},
			drain: drainWrites,
			close: () => handlers.onClose(`${service} closed the connection`),
			connectError: () => handlers.onClose(`${service} is not running`),
			error: (_socket, error) => handlers.onClose(error.message),
		},
	}).catch(() => handlers.onClose(`${service} is not running`));
}

const unwritten = new WeakMap<object, Uint8Array>();

function writeAll(socket: Socket<undefined>, bytes: Uint8Array): void {
	const written = socket.write(bytes);
	if (written >= 0 && written < bytes.length) unwritten.set(socket, bytes.subarray(written));
}

function drainWrites(socket: Socket<undefined>): void {
	const rest = unwritten.get(socket);
	if (rest === undefined) return;
	unwritten.delete(socket);
	writeAll(socket, rest);
}
