/** `drover config commit` and its kin, as the operator types them. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileDisk } from "../../../firmware/config/revisions/disk.ts";
import { Revisions } from "../../../firmware/config/revisions/revisions.ts";
import { packTar, unpackTar } from "../../../firmware/config/revisions/tar.ts";
import { makeCertificate } from "../../cache/http/certificate.ts";

const drover = join(import.meta.dir, "../../../firmware/drover.ts");
let directory: string;
beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "drover-config-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** Runs `drover config WORDS`; status and both outputs. */
function config(...words: string[]): { status: number; text: string } {
	return configFrom({}, ...words);
}

/** The same where this process answers it: it must not be blocked. What it says, on either output. */
async function ask(...words: string[]): Promise<string> {
	const child = Bun.spawn([process.execPath, drover, "config", ...words], {
		env: { ...process.env, DROVER_CONFIG_DIR: directory },
		stdout: "pipe",
		stderr: "pipe",
	});
	return (await new Response(child.stdout).text()) + (await new Response(child.stderr).text());
}

/** The same with more environment, such as an SSH session has. */
function configFrom(
	environment: Record<string, string>,
	...words: string[]
): { status: number; text: string } {
	const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, drover, "config", ...words], {
		env: {
			...process.env,
			...environment,
			DROVER_CONFIG_DIR: directory,
			DROVER_RUN_DIR: join(directory, "run"),
			USER: "anna",
		},
	});
	return { status: exitCode, text: stdout.toString() + stderr.toString() };
}
const candidate = () => join(directory, "candidate/keepalived.conf");
const running = () => readFileSync(join(directory, "current/keepalived.conf"), "utf8");
const server = (weight: number) => `virtual_server 192.0.2.1 80 {
    protocol TCP
    real_server 192.0.2.10 80 {
        weight ${weight}
    }
}
`;

function write(text: string): void {
	config("edit");
	writeFileSync(candidate(), text);
}

test("edit, compare, commit, history", () => {
	write(server(1));
	expect(config("commit", "first", "service").text).toContain("Revision 1 is in force.");
	write(server(3));
	expect(config("compare").text).toContain("-        weight 1\n+        weight 3");
	const committed = config("commit", "more weight");
	expect(committed.text).toMatch(/weight 1 .*3/);
	expect(committed.text).toContain("Revision 2 is in force.");
	expect(running()).toBe(server(3));
	expect(config("history").text).toMatch(
		/^ +2 .*anna, shell: more weight {2}\[in force\]\n +1 .*first service\n$/,
	);
	expect(config("compare").text).toBe("No difference.\n");
	// Two revisions, whatever the working copy says.
	write(server(9));
	expect(config("compare", "2", "1").text).toContain("--- revision-2/");
	expect(config("compare", "2", "1").text).toContain("-        weight 3\n+        weight 1");
	expect(config("compare", "2", "2")).toEqual({ status: 0, text: "No difference.\n" });
	expect(config("compare", "2", "7").status).toBe(2);
	const compared = config("compare", "2", "1", "--json");
	expect(compared.status).toBe(1);
	expect(JSON.parse(compared.text)).toMatchObject({ from: 2, to: 1, differs: true });
	expect(JSON.parse(compared.text).diff).toContain("-        weight 3\n+        weight 1");
});

test("a typo costs nothing: it is named, and what runs stays", () => {
	write(server(1));
	config("commit");
	write(server(2).replace("weight", "wieght"));
	const refused = config("commit");
	expect(refused.status).toBe(1);
	expect(refused.text).toContain('did you mean "weight"?');
	expect(refused.text).toContain("Not committed: the running configuration stays as it is.");
	expect(running()).toBe(server(1));
});

