/**
 * A storm of the management protocol, run by hand: seeded commands about programs, labels, states, bans, parameters
 * and backends, given to varnishd and Drover in the same order. Prints where status or text differ.
 *
 *   bun test/conformance/cli-storm.ts [SEED] [--seconds N] [--all]
 *
 * --all: also what is otherwise on purpose (`known` below).
 */
import { rmSync } from "node:fs";
import { parseArgs } from "node:util";
import { normalise } from "../cache/vcl/stock.ts";
import { type Random, randomFrom } from "../sim/random.ts";
import { drover, stock } from "./caches.ts";
import { type CliReply, startManaged } from "./cli-client.ts";
import { stormDirectory } from "./storm.ts";

/** Commands of a story; then everything is discarded, and the next begins. */
const STORY = 30;

interface Known {
	readonly command: RegExp;
	/** "status" or a line of either side. */
	readonly what: RegExp;
	readonly why: string;
}

const known: readonly Known[] = [
	{ command: /^ban .*(\|\||&&)/, what: /^line 0/, why: "of two mistakes in a ban the other one is named" },
	{
		command: /^param\.show/,
		what: /^line 1: .*(seconds|bytes)\]/,
		why: "varnishd passes units over: 1h is a second there",
	},
	{ command: /^param\.show/, what: /^line [2-9]/, why: "descriptions are in words of our own" },
	{ command: /^vcl\.show/, what: /<builtin>|^line \d\d/, why: "so is the built-in program" },
	{
		command: /^"$/,
		what: /^line 0/,
		why: "what is wrong with the words is said alone, not behind another reason",
	},
	{
		command: /^param\.set \S+ "?-\d/,
		what: /Must be at least/,
		why: "a number below 0 is refused as that, and is no large one",
	},
	{
		command: /^param\.set \S+ "?1e3/,
		what: /Invalid number/,
		why: "1e3 is 1 there, of which the rest is passed over",
	},
	{
		command: /^param\.show changed/,
		what: /Drover "feature none"|"max_restarts unlimited/,
		why: "none turns off what is on of itself, there only where something else was set before; -1 is unlimited there",
	},
	{ command: /^banner/, what: /revision/, why: "the revision is drover" },
	{ command: / -j/, what: /^line 0: varnishd "\[/, why: "the same JSON with other blanks" },
	{
		command: /^vcl\.list/,
		what: /\/(warm|cold|busy|cooling) /,
		why: "the temperature of what is not in use follows in its own time",
	},
];

