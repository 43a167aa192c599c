/**
 * ESI tags in a page: <esi:include>, <esi:remove>, <esi:comment> and <!--esi … -->, as varnishd takes them.
 *
 * It reads the page in pieces of any size and knows nothing of their borders: every byte has its place in the page, and
 * what is undecided at the end of a piece (a few bytes of what may be a tag) is looked at again with the next one. The
 * page itself is not kept.
 *
 * The stretches between the tags are marked as they become known: mark() says of all that is not marked yet whether it
 * is sent. Errors and warnings are told with the place where the stretch begins that they are found in.
 */
import { hasControl } from "../http/syntax.ts";
import { hostTarget, type IncludeTarget, pathTarget } from "./include-url.ts";
import type { EsiStep } from "./program.ts";

/** Includes of one page; the rest of them is left out, with an error. */
export const INCLUDE_LIMIT = 4096;
/** Longest src attribute. */
export const SRC_BYTES = 16 * 1024;

/** The esi_* bits of the parameter `feature`. */
export interface EsiRules {
	/** A page whose first character is not "<" is no page with tags. Off with esi_disable_xml_check. */
	readonly xmlCheck: boolean;
	/** https:// is taken for http://. */
	readonly ignoreHttps: boolean;
	/** Tags inside other tags are seen too. */
	readonly ignoreOtherElements: boolean;
	readonly removeBom: boolean;
}

/** A line of the log, tag ESI_xmlerror. */
export interface EsiRemark {
	readonly kind: "error" | "warning" | "note";
	readonly text: string;
}

type State =
	| "start"
	| "first character"
	| "no page"
	| "text"
	| "tag"
	| "tag begun"
	| "other tag"
	| "until"
	| "esi tag"
	| "esi tag named"
	| "in esi tag"
	| "bad esi tag"
	| "attribute"
	| "other attribute"
	| "delimiter"
	| "value";

type Matched = "esi comment" | "empty comment" | "comment" | "esi end tag" | "esi tag" | "cdata" | undefined;

/** In this order: what one of them may still become is waited for. */
const tagStarts: readonly (readonly [string, Matched])[] = [
	["!--esi", "esi comment"],
	["!---->", "empty comment"],
	["!--", "comment"],
	["/esi:", "esi end tag"],
	["esi:", "esi tag"],
	["![CDATA[", "cdata"],
];
const tagNames = [
	["include", "include"],
	["remove", "remove"],
	["comment", "comment"],
] as const;
const attributes = [
	["src=", "src"],
	["onerror=", "onerror"],
] as const;
/** A UTF-8 byte order mark, and what varnishd takes for one. */
const byteOrderMarks = [
	["\xef\xbb\xbf", true],
	["\xeb\xbb\xbf", true],
] as const;

const LESS = 0x3c;
const GREATER = 0x3e;
const SLASH = 0x2f;
const DASH = 0x2d;
const SPACE = 0x20;
const TAB = 0x09;
const isBlank = (byte: number) => byte === SPACE || byte === TAB;
const isSpace = (byte: number) => isBlank(byte) || byte === 0x0a || byte === 0x0d;
const isLetter = (byte: number) => (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a);
/** XML 1.0, as far as a byte tells. */
const startsName = (byte: number) =>
	isLetter(byte) || byte === 0x3a || byte === 0x5f || (byte >= 0xc0 && byte !== 0xd7 && byte !== 0xf7);
const isNamePart = (byte: number) =>
	startsName(byte) || byte === DASH || byte === 0x2e || byte === 0xb7 || (byte >= 0x30 && byte <= 0x39);

/** More bytes are needed to go on. */
const MORE = -1;

