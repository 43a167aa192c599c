/** What to do about a compile error, in plain words, for the mistakes that people make most. ASCII only. */

const hints: readonly (readonly [RegExp, string])[] = [
	[
		/^Invalid return "(?:fetch|miss)"[\s\S]*which is the "vcl_hit"/,
		"A stale object is refreshed by itself (beresp.grace): in vcl_hit just `return (deliver);`. To go to the back end all the same: `return (pass);`, or req.hash_always_miss and a restart.",
	],
	[
		/^Invalid return "lookup"/,
		"Since VCL 4 vcl_recv says `return (hash);` and vcl_hash says `return (lookup);`.",
	],
	[/^Invalid return "hash"/, "vcl_hash ends with `return (lookup);`."],
	[/^Invalid return "restart"[\s\S]*vcl_backend/, "On the back-end side it is `return (retry);`."],
	[/^Invalid return "pass"[\s\S]*vcl_pass/, "vcl_pass ends with `return (fetch);`."],
	[
		/^Invalid return/,
		"Each subroutine has its own actions; the last line lists those that are possible here.",
	],
	[
		/^Expected return action name\.\n[\s\S]*hit_for_pass/,
		"`return (pass(120s));` in vcl_backend_response makes hit-for-pass; or set beresp.uncacheable = true, a ttl, and deliver.",
	],
	[
		/^Expected return action name\.\n[\s\S]*miss/,
		"There is no action of that name: in vcl_hit use `return (deliver);` (stale objects are refreshed by themselves) or `return (pass);`.",
	],
	[
		/^Expected return action name/,
		"Actions are: abandon, deliver, error, fail, fetch, hash, lookup, ok, pass, pipe, purge, restart, retry, synth, vcl.",
	],
	[/^Symbol not found: 'error'/, '`error 405 "text";` is now `return (synth(405, "text"));`.'],
	[/^Symbol not found: 'remove'/, "`remove` is now `unset`."],
	[/^Symbol not found: 'purge'/, "`purge;` is now `return (purge);` in vcl_recv (or vmod purge's hard())."],
	[/^Symbol not found: '(?:ban_url|purge_url)'/, '`ban_url(x)` is now `ban("req.url ~ " + x)`.'],
	[/^Symbol not found: 'esi'/, "`esi;` is now `set beresp.do_esi = true;`."],
	[/^Symbol not found: 'log'/, 'import std, and write `std.log("text");`.'],
	[/^Symbol not found: 'req.backend'/, "`req.backend` is now `req.backend_hint`."],
	[/^Symbol not found: '(?:server|client)\.port'/, "Use `std.port(server.ip)` (import std)."],
	[/^Symbol not found: 'std\./, "Put `import std;` at the top."],
	[/^Symbol not found: 'directors\./, "Put `import directors;` at the top."],
	[/^Symbol not found: 'cookie\./, "Put `import cookie;` at the top."],
	[/Only available when/, "The variable belongs to another VCL version: see the `vcl 4.x;` line."],
	[
		/^Symbol not found/,
		"Check the spelling; an object must be made in vcl_init above its first use, and a vmod imported.",
	],
	[/^Unknown property 'request'/, "`req.request` is now `req.method`."],
	[/^Unknown property 'backend'/, "`req.backend.healthy` is now `std.healthy(req.backend_hint)`."],
	[/^Unknown property 'esi'/, "`req.esi` exists in VCL 4.0 only; 4.1 has resp.do_esi."],
	[
		/^The names 'vcl_\*' are reserved[\s\S]*vcl_fetch/,
		"vcl_fetch is now vcl_backend_response, with bereq instead of req.",
	],
	[
		/^The names 'vcl_\*' are reserved[\s\S]*vcl_error/,
		"vcl_error is now vcl_synth (client side) and vcl_backend_error (back-end side).",
	],
	[/^The names 'vcl_\*' are reserved/, "Choose a name that does not begin with vcl_."],
	[
		/^Expected ';' got '(?:"|\{"|[A-Za-z])/,
		"Either a semicolon is missing before this, or two texts stand next to each other: join them with +.",
	],
	[/^Expected '\)' got '(?:"|[A-Za-z])/, "Two texts next to each other are joined with +."],
	[/^Expected '\(' got '(?:"|\{")/, 'The text goes into parentheses: `synthetic({"..."});`.'],
	[/^Expected '\)' got '='/, "A comparison is ==."],
	[/^Expected CSTR got '\d/, 'It wants a string: put it in quotes, as in .port = "8080".'],
	[/^Expected ID got ';'/, "A duration needs its unit, as in 5s."],
	[/^Expected one of[\s\S]*Found: ';'/, "There is no semicolon after the closing brace of a declaration."],
	[
		/^Expected one of[\s\S]*Found: 'director'[\s\S]*director\s+\S+\s+dns\b/,
		'A dns director looked the request\'s Host up for every request; here names are looked up when the VCL is loaded. Write a backend for each address of .list, put them into `new d = directors.round_robin();` (vcl_init), or set req.backend_hint by req.http.host; a host of its own for each name is `backend b { .host = "name.suffix"; }`.',
	],
	[
		/^Expected one of[\s\S]*Found: 'director'/,
		"Directors are objects now: import directors, and in vcl_init `new d = directors.round_robin(); d.add_backend(b);`.",
	],
	[/^Expected '=' got '\+='/, "This variable knows only =. In vcl_hash use hash_data(...)."],
	[/^Expression has type (?:INT|REAL), expected DURATION/, "Durations have a unit: 120s, 5m, 1h."],
	[
		/^Comparison of different types: STRING '..?' INT/,
		"Compare texts with texts, or convert: std.integer(x, 0).",
	],
	[
		/^Comparison of different types/,
		"Both sides must have the same type: convert one with std.integer(), std.real(), std.duration() ...",
	],
	[/^Unknown duration unit '(?:[KMGT]?B)'/, "Sizes like 10KB are arguments of functions only."],
	[
		/^Too many digits for real/,
		"An address or version number here? It must be in quotes. A number has at most 12 digits before and 3 after the point.",
	],
	[/^Too many digits/, "A number has at most 15 digits."],
	[
		/^Illegal BLOB character|^Missing colon at end of BLOB|^BLOB must have/,
		"A colon begins a :base64: literal. Is a quote missing before it?",
	],
	[
		/^Syntax error at/,
		"VCL knows no such character outside strings and comments. Is this a template that was not filled in, or a quote missing?",
	],
	[/^Unterminated/, 'Strings end on their line; longer texts are written {"..."} or """...""".'],
	[
		/^Cannot read file/,
		"The file must exist here, by its absolute name or in vcl_path (/etc/varnish, /usr/share/varnish/vcl).",
	],
	[
		/^Backend host .*[\s\S]*Servname not supported/,
		"Neither an address nor a host name: is this a template that was not filled in?",
	],
	[
		/^DNS lookup/,
		'An ACL holds addresses; a name must resolve when the VCL is loaded. In parentheses, ("name"), it may be missing.',
	],
	[
		/Cannot be set in subroutine|Not available in subroutine|Cannot be unset in subroutine/,
		"Client side: req, resp, obj. Back-end side (vcl_backend_*): bereq, beresp.",
	],
	[
		/Not a valid action in subroutine/,
		"`new` belongs into vcl_init, hash_data into vcl_hash, synthetic into vcl_synth and vcl_backend_error.",
	],
	[/Variable is read only/, "It can be read but not changed here."],
	[/^Subroutine recurses/, "A subroutine may not call itself, directly or through others."],
	[/^Unused|^Undefined/, "Every declaration must be used, and everything used must be declared."],
	[/^Unknown ACL flag/, "The flags are log, pedantic and table."],
	[/^Must specify \.threshold/, "Give both .window and .threshold."],
];

/** Null when there is nothing helpful to add. */
export function hintFor(text: string): string | null {
	return hints.find(([pattern]) => pattern.test(text))?.[1] ?? null;
}
