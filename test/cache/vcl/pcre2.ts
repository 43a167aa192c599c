/** PCRE2 itself, the library that varnishd links, as an oracle of regular expressions. */
import { CString, dlopen, type Pointer, ptr, read } from "bun:ffi";

const library = dlopen("libpcre2-8.so.0", {
	pcre2_compile_8: { args: ["ptr", "u64", "u32", "ptr", "ptr", "ptr"], returns: "ptr" },
	pcre2_code_free_8: { args: ["ptr"], returns: "void" },
	pcre2_match_data_create_from_pattern_8: { args: ["ptr", "ptr"], returns: "ptr" },
	pcre2_match_data_free_8: { args: ["ptr"], returns: "void" },
	pcre2_match_8: { args: ["ptr", "ptr", "u64", "u64", "u32", "ptr", "ptr"], returns: "i32" },
	pcre2_get_ovector_pointer_8: { args: ["ptr"], returns: "ptr" },
	pcre2_get_ovector_count_8: { args: ["ptr"], returns: "u32" },
	pcre2_get_error_message_8: { args: ["i32", "ptr", "u64"], returns: "i32" },
});
const pcre2 = library.symbols;

const NO_MATCH = -1;
const NOT_EMPTY = 4;
const UNSET = 0xffff_ffff_ffff_ffffn;
const MESSAGE_BYTES = 256;

/** [begin, end) of the match and of each group; null where a group took no part. */
export type Spans = readonly (readonly [number, number] | null)[];

export type Pcre2Result =
	| { readonly ok: true; readonly code: Pcre2Code }
	| { readonly ok: false; readonly error: string; readonly offset: number };

/** Text with a NUL behind it: one character per byte. */
const bytesOf = (text: string) => Buffer.from(`${text}\0`, "latin1");

export class Pcre2Code {
	readonly #code: Pointer;
	readonly #data: Pointer;

	constructor(code: Pointer) {
		this.#code = code;
		this.#data = pcre2.pcre2_match_data_create_from_pattern_8(code, null) as Pointer;
	}

	/** The first match at or after `from`; null: none; a number: the error that ended the search. */
	match(subject: string, from: number, notEmpty: boolean): Spans | null | number {
		const bytes = bytesOf(subject);
		const result = pcre2.pcre2_match_8(
			this.#code,
			ptr(bytes),
			subject.length,
			from,
			notEmpty ? NOT_EMPTY : 0,
			this.#data,
			null,
		);
		if (result === NO_MATCH) return null;
		if (result < 0) return result;
		const vector = pcre2.pcre2_get_ovector_pointer_8(this.#data) as Pointer;
		const count = pcre2.pcre2_get_ovector_count_8(this.#data);
		return Array.from({ length: count }, (_, group) => {
			const begin = read.u64(vector, group * 16);
			return begin === UNSET ? null : ([Number(begin), Number(read.u64(vector, group * 16 + 8))] as const);
		});
	}

	free(): void {
		pcre2.pcre2_match_data_free_8(this.#data);
		pcre2.pcre2_code_free_8(this.#code);
	}
}

/** Compiles as varnishd does: bytes, no options. */
export function compilePcre2(pattern: string): Pcre2Result {
	const error = new Int32Array(1);
	const offset = new BigUint64Array(1);
	const code = pcre2.pcre2_compile_8(ptr(bytesOf(pattern)), pattern.length, 0, ptr(error), ptr(offset), null);
	if (code !== null) return { ok: true, code: new Pcre2Code(code as Pointer) };
	const message = Buffer.alloc(MESSAGE_BYTES);
	pcre2.pcre2_get_error_message_8(error[0]!, ptr(message), MESSAGE_BYTES);
	return { ok: false, error: new CString(ptr(message)).toString(), offset: Number(offset[0]) };
}
