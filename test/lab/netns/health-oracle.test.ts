/**
 * The same keepalived.conf, the same servers, two judges: keepalived 2.2.7 and Drover must call the same real
 * servers alive. nginx and hand-made servers stand behind; one table shows both verdicts.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../../firmware/config/keepalived/load.ts";
import { Agent } from "./health-client.ts";
import { KeepalivedCheckers } from "./health-peer.ts";
import { page, ports } from "./health-servers.ts";
import { bunPath, eventually, type Namespace, Network } from "./network.ts";

interface Case {
	readonly title: string;
	readonly check: string;
	readonly alive: boolean;
	/** Where Drover is right and keepalived is not; says why. */
	readonly keepalivedDiffers?: string;
}

const NGINX_PORT = 8080;
const NGINX_TLS_PORT = 8443;
const digest = createHash("md5").update(page).digest("hex");
const http = (port: number, url: string, more = "", kind = "HTTP_GET") =>
	`${kind} {\n url {\n path /\n ${url}\n }\n connect_port ${port}\n connect_timeout 1\n ${more}\n retry 0\n }`;
const simple = (kind: string, port: number, more = "") =>
	`${kind} {\n connect_port ${port}\n connect_timeout 1\n ${more}\n retry 0\n }`;
const misc = (path: string, more = "") => `MISC_CHECK {\n misc_path "${path}"\n misc_timeout 1\n ${more}\n }`;

const cases: readonly Case[] = [
	{ title: "TCP: listening", check: simple("TCP_CHECK", ports.good), alive: true },
	{ title: "TCP: closed", check: simple("TCP_CHECK", ports.closed), alive: false },
	{ title: "TCP: dropped on the way", check: simple("TCP_CHECK", ports.silent), alive: false },
	{ title: "TCP: accepts and hangs up", check: simple("TCP_CHECK", ports.hangsUp), alive: true },
	{ title: "TCP: bindto", check: simple("TCP_CHECK", ports.good, "bindto 10.8.0.9"), alive: true },
	{ title: "HTTP: 200", check: http(ports.good, "status_code 200"), alive: true },
	{ title: "HTTP: default status", check: http(ports.good, ""), alive: true },
	{ title: "HTTP: 503", check: http(ports.unavailable, "status_code 200"), alive: false },
	{ title: "HTTP: 404 is wanted", check: http(ports.notFound, "status_code 404"), alive: true },
	{
		title: "HTTP: range of statuses",
		check: http(ports.unavailable, "status_code 200-299 500-599"),
		alive: true,
	},
	{ title: "HTTP: digest", check: http(ports.good, `digest ${digest}`), alive: true },
	{ title: "HTTP: digest until close", check: http(ports.unknownLength, `digest ${digest}`), alive: true },
	{ title: "HTTP: wrong digest", check: http(ports.good, `digest ${"0".repeat(32)}`), alive: false },
	{ title: "HTTP: regex", check: http(ports.good, 'regex "status: +ok"'), alive: true },
	{ title: "HTTP: regex not there", check: http(ports.good, 'regex "status: +bad"'), alive: false },
	{ title: "HTTP: regex_no_match", check: http(ports.good, 'regex "bad"\n regex_no_match'), alive: true },
	{ title: "HTTP: hangs up", check: http(ports.hangsUp, "status_code 200"), alive: false },
	{ title: "HTTP: never answers", check: http(ports.mute, "status_code 200"), alive: false },
	{ title: "HTTP: resets", check: http(ports.resets, "status_code 200"), alive: false },
	{ title: "HTTP: drips slowly", check: http(ports.drips, "status_code 200"), alive: true },
	{ title: "HTTP: half an answer", check: http(ports.halfAnswer, "status_code 200"), alive: false },
	{ title: "HTTP: another protocol", check: http(ports.noHttp, "status_code 200"), alive: false },
	{ title: "HTTP: closed", check: http(ports.closed, "status_code 200"), alive: false },
	{ title: "HTTP: nginx", check: http(NGINX_PORT, "status_code 200"), alive: true },
	{
		title: "HTTP: nginx, 1.1",
		check: http(NGINX_PORT, `digest ${digest}`, "http_protocol 1.1"),
		alive: true,
	},
	{
		title: "HTTP: nginx, virtual host",
		check: http(NGINX_PORT, "status_code 418\n virtualhost tea.example"),
		alive: true,
	},
	{ title: "SSL: nginx", check: http(NGINX_TLS_PORT, `digest ${digest}`, "", "SSL_GET"), alive: true },
	{ title: "SSL: no TLS there", check: http(ports.good, "status_code 200", "", "SSL_GET"), alive: false },
	{ title: "SMTP", check: simple("SMTP_CHECK", ports.smtp), alive: true },
	{
		title: "SMTP: greeting of two lines",
		check: simple("SMTP_CHECK", ports.smtpMultiLine),
		alive: true,
		keepalivedDiffers: "RFC 5321 §4.2.1 allows it",
	},
	{ title: "SMTP: refuses", check: simple("SMTP_CHECK", ports.smtpRefuses), alive: false },
	{ title: "SMTP: no HELO", check: simple("SMTP_CHECK", ports.smtpNoHelo), alive: false },
	{
		title: "UDP: echo",
		check: simple("UDP_CHECK", ports.udpEcho, "payload 0102\n require_reply 01"),
		alive: true,
	},
	{
		title: "UDP: bytes apart",
		check: simple("UDP_CHECK", ports.udpEcho, 'payload "01 0a 02"\n require_reply "01 xA 02"'),
		alive: true,
	},
	{
		title: "UDP: single digits",
		check: simple("UDP_CHECK", ports.udpEcho, 'payload "1 a"\n require_reply "01 0a"'),
		alive: true,
	},
	{
		title: "UDP: odd run",
		check: simple("UDP_CHECK", ports.udpEcho, 'payload "01a"\n require_reply "01 0a"'),
		alive: true,
	},
	{
		title: "UDP: wrong reply",
		check: simple("UDP_CHECK", ports.udpEcho, "payload 0102\n require_reply 02"),
		alive: false,
	},
	{ title: "UDP: silent", check: simple("UDP_CHECK", ports.udpSilent), alive: true },
	{
		title: "UDP: silent, reply wanted",
		check: simple("UDP_CHECK", ports.udpSilent, "require_reply"),
		alive: false,
	},
	{ title: "UDP: closed", check: simple("UDP_CHECK", ports.udpClosed), alive: false },
	{ title: "DNS", check: simple("DNS_CHECK", ports.dns, "type A\n name example.org"), alive: true },
	{
		title: "DNS: NXDOMAIN",
		check: simple("DNS_CHECK", ports.dnsNoName, "type A\n name example.org"),
		alive: false,
	},
	{ title: "PING", check: "PING_CHECK {\n connect_timeout 1\n retry 0\n }", alive: true },
	{
		title: "PING: nobody there",
		check: "PING_CHECK {\n connect_ip 10.8.0.77\n connect_timeout 1\n retry 0\n }",
		alive: false,
	},
	{ title: "MISC: exit 0", check: misc("/bin/true"), alive: true },
	{ title: "MISC: exit 1", check: misc("/bin/false"), alive: false },
	{ title: "MISC: too slow", check: misc("/bin/sleep 5"), alive: false },
	{ title: "MISC: misc_dynamic 12", check: misc("/bin/sh -c 'exit 12'", "misc_dynamic"), alive: true },
	{ title: "MISC: exit 12 without it", check: misc("/bin/sh -c 'exit 12'"), alive: false },
];

