/** Completion of `drover …` for bash: the words of every command. Pure. */

/** What may follow a command; "FILE" completes file names. */
const words: Readonly<Record<string, readonly string[]>> = {
	access: ["--json"],
	bfd: ["status", "--use-file", "FILE", "--config-id", "--if-needed", "--json"],
	cache: ["status", "bans", "top", "why", "purge", "ban", "--json"],
	config: [
		..."check plan show edit compare commit confirm rollback history rescue discard backup restore set schema".split(
			" ",
		),
		"FILE",
		..."--json --config-id --against --remove".split(" "),
	],
	console: ["speed", "9600", "115200", "--json"],
	director: [
		..."status reload look drain maintenance undo".split(" "),
		..."--use-file --config-id --dont-release-ipvs".split(" "),
		"FILE",
	],
	"factory-reset": ["--name", "--reboot"],
	"first-start": ["--erased"],
	genhash:
		"--server --port --url --use-ssl --use-sni --use-virtualhost --protocol --fwmark --timeout --verbose".split(
			" ",
		),
	ha: ["why", "failover", "take-over", "--count", "--json"],
	install: ["--name", "--json", "FILE"],
	ipvs: [
		..."--stats --rate --thresholds --persistent-conn --connection --timeout --daemon --save".split(" "),
		..."--json --sctp-service --exact --nosort --namespace --numeric".split(" "),
	],
	keepalived: [
		..."--use-file --vrrp --check --no_bfd --dont-fork --config-test --pid --config-id --namespace".split(
			" ",
		),
		..."--dont-respawn --signum --version".split(" "),
		"FILE",
	],
	log: [
		"events",
		"last",
		"failed",
		"warn",
		"vrrp",
		"director",
		"cache",
		"update",
		"console",
		"shell",
		"--json",
	],
	metrics: ["--config", "FILE"],
	network: ["apply", "--json"],
	password: ["--stdin"],
	ports: ["blink", "--json"],
	poweroff: ["--name"],
	reboot: ["--name"],
	realserver: ["DR", "TUN", "verify", "FILE", "--vip", "--file", "--tunnel", "--port", "--json"],
	rs: [
		..."list why drain maintenance undo add change remove".split(" "),
		..."--weight --check --count --wait --plan --yes --confirm --final --json".split(" "),
	],
	snmp: ["--config", "--state", "FILE"],
	status: ["all", "--json"],
	syslog: ["--config", "--logs", "FILE"],
	tools: [
		..."ping traceroute conflicts verify capture".split(" "),
		..."--count --seconds --filter --usb --json".split(" "),
	],
	update: [
		..."status install confirm rollback history usb --allow-downgrade --reboot --json".split(" "),
		"FILE",
	],
	varnishd: ["-f", "FILE", "--metrics", "--access-log", "--cache-status"],
	vcl: ["check", "show", "upgrade", "FILE", "--include-path", "--no-lookup", "--unused-warns"],
	vrrp: "--use-file --config-id --no-standby --no-realtime --after-director FILE".split(" "),
	vs: [
		..."list add change drain maintenance undo remove".split(" "),
		..."--protocol --scheduler --forward --real --check --persistence --quorum --delay-loop --sorry".split(
			" ",
		),
		..."--wait --plan --yes --confirm --final --json".split(" "),
	],
};

const values: Readonly<Record<string, readonly string[]>> = {
	"--scheduler": "rr wrr lc wlc lblc lblcr sh mh dh fo ovf sed nq twos".split(" "),
	"--forward": ["nat", "dr", "tun"],
	"--protocol": ["tcp", "udp", "sctp"],
	"--check": ["tcp", "http:/", "none"],
	"--persistence": ["off"],
	"--sorry": ["off"],
	"--signum": "STOP RELOAD DATA STATS STATS_CLEAR JSON".split(" "),
	"--tunnel": ["ipip", "gre", "gue"],
};

/** Of what `drover completion names KIND` prints the names. */
export const nameKinds = [
	"instances",
	"ports",
	"real-servers",
	"revisions",
	"settings",
	"virtual-servers",
] as const;
export type NameKind = (typeof nameKinds)[number];

/** So many settings of one line are completed. */
const SETTINGS_A_LINE = 8;

