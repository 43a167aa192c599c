# One backend for each lane, and a way through each part of the cache that handles bodies.
vcl 4.1;
import std;
acl here { "127.0.0.1"; }
@BACKENDS@
sub vcl_recv {
@HINTS@
	if (req.url == "/probe") { return (synth(299, "Probe")); }
	if (req.http.x-way == "pass") { return (pass); }
	if (req.http.x-way == "pipe") { return (pipe); }
	if (req.http.x-way == "synth") { return (synth(298)); }
	if (req.http.x-way == "hash") { return (hash); }
	if (req.http.x-way == "hit") { unset req.http.cookie; unset req.http.authorization; set req.method = "GET"; return (hash); }
	if (req.http.x-way == "cache-body") { std.cache_req_body(1KB); return (pass); }
}
# What a scenario stored is for its connection alone.
sub vcl_hash { hash_data(local.socket); hash_data(std.port(remote.ip)); }
sub vcl_backend_response {
	if (bereq.http.x-response == "pass") { return (pass(1s)); }
	if (bereq.http.x-response == "ttl") { set beresp.ttl = 10s; }
	if (bereq.http.x-response == "whole") { set beresp.do_stream = false; }
	if (bereq.http.x-response == "gzip") { set beresp.do_gzip = true; }
	if (bereq.http.x-response == "gunzip") { set beresp.do_gunzip = true; }
}
sub vcl_deliver {
	set resp.http.x-client = client.ip + " " + server.ip;
	if (client.ip !~ here) { set resp.http.x-port = std.port(client.ip); }
}
