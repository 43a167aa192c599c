/**
 * What a policy costs. 88 statements of the kinds that real files have (host comparisons, expressions, X-Forwarded-For,
 * user agents), run on one request, against the same sub without them. Bar: 0.5 µs per request.
 */
import { compileVcl } from "../../firmware/cache/vcl/compile.ts";
import type { BackendDefinition, MethodName, VclContext, VclHost } from "../../firmware/cache/vcl/runtime.ts";
import type { BenchResult } from "./result.ts";

const barNanoseconds = 500;

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

/** A message as an engine keeps it: parallel arrays, names interned. */
class Headers {
	names: string[] = [];
	values: string[] = [];
	method = "GET";
	url = "/articles/2024/some-title-of-an-article?page=2";
	proto = "HTTP/1.1";
	backendHint = null;
	esiLevel = 0;

	reset(): void {
		this.names = [
			"host",
			"user-agent",
			"accept",
			"accept-language",
			"accept-encoding",
			"referer",
			"connection",
			"cache-control",
			"dnt",
			"upgrade-insecure-requests",
			"sec-fetch-mode",
			"sec-fetch-site",
		];
		this.values = [
			"site11.example.com",
			"Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0",
			"text/html",
			"en",
			"gzip",
			"https://www.example.com/",
			"keep-alive",
			"max-age=0",
			"1",
			"1",
			"navigate",
			"same-origin",
		];
	}

	header(lower: string): string | null {
		const index = this.names.indexOf(lower);
		return index < 0 ? null : this.values[index]!;
	}

	setHeader(lower: string, _name: string, value: string): void {
		const index = this.names.indexOf(lower);
		if (index < 0) {
			this.names.push(lower);
			this.values.push(value);
		} else this.values[index] = value;
	}

	unsetHeader(lower: string): void {
		const index = this.names.indexOf(lower);
		if (index < 0) return;
		this.names.splice(index, 1);
		this.values.splice(index, 1);
	}
}

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
	const req = new Headers();
	const context = {
		req,
		connection: { clientIp: { text: "192.0.2.7", port: 1, bytes: new Uint8Array([192, 0, 2, 7]) } },
		method: "vcl_recv" as MethodName,
		log: () => undefined,
	} as unknown as VclContext;
	const run = () => {
		// CPU time: other work on the machine does not count.
		const begin = process.cpuUsage();
		for (let request = 0; request < requests; request++) {
			req.reset();
			vcl_recv(context);
		}
		const { user, system } = process.cpuUsage(begin);
		return ((user + system) * 1e3) / requests;
	};
	for (let round = 0; round < 5; round++) run();
	const times = Array.from({ length: rounds }, run).sort((a, b) => a - b);
	return times[Math.floor(times.length / 2)]!;
}

const bare = 'vcl 4.1;\nbackend default { .host = "127.0.0.1"; }\nsub vcl_recv { return (hash); }\n';

export async function bench(): Promise<readonly BenchResult[]> {
	// Interleaved, so that a busy machine disturbs both alike.
	const with88: number[] = [];
	const without: number[] = [];
	for (let round = 0; round < 5; round++) {
		without.push(measure(bare, 5, 20_000));
		with88.push(measure(policy(), 5, 20_000));
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
