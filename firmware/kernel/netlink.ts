/**
 * Netlink sockets (netlink(7)): requests with their answers, dumps, batches, and multicast groups.
 *
 * Requests are synchronous: for route and generic netlink the kernel does the work inside send(2), so the answer
 * waits when it returns, and nothing can come between. Monitors are asynchronous.
 */
import {
	AF_NETLINK,
	MSG_DONTWAIT,
	MSG_TRUNC,
	SO_RCVBUFFORCE,
	SO_RCVTIMEO,
	SOCK_RAW,
	SOL_SOCKET,
} from "./constants.ts";
import { EAGAIN, EINTR, ENOBUFS, SystemCallError } from "./errno.ts";
import { native } from "./native.ts";
import type { RequestBatch } from "./netlink-batch.ts";
import {
	type MessageBuilder,
	type NetlinkMessage,
	NLM_F_ACK,
	NLM_F_DUMP,
	NLM_F_DUMP_INTR,
	NLM_F_REQUEST,
	NLMSG_DONE,
	NLMSG_ERROR,
	NLMSG_OVERRUN,
	parseAcknowledgement,
	parseMessages,
} from "./netlink-message.ts";
import { decodeSocketAddress, netlinkAddress } from "./sockaddr.ts";
import { type Watch, watchReadable } from "./watch.ts";

export * from "./netlink-message.ts";

// <linux/netlink.h>
export const NETLINK_ROUTE = 0;
export const NETLINK_CONNECTOR = 11;
export const NETLINK_GENERIC = 16;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;

/** The kernel sends at most 32 KiB per dump message. */
const BUFFER_BYTES = 65_536;
/** Requests sent with one system call. */
const BATCH_BYTES = 60_000;
const BATCH_MESSAGES = 512;
/** A dump that changed underneath is asked again this often. */
const DUMP_ATTEMPTS = 5;
/**
 * How long an answer may be missing once the kernel has taken the request: it was lost. What takes long, such as somebody
 * else's operation, is waited for inside send(2), or inside recv(2) of a dump, to which this does not apply. A service
 * that is told to end meanwhile must still end in time (firmware/ending.ts).
 */
const ANSWER_LIMIT_MS = 2_000;
/** Messages of a monitor handled in one go before other callbacks get their turn. */
const DATAGRAMS_PER_WAKE = 64;

/** A request that the kernel refused, with its errno and its own explanation. */
export class NetlinkError extends SystemCallError {
	/** The kernel's extended acknowledgement. */
	readonly text: string | null;

	constructor(what: string, errno: number, text: string | null) {
		super(what, errno);
		this.text = text;
		if (text !== null) this.message += ` (${text})`;
	}
}

export interface NetlinkSocketOptions {
	/** Multicast groups to join (numbers, not bits). */
	readonly groups?: readonly number[];
	/** Default 1 MiB; monitors of busy boxes want more. */
	readonly receiveBufferBytes?: number;
}

const int = (value: number) => new Uint8Array(new Int32Array([value]).buffer);

export class NetlinkSocket {
	readonly fd: number;
	/** Our own address: what others' monitors see as the sender. */
	readonly portId: number;
	readonly #buffer = new Uint8Array(BUFFER_BYTES);
	#sequence = 1;
	#watch: Watch | null = null;
	#closed = false;

	private constructor(fd: number, portId: number) {
		this.fd = fd;
		this.portId = portId;
	}

