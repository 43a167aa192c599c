/**
 * What watching costs: a walk of a thousand real servers, the agent's memory, and what continuous walks
 * do to the adverts of the box that is walked. The bars are absolute; the run without walks is the peer.
 * The services run as the image has them, by its own script.
 */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { bundleFirmware } from "../../image/firmware-bundle.ts";
import { compileServices } from "../../image/services-executable.ts";
import { compileStarter } from "../../image/starter/starter.ts";
import { eventually, type Namespace, Network } from "../lab/netns/network.ts";
import type { BenchResult } from "./result.ts";

const KEEPALIVED_MIB = "1.3.6.1.4.1.9586.100.5";
const REAL_SERVERS = 1_000;
const ADVERT_MS = 10;
const SECONDS = 10;
const WALKERS = 2;
const WALK_LIMIT_SECONDS = 1;
const MEMORY_LIMIT_MB = 60;

const configuration = `vrrp_instance VI_1 {
	interface eth0
	virtual_router_id 51
	version 3
	priority 200
	advert_int ${ADVERT_MS / 1000}
	virtual_ipaddress { 10.9.0.100/24 }
}
virtual_server 10.9.0.100 80 {
	lb_algo wrr
	lb_kind NAT
	protocol TCP
${Array.from({ length: REAL_SERVERS }, (_, index) => `	real_server 10.9.${1 + (index >> 8)}.${index & 255} 80 { weight 1 }`).join("\n")}
}
`;
const settings = `[snmp]
enabled = true
communities = ["watch"]
sources = ["127.0.0.0/8"]
`;

/**
 * Lays `usr` out as the image's /usr, its own part alone; the words before a command that make it a part of the
 * command's /usr.
 */
async function imageIn(directory: string): Promise<readonly string[]> {
	const usr = join(directory, "usr");
	const home = join(usr, "lib/drover");
	const { files, shimPath } = await bundleFirmware();
	for (const { path, content } of files) {
		mkdirSync(join(home, dirname(path)), { recursive: true });
		writeFileSync(join(home, path), content);
	}
	copyFileSync(shimPath, join(home, "drover.node"));
	copyFileSync(await compileServices(directory), join(home, "bun"));
	mkdirSync(join(usr, "bin"));
	compileStarter(join(usr, "bin"));
	return [
		"unshare",
		"--mount",
		"sh",
		"-ec",
		`mount -t overlay -o lowerdir=${usr}:/usr none /usr; exec "$@"`,
		"sh",
	];
}

/** Gaps between adverts on the wire, milliseconds, by the kernel's time stamps at another box. */
async function gaps(listener: Namespace, seconds: number): Promise<number[]> {
	const child = listener.spawn([
		"tcpdump",
		"-i",
		"eth0",
		"-n",
		"-tt",
		"-l",
		"--immediate-mode",
		"ip proto 112",
	]);
	const text = new Response(child.stdout).text();
	await Bun.sleep(seconds * 1000);
	child.kill("SIGTERM");
	const times = [...(await text).matchAll(/^(\d+\.\d+) /gm)].map((match) => Number(match[1]) * 1000);
	return times.slice(1).map((time, index) => time - times[index]!);
}

const longest = (values: readonly number[]) => values.reduce((most, value) => Math.max(most, value), 0);
function median(values: readonly number[]): number {
	return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** Proportional set size: what the box would have back without this process. */
function memoryMegabytes(pid: number): number {
	return Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))![1]) / 1024;
}

export async function bench(): Promise<readonly BenchResult[]> {
	using network = Network.create("snmp-bench");
	const box = network.namespace("a");
	const listener = network.namespace("b");
	const lan = network.segment("lan");
	lan.plug(box, "eth0", "10.9.0.1/24");
	lan.plug(listener, "eth0", "10.9.0.2/24");
	const directory = mkdtempSync(join(tmpdir(), "drover-snmp-bench-"));
	try {
		writeFileSync(join(directory, "keepalived.conf"), configuration);
		writeFileSync(join(directory, "appliance.toml"), settings);
		const env = { ...process.env, DROVER_RUN_DIR: directory, DROVER_LOG: join(directory, "log") };
		const asInTheImage = await imageIn(directory);
		const start = (...words: string[]) =>
			box.spawn([...asInTheImage, "drover", ...words], { env, stderr: "ignore", stdout: "ignore" });
		for (const service of ["vrrp", "director"]) start(service, "-f", join(directory, "keepalived.conf"));
		const agent = start(
			"snmp",
			"--config",
			join(directory, "appliance.toml"),
			"--state",
			join(directory, "state"),
		);
		const walk = ["snmpbulkwalk", "-v2c", "-c", "watch", "-Cr50", "-On", "-t5", "127.0.0.1"];
		const rows = () => box.try(...walk, `${KEEPALIVED_MIB}.3.4`).stdout.split("\n").length;
		await eventually("the agent knows every real server", () => rows() > REAL_SERVERS * 15, 60_000);

		const walks: number[] = [];
		for (let round = 0; round < 9; round++) {
			// The next walk meets a new look at the box, as a poller's does.
			await Bun.sleep(1_100);
			const began = performance.now();
			rows();
			walks.push((performance.now() - began) / 1000);
		}
		const quiet: number[] = [];
		const walked: number[] = [];
		for (let round = 0; round < 2; round++) {
			quiet.push(...(await gaps(listener, SECONDS / 2)));
			const loop = `while :; do ${walk.join(" ")} 1.3.6.1 >/dev/null; done`;
			const walkers = Array.from({ length: WALKERS }, () => box.spawn(["sh", "-c", loop]));
			walked.push(...(await gaps(listener, SECONDS / 2)));
			for (const walker of walkers) walker.kill("SIGKILL");
		}
		const memory = memoryMegabytes(agent.pid);
		const milliseconds = (value: number) => `${value.toFixed(2)} ms`;
		return [
			{
				name: `SNMP walk of ${REAL_SERVERS} real servers (ratio: s against ${WALK_LIMIT_SECONDS})`,
				ours: `${median(walks).toFixed(3)} s`,
				peer: `${WALK_LIMIT_SECONDS} s`,
				ratio: median(walks) / WALK_LIMIT_SECONDS,
				bar: 1,
			},
			{
				name: `SNMP agent, ${REAL_SERVERS} real servers, after walks: memory`,
				ours: `${memory.toFixed(1)} MB`,
				peer: `${MEMORY_LIMIT_MB} MB`,
				ratio: memory / MEMORY_LIMIT_MB,
				bar: 1,
			},
			{
				name: `${ADVERT_MS} ms adverts under ${WALKERS} endless walks: longest gap against ${1.5 * ADVERT_MS} ms (beside: without walks)`,
				ours: milliseconds(longest(walked)),
				peer: milliseconds(longest(quiet)),
				ratio: longest(walked) / (1.5 * ADVERT_MS),
				bar: 1,
			},
		];
	} finally {
		rmSync(directory, { recursive: true, force: true });
	}
}
