/**
 * The console on a pseudo-terminal: keys, pages, ^C at every prompt, a line of 9600 baud, log-in. The
 * services are stood in for by their sockets; the configuration's revisions are real ones.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { writePassword } from "../../firmware/appliance/password-file.ts";
import { type BusServer, method, serve } from "../../firmware/bus/server.ts";
import { fileDisk } from "../../firmware/config/revisions/disk.ts";
import { Revisions } from "../../firmware/config/revisions/revisions.ts";
import { PAGE_LINES } from "../../firmware/console/terminal.ts";
import {
	type ConsoleOptions,
	ConsolePty,
	consoleEnvironment,
	program,
	withDirectory,
} from "./console-pty.ts";
import { directorStatus, realServerStatus, virtualServerStatus, vrrpStatus } from "./samples.ts";

const PROMPT = `${hostname()}> `;
const CONFIGURATION = `# the shop
virtual_server 192.168.80.200 80 {
    lb_algo wrr
    lb_kind DR
    protocol TCP
    real_server 192.168.80.102 80 {
        weight 3
    }
    real_server 192.168.80.103 80 { weight 3 }
}
`;

let directory: string;
const servers: BusServer[] = [];
const overrides: unknown[] = [];
let reals = [realServerStatus(), realServerStatus({ address: "192.168.80.103" })];

/** Sockets that answer as the services do. */
function serveSamples(): void {
	const previous = process.env["DROVER_RUN_DIR"];
	process.env["DROVER_RUN_DIR"] = join(directory, "run");
	const timeline = [
		{
			subject: "VI_1",
			text: "heard an advert of 192.168.80.100",
			from: "192.168.80.100",
			rule: null,
			atMs: 1_000,
			times: 1,
		},
	];
	const status = () => directorStatus({ virtualServers: [virtualServerStatus({ realServers: reals })] });
	servers.push(
		serve("vrrp", {
			status: method(z.object({}), () => vrrpStatus()),
			timeline: method(z.looseObject({}), () => timeline),
			reload: method(z.object({}), () => ({ accepted: true })),
		}),
		serve("director", {
			status: method(z.object({}), status),
			timeline: method(z.looseObject({}), () => timeline),
			reload: method(z.object({}), () => "taken over"),
			override: method(z.looseObject({ action: z.string() }), (input) => {
				overrides.push(input);
				reals = reals.map((real) => ({ ...real, override: input.action === "drain" ? "draining" : null }));
				return 1;
			}),
		}),
	);
	if (previous === undefined) delete process.env["DROVER_RUN_DIR"];
	else process.env["DROVER_RUN_DIR"] = previous;
}

beforeAll(() => {
	directory = mkdtempSync(join(tmpdir(), "drover-console-"));
	mkdirSync(join(directory, "config"));
	new Revisions(fileDisk(join(directory, "config"))).recover();
	new Revisions(fileDisk(join(directory, "config"))).commit({
		files: new Map([["keepalived.conf", new TextEncoder().encode(CONFIGURATION)]]),
		who: "test",
		from: "test",
		why: "first",
		nowMs: Date.now(),
		confirmWithinMs: null,
	});
	serveSamples();
});

afterAll(() => {
	for (const server of servers) server.close();
	rmSync(directory, { recursive: true, force: true });
});

async function withConsole(
	use: (console: ConsolePty) => Promise<void>,
	options?: ConsoleOptions,
): Promise<void> {
	const console = new ConsolePty(directory, options);
	try {
		await console.shows(PROMPT);
		await use(console);
	} finally {
		await console.close();
	}
}

/** No cursor is moved and nothing coloured: only text, CR, LF, BS. */
function expectPlain(text: string): void {
	expect(text).not.toMatch(/[^\x20-\x7e\r\n\x08]/);
	for (const line of text.split("\r\n")) expect(line.length).toBeLessThanOrEqual(79);
}

describe("keys", () => {
	test("CR, LF and CRLF end a line; BS and DEL erase; ^U gives the line up; arrows do nothing", async () => {
		await withConsole(async (console) => {
			console.type("heLL\x08\x7flp\r");
			expectPlain(await console.shows("A number opens an item"));
			await console.shows(PROMPT);
			console.type("help\n");
			await console.shows("A number opens an item");
			await console.shows(PROMPT);
			console.type("help\r\n");
			await console.shows("A number opens an item");
			// One CRLF is one line: no banner follows.
			expect(await console.shows(PROMPT)).not.toContain("Drover (development)");
			console.type("garbage\x15\x1b[A\x1b[Dhelp\r");
			await console.shows("A number opens an item");
		});
	});

	test("^L draws the screen again and keeps what was typed; Enter shows the banner", async () => {
		await withConsole(async (console) => {
			await console.answer("3", "servers> ");
			console.type("1");
			const again = await console.answer("\x0c", "servers> 1");
			expect(again).toContain("3 Add");
			console.type("\r");
			expect(await console.shows("servers> ")).toContain("192.168.80.200:80");
			await console.answer("0", PROMPT);
			expect(await console.answer("", PROMPT)).toContain("VI_1 MASTER holds 192.168.80.200");
		});
	});

	test("^D and end of file leave no prompt behind: the serial line's console goes on", async () => {
		await withConsole(async (console) => {
			await console.answer("4", "ha> ");
			await console.answer("\x04\x03", PROMPT);
			expect(await console.answer("help", PROMPT)).toContain("A number opens an item");
		});
	});
});

