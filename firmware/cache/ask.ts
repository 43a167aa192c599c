/** `drover cache status`, `top`, `purge`, `ban`, `why`: questions and orders to the cache of this box. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { call } from "../bus/client.ts";
import type { CommandHelp } from "../console/command-help.ts";
import { howCalled } from "../how-called.ts";
import type { CacheStatus, TopEntry } from "../status/cache.ts";
import { readRing } from "./log/reader.ts";
import { TopUrls } from "./log/top.ts";
import { serviceDirectory } from "./service/service-directory.ts";
import { statusText, topText } from "./service/status-text.ts";
import { explain, type Reason, reasonOf } from "./why.ts";

const TOP_COUNT = 10;
const TOP_LIMIT = 10_000;

export const help: CommandHelp = {
	usage: [
		"cache status|bans [--json]",
		"cache top [COUNT] [--json]",
		"cache purge URL [--json]",
		"cache ban FIELD OPERATOR ARGUMENT [&& ...] [--json]",
		'cache why URL ["Name: value" ...] [--json]',
	],
	about:
		'The cache of the box, which runs when appliance.toml has a [cache] section; "drover varnishd" starts one by hand.',
	words: [
		["status", "traffic, hit rate, storage and backends"],
		["top", "the URLs that were asked for most, of those that the log still holds"],
		["purge", "drops a URL with all its variants, as the VCL looks it up"],
		["ban", "marks all objects that match obsolete"],
		["bans", "the bans that stand"],
		["why", "asks for a URL and says how the answer came about; exit status 0 when it was a hit"],
		["--json", "for programs"],
	],
	examples: [
		["cache top 20", "what is asked for"],
		["cache ban req.url '~' '^/news/'", "everything below /news/"],
		["cache why www.example.org/ 'Cookie: a=b'", "is it a hit, and why not"],
	],
};

type Question = (words: readonly string[], json: boolean) => Promise<number>;

/** Each with how many words it can mean. */
const questions: Readonly<Record<string, readonly [Question, mostWords: number]>> = {
	status: [status, 0],
	top: [top, 1],
	purge: [purge, 1],
	ban: [ban, Infinity],
	bans: [bans, 0],
	why: [why, Infinity],
};

/** Runs one of them; resolves with the exit status, or null when `words` name none. */
export async function ask([name = "", ...rest]: readonly string[]): Promise<number | null> {
	const question = Object.hasOwn(questions, name) ? questions[name] : undefined;
	if (question === undefined) return null;
	const [put, mostWords] = question;
	const json = rest.includes("--json");
	const words = rest.filter((word) => word !== "--json");
	const surplus = words[mostWords];
	if (surplus !== undefined) {
		console.error(`drover cache ${name}: what is "${surplus}"?\n${howCalled("cache")}`);
		return 2;
	}
	try {
		return await put(words, json);
	} catch (error) {
		console.error(`drover cache: ${error instanceof Error ? error.message : error}`);
		return 1;
	}
}

const show = (json: boolean, value: unknown, text: () => string) =>
	console.log(json ? JSON.stringify(value, null, "\t") : text());

async function status(_words: readonly string[], json: boolean): Promise<number> {
	const answer = await call<CacheStatus>("cache", "status");
	show(json, answer, () => statusText(answer, Date.now()));
	return answer.state === "running" ? 0 : 1;
}

async function top([count = String(TOP_COUNT)]: readonly string[], json: boolean): Promise<number> {
	if (!/^\d{1,5}$/.test(count) || Number(count) > TOP_LIMIT) {
		console.error(`drover cache: "${count}" is no count, 1 to ${TOP_LIMIT}`);
		return 2;
	}
	const { path } = await call<{ path: string }>("cache", "log");
	const urls = new TopUrls();
	readRing(Bun.mmap(path, { shared: true }), (tag, id, payload) => urls.add(tag, id, payload));
	const entries: TopEntry[] = urls.most(Number(count));
	show(json, entries, () => topText(entries));
	return 0;
}

/** The answer to a request that arrives at the cache's own socket, as root; at the URL's host when no cache of the box runs. */
async function request(target: string, headers: Headers): Promise<Response> {
	const socket = join(serviceDirectory(), "ask.sock");
	const absolute = target.startsWith("/")
		? `http://localhost${target}`
		: /^\w+:\/\//.test(target)
			? target
			: `http://${target}`;
	if (!URL.canParse(absolute)) throw new Error(`"${target}" is no URL`);
	const options = { redirect: "manual" as const, headers, decompress: false };
	const own = existsSync(socket);
	try {
		return await (own
			? fetch(absolute.replace(/^https:/i, "http:"), { ...options, unix: socket })
			: fetch(absolute, options));
	} catch {
		throw new Error(
			own
				? "the cache of this box does not answer"
				: `no cache runs on this box, and ${new URL(absolute).host} does not answer`,
		);
	}
}

async function purge([target]: readonly string[], json: boolean): Promise<number> {
	if (target === undefined) {
		console.error("usage: drover cache purge URL");
		return 2;
	}
	const response = await request(target, new Headers({ "drover-why": "purge" }));
	const purged = response.headers.get("drover-purged");
	await response.arrayBuffer();
	if (purged === null)
		throw new Error(`${target}: no cache on this box answers for it (status ${response.status})`);
	const objects = Number(purged);
	show(json, { purged: objects }, () =>
		objects === 0 ? "nothing was stored for it" : `${objects} object${objects === 1 ? "" : "s"} purged`,
	);
	return 0;
}

interface CommandReply {
	readonly status: number;
	readonly body: string;
}

const order = async (...words: string[]): Promise<string> => {
	const reply = await call<CommandReply>("cache", "command", { words });
	if (reply.status !== 200) throw new Error(reply.body.trim());
	return reply.body;
};

async function ban(words: readonly string[], json: boolean): Promise<number> {
	// One quoted expression or one word each: both are what people type.
	const parts = words.length === 1 ? (words[0]!.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? []) : [...words];
	await order("ban", ...parts);
	show(json, { banned: parts.join(" ") }, () => `banned: ${parts.join(" ")}`);
	return 0;
}

async function bans(_words: readonly string[], json: boolean): Promise<number> {
	if (!json) console.log((await order("ban.list")).trimEnd());
	else {
		const [, , , ...list] = JSON.parse(await order("ban.list", "-j")) as unknown[];
		console.log(JSON.stringify(list, null, "\t"));
	}
	return 0;
}

async function why([target, ...fields]: readonly string[], json: boolean): Promise<number> {
	if (target === undefined) {
		console.error('usage: drover cache why URL ["Name: value" …]');
		return 2;
	}
	const headers = new Headers({ "drover-why": "1" });
	for (const field of fields) {
		const colon = field.indexOf(":");
		if (colon < 1) {
			console.error(`drover cache: "${field}" is no header: "Name: value" was expected`);
			return 2;
		}
		headers.set(field.slice(0, colon), field.slice(colon + 1).trim());
	}
	const response = await request(target, headers);
	await response.arrayBuffer();
	const reason: Reason = reasonOf(response.status, response.headers);
	show(json, reason, () => explain(reason));
	return reason.handling === "hit" ? 0 : 1;
}
