/**
 * In a web server's namespace: answers each connection with its name and keeps it open until the client is done.
 *   web-server.ts NAME PORT [ADDRESS]
 */
import type { Socket } from "bun";

const [name, port, address] = process.argv.slice(2);
for (const hostname of address === undefined ? ["0.0.0.0", "::"] : [address])
	Bun.listen({
		hostname,
		port: Number(port),
		ipv6Only: true,
		socket: {
			open(socket: Socket) {
				socket.write(`${name}\n`);
			},
			data(socket: Socket, chunk: Buffer) {
				socket.write(chunk);
			},
			error() {},
		},
	} as never);
console.log("ready");
