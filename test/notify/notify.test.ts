import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MailSettings, Script } from "../../firmware/config/model.ts";
import { FifoWriter } from "../../firmware/notify/fifo.ts";
import { letterText } from "../../firmware/notify/letter.ts";
import { deliver, envelopeAddress, Mailer } from "../../firmware/notify/mail.ts";
import { ScriptRunner } from "../../firmware/notify/script-runner.ts";
import { setScriptUmask } from "../../firmware/notify/start-script.ts";
import { Notifier } from "../../firmware/vrrp/notify.ts";
import { configOf, globalDefaults, instanceOf, nowhere } from "../vrrp/config.ts";

const folder = mkdtempSync(join(tmpdir(), `drover-notify-${process.pid}-`));
beforeAll(() =>
	writeFileSync(join(folder, "args.sh"), `#!/bin/sh\necho "$@" > "${folder}/args"\n`, { mode: 0o755 }),
);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const shell = (text: string, over: Partial<Script> = {}): Script => ({
	command: ["/bin/sh", "-c", text],
	user: null,
	group: null,
	location: nowhere,
	...over,
});

async function until(holds: () => boolean, what: string): Promise<void> {
	const limit = performance.now() + 10_000;
	while (!holds()) {
		if (performance.now() > limit) throw new Error(`not within 10 s: ${what}`);
		await Bun.sleep(10);
	}
}

