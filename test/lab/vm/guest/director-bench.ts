/**
 * Inside the guest: programs 1,000 services with 20 real servers each, reloads with 1 % changed, and takes the
 * memory, with the election beside it, for the director and for its peers in turn. Prints one JSON line.
 *   director-bench.ts ROUNDS [speed | ipvsadm | memory]
 * The director is started as the image does it, by /usr/bin/drover. Without a last word: all of it.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { IpvsClient } from "../../../../firmware/kernel/ipvs-client.ts";
import { inNetworkNamespace } from "../../../../firmware/kernel/network-namespace.ts";
import type { IpvsServiceKey } from "../../../../firmware/wire/ipvs.ts";

const rounds = Number(process.argv[2]);
const part = process.argv[3] ?? "all";
const wants = (name: string) => part === name || part === "all";
const SERVICES = 1_000;
const SERVERS = 20;
const LIMIT_MS = 60_000;
/** Where all real servers listen for their checks, each at an address of its own. */
const CHECKED_PORT = 9;
const directory = "/tmp/director-bench";
mkdirSync(directory, { recursive: true });

/**
 * Each run has a network namespace, and so an IPVS, of its own: destinations that were removed stay in the table's
 * trash for two minutes, and every new one is first looked for there.
 */
let client: IpvsClient;
let namespace = "";
let namespaces = 0;

/** The kernel takes a namespace with a full table apart when it likes, and would do so beside whoever is measured next. */
const TAKING_APART_MS = 1_500;

async function freshTable(): Promise<void> {
	if (namespace !== "") {
		client.close();
		Bun.spawnSync(["ip", "netns", "delete", namespace]);
	}
	namespace = `bench${++namespaces}`;
	Bun.spawnSync(["ip", "netns", "add", namespace]);
	Bun.spawnSync(["ip", "-n", namespace, "link", "set", "lo", "up"]);
	client = inside(() => IpvsClient.open());
	await Bun.sleep(TAKING_APART_MS);
}

/** What is opened or started by `work` is in the namespace. */
function inside<T>(work: () => T): T {
	return inNetworkNamespace(`/run/netns/${namespace}`, work);
}

const address = (service: number) => `10.${100 + (service >> 8)}.${service & 255}.1`;
const key = (service: number): IpvsServiceKey => ({
	kind: "address",
	family: "inet",
	protocol: "TCP",
	address: address(service),
	port: 80,
});
/** Every hundredth service has its real servers' weights changed. */
const weightOf = (service: number, changed: boolean) => (changed && service % 100 === 99 ? 7 : 3);

/** `checkOf`: what a real server is checked with; null: not at all. */
function configText(changed: boolean, checkOf: ((service: number, server: number) => string) | null): string {
	const lines: string[] = [];
	for (let service = 0; service < SERVICES; service++) {
		lines.push(
			`virtual_server ${address(service)} 80 {`,
			"\tdelay_loop 6",
			"\tlb_algo wrr",
			"\tlb_kind NAT",
			"\tprotocol TCP",
		);
		for (let server = 0; server < SERVERS; server++)
			lines.push(
				`\treal_server 192.168.${service & 255}.${server + 1} ${8000 + (service >> 8)} {`,
				`\t\tweight ${weightOf(service, changed)}`,
				...(checkOf === null ? [] : [`\t\t${checkOf(service, server)}`]),
				"\t}",
			);
		lines.push("}");
	}
	return `${lines.join("\n")}\n`;
}

const files = {
	base: `${directory}/base.conf`,
	changed: `${directory}/changed.conf`,
	checks: `${directory}/checks.conf`,
};
/** An address for each: what asks the same of the same server is asked once for all. */
const checkedThere = (service: number, server: number) =>
	`TCP_CHECK {\n\t\t\tconnect_timeout 3\n\t\t\tconnect_ip 127.${server + 1}.${service >> 8}.${service & 255}\n\t\t\tconnect_port ${CHECKED_PORT}\n\t\t}`;
writeFileSync(files.base, configText(false, null));
writeFileSync(files.changed, configText(true, null));
writeFileSync(
	files.checks,
	`vrrp_instance VI_1 {\n\tinterface eth0\n\tvirtual_router_id 51\n\tvirtual_ipaddress {\n\t\t192.0.2.200/24\n\t}\n}
${configText(false, checkedThere)}`,
);

async function until(what: string, condition: () => boolean): Promise<void> {
	const deadline = performance.now() + LIMIT_MS;
	while (!condition()) {
		if (performance.now() > deadline) throw new Error(`not within ${LIMIT_MS} ms: ${what}`);
		await Bun.sleep(10);
	}
}

/** The last service has all its servers, with weight `weight`: everything before it is done as well. */
const isProgrammed = (weight: number) => () => {
	const rows = client.destinations(key(SERVICES - 1), { stats: false });
	return rows.length === SERVERS && rows.every((row) => row.weight === weight);
};

interface Peer {
	readonly name: string;
	readonly command: (file: string) => string[];
	/** The same with the election. */
	readonly whole: (file: string) => string[][];
}
const peers: readonly Peer[] = [
	{
		name: "drover",
		command: (file) => ["/usr/bin/drover", "director", "-f", file],
		whole: (file) => ["vrrp", "director"].map((service) => ["/usr/bin/drover", service, "-f", file]),
	},
	{
		name: "keepalived",
		command: (file) => ["keepalived", "-C", "-n", "-f", file],
		whole: (file) => [["keepalived", "-n", "-f", file]],
	},
];

