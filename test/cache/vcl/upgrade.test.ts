/** VCL 3 as the old tutorials have it: translated, and doing what the tutorial says. Reference §9. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { compileVcl } from "../../../firmware/cache/vcl/compile.ts";
import { upgradeVcl } from "../../../firmware/cache/vcl/upgrade.ts";
import { context, ip, load, type Message } from "./mini-runtime.ts";

setDefaultTimeout(60_000);

const backend = 'backend default { .host = "127.0.0.1"; .port = "8080"; }\n';

function upgraded(source: string): string {
	return upgradeVcl(source)!.text;
}

describe("one idiom, one translation (reference 9)", () => {
	const cases: readonly [string, string][] = [
		['sub vcl_recv { if (req.request == "GET") { } }', 'if (req.method == "GET")'],
		["sub vcl_recv { remove req.http.Cookie; }", "unset req.http.Cookie;"],
		['sub vcl_recv { error 405 "No."; }', 'return (synth(405, "No."));'],
		["sub vcl_recv { error 405; }", "return (synth(405));"],
		['sub vcl_recv { error(404, "x"); }', 'return (synth(404, "x"));'],
		[
			'sub vcl_recv { error 301 "http://" req.http.host req.url; }',
			'return (synth(301, "http://" + req.http.host + req.url));',
		],
		["sub vcl_recv { return (lookup); }", "return (hash);"],
		["sub vcl_recv { lookup; }", "return (hash);"],
		["sub vcl_recv { pass; }", "return (pass);"],
		["sub vcl_hash { return (hash); }", "return (lookup);"],
		["sub vcl_hash { set req.hash += req.url; }", "hash_data(req.url);"],
		["sub vcl_hit { purge; }", "vmod_purge.hard();"],
		["sub vcl_hit { set obj.ttl = 0s; }", "vmod_purge.hard();"],
		["sub vcl_pass { return (pass); }", "return (fetch);"],
		["sub vcl_fetch { return (hit_for_pass); }", "return (pass(beresp.ttl));"],
		["sub vcl_fetch { return (restart); }", "return (retry);"],
		["sub vcl_fetch { set beresp.ttl = 120 s; }", "sub vcl_backend_response { set beresp.ttl = 120 s; }"],
		['sub vcl_fetch { if (req.url ~ "x") { } }', 'if (bereq.url ~ "x")'],
		["sub vcl_fetch { error 503; }", "return (error(503));"],
		["sub vcl_fetch { esi; }", "set beresp.do_esi = true;"],
		["sub vcl_error { set obj.http.X = obj.status; }", "set resp.http.X = resp.status;"],
		[
			"sub vcl_error { set obj.http.X = obj.response; }",
			"sub vcl_backend_error { set beresp.http.X = beresp.reason; }",
		],
		['sub vcl_error { synthetic {"a"} obj.status {"b"}; }', 'synthetic({"a"} + resp.status + {"b"});'],
		['sub vcl_recv { set req.http.X = "a" req.url "b"; }', 'set req.http.X = "a" + req.url + "b";'],
		["sub vcl_recv { ban_url(req.url); }", 'ban("req.url ~ " + req.url);'],
		['sub vcl_recv { ban("req.url == " req.url); }', 'ban("req.url == " + req.url);'],
		['sub vcl_recv { log "x" req.url; }', 'std.log("x" + req.url);'],
		["sub vcl_recv { set req.backend = default; }", "set req.backend_hint = default;"],
		["sub vcl_recv { if (!req.backend.healthy) { } }", "if (!std.healthy(req.backend_hint))"],
		["sub vcl_recv { set req.http.P = server.port; }", "set req.http.P = std.port(server.ip);"],
		["sub vcl_timeout { }", ""],
		[
			"director d round-robin { { .backend = default; } }",
			"sub vcl_init {\n\tnew d = directors.round_robin();\n\td.add_backend(default);\n}",
		],
		[
			'director d random { { .backend = { .host = "10.0.0.1"; } .weight = 3; } }',
			'backend d_1 { .host = "10.0.0.1"; }\nsub vcl_init {\n\tnew d = directors.random();\n\td.add_backend(d_1, 3.0);\n}',
		],
		[
			"director d client { { .backend = default; } } sub vcl_recv { set req.backend = d; }",
			"set req.backend_hint = d.backend(client.identity);",
		],
		[
			"director default fallback { { .backend = b; } } sub vcl_recv { }",
			"set req.backend_hint = default_director.backend();",
		],
		['acl a { "10.0.0.1"/8; }', 'acl a -pedantic { "10.0.0.1"/8; }'],
		[
			"sub vcl_recv { if (req.esi) { set req.esi = false; } }",
			"vcl 4.0;\nsub vcl_recv { if (req.esi) { set req.esi",
		],
		["sub vcl_fetch { set req.esi = false; }", "vcl 4.1;\nsub vcl_backend_response {  }"],
		[
			"sub vcl_miss { set bereq.connect_timeout = 1s; }",
			"sub vcl_miss { }\nsub vcl_backend_fetch { if (!bereq.uncacheable) { set bereq.connect_timeout = 1s; } }",
		],
		[
			"sub vcl_pass { unset bereq.http.Cookie; return (pass); }",
			"sub vcl_pass { return (fetch); }\nsub vcl_backend_fetch { if (bereq.uncacheable) { unset bereq.http.Cookie; } }",
		],
		["sub vcl_miss { if (bereq.request != req.request) { error 400; } }", "if (req.method != req.method)"],
		[
			'sub vcl_pipe { set bereq.http.connection = "close"; }\nsub vcl_timeout { }',
			'sub vcl_pipe { set bereq.http.connection = "close"; }',
		],
	];
	for (const [source, expected] of cases)
		test(source, () => {
			const { text, notes } = upgradeVcl(source)!;
			expect(text).toContain(expected);
			expect(notes.length).toBeGreaterThan(0);
		});

	test("what changes the request to the backend goes with its conditions, and nothing else does", () => {
		const source = `sub strip { remove bereq.http.Cookie; }
sub vcl_miss {
	set bereq.url = regsub(bereq.url, "^/old", "/new");
	if (req.request == "PURGE") {
		error 404 "Not in cache";
	} elsif (req.http.slow) {
		set bereq.first_byte_timeout = 30s;
		set req.http.from = bereq.url;
	}
	call strip;
	if (req.http.plain) { fetch; }
	std.collect(bereq.http.x);
	return (fetch);
}
`;
		const { text } = upgradeVcl(source)!;
		expect(text).toBe(`vcl 4.1;
import std;
sub strip { unset bereq.http.Cookie; }
sub vcl_miss {
	if (req.method == "PURGE") {
		return (synth(404, "Not in cache"));
	} elsif (req.http.slow) {
		set req.http.from = req.url;
	}
	if (req.http.plain) { return (fetch); }
	return (fetch);
}
sub vcl_backend_fetch { if (!bereq.uncacheable) {
	set bereq.url = regsub(bereq.url, "^/old", "/new");
	if (bereq.method == "PURGE") {
	} elsif (bereq.http.slow) {
		set bereq.first_byte_timeout = 30s;
	}
	call strip;
	if (bereq.http.plain) { return (fetch); }
	std.collect(bereq.http.x);
} }
`);
		expect(compileVcl(backend + source).ok).toBe(true);
	});

	test("a subroutine that also decides stays where it is called", () => {
		const { text } = upgradeVcl("sub one { set bereq.http.x = 1; error 404; } sub vcl_miss { call one; }")!;
		expect(text).not.toContain("vcl_backend_fetch");
	});

	test("a part with req.esi makes the whole program one of 4.0", () => {
		const source = `${backend}sub vcl_recv { remove req.http.x; }\ninclude "part.vcl";\n`;
		const text = "sub vcl_recv { if (req.esi) { set req.http.esi = 1; } }";
		const result = compileVcl(source, { include: () => ({ ok: true, files: [{ name: "part.vcl", text }] }) });
		if (!result.ok) throw new Error(result.error.text);
		expect(result.vcl.syntax).toBe(40);
		expect(result.vcl.warnings.match(/req\.esi -> vcl 4\.0/g)).toHaveLength(1);
	});

	test("comments and layout stay", () => {
		const source = "# one\nsub vcl_recv {\n\t// two\n\tremove   req.http.Cookie; /* three */\n}\n";
		expect(upgraded(source)).toBe(
			"vcl 4.1;\n# one\nsub vcl_recv {\n\t// two\n\tunset   req.http.Cookie; /* three */\n}\n",
		);
	});

	test("durations and probe requests are no strings next to each other", () => {
		const source =
			'probe p { .request = "GET / HTTP/1.1" "Host: x"; .timeout = 1 s; }\nbackend b { .host = "127.0.0.1"; .probe = p; }\nsub vcl_fetch { set beresp.ttl = 2 h; }\n';
		const { text } = upgradeVcl(source)!;
		expect(text).not.toContain("+");
		expect(compileVcl(source).ok).toBe(true);
	});

	test("what has a version line is left alone", () => {
		const result = compileVcl(`vcl 4.1;\n${backend}sub vcl_recv { remove req.http.x; }`);
		expect(result.ok).toBe(false);
	});

	test("every idiom warns, with its place", () => {
		const result = compileVcl(`${backend}sub vcl_recv { remove req.http.x; }`, { name: "old.vcl" });
		if (!result.ok) throw new Error(result.error.text);
		expect(result.vcl.warnings).toBe(
			"VCL 3: remove -> unset\n('old.vcl' Line 2 Pos 16)\n(That was just a warning)\n",
		);
	});

	test("an included file is translated too, with the directors of the main one", () => {
		const result = compileVcl(
			`${backend}director d round-robin { { .backend = default; } }\ninclude "part.vcl";\n`,
			{
				include: () => ({
					ok: true,
					files: [
						{
							name: "part.vcl",
							text: 'sub vcl_recv { set req.backend = d; if (req.request == "PURGE") { error 405; } }',
						},
					],
				}),
			},
		);
		if (!result.ok) throw new Error(result.error.text);
		expect(result.vcl.warnings).toContain("'part.vcl' Line 1");
	});
});

