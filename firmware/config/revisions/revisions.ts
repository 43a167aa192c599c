/**
 * Configuration revisions: every state that the box ever ran, and the one it runs.
 *
 *     revisions/N/…            the files of revision N, and revision.json about them
 *     current -> revisions/N   what the services read
 *     rescue  -> revisions/N   what the operator chose to fall back on
 *     pending.json             a commit that waits for its confirmation
 *     reserve                  room on the disk that only a way back may use
 *
 * A revision's folder appears whole by one rename and is never written again, and it goes the same way;
 * `current` changes by one rename. So power loss at any moment leaves the old revision or the new one.
 * A commit that was not confirmed before a restart is taken back at that restart.
 * Whoever changes something has the store to himself meanwhile; reading needs no lock.
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import type { Disk } from "./disk.ts";
import { diskTrouble, isDiskFull } from "./disk-trouble.ts";

/** Older ones are dropped, except the current, the rescue and the pending commit's predecessor. */
export const HISTORY_LIMIT = 100;
export const FILES_LIMIT = 1000;
export const TOTAL_LIMIT_BYTES = 64 * 1024 * 1024;
/** The reserve holds a revision of this size again, with its description and the file system's rounding up. */
const reserveBytes = (revisionBytes: number) => 2 * revisionBytes + 64 * 1024;
/** Raised when the meaning of the files changes; an older firmware refuses a newer schema. */
export const SCHEMA_VERSION = 1;

const infoSchema = z.object({
	number: z.number().int().positive(),
	schemaVersion: z.number().int(),
	/** Unix milliseconds. */
	atMs: z.number(),
	who: z.string(),
	/** Where from, such as "console", "ssh 10.0.0.7". */
	from: z.string(),
	why: z.string(),
	parent: z.number().int().nullable(),
	files: z.record(z.string(), z.string().regex(/^[0-9a-f]{64}$/)),
});
/** What is known of one revision; `files` maps names to SHA-256. */
export type RevisionInfo = z.infer<typeof infoSchema>;

const pendingSchema = z.object({
	revision: z.number().int(),
	previous: z.number().int(),
	/** Unix milliseconds. */
	deadlineMs: z.number(),
	/** The same by the box's uptime, which no set clock moves (deadline.ts). */
	deadlineUptimeMs: z.number().optional(),
});
export type PendingCommit = z.infer<typeof pendingSchema>;

export type Files = ReadonlyMap<string, Uint8Array>;

/** The operator's mistake or a damaged store; the message says what to do. */
export class RevisionError extends Error {}

export interface CommitRequest {
	readonly files: Files;
	readonly who: string;
	readonly from: string;
	readonly why: string;
	readonly nowMs: number;
	/** Since the box started. */
	readonly uptimeMs?: number;
	/** Taken back by itself unless confirmed within this time; null is final at once. */
	readonly confirmWithinMs: number | null;
	/** The revision that the files were made from: when another one is current meanwhile, they are refused. */
	readonly madeFrom?: number | null;
}

/** Who made a revision, where, and why, as people read it. */
export function origin({ who, from, why }: Pick<RevisionInfo, "who" | "from" | "why">): string {
	return `${who}, ${from}${why === "" ? "" : `: ${why}`}`;
}

export class Revisions {
	readonly #disk: Disk;

	constructor(disk: Disk) {
		this.#disk = disk;
	}

