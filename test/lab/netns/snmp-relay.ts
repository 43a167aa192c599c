/**
 * `bun snmp-relay.ts PORT AGENT`: passes datagrams on to the agent on 127.0.0.1 and its answers back. For each
 * line on standard input the last datagram goes to the agent once more; that answer is printed as hex.
 */
import { createSocket, type RemoteInfo } from "node:dgram";

const [port = 0, agent = 0] = process.argv.slice(2).map(Number);
const front = createSocket("udp4");
const back = createSocket("udp4");
let asker: RemoteInfo | null = null;
let last: Buffer | null = null;
let isAgain = false;
front.on("message", (message, from) => {
	asker = from;
	last = message;
	back.send(message, agent, "127.0.0.1");
});
back.on("message", (message) => {
	if (isAgain) console.log(message.toString("hex"));
	else if (asker !== null) front.send(message, asker.port, asker.address);
});
front.bind(port, "127.0.0.1", () => console.log("ready"));
for await (const _line of console) {
	isAgain = true;
	if (last !== null) back.send(last, agent, "127.0.0.1");
}