/** What stands behind a command's verb, place by place; null is free. */
const named: Readonly<Record<string, readonly (NameKind | null)[]>> = {
	...each("config", ["compare"], ["revisions", "revisions"]),
	...each("config", ["rollback", "rescue"], ["revisions"]),
	...each("config", ["set"], Array(SETTINGS_A_LINE).fill("settings")),
	...each("director", ["drain", "maintenance", "undo"], ["real-servers", "virtual-servers"]),
	...each("ha", ["why", "failover", "take-over"], ["instances"]),
	...each("ports", ["blink"], ["ports"]),
	...each("rs", ["add"], [null, "virtual-servers"]),
	...each("rs", ["list"], ["virtual-servers"]),
	...each(
		"rs",
		["why", "drain", "maintenance", "undo", "change", "remove"],
		["real-servers", "virtual-servers"],
	),
	...each("tools", ["capture"], ["ports"]),
	...each("vs", ["change", "drain", "maintenance", "undo", "remove"], ["virtual-servers"]),
};

function each(
	command: string,
	verbs: readonly string[],
	places: readonly (NameKind | null)[],
): Record<string, readonly (NameKind | null)[]> {
	return Object.fromEntries(verbs.map((verb) => [`${command} ${verb}`, places]));
}

/**
 * A script for bash; `commands` are the names that `drover` knows. What is configured is asked for when it is needed,
 * and is never read as anything but names. bash takes a colon for the end of a word: the words are those of the line,
 * and what stands before the last colon is not said again.
 */
export function bashCompletion(commands: readonly string[]): string {
	const cases = [...commands].sort().map((name) => {
		const following = words[name] ?? [];
		const list = following.filter((word) => word !== "FILE").concat("--help");
		const files = following.includes("FILE") ? ' $(compgen -f -- "$word")' : "";
		return `\t\t${name}) COMPREPLY=($(compgen -W '${list.join(" ")}' -- "$word")${files}) ;;`;
	});
	const valueCases = Object.entries(values).map(
		([option, list]) => `\t*" ${option}") values='${list.join(" ")}' ;;`,
	);
	const nameCases = nameKinds.map((kind) => {
		const places = Object.entries(named).flatMap(([verb, kinds]) =>
			kinds.flatMap((wanted, place) => (wanted === kind ? [`"${verb} ${place}"`] : [])),
		);
		return `\t\t${places.join("|")}) names=${kind} ;;`;
	});
	return `# Completion of drover for bash.
_drover() {
	local line=\${COMP_LINE:0:COMP_POINT} all word names= values= place=0 name
	read -ra all <<<"$line"
	[[ $line != *" " ]] || all+=("")
	local at=$((\${#all[@]} - 1))
	word=\${all[at]}
	COMPREPLY=()
	if [ "$at" = 1 ]; then
		COMPREPLY=($(compgen -W '${[...commands].sort().join(" ")} help' -- "$word"))
		return
	fi
	if [ "$at" -ge 3 ] && [[ $word != -* ]]; then
		for name in "\${all[@]:3:at-3}"; do [[ $name == -* ]] || place=$((place + 1)); done
		case "\${all[1]} \${all[2]} $place" in
${nameCases.join("\n")}
		esac
	fi
	case "\${all[1]} \${all[at - 1]}" in
	"keepalived --check") ;;
${valueCases.join("\n")}
	esac
	if [ -n "$values" ]; then
		COMPREPLY=($(compgen -W "$values" -- "$word"))
	elif [ -n "$names" ]; then
		while read -r name; do
			[[ $name != "$word"* ]] || COMPREPLY+=("$name")
		done < <(drover completion names "$names" 2>/dev/null)
		# A value is typed right behind a setting's name.
		if [ "$names" = settings ] && [ "\${all[at - 1]}" != --remove ]; then
			COMPREPLY=("\${COMPREPLY[@]/%/=}")
			compopt -o nospace 2>/dev/null
		fi
	else
		case \${all[1]} in
${cases.join("\n")}
		esac
	fi
	if [[ $word == *:* && $COMP_WORDBREAKS == *:* ]]; then
		local head=\${word%"\${word##*:}"}
		COMPREPLY=("\${COMPREPLY[@]#"$head"}")
	fi
}
complete -F _drover drover
`;
}
