/**
 * A storm of mistakes, run by hand: small programs with anything anywhere, and files of the corpus with slips of the hand in them, to
 * `varnishd -C` and Drover's compiler. Prints where they differ: whether it compiles, and what is said of it.
 *
 *   bun test/conformance/vcl-mistakes.ts [SEED] [--seconds N] [--all] [--only PROGRAM]
 *
 * --all: also what is otherwise on purpose. --only: one program of the seed, in full.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { compileVcl } from "../../firmware/cache/vcl/compile.ts";
import { formatFailure } from "../../firmware/cache/vcl/diagnostic.ts";
import { head, mistakes } from "../cache/vcl/mistakes.ts";
import { normalise, StockCompiler } from "../cache/vcl/stock.ts";
import { type Random, randomFrom } from "../sim/random.ts";
import { stormOptions } from "./storm.ts";

/** Expressions of every type, and some of none. */
const operands: readonly string[] = [
	...[
		'"a"',
		'""',
		"req.url",
		"req.http.a",
		"req.http.nope",
		"req.url.upper()",
		"req.url.lower()",
		'regsub(req.url, "a", "b")',
		'{"long"}',
		'"""long"""',
		'std.toupper("a")',
		"server.identity",
		"client.identity",
		"req.xid",
	],
	...[
		"1",
		"0",
		"-1",
		"- 1",
		"-(1)",
		"999999999999999",
		"req.restarts",
		'std.integer("1", 0)',
		"req.esi_level",
		"1.5",
		"-1.5",
		"0.001",
		"999999999999.999",
		"std.random(1, 2)",
		"1.0",
	],
	...[
		"1s",
		"1.5m",
		"-2h",
		"10 s",
		"1ms",
		"0.5w",
		"1y",
		"1d",
		"req.ttl",
		"req.grace",
		'std.duration("1s", 2s)',
		"now",
		"req.time",
		'std.time("x", now)',
		"now - now",
	],
	...[
		"1KB",
		"1B",
		"1.5MB",
		"2 GB",
		"1TB",
		'std.bytes("1k", 1B)',
		"storage.s0.free_space",
		"storage.s0.used_space",
		"storage.s0.happy",
		"storage.Transient.happy",
		"storage.s0",
		"storage.nope",
		"req.storage",
	],
	...[
		"true",
		"false",
		"req.hash_always_miss",
		"req.is_hitmiss",
		"std.healthy(a)",
		"client.ip",
		"server.ip",
		"remote.ip",
		"local.ip",
		'std.ip("1.1.1.1", "2.2.2.2")',
		'"127.0.0.1"',
		"a",
		"b",
		"default",
		"req.backend_hint",
		"rr",
		"rr.backend()",
		"rr.foo()",
		"rr.backend",
		"req.backend_hint.resolve()",
		"nobody",
	],
	...[
		"local_acl",
		"pr",
		"helper",
		"vcl_miss",
		"vcl_recv",
		":Zm9v:",
		"::",
		'blob.decode(HEX, encoded="66")',
		"words.get()",
		"req.hash",
		"req",
		"bereq",
		"beresp.http.x",
		"obj.hits",
		"resp.status",
		"req.http",
		"req.foo",
		"std",
		"std.foo",
		"std.log",
		"foo",
		"foo()",
		"foo.bar()",
		"req.http.x.y",
		'req.http."a b"',
		'req.http."a"',
		"STRING",
		"synth",
		"lookup",
		"if",
		"set",
		"vcl",
		"local.socket",
		"req_top.url",
		"req.esi",
		"req.proto",
	],
	...[
		"()",
		"(1",
		"(1)",
		'("a")',
		"(true)",
		"!true",
		"!req.http.a",
		"! !true",
		"-req.restarts",
		"-req.url",
		"-now",
		"+1",
		"1 2",
		'"a" "b"',
		".5",
		"5.",
		"1e3",
		"0x10",
		"$",
		"@",
		"'a'",
		"`",
		"\\",
		"1 == 1",
		"1 == 1 == 1",
		'"(a"',
		'"[[:foo:]]"',
		"C{ }C",
	],
];
const operators = [
	"+",
	"-",
	"*",
	"/",
	"%",
	"==",
	"!=",
	"<",
	">",
	"<=",
	">=",
	"~",
	"!~",
	"&&",
	"||",
	"=",
	"++",
	"--",
	"&",
	"|",
	">>",
	"<<",
	"!",
	",",
	".",
	";",
	":",
];
const assignments = ["=", "=", "=", "=", "+=", "-=", "*=", "/=", "==", "", ":=", "~", "!="];
const targets = [
	"req.http.x",
	"req.http.x",
	"req.url",
	"req.ttl",
	"req.grace",
	"req.restarts",
	"req.hash_always_miss",
	"req.hash_ignore_busy",
	"req.backend_hint",
	"req.storage",
	"req.method",
	"req.proto",
	"req.esi",
	"client.identity",
	"client.ip",
	"now",
	"beresp.ttl",
	"bereq.url",
	"resp.status",
	"resp.http.x",
	"resp.body",
	"beresp.body",
	"obj.ttl",
	"req",
	"req.http",
	"foo",
	"a",
	"req.foo",
	"storage.s0",
	"sess.timeout_idle",
	"sess.idle_send_timeout",
	"req.filters",
	"resp.filters",
	"beresp.filters",
	"bereq.body",
	"req.hash",
	'"a"',
	"1",
	"",
	'req.http."q-r"',
	'req.http."q r"',
	"local.socket",
	"beresp.status",
	"beresp.storage",
	"beresp.backend",
	"bereq.backend",
	"bereq.between_bytes_timeout",
	"beresp.do_esi",
	"resp.do_esi",
	"bereq.connect_timeout",
	"beresp.uncacheable",
	"beresp.storage_hint",
	"obj.hits",
	"server.ip",
];
const subs = [
	"vcl_recv",
	"vcl_recv",
	"vcl_recv",
	"vcl_hash",
	"vcl_pipe",
	"vcl_pass",
	"vcl_purge",
	"vcl_miss",
	"vcl_hit",
	"vcl_deliver",
	"vcl_synth",
	"vcl_backend_fetch",
	"vcl_backend_response",
	"vcl_backend_error",
	"vcl_init",
	"vcl_fini",
	"helper2",
];
const actions = [
	"fail",
	"synth",
	"restart",
	"pass",
	"pipe",
	"hash",
	"purge",
	"vcl",
	"fetch",
	"lookup",
	"deliver",
	"retry",
	"abandon",
	"error",
	"ok",
	"miss",
	"hit",
	"hit_for_pass",
	"",
	"foo",
];