describe("an interface that is not there", () => {
	const vip = (name: string, more = "") => `${more}vrrp_instance VI_1 {
    interface ${name}
    virtual_router_id 51
    virtual_ipaddress {
        192.0.2.1
    }
}
`;
	const later = "global_defs {\n    dynamic_interfaces\n}\n";
	test("and that no configuration named: nothing is committed, and it is said what to do", () => {
		write(server(1));
		config("commit");
		write(vip("eth77") + server(2));
		const refused = config("commit");
		expect(refused.status).toBe(1);
		expect(refused.text).toMatch(
			/error: VI_1: there is no interface eth77 on this machine\n.*\n.*\n.*waits.*\n {4}.*"dynamic_interfaces" in global_defs is for one that comes later\n/,
		);
		expect(config("plan").status).toBe(5);
		expect(running()).toBe(server(1));
	});
	test("and that the one in force names, since its card has died: said, and no reason to refuse the rest", () => {
		write(vip("eth77", later));
		config("commit");
		write(vip("eth77") + server(2));
		const said =
			/warning: VI_1: there is no interface eth77 on this machine\n.*\n.*\n {4}lost: VI_1 waits until eth77 appears\n {4}not refused: what was in force before names eth77, too\n/;
		const checked = config("check");
		expect([checked.status, checked.text]).toEqual([0, expect.stringMatching(said)]);
		const planned = config("plan");
		expect([planned.status, planned.text]).toEqual([1, expect.stringMatching(said)]);
		expect(planned.text).toContain("+ service  TCP 192.0.2.1:80");
		const committed = config("commit");
		expect([committed.status, committed.text]).toEqual([0, expect.stringMatching(said)]);
		expect(running()).toBe(vip("eth77") + server(2));
		// It takes both away, and a rollback brings them back.
		write(server(2));
		config("commit");
		expect(config("rollback", "2").text).toContain("in force: what revision 2 was");
		write(vip("eth77") + server(3));
		expect(config("commit").status).toBe(0);
	});
});

describe("commit confirm", () => {
	test("goes back by itself when nobody confirms", async () => {
		write(server(1));
		config("commit");
		write(server(2));
		expect(config("commit", "confirm", "0.02").text).toContain("unless you say");
		expect(running()).toBe(server(2));
		const deadline = Date.now() + 20_000;
		while (running() !== server(1) && Date.now() < deadline) await Bun.sleep(100);
		expect(running()).toBe(server(1));
		// Whoever comes later sees what became of it.
		const history = () => config("history").text.split("\n");
		expect(history()[0]).toMatch(/^ +2 .*\[taken back\]$/);
		write(server(3));
		config("commit");
		config("rollback", "1");
		expect(history().map((line) => /\[.*\]|$/.exec(line)![0])).toEqual([
			"[in force]",
			"",
			"[taken back]",
			"",
			"",
		]);
	});
	test("stays when confirmed", () => {
		write(server(1));
		config("commit");
		write(server(2));
		config("commit", "confirm", "5");
		expect(config("history").text).toContain("[in force, back in 5 minutes]");
		expect(config("confirm").text).toBe("Revision 2 stays.\n");
		expect(config("history").text).not.toContain("back in");
		expect(running()).toBe(server(2));
	});
	test.each(["0", "-1", "soon", "99999"])("%p minutes are refused", (minutes) => {
		expect(config("commit", "confirm", minutes).text).toContain('"confirm" takes minutes, 1 to 1440');
	});
});

test("roll back, rescue, backup and restore", () => {
	write(server(1));
	config("commit");
	write(server(2));
	config("commit");
	expect(config("rollback", "1").text).toContain("Revision 3 is in force: what revision 1 was.");
	expect(running()).toBe(server(1));
	expect(config("rescue", "2").text).toBe('"drover config rollback rescue" goes back to revision 2.\n');
	expect(JSON.parse(config("rescue", "--json").text)).toEqual({ rescue: 2 });
	const archive = join(directory, "backup.tar");
	expect(config("backup", archive).text).toContain("holds revision 3");
	write(server(9));
	config("commit");
	config("restore", archive);
	config("commit");
	expect(running()).toBe(server(1));
	expect(config("rollback", "77").text).toBe("drover config: there is no revision 77\n");
});

test("a roll back keeps a working copy that is being edited, and forgets a copy of what ran", () => {
	write(server(1));
	config("commit");
	write(server(2));
	config("commit");
	expect(config("rollback", "1").text).not.toContain("working copy");
	expect(config("compare").text).toBe("No difference.\n");
	write(server(7));
	mkdirSync(join(directory, "candidate/of-an-editor"));
	expect(config("rollback", "2").text).toContain("The working copy keeps its own changes");
	expect(running()).toBe(server(2));
	expect(readFileSync(candidate(), "utf8")).toBe(server(7));
});

const box = (address: string, more = "") => `hostname = "box"
[[port]]
name = "eth0"
role = "outside"
addresses = ["${address}"]
${more}`;

function writeSettings(text: string): void {
	config("edit");
	writeFileSync(join(directory, "candidate/appliance.toml"), text);
}

