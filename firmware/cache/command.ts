/** `drover cache …`: the worker process, and what operators ask of a running cache. */

/** Runs `drover cache WORD …`. */
export async function main(words: readonly string[]): Promise<number> {
	switch (words[0]) {
		case "worker": {
			const { workerMain } = await import("./worker/main.ts");
			return workerMain();
		}
		case "why": {
			const { why } = await import("./why.ts");
			return why(words.slice(1));
		}
		default:
			console.error(
				"usage: drover cache why [-n DIRECTORY] URL\n\nThe cache itself is started by `drover varnishd …`.",
			);
			return 2;
	}
}