/** `function`, arguments by their types. */
const calls: readonly (readonly [string, number])[] = [
	...(
		[
			"std.log",
			"std.syslog",
			"std.toupper",
			"std.tolower",
			"std.querysort",
			"std.random",
			"std.collect",
			"std.integer",
			"std.real",
			"std.duration",
			"std.bytes",
			"std.time",
			"std.ip",
			"std.strlen",
			"std.fnmatch",
			"std.healthy",
			"std.port",
			"std.rollback",
			"std.timestamp",
			"std.cache_req_body",
			"std.late_100_continue",
			"std.set_ip_tos",
			"std.getenv",
			"std.fileread",
			"std.file_exists",
			"std.blobread",
			"std.syntax",
			"std.real2integer",
			"std.real2time",
			"std.time2integer",
			"std.time2real",
			"std.strstr",
			"std.ban",
			"std.ban_error",
			"std.now",
			"std.foo",
		] as const
	).map((each) => [each, 3] as const),
	...(
		[
			"blob.decode",
			"blob.encode",
			"blob.transcode",
			"blob.same",
			"blob.equal",
			"blob.length",
			"blob.sub",
			"words.get",
			"words.encode",
			"words.foo",
			"cookie.parse",
			"cookie.get",
			"cookie.set",
			"cookie.keep",
			"cookie.filter_re",
			"cookie.get_re",
			"cookie.format_rfc1123",
			"cookie.isset",
			"cookie.get_string",
			"cookie.clean",
			"header.append",
			"header.get",
			"header.copy",
			"header.remove",
			"header.regsub",
			"purge.hard",
			"purge.soft",
			"proxy.is_ssl",
			"proxy.alpn",
			"unix.user",
			"unix.uid",
			"vtc.sleep",
			"directors.lookup",
			"rr.backend",
			"rr.add_backend",
			"rr.remove_backend",
			"sh.backend",
			"sh.add_backend",
			"sh.reconfigure",
			"sh.set_warmup",
			"sh.associate",
			"sp.set",
			"sp.get_by",
			"regsub",
			"regsuball",
			"hash_data",
			"synthetic",
			"ban",
			"call",
			"new",
		] as const
	).map((each) => [each, 3] as const),
];
const named = [
	"s",
	"fallback",
	"s=",
	"real",
	"integer",
	"duration",
	"time",
	"bytes",
	"bool",
	"resolve",
	"p",
	"encoding",
	"case",
	"encoded",
	"length",
	"strings",
	"by",
	"key",
	"param",
	"resolve",
	"healthy",
	"alt",
	"rampup",
	"warmup",
	"key_blob",
	"backend",
	"weight",
	"ident",
	"a",
	"ttl",
	"name",
	"sep",
	"hdr",
	"i",
	"pattern",
	"subject",
	"pathname",
	"noescape",
	"period",
	"foo",
];
const enums = [
	"BASE64",
	"HEX",
	"IDENTITY",
	"URL",
	"LOWER",
	"UPPER",
	"DEFAULT",
	"HASH",
	"KEY",
	"BLOB",
	"NOW",
	"LAZY",
	"CHOSEN",
	"ALL",
	"IGNORE",
	"FOO",
];