test("check and plan of the working copy: the balancer and the box itself", () => {
	write(server(1));
	writeSettings(box("10.0.0.1/24"));
	config("commit");
	writeSettings(box("10.0.0.2/24", '[ntp]\nservers = ["10.0.0.9"]\n').replace('"box"', '"director-a"'));
	write(server(4));
	const checked = config("check");
	expect(checked.status).toBe(0);
	expect(checked.text).toEndWith("The working copy can be committed.\n");
	const { status, text } = config("plan");
	expect(status).toBe(1);
	expect(text).toMatch(/weight 1 .*4/);
	expect(text).toContain("~ the host name: box → director-a");
	expect(text).toContain("- address 10.0.0.1/24 dev eth0\n+ address 10.0.0.2/24 dev eth0");
	expect(text).toContain("+ the service ntp starts");
	writeSettings('hostnam = "x"');
	expect(config("check").text).toContain('did you mean "hostname"?');
	expect(config("plan").status).toBe(5);
});

describe("a commit that would cut the operator's own path", () => {
	const ssh = { SSH_CONNECTION: "10.0.0.7 50022 10.0.0.1 22" };
	test("is refused, unless it comes back by itself; from the console nobody asks", () => {
		writeSettings(box("10.0.0.1/24"));
		config("commit");
		writeSettings(box("10.0.1.1/24"));
		const refused = configFrom(ssh, "commit");
		expect(refused.status).toBe(1);
		expect(refused.text).toContain(
			"This may cut your own connection from 10.0.0.7 to 10.0.0.1:\n  10.0.0.1 goes from eth0\n  there is no route to 10.0.0.7 any more\n",
		);
		expect(refused.text).toContain('say "drover config commit confirm 5"');
		expect(config("history").text).not.toContain("   2  ");
		expect(configFrom(ssh, "commit", "confirm", "5").text).toContain("Revision 2 is in force.");
		expect(config("history").text).toMatch(/^ +2 .*anna, ssh 10\.0\.0\.7 {2}\[in force, back in 5 minutes\]/);
		config("confirm");
		expect(configFrom({ SSH_CONNECTION: "10.0.1.7 50022 10.0.1.1 22" }, "rollback", "1").text).toContain(
			'say "drover config rollback 1 confirm 5"',
		);
		expect(config("rollback", "1").text).toContain("Revision 3 is in force");
	});
});

