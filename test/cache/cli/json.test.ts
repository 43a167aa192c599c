/** The -j forms of the CLI: the same questions to Drover and to the stock varnishd, their answers side by side. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { drover, type RunningCache, startCache, stock } from "../../conformance/caches.ts";

const directory = mkdtempSync(join(tmpdir(), "drover-json-"));
// The stock daemon reads its files as a user of its own.
chmodSync(directory, 0o755);
let ours: RunningCache;
let theirs: RunningCache;

type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

function ask(cache: RunningCache, ...words: string[]): Json {
	const { stdout, stderr, exitCode } = Bun.spawnSync(["varnishadm", "-n", cache.directory, ...words]);
	if (exitCode !== 0) throw new Error(`${words.join(" ")}: ${stdout}${stderr}`);
	return JSON.parse(stdout.toString()) as Json;
}

/** A value with what differs from run to run, by the names of its members, put aside; only their kinds stay. */
function settled(value: Json, changing: ReadonlySet<string>, name = ""): Json {
	if (changing.has(name)) return `<${value === null ? "null" : typeof value}>`;
	if (Array.isArray(value)) return value.map((each) => settled(each as Json, changing));
	if (value === null || typeof value !== "object") return value;
	return Object.fromEntries(
		Object.entries(value as Record<string, Json>).map(([key, each]) => [key, settled(each, changing, key)]),
	);
}

/** The first three of every answer are the form's version, the words that were said, and the time. */
function body(answer: Json): readonly Json[] {
	const [version, said, time, ...rest] = answer as readonly Json[];
	expect(typeof time).toBe("number");
	return [version!, said!, ...rest];
}

beforeAll(async () => {
	const vcl = join(directory, "json.vcl");
	writeFileSync(
		vcl,
		`vcl 4.1;
probe p { .url = "/"; .interval = 1h; .initial = 3; .threshold = 3; }
backend a { .host = "127.0.0.1"; .port = "1"; .probe = p; }
backend b { .host = "127.0.0.1"; .port = "2"; }
sub vcl_recv { if (req.url == "/b") { set req.backend_hint = b; } }
`,
	);
	const start = (command: readonly string[]) => startCache(command, 0, ["-f", vcl, "-s", "malloc,10m"]);
	[ours, theirs] = await Promise.all([start(drover), start(stock)]);
	for (const cache of [ours, theirs])
		for (const words of [
			["ban", "obj.http.x-tag", "==", "red"],
			["ban", "req.url", "~", "a b"],
			["ban", "obj.http.x-tag", "==", "red"],
			["backend.set_health", "b", "sick"],
			["vcl.load", "second", vcl],
			["vcl.label", "label", "second"],
			["param.set", "default_ttl", "60"],
		])
			Bun.spawnSync(["varnishadm", "-n", cache.directory, ...words]);
	// What is completed and nothing refers to is dropped before long: two bans stay.
	for (const cache of [ours, theirs])
		while ((ask(cache, "ban.list", "-j") as readonly Json[]).length > 5) await Bun.sleep(50);
}, 60_000);

afterAll(async () => {
	await ours?.stop();
	await theirs?.stop();
	rmSync(directory, { recursive: true, force: true });
});

describe("the same but for what changes", () => {
	const cases: readonly (readonly [words: readonly string[], changing: readonly string[]])[] = [
		[["ping", "-j"], []],
		[["status", "-j"], []],
		[
			["pid", "-j"],
			["master", "worker"],
		],
		[["ban.list", "-j"], ["time"]],
		[["storage.list", "-j"], []],
		[["vcl.list", "-j"], ["busy"]],
		[["vcl.deps", "-j"], []],
		[
			["backend.list", "-j"],
			["last_change", "probe_message"],
		],
		[
			["backend.list", "-j", "-p"],
			["last_change", "probe_message", "probe_details"],
		],
		// The words that describe a parameter are each program's own.
		...["default_ttl", "ban_lurker_age", "feature", "vsl_mask", "changed"].map(
			(name) => [["param.show", "-j", name], ["description"]] as const,
		),
	];
	for (const [words, changing] of cases)
		test(words.join(" "), () => {
			const names = new Set(changing);
			expect(settled(body(ask(ours, ...words)), names)).toEqual(settled(body(ask(theirs, ...words)), names));
		});
});

test("help -j: every command of the stock daemon, with its syntax and bounds", () => {
	const list = (cache: RunningCache) =>
		settled(body(ask(cache, "help", "-j")), new Set(["help"])) as readonly { readonly request: string }[];
	const known = new Map(list(ours).map((each) => [each.request, each]));
	for (const command of list(theirs).slice(2)) {
		// What is for the C program's own tests has no meaning here.
		if (command.request.startsWith("debug.")) continue;
		expect(known.get(command.request)).toEqual(command);
	}
});

test("param.show -j: every parameter, but for the words that describe it", () => {
	// What concerns the C compiler is said in words of our own.
	const own = ["cc_command", "cc_warnings"];
	const list = (cache: RunningCache) =>
		settled(body(ask(cache, "param.show", "-j")).slice(2), new Set(["description"])) as readonly Record<
			string,
			Json
		>[];
	const known = new Map(list(ours).map((each) => [each["name"], each]));
	for (const parameter of list(theirs))
		if (!own.includes(String(parameter["name"]))) expect(known.get(parameter["name"]!)).toEqual(parameter);
});

test("panic.show -j without a panic is the same refusal", () => {
	const say = (cache: RunningCache) =>
		Bun.spawnSync(["varnishadm", "-n", cache.directory, "panic.show", "-j"]).stderr.toString();
	expect(say(ours)).toBe(say(theirs));
});
