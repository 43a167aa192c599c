/**
 * An executable whose start reads little. Of Bun's 111 MB a start touches 15, strewn over 53 MB of the blocks that the
 * root file system unpacks whole. Here those pages lie side by side at the file's end, with holes where they were, and
 * code that runs before the program's own maps them to their places (remap.c).
 *
 * ELF-64 as in elf(5), at fixed addresses (ET_EXEC).
 */
import { BLOCK_BYTES } from "../squashfs.ts";
import { PAGE_BYTES, type PageRun } from "./page-runs.ts";

const ELF_MAGIC = 0x7f454c46;
const ET_EXEC = 2;
const PT_LOAD = 1;
const PT_NOTE = 4;
const PF_X = 1;
const PF_W = 2;
const PF_R = 4;
/** Where the file's head has the entry's address. */
const ENTRY_AT = 24;
const PROGRAM_HEADER_BYTES = 56;
const SECTION_HEADER_BYTES = 64;
/** Behind the note's head and its name, "GNU". */
const BUILD_ID_AT = 16;
/** `struct table` and `struct run` of remap.c. */
const TABLE_HEAD_BYTES = 32;
const TABLE_ROW_BYTES = 12;
/** The program's code and constants: nothing in them is used before its entry runs. The loader's tables lie elsewhere. */
const GATHERED_SECTIONS: ReadonlySet<string> = new Set([".rodata", ".bun_builtins", ".text"]);

interface Segment {
	readonly headerAt: number;
	readonly type: number;
	readonly flags: number;
	readonly offset: number;
	readonly address: number;
	readonly bytes: number;
}

/**
 * `executable` with `runs` gathered, as far as they are whole pages of its code and constants; `code` is remap.c,
 * compiled. Throws when `executable` is none that this can be done to.
 */
export function gathered(executable: Uint8Array, runs: readonly PageRun[], code: Uint8Array): Buffer {
	const view = new DataView(executable.buffer, executable.byteOffset, executable.byteLength);
	if (view.getUint32(0) !== ELF_MAGIC || view.getUint16(16, true) !== ET_EXEC)
		throw new Error("not an ELF executable at fixed addresses");
	const segments = programHeaders(view);
	const loads = segments.filter(({ type }) => type === PT_LOAD);
	const note = segments.find(({ type }) => type === PT_NOTE);
	if (note === undefined || segments.at(-1) !== note) throw new Error("its last program header is no note's");
	const moved = placesOf(view, loads, runs);

	const codeAt = roundUp(executable.length, BLOCK_BYTES);
	const tableAt = codeAt + code.length;
	const codeBytes = code.length + TABLE_HEAD_BYTES + TABLE_ROW_BYTES * moved.length;
	const movedAt = roundUp(codeAt + codeBytes, PAGE_BYTES);
	const movedPages = moved.reduce((sum, { pages }) => sum + pages, 0);
	const out = Buffer.alloc(movedAt + movedPages * PAGE_BYTES);
	out.set(executable);
	out.set(code, codeAt);
	const words = new DataView(out.buffer, out.byteOffset, out.byteLength);
	words.setBigUint64(tableAt, view.getBigUint64(ENTRY_AT, true), true);
	const executed = extentOf(moved.filter(({ isCode }) => isCode));
	const head = [executed.firstPage * PAGE_BYTES, executed.pages * PAGE_BYTES, moved.length];
	for (const [word, value] of head.entries()) words.setBigUint64(tableAt + 8 + 8 * word, BigInt(value), true);
	let filePage = movedAt / PAGE_BYTES;
	for (const [index, { firstPage, pages, fileOffset }] of moved.entries()) {
		const end = fileOffset + pages * PAGE_BYTES;
		out.set(executable.subarray(fileOffset, end), filePage * PAGE_BYTES);
		out.fill(0, fileOffset, end);
		const at = tableAt + TABLE_HEAD_BYTES + TABLE_ROW_BYTES * index;
		for (const [word, value] of [firstPage, pages, filePage].entries())
			words.setUint32(at + 4 * word, value, true);
		filePage += pages;
	}

	// The note's header becomes that of the code and its table, behind all others in the address space.
	const codeAddress = roundUp(Math.max(...loads.map(({ address, bytes }) => address + bytes)), PAGE_BYTES);
	words.setUint32(note.headerAt, PT_LOAD, true);
	words.setUint32(note.headerAt + 4, PF_R | PF_X, true);
	for (const [word, value] of [codeAt, codeAddress, codeAddress, codeBytes, codeBytes, PAGE_BYTES].entries())
		words.setBigUint64(note.headerAt + 8 + 8 * word, BigInt(value), true);
	words.setBigUint64(ENTRY_AT, BigInt(codeAddress), true);
	return out;
}

