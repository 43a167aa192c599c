/** Keeps the kernel's packet filter as the configuration wants it, by nft(8). */
import type { PacketFilterConfig } from "../config/model.ts";
import { applyFilter } from "../kernel/nft.ts";
import { type Dropped, filterText } from "./packet-filter.ts";

/** Knows what it has set, so that nothing is run without need. */
export class FilterKeeper {
	readonly #onError: (text: string) => void;
	#forgotten = false;
	#applied: { readonly settings: PacketFilterConfig; readonly text: string } | null = null;

	constructor(onError: (text: string) => void) {
		this.#onError = onError;
	}

	apply(settings: PacketFilterConfig, dropped: readonly Dropped[]): void {
		const text = filterText(settings, dropped);
		if (this.#applied === null && dropped.length === 0) {
			this.#forget(settings);
			return;
		}
		if (this.#applied?.text === text) return;
		if (this.#applied !== null && this.#applied.settings.table !== settings.table) this.clear();
		this.#forgotten = true;
		if (this.#run(text)) this.#applied = dropped.length === 0 ? null : { settings, text };
	}

	/** What an earlier life left behind goes, once, without anybody waiting for it. */
	#forget({ table }: PacketFilterConfig): void {
		if (this.#forgotten) return;
		this.#forgotten = true;
		const lines = ["ip", "ip6"].map(
			(family) => `table ${family} ${table}\ndelete table ${family} ${table}\n`,
		);
		try {
			Bun.spawn(["nft", "-f", "-"], {
				stdin: Buffer.from(lines.join("")),
				stdout: "ignore",
				stderr: "ignore",
			}).unref();
		} catch {
			// Without nft there is nothing left behind.
		}
	}

	/** Nothing of ours stays. */
	clear(): void {
		if (this.#applied === null) return;
		this.#run(filterText(this.#applied.settings, []));
		this.#applied = null;
	}

	#run(text: string): boolean {
		const trouble = applyFilter(text);
		if (trouble !== null) this.#onError(`addresses that must not accept packets are open: ${trouble}`);
		return trouble === null;
	}
}
