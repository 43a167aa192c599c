/**
 * The shared-memory directory that Varnish's tools read: an index of segments, and in them the counters (VSC)
 * and the log (VSL). Segments are made and filled first and announced then, a line per write(2).
 */
import {
	appendFileSync,
	closeSync,
	ftruncateSync,
	mkdirSync,
	openSync,
	renameSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { CounterGroup } from "./counters.ts";

const PAGE_BYTES = 4096;
/** Head of a counter or description segment: ready, body offset, description id. */
const VSC_HEAD_BYTES = 24;
/** When more segments than this, and than half of those that are left, have been taken back, the index is written anew. */
const WITHDRAWN_LIMIT = 10;

let serial = 0;

export class VsmDirectory {
	readonly path: string;
	readonly #index: string;
	readonly #head: string;
	/** Lines of segments that are no more. */
	#withdrawn = 0;
	readonly #described = new Set<number>();
	#lines = new Map<string, string>();

	/** Makes the directory anew; whatever was in it is gone. */
	constructor(path: string, pid: number, birthSeconds: number) {
		this.path = path;
		this.#index = join(path, "_.index");
		rmSync(path, { recursive: true, force: true });
		mkdirSync(path, { recursive: true, mode: 0o755 });
		this.#head = `# ${pid} ${Math.floor(birthSeconds)}\n`;
		writeFileSync(this.#index, this.#head, { mode: 0o640 });
	}

	/** A new segment, zeroed; not announced yet. */
	create(kind: string, bytes: number): { readonly file: string; readonly map: Uint8Array } {
		const file = `_.${kind}.${(process.pid * 65536 + ++serial).toString(16).padStart(16, "0")}`;
		const path = join(this.path, file);
		const descriptor = openSync(path, "wx+", 0o640);
		ftruncateSync(descriptor, Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES);
		closeSync(descriptor);
		return { file, map: Bun.mmap(path, { shared: true }) };
	}

	announce(file: string, bytes: number, kind: string, ident: string): void {
		const line = `${file} 0 ${bytes} ${kind} ${ident}`;
		this.#lines.set(file, line);
		appendFileSync(this.#index, `+ ${line}\n`);
	}

	/** Takes a segment back. */
	withdraw(file: string): void {
		const line = this.#lines.get(file);
		if (line === undefined) return;
		this.#lines.delete(file);
		if (++this.#withdrawn > Math.max(WITHDRAWN_LIMIT, this.#lines.size / 2)) this.#rewrite();
		else appendFileSync(this.#index, `- ${line}\n`);
		rmSync(join(this.path, file), { force: true });
	}

	/** Readers find another file under the name, and compare what it says with what they have. */
	#rewrite(): void {
		const fresh = `${this.#index}.new`;
		const lines = [...this.#lines.values()].map((line) => `+ ${line}\n`);
		writeFileSync(fresh, this.#head + lines.join(""), { mode: 0o640 });
		renameSync(fresh, this.#index);
		this.#withdrawn = 0;
	}

	/** A text segment, such as an argument of the daemon. */
	addText(kind: string, ident: string, text: string): void {
		const bytes = Math.ceil((Buffer.byteLength(text) + 1) / 8) * 8;
		const { file, map } = this.create(kind, bytes);
		map.set(Buffer.from(text));
		this.announce(file, bytes, kind, ident);
	}

	/** Counters of `group` under the name `ident` ("MAIN", "VBE.boot.default"). */
	addCounters(
		group: CounterGroup,
		ident: string,
	): { readonly values: BigUint64Array; readonly file: string } {
		const id = descriptionId(group);
		if (!this.#described.has(id)) {
			this.#described.add(id);
			const text = Buffer.from(`${describe(group)}\0`);
			const bytes = Math.ceil((VSC_HEAD_BYTES + text.length) / 8) * 8;
			const { file, map } = this.create("StatDoc", bytes);
			map.set(text, VSC_HEAD_BYTES);
			setHead(map, id);
			this.announce(file, bytes, "StatDoc", id.toString(16));
		}
		const bytes = VSC_HEAD_BYTES + group.counters.length * 8;
		const { file, map } = this.create("Stat", bytes);
		setHead(map, id);
		this.announce(file, bytes, "Stat", ident);
		return {
			values: new BigUint64Array(map.buffer, map.byteOffset + VSC_HEAD_BYTES, group.counters.length),
			file,
		};
	}

	/** Removes the index first: readers take that as the end of the process. */
	remove(): void {
		rmSync(this.#index, { force: true });
		rmSync(this.path, { recursive: true, force: true });
	}
}

function setHead(map: Uint8Array, id: number): void {
	const view = new DataView(map.buffer, map.byteOffset, VSC_HEAD_BYTES);
	view.setBigUint64(8, BigInt(VSC_HEAD_BYTES), true);
	view.setBigUint64(16, BigInt(id), true);
	view.setInt32(0, 1, true);
}

/** A number for the description of a group, the same in every process. */
function descriptionId(group: CounterGroup): number {
	return Bun.hash.crc32(describe(group));
}

function describe(group: CounterGroup): string {
	const elements: Record<string, unknown> = {};
	group.counters.forEach((counter, index) => {
		elements[counter.name] = {
			type: counter.kind,
			ctype: "uint64_t",
			level: counter.level,
			oneliner: counter.about,
			format: counter.format,
			index: index * 8,
			name: counter.name,
			docs: counter.about,
		};
	});
	return JSON.stringify({
		version: "1",
		name: group.name,
		oneliner: group.about,
		order: group.order,
		docs: "",
		elements: group.counters.length,
		elem: elements,
	});
}
