/**
 * Generic netlink (<linux/genetlink.h>): families have names, and the kernel gives each a number
 * when its module loads. A message is a netlink message of that number with a command byte in front.
 */
import { ENOENT } from "./errno.ts";
import {
	Attributes,
	MessageBuilder,
	NETLINK_GENERIC,
	type NetlinkError,
	type NetlinkMessage,
	NetlinkSocket,
	type NetlinkSocketOptions,
} from "./netlink.ts";
import type { RequestBatch } from "./netlink-batch.ts";

const GENL_ID_CTRL = 16;
const CTRL_CMD_GETFAMILY = 3;
const CTRL_ATTR_FAMILY_ID = 1;
const CTRL_ATTR_FAMILY_NAME = 2;
const CONTROL_VERSION = 1;

/** `struct genlmsghdr`: command, version, two reserved bytes. */
export const GENERIC_HEADER_BYTES = 4;

/** The kernel has no such family: its module is not there. */
export class NoSuchFamily extends Error {
	readonly family: string;
	constructor(family: string) {
		super(`the kernel has no ${family}`);
		this.family = family;
	}
}

/** One family's socket. */
export class GenericNetlink {
	readonly family: string;
	readonly #socket: NetlinkSocket;
	readonly #familyId: number;
	readonly #version: number;

	private constructor(family: string, socket: NetlinkSocket, familyId: number, version: number) {
		this.family = family;
		this.#socket = socket;
		this.#familyId = familyId;
		this.#version = version;
	}

	/** Opens a socket in the current network namespace. Throws NoSuchFamily or a SystemCallError. */
	static open(family: string, version: number, options: NetlinkSocketOptions = {}): GenericNetlink {
		const socket = NetlinkSocket.open(NETLINK_GENERIC, options);
		try {
			return new GenericNetlink(family, socket, familyNumber(socket, family), version);
		} catch (error) {
			socket.close();
			throw error;
		}
	}

	/** An empty message of the family, for attributes to be added. */
	message(command: number): MessageBuilder {
		return new MessageBuilder(this.#familyId).u8(command).u8(this.#version).u16(0);
	}

	/** See NetlinkSocket; what comes back are the payloads after the generic header. */
	request(message: MessageBuilder, what: string): Uint8Array[] {
		return this.#payloads(this.#socket.request(message, what));
	}

	dump(message: MessageBuilder, what: string): Uint8Array[] {
		return this.#payloads(this.#socket.dump(message, what));
	}

	/** Begins a message of the family in a batch. */
	begin(batch: RequestBatch, command: number): void {
		batch.beginGeneric(this.#familyId, command, this.#version);
	}

	requestBatch(
		batch: RequestBatch,
		what: string,
		refused: (index: number, error: NetlinkError) => void,
	): void {
		this.#socket.requestBatch(batch, what, refused);
	}

	close(): void {
		this.#socket.close();
	}

	#payloads(messages: readonly NetlinkMessage[]): Uint8Array[] {
		const payloads: Uint8Array[] = [];
		for (const { type, payload } of messages)
			if (type === this.#familyId && payload.length >= GENERIC_HEADER_BYTES)
				payloads.push(payload.subarray(GENERIC_HEADER_BYTES));
		return payloads;
	}
}

function familyNumber(socket: NetlinkSocket, family: string): number {
	const question = new MessageBuilder(GENL_ID_CTRL)
		.u8(CTRL_CMD_GETFAMILY)
		.u8(CONTROL_VERSION)
		.u16(0)
		.stringAttribute(CTRL_ATTR_FAMILY_NAME, family);
	let answers: NetlinkMessage[];
	try {
		answers = socket.request(question, `generic netlink family ${family}`);
	} catch (error) {
		if ((error as NetlinkError).errno === ENOENT) throw new NoSuchFamily(family);
		throw error;
	}
	for (const { type, payload } of answers) {
		if (type !== GENL_ID_CTRL) continue;
		const id = Attributes.parse(payload, GENERIC_HEADER_BYTES).u16(CTRL_ATTR_FAMILY_ID);
		if (id !== null) return id;
	}
	throw new NoSuchFamily(family);
}
