/**
 * Programs of VCL that use all types, conversions and functions, from a seed. They are well typed but for a slip now
 * and then, which both compilers have to see alike.
 */
import { methodByName } from "../../firmware/cache/vcl/methods.ts";
import type { SimpleType } from "../../firmware/cache/vcl/types.ts";
import { type Variable, variables } from "../../firmware/cache/vcl/variables.ts";
import type { Random } from "../sim/random.ts";

/** What one request runs into: statements at the beginning of some of VCL's subs. */
export type Cell = Readonly<Record<string, readonly string[]>>;

export interface Program {
	/** `4.0` or `4.1`. */
	readonly syntax: string;
	readonly cells: readonly Cell[];
}

/** Result fields that are handed from the request to the answer. */
const RESULTS = 6;

export const declarations = `
import std;
import blob;
import cookie;
import directors;
backend other { .host = "127.0.0.1"; .port = "9"; }
acl local { "127.0.0.1"; }
acl nets { "10.0.0.0"/8; ! "10.1.0.0"/16; "10.1.2.3"; "192.168"; "2001:db8::"/32; ! "2001:db8:1::"/48; }
acl all4 { "0.0.0.0"/0; ! "127.0.0.0"/8; ! "10.0.0.0"/9; }
acl all6 { "::"/0; ! "fe80::"/10; "fe80::1"; }
sub vcl_init {
	new words = blob.blob(BASE64, "Zm9vYmFy");
	new turn = directors.round_robin();
	turn.add_backend(origin);
	new spread = directors.shard();
	spread.add_backend(origin);
	spread.reconfigure();
	if (std.ip("::1", "::1", false) ~ local || std.ip("::1", "::1", false) ~ nets || std.ip("::1", "::1", false) ~ all4 || std.ip("::1", "::1", false) ~ all6) { }
}
sub vcl_backend_fetch {
	if (bereq.http.never) { set bereq.backend = other; }
}
`;

/** What differs from run to run, or ends it: varnishd dies of resp.filters in vcl_synth. */
const unread =
	/xid$|^now$|\.time$|^obj\.(age|ttl)$|^local\.|is_streaming|free_space|do_esi|^(req|bereq|resp|beresp|obj)$|filters$|identity|hostname|\.storage_hint/;
const unset =
	/timeout|do_esi|^req\.(storage|method|hash_ignore)|^sess\.|filters|backend|storage|esi|do_stream|body/;

const usable = (syntax: string, method: string, way: "read" | "set"): readonly Variable[] =>
	variables.filter(
		({ name, lowest, highest, ...each }) =>
			lowest <= Number(syntax) * 10 &&
			Number(syntax) * 10 <= highest &&
			(each[way] & methodByName.get(method)!.bit) !== 0 &&
			!name.endsWith(".http.") &&
			!(way === "read" ? unread : unset).test(name),
	);

const fields: Readonly<Record<string, readonly string[]>> = {
	req: ["A", "B", "nope", "cookie", "host", "empty", "r0", "r1"],
	bereq: ["A", "B", "nope", "cookie", "host", "r0", "r1"],
	beresp: ["etag", "content-type", "x-multi", "nope", "b0", "cache-control"],
	resp: ["etag", "content-type", "x-multi", "nope", "b0", "d0"],
	obj: ["etag", "content-type", "x-multi", "nope", "b0"],
};
/** Messages whose fields a sub reads (the first is the one it writes). */
const messages: Readonly<Record<string, readonly string[]>> = {
	vcl_recv: ["req"],
	vcl_hash: ["req"],
	vcl_pass: ["req"],
	vcl_miss: ["req"],
	vcl_hit: ["req", "obj"],
	vcl_deliver: ["resp", "req"],
	vcl_synth: ["resp", "req"],
	vcl_backend_fetch: ["bereq"],
	vcl_backend_response: ["beresp", "bereq"],
	vcl_backend_error: ["beresp", "bereq"],
};
const resultLetter: Readonly<Record<string, string>> = { req: "r", resp: "d", bereq: "f", beresp: "b" };

