/** Servers of every character, for the checks to judge: run inside a test's namespace. Prints "ready". */
import { createSocket } from "node:dgram";
import { createServer, type Socket } from "node:net";

/** Port by character; nobody listens on `closed`, and packets to `silent` are dropped on the way. */
export const ports = {
	good: 8001,
	unavailable: 8002,
	hangsUp: 8003,
	mute: 8004,
	resets: 8005,
	drips: 8006,
	unknownLength: 8007,
	notFound: 8008,
	halfAnswer: 8009,
	noHttp: 8010,
	closed: 8011,
	silent: 8012,
	smtp: 8025,
	smtpMultiLine: 8026,
	smtpRefuses: 8027,
	smtpNoHelo: 8028,
	udpEcho: 9001,
	udpSilent: 9002,
	udpClosed: 9003,
	dns: 9053,
	dnsNoName: 9054,
} as const;

export const page = "<html>status: ok</html>\n";

if (import.meta.main) {
	const tcp = (port: number, serve: (socket: Socket) => void) =>
		new Promise<void>((resolve) =>
			createServer({ allowHalfOpen: true }, (socket) => {
				socket.on("error", () => {});
				serve(socket);
			}).listen(port, "::", resolve),
		);
	const answer = (text: string) => (socket: Socket) => socket.once("data", () => socket.end(text));
	const smtp = (greeting: string, helo: string) => (socket: Socket) => {
		socket.write(greeting);
		socket.on("data", (bytes) => {
			if (bytes.toString().startsWith("HELO")) socket.write(helo);
			else socket.end("221 Bye\r\n");
		});
	};
	const udp = (port: number, reply: (bytes: Buffer) => Buffer | null) =>
		new Promise<void>((resolve) => {
			const socket = createSocket("udp4");
			socket.on("message", (bytes, from) => {
				const back = reply(bytes);
				if (back !== null) socket.send(back, from.port, from.address);
			});
			socket.bind(port, "0.0.0.0", resolve);
		});
	const dns = (responseCode: number) => (bytes: Buffer) => {
		const back = Buffer.from(bytes);
		back.writeUInt16BE(0x8180 | responseCode, 2);
		return back;
	};
	await Promise.all([
		tcp(ports.good, answer(`HTTP/1.0 200 OK\r\nContent-Length: ${page.length}\r\n\r\n${page}`)),
		tcp(ports.unavailable, answer("HTTP/1.0 503 Service Unavailable\r\n\r\nsorry")),
		tcp(ports.hangsUp, (socket) => socket.end()),
		tcp(ports.mute, () => {}),
		tcp(ports.resets, (socket) => socket.once("data", () => socket.resetAndDestroy())),
		tcp(ports.drips, (socket) =>
			socket.once("data", async () => {
				for (const part of ["HTTP/1.0 200 ", "OK\r\n", "\r\n", page]) {
					socket.write(part);
					await Bun.sleep(400);
				}
				socket.end();
			}),
		),
		tcp(ports.unknownLength, answer(`HTTP/1.0 200 OK\r\n\r\n${page}`)),
		tcp(ports.notFound, answer("HTTP/1.0 404 Not Found\r\n\r\n")),
		tcp(ports.halfAnswer, (socket) => socket.once("data", () => socket.write("HTTP/1.0 200 OK\r\nA: "))),
		tcp(ports.noHttp, answer("SSH-2.0-OpenSSH_9.2\r\n")),
		tcp(ports.silent, () => {}),
		tcp(ports.smtp, smtp("220 mail ESMTP\r\n", "250 mail\r\n")),
		tcp(ports.smtpMultiLine, smtp("220-hello\r\n220 mail\r\n", "250 mail\r\n")),
		tcp(ports.smtpRefuses, smtp("554 go away\r\n", "250 mail\r\n")),
		tcp(ports.smtpNoHelo, smtp("220 mail ESMTP\r\n", "550 no\r\n")),
		udp(ports.udpEcho, (bytes) => bytes),
		udp(ports.udpSilent, () => null),
		udp(ports.dns, dns(0)),
		udp(ports.dnsNoName, dns(3)),
	]);
	console.log("ready");
}