const backendValues = [
	'"127.0.0.1"',
	'"127.0.0.1:80"',
	'"[::1]:80"',
	'"::1"',
	'"127.0.0.1 80"',
	'""',
	'"8080"',
	'"http"',
	'"70000"',
	'"-1"',
	"80",
	"1",
	"2",
	"3",
	"0",
	"1s",
	"5",
	"1.5s",
	"-1s",
	"1ms",
	"10 s",
	"pr",
	"default",
	"a",
	"foo",
	":Zm9v:",
	'"/tmp"',
	'"/nope"',
	'"x"',
	"true",
	"{ }",
	'{ .url = "/"; }',
	"{ .interval = 5s; .timeout = 1s; .window = 8; .threshold = 3; }",
	"{ .window = 3; }",
	"100000000000000000",
	"1KB",
];
const backendFields = [
	"host",
	"host",
	"host",
	"port",
	"path",
	"host_header",
	"connect_timeout",
	"first_byte_timeout",
	"between_bytes_timeout",
	"max_connections",
	"proxy_header",
	"preamble",
	"probe",
	"foo",
	"Host",
	"via",
];
const probeFields = [
	"url",
	"request",
	"expected_response",
	"timeout",
	"interval",
	"window",
	"threshold",
	"initial",
	"foo",
	"Url",
];
const probeValues = [
	'"/"',
	'"GET / HTTP/1.1"',
	'"GET / HTTP/1.1" "Host: x"',
	'"a" + "b"',
	"200",
	"99",
	"1000",
	"5s",
	"1ms",
	"0s",
	"-1s",
	"1.5s",
	"8",
	"64",
	"65",
	"0",
	"3",
	"1",
	"2",
	"-1",
	"foo",
	"1.5",
	"5 s",
	'""',
	"true",
];
const aclEntries = [
	'"127.0.0.1"',
	'"127.0.0.1"/8',
	'"127.0.0.0"/8',
	'! "127.0.0.1"',
	'("127.0.0.1")',
	'! ("127.0.0.1")',
	'(! "127.0.0.1")',
	'! (! "127.0.0.1")',
	'"::1"',
	'"::1"/128',
	'"::1"/129',
	'"fe80::"/10',
	'"10"',
	'"10.1"',
	'"10.1.2"',
	'"10.1.2.3.4"',
	'"10"/8',
	'"10"/16',
	'"10.0.0.0/8"',
	'"10.0.0.0/8"/8',
	'"10.0.0.0/"',
	'"/8"',
	'""',
	'"256.1.1.1"',
	'"10.0.0.0"/0',
	'"0.0.0.0"/0',
	'"1.2.3.4"/32',
	'"1.2.3.4"/31',
	'"1.2.3.4"/33',
	'"1.2.3.4"/-1',
	'"1.2.3.4"/"8"',
	'"1.2.3.4"/1.5',
	"1.2.3.4",
	"local",
	'{"1.2.3.4"}',
	'"1.2.3.4" "5.6.7.8"',
	'"1.2.3.4", "5.6.7.8"',
	'"[::1]"',
	'"127.0.0.1:80"',
	'"::ffff:1.2.3.4"',
	'"::ffff:1.2.3.4"/96',
	'"01.2.3.4"',
	'" 1.2.3.4"',
	'"1.2.3.4 "',
];
const names = [
	"c",
	"d",
	"a",
	"default",
	"vcl_x",
	"VCL_x",
	"a.b",
	"a-b",
	"a_b",
	"1a",
	"_a",
	"-a",
	"req",
	"std",
	"true",
	"none",
	"if",
	"sub",
	"acl",
	"backend",
	"helper",
	"pr",
	"local_acl",
	"rr",
	"STRING",
	'"c"',
	"",
	"beresp",
	"storage",
	"now",
	"regsub",
	"client",
	"lookup",
	"label",
];
const vmodNames = [
	"std",
	"directors",
	"blob",
	"cookie",
	"header",
	"purge",
	"proxy",
	"unix",
	"vtc",
	"foo",
	"a",
	"vcl",
	"sub",
	"none",
];
const objects = [
	"directors.round_robin()",
	"directors.random()",
	"directors.hash()",
	"directors.fallback()",
	"directors.fallback(true)",
	"directors.fallback(sticky=true)",
	"directors.shard()",
	"directors.shard_param()",
	"directors.random(1)",
	"directors.foo()",
	"directors.round_robin",
	"directors",
	"foo.bar()",
	'blob.blob(BASE64, "Zm9v")',
	'blob.blob(FOO, "x")',
	'blob.blob(decoding=HEX, encoded="66")',
	"std.log()",
	'std.log("x")',
	"rr.backend()",
	'"x"',
	"1",
	"blob.blob()",
	"directors.fallback(1)",
];

