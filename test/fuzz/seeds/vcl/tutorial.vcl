vcl 4.1;
import std;
backend default { .host = "127.0.0.1"; .port = "8080"; .probe = { .url = "/"; .interval = 5s; .window = 5; .threshold = 3; } }
acl purge { "localhost"; "192.0.2.0"/24; ! "192.0.2.23"; }
sub vcl_recv {
	if (req.method == "PURGE") { if (client.ip !~ purge) { return (synth(405, "no")); } return (purge); }
	set req.http.X-Device = regsub(req.http.User-Agent, "(?i)^.*(mobile|tablet).*$", "\1");
	std.log("url " + req.url);
}
sub vcl_backend_response { if (beresp.http.Cache-Control ~ "s-maxage=\d+") { unset beresp.http.Set-Cookie; set beresp.ttl = 120s; } }
sub vcl_deliver { if (obj.hits > 0) { set resp.http.X-Cache = "HIT"; } else { set resp.http.X-Cache = "MISS"; } }
