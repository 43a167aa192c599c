/**
 * Packet sockets (packet(7)): whole Ethernet frames on one interface. They outlive link down and up.
 * An interface that is deleted and made again is another one: open a new socket then.
 */
import {
	AF_PACKET,
	ETH_P_ALL,
	MSG_DONTWAIT,
	MSG_TRUNC,
	PACKET_IGNORE_OUTGOING,
	SO_PRIORITY,
	SOCK_NONBLOCK,
	SOCK_RAW,
	SOL_PACKET,
	SOL_SOCKET,
} from "./constants.ts";
import { EAGAIN, SystemCallError } from "./errno.ts";
import { native } from "./native.ts";
import { packetAddress, SOCKADDR_STORAGE_BYTES } from "./sockaddr.ts";
import { type Watch, watchReadable } from "./watch.ts";

export interface PacketSocketOptions {
	readonly interfaceIndex: number;
	/** ETH_P_*; ETH_P_ALL receives everything; 0 receives nothing (a socket that only sends). */
	readonly etherType: number;
	/** With ETH_P_ALL: what this box sends, too. */
	readonly outgoing?: boolean;
	/** Classic BPF program over the frame, such as `arpFilter`; what it refuses never wakes the process. */
	readonly filter?: readonly BpfInstruction[];
}

/** struct sock_filter, <linux/filter.h>. */
export interface BpfInstruction {
	readonly code: number;
	readonly jumpTrue: number;
	readonly jumpFalse: number;
	readonly k: number;
}

const statement = (code: number, k: number): BpfInstruction => ({ code, jumpTrue: 0, jumpFalse: 0, k });
const jump = (code: number, k: number, jumpTrue: number, jumpFalse: number): BpfInstruction => ({
	code,
	jumpTrue,
	jumpFalse,
	k,
});

/** Instructions of <linux/bpf_common.h> that filters here need. */
export const bpf = {
	/** A = half-word at frame offset `offset`. */
	loadHalf: (offset: number) => statement(0x28, offset),
	loadByte: (offset: number) => statement(0x30, offset),
	loadWord: (offset: number) => statement(0x20, offset),
	/** X = 4 × (byte at `offset` & 15): an IPv4 header's length. */
	loadHeaderLength: (offset: number) => statement(0xb1, offset),
	/** A = half-word at X + `offset`. */
	loadHalfIndexed: (offset: number) => statement(0x48, offset),
	loadByteIndexed: (offset: number) => statement(0x50, offset),
	/** Skips `jumpTrue` instructions when A equals `value`, else `jumpFalse`. */
	jumpEqual: (value: number, jumpTrue: number, jumpFalse: number) => jump(0x15, value, jumpTrue, jumpFalse),
	/** Skips `jumpTrue` instructions when A & `bits` is not 0. */
	jumpSet: (bits: number, jumpTrue: number, jumpFalse: number) => jump(0x45, bits, jumpTrue, jumpFalse),
	accept: () => statement(0x06, 0xffff_ffff),
	refuse: () => statement(0x06, 0),
} as const;

/** The kernel's limit for classic programs (BPF_MAXINSNS). */
const BPF_LIMIT = 4096;

export function encodeFilter(program: readonly BpfInstruction[]): Uint8Array {
	if (program.length === 0 || program.length > BPF_LIMIT)
		throw new RangeError(`a filter has 1 to ${BPF_LIMIT} instructions`);
	const bytes = new Uint8Array(program.length * 8);
	const view = new DataView(bytes.buffer);
	program.forEach((instruction, index) => {
		view.setUint16(index * 8, instruction.code, true);
		view.setUint8(index * 8 + 2, instruction.jumpTrue);
		view.setUint8(index * 8 + 3, instruction.jumpFalse);
		view.setUint32(index * 8 + 4, instruction.k, true);
	});
	return bytes;
}

/** The largest frame that a segmentation offload hands up. */
const BUFFER_BYTES = 65_536 + 256;
const FRAMES_PER_WAKE = 64;

export class PacketSocket {
	readonly fd: number;
	readonly interfaceIndex: number;
	#watch: Watch | null = null;
	#closed = false;

	private constructor(fd: number, interfaceIndex: number) {
		this.fd = fd;
		this.interfaceIndex = interfaceIndex;
	}

	/** Throws a SystemCallError. */
	static open(options: PacketSocketOptions): PacketSocket {
		// Protocol 0 receives nothing until bind: no frame slips in before the filter and the interface are set.
		const fd = native.socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);
		if (fd < 0) throw new SystemCallError("packet socket", fd);
		const check = (what: string, status: number) => {
			if (status >= 0) return;
			native.close(fd);
			throw new SystemCallError(what, status);
		};
		if (options.filter !== undefined)
			check("packet socket filter", native.attachFilter(fd, encodeFilter(options.filter)));
		const one = new Uint8Array(new Int32Array([1]).buffer);
		const control = new Uint8Array(new Int32Array([7]).buffer);
		if (options.etherType === ETH_P_ALL && options.outgoing !== true)
			check("PACKET_IGNORE_OUTGOING", native.setSocketOption(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, one));
		check("SO_PRIORITY", native.setSocketOption(fd, SOL_SOCKET, SO_PRIORITY, control));
		const address = packetAddress(options.interfaceIndex, options.etherType);
		check(`packet socket on interface ${options.interfaceIndex}`, native.bind(fd, address));
		return new PacketSocket(fd, options.interfaceIndex);
	}

	/** Sends one frame, Ethernet header included. Returns its length or -errno (-ENETDOWN while the link is down). */
	send(frame: Uint8Array): number {
		return native.sendTo(this.fd, frame, null, MSG_DONTWAIT);
	}

	/**
	 * Calls back for each frame until `close`; the frame is valid during the callback only. `packetType` tells whom
	 * it was for (PACKET_HOST 0, broadcast 1, multicast 2, other host 3, outgoing 4). Errors such as ENETDOWN go to
	 * `onError`; reception goes on when the link is back.
	 */
	receive(onFrame: (frame: Uint8Array, packetType: number) => void, onError?: (errno: number) => void): void {
		const buffer = new Uint8Array(BUFFER_BYTES);
		const name = new Uint8Array(SOCKADDR_STORAGE_BYTES);
		this.#watch?.close();
		this.#watch = watchReadable(this.fd, () => {
			for (let count = 0; count < FRAMES_PER_WAKE && !this.#closed; count++) {
				const length = native.receiveFrom(this.fd, buffer, MSG_DONTWAIT | MSG_TRUNC, name);
				if (length === -EAGAIN) return;
				if (length < 0) {
					onError?.(-length);
					return;
				}
				if (length <= buffer.length) onFrame(buffer.subarray(0, length), name[10]!);
			}
		});
	}

	close(): void {
		if (this.#closed) return;
		this.#closed = true;
		this.#watch?.close();
		native.close(this.fd);
	}
}