const texts = [
	...[
		'""',
		'"a"',
		'"abc"',
		'"A-b_C"',
		'" x "',
		'"a,b, c"',
		'"42"',
		'"-7"',
		'"3.25"',
		'"1e3"',
		'"10s"',
		'"1.5 m"',
	],
	...[
		'"-3d"',
		'"1KB"',
		'"1.5M"',
		'"0x10"',
		'"007"',
		'"5."',
		'".5"',
		'"+5"',
		'"10.1.2.3"',
		'"::1"',
		'"fe80::1"',
	],
	...[
		'"/p/f?b=2&a=1&&c"',
		'"/?x"',
		'"Sun, 06 Nov 1994 08:49:37 GMT"',
		'"784111777"',
		'"a=b; c=d; a=e"',
		'"\\1\\0"',
	],
	...[
		'"Zm9v"',
		'"666f6f"',
		'"a%20b%2F"',
		'"%zz"',
		'"foo\\\\bar"',
		'{"quo"ted}"}',
		'"aXbXc"',
		'"caf\u00e9"',
		'"9999999999999"',
	],
	...[
		'"999999999999999"',
		'"9007199254740993"',
		'"1.0005s"',
		'"0.0015"',
		'"1 2"',
		'"2001:db8:1::5"',
		'"127.1"',
		'"true"',
	],
	...[
		'"1994-11-06T08:49:37"',
		'"Sunday, 06-Nov-94 08:49:37 GMT"',
		'"Sun Nov  6 08:49:37 1994"',
		'"1ms"',
		'"1y"',
		'"3 w"',
	],
];
const regexes = [
	...[
		'"a"',
		'"(?i)ABC"',
		'"^(.)(.*)$"',
		'"[?&]([a-z]+)=([^&]*)"',
		'"\\s+"',
		'"(a|b)?c"',
		'"x*"',
		'"$"',
		'"^"',
		'"\\b"',
	],
	...[
		'"(?<=a)X"',
		'"(?=b)"',
		'"\\d+"',
		'"[^;=]+"',
		'"(;|^)\\s*a=[^;]*"',
		'"."',
		'"(.)\\1"',
		'"a{2,}"',
		'"(?:a|(b))+"',
	],
	...[
		'"\\.(png|gif|php)$"',
		'"[[:upper:]]"',
		'"\\w+\\W?"',
		'"(?<n>a)"',
		'"(?s).*"',
		'"[^\\w.]"',
		'"\\x61|\\x{62}"',
		'"a++b?"',
	],
	...[
		'"(?i:a)B"',
		'"\\A."',
		'".\\z"',
		'"\\R"',
		'"[a-c&&b]"',
		'"]"',
		'"[]a]"',
		'"{"',
		'"a{,3}"',
		'"\\Q.\\E"',
		'"(?#c)b"',
	],
];
const replacements = [
	'""',
	'"-"',
	'"[\\0]"',
	'"\\2\\1"',
	'"\\&x"',
	'"<\\9>"',
	'"\\\\"',
	'"a\\"',
	'"$1"',
	'"\\x"',
];
const formats = [
	'"%Y-%m-%d"',
	'"%H:%M:%S %Z"',
	'"%a %b %e"',
	'"%j %U %W %V %G %g"',
	'"%s %% %y %C"',
	'"%I %l %p %P %k"',
	'"%D %F %T %R %r"',
	'"%c|%x|%X"',
	'"%h%n%t%u%w"',
	'"%q"',
	'"%E %Oy %Ey"',
	'"%"',
	'""',
	'"%-d %_d %05d %^a"',
	'"%z %+"',
];
const units = ["ms", "s", "m", "h", "d", "w", "y"];
const codings = ["IDENTITY", "BASE64", "BASE64URL", "BASE64URLNOPAD", "BASE64CF", "HEX", "URL"];
/** Lifetimes that nobody can see end. */
const lifetimes = ["0s", "-1s", "100s", "1h", "10m", 'std.duration("50s", 0s)', "0s - 10s", "50s * 2", "1w"];