describe("backup and restore", () => {
	test("over HTTP", async () => {
		const kept = new Map<string, Uint8Array>();
		const web = Bun.serve({
			port: 0,
			async fetch(request) {
				const { pathname } = new URL(request.url);
				if (request.method === "PUT") {
					kept.set(pathname, await request.bytes());
					return new Response(null, { status: 201 });
				}
				const bytes = kept.get(pathname);
				return bytes === undefined
					? new Response("", { status: 404 })
					: new Response(new Blob([bytes as Uint8Array<ArrayBuffer>]));
			},
		});
		const cutting = Bun.listen({
			hostname: "127.0.0.1",
			port: 0,
			socket: {
				data: (socket) => {
					socket.end(`HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n${"x".repeat(100_000)}`);
				},
			},
		});
		try {
			write(server(1));
			config("commit");
			expect(await ask("backup", `${web.url}kept/`)).toMatch(/kept\/drover-.*-r1\.tar holds revision 1\./);
			write(server(2));
			config("commit");
			await ask("restore", `${web.url}${[...kept.keys()][0]!.slice(1)}`);
			config("commit");
			expect(running()).toBe(server(1));
			expect(await ask("restore", `${web.url}nothing`)).toContain("answers 404");
			// Half a download is none.
			expect(await ask("restore", `http://127.0.0.1:${cutting.port}/b.tar`)).toMatch(
				/^drover config: 127\.0\.0\.1:\d+ ended the connection too early\n$/,
			);
		} finally {
			cutting.stop(true);
			await web.stop(true);
		}
	});
	test("over HTTPS a certificate that nobody known signed is said to be one; its authority can be named", async () => {
		const { certificatePath, keyPath } = makeCertificate(directory, "web", ["IP:127.0.0.1"]);
		const web = Bun.serve({
			port: 0,
			tls: { cert: Bun.file(certificatePath), key: Bun.file(keyPath) },
			fetch: async (request) =>
				request.method === "PUT"
					? new Response(String((await request.bytes()).length > 1_000))
					: new Response(Bun.file(join(directory, "kept.tar"))),
		});
		try {
			const place = `https://127.0.0.1:${web.port}/b.tar`;
			expect(await ask("restore", place)).toMatch(
				/^drover config: the certificate of 127\.0\.0\.1:\d+ is signed by nobody known here \(self.signed certificate\)\n$/,
			);
			write(server(1));
			config("commit");
			config("backup", join(directory, "kept.tar"));
			expect(await ask("backup", place, "ca", certificatePath)).toBe(`${place} holds revision 1.\n`);
			expect(await ask("restore", place, "ca", certificatePath)).toContain("what the archive held");
			const stranger = makeCertificate(directory, "stranger", ["IP:127.0.0.1"]).certificatePath;
			expect(await ask("restore", place, "ca", stranger)).toContain("signed by nobody known here");
			expect(await ask("restore", place, "ca", candidate())).toContain("cannot be read as a certificate");
			expect(await ask("restore", place, "as", "it is")).toContain('"ca FILE"');
			expect(await ask("restore", "usb", "ca", certificatePath)).toContain("for https:// alone");
		} finally {
			await web.stop(true);
		}
	});
	test("a backup is for its owner alone, and says which schema it is of", () => {
		write(server(1));
		config("commit");
		const archive = join(directory, "kept.tar");
		config("backup", archive);
		expect(statSync(archive).mode & 0o777).toBe(0o600);
		const files = unpackTar(readFileSync(archive));
		expect([...files.keys()]).toEqual(["keepalived.conf", "revision.json"]);
		const description = JSON.parse(Buffer.from(files.get("revision.json")!).toString());
		const newer = JSON.stringify({ ...description, schemaVersion: description.schemaVersion + 1 });
		writeFileSync(archive, packTar(files.set("revision.json", Buffer.from(newer)), 0));
		expect(config("restore", archive).text).toContain("was written by a newer firmware (schema 2, here 1)");
	});
	test("an archive that was cut short leaves the working copy as it was: half a configuration is none", () => {
		write(server(1));
		config("commit");
		const archive = join(directory, "kept.tar");
		config("backup", archive);
		write(server(2));
		const bytes = readFileSync(archive);
		for (const length of [0, 700, 1024, bytes.length - 1024]) {
			writeFileSync(archive, bytes.subarray(0, length));
			expect(config("restore", archive).text).toMatch(/the archive is (empty|cut short)/);
			expect(readFileSync(candidate(), "utf8")).toBe(server(2));
		}
	});
	test("an archive with a link, or with names that no revision has, leaves the working copy as it was", () => {
		write(server(1));
		const evil = join(directory, "evil");
		const archive = join(directory, "evil.tar");
		for (const [make, words] of [
			["ln -s /etc/passwd keepalived.conf", "no plain file"],
			["mkdir keepalived.conf", "no plain file"],
			["touch -- 'a b'", "cannot be the name"],
			["true", "1 to 1000 files"],
		]) {
			Bun.spawnSync([
				"sh",
				"-c",
				`rm -rf ${evil} && mkdir ${evil} && cd ${evil} && ${make} && tar -cf ${archive} .`,
			]);
			expect(config("restore", archive).text).toContain(words!);
			expect(readFileSync(candidate(), "utf8")).toBe(server(1));
		}
	});
	test.each([
		["/nowhere/backup.tar", "there is no /nowhere/backup.tar"],
		["scp://-oProxyCommand=x@host/y", "is not scp://USER@HOST/PATH"],
		["http://127.0.0.1:1/x", "127.0.0.1:1 refuses the connection: no server listens there"],
		["scp://127.0.0.1:1/x", "drover config: scp: ssh: connect to host 127.0.0.1 port 1: Connection refused"],
		["http://", "http:// is no URL"],
		["ftp://127.0.0.1/x", '"ftp" is not known here: a file, usb, https://, http:// or scp://'],
	])("%s: says what is wrong", (place, words) => {
		expect(config("restore", place).text).toContain(words);
	});
});

test("kill -9 at any moment of a commit: one revision or the other, whole, and the next commit works", async () => {
	write(server(1));
	config("commit");
	let before = server(1);
	for (let round = 0; round < 8; round++) {
		const next = server(10 + round);
		writeFileSync(candidate(), next);
		const child = Bun.spawn([process.execPath, drover, "config", "commit"], {
			env: { ...process.env, DROVER_CONFIG_DIR: directory, DROVER_RUN_DIR: join(directory, "run") },
			stdio: ["ignore", "ignore", "ignore"],
		});
		// From before it has begun to after its end.
		await Bun.sleep(60 + round * 30);
		child.kill("SIGKILL");
		await child.exited;
		config("recover");
		expect([before, next]).toContain(running());
		before = running();
	}
	write(server(99));
	config("commit");
	expect(running()).toBe(server(99));
});