describe("scripts", () => {
	const runner = new ScriptRunner({ limit: 4 });

	test("files that a script makes are its user's alone, as with keepalived, unless umask says another", async () => {
		const modes = async (umask: number | null) => {
			setScriptUmask(umask);
			const own = process.umask();
			await runner.run(shell(`rm -f "${folder}/made"; : > "${folder}/made"`), { timeoutMs: 5000 });
			expect(process.umask()).toBe(own);
			return statSync(join(folder, "made")).mode & 0o777;
		};
		expect(await modes(0o022)).toBe(0o644);
		expect(await modes(null)).toBe(0o600);
	});

	test("the exit status comes back; a signal is not a status", async () => {
		expect(await runner.run(shell("exit 37"), { timeoutMs: 5000 })).toEqual({ kind: "exit", status: 37 });
		expect(await runner.run(shell("kill -9 $$"), { timeoutMs: 5000 })).toEqual({
			kind: "signal",
			signal: "SIGKILL",
		});
	});

	test("words are appended, and no shell sees them", async () => {
		const script = { ...shell(""), command: [join(folder, "args.sh")] };
		await runner.run(script, { append: ["INSTANCE", "a b; c", "MASTER", "100"], timeoutMs: 5000 });
		expect(readFileSync(join(folder, "args"), "utf8")).toBe("INSTANCE a b; c MASTER 100\n");
	});

	test("a file without a #! line is the shell's, by its path or on the PATH, as with keepalived", async () => {
		writeFileSync(join(folder, "plain"), `echo "$@" > "${folder}/plain-args"; exit 3\n`, { mode: 0o755 });
		const run = (program: string) =>
			runner.run({ ...shell(""), command: [program, "a b"] }, { append: ["MASTER"], timeoutMs: 5000 });
		expect(await run(join(folder, "plain"))).toEqual({ kind: "exit", status: 3 });
		expect(readFileSync(join(folder, "plain-args"), "utf8")).toBe("a b MASTER\n");
		const path = process.env["PATH"];
		process.env["PATH"] = `${folder}:${path}`;
		expect(await run("plain")).toEqual({ kind: "exit", status: 3 });
		process.env["PATH"] = path;
	});

	test("what does not exist says so", async () => {
		const missing = await runner.run({ ...shell(""), command: ["/no/such"] }, { timeoutMs: 100 });
		expect(missing.kind).toBe("not-started");
		const nobody = await runner.run(shell("true", { user: "no-such-user" }), { timeoutMs: 100 });
		expect(nobody).toEqual({ kind: "not-started", detail: 'there is no user "no-such-user"' });
	});

	test("the user and group are the configured ones", async () => {
		const file = join(folder, "who");
		writeFileSync(file, "");
		Bun.spawnSync(["chmod", "-R", "a+rwX", folder]);
		await runner.run(shell(`id -un > ${file}`, { user: "nobody" }), { timeoutMs: 5000 });
		expect(readFileSync(file, "utf8")).toBe("nobody\n");
	});

	test("one that overruns is ended with its children", async () => {
		const file = join(folder, "child");
		const outcome = await runner.run(shell(`sleep 60 & echo $! > ${file}; wait`), { timeoutMs: 200 });
		expect(outcome).toEqual({ kind: "timeout" });
		const child = Number(readFileSync(file, "utf8"));
		await until(() => {
			try {
				return readFileSync(`/proc/${child}/stat`, "utf8").includes(") Z ");
			} catch {
				return true;
			}
		}, "the child is gone");
	});

	test("of a hundred that are called for at once one starts in a turn of the event loop", async () => {
		const many = new ScriptRunner({ limit: 64 });
		let running = 0;
		let most = 0;
		let done = false;
		const look = () => {
			most = Math.max(most, many.running.length - running);
			running = many.running.length;
			if (!done) setImmediate(look);
		};
		setImmediate(look);
		const all = Array.from({ length: 100 }, () => many.run(shell("sleep 0.2"), { timeoutMs: 5000 }));
		expect(many.running).toEqual([]);
		const outcomes = await Promise.all(all);
		done = true;
		expect(new Set(outcomes.map((outcome) => JSON.stringify(outcome)))).toEqual(
			new Set(['{"kind":"exit","status":0}']),
		);
		expect(most).toBe(1);
	});

	test("one that ignores SIGTERM is killed", async () => {
		const started = performance.now();
		const outcome = await runner.run(shell("trap '' TERM; while :; do sleep 0.1; done"), { timeoutMs: 100 });
		expect(outcome).toEqual({ kind: "timeout" });
		expect(performance.now() - started).toBeLessThan(15_000);
	});

	test("who runs for long leaves its place, and is ended only when too many do: the one that has run longest", async () => {
		const places = new ScriptRunner({ limit: 1, placeMs: 100, longRunningLimit: 2 });
		const ended: number[] = [];
		const endless = [0, 1, 2].map((number) =>
			places.run(shell("sleep 60"), { timeoutMs: Number.POSITIVE_INFINITY }).then((outcome) => {
				ended.push(number);
				return outcome;
			}),
		);
		// Behind all of them, in the one place.
		expect(await places.run(shell("exit 3"), { timeoutMs: 5_000 })).toEqual({ kind: "exit", status: 3 });
		expect(await endless[0]!).toEqual({ kind: "timeout" });
		await Bun.sleep(300);
		expect(ended).toEqual([0]);
		expect(places.running).toHaveLength(2);
		places.killAll();
		await Promise.all(endless);
	});

	test("one that nobody wants any more is ended, and does not begin", async () => {
		const given = new AbortController();
		const run = runner.run(shell("sleep 60"), { timeoutMs: 60_000, signal: given.signal });
		await until(() => runner.running.length === 1, "it runs");
		given.abort();
		expect(await run).toEqual({ kind: "timeout" });
		const late = runner.run(shell("sleep 60"), { timeoutMs: 60_000, signal: given.signal });
		expect(await late).toEqual({ kind: "timeout" });
	});

	test("no more run at once than the bound, and all run", async () => {
		const file = join(folder, "count");
		writeFileSync(file, "");
		let most = 0;
		const runs = Array.from({ length: 12 }, () =>
			runner.run(shell(`sleep 0.05; echo x >> ${file}`), { timeoutMs: 10_000 }),
		);
		const sampler = setInterval(() => {
			most = Math.max(most, runner.running.length);
		}, 5);
		await Promise.all(runs);
		clearInterval(sampler);
		expect(most).toBeLessThanOrEqual(4);
		expect(readFileSync(file, "utf8")).toBe("x\n".repeat(12));
	});
});