const preamble = `vcl 4.1;
import std;
import blob;
import cookie;
import directors;
backend a { .host = "127.0.0.1"; }
backend b none;
probe pr { }
acl local_acl { "127.0.0.1"; }
sub helper { }
sub vcl_init {
	new rr = directors.round_robin();
	rr.add_backend(b);
	new sh = directors.shard();
	new sp = directors.shard_param();
	new words = blob.blob(BASE64, "Zm9v");
}
sub vcl_recv {
	call helper;
	if (client.ip ~ local_acl) { }
	if (req.http.never) { set req.backend_hint = rr.backend(); set req.backend_hint = b; }
}
`;
/** Uses the probe, so that nothing is left over. */
const used = `backend p { .host = "127.0.0.1"; .probe = pr; }
sub vcl_pipe { if (req.http.never) { set bereq.backend = p; } }
`;

class Writer {
	readonly #random: Random;

	constructor(random: Random) {
		this.#random = random;
	}

	expression(depth: number): string {
		const random = this.#random;
		if (depth <= 0 || random.chance(0.4)) return random.pick(operands);
		switch (random.integer(0, 5)) {
			case 0:
				return `(${this.expression(depth - 1)})`;
			case 1:
				return `${random.pick(["!", "-"])}${this.expression(depth - 1)}`;
			case 2:
				return this.call(depth - 1);
			default:
				return `${this.expression(depth - 1)} ${random.pick(operators)} ${this.expression(depth - 1)}`;
		}
	}

	call(depth: number): string {
		const random = this.#random;
		const [name, most] = random.pick(calls);
		const list = Array.from({ length: random.integer(0, most) }, () => {
			const value = random.chance(0.2) ? random.pick(enums) : this.expression(depth - 1);
			return random.chance(0.2) ? `${random.pick(named)}=${value}` : value;
		});
		return `${name}(${list.join(random.chance(0.03) ? " " : ", ")}${random.chance(0.03) ? "," : ""})`;
	}

