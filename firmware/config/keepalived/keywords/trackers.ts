/** keepalived.conf(5): vrrp_script, vrrp_track_process, track_file, bfd_instance. */
import {
	address,
	boolean,
	flag,
	grammar,
	identity,
	integer,
	keyword,
	script,
	seconds,
	weight,
	word,
	words,
} from "./grammar.ts";

export const vrrpScript = grammar(
	() => [
		keyword("script", script, "", "the program"),
		keyword("interval", seconds(0, 4294), "1", "period"),
		keyword("timeout", seconds(0, 4294), "interval", "when it is killed"),
		keyword("weight", weight(253), "0", "what it adds to the priority"),
		keyword("rise", integer(1), "1", "successes that count"),
		keyword("fall", integer(1), "1", "failures that count"),
		keyword("user", identity, "script_user", "identity"),
		keyword("init_fail", flag, "off", "failed until it has succeeded"),
	],
	"script",
);

export const vrrpTrackProcess = grammar(
	() => [
		keyword("process", words("NAME [ARGUMENT…]"), "", "the process"),
		keyword("param_match", words("[initial|partial]", 0, 1), "exact", "how arguments are compared"),
		keyword("weight", weight(254), "0", "what it adds to the priority"),
		keyword("quorum", integer(1, 65_535), "1", "least number of processes"),
		keyword("quorum_max", integer(0, 65_535), "none", "greatest number of processes"),
		keyword("delay", seconds(0.000001, 3600), "0", "sets both delays"),
		keyword("terminate_delay", seconds(0.000001, 3600), "0", "grace after an end"),
		keyword("fork_delay", seconds(0.000001, 3600), "0", "grace after a start"),
		keyword("full_command", flag, "off", "compares the whole command line"),
	],
	"weight",
);

export const trackFile = grammar(
	() => [
		keyword("file", word, "", "path of the file"),
		keyword("weight", weight(254), "1", "factor of the file's number"),
		keyword("init_file", words("[VALUE] [overwrite]", 0, 2), "off", "writes the file at start"),
	],
	"file weight",
);

const milliseconds = { kind: "milliseconds", min: 1, max: 4_294_967 } as const;

export const bfdInstance = grammar(() => [
	keyword("neighbor_ip", address, "", "the neighbour"),
	keyword("neighbour_ip", address, "", "the neighbour"),
	keyword("source_ip", address, "kernel", "local address"),
	keyword("min_rx", milliseconds, "10", "least interval received"),
	keyword("min_tx", milliseconds, "10", "interval sent"),
	keyword("idle_tx", { kind: "milliseconds", min: 1000, max: 4_294_967 }, "1000", "interval while not up"),
	keyword("multiplier", integer(1, 255), "5", "packets missed before down"),
	keyword("passive", flag, "off", "waits for the neighbour"),
	keyword("ttl", integer(1, 255), "255, IPv6 64", "TTL sent"),
	keyword("hoplimit", integer(1, 255), "255, IPv6 64", "TTL sent"),
	keyword("max_hops", integer(-1, 255), "0", "hops allowed"),
	keyword("multihop", boolean, "off", "port 4784", { since: "2.2.8" }),
	keyword("weight", weight(253), "0", "what it adds to the priority"),
	keyword("vrrp", flag, "both", "events for VRRP only"),
	keyword("checker", flag, "both", "events for checks only"),
]);
