/** Which programs have the same outcome again: what is used on the way decides, not what stands in the program. */
import { describe, expect, test } from "bun:test";
import { context, load } from "./mini-runtime.ts";

const backend =
	'vcl 4.1; import std; import directors; import cookie; import header; backend b { .host = "192.0.2.9"; }';

/** Runs one sub with `body`; whether it varied, and the bound on obj.hits. */
function run(
	sub: "vcl_recv" | "vcl_deliver",
	body: string,
	more = "",
): { varied: boolean; hitsBound: number } {
	const world = load(`${backend}\n${more}\nsub ${sub} { ${body} }`);
	const task = Object.assign(context({ headers: { host: "a", cookie: "x=1" }, url: "/x" }, []), {
		varied: false,
		hitsBound: -1,
	});
	world.run(sub, task);
	return { varied: task.varied, hitsBound: task.hitsBound };
}

describe("the same outcome again", () => {
	test.each([
		['set req.url = regsub(req.url, "x", "y"); set req.http.A = req.http.Host + req.method;'],
		['if (client.ip ~ local) { set req.http.L = "1"; } else { set req.http.L = client.ip; }'],
		["set req.backend_hint = rr.backend(); set req.ttl = 10s; set req.http.T = req.ttl;"],
		['std.log("k:" + std.tolower(req.http.Host)); std.collect(req.http.Cookie);'],
		['cookie.parse(req.http.cookie); set req.http.C = cookie.get("x");'],
		['header.append(req.http.A, "1"); set req.http.E = local.endpoint + local.socket;'],
		['if (req.method == "BAN") { ban("req.url == /"); set req.http.N = now; return (synth(200)); }'],
	])("vcl_recv { %s }", (body) => {
		const more =
			'acl local { "192.0.2.0"/24; } sub vcl_init { new rr = directors.round_robin(); rr.add_backend(b); }';
		expect(
			run(
				"vcl_recv",
				`${body} if (req.url ~ "never") { set req.backend_hint = rr.backend(); if (client.ip ~ local) { return (pass); } }`,
				more,
			).varied,
		).toBe(false);
	});

	test.each([
		["set req.http.N = now;"],
		["set req.http.X = req.xid;"],
		["set req.http.X = std.random(0, 10);"],
		["set req.http.P = std.port(client.ip);"],
		["if (std.healthy(b)) { set req.http.H = 1; }"],
		["set req.http.I = client.identity;"],
		['set client.identity = "x";'],
		["set req.http.I = server.ip;"],
		["set sess.timeout_idle = 3s;"],
		['ban("req.url == /");'],
		['std.timestamp("here");'],
		['std.syslog(1, "x");'],
	])("not vcl_recv { %s }", (body) => {
		expect(run("vcl_recv", body).varied).toBe(true);
	});

	test.each([
		['set resp.http.A = "1"; unset resp.http.Age; unset resp.http.X-Varnish; set resp.status = 203;', -1],
		['if (obj.hits > 0) { set resp.http.X = "HIT"; }', 0],
		['if (obj.hits) { set resp.http.X = "HIT"; }', 0],
		['if (obj.hits >= 7 || obj.hits == 2) { set resp.http.X = "HIT"; }', 7],
	])("vcl_deliver { %s }", (body, hitsBound) => {
		expect(run("vcl_deliver", body)).toEqual({ varied: false, hitsBound });
	});

	test.each([
		["set resp.http.H = obj.hits;"],
		["if (0 < obj.hits) { set resp.http.H = 1; }"],
		["set resp.http.A = resp.http.Age;"],
		["set resp.http.Age = 5;"],
		["set resp.http.T = obj.ttl;"],
		["set resp.http.T = obj.age;"],
		["header.append(resp.http.X-Varnish, resp.http.A);"],
	])("not vcl_deliver { %s }", (body) => {
		expect(run("vcl_deliver", body).varied).toBe(true);
	});
});
