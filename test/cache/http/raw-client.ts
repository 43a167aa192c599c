/** Bytes to a server and what came back, without any HTTP in between. */
import { connect, type Socket } from "node:net";

export interface RawAnswer {
	readonly text: string;
	/** The server closed the connection. */
	readonly closed: boolean;
}

const LIMIT_MS = 20_000;

/** Sends `wire` and reads until `enough` says so, the server closes, or (never in a passing test) a limit. */
export function exchange(
	port: number,
	wire: string,
	enough: (text: string) => boolean = () => false,
): Promise<RawAnswer> {
	return new Promise((resolve, reject) => {
		let text = "";
		const socket: Socket = connect(port, "127.0.0.1", () => socket.write(wire, "latin1"));
		const timer = setTimeout(() => {
			socket.destroy();
			reject(new Error(`no end after ${LIMIT_MS} ms; so far: ${JSON.stringify(text.slice(0, 200))}`));
		}, LIMIT_MS);
		const end = (closed: boolean) => {
			clearTimeout(timer);
			socket.destroy();
			resolve({ text, closed });
		};
		socket.setEncoding("latin1");
		socket.on("data", (piece: string) => {
			text += piece;
			if (enough(text)) end(false);
		});
		socket.on("close", () => end(true));
		// A reset is an end like any other here: what matters is what came before it.
		socket.on("error", () => end(true));
	});
}
