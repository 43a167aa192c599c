#!/usr/bin/env bun
/**
 * One program, many names: `drover NAME …`, or a link called NAME.
 * A command's module is loaded only when it is asked for, so that every process stays small.
 */
import { basename } from "node:path";

/** Runs a command with the words after its name; resolves with the exit status. */
export type Command = (words: readonly string[]) => Promise<number>;

interface Entry {
	readonly summary: string;
	load(): Promise<{ readonly main: Command }>;
}

const commands: Readonly<Record<string, Entry>> = {
	vrrp: {
		summary: "election, virtual addresses and their notifications, in the foreground",
		load: () => import("./vrrp/main.ts"),
	},
	director: {
		summary: "health checks and the kernel's IPVS table, in the foreground",
		load: () => import("./director/service.ts"),
	},
	bfd: {
		summary: "BFD sessions with neighbors, in the foreground; or their status",
		load: () => import("./bfd/main.ts"),
	},
	keepalived: {
		summary: "vrrp, director and bfd together, with keepalived's command line",
		load: () => import("./keepalived.ts"),
	},
	ipvs: {
		summary: "prints the kernel's IPVS table, as ipvsadm does",
		load: () => import("./director/ipvs-command.ts"),
	},
	status: {
		summary: "ports, high availability, virtual and real servers at a glance",
		load: () => import("./console/status.ts"),
	},
	realserver: {
		summary: "what a real server needs, as a script, and which of them lack it",
		load: () => import("./health/realserver.ts"),
	},
	genhash: {
		summary: "the digest of a page, for HTTP_GET and SSL_GET",
		load: () => import("./health/genhash.ts"),
	},
	config: {
		summary: "check, plan or show a keepalived.conf",
		load: () => import("./config/command.ts"),
	},
	log: { summary: "the newest lines of the services' logs", load: () => import("./console/log.ts") },
	console: {
		summary: "the menu of the serial line, on this terminal",
		load: () => import("./console/console.ts"),
	},
	password: {
		summary: "sets the password of the console",
		load: () => import("./console/password.ts"),
	},
	access: {
		summary: "what is set for the password, SSH, SNMP, syslog and NTP",
		load: () => import("./console/access.ts"),
	},
	shell: { summary: "a root shell, which is logged", load: () => import("./console/shell.ts") },
	network: {
		summary: "the box's own name, ports, addresses and routes",
		load: () => import("./console/network.ts"),
	},
	ha: {
		summary: "VRRP instances: state, peers, failover, and why",
		load: () => import("./console/ha.ts"),
	},
	vs: {
		summary: "virtual servers: list, add, change, drain, maintenance, remove",
		load: () => import("./console/vs.ts"),
	},
	rs: {
		summary: "real servers: the same, and why one is in or out",
		load: () => import("./console/rs.ts"),
	},
	tools: {
		summary: "ping, traceroute, address conflicts, real-server check, packet capture",
		load: () => import("./console/tools.ts"),
	},
	ports: {
		summary: "the network ports; lets the light of one blink",
		load: () => import("./appliance/ports-command.ts"),
	},
	install: {
		summary: "writes this firmware from a stick to the box's own disk",
		load: () => import("./update/install-command.ts"),
	},
	"factory-reset": {
		summary: "erases all data at the next start; the firmware is kept",
		load: () => import("./appliance/factory-reset.ts"),
	},
	reboot: {
		summary: "restarts the box, in order",
		load: () => import("./console/power.ts").then(({ reboot }) => ({ main: reboot })),
	},
	poweroff: {
		summary: "switches the box off, in order",
		load: () => import("./console/power.ts").then(({ poweroff }) => ({ main: poweroff })),
	},
	"ssh-prepare": {
		summary: "what sshd reads, from appliance.toml (runs by itself)",
		load: () => import("./appliance/ssh.ts"),
	},
	"first-start": {
		summary: "room, identity and preset of a new box (runs by itself)",
		load: () => import("./appliance/first-start.ts"),
	},
	update: {
		summary: "slots and firmware: status, install, confirm, rollback",
		load: () => import("./update/command.ts"),
	},
	monitor: {
		summary: "feeds the watchdog while the box is well",
		load: () => import("./appliance/monitor.ts"),
	},
	snmp: {
		summary: "the SNMP agent",
		load: () => import("./status/snmp/service.ts"),
	},
	metrics: {
		summary: "/metrics and /healthz on the inside ports",
		load: () => import("./status/metrics/service.ts"),
	},
	syslog: {
		summary: "sends the logs to other machines",
		load: () => import("./status/syslog/service.ts"),
	},
	varnishd: {
		summary: "the HTTP cache, with varnishd's command line",
		load: () => import("./cache/main.ts"),
	},
	cache: {
		summary: "the box's HTTP cache: status, top, purge, ban, why",
		load: () => import("./cache/command.ts"),
	},
	vcl: {
		summary: "checks a VCL file, shows what it becomes, or translates it from VCL 3",
		load: () => import("./cache/vcl-command.ts"),
	},
};

/** Every name that `drover` knows. */
export const commandNames: readonly string[] = Object.keys(commands);

function usage(): string {
	const width = Math.max(...Object.keys(commands).map((name) => name.length));
	const lines = Object.entries(commands).map(([name, entry]) => `  ${name.padEnd(width)}  ${entry.summary}`);
	return [
		"usage: drover COMMAND …",
		"",
		...lines,
		"",
		"drover COMMAND --help says more; drover completion prints what bash needs to complete them.",
	].join("\n");
}

async function run(argv: readonly string[]): Promise<number> {
	const called = basename(argv[1] ?? "drover").replace(/\.[jt]s$/, "");
	const words = argv.slice(2);
	const name = called === "drover" ? words.shift() : called;
	if (name === undefined || name === "help" || name === "--help" || name === "-h") {
		console.log(usage());
		return name === undefined ? 2 : 0;
	}
	if (name === "completion" && words[0] === "names")
		return (await import("./console/completion-names.ts")).main(words.slice(1));
	if (name === "completion") {
		const { bashCompletion } = await import("./console/completion.ts");
		console.log(bashCompletion(commandNames));
		return 0;
	}
	const entry = Object.hasOwn(commands, name) ? commands[name] : undefined;
	if (entry === undefined) {
		console.error(`drover: there is no command "${name.slice(0, 40)}"; "drover help" lists them all`);
		return 2;
	}
	const { main } = await entry.load();
	try {
		return await main(words);
	} catch (error) {
		const { commandFault } = await import("./command-fault.ts");
		const fault = commandFault(name, error);
		if (fault === null) throw error;
		console.error(fault.text);
		return fault.exitStatus;
	}
}

if (import.meta.main) process.exitCode = await run(process.argv);
