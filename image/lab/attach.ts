/** A person's terminal on a director's serial console. ^] leaves. */
import { connect } from "node:net";

const LEAVE = 0x1d;

/** Resolves when the person leaves or the director goes off. */
export function attachConsole(path: string): Promise<void> {
	return new Promise((resolve, reject) => {
		const socket = connect(path);
		const isTerminal = process.stdin.isTTY === true;
		const finish = () => {
			if (isTerminal) process.stdin.setRawMode(false);
			process.stdin.pause();
			process.stdin.off("data", type);
			socket.destroy();
			resolve();
		};
		const type = (chunk: Uint8Array) => {
			const leave = chunk.indexOf(LEAVE);
			socket.write(leave < 0 ? chunk : chunk.subarray(0, leave));
			if (leave >= 0) finish();
		};
		socket.on("error", (error) => reject(new Error(`no console at ${path}: ${error.message}`)));
		socket.on("connect", () => {
			console.log("The serial console. Enter shows the screen, ^] leaves.");
			if (isTerminal) process.stdin.setRawMode(true);
			process.stdin.resume();
			process.stdin.on("data", type);
			process.stdin.on("end", finish);
			socket.write("\r");
		});
		socket.on("data", (chunk) => process.stdout.write(chunk));
		socket.on("close", finish);
	});
}
