/** The manager's list of bans, and with a persistent store the file that it is read from at the next start. */
import { type Ban, BanList, banWords, type ParsedBan, parseBan } from "../store/bans.ts";
import { BanFile, type SavedBan } from "./ban-file.ts";

/** Between looks for bans that nothing refers to. */
const LOOK_MS = 500;

export class BanKeeper {
	readonly list = new BanList();
	readonly #dropsDuplicates: () => boolean;
	#lookedAtMs = 0;
	#countedAtMs = 0;
	/** Of a persistent store. */
	#file: BanFile | undefined;

	constructor(dropsDuplicates: () => boolean) {
		this.#dropsDuplicates = dropsDuplicates;
	}

	add(number: number, addedAt: number, { tests, text }: ParsedBan): Ban {
		return this.list.add(number, addedAt, tests, text, this.#dropsDuplicates());
	}

	/** Writes it down, once everybody knows it. */
	save(ban: Ban): void {
		if (this.#file?.add(ban, this.list.all.length)) this.#file.rewrite(this.#lasting());
	}

	/** Duplicates are completed long before they are old enough for the lurker, and without one too. */
	dropUnreferenced(nowMs: number, references: () => readonly number[]): void {
		const { list } = this;
		if (nowMs < this.#lookedAtMs + LOOK_MS) return;
		this.#lookedAtMs = nowMs;
		if (list.all.length < 2 || !list.all[0]!.completed) return;
		for (const count of references()) {
			if (count > 0 || list.all.length < 2 || !list.all[0]!.completed) break;
			list.dropOldest();
		}
	}

	/**
	 * Without a lurker: the newest ban that every stored object has been tested against by requests, of those that are
	 * `ageSeconds` old; undefined when that is not known to have moved.
	 */
	reached(nowMs: number, nowSeconds: number, ageSeconds: number, references: () => readonly number[]) {
		const { all } = this.list;
		if (nowMs < this.#countedAtMs + LOOK_MS || all.length < 2) return undefined;
		this.#countedAtMs = nowMs;
		if (nowSeconds - all[1]!.addedAt < ageSeconds) return undefined;
		const counts = references();
		let at = 0;
		while (at + 1 < all.length && counts[at] === 0 && nowSeconds - all[at + 1]!.addedAt >= ageSeconds) at++;
		return at === 0 ? undefined : all[at]!.number;
	}

	/** `saved`, `noted`: the bans of before and the numbers that objects refer to; none when the store begins empty. */
	open(path: string, saved: readonly SavedBan[], noted: Iterable<number>): void {
		const file = new BanFile(path);
		this.#file = file;
		for (const { number, addedAt, text } of saved) {
			const parsed = parseBan(banWords(text));
			if (parsed.ok) this.add(number, addedAt, parsed);
		}
		// A ban may have been noted on objects and never have been written down: its number must not come again.
		for (const number of noted) this.list.setNewest(number);
		file.rewrite(this.#lasting());
	}

	/** Those that the next start needs. The newest always: its number tells what objects have been tested against. */
	#lasting(): Ban[] {
		const { all, newest } = this.list;
		return all.filter(({ number, completed }) => number > 0 && (!completed || number === newest));
	}
}
