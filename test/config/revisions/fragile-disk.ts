/**
 * A disk that loses power. Changes of folders reach the medium in order (as a journal keeps
 * them) but only up to some point behind the last sync; what a file holds that was not synced
 * may be there, missing or torn.
 */
import type { Disk } from "../../../firmware/config/revisions/disk.ts";

export class PowerLoss extends Error {}

type Entry =
	| { readonly kind: "file"; bytes: Uint8Array; synced: Uint8Array | null }
	| { readonly kind: "link"; readonly target: string }
	| { readonly kind: "folder" };
type Tree = Map<string, Entry>;

export class FragileDisk implements Disk {
	#tree: Tree;
	/** The tree after every change since the last sync of a folder, oldest first. */
	#journal: Tree[];
	steps = 0;
	readonly cutAt: number;

	constructor(tree: Tree = new Map([[".", { kind: "folder" }]]), cutAt = Number.POSITIVE_INFINITY) {
		this.#tree = tree;
		this.#journal = [new Map(tree)];
		this.cutAt = cutAt;
	}

	/** The medium after power came back. `random` chooses how much of the unsynced work had reached it. */
	afterPowerLoss(random: () => number, cutAt = Number.POSITIVE_INFINITY): FragileDisk {
		const survived = this.#journal[Math.floor(random() * this.#journal.length)]!;
		const tree: Tree = new Map();
		for (const [path, entry] of survived) {
			if (entry.kind !== "file") tree.set(path, entry);
			else {
				const choice = random();
				const torn = entry.bytes.slice(0, Math.floor(random() * entry.bytes.length));
				const bytes =
					entry.synced === entry.bytes || choice < 0.4
						? entry.bytes
						: choice < 0.7
							? torn
							: new Uint8Array(0);
				tree.set(path, { kind: "file", bytes, synced: bytes });
			}
		}
		return new FragileDisk(tree, cutAt);
	}

	#change(action: (tree: Tree) => void): void {
		if (this.steps++ === this.cutAt) throw new PowerLoss();
		action(this.#tree);
		this.#journal.push(new Map(this.#tree));
	}

	/** What its files hold. */
	get usedBytes(): number {
		return [...this.#tree.values()].reduce(
			(sum, entry) => sum + (entry.kind === "file" ? entry.bytes.length : 0),
			0,
		);
	}

	makeDirectory(path: string): void {
		if (!this.#tree.has(path)) this.#change((tree) => tree.set(path, { kind: "folder" }));
	}
	write(path: string, bytes: Uint8Array): void {
		this.#change((tree) => tree.set(path, { kind: "file", bytes, synced: null }));
	}
	link(target: string, path: string): void {
		this.#change((tree) => tree.set(path, { kind: "link", target }));
	}
	rename(from: string, to: string): void {
		this.#change((tree) => {
			for (const path of [...tree.keys()])
				if (path === from || path.startsWith(`${from}/`)) {
					tree.set(to + path.slice(from.length), tree.get(path)!);
					tree.delete(path);
				}
		});
	}
	remove(path: string): void {
		for (const found of [...this.#tree.keys()])
			if (found === path || found.startsWith(`${path}/`)) this.#change((tree) => tree.delete(found));
	}
	sync(path: string): void {
		if (this.steps++ === this.cutAt) throw new PowerLoss();
		const entry = this.#tree.get(path);
		if (entry?.kind === "file") entry.synced = entry.bytes;
		if (entry?.kind === "folder") this.#journal = [new Map(this.#tree)];
	}
	list(path: string): readonly string[] | null {
		if (this.#tree.get(path)?.kind !== "folder") return null;
		return [...this.#tree.keys()]
			.filter((name) => name.startsWith(`${path}/`))
			.map((name) => name.slice(path.length + 1))
			.filter((name) => !name.includes("/"));
	}
	read(path: string): Uint8Array | null {
		const entry = this.#tree.get(path);
		return entry?.kind === "file" ? entry.bytes : null;
	}
	readLink(path: string): string | null {
		const entry = this.#tree.get(path);
		return entry?.kind === "link" ? entry.target : null;
	}
	exclusively<T>(work: () => T): T {
		return work();
	}
}