/** Every case is one real server of its own port, so that both sides name it alike. */
const servicePort = (index: number) => 10_000 + index;

let network: Network;
let director: Namespace;
let server: Namespace;
const folder = mkdtempSync(join(tmpdir(), "drover-oracle-"));

beforeAll(async () => {
	network = Network.create("oracle");
	const lan = network.segment("lan");
	director = network.namespace("director");
	server = network.namespace("server");
	lan.plug(director, "eth0", "10.8.0.1/24", "10.8.0.9/24");
	lan.plug(server, "eth0", "10.8.0.2/24");
	server.run(
		"nft",
		"add table inet t; add chain inet t i { type filter hook input priority 0; }; add rule inet t i tcp dport 8012 drop",
	);
	// Two judges ask the same closed port: the kernel would spare one of them its ICMP answer.
	server.sysctl("net.ipv4.icmp_ratelimit", 0);
	const servers = server.spawn([bunPath, `${import.meta.dir}/health-servers.ts`]);
	const { value } = await servers.stdout.getReader().read();
	expect(new TextDecoder().decode(value)).toStartWith("ready");
	const made = Bun.spawnSync([
		...["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
		...["-keyout", `${folder}/key.pem`, "-out", `${folder}/cert.pem`, "-subj", "/CN=rs", "-days", "2"],
	]);
	if (made.exitCode !== 0) throw new Error(made.stderr.toString());
	writeFileSync(`${folder}/index.html`, page);
	writeFileSync(
		`${folder}/nginx.conf`,
		`daemon off; pid ${folder}/nginx.pid; error_log ${folder}/error.log info; user root;
events {}
http {
	access_log off;
	server { listen ${NGINX_PORT} default_server; listen ${NGINX_TLS_PORT} ssl default_server; root ${folder};
		ssl_certificate ${folder}/cert.pem; ssl_certificate_key ${folder}/key.pem; }
	server { listen ${NGINX_PORT}; server_name tea.example; return 418; }
}
`,
	);
	server.spawn(["nginx", "-p", folder, "-c", `${folder}/nginx.conf`], { stdout: "ignore", stderr: "ignore" });
	await eventually(
		"nginx",
		() => server.try("sh", "-c", `ss -Hltn | grep -q :${NGINX_TLS_PORT}`).status === 0,
	);
});
afterAll(() => {
	network.dispose();
	rmSync(folder, { recursive: true, force: true });
});

const config = (servers: readonly string[], more = "alpha") =>
	`virtual_server 10.8.0.100 80 {\n delay_loop 1\n lb_algo rr\n lb_kind NAT\n protocol TCP\n ${more}\n${servers.join("\n")}\n}\n`;

describe("keepalived's verdict and Drover's", () => {
	test("are the same, case by case", async () => {
		const text = config(
			cases.map(
				({ check }, index) => ` real_server 10.8.0.2 ${servicePort(index)} {\n weight 1\n ${check}\n }`,
			),
		);
		writeFileSync(`${folder}/check.conf`, `global_defs {\n script_user root\n}\n${text}`);
		const loaded = loadConfig(`${folder}/check.conf`);
		expect(loaded.diagnostics.filter(({ severity }) => severity === "error")).toEqual([]);
		const peer = new KeepalivedCheckers(director, text);
		const agent = new Agent(director);
		agent.applyConfig(loaded.config);
		const status = (index: number) => agent.status(`10.8.0.2]:${servicePort(index)}`);
		// Both have had time for every timeout and a second round.
		await eventually(
			"answers to all",
			() => cases.every((_case, index) => status(index)?.checks[0]?.atMs),
			15_000,
		);
		await Bun.sleep(7_000);
		const table = cases.map(({ title, alive, keepalivedDiffers }, index) => ({
			title,
			alive,
			drover: status(index)?.alive ?? false,
			keepalived: peer.verdict("10.8.0.2", servicePort(index)) ?? false,
			detail: status(index)?.checks[0]?.detail ?? "",
			keepalivedDiffers,
		}));
		await peer.stop();
		for (const row of table)
			console.log(
				`${row.title.padEnd(30)} keepalived ${row.keepalived ? "up  " : "down"}  drover ${row.drover ? "up  " : "down"}  ${row.detail}${row.keepalivedDiffers === undefined ? "" : `  (${row.keepalivedDiffers})`}`,
			);
		expect(table.filter(({ alive, drover }) => alive !== drover)).toEqual([]);
		expect(
			table.filter((row) => row.keepalivedDiffers === undefined && row.keepalived !== row.drover),
		).toEqual([]);
	}, 60_000);
});

describe("genhash(1)", () => {
	test("prints the same digest", () => {
		const drover = [bunPath, `${import.meta.dir}/../../../firmware/drover.ts`, "genhash"];
		for (const [port, words] of [
			[ports.good, []],
			[ports.unknownLength, []],
			[NGINX_PORT, ["-P", "1.1"]],
			[NGINX_PORT, ["-V", "tea.example"]],
			[NGINX_TLS_PORT, ["-S"]],
		] as const) {
			const options = ["-s", "10.8.0.2", "-p", String(port), "-u", "/", ...words];
			const theirs = director.run("genhash", ...options);
			expect(theirs.trim()).toMatch(/^[0-9a-f]{32}$/);
			expect(director.run(...drover, ...options)).toBe(theirs);
			const verbose = director.run("genhash", "-v", ...options);
			const ours = director.run(...drover, "-v", ...options);
			const withoutTimes = (text: string) =>
				text
					.replace(/= \d+ usecs/, "")
					.replace(/Date: .*|[0-9a-f]{2} .*/g, "")
					.trim();
			expect(withoutTimes(ours).split("\n").at(-1)).toBe(withoutTimes(verbose).split("\n").at(-1)!);
		}
		expect(director.try(...drover, "-s", "10.8.0.2", "-p", String(ports.closed), "-u", "/")).toMatchObject({
			status: 1,
			stderr: "genhash: connection refused\n",
		});
		expect(director.try(...drover, "-s", "x").status).toBe(2);
	}, 30_000);
});
