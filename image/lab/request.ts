/** One HTTP request on a connection of its own: who answered, or why nobody did. */
import { connect } from "node:net";

export type RequestOutcome =
	| { readonly kind: "answer"; readonly server: string; readonly milliseconds: number }
	| { readonly kind: "failure"; readonly reason: string; readonly milliseconds: number };

export interface RequestTarget {
	readonly address: string;
	readonly port: number;
	/** The client's own address, where it has several. */
	readonly localAddress?: string;
	readonly localPort?: number;
	readonly timeoutMs: number;
}

/** An answer is far shorter. */
const ANSWER_LIMIT_BYTES = 64 * 1024;

export function request(target: RequestTarget): Promise<RequestOutcome> {
	const started = performance.now();
	return new Promise((resolve) => {
		let text = "";
		const socket = connect({
			host: target.address,
			port: target.port,
			...(target.localAddress === undefined ? {} : { localAddress: target.localAddress }),
			...(target.localPort === undefined ? {} : { localPort: target.localPort }),
		});
		const finish = (outcome: { kind: "answer"; server: string } | { kind: "failure"; reason: string }) => {
			clearTimeout(timer);
			socket.destroy();
			resolve({ ...outcome, milliseconds: performance.now() - started });
		};
		const timer = setTimeout(() => finish({ kind: "failure", reason: "no answer" }), target.timeoutMs);
		socket.setEncoding("latin1");
		socket.on("connect", () => socket.write("GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n"));
		socket.on("data", (chunk) => {
			text += chunk;
			const body = /^HTTP\/1\.\d 200 [\s\S]*?\r\n\r\n(\S+)\n/.exec(text);
			if (body !== null) finish({ kind: "answer", server: body[1]! });
			else if (text.length > ANSWER_LIMIT_BYTES) finish({ kind: "failure", reason: "endless answer" });
		});
		socket.on("end", () => finish({ kind: "failure", reason: "connection closed" }));
		socket.on("error", (error) =>
			finish({ kind: "failure", reason: (error as NodeJS.ErrnoException).code ?? error.message }),
		);
	});
}
