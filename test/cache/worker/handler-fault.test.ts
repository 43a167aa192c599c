/** A fault of this program in a socket's handler ends that connection, and is told. */
import { expect, spyOn, test } from "bun:test";
import { onHandlerFault } from "../../../firmware/cache/worker/handler-fault.ts";

test("the client of a handler that throws is not left waiting; others are served", async () => {
	const told = spyOn(console, "error").mockImplementation(() => {});
	const server = Bun.listen({
		hostname: "127.0.0.1",
		port: 0,
		socket: {
			data(socket, bytes) {
				if (bytes.toString() === "bad") throw new ReferenceError("no such thing");
				socket.write("good");
			},
			error: onHandlerFault,
		},
	});
	const ask = async (text: string) => {
		const said = Promise.withResolvers<string>();
		await Bun.connect({
			hostname: "127.0.0.1",
			port: server.port,
			socket: {
				open: (socket) => void socket.write(text),
				data: (_, bytes) => said.resolve(bytes.toString()),
				close: () => said.resolve("closed"),
			},
		});
		return said.promise;
	};
	try {
		expect(await ask("bad")).toBe("closed");
		expect(await ask("fine")).toBe("good");
		expect(told.mock.calls).toHaveLength(1);
		expect(told.mock.calls[0]![0]).toMatch(
			/^Error: a fault in this program ended one connection: ReferenceError: no such thing\n/,
		);
	} finally {
		told.mockRestore();
		server.stop(true);
	}
});
