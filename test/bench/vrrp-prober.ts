/**
 * Asks an address every millisecond, by ping and by TCP, whether anybody answers or not: ping(8) slows down to one in
 * 10 ms while nobody does. The answers are for whoever captures. `bun vrrp-prober.ts SOURCE ADDRESS`, IPv4.
 */
import { RawSocket } from "../../firmware/kernel/raw-socket.ts";
import { monotonicMicros, RealTime } from "../../firmware/kernel/realtime.ts";
import { encodeInternetAddress } from "../../firmware/kernel/sockaddr.ts";
import { encodeEcho } from "../../firmware/wire/icmp.ts";
import { parseAddress } from "../../firmware/wire/ip.ts";
import { encodeIpPacket } from "../../firmware/wire/ip-packet.ts";
import { encodeTcp, TCP_SYN } from "../../firmware/wire/tcp.ts";

const PERIOD_MICROS = 1_000;
const IPPROTO_RAW = 255;
/** discard: a port that nobody serves answers with a reset, which is an answer. */
const PORT = 9;
const PRIORITY = 20;

if (import.meta.main) {
	const [source, destination] = process.argv.slice(2).map((text) => parseAddress(text)!) as [
		Uint8Array,
		Uint8Array,
	];
	const { fd } = RawSocket.open({
		family: "inet",
		protocol: IPPROTO_RAW,
		headerIncluded: true,
		sendOnly: true,
	});
	const address = encodeInternetAddress(destination, 0, 0);
	const packet = (protocol: number, payload: Uint8Array) => ({
		fd,
		address,
		data: encodeIpPacket(
			{ source, destination, hopLimit: 64, protocol, trafficClass: 0, identification: 0 },
			payload,
		),
	});
	const echo = encodeEcho("inet", {
		kind: "echo-request",
		identifier: 1,
		sequence: 1,
		data: new Uint8Array(16),
	});
	const syn = encodeTcp(
		{
			sourcePort: 40_000,
			destinationPort: PORT,
			sequence: 1,
			acknowledgement: 0,
			flags: TCP_SYN,
			window: 1_024,
			maximumSegmentSizeBytes: null,
			payload: new Uint8Array(0),
		},
		source,
		destination,
	);
	const realTime = RealTime.open({ priority: PRIORITY });
	realTime.renewLease(3_600_000_000);
	const repeat = realTime.repeat(() => {});
	repeat.set([packet(1, echo), packet(6, syn)]);
	repeat.start(monotonicMicros(), PERIOD_MICROS);
	setInterval(() => {}, 60_000);
}