const expressible: readonly SimpleType[] = [
	"STRING",
	"INT",
	"REAL",
	"DURATION",
	"TIME",
	"BYTES",
	"BOOL",
	"IP",
	"BACKEND",
	"BLOB",
];
/** One expression in so many is of another type than it should be. */
const SLIP = 0.001;

class Writer {
	readonly #random: Random;
	readonly #syntax: string;
	readonly #method: string;
	#result = 0;

	constructor(random: Random, syntax: string, method: string) {
		this.#random = random;
		this.#syntax = syntax;
		this.#method = method;
	}

	#variable(type: SimpleType): string[] {
		const list = usable(this.#syntax, this.#method, "read").filter((each) => each.type === type);
		return list.length === 0 ? [] : [this.#random.pick(list).name];
	}

	#field(): string {
		const message = this.#random.pick(messages[this.#method]!);
		return `${message}.http.${this.#random.pick(fields[message]!)}`;
	}

	/** Source text whose type is `type`. */
	of(type: SimpleType, depth: number): string {
		const random = this.#random;
		const kind = random.chance(SLIP) ? random.pick(expressible) : type;
		const written = this.#write(kind, depth);
		// Inside of something else most need them.
		const bare = kind === "STRING" ? !/ [-+] /.test(written) || random.chance(0.7) : !/[^\w.]/.test(written);
		return random.chance(bare ? 0.06 : 0.98) ? `(${written})` : written;
	}