	statement(depth: number): string {
		const random = this.#random;
		const value = () => this.expression(random.integer(0, 2));
		const end = random.chance(0.03) ? "" : ";";
		switch (random.integer(0, 12)) {
			case 0:
			case 1:
			case 2:
			case 3:
				return `set ${random.pick(targets)} ${random.pick(assignments)} ${value()}${end}`;
			case 4:
				return `unset ${random.pick(targets)}${random.chance(0.05) ? value() : ""}${end}`;
			case 5:
			case 6:
				return `if (${value()}) { ${depth > 0 ? this.statement(depth - 1) : ""} }${random.pick(["", "", " else { }", ` elsif (${value()}) { }`, ` else if (${value()}) { } else { }`, " else ;", " else if { }", " elseif", ";"])}`;
			case 7:
				return `return${random.pick([" ", ""])}${random.chance(0.05) ? "" : "("}${random.pick(actions)}${random.chance(0.4) ? `(${random.pick(["", "200", '"x"', '200, "x"', '200, "x", 1', "1s", "10", "label", value(), `${value()}, ${value()}`])})` : ""}${random.chance(0.05) ? "" : ")"}${end}`;
			case 8:
				return `call ${random.pick(["helper", "helper2", "vcl_recv", "vcl_miss", "foo", "a", '"helper"', "helper()", "std.log", "rr", "", "vcl_builtin_recv", "vcl_req_host"])}${end}`;
			case 9:
				return `new ${random.pick(names)} ${random.pick(["=", "=", "=", "", "=="])} ${random.pick(objects)}${end}`;
			case 10:
				return `${this.call(2)}${end}`;
			case 11:
				return random.pick([
					"{ }",
					"{",
					"}",
					";",
					"C{ int x; }C",
					"// x",
					"/* x",
					"error 405;",
					"remove req.http.x;",
					"esi;",
					'synthetic {"x"};',
					'hash_data "x";',
					'log "x";',
					"purge;",
					"import std;",
					'include "x";',
					"acl x { }",
					"sub x { }",
					'panic "x";',
					"req.url;",
					"a;",
					"true;",
					"1;",
					'"x";',
					"rr;",
					"rr.backend;",
					"std;",
					"std.log;",
					"return;",
					"goto x;",
					"rollback;",
					'regsub(req.url, "a", "b");',
					"if (true) ;",
					"else { }",
					"elsif (true) { }",
					"set;",
					"unset;",
					"call;",
					"new;",
					"if;",
					"ban;",
				]);
			default:
				return `${random.pick(["hash_data", "synthetic", "ban", "std.log", "std.syslog", "std.collect", "cookie.parse", "std.rollback"])}(${value()})${end}`;
		}
	}

	declaration(): string {
		const random = this.#random;
		const list = (count: number, make: () => string) => Array.from({ length: count }, make).join(" ");
		const end = () => (random.chance(0.03) ? "" : ";");
		const name = () => (random.chance(0.7) ? "c" : random.pick(names));
		switch (random.integer(0, 8)) {
			case 0:
			case 1:
			case 2: {
				const host = random.chance(0.7) ? '.host = "127.0.0.1"; ' : "";
				return `backend ${name()} ${random.chance(0.08) ? random.pick(["none;", "None;", "none", "NONE;", "none { }", ";", "= a;"]) : `{ ${host}${list(random.integer(0, 3), () => `.${random.pick(backendFields)} = ${random.pick(backendValues)}${end()}`)} }`}${random.chance(0.05) ? ";" : ""}`;
			}
			case 3:
			case 4:
				return `probe ${name()} { ${list(random.integer(0, 3), () => `.${random.pick(probeFields)} = ${random.pick(probeValues)}${end()}`)} }`;
			case 5:
			case 6:
				return `acl ${name()} ${random.chance(0.3) ? random.pick(["+log ", "-pedantic ", "+pedantic ", "-table ", "+table +log ", "+foo ", "log ", "+ log ", "-log +log ", "++log "]) : ""}{ ${list(random.integer(0, 4), () => `${random.pick(aclEntries)}${end()}`)} }`;
			case 7:
				return random.pick([
					`import ${random.pick(vmodNames)}${random.pick(["", "", " as x", " as std", " as a", ' from "/nope/libvmod_std.so"', ' from "nope"', " from nope", " as", " x", " as x.y", ' as "x"'])}${end()}`,
					`include ${random.pick(['"nope.vcl"', '"./nope.vcl"', "nope", "", '{"nope.vcl"}', '+glob "/nope/*.vcl"', '-glob "nope.vcl"', '+foo "x"', "+", '+glob +glob "/nope/*"', '"/dev/null"', '"/"', '""'])}${end()}`,
					`vcl ${random.pick(["4.0", "4.1", "4.2", "4", "3.0", "5.0", "4.10", "foo", "", "-4.0", '"4.0"', "4.1.1"])}${end()}`,
				]);
			default:
				return `sub ${random.pick([...names, ...subs, "vcl_builtin_recv", "vcl_req_host", "vcl_beresp_cookie", "vcl_foo"])} { ${random.chance(0.5) ? this.statement(1) : ""} }${random.chance(0.05) ? ";" : ""}`;
		}
	}