	/** Opens a socket of NETLINK_ROUTE, NETLINK_GENERIC … in the current network namespace. Throws a SystemCallError. */
	static open(protocol: number, options: NetlinkSocketOptions = {}): NetlinkSocket {
		const fd = native.socket(AF_NETLINK, SOCK_RAW, protocol);
		if (fd < 0) throw new SystemCallError(`netlink socket of protocol ${protocol}`, fd);
		const check = (what: string, status: number) => {
			if (status >= 0) return;
			native.close(fd);
			throw new SystemCallError(what, status);
		};
		check("netlink bind", native.bind(fd, netlinkAddress()));
		// Without privilege the buffer stays at the system's default, which small tables fit.
		native.setSocketOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, int(options.receiveBufferBytes ?? 1_048_576));
		native.setSocketOption(fd, SOL_NETLINK, NETLINK_EXT_ACK, int(1));
		native.setSocketOption(fd, SOL_NETLINK, NETLINK_CAP_ACK, int(1));
		native.setSocketOption(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, int(1));
		const limit = new Uint8Array(new BigInt64Array([BigInt(ANSWER_LIMIT_MS / 1000), 0n]).buffer);
		check("SO_RCVTIMEO", native.setSocketOption(fd, SOL_SOCKET, SO_RCVTIMEO, limit));
		for (const group of options.groups ?? [])
			check(
				`netlink group ${group}`,
				native.setSocketOption(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, int(group)),
			);
		const name = decodeSocketAddress(native.getSocketName(fd));
		return new NetlinkSocket(fd, name.kind === "netlink" ? name.portId : 0);
	}

	/** One request; returns the messages that answer it (often none). Throws a NetlinkError. */
	request(message: MessageBuilder, what: string): NetlinkMessage[] {
		const sequence = this.#nextSequence();
		this.#send(message.finish(sequence, NLM_F_REQUEST | NLM_F_ACK), what);
		const answers: NetlinkMessage[] = [];
		for (;;)
			for (const answer of this.#receive(what)) {
				if (answer.sequence !== sequence) continue;
				if (answer.type !== NLMSG_ERROR) {
					answers.push(copied(answer));
					continue;
				}
				const { errno, text } = parseAcknowledgement(answer);
				if (errno !== 0) throw new NetlinkError(what, errno, text);
				return answers;
			}
	}

	/**
	 * Many requests with few system calls, in order. One result per request: null, or why the kernel refused it; the
	 * others are done all the same. Answers other than acknowledgements are not kept.
	 */
	requestAll(messages: readonly MessageBuilder[], what: string): (NetlinkError | null)[] {
		const results = new Array<NetlinkError | null>(messages.length).fill(null);
		for (let start = 0; start < messages.length; ) start = this.#requestBatch(messages, start, results, what);
		return results;
	}

	/**
	 * A ready-made batch, in order. Calls `refused` with the place of each request that the kernel refused; the others
	 * are done all the same.
	 */
	requestBatch(
		batch: RequestBatch,
		what: string,
		refused: (index: number, error: NetlinkError) => void,
	): void {
		const { count } = batch;
		if (count === 0) return;
		const first = this.#reserveSequences(count);
		// Errors come unasked; only the last one's success has to be told.
		this.#send(batch.finish(first, NLM_F_REQUEST, NLM_F_ACK), what);
		for (;;)
			for (const answer of this.#receive(what)) {
				const index = answer.sequence - first;
				if (answer.type !== NLMSG_ERROR || index < 0 || index >= count) continue;
				const { errno, text } = parseAcknowledgement(answer);
				if (errno !== 0) refused(index, new NetlinkError(what, errno, text));
				if (index === count - 1) return;
			}
	}

	/** Sends what fits in one batch, from `start` on; returns where the next one starts. */
	#requestBatch(
		messages: readonly MessageBuilder[],
		start: number,
		results: (NetlinkError | null)[],
		what: string,
	): number {
		let end = start;
		let bytes = 0;
		while (end < messages.length && end - start < BATCH_MESSAGES) {
			const length = messages[end]!.length;
			if (end > start && bytes + length > BATCH_BYTES) break;
			bytes += length;
			end++;
		}
		const first = this.#reserveSequences(end - start);
		const batch = new Uint8Array(bytes);
		let offset = 0;
		for (let index = start; index < end; index++) {
			// Errors come unasked; only the last one's success has to be told.
			const flags = NLM_F_REQUEST | (index === end - 1 ? NLM_F_ACK : 0);
			batch.set(messages[index]!.finish(first + index - start, flags), offset);
			offset += messages[index]!.length;
		}
		this.#send(batch, what);
		for (;;)
			for (const answer of this.#receive(what)) {
				const index = start + answer.sequence - first;
				if (answer.type !== NLMSG_ERROR || index < start || index >= end) continue;
				const { errno, text } = parseAcknowledgement(answer);
				if (errno !== 0) results[index] = new NetlinkError(what, errno, text);
				if (index === end - 1) return end;
			}
	}

	/**
	 * A whole table. Asks again when it changed while it was read; after 5 attempts the last reading is returned.
	 * Throws a NetlinkError.
	 */
	dump(message: MessageBuilder, what: string): NetlinkMessage[] {
		for (let attempt = 1; ; attempt++) {
			const sequence = this.#nextSequence();
			this.#send(message.finish(sequence, NLM_F_REQUEST | NLM_F_DUMP), what);
			const answers: NetlinkMessage[] = [];
			if (!this.#readDump(sequence, answers, what) || attempt === DUMP_ATTEMPTS) return answers;
		}
	}

	/** Fills `answers`; returns whether the table changed meanwhile. */
	#readDump(sequence: number, answers: NetlinkMessage[], what: string): boolean {
		let interrupted = false;
		for (;;) {
			// One copy per datagram: the messages are views into it.
			const datagram = this.#receiveBytes(what).slice();
			for (const answer of parseMessages(datagram)) {
				if (answer.sequence !== sequence) continue;
				if ((answer.flags & NLM_F_DUMP_INTR) !== 0) interrupted = true;
				if (answer.type === NLMSG_DONE || answer.type === NLMSG_ERROR) {
					const { errno, text } = parseAcknowledgement(answer);
					if (errno !== 0) throw new NetlinkError(what, errno, text);
					return interrupted;
				}
				answers.push(answer);
			}
		}
	}

	/**
	 * Calls back for every message of the joined groups until `close`. `onOverflow`: messages were lost (the
	 * receiver was too slow); read the tables again. The payload is valid during the callback only.
	 */
	listen(onMessage: (message: NetlinkMessage) => void, onOverflow: () => void): void {
		this.#watch?.close();
		this.#watch = watchReadable(this.fd, () => {
			for (let count = 0; count < DATAGRAMS_PER_WAKE && !this.#closed; count++) {
				const length = native.receiveFrom(this.fd, this.#buffer, MSG_DONTWAIT | MSG_TRUNC);
				if (length === -EAGAIN) return;
				if (length === -ENOBUFS || length > BUFFER_BYTES) onOverflow();
				else if (length > 0)
					for (const message of parseMessages(this.#buffer.subarray(0, length)))
						if (message.type === NLMSG_OVERRUN) onOverflow();
						else onMessage(message);
			}
		});
	}

	close(): void {
		if (this.#closed) return;
		this.#closed = true;
		this.#watch?.close();
		native.close(this.fd);
	}

	#nextSequence(): number {
		return this.#reserveSequences(1);
	}

	/** The first of `count` consecutive sequence numbers; never 0 (the kernel's own messages), never wrapping inside. */
	#reserveSequences(count: number): number {
		if (this.#sequence + count > 0xffff_ffff) this.#sequence = 1;
		const first = this.#sequence;
		this.#sequence += count;
		return first;
	}

	#send(bytes: Uint8Array, what: string): void {
		const status = native.sendTo(this.fd, bytes, kernelAddress);
		if (status < 0) throw new SystemCallError(what, status);
	}

	#receive(what: string): NetlinkMessage[] {
		return parseMessages(this.#receiveBytes(what));
	}

	#receiveBytes(what: string): Uint8Array {
		for (;;) {
			const length = native.receiveFrom(this.fd, this.#buffer, MSG_TRUNC);
			if (length === -EINTR) continue;
			if (length < 0) throw new SystemCallError(`${what}: no answer from the kernel`, length);
			if (length > BUFFER_BYTES)
				throw new RangeError(`${what}: an answer of ${length} bytes is over the limit`);
			return this.#buffer.subarray(0, length);
		}
	}
}

const kernelAddress = netlinkAddress();

function copied(message: NetlinkMessage): NetlinkMessage {
	return { ...message, payload: message.payload.slice() };
}
