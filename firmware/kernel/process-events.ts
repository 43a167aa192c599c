/**
 * Processes that start, change their name and end, told by the kernel's process connector (<linux/cn_proc.h>).
 * It exists in the first network namespace and for root only; `watchProcesses` says so by throwing, and a caller that
 * must go on without it reads /proc from time to time (`listProcesses`).
 */
import { readdirSync, readFileSync } from "node:fs";
import { AF_NETLINK, MSG_DONTWAIT, SO_RCVBUFFORCE, SOCK_DGRAM, SOL_SOCKET } from "./constants.ts";
import { EAGAIN, ENOBUFS, SystemCallError } from "./errno.ts";
import { native } from "./native.ts";
import {
	MESSAGE_HEADER_BYTES,
	MessageBuilder,
	NETLINK_CONNECTOR,
	NLMSG_DONE,
	parseMessages,
} from "./netlink.ts";
import { netlinkAddress } from "./sockaddr.ts";
import { watchReadable } from "./watch.ts";

// <linux/connector.h>
const CN_IDX_PROC = 1;
const CN_VAL_PROC = 1;
/** struct cn_msg: id (idx, val), seq, ack, len, flags. */
const CONNECTOR_HEADER_BYTES = 20;
/** struct proc_event up to its union: what, cpu, timestamp. */
const EVENT_HEADER_BYTES = 16;
const PROC_CN_MCAST_LISTEN = 1;

const PROC_EVENT_FORK = 0x0000_0001;
const PROC_EVENT_EXEC = 0x0000_0002;
const PROC_EVENT_COMM = 0x0000_0200;
const PROC_EVENT_EXIT = 0x8000_0000;

const BUFFER_BYTES = 65_536;
const RECEIVE_BUFFER_BYTES = 1_048_576;
const DATAGRAMS_PER_WAKE = 256;

export type ProcessEvent =
	| { readonly kind: "fork"; readonly parentPid: number; readonly pid: number }
	/** Another program runs in the process now. */
	| { readonly kind: "exec"; readonly pid: number }
	/** It named itself (prctl(2) PR_SET_NAME). */
	| { readonly kind: "name"; readonly pid: number; readonly name: string }
	| { readonly kind: "exit"; readonly pid: number };

/** The event of one connector message, or null for others' and for those of threads. Pure. */
export function decodeProcessEvent(payload: Uint8Array): ProcessEvent | null {
	if (payload.length < CONNECTOR_HEADER_BYTES + EVENT_HEADER_BYTES) return null;
	const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
	if (view.getUint32(0, true) !== CN_IDX_PROC || view.getUint32(4, true) !== CN_VAL_PROC) return null;
	const what = view.getUint32(CONNECTOR_HEADER_BYTES, true);
	const data = CONNECTOR_HEADER_BYTES + EVENT_HEADER_BYTES;
	const word = (index: number) =>
		data + index * 4 + 4 <= payload.length ? view.getUint32(data + index * 4, true) : 0;
	switch (what) {
		case PROC_EVENT_FORK:
			// parent pid, parent tgid, child pid, child tgid: pid ≠ tgid is a thread.
			return word(2) === word(3) ? { kind: "fork", parentPid: word(1), pid: word(3) } : null;
		case PROC_EVENT_EXEC:
			return { kind: "exec", pid: word(1) };
		case PROC_EVENT_COMM: {
			if (word(0) !== word(1)) return null;
			const comm = payload.subarray(data + 8, data + 24);
			const end = comm.indexOf(0);
			return {
				kind: "name",
				pid: word(1),
				name: new TextDecoder().decode(end < 0 ? comm : comm.subarray(0, end)),
			};
		}
		case PROC_EVENT_EXIT:
			return word(0) === word(1) ? { kind: "exit", pid: word(1) } : null;
		default:
			return null;
	}
}

export interface ProcessWatch {
	close(): void;
}