	/** Several statements, in blocks within blocks: of two mistakes the first is told of. */
	nested(depth: number): string {
		const random = this.#random;
		const inner = () => (depth > 0 && random.chance(0.5) ? this.nested(depth - 1) : this.statement(1));
		const asked = () =>
			random.pick(["true", "req.http.x", "bereq.http.x", "req.url ~ ", "1", "foo", "!", ""]);
		switch (random.integer(0, 6)) {
			case 0:
				return `{ ${inner()} }`;
			case 1:
				return `if (true) { ${inner()} } else { ${inner()} }`;
			case 2:
				return `if (${asked()}) { ${inner()} } ${random.pick(["elsif", "elif", "elseif", "else if", "else"])} (${asked()}) { ${inner()} } ${inner()}`;
			case 3:
				return `return (vcl(${random.pick(["foo", "a", "helper", "vcl_recv", "rr", "1", '"x"', "std", "", "foo, bar"])}))${random.pick([";", ";", ""])} ${inner()}`;
			case 4: {
				const times = random.integer(2, 40);
				return `${"{ if (true) { ".repeat(times)}${inner()}${" } }".repeat(times - random.pick([0, 0, 0, 1]))}`;
			}
			default:
				return `${inner()} ${inner()}`;
		}
	}

	program(): string {
		const random = this.#random;
		const sub = random.pick(subs);
		const where = random.integer(0, 2);
		const text =
			where === 0 ? this.declaration() : `sub ${sub} { ${where === 1 ? this.nested(2) : this.statement(2)} }`;
		const use = sub === "helper2" && where !== 0 ? "sub vcl_deliver { call helper2; }\n" : "";
		return `${random.chance(0.8) ? preamble : preamble.replace("4.1", "4.0")}${used}${use}${text}\n`;
	}
}

const corpus = join(import.meta.dir, "../../../../shared/corpus/vcl");
const withoutNames = (text: string) => text.replace(/(\.host\s*=\s*)"[^"]*"/g, '$1"127.0.0.1"');
const vtc = join(import.meta.dir, "../cache/vtc");
const seeds: readonly string[] = [
	...readdirSync(corpus)
		.sort()
		.map((name) => withoutNames(readFileSync(join(corpus, name), "latin1")))
		.filter((text) => /^\s*vcl 4/m.test(text)),
	...Object.values(mistakes)
		.flat()
		.map((mistake) => head + mistake),
	...readdirSync(vtc)
		.sort()
		.flatMap((name) =>
			[...readFileSync(join(vtc, name), "latin1").matchAll(/-vcl(?:\+backend)? \{\n([\s\S]*?)\n\}/g)].map(
				([, text]) =>
					`vcl 4.1;\nbackend s1 { .host = "127.0.0.1"; }\nbackend s2 { .host = "127.0.0.1"; }\n${text!
						.replace(/^\s*vcl 4\.\d;/m, "")
						.replaceAll("$" + "{s1_addr}", "127.0.0.1")
						.replaceAll("$" + "{s1_port}", "80")}`,
			),
		),
];
const tokensOf = (text: string) =>
	text.match(
		/\/\*[\s\S]*?\*\/|#[^\n]*|\/\/[^\n]*|\{"[\s\S]*?"\}|"""[\s\S]*?"""|"[^"\n]*"|[A-Za-z_][\w-]*|\d+|\s+|[!=<>]=|[-+*/]=|&&|\|\||!~|[\s\S]/g,
	) ?? [];
