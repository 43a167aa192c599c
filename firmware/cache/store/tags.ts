/**
 * Tags of stored objects (surrogate keys): an answer names them in its `xkey` fields, and everything with a tag can be
 * taken out at once. As vmod xkey of the widespread collection has it. Pure.
 *
 * Each object carries a Bloom filter of its tags, 64 bits beside the index. Looking for a tag is one pass over these
 * words; only objects that may have it are read. Nothing else has to be kept, across workers, crashes and restarts.
 */

import type { FieldList } from "../http/headers.ts";

/** Bits that one tag sets: three places of 64. With 8 tags on an object it is read in vain 3 times in 100. */
export interface TagMarks {
	readonly low: number;
	readonly high: number;
}

/** What an object without tags has. */
export const noTags: TagMarks = { low: 0, high: 0 };

/** Tags of one object that are taken note of; a head is bounded by http_resp_size anyway. */
const TAG_LIMIT = 1024;
const PLACES = 3;
const PLACE_BITS = 6;
const tagField = /\r\n(?:xkey|x-hashtwo):/i;
const tagFields = /\r\n(?:xkey|x-hashtwo):([^\r]*)/gi;

/** The tags of a field, or of what a purge names: separated by blanks and commas. */
export const splitTags = (text: string): string[] => text.split(/[ \t,]+/).filter((tag) => tag !== "");

/** The tags that a stored head names. */
export function tagsIn(head: string): readonly string[] {
	const tags: string[] = [];
	for (const [, value = ""] of head.matchAll(tagFields)) tags.push(...splitTags(value));
	return tags.slice(0, TAG_LIMIT);
}

/** The tags that fields name. */
export const tagsOf = (fields: FieldList): readonly string[] => [
	...splitTags(fields.joined("xkey") ?? ""),
	...splitTags(fields.joined("x-hashtwo") ?? ""),
];

/** FNV-1a over the bytes, mixed so that every bit counts. */
function hash(tag: string): number {
	let sum = 0x811c9dc5;
	for (let index = 0; index < tag.length; index++) sum = Math.imul(sum ^ tag.charCodeAt(index), 0x01000193);
	sum = Math.imul(sum ^ (sum >>> 15), 0x2c1b3c6d);
	return (sum ^ (sum >>> 13)) >>> 0;
}

export function marksOf(tags: readonly string[]): TagMarks {
	let low = 0;
	let high = 0;
	for (const tag of tags) {
		const bits = hash(tag);
		for (let place = 0; place < PLACES; place++) {
			const bit = (bits >>> (place * PLACE_BITS)) & 63;
			if (bit < 32) low |= 1 << bit;
			else high |= 1 << (bit - 32);
		}
	}
	return { low, high };
}

/** The marks of what a head names; cheap when it names none. */
export const marksIn = (head: string): TagMarks => (tagField.test(head) ? marksOf(tagsIn(head)) : noTags);
