/** Where an include leads. Pure. */

/** The characters that a src attribute may write as entities. */
const entities: Readonly<Record<string, string>> = {
	"&apos;": "'",
	"&quot;": '"',
	"&lt;": "<",
	"&gt;": ">",
	"&amp;": "&",
};

export type IncludeTarget =
	| { readonly kind: "target"; readonly host: string; readonly url: string }
	/** No path follows on the host. */
	| { readonly kind: "invalid" };

/** `src` with its scheme, if it has one, taken off: what follows on "http://". */
export function hostTarget(src: string): IncludeTarget {
	const slash = src.indexOf("/");
	if (slash < 0) return { kind: "invalid" };
	return { kind: "target", host: src.slice(0, slash), url: withoutEntities(src.slice(slash)) };
}

/** A src without host, seen from a page whose URL is `pageUrl`: beside it when it does not begin with a slash. */
export function pathTarget(src: string, pageUrl: string): IncludeTarget {
	const url = withoutEntities(src);
	if (src.startsWith("/")) return { kind: "target", host: "", url };
	const path = pageUrl.split("?", 1)[0]!;
	const slash = path.lastIndexOf("/");
	return { kind: "target", host: "", url: `${slash < 0 ? path : path.slice(0, slash)}/${url}` };
}

const withoutEntities = (text: string) =>
	text.replace(/&(?:apos|quot|lt|gt|amp);/g, (entity) => entities[entity]!);
