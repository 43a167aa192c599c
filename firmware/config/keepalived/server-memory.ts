/**
 * What the reading before found, so that a reload reads only the virtual servers that changed. Pure but for
 * the state it is.
 *
 * A block of the same bytes, lexed from the same state, gives the same statements; and these give the same
 * virtual server as long as nothing outside the block has a say in it. So only blocks are remembered that lie
 * as written (no definitions, conditions, sequences or includes), that nothing was found wrong with, and that
 * refer to nothing by name; and all of them are forgotten when the global settings or the interfaces differ.
 */
import type { CheckConfig, VirtualServerConfig } from "../model.ts";
import type { LineReader, PlainExtent, PlainStart } from "./preprocessor.ts";
import type { Statement } from "./statement.ts";

interface Block {
	readonly words: string;
	readonly file: number;
	readonly column: number;
	readonly hash: number | bigint;
	readonly extent: PlainExtent;
	/** What it became; null before that, and where it cannot be kept. */
	server: VirtualServerConfig | null;
}

/** One that was read, with the text that it lies in: what is remembered of it is made later. */
interface ReadBlock {
	readonly words: readonly string[];
	readonly start: PlainStart;
	readonly extent: PlainExtent;
	server: VirtualServerConfig | null;
}

export class ServerMemory {
	/** By the words behind `virtual_server`; the same words may stand for TCP and for UDP. */
	readonly #servers = new Map<string, Block[]>();
	/** Of the last reading, what is to be added to these. */
	#undigested: (Block | ReadBlock)[] = [];
	/** What else had a say in all of them. */
	#surroundings: string | null = null;
	/** Of the reading at hand: blocks that were recognised, and plain ones that were read. */
	readonly #blocks = new Map<Statement, Block | ReadBlock>();
	#hasRecalled = false;

	/** Whether it knows nothing that could be recalled. */
	get isEmpty(): boolean {
		return this.#servers.size === 0 && this.#undigested.length === 0;
	}

	/** Whether the block that begins at the current line is known; then it is passed over. */
	recall(statement: Statement, reader: LineReader, start: PlainStart): boolean {
		this.digest();
		const candidates = this.#servers.get(statement.words.join(" "));
		if (candidates === undefined) return false;
		for (const [index, candidate] of candidates.entries()) {
			if (candidate.column !== start.column || candidate.file !== start.file) continue;
			const bytes = reader.plainBytes(start, candidate.extent);
			if (bytes === null || Bun.hash(bytes) !== candidate.hash) continue;
			reader.skipPlain(start, candidate.extent);
			// A second block like it is a server of its own.
			candidates.splice(index, 1);
			this.#blocks.set(statement, candidate);
			this.#hasRecalled = true;
			return true;
		}
		return false;
	}

	/** A block was read that began at `start`; it had no findings. */
	read(statement: Statement, reader: LineReader, start: PlainStart): void {
		const extent = reader.plainExtent(start);
		if (extent === null) return;
		this.#blocks.set(statement, { words: statement.words, start, extent, server: null });
	}

	/** Whether what was recalled still holds with these global settings. If not: forget, and read again. */
	holdsIn(surroundings: string): boolean {
		const same = this.#surroundings === surroundings;
		this.#surroundings = surroundings;
		return same || !this.#hasRecalled;
	}

	/** The server of a recognised block, with the place where it stands now; null for one that was read. */
	recalled(statement: Statement, file: string, line: number): VirtualServerConfig | null {
		const server = this.#blocks.get(statement)?.server ?? null;
		if (server !== null) move(server, file, line);
		return server;
	}

	/** What a block that was read became, without findings. */
	built(statement: Statement, server: VirtualServerConfig): void {
		const block = this.#blocks.get(statement);
		if (block !== undefined && standsAlone(server)) block.server = server;
	}

	/** The reading is over: what it found is what is remembered. */
	settle(): void {
		this.#servers.clear();
		this.#undigested = [];
		for (const block of this.#blocks.values()) if (block.server !== null) this.#undigested.push(block);
		this.#blocks.clear();
		this.#hasRecalled = false;
	}

	/** Lets the texts of the last reading go. The next one would do it; whoever has time does it before. */
	digest(): void {
		for (const block of this.#undigested) {
			const digested = "start" in block ? digestOf(block) : block;
			const same = this.#servers.get(digested.words);
			if (same === undefined) this.#servers.set(digested.words, [digested]);
			else same.push(digested);
		}
		this.#undigested = [];
	}

	forget(): void {
		this.#servers.clear();
		this.#undigested = [];
		this.#blocks.clear();
		this.#hasRecalled = false;
	}
}

function digestOf({ words, start, extent, server }: ReadBlock): Block {
	const { lexer, offset, file, column } = start;
	const hash = Bun.hash(lexer.codes.subarray(offset, offset + extent.bytes));
	return { words: words.join(" "), file, column, hash, extent, server };
}

/** Scripts are looked for on the disk; groups, tracked files and BFD sessions are defined elsewhere. */
function standsAlone({ name, quorumUp, quorumDown, realServers }: VirtualServerConfig): boolean {
	if (name.kind === "group" || quorumUp !== null || quorumDown !== null) return false;
	for (const { rules, checks } of realServers) {
		if (rules.notifyUp !== null || rules.notifyDown !== null) return false;
		if (checks.length > 0 && checks.some(dependsOnOthers)) return false;
	}
	return true;
}

/** A bound one counts among the file's interfaces. */
const dependsOnOthers = (check: CheckConfig): boolean =>
	outsideKinds.has(check.kind) || ("target" in check && check.target.bindInterface !== null);

const outsideKinds: ReadonlySet<CheckConfig["kind"]> = new Set(["MISC_CHECK", "FILE_CHECK", "BFD_CHECK"]);

/** Nobody but messages asks for its place, so the record is kept and only that moves. */
function move(
	{ location }: { readonly location: { file: string; line: number } },
	file: string,
	line: number,
): void {
	location.file = file;
	location.line = line;
}
