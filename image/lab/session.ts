/** A running lab with its traffic, what its directors say, what a person does to it, and the log of all that. */
import { join } from "node:path";
import { DirectorWatch } from "./director-watch.ts";
import type { Child } from "./hosts.ts";
import { type DirectorName, type Lab, virtualAddress, type WebName } from "./lab.ts";
import { type TimedOutcome, Traffic } from "./traffic.ts";

const REQUESTS_PER_SECOND = 20;
const LOG_LINES_KEPT = 200;

/** What a person did to a director. */
export type DirectorCondition = "running" | "off" | "frozen" | "cable pulled";

export interface LogEntry {
	/** Unix milliseconds. */
	readonly atMs: number;
	readonly text: string;
}

export class Session {
	readonly lab: Lab;
	readonly traffic = new Traffic();
	readonly watch: DirectorWatch;
	readonly conditions: Record<DirectorName, DirectorCondition> = { a: "running", b: "running" };
	readonly log: LogEntry[] = [];
	readonly startedAtMs = Date.now();
	readonly #client: Child;
	readonly #onLog: (entry: LogEntry) => void;
	#firstAnswer = true;

	constructor(lab: Lab, onLog: (entry: LogEntry) => void = () => {}) {
		this.lab = lab;
		this.#onLog = onLog;
		this.watch = new DirectorWatch(lab, (name, text) => this.note(`director ${name}: ${text}`));
		this.#client = lab.client.spawn([
			process.execPath,
			join(import.meta.dir, "client.ts"),
			...["steady", virtualAddress, "80", String(REQUESTS_PER_SECOND)],
		]);
		void this.#readClient();
	}

	note(text: string, atMs = Date.now()): void {
		const entry = { atMs, text };
		this.log.push(entry);
		if (this.log.length > LOG_LINES_KEPT) this.log.shift();
		this.#onLog(entry);
	}

	async toggleWeb(name: WebName): Promise<void> {
		const web = this.lab.web[name];
		if (web.isAlive) {
			await web.kill();
			this.note(`${name} is killed`);
		} else {
			web.revive();
			this.note(`${name} is started again`);
		}
	}

	/** Does something to a director, or undoes it. */
	async setCondition(name: DirectorName, wanted: DirectorCondition): Promise<void> {
		const machine = this.lab.directors[name];
		const before = this.conditions[name];
		if (before === wanted) return;
		switch (before) {
			case "running":
				break;
			case "off":
				this.note(`director ${name} gets its power back`);
				await machine.powerOn();
				break;
			case "frozen":
				this.note(`director ${name} thaws`);
				await machine.thaw();
				break;
			case "cable pulled":
				this.note(`director ${name}: the outside cable is plugged in again`);
				await machine.setCable("outside", true);
				break;
		}
		this.conditions[name] = "running";
		switch (wanted) {
			case "running":
				break;
			case "off":
				this.note(`director ${name} loses its power`);
				await machine.powerOff();
				break;
			case "frozen":
				this.note(`director ${name} freezes`);
				await machine.freeze();
				break;
			case "cable pulled":
				this.note(`director ${name}: the outside cable is pulled`);
				await machine.setCable("outside", false);
				break;
		}
		this.conditions[name] = wanted;
	}

	stop(): void {
		this.watch.stop();
		this.#client.kill("SIGKILL");
	}

	async #readClient(): Promise<void> {
		let text = "";
		const decoder = new TextDecoder();
		for await (const chunk of this.#client.stdout as ReadableStream<Uint8Array>) {
			const lines = (text + decoder.decode(chunk, { stream: true })).split("\n");
			text = lines.pop() ?? "";
			for (const line of lines) this.#take(JSON.parse(line) as TimedOutcome);
		}
	}

	#take(outcome: TimedOutcome): void {
		const outage = this.traffic.push(outcome);
		if (this.#firstAnswer && outcome.kind === "answer") {
			this.#firstAnswer = false;
			this.note(`first answer from ${virtualAddress}, by ${outcome.server}`);
		} else if (outage !== null)
			this.note(
				`the client got no answer for ${(outage.milliseconds / 1000).toFixed(2)} s (${outage.failures} requests)`,
			);
	}
}
