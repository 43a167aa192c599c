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
		"--json",
		"--config-id",
		"--against",
	],
	console: ["speed", "9600", "115200"],
	director: [
		..."status reload look drain maintenance undo".split(" "),
		..."--use-file --config-id --dont-release-ipvs".split(" "),
		"FILE",
	],
	"factory-reset": ["--name", "--reboot"],
	genhash:
		"--server --port --url --use-ssl --use-sni --use-virtualhost --protocol --fwmark --timeout --verbose".split(
			" ",
		),
	ha: ["why", "failover", "take-over", "--count", "--json"],
	install: ["--name", "FILE"],
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

/** A script for bash; `commands` are the names that `drover` knows. */
export function bashCompletion(commands: readonly string[]): string {
	const cases = [...commands].sort().map((name) => {
		const following = words[name] ?? [];
		const list = following.filter((word) => word !== "FILE").concat("--help");
		const files = following.includes("FILE") ? ' $(compgen -f -- "$word")' : "";
		return `\t\t${name}) COMPREPLY=($(compgen -W '${list.join(" ")}' -- "$word")${files}) ;;`;
	});
	const valueCases = Object.entries(values).map(
		([option, list]) => `\t${option}) COMPREPLY=($(compgen -W '${list.join(" ")}' -- "$word")); return ;;`,
	);
	return `# Completion of drover for bash.
_drover() {
	local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]}
	case $before in
${valueCases.join("\n")}
	esac
	if [ "$COMP_CWORD" = 1 ]; then
		COMPREPLY=($(compgen -W '${[...commands].sort().join(" ")} help' -- "$word"))
		return
	fi
	case \${COMP_WORDS[1]} in
${cases.join("\n")}
	esac
}
complete -F _drover drover
`;
}
