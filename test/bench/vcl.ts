/**
 * What a policy costs. 88 statements of the kinds that real files have (host comparisons, expressions, X-Forwarded-For,
 * user agents), run on one request, against the same sub without them. Bar: 0.5 µs per request.
 */
import { readFileSync } from "node:fs";
import { FieldList, fieldKey } from "../../firmware/cache/http/headers.ts";
import type { RequestHead } from "../../firmware/cache/http/request.ts";
import { discardingSink } from "../../firmware/cache/log/sink.ts";
import { TransactionLog } from "../../firmware/cache/log/transaction-log.ts";
import { compileVcl } from "../../firmware/cache/vcl/compile.ts";
import type { BackendDefinition, MethodName, VclContext, VclHost } from "../../firmware/cache/vcl/runtime.ts";
import { ClientRequestFields } from "../../firmware/cache/worker/client-messages.ts";
import type { BenchResult } from "./result.ts";

const barNanoseconds = 500;
const WARM_UP_MS = 300;

/** 16 hosts, 8 expressions, 4 combined conditions, header edits: 88 statements in all. */
export function policy(): string {
	const lines: string[] = [];
	let statements = 0;
	const add = (text: string, count: number) => {
		lines.push(text);
		statements += count;
	};
	for (let index = 0; index < 16; index++)
		add(
			`${index === 0 ? "if" : "} elsif"} (req.http.host == "site${index}.example.com") { set req.http.X-Site = "${index}"; set req.http.X-Pool = "pool${index % 4}";`,
			3,
		);
	lines.push("}");
	const patterns = [
		"^/static/",
		"\\\\.(png|gif|jpe?g|css|js)$".replaceAll("\\\\", "\\"),
		"^/(wp-login|wp-admin)",
		"(?i)^/api/v[0-9]+/",
		"[?&]utm_[a-z]+=",
		"^/search",
		"/feed/?$",
		"preview=true",
	];
	for (const pattern of patterns)
		add(`if (req.url ~ "${pattern}") { set req.http.X-Kind = "k"; unset req.http.X-Other; }`, 3);
	for (const method of ["PURGE", "BAN", "TRACE", "OPTIONS"])
		add(`if (req.method == "${method}" && !req.http.X-Allowed) { return (synth(405, "Not allowed")); }`, 2);
	add(
		'if (req.http.X-Forwarded-For) { set req.http.X-Forwarded-For = req.http.X-Forwarded-For + ", " + client.ip; } else { set req.http.X-Forwarded-For = client.ip; }',
		3,
	);
	add(
		'if (req.http.User-Agent ~ "(?i)(android|iphone|mobile)") { set req.http.X-Device = "mobile"; } else { set req.http.X-Device = "desktop"; }',
		3,
	);
	while (statements < 88) add(`if (req.http.X-Flag${statements % 3}) { return (pass); }`, 1);
	return `vcl 4.1;\nbackend default { .host = "127.0.0.1"; }\nsub vcl_recv {\n${lines.join("\n")}\nreturn (hash);\n}\n`;
}

const lines = [
	"Host: site11.example.com",
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0",
	"Accept: text/html",
	"Accept-Language: en",
	"Accept-Encoding: gzip",
	"Referer: https://www.example.com/",
	"Connection: keep-alive",
	"Cache-Control: max-age=0",
	"DNT: 1",
	"Upgrade-Insecure-Requests: 1",
	"Sec-Fetch-Mode: navigate",
	"Sec-Fetch-Site: same-origin",
];
const keys = lines.map((line) => fieldKey(line.slice(0, line.indexOf(":"))));

/** Nanoseconds of CPU that this thread has used: compilers and collectors in other threads do not count. */
const threadNanoseconds = () =>
	Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, "utf8").split(" ")[0]);

/** CPU nanoseconds per request, with the worker's own messages and log records. */
function measure(source: string, rounds: number, requests: number): number {
	const result = compileVcl(source);
	if (!result.ok) throw new Error(result.error.text);
	const loaded = result.vcl.link({
		backend: (definition: BackendDefinition) => ({
			name: definition.name,
			resolve: () => null,
			healthy: () => true,
			changedAt: 0,
			definition,
		}),
		stevedore: () => null,
		clock: () => 0,
		log: () => undefined,
	} as unknown as VclHost);
	loaded.init();
	const { vcl_recv } = loaded.subs;
	const head = {
		kind: "request",
		method: "GET",
		url: "/articles/2024/some-title-of-an-article?page=2",
		proto: "HTTP/1.1",
		host: undefined,
		fields: { canGzip: true },
	} as unknown as RequestHead;
	const connection = {
		clientIp: { text: "192.0.2.7", port: 1, bytes: new Uint8Array([192, 0, 2, 7]) },
	} as unknown as VclContext["connection"];
	const run = () => {
		const begin = threadNanoseconds();
		for (let request = 0; request < requests; request++) {
			const log = new TransactionLog(discardingSink, request, 0);
			const task = { vslLog: log, key: "", restarts: 0, startedAt: 0, xid: request, esiLevel: 0 };
			const context = {
				req: new ClientRequestFields(task, head, new FieldList(lines, keys)),
				connection,
				method: "vcl_recv" as MethodName,
				varied: false,
				hitsBound: -1,
				log: () => undefined,
			} as unknown as VclContext;
			vcl_recv(context);
			log.end();
		}
		return (threadNanoseconds() - begin) / requests;
	};
	// As long as compilers in other threads need to get there, whatever else the machine does.
	const until = performance.now() + WARM_UP_MS;
	while (performance.now() < until) run();
	const times = Array.from({ length: rounds }, run).sort((a, b) => a - b);
	return times[Math.floor(times.length / 2)]!;
}

const bare = 'vcl 4.1;\nbackend default { .host = "127.0.0.1"; }\nsub vcl_recv { return (hash); }\n';

export async function bench(): Promise<readonly BenchResult[]> {
	// Interleaved, so that a busy machine disturbs both alike.
	const with88: number[] = [];
	const without: number[] = [];
	for (let round = 0; round < 5; round++) {
		without.push(measure(bare, 5, 10_000));
		with88.push(measure(policy(), 5, 10_000));
	}
	const median = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
	const added = median(with88) - median(without);
	const begin = performance.now();
	for (let round = 0; round < 10; round++) compileVcl(policy());
	const compileMilliseconds = (performance.now() - begin) / 10;
	const started = performance.now();
	const stock = Bun.spawnSync(["varnishd", "-V"]);
	const stockMilliseconds = stock.exitCode === 0 ? performance.now() - started : Number.NaN;
	return [
		{
			name: "VCL of 88 statements, added per request",
			ours: `${added.toFixed(0)} ns`,
			peer: `${barNanoseconds} ns (bar)`,
			ratio: added / barNanoseconds,
			bar: 1,
		},
		{
			name: "VCL of 88 statements, compiled",
			ours: `${compileMilliseconds.toFixed(1)} ms`,
			peer: `about 1000 ms with a C compiler (varnishd starts in ${stockMilliseconds.toFixed(0)} ms)`,
			ratio: compileMilliseconds / 1000,
			bar: 1,
		},
	];
}

if (import.meta.main)
	for (const row of await bench())
		console.log(`${row.name.padEnd(44)} ${row.ours.padEnd(12)} ${row.peer}  ratio ${row.ratio.toFixed(2)}`);
