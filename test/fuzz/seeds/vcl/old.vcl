backend a { .host = "127.0.0.1"; }
director d random { { .backend = a; .weight = 2; } }
sub vcl_recv { set req.backend = d; if (req.request == "PURGE") { error 405 "no"; } if (!req.backend.healthy) { set req.grace = 5m; } return (lookup); }
sub vcl_fetch { unset beresp.http.Set-Cookie; set beresp.ttl = 120s; return (deliver); }