	#write(type: SimpleType, depth: number): string {
		const random = this.#random;
		const deep = depth > 0;
		const s = () => this.of("STRING", depth - 1);
		const choose = (plain: readonly (() => string)[], more: readonly (() => string)[]) =>
			random.pick(deep && random.chance(0.75) ? more : plain)();
		const variable = this.#variable(type).map((name) => () => name);
		switch (type) {
			case "STRING":
				return choose(
					[
						() => random.pick(texts),
						() => random.pick(texts),
						() => this.#field(),
						() => this.#field(),
						...variable,
					],
					[
						() => `${s()} + ${this.of(random.pick(expressible), depth - 1)}`,
						() => `${s()} + ${this.of(random.pick(["INT", "REAL", "DURATION", "TIME", "BYTES"]), depth - 1)}`,
						() => `"" + ${this.of(random.pick(["INT", "REAL", "DURATION"]), depth - 1)}`,
						() => `regsub(${s()}, ${random.pick(regexes)}, ${this.#replacement(depth)})`,
						() => `regsuball(${s()}, ${random.pick(regexes)}, ${this.#replacement(depth)})`,
						() => `std.toupper(${s()})`,
						() => `std.tolower(${s()})`,
						() => `std.querysort(${s()})`,
						() => `std.strstr(${s()}, ${s()})`,
						() => `std.strftime(${this.of("TIME", depth - 1)}, ${random.pick(formats)})`,
						() => `${this.#field()}.${random.pick(["upper", "lower"])}()`,
						() => `(${s()}).${random.pick(["upper", "lower"])}()`,
						() => `cookie.get(${s()})`,
						() => `cookie.get_re(${random.pick(regexes)})`,
						() => "cookie.get_string()",
						() => `cookie.format_date(${this.of("TIME", depth - 1)}, ${this.of("DURATION", depth - 1)})`,
						() =>
							`blob.encode(${random.pick(codings)}, ${random.pick(["LOWER", "UPPER", "DEFAULT"])}, ${this.of("BLOB", depth - 1)})`,
						() => `blob.encode(encoding=${random.pick(codings)}, blob=${this.of("BLOB", depth - 1)})`,
						() =>
							`blob.transcode(${random.pick(codings)}, ${random.pick(codings)}, encoded=${s()}${random.chance(0.3) ? `, length=${random.integer(0, 6)}` : ""})`,
						() => `words.encode(${random.pick(codings)}, ${random.pick(["LOWER", "UPPER", "DEFAULT"])})`,
						() => `std.getenv(${s()})`,
					],
				);
			case "INT":
				return choose(
					[
						() => String(random.pick([0, 1, 2, 3, 7, 10, 100, 1023, 65536, 999999999999999])),
						() => `-${random.integer(0, 20)}`,
						...variable,
					],
					[
						() => `${this.of("INT", depth - 1)} ${random.pick(["+", "-", "*"])} ${this.of("INT", depth - 1)}`,
						// Nothing is divided by what may be nothing: varnishd dies of it.
						() =>
							`${this.of("INT", depth - 1)} ${random.pick(["/", "%"])} ${random.pick(["3", "7", "-2", "10"])}`,
						() => `(-(${this.of("INT", depth - 1)}))`,
						() => `std.integer(${s()}, ${this.of("INT", depth - 1)})`,
						() => `std.integer(${s()})`,
						() => `std.integer(bool=${this.of("BOOL", depth - 1)})`,
						() => `std.integer(bytes=${this.of("BYTES", depth - 1)})`,
						() => `std.integer(duration=${this.of("DURATION", depth - 1)}${this.#fallback("INT", depth)})`,
						() => `std.integer(real=${this.of("REAL", depth - 1)}${this.#fallback("INT", depth)})`,
						() => `std.integer(time=${this.of("TIME", depth - 1)}${this.#fallback("INT", depth)})`,
						() => `std.real2integer(${this.of("REAL", depth - 1)}, ${this.of("INT", depth - 1)})`,
						() => `std.time2integer(${this.of("TIME", depth - 1)}, ${this.of("INT", depth - 1)})`,
						() => `blob.length(${this.of("BLOB", depth - 1)})`,
						() =>
							`std.port(std.ip(${s()}, "1.2.3.4", false, ${random.pick(['"8080"', '"http"', '"0"', '"70000"'])}))`,
						() => `spread.key(${s()})`,
					],
				);
			case "REAL":
				return choose(
					[
						() =>
							random.pick([
								"0.0",
								"1.5",
								"-2.5",
								"0.001",
								"3.125",
								"1000000.5",
								"999999999999.999",
								"-0.0",
								"33.3",
							]),
						...variable,
					],
					[
						() =>
							`${this.of("REAL", depth - 1)} ${random.pick(["+", "-", "*"])} ${this.of("REAL", depth - 1)}`,
						() =>
							`${this.of("REAL", depth - 1)} ${random.pick(["+", "-", "*"])} ${this.of("INT", depth - 1)}`,
						() => `${this.of("INT", depth - 1)} ${random.pick(["+", "-"])} ${this.of("REAL", depth - 1)}`,
						() => `${this.of("REAL", depth - 1)} / ${random.pick(["3.0", "0.7", "-16.0", "16", "7"])}`,
						() => `(-(${this.of("REAL", depth - 1)}))`,
						() => `std.round(${this.of("REAL", depth - 1)})`,
						() => `std.real(${s()}, ${this.of("REAL", depth - 1)})`,
						() => `std.real(${s()})`,
						() => `std.real(integer=${this.of("INT", depth - 1)})`,
						() => `std.real(bool=${this.of("BOOL", depth - 1)})`,
						() => `std.real(bytes=${this.of("BYTES", depth - 1)})`,
						() => `std.real(duration=${this.of("DURATION", depth - 1)})`,
						() => `std.real(time=${this.of("TIME", depth - 1)}, fallback=${this.of("REAL", depth - 1)})`,
						() => `std.time2real(${this.of("TIME", depth - 1)}, ${this.of("REAL", depth - 1)})`,
					],
				);
			case "DURATION":
				return choose(
					[
						() =>
							`${random.pick(["0", "1", "10", "1.5", "0.001", "-3", "33.333"])}${random.pick(["", " "])}${random.pick(units)}`,
						...variable,
					],
					[
						() =>
							`${this.of("DURATION", depth - 1)} ${random.pick(["+", "-"])} ${this.of("DURATION", depth - 1)}`,
						() =>
							`${this.of("DURATION", depth - 1)} ${random.pick(["*", "/"])} ${random.pick(["2", "3", "1.5", "-0.7", "7"])}`,
						() => `${this.of("DURATION", depth - 1)} * ${this.of(random.pick(["INT", "REAL"]), depth - 1)}`,
						() => `${this.of("TIME", depth - 1)} - ${this.of("TIME", depth - 1)}`,
						() => `(-(${this.of("DURATION", depth - 1)}))`,
						() => `std.duration(${s()}, ${this.of("DURATION", depth - 1)})`,
						() => `std.duration(${s()})`,
						() => `std.duration(real=${this.of("REAL", depth - 1)}${this.#fallback("DURATION", depth)})`,
						() => `std.duration(integer=${this.of("INT", depth - 1)}${this.#fallback("DURATION", depth)})`,
					],
				);
			case "TIME":
				return choose(
					[
						() =>
							`std.time(integer=${random.pick(["0", "1", "784111777", "1704067200", "4102444800", "-86400", "951782400"])})`,
					],
					[
						() =>
							`${this.of("TIME", depth - 1)} ${random.pick(["+", "-"])} ${this.#unsigned("DURATION", depth)}`,
						() => `std.time(${s()}, ${this.of("TIME", depth - 1)})`,
						() => `std.time(${s()})`,
						() => `std.time(real=${this.of("REAL", depth - 1)}${this.#fallback("TIME", depth)})`,
						() => `std.time(integer=${this.of("INT", depth - 1)}${this.#fallback("TIME", depth)})`,
						() => `std.real2time(${this.of("REAL", depth - 1)}, ${this.of("TIME", depth - 1)})`,
					],
				);
			case "BYTES":
				return choose(
					[
						() =>
							`std.bytes(${random.pick(texts)}, ${random.pick(["0B", "1KB", "1.5MB", "3 GB", "1TB", "10B"])})`,
					],
					[
						() => `${this.of("BYTES", depth - 1)} ${random.pick(["+", "-"])} ${this.of("BYTES", depth - 1)}`,
						() =>
							`${this.of("BYTES", depth - 1)} ${random.pick(["*", "/"])} ${random.pick(["2", "1.5", "7", "0.3"])}`,
						() => `std.bytes(${s()}, ${this.of("BYTES", depth - 1)})`,
						() => `std.bytes(${s()})`,
						() => `std.bytes(real=${this.of("REAL", depth - 1)}${this.#fallback("BYTES", depth)})`,
						() => `std.bytes(integer=${this.of("INT", depth - 1)}${this.#fallback("BYTES", depth)})`,
					],
				);
			case "BOOL":
				return choose([() => "true", () => "false", ...variable], this.#conditions(depth));
			case "IP":
				return choose(
					[() => "client.ip", () => "server.ip", () => "remote.ip"],
					[
						() => `std.ip(${s()}, ${random.pick(['"1.2.3.4"', '"::1"', "client.ip"])}, false)`,
						() => `std.ip(${s()}, resolve=false, fallback=${this.of("IP", depth - 1)})`,
					],
				);
			case "BACKEND":
				return choose(
					[
						() => "origin",
						() => "other",
						() => (this.#method.startsWith("vcl_backend") ? "bereq.backend" : "req.backend_hint"),
					],
					[
						() => "turn.backend()",
						() => `spread.backend(by=KEY, key=${this.of("INT", depth - 1)})`,
						() => "turn.backend().resolve()",
					],
				);
			case "BLOB":
				return choose(
					[() => random.pick([":Zm9v:", ":Zg==:", ":AAECAw==:", "words.get()"]), ...variable],
					[
						() => `blob.decode(${random.pick(codings)}, encoded=${s()})`,
						() =>
							`blob.decode(decoding=${random.pick(codings)}, length=${random.integer(0, 5)}, encoded=${s()})`,
						() =>
							`blob.sub(${this.of("BLOB", depth - 1)}, ${random.pick(["0B", "1B", "2B"])}${random.chance(0.5) ? `, ${random.pick(["0B", "1B"])}` : ""})`,
					],
				);
			default:
				throw new TypeError(`no expression of ${type}`);
		}
	}

	/** Where a condition or a time is expected nothing begins with a minus. */
	#unsigned(type: SimpleType, depth: number): string {
		const written = this.of(type, depth - 1);
		const zero = type === "DURATION" ? "0s" : type === "REAL" ? "0.0" : "0";
		return /^\(*-/.test(written) ? `(${zero} + ${written})` : written;
	}

	#replacement(depth: number): string {
		return this.#random.chance(0.8) ? this.#random.pick(replacements) : this.of("STRING", depth - 1);
	}