function programHeaders(view: DataView): Segment[] {
	const at = Number(view.getBigUint64(32, true));
	return Array.from({ length: view.getUint16(56, true) }, (_, index) => {
		const headerAt = at + index * PROGRAM_HEADER_BYTES;
		return {
			headerAt,
			type: view.getUint32(headerAt, true),
			flags: view.getUint32(headerAt + 4, true),
			offset: Number(view.getBigUint64(headerAt + 8, true)),
			address: Number(view.getBigUint64(headerAt + 16, true)),
			bytes: Number(view.getBigUint64(headerAt + 40, true)),
		};
	});
}

/** Pages, where they lie in the file, and whether they are executed. */
interface Place extends PageRun {
	readonly fileOffset: number;
	readonly isCode: boolean;
}

interface Section {
	readonly name: string;
	readonly address: number;
	readonly offset: number;
	readonly bytes: number;
}

function sectionsOf(view: DataView): Section[] {
	const at = Number(view.getBigUint64(40, true));
	const header = (index: number) => ({
		nameAt: view.getUint32(at + index * SECTION_HEADER_BYTES, true),
		address: Number(view.getBigUint64(at + index * SECTION_HEADER_BYTES + 16, true)),
		offset: Number(view.getBigUint64(at + index * SECTION_HEADER_BYTES + 24, true)),
		bytes: Number(view.getBigUint64(at + index * SECTION_HEADER_BYTES + 32, true)),
	});
	const names = header(view.getUint16(62, true)).offset;
	return Array.from({ length: view.getUint16(60, true) }, (_, index) => {
		const { nameAt, ...rest } = header(index);
		return { name: textAt(view, names + nameAt), ...rest };
	});
}

/** The linker's build identifier, in hexadecimal; empty when there is none. */
export function buildIdOf(executable: Uint8Array): string {
	const view = new DataView(executable.buffer, executable.byteOffset, executable.byteLength);
	const note = sectionsOf(view).find(({ name }) => name === ".note.gnu.build-id");
	return note === undefined
		? ""
		: executable.subarray(note.offset + BUILD_ID_AT, note.offset + note.bytes).toHex();
}

/** The parts of `runs` that `gathered` would move. */
export function gatherable(executable: Uint8Array, runs: readonly PageRun[]): PageRun[] {
	const view = new DataView(executable.buffer, executable.byteOffset, executable.byteLength);
	const loads = programHeaders(view).filter(({ type }) => type === PT_LOAD);
	return placesOf(view, loads, runs).map(({ firstPage, pages }) => ({ firstPage, pages }));
}

function placesOf(view: DataView, loads: readonly Segment[], runs: readonly PageRun[]): Place[] {
	const places = sectionPlaces(view, loads);
	return runs.flatMap((run) => places.flatMap((place) => within(run, place)));
}

/** The whole pages of the sections that may be gathered. */
function sectionPlaces(view: DataView, loads: readonly Segment[]): Place[] {
	return sectionsOf(view)
		.filter(({ name }) => GATHERED_SECTIONS.has(name))
		.map(({ name, address, bytes }) => {
			const load = loads.find((one) => one.address <= address && address + bytes <= one.address + one.bytes);
			if (load === undefined || load.flags & PF_W) throw new Error(`${name} lies in no read-only segment`);
			const firstPage = Math.ceil(address / PAGE_BYTES);
			return {
				firstPage,
				pages: Math.floor((address + bytes) / PAGE_BYTES) - firstPage,
				fileOffset: firstPage * PAGE_BYTES - load.address + load.offset,
				isCode: (load.flags & PF_X) !== 0,
			};
		});
}

/** From the first of `runs`, which ascend, to the end of the last; nothing of none. */
function extentOf(runs: readonly PageRun[]): PageRun {
	const first = runs[0];
	const last = runs.at(-1);
	if (first === undefined || last === undefined) return { firstPage: 0, pages: 0 };
	return { firstPage: first.firstPage, pages: last.firstPage + last.pages - first.firstPage };
}

/** The part of `run` that lies in `place`, if any. */
function within(run: PageRun, place: Place): Place[] {
	const firstPage = Math.max(run.firstPage, place.firstPage);
	const pages = Math.min(run.firstPage + run.pages, place.firstPage + place.pages) - firstPage;
	if (pages <= 0) return [];
	return [
		{ ...place, firstPage, pages, fileOffset: place.fileOffset + (firstPage - place.firstPage) * PAGE_BYTES },
	];
}

function textAt(view: DataView, at: number): string {
	let text = "";
	for (let next = at; view.getUint8(next) !== 0; next++) text += String.fromCharCode(view.getUint8(next));
	return text;
}

const roundUp = (value: number, to: number) => Math.ceil(value / to) * to;