const names = ["p1", "p2", "p3", "l1", "l2", "boot", "nope", "1x", "a.b", "a b"];
const programs = [
	"vcl 4.1; backend default none;",
	'vcl 4.1; backend a { .host = "127.0.0.1"; } backend b { .host = "127.0.0.2"; } sub vcl_recv { set req.backend_hint = b; }',
	'vcl 4.0; backend a { .host = "127.0.0.1"; .probe = { .interval = 1h; .initial = 0; } }',
	"vcl 4.1; backend default none; sub vcl_recv { return (vcl(l1)); }",
	"vcl 4.1; backend default none; sub vcl_recv { return (vcl(l2)); }",
	"vcl 4.1; sub vcl_recv { foo; }",
	"",
];
const fields = [
	"req.url",
	"req.http.host",
	"obj.http.x",
	"obj.status",
	"obj.ttl",
	"obj.age",
	"obj.grace",
	"obj.keep",
	"foo",
	"req.http",
	"REQ.URL",
	"req.http.x-y",
	"obj.source",
];
const operators = ["==", "!=", "~", "!~", "<", ">=", "=", "<="];
const values = ["/a", "(", "a.*b", "10s", "5", "200", "\\\\.png$", "10x"];
const settings: readonly (readonly [string, readonly string[]])[] = [
	["default_ttl", ["10", "-1", "x", "1h", "10s", "1.5", "1e3", "", "100000000000", "10 s"]],
	["default_grace", ["0", "10m", "1d", "1"]],
	["thread_pools", ["1", "0", "x", "2"]],
	["max_restarts", ["0", "4", "-1", "4.5", "1k", "unlimited"]],
	["cli_limit", ["48k", "1", "1m", "100b", "100q"]],
	["workspace_client", ["64k", "1k", "1g", "63.5k", "10"]],
	[
		"feature",
		["-http2", "+http2", "none", "+foo", "http2", "+validate_headers,-validate_headers", "default"],
	],
	["vsl_mask", ["-Hash", "+Hash", "none", "default", "+Nope", "Hash"]],
	["http_gzip_support", ["on", "off", "yes", "false", "maybe", "1"]],
	["ban_dups", ["on", "off", "enable", "disable", "x"]],
	["connect_timeout", ["3.5", "-1", "never", "100ms", "5s"]],
	["pipe_timeout", ["60", "0", "1h"]],
	["gzip_level", ["0", "9", "10", "-1", "6"]],
	["lru_interval", ["2", "x"]],
	["nope", ["1"]],
	["vcl_path", ["/tmp", "", "/a:/b"]],
	["thread_pool_min", ["5", "4", "100000", "10"]],
	["thread_pool_max", ["100", "5", "99999"]],
	["clock_skew", ["10", "1.5"]],
	["debug", ["+syncvsl", "none", "-syncvsl", "+nope"]],
	["vcl_cooldown", ["600", "0", "10m"]],
];

function command(random: Random): string {
	const name = () => random.pick(names);
	const test = () => `${random.pick(fields)} ${random.pick(operators)} ${random.pick(values)}`;
	const parameter = random.pick(settings);
	const json = random.chance(0.1) ? " -j" : "";
	return random.pick<() => string>([
		() =>
			`vcl.inline ${name()} ${JSON.stringify(random.pick(programs))}${random.pick(["", "", " warm", " cold", " auto", " hot"])}`,
		() => `vcl.inline ${random.pick(["p1", "p2", "p3"])} ${JSON.stringify(random.pick(programs))}`,
		() => `vcl.use ${name()}`,
		() => `vcl.label ${random.pick(["l1", "l2", name()])} ${name()}`,
		() => `vcl.discard ${random.pick([name(), "p*", "l1 l2", "*", "p1 p2", "p[12]"])}`,
		() => `vcl.state ${name()} ${random.pick(["warm", "cold", "auto", "hot"])}`,
		() => "vcl.list",
		() => "vcl.deps",
		() => `vcl.show ${random.pick(["", "-v "])}${name()}`,
		() => `ban ${test()}`,
		() => `ban ${test()} && ${test()}`,
		() =>
			`ban ${random.pick(["", "req.url", "req.url ~", "req.url ~ a b", `${test()} &&`, `${test()} || ${test()}`])}`,
		() => "ban.list",
		() => `param.set ${parameter[0]} ${JSON.stringify(random.pick(parameter[1]))}`,
		() => `param.set ${parameter[0]} ${random.pick(parameter[1])}`,
		() => `param.show${json} ${parameter[0]}`,
		() => `param.reset ${parameter[0]}`,
		() => "param.show changed",
		() =>
			`backend.list${random.pick(["", " -p", json])} ${random.pick(["", "*", "*.*", "boot.*", "p1.a", "nope", "a", "p*", "*.a"])}`,
		() =>
			`backend.set_health ${random.pick(["*", "*.*", "boot.*", "p1.a", "nope", "a", "p*.b", "boot.default"])} ${random.pick(["auto", "healthy", "sick", "well", "Sick", ""])}`,
		() =>
			random.pick([
				"ping",
				"ping -j",
				"status",
				"status -j",
				"help vcl.use",
				"help nope",
				"help -a -d",
				"HELP",
				"nope",
				"vcl",
				"storage.list",
				"panic.show",
				"panic.clear",
				"panic.clear -z",
				"start",
				"banner",
				"vcl.list x y",
				"ping a b c",
				"help -j x",
				"pid x",
				"banner x",
				'"',
				"vcl.use",
				"vcl.load a",
				"vcl.load a /nope",
				"\\x41",
				"ban.list x",
				"storage.list x",
				"-ping",
				"  ping",
			]),
	])();
}

