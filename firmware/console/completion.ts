/** Completion of `drover …` for bash: the words of every command. Pure. */

/** What may follow a command; "FILE" completes file names. */
const words: Readonly<Record<string, readonly string[]>> = {
	access: ["--json"],
	cache: ["status", "top", "why", "purge", "ban", "--json"],
	config: [
		..."check plan show edit compare commit confirm rollback history rescue discard backup restore set schema".split(
			" ",
		),
		"FILE",
		"--json",
	],
	console: ["speed", "9600", "115200"],
	director: ["status", "reload", "look", "drain", "maintenance", "undo"],
	"factory-reset": ["--name", "--reboot"],
	genhash: ["-s", "-p", "-u", "-S"],
	ha: ["why", "failover", "take-over", "--count", "--json"],
	install: ["--name", "FILE"],
	ipvs: [],
	keepalived: ["-f", "FILE"],
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
	network: ["apply", "--json"],
	password: ["--stdin"],
	ports: ["blink", "--json"],
	realserver: ["DR", "TUN", "verify", "FILE"],
	rs: [
		..."list why drain maintenance undo add change remove".split(" "),
		..."--weight --check --count --wait --plan --yes --confirm --final --json".split(" "),
	],
	status: ["all", "--json"],
	tools: [
		..."ping traceroute conflicts verify capture".split(" "),
		..."--count --seconds --filter --usb --json".split(" "),
	],
	update: [
		..."status install confirm rollback history usb --allow-downgrade --reboot --json".split(" "),
		"FILE",
	],
	varnishd: ["-f", "FILE"],
	vcl: ["check", "show", "upgrade", "FILE"],
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
