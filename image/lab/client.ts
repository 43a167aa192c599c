/**
 * The lab's client, run as a program of its own inside its namespace:
 *
 *   client.ts steady ADDRESS PORT PER_SECOND   one JSON line for each request, at a steady pace, for ever
 *   client.ts count ADDRESS PORT COUNT [FROM FIRST-PORT]
 *                                              COUNT requests one after another, then who answered how often
 *   client.ts kept ADDRESS PORT SECONDS        one connection that carries a line every 100 ms, then its count
 */
import { connect } from "node:net";
import { request } from "./request.ts";

const STEADY_TIMEOUT_MS = 1_000;
const COUNT_TIMEOUT_MS = 10_000;

const [mode, address = "", port = "80", amount = "1", from, firstPort] = process.argv.slice(2);
const target = { address, port: Number(port), ...(from === undefined ? {} : { localAddress: from }) };

switch (mode) {
	case "steady":
		steady(Number(amount));
		break;
	case "count":
		await count(Number(amount));
		break;
	case "kept":
		await kept(Number(amount));
		break;
	default:
		console.error("client.ts steady|count|kept ADDRESS PORT AMOUNT");
		process.exitCode = 2;
}

function steady(perSecond: number): void {
	setInterval(async () => {
		const atMs = Date.now();
		const outcome = await request({ ...target, timeoutMs: STEADY_TIMEOUT_MS });
		console.log(JSON.stringify({ atMs, ...outcome }));
	}, 1000 / perSecond);
}

async function count(requests: number): Promise<void> {
	const answers: Record<string, number> = {};
	const failures: Record<string, number> = {};
	for (let index = 0; index < requests; index++) {
		// Ports in a row: a port that comes again meets its old IPVS entry, which no scheduler is asked about.
		const local = firstPort === undefined ? {} : { localPort: Number(firstPort) + index };
		const outcome = await request({ ...target, ...local, timeoutMs: COUNT_TIMEOUT_MS });
		if (outcome.kind === "answer") answers[outcome.server] = (answers[outcome.server] ?? 0) + 1;
		else failures[outcome.reason] = (failures[outcome.reason] ?? 0) + 1;
	}
	console.log(JSON.stringify({ answers, failures }));
}

/** Prints `{ server, lines, ended }`; `ended` is "complete" when the server closed after its last line. */
async function kept(seconds: number): Promise<void> {
	let text = "";
	const ended = await new Promise<string>((resolve) => {
		const socket = connect({ host: address, port: Number(port) });
		const timer = setTimeout(() => resolve("timeout"), (seconds + 20) * 1000);
		const finish = (how: string) => {
			clearTimeout(timer);
			socket.destroy();
			resolve(how);
		};
		socket.setEncoding("latin1");
		socket.on("connect", () =>
			socket.write(`GET /slow?seconds=${seconds} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n`),
		);
		socket.on("data", (chunk) => {
			if (text === "") console.error("first bytes");
			text += chunk;
		});
		socket.on("end", () => finish("complete"));
		socket.on("error", (error) => finish(error.message));
	});
	const lines = text.split("\n").filter((line) => /^[a-z]+\d*$/.test(line.trim()));
	console.log(JSON.stringify({ server: lines[0]?.trim() ?? null, lines: lines.length, ended }));
}
