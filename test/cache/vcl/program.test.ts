/** What compiled programs do: actions, states appended to each other, calls, side effects. By manual section. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { compileVcl } from "../../../firmware/cache/vcl/compile.ts";
import type { Action, Subs, VclContext } from "../../../firmware/cache/vcl/runtime.ts";
import { VclFailure } from "../../../firmware/cache/vcl/runtime.ts";
import { context, evaluate, head, load, type Message, type Request } from "./mini-runtime.ts";

setDefaultTimeout(60_000);

function act(sub: keyof Subs, body: string, request: Request = { headers: { Host: "a" } }): Action {
	return load(`${head}${body}`, request).run(sub).action;
}

const get = (headers: Readonly<Record<string, string>> = {}): Request => ({
	headers: { Host: "a", ...headers },
});

describe("4 actions", () => {
	const cases: readonly [keyof Subs, string, Action][] = [
		["vcl_recv", "return (pass);", { kind: "pass", durationSeconds: null }],
		["vcl_recv", "return (pipe);", { kind: "pipe" }],
		["vcl_recv", "return (purge);", { kind: "purge" }],
		["vcl_recv", "return (restart);", { kind: "restart" }],
		["vcl_recv", "return (hash);", { kind: "hash" }],
		["vcl_recv", "return (synth(404));", { kind: "synth", status: 404, reason: null }],
		["vcl_recv", 'return (synth(1404, "No" + " way"));', { kind: "synth", status: 1404, reason: "No way" }],
		["vcl_recv", "return (synth(400 + 4, req.http.host));", { kind: "synth", status: 404, reason: "a" }],
		["vcl_recv", "return (fail);", { kind: "fail", message: "Failed from VCL" }],
		["vcl_recv", 'return (fail("because"));', { kind: "fail", message: "because" }],
		["vcl_backend_fetch", "return (abandon);", { kind: "abandon" }],
		["vcl_backend_fetch", "return (error);", { kind: "error", status: 503, reason: null }],
		["vcl_backend_fetch", 'return (error(502, "x"));', { kind: "error", status: 502, reason: "x" }],
		["vcl_backend_response", "return (pass(10s));", { kind: "pass", durationSeconds: 10 }],
		["vcl_backend_response", "return (pass);", { kind: "pass", durationSeconds: null }],
		["vcl_backend_response", "return (retry);", { kind: "retry" }],
		["vcl_hit", "return (deliver);", { kind: "deliver" }],
		["vcl_hash", "return (lookup);", { kind: "lookup" }],
	];
	for (const [sub, statement, action] of cases)
		test(`${sub}: ${statement}`, () => expect(act(sub, `sub ${sub} { ${statement} }`)).toEqual(action));

	test("vcl(label) names a label that exists", () => {
		const source = `${head}sub vcl_recv { return (vcl(other)); }`;
		expect(compileVcl(source).ok).toBe(false);
		const world = load(source, get(), { labels: ["other"] });
		expect(world.run("vcl_recv").action).toEqual({ kind: "vcl", label: "other" });
	});

	for (const status of [99, 65536, 1099, 2000])
		test(`synth(${status}) is a VCL failure`, () =>
			expect(() => act("vcl_recv", `sub vcl_recv { return (synth(${status})); }`)).toThrow(VclFailure));
});

describe("6.2 the built-in program, state by state", () => {
	const recv = (request: Request) => load(head, request).run("vcl_recv");
	test("GET with a host is looked up; capitals of the host go", () => {
		const { action, context: task } = recv({ headers: { Host: "ExAmple.COM" } });
		expect(action).toEqual({ kind: "hash" });
		expect(task.req.header("host")).toBe("example.com");
	});
	const cases: readonly [string, Request, Action][] = [
		["HTTP/1.1 without a host", {}, { kind: "synth", status: 400, reason: null }],
		["HTTP/1.0 without a host", { members: { proto: "HTTP/1.0" } }, { kind: "hash" }],
		["an ESI part without a host", { members: { esiLevel: 1 } }, { kind: "hash" }],
		["PRI", { ...get(), method: "PRI" }, { kind: "synth", status: 405, reason: null }],
		["POST", { ...get(), method: "POST" }, { kind: "pass", durationSeconds: null }],
		["HEAD", { ...get(), method: "HEAD" }, { kind: "hash" }],
		["CONNECT", { ...get(), method: "CONNECT" }, { kind: "pipe" }],
		["PROPFIND", { ...get(), method: "PROPFIND" }, { kind: "pipe" }],
		["Authorization", get({ Authorization: "Basic x" }), { kind: "pass", durationSeconds: null }],
		["Cookie", get({ Cookie: "a=b" }), { kind: "pass", durationSeconds: null }],
	];
	for (const [title, request, action] of cases)
		test(title, () => expect(recv(request).action).toEqual(action));

	test("vcl_hash feeds url and host", () => {
		const world = load(head, { ...get(), url: "/x" });
		const { action, context: task } = world.run("vcl_hash");
		expect(action).toEqual({ kind: "lookup" });
		expect((task as unknown as { hashed: string[] }).hashed).toEqual(["/x", "a"]);
	});
	test("vcl_hash without a host feeds the server's address", () => {
		const { context: task } = load(head, { url: "/x" }).run("vcl_hash");
		expect((task as unknown as { hashed: string[] }).hashed).toEqual(["/x", "192.0.2.100"]);
	});

	const response = (change: (task: VclContext) => void) => {
		const world = load(head);
		const task = context({}, []);
		change(task);
		const { action } = world.run("vcl_backend_response", task);
		return [action.kind, task.beresp.ttl, task.beresp.uncacheable];
	};
	test("6.3 backend_response: cacheable", () =>
		expect(response(() => undefined)).toEqual(["deliver", 120, false]));
	test("ttl 0 is hit-for-miss", () =>
		expect(response((task) => (task.beresp.ttl = 0))).toEqual(["deliver", 120, true]));
	test("Set-Cookie is hit-for-miss", () =>
		expect(response((task) => task.beresp.setHeader("set-cookie", "Set-Cookie", ""))).toEqual([
			"deliver",
			120,
			true,
		]));
	for (const [header, value, hitForMiss] of [
		["Cache-Control", "max-age=1, Private", true],
		["Cache-Control", "NO-STORE", true],
		["Cache-Control", "public", false],
		["Surrogate-Control", "No-Store", true],
		["Vary", "*", true],
		["Vary", "Accept", false],
	] as const)
		test(`${header}: ${value}`, () =>
			expect(response((task) => task.beresp.setHeader(header.toLowerCase(), header, value))[2]).toBe(
				hitForMiss,
			));
	test("Surrogate-Control hides Cache-Control", () =>
		expect(
			response((task) => {
				task.beresp.setHeader("cache-control", "Cache-Control", "private");
				task.beresp.setHeader("surrogate-control", "Surrogate-Control", "max-age=5");
			})[2],
		).toBe(false));
	test("an uncacheable request is delivered as it is", () =>
		expect(response((task) => ((task.bereq as { uncacheable: boolean }).uncacheable = true))).toEqual([
			"deliver",
			120,
			false,
		]));
	test("vcl_synth writes the page", () => {
		const task = context({}, []);
		task.resp.setStatus(404);
		load(head).run("vcl_synth", task);
		expect(task.resp.header("retry-after")).toBe("5");
		expect((task.resp as unknown as Message).body).toContain("<h1>Error 404 Reason 404</h1>");
		expect((task.resp as unknown as Message).body).toContain("<p>XID: 1001</p>");
	});
});

describe("2 several bodies, calls and returns", () => {
	test("bodies run in order, the built-in one last", () => {
		const world = load(
			`${head}sub vcl_recv { set req.http.x = "1"; } sub vcl_recv { set req.http.x = req.http.x + "2"; }`,
			get(),
		);
		const { action, context: task } = world.run("vcl_recv");
		expect([action.kind, task.req.header("x")]).toEqual(["hash", "12"]);
	});
	test("a user's vcl_req_cookie runs before the built-in one, and can end it", () => {
		const request = get({ Cookie: "a=b" });
		expect(act("vcl_recv", "sub vcl_req_cookie { return (hash); }", request)).toEqual({ kind: "hash" });
		expect(act("vcl_recv", "sub vcl_req_cookie { unset req.http.cookie; }", request)).toEqual({
			kind: "hash",
		});
	});
	test("return in a sub leaves it; an action leaves the state", () => {
		const body =
			'sub foo { if (req.url == "/a") { return; } if (req.url == "/b") { return (pass); } set req.http.foo = "end"; } sub vcl_recv { call foo; set req.http.after = "yes"; return (hash); }';
		const outcome = (url: string) => {
			const { action, context: task } = load(head + body, { ...get(), url }).run("vcl_recv");
			return [action.kind, task.req.header("foo"), task.req.header("after")];
		};
		expect(outcome("/a")).toEqual(["hash", null, "yes"]);
		expect(outcome("/b")).toEqual(["pass", null, null]);
		expect(outcome("/c")).toEqual(["hash", "end", "yes"]);
	});
	test("a chain of comparisons on one field, with repeats and an else", () => {
		const body =
			'sub vcl_recv { if (req.url == "/a" || req.url == "/b") { set req.http.x = "ab"; } elsif (req.url == "/c") { set req.http.x = "c"; } elsif (req.url == "/a") { set req.http.x = "never"; } else { set req.http.x = "else"; } return (pass); }';
		for (const [url, expected] of [
			["/a", "ab"],
			["/b", "ab"],
			["/c", "c"],
			["/d", "else"],
		] as const)
			expect(
				load(head + body, { url })
					.run("vcl_recv")
					.context.req.header("x"),
			).toBe(expected);
	});
	test("req_top sees what was set on req", () => {
		const { req } = load(
			`${head}sub vcl_recv { if (req_top.http.a) { return (pipe); } set req.http.a = "1"; set req.http.r = req_top.http.a; return (pass); }`,
		).run("vcl_recv").context;
		expect(req.header("r")).toBe("1");
	});
	test("a field read before is read again after it may have changed", () => {
		const body = `sub change { set req.http.a = "2"; }
sub vcl_recv {
	if (req.http.a == "1") { set req.http.r1 = req.http.a; }
	call change;
	set req.http.r2 = req.http.a;
	if (req.url ~ "x" && req.http.b) { set req.http.r3 = "no"; }
	set req.http.r4 = req.http.b;
	if (req.http.b == "3" || req.http.c == "4") { unset req.http.b; } else { set req.http.b = "9"; }
	set req.http.r5 = req.http.b + req.http.c;
	set req.http.d = "x"; set req.http.D = req.http.d + "y"; set req.http.r6 = req.http.d;
	std.collect(req.http.e); set req.http.r7 = req.http.e;
	return (pass);
}`;
		const { req } = load(head + body, {
			headers: { a: "1", b: "3", c: "4" },
			url: "/",
		}).run("vcl_recv").context;
		expect([1, 2, 3, 4, 5, 6, 7].map((index) => req.header(`r${index}`))).toEqual([
			"1",
			"2",
			null,
			"3",
			"4",
			"xy",
			"",
		]);
	});
});

describe("3 and 5 assignment", () => {
	test("arithmetic assignment", () => {
		const task = context({}, []);
		load(
			`${head}sub vcl_backend_response { set beresp.ttl = 10s; set beresp.ttl += 5s; set beresp.ttl *= 2; set beresp.ttl -= 1s; set beresp.ttl /= 2; set beresp.status = 200; set beresp.status += 4; return (deliver); }`,
		).run("vcl_backend_response", task);
		expect([task.beresp.ttl, task.beresp.status]).toEqual([14.5, 204]);
	});
	test("lifetimes never get negative", () => {
		const task = context({}, []);
		load(
			`${head}sub vcl_backend_response { set beresp.ttl = 1s - 5s; set beresp.grace -= 1h; return (deliver); }`,
		).run("vcl_backend_response", task);
		expect([task.beresp.ttl, task.beresp.grace]).toEqual([0, 0]);
	});
	test("+= on text, bodies, and null", () => {
		const task = context({ headers: { a: "1" }, url: "/x" }, []);
		load(
			`${head}sub vcl_recv { set req.http.a += "2" + req.http.nope; set req.http.b += "3"; set req.url += "?q"; set req.http.c = req.http.nope; return (pass); }
sub vcl_synth { set resp.body = "a"; set resp.body += 5 + "b"; synthetic("c"); return (deliver); }`,
		).run("vcl_recv", task);
		expect([task.req.header("a"), task.req.header("b"), task.req.url, task.req.header("c")]).toEqual([
			"12",
			"3",
			"/x?q",
			"",
		]);
	});
	test("a status outside 100 to 999 and its multiples is a VCL failure", () => {
		for (const status of [99, 1099, 65536])
			expect(() =>
				act("vcl_deliver", `sub vcl_deliver { set resp.status = ${status}; return (deliver); }`),
			).toThrow(VclFailure);
	});
	test("a control character in a header is a VCL failure", () => {
		expect(() =>
			act(
				"vcl_recv",
				'import blob; sub vcl_recv { set req.http.x = blob.transcode(decoding=HEX, encoded="0a"); }',
			),
		).toThrow(/Bad header x: \\n/);
		expect(() => act("vcl_recv", 'sub vcl_recv { set req.http.x = {"a\nb"}; }')).toThrow(VclFailure);
	});
	test("the first spelling of a field's name is the one that is sent", () => {
		const { req } = load(
			`${head}sub vcl_recv { set req.http.x-foo = "1"; set req.http.X-Foo = "2"; return (pass); }`,
		).run("vcl_recv").context;
		expect(req.headerList().map(({ name, value }) => `${name}: ${value}`)).toEqual(["x-foo: 2"]);
	});
	test("quoted field names, in 4.1 only", () => {
		const { req } = load(`${head}sub vcl_recv { set req.http."1x" = "v"; return (pass); }`).run(
			"vcl_recv",
		).context;
		expect(req.header("1x")).toBe("v");
		expect(compileVcl('vcl 4.0;\nbackend a none;\nsub vcl_recv { set req.http."1x" = "v"; }').ok).toBe(false);
	});
	test("division by zero is a VCL failure, not a crash", () => {
		expect(() => evaluate("5 / req.restarts")).toThrow(VclFailure);
		expect(() => evaluate("5 % req.restarts")).toThrow(VclFailure);
	});
	test("bytes of UTF-8 text stay as they are", () => {
		expect(evaluate('"\xc3\xa9\xe2\x82\xac"')).toBe("\xc3\xa9\xe2\x82\xac");
	});
});

describe("7 declarations", () => {
	test("the first backend is the default, unless one is called default", () => {
		const first = compileVcl('vcl 4.1;\nbackend a { .host = "127.0.0.1"; }\n');
		expect(first.ok && first.vcl.defaultBackend).toBe("a");
		const named = compileVcl(
			'vcl 4.1;\nbackend a { .host = "127.0.0.1"; }\nbackend default { .host = "127.0.0.2"; }\nsub vcl_recv { set req.backend_hint = a; }\n',
		);
		expect(named.ok && named.vcl.defaultBackend).toBe("default");
	});
	test("backend fields and the default probe", () => {
		const result = compileVcl(`vcl 4.1;
probe default { .url = "/ok"; .interval = 1s; .threshold = 2; }
backend a { .host = "[::1]:8080"; .host_header = "h"; .connect_timeout = 1.5s; .first_byte_timeout = 1m; .between_bytes_timeout = 500ms; .max_connections = 7; .proxy_header = 2; .preamble = :Zm9v:; }
`);
		if (!result.ok) throw new Error(result.error.text);
		expect(result.vcl.backends[0]).toEqual({
			name: "a",
			endpoint: { kind: "tcp", host: "::1", port: "8080", addresses: ["::1"] },
			hostHeader: "h",
			connectTimeoutSeconds: 1.5,
			firstByteTimeoutSeconds: 60,
			betweenBytesTimeoutSeconds: 0.5,
			maxConnections: 7,
			proxyHeader: 2,
			tls: null,
			preamble: "foo",
			probe: {
				name: "default",
				url: "/ok",
				request: null,
				expectedStatus: 200,
				timeoutSeconds: 2,
				intervalSeconds: 1,
				window: 3,
				threshold: 2,
				initial: 1,
			},
		});
	});
	test("a probe's request lines end with CRLF", () => {
		const result = compileVcl(
			'vcl 4.1;\nprobe p { .request = "GET / HTTP/1.1" "Host: x"; }\nbackend a { .host = "127.0.0.1"; .probe = p; }\n',
		);
		if (!result.ok) throw new Error(result.error.text);
		expect(result.vcl.backends[0]!.probe!.request).toBe("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	});
	test("+log records what an access list decided", () => {
		const world = load(
			`${head}acl a +log { "10.0.0.0"/8; ! "10.1.0.0"/16; } sub vcl_recv { if (client.ip ~ a) { return (pass); } return (pipe); }`,
			{ clientIp: "10.1.2.3" },
		);
		expect(world.run("vcl_recv").action.kind).toBe("pipe");
		expect(world.logs).toEqual([["VCL_acl", 'NEG_MATCH a "10.1.0.0"/16']]);
	});
	test("include, include +glob, and recursion", () => {
		const files: Readonly<Record<string, string>> = {
			"/a/x.vcl": "acl x { }\n",
			"/a/y.vcl": 'include "/a/y.vcl";\n',
		};
		const compile = (text: string) =>
			compileVcl(text, {
				name: "/a/main.vcl",
				unusedIsError: false,
				include: ({ name, glob }) => {
					if (glob) return { ok: true, files: [{ name: "/a/x.vcl", text: files["/a/x.vcl"]! }] };
					const file = files[name];
					return file === undefined
						? { ok: false, error: `Cannot read file '${name}' (No such file or directory)` }
						: { ok: true, files: [{ name, text: file }] };
				},
			});
		const top = "vcl 4.1;\nbackend a none;\n";
		for (const line of ['include "/a/x.vcl";', 'include "./x.vcl";', 'include +glob "./*.vcl";']) {
			const result = compile(top + line);
			expect(result.ok && result.vcl.acls).toEqual(["x"]);
		}
		const recursive = compile(`${top}include "./y.vcl";`);
		expect(!recursive.ok && recursive.error.text).toStartWith('Recursive include of "/a/y.vcl"\n');
	});
});

describe("8.2 vmods", () => {
	const directorsHead = `vcl 4.1;\nimport directors;\nbackend a { .host = "127.0.0.1"; }\nbackend b { .host = "127.0.0.2"; }\nbackend c { .host = "127.0.0.3"; }\n`;
	const choices = (
		make: string,
		hint: string,
		prepare: (world: ReturnType<typeof load>) => void = () => undefined,
		count = 6,
	) => {
		const world = load(
			`${directorsHead}sub vcl_init { ${make} }\nsub vcl_recv { set req.backend_hint = ${hint}; return (pass); }`,
			{},
			{ unusedIsError: false },
		);
		prepare(world);
		return Array.from(
			{ length: count },
			() =>
				world.run("vcl_recv", context({ url: "/x" }, [])).context.req.backendHint?.resolve(null)?.name ??
				null,
		);
	};
	const add = "d.add_backend(a); d.add_backend(b); d.add_backend(c);";
	test("round_robin takes turns and skips the sick", () => {
		expect(choices(`new d = directors.round_robin(); ${add}`, "d.backend()")).toEqual([
			"a",
			"b",
			"c",
			"a",
			"b",
			"c",
		]);
		expect(
			choices(
				`new d = directors.round_robin(); ${add}`,
				"d.backend()",
				(world) => (world.backends.get("b")!.up = false),
				4,
			),
		).toEqual(["a", "c", "a", "c"]);
		expect(
			choices(`new d = directors.round_robin(); ${add} d.remove_backend(b);`, "d.backend()", undefined, 4),
		).toEqual(["a", "c", "a", "c"]);
	});
	test("fallback takes the first healthy one; sticky stays", () => {
		const world = load(
			`${directorsHead}sub vcl_init { new d = directors.fallback(sticky = true); ${add} }\nsub vcl_recv { set req.backend_hint = d.backend(); return (pass); }`,
		);
		const next = () => world.run("vcl_recv", context({}, [])).context.req.backendHint?.resolve(null)?.name;
		expect(next()).toBe("a");
		world.backends.get("a")!.up = false;
		expect(next()).toBe("b");
		world.backends.get("a")!.up = true;
		expect(next()).toBe("b");
	});
	test("hash gives a key its backend for ever, and random follows the weights", () => {
		const weighted = "d.add_backend(a, 1.0); d.add_backend(b, 1.0); d.add_backend(c, 2.0);";
		expect(new Set(choices(`new d = directors.hash(); ${weighted}`, "d.backend(req.url)")).size).toBe(1);
		expect(
			choices(`new d = directors.random(); ${weighted}`, "d.backend()", (world) =>
				world.dice.push(0, 0.24, 0.26, 0.49, 0.51, 0.99),
			),
		).toEqual(["a", "a", "b", "b", "c", "c"]);
	});
	test("shard moves only the keys of the lost backend", () => {
		const world = load(
			`${directorsHead}sub vcl_init { new d = directors.shard(); ${add} d.reconfigure(); }\nsub vcl_recv { set req.backend_hint = d.backend(by=KEY, key=d.key(req.url)); return (pass); }`,
		);
		const place = (url: string) =>
			world.run("vcl_recv", context({ url }, [])).context.req.backendHint?.resolve(null)?.name;
		const urls = Array.from({ length: 200 }, (_, index) => `/${index}`);
		const before = urls.map(place);
		expect(new Set(before)).toEqual(new Set(["a", "b", "c"]));
		world.backends.get("b")!.up = false;
		const after = urls.map(place);
		urls.forEach((_, index) => {
			if (before[index] === "b") expect(after[index]).not.toBe("b");
			else expect(after[index]).toBe(before[index]!);
		});
	});
	test("no healthy member is no backend", () => {
		expect(
			choices(
				`new d = directors.round_robin(); ${add}`,
				"d.backend()",
				(world) => {
					for (const backend of world.backends.values()) backend.up = false;
				},
				1,
			),
		).toEqual([null]);
	});
	test("directors.lookup in vcl_init", () => {
		expect(
			choices(
				'new d = directors.round_robin(); d.add_backend(directors.lookup("b"));',
				"d.backend()",
				undefined,
				1,
			),
		).toEqual(["b"]);
	});

	const cookies = (body: string) =>
		load(
			`vcl 4.1;\nimport cookie;\nbackend a { .host = "127.0.0.1"; }\nsub vcl_recv { cookie.parse(req.http.cookie); ${body} set req.http.result = cookie.get_string(); return (pass); }`,
			{
				headers: { Cookie: "a=1; bb=2; cc=3; a=4; =x; e=" },
			},
		)
			.run("vcl_recv")
			.context.req.header("result");
	for (const [body, expected] of [
		["", "a=4; bb=2; cc=3;"],
		['cookie.delete("bb");', "a=4; cc=3;"],
		['cookie.filter("a, bb");', "cc=3;"],
		['cookie.keep("a,cc");', "a=4; cc=3;"],
		['cookie.filter_re("^.$");', "bb=2; cc=3;"],
		['cookie.keep_re("^b");', "bb=2;"],
		['cookie.set("z", "9");', "a=4; bb=2; cc=3; z=9;"],
		['cookie.set("a", "9");', "a=9; bb=2; cc=3;"],
		["cookie.clean();", ""],
	] as const)
		test(`cookie: ${body}`, () => expect(cookies(body)).toBe(expected));

	test("header: append, copy, get, remove, regsub", () => {
		const { req } = load(
			`vcl 4.1;\nimport header;\nbackend a { .host = "127.0.0.1"; }\nsub vcl_recv { header.append(req.http.x, "1"); header.append(req.http.x, "2"); header.append(req.http.x, "33"); header.remove(req.http.x, "^2"); header.copy(req.http.x, req.http.y); header.regsub(req, "^y: 3", "y: 4"); set req.http.z = header.get(req.http.x, "33"); return (pass); }`,
		).run("vcl_recv").context;
		expect(req.headerList().map(({ name, value }) => `${name}: ${value}`)).toEqual([
			"x: 1",
			"x: 33",
			"y: 1",
			"y: 43",
			"z: 33",
		]);
	});
	test("purge only in vcl_hit and vcl_miss", () => {
		const source = `${head}import purge; sub helper { set req.http.n = purge.soft(1s, grace=2s); } sub vcl_hit { call helper; return (deliver); } sub vcl_recv { call helper; return (hash); }`;
		const world = load(source, get());
		expect(world.run("vcl_hit").context.req.header("n")).toBe("2");
		expect(world.logs).toEqual([["Debug", "purge 1 2 -1"]]);
		expect(() => world.run("vcl_recv")).toThrow(VclFailure);
	});
	test("unix knows nobody on TCP, and says so in the log; proxy has answers without a header", () => {
		const world = load(
			`vcl 4.1;\nimport unix;\nbackend a none;\nsub vcl_recv { set req.http.u = unix.uid(); return (pass); }`,
		);
		expect(world.run("vcl_recv").context.req.header("u")).toBe("-1");
		expect(world.logs).toEqual([["VCL_Error", "vmod unix error: not listening on a Unix domain socket"]]);
		const { req } = load(
			`vcl 4.1;\nimport proxy;\nbackend a none;\nsub vcl_recv { if (!proxy.is_ssl()) { set req.http.p = "plain" + proxy.alpn(); } return (pass); }`,
		).run("vcl_recv").context;
		expect(req.header("p")).toBe("plain");
	});
	test("vtc asks the engine to wait, in called subs too; other programs cannot", () => {
		const world = load(
			`vcl 4.1;\nimport vtc;\nbackend a none;\nsub rest { vtc.sleep(1500ms); }\nsub vcl_recv { call rest; vtc.barrier_sync("127.0.0.1:9", 2s); return (pass); }`,
		);
		expect(world.waits("vcl_recv")).toEqual([
			{ kind: "sleep", durationSeconds: 1.5 },
			{ kind: "barrier", address: "127.0.0.1:9", timeoutSeconds: 2 },
			{ kind: "pass", durationSeconds: null },
		]);
		expect(() => load(`${head}sub vcl_recv { return (pass); }`).waits("vcl_recv")).toThrow(TypeError);
	});
	test("std: files, environment, log, ban", () => {
		const world = load(
			`${head}sub vcl_recv { set req.http.f = std.strstr(std.fileread("/motd"), "h"); if (std.file_exists("/nope")) { return (pipe); } set req.http.e = std.getenv("HOME"); std.log("a" + 1); std.timestamp("T"); if (!std.ban("bad")) { set req.http.b = std.ban_error(); } ban("req.url == /x"); return (pass); }`,
		);
		expect(() => world.run("vcl_recv")).toThrow(VclFailure);
		const quiet = load(
			`${head}sub vcl_recv { set req.http.e = std.getenv("HOME"); std.log("a" + 1); std.timestamp("T"); if (!std.ban("bad")) { set req.http.b = std.ban_error(); } ban("req.url == /x"); return (pass); }`,
		);
		const { context: task } = quiet.run("vcl_recv");
		expect([task.req.header("e"), task.req.header("b")]).toEqual(["/root", "Unknown or unsupported field"]);
		expect((task as unknown as { bans: string[] }).bans).toEqual(["bad", "req.url == /x"]);
		expect(quiet.logs).toEqual([
			["VCL_Log", "a1"],
			["Timestamp", "T"],
			["VCL_Error", "ban(): Unknown or unsupported field"],
		]);
	});
	test("a failing vcl_init refuses the load", () => {
		expect(() => load(`${head}sub vcl_init { return (fail("not today")); }`)).toThrow("not today");
		expect(() => load(`${head}sub vcl_init { std.log(std.integer("none")); }`)).toThrow(/conversion failed/);
	});
});
