/**
 * The services' log: one JSON object a line, as pino writes them, from memory and never waited for. A slow
 * console or a full disk costs log lines, not adverts. A writer of its own, since pino's code alone would be
 * a tenth of what a service has to load before it can begin.
 */
import { openSync, write, writeSync } from "node:fs";

/** Bytes that may wait for a slow reader; what comes on top is dropped, oldest kept. */
const BACKLOG_LIMIT_BYTES = 1024 * 1024;
/** One write's worth: lines that come together leave together. */
const WRITE_LIMIT_BYTES = 64 * 1024;
/** A destination that is full for now is tried again after this time. */
const FULL_DELAY_MS = 100;

/** A helper thread needs microseconds for what it has begun; whoever does not take it in this time loses it. */
const LAST_WRITE_MS = 10;

/** pino's. */
const levels = { trace: 10, debug: 20, info: 30, warn: 40, error: 50, fatal: 60 } as const;
type Level = keyof typeof levels;

/** A line's text, or its fields and then its text. Fields named level, time, name, service or msg are the log's own. */
type Write = (fieldsOrText: object | string, text?: string) => void;

export type Log = Readonly<Record<Level, Write>>;

/**
 * The log of one service. Lines go to the file that DROVER_LOG names, else to standard error.
 * DROVER_LOG_LEVEL chooses the least that is written (default "info").
 */
export function openLog(service: string): Log {
	const path = process.env["DROVER_LOG"];
	const wanted = process.env["DROVER_LOG_LEVEL"] ?? "info";
	const least = wanted === "silent" ? Number.POSITIVE_INFINITY : levels[wanted as Level];
	if (least === undefined)
		throw new Error(
			`DROVER_LOG_LEVEL: there is no level "${wanted}" (there are ${Object.keys(levels).join(", ")})`,
		);
	const lines = new LineWriter(path === undefined ? 2 : openSync(path, "a"));
	const at = (level: Level): Write =>
		levels[level] < least
			? () => {}
			: (fieldsOrText, text) => lines.add(lineOf(level, new Date(), service, fieldsOrText, text));
	return {
		trace: at("trace"),
		debug: at("debug"),
		info: at("info"),
		warn: at("warn"),
		error: at("error"),
		fatal: at("fatal"),
	};
}

/** One line, with its end. Pure. */
export function lineOf(
	level: string,
	time: Date,
	service: string,
	fieldsOrText: object | string,
	text?: string,
): string {
	const name = JSON.stringify(service);
	const head = `{"level":"${level}","time":"${time.toISOString()}","name":${name},"service":${name}`;
	if (typeof fieldsOrText === "string") return `${head},"msg":${JSON.stringify(fieldsOrText)}}\n`;
	let fields = "";
	for (const [key, value] of Object.entries(fieldsOrText)) {
		const json = jsonOf(value);
		if (json !== undefined) fields += `,${JSON.stringify(key)}:${json}`;
	}
	return text === undefined ? `${head}${fields}}\n` : `${head}${fields},"msg":${JSON.stringify(text)}}\n`;
}

/** A value that JSON has no words for is told in its own. */
function jsonOf(value: unknown): string | undefined {
	try {
		return JSON.stringify(value instanceof Error ? value.message : value);
	} catch {
		return JSON.stringify(String(value));
	}
}

/** Writes one after the other, by the engine's helper threads. */
export class LineWriter {
	readonly #fd: number;
	#waiting: string[] = [];
	#waitingLength = 0;
	/** What a helper thread is writing, or will once the destination takes something again. */
	#underWay: Buffer | null = null;
	#isFull = false;
	#isAwaited = false;

	constructor(fd: number) {
		this.#fd = fd;
		process.on("exit", () => this.#flushAtEnd());
	}

	add(line: string): void {
		if (this.#waitingLength + line.length > BACKLOG_LIMIT_BYTES) return;
		this.#waiting.push(line);
		this.#waitingLength += line.length;
		if (this.#underWay !== null || this.#isAwaited) return;
		// What is said in one turn leaves together.
		this.#isAwaited = true;
		setImmediate(() => {
			this.#isAwaited = false;
			if (this.#underWay === null) this.#next();
		});
	}

	#next(): void {
		if (this.#waiting.length === 0) return;
		let count = 0;
		let length = 0;
		while (count < this.#waiting.length && length < WRITE_LIMIT_BYTES)
			length += this.#waiting[count++]!.length;
		this.#waitingLength -= length;
		this.#write(Buffer.from(this.#waiting.splice(0, count).join("")));
	}

	#write(bytes: Buffer): void {
		this.#underWay = bytes;
		this.#isFull = false;
		write(this.#fd, bytes, (error, written) => {
			this.#isFull = error?.code === "EAGAIN";
			if (this.#isFull) {
				setTimeout(() => this.#write(bytes), FULL_DELAY_MS).unref();
				return;
			}
			this.#underWay = null;
			// A destination that fails, a full disk say, costs the lines.
			if (error === null && written < bytes.length) this.#write(bytes.subarray(written));
			else this.#next();
		});
	}

	/** What the process had to say last. */
	#flushAtEnd(): void {
		// The end of the process is the end of its helper threads.
		if (this.#underWay !== null && !this.#isFull) Bun.sleepSync(LAST_WRITE_MS);
		const rest = Buffer.from(this.#waiting.join(""));
		const bytes = this.#isFull && this.#underWay !== null ? Buffer.concat([this.#underWay, rest]) : rest;
		this.#waiting = [];
		try {
			for (let done = 0; done < bytes.length; ) done += writeSync(this.#fd, bytes, done);
		} catch {
			// Nobody takes it.
		}
	}
}