test("operators at the same moment: each commit is a revision of its own, or is told to try again", async () => {
	write(server(1));
	config("commit");
	const outcomes = await Promise.all(
		[1, 2, 3, 4].map(async (name) => {
			const words = ["config", "set", `hostname=gate-${name}`, "--yes", "--final"];
			const child = Bun.spawn([process.execPath, drover, ...words], {
				env: { ...process.env, DROVER_CONFIG_DIR: directory, DROVER_RUN_DIR: join(directory, "run") },
				stdin: "ignore",
				stdout: "pipe",
				stderr: "pipe",
			});
			const text = await new Response(child.stdout).text();
			const errors = await new Response(child.stderr).text();
			return { status: await child.exited, text, errors };
		}),
	);
	const committed = outcomes.filter(({ status }) => status === 0);
	expect(committed.length).toBeGreaterThan(0);
	for (const { status, errors } of outcomes)
		if (status !== 0) expect(errors).toMatch(/^drover config set: revision \d came into force meanwhile/);
	const revisions = new Revisions(fileDisk(directory));
	const names = revisions.history().map(({ number }) => number);
	expect(names).toEqual(Array.from({ length: committed.length + 1 }, (_, at) => committed.length + 1 - at));
	for (const number of names) expect(revisions.files(number).size).toBeGreaterThan(0);
	expect(revisions.currentNumber()).toBe(names[0]!);
});

describe("config set: settings by name", () => {
	const settings = () => readFileSync(join(directory, "current/appliance.toml"), "utf8");
	const set = (...words: string[]) => config("set", ...words);

	test("the plan is shown, the rest of the file stays, and it is taken back unless confirmed", () => {
		write(server(1));
		writeFileSync(join(directory, "candidate/appliance.toml"), '# Rack 3.\nhostname = "gate"\n');
		config("commit");
		const seen = set("ntp.servers=192.0.2.1", "ssh.passwords=on", "--plan");
		expect(seen).toMatchObject({ status: 0 });
		expect(seen.text).toBe(
			"+ the service ntp starts\n~ ntp.servers: none → 192.0.2.1\n~ ssh.passwords: off → on\n",
		);
		expect(settings()).toBe('# Rack 3.\nhostname = "gate"\n');
		const done = set("ntp.servers=192.0.2.1", "ssh.passwords=on", "--yes", "--final");
		expect(done.text).toContain("Revision 2 is in force.");
		expect(settings()).toBe(
			'# Rack 3.\nhostname = "gate"\n\n[ntp]\nservers = ["192.0.2.1"]\n\n[ssh]\npasswords = true\n',
		);
		expect(config("history").text).toContain("anna, shell: config set ntp.servers ssh.passwords  [in force]");
		expect(set("ssh.passwords=on", "--plan").text).toContain("Nothing would change.");
		expect(set("--remove", "ntp.servers", "--yes", "--final").status).toBe(0);
		expect(settings()).not.toContain("192.0.2.1");
	});

	test("secrets come on standard input, and are in neither plan nor history", () => {
		write(server(1));
		config("commit");
		const words = ["snmp.enabled=on", "snmp.sources=10.0.0.0/8", "snmp.communities=-", "--yes", "--final"];
		const child = Bun.spawnSync([process.execPath, drover, "config", "set", ...words], {
			stdin: Buffer.from("whisper"),
			env: { ...process.env, DROVER_CONFIG_DIR: directory, DROVER_RUN_DIR: join(directory, "run") },
		});
		expect(child.stdout.toString() + child.stderr.toString()).not.toContain("whisper");
		expect(settings()).toContain('communities = ["whisper"]');
		expect(config("history").text).not.toContain("whisper");
	});

	test("what is wrong is told, and changes nothing", () => {
		write(server(1));
		config("commit");
		expect(set("ssh.enabeld=on", "--plan")).toEqual({
			status: 2,
			text: 'drover config set: there is no setting ssh.enabeld; did you mean ssh.enabled?\n"drover config set --help" shows how it is called.\n',
		});
		const refused = set("port[eth0].addresses+=300.0.0.1/24", "--plan");
		expect(refused.status).toBe(5);
		expect(refused.text).toContain("port[1].role is missing");
		expect(refused.text).toContain("Not done: the running configuration stays as it is.");
		expect(set("--plan").text).toContain("say what: PATH=VALUE, or --remove PATH");
	});
});
