/**
 * In the client's namespace, commands on the command line:
 *   client.ts count N ADDRESS PORT   N connections one after the other; prints how many each server answered
 *   client.ts hold ADDRESS PORT      one connection; prints "server NAME", then every 100 ms "alive", or "lost"
 */
export {};

const [command, ...words] = process.argv.slice(2);

/** One connection; the name that the server gives. */
function connectOnce(hostname: string, port: number, timeoutMs: number): Promise<string> {
	const { promise, resolve } = Promise.withResolvers<string>();
	const timer = setTimeout(() => resolve("timeout"), timeoutMs);
	const done = (answer: string) => {
		clearTimeout(timer);
		resolve(answer);
	};
	Bun.connect({
		hostname,
		port,
		socket: {
			data(socket, chunk) {
				done(chunk.toString().trim());
				socket.end();
			},
			close: () => done("closed"),
			error: () => done("error"),
			connectError: () => done("refused"),
		},
	}).catch(() => done("refused"));
	return promise;
}

if (command === "count") {
	const [count, address, port] = words;
	const answers: Record<string, number> = {};
	for (let index = 0; index < Number(count); index++) {
		const answer = await connectOnce(address!, Number(port), 3_000);
		answers[answer] = (answers[answer] ?? 0) + 1;
		// Nobody answers: more of that tells nothing.
		if ((answers["timeout"] ?? 0) >= 3) break;
	}
	console.log(JSON.stringify(answers));
	process.exit(0);
}

if (command === "hold") {
	const [address, port] = words;
	let expected = 0;
	await Bun.connect({
		hostname: address!,
		port: Number(port),
		socket: {
			data(socket, chunk) {
				const text = chunk.toString();
				if (text.startsWith("ping")) {
					expected = 0;
					console.log("alive");
				} else console.log(`server ${text.trim()}`);
				socket.ref();
			},
			close() {
				console.log("lost");
				process.exit(1);
			},
			open(socket) {
				setInterval(() => {
					if (++expected > 30) {
						console.log("lost");
						process.exit(1);
					}
					socket.write("ping");
				}, 100);
			},
		},
	});
}