describe("^C at every prompt is the menu again", () => {
	const prompts = [
		["1", "0 back: "],
		["3", "servers> "],
		["3\r3", "Address and port"],
		["3\r3\r10.0.0.9:80\r", "Protocol"],
		["3\r2\r4", "Which real server"],
		["3\r8", "Type this box's name"],
		["4\r3", "Type this box's name"],
		["6\r7", "Back to which revision"],
		["8\r1", "Host"],
		["10\r1", "New password: "],
		["12", '"reboot" or "poweroff"'],
	] as const;
	test("and nothing of what was begun is done", async () => {
		await withConsole(async (console) => {
			for (const [typed, prompt] of prompts) {
				await console.answer(typed, prompt);
				const text = await console.answer("half an answer\x03", PROMPT);
				expectPlain(text);
				expect(text).toContain("^C");
				expect(text).toContain(" 1 Status");
			}
		});
	});

	test("in the midst of a screen that has more lines, too", async () => {
		const few = reals;
		reals = Array.from({ length: 12 }, (_, index) =>
			realServerStatus({ address: `192.168.80.${110 + index}` }),
		);
		try {
			await withConsole(async (console) => {
				await console.answer("1", "Enter goes on, q stops -- ");
				const text = await console.answer("\x03", PROMPT);
				expect(text).toContain(" 1 Status");
				expect(text).not.toContain("0 back:");
			});
		} finally {
			reals = few;
		}
	});

	test("a command that runs is ended by it", async () => {
		await withConsole(async (console) => {
			await console.answer("tools ping 127.0.0.1 --count 100", /bytes from|seq=/);
			const text = await console.answer("\x03", PROMPT);
			expect(text).toContain(" 1 Status");
			expect(await console.answer("help", PROMPT)).toContain("A number opens an item");
		});
	});
});

describe("absurd input at every prompt", () => {
	const absurd = [
		"z".repeat(4_096),
		"\xe9\xff".repeat(600),
		"\x1b[999;999H\x1b[2J\x1b]0;title\x07\x9b5m",
		"\x00\x01\x02\x0f\x11\x13\x16\x1a\x1c",
		"\"'`$(id);|&",
		"-1",
		"9".repeat(20),
		"%s%n",
		"__proto__",
		"\x7f\x08\x15\x17y y\x17\x7f-",
	];
	test.each(["1", "3", "3\r3", "3\r3\r10.0.0.9:80\r", "3\r2\r4", "3\r8", "4\r3", "6\r7", "12"])(
		"%p: told what is wrong in lines that fit, and the menu is there again",
		async (typed) => {
			await withConsole(async (console) => {
				console.type(`${typed}\r`);
				for (const line of absurd) {
					// Whatever is asked: a question ends with one of these, and a blank.
					await console.shows(/[>:\]] $|-- more.* -- $/);
					console.type(`${line}\r`);
				}
				await console.shows(/[>:\]] $|-- more.* -- $/);
				const text = await console.answer("\x03", PROMPT);
				expectPlain(text);
				expect(text).toContain(" 1 Status");
			});
			expect(readFileSync(join(directory, "log"), "utf8")).not.toContain('"level":50');
		},
	);
});

describe("pages", () => {
	test(`after ${PAGE_LINES} lines the rest waits; q and ^C stop, Enter goes on`, async () => {
		await withConsole(async (console) => {
			const first = await console.answer("vs --help", /-- more: Enter goes on, q stops -- $/);
			expect(first.split("\r\n").length - 2).toBe(PAGE_LINES);
			expect(await console.answer("", PROMPT)).toContain("examples:");
			await console.answer("vs --help", "-- more");
			expect(await console.answer("q", PROMPT)).not.toContain("examples:");
			await console.answer("vs --help", "-- more");
			expect(await console.answer("\x03", PROMPT)).not.toContain("examples:");
		});
	});
});

