/** The log against Debian's rsyslog: over UDP, TCP and TLS, with a receiver that goes away and one that is slow. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import {
	appendFileSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { eventually, type Namespace, Network } from "./network.ts";

const drover = [process.execPath, join(import.meta.dir, "../../../firmware/drover.ts")];
const LIMIT_MS = 20_000;
let network: Network;
let box: Namespace;
let receiver: Namespace;
let directory: string;
let rsyslog: Subprocess;

const path = (name: string) => join(directory, name);

/** A certificate for 10.9.0.2 and what signed it. */
function makeCertificates(): void {
	const openssl = (...words: string[]) => {
		const { exitCode, stderr } = Bun.spawnSync(["openssl", ...words], { cwd: directory });
		if (exitCode !== 0) throw new Error(stderr.toString());
	};
	const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
	for (const name of ["ca", "other-ca"])
		openssl(
			"req",
			"-x509",
			...newKey,
			"-keyout",
			`${name}.key`,
			"-out",
			`${name}.pem`,
			"-subj",
			`/CN=${name}`,
		);
	openssl("req", ...newKey, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=10.9.0.2");
	writeFileSync(path("extensions"), "subjectAltName=IP:10.9.0.2\n");
	openssl(
		...["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"],
		...["-out", "server.pem", "-extfile", "extensions"],
	);
}

function startRsyslog(): Subprocess {
	const fields = "%inputname%|%pri%|%hostname%|%app-name%|%structured-data%|%msg%\\n";
	writeFileSync(
		path("rsyslog.conf"),
		`global(workDirectory="${directory}" defaultNetstreamDriverCAFile="${path("ca.pem")}"
	defaultNetstreamDriverCertFile="${path("server.pem")}" defaultNetstreamDriverKeyFile="${path("server.key")}")
module(load="imudp")
module(load="imtcp")
template(name="fields" type="string" string="${fields}")
ruleset(name="all") { action(type="omfile" file="${path("received")}" template="fields" asyncWriting="off") }
input(type="imudp" port="514" ruleset="all" name="udp")
input(type="imtcp" port="514" ruleset="all" name="tcp")
input(type="imtcp" port="6514" ruleset="all" name="tls" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
`,
	);
	return receiver.spawn(["rsyslogd", "-n", "-f", path("rsyslog.conf"), "-i", path("rsyslog.pid")]);
}

const received = () =>
	existsSync(path("received"))
		? readFileSync(path("received"), "utf8")
				.split("\n")
				.filter((line) => line !== "")
		: [];
const log = (service: string, record: object) => {
	mkdirSync(path(`log/${service}`), { recursive: true });
	appendFileSync(
		path(`log/${service}/current`),
		`${JSON.stringify({ level: "info", service, ...record })}\n`,
	);
};
const arrived = (how: string, text: string) =>
	eventually(
		`"${text}" by ${how}`,
		() => received().find((line) => line.startsWith(`${how}|`) && line.endsWith(text)),
		LIMIT_MS,
	);

beforeAll(() => {
	network = Network.create("syslog");
	box = network.namespace("a");
	receiver = network.namespace("log");
	const lan = network.segment("lan");
	lan.plug(box, "eth0", "10.9.0.1/24");
	lan.plug(receiver, "eth0", "10.9.0.2/24");
	directory = mkdtempSync(join(tmpdir(), "drover-syslog-"));
	makeCertificates();
	writeFileSync(
		path("appliance.toml"),
		`[syslog]
level = "info"
facility = "local3"
receivers = [
	{ host = "10.9.0.2" },
	{ host = "10.9.0.2", transport = "tcp" },
	{ host = "10.9.0.2", transport = "tls", ca = "ca.pem" },
	{ host = "10.9.0.2", transport = "tls", ca = "other-ca.pem" },
	{ host = "10.9.0.2", transport = "tcp", port = 5140 },
]`
			.replaceAll("\n\t", "")
			.replace(",\n]", "]"),
	);
	log("vrrp", { msg: "before anyone listened" });
	rsyslog = startRsyslog();
	const env = { ...process.env, DROVER_RUN_DIR: directory, DROVER_LOG: path("own-log") };
	box.spawn([...drover, "syslog", "--config", path("appliance.toml"), "--logs", path("log")], { env });
});

afterAll(() => {
	network[Symbol.dispose]();
	rmSync(directory, { recursive: true, force: true });
});

test.each(["udp", "tcp", "tls"])(
	"%s: facility, severity, names, data and text as rsyslog reads them",
	async (how) => {
		log("director", { level: "error", msg: `out, by ${how}`, realServer: "10.0.0.7" });
		// RFC 5424 §6.2.1: local3 (19) * 8 + error (3).
		expect(await arrived(how, `out, by ${how}`)).toMatch(
			new RegExp(
				`^${how}\\|155\\|[^|]+\\|drover-director\\|\\[drover@[\\d.]+ realServer="10\\.0\\.0\\.7"\\]\\| ?out, by ${how}$`,
			),
		);
	},
);

test("what was logged before is sent, what is below the level is not", async () => {
	await arrived("tls", "before anyone listened");
	log("vrrp", { level: "debug", msg: "a detail" });
	log("vrrp", { msg: "behind the detail" });
	await arrived("tcp", "behind the detail");
	expect(received().some((line) => line.includes("a detail"))).toBe(false);
});

test("RFC 5425 §5.2: a receiver with a certificate of somebody else gets nothing, and that is said", async () => {
	await eventually(
		"it is said",
		() => readFileSync(path("own-log"), "utf8").includes("certificate"),
		LIMIT_MS,
	);
	const tls = received().filter((line) => line.startsWith("tls|") && line.endsWith("behind the detail"));
	expect(tls.length).toBeLessThanOrEqual(1);
});

test("a receiver that goes away gets over TCP what came meanwhile, in order", async () => {
	rsyslog.kill("SIGKILL");
	await rsyslog.exited;
	// Long enough for the connection to be known as gone: what a dead connection swallowed nobody can know.
	await Bun.sleep(500);
	for (let index = 0; index < 200; index++) log("vrrp", { msg: `meanwhile ${index}` });
	rsyslog = startRsyslog();
	await arrived("tcp", "meanwhile 199");
	const numbers = received()
		.filter((line) => line.startsWith("tcp|"))
		.flatMap((line) => /meanwhile (\d+)$/.exec(line)?.slice(1).map(Number) ?? []);
	expect(numbers).toEqual(Array.from({ length: 200 }, (_, index) => index));
});

test("a receiver that nobody answers for costs the others nothing; its backlog is bounded", async () => {
	for (let index = 0; index < 12_000; index++)
		appendFileSync(path("log/vrrp/current"), `{"level":"info","service":"vrrp","msg":"flood ${index}"}\n`);
	await arrived("tcp", "flood 11999");
	const ask = box.run(
		process.execPath,
		"-e",
		`process.env.DROVER_RUN_DIR = ${JSON.stringify(directory)};
const { call } = await import(${JSON.stringify(join(import.meta.dir, "../../../firmware/bus/client.ts"))});
console.log(JSON.stringify(await call("syslog", "status")));`,
	);
	const dead = JSON.parse(ask).receivers.at(-1);
	expect(dead).toMatchObject({ port: 5140, connected: false, waiting: 10_000 });
	expect(dead.lost).toBeGreaterThan(2_000);
});
