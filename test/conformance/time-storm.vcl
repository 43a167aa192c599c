# Lifetimes, purges and bans on demand of the fields; half a second behind each, so that nothing ends while somebody asks.
vcl 4.1;
import std;
import purge;
backend default { .host = "127.0.0.1"; .port = "@PORT@"; }
sub vcl_recv {
	if (req.http.x-req-grace) { set req.grace = std.duration(req.http.x-req-grace, 1s); }
	if (req.http.x-req-ttl) { set req.ttl = std.duration(req.http.x-req-ttl, 1s); }
	if (req.http.x-recv == "pass") { return (pass); }
	if (req.http.x-recv == "always-miss") { set req.hash_always_miss = true; }
	if (req.http.x-recv == "ignore-busy") { set req.hash_ignore_busy = true; }
	if (req.http.x-recv == "purge") { return (purge); }
	if (req.http.x-recv == "ban") { ban("obj.http.x-url == " + req.url); }
	if (req.http.x-recv == "ban-age") { ban("obj.http.x-url == " + req.url + " && obj.age > 1.5s"); }
	return (hash);
}
sub soft {
	if (req.http.x-recv == "soft-0") { purge.soft(0s, 2.5s, 2s); }
	if (req.http.x-recv == "soft-1") { purge.soft(1.5s); }
	if (req.http.x-recv == "soft-2") { purge.soft(-1s, 0s, 3.5s); }
}
sub vcl_hit { call soft; }
sub vcl_miss { call soft; }
sub vcl_backend_response {
	set beresp.http.x-url = bereq.url;
	if (beresp.http.x-set-ttl) { set beresp.ttl = std.duration(beresp.http.x-set-ttl, 1s); }
	if (beresp.http.x-set-grace) { set beresp.grace = std.duration(beresp.http.x-set-grace, 1s); }
	if (beresp.http.x-set-keep) { set beresp.keep = std.duration(beresp.http.x-set-keep, 1s); }
	if (beresp.ttl > 0s) { set beresp.ttl = beresp.ttl + 0.5s; }
	set beresp.http.x-was-304 = beresp.was_304;
	set beresp.http.x-bg = bereq.is_bgfetch;
	if (beresp.http.x-mark == "pass") { return (pass(2.5s)); }
	if (beresp.http.x-mark == "miss") { set beresp.uncacheable = true; set beresp.ttl = 2.5s; return (deliver); }
	if (beresp.status >= 500 && bereq.is_bgfetch) { return (abandon); }
}
sub vcl_deliver {
	set resp.http.x-hits = obj.hits;
	set resp.http.x-uncacheable = obj.uncacheable;
	set resp.http.x-seen-age = resp.http.age;
	if (obj.ttl > 0s) { set resp.http.x-is-fresh = "yes"; }
	if (obj.ttl + obj.grace > 0s) { set resp.http.x-in-grace = "yes"; }
}
