/** DNS_CHECK: one query over UDP, answered without error. What is in the answer does not matter. */
import { IPPROTO_UDP, SOCK_DGRAM } from "../kernel/constants.ts";
import { decodeDnsHeader, encodeDnsQuery, responseCodeName } from "../wire/dns.ts";
import { type Checker, failed, passed } from "./checker.ts";
import { exchange } from "./datagram.ts";
import { timeoutReason } from "./reason.ts";

export const checkDns: Checker<"DNS_CHECK"> = (check, _url, environment, done) => {
	const id = crypto.getRandomValues(new Uint16Array(1))[0]!;
	return exchange(
		{
			target: check.target,
			socketKind: SOCK_DGRAM,
			protocol: IPPROTO_UDP,
			port: check.target.port,
			request: encodeDnsQuery(id, check.name, check.type),
			answered(bytes) {
				const header = decodeDnsHeader(bytes);
				if (header === null) return failed(`reply of ${bytes.length} bytes is no DNS message`);
				// A late answer to an earlier query, or somebody guessing: ours may still come.
				if (header.id !== id || !header.response) return null;
				return header.responseCode === 0
					? passed("DNS NOERROR")
					: failed(`DNS ${responseCodeName(header.responseCode)}`);
			},
			silent: () => failed(timeoutReason(check.target.connectTimeoutMs)),
		},
		environment,
		done,
	);
};