const quiet = { stdin: "ignore", stdout: "ignore", stderr: "ignore" } as const;

function start(command: string[]): Bun.Subprocess {
	const env = { ...process.env, DROVER_RUN_DIR: `${directory}/run`, DROVER_LOG: `${directory}/log` };
	return inside(() => Bun.spawn(command, { ...quiet, env }));
}

async function stop(child: Bun.Subprocess): Promise<void> {
	child.kill("SIGTERM");
	await child.exited;
}

/** Resident memory in bytes of processes and their children; what several of them share counts once (proc(5), Pss). */
function memoryOf(pids: readonly number[]): number {
	const read = (path: string) => readFileSync(`/proc/${path}`, "latin1");
	const field = (text: string, word: string) =>
		Number(new RegExp(`^${word}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? 0);
	let kilobytes = 0;
	for (const name of [...new Bun.Glob("[0-9]*").scanSync({ cwd: "/proc", onlyFiles: false })])
		try {
			if (pids.includes(Number(name)) || pids.includes(field(read(`${name}/status`), "PPid")))
				kilobytes += field(read(`${name}/smaps_rollup`), "Pss");
		} catch {
			// It has ended meanwhile.
		}
	return kilobytes * 1024;
}

/** Until a start or a reload is over in every respect: checks have run, garbage is given back. */
const SETTLED_AFTER_MS = 20_000;

/** Page faults so far of a process, its children, and those that it has waited for (proc(5), minflt and cminflt). */
function pageFaultsOf(pid: number): number {
	const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
	const behindName = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
	const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").split(" ").filter(Boolean);
	return children.reduce(
		(sum, child) => sum + pageFaultsOf(Number(child)),
		Number(behindName[7]) + Number(behindName[8]),
	);
}

const samples: Record<string, number[]> = {};
const note = (name: string, value: number) => {
	samples[name] ??= [];
	samples[name].push(value);
};
/** Unix milliseconds: the host looks up what processor time went into them. */
const spans: Record<string, [fromMs: number, toMs: number][]> = {};
const noteSpan = (name: string, fromMs: number) => {
	spans[name] ??= [];
	spans[name].push([fromMs, Date.now()]);
};

const saved = `${directory}/saved`;
for (let round = 0; round < (wants("speed") || wants("ipvsadm") ? rounds : 0); round++) {
	// Whoever goes first does so in every other round only.
	for (const peer of round % 2 === 0 ? peers : peers.toReversed()) {
		await freshTable();
		const file = `${directory}/current.conf`;
		writeFileSync(file, readFileSync(files.base));
		let startedMs = Date.now();
		rmSync(`${directory}/run`, { recursive: true, force: true });
		const child = start(peer.command(file));
		await until(`${peer.name} programs`, isProgrammed(3));
		noteSpan(`${peer.name} program`, startedMs);
		note(`${peer.name} program faults`, pageFaultsOf(child.pid));
		// Until its start is over in every respect: Drover tidies its memory 3 s later.
		await Bun.sleep(4_000);
		if (round === 0 && peer.name === "drover")
			writeFileSync(saved, inside(() => Bun.spawnSync(["ipvsadm", "-Sn"])).stdout.toString());
		for (const [name, weight] of [
			["changed", 7],
			["base", 3],
		] as const) {
			writeFileSync(file, readFileSync(files[name]));
			startedMs = Date.now();
			child.kill("SIGHUP");
			await until(`${peer.name} reloads`, isProgrammed(weight));
			noteSpan(`${peer.name} reload`, startedMs);
			await Bun.sleep(1_000);
		}
		await stop(child);
	}
	if (!wants("ipvsadm")) continue;
	await freshTable();
	const startedMs = Date.now();
	const restore = inside(() => Bun.spawn(["ipvsadm", "-R"], { ...quiet, stdin: Bun.file(saved) }));
	await restore.exited;
	noteSpan("ipvsadm program", startedMs);
}
for (const peer of wants("memory") ? peers : []) {
	await freshTable();
	for (const words of ["link add eth0 type dummy", "address add 192.0.2.1/24 dev eth0", "link set eth0 up"])
		Bun.spawnSync(["ip", "-n", namespace, ...words.split(" ")]);
	rmSync(`${directory}/run`, { recursive: true, force: true });
	const server = inside(() =>
		Bun.listen({ hostname: "0.0.0.0", port: CHECKED_PORT, socket: { data() {}, error() {} } }),
	);
	const children = peer.whole(files.checks).map(start);
	await until(`${peer.name} programs`, () => client.services({ stats: false }).length === SERVICES);
	await Bun.sleep(SETTLED_AFTER_MS);
	note(`${peer.name} memory`, memoryOf(children.map(({ pid }) => pid)));
	for (const child of children) child.kill("SIGHUP");
	await Bun.sleep(SETTLED_AFTER_MS);
	note(`${peer.name} memory, reloaded`, memoryOf(children.map(({ pid }) => pid)));
	if (!isProgrammed(3)()) throw new Error(`${peer.name}: real servers are out`);
	for (const child of children) await stop(child);
	server.stop(true);
}
console.log(`samples ${JSON.stringify({ samples, spans })}`);