describe("what is not ASCII", () => {
	const detail = "HTTP 503: Größe → 0";
	test.each([
		["no UTF-8", "C", "HTTP 503: Gr??e -> 0"],
		["UTF-8", "C.UTF-8", Buffer.from(detail).toString("latin1")],
	])("to a terminal that says %s", async (_title, locale, expected) => {
		const usual = reals;
		reals = [realServerStatus({ alive: false, checks: [{ kind: "HTTP_GET", up: false, detail, atMs: 0 }] })];
		try {
			await withConsole(
				async (console) => {
					const text = await console.answer("1", "0 back: ");
					expect(text).toContain(`HTTP_GET: ${expected}`);
					if (locale === "C") expectPlain(text);
				},
				{ environment: { LC_ALL: locale } },
			);
		} finally {
			reals = usual;
		}
	});
});

describe("a change, from the menu to the file", () => {
	test("a weight: plan, in force, kept; comments and order stay", async () => {
		await withConsole(async (console) => {
			await console.answer("3\r2", "real servers> ");
			await console.answer("4", "Which real server");
			await console.answer("1", "Weight of 192.168.80.102:80 [3]: ");
			expect(await console.answer("many", "Weight of")).toContain("A weight is a number from 0 to 65535");
			const plan = await console.answer("5", "[y/N] ");
			expect(plan).toContain("weight");
			const done = await console.answer("y", "Enter: later ");
			expect(done).toContain("Revision 2 is in force.");
			expect(await console.answer("y", "real servers> ")).toContain("Revision 2 stays.");
		});
		const text = readFileSync(join(directory, "config/current/keepalived.conf"), "utf8");
		expect(text).toBe(CONFIGURATION.replace("        weight 3\n", "        weight 5\n"));
	});

	test("a virtual server that would be refused changes nothing, and says why", async () => {
		await withConsole(async (console) => {
			const text = await console.answer("vs add 192.168.80.200:80", PROMPT);
			expect(text).toContain("virtual_server 192.168.80.200 80 exists already");
		});
	});

	test("a removal that is taken back", async () => {
		await withConsole(async (console) => {
			await console.answer("3\r2\r8", "Which real server");
			await console.answer("2", "Type this box's name");
			await console.answer(hostname(), "[y/N] ");
			expect(await console.answer("y", "Enter: later ")).toContain("Revision 3 is in force.");
			expect(await console.answer("n", "real servers> ")).toContain("what revision 2 was");
			expect(await console.answer("config history", "real servers> ")).toMatch(/4 .*\[in force\]/);
		});
	});

	test("drain tells its progress and ends by ^C; the drain itself goes on", async () => {
		await withConsole(async (console) => {
			const text = await console.answer("rs drain 192.168.80.102:80", "open.");
			expect(text).toContain("192.168.80.102:80 of 192.168.80.200:80: no new connections");
			expect(text).toContain("2 connections are open.");
			expect(await console.answer("\x03", PROMPT)).toContain('The drain goes on; "undo" takes it back.');
			await console.answer("rs drain 192.168.80.102:80", "open.");
			// Somebody else ends it.
			reals = reals.map((real) => ({ ...real, override: null }));
			const undone = await console.shows(PROMPT);
			expect(undone).toContain("The drain was undone.");
			expect(undone).not.toContain("goes on");
		});
		expect(overrides).toMatchObject([{ action: "drain" }, { action: "drain" }]);
	});
});

