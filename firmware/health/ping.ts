/**
 * PING_CHECK: one ICMP echo, answered. RFC 792 (echo), RFC 4443 §4.1.
 * The kernel's ping socket (icmp(7)) matches identifiers by itself; it is open to the groups that
 * net.ipv4.ping_group_range names, which on most systems are none: ours is added while checks need it.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { IPPROTO_ICMP, IPPROTO_ICMPV6, SOCK_DGRAM } from "../kernel/constants.ts";
import { type Checker, failed, passed } from "./checker.ts";
import { exchange } from "./datagram.ts";
import { timeoutReason } from "./reason.ts";

const ECHO_REQUEST_4 = 8;
const ECHO_REPLY_4 = 0;
const ECHO_REQUEST_6 = 128;
const ECHO_REPLY_6 = 129;
/** As keepalived: enough to fill a small frame, and to see a path that corrupts. */
const PAYLOAD_BYTES = 128;
const HEADER_BYTES = 8;

const groupRangePath = "/proc/sys/net/ipv4/ping_group_range";
let rangeBefore: string | null = null;

/** Lets this process's group open ping sockets, as keepalived does for its own; undone by `restorePingSockets`. */
export function allowPingSockets(): void {
	if (rangeBefore !== null) return;
	try {
		const text = readFileSync(groupRangePath, "latin1");
		const [low, high] = text.trim().split(/\s+/).map(Number);
		const group = process.getegid?.() ?? 0;
		if (low! <= group && group <= high!) return;
		writeFileSync(
			groupRangePath,
			low! <= high! ? `${Math.min(low!, group)} ${Math.max(high!, group)}` : `${group} ${group}`,
		);
		rangeBefore = text;
	} catch {
		// Read-only /proc: the probes say why they cannot be made.
	}
}

export function restorePingSockets(): void {
	if (rangeBefore === null) return;
	try {
		writeFileSync(groupRangePath, rangeBefore);
	} catch {
		// The range stays wider than it was.
	}
	rangeBefore = null;
}

let nextSequence = 0;

export const checkPing: Checker<"PING_CHECK"> = (check, _url, environment, done) => {
	const { target } = check;
	const inet = target.family === "inet";
	nextSequence = (nextSequence + 1) & 0xffff;
	const sequence = nextSequence;
	allowPingSockets();
	return exchange(
		{
			target,
			socketKind: SOCK_DGRAM,
			protocol: inet ? IPPROTO_ICMP : IPPROTO_ICMPV6,
			port: 0,
			request: echoRequest(inet ? ECHO_REQUEST_4 : ECHO_REQUEST_6, sequence),
			answered(bytes) {
				if (!isEchoReply(bytes, inet ? ECHO_REPLY_4 : ECHO_REPLY_6, sequence)) return null;
				return passed("echo reply");
			},
			silent: () => failed(timeoutReason(target.connectTimeoutMs)),
		},
		environment,
		done,
	);
};

/** The kernel fills in identifier and checksum. */
function echoRequest(type: number, sequence: number): Uint8Array {
	const message = new Uint8Array(HEADER_BYTES + PAYLOAD_BYTES);
	message[0] = type;
	new DataView(message.buffer).setUint16(6, sequence);
	for (let index = 0; index < PAYLOAD_BYTES; index++) message[HEADER_BYTES + index] = index;
	return message;
}

export function isEchoReply(bytes: Uint8Array, type: number, sequence: number): boolean {
	if (bytes.length !== HEADER_BYTES + PAYLOAD_BYTES || bytes[0] !== type) return false;
	if (((bytes[6]! << 8) | bytes[7]!) !== sequence) return false;
	for (let index = 0; index < PAYLOAD_BYTES; index++)
		if (bytes[HEADER_BYTES + index] !== (index & 0xff)) return false;
	return true;
}