describe("the tutorials' examples run unchanged", () => {
	test("X-Cache: HIT or MISS by obj.hits in vcl_deliver", () => {
		const world = load(
			`${backend}sub vcl_deliver { if (obj.hits > 0) { set resp.http.X-Cache = "HIT"; } else { set resp.http.X-Cache = "MISS"; } }`,
		);
		for (const [hits, expected] of [
			[3, "HIT"],
			[0, "MISS"],
		] as const) {
			const task = context({}, []);
			(task.obj as unknown as Message).hits = hits;
			expect(world.run("vcl_deliver", task).action).toEqual({ kind: "deliver" });
			expect(task.resp.header("x-cache")).toBe(expected);
		}
	});

	test("Set-Cookie dropped and a ttl of 120 s for images, in vcl_fetch", () => {
		const world = load(
			`${backend}sub vcl_fetch { if (req.url ~ "\\.(png|gif|jpg)$") { unset beresp.http.Set-Cookie; set beresp.ttl = 120s; } }`,
		);
		const task = context({ url: "/a.png" }, []);
		task.beresp.setHeader("set-cookie", "Set-Cookie", "a=b");
		task.beresp.ttl = 0;
		expect(world.run("vcl_backend_response", task).action).toEqual({ kind: "deliver" });
		expect([task.beresp.header("set-cookie"), task.beresp.ttl]).toEqual([null, 120]);
		const page = context({ url: "/page" }, []);
		page.beresp.setHeader("set-cookie", "Set-Cookie", "a=b");
		world.run("vcl_backend_response", page);
		expect([page.beresp.header("set-cookie"), page.beresp.uncacheable]).toEqual(["a=b", true]);
	});

	test("PURGE guarded by an ACL: 405, 200, 404, 502", () => {
		const world = load(`${backend}
acl purge { "localhost"; "192.0.2.0"/24; }
sub vcl_recv { if (req.request == "PURGE") { if (!client.ip ~ purge) { error 405 "Not allowed."; } return (lookup); } }
sub vcl_hit { if (req.request == "PURGE") { purge; error 200 "Purged."; } }
sub vcl_miss { if (req.request == "PURGE") { purge; error 404 "Not in cache."; } }
sub vcl_pass { if (req.request == "PURGE") { error 502 "PURGE on a passed object."; } }
`);
		const purge = (clientIp: string) => context({ method: "PURGE", clientIp }, world.logs);
		expect(world.run("vcl_recv", purge("198.51.100.1")).action).toEqual({
			kind: "synth",
			status: 405,
			reason: "Not allowed.",
		});
		expect(world.run("vcl_recv", purge("192.0.2.9")).action).toEqual({ kind: "hash" });
		expect(world.run("vcl_recv", purge("127.0.0.1")).action).toEqual({ kind: "hash" });
		expect(world.run("vcl_hit", purge("127.0.0.1")).action).toMatchObject({ kind: "synth", status: 200 });
		expect(world.run("vcl_miss", purge("127.0.0.1")).action).toMatchObject({ kind: "synth", status: 404 });
		expect(world.run("vcl_pass", purge("127.0.0.1")).action).toMatchObject({ kind: "synth", status: 502 });
		expect(world.logs).toEqual([
			["Debug", "purge 0 0 0"],
			["Debug", "purge 0 0 0"],
		]);
	});

	test("mobile or desktop by User-Agent", () => {
		const source = `backend mobile { .host = "10.0.0.1"; }
backend default { .host = "10.0.0.2"; }
sub vcl_recv { if (req.http.User-Agent ~ "(?i)(iphone|android)") { set req.backend = mobile; } else { set req.backend = default; } }`;
		for (const [agent, expected] of [
			["Mozilla (iPhone)", "mobile"],
			["Mozilla (X11)", "default"],
		] as const) {
			const world = load(source, { headers: { Host: "a", "User-Agent": agent } });
			expect(world.run("vcl_recv").context.req.backendHint?.name).toBe(expected);
		}
	});

	test("probes, and a random director with weights", () => {
		const source = `backend web1 { .host = "10.0.0.1"; .probe = { .url = "/health"; .interval = 5s; .timeout = 1 s; .window = 5; .threshold = 3; } }
backend web2 { .host = "10.0.0.2"; }
director pool random { { .backend = web1; .weight = 3; } { .backend = web2; .weight = 1; } }
sub vcl_recv { set req.backend = pool; }`;
		const world = load(source, { headers: { Host: "a" } });
		expect(world.backends.get("web1")!.definition.probe).toMatchObject({
			url: "/health",
			intervalSeconds: 5,
			timeoutSeconds: 1,
			window: 5,
			threshold: 3,
			initial: 2,
		});
		const chosen = (point: number) => {
			world.dice.push(point);
			return world.run("vcl_recv").context.req.backendHint?.resolve(null)?.name;
		};
		expect([chosen(0), chosen(0.74), chosen(0.76), chosen(0.99)]).toEqual(["web1", "web1", "web2", "web2"]);
		world.backends.get("web1")!.up = false;
		expect(chosen(0.1)).toBe("web2");
		world.backends.get("web2")!.up = false;
		expect(chosen(0.1)).toBeUndefined();
	});

	test("another URL and other timeouts for a miss, a field for a pass", () => {
		const world = load(
			`${backend}sub vcl_miss { set bereq.url = "/x" bereq.url; set bereq.first_byte_timeout = 7s; }
sub vcl_pass { set bereq.http.X-Pass = "yes"; }`,
		);
		const asked = (uncacheable: boolean) => {
			const task = context({ url: "/a" }, []);
			(task.bereq as unknown as Message).uncacheable = uncacheable;
			expect(world.run(uncacheable ? "vcl_pass" : "vcl_miss", task).action).toEqual({ kind: "fetch" });
			expect(world.run("vcl_backend_fetch", task).action).toEqual({ kind: "fetch" });
			return [
				task.bereq.url,
				(task.bereq as unknown as Message).firstByteTimeout,
				task.bereq.header("x-pass"),
			];
		};
		expect(asked(false)).toEqual(["/x/a", 7, null]);
		expect(asked(true)).toEqual(["/a", undefined, "yes"]);
	});

	test("another backend after an error, on either side", () => {
		const upgraded = upgradeVcl(
			`${backend}sub vcl_error { if (req.restarts < 3) { set req.backend = default; restart; } }`,
		);
		expect(upgraded!.text).toContain("{ set req.backend_hint = default; return (restart); }");
		expect(upgraded!.text).toContain("{ set bereq.backend = default; return (retry); }");
		expect(compileVcl(upgraded!.text).ok).toBe(true);
	});

	test("an error page in vcl_error, for both sides", () => {
		const world = load(
			`${backend}sub vcl_error { set obj.http.Content-Type = "text/html"; synthetic {"<h1>"} obj.status " " obj.response {"</h1>"}; return (deliver); }`,
		);
		const task = context({}, []);
		task.resp.setStatus(404);
		world.run("vcl_synth", task);
		expect([(task.resp as unknown as Message).body, task.resp.header("content-type")]).toEqual([
			"<h1>404 Reason 404</h1>",
			"text/html",
		]);
		const failed = context({}, []);
		failed.beresp.setStatus(503);
		world.run("vcl_backend_error", failed);
		expect((failed.beresp as unknown as Message).body).toBe("<h1>503 Reason 503</h1>");
	});

	test("the test's own addresses", () =>
		expect(ip("127.0.0.1").bytes).toEqual(new Uint8Array([127, 0, 0, 1])));
});