export class EsiParser {
	readonly #pageUrl: string;
	readonly #rules: EsiRules;
	readonly #tell: (remark: EsiRemark) => void;
	readonly #steps: EsiStep[] = [];
	#state: State = "start";
	/** Undecided bytes of the pieces before. */
	#carried: Uint8Array = new Uint8Array(0);
	/** Bytes of all pieces. */
	#total = 0;
	/** Place in the page of the first byte that is being looked at. */
	#base = 0;
	#kind: "verbatim" | "skip" = "verbatim";
	/** Where the stretch begins that is being marked, and where what is marked ends. */
	#stretchAt = 0;
	#markedTo = 0;
	#found = false;
	#includes = 0;
	/** In <esi:remove>. */
	#removing = false;
	/** Bytes seen of the end of an <!--esi comment that is open; undefined when none is. */
	#commentEnd: number | undefined;
	/** What ends the comment or the CDATA section, and bytes seen of it. */
	#until = "";
	#untilSeen = 0;
	#tag: "include" | "remove" | "comment" = "comment";
	/** What begins, as its first bytes say. */
	#begun: Matched;
	#isEndTag = false;
	#isEmptyTag = false;
	#mayHaveAttribute = false;
	#inEsiTag = false;
	#attribute: "src" | "onerror" | undefined;
	#delimiter = 0;
	#value: number[] = [];
	#src: string | undefined;
	#continues = false;

	/** `pageUrl`: what the page was asked for with; includes beside it are named from there. */
	constructor(pageUrl: string, rules: EsiRules, tell: (remark: EsiRemark) => void) {
		this.#pageUrl = pageUrl;
		this.#rules = rules;
		this.#tell = tell;
	}

	push(piece: Uint8Array): void {
		const bytes = this.#carried.length === 0 ? piece : Buffer.concat([this.#carried, piece]);
		this.#base = this.#total - this.#carried.length;
		this.#total += piece.length;
		this.#carried = new Uint8Array(0);
		for (let at = 0; at < bytes.length; ) {
			const next = this.#step(bytes, at);
			if (next === MORE) {
				this.#carried = bytes.slice(at);
				return;
			}
			at = next;
		}
	}

	/** What has come of it shows that there is nothing to be looked for in it. */
	get isNoPage(): boolean {
		return this.#state === "no page";
	}

	/** The page is whole. Its steps, CRC and plain length left at 0; undefined when it has no tags. */
	end(): readonly EsiStep[] | undefined {
		const ended =
			this.#carried.length === 0 && ["start", "first character", "no page", "text"].includes(this.#state);
		if (!ended) this.#error("VEP ended inside a tag");
		this.#mark(this.#inEsiTag || this.#removing ? "skip" : "verbatim", this.#total);
		this.#closeStretch();
		return this.#found ? this.#steps : undefined;
	}

	// ── what is found ───────────────────────────────────────────────────────────────────────