describe("FIFOs", () => {
	test("lines reach the reader; the FIFO is removed at the end", async () => {
		const path = join(folder, "fifo");
		const output = join(folder, "fifo-out");
		const errors: string[] = [];
		const writer = new FifoWriter(
			{
				path,
				user: null,
				group: null,
				script: { ...shell(""), command: ["/bin/sh", "-c", `cat "$0" > ${output}`] },
			},
			(text) => errors.push(text),
		);
		writer.write('INSTANCE "VI_1" MASTER 100\n');
		await until(() => existsSync(output) && readFileSync(output, "utf8") !== "", "the line was read");
		expect(readFileSync(output, "utf8")).toBe('INSTANCE "VI_1" MASTER 100\n');
		writer.close();
		expect(existsSync(path)).toBe(false);
		expect(errors).toEqual([]);
	});

	test("one that two services tell is made anew by the one that is restarted: the other one's lines come, too", async () => {
		const path = join(folder, "shared");
		const errors: string[] = [];
		const open = () =>
			new FifoWriter({ path, user: null, group: null, script: null }, (text) => errors.push(text));
		const first = open();
		const second = open();
		first.close();
		expect(existsSync(path)).toBe(false);
		const restarted = open();
		second.write("RS down\n");
		restarted.write("INSTANCE up\n");
		const output = join(folder, "shared-out");
		const reader = Bun.spawn(["sh", "-c", `head -n 2 "${path}" > "${output}"`]);
		await reader.exited;
		expect(readFileSync(output, "utf8")).toBe("RS down\nINSTANCE up\n");
		second.close();
		expect(existsSync(path)).toBe(true);
		restarted.close();
		expect([existsSync(path), ...errors]).toEqual([false]);
	}, 10_000);

	test("a full pipe loses lines and never waits", () => {
		const writer = new FifoWriter(
			{ path: join(folder, "full"), user: null, group: null, script: null },
			() => {},
		);
		for (let count = 0; count < 5_000; count++) writer.write(`${"x".repeat(99)}\n`);
		expect(writer.lost).toBeGreaterThan(0);
		writer.close();
	});
});