const isBlank = (token: string) => /^(?:\s|#|\/\*|\/\/)/.test(token);
const words = [...new Set([...seeds.flatMap(tokensOf), ...operators])].filter((token) => !isBlank(token));

function torn(random: Random, text: string): string {
	const list = tokensOf(text);
	if (list.every(isBlank)) return text;
	const place = () => {
		let at = random.integer(0, list.length - 1);
		while (isBlank(list[at]!)) at = random.integer(0, list.length - 1);
		return at;
	};
	for (let left = random.pick([1, 1, 1, 2]); left > 0; left--) {
		const at = place();
		switch (random.integer(0, 6)) {
			case 0:
				list[at] = " ";
				break;
			case 1:
				list.splice(at, 0, list[at]!, " ");
				break;
			case 2:
				list[at] = random.pick(words);
				break;
			case 3:
				list.splice(at, 0, random.pick(words), " ");
				break;
			case 4:
				list[at] = random.pick(operands);
				break;
			case 5:
				return list.slice(0, at).join("");
			default: {
				const other = place();
				[list[at], list[other]] = [list[other]!, list[at]!];
			}
		}
	}
	return list.join("");
}

const programOf = (seed: number, number: number): string => {
	const random = randomFrom(seed * 1_000_003 + number);
	const made = random.chance(0.6) ? new Writer(random).program() : random.pick(seeds);
	return made.startsWith(preamble.slice(0, 20)) && random.chance(0.7) ? made : torn(random, made);
};

const { seed, seconds, all, only } = stormOptions(60);
const stock = new StockCompiler();

/** What both say of it: nothing when it compiles. */
function verdicts(program: string): { readonly theirs: string; readonly ours: string } {
	const bytes = Buffer.from(program, "latin1");
	const expected = stock.compile(bytes);
	const result = compileVcl(bytes, {
		name: "F",
		upgrade: false,
		include: ({ name }) => ({ ok: false, error: `Cannot read file '${name}' (No such file or directory)` }),
		resolve: () => ({ ok: false, error: "Name or service not known" }),
	});
	return {
		theirs: expected.ok ? "" : expected.text,
		ours: result.ok ? "" : normalise(formatFailure({ ...result.error, hint: null })),
	};
}

/** Names that are looked up, files that are read: theirs is a machine's answer. Untranslated expressions: on purpose. */
const onPurpose = (theirs: string, ours: string) =>
	/DNS lookup|could not be resolved|Include|include|Cannot read|dlopen|Could not (?:open|load|find)|Assert error|cannot be translated exactly|Backend path|<builtin>/.test(
		theirs + ours,
	);

/** The first complaint and its place: what follows a mistake is nobody's guide. */
function complaint(text: string): string {
	const lines = text.split("\n").slice(1);
	return lines.slice(0, lines.findIndex((line) => / Line \d+ Pos \d+/.test(line)) + 1).join("\n");
}

const kindOfText = (text: string) =>
	(text === "" ? "(compiles)" : text.split("\n")[1]!).replace(/'[^']*'/g, "'…'").replace(/\d+/g, "0");

if (only !== undefined) {
	const program = programOf(seed, only);
	const { theirs, ours } = verdicts(program);
	console.log(`${program}\n--- varnishd\n${theirs}\n--- Drover\n${ours}`);
} else {
	const kinds = new Map<
		string,
		{ count: number; readonly first: number; size: number; program: string; theirs: string; ours: string }
	>();
	const end = performance.now() + seconds * 1000;
	let number = 0;
	let refused = 0;
	for (; performance.now() < end; number++) {
		const program = programOf(seed, number);
		const { theirs, ours } = verdicts(program);
		if (theirs !== "") refused++;
		if (theirs === ours) continue;
		if (!all && ((theirs !== "" && complaint(theirs) === complaint(ours)) || onPurpose(theirs, ours)))
			continue;
		const kind = `${kindOfText(theirs)} | ${kindOfText(ours)}`;
		const known = kinds.get(kind);
		if (known === undefined)
			kinds.set(kind, { count: 1, first: number, size: program.length, program, theirs, ours });
		else {
			known.count++;
			if (program.length < known.size) Object.assign(known, { size: program.length, program, theirs, ours });
		}
	}
	console.log(`${number} programs, ${refused} refused by varnishd, ${kinds.size} kinds of differences`);
	for (const [kind, { count, first, theirs, ours, program }] of [...kinds].sort(
		(a, b) => b[1].count - a[1].count,
	)) {
		console.log(`${String(count).padStart(5)} x ${kind}   (program ${first})`);
		console.log(
			`   ${program.replace(preamble, "").replace(used, "").slice(0, 600).replaceAll("\n", "\n   ")}`,
		);
		console.log(
			`   --- varnishd\n   ${theirs.slice(0, 900).replaceAll("\n", "\n   ")}\n   --- Drover\n   ${ours.slice(0, 900).replaceAll("\n", "\n   ")}`,
		);
	}
}
stock.close();
