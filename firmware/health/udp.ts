/** UDP_CHECK: a datagram is not refused, or is answered as the configuration says. */
import { IPPROTO_UDP, SOCK_DGRAM } from "../kernel/constants.ts";
import { type Checker, type CheckOf, failed, type Outcome, passed } from "./checker.ts";
import { exchange } from "./datagram.ts";
import { timeoutReason } from "./reason.ts";

/** keepalived sends 32 bytes when no payload is configured. */
const defaultPayload = Uint8Array.from({ length: 32 }, (_, index) => 0x41 + (index % 26));

export const checkUdp: Checker<"UDP_CHECK"> = (check, _url, environment, done) =>
	exchange(
		{
			target: check.target,
			socketKind: SOCK_DGRAM,
			protocol: IPPROTO_UDP,
			port: check.target.port,
			request: check.payloadHex === null ? defaultPayload : Buffer.from(check.payloadHex, "hex"),
			answered: (bytes) => judgeReply(check, bytes),
			// Silence is what most UDP services answer to nonsense; a closed port would have sent ICMP.
			silent: () =>
				check.requireReply
					? failed(`no reply, ${timeoutReason(check.target.connectTimeoutMs)}`)
					: passed("not refused"),
		},
		environment,
		done,
	);

/** Lengths count only together with a pattern; pattern and reply are compared as far as both go (keepalived.conf(5)). */
export function judgeReply(
	check: Pick<CheckOf<"UDP_CHECK">, "replyPattern" | "minReplyLengthBytes" | "maxReplyLengthBytes">,
	bytes: Uint8Array,
): Outcome {
	const pattern = check.replyPattern;
	if (pattern === null) return passed(`reply of ${bytes.length} bytes`);
	if (bytes.length < check.minReplyLengthBytes)
		return failed(`reply of ${bytes.length} bytes, wanted at least ${check.minReplyLengthBytes}`);
	if (bytes.length > check.maxReplyLengthBytes)
		return failed(`reply of ${bytes.length} bytes, wanted at most ${check.maxReplyLengthBytes}`);
	const hex = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");
	const wanted = pattern.toLowerCase();
	for (let index = 0; index < Math.min(wanted.length, hex.length); index++)
		if (wanted[index] !== "x" && wanted[index] !== hex[index])
			return failed(
				`reply begins with ${hex.slice(0, Math.min(wanted.length, 32))}, wanted ${pattern.slice(0, 32)}`,
			);
	return passed(`reply of ${bytes.length} bytes`);
}