describe("mail, RFC 5321", () => {
	const settings = {
		...globalDefaults.mail,
		routerId: "LVS_DEVEL",
		recipients: ["Admin <admin@example.org>", "b@example.org"],
		sender: "lvs@example.org",
	};

	async function session(banner: string): Promise<{ heard: string; error: Error | null }> {
		let heard = "";
		let data = false;
		const server = Bun.listen({
			hostname: "127.0.0.1",
			port: 0,
			socket: {
				open: (socket) => void socket.write(banner),
				data(socket, chunk) {
					const text = chunk.toString();
					heard += text;
					if (data && text.endsWith("\r\n.\r\n")) {
						data = false;
						socket.write("250 queued\r\n");
					} else if (text === "DATA\r\n") {
						data = true;
						socket.write("354 go on\r\n");
					} else if (!data) socket.write("250-one\r\n250 two\r\n");
				},
			},
		});
		let error: Error | null = null;
		try {
			await deliver(
				{ ...settings, server: { host: "127.0.0.1", port: server.port } },
				{ subject: "VRRP Instance VI_1 - Entering MASTER state", body: "=> VI_1 <=\n.hidden" },
			);
		} catch (caught) {
			error = caught as Error;
		}
		await Bun.sleep(20);
		server.stop(true);
		return { heard, error };
	}

	test("a session, its envelope and its message", async () => {
		const { heard, error } = await session("220 test ESMTP\r\n");
		expect(error).toBeNull();
		expect(heard).toContain("MAIL FROM:<lvs@example.org>\r\n");
		expect(heard).toContain("RCPT TO:<admin@example.org>\r\nRCPT TO:<b@example.org>\r\n");
		expect(heard).toContain("Subject: [LVS_DEVEL] VRRP Instance VI_1 - Entering MASTER state\r\n");
		expect(heard).toContain("X-Mailer: Keepalived\r\n");
		expect(heard).toContain("\r\n..hidden\r\n");
		expect(heard).toEndWith("QUIT\r\n");
	});

	/** A server that answers each line as `reply` says; empty is silence. */
	function office(reply: (line: string) => string) {
		const letters: string[] = [];
		const server = Bun.listen<{ body: string | null }>({
			hostname: "127.0.0.1",
			port: 0,
			allowHalfOpen: true,
			socket: {
				open(socket) {
					socket.data = { body: null };
					socket.write(reply(""));
				},
				data(socket, chunk) {
					const text = chunk.toString();
					if (socket.data.body !== null) {
						socket.data.body += text;
						if (!socket.data.body.endsWith("\r\n.\r\n")) return;
						letters.push(socket.data.body);
						socket.data.body = null;
						socket.write(reply("."));
						return;
					}
					const answer = reply(text.trimEnd());
					if (answer.startsWith("354")) socket.data.body = "";
					if (answer !== "") socket.write(answer);
				},
			},
		});
		return {
			letters,
			to: { ...settings, connectTimeoutMs: 300, server: { host: "127.0.0.1", port: server.port } },
			[Symbol.dispose]: () => server.stop(true),
		};
	}
	const obliging = (line: string) =>
		line === "" ? "220 x\r\n" : line === "DATA" ? "354 x\r\n" : "250 x\r\n";
	const said = async (to: MailSettings, count = 1) => {
		const errors: string[] = [];
		const mailer = new Mailer(to, (text) => errors.push(text));
		for (let number = 0; number < count; number++) mailer.send({ subject: `s${number}`, body: "" });
		await mailer.settle();
		return errors;
	};

	test("one recipient whom the server does not take costs the others nothing, and is named", async () => {
		using post = office((line) => (line.includes("<admin@") ? "550 5.1.1 no such user\r\n" : obliging(line)));
		const errors = await said(post.to);
		expect(post.letters).toHaveLength(1);
		expect(errors).toEqual([
			`mail "s0": 127.0.0.1 port ${post.to.server.port} refuses Admin <admin@example.org>: 550 5.1.1 no such user`,
		]);
	});

	test("who takes none of them, wants them later, or ends the session, is not given the letter", async () => {
		for (const [reply, words] of [
			[
				(line: string) => (line.startsWith("RCPT") ? "451 4.7.1 greylisted\r\n" : obliging(line)),
				"451 4.7.1 greylisted",
			],
			[(line: string) => (line.startsWith("RCPT") ? "421 too many\r\n" : obliging(line)), "421 too many"],
			[(line: string) => (line === "." ? "554 looks like spam\r\n" : obliging(line)), "554 looks like spam"],
		] as const) {
			using post = office(reply);
			expect(await said(post.to)).toEqual([
				`mail "s0" was not sent by 127.0.0.1 port ${post.to.server.port}: ${words}`,
			]);
		}
	});

	test("251, user not local, will forward, is as good as 250 (RFC 5321 §3.4)", async () => {
		using post = office((line) => (line.startsWith("RCPT") ? "251 will forward\r\n" : obliging(line)));
		expect(await said(post.to)).toEqual([]);
		expect(post.letters).toHaveLength(1);
	});

	test("a server that hangs, in whatever step, leaves no connection behind", async () => {
		const descriptors = () => readdirSync("/proc/self/fd").length;
		for (const silentAt of ["", "."]) {
			using post = office((line) =>
				silentAt === line || (silentAt !== "" && line.startsWith(silentAt)) ? "" : obliging(line),
			);
			const before = descriptors();
			const errors = await said(post.to, 20);
			expect(errors).toHaveLength(20);
			expect(errors[0]).toEndWith(": no answer within 300 ms");
			// The server's ends stay with it; ours go.
			await until(
				() => descriptors() <= before + 20,
				`silent at "${silentAt}": ${descriptors() - before} more`,
			);
		}
	});

	test("of more letters than may wait the oldest are dropped, and it is said how many", async () => {
		using post = office(obliging);
		const errors = await said(post.to, 1_116);
		expect(errors).toEqual([
			"more than 1000 mails wait: the oldest are dropped",
			"100 mails were dropped, since more than 1000 waited",
		]);
		expect(post.letters).toHaveLength(1_016);
	});

	test("no_email_faults: a state is not told twice when the fault between was silent, as with keepalived", async () => {
		using post = office(obliging);
		const instance = instanceOf({ smtpAlert: true });
		const config = configOf([instance]);
		const notifier = new Notifier(
			{ ...config, global: { ...config.global, mail: { ...post.to, suppressFault: true } } },
			() => {},
		);
		for (const state of ["BACKUP", "FAULT", "BACKUP", "MASTER", "FAULT", "MASTER"] as const)
			notifier.instance(instance, state, 100);
		await notifier.settle(5_000);
		expect(post.letters.map((letter) => /Entering (\w+)/.exec(letter)?.[1]).sort()).toEqual([
			"BACKUP",
			"MASTER",
		]);
	});

	test("a refusal is an error with the server's words", async () => {
		const { heard, error } = await session("554 go away\r\n");
		expect(error?.message).toBe("554 go away");
		expect(heard).toBe("QUIT\r\n");
	});

	test("letters do not wait for each other at a slow server: 16 sessions at once, in the order of the letters", async () => {
		let now = 0;
		let most = 0;
		const subjects: string[] = [];
		const reply = (socket: Bun.Socket<{ body: boolean }>, text: string) =>
			setTimeout(() => socket.write(text), 30);
		const server = Bun.listen<{ body: boolean }>({
			hostname: "127.0.0.1",
			port: 0,
			socket: {
				open(socket) {
					socket.data = { body: false };
					reply(socket, "220 test\r\n");
				},
				data(socket, chunk) {
					const text = chunk.toString();
					if (text.startsWith("HELO")) most = Math.max(most, ++now);
					if (socket.data.body) {
						now--;
						subjects.push(/^Subject: .*(\d\d)\r$/m.exec(text)?.[1] ?? text);
					}
					socket.data.body = text === "DATA\r\n";
					reply(socket, socket.data.body ? "354 go on\r\n" : "250 yes\r\n");
				},
			},
		});
		const errors: string[] = [];
		const mailer = new Mailer({ ...settings, server: { host: "127.0.0.1", port: server.port } }, (text) =>
			errors.push(text),
		);
		const numbers = Array.from({ length: 40 }, (_, index) => String(index).padStart(2, "0"));
		for (const number of numbers) mailer.send({ subject: number, body: "" });
		await until(() => subjects.length === 40, "40 letters");
		server.stop(true);
		expect(errors).toEqual([]);
		expect(most).toBe(16);
		expect(subjects.slice(0, 16).sort()).toEqual(numbers.slice(0, 16));
		expect([...subjects].sort()).toEqual(numbers);
	});

	test("header lines cannot be smuggled in", () => {
		const text = letterText(settings, { subject: "a\r\nBcc: x@y", body: "" }, new Date(0));
		expect(text).not.toContain("\r\nBcc");
		expect(envelopeAddress("<a@b>\r\nDATA")).toBe("a@b");
	});

	test("RFC 2047, RFC 2045: what HELO does not allow is encoded, and means the same", () => {
		const decoded = (text: string) =>
			text.replace(/\?=\r\n =\?utf-8\?B\?/g, "|").replace(/=\?utf-8\?B\?([^?]*)\?=/g, (_, words: string) =>
				words
					.split("|")
					.map((word) => Buffer.from(word, "base64").toString())
					.join(""),
			);
		const subject = `Realserver 中央-${"ä€😀".repeat(30)} - DOWN`;
		const body = `=> Prüfung ${"x".repeat(2_000)} <=\n.end`;
		const recipients = Array.from({ length: 60 }, (_, index) => `operator-${index}@example.org`);
		const sender = '"Büro, 2. Stock" <lvs@example.org>';
		const text = letterText(
			{ ...settings, routerId: "Bär", sender, recipients },
			{ subject, body },
			new Date(0),
		);
		const lines = text.split("\r\n");
		expect(lines.filter((line) => !/^[ -~]{0,998}$/.test(line))).toEqual([]);
		expect(lines.filter((line) => line.includes("=?") && line.length > 84)).toEqual([]);
		const [head = "", content = ""] = text.split("\r\n\r\n");
		expect(decoded(head)).toContain(`Subject: [Bär] ${subject}\r\n`);
		expect(decoded(head)).toContain("From: Büro, 2. Stock <lvs@example.org>\r\n");
		expect(head.replace(/\r\n /g, " ")).toContain(`To: ${recipients.join(", ")}\r\n`);
		expect(head).toContain("\r\nContent-Transfer-Encoding: base64");
		expect(Buffer.from(content, "base64").toString()).toBe(body.replace("\n", "\r\n"));
		// Of the common letter nothing is changed.
		const plain = letterText(settings, { subject: "s", body: "=> b <=" }, new Date(0));
		expect(plain).toEndWith(
			"\r\nX-Mailer: Keepalived\r\nTo: Admin <admin@example.org>, b@example.org\r\n\r\n=> b <=\r\n",
		);
	});

	test("without a server nothing is sent and nothing fails", () => {
		const errors: string[] = [];
		new Mailer(settings, (text) => errors.push(text)).send({ subject: "s", body: "" });
		expect(errors).toEqual([]);
	});
});
