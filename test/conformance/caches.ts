/** The caches under test, each as it comes: no policy but the address of its backend. */
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface RunningCache {
	readonly port: number;
	/** Its -n. */
	readonly directory: string;
	/** Its log so far, as varnishlog prints it. */
	log(): Promise<string>;
	stop(): Promise<void>;
}

/** Below those that the kernel gives to clients: nobody comes to have one between its choice and its use. */
const FIRST_PORT = 10_000;
const PORT_COUNT = 20_000;
/** Where this process looks next; others begin elsewhere. */
let nextPort = (process.pid * 211) % PORT_COUNT;

/** Ports of the loopback that nobody listens on just now. */
export async function freePorts(count: number): Promise<number[]> {
	const found: number[] = [];
	while (found.length < count) {
		const port = FIRST_PORT + (nextPort++ % PORT_COUNT);
		const isFree = await new Promise<boolean>((resolve) => {
			const server = createServer();
			server.on("error", () => resolve(false));
			server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
		});
		if (isFree) found.push(port);
	}
	return found;
}

export const freePort = async () => (await freePorts(1))[0]!;

/** Somebody listens on that port of the loopback, or on the socket at that path. */
export const portAnswers = (place: number | string) =>
	new Promise<boolean>((resolve) => {
		const socket = typeof place === "number" ? connect(place, "127.0.0.1") : connect(place);
		socket.on("connect", () => {
			socket.destroy();
			resolve(true);
		});
		socket.on("error", () => resolve(false));
	});

/** The same twice: whoever looks for a free port listens on it for a moment (freePorts, in another process). */
const portStays = async (place: number | string) => {
	if (!(await portAnswers(place))) return false;
	await Bun.sleep(50);
	return portAnswers(place);
};

const START_LIMIT_MS = 30_000;

/**
 * Starts `command` with varnishd's own arguments: a listener, a backend (unless `more` has a VCL), and `more`, which has
 * it listen on `others`, too.
 */
export async function startCache(
	command: readonly string[],
	backendPort: number,
	more: readonly string[] = [],
	others: readonly (number | string)[] = [],
): Promise<RunningCache> {
	const port = await freePort();
	const directory = mkdtempSync(join(tmpdir(), "drover-conformance-"));
	const child = Bun.spawn(
		[
			...command,
			"-F",
			"-n",
			join(directory, "n"),
			"-a",
			`127.0.0.1:${port}`,
			...(more.includes("-f") ? [] : ["-b", `127.0.0.1:${backendPort}`]),
			...more,
		],
		{ stdout: "ignore", stderr: "pipe" },
	);
	const errors = new Response(child.stderr).text();
	const until = Date.now() + START_LIMIT_MS;
	// The first that is listened on may be there long before the last.
	for (const place of [port, ...others])
		while (!(await portStays(place))) {
			if (child.exitCode !== null || Date.now() > until) {
				child.kill();
				throw new Error(`${command.join(" ")} did not start: ${await errors}`);
			}
			await Bun.sleep(50);
		}
	return {
		port,
		directory: join(directory, "n"),
		async log() {
			const reader = Bun.spawn(["varnishlog", "-n", join(directory, "n"), "-d", "-g", "raw"], {
				stdout: "pipe",
				stderr: "ignore",
			});
			return new Response(reader.stdout).text();
		},
		async stop() {
			child.kill();
			await child.exited;
			rmSync(directory, { recursive: true, force: true });
		},
	};
}

export const drover = [process.execPath, join(import.meta.dir, "../../firmware/drover.ts"), "varnishd"];
export const stock = ["/usr/sbin/varnishd"];