	/**
	 * Puts the store in order after a start: half-written folders go, an unconfirmed commit is
	 * taken back. Returns the revision that was taken back, or null.
	 */
	recover(): PendingCommit | null {
		return this.#goBack(() => {
			this.#sweep();
			const pending = this.pending();
			if (pending !== null) this.#point("current", pending.previous);
			this.#dropPending();
			return pending;
		});
	}

	/** The running revision's number; null on a box that never had one. */
	currentNumber(): number | null {
		return this.#target("current");
	}

	/** Which commit waits, and whose it is: it may be somebody else's work. */
	waitingText({ revision }: PendingCommit): string {
		const info = this.info(revision);
		return `revision ${revision} still waits for its confirmation${info === null ? "" : ` (${origin(info)})`}`;
	}

	rescueNumber(): number | null {
		return this.#target("rescue");
	}

	/** Every revision, newest first. A folder whose description cannot be read is left out. */
	history(): readonly RevisionInfo[] {
		return this.#numbers()
			.map((number) => this.info(number))
			.filter((info) => info !== null)
			.reverse();
	}

	info(number: number): RevisionInfo | null {
		return this.#json(`revisions/${number}/revision.json`, infoSchema);
	}

	/** The files of a revision. Throws a RevisionError when it is missing, damaged, or of a newer schema. */
	files(number: number): Files {
		const info = this.info(number);
		if (info === null) throw new RevisionError(`there is no revision ${number}`);
		if (info.schemaVersion > SCHEMA_VERSION)
			throw new RevisionError(
				`revision ${number} was written by a newer firmware (schema ${info.schemaVersion}, here ${SCHEMA_VERSION})`,
			);
		return new Map(
			Object.entries(info.files).map(([name, sha256]) => {
				const bytes = this.#disk.read(`revisions/${number}/${name}`);
				if (bytes === null || hash(bytes) !== sha256)
					throw new RevisionError(`revision ${number} is damaged: ${name} is not what was committed`);
				return [name, bytes];
			}),
		);
	}

	/** The commit in force that waits for its confirmation. One that never came into force, or went, waits for nothing. */
	pending(): PendingCommit | null {
		const pending = this.#json("pending.json", pendingSchema);
		return pending !== null && pending.revision === this.currentNumber() ? pending : null;
	}

	/**
	 * Writes a new revision and makes it current. The caller has checked the files. `afterwards` is done before anybody
	 * else's turn.
	 */
	commit(request: CommitRequest, afterwards: () => void = () => {}): RevisionInfo {
		return this.#change(() => {
			const info = this.#commit(request);
			afterwards();
			return info;
		});
	}

	/** A look that meets no change half made. */
	look<T>(read: () => T): T {
		return this.#change(read);
	}

	#commit(request: CommitRequest): RevisionInfo {
		const waiting = this.pending();
		if (waiting !== null)
			throw new RevisionError(`${this.waitingText(waiting)}: confirm it or roll it back first`);
		checkFiles(request.files);
		const parent = this.currentNumber();
		if (request.madeFrom !== undefined && request.madeFrom !== parent)
			throw new RevisionError(
				`revision ${parent} came into force meanwhile: nothing was changed, look at it and try again`,
			);
		this.#sweep();
		const number = (this.#numbers().at(-1) ?? 0) + 1;
		const info: RevisionInfo = {
			number,
			schemaVersion: SCHEMA_VERSION,
			atMs: request.nowMs,
			who: request.who,
			from: request.from,
			why: request.why,
			parent,
			files: Object.fromEntries([...request.files].map(([name, bytes]) => [name, hash(bytes)])),
		};
		this.#writeFolder(info, request.files);
		if (request.confirmWithinMs !== null && parent !== null)
			this.#writePending({
				revision: number,
				previous: parent,
				deadlineMs: request.nowMs + request.confirmWithinMs,
				...(request.uptimeMs === undefined
					? {}
					: { deadlineUptimeMs: request.uptimeMs + request.confirmWithinMs }),
			});
		this.#point("current", number);
		this.#dropOldest();
		this.#keepReserve(reserveBytes(totalBytes(request.files)));
		return info;
	}

	/** Makes the pending commit final. Returns its number. */
	confirm(): number {
		return this.#change(() => {
			const pending = this.pending();
			if (pending === null) throw new RevisionError("no commit waits for a confirmation");
			this.#dropPending();
			return pending.revision;
		});
	}

	/** Takes the pending commit back when its time is over. Returns it, or null when there was nothing to do. */
	expire(nowMs: number): PendingCommit | null {
		return this.#goBack(() => {
			const pending = this.pending();
			if (pending === null || nowMs < pending.deadlineMs) return null;
			this.#point("current", pending.previous);
			this.#dropPending();
			return pending;
		});
	}

	/** Commits an old revision's files again, as a new revision; a waiting commit is taken back first. */
	rollback(number: number, request: Omit<CommitRequest, "files">): RevisionInfo {
		return this.#goBack(() => {
			const files = this.files(number);
			const pending = this.pending();
			if (pending !== null) {
				this.#point("current", pending.previous);
				this.#dropPending();
			}
			const why = `rollback to ${number}${request.why === "" ? "" : `: ${request.why}`}`;
			return this.#commit({ ...request, files, why });
		});
	}

	/** Chooses what `rollback rescue` goes back to. */
	setRescue(number: number): void {
		this.#change(() => {
			this.files(number);
			this.#point("rescue", number);
		});
	}

	/** Whatever changes the store: alone, and with words for what the disk refuses. */
	#change<T>(work: () => T): T {
		try {
			return this.#disk.exclusively(work);
		} catch (error) {
			const trouble = diskTrouble(error);
			throw trouble === null ? error : new RevisionError(trouble);
		}
	}

	/** A full disk refuses what is new, never a way back: the reserve makes room for it. `work` can be begun again. */
	#goBack<T>(work: () => T): T {
		return this.#change(() => {
			try {
				return work();
			} catch (error) {
				if (!isDiskFull(error)) throw error;
				this.#disk.remove("reserve");
				return work();
			}
		});
	}

	/** A disk without room for it works without it. */
	#keepReserve(bytes: number): void {
		if ((this.#disk.read("reserve")?.length ?? 0) >= bytes) return;
		try {
			this.#disk.write("reserve", new Uint8Array(bytes));
		} catch (error) {
			if (!isDiskFull(error)) throw error;
			this.#disk.remove("reserve");
		}
	}

	/** What somebody began and did not end: he is not there any more, since he had the store to himself. */
	#sweep(): void {
		this.#disk.makeDirectory("revisions");
		for (const name of this.#disk.list("revisions") ?? [])
			if (!/^\d+$/.test(name)) this.#disk.remove(`revisions/${name}`);
		for (const name of ["current.new", "rescue.new", "pending.json.new", "candidate.new"])
			this.#disk.remove(name);
	}

	#writeFolder(info: RevisionInfo, files: Files): void {
		const folder = `revisions/${info.number}.new`;
		const all: [string, Uint8Array][] = [...files, ["revision.json", json(info)]];
		try {
			this.#disk.makeDirectory(folder);
			for (const [name, bytes] of all) {
				this.#disk.write(`${folder}/${name}`, bytes);
				this.#disk.sync(`${folder}/${name}`);
			}
			this.#disk.sync(folder);
		} catch (error) {
			// A full disk is to have its room back.
			if (diskTrouble(error) !== null) this.#disk.remove(folder);
			throw error;
		}
		this.#disk.rename(folder, `revisions/${info.number}`);
		this.#disk.sync("revisions");
	}

	#writePending(pending: PendingCommit): void {
		this.#disk.write("pending.json.new", json(pending));
		this.#disk.sync("pending.json.new");
		this.#disk.rename("pending.json.new", "pending.json");
		this.#disk.sync(".");
	}

	#dropPending(): void {
		this.#disk.remove("pending.json");
		this.#disk.sync(".");
	}

	#point(name: "current" | "rescue", number: number): void {
		this.#disk.remove(`${name}.new`);
		this.#disk.link(`revisions/${number}`, `${name}.new`);
		this.#disk.rename(`${name}.new`, name);
		this.#disk.sync(".");
	}

	#target(name: "current" | "rescue"): number | null {
		const match = /^revisions\/(\d+)$/.exec(this.#disk.readLink(name) ?? "");
		return match === null ? null : Number(match[1]);
	}

	#numbers(): number[] {
		return (this.#disk.list("revisions") ?? [])
			.filter((name) => /^\d+$/.test(name))
			.map(Number)
			.sort((a, b) => a - b);
	}

	#dropOldest(): void {
		const kept = new Set([this.currentNumber(), this.rescueNumber(), this.pending()?.previous]);
		const numbers = this.#numbers();
		for (const number of numbers.slice(0, Math.max(0, numbers.length - HISTORY_LIMIT)))
			if (!kept.has(number)) {
				// Whole or not at all: a removal takes many steps.
				this.#disk.rename(`revisions/${number}`, `revisions/${number}.old`);
				this.#disk.remove(`revisions/${number}.old`);
			}
	}

	#json<T>(path: string, schema: z.ZodType<T>): T | null {
		const bytes = this.#disk.read(path);
		if (bytes === null) return null;
		try {
			return schema.parse(JSON.parse(new TextDecoder().decode(bytes)));
		} catch {
			return null;
		}
	}
}

/** Throws a RevisionError when these cannot be the files of a revision. */
export function checkFiles(files: Files): void {
	if (files.size === 0 || files.size > FILES_LIMIT)
		throw new RevisionError(`a revision holds 1 to ${FILES_LIMIT} files, not ${files.size}`);
	for (const name of files.keys())
		if (!/^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/.test(name) || name === "revision.json")
			throw new RevisionError(`"${name}" cannot be the name of a configuration file`);
	const total = totalBytes(files);
	if (total > TOTAL_LIMIT_BYTES)
		throw new RevisionError(`the files' ${total} bytes are over the limit of ${TOTAL_LIMIT_BYTES}`);
}

function totalBytes(files: Files): number {
	return [...files.values()].reduce((sum, bytes) => sum + bytes.length, 0);
}

function hash(bytes: Uint8Array): string {
	return createHash("sha256").update(bytes).digest("hex");
}

function json(value: unknown): Uint8Array {
	return new TextEncoder().encode(`${JSON.stringify(value, null, "\t")}\n`);
}