describe("for programs", () => {
	const run = (...words: readonly string[]) => {
		const { stdout, stderr, exitCode } = Bun.spawnSync([...program, ...words], {
			env: { ...process.env, ...consoleEnvironment(directory) },
			stdin: "ignore",
		});
		return { text: stdout.toString(), errors: stderr.toString(), exitCode };
	};
	// The sockets are served by this process: a command that asks them must not be waited for in it.
	const ask = async (...words: readonly string[]) => {
		const child = Bun.spawn([...program, ...words], {
			env: { ...process.env, ...consoleEnvironment(directory) },
			stdin: "ignore",
			stdout: "pipe",
			stderr: "pipe",
		});
		const [text, errors] = await Promise.all([
			new Response(child.stdout).text(),
			new Response(child.stderr).text(),
		]);
		return { text, errors, exitCode: await child.exited };
	};

	test("what programs read keeps its lines: a string of JSON that is broken is none", async () => {
		const long = `/no/${"long/".repeat(20)}keepalived.conf`;
		await withConsole(async (console) => {
			const more = "-- more: Enter goes on, q stops -- ";
			const page = await console.answer(`config check ${long} --json`, more);
			const text = page.slice(0, -more.length) + (await console.answer("", PROMPT));
			const json = text.slice(text.indexOf("{"), text.lastIndexOf("}") + 1);
			expect(JSON.parse(json).diagnostics[0].location.file).toBe(long);
			expectPlain((await console.answer(`config check ${long}`, PROMPT)).replace(/^.*\r\n/, ""));
		});
	});
	test("--json", async () => {
		expect(JSON.parse((await ask("vs", "list", "--json")).text)).toHaveLength(1);
		expect(JSON.parse((await ask("ha", "why", "--json")).text)[0]).toMatchObject({
			instance: { name: "VI_1" },
			timeline: [{ from: "192.168.80.100" }],
		});
		expect(JSON.parse((await ask("rs", "why", "192.168.80.102", "--json")).text)[0]).toMatchObject({
			realServer: { address: "192.168.80.102" },
		});
		expect(JSON.parse((await ask("status", "--json")).text)).toMatchObject({ hostname: hostname() });
		expect(JSON.parse(run("network", "--json").text)).toMatchObject({ hostname: hostname() });
		expect(JSON.parse(run("access", "--json").text)).toMatchObject({ password: "none" });
	});

	test("mistakes: exit status 2 and what is wrong; nobody to agree: nothing is done", async () => {
		for (const [words, message] of [
			[["vs", "remove"], "say which virtual server"],
			[["vs", "fix"], 'there is no "fix"'],
			[["ha", "--jsno"], "--jsno"],
			[["tools", "ping", "-f"], "-f"],
			[["network", "down"], 'what is "down"?'],
			[["vs", "remove", "192.168.80.200:80"], "nobody is here to agree"],
		] as const) {
			const { errors, exitCode } = await ask(...words);
			expect(errors).toContain(message);
			expect(exitCode).toBe(2);
		}
		const gone = await ask("ha", "why", "VI_9");
		expect(gone).toMatchObject({
			exitCode: 1,
			errors: 'drover ha: there is no instance "VI_9"; there is VI_1\n',
		});
	});
});

describe("9600 baud", () => {
	/** What a menu costs is its characters: what the program needs between them is not seen on such a line. */
	test("the line carries banner and menu within 0.65 s, whatever is wrong, and the next answer is short", async () => {
		await withConsole(
			async (console) => {
				console.type("\r");
				const banner = "Drover (development)";
				await console.shows(banner);
				const rest = await console.shows(PROMPT);
				expect((banner.length + rest.length) / 960).toBeLessThan(0.65);
				const menu = await console.answer("3", "servers> ");
				expect(menu.length).toBeLessThan(700);
			},
			{ baud: 9_600 },
		);
	});

	test("typed status is shown by the console itself", async () => {
		await withConsole(async (console) => {
			expect(await console.answer("status", PROMPT)).toContain("High availability\r\n");
			expect(await console.answer("drover status all", PROMPT)).toContain("Virtual servers ");
			expect(await console.answer("status everything", PROMPT)).toContain(`what is "everything"?`);
		});
	});
});

describe("log-in", () => {
	test("no password: straight in; with one: asked, wrong ones wait longer and longer, ^C gets nowhere", async () => {
		await withDirectory(async (own) => {
			writePassword("correct horse", join(own, "access/shadow"));
			const console = new ConsolePty(own);
			try {
				await console.shows("Password: ");
				const startedAt = performance.now();
				const text = await console.answer("guess one", "The next try is possible in 1 s.");
				expect(text).not.toContain("guess");
				await console.shows("Password: ");
				await console.answer("\x03", "Password: ");
				await console.answer("\x04", "Password: ");
				await console.answer("guess two", "The next try is possible in 2 s.");
				// Who cannot wait does not read his password on the screen, and what he began is no part of the next one.
				console.type("guess three\rguess");
				expect(await console.shows("Password: ")).not.toContain("guess");
				expect(performance.now() - startedAt).toBeGreaterThan(2_900);
				await console.answer("correct horse", PROMPT);
				await console.answer("0", "Password: ");
			} finally {
				await console.close();
			}
			const log = readFileSync(join(own, "log"), "utf8");
			expect(log.match(/wrong password/g)).toHaveLength(2);
			expect(log).toContain("logged in");
			expect(log).not.toContain("guess");
		});
	});

	test("hanging up during the wait does not shorten it", async () => {
		await withDirectory(async (own) => {
			writePassword("correct horse", join(own, "access/shadow"));
			mkdirSync(join(own, "run"));
			writeFileSync(join(own, "run/login-failures"), JSON.stringify({ count: 2, lastAtMs: Date.now() }));
			const console = new ConsolePty(own);
			try {
				await console.shows("Password: ");
				const startedAt = performance.now();
				await console.answer("correct horse", PROMPT);
				expect(performance.now() - startedAt).toBeGreaterThan(500);
			} finally {
				await console.close();
			}
		});
	});
});