/**
 * Calls back for every process event until closed. `onOverflow`: events were lost; read /proc anew.
 * Throws a SystemCallError where the connector does not exist or is not allowed.
 */
export function watchProcesses(
	onEvent: (event: ProcessEvent) => void,
	onOverflow: () => void,
	receiveBufferBytes: number = RECEIVE_BUFFER_BYTES,
): ProcessWatch {
	const fd = native.socket(AF_NETLINK, SOCK_DGRAM, NETLINK_CONNECTOR);
	if (fd < 0) throw new SystemCallError("process connector", fd);
	const check = (what: string, status: number) => {
		if (status >= 0) return;
		native.close(fd);
		throw new SystemCallError(what, status);
	};
	check("process connector", native.bind(fd, netlinkAddress(0, 1 << (CN_IDX_PROC - 1))));
	native.setSocketOption(
		fd,
		SOL_SOCKET,
		SO_RCVBUFFORCE,
		new Uint8Array(new Int32Array([receiveBufferBytes]).buffer),
	);
	const listen = new MessageBuilder(NLMSG_DONE)
		.u32(CN_IDX_PROC)
		.u32(CN_VAL_PROC)
		.u32(0)
		.u32(0)
		.u16(4)
		.u16(0)
		.u32(PROC_CN_MCAST_LISTEN);
	check("process connector", native.sendTo(fd, listen.finish(0), netlinkAddress()));
	const buffer = new Uint8Array(BUFFER_BYTES);
	let closed = false;
	const watch = watchReadable(fd, () => {
		for (let count = 0; count < DATAGRAMS_PER_WAKE && !closed; count++) {
			const length = native.receiveFrom(fd, buffer, MSG_DONTWAIT);
			if (length === -EAGAIN) return;
			if (length === -ENOBUFS) onOverflow();
			if (length < MESSAGE_HEADER_BYTES) continue;
			for (const message of parseMessages(buffer.subarray(0, length))) {
				const event = decodeProcessEvent(message.payload);
				if (event !== null) onEvent(event);
			}
		}
	});
	return {
		close() {
			closed = true;
			watch.close();
			native.close(fd);
		},
	};
}

/** All processes with their names (`comm`) as /proc has them now. */
export function listProcesses(): Map<number, string> {
	const processes = new Map<number, string>();
	for (const entry of readdirSync("/proc")) {
		if (!/^\d+$/.test(entry)) continue;
		const name = processName(Number(entry));
		if (name !== null) processes.set(Number(entry), name);
	}
	return processes;
}

/** `comm`; null when the process is gone. */
export function processName(pid: number): string | null {
	try {
		return readFileSync(`/proc/${pid}/comm`, "utf8").trimEnd();
	} catch {
		return null;
	}
}

/** argv; null when the process is gone, empty for kernel threads and zombies. */
export function processArguments(pid: number): string[] | null {
	try {
		const text = readFileSync(`/proc/${pid}/cmdline`, "utf8");
		return text === "" ? [] : text.replace(/\0$/, "").split("\0");
	} catch {
		return null;
	}
}

/**
 * The names of processes that have ended a moment ago: who changed something in the kernel is often a short command
 * that is gone when the change is told. Remembers the last 1,024 that were started.
 */
export class RecentProcesses {
	static readonly LIMIT = 1024;
	readonly #names = new Map<number, string>();

	/** Feed it every event of `watchProcesses`. */
	note(event: ProcessEvent): void {
		if (event.kind !== "exec" && event.kind !== "name") return;
		const name = event.kind === "name" ? event.name : processName(event.pid);
		if (name === null) return;
		this.#names.delete(event.pid);
		this.#names.set(event.pid, name);
		if (this.#names.size > RecentProcesses.LIMIT) this.#names.delete(this.#names.keys().next().value!);
	}

	/** The name of a process, alive or lately dead; null when it was never seen. */
	name(pid: number): string | null {
		return processName(pid) ?? this.#names.get(pid) ?? null;
	}
}
