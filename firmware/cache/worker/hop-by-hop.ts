/** Which header fields go on to a backend and which into the store (varnishd's filter table; RFC 9110 §7.6.1). */
import { type FieldList, listMembers } from "../http/headers.ts";

const hop = [
	"connection",
	"keep-alive",
	"te",
	"trailer",
	"transfer-encoding",
	"upgrade",
	"http2-settings",
	"proxy-connection",
];
const towardsBackend = new Set([...hop, "accept-ranges", "expect"]);
const towardsBackendForCache = new Set([
	...towardsBackend,
	"range",
	"if-modified-since",
	"if-none-match",
	"if-match",
	"if-range",
	"if-unmodified-since",
	"cache-control",
	"content-range",
	"proxy-authenticate",
	"proxy-authorization",
]);
const towardsPrivate = new Set([...hop, "age"]);
const towardsStore = new Set([
	...towardsPrivate,
	"accept-ranges",
	"proxy-authenticate",
	"proxy-authorization",
	"range",
]);

/** A message's fields as they came in. */
export interface Received {
	readonly lines: readonly string[];
	/** Members of Connection, lower case: these fields were for one hop. */
	readonly connection: readonly string[];
}

/** What Connection names goes no further; what VCL has set under such a name was never meant by it. */
function filtered(
	fields: FieldList,
	{ lines, connection }: Received,
	dropped: ReadonlySet<string>,
): FieldList {
	const copy = fields.copy();
	const named = (key: string, line: string) =>
		connection.includes(key) && key !== "cache-control" && lines.includes(line);
	copy.filter((key, line) => !dropped.has(key) && (connection.length === 0 || !named(key, line)));
	return copy;
}

const none: ReadonlySet<string> = new Set();

/** A pipe keeps all but what Connection names: that was for this hop (an upgrade, say, unless the VCL sets it again). */
export const pipeFields = (fields: FieldList, received: Received) => filtered(fields, received, none);
export const passFields = (fields: FieldList, received: Received) =>
	filtered(fields, received, towardsBackend);
export const fetchFields = (fields: FieldList, received: Received) =>
	filtered(fields, received, towardsBackendForCache);
export const privateFields = (fields: FieldList, received: Received) =>
	filtered(fields, received, towardsPrivate);
export const storedFields = (fields: FieldList, received: Received) =>
	filtered(fields, received, towardsStore);

/** A strong validator no longer holds for a body that was recoded (RFC 9110 §8.8.1). */
export function weaken(fields: FieldList): void {
	const etag = fields.get("etag");
	if (etag !== undefined && !etag.startsWith("W/")) fields.set("ETag", `W/${etag}`);
}

/** The representation was chosen by what codings the client takes (RFC 9110 §12.5.5). */
export function varyByEncoding(fields: FieldList): void {
	const old = fields.joined("vary");
	if (old === undefined) fields.set("Vary", "Accept-Encoding");
	else if (!listMembers(old).includes("accept-encoding"))
		fields.set("Vary", old === "" ? "Accept-Encoding" : `${old}, Accept-Encoding`);
}
