/** The other end of health-agent.ts: starts it in a namespace, gives it configurations, knows the latest status. */
import type { DroverConfig, VirtualServerConfig } from "../../../firmware/config/model.ts";
import { configuration } from "../../health/fixtures.ts";
import type { AgentLine } from "./health-agent.ts";
import { bunPath, eventually, type Namespace } from "./network.ts";

export type Status = Extract<AgentLine, { line: "status" }>["servers"][number];

/** Health checks inside `namespace`; `status` is the latest of a real server. */
export class Agent {
	readonly #child;
	readonly changes: Extract<AgentLine, { line: "change" }>[] = [];
	#servers: readonly Status[] = [];
	conflicts: Extract<AgentLine, { line: "status" }>["conflicts"] = [];
	#error = "";

	constructor(namespace: Namespace) {
		this.#child = namespace.spawn([bunPath, `${import.meta.dir}/health-agent.ts`], { stdin: "pipe" });
		void this.#read();
		void new Response(this.#child.stderr).text().then((text) => {
			this.#error = text;
		});
	}

	apply(virtualServers: readonly VirtualServerConfig[]): void {
		this.applyConfig(configuration(virtualServers));
	}

	applyConfig(config: DroverConfig): void {
		const stdin = this.#child.stdin as Bun.FileSink;
		stdin.write(`${JSON.stringify(config)}\n`);
		stdin.flush();
	}

	status(address: string, vip?: string): Status | undefined {
		return this.#servers.find(
			({ realServer: key, virtualServer: vs }) =>
				(key.startsWith(`[${address}]`) || key === `[${address}`) &&
				(vip === undefined || vs.includes(`[${vip}]`)),
		);
	}

	/** Waits until `done` holds of a real server's status. */
	async until(
		address: string,
		what: string,
		done: (status: Status) => boolean,
		limitMs = 15_000,
		vip?: string,
	): Promise<Status> {
		try {
			return await eventually(
				`${address} ${what}`,
				() => {
					const status = this.status(address, vip);
					return status !== undefined && done(status) ? status : null;
				},
				limitMs,
			);
		} catch (error) {
			throw new Error(
				`${error instanceof Error ? error.message : error}: ${JSON.stringify(this.status(address, vip))} ${this.#error}`,
			);
		}
	}

	async #read(): Promise<void> {
		let rest = "";
		const decoder = new TextDecoder();
		for await (const chunk of this.#child.stdout as ReadableStream<Uint8Array>) {
			const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
			rest = lines.pop()!;
			for (const text of lines) {
				const line = JSON.parse(text) as AgentLine;
				if (line.line === "status") {
					this.#servers = line.servers;
					this.conflicts = line.conflicts;
				} else if (line.line === "change") this.changes.push(line);
			}
		}
	}
}
