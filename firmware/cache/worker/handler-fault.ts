/** What a worker does when one of its own socket handlers throws. */

/** As much of a socket as is needed. */
interface Ended {
	terminate(): void;
}

/**
 * The `error` handler of sockets, which Bun calls with what another handler threw: this one connection ends, whose state
 * nobody knows any more, and the fault is told, for others to go on. What the system says of a connection comes here as
 * well; its `close` handler follows by itself.
 */
export function onHandlerFault(socket: Ended, thrown: unknown): void {
	const isError = thrown instanceof Error;
	if (isError && "syscall" in thrown) return;
	console.error(
		`Error: a fault in this program ended one connection: ${(isError && thrown.stack) || thrown}`,
	);
	socket.terminate();
}