/** Without times, numbers of processes, addresses, widths of columns and hints. */
const plain = (text: string) =>
	normalise(text)
		.replace(/\n*Hint: [^\n]*/g, "")
		.replace(/\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT/g, "a time")
		.replace(/\b\d{9,}(\.\d+)?/g, "a number")
		.replace(/[ \t]+/g, " ")
		.trim();

const { values: options, positionals } = parseArgs({
	allowPositionals: true,
	options: { seconds: { type: "string", default: "30" }, all: { type: "boolean", default: false } },
});
const seed = Number(positionals[0] ?? 1);
const directory = stormDirectory("cli-storm");

/** What differs in two replies: the status, or the first line that does. */
function difference(theirs: CliReply, ours: CliReply): string | undefined {
	if (theirs.status !== ours.status)
		return `status: varnishd ${theirs.status} ${JSON.stringify(plain(theirs.text).slice(0, 200))}, Drover ${ours.status} ${JSON.stringify(plain(ours.text).slice(0, 200))}`;
	const lines = plain(ours.text).split("\n");
	for (const [at, line] of plain(theirs.text).split("\n").entries())
		if (line !== lines[at])
			return `line ${at}: varnishd ${JSON.stringify(line)}, Drover ${JSON.stringify(lines[at])}`;
	return undefined;
}

const sides: Awaited<ReturnType<typeof startManaged>>[] = [];
const found = new Map<string, { count: number; story: string[] }>();
try {
	sides.push(
		await startManaged(stock, directory, ["-p", "cc_command=%D -O0"]),
		await startManaged(drover, directory, ["-p", "cc_command=%D -O0"]),
	);
	const random = randomFrom(seed);
	const both = (text: string) => Promise.all(sides.map(({ cli }) => cli.ask(text)));
	const end = performance.now() + Number(options.seconds) * 1000;
	let count = 0;
	while (performance.now() < end) {
		const story: string[] = [];
		for (let at = 0; at < STORY; at++) {
			const text = command(random);
			story.push(text);
			count++;
			const [theirs, ours] = await both(text);
			const what = difference(theirs!, ours!);
			if (what === undefined) continue;
			if (!options.all && known.some((each) => each.command.test(text) && each.what.test(what))) continue;
			const kind = `${text.replace(/^(\S+).*/s, "$1")} | ${what.replace(/\d+/g, "N")}`;
			const before = found.get(kind);
			if (before === undefined)
				found.set(kind, { count: 1, story: [...story.slice(-4, -1), `${text}\n        ${what}`] });
			else before.count++;
			// From here on they are not in the same state.
			if (/^(vcl|backend|param)\./.test(text) && what.startsWith("status")) break;
		}
		await both("vcl.use boot");
		for (const name of ["l1", "l2", "p1", "p2", "p3"]) await both(`vcl.discard ${name}`);
		for (const name of ["p1", "p2", "p3", "nope", "l1", "l2"]) await both(`vcl.discard ${name}`);
		for (const [name] of settings) await both(`param.reset ${name}`);
		await both("backend.set_health boot.default auto");
	}
	console.log(`${count} commands, ${found.size} kinds of differences`);
	for (const { count: times, story } of [...found.values()].sort((a, b) => b.count - a.count))
		console.log(`${String(times).padStart(5)} x ${story.at(-1)}`);
} finally {
	for (const { cache, cli } of sides) {
		cli.close();
		await cache.stop();
	}
	rmSync(directory, { recursive: true, force: true });
}
process.exit(found.size === 0 ? 0 : 1);
