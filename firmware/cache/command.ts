/** `drover cache …`: the service, its worker processes, and what operators ask of a running cache. */

/** Runs `drover cache WORD …`. */
export async function main(words: readonly string[]): Promise<number> {
	switch (words[0]) {
		case "worker": {
			const { workerMain } = await import("./worker/main.ts");
			return workerMain();
		}
		case "barrier": {
			const { waitAtBarrier } = await import("./worker/barrier.ts");
			return waitAtBarrier(words[1] ?? "");
		}
		case "serve": {
			const { serveRevision } = await import("./service/service.ts");
			return serveRevision();
		}
		default: {
			const { ask, help } = await import("./ask.ts");
			const status = await ask(words);
			if (status !== null) return status;
			const { formatHelp } = await import("../console/command-help.ts");
			const asked = words[0] === "--help" || words[0] === "-h";
			(asked ? console.log : console.error)(formatHelp(help));
			return asked ? 0 : 2;
		}
	}
}
