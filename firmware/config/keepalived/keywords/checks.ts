/** keepalived.conf(5): the health checks of a real server. */
import type { Argument, Keyword } from "./grammar.ts";
import {
	address,
	anySeconds,
	block,
	boolean,
	choice,
	flag,
	grammar,
	identity,
	integer,
	keyword,
	netInterface,
	script,
	seconds,
	unsigned,
	wholeSeconds,
	word,
	words,
} from "./grammar.ts";

const optionalWord: Argument = { kind: "word", optional: true };

const connection: readonly Keyword[] = [
	keyword("connect_ip", address, "the real server", "address to ask"),
	keyword("connect_port", integer(1, 65_535), "the real server's", "port to ask"),
	keyword("bindto", address, "kernel", "source address"),
	keyword("bind_port", integer(1, 65_535), "kernel", "source port"),
	keyword("bind_if", netInterface, "kernel", "outgoing interface"),
	keyword("connect_timeout", seconds(0.000001), "5", "patience"),
	keyword("fwmark", unsigned(0), "0", "mark on the probe"),
];

const general: readonly Keyword[] = [
	keyword("retry", unsigned(0), "1", "failures tolerated"),
	keyword("delay_before_retry", anySeconds(0), "1", "gap after a failure"),
	keyword("warmup", anySeconds(0), "delay_loop", "spread of the first probe"),
	keyword("delay_loop", anySeconds(0.000001), "60", "period"),
	keyword("alpha", boolean, "off", "starts down"),
	keyword("log_all_failures", boolean, "off", "logs every failure"),
];

/** Written in old files; keepalived 2.2.7 knows it in HTTP_GET and SSL_GET only. */
const oldRetry = keyword("nb_get_retry", unsigned(0), "1", "failures tolerated", {
	replacedBy: "retry",
	old: "unknown",
});

const common = [...connection, ...general];

export const tcpCheck = grammar(() => [...common, oldRetry]);
export const pingCheck = grammar(() => [...common, oldRetry]);

export const udpCheck = grammar(
	() => [
		...common,
		oldRetry,
		keyword("payload", words("HEX…"), "32 bytes", "datagram that is sent"),
		keyword("require_reply", words("[HEX…]", 0), "off", "an answer is needed"),
		keyword("min_reply_length", integer(0, 65_535), "0", "shortest answer"),
		keyword("max_reply_length", integer(0, 65_535), "255", "longest answer"),
	],
	"payload",
);

export const dnsCheck = grammar(() => [
	...common,
	oldRetry,
	keyword(
		"type",
		{
			kind: "choice",
			values: ["A", "NS", "CNAME", "SOA", "MX", "TXT", "AAAA", "RRSIG", "DNSKEY"],
			anyCase: true,
		},
		"SOA",
		"type of the question",
	),
	keyword("name", word, "the root", "name that is asked for"),
]);

export const smtpCheck = grammar(
	() => [
		...common,
		oldRetry,
		keyword("helo_name", word, "smtpchecker.keepalived.org", "name said in HELO"),
		keyword("host", block("host"), "the real server", "one more target", { old: "alias" }),
	],
	"helo_name",
);
export const smtpHost = grammar(() => [...common, oldRetry]);

const http: readonly Keyword[] = [
	...common,
	keyword("nb_get_retry", unsigned(0), "1", "failures tolerated", { replacedBy: "retry" }),
	keyword("virtualhost", word, "of the real server", "Host header"),
	keyword("http_protocol", choice("1.0", "1.1", "1.0C", "1.0c"), "1.0", "version in the request"),
	keyword("enable_sni", boolean, "off", "sends the server name"),
	keyword("sni_name", optionalWord, "virtualhost", "server name that is sent", { since: "head" }),
	keyword("fast_recovery", boolean, "off", "recovers without waiting between urls"),
];
const HTTP_LENIENT = "http_protocol virtualhost";
const URL_LENIENT =
	"regex regex_max_offset regex_min_offset regex_options regex_stack status_code virtualhost";
const tlsCompliant = keyword("tls_compliant", boolean, "off", "a missing close_notify is a failure", {
	since: "2.2.8",
});

export const httpGet = grammar(
	() => [...http, keyword("url", block("HTTP_GET/url"), "", "a page to ask for")],
	HTTP_LENIENT,
);
export const sslGet = grammar(
	() => [...http, tlsCompliant, keyword("url", block("SSL_GET/url"), "", "a page to ask for")],
	HTTP_LENIENT,
);

const url: readonly Keyword[] = [
	keyword("path", word, "", "path that is asked for"),
	keyword("digest", word, "any", "MD5 of the page"),
	keyword("status_code", words("N[-N]…"), "200-299", "status that is right"),
	keyword("virtualhost", word, "of the check", "Host header"),
	keyword("regex", words("PATTERN", 1), "any", "pattern in the page"),
	keyword("regex_no_match", flag, "off", "the pattern must not be there"),
	keyword("regex_options", words("OPTION…"), "none", "how the pattern is matched"),
	keyword("regex_min_offset", unsigned(0), "0", "the match starts at or after"),
	keyword("regex_max_offset", unsigned(0), "none", "the match starts at or before"),
	keyword(
		"regex_stack",
		words("START MAX", 2, 2),
		"",
		"size of PCRE's stack; this matcher has none to run out of",
	),
];
export const httpUrl = grammar(() => url, URL_LENIENT);
export const sslUrl = grammar(() => [...url, tlsCompliant], URL_LENIENT);

export const miscCheck = grammar(
	() => [
		...general,
		keyword("misc_path", script, "", "the program"),
		keyword("misc_timeout", wholeSeconds(0), "delay_loop", "when it is killed"),
		keyword("misc_dynamic", flag, "off", "its exit status sets the weight"),
		keyword("user", identity, "script_user", "identity"),
	],
	"misc_path user",
);

export const fileCheck = grammar(
	() => [
		keyword("track_file", word, "", "the file"),
		keyword(
			"weight",
			{ kind: "weight", min: -2_147_483_647, max: 2_147_483_647 },
			"of the file",
			"factor of its number",
		),
	],
	"weight",
);

export const bfdCheck = grammar(
	() => [keyword("name", word, "", "the session"), keyword("alpha", boolean, "off", "starts down")],
	"name",
);
