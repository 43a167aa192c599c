/** Who is told what when a director starts: lvs_notify_fifo of the director and of keepalived, side by side. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DroverCheckers, type FifoReader, KeepalivedCheckers } from "./health-peer.ts";
import { bunPath, eventually, Network } from "./network.ts";

const SETTLED_MS = 3_000;

const check = (port: number, delayLoop = 0.5) =>
	`TCP_CHECK {\nconnect_ip 127.0.0.1\nconnect_port ${port}\nconnect_timeout 0.5\nretry 0\ndelay_loop ${delayLoop}\nwarmup 0.1\n}`;
const OPEN = 1;
const CLOSED = 2;
const sorry = "sorry_server 192.168.99.9 80";

/** What it is, its options, the bodies of its real servers. A server is told once, however many of its checks fail. */
const virtualServers: readonly (readonly [string, string, ...string[]])[] = [
	["alpha, a server that is dead", "alpha", check(CLOSED)],
	["alpha, a server that answers", "alpha", check(OPEN)],
	["alpha, one of each", "alpha", check(OPEN), check(CLOSED)],
	["alpha, one check of two fails", "alpha", `${check(OPEN)}\n${check(CLOSED)}`],
	["alpha and sorry_server, dead", `alpha\n${sorry}`, check(CLOSED)],
	["alpha and sorry_server, answers", `alpha\n${sorry}`, check(OPEN)],
	["alpha, a server without checks", "alpha", ""],
	["alpha and quorum, one without checks, two dead", "alpha\nquorum 3", "", check(CLOSED), check(CLOSED)],
	["alpha of the server alone, dead", "", `alpha\n${check(CLOSED)}`],
	["alpha of the server alone, sorry_server, dead", sorry, `alpha\n${check(CLOSED)}`],
	["without alpha, dead", "", check(CLOSED)],
	["without alpha, sorry_server, dead", sorry, check(CLOSED)],
	["no server", ""],
	["no server but sorry_server", sorry],
	["quorum, one without checks, two dead", "quorum 3", "", check(CLOSED), check(CLOSED)],
];

const head = (index: number) => `virtual_server 10.9.0.${index + 1} 80`;
const block = (heading: string, options: string, bodies: readonly string[]) =>
	`${heading} {\nlb_algo rr\nlb_kind NAT\ndelay_loop 0.5\n${options}\n${bodies
		.map((body, index) => `real_server 192.168.1.${index + 1} 80 {\n${body}\n}`)
		.join("\n")}\n}\n`;

test("keepalived.conf(5) alpha, quorum, sorry_server: what is told at start is what keepalived tells", async () => {
	using network = Network.create("told");
	const [ours, theirs] = [network.namespace("ours"), network.namespace("theirs")];
	for (const namespace of [ours, theirs]) {
		namespace.ip("link", "set", "lo", "up");
		namespace.spawn([
			bunPath,
			"-e",
			`Bun.listen({ hostname: "127.0.0.1", port: ${OPEN}, socket: { data() {} } })`,
		]);
	}
	const folder = mkdtempSync(join(tmpdir(), "drover-told-"));
	const config = [
		...virtualServers.map(([, options, ...bodies], index) =>
			block(head(index), `protocol TCP\n${options}`, bodies),
		),
		// Firewall marks have no protocol, neither one nor a group of them.
		"virtual_server_group MARKS {\nfwmark 7\nfwmark 8\n}\n",
		block("virtual_server group MARKS", "alpha", [check(OPEN)]),
		block("virtual_server fwmark 9", "alpha", [check(CLOSED)]),
	].join("");
	const peer = new KeepalivedCheckers(theirs, config);
	const director = new DroverCheckers(ours, folder, config);
	try {
		/** By virtual server: what was told of it and of its servers, each name's states in their order. */
		const told = ({ lines }: FifoReader) => {
			const states = new Map<string, string[]>();
			for (const { name, up } of lines) states.set(name, [...(states.get(name) ?? []), up ? "UP" : "DOWN"]);
			return [...states].map(([name, each]) => `${name} ${each.join(", ")}`).sort();
		};
		const named = (line: string) => {
			const index = /\[10\.9\.0\.(\d+)\]:tcp:80 /.exec(line)?.[1];
			return index === undefined ? line : `${virtualServers[Number(index) - 1]![0]}: ${line}`;
		};
		// keepalived tells of a server once for each of its checks that fails.
		const once = (line: string) => line.replace(/DOWN(, DOWN)+/, "DOWN");
		const both = () => [told(director.fifo), told(peer.fifo).map(once)].map((lines) => lines.map(named));
		await eventually("both have told the same", () => {
			const [mine, their] = both();
			return their!.length > 0 && mine!.join() === their!.join();
		}).catch(() => {});
		await Bun.sleep(SETTLED_MS);
		const [mine, their] = both();
		expect(mine).toEqual(their!);
		expect(mine!.filter((line) => line.includes("DOWN")).length).toBeGreaterThan(10);
	} finally {
		await director.stop();
		await peer.stop();
		rmSync(folder, { recursive: true, force: true });
	}
}, 60_000);
