/**
 * In a namespace of the guest:
 *   datagram.ts answer NAME PORT     answers each datagram with NAME
 *   datagram.ts ask N ADDRESS PORT   N questions, each from a port of its own; prints how many each server answered
 */
export {};

const [command, ...words] = process.argv.slice(2);
const ANSWER_WITHIN_MS = 5_000;

if (command === "answer") {
	const [name, port] = words;
	await Bun.udpSocket({
		hostname: "0.0.0.0",
		port: Number(port),
		socket: { data: (socket, _bytes, fromPort, address) => void socket.send(name!, fromPort, address) },
	});
}

if (command === "ask") {
	const [questions, address, port] = words;
	const answers: Record<string, number> = {};
	for (let question = 0; question < Number(questions); question++) {
		const { promise, resolve } = Promise.withResolvers<string>();
		const socket = await Bun.udpSocket({
			connect: { hostname: address!, port: Number(port) },
			socket: { data: (_socket, bytes) => resolve(bytes.toString()), error: () => resolve("refused") },
		});
		const timer = setTimeout(() => resolve("timeout"), ANSWER_WITHIN_MS);
		socket.send("who");
		const answer = await promise;
		clearTimeout(timer);
		socket.close();
		answers[answer] = (answers[answer] ?? 0) + 1;
	}
	console.log(JSON.stringify(answers));
}
