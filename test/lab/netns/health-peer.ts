/**
 * Two judges of real servers: the real keepalived's checkers and the director, each in a namespace, their verdicts read
 * from their notify FIFOs.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { call } from "../../../firmware/bus/client.ts";
import type { DirectorStatus } from "../../../firmware/status/director.ts";
import { bunPath, eventually, type Namespace } from "./network.ts";

/** Whether this kernel has IPVS: else keepalived gets a stand-in. */
export const hasIpvs = () => existsSync("/proc/net/ip_vs");

/** What keepalived's checkers take for IPVS when it is preloaded; the path of the library. */
export function buildIpvsStandIn(folder: string): string {
	const library = join(folder, "stand-in.so");
	const source = `${import.meta.dir}/health-ipvs-stand-in.c`;
	const built = Bun.spawnSync(["cc", "-shared", "-fPIC", "-O2", "-o", library, source]);
	if (built.exitCode !== 0) throw new Error(built.stderr.toString());
	return library;
}

/** What a notify FIFO has told: keepalived.conf(5) lvs_notify_fifo. */
export class FifoReader {
	/** "[10.8.0.2]:tcp:80" → whether its last line said UP. */
	readonly verdicts = new Map<string, boolean>();
	/** All lines: "RS [rs] [vs]" or "VS [vs]". */
	readonly lines: { readonly atMs: number; readonly name: string; readonly up: boolean }[] = [];

	/** Makes the FIFO at `path`, and reads it from within `namespace`. */
	constructor(namespace: Namespace, path: string) {
		Bun.spawnSync(["mkfifo", path]);
		// Held open: keepalived opens it anew at each reload.
		void this.#read(namespace.spawn(["sh", "-c", `exec cat <>${path}`]).stdout as ReadableStream<Uint8Array>);
	}

	async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
		let rest = "";
		const decoder = new TextDecoder();
		for await (const chunk of stream) {
			const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
			rest = lines.pop()!;
			for (const line of lines) {
				// "RS [rs]:tcp:port [vs]:tcp:port UP", sometimes with a NUL in front.
				const match = /(RS (\S+) \S+|VS \S+) (UP|DOWN)/.exec(line);
				if (match === null) continue;
				const up = match[3] === "UP";
				if (match[2] !== undefined) this.verdicts.set(match[2], up);
				this.lines.push({ atMs: Date.now(), name: match[1]!, up });
			}
		}
	}
}

export class KeepalivedCheckers {
	readonly folder = mkdtempSync(join(tmpdir(), "drover-keepalived-"));
	readonly fifo: FifoReader;
	readonly #child;
	readonly #log: string;
	readonly #file: string;
	readonly #head: string;

	/** `config` is a keepalived.conf without global_defs. Its table is the kernel's where that has IPVS. */
	constructor(namespace: Namespace, config: string) {
		const fifo = join(this.folder, "fifo");
		const file = join(this.folder, "keepalived.conf");
		this.#file = file;
		this.#head = `global_defs {\n\tlvs_notify_fifo ${fifo}\n\tscript_user root\n}\n`;
		writeFileSync(file, this.#head + config);
		this.fifo = new FifoReader(namespace, fifo);
		const options = [
			...["--check", "--dont-fork", "--log-console", "--log-detail", "--no-syslog", "--use-file", file],
			...["--pid", join(this.folder, "pid"), "--checkers_pid", join(this.folder, "checkers-pid")],
		];
		this.#log = join(this.folder, "log");
		writeFileSync(this.#log, "");
		this.#child = namespace.spawn(
			["sh", "-c", `exec keepalived "$@" >${this.#log} 2>&1`, "keepalived", ...options],
			{
				env: {
					...process.env,
					...(hasIpvs() ? {} : { LD_PRELOAD: buildIpvsStandIn(this.folder) }),
				},
				stderr: "ignore",
				stdout: "ignore",
			},
		);
	}

	/** How many times it has put a real server into the table: all its words, where the FIFO may lose some. */
	additions(): number {
		return this.log().split("Adding service ").length - 1;
	}

	log(): string {
		return readFileSync(this.#log, "latin1");
	}

	/** Asks for `config` from now on; it is not waited for. */
	reload(config: string): void {
		writeFileSync(this.#file, this.#head + config);
		this.#child.kill("SIGHUP");
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
		for (const [name, up] of this.fifo.verdicts)
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
}

const DROVER = join(import.meta.dir, "../../../firmware/drover.ts");

export class DroverCheckers {
	readonly fifo: FifoReader;
	readonly #folder: string;
	readonly #start: () => Subprocess;
	#child: Subprocess;
	readonly #file: string;
	readonly #head: string;
	readonly #log: string;

	/** `config` is a keepalived.conf without global_defs, whose further lines are `globals`; `folder` is its own. */
	constructor(namespace: Namespace, folder: string, config: string, globals = "") {
		const fifo = join(folder, "fifo");
		this.#folder = folder;
		this.fifo = new FifoReader(namespace, fifo);
		this.#file = join(folder, "keepalived.conf");
		this.#head = `global_defs {\n\tlvs_notify_fifo ${fifo}\n\tscript_user root\n\t${globals}\n}\n`;
		writeFileSync(this.#file, this.#head + config);
		this.#log = join(folder, "log");
		writeFileSync(this.#log, "");
		this.#start = () =>
			namespace.spawn([bunPath, DROVER, "director", "-f", this.#file], {
				env: { ...process.env, DROVER_LOG: this.#log, DROVER_RUN_DIR: folder },
				stdout: "ignore",
				stderr: "inherit",
			});
		this.#child = this.#start();
	}

	/** Its checks have begun. */
	async isChecking(): Promise<boolean> {
		process.env["DROVER_RUN_DIR"] = this.#folder;
		const { virtualServers } = await call<DirectorStatus>("director", "status");
		return virtualServers.every(({ realServers }) =>
			realServers.every(({ reason }) => reason !== "not checked yet"),
		);
	}

	/** Is killed, and begins again with the file as it is now. */
	async crash(): Promise<void> {
		this.#child.kill("SIGKILL");
		await this.#child.exited;
		this.#child = this.#start();
	}

	log(): string {
		return readFileSync(this.#log, "utf8");
	}

	/** Asks for `config` from now on; it is not waited for. */
	reload(config: string): void {
		writeFileSync(this.#file, this.#head + config);
		this.#child.kill("SIGHUP");
	}

	async stop(): Promise<void> {
		this.#child.kill("SIGTERM");
		await this.#child.exited;
	}
}