	#error(text: string): void {
		this.#tell({ kind: "error", text: `ERR after ${this.#stretchAt} ${text}` });
	}

	#warn(text: string): void {
		this.#tell({ kind: "warning", text: `WARN after ${this.#stretchAt} ${text}` });
	}

	/** All that is not marked yet, up to `to`. */
	#mark(kind: "verbatim" | "skip", to: number): void {
		if (kind !== this.#kind) {
			this.#closeStretch();
			this.#kind = kind;
		}
		this.#markedTo = to;
	}

	#closeStretch(): void {
		const bytes = this.#markedTo - this.#stretchAt;
		this.#stretchAt = this.#markedTo;
		if (bytes === 0) return;
		if (this.#kind === "skip") this.#steps.push({ kind: "skip", bytes });
		else this.#steps.push({ kind: "verbatim", bytes, crc: 0, plainBytes: 0 });
	}

	/** Whether the bytes at `at` are one of `table`: the words there, undefined for none, MORE if that is open. */
	#match<Meaning>(
		bytes: Uint8Array,
		at: number,
		table: readonly (readonly [string, Meaning])[],
	): readonly [string, Meaning] | undefined | typeof MORE {
		for (const entry of table) {
			const [word] = entry;
			let seen = 0;
			while (seen < word.length && at + seen < bytes.length && bytes[at + seen] === word.charCodeAt(seen))
				seen++;
			if (seen === word.length) return entry;
			if (at + seen === bytes.length) return MORE;
		}
		return undefined;
	}

	// ── reading ─────────────────────────────────────────────────────────────────────────────

	/** Looks at the bytes from `at` on; returns where it has come to, or MORE. */
	#step(bytes: Uint8Array, at: number): number {
		switch (this.#state) {
			case "start":
				return this.#start(bytes, at);
			case "first character":
				return this.#firstCharacter(bytes, at);
			case "no page":
				return bytes.length;
			case "text":
				return this.#text(bytes, at);
			case "tag":
				return this.#tagStart(bytes, at);
			case "tag begun":
				this.#beginTag(this.#base + at);
				return at;
			case "other tag":
				return this.#otherTag(bytes, at);
			case "until":
				return this.#toItsEnd(bytes, at);
			case "esi tag":
				return this.#tagName(bytes, at);
			case "esi tag named":
				this.#enterTag();
				return at;
			case "in esi tag":
				return this.#inTag(bytes, at);
			case "bad esi tag":
				return this.#badTag(bytes, at);
			case "attribute":
				return this.#attributeName(bytes, at);
			case "other attribute":
				return this.#otherAttribute(bytes, at);
			case "delimiter":
				return this.#openValue(bytes, at);
			case "value":
				return this.#readValue(bytes, at);
		}
	}

	#start(bytes: Uint8Array, at: number): number {
		if (this.#rules.removeBom) {
			const mark = this.#match(bytes, at, byteOrderMarks);
			if (mark === MORE) return MORE;
			if (mark !== undefined) return at + mark[0].length;
		}
		this.#mark("skip", this.#base + at);
		this.#state = this.#rules.xmlCheck ? "first character" : "text";
		return at;
	}

	#firstCharacter(bytes: Uint8Array, from: number): number {
		let at = from;
		while (at < bytes.length && isSpace(bytes[at]!)) at++;
		this.#mark("verbatim", this.#base + at);
		if (at === bytes.length) return at;
		const byte = bytes[at]!;
		if (byte === LESS) {
			this.#state = "tag";
			return at + 1;
		}
		const isMark = byte === 0xeb || byte === 0xef;
		const why = isMark
			? "first char not '<' but BOM. (See feature esi_remove_bom)"
			: "first char not '<'. (See feature esi_disable_xml_check)";
		this.#tell({ kind: "note", text: `No ESI processing, ${why}` });
		this.#state = "no page";
		return at;
	}

	/** On to the next tag, with an eye on the end of an <!--esi comment. */
	#text(bytes: Uint8Array, from: number): number {
		let at = from;
		this.#isEmptyTag = false;
		if (this.#commentEnd === undefined) {
			at = bytes.indexOf(LESS, from);
			if (at < 0) return bytes.length;
		} else at = this.#commentText(bytes, from);
		if (at < bytes.length && bytes[at] === LESS) {
			if (!this.#removing) this.#mark("verbatim", this.#base + at);
			this.#state = "tag";
			return at + 1;
		}
		return at;
	}

	/** Up to a "<", behind the end of the comment, or to the end of the bytes. */
	#commentText(bytes: Uint8Array, from: number): number {
		for (let at = from; at < bytes.length; at++) {
			const byte = bytes[at]!;
			if (byte === LESS) return at;
			const seen: number = this.#commentEnd ?? 0;
			if (byte !== (seen < 2 ? DASH : GREATER)) {
				this.#commentEnd = 0;
				continue;
			}
			if (!this.#removing && seen === 0) this.#mark("verbatim", this.#base + at);
			this.#commentEnd = seen + 1;
			if (seen < 2) continue;
			this.#found = true;
			this.#commentEnd = undefined;
			this.#mark("skip", this.#base + at + 1);
			return at + 1;
		}
		return bytes.length;
	}

	#tagStart(bytes: Uint8Array, at: number): number {
		const found = this.#match(bytes, at, tagStarts);
		if (found === MORE) return MORE;
		this.#begun = found?.[1];
		// What the page ends with is no tag yet; an empty comment is whole.
		this.#state = this.#begun === "empty comment" ? "text" : "tag begun";
		return at + (found?.[0].length ?? 0);
	}

	/** `place`: in the page, behind the bytes that said what it is. */
	#beginTag(place: number): void {
		this.#isEndTag = this.#begun === "esi end tag";
		switch (this.#begun) {
			case undefined:
				this.#state = "other tag";
				break;
			case "esi comment":
				if (this.#removing) this.#error("ESI 1.0 Nested <!--esi element in <esi:remove>");
				this.#commentEnd = 0;
				this.#state = "text";
				this.#mark("skip", place);
				break;
			case "empty comment":
				break;
			case "comment":
				this.#commentEnd = undefined;
				this.#begin("-->");
				break;
			case "cdata":
				this.#begin("]]>");
				break;
			case "esi end tag":
			case "esi tag":
				this.#openEsiTag(place);
				break;
		}
	}

	#begin(until: string): void {
		this.#until = until;
		this.#untilSeen = 0;
		this.#state = "until";
	}

	#openEsiTag(place: number): void {
		this.#inEsiTag = true;
		this.#found = true;
		this.#mayHaveAttribute = false;
		this.#src = undefined;
		this.#continues = false;
		this.#state = "esi tag";
		this.#mark("skip", place);
	}

	#otherTag(bytes: Uint8Array, at: number): number {
		if (this.#rules.ignoreOtherElements) {
			this.#state = "text";
			return at + 1;
		}
		const end = bytes.indexOf(GREATER, at);
		if (end < 0) return bytes.length;
		this.#state = "text";
		return end + 1;
	}

	#toItsEnd(bytes: Uint8Array, from: number): number {
		for (let at = from; at < bytes.length; at++) {
			const isNext = bytes[at] === this.#until.charCodeAt(this.#untilSeen);
			this.#untilSeen = isNext ? this.#untilSeen + 1 : 0;
			if (this.#untilSeen < this.#until.length) continue;
			this.#state = "text";
			return at + 1;
		}
		return bytes.length;
	}

	#tagName(bytes: Uint8Array, at: number): number {
		const found = this.#match(bytes, at, tagNames);
		if (found === MORE) return MORE;
		if (found === undefined) {
			this.#refuse("ESI 1.0 <esi:bogus> element");
			return at;
		}
		const [word, name] = found;
		this.#tag = name;
		this.#state = "esi tag named";
		return at + word.length;
	}

	#enterTag(): void {
		const name = this.#tag;
		this.#state = "in esi tag";
		if (name !== "remove" && this.#removing)
			this.#refuse(`ESI 1.0 <esi:${name}> element nested in <esi:remove>`);
		else if (name !== "remove" && this.#isEndTag) this.#refuse(`ESI 1.0 </esi:${name}> illegal end-tag`);
	}

	/** An error in a tag, which is left out to its end. */
	#refuse(text: string): void {
		this.#error(text);
		this.#state = "bad esi tag";
	}

	#badTag(bytes: Uint8Array, at: number): number {
		const end = bytes.indexOf(GREATER, at);
		if (end < 0) return bytes.length;
		this.#closeTag(end + 1);
		return end + 1;
	}

	/** `to`: behind the tag's ">". */
	#closeTag(to: number): void {
		this.#mark("skip", this.#base + to);
		this.#inEsiTag = false;
		this.#state = "text";
	}

	#inTag(bytes: Uint8Array, from: number): number {
		let at = from;
		while (at < bytes.length && isSpace(bytes[at]!) && !this.#isEmptyTag) {
			at++;
			this.#mayHaveAttribute = true;
		}
		if (at < bytes.length && bytes[at] === SLASH && !this.#isEmptyTag) {
			at++;
			this.#isEmptyTag = true;
			this.#mayHaveAttribute = false;
		}
		if (at === bytes.length) return at;
		if (bytes[at] === GREATER) {
			this.#closeTag(at + 1);
			this.#act();
			return at + 1;
		}
		if (this.#isEmptyTag) this.#refuse("XML 1.0 '>' does not follow '/' in tag");
		else if (this.#mayHaveAttribute && startsName(bytes[at]!)) this.#state = "attribute";
		else this.#refuse("XML 1.0 Illegal attribute start char");
		return at;
	}

	#attributeName(bytes: Uint8Array, at: number): number {
		const found = this.#tag === "include" ? this.#match(bytes, at, attributes) : undefined;
		if (found === MORE) return MORE;
		this.#attribute = found?.[1];
		this.#state = found === undefined ? "other attribute" : "delimiter";
		return at + (found?.[0].length ?? 0);
	}

	#otherAttribute(bytes: Uint8Array, from: number): number {
		let at = from;
		while (at < bytes.length && isNamePart(bytes[at]!)) at++;
		if (at === bytes.length) return at;
		const byte = bytes[at]!;
		if (byte === 0x3d) {
			this.#state = "delimiter";
			return at + 1;
		}
		if (byte === GREATER || byte === SLASH || isBlank(byte)) this.#state = "in esi tag";
		else this.#refuse("XML 1.0 Illegal attr char");
		return at;
	}

	#openValue(bytes: Uint8Array, at: number): number {
		const byte = bytes[at]!;
		this.#value = [];
		if (isBlank(byte)) {
			this.#refuse("XML 1.0 Illegal attribute delimiter");
			return at;
		}
		const isQuote = byte === 0x22 || byte === 0x27;
		this.#delimiter = isQuote ? byte : SPACE;
		this.#state = "value";
		return isQuote ? at + 1 : at;
	}

	#readValue(bytes: Uint8Array, from: number): number {
		const ends = (byte: number) =>
			byte === GREATER || byte === this.#delimiter || (this.#delimiter === SPACE && isBlank(byte));
		let at = from;
		for (; at < bytes.length && !ends(bytes[at]!); at++)
			// One more than may be, to be known as too long.
			if (this.#attribute !== undefined && this.#value.length <= SRC_BYTES) this.#value.push(bytes[at]!);
		if (at === bytes.length) return at;
		if (bytes[at] === GREATER) {
			this.#refuse("XML 1.0 Missing end attribute delimiter");
			return at;
		}
		this.#state = "in esi tag";
		if (this.#attribute !== undefined)
			this.#take(this.#attribute, Buffer.from(this.#value).toString("latin1"));
		return at + 1;
	}

	#take(attribute: "src" | "onerror", value: string): void {
		if (attribute === "onerror") {
			this.#continues = value === "continue";
			return;
		}
		const isFirst = this.#src === undefined;
		this.#src = undefined;
		if (!isFirst) this.#refuse("ESI 1.0 <esi:include> has multiple src= attributes");
		else if (/[ \t\r\n]/.test(value)) this.#refuse("ESI 1.0 <esi:include> has whitespace in src= attribute");
		else if (hasControl(value))
			this.#refuse("ESI 1.0 <esi:include> has a control character in src= attribute");
		else if (value.length > SRC_BYTES)
			this.#refuse(`ESI 1.0 <esi:include> has more than ${SRC_BYTES} bytes in src= attribute`);
		else this.#src = value;
	}

	// ── what the tags mean ──────────────────────────────────────────────────────────────────

	/** A tag is complete. */
	#act(): void {
		switch (this.#tag) {
			case "comment":
				if (!this.#isEmptyTag) this.#error("ESI 1.0 <esi:comment> needs final '/'");
				break;
			case "remove":
				if (this.#isEmptyTag) this.#error("ESI 1.0 <esi:remove/> not legal");
				else if (this.#removing && !this.#isEndTag) this.#error("ESI 1.0 <esi:remove> already open");
				else if (!this.#removing && this.#isEndTag) this.#error("ESI 1.0 <esi:remove> not open");
				else this.#removing = !this.#isEndTag;
				break;
			case "include":
				this.#include();
				break;
		}
	}

	#include(): void {
		if (!this.#isEmptyTag) this.#warn("ESI 1.0 <esi:include> lacks final '/'");
		const src = this.#src;
		if (src === undefined) {
			this.#error("ESI 1.0 <esi:include> lacks src attr");
			return;
		}
		const target = this.#target(src);
		if (target === undefined) return;
		if (target.kind === "invalid") this.#error("ESI 1.0 <esi:include> invalid src= URL");
		else if (this.#includes === INCLUDE_LIMIT)
			this.#error(`ESI 1.0 <esi:include> ignored: a page may have ${INCLUDE_LIMIT} of them`);
		else {
			this.#includes++;
			this.#steps.push({
				kind: "include",
				host: target.host,
				url: target.url,
				continues: this.#continues,
			});
		}
	}

	/** Undefined when it is not followed. */
	#target(src: string): IncludeTarget | undefined {
		if (src.length > 7 && src.startsWith("http://")) return hostTarget(src.slice(7));
		if (src.length <= 8 || !src.startsWith("https://")) return pathTarget(src, this.#pageUrl);
		if (!this.#rules.ignoreHttps) {
			this.#warn("ESI 1.0 <esi:include> with https:// ignored");
			return undefined;
		}
		this.#warn("ESI 1.0 <esi:include> https:// treated as http://");
		return hostTarget(src.slice(8));
	}
}
