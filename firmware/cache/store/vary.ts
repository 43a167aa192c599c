/**
 * Which stored variant a request selects (RFC 9111 §4.1, RFC 9110 §12). Pure.
 */
import type { FieldList } from "../http/headers.ts";

/** A field that the request does not have; no field value starts with it. */
const ABSENT = "\x02";
/** Before the language of the stored answer. */
const LANGUAGE = "\x03";

/**
 * What a Vary field asks to be equal: "name\x01value" lines over the named request fields, sorted; undefined
 * for a malformed field or "*"; "" when nothing varies. `contentLanguage` of the answer, when it has one language,
 * is noted with Accept-Language. `oneCoding`: the backend is asked for gzip whatever the client takes, so that
 * Accept-Encoding selects nothing.
 */
export function varySpecification(
	vary: string | undefined,
	request: FieldList,
	contentLanguage?: string,
	oneCoding = false,
): string | undefined {
	if (vary === undefined) return "";
	const names: string[] = [];
	for (const part of vary.split(",")) {
		const name = part.trim().toLowerCase();
		if (name === "") continue;
		if (name === "*") return undefined;
		if (!/^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name)) return undefined;
		if (oneCoding && name === "accept-encoding") continue;
		if (!names.includes(name)) names.push(name);
	}
	return names
		.sort()
		.map((name) => `${name}\x01${varyValue(name, request)}${languageNote(name, contentLanguage)}`)
		.join("\n");
}

function languageNote(name: string, contentLanguage: string | undefined): string {
	if (name !== "accept-language" || contentLanguage === undefined) return "";
	const language = contentLanguage.trim().toLowerCase();
	return /^[a-z0-9-]+$/.test(language) ? LANGUAGE + language : "";
}

const varyValue = (name: string, request: FieldList) => normalise(name, request.joined(name));

/** Fields that list what a client takes, with weights: their order means nothing (RFC 9110 §12.4.2). */
const weighted = new Set(["accept", "accept-encoding", "accept-language", "accept-charset"]);

/** A field absent is not the same as a field empty. Blanks around list members do not matter (RFC 9111 §4.1). */
function normalise(name: string, value: string | undefined): string {
	if (value === undefined) return ABSENT;
	if (weighted.has(name) && !/^[a-z0-9-]*$/.test(value))
		return weights(value)
			.map(({ text }) => text)
			.sort()
			.join(",");
	// What a comma separates may be part of a quoted string: then it is left alone.
	return value.includes(",") && !value.includes('"') ? value.replace(/[ \t]*,[ \t]*/g, ",") : value;
}

interface Weighted {
	readonly member: string;
	/** 0 to 1. */
	readonly weight: number;
	/** The whole member in one spelling. */
	readonly text: string;
}

function weights(value: string): readonly Weighted[] {
	const members: Weighted[] = [];
	for (const part of value.toLowerCase().split(",")) {
		const [member = "", ...parameters] = part.split(";").map((word) => word.trim());
		if (member === "") continue;
		const quality = parameters.find((word) => word.startsWith("q="));
		const weight = quality === undefined ? 1 : Number(quality.slice(2));
		const others = parameters.filter((word) => word !== quality);
		members.push({
			member,
			weight,
			text: [member, ...others, ...(weight === 1 ? [] : [`q=${weight}`])].join(";"),
		});
	}
	return members;
}

/** The one language that the client likes best; undefined when several are equal. */
function favouriteLanguage(value: string | undefined): string | undefined {
	let best: Weighted | undefined;
	let equals = 0;
	for (const each of value === undefined ? [] : weights(value)) {
		if (best !== undefined && each.weight === best.weight) equals++;
		else if (best === undefined || each.weight > best.weight) {
			best = each;
			equals = 0;
		}
	}
	return equals === 0 && best !== undefined && best.weight > 0 ? best.member : undefined;
}

/** Whether a request selects the variant stored under `specification`. */
export const varyMatches = (specification: string, request: FieldList): boolean =>
	specification === "" || varyDifference(specification, request) === undefined;

/** varyMatches() of one request for many specifications: what it asks of a field is worked out once. */
export function variantTest(request: FieldList): (specification: string) => boolean {
	let name: string | undefined;
	let value = "";
	return (specification) => {
		const mark = specification.indexOf("\x01");
		const isOne = mark > 0 && !specification.includes("\n") && !specification.includes(LANGUAGE);
		if (!isOne) return varyMatches(specification, request);
		if (name === undefined || mark !== name.length || !specification.startsWith(name)) {
			name = specification.slice(0, mark);
			value = varyValue(name, request);
		}
		return specification.length === mark + 1 + value.length && specification.endsWith(value);
	};
}

/** The first field in which a request asks for another variant than the one stored under `specification`. */
export function varyDifference(specification: string, request: FieldList): string | undefined {
	for (const line of specification.split("\n")) {
		const mark = line.indexOf("\x01");
		const name = line.slice(0, mark);
		const language = line.indexOf(LANGUAGE, mark);
		const value = line.slice(mark + 1, language < 0 ? undefined : language);
		if (varyValue(name, request) === value) continue;
		// Another list of languages, but the stored answer is in the one that it puts first.
		if (language < 0 || favouriteLanguage(request.joined(name)) !== line.slice(language + 1)) return name;
	}
	return undefined;
}
