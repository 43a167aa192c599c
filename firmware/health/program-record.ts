/**
 * The programs of MISC_CHECK that run, in a file, so that whoever follows a director that was killed ends them: a second
 * one beside the first may fail for that reason alone (flock(1)), and one that hangs would stay for ever. keepalived's end
 * with it (prctl(2), PR_SET_PDEATHSIG).
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";

/** Who ends sooner is not worth a line. */
const RECORD_AFTER_MS = 100;

/** A killed process is gone when it had a processor once more; one that the kernel holds is not waited for any longer. */
const GONE_WITHIN_MS = 1_000;
const GONE_LOOK_MS = 5;

interface ProcessStatus {
	readonly parent: number;
	/** proc(5): clock ticks since boot. With the number it names a process for good. */
	readonly startTicks: string;
}

function statusOf(pid: number): ProcessStatus | null {
	try {
		// The name in parentheses may hold anything.
		const fields = readFileSync(`/proc/${pid}/stat`, "latin1")
			.replace(/^.*\) /s, "")
			.split(" ");
		return { parent: Number(fields[1]), startTicks: fields[19] ?? "" };
	} catch {
		return null;
	}
}

/** Whether anybody is left in the process group that `leader` led. */
function hasGroup(leader: number): boolean {
	try {
		return process.kill(-leader, 0);
	} catch {
		return false;
	}
}

export class ProgramRecord {
	readonly #file: string;
	/** By process: its line, or null before it is worth one. */
	readonly #running = new Map<number, string | null>();
	#timer: ReturnType<typeof setTimeout> | null = null;

	constructor(file: string) {
		this.#file = file;
	}

	/** `pid` leads a process group of its own. Returns what is to be called when it has ended. */
	started(pid: number): () => void {
		this.#running.set(pid, null);
		this.#writeSoon();
		return () => {
			// A line that stays a moment too long names nobody.
			if (typeof this.#running.get(pid) === "string") this.#writeSoon();
			this.#running.delete(pid);
		};
	}

	/**
	 * Ends, with its group, each program that lost the director which had started it. Resolves with how many when they are gone:
	 * what they hold, a lock say, is theirs until then.
	 */
	async endLeftOvers(): Promise<number> {
		const ended: number[] = [];
		for (const line of this.#read()) {
			const [pid = 0, parent = 0, startTicks = 0] = line.split(" ").map(Number);
			const status = pid > 1 ? statusOf(pid) : null;
			if (status === null || status.startTicks !== String(startTicks) || status.parent === parent) continue;
			try {
				process.kill(-pid, "SIGKILL");
				ended.push(pid);
			} catch {
				// It has just ended by itself.
			}
		}
		const limitMs = performance.now() + GONE_WITHIN_MS;
		while (ended.some(hasGroup) && performance.now() < limitMs) await Bun.sleep(GONE_LOOK_MS);
		return ended.length;
	}

	/** Nothing is to be found any more: all of them were ended. */
	close(): void {
		if (this.#timer !== null) clearTimeout(this.#timer);
		this.#timer = null;
		this.#running.clear();
		rmSync(this.#file, { force: true });
	}

	#read(): readonly string[] {
		try {
			return readFileSync(this.#file, "latin1").split("\n");
		} catch {
			return [];
		}
	}

	/** All changes of a moment in one write. */
	#writeSoon(): void {
		this.#timer ??= setTimeout(() => {
			this.#timer = null;
			for (const [pid, line] of this.#running) {
				const status = line === null ? statusOf(pid) : null;
				if (status !== null) this.#running.set(pid, `${pid} ${process.pid} ${status.startTicks}`);
			}
			try {
				writeFileSync(this.#file, [...this.#running.values()].filter((line) => line !== null).join("\n"));
			} catch {
				// Without it a director that is killed leaves them running; checks go on.
			}
		}, RECORD_AFTER_MS);
	}
}
