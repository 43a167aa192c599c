/** `bun time-server.ts ADDRESS SECONDS`: an NTP server (RFC 5905 §7.3) whose clock is ahead by so much. */
import { createSocket } from "node:dgram";

const [address = "", ahead = "0"] = process.argv.slice(2);
const NTP_EPOCH_SECONDS = 2_208_988_800;
/** The machine's clock when this began, and then by the monotonic one: it does not follow the client's. */
const startMs = Date.now() + Number(ahead) * 1000 - performance.now();

function writeTimestamp(packet: DataView, offset: number): void {
	const ms = startMs + performance.now();
	packet.setUint32(offset, Math.floor(ms / 1000) + NTP_EPOCH_SECONDS);
	packet.setUint32(offset + 4, Math.floor(((ms % 1000) / 1000) * 2 ** 32));
}

const socket = createSocket("udp4");
socket.on("message", (request, from) => {
	const answer = new Uint8Array(48);
	const view = new DataView(answer.buffer);
	// No warning, version 4, server; stratum 2; precision 2^-20 s; root delay 0, dispersion 1/1024 s.
	answer.set([0x24, 2, 6, 0xec]);
	view.setUint32(8, 64);
	answer.set([127, 0, 0, 1], 12);
	writeTimestamp(view, 16);
	answer.set(request.subarray(40, 48), 24);
	writeTimestamp(view, 32);
	writeTimestamp(view, 40);
	socket.send(answer, from.port, from.address);
});
socket.bind(123, address, () => console.log("ready"));
