/** What differs between two caches that were asked the same: in what the client got, its connection, and the origin. */
import type { RunningCache } from "./caches.ts";
import { type Exchange, play } from "./http-storm-client.ts";
import type { SeenRequest, StormOrigin } from "./http-storm-origin.ts";
import type { Scenario } from "./http-storm-plan.ts";

export interface Side {
	readonly name: string;
	readonly origin: StormOrigin;
	readonly cache: RunningCache;
	/** How its clients speak, if not HTTP/1. */
	readonly play?: typeof play;
}

export interface Played {
	readonly exchanges: readonly Exchange[];
	readonly asked: readonly SeenRequest[];
}

export interface Difference {
	readonly what: string;
	/** Which request of the scenario, or of the origin's. */
	readonly at: number;
}

/** A field without what may differ: numbers of transactions, times, blanks; undefined: it says nothing. */
function plain(field: string): string {
	const [, name = "", value = ""] = /^([^:]*): *(.*?) *$/.exec(field) ?? [];
	const key = name.toLowerCase();
	if (key === "x-varnish") return `X-Varnish: ${value.includes(" ") ? "of a hit" : "of a fetch"}`;
	// A second may begin between the two.
	if (key === "age") return `Age: ${Math.round(Number(value) / 10) * 10}`;
	if (key === "x-ttl") return `X-TTL: ${Math.round(Number(value) / 10) * 10}`;
	if (/^(date|last-modified|expires)$/.test(key)) return `${name}: a time`;
	if (/boundary=/.test(value)) return `${name}: ${value.replace(/boundary=.*/, "boundary=some")}`;
	return `${key === "connection" ? "Connection" : name}: ${value}`;
}

/** Via in one field: as good as one in several (RFC 9110 §5.3). */
function joined(fields: readonly string[]): string[] {
	const via = fields.filter((field) => /^via:/i.test(field));
	if (via.length < 2) return [...fields];
	const values = via.map((field) => field.slice("via:".length).trim());
	return [
		...fields.filter((field) => !via.includes(field)),
		`${via[0]!.slice(0, "via".length)}: ${values.join(", ")}`,
	];
}

function compareFields(
	where: string,
	theirs: readonly string[],
	ours: readonly string[],
	skip: RegExp | undefined,
): string[] {
	const list = (fields: readonly string[]) =>
		joined(fields.filter((field) => skip?.test(field) !== true)).map(plain);
	const rest = list(ours);
	const found: string[] = [];
	for (const field of list(theirs)) {
		const at = rest.indexOf(field);
		if (at < 0) found.push(`${where}: varnishd alone has "${field}"`);
		else rest.splice(at, 1);
	}
	return [...found, ...rest.map((field) => `${where}: Drover alone has "${field}"`)];
}

function unpacked(body: string): string {
	try {
		return Buffer.from(Bun.gunzipSync(Buffer.from(body, "latin1"))).toString("latin1");
	} catch {
		return body;
	}
}

/** The page of an error has the transaction's number, and with it a length of its own. */
const errorPage = /XID: \d+/;
const sameBody = (one: string, other: string) =>
	one.replace(errorPage, "") === other.replace(errorPage, "") || unpacked(one) === unpacked(other);

function compareExchanges(theirs: Exchange, ours: Exchange): string[] {
	const found: string[] = [];
	const statuses = ({ answers }: Exchange) => answers.map(({ status }) => status.slice(9, 12)).join(" ");
	if (theirs.answers.length !== ours.answers.length)
		found.push(`answers: varnishd ${statuses(theirs)}, Drover ${statuses(ours)}`);
	for (const [index, one] of theirs.answers.entries()) {
		const other = ours.answers[index];
		if (other === undefined) break;
		if (one.status !== other.status) {
			found.push(`status: varnishd "${one.status}", Drover "${other.status}"`);
			break;
		}
		const same = sameBody(one.body, other.body);
		if (!same) found.push(`body: varnishd ${one.body.length} bytes, Drover ${other.body.length}`);
		if (one.whole !== other.whole) found.push(`body: whole from ${one.whole ? "varnishd" : "Drover"} alone`);
		// The same body may be framed in two ways.
		const skip = same ? /^(content-length|transfer-encoding):/i : undefined;
		found.push(...compareFields("answer", one.fields, other.fields, skip));
	}
	if (theirs.end !== ours.end) found.push(`connection: varnishd ${theirs.end}, Drover ${ours.end}`);
	return found;
}

export function compare(theirs: Played, ours: Played): Difference[] {
	const found: Difference[] = [];
	for (const [at, exchange] of theirs.exchanges.entries())
		for (const what of compareExchanges(exchange, ours.exchanges[at]!)) found.push({ what, at });
	if (theirs.asked.length !== ours.asked.length)
		found.push({
			what: `origin: asked ${theirs.asked.length} times by varnishd, ${ours.asked.length} by Drover`,
			at: 0,
		});
	for (const [at, one] of theirs.asked.entries()) {
		const other = ours.asked[at];
		if (other === undefined) break;
		if (one.line.replace(/\/\w+/, "") !== other.line.replace(/\/\w+/, "")) {
			found.push({ what: `origin: "${one.line}" by varnishd, "${other.line}" by Drover`, at });
			break;
		}
		if (one.body !== other.body) found.push({ what: "origin: another body", at });
		for (const what of compareFields("origin", one.fields, other.fields, /^(transfer-encoding):/i))
			found.push({ what, at });
	}
	return found;
}

/** Those of the first request that was answered otherwise: what comes behind may follow from it. */
export function firstOnly(differences: readonly Difference[]): Difference[] {
	const answered = differences.filter(({ what }) => !what.startsWith("origin"));
	if (answered.length === 0) return [...differences];
	const first = Math.min(...answered.map(({ at }) => at));
	return answered.filter(({ at }) => at === first);
}

/** What differences of other numbers have in common. */
export const kindOf = ({ what }: Difference) => what.replace(/\/s\d+/g, "").replace(/\d{2,}/g, "N");

/** Plays a scenario, as `id`, against varnishd and Drover. */
export function playBoth(
	sides: readonly [Side, Side],
	id: string,
	scenario: Scenario,
	nowSeconds: number,
): Promise<[Played, Played]> {
	const one = async ({ origin, cache, play: speak = play }: Side): Promise<Played> => {
		origin.begin(id, scenario);
		const exchanges = await speak(cache.port, id, scenario, nowSeconds);
		return { exchanges, asked: origin.end(id) };
	};
	return Promise.all([one(sides[0]), one(sides[1])]);
}
