# Every way out of every sub, on demand of the request's fields; without them, the built-in program and what it decided.
vcl 4.1;
backend default { .host = "127.0.0.1"; .port = "@PORT@"; }
backend nobody none;
sub vcl_recv {
	if (req.restarts > 0) { return (hash); }
	if (req.http.x-recv == "pass") { return (pass); }
	if (req.http.x-recv == "synth") { return (synth(700, "Custom")); }
	if (req.http.x-recv == "synth-status") { return (synth(1404)); }
	if (req.http.x-recv == "restart") { return (restart); }
	if (req.http.x-recv == "purge") { return (purge); }
	if (req.http.x-recv == "fail") { return (fail("on demand")); }
	if (req.http.x-recv == "hash") { return (hash); }
}
sub vcl_hit {
	if (req.restarts > 0) { return (deliver); }
	if (req.http.x-hit == "pass") { return (pass); }
	if (req.http.x-hit == "synth") { return (synth(750)); }
	if (req.http.x-hit == "restart") { return (restart); }
	if (req.http.x-hit == "fail") { return (fail); }
}
sub vcl_miss {
	if (req.restarts > 0) { return (fetch); }
	if (req.http.x-miss == "pass") { return (pass); }
	if (req.http.x-miss == "synth") { return (synth(751, "Missed")); }
	if (req.http.x-miss == "restart") { return (restart); }
	if (req.http.x-miss == "fail") { return (fail); }
}
sub vcl_pass {
	if (req.restarts > 0) { return (fetch); }
	if (req.http.x-pass == "synth") { return (synth(752)); }
	if (req.http.x-pass == "restart") { return (restart); }
	if (req.http.x-pass == "fail") { return (fail); }
}
sub vcl_deliver {
	if (obj.hits > 0) { set resp.http.x-cache = "HIT"; } else { set resp.http.x-cache = "MISS"; }
	set resp.http.x-uncacheable = obj.uncacheable;
	set resp.http.x-restarts = req.restarts;
	if (req.restarts == 0) {
		if (req.http.x-deliver == "synth") { return (synth(753, "Delivered")); }
		if (req.http.x-deliver == "restart") { return (restart); }
		if (req.http.x-deliver == "fail") { return (fail); }
	}
	if (req.http.x-deliver == "header") { set resp.http.x-new = "1"; unset resp.http.etag; }
	if (req.http.x-deliver == "status") { set resp.status = 404; }
	if (req.http.x-deliver == "reason") { set resp.reason = "Because"; }
	if (req.http.x-deliver == "etag") { set resp.http.etag = {""abc""}; }
	if (req.http.x-deliver == "close") { set resp.http.connection = "close"; }
}
sub vcl_synth {
	if (req.http.x-synth == "restart" && req.restarts == 0) { return (restart); }
	if (req.http.x-synth == "fail") { return (fail); }
	if (req.http.x-synth == "body") { set resp.body = "made " + resp.status + resp.reason; return (deliver); }
	if (req.http.x-synth == "header") { set resp.http.x-new = "1"; set resp.status = 299; }
	if (req.http.x-synth == "deliver") { return (deliver); }
}
sub vcl_backend_fetch {
	if (bereq.retries == 0) {
		if (bereq.http.x-fetch == "fail") { return (fail); }
		if (bereq.http.x-fetch == "abandon") { return (abandon); }
		if (bereq.http.x-fetch == "error") { return (error(444, "Errored")); }
	}
	if (bereq.http.x-fetch == "url") { set bereq.url = bereq.url + "?more"; }
	if (bereq.http.x-fetch == "unset") { unset bereq.http.accept-encoding; }
	if (bereq.http.x-fetch == "body") { unset bereq.body; }
	if (bereq.http.x-fetch == "nobody") { set bereq.backend = nobody; }
}
sub vcl_backend_response {
	set beresp.http.x-ttl = beresp.ttl;
	set beresp.http.x-grace = beresp.grace;
	set beresp.http.x-was-304 = beresp.was_304;
	if (bereq.retries == 0) {
		if (bereq.http.x-response == "fail") { return (fail); }
		if (bereq.http.x-response == "abandon") { return (abandon); }
		if (bereq.http.x-response == "error") { return (error(445, "Errored late")); }
		if (bereq.http.x-response == "retry") { return (retry); }
	}
	if (bereq.http.x-response == "pass") { return (pass(50s)); }
	if (bereq.http.x-response == "ttl") { set beresp.ttl = 100s; unset beresp.http.set-cookie; unset beresp.http.cache-control; }
	if (bereq.http.x-response == "ttl0") { set beresp.ttl = 0s; return (deliver); }
	if (bereq.http.x-response == "uncacheable") { set beresp.uncacheable = true; return (deliver); }
	if (bereq.http.x-response == "whole") { set beresp.do_stream = false; }
	if (bereq.http.x-response == "gzip") { set beresp.do_gzip = true; }
	if (bereq.http.x-response == "gunzip") { set beresp.do_gunzip = true; }
	if (bereq.http.x-response == "header") { set beresp.http.x-new = "1"; unset beresp.http.content-type; }
	if (bereq.http.x-response == "status") { set beresp.status = 404; }
	if (bereq.http.x-response == "grace") { set beresp.ttl = 0s; set beresp.grace = 100s; return (deliver); }
	if (bereq.http.x-response == "vary") { set beresp.http.vary = "X-A"; }
	if (bereq.http.x-response == "etag") { set beresp.http.etag = {""abc""}; }
}
sub vcl_backend_error {
	if (bereq.retries == 0) {
		if (bereq.http.x-error == "fail") { return (fail); }
		if (bereq.http.x-error == "abandon") { return (abandon); }
		if (bereq.http.x-error == "retry") { return (retry); }
	}
	if (bereq.http.x-error == "ttl") { set beresp.ttl = 100s; }
	if (bereq.http.x-error == "body") { set beresp.body = "err"; return (deliver); }
	if (bereq.http.x-error == "status") { set beresp.status = 200; }
}
