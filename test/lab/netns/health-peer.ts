/** The real keepalived as a peer: its checkers in a namespace, their verdicts read from its notify FIFO. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually, type Namespace } from "./network.ts";

export class KeepalivedCheckers {
	readonly folder = mkdtempSync(join(tmpdir(), "drover-keepalived-"));
	/** "RS [10.8.0.2]:tcp:80 …" → whether its last line said UP. */
	readonly verdicts = new Map<string, boolean>();
	readonly #child;
	readonly #log: string;

	/** `config` is a keepalived.conf without global_defs. */
	constructor(namespace: Namespace, config: string) {
		const library = join(this.folder, "stand-in.so");
		const built = Bun.spawnSync([
			"cc",
			"-shared",
			"-fPIC",
			"-O2",
			"-o",
			library,
			`${import.meta.dir}/health-ipvs-stand-in.c`,
		]);
		if (built.exitCode !== 0) throw new Error(built.stderr.toString());
		const fifo = join(this.folder, "fifo");
		const file = join(this.folder, "keepalived.conf");
		writeFileSync(file, `global_defs {\n\tlvs_notify_fifo ${fifo}\n\tscript_user root\n}\n${config}`);
		Bun.spawnSync(["mkfifo", fifo]);
		const reader = namespace.spawn(["cat", fifo]);
		void this.#read(reader.stdout as ReadableStream<Uint8Array>);
		const options = [
			...["--check", "--dont-fork", "--log-console", "--log-detail", "--no-syslog", "--use-file", file],
			...["--pid", join(this.folder, "pid"), "--checkers_pid", join(this.folder, "checkers-pid")],
		];
		this.#log = join(this.folder, "log");
		writeFileSync(this.#log, "");
		this.#child = namespace.spawn(
			["sh", "-c", `exec keepalived "$@" >${this.#log} 2>&1`, "keepalived", ...options],
			{ env: { ...process.env, LD_PRELOAD: library }, stderr: "ignore", stdout: "ignore" },
		);
	}

	/** How many times it has put a real server into the table: all its words, where the FIFO may lose some. */
	additions(): number {
		return this.log().split("Adding service ").length - 1;
	}

	log(): string {
		return readFileSync(this.#log, "latin1");
	}

	/** Of the process that runs the checks. */
	async checkerPid(): Promise<number> {
		const path = join(this.folder, "checkers-pid");
		await eventually(
			"keepalived's checkers",
			() => existsSync(path) && readFileSync(path, "utf8").trim() !== "",
		);
		return Number(readFileSync(path, "utf8"));
	}

	/** Of the real server at `address`:`port`; undefined when nothing was said. */
	verdict(address: string, port: number): boolean | undefined {
		for (const [name, up] of this.verdicts)
			if (name.startsWith(`[${address}]:`) && name.endsWith(`:${port}`)) return up;
		return undefined;
	}

	async stop(): Promise<void> {
		this.#child.kill("SIGTERM");
		const killer = setTimeout(() => this.#child.kill("SIGKILL"), 8_000);
		await this.#child.exited;
		clearTimeout(killer);
		rmSync(this.folder, { recursive: true, force: true });
	}

	async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
		let rest = "";
		const decoder = new TextDecoder();
		for await (const chunk of stream) {
			const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
			rest = lines.pop()!;
			for (const line of lines) {
				// "RS [rs]:tcp:port [vs]:tcp:port UP", sometimes with a NUL in front.
				const match = /RS (\S+) (\S+) (UP|DOWN)/.exec(line);
				if (match !== null) this.verdicts.set(match[1]!, match[3] === "UP");
			}
		}
	}
}