	#fallback(type: SimpleType, depth: number): string {
		return this.#random.chance(0.7) ? `, fallback=${this.of(type, depth - 1)}` : "";
	}

	#conditions(depth: number): (() => string)[] {
		const random = this.#random;
		const of = (type: SimpleType) => this.of(type, depth - 1);
		const order = ["==", "!=", "<", ">", "<=", ">="];
		const first = (type: SimpleType) => this.#unsigned(type, depth);
		return [
			() => `${of("STRING")} ${random.pick(order)} ${of("STRING")}`,
			() => `${this.#field()} ${random.pick(order)} ${of("STRING")}`,
			() => `${of("STRING")} ${random.pick(["~", "!~"])} ${random.pick(regexes)}`,
			() => `${of("IP")} ${random.pick(["~", "!~"])} ${random.pick(["local", "nets", "all4", "all6"])}`,
			() =>
				`${of("IP")} ${random.pick(["==", "!="])} ${random.chance(0.6) ? random.pick(['"127.0.0.1"', '"::1"', '"10.1.2.3"']) : of("IP")}`,
			...(["INT", "REAL", "DURATION", "TIME", "BYTES"] as const).map(
				(type) => () => `${first(type)} ${random.pick(order)} ${of(type)}`,
			),
			() => `${of("BACKEND")} ${random.pick(["==", "!="])} ${of("BACKEND")}`,
			() => `${random.pick(["true", "false"])} ${random.pick(["==", "!="])} ${of("BOOL")}`,
			() => this.#field(),
			() => `${of("BOOL")} ${random.pick(["&&", "||"])} ${of("BOOL")}`,
			() =>
				`${first(random.pick(["INT", "DURATION", "BACKEND"]))} ${random.pick(["&&", "||"])} ${of("BOOL")}`,
			() => `!${this.#field()}`,
			() => `!(${of("BOOL")})`,
			() =>
				`std.fnmatch(${random.pick(['"*"', '"/*"', '"a*c"', '"[a-c]*"', '"?"', '"*.[a-z]"', of("STRING")])}, ${of("STRING")}${random.pick(["", ", false", ", pathname=true, period=true", ", noescape=true"])})`,
			() => `std.healthy(${of("BACKEND")})`,
			() => `std.syntax(${random.pick(["4.0", "4.1", "4.2", "3.9"])})`,
			() => `cookie.isset(${of("STRING")})`,
			() => `blob.same(${of("BLOB")}, ${of("BLOB")})`,
			() => `blob.equal(${of("BLOB")}, ${of("BLOB")})`,
			() => `std.file_exists(${random.pick(['"/etc/passwd"', '"/nope"', of("STRING")])})`,
		];
	}

	/** `set` of a result that the client or the origin gets to see. */
	result(): string {
		const random = this.#random;
		const message = messages[this.#method]![0]!;
		const name = `${message}.http.${resultLetter[message]}${this.#result++ % RESULTS}`;
		const value = this.of(random.chance(0.6) ? "STRING" : random.pick(expressible), random.integer(1, 2));
		return `set ${name} = "[" + ${value}${random.chance(0.9) ? ' + "]"' : ""};`;
	}

	statement(depth: number): string {
		const random = this.#random;
		const message = messages[this.#method]![0]!;
		const mine = () => `${message}.http.${random.pick(fields[message]!)}`;
		if (depth > 0 && random.chance(0.1)) {
			const branch = () => `(${this.of("BOOL", 2)}) { ${this.statement(depth - 1)} }`;
			const more = Array.from(
				{ length: random.integer(0, 2) },
				() => ` ${random.pick(["elseif", "elsif", "else if", "elif"])} ${branch()}`,
			);
			return `if ${branch()}${more.join("")}${random.chance(0.5) ? ` else { ${this.statement(depth - 1)} }` : ""}`;
		}
		return random.pick<() => string>([
			() => this.result(),
			() => this.result(),
			() => this.result(),
			() => this.result(),
			() => `set ${mine()} = ${this.of("STRING", 2)};`,
			() => `set ${mine()} += ${this.of("STRING", 1)};`,
			() => `unset ${mine()};`,
			() => this.#assignment(),
			() => this.#assignment(),
			() => `std.collect(${mine()}${random.pick(["", ', "; "', ', ""'])});`,
			() => random.pick(["cookie.clean();", `cookie.parse(${this.of("STRING", 1)});`]),
			() => `cookie.set(${this.of("STRING", 1)}, ${this.of("STRING", 1)});`,
			() => `cookie.${random.pick(["delete", "filter", "keep"])}(${this.of("STRING", 1)});`,
			() => `cookie.${random.pick(["filter_re", "keep_re"])}(${random.pick(regexes)});`,
			() => `std.log(${this.of("STRING", 1)});`,
			...(this.#method === "vcl_hash" ? [() => `hash_data(${this.of("STRING", 2)});`] : []),
			...(/synth|error/.test(this.#method)
				? [
						() => `synthetic(${this.of("STRING", 2)});`,
						() => `set ${message}.body = ${this.of(random.pick(["STRING", "BLOB"]), 2)};`,
						() => `set ${message}.body += ${this.of("STRING", 2)};`,
					]
				: []),
		])();
	}

	#assignment(): string {
		const random = this.#random;
		const method = this.#method;
		const { name, type } = random.pick(usable(this.#syntax, method, "set"));
		if (/\.(ttl|grace|keep)$/.test(name)) return `set ${name} = ${random.pick(lifetimes)};`;
		if (name.endsWith(".status"))
			return `set ${name} = ${random.pick(["200", "404", "503", "700", "1404", "299", "204", "304", "99", "65536", "1000", "-5"])};`;
		if (name.endsWith(".url"))
			return `set ${name} = ${name} + ${random.pick(['"?x"', '"&b=1"', '"#f"', '"%20"'])};`;
		if (name.endsWith(".method"))
			return `set ${name} = ${random.pick(['"GET"', '"HEAD"', '"POST"', '"PURGE"'])};`;
		if (name.endsWith(".proto"))
			return `set ${name} = ${random.pick(['"HTTP/1.0"', '"HTTP/1.1"', '"HTTP/1.2"'])};`;
		const operators =
			type === "INT" || type === "DURATION" || type === "TIME"
				? ["=", "+=", "-="]
				: type === "STRING"
					? ["=", "+="]
					: ["="];
		return `set ${name} ${random.pick(operators)} ${this.of(type, 2)};`;
	}

	/** How the sub may end; most do not. */
	ending(): string[] {
		const random = this.#random;
		if (random.chance(0.75)) return [];
		const action = random.pick(methodByName.get(this.#method)!.returns);
		const status = random.pick(["200", "404", "700", "1404", "503", "99", "70000"]);
		const guard = `${this.#method.startsWith("vcl_backend") ? "bereq.retries" : "req.restarts"} == 0`;
		switch (action) {
			case "vcl":
			case "pipe":
				return [];
			case "synth":
			case "error":
				return [
					`if (${guard}) { return (${action}(${status}${random.chance(0.5) ? `, ${this.of("STRING", 2)}` : ""})); }`,
				];
			case "pass":
				if (this.#method === "vcl_backend_response") return [`return (pass(${random.pick(lifetimes)}));`];
				return ["return (pass);"];
			case "fail":
				return [
					random.chance(0.5)
						? `if (${guard}) { return (fail("on demand")); }`
						: `if (${guard}) { return (fail); }`,
				];
			case "restart":
			case "retry":
				return [`if (${guard}) { return (${action}); }`];
			default:
				return [`return (${action});`];
		}
	}
}

const chances: Readonly<Record<string, number>> = {
	vcl_recv: 0.9,
	vcl_hash: 0.1,
	vcl_pass: 0.1,
	vcl_miss: 0.15,
	vcl_hit: 0.3,
	vcl_deliver: 0.5,
	vcl_synth: 0.25,
	vcl_backend_fetch: 0.3,
	vcl_backend_response: 0.4,
	vcl_backend_error: 0.2,
};

function makeCell(random: Random, syntax: string): Cell {
	const cell: Record<string, string[]> = {};
	const write = (method: string, most: number) => {
		const writer = new Writer(random, syntax, method);
		const statements = Array.from({ length: random.integer(1, most) }, () => writer.statement(1));
		cell[method] = [...statements, ...writer.ending()];
	};
	// Small ones are easy to read, and fast when they need no origin.
	if (random.chance(0.6)) write("vcl_recv", 2);
	else for (const [method, chance] of Object.entries(chances)) if (random.chance(chance)) write(method, 2);
	if (random.chance(0.5)) cell["vcl_recv"] = [...(cell["vcl_recv"] ?? []), "return (synth(200));"];
	return cell;
}

export function makeProgram(random: Random, cells: number): Program {
	const syntax = random.chance(0.8) ? "4.1" : "4.0";
	return { syntax, cells: Array.from({ length: cells }, () => makeCell(random, syntax)) };
}

const copies = (from: string, letter: string, to: string) =>
	Array.from(
		{ length: RESULTS },
		(_, index) => `\tset resp.http.${to}${index} = ${from}.http.${letter}${index};`,
	).join("\n");

/** The text of a program whose origin is on that port. The request's `Cell` field says which cell it is for. */
export function programText({ syntax, cells }: Program, originPort: number): string {
	const subs = Object.keys(chances).map((method) => {
		const asks = method.startsWith("vcl_backend") ? "bereq" : "req";
		const bodies = cells.flatMap((cell, index) => {
			const statements = cell[method];
			if (statements === undefined || statements.length === 0) return [];
			return [`\tif (${asks}.http.Cell == "${index}") {`, ...statements.map((each) => `\t\t${each}`), "\t}"];
		});
		const first =
			method === "vcl_recv" ? ["\tcookie.parse(req.http.cookie);", "\tunset req.http.cookie;"] : [];
		return `sub ${method} {\n${[...first, ...bodies].join("\n")}\n}`;
	});
	return `vcl ${syntax};
backend origin { .host = "127.0.0.1"; .port = "${originPort}"; }
${declarations}
sub vcl_deliver {\n${copies("req", "r", "r")}\n}
sub vcl_synth {\n${copies("req", "r", "r")}\n}
${subs.join("\n")}
`;
}
