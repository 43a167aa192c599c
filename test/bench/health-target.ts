/** Web servers on 50 ports of every loopback address, for the benchmark: `bun health-target.ts PORT COUNT`. Prints "ready". */
if (import.meta.main) {
	const [first, count] = process.argv.slice(2).map(Number) as [number, number];
	const answer = Buffer.from("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok");
	for (let port = first; port < first + count; port++)
		Bun.listen({
			hostname: "0.0.0.0",
			port,
			socket: {
				data(socket) {
					socket.write(answer);
					socket.end();
				},
				error() {},
			},
		});
	console.log("ready");
}
